"""The names and colours of classes go from the masks through fit, prediction and scores to every output."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from bone_backend.errors import ScanError
from bone_backend.fitting import fit, rehearse
from bone_backend.jobs.run import run_here
from bone_backend.model_files.header import read_header
from bone_backend.options.programs import FitOptions
from bone_backend.volumes.volume import open_volume, peek
from standalone import command

from .conftest import fit_values

NAMES = ["1:cortical bone:#ff8800", "2:marrow:#0088ff"]


@pytest.fixture(scope="module")
def named(pairs, tmp_path_factory):
    """The pairs with masks for 3D Slicer; of the third only one class has a name, and it is another."""
    folder = tmp_path_factory.mktemp("named")
    made = []
    for number, (scan, mask) in enumerate(pairs):
        names = NAMES if number < 2 else ["1:compacta"]
        values = {"source": mask, "output": str(folder / f"mask_{number}.seg.nrrd"), "content": "labels"}
        run_here("convert", {**values, "class_names": names})
        made.append([scan, values["output"]])
    return made


@pytest.fixture(scope="module")
def run(named, tmp_path_factory):
    folder = tmp_path_factory.mktemp("fit") / "run"
    fit(FitOptions.parse(fit_values(named[:2], folder)))
    return folder


def test_the_model_file_the_records_and_the_report_have_the_names_of_the_masks(run):
    [model] = run.glob("*_best_epoch_*.pth")
    classes = {item["value"]: (item["name"], item["colour"]) for item in read_header(model).bone["classes"]}
    assert classes[1] == ("cortical bone", "#ff8800")
    assert classes[2] == ("marrow", "#0088ff")
    assert "cortical bone" in (run / "report.html").read_text(encoding="utf-8")
    record = json.loads((run / "record.json").read_text(encoding="utf-8"))
    assert {item["name"] for item in record["classes"]} >= {"cortical bone", "marrow"}


@pytest.mark.parametrize("name", ["labels.seg.nrrd", "labels.tif", "labels.png"])
def test_labels_and_console_lines_have_them(run, named, tmp_path, capsys, name):
    output = str(tmp_path / name)
    words = ["predict", named[0][0], "--model", str(run), "--output", output, "--confidence-threshold", "0"]
    assert command.main([*words, "--quiet"]) == 0
    assert "1 cortical bone" in capsys.readouterr().out
    held = {item.value: (item.name, item.colour) for item in peek(output).classes}
    assert held[1] == ("cortical bone", "#ff8800")
    with open_volume(output) as labels, open_volume(named[0][0]) as scan:
        assert labels.header.shape == scan.header.shape
        assert labels.header.voxel_size_um == pytest.approx((20.0,) * 3)
    Path(f"{output}.record.json").unlink()  # so that the names are those of the files
    assert command.main(["iou", named[0][1], output, "--quiet"]) == 0
    assert "1 cortical bone" in capsys.readouterr().out


def test_masks_that_disagree_are_told_and_names_that_are_given_win(named, tmp_path):
    options = fit_values(named, tmp_path / "run")
    found = rehearse(FitOptions.parse(options))
    [told] = [warning for warning in found.warnings if "compacta" in warning]
    assert 'Label 1 is called "cortical bone" in' in told
    assert 'but "compacta" in' in told
    found = rehearse(FitOptions.parse({**options, "class_names": ["1:bone"]}))
    assert not any("compacta" in warning for warning in found.warnings)


def test_iou_tells_where_two_files_call_a_label_by_other_names(named, caplog):
    found = run_here("iou", {"reference": named[2][1], "prediction": named[2][1]})
    assert found["names"]["1"] == "compacta"
    other = str(Path(named[2][1]).with_name("other.seg.nrrd"))
    run_here("convert", {"source": named[2][1], "output": other, "class_names": ["1:marrow"]})
    found = run_here("iou", {"reference": named[2][1], "prediction": other})
    assert found["names"]["1"] == "marrow"
    assert any('"marrow" in' in warning and 'but "compacta" in' in warning for warning in found["warnings"])


def test_iou_takes_names_and_colours_that_are_given_then_those_of_prediction_and_reference(
    named, tmp_path, capsys
):
    """In the console, the table and the page; the names of both volumes disagree, which is told."""
    prediction, table, page = str(tmp_path / "p.seg.nrrd"), tmp_path / "iou.csv", tmp_path / "iou.html"
    values = {"source": named[2][1], "output": prediction}
    run_here("convert", {**values, "class_names": ["1:marrow:#102030", "2:fat"]})
    words = ["iou", named[2][1], prediction, "--quiet", "--overwrite"]
    assert command.main([*words, "--output", str(table), "--page", str(page)]) == 0
    shown = capsys.readouterr()
    assert "1 marrow" in shown.out  # the prediction's, which comes first
    assert '"marrow" in' in shown.err
    assert 'but "compacta" in' in shown.err
    assert f"Written  {table}" in shown.out
    assert table.read_text(encoding="utf-8").splitlines()[2].endswith(",marrow")
    assert "#102030" in page.read_text(encoding="utf-8")
    classes = tmp_path / "classes.csv"
    classes.write_text("value,name,colour\n1,corticalis,#a0b0c0\n7,enamel,\n", encoding="utf-8")
    misspelt = tmp_path / "misspelt.csv"
    misspelt.write_text("value,name,colur\n1,corticalis,#a0b0c0\n", encoding="utf-8")
    assert command.main([*words, "--class-names", str(misspelt)]) == 1
    assert "there is no column colur. Did you mean colour?" in capsys.readouterr().err
    words += ["--class-names", str(classes), "--page", str(page), "--output", str(table)]
    assert command.main(words) == 0
    shown = capsys.readouterr()
    assert "1 corticalis" in shown.out
    assert "2 fat" in shown.out
    assert "marrow" not in shown.err
    assert "--class-names names 7, which neither volume holds; they hold 0, 1, 2." in shown.err
    assert table.read_text(encoding="utf-8").splitlines()[2].endswith(",corticalis")
    assert "corticalis" in page.read_text(encoding="utf-8")
    assert "#a0b0c0" in page.read_text(encoding="utf-8")


def test_the_check_calls_classes_as_the_masks_do_and_tells_where_they_disagree(
    named, tmp_path, capsys, monkeypatch
):
    monkeypatch.setenv("COLUMNS", "80")
    page = tmp_path / "check.html"
    words = ["check", *(word for pair in named for word in ("--pair", *pair)), "--page", str(page)]
    assert command.main([*words, "--quiet"]) == 0
    shown = capsys.readouterr().out
    assert "0 background  1 cortical bone  2 marrow" in shown  # at the head of the columns
    assert 'DOUBT: Label 1 is called "cortical bone" in ' in shown
    assert "--class-names" in shown
    text = page.read_text(encoding="utf-8")
    assert "cortical bone" in text
    assert "#ff8800" in text
    words.append("--overwrite")
    monkeypatch.setenv("COLUMNS", "50")  # too narrow for that
    assert command.main([*words, "--quiet"]) == 0
    assert "Labels: 0 background, 1 cortical bone, 2 marrow." in capsys.readouterr().out
    words += ["--class-names", "1:bone", "2:pores"]
    assert command.main([*words, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [(item["value"], item["name"]) for item in found["classes"]] == [
        (0, "background"),
        (1, "bone"),
        (2, "pores"),
    ]
    assert found["classes"][1]["colour"] == "#ff8800"  # a name without a colour keeps that of the mask
    assert not any("is called" in finding["text"] for finding in found["findings"])
    assert command.main([*words, "9:enamel", "--quiet"]) == 1
    assert "FAULT: --class-names names 9, but the masks hold the classes 0, 1, 2." in capsys.readouterr().out


def test_the_check_names_mapped_values_and_what_is_not_counted(pairs, capsys):
    words = ["check", "--pair", *map(str, pairs[0]), "--pair", *map(str, pairs[1]), "--json"]
    assert command.main([*words, "--map-labels", "2:1", "--class-names", "1:bone"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in found["classes"]] == ["background", "bone", "bone"]
    assert command.main([*words, "--ignore-label", "2"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert [item["name"] for item in found["classes"]] == ["background", "class 1", "not counted"]


def test_the_voxel_size_that_is_given_is_that_of_scans_and_masks(pairs, tmp_path):
    """A mask with another voxel size is refused, unless the user says which one is right."""
    masks = []
    for _, mask in pairs[:2]:
        masks.append(str(tmp_path / Path(mask).name))
        run_here("convert", {"source": mask, "output": masks[-1], "voxel_size": "25um"})
    wrong = [[pairs[0][0], masks[0]], [pairs[1][0], masks[1]]]
    options = fit_values(wrong, tmp_path / "run", epochs=1)
    with pytest.raises(ScanError, match="the mask's voxels are"):
        rehearse(FitOptions.parse(options))
    fit(FitOptions.parse({**options, "voxel_size": "0.022mm"}))
    [model] = (tmp_path / "run").glob("*_best_epoch_*.pth")
    sizes = read_header(model).bone["voxel_size_um"]
    assert sizes == [pytest.approx((22.0, 22.0, 22.0))] * 2
