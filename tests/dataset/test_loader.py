"""Batches read ahead: the same for any number of threads, raw values as stored."""

from itertools import combinations_with_replacement

import numpy as np
import pytest
import torch

from bone_backend.dataset.augmentation import TURNS_2D, TURNS_3D, Numbers, prepare
from bone_backend.dataset.loader import Loader, PairSource, PatchLayout, common_dtype
from bone_backend.dataset.plan import PAPER_2D, Extent, PatchShape, draw_plan
from bone_backend.fitting import fit
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.options.programs import FitOptions
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import ArrayVolume, open_volume, save
from mocks.scans import Phantom


def pair(rng, shape, dtype, folder):
    high = 255 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    scan = (rng.random(shape) * high).astype(dtype)
    mask = rng.integers(0, 3, shape).astype(np.uint8)
    sources = [open_source(ArrayVolume(array, name="made"), folder=folder) for array in (scan, mask)]
    return scan, mask, PairSource(*sources)


def made(tmp_path, dtypes=(np.uint8, np.uint16)):
    rng = np.random.default_rng(5)
    shapes = [(6, 50, 60), (4, 40, 70)]
    return [pair(rng, shape, dtype, tmp_path) for shape, dtype in zip(shapes, dtypes, strict=True)]


SLICE_PATCH = PatchShape(1, 32, 32)


def epoch(pairs, patch=SLICE_PATCH, **more):
    extents = [Extent(*scan.shape) for scan, _, _ in pairs]
    return draw_plan(
        extents,
        patch,
        scans=range(len(pairs)),
        patches_per_tile=3,
        max_overlap=1,
        seed=4,
        epoch=0,
        chances=PAPER_2D,
        **more,
    )


def read(pairs, plan, layout, **more):
    with Loader([p[2] for p in pairs], layout, batch_size=8, **more) as loader:
        return [(b.grey.numpy().copy(), b.labels.numpy().copy(), b.plan) for b in loader.batches(plan)]


def test_every_patch_is_the_plans_crop_of_its_scan(tmp_path):
    pairs = made(tmp_path)
    plan = epoch(pairs)
    batches = read(pairs, plan, PatchLayout(PatchShape(1, 32, 32)))
    grey, labels = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    assert grey.dtype == np.uint16
    for i in range(len(plan)):
        z, y, x = plan.z[i], plan.y[i], plan.x[i]
        scan, mask, _ = pairs[plan.scan[i]]
        assert np.array_equal(grey[i, 0], scan[z, y : y + 32, x : x + 32])
        assert np.array_equal(labels[i], mask[z, y : y + 32, x : x + 32])


def test_one_and_eight_threads_give_the_same_batches(tmp_path):
    pairs = made(tmp_path)
    plan = epoch(pairs)
    one, eight = (read(pairs, plan, PatchLayout(PatchShape(1, 32, 32)), threads=n) for n in (1, 8))
    assert len(one) == len(eight) == 4
    for left, right in zip(one, eight, strict=True):
        assert np.array_equal(left[0], right[0])
        assert np.array_equal(left[1], right[1])


def test_batches_are_of_even_size_and_none_is_tiny(tmp_path):
    pairs = made(tmp_path)
    plan = epoch(pairs).part(0, 17)
    assert [len(batch[0]) for batch in read(pairs, plan, PatchLayout(PatchShape(1, 32, 32)))] == [5, 6, 6]


def test_an_epoch_can_be_entered_at_any_batch(tmp_path):
    pairs = made(tmp_path)
    plan = epoch(pairs)
    layout = PatchLayout(PatchShape(1, 32, 32))
    whole = read(pairs, plan, layout)
    with Loader([p[2] for p in pairs], layout, batch_size=8) as loader:
        late = [batch.grey.numpy().copy() for batch in loader.batches(plan, first=2)]
    assert len(late) == 2
    assert np.array_equal(late[0], whole[2][0])


def test_neighbouring_slices_become_channels_and_repeat_at_the_ends(tmp_path):
    pairs = made(tmp_path)
    plan = epoch(pairs)
    batches = read(pairs, plan, PatchLayout(PatchShape(1, 32, 32), channels=5))
    grey = np.concatenate([batch[0] for batch in batches])
    assert grey.shape[1] == 5
    for i in range(len(plan)):
        scan = pairs[plan.scan[i]][0]
        wanted = np.clip(np.arange(plan.z[i] - 2, plan.z[i] + 3), 0, len(scan) - 1)
        y, x = plan.y[i], plan.x[i]
        assert np.array_equal(grey[i], scan[wanted, y : y + 32, x : x + 32])


def test_slabs_are_read_as_they_are(tmp_path):
    pairs = made(tmp_path)
    patch = PatchShape(3, 32, 32)
    plan = epoch(pairs, patch, tile_depth=4)
    batches = read(pairs, plan, PatchLayout(patch, is_3d=True))
    grey, labels = (np.concatenate([batch[i] for batch in batches]) for i in (0, 1))
    assert grey.shape[1:] == (1, 3, 32, 32)
    for i in range(len(plan)):
        scan, mask, _ = pairs[plan.scan[i]]
        box = tuple(slice(a, a + n) for a, n in zip((plan.z[i], plan.y[i], plan.x[i]), patch, strict=True))
        assert np.array_equal(grey[i, 0], scan[box])
        assert np.array_equal(labels[i], mask[box])


@pytest.mark.parametrize(
    ("dtypes", "shared"),
    [
        (("uint8", "uint8"), "uint8"),
        (("uint8", "uint16"), "uint16"),
        (("uint8", "int16"), "int16"),
        (("uint16", "int16"), "int32"),
        (("uint16", "float32"), "float32"),
        (("uint16", "int16", "float32"), "float32"),
        (("uint32", "uint8"), "int32"),
        (("uint64", "int8"), "int64"),
    ],
)
def test_mixed_scans_share_the_smallest_dtype_that_holds_all(dtypes, shared):
    assert common_dtype([np.dtype(name) for name in dtypes]) == shared


def test_a_lost_file_arrives_as_a_fault_and_the_loader_can_be_closed(tmp_path):
    rng = np.random.default_rng(1)
    for name in ("scan", "mask"):
        save(tmp_path / name, rng.integers(0, 3, (5, 40, 40)).astype(np.uint8))
    volumes = [open_volume(tmp_path / name) for name in ("scan", "mask")]
    source = PairSource(*(open_source(volume, folder=tmp_path) for volume in volumes))
    extents = [Extent(5, 40, 40)]
    plan = draw_plan(
        extents,
        PatchShape(1, 32, 32),
        scans=[0],
        patches_per_tile=2,
        max_overlap=1,
        seed=1,
        epoch=0,
        chances=None,
    )
    for path in (tmp_path / "scan").iterdir():
        path.unlink()
    from bone_backend.errors import ScanError

    with (
        Loader([source], PatchLayout(PatchShape(1, 32, 32)), batch_size=2) as loader,
        pytest.raises(ScanError, match="scan"),
    ):
        list(loader.batches(plan))


MASK_DTYPES = ("int8", "uint8", "int16", "uint16", "int32", "uint32", "int64", "uint64")


@pytest.mark.parametrize("is_3d", [False, True])
@pytest.mark.parametrize("dtypes", list(combinations_with_replacement(MASK_DTYPES, 2)), ids="+".join)
def test_masks_of_any_two_dtypes_are_read_and_turned_with_their_labels(tmp_path, dtypes, is_3d):
    """From files and from an array, as torch takes them."""
    rng, pairs = np.random.default_rng(3), []
    for number, dtype in enumerate(dtypes):
        high = 127 if "int8" in dtypes else 65535 if np.dtype(dtype).itemsize > 2 else np.iinfo(dtype).max
        scan = rng.integers(0, 255, (4, 24, 24)).astype(np.uint8)
        mask = rng.choice([0, 1, high], (4, 24, 24)).astype(dtype)
        volume = ArrayVolume(mask, name="made")
        if number == 0:
            np.save(tmp_path / "mask.npy", mask)
            volume = open_volume(tmp_path / "mask.npy")
        sources = [open_source(v, folder=tmp_path) for v in (ArrayVolume(scan, name="made"), volume)]
        pairs.append((scan, mask, PairSource(*sources)))
    patch = PatchShape(2, 16, 16) if is_3d else PatchShape(1, 16, 16)
    plan = epoch(pairs, patch, tile_depth=2 if is_3d else 1)
    plan.turn[::2] = 1
    numbers = Numbers.of([Normalisation("ZScore", 0.0, 1.0, -5.0, 5.0)] * 2, torch.device("cpu"))
    layout = PatchLayout(patch, is_3d=is_3d)
    for grey, labels, part in read(pairs, plan, layout):
        _, target = prepare(
            torch.from_numpy(grey),
            torch.from_numpy(labels),
            plan=part,
            numbers=numbers,
            classes=torch.arange(65536),
        )
        for i, first in enumerate(zip(part.z, part.y, part.x, strict=True)):
            box = tuple(slice(a, a + n) for a, n in zip(first, patch, strict=True))
            wanted = torch.from_numpy(pairs[part.scan[i]][1][box].astype(np.int64)).view(target[i].shape)
            kind, argument = (TURNS_3D if is_3d else TURNS_2D)[part.turn[i]]
            if kind == "flip":
                wanted = wanted.flip(argument)
            elif kind == "turn":
                wanted = torch.rot90(wanted, argument, (-2, -1))
            assert torch.equal(target[i], wanted)


@pytest.mark.slow
def test_a_fit_takes_masks_of_unsigned_32_and_64_bits(tmp_path):
    pairs = []
    for number, dtype in enumerate(["uint32", "uint64", "int8"]):
        grey, labels = Phantom(shape=(8, 48, 48), seed=number).slab(0, 8)
        for kind, array in (("scan", grey), ("mask", labels.astype(dtype))):
            np.save(tmp_path / f"{kind}_{number}.npy", array)
        pairs.append(tuple(str(tmp_path / f"{kind}_{number}.npy") for kind in ("scan", "mask")))
    values = {"patch_size": 32, "patches_per_tile": 1, "batch_size": 8, "epochs": 1, "precision": "fp32"}
    values |= {"pairs": pairs, "output": str(tmp_path / "run"), "architecture": "Plain U-Net"}
    values |= {"train_split": 0.6, "foreground_share": 0.5}
    assert 0 < fit(FitOptions.parse(values)).best_val_iou <= 1
