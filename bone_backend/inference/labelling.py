"""Send a scan through a network and write its labels: along z, or along all three axes.

In:  an open scan, the network, how it is cut and normalised.
Out: labels in z order, and counts of voxels per class and confidence.
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch

from ..errors import HardwareError, ScanError
from ..intensity.normalisation import Normalisation
from ..machine.stopping import interruptible
from ..model_files.header import ModelHeader
from ..options.programs import PredictOptions
from ..progress import Progress
from ..volumes.bricks import AXES, Bricks
from ..volumes.cache import cache_folder
from ..volumes.kept import Kept, Note
from ..volumes.output import size_in_words
from ..volumes.volume import Volume
from . import maps, passes, streaming
from .backends.openvino_network import OpenVinoNetwork
from .labels import ClassMap
from .merging import Counted, Merger
from .opening import Team, cut
from .streaming import Beside, ChunkPredictor, Group, Look, Sink, Slices
from .windows import Layout

log = logging.getLogger("bone.prediction")

LOOK_S = 0.2  # between two looks for a stop


@dataclass(frozen=True)
class Labelling:
    """What all passes over a scan share. teams: each labels it once along each axis."""

    options: PredictOptions
    teams: Sequence[Team]
    class_map: ClassMap
    kept: Kept  # takes labels, maps and what was counted
    look: Look | None = None  # is shown labels and greys

    def along(self, axes: str, scan: Volume, *, progress: Progress) -> Counted:
        """Label a scan, from where the kept slices end. axes: "z" or "zyx"."""
        if axes == "z" and len(self.teams) == 1:
            return self._in_one_pass(scan, progress=progress)
        return self._in_passes(axes, scan, progress=progress)

    def _in_one_pass(self, scan: Volume, *, progress: Progress) -> Counted:
        (team,) = self.teams
        groups, merger = self._plan(team, team.chunks)
        if self.kept.counts is not None:
            merger.go_on(self.kept.counts, self.kept.sure)
            self._look_again(scan)
        label(
            scan,
            self.kept,
            team.ready,
            groups=groups,
            merger=merger,
            numbers=team.numbers,
            progress=progress,
            look=self.look,
            beside=self.kept.beside,
            asked=self.options.maps,
            start=self.kept.slices,
        )
        return merger.counted()

    def _look_again(self, scan: Volume) -> None:
        """Show what an earlier run has kept."""
        if self.look:
            for z0, labels in self.kept.slabs():
                self.look(labels, scan.read(z0, z0 + len(labels)))

    @property
    def greys_folder(self) -> Path:
        """Where the scan lies, laid out for three axes."""
        return cache_folder()

    def _in_passes(self, axes: str, scan: Volume, *, progress: Progress) -> Counted:
        """From the mean of several passes, which is kept on disk."""
        header, classes, folder = scan.header, len(self.class_map.values), self.greys_folder
        log.info(
            "Labelling %s; %s are kept in %s meanwhile.",
            "along z, y and x" if axes == "zyx" else f"in {len(self.teams)} passes",
            size_in_words(passes.needed_bytes(header, classes, axes=axes)),
            self.kept.folder
            if axes == "z" or folder == self.kept.folder
            else f"{self.kept.folder} and {folder}",
        )
        weights = [sum(team.weights) for team in self.teams for _ in axes]
        laying, *each, deciding = passes.parts(progress, len(weights))
        with contextlib.ExitStack() as stack:
            means = stack.enter_context(
                passes.Means(header.shape, classes=classes, weights=weights, folder=self.kept.folder)
            )
            views: list[Slices] = [scan]
            if axes != "z":
                greys = stack.enter_context(Bricks(header.shape, header.dtype, folder=folder))
                passes.lay_out(scan, greys, laying)
                views = [passes.Turned(greys, header, AXES.index(axis)) for axis in axes]
            self._sum_all(views, means, each)
            self.kept.forget()  # to decide is quick
            writing = stack.enter_context(
                streaming.WriteBehind(self.kept, look=self.look, beside=self.kept.beside)
            )

            def write(first: int, labels: torch.Tensor, probabilities: torch.Tensor, note: Note) -> None:
                greys = scan.read(first, first + len(labels)) if self.look else None
                writing.write(labels, greys, maps.layers(probabilities, self.options.maps), note)

            return passes.decide(
                means,
                header.shape,
                class_map=self.class_map,
                threshold=self.options.confidence_threshold,
                write=write,
                progress=deciding,
            ).counted()

    def _sum_all(self, views: Sequence[Slices], means: passes.Means, each: Sequence[Progress]) -> None:
        """Do all passes: each team along each axis."""
        for number, part in enumerate(each):
            axis, team = number % len(views), self.teams[number // len(views)]
            self._sum(number, views[axis], axis, team, means=means, progress=part)

    def _sum(
        self, number: int, view: Slices, axis: int, team: Team, *, means: passes.Means, progress: Progress
    ) -> None:
        """Add a pass along an axis to the mean, from where an earlier run has come to."""
        start = means.start_of(number, view.header.shape[0])
        if start == view.header.shape[0]:
            return
        chunks = team.chunks if axis == 0 else cut(self.options, view.header.shape, team.model)
        groups, merger = self._plan(team, chunks, least=passes.SLICES_AT_ONCE)
        with streaming.WriteBehind(passes.Adding(means, number, axis, start)) as adding:
            find_means(
                view,
                team.ready,
                groups=groups,
                merger=merger,
                numbers=team.numbers,
                progress=progress,
                write=adding.write,
                told=self._told(axis, team),
                start=start,
            )

    def _told(self, axis: int, team: Team) -> str:
        """Which pass it is."""
        return f" along {AXES[axis]}" + (f" by {team.model.path.name}" if len(self.teams) > 1 else "")

    def _plan(self, team: Team, chunks: Layout, *, least: int = 1) -> tuple[list[Group], Merger]:
        return plan(
            self.options,
            team.ready,
            chunks=chunks,
            class_map=self.class_map,
            model=team.model,
            least=least,
        )


def plan(
    options: PredictOptions,
    predictor: ChunkPredictor,
    *,
    chunks: Layout,
    class_map: ClassMap,
    model: ModelHeader,
    least: int = 1,
) -> tuple[list[Group], Merger]:
    """Which tiles go together and where they are summed; sets the batch size if it was not given.

    least: tiles that go together where there is room for them.
    """
    with torch.inference_mode():
        predictor.batch_size = options.batch_size or streaming.choose_batch_size(
            predictor, chunks, channels=model.in_channels
        )
    groups = groups_of(predictor, chunks=chunks, model=model, least=least)
    merger = Merger(
        chunks,
        class_map=class_map,
        depth=streaming.deepest(groups, chunks),
        threshold=options.confidence_threshold,
        merge=options.merge,
        device=predictor.device,
    )
    return groups, merger


def groups_of(predictor: ChunkPredictor, *, chunks: Layout, model: ModelHeader, least: int) -> list[Group]:
    """Which tiles go together, for the predictor's batch size."""
    context = model.in_channels // 2  # slices that a 2.5D network sees to each side
    together = streaming.choose_tiles_at_once(
        chunks,
        batch_size=predictor.batch_size,
        classes=model.num_classes,
        context=context,
        is_cuda=predictor.is_cuda,
        least=least,
    )
    return streaming.plan_groups(chunks, tiles_at_once=together, context=context)


def label(
    scan: Slices,
    output: Sink,
    predictor: ChunkPredictor,
    *,
    groups: Sequence[Group],
    merger: Merger,
    numbers: Normalisation,
    progress: Progress,
    look: Look | None = None,
    beside: Beside | None = None,
    asked: Sequence[str] = (),
    start: int = 0,
) -> None:
    """Predict group by group and write the labels as they come. look: is shown them, with the greys. beside:
    takes the maps that were asked for, and what was counted. start: slices that are there already.

    Raises HardwareError or ScanError when the network gives something that is no number.
    """
    with streaming.WriteBehind(output, look=look, beside=beside) as writing:

        def finish(end: int, greys: torch.Tensor) -> None:
            number = end - merger.start
            layers = maps.layers(merger.means(end), asked) if asked else None
            labels = merger.take(end)
            writing.write(labels, greys.numpy(), layers, merger.note(number) if beside else None)
            is_first = merger.start == groups[0].finished
            if (is_first or merger.start == groups[-1].finished) and merger.has_lost_numbers():
                raise lost_numbers(predictor)

        stream(
            scan,
            predictor,
            groups=groups,
            merger=merger,
            numbers=numbers,
            progress=progress,
            finish=finish,
            start=start,
        )


def find_means(
    view: Slices,
    predictor: ChunkPredictor,
    *,
    groups: Sequence[Group],
    merger: Merger,
    numbers: Normalisation,
    progress: Progress,
    write: Callable[[torch.Tensor], None],
    told: str = "",
    start: int = 0,
) -> None:
    """Predict group by group. write: takes the mean probabilities (slice, class, a, b) as they come.

    Raises HardwareError or ScanError when the network gives something that is no number.
    """

    def finish(end: int, _: torch.Tensor) -> None:
        found = merger.take_means(end)
        if torch.isnan(found).any():
            raise lost_numbers(predictor)
        write(found)

    stream(
        view,
        predictor,
        groups=groups,
        merger=merger,
        numbers=numbers,
        progress=progress,
        finish=finish,
        told=told,
        start=start,
    )


def stream(
    scan: Slices,
    predictor: ChunkPredictor,
    *,
    groups: Sequence[Group],
    merger: Merger,
    numbers: Normalisation,
    progress: Progress,
    finish: Callable[[int, torch.Tensor], None],
    told: str = "",
    start: int = 0,
) -> None:
    """Predict group by group. finish: called with the end of the slices that are whole, and their greys.
    start: slices that are there already, up to the end of a group; what overlaps them is predicted again.
    """
    groups = [group for group in groups if group.tiles[-1] + merger.layout.z.size > start]
    if start >= scan.header.shape[0]:
        return
    merger.start = groups[0].tiles[0]
    look = Lookout(progress, merger, slices=scan.header.shape[0], told=told)
    with torch.inference_mode(), look.inside(predictor):
        for group, raw in streaming.read_ahead(scan, groups, is_3d=predictor.is_3d, pin=predictor.is_cuda):
            slab = streaming.prepare(raw, numbers, layout=merger.layout, device=predictor.device)
            predictor.predict(slab, group, merger=merger, after_batch=look)
            if group.finished <= start:
                merger.skip(group.finished)
                continue
            first = merger.start - group.first
            finish(group.finished, raw[first : first + group.finished - merger.start])
    look.finish()


class Lookout:
    """Tells the progress where a prediction is, and so looks for a stop, at most every LOOK_S seconds."""

    def __init__(self, progress: Progress, merger: Merger, *, slices: int, told: str = ""):
        self._progress, self._merger, self._slices, self._told = progress, merger, slices, told
        self._due = 0.0

    def __call__(self) -> None:
        if time.monotonic() >= self._due:
            done = self._merger.start
            self._progress(done, self._slices, f"Labelling slice {done + 1} of {self._slices}{self._told}")
            self._due = time.monotonic() + LOOK_S

    def finish(self) -> None:
        """Tell that all slices are labelled."""
        self._progress(self._slices, self._slices, f"Labelled {self._slices} slices")

    def inside(self, predictor: ChunkPredictor) -> contextlib.ExitStack:
        """Look between the layers too, where one batch can take longer than a user waits for Stop."""
        stack = contextlib.ExitStack()
        for network in predictor.networks:
            if isinstance(network, OpenVinoNetwork):
                stack.enter_context(network.interruptible(self))
            elif not predictor.is_cuda and isinstance(network, torch.nn.Module):
                stack.enter_context(interruptible(network, self))
        return stack


def lost_numbers(predictor: ChunkPredictor) -> HardwareError | ScanError:
    """What to raise where the network gave something that is no number."""
    if predictor.precision == torch.float16:
        return HardwareError("The network's numbers overflow in fp16. Use precision bf16 or fp32.")
    return ScanError(
        "The network gives no numbers (NaN). Either the scan holds voxels that are no numbers, or the model "
        "file is damaged. Look at the scan's statistics, or try another model."
    )
