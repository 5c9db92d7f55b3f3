"""A fit that goes on until it stops improving, in rounds of which each is twice as long."""

from __future__ import annotations

import math

import pytest

from bone_backend.dataset.settled import settled
from bone_backend.errors import OptionError
from bone_backend.options import fit as fit_options
from bone_backend.options.programs import FitOptions, dump
from bone_backend.training import budget
from bone_backend.training.budget import Pace, Spent, goes_on, steps_now
from bone_backend.training.optimization import learning_rate


def chosen(**values):
    options = FitOptions.parse({"pairs": [["a", "am"], ["b", "bm"]], "output": "run"} | values)
    return settled(options, ["a", "b"], [(40, 64, 64), (40, 64, 64)])[0]


def test_enough_is_written_as_a_word_and_read_again():
    options = chosen(minutes="enough")
    assert options.minutes == math.inf
    assert dump(options)["minutes"] == "enough"
    assert FitOptions.parse(dump(options)).minutes == math.inf


@pytest.mark.parametrize(
    ("value", "told"), [(0, "above 0"), (2e5, "up to 100000"), ("soon", "or enough or auto")]
)
def test_a_time_that_cannot_be_is_told(value, told):
    with pytest.raises(OptionError, match=told):
        chosen(minutes=value)


def test_rounds_are_twice_as_long_each_in_minutes_and_epochs():
    options = chosen(minutes="enough", epochs=9)
    assert [options.round_minutes(n) for n in range(3)] == [5.0, 15.0, 35.0]
    assert [options.round_epochs(n) for n in range(3)] == [9, 27, 63]
    plain = chosen(minutes=30, epochs=9)
    assert plain.round_minutes(0) == 30
    assert plain.round_epochs(0) == 9


def test_the_rate_falls_to_its_end_in_every_round():
    options = chosen(minutes="enough", epochs=4)
    for start, end in [(0, 4), (4, 12), (12, 28)]:
        assert learning_rate(options, start) == pytest.approx(0.005)
        assert learning_rate(options, (start + end) / 2) == pytest.approx(0.0025, rel=0.01)
        assert learning_rate(options, end - 1e-9) == pytest.approx(1e-6, rel=0.01)


@pytest.mark.parametrize(
    ("number", "best", "before", "more"),
    [(0, 0.5, -1.0, True), (1, 0.91, 0.90, True), (1, 0.901, 0.90, False), (6, 0.9, 0.1, False)],
)
def test_a_round_follows_while_the_last_one_has_gained_something(number, best, before, more):
    options = chosen(minutes="enough")
    assert goes_on(options, number=number, best=best, best_before=before) is more
    assert not goes_on(chosen(minutes=5), number=number, best=best, best_before=before)


def test_the_steps_of_a_later_round_fill_its_time():
    options = chosen(minutes="enough", epochs=9).model_copy(update={"validation_patches": 10})
    steps = steps_now(options, Pace(9, 0.0), Spent(0.1, 0.0), epoch=9, gone_s=300 - budget.AFTER_S, number=1)
    assert steps == int(600 / 18 / 0.1)  # 10 more minutes for 18 more epochs


def test_rounds_begin_with_what_a_fit_without_a_time_takes():
    assert chosen().minutes == chosen(minutes="enough").round_minutes(0) == fit_options.FIRST_ROUND
