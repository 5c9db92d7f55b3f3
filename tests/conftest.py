"""What all tests share: a cache of their own, few threads, and the real scans where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

SHARED_DATA = Path(__file__).resolve().parents[2] / "shared" / "data"


@pytest.fixture(scope="session", autouse=True)
def own_cache(tmp_path_factory):
    """No test reads or fills the user's cache."""
    before = os.environ.get("BONE_CACHE")
    os.environ["BONE_CACHE"] = str(tmp_path_factory.mktemp("cache"))
    yield
    if before is None:
        del os.environ["BONE_CACHE"]
    else:
        os.environ["BONE_CACHE"] = before


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """The folder of real scans; skips where it is not there."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real scans of ../shared/data are not here")
    return SHARED_DATA
