"""Changes of a batch: exactly what the plan has drawn."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from bone_backend.dataset.augmentation import TURNS_2D, TURNS_3D, Numbers, prepare
from bone_backend.dataset.plan import Plan
from bone_backend.dataset.variation import neutral
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.options.transforms import TRANSFORMS

SQUARE = np.array([[1, 2], [3, 4]])


def plan(count, *, turn=None, brightness=None, contrast=None, scan=None, variation=None):
    return Plan(
        scan=np.zeros(count, np.int64) if scan is None else np.array(scan),
        z=np.zeros(count, np.int64),
        y=np.zeros(count, np.int64),
        x=np.zeros(count, np.int64),
        turn=np.zeros(count, np.int8) if turn is None else np.array(turn, np.int8),
        brightness=np.zeros(count, np.float32) if brightness is None else np.array(brightness, np.float32),
        contrast=np.ones(count, np.float32) if contrast is None else np.array(contrast, np.float32),
        variation=variation,
    )


def numbers(*pairs, low=-100.0, high=100.0):
    found = [Normalisation("ZScore", shift, scale, low, high) for shift, scale in pairs or [(0.0, 1.0)]]
    return Numbers.of(found, torch.device("cpu"))


def changed(grey, labels, **drawn):
    found = plan(len(grey), **drawn)
    return prepare(
        torch.from_numpy(grey),
        torch.from_numpy(labels),
        plan=found,
        numbers=numbers(),
        classes=torch.arange(256),
    )


def test_each_turn_moves_grey_values_and_labels_alike():
    expected = {
        0: [[1, 2], [3, 4]],
        1: [[2, 1], [4, 3]],  # flipped along x
        2: [[3, 4], [1, 2]],  # flipped along y
        3: [[2, 4], [1, 3]],  # turned by 90 degrees, counter-clockwise as seen with y downwards
        4: [[4, 3], [2, 1]],
        5: [[3, 1], [4, 2]],
    }
    grey = np.stack([SQUARE] * 6)[:, None].astype(np.uint8)
    patches, target = changed(grey, np.stack([SQUARE] * 6).astype(np.uint8), turn=range(6))
    for code, picture in expected.items():
        assert patches[code, 0].tolist() == picture, TURNS_2D[code]
        assert target[code].tolist() == picture, TURNS_2D[code]


def test_three_dimensional_turns_keep_slices_in_their_plane_except_the_flip_along_z():
    cube = np.arange(8, dtype=np.uint8).reshape(2, 2, 2)
    patches, target = changed(np.stack([cube] * 7)[:, None], np.stack([cube] * 7), turn=range(7))
    assert [kind for kind, _ in TURNS_3D] == ["none", "flip", "flip", "flip", "turn", "turn", "turn"]
    assert patches[3, 0].tolist() == cube[::-1].tolist()
    assert target[4].tolist() == [np.rot90(plane).tolist() for plane in cube]


def test_normalisation_contrast_brightness_and_clipping_come_in_this_order():
    grey = np.full((2, 1, 1, 1), 30, np.uint8)
    found = plan(2, scan=[0, 1], brightness=[0.25, 0.25], contrast=[2.0, 0.5])
    patches, _ = prepare(
        torch.from_numpy(grey),
        torch.zeros(2, 1, 1, dtype=torch.uint8),
        plan=found,
        numbers=numbers((10.0, 0.1), (20.0, 0.01), low=-5, high=4.0),
        classes=torch.arange(2),
    )
    assert patches.flatten().tolist() == [4.0, np.float32((30 - 20) * np.float32(0.01) * 0.5 + 0.25)]


def test_every_stored_dtype_gives_the_same_patches():
    values = np.array([[0, 1], [100, 127]])
    found = [
        changed(np.broadcast_to(values, (1, 1, 2, 2)).astype(dtype), np.zeros((1, 2, 2), label))[0]
        for dtype in (np.uint8, np.uint16, np.int16, np.int32, np.float32)
        for label in (np.uint8, np.uint16)
    ]
    assert all(torch.equal(one, found[0]) for one in found)
    assert found[0].dtype == torch.float32


def test_labels_become_classes_by_the_table():
    labels = np.array([[[0, 255], [7, 0]]], np.uint8)
    table = torch.full((256,), -100)
    table[0], table[255] = 0, 1
    _, target = prepare(
        torch.zeros(1, 1, 2, 2), torch.from_numpy(labels), plan=plan(1), numbers=numbers(), classes=table
    )
    assert target.tolist() == [[[0, 1], [-100, 0]]]


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
@pytest.mark.parametrize(
    "table", [[0, 1, 2], [2, -100, 0], [*range(-100, 0), 300], list(range(255, -1, -1))], ids=str
)
def test_any_table_of_classes_is_looked_up_alike_and_what_came_in_stays(dtype, table):
    labels = np.random.default_rng(0).integers(0, len(table), (3, 8, 8)).astype(dtype)
    grey, before = labels[:, None].copy(), labels.copy()
    patches, target = prepare(
        torch.from_numpy(grey),
        torch.from_numpy(labels),
        plan=plan(3),
        numbers=numbers((1.0, 2.0)),
        classes=torch.tensor(table),
    )
    assert target.dtype == torch.int64
    assert np.array_equal(target.numpy(), np.array(table)[labels])
    patches.zero_()
    target.zero_()
    assert np.array_equal(labels, before)
    assert np.array_equal(grey[:, 0], before)


def varied(count, **columns):
    made = neutral(count)
    made["seed"] = 7  # the same for every patch, so that they differ by their turns alone
    for name, value in columns.items():
        made[name] = value
    return made


# For every transform, columns of a record that make it do something.
STRONG = {
    "rotation": {"rotation": 20},
    "scaling": {"scaling": 1.2},
    "shrink": {"shrink": 0.6},
    "elastic": {"elastic": 2, "spacing": 8},
    "gamma": {"gamma": 1.4},
    "blur": {"blur": 1},
    "noise": {"noise": 0.5},
    "ring": {"ring": 1, "ring_share": 0.5, "centre_y": -3.5, "centre_x": 40},
    "step": {"gain": 1.3, "shift": 0.2, "step_at": 0.4},
}


@pytest.mark.parametrize("name", TRANSFORMS)
@pytest.mark.parametrize("shape", [(1, 16, 16), (5, 16, 16), (1, 6, 16, 16)], ids=["2D", "2.5D", "3D"])
def test_a_turned_patch_is_the_changed_patch_turned(shape, name):
    """So its rings still lie around the middle of its scan, and a step is between the same slices."""
    turns = TURNS_3D if len(shape) == 4 else TURNS_2D
    rng, count = np.random.default_rng(4), len(turns)
    grey = np.stack([rng.integers(0, 90, shape)] * count).astype(np.uint8)
    labels = np.stack([rng.integers(0, 3, shape[1:])] * count).astype(np.uint8)
    records = varied(count, **STRONG[name])
    plain = changed(grey, labels, variation=records)
    turned = changed(grey, labels, variation=records, turn=range(count))
    assert not torch.equal(plain[0], torch.from_numpy(grey).float())
    for code, (kind, argument) in enumerate(turns):
        for before, after in zip(plain, turned, strict=True):
            expected = before[code]
            if kind == "flip":
                expected = expected.flip(argument)
            elif kind == "turn":
                expected = torch.rot90(expected, argument, (-2, -1))
            assert torch.equal(after[code], expected), turns[code]


class Copies(TorchDispatchMode):
    """Whether each copy from the CPU to the meta device, which stands for a GPU, is made without waiting.

    The meta device holds no values: whatever had to wait for one (item, nonzero, a mask as an index) fails.
    """

    def __init__(self):
        super().__init__()
        self.pinned, self.found = [], []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        kwargs, aten = kwargs or {}, torch.ops.aten
        if func is aten.is_pinned.default:
            return any(args[0] is tensor for tensor in self.pinned)
        if func is aten._pin_memory.default:
            self.pinned.append(args[0].clone())
            return self.pinned[-1]
        made = func(*args, **kwargs)
        if func in (aten._to_copy.default, aten.copy_.default) and made.is_meta:
            source = args[1] if func is aten.copy_.default else args[0]
            if not source.is_meta:
                is_pinned = any(source is tensor for tensor in self.pinned)
                self.found.append(is_pinned and kwargs.get("non_blocking", False))
        return made


@pytest.mark.parametrize("name", ["none", *TRANSFORMS])
def test_no_number_of_a_batch_is_sent_so_that_a_gpu_is_waited_for(name):
    device, records = torch.device("meta"), varied(6, **STRONG.get(name, {}))
    found = plan(6, turn=range(6), brightness=[0.5] * 6, contrast=[2.0] * 6)
    # of several processes each takes every other patch
    found = replace(found, variation=None if name == "none" else records).every(1, 2)
    with Copies() as copies:
        patches, target = prepare(
            torch.zeros(3, 1, 16, 16, dtype=torch.uint16, device=device),
            torch.zeros(3, 16, 16, dtype=torch.uint16, device=device),
            plan=found,
            numbers=Numbers.of([Normalisation("ZScore", 0.0, 1.0, -5.0, 5.0)], device),
            classes=torch.arange(256, device=device),
        )
    assert patches.is_meta
    assert target.is_meta
    assert len(copies.found) >= 4
    assert all(copies.found)


@pytest.mark.gpu
def test_a_gpu_is_not_waited_for_and_prepares_the_same_patches():
    if not torch.cuda.is_available():
        pytest.skip("no CUDA GPU here; the CPU twin is the test above")
    rng = np.random.default_rng(4)
    grey = torch.from_numpy(rng.integers(0, 90, (6, 1, 16, 16)).astype(np.uint16))
    labels = torch.from_numpy(rng.integers(0, 3, (6, 16, 16)).astype(np.uint8))
    columns = {name: value for strong in STRONG.values() for name, value in strong.items()}
    drawn = plan(6, turn=range(6), brightness=[0.5] * 6, contrast=[2.0] * 6)
    drawn = replace(drawn, variation=varied(6, **columns))
    made = {}
    for kind in ("cpu", "cuda"):
        device = torch.device(kind)
        pair, classes = (grey.to(device), labels.to(device)), torch.arange(256, device=device)
        numbers = Numbers.of([Normalisation("ZScore", 45.0, 0.05, -5.0, 5.0)], device)
        prepare(*pair, plan=drawn, numbers=numbers, classes=classes)  # the first one sets things up
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # torch calls this mode a prototype
            torch.cuda.set_sync_debug_mode("error")
        try:
            made[kind] = prepare(*pair, plan=drawn, numbers=numbers, classes=classes)
        finally:
            torch.cuda.set_sync_debug_mode("default")
    assert torch.allclose(made["cpu"][0], made["cuda"][0].cpu(), atol=1e-3)
    assert (made["cpu"][1] != made["cuda"][1].cpu()).float().mean() < 0.01
