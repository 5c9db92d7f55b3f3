"""BONe DLFit inside Avizo: up to 20 pairs of fields in, a run folder with the best model out.

In:  the connected scans and masks, and the options of the panel.
Out: the fit's run folder; the panel tells the best model.
Fields are written to disk before the fit and removed after it; a resumed run finds them at the same paths.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..dataset import checks, coverage, settled, slabs
from ..dataset.plan import Extent, count_tiles
from ..dataset.split import split_scans
from ..durations import estimated
from ..errors import BoneError, OptionError, ScanError
from ..files.names import from_home
from ..options import recipes
from ..options.fit import FitOptions, SettledFit
from ..options.programs import dump
from ..progress import Part
from ..volumes.lattice import volume_of
from ..volumes.volume import volume_name
from .door import Door
from .fields import Facts, pair_faults, pair_notes, pair_numbers, shapes_zyx, subjects_of
from .forms import FIT, MOST_PAIRS
from .host import array_of
from .running import HostProgress, Outcome
from .spill import Spill, spilling

FEWEST_PAIRS = 2
COUNTED_BYTES = 32 * 2**20  # masks up to here are looked at as soon as they are connected


class DLFit(Door):
    """The module BONe DLFit."""

    form = FIT

    def __init__(self, module: Any, names: Mapping[str, Any]):
        self._recipe = recipes.RECIPES["easy"]
        self._counted: dict[int, tuple[Facts, dict[int, int]]] = {}  # voxels per label value of the masks
        super().__init__(module, names)

    def show(self) -> None:
        recipe = recipes.RECIPES[self.panel.options["recipe"].read()]
        if recipe is not self._recipe:
            self._recipe = recipe
            self.panel.take(recipe)
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
        if not self._pairs() and not faults:
            faults.append("Connect at least one scan with its mask.")
        faults += subjects_of(self.panel.options["subjects"].read(), len(self._pairs()))[1]
        try:
            options = resumed or FitOptions.parse(self._values(self._named_pairs()))
        except OptionError as error:  # of pairs the panel tells in its own words
            is_told = bool(faults)
            return faults + [f for f in error.faults if f.names != ("pairs",) or not is_told]
        faults += self._size_faults(options)
        if not faults:
            try:
                self._split(options)
            except OptionError as error:
                faults += error.faults
        try:
            options.model_copy(update={"pairs": ()}).check_paths()  # which are fields here, not files
        except BoneError as error:
            faults += error.faults
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
        anew = [field.name for field in FitOptions.option_fields() if field.may_change]
        return FitOptions.parse({name: values[name] for name in anew if name in values})

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
            facts = self.facts[f"mask{number}"]
            if facts is not None:
                self._counted[number] = facts, counts
        values = (
            FitOptions.parse(self._values(self._named_pairs())) if not self._resumed() else self._resumed()
        )
        assert values is not None
        self._check_split(values, found, [str(path) for path in masks])
        subjects, _ = subjects_of(self.panel.options["subjects"].read(), len(numbers))
        pairs = []
        for place, number in enumerate(numbers):
            part = Part(progress, first=100 * (len(numbers) + place), share=100, steps=steps)
            scan, _ = spill.write(sources[f"scan{number}"], 2 * number - 1, unit=unit, progress=part)
            pairs.append({"scan": str(scan), "mask": str(masks[place]), "subject": subjects[place]})
        return pairs

    def _check_split(self, options: FitOptions, found: list[dict[int, int]], masks: list[str]) -> list[str]:
        """What to say of labels and split before a fit. Raises ScanError where nothing would come of it."""
        labels = checks.read_labels(
            found, masks, map_labels=options.map_labels, ignore_label=options.ignore_label
        )
        _, training, validation = self._split(options)
        return coverage.check_split(
            labels,
            [scan.name for _, scan, _ in self._pairs()],
            training=coverage.taught(training, options.scan_weights),
            validation=validation,
            classes={item.value: item.name for item in options.class_names},
        )

    def _concerns(self, options: FitOptions) -> list[str]:
        """The same for the panel; nothing while a large mask was not counted yet, which Apply does."""
        sources = self.panel.sources()
        found = []
        for number, _, mask in self._pairs():
            known, counts = self._counted.get(number, (None, {}))
            if known is not mask:
                if mask.nbytes > COUNTED_BYTES:
                    return []
                field = sources[f"mask{number}"]
                counts = checks.count_labels(volume_of(array_of(field), mask.box, name=mask.name))
                self._counted[number] = mask, counts
            found.append(counts)
        try:
            return self._check_split(options, found, [mask.name for _, _, mask in self._pairs()])
        except ScanError as error:
            return list(error.faults)

    def _size_faults(self, options: FitOptions) -> list[str]:
        """Scans that are smaller than a patch."""
        scans = [scan for _, scan, _ in self._pairs()]
        if not scans:
            return []
        chosen, _ = self._settled(options)
        multiple, least = chosen.size_multiples, chosen.smallest_patch
        return [
            fault
            for scan, shape in zip(scans, shapes_zyx(scans), strict=True)
            for fault in checks.size_faults(
                shape, chosen.patch, name=scan.name, multiple=multiple, least=least
            )
        ]

    def _settled(self, options: FitOptions) -> tuple[SettledFit, list[str]]:
        """With all that was left open chosen, as for a CPU; that choice in words."""
        scans = [scan for _, scan, _ in self._pairs()]
        return settled.settled(options, [scan.name for scan in scans], shapes_zyx(scans))

    def _split(self, options: FitOptions) -> tuple[list[int], tuple[int, ...], tuple[int, ...]]:
        """Patches of each scan; which scans train and which validate, all of them where it is a slab of each.

        Raises OptionError.
        """
        scans, chosen = [scan for _, scan, _ in self._pairs()], self._settled(options)[0]
        depth = options.tile_depth if options.mode == "3D" else 1
        sizes = [count_tiles(Extent(*shape), depth) * chosen.patches_per_tile for shape in shapes_zyx(scans)]
        subjects, _ = subjects_of(self.panel.options["subjects"].read(), len(scans))
        depth = options.patch_depth if options.mode == "3D" else 1
        has_room = any(
            slabs.has_room(shape[0], share=1 - options.train_split, least=depth)
            for shape in shapes_zyx(scans)
        )
        if slabs.wanted(options, subjects):
            if has_room:
                return sizes, tuple(range(len(scans))), tuple(range(len(scans)))
            if len(scans) == 1:
                raise slabs.too_thin(scans[0].name, shapes_zyx(scans)[0][0])
        found = split_scans(
            sizes,
            options.train_split,
            seed=options.seed,
            subjects=subjects,
            named=options.validation_pairs,
        )
        return sizes, *found

    def _advice(self, chosen: SettledFit) -> list[str]:
        if chosen.minutes is not None:
            return []
        return [f"{self.panel.options['dry_run'].field.label} tells how long it takes, and the RAM and disk."]

    def _estimate(self) -> str:
        """Which scans train and validate, and how many patches an epoch has; "" while it cannot be said."""
        scans = [scan for _, scan, _ in self._pairs()]
        try:
            options = FitOptions.parse({**self._values(self._named_pairs()), "output": "any"})
            sizes, train, validation = self._split(options)
        except OptionError:
            return ""
        chosen, notes = self._settled(options)
        patches = sum(sizes[i] for i in train)
        batches = -(-patches // chosen.batch_size)
        if chosen.minutes is None:
            takes = f"{patches:,} patches in {batches:,} batches an epoch"
        else:
            takes = (
                "until it stops improving" if chosen.is_open else f"{estimated(60 * chosen.minutes)} in all"
            )
        if set(train) == set(validation):
            judged = f"Validates on a slab of each, {1 - options.train_split:.0%} of its slices."
        else:
            judged = f"Validates on {_names(scans, validation)}."
        told = [
            f"Fits on {_names(scans, train)}: {takes}.",
            judged,
            *notes,
            *self._advice(chosen),
            *pair_notes(self.facts),
            *self._concerns(options),
        ]
        return "\n".join(told)


def _names(scans: list[Facts], chosen: tuple[int, ...]) -> str:
    """Names of some scans, in a line that is not too long."""
    names = [scans[i].name for i in chosen]
    return ", ".join(names[:6]) + (f" and {len(names) - 6} more" if len(names) > 6 else "")
