"""A cache, a folder for temporary files and a worker for the modules; all must be empty again at the end."""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import pytest
import torch

PYTHON = sys.executable  # before a session makes it Avizo's


@pytest.fixture(scope="session", autouse=True)
def few_threads():
    """The tests share the machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(min(2, before))
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def places(tmp_path_factory, monkeypatch):
    """Own cache and temporary folder; the running Python is the worker's. Nothing may stay there."""
    folder = tmp_path_factory.mktemp("places")
    (folder / "tmp").mkdir()
    monkeypatch.setenv("BONE_CACHE", str(folder / "cache"))
    monkeypatch.setenv("BONE_WORKER_PYTHON", PYTHON)
    monkeypatch.setattr(tempfile, "tempdir", str(folder / "tmp"))
    yield folder
    left = sorted(str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file())
    left += sorted(path.name for path in (folder / "tmp").iterdir() if path.name.startswith("bone"))
    assert left == []
    assert not os.path.lexists(folder / "cache" / "avizo")


@pytest.fixture
def modules() -> Path:
    """The folder of the modules."""
    return Path(__file__).resolve().parents[2] / "avizo_modules"
