"""Commands as a user starts them: no output takes an input away, and no two runs work on one output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom

ROOT = Path(__file__).resolve().parents[2]
BONE = (sys.executable, "-m", "standalone.command")
# Ends with status 3 where torch was imported.
WITHOUT_TORCH = (
    "import sys; from standalone.command import main; status = main(sys.argv[1:]); "
    "sys.exit(3 if 'torch' in sys.modules else status)"
)


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}


def told(place: Path, *words: object, without_torch: bool = False) -> tuple[int, str]:
    """Run a command in a folder: exit status and standard error."""
    begin = (sys.executable, "-c", WITHOUT_TORCH) if without_torch else BONE
    done = subprocess.run(
        [*begin, *map(str, words)], cwd=place, env=environment(), capture_output=True, text=True, check=False
    )
    return done.returncode, done.stderr


@pytest.fixture
def place(tmp_path):
    """Two pairs as single files."""
    for number in range(2):
        grey, labels = Phantom(shape=(8, 48, 48), seed=number).slab(0, 8)
        save(tmp_path / f"s{number}.tif", grey, voxel_size=(20.0, 20.0, 20.0))
        save(tmp_path / f"m{number}.tif", labels, voxel_size=(20.0, 20.0, 20.0))
    return tmp_path


def test_a_table_replaces_no_mask_and_no_other_file_without_permission(place):
    before = {path.name: path.read_bytes() for path in place.iterdir()}
    for words, message in (
        (["--output", "m0.tif", "--overwrite"], "the table is written as a file ending in .csv, not as .tif"),
        (["--output", "m0.tif"], "the table is written as a file ending in .csv, not as .tif"),
        (["--output", "s0.tif/t.csv"], "since s0.tif is a file"),
    ):
        status, err = told(place, "iou", "m0.tif", "m1.tif", *words)
        assert (status, message.lower() in err.lower()) == (1, True), err
    assert {path.name: path.read_bytes() for path in place.iterdir()} == before
    assert told(place, "iou", "m0.tif", "m1.tif", "--output", "t.csv", "--quiet")[0] == 0
    table = (place / "t.csv").read_text(encoding="utf-8")
    status, err = told(place, "iou", "m1.tif", "m1.tif", "--output", "t.csv", without_torch=True)
    assert (status, "t.csv: is already there" in err) == (1, True), err
    assert (place / "t.csv").read_text(encoding="utf-8") == table
    assert told(place, "iou", "m1.tif", "m1.tif", "--output", "t.csv", "--overwrite", "--quiet")[0] == 0
    assert (place / "t.csv").read_text(encoding="utf-8") != table


FIT = ("fit", "--pair", "s0.tif", "m0.tif", "--pair", "s1.tif", "m1.tif", "--patch-size", "32", "--output")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ((*FIT, "s0.tif/run"), "lies inside the scan of pair 1"),
        ((*FIT, "."), "is the folder that holds the scan of pair 1"),
        ((*FIT, "run.nii.gz"), "a run is written as a folder (a name without ending), not as .nii.gz"),
        ((*FIT, "full", "--overwrite"), "holds no run of BONe (it has notes.txt)"),
        ((*FIT, "run", "--save-config", "c.json"), "save-config c.json: is already there"),
        ((*FIT, "run", "--save-config", "m1.tif", "--overwrite"), "options are written as a file ending in"),
        ((*FIT, "run", "--save-config", "run/c.json"), "save-config run/c.json: lies inside the output"),
        (
            (*FIT, "run", "--config", "c.json", "--save-config", "c.json", "--overwrite"),
            "configuration itself",
        ),
        (("predict", "s0.tif", "--model", "full", "--output", "lab"), "without a best model"),
        (("predict", "slices", "--model", "m", "--output", "slices/lab.tif"), "lies inside the scan, slices"),
        (("predict", "s?.tif", "--model", "m", "--output", "lab"), "s?.tif names 2 scans, but"),
        (("predict", "s0.tif", "--model", "m", "--output", "x.raw"), "not as .raw"),
        (("export", "m.pth", "--output", "m.pth", "--overwrite"), "ending in .onnx, not as .pth"),
        (("preview-augmentation", *FIT[1:-1], "--sheet", "old.png"), "old.png: is already there"),
        (("statistics", "s0.tif", "--save-config", "c.json"), "c.json: is already there"),
        (("demo", "--output", "full"), "is not empty and holds no demonstration (it has notes.txt)"),
    ],
)
def test_outputs_are_refused_before_any_work(place, words, message):
    """And without torch, which takes seconds to import."""
    (place / "full").mkdir()
    (place / "full" / "notes.txt").touch()
    (place / "slices").mkdir()
    (place / "c.json").write_text("{}", encoding="utf-8")
    (place / "old.png").touch()
    before = sorted(path.relative_to(place) for path in place.rglob("*"))
    status, err = told(place, *words, without_torch=words[0] not in ("demo", "preview-augmentation"))
    assert (status, message in err) == (1, True), err
    assert sorted(path.relative_to(place) for path in place.rglob("*")) == before


def test_options_are_saved_where_that_takes_nothing_away(place):
    for words in ([], ["--overwrite"]):
        status, err = told(place, "iou", "m0.tif", "m0.tif", "--quiet", "--save-config", "c.yaml", *words)
        assert status == 0, err
    assert "m0.tif" in (place / "c.yaml").read_text(encoding="utf-8")


@pytest.mark.slow
def test_two_fits_in_one_folder_are_refused_and_a_killed_one_goes_on(place):
    fit = (*FIT, "run", "--batch-size", "8", "--patches-per-tile", "1", "--epochs", "2000", "--device", "cpu")
    fit = (*fit, "--recipe", "paper", "--architecture", "Plain U-Net", "--plain-channels", "8")
    fit = (*fit, "--plain-depth", "3")
    run = place / "run"
    first = subprocess.Popen(
        [*BONE, *fit], cwd=place, env=environment(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        deadline = time.monotonic() + 200
        while not (run / ".bone-lock").exists() and time.monotonic() < deadline:
            time.sleep(0.02)
        wanted = f"a fit is running in this folder (process {first.pid} on "
        for words in (fit, (*fit, "--overwrite")):  # before it has anything to show
            status, err = told(place, *words, without_torch=True)
            assert (status, wanted in err) == (1, True), err
        while not (run / "checkpoint.pth").exists() and time.monotonic() < deadline:
            assert first.poll() is None
            time.sleep(0.02)
        before = {path.name for path in run.iterdir() if not path.name.endswith(".part")}
        for words in (fit, (*fit, "--overwrite"), ("fit", "--resume", "run")):
            status, err = told(place, *words, without_torch=True)
            assert (status, wanted in err) == (1, True), err
        assert before - {path.name for path in run.iterdir()} <= {path for path in before if "_best_" in path}
    finally:
        first.kill()
        first.wait()
    assert (run / ".bone-lock").exists()
    status, err = told(place, "fit", "--resume", "run", "--epochs", "1", "--quiet", "--json")
    assert status == 0, err
    assert not [path.name for path in run.iterdir() if path.name.startswith(".") or "checkpoint" in path.name]
    assert json.loads((run / "record.json").read_text(encoding="utf-8"))["result"]["outcome"] == "done"
    with open_volume(place / "s0.tif") as volume:
        assert volume.header.shape == (8, 48, 48)
