"""What all tests share: a cache of their own, the real scans where they are, small pairs and a small fit."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import hypothesis
import numpy as np
import pytest

# A busy machine is no fault of an example.
hypothesis.settings.register_profile("bone", deadline=None)
hypothesis.settings.load_profile("bone")

ROOT = Path(__file__).resolve().parents[1]
SHARED_DATA = ROOT.parent / "shared" / "data"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--rare", action="store_true", help="also what is long and mostly tested by others: before a release"
    )


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if config.getoption("--rare"):
        return
    config.hook.pytest_deselected(items=[item for item in items if item.get_closest_marker("rare")])
    items[:] = [item for item in items if not item.get_closest_marker("rare")]


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


@pytest.fixture(autouse=True)
def own_log():
    """What a door does to BONe's log ends with the test."""
    logger = logging.getLogger("bone")
    before = logger.level, logger.propagate, [*logger.handlers]
    yield
    level, logger.propagate, logger.handlers[:] = before
    logger.setLevel(level)


@pytest.fixture(autouse=True)
def own_threads():
    """As many threads compute after a test as before it: sums depend on it."""
    torch = sys.modules.get("torch")
    before = torch.get_num_threads() if torch else 0
    yield
    if torch and torch.get_num_threads() != before:
        torch.set_num_threads(before)


@pytest.fixture(scope="session")
def real_scans() -> Path:
    """The folder of real scans; skips where it is not there."""
    if not SHARED_DATA.is_dir():
        pytest.skip("the real scans of ../shared/data are not here")
    return SHARED_DATA


@pytest.fixture(scope="session")
def pairs(tmp_path_factory) -> list[tuple[str, str]]:
    """Three small phantoms of different shapes and their masks, as TIFF folders; not to be changed."""
    shapes = [(9, 64, 48), (8, 48, 64), (10, 48, 48)]
    return write_pairs(tmp_path_factory.mktemp("pairs"), phantoms(*shapes), voxel_size=(20.0, 20.0, 20.0))


def phantoms(*shapes: tuple[int, int, int]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Grey values and labels of a phantom of each shape (z, y, x), every one with another seed."""
    from mocks.scans import Phantom

    return [Phantom(shape=shape, seed=n).slab(0, shape[0]) for n, shape in enumerate(shapes)]


def write_pairs(
    folder: Path,
    volumes: Iterable[tuple[np.ndarray, np.ndarray]],
    *,
    scan: str = "scan_{}",
    mask: str = "mask_{}",
    voxel_size: tuple[float, float, float] | None = None,
) -> list[tuple[str, str]]:
    """Save each scan and its mask under their names with a number in them; gives their paths."""
    from bone_backend.volumes.volume import save

    made = []
    for number, both in enumerate(volumes):
        paths = [folder / name.format(number) for name in (scan, mask)]
        for path, array in zip(paths, both, strict=True):
            save(path, array, voxel_size=voxel_size)
        made.append((str(paths[0]), str(paths[1])))
    return made


def fit_values(pairs: Sequence[Any], output: Path, **changes: Any) -> dict[str, Any]:
    """Options of the smallest fit that learns something, as plain values; changes: of them, and others."""
    values = {
        "recipe": "paper",
        "pairs": pairs,
        "output": str(output),
        "patch_size": 32,
        "patches_per_tile": 2,
        "batch_size": 6,
        "epochs": 2,
        "architecture": "Plain U-Net",
        "plain_channels": 8,
        "plain_depth": 3,
        "precision": "fp32",
        "train_split": 0.6,
        "reproducible": True,
    }
    return values | changes
