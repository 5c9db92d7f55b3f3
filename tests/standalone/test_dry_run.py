"""`bone fit --dry-run`: says what the fit will take, and leaves nothing behind."""

from __future__ import annotations

import json

import pytest

from standalone.command import main

from ..conftest import phantoms, write_pairs

SMALL = [
    "--patch-size",
    "32",
    "--recipe",
    "paper",
    "--batch-size",
    "8",
    "--patches-per-tile",
    "2",
    "--architecture",
    "Plain U-Net",
    "--plain-channels",
    "8",
    "--plain-depth",
    "3",
]


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    volumes = phantoms((8, 48, 40), (8, 48, 40))
    made = write_pairs(tmp_path_factory.mktemp("scans"), volumes, voxel_size=(30.0, 20.0, 20.0))
    return [word for pair in made for word in ("--pair", *pair)]


def test_a_dry_run_tells_split_time_and_memory_in_words(pairs, tmp_path, capsys):
    rest = ["--patch-size", "auto", *SMALL[2:]]
    words = ["fit", *pairs, "--output", str(tmp_path / "run"), *rest, "--epochs", "7", "--dry-run"]
    assert main(words) == 0
    shown, logged = capsys.readouterr()
    assert "Patches of 32 px; every scan has room for them.\n" in logged
    assert "Patches of" not in shown  # nothing is told twice
    assert "Training on scan_" in shown
    assert "16 patches, 2 steps an epoch" in shown
    assert "for 7 epochs" in shown
    assert "GiB of RAM" in shown
    assert "MiB on disk" in shown
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_is_one_json_object_by_choice(pairs, tmp_path, capsys):
    words = ["fit", *pairs, "--output", str(tmp_path / "run"), *SMALL, "--dry-run", "--json"]
    assert main(words) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["dry_run"] is True
    assert sorted(found["training_scans"] + found["validation_scans"]) == ["scan_0", "scan_1"]
    assert (found["training_patches"], found["validation_patches"], found["steps"]) == (16, 16, 2)
    assert found["total_s"] >= found["epochs"] * found["epoch_s"] > 0
    assert found["gpu_gib"] is None or found["gpu_gib"] > 0
    assert list(tmp_path.iterdir()) == []


def test_patches_that_have_no_room_are_warned_of(pairs, tmp_path, capsys):
    words = [
        "fit",
        *pairs,
        "--output",
        str(tmp_path / "run"),
        *SMALL,
        "--max-patch-overlap",
        "0",
        "--dry-run",
    ]
    assert main(words) == 0
    assert "Warning: 100% of the patches overlap another patch of their tile" in capsys.readouterr().out


def test_a_fault_is_told_as_a_fit_would_tell_it(pairs, tmp_path, capsys):
    words = ["fit", *pairs, "--output", str(tmp_path / "run"), *SMALL, "--map-labels", "9:1", "--dry-run"]
    assert main(words) == 1
    assert "map_labels names 9" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []
