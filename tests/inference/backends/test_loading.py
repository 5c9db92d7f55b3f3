"""Predictions by OpenVINO, as a user asks for them: what is chosen, what goes on, what is verified.

By the stand-in, which computes with torch; by the real one where it is installed.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import Cancelled, OptionError, PackageError
from bone_backend.inference.backends import loading, remembered
from bone_backend.inference.backends.remembered import Seconds
from bone_backend.options.predicting.verifying import VerifyOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder
from bone_backend.scores.meaning import read_record
from bone_backend.verifying import verify_job
from bone_backend.volumes.kept import folder_of
from bone_backend.volumes.volume import save
from tests.prediction_models import make_model
from tests.test_prediction import made_scan, options, read

from .conftest import STAND_IN

ROOT = Path(__file__).resolve().parents[3]
FASTER, SLOWER, LATER = Seconds(1.0, 0.6, 0.0), Seconds(1.0, 0.95, 0.0), Seconds(1.0, 0.6, 9.0)


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("backends")
    save(folder / "scan.tif", made_scan((6, 64, 84)), voxel_size=(5.0, 5.0, 5.0))
    make_model(folder / "m.pth", is_plain=True)
    make_model(folder / "slices.pth", is_plain=True, slices=3)
    return folder


@pytest.fixture(autouse=True)
def told(caplog):
    caplog.set_level(logging.INFO, "bone.prediction")
    return caplog


def run(made: Path, output: Path, backend: str = "auto", *, progress=None, **more):
    asked = options(made / "scan.tif", made / "m.pth", output, backend=backend, **more)
    return predict(asked, progress=progress or Recorder())


@pytest.fixture
def measured(made, monkeypatch):
    """Says what was measured, before or after; all chunks of these tests are of one size."""

    def say(seconds: Seconds) -> None:
        def now(*_: object) -> Seconds:
            raise AssertionError("measured again")

        monkeypatch.setattr(remembered, "read", lambda _: seconds)
        monkeypatch.setattr(loading, "_measured", now)

    return say


def lines(caplog) -> list[str]:
    return [one.message for one in caplog.records if one.message.startswith("Backend")]


def test_without_openvino_auto_is_torch_and_says_nothing_of_it(made, tmp_path, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    result = run(made, tmp_path / "labels.tif")
    assert (result.backend, lines(told)) == ("torch", [])
    assert f"on CPU, fp32, by torch {result.backend_version}." in told.text


@pytest.mark.parametrize(
    ("by", "more"),
    [
        ("stand_in", {}),
        ("real", {}),
        ("real", {"axes": "zyx"}),
        ("stand_in", {"more_models": ["slices.pth"]}),
    ],
)
def test_labels_and_their_record_are_as_by_torch(by, more, made, tmp_path, request, told, monkeypatch):
    request.getfixturevalue(by)
    monkeypatch.chdir(made)
    by_torch = run(made, tmp_path / "torch.tif", "torch", **more)
    result = run(made, tmp_path / "labels.tif", "openvino", **more)
    differing = np.mean(read(tmp_path / "torch.tif") != read(tmp_path / "labels.tif"))
    assert differing < 1e-3
    assert abs(result.confidence["mean"] - by_torch.confidence["mean"]) < 1e-5
    record = read_record(tmp_path / "labels.tif")["result"]
    assert (record["backend"], record["backend_version"]) == ("openvino", result.backend_version)
    assert read_record(tmp_path / "torch.tif")["result"]["backend"] == "torch"
    asked, chosen = lines(told)
    assert asked == "Backend torch: as asked for."
    assert chosen.startswith(f"Backend OpenVINO {result.backend_version}: as asked for; logits differ from")


def test_auto_takes_what_was_measured_and_the_log_says_why(made, stand_in, tmp_path, measured, told):
    measured(FASTER)
    assert run(made, tmp_path / "a.tif").backend == "openvino"
    measured(SLOWER)
    assert run(made, tmp_path / "b.tif").backend == "torch"
    measured(LATER)
    assert run(made, tmp_path / "c.tif").backend == "torch"
    first, second, third = lines(told)
    assert first.startswith(
        "Backend OpenVINO 0.0.1: OpenVINO takes 60 % of torch's time for a chunk (measured earlier), so it "
        "would save 3.2 s here and take 0.0 s to begin; logits differ from float32 torch's by "
    )
    assert second.startswith(
        "Backend torch: OpenVINO takes 95 % of torch's time for a chunk (measured earlier)"
    )
    assert third.endswith("so it would save 3.2 s here and take 9.0 s to begin.")


def test_a_machine_that_is_busy_later_changes_no_labels(made, stand_in, tmp_path, monkeypatch, told):
    monkeypatch.setenv("MOCK_OPENVINO_SECONDS", "0.05")
    assert run(made, tmp_path / "a.tif").backend == "torch"
    monkeypatch.setattr(loading, "_measured", lambda *_: FASTER)
    assert run(made, tmp_path / "b.tif").backend == "torch"
    assert [("measured now and remembered" in one, "measured earlier" in one) for one in lines(told)] == [
        (True, False),
        (False, True),
    ]
    # of chunks of another size nothing is known yet
    assert run(made, tmp_path / "c.tif", chunk_size=32).backend == "openvino"


def test_where_nothing_can_be_remembered_auto_is_torch(made, stand_in, tmp_path, monkeypatch, told):
    monkeypatch.setattr(remembered, "keep", lambda *_: None)
    monkeypatch.setattr(loading, "_measured", lambda *_: FASTER)
    assert run(made, tmp_path / "a.tif").backend == "torch"
    assert lines(told) == ["Backend torch: what is measured of OpenVINO cannot be remembered here."]


@pytest.mark.parametrize(
    ("wish", "words"),
    [("WRONG", "OpenVINO does not compute m.pth well: logits differ"), ("REFUSES", "No rule for aten::fly")],
)
def test_a_network_that_comes_out_otherwise_is_left_to_torch_or_refused(
    wish, words, made, stand_in, tmp_path, monkeypatch, measured, told
):
    monkeypatch.setenv(f"MOCK_OPENVINO_{wish}", "1")
    with pytest.raises(PackageError, match=words) as fault:
        run(made, tmp_path / "labels.tif", "openvino")
    assert str(fault.value).endswith("Use backend torch.")
    assert [*tmp_path.glob("labels*")] == []
    measured(FASTER)
    assert run(made, tmp_path / "labels.tif").backend == "torch"
    assert words in lines(told)[-1]


def test_memory_that_runs_out_halves_the_batches(made, stand_in, tmp_path, monkeypatch, told):
    whole = run(made, tmp_path / "a.tif", "openvino", chunk_size=32, batch_size=8)
    monkeypatch.setenv("MOCK_OPENVINO_MEMORY", str(4 * 32 * 32))
    result = run(made, tmp_path / "b.tif", "openvino", chunk_size=32, batch_size=8)
    assert whole.batch_size == 8
    assert result.batch_size <= 4
    assert np.mean(read(tmp_path / "a.tif") != read(tmp_path / "b.tif")) < 1e-3


def in_the_middle(_step: int, _steps: int, message: str, *_: object) -> None:
    if "slice 5 of 6" in message:
        raise Cancelled


def broken_off(made: Path, output: Path, backend: str = "auto") -> None:
    with pytest.raises(Cancelled):
        run(made, output, backend, progress=in_the_middle, batch_size=4)
    assert folder_of(output).is_dir()


@pytest.fixture
def slowly(monkeypatch):
    """Each batch is reported, so that it can be broken off behind each."""
    monkeypatch.setattr("bone_backend.inference.labelling.LOOK_S", 0.0)


@pytest.mark.parametrize(("first", "later"), [(FASTER, SLOWER), (SLOWER, FASTER)])
def test_what_was_broken_off_goes_on_with_what_has_begun(
    first, later, made, stand_in, tmp_path, measured, slowly, told
):
    backend = "openvino" if first is FASTER else "torch"
    measured(first)
    broken_off(made, tmp_path / "labels.tif")
    measured(later)
    result = run(made, tmp_path / "labels.tif", batch_size=4)
    assert result.backend == backend
    assert "as it was begun" in lines(told)[-1]
    assert "Going on with an earlier prediction" in told.text
    run(made, tmp_path / "whole.tif", backend, batch_size=4)
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "whole.tif").read_bytes()


def test_another_backend_that_is_asked_for_begins_anew(made, stand_in, tmp_path, slowly, told):
    broken_off(made, tmp_path / "labels.tif", "openvino")
    assert run(made, tmp_path / "labels.tif", "torch", batch_size=4).backend == "torch"
    assert "Going on" not in told.text
    assert "what another prediction had left there was removed" in told.text


def test_nothing_is_thrown_away_where_openvino_is_gone(made, forgotten, tmp_path, slowly, monkeypatch):
    with monkeypatch.context() as there:
        there.syspath_prepend(str(STAND_IN))
        broken_off(made, tmp_path / "labels.tif", "openvino")
    for name in [name for name in sys.modules if name.startswith("openvino")]:
        del sys.modules[name]
    monkeypatch.setitem(sys.modules, "openvino", None)
    before = sorted(path.name for path in folder_of(tmp_path / "labels.tif").iterdir())
    with pytest.raises(PackageError) as fault:
        run(made, tmp_path / "labels.tif", batch_size=4)
    assert "was labelled by OpenVINO, but the Python package openvino is not installed" in str(fault.value)
    assert str(fault.value).endswith("Or begin it anew, with resume off.")
    assert sorted(path.name for path in folder_of(tmp_path / "labels.tif").iterdir()) == before
    assert run(made, tmp_path / "labels.tif", batch_size=4, resume=False).backend == "torch"


@pytest.mark.parametrize("whole", [False, True])
def test_labels_are_verified_by_what_made_them(whole, made, stand_in, tmp_path, measured, told):
    run(made, tmp_path / "labels.tif", "openvino", axes="z")
    measured(SLOWER)  # nobody asks
    told.clear()
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    found = verify_job(VerifyOptions.parse({**asked, "precision": "fp32", "device": "cpu", "whole": whole}))
    assert (found["share"], found["failed"]) == (1.0, 0)
    assert [one.partition(";")[0] for one in lines(told)] == ["Backend OpenVINO 0.0.1: as asked for"]


def test_labels_of_openvino_are_not_verified_by_torch(made, stand_in, tmp_path, monkeypatch):
    run(made, tmp_path / "labels.tif", "openvino", axes="z")
    monkeypatch.setitem(sys.modules, "openvino", None)
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    with pytest.raises(
        PackageError, match=r"These labels were made by OpenVINO, but the .* is not installed"
    ):
        verify_job(VerifyOptions.parse({**asked, "precision": "fp32", "device": "cpu"}))


def test_older_records_are_verified_by_torch(made, tmp_path, told, monkeypatch):
    monkeypatch.setitem(sys.modules, "openvino", None)
    run(made, tmp_path / "labels.tif", axes="z")
    (path,) = tmp_path.glob("*.record.json")
    record = json.loads(path.read_text(encoding="utf-8"))
    for part, name in (("options", "backend"), ("result", "backend"), ("result", "backend_version")):
        del record[part][name]
    path.write_text(json.dumps(record), encoding="utf-8")
    asked = {"labels": tmp_path / "labels.tif", "scan": made / "scan.tif", "model": made / "m.pth"}
    found = verify_job(VerifyOptions.parse({**asked, "precision": "fp32", "device": "cpu"}))
    assert (found["share"], lines(told)) == (1.0, ["Backend torch: as asked for."])


def test_a_gpu_and_openvino_do_not_go_together(made, tmp_path):
    with pytest.raises(OptionError, match="backend is openvino, which computes on a CPU, but device is cuda"):
        run(made, tmp_path / "labels.tif", "openvino", device="cuda")


def command(made: Path, first: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """`bone predict` with a folder before all others on Python's path."""
    paths = os.pathsep.join([str(first), str(ROOT)])
    whole = [sys.executable, "-m", "standalone.command", "predict", "scan.tif", "--model", "m.pth", *words]
    surroundings = {**os.environ, "PYTHONPATH": paths, "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        whole, cwd=made, env=surroundings, capture_output=True, text=True, check=False, timeout=100
    )


@pytest.mark.slow
def test_the_command_says_the_line_that_installs_it(made, missing, tmp_path):
    ended = command(made, missing, "--output", str(tmp_path / "a.tif"), "--backend", "openvino")
    assert ended.returncode != 0
    assert "--backend is openvino, but the Python package openvino is not installed" in ended.stderr
    assert "bootstrap.py app --openvino" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert [*tmp_path.glob("a*")] == []


@pytest.mark.slow
def test_the_command_labels_with_it(made, tmp_path):
    words = ["--output", str(tmp_path / "a.tif"), "--backend", "openvino", "--json"]
    ended = command(made, STAND_IN, *words)
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["backend"], found["backend_version"]) == (0, "openvino", "0.0.1")
