"""Slabs cover what is left of a scan, each once, from group to group, and little is predicted twice."""

from __future__ import annotations

import itertools

import pytest

from bone_backend.inference.dealing.slabs import slabs
from bone_backend.inference.streaming import plan_groups
from bone_backend.inference.windows import layout


@pytest.mark.parametrize("depth", [1, 7, 40, 333])
@pytest.mark.parametrize(
    ("size", "overlap", "together"), [(1, 0.0, 1), (1, 0.0, 8), (8, 0.25, 1), (8, 0.9, 1)]
)
def test_slabs_cover_each_slice_once_and_begin_where_a_group_ends(depth, size, overlap, together):
    chunks = layout((depth, 16, 16), (size, 16, 16), overlap=overlap)
    groups = plan_groups(chunks, tiles_at_once=together)
    ends = [0, *(group.finished for group in groups)]
    for start, workers in itertools.product(ends, (1, 2, 7)):
        found = slabs(groups, chunks, start=start, workers=workers, slice_bytes=1)
        assert [z for first, end in found for z in range(first, end)] == list(range(start, depth))
        assert all(first in ends and end in ends for first, end in found)


def test_no_slab_is_more_than_a_worker_sends_at_a_time():
    chunks = layout((1000, 64, 64), (1, 64, 64), overlap=0)
    groups = plan_groups(chunks, tiles_at_once=2)
    found = slabs(groups, chunks, start=0, workers=1, slice_bytes=16 << 20)
    assert {end - first for first, end in found} == {4}


def test_of_chunks_that_overlap_along_z_most_are_predicted_once():
    chunks = layout((2000, 64, 64), (64, 64, 64), overlap=0.25)
    groups = plan_groups(chunks, tiles_at_once=1)
    found = slabs(groups, chunks, start=0, workers=4, slice_bytes=64 << 20)
    anew = sum(group.finished <= first < group.tiles[-1] + 64 for first, _ in found for group in groups)
    assert anew <= len(groups) / 3 + 1
