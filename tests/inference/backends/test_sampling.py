"""Chunks that INT8 is calibrated and compared on: where they lie, and that they are what the networks see."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bone_backend.errors import Cancelled
from bone_backend.inference.backends.sampling import CHUNKS, DEPTH_3D, EDGE_2D, drawn
from bone_backend.inference.windows import layout
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.volumes.array import ArrayVolume

NUMBERS = Normalisation("ZScore", 0.0, 1.0, -1e9, 1e9)


def volume(shape: tuple[int, int, int]) -> ArrayVolume:
    """Every voxel is its own place, so that a chunk says where it lies."""
    greys = np.arange(np.prod(shape), dtype=np.float32).reshape(shape)
    return ArrayVolume(greys)


def team(shape, *, mode="2D", channels=1, chunk=(1, 512, 512), multiple=(8, 8, 8)):
    spec = SimpleNamespace(multiples=multiple, minimum=16)
    chunks = layout(shape, chunk, overlap=0.25, multiple=(1, *multiple[1:]), minimum=(1, 16, 16))
    return SimpleNamespace(
        numbers=NUMBERS, chunks=chunks, model=SimpleNamespace(mode=mode, in_channels=channels, spec=spec)
    )


def taken(shape, *, axes="z", scan=None, **more):
    return drawn(scan or volume(shape), team(shape, **more), axes=axes, look=lambda: None)


def places(chunk: torch.Tensor, shape) -> tuple[np.ndarray, ...]:
    """(z, y, x) of the voxels of a chunk of `volume`."""
    return np.unravel_index(chunk.numpy().astype(np.int64), shape)


def test_slices_are_spread_over_the_scan_and_none_is_both():
    shape = (70, 40, 300)
    sample = taken(shape)
    assert len(sample.calibrating) + len(sample.comparing) == CHUNKS
    assert len(sample.comparing) == CHUNKS // 4
    seen = [{int(z) for chunk in part for z in np.unique(places(chunk, shape)[0])} for part in sample]
    assert not seen[0] & seen[1]
    assert {0, 69} <= seen[0] | seen[1]
    assert {tuple(chunk.shape) for part in sample for chunk in part} == {(1, 40, EDGE_2D)}
    starts = {int(places(chunk, shape)[2].min()) for chunk in sample.calibrating}
    assert min(starts) < 10
    assert max(starts) > 34
    assert len(starts) > 10


def test_three_axes_have_their_share_and_slices_lie_along_each():
    shape = (40, 50, 60)
    sample = taken(shape, axes="zyx")
    flat = [tuple(int(len(np.unique(part)) == 1) for part in places(c, shape)) for c in sample.calibrating]
    assert [flat.count(way) for way in ((1, 0, 0), (0, 1, 0), (0, 0, 1))] == [7, 7, 7]
    along_y = next(c for c, way in zip(sample.calibrating, flat, strict=True) if way == (0, 1, 0))
    z, _, x = places(along_y, shape)
    assert [z[0, 5, 0], x[0, 0, 5]] == [5, 5]  # rows are z, columns x
    assert along_y.shape == (1, 40, 64)  # reflected up to what the network takes
    assert x[0, 0, 59:].tolist() == [59, 58, 57, 56, 55]


def test_neighbouring_slices_of_a_flat_network_are_seen_with_each():
    shape = (30, 32, 32)
    sample = taken(shape, mode="2.5D", channels=3)
    assert {tuple(chunk.shape) for part in sample for chunk in part} == {(3, 32, 32)}
    assert all(np.ptp(places(chunk, shape)[0]) == 2 for chunk in sample.calibrating)


def test_slabs_of_a_3d_network_do_not_overlap_what_is_compared():
    shape = (100, 80, 80)
    sample = taken(shape, mode="3D", chunk=(64, 128, 128))
    assert {tuple(chunk.shape) for part in sample for chunk in part} == {(DEPTH_3D, 64, 64)}
    z = [{int(n) for chunk in part for n in np.unique(places(chunk, shape)[0])} for part in sample]
    assert not z[0] & z[1]


@pytest.mark.parametrize("depth", [1, 2, 6])
def test_few_slices_are_enough(depth):
    sample = taken((depth, 64, 700))
    assert min(map(len, sample)) >= 1
    assert sum(map(len, sample)) >= CHUNKS


def test_the_same_ones_are_drawn_each_time():
    shape = (9, 32, 32)
    first, again = (taken(shape, axes="zyx") for _ in range(2))
    for parts in zip(first, again, strict=True):
        assert all(torch.equal(*pair) for pair in zip(*parts, strict=True))


def test_only_what_is_needed_is_read_and_a_stop_is_heard():
    shape = (200, 16, 16)
    scan, read = volume(shape), []
    fill = scan._fill
    scan._fill = lambda z0, z1, out: (read.append((z0, z1)), fill(z0, z1, out))
    taken(shape, scan=scan)
    assert len(read) == CHUNKS
    assert sum(z1 - z0 for z0, z1 in read) == CHUNKS

    def stop() -> None:
        raise Cancelled

    with pytest.raises(Cancelled):
        drawn(scan, team(shape), axes="z", look=stop)
