"""Scans of one scanner share a grey scale; others have one of their own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.intensity import shared
from bone_backend.intensity.normalisation import beside_edges, normalisation, scale_notes
from bone_backend.intensity.statistics import measure
from bone_backend.intensity.summary import SHARED
from bone_backend.volumes.volume import ArrayVolume
from mocks.scans import Phantom

BASE = measure(ArrayVolume(Phantom(shape=(8, 64, 64), seed=1).slab(0, 8)[0]))


def scan(low: float, high: float):
    return replace(BASE, edge_tissues=(low, high))


@pytest.mark.parametrize(
    ("pair", "count"),
    [
        ((10.6, 78.5), 3),  # another skull
        ((12.1, 71.2), 3),  # enlarged
        ((22.4, 97.2), 0),  # another grey curve
        ((29.4, 68.9), 0),  # blurred, with an offset
        ((16.0, 113.1), 0),  # a femur of another scanner
        ((447.8, 920.4), 0),  # 16 bit
    ],
)
def test_a_new_scan_shares_the_scale_of_those_of_the_fit_that_are_alike(pair, count):
    fitted = [scan(10.4, 80.5), scan(11.4, 86.6), scan(11.0, 86.7)]
    found, seen = shared.tissues(scan(*pair), fitted)
    assert seen == count
    mean = tuple(np.mean([one.edge_tissues for one in fitted], axis=0))
    assert found == pytest.approx(mean if count else pair)


def test_of_a_fit_on_two_scanners_each_scan_has_the_scale_of_its_own_kind():
    fitted = [scan(10, 80), scan(12, 90), scan(40, 190), scan(44, 200)]
    found = [shared.tissues(one, fitted) for one in fitted]
    assert found == [((11, 85), 2)] * 2 + [((42, 195), 2)] * 2
    made = [normalisation("tissue", one, voxels=SHARED, fitted=fitted) for one in fitted]
    assert made[0] == made[1] != made[2] == made[3]
    assert made[0].apply(np.array([11.0, 85.0])).tolist() == pytest.approx([-1, 1])
    alone = normalisation("tissue", fitted[0], voxels="edge-tissues", fitted=fitted)
    assert alone == normalisation("tissue", fitted[0], voxels=SHARED)  # nothing to share with
    assert alone != made[0]


@given(
    pairs=st.lists(
        st.tuples(st.floats(0, 200), st.floats(1, 200)).map(lambda p: (p[0], p[0] + p[1])),
        min_size=1,
        max_size=6,
    )
)
def test_a_scan_of_the_fit_and_one_just_like_it_have_the_same_scale_which_is_one(pairs):
    fitted = [scan(*pair) for pair in pairs]
    for one in fitted:
        (low, high), seen = shared.tissues(one, fitted)
        assert seen >= 1
        assert low < high
        assert shared.tissues(replace(one), fitted) == ((low, high), seen)
    order = [shared.tissues(fitted[0], list(reversed(fitted)))[0]]
    assert order[0] == pytest.approx(shared.tissues(fitted[0], fitted)[0])


def test_a_scan_without_edges_takes_what_it_took_before_and_is_shared_with_by_none():
    empty = replace(BASE, edge_tissues=None, edges=None)
    assert shared.tissues(empty, [scan(10, 80)]) == (None, 0)
    assert shared.tissues(scan(10, 80), [empty]) == ((10, 80), 0)
    made = normalisation("tissue", empty, voxels=SHARED, fitted=[scan(10, 80)])
    assert made == normalisation("tissue", empty, voxels="auto")


def test_what_is_shared_is_told():
    fitted = [scan(10, 80), scan(12, 90), scan(40, 190)]
    assert beside_edges(fitted[0], SHARED, fitted) == (11, 85)
    (note,), _ = scale_notes("tissue", fitted[0], name="Scan a", voxels=SHARED, fitted=fitted)
    assert note == (
        "Scan a: beside its edges the two tissues have the grey values 10 and 80; as in 2 of the 3 scans of "
        "the fit, so the scale is theirs: 11 and 85."
    )
    (note,), _ = scale_notes("tissue", fitted[2], name="Scan c", voxels=SHARED, fitted=fitted)
    assert note == "Scan c: beside its edges the two tissues have the grey values 40 and 190."
