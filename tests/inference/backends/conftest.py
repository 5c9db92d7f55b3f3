"""OpenVINO's stand-in, or none at all, in the place of whatever is installed."""

from __future__ import annotations

import importlib
import importlib.util
import sys
from pathlib import Path

import pytest
import torch

from bone_backend.errors import PackageError
from bone_backend.inference.backends import openvino_network

STAND_IN = Path(__file__).resolve().parents[3] / "mocks" / "packages"
MISSING = "raise ModuleNotFoundError(\"No module named '{0}'\", name='{0}')\n"


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(autouse=True)
def own_cache(monkeypatch, tmp_path):
    """What one test measures is not remembered in another."""
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))


@pytest.fixture
def forgotten(monkeypatch):
    """No openvino or nncf is loaded; what is loaded meanwhile goes again."""
    names = ("openvino", "openvino_telemetry", "nncf")

    def loaded() -> list[str]:
        return [name for name in sys.modules if name.partition(".")[0] in names]

    for name in loaded():
        monkeypatch.delitem(sys.modules, name)
    yield
    for name in loaded():
        del sys.modules[name]


@pytest.fixture
def stand_in(forgotten, monkeypatch):
    monkeypatch.syspath_prepend(str(STAND_IN))
    importlib.invalidate_caches()


@pytest.fixture
def real():
    """The real OpenVINO; skips where it is not installed."""
    try:
        openvino_network.library()
    except PackageError:
        pytest.skip("openvino is not installed (it is no requirement of the tests)")


@pytest.fixture
def real_int8(real):
    """The real OpenVINO and NNCF; skips where one is not installed."""
    if importlib.util.find_spec("nncf") is None:
        pytest.skip("nncf is not installed (it is no requirement of the tests)")


@pytest.fixture
def without_nncf(stand_in, monkeypatch, tmp_path_factory):
    """OpenVINO's stand-in, and no NNCF."""
    folder = tmp_path_factory.mktemp("without")
    (folder / "nncf.py").write_text(MISSING.format("nncf"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return folder


@pytest.fixture
def missing(forgotten, monkeypatch, tmp_path_factory):
    """No OpenVINO; gives the folder on Python's path that sees to it."""
    folder = tmp_path_factory.mktemp("missing")
    (folder / "openvino.py").write_text(MISSING.format("openvino"), encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    importlib.invalidate_caches()
    return folder
