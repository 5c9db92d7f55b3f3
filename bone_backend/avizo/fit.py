"""BONe DLFit inside Avizo: up to 20 pairs of fields in, a run folder with the best model out.

In:  the connected scans and masks, and the options of the panel.
Out: the fit's run folder; the panel tells the best model.
Fields are written to disk before the fit and removed after it; a resumed run finds them at the same paths.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from .. import catalogue
from ..dataset import checks
from ..dataset.samples import Extent, PatchShape, count_tiles
from ..dataset.split import split_scans
from ..errors import BoneError, OptionError
from ..names import from_home
from ..options import MAY_CHANGE, FitOptions, dump
from ..progress import Part
from ..run_folder import check_free
from ..volumes.volume import volume_name
from .door import Door
from .fields import Facts, pair_faults, pair_notes, pair_numbers, shapes_zyx, subjects_of
from .forms import FIT, MOST_PAIRS
from .running import HostProgress, Outcome
from .spill import Spill, spilling

FEWEST_PAIRS = 2


class DLFit(Door):
    """The module BONe DLFit."""

    form = FIT

    def show(self) -> None:
        super().show()
        numbers = pair_numbers(self.facts)
        last = numbers[-1] if numbers else 0
        is_whole = last > 0 and all(self.facts[f"{half}{last}"] is not None for half in ("scan", "mask"))
        shown = max(FEWEST_PAIRS, last + is_whole)
        if self.panel.options["show_all_pairs"].read():
            shown = MOST_PAIRS
        for number in range(1, MOST_PAIRS + 1):
            for half in ("scan", "mask"):
                self.panel.connections[f"{half}{number}"].visible = number <= shown
        self.panel.tell("estimate", self._estimate())

    def faults(self) -> list[str]:
        faults = self.option_faults()
        resumed = self._resumed()
        if resumed is not None and not pair_numbers(self.facts):
            return faults  # the run's own scans are files
        faults += pair_faults(self.facts)
        if len(self._pairs()) < FEWEST_PAIRS and not faults:
            faults.append("Connect at least two scans with their masks: one is fitted on, one validates.")
        faults += subjects_of(self.panel.options["subjects"].read(), len(self._pairs()))[1]
        try:
            options = resumed or FitOptions.parse(self._values(self._named_pairs()))
        except OptionError as error:
            return faults + [told for told in error.faults if " pair" not in told]  # those are told above
        faults += self._size_faults(options)
        if not faults:
            try:
                self._split(options)
            except OptionError as error:
                faults += error.faults
        if resumed is None:
            try:
                check_free(options.output, overwrite=options.overwrite)
            except BoneError as error:
                faults.append(str(error))
        return faults

    def work(self, progress: HostProgress) -> dict[str, Any]:
        numbers = [number for number, _, _ in self._pairs()]
        resumed = self._resumed()
        if resumed is not None and not numbers:
            return self.start(dump(resumed), progress)
        output = resumed.output if resumed else from_home(str(self.panel.options["output"].read()))
        with spilling(f"fit {output.absolute()}") as spill:
            self.paths = spill.names
            pairs = self._hand_over(spill, numbers, progress)
            if resumed is None:
                options = FitOptions.parse(self._values(pairs))
            else:
                options = resumed
                self._check_same_fields(resumed, pairs)
            return self.start(dump(options), progress)

    def tell(self, outcome: Outcome) -> str:
        result = outcome.result or {}
        if result.get("dry_run"):
            return "\n".join([*result["told"], *result["warnings"]])
        began = "Stopped. " if outcome.is_stopped else ""
        if not result.get("model"):
            return began + "No epoch was finished, so there is no model."
        print(f"{self.form.title}: {result['model']}")
        score = f"epoch {result['best_epoch']}, validation IoU {result['best_val_iou']:.4f}"
        return f"{began}Best model: {Path(result['model']).name} ({score})"

    def _pairs(self) -> list[tuple[int, Facts, Facts]]:
        """Number, scan and mask of the pairs that are whole."""
        found = []
        for number in pair_numbers(self.facts):
            scan, mask = self.facts[f"scan{number}"], self.facts[f"mask{number}"]
            if scan is not None and mask is not None:
                found.append((number, scan, mask))
        return found

    def _named_pairs(self) -> list[dict[str, Any]]:
        """The pairs by names alone, to check the other options with."""
        return [
            {"scan": f"{n}/{scan.name}", "mask": f"{n}/{mask.name} (mask)"} for n, scan, mask in self._pairs()
        ]

    def _values(self, pairs: list[dict[str, Any]]) -> dict[str, Any]:
        return {**self.panel.values(FitOptions), "pairs": pairs}

    def _resumed(self) -> FitOptions | None:
        """The options of the run that is to go on, with what may be given anew. Raises OptionError."""
        folder = self.panel.options["resume"].read()
        if not folder:
            return None
        values = self.panel.values(FitOptions)
        return FitOptions.parse({name: value for name, value in values.items() if name in MAY_CHANGE})

    def _check_same_fields(self, resumed: FitOptions, pairs: list[dict[str, Any]]) -> None:
        before = [(str(pair.scan), str(pair.mask)) for pair in resumed.pairs]
        now = [(str(pair["scan"]), str(pair["mask"])) for pair in pairs]
        if before != now:
            named = [(volume_name(pair.scan), volume_name(pair.mask)) for pair in resumed.pairs]
            told = ", ".join(f"{scan} with {mask}" for scan, mask in named)
            raise OptionError(
                f"The run in {resumed.output} was fitted on {told}. Connect the same fields in the same "
                "order, or none if they were files."
            )

    def _hand_over(self, spill: Spill, numbers: list[int], progress: HostProgress) -> list[dict[str, Any]]:
        """Write all fields, masks first, so that a fault in the labels is told before all else."""
        spill.check_space(sum(facts.nbytes for facts in self.facts.values() if facts is not None))
        sources, unit, steps = self.panel.sources(), self.unit(), 200 * len(numbers)
        masks, found = [], []
        for place, number in enumerate(numbers):
            part = Part(progress, first=100 * place, share=100, steps=steps)
            path, counts = spill.write(
                sources[f"mask{number}"], 2 * number, unit=unit, progress=part, counts=True
            )
            masks.append(path)
            found.append(counts)
        values = (
            FitOptions.parse(self._values(self._named_pairs())) if not self._resumed() else self._resumed()
        )
        assert values is not None
        checks.read_labels(
            found,
            [str(path) for path in masks],
            map_labels=values.map_labels,
            ignore_label=values.ignore_label,
        )
        subjects, _ = subjects_of(self.panel.options["subjects"].read(), len(numbers))
        pairs = []
        for place, number in enumerate(numbers):
            part = Part(progress, first=100 * (len(numbers) + place), share=100, steps=steps)
            scan, _ = spill.write(sources[f"scan{number}"], 2 * number - 1, unit=unit, progress=part)
            pairs.append({"scan": str(scan), "mask": str(masks[place]), "subject": subjects[place]})
        return pairs

    def _size_faults(self, options: FitOptions) -> list[str]:
        """Scans that are smaller than a patch."""
        stride = catalogue.parse_stride(options.stride) if options.stride and options.mode == "3D" else None
        multiple = catalogue.size_multiples(options.architecture, options.backbone, options.mode, stride)
        depth = options.patch_depth if options.mode == "3D" else 1
        patch = PatchShape(depth, options.patch_size, options.patch_size)
        scans = [scan for _, scan, _ in self._pairs()]
        return [
            fault
            for scan, shape in zip(scans, shapes_zyx(scans), strict=True)
            for fault in checks.size_faults(shape, patch, name=scan.name, multiple=multiple)
        ]

    def _split(self, options: FitOptions) -> tuple[list[int], tuple[int, ...], tuple[int, ...]]:
        """Patches of each scan; which scans train and which validate. Raises OptionError."""
        scans = [scan for _, scan, _ in self._pairs()]
        depth = options.tile_depth if options.mode == "3D" else 1
        sizes = [count_tiles(Extent(*shape), depth) * options.patches_per_tile for shape in shapes_zyx(scans)]
        subjects, _ = subjects_of(self.panel.options["subjects"].read(), len(scans))
        found = split_scans(
            sizes,
            options.train_split,
            seed=options.seed,
            subjects=subjects,
            named=options.validation_pairs,
        )
        return sizes, *found

    def _estimate(self) -> str:
        """Which scans train and validate, and how many patches an epoch has; "" while it cannot be said."""
        scans = [scan for _, scan, _ in self._pairs()]
        try:
            options = FitOptions.parse({**self._values(self._named_pairs()), "output": "any"})
            sizes, train, validation = self._split(options)
        except OptionError:
            return ""
        patches = sum(sizes[i] for i in train)
        batches = -(-patches // options.batch_size)
        told = [
            f"{patches:,} patches ({batches:,} batches) an epoch from {_names(scans, train)}",
            f"Validation on {sum(sizes[i] for i in validation):,} patches from {_names(scans, validation)}",
            f"{self.panel.options['dry_run'].field.label} tells time, RAM and disk.",
            *pair_notes(self.facts),
        ]
        return "\n".join(told)


def _names(scans: list[Facts], chosen: tuple[int, ...]) -> str:
    """Names of some scans, in a line that is not too long."""
    names = [scans[i].name for i in chosen]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
