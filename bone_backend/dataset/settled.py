"""Choose what the user left open ("auto"): from the scans, the network and the machine.

In:  the options of a fit; names and sizes of all its scans; whether a GPU fits.
Out: the options with a value for each, and what was chosen in words.
What only the speed of the machine tells (steps of an epoch, validation patches) is in training/budget.py.
Every value has been chosen by a trial on development scans: docs/easy.md.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

from ..intensity.summary import SHARED
from ..options import recipes
from ..options.fit import FIRST_ROUND, FitOptions, SettledFit
from ..options.fit_network import PLAIN_CHANNELS, PLAIN_DEPTH
from .checks import MOST_REFLECTED

MOST = 256  # px, the edge of the published program's patches
MOST_PLAIN = 32  # px; larger ones gave no better labels in the same time, and fewer steps
MINUTES = 5.0  # of a fit that is told neither time nor epochs
PER_MINUTE = 4.0  # epochs of a budget of one minute; of others with the root of their length
EPOCHS = 25  # of a fit without a budget


def largest_edge(
    shapes: Sequence[tuple[int, int, int]],
    *,
    multiple: int,
    least: int,
    most: int = MOST,
    reflected: int = 1,
) -> int:
    """The largest multiple that is at most `most` and fits y and x of every scan, but never below `least`.

    shapes: (z, y, x) of each scan. least: smallest patch that the network takes. reflected: times the size of
    a scan that a patch may have; no patch is larger than the largest scan.

    >>> largest_edge([(40, 49, 63), (24, 300, 280)], multiple=32, least=32)
    32
    >>> largest_edge([(24, 300, 280)], multiple=32, least=32)
    256
    >>> largest_edge([(40, 12, 14), (24, 300, 280)], multiple=4, least=16, most=32, reflected=2)
    24
    """
    rooms = [min(shape[1:]) for shape in shapes]
    room = min(max(rooms), reflected * min(rooms))
    return max(least, min(room, most) // multiple * multiple)


def settled(
    options: FitOptions,
    names: Sequence[str],
    shapes: Sequence[tuple[int, int, int]],
    *,
    is_gpu: bool = False,
) -> tuple[SettledFit, list[str]]:
    """The options with a value for all that was left open, and sentences on what was chosen here.

    names, shapes: of each scan, (z, y, x); at least one. A scan that is much smaller than the smallest patch
    of the network is left to `checks.size_faults`.
    """
    own = recipes.told(options)
    options, notes = _with_patches(options, names, shapes)
    values = _learning(options, is_gpu=is_gpu)
    chosen = {name: value for name, value in values.items() if getattr(options, name) is None}
    told = [
        f"{word} {chosen[name]:g}"
        for name, word in (
            ("batch_size", "batches of"),
            ("learning_rate", "learning rate"),
            ("class_balance", "class balance"),
        )
        if name in chosen
    ]
    notes = own + notes + _reflected(options, names, shapes)
    notes += [f"Chosen for this network: {', '.join(told)}."] if told else []
    chosen |= _time(options) | _statistics(options)
    return SettledFit.model_construct(**{**dict(options), **chosen}), notes


def _reflected(
    options: FitOptions, names: Sequence[str], shapes: Sequence[tuple[int, int, int]]
) -> list[str]:
    """Scans with less room than a patch, in words."""
    small = []
    for name, shape in zip(names, shapes, strict=True):
        most = max(wanted / size for size, wanted in zip(shape, options.patch, strict=True))
        if 1 < most <= MOST_REFLECTED:
            small.append(f"{name} ({' x '.join(map(str, shape))} voxels)")
    told = f"Smaller than a patch and therefore reflected at the far ends: {', '.join(small)}."
    return [told] * bool(small)


def _learning(options: FitOptions, *, is_gpu: bool) -> dict[str, Any]:
    """What suits the network, by option."""
    is_plain = options.plain is not None
    values: dict[str, Any] = {
        "batch_size": 8 if is_plain and not is_gpu else 32,
        "learning_rate": 0.005 if is_plain else 0.001,
        "patches_per_tile": 1 if _minutes(options) else 4,
        "class_balance": 0.5 if is_plain else 0.0,
    }
    if is_plain:
        values |= {"plain_channels": PLAIN_CHANNELS, "plain_depth": PLAIN_DEPTH}
    return values


def _statistics(options: FitOptions) -> dict[str, Any]:
    """Where a new fit looks for the tissues, and what its batch normalisations go by.

    A run that goes on keeps what "auto" was when it began.
    """
    found: dict[str, Any] = {}
    is_new = options.resume is None
    if options.statistics_voxels == "auto" and options.normalization == "tissue" and is_new:
        found["statistics_voxels"] = SHARED
    if options.norm_statistics == "auto":
        has_norms = options.plain is not None and options.plain_norm == "batch"
        found["norm_statistics"] = "fixed" if is_new and has_norms else "running"
    return found


def _minutes(options: FitOptions) -> float | None:
    """How long the fit may take; None where its epochs tell."""
    return MINUTES if options.minutes is None and options.epochs is None else options.minutes


def _time(options: FitOptions) -> dict[str, Any]:
    """The time and the number of epochs."""
    minutes = _minutes(options)
    known = FIRST_ROUND if minutes is not None and math.isinf(minutes) else minutes
    parts = EPOCHS if known is None else min(max(round(PER_MINUTE * math.sqrt(known)), 4), 40)
    return {"minutes": minutes, "epochs": options.epochs or parts}


def _with_patches(
    options: FitOptions, names: Sequence[str], shapes: Sequence[tuple[int, int, int]]
) -> tuple[FitOptions, list[str]]:
    """The options with a number as patch_size, and a sentence where it was chosen here."""
    if options.patch_size is not None:
        return options, []
    is_plain = options.plain is not None
    most = MOST_PLAIN if is_plain else MOST
    edge = largest_edge(
        shapes,
        multiple=max(options.size_multiples[1:]),
        least=options.smallest_patch,
        most=most,
        reflected=MOST_REFLECTED if is_plain else 1,  # else a patch would be far wider than some scans
    )
    chosen = options.model_copy(update={"patch_size": edge})
    # the scan with the least room
    name, (_, height, width) = min(zip(names, shapes, strict=True), key=lambda scan: min(scan[1][1:]))
    if edge > min(height, width):
        return chosen, [f"Patches of {edge} px."] if edge <= MOST_REFLECTED * min(height, width) else []
    if edge == most:
        return chosen, [f"Patches of {edge} px; every scan has room for them."]
    return chosen, [f"Patches of {edge} px: the largest that fits scan {name} ({height} x {width} px)."]
