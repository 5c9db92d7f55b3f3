"""Every benchmark runs to its end in a shortened form, with the peers that are installed."""

from __future__ import annotations

import dataclasses
import importlib
import importlib.util
import json
import os
import re
import sys
from pathlib import Path

import numpy as np
import pytest

from benchmarks import accuracy, accuracy_nnunet, formats, sidebyside, waiting
from bone_backend.volumes.volume import save
from mocks.scans import Phantom

FOLDER = Path(sidebyside.__file__).parent
NO_BENCHMARKS = ("sidebyside", "accuracy_monai", "accuracy_nnunet")  # what the others share, contestants


def run(name, capsys, *words):
    """What a shortened benchmark prints."""
    importlib.import_module(f"benchmarks.{name}").main(["--quick", *words])
    return capsys.readouterr().out


def rows(printed):
    """The rows of all tables, cells without blanks."""
    lines = [line for line in printed.splitlines() if line.startswith("|") and "---" not in line]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_every_benchmark_stands_here():
    text = Path(__file__).read_text(encoding="utf-8")
    names = {path.stem for path in FOLDER.glob("*.py")} - set(NO_BENCHMARKS)
    assert names == {name for name in names if f'run("{name}"' in text}


@pytest.fixture(autouse=True)
def own_worker(monkeypatch):
    """The worker's Python is this one, which has all that the tests need."""
    monkeypatch.setenv("BONE_WORKER_PYTHON", sys.executable)


@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")  # by mrcfile
def test_every_format_is_read_beside_the_call_of_a_library(capsys):
    told = rows(run("formats", capsys))
    assert [row[0] for row in told[1:]] == [*formats.ROWS]
    for row in told[1:]:
        assert row[2] == "not installed" or float(row[2].split()[0].replace(",", "")) > 0


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Phantoms under the names and in the layout of the real scans, which are not shipped."""
    folder = tmp_path_factory.mktemp("data")
    names = [
        "mouse_skull_c57bl6",
        "mouse_skull_balb",
        "mouse_skull_dba2",
        "mouse_skull_cast",
        "mouse_femur",
        "tooth",
    ]
    for seed, name in enumerate(names):
        for kind, array in zip(("image", "mask"), Phantom(shape=(8, 64, 64), seed=seed).whole(), strict=True):
            (folder / name).mkdir(exist_ok=True)
            save(folder / name / f"{name}_{kind}.tif", array)
    for kind, array in zip(("images", "masks"), Phantom(shape=(8, 64, 64), seed=9).whole(), strict=True):
        save(folder / "lhdl_trab_a" / kind, np.tile(array, (18, 1, 1))[:140])
    return folder


@pytest.mark.rare
def test_iou_has_a_row_for_every_peer_and_each_counts_alike(capsys):
    found = rows(run("iou", capsys))
    peers = [row[1] for row in found if row[0] in ("RAM", "TIFF")]
    assert peers.count("BONe") == peers.count("numpy") == peers.count("torchmetrics") == 2
    assert [row[0] for row in found[-3:]] == ["8", "32", "128"]  # slices, whose memory is compared


@pytest.mark.rare
def test_waiting_is_measured_in_both_ways(capsys, monkeypatch):
    found = waiting.measured(1, "PASSIVE", 0.01)
    assert min(found.values()) > 0
    asked = []
    monkeypatch.setattr(waiting, "measured", lambda *words: asked.append(words) or found)
    monkeypatch.setattr(os, "cpu_count", lambda: 2)
    told = rows(run("waiting", capsys))[1:]
    assert [row[:2] for row in told] == [["1", "-"], ["2", "spinning"], ["2", "asleep"]]
    assert [words[:2] for words in asked] == [(1, "ACTIVE"), (2, "ACTIVE"), (2, "PASSIVE")]


def test_merging_gives_back_the_labels_of_the_field(capsys):
    found = {row[0]: row[-1] for row in rows(run("merging", capsys))[1:]}
    assert set(found) == {"empatches", "tiler", "MONAI", "BONe"}
    assert float(found["BONe"]) == 1.0
    assert float(found["empatches"]) > 0.999


@pytest.mark.slow
@pytest.mark.rare
def test_prediction_with_empatches_finds_the_same_labels(capsys):
    found = {
        row[0]: row
        for row in rows(
            run("prediction", capsys, "--row", "speed", "--only", "empatches, plain loop", "MONAI")
        )[1:]
    }
    assert set(found) == {"empatches, plain loop", "MONAI", "BONe, fp32", "BONe"}
    assert float(found["empatches, plain loop"][6].rstrip("%")) < 1
    assert 0 < float(found["BONe"][7].rstrip("%")) <= 100


@pytest.mark.slow
def test_prediction_tells_its_memory_and_how_long_easy_takes(capsys):
    found = rows(run("prediction", capsys, "--row", "memory", "easy", "--size", "64"))
    assert [row[0] for row in found] == [
        "slices",
        "2",
        "4",
        "way",
        "as it comes",
        "chunks of 64 px",
        "float32",
    ]
    assert [row[1] for row in found[4:]] == ["48 x 48", "48 x 48", "48 x 48"]
    assert float(found[1][1]) > 100


@pytest.mark.slow
def test_prediction_tells_what_each_backend_takes_and_how_far_it_is_from_torch(capsys):
    found = {
        row[0] if "not installed" in row else row[1]: row
        for row in rows(run("prediction", capsys, "--row", "backends"))[1:]
    }
    ways = {f"{name}, {kind}" for name in ("torch", "openvino") for kind in ("fp32", "bf16")}
    assert set(found) == ways | {"openvino, int8"}
    assert found["torch, fp32"][-1] == "0.0000%"
    assert float(found["torch, bf16"][-1].rstrip("%")) < 5


@pytest.mark.slow
def test_choices_of_prediction_are_judged_on_a_scan_that_was_not_fitted(capsys, data):
    choices = ["default", "along z only", "ensemble, the first counts twice", "largest part of bone"]
    printed = run("prediction_choices", capsys, "--data", str(data), "--choices", *choices)
    header, *found = rows(printed)
    assert header[1] == "bone IoU"
    assert [row[0] for row in found] == choices
    assert all(re.fullmatch(r"[.]\d{4}", row[1]) for row in found)
    assert "By the models of the other seeds" in printed


def test_statistics_are_those_of_numpy(capsys):
    names = [row[1] for row in rows(run("statistics", capsys))[1:]]
    assert names == ["numpy", "BONe, one process", "BONe, worker, from file", "BONe, worker, second time"]


@pytest.mark.slow
@pytest.mark.parametrize(
    "row", ["loader", *(pytest.param(row, marks=pytest.mark.rare) for row in ("step", "memory"))]
)
def test_fitting_is_measured(row, capsys):
    found = rows(run("fitting", capsys, "--row", row))
    wanted = {"loader": "tifffile, slice by slice", "step": "BONe step", "memory": "2"}
    assert wanted[row] in [cells[0] for cells in found]


def test_peers_that_are_not_there_are_told_as_such(capsys):
    found = {row[0]: row[1] for row in rows(run("fitting", capsys, "--row", "loader"))}
    is_there = importlib.util.find_spec("monai") is not None
    assert (found["MONAI Dataset"] != "not installed") == is_there
    assert sidebyside.missing_rows({"a": "numpy", "b": "no_such_package"}, 3) == [
        ["b", "not installed", "", ""]
    ]


@pytest.mark.slow
@pytest.mark.rare
def test_one_architecture_is_fitted_and_scores_as_its_table_says(capsys):
    (found,) = rows(run("every_network", capsys))[1:]
    assert found[:2] == ["Linknet", "2D"]
    assert found[3] == found[4]


@pytest.mark.rare
def test_memory_in_avizo_is_measured_beside_files(capsys):
    found = rows(run("avizo_memory", capsys))[1:]
    assert [row[2] for row in found] == ["files", "module, copy"]


def test_convolutions_are_right_where_torch_is(capsys):
    assert rows(run("bf16_kernels", capsys))[1:] == [["none"] * 4]


@pytest.mark.rare
def test_the_page_of_networks_is_made_for_one_backbone(capsys):
    printed = run("networks_table", capsys)
    assert re.search(r"\| mobilenet_v2 \| 6\.6 / ", printed)
    assert "| resnet18 |" not in printed


@pytest.mark.slow
def test_the_phantom_is_fitted_and_scored(capsys):
    assert [row[0] for row in rows(run("phantom", capsys))[1:]] == ["validation", "test, seed 10"]


def test_grey_scales_are_compared_scan_by_scan(capsys, data):
    header, *found = rows(run("edges", capsys, "--data", str(data)))
    assert header[1:] == ["beside edges", "beside edges, means", "tissues of all voxels", "Z-score"]
    assert [row[0] for row in found] == ["c57bl6", "balb", "spread, of the distance"]
    assert all(re.fullmatch(r"-?\d\.\d\d / -?\d\.\d\d", row[1]) for row in found[:2])


def test_gammas_that_are_undone_are_told_scan_by_scan(capsys, data):
    printed = run("edges", capsys, "--curves", "--data", str(data))
    header, *found = rows(printed)
    assert header[2:4] == ["gamma 0.6 (1.67)", "gamma 0.75 (1.33)"]
    assert [row[:2] for row in found] == [["three skulls", "cast"]]
    assert all(re.fullmatch(r"-|[0-2]\.\d\d", cell) for cell in found[0][2:])
    assert re.search(r"A power was found in \d of 2 scans that were stored without a gamma\.", printed)


@pytest.mark.slow
def test_accuracy_is_told_for_every_contestant_and_judged_scan(capsys, data, tmp_path):
    contestants = ["BONe Easy", "BONe, the paper's recipe", "MONAI BasicUNet", "nnU-Net 2D", "Otsu"]
    words = ["--rows", "skulls", "--seeds", "1", "--data", str(data), "--json", str(tmp_path / "a.json")]
    words += ["--contestants", *contestants, "--also", "--loss Jaccard --axes z"]
    header, *found = rows(run("accuracy", capsys, *words))
    assert header[1:5] == ["cast", "cast, gamma .75", "cast, enlarged", "cast, blurred"]
    assert [row[0] for row in found] == [*contestants, "Easy --loss Jaccard --axes z"]
    assert all(re.fullmatch(r"[.]\d{3}", row[1]) for row in found[:2])
    figures = json.loads((tmp_path / "a.json").read_text(encoding="utf-8"))["figures"]
    (fitted,) = [one for one in figures if one["contestant"] == "BONe Easy"]
    assert fitted["steps"] > 0
    assert fitted["peak_ram_gib"] > 0.1
    for cells in found[2:4]:
        if importlib.util.find_spec(accuracy.PACKAGES[cells[0]]) is None:
            assert cells[1:] == ["not installed", *[""] * 7]
        else:
            assert all(re.fullmatch(r"[.]\d{3}", cell) for cell in cells[1:5])
            assert cells[5] == "1"  # step
    assert accuracy.of_seeds([0.9, 0.94, 0.931]) == ".931 (.900-.940)"


def test_a_peer_that_is_not_installed_has_a_row_that_says_so(capsys, data, monkeypatch):
    monkeypatch.setitem(accuracy.PACKAGES, "nnU-Net 2D", "no_such_package")
    words = ["--rows", "skulls", "--seeds", "1", "--data", str(data), "--contestants", "nnU-Net 2D", "Otsu"]
    missing, otsu = rows(run("accuracy", capsys, *words))[1:]
    assert missing == ["nnU-Net 2D", "not installed", *[""] * 7]
    assert all(re.fullmatch(r"[.]\d{3}", cell) for cell in otsu[1:5])


def test_nnunet_is_told_voxel_sizes_that_can_be_resampled(tmp_path):
    grey = np.ones((2, 4, 5), np.uint8)
    sizes = {"whole": (1.0, 1.0, 1.0), "half": (1.0, 0.5, 0.5), "tenth": (0.1, 0.1, 0.1), "unknown": None}
    for name, size in sizes.items():
        save(tmp_path / f"{name}.tif", grey, voxel_size=size)
    paths = {name: tmp_path / f"{name}.tif" for name in sizes}
    whole, half = accuracy_nnunet.spacings([paths["whole"], paths["half"]])
    assert whole == pytest.approx(sizes["whole"])
    assert half == pytest.approx(sizes["half"])
    for other in ("tenth", "unknown"):
        assert accuracy_nnunet.spacings([paths["whole"], paths[other]]) == [None, None]


def test_the_pairs_stand_in_the_layout_of_nnunet(tmp_path):
    for name in ("femur 1", "femur 2", "femur 3"):
        home = accuracy.place(tmp_path, name)
        home.mkdir()
        for file in ("scan", "classes"):
            save(home / f"{file}.tif", np.full((2, 4, 5), len(file), np.uint8), voxel_size=(3, 2, 2))
    task = accuracy.Task("pores", 1, 60, tmp_path, tmp_path, tmp_path, 1, is_quick=True)
    raw = tmp_path / "raw"
    (judged,) = accuracy_nnunet.write_dataset(task, raw)
    assert judged == raw / "imagesTs" / "case_0_0000.tif"
    told = json.loads((raw / "dataset.json").read_text(encoding="utf-8"))
    assert told["labels"] == {"background": 0, "bone": 1, "pores": 2}
    assert told["numTraining"] == len(list((raw / "imagesTr").glob("*.tif"))) == 2
    for number in range(2):
        assert accuracy.read(raw / "imagesTr" / f"case_{number}_0000.tif").max() == len("scan")
        assert accuracy.read(raw / "labelsTr" / f"case_{number}.tif").max() == len("classes")
        for kind in ("imagesTr", "labelsTr"):
            beside = json.loads((raw / kind / f"case_{number}.json").read_text(encoding="utf-8"))
            assert beside["spacing"] == pytest.approx([3, 2, 2])


@pytest.mark.parametrize(
    ("steps", "epochs_and_length"), [(1, (1, 1)), (1000, (1000, 1)), (1001, (500, 2)), (5500, (916, 6))]
)
def test_the_learning_rate_of_nnunet_ends_with_its_steps(steps, epochs_and_length):
    assert accuracy_nnunet.schedule(steps) == epochs_and_length


def test_a_peer_finds_its_task_in_its_words(tmp_path):
    task = accuracy.Task("pores", 1, 60, tmp_path, tmp_path, tmp_path, 1, is_quick=True)
    words = ["--task", json.dumps(dataclasses.asdict(task), default=str)]
    assert accuracy.task_of(words, "A peer.") == task


def test_bone_and_pores_are_judged_each_by_its_own_overlap(tmp_path):
    home = tmp_path / "femur_3"
    home.mkdir()
    save(home / "classes.tif", np.array([[[0, 1, 1, 2, 2, 2]]] * 2, np.uint8))
    save(tmp_path / "labels.tif", np.array([[[1, 1, 0, 2, 2, 2]]] * 2, np.uint8))
    task = accuracy.Task("pores", 1, 60, tmp_path, tmp_path, tmp_path, 1, is_quick=True)
    found = task.judge({"femur 3": tmp_path / "labels.tif"})
    assert found == {"femur 3": pytest.approx(1 / 3), "femur 3, pores": 1.0}


def test_shifted_copies_keep_what_they_should():
    grey = np.zeros((10, 20, 20))
    grey[2:8, 5:15, 5:15] = 200
    assert accuracy.gamma(grey, 1).max() == grey.max()
    assert accuracy.gamma(np.array([50.0, 100.0]), 1)[0] == pytest.approx(100 * 0.5**0.75)
    mask = accuracy.enlarged((grey > 0).astype(np.uint8), 0)
    assert (mask.shape, set(np.unique(mask))) == ((14, 28, 28), {0, 1})
    changed = accuracy.blurred(grey, 1)
    assert changed[4:6, 8:12, 8:12].mean() == pytest.approx(0.8 * 200 + 0.08 * 200, abs=3)
    assert changed[:, :2].mean() == pytest.approx(0.08 * 200, abs=1)


@pytest.mark.rare
def test_normalisations_are_compared_on_other_scans(capsys, data):
    found = [row[0] for row in rows(run("normalisation", capsys, "--data", str(data)))[1:]]
    assert found == ["ZScore", "ZScore, tissue when predicting"]


def test_published_3d_networks_are_told_as_not_installed(capsys, tmp_path):
    assert "not installed" in run("published_3d", capsys, str(tmp_path))


def test_a_candidate_is_measured_in_a_process_of_its_own(tmp_path):
    from benchmarks import iou

    iou.write_data(tmp_path, 8, 64)
    words = ["--source", "RAM", "--data", str(tmp_path)]
    (sample,) = sidebyside.alternate("benchmarks.iou", ["numpy"], arguments=words, repeats=1)["numpy"]
    reference, prediction = (
        np.load(tmp_path / "data" / f"{name}.npy") for name in ("reference", "prediction")
    )
    both = [int(((reference == value) & (prediction == value)).sum()) for value in range(3)]
    assert sample.result[0] == both


def test_the_window_is_measured_where_qt_is_there(capsys):
    pytest.importorskip("PySide6", exc_type=ImportError)
    found = dict(rows(run("window", capsys))[1:])
    assert float(found["start to painted, CPU"].split()[0]) < 20
    along = [name for name in found if "slice along" in name]
    assert along == [f"its slice along {axis}" for axis in "zyx"]


def test_the_check_of_a_large_pair(capsys, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", os.environ["BONE_CACHE"])  # which the benchmark changes
    found = {row[0]: row for row in rows(run("checking", capsys))[1:]}
    assert set(found) == {
        f"{what} {layout}" for what in ("check", "preparation") for layout in ("plain", "packed")
    }
    assert all(float(row[3].split()[0]) > 0 for row in found.values())
