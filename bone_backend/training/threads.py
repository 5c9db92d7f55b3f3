"""How many processor threads compute a training step fastest, here and now.

In:  a fit that is ready for its first step.
Out: that number, which torch then uses until the fit ends.
The threads of a step wait for each other many times. For small patches that costs more than a further thread
gives, and by far the most where other programs work beside: beside four busy processes two threads on two
cores took 636 ms for a step of the Plain U-Net, one took 243 (benchmarks/waiting.py).
"""

from __future__ import annotations

import contextlib
import statistics
import time
from collections.abc import Callable, Iterator

import torch

from ..options.fit import SettledFit
from .loop import Training

TRIES, SECONDS = 5, 0.5  # of a measurement, at most one of them is used up beyond the first two tries
LONG_S = 2.0  # a step has so much to do that every thread helps
WORTH = 0.95  # of the time with fewer threads, which leave room for other work


@contextlib.contextmanager
def given_back() -> Iterator[int]:
    """The number that torch would use by itself; it is used again in the end."""
    before = torch.get_num_threads()
    try:
        yield before
    finally:
        torch.set_num_threads(before)


def settle(
    options: SettledFit, training: Training, *, most: int, check: Callable[[], None] = lambda: None
) -> SettledFit:
    """Use the number of the options, or the fastest; the options, with the number where it has to stay.

    most: to try. check: called now and then; it may raise. On a GPU, of several processes, and of a
    reproducible fit without a time (whose result must not hang on a measurement) torch's own number stays.
    """
    if options.threads is not None:
        torch.set_num_threads(options.threads)
        return options
    is_measured = most > 1 and (options.minutes is not None or not options.reproducible)
    if training.device.type != "cpu" or training.world.size > 1 or not is_measured:
        return options
    number = fastest(lambda: _step_s(training, check), most=most)
    torch.set_num_threads(number)
    return options.model_copy(update={"threads": number}) if options.reproducible else options


def fastest(step_s: Callable[[], float], *, most: int) -> int:
    """Of most, half of it and so on down to one. step_s: seconds of a step with the number that is set."""
    found, number = dict[int, float](), most
    while number >= 1:
        torch.set_num_threads(number)
        step_s()  # the first one makes buffers and threads
        began, tries = time.monotonic(), [step_s()]
        while len(tries) < TRIES and time.monotonic() - began < SECONDS:
            tries.append(step_s())
        found[number] = statistics.median(tries)
        if number == most and found[most] > LONG_S:
            return most
        number //= 2
    chosen = min(found)
    for number in sorted(found):
        if found[number] < WORTH * found[chosen]:
            chosen = number
    return chosen


def _step_s(training: Training, check: Callable[[], None]) -> float:
    some = training.validation_plan.part(0, training.options.batch_size)  # which is drawn already
    return training.rehearse(some, learn=True, check=check)[1]
