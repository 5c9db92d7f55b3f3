"""A scan labelled along three axes gets the mean of three plain loops; what cannot be is said or refused."""

from __future__ import annotations

import logging

import numpy as np
import pytest
import torch

from bone_backend.errors import OptionError
from bone_backend.inference.passes import choose
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder
from bone_backend.volumes.volume import Header, open_volume, save
from tests.prediction_models import is_clear, load_network, make_model, plain_labels, plain_probabilities

SHAPE = (32, 36, 44)


def header(shape=SHAPE, voxel_size=(5.0, 5.0, 5.0)) -> Header:
    return Header("femur", shape, np.dtype(np.uint16), voxel_size=voxel_size, unit="um")


def made_scan() -> np.ndarray:
    random = np.random.default_rng(3)
    z, y, x = np.meshgrid(*(np.arange(n) for n in SHAPE), indexing="ij")
    return (120 + 80 * np.sin(y / 9 + z / 5) * np.cos(x / 7) + random.normal(0, 10, SHAPE)).astype(np.uint16)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    folder = tmp_path_factory.mktemp("zyx")
    save(folder / "femur", made_scan(), voxel_size=(5.0, 5.0, 5.0))
    return folder


def options(made, tmp_path, **more) -> PredictOptions:
    told = {"scan": made / "femur", "output": tmp_path / "labels", "chunk_size": 32, "batch_size": 4}
    return PredictOptions.parse({**told, "precision": "fp32", **more})


def test_labels_are_those_of_the_mean_of_three_plain_loops(made, tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    torch.set_num_threads(1)
    model = make_model(tmp_path / "m.pth", bone={"options": {"axes": "zyx"}}, patch_size=32)
    scan, network = made_scan(), load_network(model)
    mean = (
        sum(
            np.moveaxis(plain_probabilities(network, np.moveaxis(scan, axis, 0), chunk=32), 1, axis + 1)
            for axis in range(3)
        )
        / 3
    )
    recorder = Recorder()
    result = predict(options(made, tmp_path, model=model), progress=recorder)
    labels = open_volume(tmp_path / "labels").read(0, SHAPE[0])
    clear = is_clear(mean)
    assert clear.mean() > 0.95
    assert (labels == plain_labels(mean))[clear].all()
    assert result.axes == "zyx"
    assert sum(result.voxels.values()) == np.prod(SHAPE)
    assert result.confidence["mean"] == pytest.approx(mean.max(axis=0).mean(), abs=3e-3)
    steps = [report.step for report in recorder.reports]
    assert steps == sorted(steps)
    assert not [path for path in (tmp_path / "cache").rglob("*") if "bricks" in path.name]


def test_a_model_of_slices_along_z_is_used_along_z_unless_asked_otherwise():
    assert choose("auto", None, header(), mode="2D", patch=32, model="m") == ("z", None)
    assert choose("auto", "z", header(), mode="2D", patch=32, model="m") == ("z", None)
    assert choose("zyx", "z", header(), mode="2.5D", patch=32, model="m") == ("zyx", None)
    assert choose("auto", "zyx", header(), mode="2D", patch=32, model="m") == ("zyx", None)
    assert choose("z", "zyx", header(), mode="2D", patch=32, model="m") == ("z", None)


@pytest.mark.parametrize(
    ("seen", "said"),
    [
        (header((12, 36, 44)), "12 x 36 x 44 voxels, and m was fitted on patches of 32 px"),
        (header(voxel_size=(20.0, 5.0, 5.0)), "20 x 5 x 5 um (z, y, x), which are no cubes"),
    ],
    ids=["flat", "stretched"],
)
def test_where_it_makes_no_sense_it_is_said_and_done_along_z(seen, said):
    axes, told = choose("auto", "zyx", seen, mode="2D", patch=32, model="m")
    assert axes == "z"
    assert said in told


def test_what_was_asked_for_is_refused_where_it_cannot_be():
    with pytest.raises(OptionError, match="is a 3D model"):
        choose("zyx", None, header(), mode="3D", patch=32, model="m")
    with pytest.raises(OptionError, match="too narrow"):
        choose("zyx", None, header((12, 36, 44)), mode="2D", patch=32, model="m")
    axes, told = choose("zyx", None, header(voxel_size=(20.0, 5.0, 5.0)), mode="2D", patch=32, model="m")
    assert (axes, "stretched" in told) == ("zyx", True)


def test_the_room_that_it_takes_is_said_before(made, tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    model = make_model(tmp_path / "m.pth", patch_size=32)
    with caplog.at_level(logging.INFO, "bone.prediction"):
        predict(options(made, tmp_path, model=model, axes="zyx"))
    assert any(" MiB are kept in " in line and "along z, y and x" in line for line in caplog.messages)
