"""How the training patches of a fit are changed.

In:  plain values of these options.
Out: a group of FitOptions, with the faults that lie inside it.
"""

from __future__ import annotations

from typing import Annotated

from pydantic import Field

from ..errors import Fault, called
from . import transforms as transform_table
from .fields import Options, option
from .types import Share, Transforms

# Noise and blur: what other scanners and settings add. Grey values need no more, since the tissue scale takes
# care of them (docs/easy.md).
OF_EASY = '{"noise": 0.3, "blur": 0.2}'


class FitAugmentation(Options):
    """Flips, turns, grey values, and further transforms."""

    augmentation: bool = option(
        True,
        group="Augmentation",
        label="Augmentations",
        help="Random flips, quarter turns, brightness and contrast of the training patches.",
    )
    flip_probability: Share | None = option(
        None,
        group="Augmentation",
        label="Flip probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of each direction. None: the paper's, 0.166 for two directions, 0.111 for three in 3D.",
    )
    turn_probability: Share = option(
        0.5,
        group="Augmentation",
        label="Turn probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of a turn by 90, 180 or 270 degrees in the slice plane. A patch is flipped or turned, not "
        "both.",
    )
    brightness_probability: Share = option(
        0.0,
        group="Augmentation",
        label="Brightness probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of an added grey value, one for all patches of a tile.",
    )
    brightness_range: Annotated[float, Field(ge=0, le=5)] = option(
        0.15,
        group="Augmentation",
        label="Brightness range",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Largest added normalised grey value, to either side.",
    )
    contrast_probability: Share = option(
        0.0,
        group="Augmentation",
        label="Contrast probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of a contrast factor, one for all patches of a tile.",
    )
    contrast_range: Annotated[float, Field(ge=0, le=0.95)] = option(
        0.25,
        group="Augmentation",
        label="Contrast range",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Largest change of the contrast factor from 1, to either side.",
    )
    transforms: Transforms = option(
        OF_EASY,
        group="Augmentation",
        label="Transforms",
        applies={"augmentation": (True,)},
        advanced=True,
        metavar="JSON",
        help=f"Further changes with their probabilities, as JSON: {', '.join(transform_table.TRANSFORMS)}. "
        'E.g. {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}. See docs/augmentation.md.',
    )

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults()
        faults += transform_table.faults(self.transforms)
        if self.transforms not in ("", OF_EASY) and not self.augmentation:
            told = f"{called('transforms')} are given but {called('augmentation')} is off; leave one out."
            faults.append(Fault(told))
        return faults
