"""Labels cleaned slab by slab are those of scipy on the whole volume, whatever the height of the slabs."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import ndimage

from bone_backend.errors import OptionError
from bone_backend.inference.cleaning import ball, clean, plan
from bone_backend.inference.labels import ClassMap
from bone_backend.options.predicting.cleaning import WAYS, in_order
from bone_backend.options.predicting.prediction import PredictOptions
from bone_backend.progress import Recorder, silent
from bone_backend.volumes.header import Header
from bone_backend.volumes.scratch import Scratch

CLASSES = ClassMap((0, 1, 2), ("background", "bone", "pores"))


class InMemory:
    def __init__(self, array):
        self.array = array.copy()
        self.header = Header("a", array.shape, array.dtype, voxel_size=(10.0, 10.0, 20.0), unit="um")

    def read(self, z0, z1):
        return self.array[z0:z1].copy()

    def put(self, z0, slab):
        self.array[z0 : z0 + len(slab)] = slab


@st.composite
def volumes(draw):
    """Blobs: noise that was smoothed, so that there are parts, holes and thin places."""
    shape = tuple(draw(st.integers(2, most)) for most in (11, 9, 8))
    seed, level = draw(st.integers(0, 2**32 - 1)), draw(st.floats(0.3, 0.7))
    noise = ndimage.uniform_filter(
        np.random.default_rng(seed).random(shape), draw(st.sampled_from((1, 2, 3)))
    )
    ranks = noise.argsort(axis=None).argsort().reshape(shape) / noise.size
    return np.digitize(ranks, [level * 0.8, 0.5 + level / 2]).astype(np.uint8)


def most_frequent(labels: np.ndarray, cube: tuple[slice, ...], value: int) -> int:
    around = labels[cube]
    counts = [np.count_nonzero(around == v) if v != value else 0 for v in range(3)]
    return int(np.argmax(counts))


def on_whole(labels: np.ndarray, way: str, number: float | None, value: int) -> np.ndarray:
    """The same by scipy on the whole volume, and loops over voxels."""
    mask, found = labels == value, labels.copy()
    radius = int(number or 1)
    if way in ("median", "opening", "closing"):
        size = 2 * radius + 1
        if way == "median":
            new, reach = ndimage.median_filter(mask.astype(np.uint8), size).astype(bool), radius
        elif way == "opening":
            kept = ndimage.binary_erosion(mask, ball(radius), border_value=1)
            new, reach = ndimage.binary_dilation(kept, ball(radius)), 2 * radius
        else:
            grown = ndimage.binary_dilation(mask, ball(radius))
            new = mask | (ndimage.binary_erosion(grown, ball(radius), border_value=1) & (labels == 0))
            reach = 0
        for place in np.argwhere(mask & ~new):
            cube = tuple(slice(max(0, p - reach), p + reach + 1) for p in place)
            found[tuple(place)] = most_frequent(labels, cube, value)
        found[new] = value
        return found
    if way in ("fill", "fill-slices"):
        if number is None:
            structure = ndimage.generate_binary_structure(3, 1)
            structure[[0, 2]] &= way == "fill"
            holes = (
                ndimage.binary_fill_holes(mask)
                if way == "fill"
                else np.stack([ndimage.binary_fill_holes(one) for one in mask])
            )
            return np.where(holes & (labels == 0), value, labels).astype(labels.dtype)
        for z in range(len(mask)) if way == "fill-slices" else (slice(None),):
            local, count = ndimage.label(~mask[z])
            for part in range(1, count + 1):
                hole = np.argwhere(local == part)
                inside = (hole > 0).all() and (hole < np.array(local.shape) - 1).all()
                if inside and len(hole) < number:
                    found[z][(local == part) & (labels[z] == 0)] = value
        return found
    local, count = ndimage.label(mask)
    sizes = ndimage.sum_labels(mask, local, range(1, count + 1))
    for part in range(1, count + 1):
        if (way == "islands" and sizes[part - 1] >= number) or (
            way == "largest" and part == int(np.argmax(sizes)) + 1
        ):
            continue
        faces = np.zeros(3, int)
        for place in np.argwhere(local == part):
            for axis in range(3):
                for step in (-1, 1):
                    near = place.copy()
                    near[axis] += step
                    if 0 <= near[axis] < mask.shape[axis] and not mask[tuple(near)]:
                        faces[labels[tuple(near)]] += 1
        found[local == part] = np.argmax(faces)
    return found


@pytest.mark.parametrize("way", WAYS)
@settings(max_examples=25, deadline=None)
@given(labels=volumes(), slab=st.integers(1, 6), value=st.sampled_from((1, 2)), number=st.integers(1, 12))
def test_slabs_of_any_height_give_what_scipy_gives_on_the_whole(way, labels, slab, value, number):
    unit = WAYS[way].unit
    given_number = {"radius": number % 2 + 1, "volume": number, "": None}[unit]
    if way.startswith("fill") and number > 9:
        given_number = None
    word = f"{value}:{way}" + (f"={given_number}" if given_number else "")
    store = InMemory(labels)
    (told,) = clean(store, plan([word], CLASSES, store.header), values=(0, 1, 2), progress=silent, slab=slab)
    expected = on_whole(labels, way, given_number, value)
    np.testing.assert_array_equal(store.array, expected)
    assert told["changed"] == np.count_nonzero(expected != labels)


def test_steps_are_done_in_one_order_and_named_by_value_or_name():
    steps = plan(
        ["1:fill", "pores:islands=0.004mm3", "bone:median"],
        CLASSES,
        InMemory(np.zeros((2, 3, 4), np.uint8)).header,
    )
    assert [(one.step.way, one.value) for one in steps] == [("median", 1), ("islands", 2), ("fill", 1)]
    assert steps[1].number == pytest.approx(2000)
    assert [str(step) for step in in_order(["1:largest", "1:opening=2"])] == ["1:opening=2", "1:largest"]


def test_what_cannot_be_done_is_told_before(tmp_path):
    header = Header("femur", (2, 3, 4), np.dtype(np.uint8))
    with pytest.raises(OptionError, match="no class skin; it has 0 background, 1 bone") as caught:
        plan(["skin:largest", "1:islands=1mm3"], CLASSES, header)
    assert "voxel size of femur is not known" in str(caught.value)


@pytest.mark.parametrize(
    ("word", "told"),
    [
        ("1:largest=3", "largest takes no number"),
        ("1:islands", "say below which volume"),
        ("1:polish", "must be one of median"),
        ("largest", "write it as CLASS:WHAT"),
        ("1:median=9", "a radius of 1 to 5"),
    ],
)
def test_a_wrong_word_says_what_is_right(word, told):
    with pytest.raises(OptionError, match=told):
        PredictOptions.parse({"scan": "a", "model": "m.pth", "output": "o.tif", "clean": [word]})


def test_the_store_on_disk_keeps_what_is_put_and_leaves_nothing(tmp_path):
    labels = np.random.default_rng(0).integers(0, 3, (7, 5, 6)).astype(np.uint16)
    recorder = Recorder()
    with Scratch(Header("a", labels.shape, labels.dtype), folder=tmp_path) as store:
        store.write(labels[:3])
        store.write(labels[3:])
        np.testing.assert_array_equal(store.read(2, 6), labels[2:6])
        steps = plan(["1:largest", "1:fill"], CLASSES, store.header)
        clean(store, steps, values=(0, 1, 2), progress=recorder, slab=2)
        found = np.concatenate([slab for _, slab in store.slabs(100)])
    expected = on_whole(on_whole(labels, "largest", None, 1), "fill", None, 1)
    np.testing.assert_array_equal(found, expected)
    assert not list(tmp_path.iterdir())
    assert [r.step for r in recorder.reports] == sorted(r.step for r in recorder.reports)
