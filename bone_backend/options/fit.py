"""Every choice of a fit, once: the groups of options in the order in which they are shown.

In:  plain values from any door (flags, a file, ports, a form).
Out: one frozen, checked object; or an OptionError that names all faults at once.
Each group stands in a file of its own with its own faults; here are those that lie between groups.
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, Self

from ..errors import Fault, OptionError, called
from ..files.names import from_home
from ..files.outputs import Named, check_apart
from ..runs.files import check_free, check_quiet, check_resumable
from . import catalogue, recipes, resuming
from .fields import LONGEST_TEXT
from .fit_augmentation import FitAugmentation
from .fit_data import FitData, FitOutput
from .fit_learning import FitLearning, FitMachine
from .fit_network import FitInput, FitNetwork
from .sentences import is_text


# pydantic takes the fields of the last one first
class FitOptions(FitMachine, FitLearning, FitNetwork, FitAugmentation, FitInput, FitOutput, FitData):
    """BONe DLFit: fit a network on pairs of scan and mask."""

    title: ClassVar[str] = "BONe DLFit"

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values.

        Those of a run that is to be resumed come from its folder. Raises OptionError.
        """
        resumed = values.get("resume")
        is_named = isinstance(resumed, (str, os.PathLike)) and str(resumed) != ""
        if not is_named or len(str(resumed)) > LONGEST_TEXT or not is_text(str(resumed)):
            return super().parse(recipes.filled(values))
        values, changes = resuming.resumed(FitOptions, from_home(str(resumed)), values)
        try:
            made = super().parse(values)
        except OptionError as error:
            raise OptionError([*error.faults, *changes]) from error
        if changes:
            raise OptionError(changes)
        return made

    def with_paths(self, place: Callable[[Path], Path]) -> Self:
        placed: dict[str, Any] = {
            "pairs": tuple(
                pair.model_copy(update={"scan": place(pair.scan), "mask": place(pair.mask)})
                for pair in self.pairs
            )
        }
        if not self.is_library_weights:
            placed["weights"] = str(place(Path(self.weights)))
        return super().with_paths(place).model_copy(update=placed)

    def inputs(self) -> list[Named]:
        found = super().inputs()
        return found if self.is_library_weights else [*found, ("the first weights", Path(self.weights))]

    def check_paths(self) -> None:
        if self.resume:
            check_quiet(self.resume)
            check_resumable(self.resume)
            return
        check_apart(self.output, self.inputs())
        check_free(self.output, overwrite=self.overwrite)

    @property
    def strides(self) -> tuple[catalogue.Triple, ...] | None:
        """Of the stages of a 3D network, where they are given."""
        return catalogue.parse_stride(self.stride) if self.stride and self.mode == "3D" else None

    @property
    def size_multiples(self) -> catalogue.Triple:
        """What a patch of the network is a multiple of, along z, y, x."""
        return catalogue.size_multiples(
            self.architecture, self.encoder, self.mode, self.strides, plain=self.plain
        )

    @property
    def smallest_patch(self) -> int:
        """Edge of the smallest patch that the network and this option take, in pixels."""
        edge, least = max(self.size_multiples[1:]), 16  # the limit of patch_size
        own = catalogue.minimum_size(self.architecture, self.encoder, self.mode, plain=self.plain)
        return max(-(-least // edge) * edge, own)

    @property
    def flip_chance(self) -> float:
        """Probability of each flip direction; the paper's for the mode where none is given."""
        if self.flip_probability is not None:
            return self.flip_probability
        return 0.111 if self.mode == "3D" else 0.166

    def cross_faults(self) -> list[Fault]:
        return super().cross_faults() + self.network_faults() + self._faults_between()

    def network_faults(self) -> list[Fault]:
        """Why the network cannot be built, or cannot take such patches."""
        try:
            stride, faults = self.strides, []
        except OptionError as error:
            stride, faults = None, [Fault(fault, "stride") for fault in error.faults]
        keys = (
            "architecture",
            "backbone",
            "mode",
            "patch_size",
            "patch_depth",
            "slices",
            "stride",
            "batch_size",
        )
        return faults + [
            Fault(fault, *keys)
            for fault in catalogue.check(
                self.architecture,
                self.encoder,
                self.mode,
                slices=self.in_channels,
                patch_size=self.patch_size,
                patch_depth=self.patch_depth if self.mode == "3D" else None,
                stride=stride,
                batch_size=self.batch_size,
                weights=self.weights if self.is_library_weights else None,
                plain=self.plain,
            )
        ]

    def _faults_between(self) -> list[Fault]:
        faults: list[Fault] = []
        directions = 3 if self.mode == "3D" else 2
        chance = directions * self.flip_chance + self.turn_probability
        if chance > 1 + 1e-9:
            flips = f"{called('flip_probability')} {self.flip_chance:g} in {directions} directions"
            told = f"{flips} and {called('turn_probability')} {self.turn_probability:g} add up to {chance:g}"
            faults.append(Fault(f"{told}; a patch is flipped or turned, so at most 1."))
        if self.scan_weights and len(self.scan_weights) != len(self.pairs):
            told = (
                f"{called('scan_weights')} has {len(self.scan_weights)} numbers for {len(self.pairs)} pairs"
            )
            faults.append(Fault(f"{told}; give one for each.", "pairs"))
        if self.gpus != "all" and self.batch_size is not None and int(self.gpus) > self.batch_size:
            told = f"{called('gpus')} is {self.gpus}, but {called('batch_size')} is {self.batch_size}"
            faults.append(Fault(f"{told}; each takes a share of a batch."))
        if self.norm_statistics == "fixed" and self.plain is not None and self.plain_norm != "batch":
            told = f"{called('norm_statistics')} is fixed, but {called('plain_norm')} is {self.plain_norm}"
            faults.append(Fault(f"{told}, which has no statistics to fix. Leave one of them out."))
        if self.compile and self.reproducible:
            told = f"{called('compile')} and {called('reproducible')} are both on"
            faults.append(Fault(f"{told}; compiled code is not promised to repeat its bits. Leave one out."))
        return faults


FIRST_ROUND = 5.0  # minutes


class SettledFit(FitOptions):
    """The options of a fit after all that the user left open was chosen (`dataset.settled`)."""

    if TYPE_CHECKING:
        patch_size: int
        patches_per_tile: int
        class_balance: float
        epochs: int
        batch_size: int
        learning_rate: float

    @property
    def is_open(self) -> bool:
        """Whether it goes on until it stops improving: in rounds, each twice as long as the one before."""
        return self.minutes == math.inf

    def round_minutes(self, number: int) -> float:
        """Until the end of a round, from 0, since the beginning of the fit."""
        assert self.minutes is not None
        return FIRST_ROUND * (2 ** (number + 1) - 1) if self.is_open else self.minutes

    def in_round(self, position: float) -> tuple[float, int]:
        """Epochs since its round began, and epochs of that round; position: epochs since the fit began."""
        if not self.is_open:
            return position, self.epochs
        number = int(math.log2(position / self.epochs + 1))
        return position - self.epochs * (2**number - 1), self.epochs * 2**number

    def round_epochs(self, number: int) -> int:
        """Epochs until the end of a round, from 0, since the beginning."""
        return self.epochs * (2 ** (number + 1) - 1) if self.is_open else self.epochs
