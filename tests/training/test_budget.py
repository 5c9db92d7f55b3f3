"""The time of a fit: how many steps and epochs it holds, with a clock and a machine made of numbers."""

from __future__ import annotations

import re
from types import SimpleNamespace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.dataset.plan import Extent, PatchShape, draw_plan
from bone_backend.dataset.settled import settled
from bone_backend.errors import Cancelled, OptionError
from bone_backend.options.programs import FitOptions
from bone_backend.training import budget
from bone_backend.training.budget import AFTER_S, Pace, Spent, Term, plan, steps_now

PAIRS = [["a", "am"], ["b", "bm"]]


def options(**values):
    given = {"pairs": PAIRS, "output": "run", "minutes": 10.0, "batch_size": 8} | values
    return settled(FitOptions.parse(given), ["a", "b"], [(100, 99, 99)] * 2)[0]


class Machine:
    """A training whose steps take `step_s` seconds and whose validation patches `patch_s`, on a clock of its
    own; reading takes no time."""

    def __init__(self, chosen, *, step_s: float, patch_s: float, patches: int = 4000):
        self.options, self.step_s, self.patch_s, self.now = chosen, step_s, patch_s, 0.0
        tiles = {
            "scans": (0,),
            "patches_per_tile": 1,
            "max_overlap": 1.0,
            "seed": 1,
            "chances": None,
            "epoch": 0,
        }
        self.validation_plan = draw_plan([Extent(patches, 9, 9)], PatchShape(1, 8, 8), **tiles)

    def plan(self, epoch):
        return self.validation_plan

    def rehearse(self, some, *, learn, check):
        check()
        batch = self.options.batch_size
        taken = self.step_s * len(some) / batch if learn else self.patch_s * len(some)
        self.now += taken
        return 0.0, taken

    def monotonic(self) -> float:
        return self.now


def planned(chosen, *, gone_s: float = 0.0, check=lambda: None, **speed):
    """What is planned on a machine of that speed, and the seconds that planning took."""
    machine = Machine(chosen, **speed)
    before, budget.time = budget.time, SimpleNamespace(monotonic=machine.monotonic)
    try:
        return *plan(chosen, machine, gone_s=gone_s, check=check), machine.now
    finally:
        budget.time = before


def fitted(found, pace, *, gone_s: float, step_s: float, patch_s: float) -> float:
    """Seconds at the end of a fit as planned, each step as long as is said."""
    spent = Spent()
    for epoch in range(found.epochs):
        steps = found.epoch_steps or steps_now(found, pace, spent, epoch=epoch, gone_s=gone_s)
        spent = Spent(step_s, found.validation_patches * patch_s)
        gone_s += steps * spent.step_s + spent.validation_s
    return gone_s + spent.validation_s + AFTER_S


def test_ten_minutes_are_thirteen_epochs_with_a_tenth_for_validation():
    found, pace, measured = planned(options(), step_s=0.1, patch_s=0.01)
    assert (found.epochs, found.epoch_steps) == (13, None)  # 4 times the root of 10
    assert pace == Pace(step_s=pytest.approx(0.11), patch_s=pytest.approx(0.01))
    assert measured == pytest.approx(3.75, abs=0.5)
    left = 600 - measured - AFTER_S
    # 14 looks at 424 patches of 0.01 s are a tenth of it
    assert found.validation_patches == int(0.1 * left / 14 / 0.01)
    steps = steps_now(found, pace, Spent(), epoch=0, gone_s=measured)
    assert steps == pytest.approx(0.9 * left / 13 / 0.11, abs=3)


def test_validation_takes_all_patches_where_there_is_time_and_never_less_than_eight():
    assert planned(options(), step_s=0.1, patch_s=0.01, patches=40)[0].validation_patches == 40
    assert planned(options(minutes=0.5), step_s=0.5, patch_s=0.2)[0].validation_patches == 8
    assert planned(options(validation_patches=99), step_s=0.1, patch_s=0.01)[0].validation_patches == 99


def test_epochs_become_fewer_when_there_is_no_time_for_ten_steps_in_each():
    plenty = planned(options(minutes=1), step_s=0.1, patch_s=0.01)[0]
    short = planned(options(minutes=1), step_s=1.2, patch_s=0.01)[0]
    shorter = planned(options(minutes=1), step_s=1.8, patch_s=0.01)[0]
    assert (plenty.epochs, short.epochs, shorter.epochs) == (4, 3, 2)
    given = planned(options(minutes=1, epochs=12), step_s=0.1, patch_s=0.01)[0]
    assert given.epochs == 12


def test_steps_become_more_when_the_machine_becomes_faster_and_fewer_when_it_slows_down():
    found, pace, _ = planned(options(), step_s=0.1, patch_s=0.01)
    usual = Spent(0.11, 4.2)
    fast, slow = Spent(0.055, 4.2), Spent(0.22, 4.2)
    expected, more, fewer = (
        steps_now(found, pace, spent, epoch=6, gone_s=300.0) for spent in (usual, fast, slow)
    )
    assert more == pytest.approx(2 * expected, abs=2)
    assert fewer == pytest.approx(expected / 2, abs=2)
    assert steps_now(found, pace, usual, epoch=6, gone_s=200.0) > expected
    assert steps_now(found, pace, usual, epoch=12, gone_s=5000.0) == 1, "the last epoch is still one"


@pytest.mark.parametrize("factor", [0.5, 1.0, 2.0])
def test_a_fit_ends_with_its_time_also_where_the_speed_was_measured_wrongly(factor):
    found, pace, gone = planned(options(), step_s=0.1, patch_s=0.01)
    end = fitted(found, pace, gone_s=gone, step_s=0.11 * factor, patch_s=0.01 * factor)
    # the first epoch of 13 goes by the measurement, the others by what was seen
    assert 540 < end < 610


def test_with_reproducible_the_first_plan_stays():
    found, pace, gone = planned(options(reproducible=True), step_s=0.1, patch_s=0.01)
    assert found.epoch_steps == pytest.approx(steps_now(found, pace, Spent(), epoch=0, gone_s=gone), abs=2)
    assert planned(options(reproducible=True, epoch_steps=17), step_s=0.1, patch_s=0.01)[0].epoch_steps == 17
    assert fitted(found, pace, gone_s=gone, step_s=0.11, patch_s=0.01) == pytest.approx(600, abs=10)


def test_seconds_that_are_gone_are_not_planned_for_again():
    early, late = (planned(options(), step_s=0.1, patch_s=0.01, gone_s=gone) for gone in (0.0, 300.0))
    steps = [
        steps_now(found, pace, Spent(), epoch=0, gone_s=gone + taken)
        for (found, pace, taken), gone in ((early, 0.0), (late, 300.0))
    ]
    assert steps[1] == pytest.approx(steps[0] / 2, rel=0.02)


@given(
    st.floats(0.01, 30),
    st.floats(0.05, 1.0),
    st.sampled_from([1, 8, 32]),
    st.floats(0, 100),
    st.booleans(),
)
def test_a_time_that_is_too_short_is_refused_with_one_that_holds(
    step_s, share, batch_size, gone_s, reproducible
):
    """share: of a training step that the validation of as many patches takes."""
    speed = {"step_s": step_s, "patch_s": share * step_s / batch_size, "gone_s": gone_s}
    values = {"batch_size": batch_size, "reproducible": reproducible}
    with pytest.raises(OptionError, match=r"minutes .* time for \d+ steps of .* s each") as told:
        planned(options(minutes=0.001, **values), **speed)
    (enough,) = re.findall(
        r"Give ([\d.]+) or more, a smaller patch_size, or a smaller batch_size\.$", str(told.value)
    )
    found, pace, gone = planned(options(minutes=float(enough), **values), **speed)
    assert found.epochs >= 1
    steps = found.epoch_steps or steps_now(found, pace, Spent(), epoch=0, gone_s=gone_s + gone)
    assert steps >= 1


def test_a_stop_while_the_speed_is_measured_is_heard():
    def stop():
        raise Cancelled("stop")

    with pytest.raises(Cancelled):
        planned(options(), step_s=0.1, patch_s=0.01, check=stop)


def test_the_plan_is_told_in_words():
    found = options(minutes=5).model_copy(update={"validation_patches": 1200})
    assert budget.in_words(found, 1234) == (
        "5 min for the whole fit: 9 epochs of about 1,234 steps, a validation after each on 1,200 patches."
    )


@pytest.mark.parametrize(
    ("steps_s", "steps"),
    [
        ([0.1] * 100, 100),
        ([1.2, *[0.1] * 99], 100),  # a slow beginning
        ([0.1] * 30 + [1.5] + [0.1] * 69, 100),  # a stall
        ([0.11] * 100, 100),  # a little late
        ([0.3] * 100, 33),
        ([0.1] * 50 + [0.4] * 50, 66),
        ([9.0] * 100, 10),  # the fewest that are worth a validation
    ],
)
def test_an_epoch_that_falls_far_behind_ends_about_when_it_is_due(steps_s, steps):
    term, planned, gone = Term(50.0, 60.0), 100, 50.0
    done = 0
    for seconds in steps_s:
        done, gone = done + 1, gone + seconds
        planned = term.hold(planned, done=done, gone_s=gone)
        if done >= planned:
            break
    assert done == pytest.approx(steps, abs=4)
    assert gone < 64 or done == 10


def test_a_shortened_epoch_ends_with_a_whole_step_of_the_weights():
    term = Term(0.0, 10.0)
    assert term.hold(96, done=5, gone_s=2.0, accumulate=8) == 96
    assert term.hold(96, done=13, gone_s=5.0, accumulate=8) == 32  # 13 and 13 more, up to a multiple of 8
