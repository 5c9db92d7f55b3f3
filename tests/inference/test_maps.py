"""Maps and means of several passes are those of plain numpy on the whole volume, for slabs of any height."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.inference.maps import layers
from bone_backend.inference.passes import Means

SHAPES = st.tuples(st.integers(1, 40), st.integers(1, 37), st.integers(1, 35))
SEEDS = st.integers(0, 2**32 - 1)


def made_probabilities(shape: tuple[int, ...], classes: int, seed: int) -> np.ndarray:
    """float32 (z, class, y, x): from sure to unsure, some exactly 0 and 1."""
    random = np.random.default_rng(seed)
    logits = random.normal(0, random.choice([0.1, 2, 30]), (shape[0], classes, *shape[1:]))
    found = np.exp(logits - logits.max(axis=1, keepdims=True))
    return (found / found.sum(axis=1, keepdims=True)).astype(np.float32)


def cuts(total: int, height: int) -> list[slice]:
    return [slice(first, min(first + height, total)) for first in range(0, total, height)]


@given(shape=SHAPES, classes=st.integers(1, 4), seed=SEEDS, height=st.integers(1, 41))
@settings(max_examples=40, deadline=None)
def test_maps_are_those_of_the_whole_volume(shape, classes, seed, height):
    means = made_probabilities(shape, classes, seed)
    asked = ["entropy", "probabilities", "confidence"]
    slabs = [layers(torch.from_numpy(means[cut]), asked) for cut in cuts(shape[0], height)]
    found = [np.concatenate(parts) for parts in zip(*slabs, strict=True)]

    exact = means.astype(np.float64)
    logs = np.log(exact, where=exact > 0, out=np.zeros_like(exact))
    entropy = -(exact * logs).sum(axis=1) / np.log(max(classes, 2))
    expected = [entropy, *exact.transpose(1, 0, 2, 3), exact.max(axis=1)]
    assert len(found) == len(expected) == classes + 2
    for one, plain in zip(found, expected, strict=True):
        assert (one.dtype, one.shape) == (np.uint8, shape)
        level = 255 * plain
        clear = abs(level % 1 - 0.5) > 1e-3  # elsewhere rounding may go either way
        np.testing.assert_array_equal(one[clear], np.round(level[clear]))
        assert (abs(one - level) <= 0.502).all()


@given(
    shape=SHAPES,
    classes=st.integers(2, 4),
    seed=SEEDS,
    heights=st.tuples(*[st.integers(1, 41)] * 3),
    again=st.integers(0, 10),
)
@settings(max_examples=25, deadline=None)
def test_means_of_three_axes_are_those_of_the_whole_volume_also_when_broken_off(
    shape, classes, seed, heights, again
):
    """again: behind so many slabs the work begins anew with what is on the disk."""
    passes = [made_probabilities(shape, classes, seed + number) for number in range(3)]
    with TemporaryDirectory() as place:

        def opened() -> Means:
            return Means(shape, classes=classes, weights=(1.0, 1.0, 1.0), folder=Path(place))

        means, added = opened(), 0
        for axis, (whole, height) in enumerate(zip(passes, heights, strict=True)):
            turned = np.moveaxis(whole.transpose(0, 2, 3, 1), axis, 0)  # (along, a, b, class)
            for cut in cuts(shape[axis], height):
                if added == again:
                    means.__exit__()
                    means = opened()
                    before = (axis, cut.start) if cut.start else (axis - 1, shape[axis - 1])
                    assert means.reached == (before if added else (0, 0))
                means.add(axis, axis, cut.start, torch.from_numpy(turned[cut].transpose(0, 3, 1, 2).copy()))
                added += 1
        slabs = list(means.slabs())
        means.__exit__()
    assert [(a, b) for a, b, _ in slabs][-1][1] == shape[0]
    found = torch.cat([probabilities for _, _, probabilities in slabs]).numpy()
    expected = np.mean(passes, axis=0, dtype=np.float64)
    np.testing.assert_allclose(found[:, 1:], expected[:, 1:], atol=2.4e-5)  # as the docs say
    np.testing.assert_allclose(found[:, 0], expected[:, 0], atol=2.4e-5 * (classes - 1))
