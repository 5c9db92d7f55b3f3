"""Every command as a person starts it: in a terminal, piped, stopped, resized, cut off."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from bone_backend.volumes.volume import save
from mocks.scans import Phantom

if os.name == "nt":
    pytest.skip("a pseudo-terminal is a thing of Unix", allow_module_level=True)

from .terminal import BONE, CTRL_C, ROOT, Terminal

FIT = [
    "--recipe",
    "paper",
    "--patch-size",
    "32",
    "--batch-size",
    "8",
    "--patches-per-tile",
    "1",
    "--architecture",
    "Plain U-Net",
    "--plain-channels",
    "8",
    "--plain-depth",
    "3",
]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ? \S")


@pytest.fixture(scope="module")
def scans(tmp_path_factory) -> Path:
    """Two small phantoms and their masks, and a long one."""
    folder = tmp_path_factory.mktemp("scans")
    for name, depth, seed in (("a", 8, 0), ("b", 8, 1), ("long", 160, 2)):
        grey, labels = Phantom(shape=(depth, 48, 40), seed=seed).slab(0, depth)
        save(folder / f"{name}.tif", grey, voxel_size=(20.0, 20.0, 20.0))
        save(folder / f"{name}_mask.tif", labels, voxel_size=(20.0, 20.0, 20.0))
    return folder


@pytest.fixture(scope="module")
def model(tmp_path_factory) -> Path:
    from tests.prediction_models import make_model

    return make_model(tmp_path_factory.mktemp("models") / "small.pth", is_plain=True)


def fit_words(scans: Path, run: Path, *, epochs: int) -> list[object]:
    pairs = [word for name in "ab" for word in ("--pair", scans / f"{name}.tif", scans / f"{name}_mask.tif")]
    return [*BONE, "fit", *pairs, "--output", run, "--epochs", epochs, *FIT]


def predict_words(scans: Path, model: Path, output: Path) -> list[object]:
    chunks = ["--chunk-size", "32", "--batch-size", "1"]  # slow enough to be met at work
    return [*BONE, "predict", scans / "long.tif", "--model", model, "--output", output, *chunks]


def run_piped(words: list[object], **options: object) -> subprocess.CompletedProcess[str]:
    """Without any terminal, as a cluster runs it."""
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    return subprocess.run(
        list(map(str, words)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        env=surroundings,
        **options,
    )


@pytest.mark.parametrize("columns", [80, 120])
@pytest.mark.parametrize(
    "words", ["info a.tif", "iou a_mask.tif a_mask.tif", "statistics a.tif", "fit --help", ""]
)
def test_short_commands_fit_into_the_window(scans, words, columns):
    with Terminal([*BONE, *words.split()], columns=columns, folder=scans) as terminal:
        status = terminal.wait()
        assert status == 0 if words else status is not None
        lines = terminal.text().splitlines()
        assert lines
        assert "Traceback" not in terminal.text()


def test_faults_of_paths_come_before_torch_is_loaded_all_at_once(scans, model, tmp_path):
    tracing = [sys.executable, "-X", "importtime", "-m", "standalone.command"]
    pairs = ["--pair", scans / "a.tif", "none_1.tif", "--pair", "none_2.tif", scans / "b_mask.tif"]
    fit = run_piped([*tracing, "fit", *pairs, "--output", tmp_path / "run"])
    predict = run_piped(
        [*tracing, "predict", "none_3", "--model", "none.pth", "--output", tmp_path / "labels"]
    )
    for done, missing in ((fit, ["none_1.tif", "none_2.tif"]), (predict, ["none_3", "none.pth"])):
        told = [line for line in done.stderr.splitlines() if not line.startswith("import time:")]
        assert done.returncode == 1
        assert re.match(r"\S+ BONe [\d.]+, (fit|predict)$", told[0]), "something is shown at once"
        assert len(told) == 1 + len(missing)
        assert all(name in line for name, line in zip(missing, told[1:], strict=True))
        assert "pydantic" in done.stderr
        assert "| torch\n" not in done.stderr.replace(" ", " ").replace("|  ", "| ")
        assert not re.search(r"\|\s+torch$", done.stderr, re.MULTILINE)


def test_the_first_sign_comes_before_anything_slow_is_loaded(scans, tmp_path):
    words = [sys.executable, "-X", "importtime", *BONE[1:], "fit", "--output", tmp_path / "run"]
    done = run_piped(words)
    told = done.stderr.splitlines()
    greeting = next(i for i, line in enumerate(told) if ", fit" in line)
    slow = [i for i, line in enumerate(told) if re.search(r"\|\s+(pydantic|rich|numpy|yaml)(\.\w+)?$", line)]
    assert slow
    assert greeting < min(slow)


@pytest.mark.slow
def test_a_fit_in_a_window_that_is_resized_is_good_to_read_to_its_end(scans, tmp_path):
    words = [*fit_words(scans, tmp_path / "run", epochs=4), "--patches-per-tile", 48]  # long enough to be met
    with Terminal(words) as terminal:
        assert terminal.wait(lambda shown: re.search(r"Epoch \d of 4, training", shown)) is None
        assert re.search(r"elapsed .* left ", terminal.text())
        assert re.search(r"\d+ % of all", terminal.text())
        terminal.resize(120)
        assert terminal.wait() == 0
        shown = terminal.text()
    assert "Traceback" not in shown
    assert re.search(r"^\d\d:\d\d:\d\d  Epoch 4: training loss", shown, re.MULTILINE)
    summary = shown[shown.index("\nBest model  ") :]
    assert "% of all" not in summary
    assert re.search(r"^Run folder  \S+run$", summary.replace("\n ", ""), re.MULTILINE)
    assert re.search(r"^class +validation IoU\n0 background +[01]\.\d{4}$", summary, re.MULTILINE)


@pytest.mark.slow
def test_ctrl_c_in_a_terminal_keeps_what_was_reached_and_says_how_to_go_on(scans, tmp_path):
    run = tmp_path / "run"
    with Terminal(fit_words(scans, run, epochs=500)) as terminal:
        assert terminal.wait(lambda shown: "Epoch 2:" in shown) is None
        terminal.type(CTRL_C)
        assert terminal.wait() == 130
        shown = terminal.text()
    assert "Stopped. Best model so far" in shown
    assert "bone fit --resume" in shown
    assert (run / "checkpoint.pth").is_file()
    assert "was stopped after" in (run / "log.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_two_ctrl_c_end_at_once(scans, model, tmp_path):
    with Terminal(predict_words(scans, model, tmp_path / "labels")) as terminal:
        assert terminal.wait(lambda shown: "Labelling slice" in shown) is None
        terminal.type(CTRL_C)
        terminal.type(CTRL_C)
        assert terminal.wait(timeout_s=20) == 130
    assert not (tmp_path / "labels").exists()


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGHUP, marks=pytest.mark.rare)])
def test_other_requests_to_stop_are_heeded_as_ctrl_c_is(scans, tmp_path, number):
    run = tmp_path / "run"
    with Terminal(fit_words(scans, run, epochs=500)) as terminal:
        assert terminal.wait(lambda shown: "Epoch 2:" in shown) is None
        if number == signal.SIGHUP:
            terminal.hang_up()
        else:
            terminal.process.send_signal(number)
        if number == signal.SIGHUP:
            assert terminal.process.wait(60) == 128 + number
        else:
            assert terminal.wait() == 128 + number
    assert (run / "checkpoint.pth").is_file()
    assert list(run.glob("*_best_epoch_*.pth"))
    assert json.loads((run / "record.json").read_text(encoding="utf-8"))["result"]["outcome"] == "stopped"


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_prediction_that_is_asked_to_stop_keeps_what_is_done_and_no_labels(scans, model, tmp_path, number):
    with Terminal(predict_words(scans, model, tmp_path / "labels")) as terminal:
        assert terminal.wait(lambda shown: "Labelling slice" in shown) is None
        terminal.process.send_signal(number)
        assert terminal.wait() == 128 + number
        assert "the same command goes on there" in terminal.text().replace("\n", " ")
    assert [path.name for path in tmp_path.iterdir()] == ["labels.unfinished"]


@pytest.mark.slow
def test_a_window_that_closes_is_no_reason_to_end_under_nohup(scans, model, tmp_path):
    log = tmp_path / "log"
    surroundings = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with log.open("w", encoding="utf-8") as out:
        words = ["nohup", *map(str, predict_words(scans, model, tmp_path / "labels"))]
        command = subprocess.Popen(words, env=surroundings, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
    while "Labelling" not in log.read_text(encoding="utf-8"):
        assert command.poll() is None, log.read_text(encoding="utf-8")
        time.sleep(0.1)
    command.send_signal(signal.SIGHUP)
    assert command.wait(240) == 0, log.read_text(encoding="utf-8")
    assert (tmp_path / "labels").is_dir()


@pytest.mark.slow
@pytest.mark.parametrize(
    "streams", ["2>&1 | head -c 1", pytest.param("2> >(head -c 1 >&2) | cat", marks=pytest.mark.rare)]
)
def test_a_reader_that_goes_away_does_not_end_the_work(scans, model, tmp_path, streams):
    quoted = " ".join(f"'{word}'" for word in predict_words(scans, model, tmp_path / "labels"))
    done = run_piped(["bash", "-c", f"set -o pipefail; {quoted} {streams}"])
    assert "Traceback" not in done.stderr
    assert (tmp_path / "labels").is_dir()
    # the labels are there; where nobody could read the result, the status says so
    assert done.returncode == (1 if "2>&1" in streams else 0)


@pytest.mark.slow
def test_a_fit_without_a_terminal_writes_plain_dated_lines(scans, tmp_path):
    words = fit_words(scans, tmp_path / "run", epochs=2)
    done = run_piped(words)
    assert done.returncode == 0, done.stderr
    lines = done.stderr.splitlines()
    assert all(LINE.match(line) for line in lines), lines
    assert any(len(line) > 100 for line in lines), "long lines are not wrapped"
    assert not any(line.endswith(" ") for line in lines)


@pytest.mark.slow
@pytest.mark.rare
def test_a_fit_without_a_reader_lasts_to_its_end(scans, tmp_path):
    quoted = " ".join(f"'{word}'" for word in fit_words(scans, tmp_path / "lonely", epochs=2))
    done = run_piped(["bash", "-c", f"{quoted} 2>&1 | head -n 2; exit ${{PIPESTATUS[0]}}"])
    assert done.returncode == 1  # the result could not be told
    assert "The fit is done after 2 epochs" in (tmp_path / "lonely" / "log.txt").read_text(encoding="utf-8")


@pytest.mark.slow
def test_a_dry_run_in_a_terminal_tells_what_the_fit_takes(scans, tmp_path):
    with Terminal([*fit_words(scans, tmp_path / "run", epochs=2), "--dry-run"]) as terminal:
        assert terminal.wait() == 0
        shown = terminal.text()
    assert "Traceback" not in shown
    assert "2 epochs" in shown
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
@pytest.mark.rare
def test_the_demo_runs_in_a_terminal(tmp_path):
    data = tmp_path / "data"
    for i in range(3):
        grey, labels = Phantom(shape=(8, 64, 64), seed=i).slab(0, 8)
        save(data / f"femur_{i}" / "images", grey)
        save(data / f"femur_{i}" / "masks", labels)
    with Terminal(
        [*BONE, "demo", "--data", data, "--output", tmp_path / "demo", "--epochs", "1"]
    ) as terminal:
        assert terminal.wait() == 0
        shown = terminal.text()
    assert "Traceback" not in shown
    assert re.search(r"^Mean IoU +[01]\.\d{4} on femur_\d, which was not seen", shown, re.MULTILINE)
