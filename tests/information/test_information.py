"""What a path is, told from its content: scan or mask, model, run folder, or nothing that BONe reads."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import Cancelled, ScanError
from bone_backend.information import volume as volume_facts
from bone_backend.information.describe import describe
from bone_backend.information.volume import tissue_peaks
from bone_backend.volumes.volume import save
from mocks.scans import Phantom
from standalone import command, show
from tests.prediction_models import make_model

ROOT = Path(__file__).resolve().parents[2]


def card(path) -> str:
    return show.result("info", describe(path))


@pytest.fixture
def phantom():
    return Phantom(shape=(12, 64, 56), seed=3).slab(0, 12)


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_a_scan_is_known_by_its_many_values_whatever_its_type(tmp_path, phantom, dtype):
    save(tmp_path / "a", phantom[0].astype(dtype), voxel_size=(30, 20, 20))
    found = describe(tmp_path / "a")
    assert (found["kind"], found["shape"], found["dtype"]) == ("scan", [12, 64, 56], dtype)
    assert found["grey_range"] == [float(phantom[0].min()), float(phantom[0].max())]
    assert found["looked_at"] == {"slices": 12, "of": 12, "voxels": 12 * 64 * 56, "all": True}
    assert found["voxel_size_um"] == pytest.approx([30, 20, 20])
    assert found["voxel_size_from"] == "ImageJ's description"
    assert found["bytes_on_disk"] == sum(file.stat().st_size for file in (tmp_path / "a").iterdir())


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int32", "float32"])
def test_a_mask_is_known_by_its_few_values_and_has_a_table_of_labels(tmp_path, phantom, dtype):
    labels = phantom[1].astype(dtype) * 7
    save(tmp_path / "m.tif", labels)
    found = describe(tmp_path / "m.tif")
    values, counts = np.unique(labels, return_counts=True)
    assert found["kind"] == "mask"
    assert [item["value"] for item in found["labels"]] == values.tolist()
    assert [item["voxels"] for item in found["labels"]] == counts.tolist()
    assert sum(item["share"] for item in found["labels"]) == pytest.approx(1)
    assert f"{len(values)} different values" in found["decided_by"]
    assert f"{counts[0]:,}" in card(tmp_path / "m.tif")


def test_a_scan_of_few_grey_values_is_no_mask_since_its_neighbours_differ(tmp_path):
    noise = np.random.default_rng(1).integers(0, 40, (6, 32, 32)).astype(np.uint8)
    save(tmp_path / "noise.tif", noise)
    assert describe(tmp_path / "noise.tif")["kind"] == "scan"
    save(tmp_path / "steps.tif", np.repeat(noise[:, :, :4], 8, axis=2))  # 28 of 31 are equal
    assert describe(tmp_path / "steps.tif")["kind"] == "mask"


def test_a_volume_of_one_value_is_not_guessed_at(tmp_path):
    save(tmp_path / "zero.tif", np.zeros((4, 16, 16), np.uint8))
    found = describe(tmp_path / "zero.tif")
    assert found["kind"] == "scan or mask"
    assert "is 0" in found["decided_by"]
    assert "is 0" in card(tmp_path / "zero.tif")


def test_of_a_large_volume_a_sample_is_looked_at_and_said_to_be_one(tmp_path, phantom, monkeypatch):
    save(tmp_path / "a.tif", phantom[0])
    monkeypatch.setattr(volume_facts, "LOOK_BYTES", 64 * 56 * 4)
    found = describe(tmp_path / "a.tif")
    assert found["looked_at"] == {"slices": 4, "of": 12, "voxels": 4 * 64 * 56, "all": False}
    assert "a sample, 14,336 voxels in 4 of 12 slices" in " ".join(card(tmp_path / "a.tif").split())


def test_not_a_number_is_counted_and_the_range_is_that_of_the_others(tmp_path, phantom):
    grey = phantom[0].astype(np.float32) + 0.5
    grey[3, 4, 5:8] = [np.nan, np.inf, -np.inf]
    save(tmp_path / "f.tif", grey)
    found = describe(tmp_path / "f.tif")
    assert found["not_a_number"] == 3
    assert json.loads(json.dumps(found, allow_nan=False))["kind"] == "scan"


@pytest.mark.parametrize("tissues", [(40, 180), (20, 90, 200)])
def test_tissue_peaks_are_those_of_the_tissues(tissues):
    rng = np.random.default_rng(7)
    grey = np.concatenate([rng.normal(mean, 6, 20_000) for mean in tissues]).round().clip(1, 255)
    values, counts = np.unique(grey, return_counts=True)
    assert tissue_peaks(values, counts) == pytest.approx(tissues, abs=2)


def test_one_broad_hump_has_two_peaks_and_not_three():
    grey = np.random.default_rng(7).normal(120, 25, 50_000).round().clip(1, 255)
    assert len(tissue_peaks(*np.unique(grey, return_counts=True))) == 2
    assert tissue_peaks(np.array([0, 9]), np.array([5, 5])) == [9.0]
    assert tissue_peaks(np.array([0]), np.array([5])) == []


@pytest.mark.parametrize(
    ("write", "source"),
    [
        (lambda p, a: tifffile.imwrite(p, a, imagej=True, metadata={"unit": "mm", "spacing": 0.5}), "ImageJ"),
        (
            lambda p, a: tifffile.imwrite(
                p,
                a,
                metadata={"axes": "ZYX", "PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0, "PhysicalSizeZ": 3.0},
            ),
            "OME",
        ),
        (
            lambda p, a: tifffile.imwrite(
                p,
                a,
                photometric="minisblack",
                resolution=(377, 377),
                resolutionunit="CENTIMETER",
                metadata=None,
            ),
            "resolution tags",
        ),
    ],
)
def test_the_source_of_the_voxel_size_is_named(tmp_path, phantom, write, source):
    path = tmp_path / ("a.ome.tif" if source == "OME" else "a.tif")
    write(path, phantom[0])
    found = describe(path)
    assert found["voxel_size"] is not None
    assert source in found["voxel_size_from"]
    assert source in card(path)


def test_a_voxel_size_that_is_given_is_told_with_its_source(tmp_path, phantom, capsys):
    path = tmp_path / "a.tif"
    save(path, phantom[0], voxel_size=(20.0,) * 3)
    words = ["info", str(path), "--quiet", "--voxel-size"]
    assert command.main([*words, "0.04mm"]) == 0
    assert "40 \N{MICRO SIGN}m in all directions, given by --voxel-size\n" in capsys.readouterr().out
    assert command.main([*words, "40,20,20", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["voxel_size_um"] == [40, 20, 20]
    assert command.main([*words, "0"]) == 1
    assert "--voxel-size is '0': write it as one length above 0" in capsys.readouterr().err
    make_model(tmp_path / "m.pth", is_plain=True)
    assert command.main(["info", str(tmp_path / "m.pth"), "--voxel-size", "20", "--quiet"]) == 1
    told = " ".join(capsys.readouterr().err.split())
    assert "--voxel-size is for a scan or a mask, and" in told
    assert told.endswith("m.pth is a model file. Leave it out.")
    (tmp_path / "notes.txt").write_text("x", encoding="utf-8")
    assert command.main(["info", str(tmp_path / "notes.txt"), "--voxel-size", "20", "--quiet"]) == 1
    assert "is a file that BONe does not know. Leave it out." in " ".join(capsys.readouterr().err.split())


def test_a_volume_with_a_fault_has_its_header_and_the_fault(tmp_path, phantom):
    save(tmp_path / "a", phantom[0])
    spoilt = sorted((tmp_path / "a").iterdir())[4]
    spoilt.write_bytes(spoilt.read_bytes()[:-100])
    found = describe(tmp_path / "a")
    assert found["shape"] == [12, 64, 56]
    assert spoilt.name in found["fault"]


@pytest.mark.parametrize(
    ("name", "content", "told"),
    [
        ("a.dcm", bytes(128) + b"DICM", "a DICOM image"),
        ("a.png", b"\x89PNG\r\n", "a PNG picture"),
        ("a.gz", b"\x1f\x8b", "a gzip file"),
        ("empty", b"", "an empty file"),
        ("words.txt", b"hello", "a file that BONe does not know"),
    ],
)
def test_an_unknown_file_is_named_and_what_is_read_is_said(tmp_path, name, content, told):
    (tmp_path / name).write_bytes(content)
    found = describe(tmp_path / name)
    assert (found["kind"], found["what"]) == ("unknown", told)
    assert "TIFF slices" in card(tmp_path / name)
    if name in ("a.dcm", "a.png"):
        return  # a folder of such files is a volume
    (tmp_path / "folder").mkdir()
    (tmp_path / name).rename(tmp_path / "folder" / name)
    assert describe(tmp_path / "folder")["kind"] == "unknown"


def test_a_folder_of_folders_names_those_inside(tmp_path, phantom):
    save(tmp_path / "scan", phantom[0])
    assert "scan" in describe(tmp_path)["advice"]
    with pytest.raises(ScanError, match="does not exist"):
        describe(tmp_path / "nothing")


def run_folder(path: Path, *, epochs: int, outcome: str | None) -> Path:
    path.mkdir()
    (path / "options.json").write_text(json.dumps({"epochs": 5, "pairs": [{}, {}]}), encoding="utf-8")
    (path / "log.txt").write_text("begun", encoding="utf-8")
    rows = [f"{n},{0.5 + n / 10},{0.9},{n / 10}" for n in range(1, epochs + 1)]
    table = "\n".join(["epoch,val_miou,val_iou_0,val_iou_1", *rows])
    (path / "scores.csv").write_text(table + "\n", encoding="utf-8")
    (path / f"BONe_best_epoch_{epochs}_val_jaccard_0.7000.pth").touch()
    if outcome:
        classes = [{"value": 0, "name": "background"}, {"value": 1, "name": "bone"}]
        record = {"result": {"outcome": outcome, "epochs": epochs}, "classes": classes}
        (path / "record.json").write_text(json.dumps(record), encoding="utf-8")
    else:
        (path / "checkpoint.pth").touch()
    return path


def test_the_state_of_a_fit_is_told_without_what_bone_reads_instead(tmp_path):
    run = run_folder(tmp_path / "run", epochs=2, outcome=None)
    shown = card(run / "checkpoint.pth")
    assert "the state of a fit, from which it goes on" in shown
    assert "bone fit --resume" in shown
    assert "BONe reads" not in shown
    (tmp_path / "letter.txt").write_text("Dear", encoding="utf-8")
    assert "BONe reads" in card(tmp_path / "letter.txt")


@pytest.mark.parametrize(
    ("outcome", "state"),
    [("done", "finished"), ("stopped", "stopped by the user"), ("failed", "failed"), (None, "running")],
)
def test_a_run_folder_tells_its_state_its_best_model_and_score(tmp_path, outcome, state):
    run = run_folder(tmp_path / "run", epochs=2, outcome=outcome)
    found = describe(run)
    assert (found["kind"], found["state"], found["epochs"], found["epochs_asked"]) == ("run", state, 2, 5)
    assert (found["best_epoch"], found["best_val_iou"]) == (2, 0.7)
    assert found["val_iou_per_class"] == {"0": 0.9, "1": 0.2}
    assert Path(found["model"]).name == "BONe_best_epoch_2_val_jaccard_0.7000.pth"
    text = card(run)
    assert "2 of 5" in text
    assert ("bone fit --resume" in text) == (outcome is None)
    assert ("1 bone" in text) == (outcome is not None)


def test_a_run_that_went_on_is_not_told_by_its_old_record(tmp_path):
    run = run_folder(tmp_path / "run", epochs=1, outcome="stopped")
    with (run / "scores.csv").open("a", encoding="utf-8") as file:
        file.write("2,0.7,0.9,0.2\n")
    assert describe(run)["state"] == "running"


def test_a_damaged_run_folder_tells_what_is_left(tmp_path):
    run = run_folder(tmp_path / "run", epochs=2, outcome=None)
    (run / "record.json").write_text('{"result": [1], "classes": 5}', encoding="utf-8")
    (run / "scores.csv").write_bytes(b"\xff\xfe\x00")
    found = describe(run)
    assert (found["kind"], found["epochs"]) == ("run", 0)
    assert "run folder of a fit" in card(run)


def test_a_model_file_is_told_without_torch(tmp_path):
    made = (
        "import sys; from pathlib import Path; from mocks.model_files import *\n"
        "published(Path(sys.argv[1]), **NETWORK, train_dataset=['femur_1', 'femur_2'], "
        "best_val_score=0.91, best_epoch=3)"
    )
    path = tmp_path / "femur.pth"
    subprocess.run([sys.executable, "-c", made, str(path)], cwd=ROOT, check=True)
    code = (
        "import sys; from bone_backend.information.describe import describe; from standalone import show\n"
        "print(show.result('info', describe(sys.argv[1])), 'torch' in sys.modules)"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout.rstrip().endswith("False")
    told = " ".join(done.stdout.split())
    for part in (
        "a fitted model, written by another BONe program",
        "U-Net with resnet18, 2D",
        "normalized by ZScore",
        "Fitted on femur_1, femur_2",
        "mean IoU 0.9100 in validation in epoch 3",
        "Published BONe can use it",
        "Classes 2, without names",
    ):
        assert part in told


def test_what_bone_has_made_is_known(tmp_path, monkeypatch):
    """Labels with their record, unfinished ones, tables and pages; each by the command that makes it."""
    from bone_backend.options.programs import PredictOptions
    from bone_backend.prediction import predict
    from bone_backend.progress import Recorder
    from bone_backend.volumes.kept import folder_of

    model, scan = make_model(tmp_path / "m.pth", is_plain=True), tmp_path / "scan.tif"
    save(scan, np.random.default_rng(0).integers(1, 255, (9, 40, 40)).astype(np.uint8))
    told = {"scan": scan, "model": model, "chunk_size": 32, "batch_size": 4, "device": "cpu"}
    told |= {"precision": "fp32", "clean": ["1:largest"]}
    predict(PredictOptions.parse({**told, "output": tmp_path / "labels.tif"}))
    shown = card(tmp_path / "labels.tif.record.json")
    assert "the record of labels" in shown
    assert "m.pth" in shown
    assert "1:largest" in shown
    assert "bone verify" in shown
    monkeypatch.setattr("bone_backend.inference.labelling.LOOK_S", 0.0)
    stopping = Recorder(stop_after=100)
    with pytest.raises(Cancelled):
        predict(PredictOptions.parse({**told, "output": tmp_path / "part.tif"}), progress=stopping)
    found = describe(folder_of(tmp_path / "part.tif"))
    assert found["what"].startswith("unfinished labels")
    assert "of 9 are labelled" in found["facts"]["Slices"]

    table, page = tmp_path / "scores.csv", tmp_path / "page.html"
    words = ["iou", tmp_path / "labels.tif", tmp_path / "labels.tif", "--output", table, "--page", page]
    command = [sys.executable, "-m", "standalone.command", *map(str, words)]
    subprocess.run(command, cwd=ROOT, check=True, capture_output=True)
    assert "the scores of each class" in card(table)
    assert describe(table)["facts"]["Rows"] == "4"  # three classes and the mean
    assert "BONe: comparison" in card(page)
    (tmp_path / "scans.csv").write_text("scan;output\na;b\n", encoding="utf-8")
    assert "for bone predict" in card(tmp_path / "scans.csv")


def test_what_only_looks_like_it_is_unknown(tmp_path):
    (tmp_path / "a.tif.record.json").write_text('{"kind": "other"}', encoding="utf-8")
    (tmp_path / "a.html").write_text("<h1>BONe</h1>", encoding="utf-8")
    (tmp_path / "a.csv").write_text("time,grey\n1,2\n", encoding="utf-8")
    (tmp_path / "a.unfinished").mkdir()
    (tmp_path / "a.unfinished" / "state.json").write_text("[]", encoding="utf-8")
    (tmp_path / "a.onnx").write_bytes(bytes(range(1, 200)))
    (tmp_path / "b.onnx").write_bytes(b"")
    (tmp_path / "a.safetensors").write_bytes((10**15).to_bytes(8, "little"))
    for name in ("a.onnx", "b.onnx", "a.safetensors"):
        assert describe(tmp_path / name)["kind"] == "unknown"
    for name in ("a.tif.record.json", "a.html", "a.csv", "a.unfinished"):
        assert describe(tmp_path / name)["kind"] == "unknown"
