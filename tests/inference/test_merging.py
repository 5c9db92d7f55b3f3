"""Merging is a true mean: checked on cases made by hand and against a plain float64 loop."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.inference.labels import LEVELS, ClassMap, Confidence
from bone_backend.inference.merging import Merger, highest_class
from bone_backend.inference.windows import Axis, Layout, layout


def four_times_the_same_voxel(merge="uniform", threshold=0.0) -> Merger:
    """Four windows along x, all over one voxel (1, 1, 1) of a scan of one voxel."""
    chunks = Layout(Axis(1, 1, (0,)), Axis(1, 1, (0,)), Axis(1, 1, (0, 0, 0, 0)))
    return Merger(chunks, class_map=ClassMap.from_model(None, 2), depth=1, threshold=threshold, merge=merge)


@pytest.mark.parametrize(
    ("values", "mean"),
    [((0, 0, 0, 1), 0.25), ((0.1, 0.2, 0.3, 0.4), 0.25), ((0, 0, 0, 0), 0.0), ((1, 1, 0, 0), 0.5)],
)
def test_overlapping_chunks_give_their_true_mean(values, mean):
    merger = four_times_the_same_voxel()
    for value in values:
        merger.add(0, (0, 0), torch.tensor([1 - value, value]).view(2, 1, 1))
    assert merger.sums[0, 1, 0, 0].item() / 4 == pytest.approx(mean)
    labels = merger.take(1)
    assert labels.item() == int(mean > 0.5)
    assert merger.counts()[0, round(200 * (1 - mean))] == 1


def test_three_zeros_and_a_one_are_background_where_empatches_says_bone():
    from empatches import EMPatches

    merged = EMPatches().merge_patches(
        [np.full((1, 1), v, np.float32) for v in (0, 0, 0, 1)], [(0, 1, 0, 1)] * 4, mode="avg"
    )
    assert merged.item() == 1.0  # 0 means "unwritten" there, and 1 is what is left
    merger = four_times_the_same_voxel()
    for value in (0.0, 0.0, 0.0, 1.0):
        merger.add(0, (0, 0), torch.tensor([1 - value, value]).view(2, 1, 1))
    assert merger.take(1).item() == 0


def plain_merge(probabilities, chunks, merge, threshold, values):
    """The same in float64, voxel sums and weights written out; labels and means (class, z, y, x)."""
    classes = len(values)
    extent = tuple(axis.extent for axis in (chunks.z, chunks.y, chunks.x))
    sums, weights = np.zeros((classes, *extent)), np.zeros(extent)
    shape = tuple(axis.length for axis in (chunks.z, chunks.y, chunks.x))
    weight = np.ones(chunks.size)
    for i, axis in enumerate((chunks.z, chunks.y, chunks.x)):
        along = [1, 1, 1]
        along[i] = -1
        weight = weight * axis.weights(merge).astype(float).reshape(along)
    for (z, y, x), chunk in probabilities.items():
        here = tuple(slice(o, o + s) for o, s in zip((z, y, x), chunks.size, strict=True))
        sums[(slice(None), *here)] += weight * chunk
        weights[here] += weight
    mean = (sums / weights)[:, : shape[0], : shape[1], : shape[2]]
    labels = np.array(values)[mean.argmax(axis=0)]
    labels[mean.max(axis=0) < threshold] = 0
    return labels, mean


@settings(max_examples=40, deadline=None)
@given(
    shape=st.tuples(st.integers(1, 9), st.integers(1, 20), st.integers(1, 20)),
    size=st.tuples(st.sampled_from([1, 2, 4, 6]), st.sampled_from([4, 8]), st.sampled_from([4, 6, 10])),
    overlap=st.sampled_from([0.0, 0.25, 0.5]),
    merge=st.sampled_from(["uniform", "gaussian"]),
    values=st.sampled_from([(0, 1), (0, 1, 2), (0, 3, 1000), (5, 0), (1, 2)]),
    threshold=st.sampled_from([0.0, 0.5, 0.6]),
    seed=st.integers(0, 2**32 - 1),
)
def test_merged_labels_equal_a_plain_float64_loop(shape, size, overlap, merge, values, threshold, seed):
    chunks = layout(shape, size, overlap=overlap, multiple=(size[0], 2, 2))
    random = np.random.default_rng(seed)
    class_map = ClassMap.from_model([{"value": v} for v in values], len(values))
    probabilities = {}
    for z in chunks.z.offsets:
        for y, x in chunks.corners():
            drawn = random.random((len(values), *chunks.size)).astype(np.float32)
            probabilities[z, y, x] = drawn / drawn.sum(axis=0)
    expected, mean = plain_merge(probabilities, chunks, merge, threshold, values)

    merger = Merger(
        chunks, class_map=class_map, depth=min(size[0], shape[0]), threshold=threshold, merge=merge
    )
    labels = []
    for z, following in zip(chunks.z.offsets, [*chunks.z.offsets[1:], shape[0]], strict=True):
        for y, x in chunks.corners():
            merger.add(z, (y, x), torch.from_numpy(probabilities[z, y, x]))
        labels.append(merger.take(following).numpy())
    found = np.concatenate(labels)
    assert found.dtype == class_map.dtype

    highest = np.sort(mean, axis=0)
    is_clear = (highest[-1] - highest[-2] > 1e-5) & (abs(highest[-1] - threshold) > 1e-5)
    np.testing.assert_array_equal(found[is_clear], expected[is_clear])
    told = Confidence(class_map, merger.counts())
    assert told.voxels == {str(v): int((found == v).sum()) for v in sorted({0, *values})}
    assert told.to_dict()["mean"] == pytest.approx(highest[-1].mean(), abs=0.003)
    assert not merger.has_lost_numbers()


def test_the_first_of_equal_classes_wins():
    _, classes, _ = highest_class(torch.tensor([0.3, 0.35, 0.35]).view(3, 1, 1), torch.zeros(1, 1))
    assert classes.item() == 1


def test_a_confidence_at_the_threshold_is_kept_and_below_it_is_background():
    sums = torch.tensor([[0.4, 0.4], [0.5, 0.6]]).view(2, 1, 2)
    limit = torch.tensor([[0.5, 0.61]])
    _, classes, uncertain = highest_class(sums, limit)
    assert classes.tolist() == [[1, 1]]
    assert uncertain.tolist() == [[0, 1]]


def test_numbers_that_were_lost_are_noticed():
    merger = four_times_the_same_voxel()
    for _ in range(4):
        merger.add(0, (0, 0), torch.full((2, 1, 1), torch.nan))
    merger.take(1)
    assert merger.has_lost_numbers()


def test_counting_in_parts_as_on_a_gpu_equals_counting_at_once():
    levels, classes = torch.randint(0, LEVELS, (5000,)), torch.randint(0, 4, (5000,))
    placed = (levels + classes * 256).to(torch.float32) + 0.5
    parts = sum(part.histc(4 * 256, 0, 4 * 256) for part in placed.split(999))
    expected = torch.bincount(levels + classes * 256, minlength=4 * 256)
    assert torch.equal(parts.to(torch.int64), expected)
