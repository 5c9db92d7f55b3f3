"""The demonstration: the whole way on phantoms and on one's own pairs, and nothing of it twice."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bone_backend.errors import OptionError, OutputError, ScanError
from bone_backend.jobs.run import run_here
from bone_backend.volumes.volume import save
from mocks.scans import Phantom
from standalone import demo
from standalone.command import main


def own_pairs(folder: Path, number: int) -> Path:
    for i in range(number):
        grey, labels = Phantom(shape=(8, 64, 64), seed=i).slab(0, 8)
        for kind, array in (("images", grey), ("masks", labels)):
            save(folder / f"femur_{i}" / kind, array)
    return folder


def run(capsys, *words) -> dict:
    assert main(["demo", *map(str, words), "--epochs", "1", "--json"]) == 0
    return json.loads(capsys.readouterr().out)


@pytest.mark.slow
def test_a_second_run_on_phantoms_does_nothing_again(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(demo, "PHANTOM_SHAPE", (8, 64, 64))
    first = run(capsys, "--output", tmp_path / "demo")
    assert not first["kept"]
    assert len(first["fitted_on"]) == 3
    assert first["predicted"] not in first["fitted_on"]
    assert 0 < first["mean_iou"] <= 1
    assert set(first["iou_per_class"]) == {"0", "1", "2"}
    assert all(Path(path).stat().st_size > 1000 for path in first["pictures"])
    with monkeypatch.context() as no_more:
        no_more.setattr("bone_backend.fitting.fit_job", None)
        assert run(capsys, "--output", tmp_path / "demo") == {**first, "kept": True}
    assert main(["demo", "--output", str(tmp_path / "demo"), "--epochs", "1"]) == 0
    assert "earlier run" in capsys.readouterr().out


@pytest.mark.rare
@pytest.mark.slow
def test_what_changed_or_is_gone_is_done_again(tmp_path, capsys):
    words = ["--data", own_pairs(tmp_path / "data", 3), "--output", tmp_path / "demo"]
    assert not run(capsys, *words)["kept"]
    assert run(capsys, *words)["kept"]
    made = run(capsys, *words, "--hold-out", "femur_0")
    assert (made["kept"], made["predicted"]) == (False, "femur_0")
    Path(made["pictures"][0]).unlink()
    made = run(capsys, *words, "--hold-out", "femur_0")
    assert not made["kept"]
    assert Path(made["pictures"][0]).exists()
    grey, _ = Phantom(shape=(8, 64, 64), seed=9).slab(0, 8)
    save(tmp_path / "data" / "femur_1" / "images", grey, overwrite=True)
    assert not run(capsys, *words, "--hold-out", "femur_0")["kept"]
    (tmp_path / "demo" / demo.MEMORY).write_text("{}", encoding="utf-8")
    assert not run(capsys, *words, "--hold-out", "femur_0")["kept"]


@pytest.mark.parametrize(
    ("arguments", "fault", "words"),
    [
        ({"data": "none"}, ScanError, "none does not exist"),
        ({"data": "two"}, ScanError, "holds 2 pairs; the demo needs three"),
        ({"data": "three", "hold_out": "tibia"}, OptionError, "the folder has femur_0, femur_1, femur_2"),
        ({"hold_out": "femur_0"}, OptionError, "give --data DIR too"),
        ({"epochs": 0}, OptionError, "epochs is 0"),
        ({"output": "file"}, OutputError, "is a file; name a folder"),
    ],
)
def test_wrong_folders_and_names_are_told(tmp_path, arguments, fault, words):
    for name, number in (("two", 2), ("three", 3)):
        own_pairs(tmp_path / name, number)
    (tmp_path / "file").touch()
    given = {"output": "demo", "epochs": 1, **arguments}
    given |= {name: tmp_path / given[name] for name in ("output", "data") if name in given}
    with pytest.raises(fault, match=words):
        run_here("demo", given)
    assert not (tmp_path / "demo").exists()
