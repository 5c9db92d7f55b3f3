"""Where something may be written: never over, into or around an input, over nothing without permission."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from bone_backend.errors import OptionError, OutputError
from bone_backend.files.outputs import check_apart, check_output, ending_fault
from bone_backend.options.programs import (
    ExportOptions,
    FitOptions,
    IoUOptions,
    PredictOptions,
    PreviewOptions,
)


@pytest.fixture
def place(tmp_path, monkeypatch):
    """A scan as a file and one as a folder of two slices; the test stands in their folder."""
    (tmp_path / "slices").mkdir()
    for name in ("scan.tif", "slices/a_0.tif", "slices/a_1.tif", "other.tif"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize(
    ("output", "source", "told"),
    [
        ("scan.tif", "scan.tif", "is the scan itself"),
        ("slices/../scan.tif", "scan.tif", "is the scan itself"),
        ("ABSOLUTE/scan.tif", "scan.tif", "is the scan itself"),
        ("slices", "slices", "is the scan itself"),
        ("slices/labels.tif", "slices", "lies inside the scan"),
        ("slices/new/labels", "slices", "lies inside the scan"),
        (".", "slices", "is the folder that holds the scan"),
        ("..", "scan.tif", "is the folder that holds the scan"),
    ],
)
@pytest.mark.parametrize("overwrite", [False, True])
def test_an_output_is_no_input_nor_inside_one_nor_around_one(place, output, source, told, overwrite):
    output = Path(output.replace("ABSOLUTE", str(place)))
    with pytest.raises(OutputError, match=told):
        check_output(output, inputs=[("the scan", Path(source))], overwrite=overwrite)


@pytest.mark.skipif(os.name == "nt", reason="making symbolic links needs a right on Windows")
def test_links_do_not_hide_an_input(place):
    (place / "link.tif").symlink_to("scan.tif")
    (place / "hard.tif").hardlink_to("scan.tif")
    (place / "door").symlink_to("slices")
    (place / "picked").mkdir()
    (place / "picked" / "0.tif").symlink_to(place / "scan.tif")
    (place / "picked" / "1.tif").hardlink_to(place / "other.tif")
    for output, source in (
        ("link.tif", "scan.tif"),
        ("scan.tif", "link.tif"),
        ("hard.tif", "scan.tif"),
        ("door", "slices"),
        ("door/labels.tif", "slices"),
        ("slices/labels.tif", "door"),
        ("scan.tif", "picked"),  # a folder of links to slices elsewhere
        ("other.tif", "picked"),
    ):
        with pytest.raises(OutputError, match=r"is the scan itself|lies inside|belongs to"):
            check_output(Path(output), inputs=[("the scan", Path(source))], overwrite=True)


def test_the_case_of_letters_hides_no_input_where_the_system_ignores_it(place):
    if not (place / "SCAN.TIF").exists():
        pytest.skip("this file system tells SCAN.TIF from scan.tif")
    with pytest.raises(OutputError, match="is the scan itself"):
        check_output(Path("SCAN.TIF"), inputs=[("the scan", Path("scan.tif"))], overwrite=True)


def test_what_is_there_is_replaced_with_permission_only(place):
    with pytest.raises(OutputError, match=r"other\.tif: is already there.*--overwrite"):
        check_output(Path("other.tif"), inputs=[("the scan", Path("scan.tif"))], overwrite=False)
    check_output(Path("other.tif"), inputs=[("the scan", Path("scan.tif"))], overwrite=True)
    check_output(Path("new/labels.tif"), inputs=[("the scan", Path("scan.tif"))], overwrite=False)
    check_apart(Path("slices_2"), [("the scan", Path("slices"))])  # a name that only begins alike
    if os.name != "nt":
        (place / "dangling.tif").symlink_to("nowhere.tif")
        with pytest.raises(OutputError, match="is already there"):
            check_output(Path("dangling.tif"), overwrite=False)


@pytest.mark.parametrize("output", [".", "..", "", "/", "../here", "./"])
@pytest.mark.parametrize("overwrite", [False, True])
def test_the_folder_that_one_is_in_is_no_output(tmp_path, monkeypatch, output, overwrite):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    with pytest.raises(OutputError, match="is the folder that you are in, or holds it"):
        check_output(Path(output), overwrite=overwrite)
    check_output(Path("labels"), overwrite=overwrite)
    check_output(Path("../there"), overwrite=overwrite)


@pytest.mark.parametrize(
    "name",
    ["x.nii.bz2", "x.isq", "x.jpg", "x.raw", "x.csv", "x.PTH", "x.h5", "x.zip"],
)
def test_labels_and_runs_with_endings_that_are_not_written_are_refused(name):
    with pytest.raises(OptionError, match=r"ending in \.tif, .* or \.zarr, or as a folder"):
        PredictOptions.parse({"scan": "s", "model": "m.pth", "output": name})
    with pytest.raises(OptionError, match="a run is written as a folder"):
        FitOptions.parse({"pairs": [["a", "b"], ["c", "d"]], "output": name})


@pytest.mark.parametrize("name", ["x.nii.gz", "x.nii", "x.mha", "x.nrrd", "x.seg.nrrd", "x.am", "x.png"])
def test_labels_may_be_files_of_these_endings_and_runs_not(name):
    assert PredictOptions.parse({"scan": "s", "model": "m.pth", "output": name}).output == Path(name)
    with pytest.raises(OptionError, match="a run is written as a folder"):
        FitOptions.parse({"pairs": [["a", "b"], ["c", "d"]], "output": name})


@pytest.mark.parametrize("name", ["labels", "femur_1.5um", "a.b.c", "x.tif", "x.TIFF", "scan no. 3", "2.5D"])
def test_other_dots_may_stand_in_the_name_of_a_folder(name):
    assert PredictOptions.parse({"scan": "s", "model": "m.pth", "output": name}).output == Path(name)


def test_tables_exports_and_pictures_have_their_own_endings():
    for name in ("scores.xlsx", "scores.tif", "scores", "scores.csv.bak"):
        with pytest.raises(OptionError, match=r"the table is written as a file ending in \.csv"):
            IoUOptions.parse({"reference": "r", "prediction": "p", "output": name})
    for name in ("m.safetensors", "m", "m.pth"):
        with pytest.raises(OptionError, match=r"with --to onnx the model is written .* ending in \.onnx"):
            ExportOptions.parse({"model": "m.pth", "output": name, "format": "onnx"})
    assert ending_fault(Path("m.ONNX"), what="it is", written=(".onnx",)) == ""


def test_every_program_checks_its_outputs_before_any_work(place):
    """From the options alone, so that no door needs torch to say so."""
    pairs = [["scan.tif", "other.tif"], ["slices", "mask"]]
    (place / "table.csv").touch()
    for options, told in (
        (IoUOptions.parse({"reference": "a", "prediction": "b", "output": "table.csv"}), "already there"),
        (PredictOptions.parse({"scan": "slices", "model": "m", "output": "slices/l"}), "inside the scan"),
        (PredictOptions.parse({"scan": "s", "model": "scan.tif", "output": "scan.tif"}), "model file itself"),
        (FitOptions.parse({"pairs": pairs, "output": "slices/run"}), "inside the scan of pair 2"),
        (FitOptions.parse({"pairs": pairs, "output": "."}), "holds the scan of pair 1"),
        (FitOptions.parse({"pairs": pairs, "output": "scan.tif/run"}), "inside the scan of pair 1"),
        (FitOptions.parse({"pairs": pairs, "output": "other.tif/.."}), "holds the scan"),
    ):
        with pytest.raises(OutputError, match=told):
            options.check_paths()
    (place / "sheet.png").touch()
    with pytest.raises(OutputError, match=r"sheet\.png: is already there"):
        PreviewOptions.parse({"pairs": pairs, "sheet": "sheet.png"}).check_paths()


def test_weights_in_a_run_folder_are_not_taken_away_by_the_run_that_begins_with_them(place):
    run = place / "run"
    run.mkdir()
    (run / "options.json").write_text("{}", encoding="utf-8")
    (run / "x_best_epoch_3_val_jaccard_0.9000.pth").touch()
    options = FitOptions.parse(
        {"pairs": [["a", "b"], ["c", "d"]], "weights": "run", "output": "run", "overwrite": True}
    )
    assert options.weights == str(Path("run/x_best_epoch_3_val_jaccard_0.9000.pth"))
    with pytest.raises(OutputError, match="holds the first weights"):
        options.check_paths()
