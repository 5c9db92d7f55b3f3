"""Normalisations: what becomes of known grey values, and of scans that have no scale."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.errors import OptionError, ScanError
from bone_backend.intensity.normalisation import NORMALISATIONS, Normalisation, normalisation
from bone_backend.intensity.statistics import Statistics, measure
from bone_backend.intensity.tissues import Tissues
from bone_backend.volumes.array import ArrayVolume

KNOWN = Statistics(
    count=10,
    mean=100.0,
    std=20.0,
    min=10.0,
    max=210.0,
    percentiles={"0.5": 20.0, "99.5": 180.0},
    otsu_means=(60.0, 140.0),
    tissues=Tissues(60.0, 140.0, contrast=9.0),
)


@pytest.mark.parametrize(
    ("mode", "grey", "expected"),
    [
        ("ZScore", [100, 120, 80, 0, 200, 255, 110], [0, 1, -1, -5, 5, 5, 0.5]),
        ("minMax", [10, 210, 110, 0, 255], [0, 1, 0.5, 0, 1]),
        ("percentiles", [20, 180, 100, 10, 210], [0, 1, 0.5, 0, 1]),
        ("tissue", [60, 140, 100, 220, 0], [-1, 1, 0, 3, -2.5]),
    ],
)
def test_known_grey_values_get_known_places(mode, grey, expected):
    found = normalisation(mode, KNOWN).apply(np.array(grey, np.uint8))
    assert found.dtype == np.float32
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_modes_of_the_published_programs_are_their_formulas():
    assert normalisation("ZScore", KNOWN) == Normalisation("ZScore", 100.0, 1 / 20.0, -5.0, 5.0)
    assert normalisation("minMax", KNOWN) == Normalisation("minMax", 10.0, 1 / 200.0, 0.0, 1.0)


def test_tissue_puts_an_empty_border_and_another_brightness_on_one_scale():
    random = np.random.default_rng(0)
    bone = np.where(random.random((8, 20, 20)) < 0.3, 180.0, 60.0) + random.normal(0, 5, (8, 20, 20))
    scan = bone.clip(1, 255).astype(np.uint16)
    border = np.pad(scan, ((0, 0), (10, 10), (10, 10)), constant_values=60)
    bright = scan * 2 + 500
    normalised = [
        normalisation("tissue", measure(ArrayVolume(volume))).apply(part).astype(np.float64)
        for volume, part in ((scan, scan), (border, scan), (bright, bright))
    ]
    assert np.abs(normalised[1] - normalised[0]).max() < 0.05
    assert np.abs(normalised[2] - normalised[0]).max() < 1e-4


@given(st.sampled_from(sorted(NORMALISATIONS)), st.lists(st.integers(0, 65535), min_size=1, max_size=30))
def test_normalised_values_lie_within_the_limits_and_keep_the_order(mode, grey):
    found = normalisation(mode, KNOWN)
    values = found.apply(np.sort(np.array(grey, np.uint16)))
    assert (values >= found.low).all()
    assert (values <= found.high).all()
    assert (np.diff(values) >= 0).all()


def test_the_given_values_are_not_changed():
    grey = np.array([1.0, 2.0], np.float32)
    normalisation("ZScore", KNOWN).apply(grey)
    assert grey.tolist() == [1.0, 2.0]


@pytest.mark.parametrize("mode", sorted(NORMALISATIONS))
def test_a_scan_of_one_grey_value_has_no_scale(mode):
    uniform = measure(ArrayVolume(np.full((2, 2, 2), 7, np.uint8)))
    with pytest.raises(ScanError, match=f"scan a/b: all grey values are 7 or nearly so; {mode} cannot"):
        normalisation(mode, uniform, name="scan a/b")


def test_an_unknown_mode_is_told_with_the_known_ones():
    with pytest.raises(OptionError, match=r"no normalisation 'zscore'; there are ZScore, minMax"):
        normalisation("zscore", KNOWN)
