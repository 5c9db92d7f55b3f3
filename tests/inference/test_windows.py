"""Windows cover each voxel, lie where empatches puts them, and weigh as counted one by one."""

from __future__ import annotations

import numpy as np
import pytest
from empatches import EMPatches
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.inference.windows import Axis, layout, mirror, windows_along

lengths = st.integers(1, 90)
sizes = st.integers(1, 40)
overlaps = st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.5, 0.75, 0.9])


@given(length=lengths, size=sizes, overlap=overlaps, multiple=st.sampled_from([1, 2, 8, 32]))
def test_every_voxel_is_covered_for_any_chunk_and_overlap(length, size, overlap, multiple):
    axis = windows_along(length, size * multiple, overlap=overlap, multiple=multiple)
    covered = np.zeros(axis.extent, int)
    for offset in axis.offsets:
        assert 0 <= offset <= axis.extent - axis.size
        covered[offset : offset + axis.size] += 1
    assert covered.min() >= 1
    assert axis.size % multiple == 0
    assert axis.extent - axis.length < multiple
    np.testing.assert_array_equal(axis.totals(), covered[:length])


@given(length=lengths, size=sizes, overlap=overlaps)
def test_windows_equal_those_of_empatches(length, size, overlap):
    _, indices = EMPatches().extract_patches(np.zeros(length), size, overlap=overlap)
    axis = windows_along(length, size, overlap=overlap)
    assert [(o, o + axis.size) for o in axis.offsets] == indices


@given(shape=st.tuples(lengths, lengths), size=sizes, overlap=overlaps)
def test_chunks_of_a_slice_equal_those_of_empatches(shape, size, overlap):
    _, indices = EMPatches().extract_patches(np.zeros(shape), size, overlap=overlap)
    chunks = layout((1, *shape), (1, size, size), overlap=overlap)
    ours = {(y, y + chunks.y.size, x, x + chunks.x.size) for y, x in chunks.corners()}
    assert ours == set(indices)
    assert chunks.per_tile == len(indices)


def test_depth_may_differ_from_width_and_height():
    chunks = layout((100, 300, 200), (32, 128, 64), overlap=0.25, multiple=(32, 32, 32))
    assert chunks.size == (32, 128, 64)
    assert chunks.z.offsets == (0, 24, 48, 68)


def test_slices_of_a_2d_network_never_overlap():
    assert layout((5, 64, 64), (1, 64, 64), overlap=0.9).z.offsets == (0, 1, 2, 3, 4)


@given(length=st.integers(2, 30), extra=st.integers(0, 100))
def test_padding_walks_to_and_fro_between_the_ends(length, extra):
    expected, place, step = [], 0, 1
    for _ in range(length + extra):  # np.pad(mode="reflect") is not used: 1.23.5 is wrong for short arrays
        expected.append(place)
        step = -step if not 0 <= place + step < length else step
        place += step
    np.testing.assert_array_equal(mirror(np.arange(length + extra), length), expected)
    np.testing.assert_array_equal(mirror(-np.arange(length + extra), length), expected)


def test_a_single_voxel_is_repeated():
    assert Axis(length=1, size=4, offsets=(0,)).sources.tolist() == [0, 0, 0, 0]


@given(length=lengths, size=st.integers(1, 40), overlap=overlaps)
def test_gaussian_totals_are_the_sum_over_the_windows(length, size, overlap):
    axis = windows_along(length, size, overlap=overlap)
    expected = np.zeros(axis.extent)
    for offset in axis.offsets:
        for place in range(axis.size):
            sigmas = (place - (axis.size - 1) / 2) / (axis.size / 8)
            expected[offset + place] += max(np.exp(-0.5 * sigmas**2), 0.01)
    np.testing.assert_allclose(axis.totals("gaussian"), expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("size", "multiple", "overlap"), [(33, 32, 0.25), (0, 1, 0.25), (32, 32, 1.0), (8, 8, -0.1)]
)
def test_impossible_windows_are_refused(size, multiple, overlap):
    with pytest.raises(ValueError, match="no windows"):
        windows_along(100, size, overlap=overlap, multiple=multiple)
