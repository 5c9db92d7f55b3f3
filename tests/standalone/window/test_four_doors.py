"""One scan and one model through all four doors: window, command line, Python, Avizo's module."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest

from bone_backend.jobs.run import run_in_worker
from bone_backend.options.programs import PredictOptions
from bone_backend.volumes.volume import open_volume, save
from mocks.avizo import Session
from tests.avizo_modules.steps import VOXEL, add_pair, grey_and_labels, predict_module
from tests.conftest import ROOT

# None of these is its default; Avizo's panel is set to the same by `predict_module`.
OPTIONS = {"chunk_size": 32, "device": "cpu", "precision": "fp32", "confidence_threshold": 0.4}
MORE = {"average": "flips", "clean": ["1:median", "2:islands=2", "1:fill"], "maps": ["confidence"]}


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])


@pytest.mark.slow
@pytest.mark.parametrize(
    "more",
    [
        pytest.param({}, marks=pytest.mark.rare, id="plain"),
        pytest.param(MORE, id="averaged, cleaned, with a map"),
    ],
)
def test_labels_of_all_four_doors_are_byte_equal(more, make_driver, tmp_path, monkeypatch):
    from bone_backend.prediction import predict  # loads torch
    from tests.prediction_models import make_model

    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    monkeypatch.setenv("BONE_WORKER_PYTHON", sys.executable)
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    model = make_model(tmp_path / "femur.pth", classes=3, is_plain=True)
    scan, _ = grey_and_labels(1)
    save(tmp_path / "tibia.tif", scan.transpose(2, 1, 0).copy(), voxel_size=VOXEL[::-1], unit="mm")
    base = {"scan": str(tmp_path / "tibia.tif"), "model": str(model)}

    predict(PredictOptions.parse({**base, **OPTIONS, **more, "output": str(tmp_path / "python.tif")}))
    expected = read(tmp_path / "python.tif")
    sure = read(tmp_path / "python_confidence.tif") if more else None
    assert sorted(np.unique(expected)) == [0, 1, 2]

    words = [word for name, value in OPTIONS.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    command = [sys.executable, "-m", "standalone.command", "predict", base["scan"], "--model", base["model"]]
    command += ["--output", str(tmp_path / "command.tif"), *words]
    for name, value in more.items():
        command += [f"--{name}", *([value] if isinstance(value, str) else value)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert read(tmp_path / "command.tif").tobytes() == expected.tobytes()

    driver = make_driver(runner=run_in_worker)
    tab = driver.window.predict
    driver.window.tabs.setCurrentWidget(tab)
    driver.window.show_everything(True)
    for name, text in {**base, "output": str(tmp_path / "window.tif"), "chunk_size": "32"}.items():
        driver.type_into(tab, name, text)
    driver.type_into(tab, "confidence_threshold", "0.4")
    for name in ("device", "precision"):
        tab.panel.rows[name].editor.menu.setCurrentText(OPTIONS[name])
    for name in more:
        if name == "average":
            tab.panel.rows[name].editor.menu.setCurrentText("flips")
        elif name == "maps":
            for word in more[name]:
                tab.panel.rows[name].editor.boxes[word].click()
        else:
            driver.type_into(tab, name, " ".join(more[name]))
    tab.check()
    driver.click(tab.run_bar.start)
    driver.wait(lambda: tab.task and tab.task.outcome, 120)
    assert tab.task.outcome.is_done, tab.log.toPlainText()
    asked = {**OPTIONS, **more}
    assert {name: tab.task.options[name] for name in asked} == asked
    assert read(tmp_path / "window.tif").tobytes() == expected.tobytes()
    assert (tmp_path / "window.tif").read_bytes() == (tmp_path / "command.tif").read_bytes()

    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.type(module.ports.confidenceThreshold, 0.4)
    if more:
        session.select(module.ports.average, "flips")
        session.type(module.ports.clean, " ".join(MORE["clean"]))
        session.select(module.ports.confidence, "on")
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    assert module.results[0].get_array().transpose(2, 1, 0).tobytes() == expected.tobytes()
    if sure is not None:
        for name in ("command", "window"):
            assert read(tmp_path / f"{name}_confidence.tif").tobytes() == sure.tobytes()
        assert module.results[1].get_array().transpose(2, 1, 0).tobytes() == sure.tobytes()
