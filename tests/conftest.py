"""What all tests share: a cache of their own, few threads, and the real scans where they are."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


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


@pytest.fixture(scope="session", autouse=True)
def own_checkout():
    """Children that start in another folder find standalone and mocks, installed under other names."""
    before = os.environ.get("PYTHONPATH")
    os.environ["PYTHONPATH"] = os.pathsep.join([str(ROOT), *([before] if before else [])])
    yield
    if before is None:
        del os.environ["PYTHONPATH"]
    else:
        os.environ["PYTHONPATH"] = before


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """The folder of real scans; skips where it is not there."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real scans of ../shared/data are not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> list[tuple[str, str]]:
    """Three small phantoms of different shapes and their masks, as TIFF folders; not to be changed."""
    from bone_backend.volumes.volume import save
    from mocks.scans import Phantom

    folder, made = tmp_path_factory.mktemp("pairs"), []
    for number, shape in enumerate([(9, 64, 48), (8, 48, 64), (10, 48, 48)]):
        grey, labels = Phantom(shape=shape, seed=number).slab(0, shape[0])
        for kind, array in (("scan", grey), ("mask", labels)):
            save(folder / f"{kind}_{number}", array, voxel_size=(20.0, 20.0, 20.0))
        made.append((str(folder / f"scan_{number}"), str(folder / f"mask_{number}")))
    return made
