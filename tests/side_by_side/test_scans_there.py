"""Scans on the workers of a cluster: the same bytes as here, also when a worker is lost in the middle."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import psutil
import pytest

from bone_backend.errors import Cancelled, HardwareError, OptionError
from bone_backend.files.locks import holder
from bone_backend.files.outputs import lock_of
from bone_backend.options.predicting.scans import PredictScansOptions
from bone_backend.predictions import predict_scans
from bone_backend.volumes.kept import folder_of
from bone_backend.volumes.volume import save
from tests.prediction_models import make_model

ROOT = Path(__file__).resolve().parents[2]
pytest.importorskip("distributed")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    """Three scans, the first of which is large, and one that is none."""
    folder = tmp_path_factory.mktemp("there")
    make_model(folder / "m.pth", is_plain=True)
    random = np.random.default_rng(0)
    for name, depth in (("large.tif", 160), ("b.tif", 3), ("c.tif", 3)):
        save(folder / name, random.integers(1, 255, (depth, 96, 96)).astype(np.uint8))
    (folder / "none.tif").write_bytes(b"no scan")
    return folder


def options(made: Path, *names: str, **more) -> PredictScansOptions:
    first, *others = (made / name for name in names)
    told = {"scan": first, "more_scans": others, "model": made / "m.pth", "device": "cpu", "chunk_size": 64}
    return PredictScansOptions.parse({**told, "batch_size": 4, "precision": "fp32", **more})


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("record.json")}


@pytest.fixture(scope="module")
def here(made) -> dict[str, bytes]:
    """What one process makes of all of them."""
    found = predict_scans(options(made, "large.tif", "b.tif", "c.tif", output_dir=made / "here"))
    assert found["failed"] == 0
    return files(made / "here")


@pytest.mark.slow
def test_a_lost_workers_scan_goes_on_elsewhere_and_all_ends_byte_equal(made, here, tmp_path):
    output, killed = tmp_path / "labels", []
    large = output / "large.tif"

    def progress(*_):
        journal = folder_of(large) / "slabs.jsonl"
        maker = holder(lock_of(large))
        if not killed and maker and journal.is_file() and journal.stat().st_size:
            psutil.Process(maker.pid).kill()
            killed.append(journal.read_bytes().count(b"\n"))

    names = ("large.tif", "none.tif", "b.tif", "c.tif")
    found = predict_scans(options(made, *names, output_dir=output, cluster="local:2"), progress=progress)
    assert killed
    assert [Path(one["scan"]).name for one in found["scans"]] == list(names)
    assert [("error" in one) for one in found["scans"]] == [False, True, False, False]
    assert "none.tif" in found["scans"][1]["error"]
    assert files(output) == here
    again = predict_scans(options(made, "large.tif", "b.tif", output_dir=output))  # here, without a cluster
    assert [one["is_kept"] for one in again["scans"]] == [True, True]


@pytest.mark.rare
@pytest.mark.slow
def test_a_stop_is_heard_by_the_workers_and_the_same_command_goes_on(made, here, tmp_path):
    output = tmp_path / "labels"
    journal = folder_of(output / "large.tif") / "slabs.jsonl"

    def stopping(*_):
        if journal.is_file() and journal.stat().st_size:
            raise Cancelled("asked to stop")

    asked = options(made, "large.tif", output_dir=output, cluster="local:1")
    with pytest.raises(Cancelled):
        predict_scans(asked, progress=stopping)
    assert [p.name for p in output.iterdir()] == ["large.tif.unfinished"]
    assert predict_scans(asked)["failed"] == 0
    assert files(output) == {"large.tif": here["large.tif"]}


@pytest.mark.slow
def test_the_command_takes_one_scan_there_too_and_tells_it_as_ever(made, here, tmp_path):
    words = ["predict", made / "b.tif", "--model", made / "m.pth", "--chunk-size", "64", "--batch-size", "4"]
    words += ["--precision", "fp32", "--device", "cpu", "--output", "b.tif", "--cluster", "local:1", "--json"]
    command = [sys.executable, "-m", "standalone.command", *map(str, words)]
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT)}
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=tmp_path, timeout=200, env=surroundings
    )
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["slices"] == 3
    assert (tmp_path / "b.tif").read_bytes() == here["b.tif"]


def test_a_cluster_that_is_not_there_or_no_address_is_told(made, tmp_path):
    began = time.monotonic()
    with pytest.raises(HardwareError, match="no Dask scheduler answers there"):
        predict_scans(options(made, "b.tif", output_dir=tmp_path / "new", cluster="127.0.0.1:9"))
    assert time.monotonic() - began < 60
    assert not (tmp_path / "new").exists()
    with pytest.raises(OptionError, match="HOST:PORT"):
        options(made, "b.tif", output_dir=tmp_path, cluster="somewhere")
