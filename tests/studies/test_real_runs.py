"""Small studies with real fits: apart, in one process, on a cluster, killed; always the same table."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
import torch

from bone_backend.comparison import compare
from bone_backend.files.locks import holder
from bone_backend.studies import states
from bone_backend.study import study

from .studies import BASE, options, rows, table, write_study

ROOT = Path(__file__).resolve().parents[2]
BONE = [sys.executable, "-m", "standalone.command", "study"]


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    """Sums do not depend on how busy the machine is."""
    before = os.environ.get("OMP_NUM_THREADS")
    os.environ["OMP_NUM_THREADS"] = "1"
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    if before is None:
        del os.environ["OMP_NUM_THREADS"]
    else:
        os.environ["OMP_NUM_THREADS"] = before


@pytest.fixture(scope="module")
def file(ten, tmp_path_factory):
    """A study of two runs."""
    base = BASE.replace("epochs = 2", "epochs = 15") + "checkpoint_minutes = 0.001"
    return write_study(tmp_path_factory.mktemp("file") / "s.toml", table(ten[:6]), top="folds = 2", base=base)


def command(file, output, *words):
    return [*BONE, str(file), "--output", str(output), "--json", *words]


@pytest.fixture(scope="module")
def whole(file, tmp_path_factory):
    """The study without a break, as a command whose runs have a process each."""
    output = tmp_path_factory.mktemp("whole") / "out"
    done = subprocess.run(command(file, output), cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return output, json.loads(done.stdout)


@pytest.mark.slow
def test_the_command_gives_ordinary_folders_a_table_and_a_report(whole, ten):
    output, told = whole
    assert told["report"] == str(output / "study.html")
    found = rows(output)
    assert [row["fold"] for row in found] == ["1", "1", "1", "2", "2", "2"]
    assert sorted(row["scan"] for row in found) == [f"scan_{n}" for n in range(6)]
    row = found[0]
    labels = output / row["run"] / "labels" / row["scan"]
    by_hand = compare(ten[int(row["scan"][-1])][1], labels)
    assert float(row["mean_iou"]) == by_hand.mean_iou
    assert float(row["iou_class_1"]) == by_hand.classes[1].iou
    assert (output / row["run"] / "fit" / "report.html").is_file()
    assert (output / row["run"] / row["model"]).is_file()
    page = (output / "study.html").read_text(encoding="utf-8")
    assert page.count('<div class="panels"') == 4
    assert "Not measured in all runs" not in page  # one configuration is not ranked


@pytest.mark.rare
@pytest.mark.slow
def test_killed_in_the_midst_of_a_fit_it_goes_on_to_the_same_table(whole, file, tmp_path):
    output = tmp_path / "out"
    process = subprocess.Popen(
        command(file, output, "--one-process"), cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 120
    while not list(output.glob("base/fold_2*/fit/checkpoint.pth")):
        assert process.poll() is None
        assert time.monotonic() < deadline
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.wait()
    first, second = (states.read_state(output / "base" / f"fold_{n}_seed_42") for n in (1, 2))
    assert (first.state, second.state) == (states.DONE, states.STARTED)
    study(options(file, output))
    log = (output / "base/fold_2_seed_42/fit/log.txt").read_text(encoding="utf-8")
    assert "Resumed after epoch" in log
    assert rows(output) == rows(whole[0])


@pytest.mark.slow
@pytest.mark.rare
def test_a_cluster_gives_the_same_table_also_when_a_worker_is_killed(whole, file, tmp_path):
    pytest.importorskip("distributed")
    output, killed = tmp_path / "out", []

    def progress(step, steps, message, figures=None, /):
        for path in output.glob("base/fold_*/fit/scores.csv"):  # an epoch is over, and fourteen are left
            found = holder(path.with_name(".bone-lock"))
            if found is not None and not killed:
                psutil.Process(found.pid).kill()
                killed.append(path.with_name("log.txt"))

    study(options(file, output, cluster="local:2"), progress=progress)
    assert len(killed) == 1
    assert rows(output) == rows(whole[0])
    assert "Resumed after epoch" in killed[0].read_text(encoding="utf-8")
    running = [child for child in psutil.Process().children() if child.status() != psutil.STATUS_ZOMBIE]
    assert not [child for child in running if "spawn_main" in " ".join(child.cmdline())]


def test_a_dry_run_tells_every_run_and_writes_nothing(file, tmp_path):
    told = study(options(file, tmp_path / "out", dry_run=True))
    assert [run["run"] for run in told["runs"]] == [f"base, fold {n}, seed 42" for n in (1, 2)]
    assert all(run["fit_s"] > 0 and run["predict_s"] > 0 for run in told["runs"])
    assert told["seconds"] == pytest.approx(sum(run["fit_s"] + run["predict_s"] for run in told["runs"]))
    assert told["told"][0] == "2 runs: 1 configuration, 2 folds, 1 seed, 6 scans."
    assert not (tmp_path / "out").exists()


def test_a_run_that_breaks_off_is_told_and_the_others_go_on(ten, tmp_path):
    more = '[[rows]]\nname = "long patches"\npatch_size = 512\n[[rows]]\nname = "good"'
    path = write_study(
        tmp_path / "s.toml", table(ten[:4]), more=more, base=BASE.replace("patch_size = 32", "")
    )
    path.write_text(path.read_text().replace('name = "good"', 'name = "good"\npatch_size = 32\nepochs = 1'))
    done = subprocess.run(
        [*BONE, str(path), "--output", str(tmp_path / "out"), "--one-process"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert "long patches, fold 1, seed 42: patch_size is 512 but scan" in " ".join(done.stderr.split())
    assert "2 of 4 runs failed" in done.stderr
    assert {row["configuration"] for row in rows(tmp_path / "out")} == {"good"}
