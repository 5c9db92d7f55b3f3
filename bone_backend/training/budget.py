"""Keep a fit within the time that the user gave it.

In:  a fit that is ready for its first step, its options with a time, the seconds that have gone by.
Out: steps of each epoch and validation patches, so that the epochs end with the time.
The time is parted evenly into the epochs; each gets as many steps as the speed so far allows in its part, and
ends with fewer where the machine slows down meanwhile. With `reproducible` the first plan stays.
"""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

from ..durations import estimated
from ..errors import OptionError, called
from ..options.fit import SettledFit
from .loop import Training

MEASURE_S, MOST_S = 3.0, 30.0  # seconds of measurement: as a rule, and at most where a step is long
MOST_SHARE = 0.1  # of the seconds that are measured in a short time
FEWEST_MEASURED = 3
OVERHEAD = 1.1  # what a step takes beyond what is measured: the change of the weights, the loop
VALIDATION_SHARE = 0.1  # of the time
FEWEST_VALIDATED = 8  # patches
FEWEST_STEPS = 10  # of an epoch that is worth a validation
FEWEST_IN_ALL = 20  # of a fit
LATE, LOOK = 0.25, 0.1  # of the time of an epoch: so much later it may end, so often it is looked
AFTER_S = 2.0  # for what comes after the last epoch, beside one more look at the validation patches


@dataclass(frozen=True)
class Pace:
    """Seconds of a training step, and of a validation patch."""

    step_s: float
    patch_s: float


@dataclass
class Spent:
    """Seconds of the last epoch's steps and of its validation; 0 before the first."""

    step_s: float = 0.0
    validation_s: float = 0.0


def plan(
    options: SettledFit, training: Training, *, gone_s: float, check: Callable[[], None]
) -> tuple[SettledFit, Pace]:
    """The options with epochs, validation patches and, where they stay, steps of an epoch; and the speed.

    options: with minutes. gone_s: seconds of the time that are used up. check: called now and then; it may
    raise. Raises OptionError where the time is too short for anything.
    """
    assert options.minutes is not None
    left = 60 * options.round_minutes(0) - gone_s
    began = time.monotonic()
    found = measure(training, seconds=min(MEASURE_S, MOST_SHARE * max(left, 0.0)), check=check)
    left -= time.monotonic() - began + AFTER_S
    patches = len(training.validation_plan)
    epochs = options.epochs
    while True:
        allowed = int(VALIDATION_SHARE * left / (epochs + 1) / found.patch_s)
        wanted = options.validation_patches or min(patches, max(allowed, FEWEST_VALIDATED))
        steps = int((left - (epochs + 1) * wanted * found.patch_s) / epochs / found.step_s)
        if steps >= FEWEST_STEPS or epochs == 1:
            break
        epochs -= 1
    if steps * epochs < FEWEST_IN_ALL:
        least = gone_s + AFTER_S + MEASURE_S + 2 * FEWEST_IN_ALL * found.step_s
        raise OptionError(
            f"{called('minutes')} is {options.minutes:g}, time for {max(steps, 0) * epochs} steps of "
            f"{found.step_s:.2g} s each on this machine; a fit needs {FEWEST_IN_ALL} to learn anything. Give "
            f"{math.ceil(least / 6) / 10:.1f} or more, a smaller {called('patch_size')}, or a smaller "
            f"{called('batch_size')}."
        )
    chosen = {"epochs": epochs, "validation_patches": wanted}
    if options.reproducible:
        chosen |= {"epoch_steps": options.epoch_steps or steps}
    return options.model_copy(update=chosen), found


def measure(training: Training, *, seconds: float, check: Callable[[], None]) -> Pace:
    """Rehearse steps and validation on whole batches; what comes first is not counted."""
    return Pace(
        step_s=OVERHEAD * _median(training, learn=True, seconds=seconds, check=check),
        patch_s=_median(training, learn=False, seconds=seconds / 4, check=check)
        / training.options.batch_size,
    )


def _median(training: Training, *, learn: bool, seconds: float, check: Callable[[], None]) -> float:
    batch = training.options.batch_size
    patches = training.plan(0) if learn else training.validation_plan
    times: list[float] = []
    began = time.monotonic()
    while True:
        first = len(times) * batch % max(len(patches) - batch + 1, 1)
        some = patches.part(first, first + batch)
        read, computed = training.rehearse(some, learn=learn, check=check)
        times.append(max(computed, read / training.options.loader_threads) * batch / len(some))
        gone = time.monotonic() - began
        is_enough = len(times) > FEWEST_MEASURED and gone > seconds
        if is_enough or gone > MOST_S or (len(times) > 1 and gone > max(seconds, 1.0) * 3):
            return statistics.median(times[len(times) // 2 :])


def steps_now(
    options: SettledFit, pace: Pace, spent: Spent, *, epoch: int, gone_s: float, number: int = 0
) -> int:
    """Steps of the epoch that begins, where `epoch` are done.

    number: of the round, in a fit that goes on until it stops improving. pace: as it was measured before the
    first step; spent: what the last epoch took. gone_s: seconds of the time that are used up.
    """
    assert options.minutes is not None
    assert options.validation_patches
    step_s = spent.step_s or pace.step_s
    validation_s = spent.validation_s or options.validation_patches * pace.patch_s
    left = 60 * options.round_minutes(number) - gone_s - AFTER_S - validation_s
    return max(int((left / (options.round_epochs(number) - epoch) - validation_s) / max(step_s, 1e-6)), 1)


@dataclass
class Term:
    """The steps of an epoch begin and are due to end so many seconds after the fit began.

    looked_s, looked_steps: when it was looked last, and after how many of them. was_late: by what was seen.
    """

    begins_s: float
    due_s: float
    looked_s: float = 0.0
    looked_steps: int = 0
    was_late: bool = False

    def hold(self, steps: int, *, done: int, gone_s: float, accumulate: int = 1) -> int:
        """The steps that the epoch shall have: fewer than `steps` where it would end far too late.

        done: steps so far. gone_s: seconds since the fit began. accumulate: batches that make a step of the
        weights together. Neither a slow beginning nor one stall shortens it: both the speed since the
        beginning and that since the last look must be too slow, twice in a row.
        """
        span, since = self.due_s - self.begins_s, gone_s - max(self.looked_s, self.begins_s)
        if since < LOOK * span or done <= self.looked_steps:
            return steps
        step_s = min((gone_s - self.begins_s) / done, since / (done - self.looked_steps))
        self.looked_s, self.looked_steps = gone_s, done
        was_late, self.was_late = self.was_late, gone_s + (steps - done) * step_s > self.due_s + LATE * span
        if not (was_late and self.was_late):
            return steps
        fewer = max(done + int(max(self.due_s - gone_s, 0.0) / step_s), FEWEST_STEPS)
        return min(steps, -(-fewer // accumulate) * accumulate)


GAIN = 0.002  # of the validation score, without which a further round is not worth its time
MOST_ROUNDS = 7  # 10 hours and a half


def goes_on(options: SettledFit, *, number: int, best: float, best_before: float) -> bool:
    """Whether another round follows round `number`. best, best_before: validation scores after it and before
    it; of the first round there is none before, so a second one follows always."""
    return options.is_open and number + 1 < MOST_ROUNDS and (number == 0 or best > best_before + GAIN)


def in_words(options: SettledFit, steps: int) -> str:
    """The plan as the log tells it."""
    assert options.minutes is not None
    first = estimated(60 * options.round_minutes(0))
    what = ", then twice as long again while it improves" if options.is_open else " for the whole fit"
    return (
        f"{first}{what}: {options.epochs} epochs of about {steps:,} steps, a validation after each on "
        f"{options.validation_patches:,} patches."
    )
