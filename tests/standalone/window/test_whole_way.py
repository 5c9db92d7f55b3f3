"""The whole way through the window with real runs: fit, stop, go on, predict, compare."""

from __future__ import annotations

import tempfile
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bone_backend.jobs.run import run_here, run_in_worker
from bone_backend.volumes.volume import open_volume
from tests.conftest import phantoms, write_pairs

TINY = {
    "architecture": "Plain U-Net", "plain_channels": 8, "plain_depth": 3, "patch_size": 16, "batch_size": 6,
    "epochs": 400, "precision": "fp32",
}  # fmt: skip


@pytest.mark.slow
def test_a_fit_is_stopped_killed_left_running_and_its_model_labels_a_scan_that_is_scored(
    make_driver, tmp_path, monkeypatch
):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    volumes = phantoms((9, 64, 48), (8, 48, 64))
    pairs = write_pairs(tmp_path, volumes, scan="femur_{}.tif", mask="femur_{}_mask.tif")
    driver = make_driver(runner=run_in_worker)
    window = driver.window
    tab = window.fit
    tab.pairs.add_paths([path for pair in pairs for path in pair])
    driver.wait(lambda: tab.pairs.pairs.is_looked_at)
    tab.take_values({**tab.form.values(), **TINY})
    driver.wait(lambda: tab.pairs.pairs.is_looked_at)
    driver.click(tab.run_bar.start)
    driver.wait(lambda: tab.curves and len(tab.curves._lines) >= 3 and tab.live.pictures, 120)
    began = time.monotonic()
    assert tab.live.panels.rows[0].place.startswith("femur_")
    driver.click(tab.run_bar.stop)
    driver.wait(lambda: tab.task.outcome, 20)
    assert time.monotonic() - began < 5  # 2 s on an idle machine
    assert tab.run_bar.told.text().startswith("Stopped: the best model is that of epoch")
    stopped_after = tab.task.outcome.result["epochs"]

    driver.click(tab.run_bar.buttons["Resume"])
    assert tab.task.options["resume"] == str(tmp_path / "bone_run")
    assert (tab.form.value("resume"), tab.form.value("epochs")) == (None, 400)  # the form stays as it was
    driver.wait(lambda: f"Epoch {stopped_after + 2}" in tab.task.message, 120)
    process = tab.task.process
    window.ask_to_close = lambda: "leave"
    assert window.close()
    assert psutil.Process(process).is_running()

    driver = make_driver(runner=run_in_worker)
    window = driver.window
    window.find_left()
    tab = window.fit
    assert (tab.task.options["resume"], len(tab.pairs.pairs.rows)) == (str(tmp_path / "bone_run"), 2)
    driver.wait(lambda: tab.task.process == process and "Epoch" in tab.task.message and tab.curves.steps, 60)
    psutil.Process(process).kill()
    driver.wait(lambda: tab.task.outcome, 20)
    told = tab.run_bar.told.text()
    assert told.startswith("The run broke off. The worker gave no result: it ended without saying why.")
    assert "Resume continues it from its last checkpoint." in told
    assert "Resume" in tab.run_bar.buttons
    assert window.open_run(tmp_path / "bone_run")
    assert int(tab.run_bar.told.text().split()[1]) > stopped_after  # epochs
    driver.click(tab.run_bar.buttons["Label a scan"])

    predict = window.predict
    driver.type_into(predict, "scan", pairs[0][0])
    assert dict(predict.card.lines)["Trained on"] in ("femur_0", "femur_1")
    driver.click(predict.run_bar.start)
    driver.wait(lambda: predict.task.outcome, 120)
    assert predict.run_bar.told.text().startswith("Done: 9 slices labelled")
    labels = tmp_path / "femur_0_labels.tif"
    assert [*predict.viewer.view.layers] == ["scan", "labels"]

    again = run_here("predict", {**predict.task.options, "output": str(tmp_path / "again.tif")})
    assert read(labels).tobytes() == read(Path(again["output"])).tobytes()

    driver.click(predict.run_bar.buttons["Compare with a mask"])
    compare = window.iou
    driver.type_into(compare, "reference", pairs[0][1])
    driver.wait(lambda: compare.viewer.view)
    assert [*compare.viewer.view.layers] == ["scan", "labels", "reference"]
    driver.click(compare.run_bar.start)
    driver.wait(lambda: compare.task.outcome, 60)
    reference, found = volumes[0][1], read(labels)
    both = ((reference == 1) & (found == 1)).sum() / max(((reference == 1) | (found == 1)).sum(), 1)
    assert compare.table.item(1, 1).text() == f"{both:.4f}"


def read(path: Path) -> np.ndarray:
    with open_volume(path) as volume:
        return volume.read(0, volume.header.shape[0])
