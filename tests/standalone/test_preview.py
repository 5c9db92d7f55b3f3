"""The sheet of `bone preview-augmentation`."""

import json

import numpy as np
import pytest

from bone_backend.errors import OptionError
from bone_backend.options import PreviewOptions
from bone_backend.volumes.volume import save
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


def test_a_fits_command_line_and_configuration_serve_it_too(tmp_path):
    path = tmp_path / "fit.json"
    path.write_text('{"pairs": [["a", "am"], ["b", "bm"]], "output": "run", "epochs": 3, "patch_size": 64}')
    arguments = build_parser().parse_args(
        ["preview-augmentation", "--config", str(path), "--learning-rate", "0.01"]
    )
    options = gather(arguments, PreviewOptions)
    assert (options.patch_size, len(options.pairs), str(options.sheet)) == (64, 2, "augmentation.png")


def test_faults_of_the_fit_and_of_the_sheet_are_told_together():
    with pytest.raises(OptionError) as told:
        PreviewOptions.parse(
            {"pairs": [["a", "am"]], "sheet": "sheet.jpg", "patch_size": 50, "transforms": {"gama": 1}}
        )
    assert len(told.value.faults) == 3
