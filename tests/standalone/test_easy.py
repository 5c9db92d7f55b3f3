"""What a user does first: pairs, a folder and a time, then a scan to label; nothing else is said."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from bone_backend.volumes.volume import open_volume

from ..conftest import ROOT, phantoms, write_pairs

MINUTES = 0.5


def bone(*words):
    """The command as a child process: what it said, as JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "standalone.command", *map(str, words), "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


@pytest.fixture(scope="module")
def scans(tmp_path_factory):
    """Two phantoms to fit on, and one to label."""
    return write_pairs(
        tmp_path_factory.mktemp("scans"), phantoms(*[(24, 64, 64)] * 3), voxel_size=(20.0, 20.0, 20.0)
    )


@pytest.fixture(scope="module")
def fitted(scans, tmp_path_factory) -> Path:
    run = tmp_path_factory.mktemp("runs") / "run"
    bone("fit", "--pair", *scans[0], "--pair", *scans[1], "--output", run, "--minutes", MINUTES)
    return run


@pytest.mark.slow
def test_a_fit_of_which_only_the_time_is_told_ends_with_it(fitted):
    record = json.loads((fitted / "record.json").read_text(encoding="utf-8"))
    assert record["result"]["outcome"] == "done"
    assert 0.4 * 60 * MINUTES < record["seconds_in_all"] < 2 * 60 * MINUTES  # other work beside
    options = json.loads((fitted / "options.json").read_text(encoding="utf-8"))
    assert (options["recipe"], options["architecture"], options["patch_size"]) == ("easy", "Plain U-Net", 32)
    assert "auto" not in [options[name] for name in ("epochs", "batch_size", "learning_rate", "minutes")]
    log = (fitted / "log.txt").read_text(encoding="utf-8")
    assert "Every scan trains; for validation a slab of each is left out" in log
    assert re.search(r"30 s for the whole fit: [1-4] epochs? of about [\d,]+ steps", log)


@pytest.mark.slow
def test_a_scan_is_labelled_with_nothing_else_said(scans, fitted, tmp_path):
    bone("predict", scans[2][0], "--model", fitted, "--output", tmp_path / "labels")
    with open_volume(tmp_path / "labels") as found, open_volume(scans[2][1]) as wanted:
        labels, mask = found.read(0, 24), wanted.read(0, 24)
    assert labels.shape == mask.shape
    iou = [np.sum((labels == n) & (mask == n)) / np.sum((labels == n) | (mask == n)) for n in (0, 1, 2)]
    assert min(iou) > 0.3, "learnt in half a minute on a busy machine"
