"""Who trains and who validates: whole scans, or a slab of every scan; voxels are counted on either side."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bone_backend.dataset.checks import count_labels, read_labels
from bone_backend.dataset.contents import ContentsMaker
from bone_backend.dataset.pairs import OpenPair
from bone_backend.dataset.settled import settled
from bone_backend.dataset.views import View
from bone_backend.options.programs import FitOptions, Pair
from bone_backend.training.sides import part
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.header import Header


def masks(*depths: int) -> list[np.ndarray]:
    """Bone in the left half of every slice, pores in a column of every third."""
    made = []
    for depth in depths:
        mask = np.zeros((depth, 20, 20), np.uint8)
        mask[:, :, :10] = 1
        mask[::3, 2, :5] = 2
        made.append(mask)
    return made


def sides_of(volumes, *, subjects=(), **values):
    names = [f"scan_{n}" for n in range(len(volumes))]
    subjects = subjects or [None] * len(volumes)
    pairs = [
        OpenPair(
            name,
            Pair(scan=Path(name), mask=Path(f"mask_of_{name}"), subject=subject),
            Header(name, mask.shape, np.dtype(np.uint8)),
            scan=None,
            mask=None,
        )
        for name, mask, subject in zip(names, volumes, subjects, strict=True)
    ]
    given = [[str(pair.pair.scan), str(pair.pair.mask)] for pair in pairs]
    options = FitOptions.parse({"pairs": given, "output": "run"} | values)
    chosen, _ = settled(options, names, [mask.shape for mask in volumes])
    makers = [ContentsMaker() for _ in volumes]
    counted = [
        count_labels(ArrayVolume(mask, name="mask"), contents=maker)
        for mask, maker in zip(volumes, makers, strict=True)
    ]
    labels = read_labels(counted, names)
    contents = tuple(
        maker.by_class(labels.table, labels.num_classes, slices=len(mask))
        for maker, mask in zip(makers, volumes, strict=True)
    )
    return part(chosen, pairs, type(labels)(labels.values, labels.table, labels.counts, contents)), labels


def counted(mask, *parts):
    """Voxels of each class in some slices, the slow way."""
    return [sum(int((mask[first:last] == value).sum()) for first, last in parts) for value in (0, 1, 2)]


def test_one_pair_alone_trains_and_validates_on_slices_of_its_own():
    (mask,) = masks(50)
    sides, labels = sides_of([mask])
    assert (sides.training, sides.validation) == ((0,), (0,))
    ((first, last),) = sides.slabs
    assert last - first == 10
    trained = [view.part for view in sides.views if not view.validates]
    assert sides.views[-1] == View(0, 0, (first, last), validates=True)
    assert sides.judged.counts[0].tolist() == counted(mask, (first, last))
    assert sides.learnt.counts[0].tolist() == counted(mask, *trained)
    left_out = labels.counts[0] - sides.judged.counts[0] - sides.learnt.counts[0]
    gaps = [z for z in range(50) if not any(a <= z < b for a, b in [*trained, (first, last)])]
    assert left_out.tolist() == counted(mask, *[(z, z + 1) for z in gaps])
    assert {first - 1, last} & set(gaps)
    assert len(gaps) <= 4
    assert sides.notes[0].startswith(
        f"Every scan trains; for validation a slab of each is left out (slices scan_0 {first + 1}-{last})."
    )


def test_a_scan_too_thin_for_a_slab_only_trains():
    volumes = masks(50, 9, 40)
    sides, labels = sides_of(volumes)
    assert (sides.training, sides.validation) == ((0, 1, 2), (0, 2))
    assert sides.slabs[1] is None
    assert View(1, 0) in sides.views
    assert sides.judged.counts[1].tolist() == [0, 0, 0]
    assert sides.learnt.counts[1].tolist() == labels.counts[1].tolist()


@pytest.mark.parametrize(
    ("values", "depths"),
    [
        ({}, (30,) * 5),
        ({"validation": "scans"}, (30, 30)),
        ({"validation_pairs": [2]}, (30, 30)),
        ({}, (8, 9, 7)),  # every one is too thin for a slab
    ],
)
def test_whole_scans_validate_from_five_on_or_where_the_user_says_so_or_all_are_thin(values, depths):
    sides, labels = sides_of(masks(*depths), **values)
    assert sides.slabs == (None,) * len(depths)
    assert not set(sides.training) & set(sides.validation)
    assert sorted(sides.training + sides.validation) == list(range(len(depths)))
    assert sides.views == [View(n, 0, validates=n in sides.validation) for n in range(len(depths))]
    assert sides.learnt.counts.tolist() == sides.judged.counts.tolist() == labels.counts.tolist()
    assert sides.notes == ()


def test_scans_of_one_subject_count_as_one():
    subjects = ["Ada", "Ada", "Bo", "Bo", "Cy"]
    assert all(sides_of(masks(*(30,) * 5), subjects=subjects)[0].slabs)
    assert not any(sides_of(masks(*(30,) * 5), subjects=["A", "B", "C", "D", None])[0].slabs)
