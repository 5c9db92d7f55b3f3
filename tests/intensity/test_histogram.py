"""The histogram that is kept of a scan, checked by hand and against sorted voxels."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.intensity.histogram import BINS, Histogram, check_written, histogram
from bone_backend.intensity.statistics import measure
from bone_backend.volumes.array import ArrayVolume
from mocks.scans import Phantom


@pytest.fixture(scope="module")
def scan() -> np.ndarray:
    return Phantom(shape=(16, 64, 64), seed=3, bits=16).whole()[0]


def test_every_voxel_that_was_not_left_out_is_counted_once(scan):
    bordered = scan.copy()
    bordered[:, :20] = 0
    bordered[0, 40, 40] = 65535  # a hot pixel
    for grey in (scan, bordered, bordered.astype(np.float32)):
        tissues = measure(ArrayVolume(grey)).tissues
        kept = tissues.histogram
        assert sum(kept.counts) == round(grey.size * (1 - tissues.border - tissues.metal))
        assert len(kept.counts) <= BINS
        assert kept.edges[-1] <= max(tissues.high + 2.1 * (tissues.high - tissues.low), grey.min() + 1)


def test_whole_numbers_fall_into_bins_of_whole_width():
    kept = histogram(np.array([10.0, 12.0, 300.0, 600.0]), np.array([5, 2, 4, 1]), low=11, high=320)
    assert (kept.first, kept.width) == (9.5, 3.0)
    assert kept.counts[0] == 7
    assert kept.counts[(300 - 10) // 3] == 4
    assert kept.counts[-1] == 1


def test_shares_and_ordered_values_are_those_of_the_sorted_voxels(scan):
    tissues = measure(ArrayVolume(scan)).tissues
    kept = tissues.histogram
    seen = np.sort(scan[scan > scan.min()] if tissues.border else scan, axis=None).astype(float)
    assert kept.share_above(tissues.threshold) == pytest.approx((seen > tissues.threshold).mean(), abs=0.002)
    bright = seen[seen > tissues.threshold]
    ranks = (np.arange(200) + 0.5) / 200
    found = kept.ordered(tissues.threshold, np.inf)
    assert np.abs(found - np.quantile(bright, ranks)).mean() < kept.width


def test_ordered_values_leave_empty_bins_out_and_an_empty_part_has_none():
    kept = Histogram(0.0, 10.0, (50, 0, 0, 50))
    values = kept.ordered(-np.inf, np.inf)
    assert ((values <= 10) | (values >= 30)).all()
    assert values[:100].max() <= 10
    assert kept.ordered(10, 30) is None
    assert kept.share_above(20) == 0.5


@pytest.mark.parametrize(
    "change",
    [
        {"width": 0.0},
        {"width": float("nan")},
        {"counts": []},
        {"counts": [0]},
        {"counts": [-1]},
        {"counts": [1.5]},
        {"more": 1},
    ],
)
def test_what_is_no_histogram_is_refused(change):
    whole = {"first": 0.0, "width": 1.0, "counts": [1, 2]}
    check_written(whole)
    with pytest.raises(ValueError, match="histogram"):
        check_written(whole | change)
