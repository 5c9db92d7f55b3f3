"""The loop of a fit: train over the plan of an epoch, then score the fixed validation patches.

In:  the opened pairs, the network and the options.
Out: weights that have learnt, and integer counts of agreement.
Everything random comes from (seed, epoch), so the loop can be entered at any batch of any epoch.
"""

from __future__ import annotations

import contextlib
import logging
import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import torch

from ..dataset import augmentation
from ..dataset.checks import Labels
from ..dataset.choice import Choice
from ..dataset.contents import Holdings
from ..dataset.loader import Batch, Loader, PairSource, PatchLayout
from ..dataset.plan import Chances, Extent, Plan, draw_plan, joined
from ..dataset.variation import hold_thickness
from ..dataset.views import View, along_z, contents_of, shape_of
from ..intensity.normalisation import Normalisation
from ..machine.device import mixed_precision
from ..machine.memory import is_out_of_memory
from ..machine.stopping import interruptible
from ..options import transforms as transform_table
from ..options.fit import SettledFit
from . import norms
from .distributed import World
from .optimization import learning_rate, set_rate
from .scoring import DeviceCounts
from .step import Step

log = logging.getLogger("bone.fitting")

# Epoch number under which the validation patches are drawn, once; training epochs count from 0.
VALIDATION_EPOCH = 2**31
# The same of the patches by which batch normalisations are measured, and how many batches at most.
NORM_EPOCH, NORM_BATCHES = 2**31 + 1, 64
# Thickness of structures that are not there: nothing is shrunk.
NOTHING = 1e-6
VALIDATED_PER_TILE = 8
# Passes over the tiles that an epoch of a given number of steps may take.
MOST_PASSES = 4096
# Seconds between looks at the loss, which make the CPU wait for the GPU.
LOOK_S = 0.5

Report = Callable[[int, dict[str, float]], None]
# Called with a batch, the place in it of the first patch, logits and target of some of its patches.
Seen = Callable[[Batch, int, torch.Tensor, torch.Tensor], None]


@dataclass
class Timing:
    """Seconds of an epoch: in all, and spent waiting for patches to be read."""

    seconds: float = 0.0
    waiting: float = 0.0


class Training:
    """Network, data and options of one fit, ready to run any epoch."""

    def __init__(
        self,
        options: SettledFit,
        step: Step,
        *,
        extents: list[Extent],
        sources: list[PairSource],
        normalisations: list[Normalisation],
        labels: Labels,
        layout: PatchLayout,
        views: Sequence[View] | None = None,
        scans: tuple[tuple[int, ...], tuple[int, ...]],
        thick: Sequence[float | None] = (),
        world: World | None = None,
    ):
        self.thick = np.array([thick[v.pair] or NOTHING for v in views or ()]) if any(thick) else None
        self.world = World() if world is None else world
        self.options, self.step, self.device = options, step, step.device
        self.layout, self.num_classes = layout, labels.num_classes
        self.training_scans, self.validation_scans = scans
        self.views = list(views or along_z(len(extents), self.validation_scans))
        self.extents = [Extent(*shape_of(view, extents[view.pair])) for view in self.views]
        self.holdings = Holdings.of(contents_of(labels.contents, self.views)) if labels.contents else None
        self.numbers = augmentation.Numbers.of([normalisations[v.pair] for v in self.views], self.device)
        self.classes = torch.from_numpy(labels.table).to(self.device)
        self.loader = Loader(
            [sources[view.pair].seen(view, layout.patch) for view in self.views],
            layout,
            batch_size=options.batch_size,
            threads=options.loader_threads,
            pin=self.device.type == "cuda",
        )
        self.validation_plan = self._validation_plan()
        self.epoch_steps = options.epoch_steps  # of the epoch under way; None: one pass over all tiles
        self._pass_batches = self.loader.count(self._pass(0))
        self.counts = DeviceCounts(self.num_classes, self.device)
        self.timing = Timing()
        self._validation_pieces = 1  # more where a whole piece of training did not fit

    @property
    def train_batches(self) -> int:
        """Batches of the epoch under way."""
        return self.epoch_steps or self._pass_batches

    @property
    def validation_batches(self) -> int:
        """Batches of a validation."""
        return self.loader.count(self.validation_plan)

    @property
    def validation_views(self) -> list[int]:
        """Numbers of the views that validate."""
        return [number for number, view in enumerate(self.views) if view.validates]

    def plan(self, epoch: int) -> Plan:
        """The training patches of an epoch, which counts from 0."""
        if self.epoch_steps is None:
            return self._pass(epoch)
        wanted, parts = self.epoch_steps * self.options.batch_size, list[Plan]()
        while sum(map(len, parts)) < wanted:
            parts.append(self._pass(MOST_PASSES * epoch + len(parts)))
        return joined(parts).part(0, wanted)

    def _pass(self, epoch: int, *, is_varied: bool = True) -> Plan:
        """Every training tile once, or as the options wish."""
        scans = self.training_scans
        learning = [n for n, view in enumerate(self.views) if view.pair in scans and not view.validates]
        return self._plan(tuple(learning), epoch, is_training=True, is_varied=is_varied)

    def _validation_plan(self) -> Plan:
        plan = self._plan(tuple(self.validation_views), VALIDATION_EPOCH, is_training=False)
        wanted = self.options.validation_patches
        if wanted is None or wanted >= len(plan):
            return plan
        return plan.taken(np.linspace(0, len(plan) - 1, wanted).round().astype(np.int64))

    def settle(self, options: SettledFit) -> None:
        """Take over steps of an epoch and validation patches that were chosen by the speed."""
        self.options, self.epoch_steps = options, options.epoch_steps
        self.validation_plan = self._validation_plan()

    def _plan(self, scans: tuple[int, ...], epoch: int, *, is_training: bool, is_varied: bool = True) -> Plan:
        options, is_3d = self.options, self.layout.is_3d
        is_varied = is_varied and is_training and options.augmentation
        table = transform_table.read(options.transforms) if is_varied else {}
        per_tile = options.patches_per_tile
        if options.minutes and not is_training:  # which then takes of these what its share of the time allows
            per_tile = max(per_tile, VALIDATED_PER_TILE)
        plan = draw_plan(
            self.extents,
            self.layout.patch,
            scans=scans,
            patches_per_tile=per_tile,
            max_overlap=options.max_patch_overlap,
            seed=options.seed,
            epoch=epoch,
            chances=Chances.of(options) if is_varied else None,
            transforms=table or None,
            choice=self._choice(is_training=is_training),
            tile_depth=options.tile_depth if is_3d else 1,
            shuffle=is_training,
        )
        if plan.variation is not None and self.thick is not None and "shrink" in table:
            hold_thickness(plan.variation, self.thick[plan.scan], table["shrink"])
        return plan

    def _choice(self, *, is_training: bool) -> Choice | None:
        """What the user wishes of tiles and patches; None for every tile once."""
        options = self.options
        if self.holdings is None:
            return None
        if not is_training:
            is_skipped = options.empty_tiles == "skip everywhere"
            return Choice(self.holdings, skip_empty=is_skipped, purpose="validation")
        return Choice(
            self.holdings,
            skip_empty=options.empty_tiles != "keep",
            foreground_share=options.foreground_share,
            class_balance=options.class_balance,
            weights=[options.scan_weights[view.pair] for view in self.views] if options.scan_weights else (),
        )

    def train(self, epoch: int, *, first: int, report: Report) -> Iterator[int]:
        """Train on the batches of an epoch from number `first` on; yields how many are done after each.

        Of several processes each takes its share of every batch; losses and counts are its own.
        Raises FittingError when too many steps had a gradient that is not finite.
        """
        network, step, accumulate = self.step.network, self.step, self.options.accumulate
        network.train()
        if norms.are_fixed(self.options, epoch):
            if first == 0 and not norms.are_fixed(self.options, epoch - 1):
                self._measure_norms(lambda: report(0, {}))
            norms.fix(network)
        if first == 0:
            step.clear()
            self.counts = DeviceCounts(self.num_classes, self.device)
        plan, looked = self.plan(epoch), time.monotonic()
        figures: dict[str, float] = {}
        done = first
        for batch in self._timed(self.loader.batches(plan, first=first, share=self.world.share)):
            set_rate(step.optimizer, learning_rate(self.options, epoch + done / self.train_batches))
            with self._stoppable(lambda: report(done, figures)):  # noqa: B023 (called within this turn only)
                # the mean over the processes of what is weighted so is the mean over the whole batch
                weight = len(batch.plan) * self.world.size / batch.whole
                group = min(accumulate, self.train_batches - done // accumulate * accumulate)
                step(*self._prepare(batch), seen=self.counts.add, weight=weight, group=group)
            done += 1
            if time.monotonic() - looked > LOOK_S or done == self.train_batches:
                looked = time.monotonic()
                sums = step.sums()
                figures = {"loss": sums["loss_sum"] / max(sums["counted"], 1.0)}
                self.step.check_skipped(int(sums["skipped"]), done, of=self.train_batches)
            yield done  # before the report, which may raise: the position then counts this batch
            report(done, figures)
            if done >= self.train_batches:
                return  # the epoch was shortened meanwhile

    @torch.no_grad()
    def _measure_norms(self, check: Callable[[], None]) -> None:
        """Measure the batch normalisations on training patches as they are, always the same ones.

        check: called now and then; it may raise, and then they are as they were.
        """
        network = self.step.network
        if not norms.batch_norms(network):
            return
        plan = self._pass(NORM_EPOCH, is_varied=False).part(0, NORM_BATCHES * self.options.batch_size)
        with self._stoppable(check), norms.measured(network):
            for batch in self.loader.batches(plan):
                check()
                for _ in self._answers(*self._prepare(batch)):
                    pass

    @torch.no_grad()
    def validate(
        self, report: Report, *, plan: Plan | None = None, seen: Seen | None = None
    ) -> tuple[np.ndarray, float]:
        """Counts int64 (class, class) and mean loss over the validation patches, or over those of `plan`.

        seen: called with everything that the network said.
        Of several processes each takes every so manyth batch, and all get the sums; with `seen` this process
        does all by itself.
        """
        plan = self.validation_plan if plan is None else plan
        network = self.step.network
        network.eval()
        world = World() if seen else self.world
        world.share_buffers(network)
        total, reported = self.loader.count(plan), 0
        counts = DeviceCounts(self.num_classes, self.device)
        loss_sum = torch.zeros((), dtype=torch.float64, device=self.device)
        for batch in self.loader.batches(plan, first=world.rank.number, step=world.size):
            with self._stoppable(lambda: report(reported, {})):  # noqa: B023 (called within this turn only)
                for first, logits, wanted in self._answers(*self._prepare(batch)):
                    counts.add(logits, wanted)
                    if seen:
                        seen(batch, first, logits, wanted)
                    loss_sum += self.step.loss(logits, wanted).to(torch.float64) * len(logits)
            reported = min(reported + world.size, total)
            report(reported, {})
        if reported < total:  # no batch was left for this process
            report(total, {})
        network.train()
        matrix, loss = world.sum(counts.matrix), world.sum(loss_sum)
        return matrix.cpu().numpy(), float(loss) / max(len(plan), 1)

    def rehearse(self, plan: Plan, *, learn: bool, check: Callable[[], None]) -> tuple[float, float]:
        """Seconds to read the patches of `plan`, at most one batch, and to train on them (or to validate).

        Nothing is changed, bit for bit. check: called now and then on a CPU; it may raise.
        """
        began = time.perf_counter()
        batches = self.loader.batches(plan)
        batch = next(batches)
        read = time.perf_counter() - began
        network = self.step.network
        with self._untouched(), self._stoppable(check, is_shared=False), self.world.by_itself(network):
            network.train(learn)
            began = time.perf_counter()
            patches, target = self._prepare(batch)
            if learn:
                self.step.rehearse(patches, target)
            else:
                with torch.no_grad(), mixed_precision(self.device, self.step.precision):
                    logits = network(patches)
                DeviceCounts(self.num_classes, self.device).add(logits, target)
            if self.device.type == "cuda":
                torch.cuda.synchronize(self.device)
            computed = time.perf_counter() - began
        next(batches, None)  # gives the buffers back
        return read, computed

    @contextlib.contextmanager
    def _untouched(self) -> Iterator[None]:
        """Put back the network's buffers and mode, and all random states."""
        network, is_cuda = self.step.network, self.device.type == "cuda"
        buffers, was_training = [buffer.clone() for buffer in network.buffers()], network.training
        random = torch.get_rng_state()
        random_cuda = torch.cuda.get_rng_state(self.device) if is_cuda else None
        try:
            yield
        finally:
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            network.train(was_training)
            torch.set_rng_state(random)
            if random_cuda is not None:
                torch.cuda.set_rng_state(random_cuda, self.device)

    def _answers(
        self, patches: torch.Tensor, target: torch.Tensor
    ) -> Iterator[tuple[int, torch.Tensor, torch.Tensor]]:
        """What the network says to a batch, in pieces that fit into memory: place of the first, logits,
        target.
        """
        first = 0
        while first < len(patches):
            # as many at once as in training, where each GPU has its share of the batch
            shares = self.world.size if self.device.type == "cuda" else 1
            piece = math.ceil(len(patches) / max(self.step.pieces * shares, self._validation_pieces))
            some, logits = patches[first : first + piece], None
            try:
                with mixed_precision(self.device, self.step.precision):
                    logits = self.step.network(some)
            except (torch.OutOfMemoryError, MemoryError, RuntimeError) as error:
                if piece == 1 or not is_out_of_memory(error):
                    raise
            if logits is None:
                self._validation_pieces = 2 * math.ceil(len(patches) / piece)
                log.warning("The memory of %s ran out in validation: smaller pieces.", self.device)
                continue
            yield first, logits, target[first : first + piece]
            first += len(some)

    def _prepare(self, batch: Batch) -> tuple[torch.Tensor, torch.Tensor]:
        grey = batch.grey.to(self.device, non_blocking=True)
        labels = batch.labels.to(self.device, non_blocking=True)
        if self.device.type == "cuda":
            batch.copied = torch.cuda.Event()
            batch.copied.record(torch.cuda.current_stream(self.device))
        patches, target = augmentation.prepare(
            grey, labels, plan=batch.plan, numbers=self.numbers, classes=self.classes
        )
        memory = torch.channels_last_3d if self.layout.is_3d else torch.channels_last
        return patches.contiguous(memory_format=memory), target

    def _timed(self, batches: Iterator[Batch]) -> Iterator[Batch]:
        """The batches, with the time spent waiting for them."""
        began = time.perf_counter()
        for batch in batches:
            self.timing.waiting += time.perf_counter() - began
            yield batch
            began = time.perf_counter()

    @contextlib.contextmanager
    def _stoppable(self, check: Callable[[], None], *, is_shared: bool = True) -> Iterator[None]:
        """Let `check` raise within a step on a CPU; then the network is as it was before the step.

        is_shared: with other processes, which wait for this one; then a stop is for the end of the step.
        """
        is_whole = self.options.compile and is_shared  # compiled code cannot be entered
        if self.device.type != "cpu" or is_whole or (is_shared and self.world.size > 1):
            yield
            return
        network, looked = self.step.network, [time.monotonic()]
        buffers = [buffer.clone() for buffer in network.buffers()]
        random = torch.get_rng_state()

        def look() -> None:
            if time.monotonic() - looked[0] > 0.2:
                looked[0] = time.monotonic()
                check()

        try:
            with interruptible(network, look):
                yield
        except BaseException:
            with torch.no_grad():
                for buffer, before in zip(network.buffers(), buffers, strict=True):
                    buffer.copy_(before)
            torch.set_rng_state(random)
            raise
