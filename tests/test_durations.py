"""Times are told as people say them."""

from __future__ import annotations

import pytest

from bone_backend.durations import estimated, measured


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.2, "1 s"),
        (99, "99 s"),
        (150, "2 min"),
        (3600, "1 h 0 min"),
        (3700, "1 h 2 min"),
        (9000, "2 h 30 min"),
        (90_000, "1 d 1 h"),
    ],
)
def test_a_time_to_come_has_the_units_that_a_plan_needs(seconds, told):
    assert estimated(seconds) == told


@pytest.mark.parametrize(
    ("seconds", "told", "steady"),
    [
        (4.26, "4.3 s", "4 s"),
        (59.97, "1 min 0 s", "1 min 00 s"),
        (119.7, "2 min 0 s", "2 min 00 s"),
        (257, "4 min 17 s", "4 min 17 s"),
        (7325, "2 h 2 min", "2 h 02 min"),
    ],
)
def test_a_time_that_has_gone_by_is_exact_or_steady(seconds, told, steady):
    assert measured(seconds) == told
    assert measured(seconds, steady=True) == steady
