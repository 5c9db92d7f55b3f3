"""The sheet of `bone preview-augmentation`."""

import json
import re

import numpy as np
import pytest

from bone_backend.errors import OptionError
from bone_backend.options.programs import PreviewOptions
from bone_backend.options.types import NamedClass
from bone_backend.preview import Picture, Row
from bone_backend.volumes.classes import describe_classes
from bone_backend.volumes.volume import save
from standalone import preview
from standalone.command import build_parser, main
from standalone.flags import gather


def test_the_sheet_is_one_picture_file_and_relative_paths_are_fine(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    mask = np.zeros((8, 48, 48), np.uint8)
    mask[:, 10:30, 10:30] = 1
    save(tmp_path / "scan.tif", (mask * 100 + np.arange(48, dtype=np.uint8)).astype(np.uint8))
    save(tmp_path / "mask.tif", mask)
    words = [
        "preview-augmentation",
        "--pair",
        "scan.tif",
        "mask.tif",
        "--patch-size",
        "32",
        "--examples",
        "1",
        "--variants",
        "2",
        "--json",
    ]
    assert main([*words, "--transforms", '{"gamma": 0.5}', "--sheet", "made/sheet.png"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (tmp_path / found["sheet"]).read_bytes()[:8] == b"\x89PNG\r\n\x1a\n"
    assert "gamma 0.70" in found["changes"]
    assert [path.name for path in (tmp_path / "made").iterdir()] == ["sheet.png"]


@pytest.mark.parametrize(
    "words", [["--epochs", "3"], ["--optimizer", "SGD"], ["--backbone", "resnet34"], ["--output", "run"]]
)
def test_flags_of_a_fit_that_change_no_patch_are_unknown(words, capsys):
    assert main(["preview-augmentation", "--pair", "a", "am", *words]) != 0
    assert words[0] in capsys.readouterr().err


def test_the_help_shows_what_changes_a_patch_and_nothing_else(capsys):
    with pytest.raises(SystemExit):
        build_parser().parse_args(["preview-augmentation", "--help-all"])
    flags = set(re.findall(r"--[a-z][a-z-]+", capsys.readouterr().out))
    assert {"--pair", "--patch-size", "--transforms", "--class-names", "--sheet", "--seed"} <= flags
    assert not flags & {
        "--epochs",
        "--learning-rate",
        "--loss",
        "--architecture",
        "--output",
        "--device",
        "--dry-run",
        "--foreground-share",
    }


def test_options_of_a_fit_in_a_configuration_are_told_and_never_dropped(tmp_path):
    path = tmp_path / "fit.json"
    path.write_text('{"pairs": [["a", "am"], ["b", "bm"]], "epochs": 3, "patch_size": 64, "loss": "Dice"}')
    arguments = build_parser().parse_args(["preview-augmentation", "--config", str(path)])
    with pytest.raises(OptionError) as told:
        gather(arguments, PreviewOptions)
    assert [fault.split()[0] for fault in told.value.faults] == ["epochs", "loss"]


def test_patches_may_have_any_size_since_no_network_sees_them():
    assert PreviewOptions.parse({"pairs": [["a", "am"]], "patch_size": 50}).patch_size == 50


def test_the_legend_has_the_names_and_colours_of_the_classes(tmp_path, monkeypatch):
    classes = np.array([[0, 1], [2, 2]])
    row = Row("femur", alone=False, pictures=[Picture("as scanned", classes * 1.0, classes)])
    described = describe_classes(range(3), [NamedClass(value=2, name="pores", colour="#ff00ff")])
    drawn = []
    keep = preview._save
    monkeypatch.setattr(preview, "_save", lambda figure, path: (drawn.append(figure), keep(figure, path))[1])
    preview.draw(tmp_path / "sheet.png", [row], classes=described, title="t")
    [legend] = drawn[0].legends
    found = {
        t.get_text(): line.get_color() for t, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
    }
    assert found == {"class 1": "#e69f00", "pores": "#ff00ff"}


def test_faults_of_the_fit_and_of_the_sheet_are_told_together():
    with pytest.raises(OptionError) as told:
        PreviewOptions.parse(
            {"pairs": [["a", "am"]], "sheet": "sheet.jpg", "patch_size": 5, "transforms": {"gama": 1}}
        )
    assert len(told.value.faults) == 3
