"""Bricks give along every axis what was added along any, and leave nothing behind."""

from __future__ import annotations

import errno
import sys

import numpy as np
import psutil
import pytest

from bone_backend.errors import OutputError
from bone_backend.volumes.bricks import Bricks

SHAPE = (50, 33, 70)


@pytest.fixture
def values() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 1000, (2, *SHAPE)).astype(np.uint16)


def seen(values: np.ndarray, axis: int) -> np.ndarray:
    """(slice, channel, a, b) along an axis."""
    return np.moveaxis(values, 1 + axis, 0)


@pytest.mark.parametrize("added", [0, 1, 2])
@pytest.mark.parametrize("read", [0, 1, 2])
def test_slabs_added_along_one_axis_are_read_along_any(tmp_path, values, added, read):
    with Bricks(SHAPE, values.dtype, channels=2, folder=tmp_path) as volume:
        for first in range(0, SHAPE[added], 7):
            volume.add(added, first, seen(values, added)[first : first + 7])
        assert (volume.read(read, 3, 33) == seen(values, read)[3:33]).all()


def test_what_is_added_twice_counts_twice_and_the_rest_is_zero(tmp_path, values):
    with Bricks(SHAPE, values.dtype, channels=2, folder=tmp_path) as volume:
        volume.add(0, 0, seen(values, 0)[:40])
        volume.add(2, 0, seen(values, 2)[:5])
        expected = np.zeros_like(values)
        expected[:, :40] += values[:, :40]
        expected[..., :5] += values[..., :5]
        assert (volume.read(0, 0, SHAPE[0]) == seen(expected, 0)).all()


def test_nothing_is_left_behind_even_after_a_fault(tmp_path):
    def fail() -> None:
        with Bricks(SHAPE, np.dtype(np.uint8), folder=tmp_path):
            assert sum(path.stat().st_size for path in tmp_path.iterdir()) == 2 * 2 * 3 * 32**3
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert list(tmp_path.iterdir()) == []


def test_too_little_room_is_told_with_what_helps(tmp_path, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(
        OutputError,
        match=r"needs 0.38 MiB, but only 0.00 MiB are free there. .*BONE_CACHE.* along z only: axes z",
    ):
        Bricks(SHAPE, np.dtype(np.uint8), folder=tmp_path)


def test_slices_that_do_not_exist_are_refused(tmp_path):
    with Bricks(SHAPE, np.dtype(np.uint8), folder=tmp_path) as volume, pytest.raises(IndexError):
        volume.read(1, 30, 34)


@pytest.mark.skipif(sys.platform != "linux", reason="counts resident memory as Linux does")
def test_memory_does_not_grow_with_the_volume(tmp_path):
    shape = (256, 512, 512)  # 128 MiB
    slab = np.ones((32, 1, 512, 512), np.uint16)
    with Bricks(shape, slab.dtype, folder=tmp_path) as volume:
        before = psutil.Process().memory_info().rss
        for first in range(0, shape[0], 32):
            volume.add(0, first, slab)
        for first in range(0, shape[2], 32):
            assert volume.read(2, first, first + 32).all()
        assert psutil.Process().memory_info().rss - before < 80 * 2**20


def test_a_disk_that_runs_full_is_told_before_anything_is_written(tmp_path, monkeypatch):
    def full(*_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("os.posix_fallocate", full, raising=False)
    with pytest.raises(OutputError, match="the disk is full"):
        Bricks(SHAPE, np.dtype(np.uint8), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []
