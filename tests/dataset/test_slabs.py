"""Slabs that validate: apart from what trains, and as like the whole scan as there is one."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.dataset.slabs import Slab, cut, wanted
from bone_backend.options.programs import FitOptions

# Voxels of three classes in each of up to 90 slices; most slices have some of a class or none.
CLASSES = st.lists(st.tuples(*[st.sampled_from([0, 0, 1, 5, 200])] * 3), min_size=1, max_size=90)


def options(**values):
    pairs = [[f"scan_{n}", f"mask_{n}"] for n in range(5)]
    return FitOptions.parse({"pairs": pairs, "output": "run"} | values)


@pytest.mark.parametrize(
    ("values", "subjects", "is_wanted"),
    [
        ({}, [None], True),
        ({}, [None] * 4, True),
        ({}, [None] * 5, False),
        ({}, ["Ada", "Ada", "Ada", "Bo", None, None], True),  # four subjects
        ({}, ["Ada", "Bo", "Cy", "Di", None], False),
        ({"validation_pairs": [1]}, [None] * 3, False),
        ({"validation": "scans"}, [None] * 3, False),
        ({"validation": "slabs"}, [None] * 9, True),
    ],
)
def test_slabs_validate_where_there_are_fewer_than_five_subjects_or_the_user_says_so(
    values, subjects, is_wanted
):
    assert wanted(options(**values), subjects) == is_wanted


def test_a_slab_is_cut_where_the_scan_is_like_all_of_it():
    """Bone in slices 40 to 79 of 100 only: a slab of 20 with 40 % of bone holds 8 such slices."""
    counts = np.zeros((100, 2), np.int64)
    counts[:, 0], counts[40:80, 1] = 60, 0
    counts[40:80] = (0, 60)
    found = cut(counts, share=0.2)
    assert found == Slab(first=28, last=48, before=(0, 26), after=(50, 100))
    assert counts[28:48, 1].sum() / counts[28:48].sum() == 0.4 == counts[:, 1].sum() / counts.sum()


def test_a_slab_with_a_rare_class_comes_before_one_of_the_right_shares():
    counts = np.full((50, 3), 100, np.int64)
    counts[:, 2] = 0
    counts[45, 2] = 1
    found = cut(counts, share=0.2)
    assert found is not None
    assert found.first <= 45 < found.last
    assert found.before == (0, found.first - 2)


def test_a_slab_leaves_something_to_train_on_even_where_another_would_hold_more_classes():
    """Slabs of 32 in the middle of 70 slices hold 20 and 45, but leave less than a patch on either side."""
    counts = np.zeros((70, 3), np.int64)
    counts[:, 0] = counts[20, 1] = counts[45, 2] = 1
    found = cut(counts, share=0.2, least=32)
    assert found is not None
    assert found.parts


@pytest.mark.parametrize(
    ("slices", "least", "is_cut"),
    [(9, 1, False), (10, 1, True), (65, 32, False), (66, 32, True)],
)
def test_a_scan_too_thin_for_a_slab_a_gap_and_as_much_that_trains_is_not_cut(slices, least, is_cut):
    """Of 10 slices 4 validate, 2 are left out, 4 train; patches 32 slices deep need 32, 2 and 32."""
    found = cut(np.ones((slices, 2), np.int64), share=0.2, least=least)
    assert (found is not None) == is_cut
    if found:
        assert found.parts == [(max(4, least) + 2, slices)]


@given(CLASSES, st.floats(0.01, 0.99), st.sampled_from([1, 3, 8, 32]))
def test_slab_gap_and_parts_are_apart_and_a_slab_holds_every_class_that_any_could(rows, share, least):
    counts = np.array(rows, np.int64)
    slices = len(counts)
    found = cut(counts, share=share, least=least)
    thick = max(round(share * slices), least, 4)
    gap = max(round(0.02 * slices), 2)
    if found is None:
        assert slices < thick + gap + max(thick, least)
        return
    assert found.last - found.first == thick
    assert 0 <= found.first < found.last <= slices
    assert sum(last - first for first, last in found.parts) >= thick, "no less trains than validates"
    owner = np.zeros(slices, int)
    owner[found.first : found.last] += 1
    for first, last in found.parts:
        assert last - first >= least
        owner[first:last] += 1
    assert owner.max() == 1, "no slice on both sides, or in two parts"
    near = np.arange(slices)[max(found.first - gap, 0) : found.last + gap]
    for first, last in found.parts:
        assert not set(range(first, last)) & set(near.tolist()), "neighbours of the slab do not train"
    held = set(np.flatnonzero(counts.sum(axis=0)))
    possible = [
        set(np.flatnonzero(counts[start : start + thick].sum(axis=0)))
        for start in range(slices - thick + 1)
        if sum(n for n in (start - gap, slices - start - thick - gap) if n >= least) >= max(least, thick)
    ]
    mine = set(np.flatnonzero(counts[found.first : found.last].sum(axis=0)))
    assert len(mine) == max(map(len, possible))
    assert mine <= held
    assert found == cut(counts, share=share, least=least)
