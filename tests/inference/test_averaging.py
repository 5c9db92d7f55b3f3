"""The mean over mirrored and turned chunks, and over several models, is that of a plain float64 loop."""

from __future__ import annotations

import itertools
import json
import logging
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import OptionError
from bone_backend.inference import labelling, opening
from bone_backend.inference.labels import ClassMap
from bone_backend.inference.merging import Merger
from bone_backend.inference.streaming import ChunkPredictor, deepest, plan_groups
from bone_backend.inference.symmetry import symmetries
from bone_backend.inference.windows import layout
from bone_backend.intensity.normalisation import Normalisation
from bone_backend.model_files import model_file
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import silent
from bone_backend.volumes.volume import ArrayVolume, open_volume, save
from tests.prediction_models import is_clear, load_network, make_model, plain_labels, plain_probabilities

SHAPE = (2, 64, 84)
AVERAGES = ("flips", "turns")


def made_scan() -> np.ndarray:
    random = np.random.default_rng(3)
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return (120 + 80 * np.sin(y / 9 + z / 5) * np.cos(x / 7) + random.normal(0, 10, SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """A scan, and three models: the second has another head, the third other greys too."""
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("averaging")
    save(folder / "scan.tif", made_scan(), voxel_size=(5.0, 5.0, 5.0))
    first = make_model(folder / "a.pth", patch_size=32, is_plain=False)
    header = model_file.read_header(first)
    state = model_file.load_state(first, header)
    state["segmentation_head.0.weight"] = state["segmentation_head.0.weight"].flip(1)
    for name, more in (("b.pth", {}), ("c.pth", {"normalization": "minMax"})):
        model_file.save_model(folder / name, state=state, metadata={**header.metadata, **more}, bone={})
    return folder


def options(made: Path, *models: str, output: Path = Path("labels.tif"), **more) -> PredictOptions:
    first, *others = (made / f"{name}.pth" for name in models)
    told = {"scan": made / "scan.tif", "output": output, "model": first, "more_models": others}
    return PredictOptions.parse({**told, "chunk_size": 64, "precision": "fp32", "device": "cpu", **more})


def turned_loop(
    network, scan: np.ndarray, average: str, *, chunk: int = 64, overlap: float = 0.25
) -> np.ndarray:
    """Mean probabilities (class, z, y, x): each window in every image, by numpy, float64."""

    class Seen(torch.nn.Module):
        def forward(self, batch):
            images = [(flip, turns) for flip in ((), (-1,)) for turns in range(4)]
            if average == "flips":
                images = [(flip, 0) for n in range(3) for flip in itertools.combinations((-2, -1), n)]
            total = 0.0
            for flip, turns in images:
                seen = np.rot90(np.flip(batch.numpy(), flip), turns, (-2, -1)).copy()
                logits = network(torch.from_numpy(seen).double()).detach().numpy()
                shares = np.exp(logits)
                shares /= shares.sum(axis=1, keepdims=True)
                total = total + np.flip(np.rot90(shares, -turns, (-2, -1)), flip)
            return torch.from_numpy(np.log(total / len(images)))  # of which the softmax is the mean again

    return plain_probabilities(Seen(), scan, chunk=chunk, overlap=overlap)


@pytest.mark.parametrize("average", ["none", *AVERAGES])
@pytest.mark.parametrize("is_3d", [False, True])
def test_every_way_to_look_is_another_and_turns_back(average, is_3d):
    ways = symmetries(average, is_3d=is_3d)
    batch = torch.arange(2 * 3 * 4 * 5 * 6.0).reshape(2, 3, 4, 5, 6)
    square = torch.arange(4 * 5 * 5.0).reshape(1, 1, 4, 5, 5)
    assert all(torch.equal(way.back(way.of(batch)), batch) for way in ways)
    assert len({tuple(way.of(square).flatten().tolist()) for way in ways}) == len(ways)


@pytest.mark.parametrize("average", AVERAGES)
def test_the_mean_over_all_images_of_each_window_is_that_of_a_float64_loop(made, average):
    torch.manual_seed(5)
    network, scan = (
        torch.nn.Conv2d(1, 3, 7, padding=3),
        made_scan(),
    )  # rounds little, knows its left
    network.requires_grad_(False).weight.mul_(6)
    voxels = scan[scan != 0].astype(np.float64)
    numbers = Normalisation("ZScore", float(voxels.mean()), 1 / float(voxels.std()), -5, 5)
    model = model_file.read_header(made / "a.pth")
    asked = options(made, "a", average=average)
    predictor = ChunkPredictor(network, device=torch.device("cpu"), precision=None, ways=symmetries(average))
    chunks = opening.cut(asked, SHAPE, model)
    assert chunks.per_tile == 2
    class_map = ClassMap.from_model(None, 3)
    groups, merger = labelling.plan(asked, predictor, chunks=chunks, class_map=class_map, model=model)
    found: list[torch.Tensor] = []
    labelling.stream(
        ArrayVolume(scan),
        predictor,
        groups=groups,
        merger=merger,
        numbers=numbers,
        progress=silent,
        finish=lambda end, _: found.append(merger.take_means(end)),
    )
    probabilities = torch.cat(found).numpy().transpose(1, 0, 2, 3)
    plain = plain_probabilities(network, scan, chunk=64)
    expected = turned_loop(network.double(), scan, average)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)
    assert abs(plain - expected).max() > 0.01  # else it would prove nothing


@given(
    average=st.sampled_from(AVERAGES),
    shape=st.tuples(st.integers(1, 5), st.integers(32, 50), st.integers(32, 50)),
    overlap=st.sampled_from((0.0, 0.25, 0.5)),
    height=st.integers(1, 6),
    batch=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
@settings(max_examples=12, deadline=None)
def test_slabs_of_any_height_in_batches_of_any_size_have_the_mean_of_the_whole_scan(
    average, shape, overlap, height, batch, seed
):
    torch.manual_seed(seed % 1000)
    network = torch.nn.Conv2d(1, 3, 5, padding=2).requires_grad_(False)
    network.weight.mul_(3)
    scan = np.random.default_rng(seed).integers(1, 255, shape).astype(np.uint8)
    numbers = Normalisation("ZScore", float(scan.mean()), 1 / float(scan.std()), -5, 5)
    chunks = layout(shape, (1, 32, 32), overlap=overlap)
    predictor = ChunkPredictor(
        network, device=torch.device("cpu"), precision=None, batch_size=batch, ways=symmetries(average)
    )
    groups = plan_groups(chunks, tiles_at_once=height, context=0)
    merger = Merger(
        chunks, class_map=ClassMap.from_model(None, 3), depth=deepest(groups, chunks), threshold=0.5
    )
    found: list[torch.Tensor] = []
    labelling.stream(
        ArrayVolume(scan),
        predictor,
        groups=groups,
        merger=merger,
        numbers=numbers,
        progress=silent,
        finish=lambda end, _: found.append(merger.take_means(end)),
    )
    probabilities = torch.cat(found).numpy().transpose(1, 0, 2, 3)
    expected = turned_loop(network.double(), scan, average, chunk=32, overlap=overlap)
    np.testing.assert_allclose(probabilities, expected, atol=1e-6)


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


@pytest.mark.parametrize("models", [("a", "b"), ("a", "c")], ids=["same greys", "other greys"])
def test_labels_of_several_models_are_those_of_their_mean(made, tmp_path, monkeypatch, caplog, models):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    with caplog.at_level(logging.INFO, "bone.prediction"):
        result = predict(options(made, *models, output=tmp_path / "labels.tif"))
    modes = {"a": "ZScore", "b": "ZScore", "c": "minMax"}
    mean = sum(
        plain_probabilities(load_network(made / f"{name}.pth"), made_scan(), chunk=64, mode=modes[name])
        for name in models
    ) / len(models)
    clear = is_clear(mean)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(read(tmp_path / "labels.tif")[clear], plain_labels(mean)[clear])
    assert result.models == 2
    told = "\n".join(caplog.messages)
    assert "2 models: 2 times the work of one pass." in told
    assert ("are kept in" in told) == (models[1] == "c")  # room on disk only where passes cross
    assert not [path for path in (tmp_path / "cache").rglob("*") if "bricks" in path.name]


def test_models_that_do_not_go_together_are_refused(made, tmp_path):
    names = [{"value": 0, "name": "background"}, {"value": 1, "name": "bone"}, {"value": 2, "name": "pin"}]
    make_model(
        tmp_path / "named.pth", bone={"classes": names, "voxel_size_um": [(50, 50, 50)]}, is_plain=False
    )
    make_model(tmp_path / "sized.pth", bone={"voxel_size_um": [(10, 10, 10)]}, is_plain=False)
    make_model(tmp_path / "other.pth", bone={"voxel_size_um": [(50, 50, 50)]}, is_plain=False)
    with pytest.raises(OptionError, match=r"a\.pth knows the classes 0 background, .*named\.pth .*2 pin"):
        opening.read_models(options(made, "a", more_models=[tmp_path / "named.pth"]))
    with pytest.raises(OptionError, match=r"voxels of 10 um, other\.pth of 50 um"):
        opening.read_models(options(tmp_path, "sized", "other"))
    with pytest.raises(OptionError, match="named twice"):
        opening.read_models(options(made, "a", "a"))


@pytest.mark.parametrize("models", [("a", "b"), ("a", "c")], ids=["same greys", "other greys"])
def test_models_count_as_their_weights_say(made, tmp_path, monkeypatch, caplog, models):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    asked = options(made, *models, output=tmp_path / "labels.tif", model_weights=[5, 1])
    with caplog.at_level(logging.INFO, "bone.prediction"):
        predict(asked)
    modes = {"a": "ZScore", "b": "ZScore", "c": "minMax"}
    each = [
        plain_probabilities(load_network(made / f"{name}.pth"), made_scan(), chunk=64, mode=modes[name])
        for name in models
    ]
    mean = (5 * each[0] + each[1]) / 6
    clear = is_clear(mean)
    assert clear.mean() > 0.95
    np.testing.assert_array_equal(read(tmp_path / "labels.tif")[clear], plain_labels(mean)[clear])
    assert (plain_labels(mean) != plain_labels((each[0] + each[1]) / 2)).any()  # else it would prove nothing
    assert "2 models that count 5 to 1: 2 times the work" in "\n".join(caplog.messages)
    record = json.loads((tmp_path / "labels.tif.record.json").read_text())
    assert record["options"]["model_weights"] == [5, 1]


def test_weights_that_do_not_fit_the_models_are_refused(made):
    with pytest.raises(OptionError, match=r"has 3 numbers, but 2 models are named[.] Give one"):
        options(made, "a", "b", model_weights=[1, 2, 3])
    with pytest.raises(OptionError, match=r"has 2 numbers, but 1 model is named"):
        options(made, "a", model_weights=[1, 2])
    with pytest.raises(OptionError, match="model_weights"):
        options(made, "a", "b", model_weights=[1, 0])
