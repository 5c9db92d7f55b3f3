"""Three real scans through the three real modules: model, labels and scores as by the command line."""

import json

import numpy as np
import pytest

from bone_backend.model_files.model_file import load_state, read_header
from bone_backend.volumes.volume import open_volume, save
from mocks.avizo import Behaviour, Session

from .steps import connect_pairs, open_module, settle, workers_only

SKULLS = ("c57bl6", "balb", "dba2", "cast")
VOXEL_MM = 0.1411
CROP = (slice(70, 76), slice(40, 120), slice(44, 140))  # z, y, x
UNIT = Behaviour(unit="mm")


@pytest.fixture(scope="module")
def arrays(real_scans):
    """Image and mask (z, y, x) of each skull, cropped."""
    found = {}
    for skull in SKULLS:
        for kind in ("image", "mask"):
            path = real_scans / f"mouse_skull_{skull}" / f"mouse_skull_{skull}_{kind}.tif"
            with open_volume(path) as volume:
                part = volume.read(CROP[0].start, CROP[0].stop)
            found[skull, kind] = np.ascontiguousarray(part[:, CROP[1], CROP[2]])
    return found


def run_command(capsys, *words):
    """The result of the command `bone`, as it prints it."""
    from standalone.command import main  # rich is no need of the modules

    assert main([*map(str, words), "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_fit_predict_and_score_in_avizo_and_by_command_are_the_same(arrays, tmp_path, capsys, monkeypatch):
    pytest.importorskip("rich")
    session = Session(UNIT)
    fields = {
        (skull, kind): (session.scalar_field if kind == "image" else session.label_field)(
            array.transpose(2, 1, 0), name=f"{skull}_{kind}", voxel_size=(VOXEL_MM,) * 3
        )
        for (skull, kind), array in arrays.items()
    }
    fit = open_module(session, "BONe_DLFit")
    connect_pairs(session, fit, [(fields[skull, "image"], fields[skull, "mask"]) for skull in SKULLS[:3]])
    settle(session, fit, tmp_path / "avizo", epochs=1)
    session.press(fit.ports.apply)
    [model] = (tmp_path / "avizo").glob("*_best_epoch_*.pth")
    predict = open_module(session, "BONe_DLPred")
    session.connect(predict.ports.scan, fields["cast", "image"])
    session.pick(predict.ports.model, model)
    session.select(predict.ports.detail, "Advanced")
    session.type(predict.ports.chunkSize, "64")
    session.select(predict.ports.device, "cpu")
    session.select(predict.ports.precision, "fp32")
    session.press(predict.ports.apply)
    result = predict.results[0]
    score = open_module(session, "BONe_IoU")
    session.connect(score.ports.reference, fields["cast", "mask"])
    session.connect(score.ports.prediction, result)
    session.pick(score.ports.output, tmp_path / "avizo.csv")
    session.press(score.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    assert workers_only(session) == []
    assert result.name == "cast_image.labels"
    assert result.bounding_box == fields["cast", "image"].bounding_box

    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    for (skull, kind), array in arrays.items():
        path = tmp_path / f"{skull}_{kind}.tif"
        save(path, array, voxel_size=(VOXEL_MM,) * 3, unit="mm")
    pairs = []
    for skull in SKULLS[:3]:
        pairs += ["--pair", tmp_path / f"{skull}_image.tif", tmp_path / f"{skull}_mask.tif"]
    machine = ["--device", "cpu", "--precision", "fp32"]
    small = [
        *("--architecture", "Plain U-Net", "--plain-channels", 8, "--plain-depth", 3),
        "--patch-size",
        32,
        "--patches-per-tile",
        1,
        "--epochs",
        1,
        "--batch-size",
        4,
    ]
    done = run_command(capsys, "fit", *pairs, "--output", tmp_path / "command", *small, *machine)
    twin = tmp_path / "command" / model.name
    assert done["model"] == str(twin)
    ours, theirs = read_header(model), read_header(twin)
    ours_state, theirs_state = load_state(model, ours), load_state(twin, theirs)
    assert all((ours_state[name] == theirs_state[name]).all() for name in theirs_state)
    differing = {
        key for key in theirs.metadata if ours.metadata[key] != theirs.metadata[key] and "sec" not in key
    } - {"peak_ram_GB", "peak_vram_GB", "avg_gpu_util_percent"}
    assert differing == set()
    assert np.allclose(ours.bone["voxel_size_um"], theirs.bone["voxel_size_um"])
    run_command(
        capsys,
        *("predict", tmp_path / "cast_image.tif", "--model", twin, "--output", tmp_path / "labels.tif"),
        *("--chunk-size", 64, *machine),
    )
    with open_volume(tmp_path / "labels.tif") as labels:
        by_command = labels.read(0, labels.header.shape[0])
    assert result.get_array().transpose(2, 1, 0).tobytes() == by_command.tobytes()
    scores = run_command(
        capsys,
        *("iou", tmp_path / "cast_mask.tif", tmp_path / "labels.tif", "--output", tmp_path / "command.csv"),
    )
    assert (tmp_path / "avizo.csv").read_bytes() == (tmp_path / "command.csv").read_bytes()
    told = f"IoU {scores['mean_iou']:.4f}, Dice {scores['mean_dice']:.4f}"
    assert score.ports.mean.text == told
