"""Labels are verified by their record: fingerprints, and a sample that is labelled again."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import OptionError, ScanError
from bone_backend.options.predicting.verifying import VerifyOptions
from bone_backend.prediction import predict
from bone_backend.scores.meaning import record_path
from bone_backend.verifying import OTHER, SAME, UNKNOWN, verify_job
from bone_backend.volumes.volume import open_volume, save, sha256_of
from standalone import show
from tests.prediction_models import make_model
from tests.test_prediction import made_scan, options

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("verifying")
    save(folder / "scan.tif", made_scan((6, 64, 84)))
    make_model(folder / "m.pth")
    predict(options(folder / "scan.tif", folder / "m.pth", folder / "labels.tif"))
    predict(options(folder / "scan.tif", folder / "m.pth", folder / "clean.tif", clean=["1:largest"]))
    return folder


def verify(labels: Path, **more) -> dict:
    return verify_job(VerifyOptions.parse({"labels": labels, "precision": "fp32", "device": "cpu", **more}))


def copied(made: Path, folder: Path, name: str = "labels.tif") -> Path:
    for path in (made / name, record_path(made / name), made / "scan.tif", made / "m.pth"):
        shutil.copy(path, folder)
    return folder / name


@pytest.mark.slow
def test_the_command_says_that_labels_come_out_again(made, tmp_path):
    labels = copied(made, tmp_path)
    command = [
        sys.executable,
        "-m",
        "standalone.command",
        "verify",
        str(labels),
        "--precision",
        "fp32",
        "--json",
    ]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=100)
    found = json.loads(ended.stdout)
    assert (ended.returncode, found["failed"], found["share"]) == (0, 0, 1.0)
    assert [found[name] for name in ("labels", "scan", "models")] == [SAME] * 3
    assert found["compared"] == 6 * 64 * 84


def test_what_was_changed_afterwards_is_found(made, tmp_path):
    labels = copied(made, tmp_path)
    voxels = tifffile.imread(labels)
    voxels[2] = 1 - voxels[2].clip(0, 1)
    save(labels, voxels, overwrite=True)
    found = verify(labels, slices=6)
    assert (found["labels"], found["scan"], found["failed"]) == (OTHER, SAME, 1)
    assert found["share"] < 0.9
    assert [note for note in found["notes"] if "altered after BONe wrote them" in note]
    assert "label the scan again" in " ".join(show.verify(found).split())
    greys = tifffile.imread(tmp_path / "scan.tif")
    greys[0, 0, 0] += 1
    save(tmp_path / "scan.tif", greys, overwrite=True)
    assert verify(labels)["scan"] == OTHER
    make_model(tmp_path / "m.pth", patch_size=64)
    found = verify(labels)
    assert found["models"] == OTHER
    assert found["notes"][1:] == ["Made by m.pth; compared was m.pth."]


def test_labels_that_were_cleaned_are_compared_as_a_whole(made, tmp_path):
    labels = copied(made, tmp_path, "clean.tif")
    soon = verify(labels)  # what was labelled in a moment is labelled again as a whole
    assert (soon["failed"], soon["share"], soon["compared"], soon["notes"]) == (0, 1.0, 6 * 64 * 84, [])
    record = json.loads(record_path(labels).read_text(encoding="utf-8"))
    record["result"]["seconds"] = 3600.0
    record_path(labels).write_text(json.dumps(record), encoding="utf-8")
    found = verify(labels)
    assert (found["failed"], found["share"]) == (0, None)
    assert "were cleaned" in found["notes"][0]
    assert re.search(r"^Verified +the files only$", show.verify(found), re.MULTILINE)
    whole = verify(labels, whole=True)
    assert (whole["failed"], whole["share"], whole["compared"]) == (0, 1.0, 6 * 64 * 84)


def test_scan_and_model_are_found_one_folder_deeper_than_the_record_says(made, tmp_path, monkeypatch):
    """Labels in labels/, the model in runs/one/, the scan in data/scans/: verified from here or anywhere."""
    for folder in ("labels", "runs/one", "data/scans", "elsewhere"):
        (tmp_path / folder).mkdir(parents=True)
    labels = copied(made, tmp_path / "labels")
    (tmp_path / "labels/m.pth").rename(tmp_path / "runs/one/m.pth")
    (tmp_path / "labels/scan.tif").rename(tmp_path / "data/scans/scan.tif")
    record = json.loads(record_path(labels).read_text(encoding="utf-8"))
    record["options"] |= {"scan": "scans/scan.tif", "model": "one/m.pth"}
    record_path(labels).write_text(json.dumps(record), encoding="utf-8")
    for here, named in ((tmp_path, Path("labels/labels.tif")), (tmp_path / "elsewhere", labels)):
        monkeypatch.chdir(here)
        found = verify(named)
        assert [found[name] for name in ("labels", "scan", "models", "failed")] == [SAME, SAME, SAME, 0]
    make_model(tmp_path / "runs/one/m.pth", patch_size=64)
    assert verify(labels)["models"] == OTHER


def test_without_a_record_or_a_scan_it_is_said_what_is_missing(made, tmp_path):
    labels = copied(made, tmp_path)
    record = json.loads(record_path(labels).read_text(encoding="utf-8"))
    record["options"]["scan"] = "elsewhere/gone.tif"
    del record["labels"]
    record_path(labels).write_text(json.dumps(record), encoding="utf-8")
    with pytest.raises(OptionError, match=r"names the scan 'elsewhere/gone\.tif', which is not found"):
        verify(labels)
    assert verify(labels, scan=made / "scan.tif")["labels"] == UNKNOWN
    record_path(labels).unlink()
    with pytest.raises(ScanError, match="has no record"):
        verify(labels)


def test_the_fingerprint_of_labels_is_that_of_their_voxels_in_any_format(made, tmp_path):
    voxels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4)
    found = set()
    for name in ("a.tif", "a.npy", "a"):
        save(tmp_path / name, voxels)
        with open_volume(tmp_path / name) as volume:
            found.add(sha256_of(volume))
    assert len(found) == 1
