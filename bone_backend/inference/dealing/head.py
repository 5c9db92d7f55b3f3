"""A prediction that several workers share: slabs are dealt to them, and come back in order.

In:  an open scan; a Crew.
Out: the same labels, maps and counts as in one process, to the last bit: the workers have the same chunks
and batches, and only what a network says comes from them. All that is written is written here.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np
import torch

from ...machine.device import DTYPES
from ...options.programs import PredictOptions
from ...progress import Progress
from ...volumes.header import Header
from ...volumes.kept import Note
from ...volumes.volume import Volume
from .. import labelling, opening, passes, streaming
from ..labelling import Labelling
from ..labels import LEVELS
from ..merging import Counted
from ..opening import Place, Team
from ..streaming import ChunkPredictor, Slices
from ..windows import Layout
from . import worker
from .crew import Crew
from .slabs import slabs
from .worker import Found, Networks, Work


def place_of(crew: Crew, options: PredictOptions, progress: Progress) -> Place:
    """Where the workers compute, as one of them says. free: what each can have of a machine's memory."""

    def look() -> None:
        progress(0, 100, "Waiting for a worker")

    (found,) = crew.deal(worker.look_around, [(_there(options),)], look)
    share = crew.most_on_a_machine if found.device.type == "cpu" else 1
    return Place(found.device, found.precision, found.words, found.free // share)


def leave_to(teams: Sequence[Team], place: Place) -> None:
    """Say of teams that their networks are elsewhere."""
    for team in teams:
        team.where = place.words
        team.predictor = ChunkPredictor(
            _nobody,
            device=place.device,
            precision=place.precision,
            is_3d=team.model.mode == "3D",
        )


def _nobody(_: torch.Tensor) -> torch.Tensor:
    raise AssertionError("the networks are elsewhere")


def _there(options: PredictOptions) -> PredictOptions:
    return options.with_paths(Path.absolute)


@dataclass(frozen=True)
class Pass:
    """What is left to do of a pass. told: which it is, in words. depth: its slices."""

    work: Work
    spans: list[tuple[int, int]]
    told: str
    depth: int
    progress: Progress


@dataclass(frozen=True)
class Dealt(Labelling):
    """place: see `place_of`."""

    crew: Crew = field(kw_only=True)
    place: Place = field(kw_only=True)

    @property
    def greys_folder(self) -> Path:
        """Where all workers see it."""
        return self.kept.folder

    def _in_one_pass(self, scan: Volume, *, progress: Progress) -> Counted:
        (team,) = self.teams
        kept = self.kept
        self._look_again(scan)
        work = self._work(team, scan.header, team.chunks)
        wanted = self._pass(team, work, progress, start=kept.slices, told="")
        rows = len(self.class_map.values) + 1
        with streaming.WriteBehind(kept, look=self.look, beside=kept.beside) as writing:
            counts, sure = kept.counts, list(kept.sure)
            for _, first, found in self._deal([wanted]):
                assert found.counts is not None
                counts = found.counts if counts is None else counts + found.counts
                sure += found.sure
                greys = scan.read(first, first + len(found.values)) if self.look else None
                labels, note = torch.from_numpy(found.values), Note(counts, found.sure)
                writing.write(labels, greys, found.layers, note)
        return Counted(np.zeros((rows, LEVELS), np.int64) if counts is None else counts, sure)

    def _sum_all(self, views: Sequence[Slices], means: passes.Means, each: Sequence[Progress]) -> None:
        """All passes as one row of slabs, so that no worker waits between them."""
        wanted, greys = [], None
        if isinstance(views[0], passes.Turned):
            greys = views[0].greys.shown()
        for number, part in enumerate(each):
            axis, team = number % len(views), self.teams[number // len(views)]
            shape = views[axis].header.shape
            chunks = (
                team.chunks
                if axis == 0
                else opening.cut(self.options, shape, team.model, free=self.place.free)
            )
            work = self._work(team, views[0].header, chunks)
            work = replace(
                work, axis=axis, greys=greys, levels=means.levels[number], least=passes.SLICES_AT_ONCE
            )
            start = means.start_of(number, shape[0])
            wanted.append(self._pass(team, work, part, start=start, told=self._told(axis, team)))
        for number, first, found in self._deal(wanted):
            means.add_steps(number, number % len(views), first, found.values)

    def _work(self, team: Team, header: Header, chunks: Layout) -> Work:
        """What the workers are told of a pass along z; header: of the scan."""
        precision = next(word for word, dtype in DTYPES.items() if dtype == self.place.precision)
        options = _there(self.options).model_copy(update={"precision": precision, "batch_size": None})
        networks = Networks(
            options=options,
            models=tuple(model.path.absolute() for model in team.models),
            made=tuple(worker.fingerprint(model) for model in team.models),
            weights=tuple(team.weights),
            kind=self.place.device.type,
        )
        return Work(networks, team.numbers, chunks, header, batch_size=0)

    def _pass(self, team: Team, work: Work, progress: Progress, *, start: int, told: str) -> Pass:
        """Settle the size of batches, and cut what is left of a pass into slabs."""
        predictor, chunks = team.ready, work.chunks
        depth, area = chunks.z.length, chunks.y.length * chunks.x.length
        if self.options.batch_size:
            predictor.batch_size = self.options.batch_size
        elif not predictor.is_cuda:
            predictor.batch_size = streaming.choose_batch_size(
                predictor, chunks, channels=team.model.in_channels
            )
        elif start < depth:  # as much as a GPU has room for
            look = partial(progress, start, depth, "Waiting for a worker")
            (predictor.batch_size,) = self.crew.deal(worker.batch_size, [(work,)], look)
        groups = labelling.groups_of(predictor, chunks=chunks, model=team.model, least=work.least)
        own = self.class_map.dtype.itemsize + len(self.kept.names)
        spans = slabs(
            groups,
            chunks,
            start=start,
            workers=max(1, self.crew.workers),
            slice_bytes=area * (2 * (team.model.num_classes - 1) if work.levels else own),
        )
        return Pass(replace(work, batch_size=predictor.batch_size), spans, told, depth, progress)

    def _deal(self, wanted: Sequence[Pass]) -> Iterator[tuple[int, int, Found]]:
        """All slabs: the number of the pass, the first slice, and what was found."""
        row = [(number, start, end) for number, one in enumerate(wanted) for start, end in one.spans]
        place = 0

        def look() -> None:
            number, start, _ = row[place]
            one, workers = wanted[number], self.crew.workers
            told = f"Labelling slice {start + 1} of {one.depth}{one.told}, {workers} "
            one.progress(start, one.depth, told + ("worker" if workers == 1 else "workers"))

        jobs = [(wanted[number].work, start, end) for number, start, end in row]
        for found in self.crew.deal(worker.slab, jobs, look):
            number, start, _ = row[place]
            place += 1
            yield number, start, found
