"""Predictions on Apple's GPU, as a user asks for them.

No test has such a GPU: the processor takes its place, so that all but the GPU itself is tried.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path

import pytest
import torch

from bone_backend.errors import OptionError, PackageError
from bone_backend.inference.backends import loading, mps_network, others, remembered
from bone_backend.inference.backends.mps_network import MpsNetwork
from bone_backend.inference.backends.remembered import Seconds
from bone_backend.machine.memory import is_out_of_memory
from bone_backend.options.predicting.verifying import VerifyOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder
from bone_backend.scores.meaning import read_record
from bone_backend.verifying import verify_job
from bone_backend.volumes.volume import save
from tests.prediction_models import make_model
from tests.test_prediction import made_scan, options


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("mps")
    save(folder / "scan.tif", made_scan((6, 64, 84)), voxel_size=(5.0, 5.0, 5.0))
    make_model(folder / "m.pth", is_plain=True)
    return folder


@pytest.fixture
def apple(monkeypatch):
    """The processor as Apple's GPU."""
    monkeypatch.setattr(mps_network, "DEVICE", "cpu")
    monkeypatch.setattr(mps_network, "is_there", lambda: True)


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO, "bone.prediction")
    return caplog


def run(made: Path, output: Path, backend: str = "auto", **more):
    asked = options(made / "scan.tif", made / "m.pth", output, backend=backend, **more)
    return predict(asked, progress=Recorder())


def lines(caplog) -> list[str]:
    return [one.message for one in caplog.records if one.message.startswith("Backend")]


def test_labels_are_torchs_and_the_record_says_where_they_were_made(made, apple, tmp_path, told):
    run(made, tmp_path / "torch.tif", "torch", precision="fp32")
    result = run(made, tmp_path / "labels.tif", "mps")
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "torch.tif").read_bytes()
    assert (result.backend, result.backend_version) == ("mps", torch.__version__)
    assert "Apple's GPU (MPS), fp32" in json.dumps(read_record(tmp_path / "labels.tif")["result"])
    assert lines(told)[-1].startswith(
        f"Backend MPS of torch {torch.__version__}: as asked for; logits differ from float32 torch's by 0 of"
    )


def test_labels_are_verified_by_what_made_them(made, apple, tmp_path, told, monkeypatch):
    run(made, tmp_path / "labels.tif", "mps", axes="z")
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    assert verify_job(VerifyOptions.parse(asked))["share"] == 1.0
    assert "Backend MPS of torch" in lines(told)[-1]
    monkeypatch.setattr(mps_network, "is_there", lambda: False)
    with pytest.raises(PackageError, match=r"These labels were made by Apple's GPU \(MPS\), the GPU of"):
        verify_job(VerifyOptions.parse(asked))


@pytest.mark.skipif(torch.backends.mps.is_available(), reason="there is such a GPU")
def test_without_such_a_gpu_it_is_refused_at_once(made, tmp_path):
    with pytest.raises(PackageError, match=r"backend is mps, the GPU of an Apple .*Or use backend torch\.$"):
        run(made, tmp_path / "labels.tif", "mps")
    assert [*tmp_path.iterdir()] == []


@pytest.mark.parametrize(("seconds", "taken"), [(0.6, "mps"), (0.95, "torch")])
def test_auto_takes_it_where_it_was_measured_to_be_faster(
    made, apple, tmp_path, monkeypatch, told, seconds, taken
):
    monkeypatch.setattr(remembered, "read", lambda _: Seconds(1.0, seconds, 0.0))
    assert run(made, tmp_path / "labels.tif").backend == taken
    assert f"Apple's GPU (MPS) takes {100 * seconds:.0f} % of torch's time" in lines(told)[-1]


def test_auto_measures_it_here(made, apple, tmp_path, told):
    run(made, tmp_path / "labels.tif")
    assert "measured now and remembered" in lines(told)[-1]


def test_auto_leaves_it_where_another_precision_was_asked_for(apple, made, tmp_path, monkeypatch):
    monkeypatch.setattr(others.openvino_network, "is_installed", lambda: False)
    monkeypatch.setattr(loading, "_measured", None)  # nobody asks
    assert run(made, tmp_path / "labels.tif", precision="bf16").backend == "torch"


def test_wrong_numbers_are_refused_or_left_to_torch(made, apple, tmp_path, monkeypatch, told):
    right = MpsNetwork.__call__
    monkeypatch.setattr(MpsNetwork, "__call__", lambda self, batch: 1.01 * right(self, batch))
    with pytest.raises(PackageError, match=r"Apple's GPU \(MPS\) does not compute m.pth well: logits differ"):
        run(made, tmp_path / "labels.tif", "mps")
    monkeypatch.setattr(remembered, "read", lambda _: Seconds(1.0, 0.5, 0.0))
    assert run(made, tmp_path / "labels.tif").backend == "torch"
    assert "does not compute m.pth well" in lines(told)[-1]


class Refusing(torch.nn.Module):
    def forward(self, batch: torch.Tensor) -> torch.Tensor:
        raise NotImplementedError("The operator 'aten::fly' is not currently implemented for the MPS device.")


def test_a_network_that_it_cannot_compute_is_told(apple):
    with pytest.raises(
        PackageError, match=r"cannot compute this network \(Refusing: The operator 'aten::fly'"
    ):
        MpsNetwork(Refusing(), torch.zeros(1, 1, 8, 8))


def test_its_memory_that_runs_out_is_known():
    assert is_out_of_memory(RuntimeError("MPS backend out of memory (MPS allocated: 9.05 GB, max: 9.07 GB)"))


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (
            {"device": "cuda"},
            "backend is mps, which computes on the GPU of an Apple computer, but device is cuda",
        ),
        ({"precision": "bf16"}, "backend is mps, which computes in fp32, but precision is bf16"),
        ({"precision": "int8"}, "precision is int8, which OpenVINO computes, but backend is mps"),
    ],
)
def test_what_does_not_go_with_it_is_told(made, tmp_path, more, words):
    with pytest.raises(OptionError, match=words):
        run(made, tmp_path / "labels.tif", "mps", **more)
