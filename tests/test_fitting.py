"""A fit from beginning to end: what it learns, what it keeps, and that it can be broken off and repeated."""

from __future__ import annotations

import csv
import json
import re
import shutil
import sys
from itertools import chain
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.errors import (
    BoneError,
    Cancelled,
    FittingError,
    HardwareError,
    OptionError,
    OutputError,
    ScanError,
)
from bone_backend.fitting import fit, rehearse, rescore
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions
from bone_backend.progress import Recorder
from bone_backend.runs.state import Position
from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom

from .conftest import fit_values

# Beside another architecture than the Plain U-Net of fit_values.
NO_PLAIN_SHAPE = {"plain_channels": None, "plain_depth": None}


def options(pairs, output, **changes):
    return FitOptions.parse(fit_values(pairs, output, **{"keep_checkpoint": True, **changes}))


def best_weights(run):
    (path,) = Path(run).glob("*_best_epoch_*.pth")
    return model_file.weights_sha256(model_file.load_state(path))


def last_weights(run):
    state = torch.load(Path(run) / "checkpoint.pth", weights_only=True)["network"]
    return model_file.weights_sha256(state)


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """An unbroken run of three epochs that others are compared with."""
    run = tmp_path_factory.mktemp("whole") / "run"
    recorder = Recorder()
    result = fit(options(pairs, run, epochs=3), progress=recorder)
    return run, result, recorder


@pytest.mark.parametrize("named", [[1], [3, 2]])
def test_the_pairs_that_are_named_are_validated_on_and_the_others_train(pairs, tmp_path, named):
    found = rehearse(options(pairs, tmp_path / "run", validation_pairs=named))
    assert found.validation_scans == tuple(f"scan_{number - 1}" for number in sorted(named))
    others = sorted({1, 2, 3} - set(named))
    assert found.training_scans == tuple(f"scan_{number - 1}" for number in others)


@pytest.mark.slow
def test_an_open_patch_size_is_the_largest_that_fits_every_scan_and_stays_so_when_resumed(pairs, tmp_path):
    fit(options(pairs, tmp_path / "given", patch_size=32, plain_depth=6))
    first = fit(options(pairs, tmp_path / "run", patch_size="auto", plain_depth=6))
    assert best_weights(tmp_path / "run") == best_weights(tmp_path / "given")
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert log.count("Patches of 32 px; every scan has room for them.") == 1
    stored = json.loads((tmp_path / "run" / "options.json").read_text(encoding="utf-8"))
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    header = model_file.read_header(first.model)
    sizes = [stored["patch_size"], record["options"]["patch_size"], header.metadata["patch_size"]]
    assert [*sizes, header.bone["options"]["patch_size"]] == [32, 32, 32, 32]
    again = {"resume": str(tmp_path / "run"), "patch_size": "auto", "epochs": 3}
    assert fit(FitOptions.parse(again)).epochs == 3


def test_every_epoch_is_in_the_table_and_the_best_is_the_best(whole):
    run, result, _ = whole
    rows = (run / "scores.csv").read_text(encoding="utf-8").splitlines()
    head = rows[0].split(",")
    scores = [float(row.split(",")[head.index("val_miou")]) for row in rows[1:]]
    assert len(scores) == 3
    assert result.best_val_iou == max(scores)
    assert result.best_epoch == scores.index(max(scores)) + 1


def test_the_reloaded_best_model_scores_what_the_log_says(whole):
    run, result, _ = whole
    before = {path: path.stat().st_mtime_ns for path in run.iterdir()}
    assert rescore(run) == pytest.approx(result.best_val_iou, abs=1e-6)
    assert {path: path.stat().st_mtime_ns for path in run.iterdir()} == before


def test_scans_are_never_in_both_parts(whole):
    _, result, _ = whole
    assert not set(result.train_scans) & set(result.validation_scans)
    assert sorted(result.train_scans + result.validation_scans) == ["scan_0", "scan_1", "scan_2"]


@pytest.mark.slow
def test_the_model_file_has_the_published_keys_with_the_values_of_this_run(pairs, tmp_path):
    published = {"architecture": "U-Net", "backbone": "mobilenet_v2", **NO_PLAIN_SHAPE}
    result = fit(options(pairs, tmp_path / "run", epochs=1, **published))
    metadata = model_file.read_header(result.model).metadata
    assert (metadata["model_arch"], metadata["backbone"], metadata["mode"]) == ("U-Net", "mobilenet_v2", "2D")
    assert (metadata["patch_size"], metadata["num_patches"], metadata["batch_size"]) == (32, 2, 6)
    assert metadata["best_val_score"] == result.best_val_iou
    assert sorted(metadata["train_dataset"]) == sorted(result.train_scans)
    assert metadata["param_count"] > 1e6
    assert metadata["wall_time_sec"] > 0
    bone = model_file.read_header(result.model).bone
    assert [c["value"] for c in bone["classes"]] == [0, 1, 2]
    assert bone["scores"]["epoch"] == result.best_epoch
    assert not any(
        Path(path).is_absolute() for pair in bone["options"]["pairs"] for path in (pair["scan"], pair["mask"])
    )


def test_two_runs_and_other_thread_counts_end_with_the_same_weights(whole, pairs, tmp_path):
    run, _, _ = whole
    fit(options(pairs, tmp_path / "again", epochs=3, loader_threads=4))
    assert best_weights(tmp_path / "again") == best_weights(run)
    assert last_weights(tmp_path / "again") == last_weights(run)


def test_another_seed_ends_elsewhere(whole, pairs, tmp_path):
    fit(options(pairs, tmp_path / "other", epochs=3, seed=7))
    assert last_weights(tmp_path / "other") != last_weights(whole[0])


@pytest.mark.parametrize("reports", [12, 17, 23, 30])
def test_a_stopped_run_goes_on_to_the_same_end(whole, pairs, tmp_path, reports):
    run, result, recorder = whole
    assert len(recorder.reports) > reports
    with pytest.raises(Cancelled) as stop:
        fit(options(pairs, tmp_path / "run", epochs=3), progress=Recorder(stop_after=reports))
    if stop.value.result is None:  # stopped before the first epoch began: nothing was made
        assert not (tmp_path / "run").exists()
        return
    resumed = fit(FitOptions.parse({"resume": str(tmp_path / "run")}))
    assert resumed.best_val_iou == result.best_val_iou
    assert best_weights(tmp_path / "run") == best_weights(run)
    assert last_weights(tmp_path / "run") == last_weights(run)


@pytest.mark.slow
def test_more_epochs_can_be_added_later(pairs, tmp_path):
    values = {"schedule": "constant"}
    fit(options(pairs, tmp_path / "long", epochs=3, **values))
    fit(options(pairs, tmp_path / "short", epochs=1, **values))
    resumed = fit(FitOptions.parse({"resume": str(tmp_path / "short"), "epochs": 3}))
    assert resumed.epochs == 3
    assert last_weights(tmp_path / "short") == last_weights(tmp_path / "long")


@pytest.mark.slow
def test_a_run_without_a_checkpoint_starts_again_and_a_strange_folder_is_refused(pairs, tmp_path):
    fit(options(pairs, tmp_path / "run", epochs=1))
    (tmp_path / "run" / "checkpoint.pth").write_bytes(b"broken")
    with pytest.raises(OutputError, match="damaged"):
        fit(FitOptions.parse({"resume": str(tmp_path / "run")}))
    for name in ("checkpoint.pth", "record.json"):  # as after a kill in the first epoch
        (tmp_path / "run" / name).unlink()
    assert fit(FitOptions.parse({"resume": str(tmp_path / "run")})).epochs == 1


@pytest.mark.slow
def test_what_cannot_begin_leaves_no_folder_and_replaces_none(pairs, tmp_path):
    run = tmp_path / "run"
    wrong = tmp_path / "wrong.pth"
    wrong.write_bytes(b"no model")
    with pytest.raises(BoneError, match="wrong"):
        fit(options(pairs, run, weights=str(wrong)))
    assert not run.exists()
    fit(options(pairs, run, epochs=1))
    before = last_weights(run)
    with pytest.raises(BoneError, match="wrong"):
        fit(options(pairs, run, weights=str(wrong), overwrite=True))
    assert last_weights(run) == before


def test_a_full_disk_at_the_first_file_leaves_no_folder(pairs, tmp_path, monkeypatch):
    def full(self, name, content):
        raise OutputError("the disk is full")

    monkeypatch.setattr("bone_backend.runs.folder.RunFolder.write_json", full)
    with pytest.raises(OutputError, match="disk is full"):
        fit(options(pairs, tmp_path / "run"))
    assert not (tmp_path / "run").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("has_record", [True, False])
def test_a_full_disk_at_the_last_model_is_a_failed_run_with_its_best_model(
    pairs, tmp_path, monkeypatch, caplog, has_record
):
    """The last model meets a limit; a folder in the way of record.json stands for no room there too."""
    import resource

    from bone_backend.files import whole

    run, usual, before = tmp_path / "run", whole.temporary_path, resource.getrlimit(resource.RLIMIT_FSIZE)

    def place(path, **more):
        most = 100_000 if "_last_epoch_" in path.name else before[0]
        resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
        return usual(path, **more)

    def progress(*_):
        if not has_record and run.exists():
            (run / "record.json" / "in the way").mkdir(parents=True, exist_ok=True)

    monkeypatch.setattr(whole, "temporary_path", place)
    try:
        with pytest.raises(OutputError, match=r"BONe_last_epoch_1\.pth: the disk is full"):
            fit(options(pairs, run, epochs=1), progress=progress)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert "The fit failed after 1 epoch" in (run / "log.txt").read_text(encoding="utf-8")
    assert best_size(run) > 0
    if has_record:
        record = json.loads((run / "record.json").read_text(encoding="utf-8"))
        assert record["result"]["outcome"] == "failed"
        assert (run / "report.html").is_file()
    else:
        assert "The record is missing" in caplog.text
    monkeypatch.undo()
    if has_record:  # with room again it goes on to its end
        assert fit(FitOptions.parse({"resume": str(run)})).outcome == "done"


def best_size(run):
    return sum(tensor.numel() for tensor in model_file.load_state(*run.glob("*_best_epoch_*.pth")).values())


@pytest.mark.slow
def test_a_run_goes_on_from_the_checkpoint_before_a_damaged_one_to_the_same_end(
    whole, pairs, tmp_path, caplog
):
    run = tmp_path / "run"

    class StopInThirdEpoch(Recorder):
        def __call__(self, step, steps, message, figures=None, /):
            super().__call__(step, steps, message, figures)
            if message.startswith("Epoch 3 of 3, training"):
                raise Cancelled(message)

    with pytest.raises(Cancelled):
        fit(options(pairs, run, epochs=3), progress=StopInThirdEpoch())
    damaged = bytearray((run / "checkpoint.pth").read_bytes())
    damaged[len(damaged) // 2] ^= 1
    (run / "checkpoint.pth").write_bytes(damaged)
    fit(FitOptions.parse({"resume": str(run)}))
    assert "checkpoint.pth is damaged" in caplog.text
    assert best_weights(run) == best_weights(whole[0])
    assert last_weights(run) == last_weights(whole[0])
    assert not (run / "checkpoint_before.pth").exists()


@pytest.mark.slow
def test_files_of_a_run_from_somebody_else_reach_nothing_outside_of_it(pairs, tmp_path):
    run, outside = tmp_path / "run", tmp_path / "precious.pth"
    fit(options(pairs, run, epochs=1))
    outside.write_bytes(b"mine")
    (tmp_path / "elsewhere").mkdir()
    values = json.loads((run / "options.json").read_text(encoding="utf-8"))
    values["output"] = str(tmp_path / "elsewhere")
    (run / "options.json").write_text(json.dumps(values), encoding="utf-8")
    whole_state = torch.load(run / "checkpoint.pth", weights_only=True)
    state = whole_state | {"position": whole_state["position"] | {"best_file": "../precious.pth"}}
    torch.save(state, run / "checkpoint.pth")
    with pytest.raises(OutputError, match="best_file is"):
        fit(FitOptions.parse({"resume": str(run), "epochs": 2}))
    torch.save(whole_state, run / "checkpoint.pth")
    (run / "log.txt").unlink()
    (run / "log.txt").symlink_to(outside)
    with pytest.raises(OutputError, match=r"log\.txt is a link to another place"):
        fit(FitOptions.parse({"resume": str(run), "epochs": 2}))
    (run / "log.txt").unlink()
    inputs = json.loads((run / "inputs.json").read_text(encoding="utf-8"))
    for change, told in (({"pairs": inputs["pairs"][:2]}, "has 2 pairs, but"), ({"pairs": 3}, "pairs is 3")):
        (run / "inputs.json").write_text(json.dumps(change), encoding="utf-8")
        with pytest.raises(OutputError, match=told):
            fit(FitOptions.parse({"resume": str(run), "epochs": 2}))
    (run / "inputs.json").write_text(json.dumps(inputs), encoding="utf-8")
    assert fit(FitOptions.parse({"resume": str(run), "epochs": 2})).epochs == 2
    assert outside.read_bytes() == b"mine"
    assert list((tmp_path / "elsewhere").iterdir()) == []


@pytest.mark.slow
def test_class_weights_count_and_must_be_as_many_as_classes(whole, pairs, tmp_path):
    with pytest.raises(OptionError, match=r"class_weights has 2 numbers, but the masks have 3 classes"):
        fit(options(pairs, tmp_path / "run", class_weights=[1, 2]))
    assert not (tmp_path / "run").exists()
    fit(options(pairs, tmp_path / "same", epochs=1, class_weights=[1, 1, 1]))
    fit(options(pairs, tmp_path / "bone", epochs=1, class_weights=[0.1, 5, 1]))
    assert last_weights(tmp_path / "same") != last_weights(tmp_path / "bone")


@pytest.mark.rare
def test_a_custom_stride_lets_thin_patches_fit(pairs, tmp_path):
    chosen = {
        "mode": "3D",
        "tile_depth": 8,
        "patch_depth": 8,
        "patches_per_tile": 2,
        "batch_size": 2,
        "epochs": 1,
        "architecture": "U-Net",
        **NO_PLAIN_SHAPE,
        "stride": "((1,2,2),(1,2,2),(2,2,2),(2,2,2),(2,2,2))",
    }
    assert fit(options(pairs, tmp_path / "run", **chosen)).epochs == 1


@pytest.mark.slow
@pytest.mark.parametrize("side", ["scan", "mask"])
def test_a_run_is_not_resumed_with_other_voxels(pairs, tmp_path, side):
    own = [[tmp_path / f"{kind}_{i}" for kind in ("scan", "mask")] for i in range(len(pairs))]
    for source, target in zip(chain.from_iterable(pairs), chain.from_iterable(own), strict=True):
        shutil.copytree(source, target)
    run = tmp_path / "run"
    fit(options([[str(path) for path in pair] for pair in own], run, epochs=1))
    before = last_weights(run)
    place = own[1][("scan", "mask").index(side)]
    with open_volume(place) as volume:
        voxels = volume.read(0, volume.header.shape[0])
    found = np.argwhere(voxels == 1)[0]
    voxels[tuple(found)] = 2
    shutil.rmtree(place)
    save(place, voxels, voxel_size=(20.0, 20.0, 20.0))
    with pytest.raises(ScanError, match=f"the {side} of .* changed since the run in .*run began"):
        fit(FitOptions.parse({"resume": str(run), "epochs": 2}))
    assert last_weights(run) == before


@pytest.mark.parametrize("accumulate", [1, 8])
def test_a_loss_that_is_no_number_stops_the_run_and_keeps_the_best(whole, pairs, tmp_path, accumulate):
    header = model_file.read_header(whole[1].model)
    state = model_file.load_state(whole[1].model, header)
    state["segmentation_head.0.bias"] += float("nan")
    metadata = {key: header.metadata[key] for key in model_file.METADATA_KEYS}
    model_file.save_model(tmp_path / "nan.pth", state=state, metadata=metadata, bone=header.bone)
    with pytest.raises(FittingError, match="no longer a number"):
        fit(options(pairs, tmp_path / "run", weights=str(tmp_path / "nan.pth"), accumulate=accumulate))
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert record["result"]["outcome"] == "failed"


@pytest.mark.slow
def test_early_stopping_ends_a_run_that_does_not_get_better(pairs, tmp_path):
    result = fit(options(pairs, tmp_path / "run", epochs=50, learning_rate=1e-12, early_stopping=2))
    assert result.outcome == "stopped early"
    assert result.epochs < 12
    again = fit(FitOptions.parse({"resume": str(tmp_path / "run")}))
    assert (again.outcome, again.epochs) == ("stopped early", result.epochs)
    longer = fit(FitOptions.parse({"resume": str(tmp_path / "run"), "early_stopping": 3}))
    assert longer.epochs > result.epochs


@pytest.mark.slow
def test_a_stop_while_gradients_are_gathered_loses_nothing(pairs, tmp_path):
    chosen = {"epochs": 2, "accumulate": 4, "batch_size": 3, "optimizer": "SGD"}

    class StopAmid(Recorder):
        def __call__(self, step, steps, message, figures=None, /):
            super().__call__(step, steps, message, figures)
            if step == 6 and "training" in message:  # two batches of the second group are gathered
                raise Cancelled(message)

    fit(options(pairs, tmp_path / "whole", **chosen))
    with pytest.raises(Cancelled):
        fit(options(pairs, tmp_path / "run", **chosen), progress=StopAmid())
    state = torch.load(tmp_path / "run" / "checkpoint.pth", weights_only=True)
    assert (state["position"]["batches"], state["gathered"]["batches"]) == (6, 2)
    assert state["position"]["epoch_seconds"] > 0
    fit(FitOptions.parse({"resume": str(tmp_path / "run")}))
    assert last_weights(tmp_path / "run") == last_weights(tmp_path / "whole")
    rows = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))["scores"]
    assert rows[0]["seconds"] > state["position"]["epoch_seconds"]


@pytest.mark.slow
def test_a_best_model_that_was_being_replaced_goes_when_the_run_goes_on(pairs, tmp_path):
    run = tmp_path / "run"
    result = fit(options(pairs, run, epochs=1))
    shutil.copy(result.model, run / "BONe_best_epoch_9_val_jaccard_0.1.pth")
    longer = fit(FitOptions.parse({"resume": str(run), "epochs": 2, "keep_checkpoint": False}))
    assert [path.name for path in run.glob("*_best_epoch_*.pth")] == [longer.model.name]
    assert sorted(path.name for path in run.iterdir()) == [
        longer.model.name,
        "BONe_last_epoch_2.pth",  # that of the first part has gone, and so has the checkpoint
        "inputs.json",
        "log.txt",
        "options.json",
        "record.json",
        "report.html",
        "scores.csv",
        "split.json",
    ]
    with pytest.raises(OutputError, match=r"is finished \(2 epochs\).*--keep-checkpoint"):
        fit(FitOptions.parse({"resume": str(run), "epochs": 3}))


@pytest.mark.slow
def test_a_table_that_is_open_elsewhere_does_not_end_the_run(pairs, tmp_path, monkeypatch, caplog):
    from bone_backend.files import whole as writing

    def held(temporary, path):
        if path.name == "scores.csv" and not (path.parent / "checkpoint.pth.seen").exists():
            (path.parent / "checkpoint.pth.seen").touch()
            temporary.unlink()
            raise PermissionError(13, "Permission denied")
        temporary.replace(path)

    monkeypatch.setattr(writing, "put_in_place", held)
    fit(options(pairs, tmp_path / "run"))
    assert "written again after the next epoch" in caplog.text
    assert len((tmp_path / "run" / "scores.csv").read_text(encoding="utf-8").splitlines()) == 3


@pytest.mark.parametrize(
    "changes",
    [
        {"optimizer": "AdamW", "schedule": "one-cycle", "warm_up_epochs": 0.5},
        {"optimizer": "SGD", "schedule": "cosine restarts", "restart_epochs": 1, "clip_gradient": 1.0},
        {"accumulate": 2, "loss": "Dice + Focal", "normalization": "minMax", "augmentation": False},
        {"precision": "bf16", "loss": "Lovasz-Softmax", "normalization": "tissue", "reproducible": False},
        {"mode": "2.5D", "slices": 5, "normalization": "percentiles"},
    ],
)
def test_every_choice_fits(pairs, tmp_path, changes):
    result = fit(options(pairs, tmp_path / "run", epochs=1, **changes))
    assert result.epochs == 1
    assert 0 < result.best_val_iou < 1


@pytest.mark.slow
def test_a_3d_network_fits(tmp_path):
    made = []
    for number in range(2):
        grey, labels = Phantom(shape=(34, 40, 40), seed=number).slab(0, 34)
        for kind, array in (("scan", grey), ("mask", labels)):
            save(tmp_path / f"{kind}_{number}", array)
        made.append((str(tmp_path / f"scan_{number}"), str(tmp_path / f"mask_{number}")))
    result = fit(options(made, tmp_path / "run", mode="3D", patches_per_tile=2, batch_size=2, epochs=1))
    assert model_file.read_header(result.model).spec.mode == "3D"


def test_the_gpu_is_refused_before_anything_is_made(pairs, tmp_path):
    if torch.cuda.is_available():
        pytest.skip("this machine has a GPU")
    with pytest.raises(HardwareError):
        fit(options(pairs, tmp_path / "run", device="cuda"))
    assert not (tmp_path / "run").exists()


def test_subjects_stay_together(pairs, tmp_path):
    named = [(*pairs[0], "mouse 1"), (*pairs[1], "mouse 1"), (*pairs[2], "mouse 2")]
    result = fit(options(named, tmp_path / "run", epochs=1))
    assert ("scan_0" in result.train_scans) == ("scan_1" in result.train_scans)


def test_own_weights_start_a_new_fit(whole, pairs, tmp_path):
    result = fit(options(pairs, tmp_path / "run", epochs=1, weights=str(whole[1].model), learning_rate=1e-12))
    before, after = model_file.load_state(whole[1].model), model_file.load_state(result.model)
    learnt = [name for name in before if name.endswith("weight")]
    assert len(learnt) > 20
    assert all(torch.allclose(before[name], after[name], atol=1e-9) for name in learnt)
    assert str(whole[1].model.name) in (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    with pytest.raises(BoneError, match="nothing_here"):
        fit(options(pairs, tmp_path / "other", weights="nothing_here.pth"))


@pytest.fixture
def unlike(pairs, tmp_path):
    """A pair with three classes, one with background only, one that nobody annotated."""
    scan, mask = pairs[0]
    with open_volume(mask) as volume:
        labels = volume.read(0, volume.header.shape[0])
    made = [(scan, mask)]
    for name, value in (("empty", 0), ("unannotated", 255)):
        shutil.copytree(scan, tmp_path / f"scan_{name}")
        save(tmp_path / f"mask_{name}", np.full_like(labels, value), voxel_size=(20.0, 20.0, 20.0))
        made.append((str(tmp_path / f"scan_{name}"), str(tmp_path / f"mask_{name}")))
    return made


def test_a_validation_without_bone_is_told_and_does_not_choose_the_network_that_finds_least(unlike, tmp_path):
    chosen = options(unlike[:2], tmp_path / "run", validation_pairs=[2], class_names=["1:bone"])
    told = rehearse(chosen).warnings[0]
    assert told.startswith("No validation scan (scan_empty) holds classes 1 (bone), 2")
    result = fit(chosen)
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert told in log
    choices = [float(found) for found in re.findall(r"(0\.\d{4}) for the choice of the best", log)]
    assert len(choices) == 2
    assert result.best_epoch == 1 + choices.index(max(choices))
    rows = list(csv.DictReader((tmp_path / "run" / "scores.csv").read_text(encoding="utf-8").splitlines()))
    assert result.best_val_iou == float(rows[result.best_epoch - 1]["val_miou"])  # published as ever


def test_a_split_of_which_nothing_can_come_is_refused_before_the_work(unlike, tmp_path):
    ignoring = {"ignore_label": 255, "validation_pairs": [2]}
    with pytest.raises(ScanError, match=r"no voxel of the validation scans \(scan_unannotated\) counts"):
        fit(options([unlike[0], unlike[2]], tmp_path / "run", **ignoring))
    with pytest.raises(ScanError, match=r"the training scans \(scan_empty\) hold nothing but background"):
        fit(options([unlike[1], unlike[0]], tmp_path / "run", **ignoring))
    assert not (tmp_path / "run").exists()


def test_a_checkpoint_of_a_version_that_chose_by_the_validation_score_keeps_its_best():
    assert Position(best_epoch=2, best_score=0.5).best_choice == 0.5
    assert Position().best_choice == -1


def test_a_plain_u_net_says_in_its_file_what_it_is_and_which_tissues_its_scale_goes_by(pairs, tmp_path):
    chosen = {"architecture": "Plain U-Net", "plain_channels": 8, "plain_depth": 3, "patch_size": 20}
    chosen |= {"pairs": pairs, "output": str(tmp_path / "run"), "normalization": "tissue", "epochs": 1}
    plain = FitOptions.parse(chosen)
    result = fit(plain)
    header = model_file.read_header(result.model)
    assert (header.architecture, header.backbone) == ("Plain U-Net", "")
    assert header.bone["network"]["plain"] == {"channels": 8, "depth": 3, "norm": "batch"}
    assert header.bone["statistics_voxels"] == "shared-tissues"
    assert rescore(tmp_path / "run") == pytest.approx(result.best_val_iou, abs=1e-6)
    log = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert log.count(": beside its edges the two tissues have the grey values ") == len(pairs)
    assert "Plain U-Net (8 channels, 3 stages, batch normalisation), 2D, on CPU" in log
    assert "Plain U-Net, 2D" in (tmp_path / "run" / "report.html").read_text(encoding="utf-8")
