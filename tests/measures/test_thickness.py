"""Local thickness: the definition by brute force, blocks equal to the whole, shapes of known thickness."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bone_backend.errors import Cancelled, HardwareError
from bone_backend.measures import blocks
from bone_backend.measures.blocks import Thickness, thickness
from bone_backend.measures.spheres import Spheres, cover, squared_distances
from bone_backend.measures.structures import InMemory
from bone_backend.progress import Recorder, silent

from .shapes import ball, plate, rod, rough

CUBIC = (1.0, 1.0, 1.0)


def fitted(mask: np.ndarray, spacing=CUBIC, **more) -> Thickness:
    found = thickness(InMemory(mask), spacing, progress=silent, name="bone", **more)
    assert found is not None
    assert found.voxels.sum() == np.count_nonzero(mask)
    return found


def by_definition(mask: np.ndarray, spacing) -> np.ndarray:
    """Every sphere, one after the other."""
    squared = squared_distances(mask, spacing)
    found = np.zeros_like(squared)
    places = np.indices(mask.shape)
    for centre in np.argwhere(mask):
        away = sum(((places[a] - centre[a]) * spacing[a]) ** 2 for a in range(3)).astype(np.float32)
        here = away < squared[tuple(centre)]
        found[here] = np.maximum(found[here], squared[tuple(centre)])
    return found


@pytest.mark.parametrize("spacing", [CUBIC, (2.0, 1.0, 1.0), (1.3, 0.7, 0.9)])
def test_each_voxel_has_the_largest_sphere_that_covers_it(spacing):
    mask = rough((12, 13, 14), seed=3)
    squared = squared_distances(mask, spacing)
    told = by_definition(mask, spacing)
    whole = tuple(slice(0, n) for n in mask.shape)
    np.testing.assert_array_equal(cover(squared, Spheres(spacing), whole), told)
    part = (slice(3, 9), slice(2, 10), slice(5, 14))
    np.testing.assert_array_equal(cover(squared, Spheres(spacing), part), told[part])
    assert Spheres(spacing).centres(squared).sum() < np.count_nonzero(mask)  # some were left out


@pytest.mark.parametrize("fine_radius", [100, 4])
@pytest.mark.parametrize("spacing", [CUBIC, (2.0, 1.0, 1.5)])
def test_blocks_give_what_the_whole_gives(spacing, fine_radius, monkeypatch):
    mask = rough((50, 44, 47), seed=1, sigma=2)
    whole = fitted(mask, spacing, fine_radius=fine_radius, memory_bytes=1 << 40, pictures=(0.5,))
    monkeypatch.setattr(blocks, "LEAST_CORE", 17)
    parts = fitted(mask, spacing, fine_radius=fine_radius, memory_bytes=1 << 18, pictures=(0.5,))
    np.testing.assert_array_equal(whole.diameters, parts.diameters)
    np.testing.assert_array_equal(whole.voxels, parts.voxels)
    np.testing.assert_allclose(whole.slice_means, parts.slice_means)
    np.testing.assert_array_equal(whole.pictures[24], parts.pictures[24])
    assert (whole.factor > 1) == (fine_radius == 4)


@pytest.mark.parametrize("voxels", [2, 5, 8, 13])
def test_a_plate_along_the_axes_is_at_most_a_voxel_too_thick(voxels):
    """Even numbers of voxels are exact, odd ones come out one voxel thicker: a centre is a voxel."""
    mask = np.zeros((24, 20, 20), bool)
    mask[5 : 5 + voxels] = True
    found = fitted(mask, (0.1, 0.1, 0.1))
    assert found.mean == pytest.approx(0.1 * (voxels + voxels % 2))
    assert found.sd == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("thick", [5, 8, 12])
def test_tilted_plates_rods_and_balls_are_right_within_about_a_voxel(thick):
    shape = (36, 36, 36)
    inner = slice(8, -8)

    def mean(mask: np.ndarray, part: slice = inner) -> float:
        squared = squared_distances(mask, CUBIC)
        found = cover(squared, Spheres(CUBIC), tuple(slice(0, n) for n in shape))[part, part, part]
        return float(2 * np.sqrt(found[found > 0]).mean())

    for seed in range(3):
        direction = np.random.default_rng(seed).normal(size=3)
        assert 0 < mean(plate(shape, thick, normal=direction)) - thick <= 1
        assert -0.8 < mean(rod(shape, thick, along=direction)) - thick < 0.5
    assert -1.6 < mean(ball(shape, thick / 2), slice(None)) - thick < 0


def test_voxels_that_are_no_cubes_give_the_thickness_in_their_unit():
    for normal, size in (((1, 0, 0), 0.5), ((0, 1, 0), 0.25), ((0, 0, 1), 0.25)):
        mask = plate((24, 48, 48), 3.0, normal=normal, spacing=(0.5, 0.25, 0.25))
        assert abs(fitted(mask, (0.5, 0.25, 0.25)).mean - 3.0) <= size


def test_large_spheres_on_larger_voxels_are_nearly_as_thick():
    mask = ball((54, 54, 54), 22) | plate((54, 54, 54), 6)
    exact, coarse = fitted(mask, fine_radius=100), fitted(mask, fine_radius=10)
    assert (exact.factor, coarse.factor) == (1, 4)
    assert coarse.mean == pytest.approx(exact.mean, rel=0.04)
    assert coarse.sd == pytest.approx(exact.sd, rel=0.1)


def test_what_is_empty_or_has_no_outside_has_no_thickness():
    for mask in (np.zeros((5, 6, 7), bool), np.ones((5, 6, 7), bool)):
        assert thickness(InMemory(mask), CUBIC, progress=silent, name="bone") is None


def test_the_histogram_adds_up_and_the_mean_is_over_voxels():
    found = Thickness(np.array([1.0, 3.0]), np.array([3, 1]), 1, np.array([1.5]))
    assert (found.mean, found.sd) == (1.5, pytest.approx(math.sqrt(0.75)))
    edges, shares = found.histogram(3)
    assert shares.tolist() == [0.75, 0, 0.25] or shares.tolist() == [0, 0.75, 0.25]
    assert edges[0] == 0


def test_a_stop_is_heeded_and_too_little_memory_is_told(monkeypatch):
    mask = rough((30, 30, 30))
    with pytest.raises(Cancelled):
        thickness(InMemory(mask), CUBIC, progress=Recorder(stop_after=4), name="bone")

    class Full:
        available = 1000

    monkeypatch.setattr(blocks.psutil, "virtual_memory", lambda: Full)
    with pytest.raises(HardwareError, match=r"crop the labels, or leave it out: --no-thickness"):
        thickness(InMemory(mask), CUBIC, progress=silent, name="bone")
