"""Surface and Euler number from cubes: exact for any slabs, known for shapes, those of scikit-image."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.measures import marching_cubes
from bone_backend.measures.cells import Cells, crofton

from .shapes import ball, plate, rod, rough, torus

CUBIC = (1.0, 1.0, 1.0)
# scikit-image 0.26 with numpy 2.5: its table of cubes is read in an old way
OF_SCIKIT_IMAGE = pytest.mark.filterwarnings("ignore:Setting the shape:DeprecationWarning")


def cells(mask: np.ndarray, counted: np.ndarray | None = None, *, step: int = 1 << 20) -> Cells:
    found = Cells(len(mask))
    for z in range(0, len(mask), step):
        found.add(mask[z : z + step], None if counted is None else counted[z : z + step])
    return found


def surface(mask: np.ndarray, spacing=CUBIC) -> float:
    return cells(mask).total(marching_cubes.areas(spacing))


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 7)] * 3),
    step=st.integers(1, 7),
    seed=st.integers(0, 99),
    masked=st.booleans(),
)
def test_slabs_of_any_height_count_the_same_cubes(shape, step, seed, masked):
    generator = np.random.default_rng(seed)
    mask = generator.random(shape) > 0.5
    counted = generator.random(shape) > 0.3 if masked else None
    whole, parts = cells(mask, counted), cells(mask, counted, step=step)
    np.testing.assert_array_equal(whole.weighted, parts.weighted)
    np.testing.assert_array_equal(whole.closed, parts.closed)
    assert whole.weighted.sum() > 0 or mask.all() or not mask.any()


def test_a_mask_of_everything_counts_as_none():
    mask = rough((9, 8, 7))
    np.testing.assert_array_equal(cells(mask).weighted, cells(mask, np.ones_like(mask)).weighted)


@OF_SCIKIT_IMAGE
@pytest.mark.parametrize("spacing", [CUBIC, (2.0, 1.0, 0.5)])
def test_surface_and_euler_number_are_those_of_scikit_image(spacing):
    measure = pytest.importorskip("skimage.measure", reason="scikit-image is not here")
    for seed in range(3):
        mask = np.pad(rough((12, 13, 14), seed), 1)
        corners, faces, _, _ = measure.marching_cubes(mask.astype(np.float32), 0.5, spacing=spacing)
        told = measure.mesh_surface_area(corners, faces)
        assert surface(mask, spacing) == pytest.approx(told, rel=1e-5)
        assert cells(mask).euler_closed == measure.euler_number(mask, connectivity=3)


@OF_SCIKIT_IMAGE
def test_the_table_of_triangles_is_that_of_scikit_image():
    measure = pytest.importorskip("skimage.measure", reason="scikit-image is not here")
    own = marching_cubes.areas((1.0, 1.5, 2.0))
    for code in range(1, 255):
        cube = np.array([code >> bit & 1 for bit in range(8)], np.float32).reshape(2, 2, 2)
        corners, faces, _, _ = measure.marching_cubes(cube, 0.5, spacing=(1.0, 1.5, 2.0))
        assert own[code] == pytest.approx(measure.mesh_surface_area(corners, faces), rel=1e-5), code


def test_euler_numbers_of_shapes():
    shape = (30, 40, 40)
    one = ball(shape, 9)
    shell = one & ~ball(shape, 5)
    two = ball(shape, 5, at=(0, -10, 0)) | ball(shape, 5, at=(0, 10, 0))
    ring = torus(shape, 12, 4)
    told = [cells(mask).euler_closed for mask in (one, shell, two, ring, ~np.pad(one, 1)[1:-1, 1:-1, 1:-1])]
    assert told == [1, 2, 2, 0, 2]


def test_what_goes_through_the_volume_has_no_ends_after_the_correction():
    """A plate and a rod that go on beyond the volume have Euler number 0 a volume; three crossing rods -2."""
    shape = (21, 21, 21)
    bars = [rod(shape, 5, along=axis, at=(0, 0, 0)) for axis in np.eye(3)]
    assert cells(plate(shape, 5)).euler_corrected == 0
    assert cells(bars[0]).euler_corrected == 0
    assert cells(bars[0] | bars[1] | bars[2]).euler_corrected == -2  # a node with 6 half struts: 1 - 6 / 2
    assert cells(bars[0] | bars[1] | bars[2]).euler_closed == 1


def test_the_corrected_euler_number_is_that_of_odgaard_and_gundersen():
    mask = rough((11, 12, 13), seed=4)
    found = float(cells(mask).euler_closed)
    for axis in range(
        3
    ):  # minus half of the faces', plus a quarter of the edges', minus an eighth of the corners'
        for side in (0, -1):
            face = mask.take([side], axis)
            found -= cells(face).euler_closed / 2
            for other in range(axis + 1, 3):
                for end in (0, -1):
                    edge = face.take([end], other)
                    found += cells(edge).euler_closed / 4
    found -= np.count_nonzero(mask[::10, ::11, ::12]) / 8
    assert cells(mask).euler_corrected == pytest.approx(found)


@pytest.mark.parametrize(("thickness", "spacing"), [(4, CUBIC), (7, CUBIC), (8, (2.0, 1.0, 0.5))])
def test_the_surface_of_a_plate_along_the_axes_is_exact_and_cut_faces_are_none(thickness, spacing):
    mask = plate((30, 20, 25), thickness, spacing=spacing, at=0.0 if thickness % 2 == 0 else 0.5)
    area = 20 * 25 * spacing[1] * spacing[2]
    assert surface(mask, spacing) == pytest.approx(2 * area)
    if spacing == CUBIC:
        assert cells(mask).total(crofton(spacing)) == pytest.approx(2 * area * 0.9266, rel=1e-3)


@pytest.mark.parametrize("spacing", [CUBIC, (2.0, 1.0, 1.0)])
def test_marching_cubes_finds_9_per_cent_too_much_of_a_sphere_and_crofton_the_right_area(spacing):
    shape = tuple(int(50 / size) for size in spacing)
    mask = ball(shape, 20, spacing=spacing)
    area = 4 * math.pi * 400
    assert surface(mask, spacing) / area == pytest.approx(1.09, abs=0.02 if spacing == CUBIC else 0.06)
    assert cells(mask).total(crofton(spacing)) / area == pytest.approx(1.0, abs=0.01)


def test_the_surface_of_a_torus_and_of_a_rod():
    ring, bar = torus((30, 60, 60), 18, 8), rod((40, 40, 40), 16, along=(0, 1, 2))
    area = 4 * math.pi**2 * 18 * 8
    assert cells(ring).total(crofton(CUBIC)) / area == pytest.approx(1.0, abs=0.02)
    assert surface(ring) / area == pytest.approx(1.09, abs=0.02)
    length = 40 / 2 * math.sqrt(5)  # between the two faces that it cuts
    assert cells(bar).total(crofton(CUBIC)) / (math.pi * 16 * length) == pytest.approx(1.0, abs=0.03)
