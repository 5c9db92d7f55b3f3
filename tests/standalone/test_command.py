"""The command as a user types it: results, exit status, one message for a fault, nothing left behind."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom
from standalone.command import main

ROOT = Path(__file__).resolve().parents[2]
PLAIN = ["--architecture", "Plain U-Net", "--plain-channels", "8", "--plain-depth", "3"]
SMALL = ["--recipe", "paper", "--patch-size", "32", "--batch-size", "8", "--patches-per-tile", "1", *PLAIN]
SMALL += ["--epochs", "2"]
VOXEL = (30.0, 20.0, 20.0)


def bone(capsys, *words):
    """Run the command in this process: exit status, standard output, standard error."""
    capsys.readouterr()
    try:
        status = main([str(word) for word in words])
    except SystemExit as end:
        status = end.code
    shown = capsys.readouterr()
    return status, shown.out, shown.err


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Three small phantoms: two TIFF folders and one multi-page TIFF, 8 and 16 bit."""
    folder = tmp_path_factory.mktemp("scans")
    for number, (name, bits) in enumerate((("a", 8), ("b", 16), ("c.tif", 8))):
        grey, labels = Phantom(shape=(8, 48, 40), seed=number, bits=bits).slab(0, 8)
        save(folder / f"scan_{name}", grey, voxel_size=VOXEL)
        save(folder / f"mask_{name}", labels, voxel_size=VOXEL)
    return folder


@pytest.fixture(scope="module")
def fitted(scans, tmp_path_factory):
    """A run on the three phantoms, and what the command said."""
    run = tmp_path_factory.mktemp("runs") / "run"
    pairs = [
        word
        for name in ("a", "b", "c.tif")
        for word in ("--pair", scans / f"scan_{name}", scans / f"mask_{name}")
    ]
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "standalone.command",
            "fit",
            *pairs,
            "--output",
            run,
            "--name",
            "small",
            *SMALL,
            "--json",
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return run, json.loads(done.stdout)


def test_fit_leaves_a_model_and_a_whole_run_folder(fitted):
    run, found = fitted
    assert {"model", "best_epoch", "best_val_iou", "run_folder", "seconds", "peak_ram_gib"} <= set(found)
    assert Path(found["model"]).is_file()
    assert (
        Path(found["model"]).name
        == f"small_best_epoch_{found['best_epoch']}_val_jaccard_{found['best_val_iou']:.4f}.pth"
    )
    names = {path.name for path in run.iterdir()}
    assert {
        "options.json",
        "inputs.json",
        "split.json",
        "scores.csv",
        "log.txt",
        "record.json",
        "report.html",
    } <= names
    assert "checkpoint.pth" not in names
    assert not [name for name in names if name.endswith(".part")]
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert record["versions"]["torch"]
    assert len(record["inputs"]) == 3
    assert record["inputs"][1]["dtype"] == "uint16"
    assert len((run / "scores.csv").read_text(encoding="utf-8").splitlines()) == 3
    assert "Epoch 2" in (run / "log.txt").read_text(encoding="utf-8")


@pytest.mark.parametrize("output", ["labels", "labels.tif"])
def test_predict_writes_labels_of_the_scans_geometry(scans, fitted, tmp_path, capsys, output):
    status, out, err = bone(
        capsys,
        "predict",
        scans / "scan_b",
        "--model",
        fitted[1]["model"],
        "--output",
        tmp_path / output,
        "--json",
    )
    assert status == 0
    found = json.loads(out)
    assert len(err.splitlines()) == len(found["warnings"])  # of a fit as short as this
    assert {"output", "seconds", "slices", "peak_ram_gib", "voxels"} <= set(found)
    assert found["slices"] == 8
    assert sum(found["voxels"].values()) == 8 * 48 * 40
    with open_volume(tmp_path / output) as labels:
        assert labels.header.shape == (8, 48, 40)
        assert labels.header.dtype == np.uint8
        assert labels.header.voxel_size_um == pytest.approx(VOXEL, rel=1e-6)
        values, counts = np.unique(labels.read(0, 8), return_counts=True)
    assert {str(v): n for v, n in zip(values.tolist(), counts.tolist(), strict=True)} == {
        k: n for k, n in found["voxels"].items() if n
    }


def test_a_scan_unlike_those_of_the_fit_is_told_in_the_answer_the_record_and_the_log(scans, fitted, tmp_path):
    with open_volume(scans / "scan_a") as scan:
        save(tmp_path / "negative", 255 - scan.read(0, 8), voxel_size=VOXEL)
    done = subprocess.run(
        [
            *(sys.executable, "-m", "standalone.command", "predict", tmp_path / "negative"),
            *("--model", fitted[0], "--output", tmp_path / "labels", "--json"),
        ],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)["warnings"]
    record = json.loads((tmp_path / "labels.record.json").read_text(encoding="utf-8"))
    assert record["result"]["warnings"] == told
    assert any(one.startswith("negative: ") and "its grey values are spread" in one for one in told)
    assert all(one in done.stderr for one in told)
    assert record["result"]["agreement"]["kappa_of_fit"] > 0.4


def test_predict_tells_its_confidence_in_words(scans, fitted, tmp_path, capsys):
    words = ("predict", scans / "scan_b", "--model", fitted[1]["model"], "--confidence-threshold", "0.999")
    found = json.loads(bone(capsys, *words, "--output", tmp_path / "one", "--json")[1])["confidence"]
    out = bone(capsys, *words, "--output", tmp_path / "two", "--quiet")[1]
    assert found["uncertain_voxels"] > 0
    assert f"mean {found['mean']:.4f}" in out
    assert f"{found['uncertain_voxels']:,} voxels ({found['uncertain_share']:.2%})" in out


def test_iou_scores_two_label_volumes(scans, capsys):
    status, out, _ = bone(capsys, "iou", scans / "mask_a", scans / "mask_b", "--json")
    assert status == 0
    found = json.loads(out)
    with open_volume(scans / "mask_a") as one, open_volume(scans / "mask_b") as two:
        left, right = one.read(0, 8), two.read(0, 8)
    for value, scores in found["classes"].items():
        both = int(((left == int(value)) & (right == int(value))).sum())
        either = int(((left == int(value)) | (right == int(value))).sum())
        assert scores["intersection_voxels"] == both
        assert scores["iou"] == pytest.approx(both / either)
    assert set(found["classes"]["1"]) == {
        "iou",
        "dice",
        "reference_voxels",
        "predicted_voxels",
        "intersection_voxels",
    }
    assert found["mean_iou"] == pytest.approx(np.mean([s["iou"] for s in found["classes"].values()]))


def test_statistics_of_a_scan_are_numpys(scans, capsys):
    status, out, _ = bone(capsys, "statistics", scans / "scan_b", "--json")
    assert status == 0
    found = json.loads(out)
    with open_volume(scans / "scan_b") as volume:
        values = volume.read(0, 8)
    values = values[values != 0].astype(np.float64)
    assert (found["count"], found["min"], found["max"]) == (values.size, values.min(), values.max())
    assert (found["mean"], found["std"]) == pytest.approx((values.mean(), values.std()))
    assert found["percentiles"]["50"] == np.percentile(values, 50)


@pytest.mark.parametrize("what", ["scan", "model"])
def test_info_says_what_a_path_is(scans, fitted, capsys, what):
    path = scans / "scan_b" if what == "scan" else fitted[1]["model"]
    status, out, _ = bone(capsys, "info", path, "--json")
    found = json.loads(out)
    assert status == 0
    assert found["shape" if what == "scan" else "architecture"] == (
        [8, 48, 40] if what == "scan" else "Plain U-Net"
    )
    assert bone(capsys, "info", path)[0] == 0


def test_results_are_also_told_in_words(scans, capsys):
    status, out, _ = bone(capsys, "iou", scans / "mask_a", scans / "mask_a", "--quiet")
    assert status == 0
    assert "1.0000" in out
    assert "mean" in out


# --- bad input: one message, status 1, nothing left


def pair_words(*paths):
    return [word for scan, mask in paths for word in ("--pair", scan, mask)]


def refused(capsys, tmp_path, *words):
    """The message of a command that must fail, with nothing written under tmp_path / out."""
    status, out, err = bone(capsys, *words)
    assert status == 1, (status, out, err)
    assert out == ""
    assert "Traceback" not in err
    assert not (tmp_path / "out").exists()
    return err


@pytest.fixture
def copy(scans, tmp_path):
    """Two pairs that a test may spoil."""
    for name in ("scan_a", "mask_a", "scan_b", "mask_b"):
        shutil.copytree(scans / name, tmp_path / name)
    return tmp_path


def spoil_shape(folder):
    save(folder / "mask_a", np.ones((7, 48, 40), np.uint8), voxel_size=VOXEL, overwrite=True)


def spoil_labels(folder, old=1, new=255):
    for path in (folder / "mask_a").iterdir():
        plane = tifffile.imread(path)
        tifffile.imwrite(path, np.where(plane == old, new, plane).astype(np.uint8))


def spoil_gap(folder):
    spoil_labels(folder, 2, 5)
    for path in (folder / "mask_b").iterdir():
        plane = tifffile.imread(path)
        tifffile.imwrite(path, np.where(plane == 2, 5, plane).astype(np.uint8))


def spoil_float(folder):
    save(folder / "mask_a", np.ones((8, 48, 40), np.float32), voxel_size=VOXEL, overwrite=True)


def spoil_negative(folder):
    save(folder / "mask_a", np.full((8, 48, 40), -1, np.int16), voxel_size=VOXEL, overwrite=True)


def spoil_empty(folder):
    for path in (folder / "scan_a").iterdir():
        path.unlink()


def spoil_single(folder):
    for path in sorted((folder / "scan_a").iterdir())[1:]:
        path.unlink()


def spoil_missing(folder):
    sorted((folder / "scan_a").iterdir())[4].unlink()


def spoil_truncated(folder):
    path = sorted((folder / "scan_a").iterdir())[4]
    path.write_bytes(path.read_bytes()[:-100])


def spoil_corrupt(folder):
    sorted((folder / "scan_a").iterdir())[4].write_bytes(b"not a TIFF at all")


def spoil_mixed_size(folder):
    tifffile.imwrite(sorted((folder / "scan_a").iterdir())[4], np.zeros((48, 41), np.uint8))


def spoil_mixed_dtype(folder):
    tifffile.imwrite(sorted((folder / "scan_a").iterdir())[4], np.zeros((48, 40), np.uint16))


def spoil_colour(folder):
    for path in (folder / "scan_a").iterdir():
        tifffile.imwrite(path, np.zeros((48, 40, 3), np.uint8), photometric="rgb")


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (spoil_shape, ["7 x 48 x 40", "8 x 48 x 40"]),
        (spoil_labels, ["255", "--map-labels"]),
        (spoil_gap, ["0, 1, 5", "--map-labels 5:2"]),
        (spoil_float, ["float32", "whole numbers"]),
        (spoil_negative, ["-1"]),
        (spoil_empty, ["scan_a"]),
        (spoil_single, ["scan_a", "2"]),
        (spoil_missing, ["scan_a", "4"]),
        (spoil_truncated, ["0004"]),
        (spoil_corrupt, ["0004"]),
        (spoil_mixed_size, ["0004", "41"]),
        (spoil_mixed_dtype, ["0004", "uint16"]),
        (spoil_colour, ["scan_a", "colour"]),
    ],
)
def test_a_spoilt_pair_is_told_in_one_message(copy, capsys, spoil, told):
    spoil(copy)
    words = pair_words((copy / "scan_a", copy / "mask_a"), (copy / "scan_b", copy / "mask_b"))
    message = refused(capsys, copy, "fit", *words, "--output", copy / "out", *SMALL)
    for part in told:
        assert part.lower() in message.lower(), message


def test_labels_can_be_mapped_as_the_message_offers(copy, capsys):
    spoil_gap(copy)
    words = pair_words((copy / "scan_a", copy / "mask_a"), (copy / "scan_b", copy / "mask_b"))
    status, out, err = bone(
        capsys,
        "fit",
        *words,
        "--output",
        copy / "out",
        *SMALL,
        "--epochs",
        "1",
        "--map-labels",
        "5:2",
        "--json",
    )
    assert status == 0, err
    assert set(json.loads(out)["val_iou_per_class"]) == {"0", "1", "2"}


def test_wrong_options_are_told_together(scans, tmp_path, capsys):
    words = pair_words((scans / "scan_a", scans / "mask_a"))
    wrong = ("--recipe", "paper", "--patch-size", "50", "--epochs", "0")
    message = refused(capsys, tmp_path, "fit", *words, "--output", tmp_path / "out", *wrong)
    assert "Use 32 or 64" in message
    assert "epochs is" in message
    assert "only one pair is given; validation on whole scans needs at least two" in message


def test_a_patch_larger_than_the_scan_is_answered_with_one_that_fits(scans, tmp_path, capsys):
    words = pair_words((scans / "scan_a", scans / "mask_a"), (scans / "scan_b", scans / "mask_b"))
    message = refused(capsys, tmp_path, "fit", *words, "--output", tmp_path / "out", "--patch-size", "96")
    assert "largest that fits is 40" in message


@pytest.mark.parametrize(("mode", "patch"), [("2D", ["64"]), ("3D", ["64", "--patch-depth", "16"])])
def test_a_scan_smaller_than_a_patch_is_reflected_and_labelled(scans, tmp_path, capsys, mode, patch):
    words = pair_words((scans / "scan_a", scans / "mask_a"), (scans / "scan_b", scans / "mask_b"))
    small = (
        "--mode",
        mode,
        "--patch-size",
        *patch,
        "--plain-channels",
        "8",
        "--epochs",
        "1",
        "--epoch-steps",
    )
    status, _, err = bone(capsys, "fit", *words, "--output", tmp_path / "run", *small, "2", "--device", "cpu")
    assert status == 0, err
    assert "Smaller than a patch and therefore reflected at the far ends: scan_a (" in " ".join(err.split())
    labels = tmp_path / "labels.tif"
    model = tmp_path / "run"
    status, _, err = bone(capsys, "predict", scans / "scan_a", "--model", model, "--output", labels)
    assert status == 0, err
    assert open_volume(labels).header.shape == open_volume(scans / "scan_a").header.shape


def test_another_run_is_not_overwritten_unless_asked(scans, fitted, capsys):
    run, found = fitted
    words = pair_words((scans / "scan_a", scans / "mask_a"), (scans / "scan_b", scans / "mask_b"))
    status, _, err = bone(capsys, "fit", *words, "--output", run, *SMALL)
    assert status == 1
    assert "--overwrite" in err
    assert Path(found["model"]).is_file()


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_configuration_from_anywhere_and_moved(
    scans, tmp_path, monkeypatch, capsys
):
    """As in docs/several_gpus.md: relative names, numbers and lists as a user writes them."""
    values = {
        "pairs": [[f"scan_{name}", f"mask_{name}"] for name in ("a", "b")],
        "output": os.path.relpath(tmp_path / "run", scans),
        "patch-size": 32,
        "batch-size": 8,
        "patches-per-tile": 1,
        "recipe": "paper",
        "architecture": "Plain U-Net",
        "plain-channels": 8,
        "plain-depth": 3,
        "epochs": 1,
        "schedule": "constant",
        "warm-up-epochs": 1,
        "map-labels": ["2:1"],
        "keep-checkpoint": True,
        "transforms": {"gamma": 0.3},
    }
    config = tmp_path / "fit.json"
    config.write_text(json.dumps(values), encoding="utf-8")
    monkeypatch.chdir(scans)
    assert bone(capsys, "fit", "--config", config, "--quiet")[::2] == (0, "")
    again = ("fit", "--config", config, "--epochs", "2", "--json", "--resume", values["output"])
    status, out, err = bone(capsys, *again)
    assert (status, json.loads(out)["epochs"]) == (0, 2), err

    monkeypatch.chdir(tmp_path)
    (tmp_path / "run").rename(tmp_path / "moved")
    status, out, err = bone(capsys, "fit", "--resume", "moved", "--epochs", "3", "--json")
    assert (status, json.loads(out)["epochs"]) == (0, 3), err
    record = json.loads((tmp_path / "moved" / "record.json").read_text(encoding="utf-8"))
    stored = json.loads((tmp_path / "moved" / "options.json").read_text(encoding="utf-8"))
    assert record["options"] == stored
    assert stored["pairs"][0]["scan"] == str(scans / "scan_a")
    assert stored["output"] == str(tmp_path / "moved")


def spoilt_models(folder, good):
    data = Path(good).read_bytes()
    yield "no_model.pth", b"\x89PNG\r\n\x1a\n" + bytes(100)
    yield "truncated.pth", data[: len(data) // 2]
    yield "empty.pth", b""
    import pickle

    class Bad:
        def __reduce__(self):
            return (os.system, (f"touch {folder / 'ran'}",))

    yield "code.pth", pickle.dumps(Bad())


def test_a_model_file_that_is_none_is_refused_and_runs_no_code(scans, fitted, tmp_path, capsys):
    for name, data in spoilt_models(tmp_path, fitted[1]["model"]):
        (tmp_path / name).write_bytes(data)
        message = refused(
            capsys,
            tmp_path,
            "predict",
            scans / "scan_a",
            "--model",
            tmp_path / name,
            "--output",
            tmp_path / "out",
        )
        assert name in message
        assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    "words",
    [
        ["predict", "no_such_scan", "--model", "no.pth", "--output", "out"],
        ["iou", "no_such", "neither"],
        ["statistics", "no_such"],
        ["info", "no_such"],
        ["fit", "--frobnicate"],
        ["predict"],
    ],
)
def test_what_is_not_there_is_told_with_status_one(capsys, words, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    status, out, err = bone(capsys, *words)
    assert (status, out) == (1, "")
    told = [line for line in err.splitlines() if " BONe " not in line]  # without the greeting
    assert told
    assert all(line.startswith("bone") for line in told)


def test_with_json_a_fault_is_one_object_too(capsys):
    status, out, err = bone(capsys, "info", "no_such", "--json")
    assert status == 1
    assert json.loads(out)["kind"] == "ScanError"
    assert "no_such" in err


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["fit", "--nonsense"], "there is no option --nonsense. See bone fit --help."),
        (["demo", "--epochs", "x"], "epochs is 'x': give a whole number from 1 to 100000."),
        (["fitt"], "fitt is no command. Did you mean fit? See bone --help."),
        (["--js"], "preview-augmentation, info, check, cache, convert, demo, window. See bone --help."),
    ],
)
def test_with_json_a_wrong_word_is_one_object_too(capsys, words, told):
    status, out, err = bone(capsys, *words, *([] if "--js" in words else ["--json"]))
    assert status == 1
    found = json.loads(out)
    assert found["kind"] == "OptionError"
    assert found["error"].endswith(told)
    assert err.endswith(f"{told}\n")


LONG = "x" * 300  # longer than any file system takes


@pytest.mark.parametrize(
    "words",
    [
        ["info", LONG],
        ["iou", LONG, LONG],
        ["iou", "mask_a", "mask_a", "--output", f"{LONG}.csv"],
        ["iou", "mask_a", "mask_a", "--save-config", f"{LONG}.json"],
        ["iou", "mask_a", "mask_a", "--save-config", "none/c.json"],
        ["iou", "mask_a", "mask_a", "--config", LONG + ".json"],
        ["predict", "scan_a", "--model", LONG, "--output", "out"],
        ["demo", "--output", LONG],
    ],
)
def test_what_the_system_refuses_is_one_message(scans, words, monkeypatch, capsys):
    monkeypatch.chdir(scans)
    before = set(scans.iterdir())
    status, out, err = bone(capsys, *words, "--json")
    assert status == 1
    assert json.loads(out)["error"] in err
    assert len(err.splitlines()) == 1
    assert "too long" in err or "No such file" in err
    assert set(scans.iterdir()) == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full, a disk that is always full")
@pytest.mark.parametrize("words", ["info mask_a --json", "info mask_a", "info none --json", "fit --help"])
@pytest.mark.parametrize("place", [">/dev/full", ">&-"])
def test_a_result_that_nobody_can_read_is_told_with_status_one(scans, words, place):
    command = f'PYTHONPATH="{ROOT}" "{sys.executable}" -m standalone.command {words} {place}'
    done = subprocess.run(command, shell=True, cwd=scans, stderr=subprocess.PIPE, text=True, check=False)
    assert done.returncode == 1
    assert "bone: the result cannot be written to standard output: " in done.stderr.splitlines()[-1]
    assert "Traceback" not in done.stderr


def test_a_gpu_that_is_not_there_is_never_replaced(scans, fitted, tmp_path, capsys):
    import torch

    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    message = refused(
        capsys,
        tmp_path,
        "predict",
        scans / "scan_a",
        "--model",
        fitted[1]["model"],
        "--output",
        tmp_path / "out",
        "--device",
        "cuda",
    )
    assert "cuda" in message


NO_SIGINT = pytest.mark.skipif(os.name == "nt", reason="sends SIGINT, which Windows has not")

# Runs `bone` and presses Ctrl-C when a module is about to be imported, once or twice.
INTERRUPTED = """
import os, signal, sys

name, times = sys.argv[1], int(sys.argv[2])

class Interrupter:
    def find_spec(self, module, path=None, target=None):
        global times
        while module == name and times:
            times -= 1
            try:
                os.kill(os.getpid(), signal.SIGINT)
            except KeyboardInterrupt:
                if not times:
                    raise

sys.meta_path.insert(0, Interrupter())
sys.argv[1:] = sys.argv[3:]
from standalone.command import main
sys.exit(main())
"""


@NO_SIGINT
@pytest.mark.parametrize("times", ["1", "2"])
@pytest.mark.parametrize("module", ["pydantic", "bone_backend.jobs.run", "numpy", "torch"])
def test_ctrl_c_while_bone_starts_is_answered_at_once(scans, tmp_path, module, times):
    pairs = pair_words((scans / "scan_a", scans / "mask_a"), (scans / "scan_b", scans / "mask_b"))
    words = ["fit", *map(str, pairs), "--output", tmp_path / "run", *SMALL, "--json"]
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, module, times, *words],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (130, "")
    assert json.loads(done.stdout) == {"stopped": True}
    assert not (tmp_path / "run").exists()


@NO_SIGINT
def test_ctrl_c_after_the_last_word_changes_nothing(scans):
    code = "import os, sys; from standalone.command import main; status = main(); os.kill(os.getpid(), 2)"
    done = subprocess.run(
        [sys.executable, "-c", f"{code}; sys.exit(status)", "info", scans / "mask_a", "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert json.loads(done.stdout)["shape"] == [8, 48, 40]


@pytest.mark.slow
@NO_SIGINT
def test_ctrl_c_stops_within_two_seconds_and_keeps_the_best_model(scans, tmp_path):
    words = pair_words((scans / "scan_a", scans / "mask_a"), (scans / "scan_b", scans / "mask_b"))
    run = tmp_path / "run"
    small = [word if word != "2" else "500" for word in SMALL]
    process = subprocess.Popen(
        [sys.executable, "-m", "standalone.command", "fit", *words, "--output", run, *small, "--json"],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    deadline = time.monotonic() + 120
    while not list(run.glob("*_best_epoch_*.pth")):
        assert process.poll() is None, process.communicate()
        assert time.monotonic() < deadline
        time.sleep(0.05)
    time.sleep(1)
    asked = time.monotonic()
    process.send_signal(signal.SIGINT)
    out, err = process.communicate(timeout=30)
    assert time.monotonic() - asked < 6, err  # 2 s, the end of the interpreter, and other tests beside
    assert process.returncode == 130
    found = json.loads(out)
    assert found["stopped"]
    assert Path(found["model"]).is_file()
    assert (run / "checkpoint.pth").is_file()
    assert "Traceback" not in err
