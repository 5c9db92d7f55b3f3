"""Tiles are grouped, read, predicted and written in order; memory that runs out halves the batch."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.errors import HardwareError, OutputError
from bone_backend.inference.labels import ClassMap
from bone_backend.inference.merging import Merger
from bone_backend.inference.streaming import (
    ChunkPredictor,
    WriteBehind,
    choose_batch_size,
    choose_tiles_at_once,
    deepest,
    plan_groups,
    read_ahead,
)
from bone_backend.inference.windows import layout
from bone_backend.volumes.volume import ArrayVolume, Header

CPU = torch.device("cpu")


@given(
    depth=st.integers(1, 40),
    size=st.sampled_from([1, 8, 16]),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
    at_once=st.integers(1, 9),
    context=st.integers(0, 4),
)
def test_groups_finish_every_slice_once_and_hold_what_they_need(depth, size, overlap, at_once, context):
    chunks = layout((depth, 32, 32), (size, 32, 32), overlap=overlap)
    groups = plan_groups(chunks, tiles_at_once=at_once, context=context)
    assert [t for g in groups for t in g.tiles] == list(chunks.z.offsets)
    finished = 0
    for group in groups:
        assert group.finished > finished
        assert group.tiles[0] >= finished  # nothing is added to a finished slice
        assert group.tiles[-1] - finished + min(chunks.z.size, depth) <= deepest(groups, chunks)
        assert (group.first, group.last) == (
            group.tiles[0] - context,
            group.tiles[-1] + chunks.z.size + context,
        )
        finished = group.finished
    assert finished == depth


def test_slices_beyond_the_scan_repeat_the_border_or_are_reflected():
    scan = ArrayVolume(np.arange(5, dtype=np.uint16).reshape(5, 1, 1))
    flat = layout((5, 1, 1), (1, 1, 1), overlap=0.0)
    read = read_ahead(scan, plan_groups(flat, tiles_at_once=2, context=2), is_3d=False, pin=False)
    assert [raw.flatten().tolist() for _, raw in read] == [
        [0, 0, 0, 1, 2, 3],
        [0, 1, 2, 3, 4, 4],
        [2, 3, 4, 4, 4],
    ]
    deep = layout((5, 1, 1), (8, 1, 1), overlap=0.0, multiple=(8, 1, 1))
    ((_, raw),) = read_ahead(scan, plan_groups(deep, tiles_at_once=1), is_3d=True, pin=False)
    assert raw.flatten().tolist() == [0, 1, 2, 3, 4, 3, 2, 1]


def test_reading_stops_when_the_reader_is_left():
    scan = ArrayVolume(np.zeros((50, 8, 8), np.uint8))
    groups = plan_groups(layout((50, 8, 8), (1, 8, 8), overlap=0.0), tiles_at_once=1)
    reading = read_ahead(scan, groups, is_3d=False, pin=False)
    next(reading)
    reading.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("read ahead")]


class StandInWriter:
    """Keeps what it is given; fails at slice `full_at` as a full disk does."""

    def __init__(self, full_at: int | None = None, seconds: float = 0.0):
        self.slabs: list[np.ndarray] = []
        self.full_at, self.seconds = full_at, seconds

    def write(self, slab: np.ndarray) -> None:
        time.sleep(self.seconds)
        if self.full_at is not None and len(self.slabs) >= self.full_at:
            raise OutputError("the disk is full")
        self.slabs.append(slab)


def test_labels_are_written_in_order_and_whole_at_the_end():
    writer = StandInWriter(seconds=0.01)
    with WriteBehind(writer) as writing:
        for i in range(6):
            writing.write(torch.full((1, 2, 2), i, dtype=torch.uint8))
    assert [int(slab[0, 0, 0]) for slab in writer.slabs] == [0, 1, 2, 3, 4, 5]


def test_a_full_disk_is_told_and_stops_the_work():
    writer, handed = StandInWriter(full_at=2), []

    def run() -> None:
        with WriteBehind(writer) as writing:
            for i in range(100):
                handed.append(i)
                writing.write(torch.zeros((1, 2, 2), dtype=torch.uint8))

    with pytest.raises(OutputError, match="disk is full"):
        run()
    assert len(handed) < 10
    assert len(writer.slabs) == 2


def test_slices_behind_those_that_were_not_written_never_take_their_place():
    class FullOnce:
        def __init__(self):
            self.tried = []

        def write(self, slab):
            time.sleep(0.05)  # the next ones wait meanwhile
            self.tried.append(int(slab[0, 0, 0]))
            if len(self.tried) == 3:
                raise OutputError("the disk is full")

    writer = FullOnce()

    def run() -> None:
        with WriteBehind(writer) as writing:
            for i in range(100):
                writing.write(torch.full((1, 2, 2), i, dtype=torch.uint8))

    with pytest.raises(OutputError, match="disk is full"):
        run()
    assert writer.tried == [0, 1, 2]


def test_nothing_more_is_written_after_a_stop():
    writer = StandInWriter(seconds=0.05)

    def run() -> None:
        with WriteBehind(writer) as writing:
            writing.write(torch.zeros((1, 2, 2), dtype=torch.uint8))
            writing.write(torch.zeros((1, 2, 2), dtype=torch.uint8))
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run()
    assert len(writer.slabs) <= 1


class SmallMemory:
    """A network of two classes (grey above 0 is bone) for which at most `most` chunks fit."""

    def __init__(self, most: int):
        self.most = most
        self.batches: list[int] = []

    def __call__(self, batch: torch.Tensor) -> torch.Tensor:
        self.batches.append(len(batch))
        if len(batch) > self.most:
            raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB")
        return torch.cat([-batch, batch], dim=1)


def run(network, batch_size) -> torch.Tensor:
    chunks = layout((1, 40, 40), (1, 16, 16), overlap=0.25)
    merger = Merger(chunks, class_map=ClassMap.from_model(None, 2), depth=1, threshold=0.0)
    predictor = ChunkPredictor(network, device=CPU, precision=None, batch_size=batch_size)
    (group,) = plan_groups(chunks, tiles_at_once=1)
    slab = torch.linspace(-1, 1, 1600).reshape(1, 40, 40)
    predictor.predict(slab, group, merger=merger, after_batch=lambda: None)
    return merger.take(1)


def test_a_batch_that_does_not_fit_is_halved_and_every_chunk_counts_once(caplog):
    network = SmallMemory(most=2)
    labels = run(network, batch_size=9)
    assert network.batches == [9, 3, *[1] * 9]  # 4 would fit three times into 9, so three are taken at a time
    assert torch.equal(labels[0], (torch.linspace(-1, 1, 1600) > 0).reshape(40, 40).to(torch.uint8))
    assert "going on with 4" in caplog.text


def test_a_single_chunk_that_does_not_fit_is_an_error_with_advice():
    with pytest.raises(HardwareError, match=r"single chunk .* smaller chunk_size"):
        run(SmallMemory(most=0), batch_size=4)


def test_other_faults_of_the_network_are_not_hidden():
    def broken(batch):
        raise RuntimeError("expected scalar type")

    with pytest.raises(RuntimeError, match="expected scalar type"):
        run(broken, batch_size=4)


def test_a_cpu_batch_has_one_chunk_of_512_or_as_many_voxels():
    predictor = ChunkPredictor(SmallMemory(1), device=CPU, precision=None)
    for edge, number in ((512, 1), (1024, 1), (64, 64)):
        chunks = layout((9, 2000, 2000), (1, edge, edge), overlap=0.25)
        assert choose_batch_size(predictor, chunks, channels=1) == number


@pytest.mark.parametrize(
    ("shape", "size", "batch", "context", "expected"),
    [
        ((100, 64, 64), (1, 64, 64), 128, 0, 128),  # small slices fill a batch together
        ((100, 1152, 1152), (1, 512, 512), 2, 0, 1),  # nine chunks a slice are more than enough
        ((100, 256, 256), (1, 256, 256), 1, 2, 8),  # 2.5D reads its context once for several tiles
        ((100, 64, 64), (32, 64, 64), 9, 0, 1),  # 3D takes slab by slab
        ((100, 8000, 8000), (1, 8000, 8000), 9, 4, 1),  # the budget rules
    ],
)
def test_tiles_are_grouped_to_fill_a_batch_within_a_budget(shape, size, batch, context, expected):
    chunks = layout(shape, size, overlap=0.25)
    found = choose_tiles_at_once(chunks, batch_size=batch, classes=3, context=context, is_cuda=False)
    assert found == expected


def test_a_3d_chunk_has_one_channel_and_a_25d_chunk_its_slices_as_channels():
    shapes = []

    def network(batch):
        shapes.append(tuple(batch.shape))
        return torch.zeros((len(batch), 2, *batch.shape[2:]))

    chunks = [torch.zeros(8, 16, 16)] * 3
    ChunkPredictor(network, device=CPU, precision=None).probabilities(chunks)
    ChunkPredictor(network, device=CPU, precision=None, is_3d=True).probabilities(chunks)
    assert shapes == [(3, 8, 16, 16), (3, 1, 8, 16, 16)]


def test_header_of_array_volumes_is_what_reading_uses():
    assert (
        ArrayVolume(np.zeros((2, 3, 4), np.uint8)).header.shape
        == Header("a", (2, 3, 4), np.dtype("u1")).shape
    )
