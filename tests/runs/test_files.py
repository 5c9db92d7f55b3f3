"""Run folders from outside: the best model, patterns in names, what may be replaced."""

from __future__ import annotations

import json
from fnmatch import fnmatch
from pathlib import Path

import pytest

from bone_backend.errors import OptionError, OutputError
from bone_backend.options.programs import FitOptions, IoUOptions, PredictOptions
from bone_backend.runs import files
from bone_backend.runs.files import check_free, check_resumable, found, model_of

BEST = "femur_best_epoch_{}_val_jaccard_{}.pth"


def make_run(folder: Path, *names: str, record=None) -> Path:
    folder.mkdir(parents=True)
    for name in ("options.json", "log.txt", *names):
        (folder / name).write_text("{}", encoding="utf-8")
    if record is not None:
        (folder / "record.json").write_text(json.dumps(record), encoding="utf-8")
    return folder


def test_a_run_folder_stands_for_its_best_model(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = make_run(Path("run"), BEST.format(9, "0.9000"), "femur_last_epoch_12.pth")
    assert model_of(Path("run")) == run / BEST.format(9, "0.9000")
    (run / BEST.format(10, "0.9100")).touch()  # a kill between the new best model and the end of the old one
    assert model_of(Path("run")) == run / BEST.format(10, "0.9100")
    assert model_of(Path("run/*_best_epoch_*.pth")) == run / BEST.format(10, "0.9100")
    assert model_of(Path("r?n")) == run / BEST.format(10, "0.9100")
    assert PredictOptions.parse({"scan": "s", "model": "run", "output": "o"}).model.name.endswith(
        "0.9100.pth"
    )
    assert model_of(Path("run/femur_last_epoch_12.pth")) == run / "femur_last_epoch_12.pth"
    assert model_of(Path("missing.pth")) == Path("missing.pth")


def test_folders_without_one_best_model_are_told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    make_run(Path("runs/one"), BEST.format(1, "0.1000"))
    make_run(Path("runs/empty"))
    make_run(Path("both"), BEST.format(1, "0.1000"), "skull_best_epoch_2_val_jaccard_0.2000.pth")
    for name, told in (
        ("runs/empty", "without a best model"),
        ("runs", r"without a best model .*, but holds run folders; name it: runs.one\.$"),
        (".", r"without a best model .*, but holds run folders; name it: both\.$"),
        ("both", "that is several models"),
        ("both/*.pth", "that is several models"),
        ("*/*", "that is several models"),
    ):
        with pytest.raises(OptionError, match=told):
            PredictOptions.parse({"scan": "s", "model": name, "output": "o"})
    with pytest.raises(OptionError, match="weights is 'runs/empty'"):
        FitOptions.parse({"pairs": [["a", "b"], ["c", "d"]], "output": "o", "weights": "runs/empty"})


def test_a_pattern_in_quotes_names_one_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for name in ("femur_scan.tif", "femur_mask.tif", "tibia_scan.tif", "odd[1].tif"):
        Path(name).touch()
    assert found(Path("femur_s*.tif")) == Path("femur_scan.tif")
    assert found(Path("odd[1].tif")) == Path("odd[1].tif")  # a name, not a pattern
    assert found(Path("skull*.tif")) == Path("skull*.tif")  # told as missing by those who open it
    options = FitOptions.parse({"pairs": [["fem*scan.tif", "fem*mask.tif"], ["tib*", "m"]], "output": "o"})
    assert [pair.scan.name for pair in options.pairs] == ["femur_scan.tif", "tibia_scan.tif"]
    with pytest.raises(OptionError, match=r"reference is '\*_scan\.tif': it matches 2 files \(femur_scan"):
        IoUOptions.parse({"reference": "*_scan.tif", "prediction": "p"})


@pytest.mark.parametrize(
    ("names", "record", "is_free"),
    [
        ((), None, True),  # killed, or failed, before anything
        (("split.json", "inputs.json"), {"result": {"outcome": "failed"}}, True),
        (("checkpoint.pth",), {"seconds_in_all": 30.0}, True),  # stopped after half a minute
        (("checkpoint.pth",), {"seconds_in_all": 3000.0}, False),
        (("checkpoint.pth",), None, False),  # killed after it was time for a checkpoint
        ((BEST.format(1, "0.1000"),), {"seconds_in_all": 30.0}, False),
        (("femur_last_epoch_1.pth",), None, False),
    ],
)
def test_a_run_that_ended_before_its_first_model_is_in_nobodys_way(tmp_path, names, record, is_free):
    run = make_run(tmp_path / "run", *names, record=record)
    if is_free:
        check_free(run, overwrite=False)
    else:
        with pytest.raises(OutputError, match="holds another run"):
            check_free(run, overwrite=False)
    check_free(run, overwrite=True)


def test_a_folder_of_somebody_elses_files_is_never_taken(tmp_path):
    (tmp_path / "notes.txt").touch()
    for overwrite in (False, True):
        with pytest.raises(OutputError, match=r"holds no run of BONe \(it has notes\.txt\)"):
            check_free(tmp_path, overwrite=overwrite)


def test_a_finished_run_without_its_checkpoint_says_how_to_go_on(tmp_path):
    record = {"result": {"outcome": "done", "epochs": 25}}
    run = make_run(tmp_path / "run", BEST.format(1, "0.1000"), record=record)
    with pytest.raises(OutputError, match=r"is finished \(25 epochs\).*--weights .*--keep-checkpoint"):
        check_resumable(run)
    (run / "checkpoint.pth").touch()
    check_resumable(run)


def test_the_names_of_models_are_the_published_one_and_known_again():
    best = files.best_name("femur", epoch=12, score=0.97896)
    assert best == "femur_best_epoch_12_val_jaccard_0.9790.pth"
    assert fnmatch(best, files.BEST)
    assert fnmatch(files.last_name("femur", epoch=25), files.LAST)
