"""Predictions in INT8, as a user asks for them: what is refused, told, gone on with and verified.

By the stand-ins of OpenVINO and NNCF, which compute with torch; by the real ones where they are installed.
"""

from __future__ import annotations

import json
import logging
import shutil
import socket
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.errors import Cancelled, OptionError, PackageError, ScanError
from bone_backend.inference.backends import int8, loading
from bone_backend.inference.backends.int8 import Int8, of_all
from bone_backend.model_files import model_file
from bone_backend.options.predicting.scans import PredictScansOptions
from bone_backend.options.predicting.verifying import VerifyOptions
from bone_backend.options.programs import FitOptions, PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder, silent
from bone_backend.scores.meaning import read_record
from bone_backend.verifying import verify_job
from bone_backend.volumes.kept import folder_of
from bone_backend.volumes.volume import save
from tests.prediction_models import make_model
from tests.test_prediction import made_scan, options, read

from .conftest import STAND_IN
from .test_loading import command, slowly  # noqa: F401

FIGURES = Int8(24, 8, voxels=10_000, labelled=2_000, otherwise=19, nncf="3.4.0", digest="a")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("int8")
    save(folder / "scan.tif", made_scan((6, 64, 84)), voxel_size=(5.0, 5.0, 5.0))
    make_model(folder / "m.pth", is_plain=True)
    make_model(folder / "slices.pth", is_plain=True, slices=3)
    make_model(folder / "slabs.pth", is_plain=True, is_3d=True)
    return folder


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO, "bone.prediction")
    return caplog


def run(made: Path, output: Path, *, model: str = "m.pth", progress=silent, **more):
    given = {"precision": "int8", **more}
    return predict(options(made / "scan.tif", made / model, output, **given), progress=progress)


def unlike_fp32(made: Path, output: Path, **more) -> float:
    """Share of voxels that INT8 has labelled otherwise than torch."""
    right = output.with_name("fp32.tif")
    run(made, right, precision="fp32", backend="torch", overwrite=True, **more)
    return float(np.mean(read(right) != read(output)))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"backend": "torch"},
            "precision is int8, which OpenVINO computes, but backend is torch. Use backend",
        ),
        (
            {"device": "cuda:1"},
            "precision is int8, which is computed on a CPU, but device is cuda:1. Use dev",
        ),
    ],
)
def test_what_does_not_go_with_it_is_refused_with_both_options(more, words, made, tmp_path):
    with pytest.raises(OptionError, match=words):
        run(made, tmp_path / "labels.tif", **more)
    assert [*tmp_path.iterdir()] == []


def test_workers_that_share_a_scan_do_without(made, tmp_path):
    asked = options(made / "scan.tif", made / "m.pth", tmp_path / "labels.tif", precision="int8")
    with pytest.raises(
        OptionError, match=r"precision is int8, but several .* without cluster, or use precis"
    ):
        loading.check_shared(asked, None)


def test_a_cluster_for_one_scan_is_refused_before_it_is_looked_for():
    asked = {"scan": "a.tif", "model": "m.pth", "output": "l.tif", "precision": "int8", "cluster": "local:2"}
    with pytest.raises(OptionError) as fault:
        PredictScansOptions.parse(asked)
    assert str(fault.value) == (
        "precision is int8, but with cluster several workers share the one scan, which only torch computes. "
        "Leave out cluster, or use precision auto."
    )
    several = {**asked, "more_scans": ["b.tif"], "output_dir": "labels"}
    del several["output"]
    assert PredictScansOptions.parse(several).is_int8  # a scan each


def test_a_prediction_has_it_and_a_fit_has_not():
    offered = [
        next(field.choices for field in one.option_fields() if field.name == "precision")
        for one in (PredictOptions, FitOptions)
    ]
    assert ["int8" in choices for choices in offered] == [True, False]


def test_a_warning_always_tells_how_many_voxels_differ():
    assert FIGURES.warning() == (
        "INT8 is approximate: in 8 chunks of this scan that it was not calibrated on, 0.19 % of the voxels "
        "are labelled otherwise than by torch in fp32 (0.95 % of those that are not background)."
    )
    many = Int8(24, 8, voxels=10_000, labelled=2_000, otherwise=21, nncf="3.4.0", digest="a")
    assert many.warning().endswith("More than 1 % is much: use precision auto, or look at the labels well.")
    none = Int8(24, 8, voxels=10_000, labelled=0, otherwise=0, nncf="3.4.0", digest="a")
    assert ", 0 % of the voxels" in none.warning()


def test_several_passes_count_together():
    both = of_all([FIGURES, FIGURES])
    assert (both.calibrated, both.compared, both.voxels, both.labelled) == (48, 16, 20_000, 4_000)
    assert both.share == FIGURES.share
    assert both.digest not in ("a", of_all([FIGURES]).digest)
    assert of_all([None, None]) is None


@pytest.mark.parametrize(
    ("by", "more"),
    [
        ("stand_in", {}),
        ("stand_in", {"axes": "zyx", "average": "flips"}),
        ("stand_in", {"more_models": ["slices.pth"]}),
        pytest.param("stand_in", {"model": "slabs.pth", "chunk_depth": 16}, marks=pytest.mark.slow),
        ("real_int8", {}),
        ("real_int8", {"axes": "zyx"}),
        ("real_int8", {"more_models": ["slices.pth"]}),
        ("real_int8", {"model": "slabs.pth", "chunk_depth": 16}),
    ],
)
def test_labels_are_nearly_those_of_fp32_and_the_record_says_how_near(
    by, more, made, tmp_path, request, told, monkeypatch, capsys
):
    request.getfixturevalue(by)
    monkeypatch.chdir(made)
    result = run(made, tmp_path / "labels.tif", **more)
    assert (result.backend, result.device) == ("openvino", "CPU, int8")
    assert 0 < unlike_fp32(made, tmp_path / "labels.tif", **more) < 0.1
    record = read_record(tmp_path / "labels.tif")
    assert record["options"]["precision"] == "int8"
    found = record["result"]["int8"]
    assert found["nncf"] == int8.version()
    assert min(found[name] for name in ("calibrated", "compared", "voxels", "labelled", "otherwise")) > 0
    (warned,) = [one for one in result.warnings if "INT8" in one]
    assert warned == f"scan: {result.int8.warning()}"
    assert warned in [one.message for one in told.records if one.levelno == logging.WARNING]
    assert f"INT8 by NNCF {int8.version()}, calibrated on {found['calibrated']} chunks" in told.text
    assert capsys.readouterr() == ("", "")  # what NNCF prints is nobody's
    assert logging.getLoggerClass() is logging.Logger


def test_other_precisions_say_nothing_of_it(made, tmp_path, told):
    result = run(made, tmp_path / "labels.tif", precision="fp32", backend="torch")
    assert result.int8 is None
    assert "INT8" not in told.text
    assert read_record(tmp_path / "labels.tif")["result"]["int8"] is None


def test_coarse_numbers_are_warned_of_more_strongly(made, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("MOCK_NNCF_LEVELS", "6")
    result = run(made, tmp_path / "labels.tif")
    assert result.int8.share > int8.MUCH
    assert "More than 1 % is much" in result.warnings[-1]
    # what was seen on a few chunks is what the whole scan has
    assert result.int8.otherwise / result.int8.voxels == pytest.approx(
        unlike_fp32(made, tmp_path / "labels.tif"), rel=0.5
    )


@pytest.mark.parametrize("by", ["stand_in", "real_int8"])
def test_broken_off_it_goes_on_to_the_same_bytes(by, made, tmp_path, request, slowly, told):  # noqa: F811
    request.getfixturevalue(by)
    run(made, tmp_path / "whole.tif", batch_size=4)

    def in_the_middle(_step: int, _steps: int, message: str, *_: object) -> None:
        if "slice 5 of 6" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(made, tmp_path / "labels.tif", batch_size=4, progress=in_the_middle)
    run(made, tmp_path / "labels.tif", batch_size=4)
    assert "Going on with an earlier prediction" in told.text
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_networks_that_came_out_otherwise_begin_anew(made, stand_in, tmp_path, slowly, told, monkeypatch):  # noqa: F811
    def in_the_middle(_step: int, _steps: int, message: str, *_: object) -> None:
        if "slice 5 of 6" in message:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(made, tmp_path / "labels.tif", batch_size=4, progress=in_the_middle)
    assert folder_of(tmp_path / "labels.tif").is_dir()
    monkeypatch.setenv("MOCK_NNCF_LEVELS", "200")
    run(made, tmp_path / "labels.tif", batch_size=4)
    assert "Going on" not in told.text
    run(made, tmp_path / "whole.tif", batch_size=4)
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_a_stop_is_heard_while_it_calibrates(made, stand_in, tmp_path):
    seen = []

    def stop(_step: int, _steps: int, message: str, *_: object) -> None:
        seen.append(message)
        if seen.count("Calibrating INT8 on the scan") == 5:
            raise Cancelled

    with pytest.raises(Cancelled):
        run(made, tmp_path / "labels.tif", progress=stop)
    assert [*tmp_path.glob("labels*")] == []


@pytest.mark.parametrize("whole", [False, True])
@pytest.mark.parametrize("by", ["stand_in", "real_int8"])
def test_labels_are_verified_in_int8(by, whole, made, tmp_path, request, told):
    request.getfixturevalue(by)
    run(made, tmp_path / "labels.tif", axes="z")
    told.clear()
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    found = verify_job(VerifyOptions.parse({**asked, "whole": whole, "device": "cpu"}), Recorder())
    assert (found["share"], found["failed"]) == (1.0, 0)
    assert "INT8 by NNCF" in told.text


def test_where_nncf_is_gone_the_labels_say_what_they_need(made, forgotten, tmp_path, monkeypatch):
    with monkeypatch.context() as there:
        there.syspath_prepend(str(STAND_IN))
        run(made, tmp_path / "labels.tif")
    for name in [name for name in sys.modules if name.partition(".")[0] in ("openvino", "nncf")]:
        del sys.modules[name]
    monkeypatch.setitem(sys.modules, "openvino", None)
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    with pytest.raises(PackageError, match="These labels were made in INT8, but the Python package openvino"):
        verify_job(VerifyOptions.parse(asked))


def test_without_nncf_the_message_has_the_line_that_installs_all(made, without_nncf, tmp_path):
    with pytest.raises(PackageError) as fault:
        run(made, tmp_path / "labels.tif")
    assert "precision is int8, but the Python package nncf is not installed. Install it: " in str(fault.value)
    assert "bootstrap.py app --int8" in str(fault.value)
    assert 'pip install "bone-segmentation[int8]"' in str(fault.value)
    assert str(fault.value).endswith("Or use precision auto.")
    assert [*tmp_path.iterdir()] == []


def test_without_openvino_the_line_brings_both(made, missing, tmp_path):
    with pytest.raises(PackageError, match=r"Python package openvino is not installed.*app --int8, or pip"):
        run(made, tmp_path / "labels.tif")


def test_a_network_that_it_cannot_quantize_is_told(made, stand_in, tmp_path, monkeypatch):
    monkeypatch.setenv("MOCK_NNCF_REFUSES", "1")
    with pytest.raises(PackageError, match=r"NNCF 0.0.1 cannot bring m.pth to INT8 \(No rule for aten::fly"):
        run(made, tmp_path / "labels.tif")


def test_a_damaged_model_is_told_as_in_other_precisions(made, stand_in, tmp_path):
    shutil.copy(made / "m.pth", tmp_path / "m.pth")
    header = model_file.read_header(tmp_path / "m.pth")
    state = model_file.load_state(header.path, header)
    next(iter(state.values())).fill_(torch.nan)
    model_file.save_model(header.path, state=state, metadata=header.metadata, bone=header.bone)
    for precision in ("int8", "fp32"):
        asked = options(made / "scan.tif", header.path, tmp_path / "a.tif", precision=precision)
        with pytest.raises(ScanError, match="gives no numbers"):
            predict(asked)


@pytest.mark.parametrize("by", ["stand_in", "real_int8"])
def test_nobody_is_told_of_it(by, made, tmp_path, request, monkeypatch):
    request.getfixturevalue(by)

    def call(*_: object) -> None:
        raise AssertionError("a connection")

    monkeypatch.setattr(socket.socket, "connect", call)
    monkeypatch.setattr(socket, "getaddrinfo", call)
    run(made, tmp_path / "labels.tif")
    assert sys.modules["openvino_telemetry"] is None
    assert getattr(sys.modules["nncf"], "REPORTS", False) is False


@pytest.mark.slow
def test_the_command_labels_with_it_and_warns(made, tmp_path):
    words = ["--output", str(tmp_path / "a.tif"), "--precision", "int8", "--json"]
    ended = command(made, STAND_IN, *words)
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["backend"], found["device"]) == (0, "openvino", "CPU, int8")
    assert "INT8 is approximate: in " in ended.stderr


@pytest.mark.slow
def test_the_command_names_flags_where_it_refuses(made, tmp_path):
    words = ["--output", str(tmp_path / "a.tif"), "--precision", "int8", "--backend", "torch"]
    ended = command(made, STAND_IN, *words)
    assert ended.returncode != 0
    assert "--precision is int8, which OpenVINO computes, but --backend is torch" in " ".join(
        ended.stderr.split()
    )
