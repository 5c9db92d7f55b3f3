"""Flags are made from the options; a configuration file and flags make one set."""

import json
from pathlib import Path

import pytest
import yaml

from bone_backend.errors import OptionError, OutputError
from bone_backend.jobs.commands import at_terminal
from bone_backend.options.programs import dump
from standalone.command import build_parser
from standalone.flags import gather

PAIRS = ["--pair", "a", "am", "--pair", "b", "bm", "mouse 7"]


def parsed(*words):
    arguments = build_parser().parse_args(words)
    return gather(arguments, at_terminal(arguments.command).table())


def test_the_issues_command_lines_are_understood():
    options = parsed(
        "fit",
        *PAIRS,
        "--output",
        "run",
        "--name",
        "femur",
        "--architecture",
        "U-Net",
        "--patch-size",
        "64",
        "--no-augmentation",
    )
    assert [str(pair.scan) for pair in options.pairs] == ["a", "b"]
    assert options.pairs[1].subject == "mouse 7"
    assert (options.patch_size, options.augmentation, options.name) == (64, False, "femur")
    options = parsed(
        "predict",
        "scan",
        "--model",
        "m.pth",
        "--output",
        "labels",
        "--chunk-size",
        "256",
        "--confidence-threshold",
        "0.7",
    )
    assert (options.chunk_size, options.confidence_threshold, str(options.scan)) == (256, 0.7, "scan")
    options = parsed("predict", "--model", "m.pth", "n.pth", "scan", "other", "--output-dir", "labels")
    assert [path.name for path in options.more_models] == ["n.pth"]
    assert [path.name for path in options.scans] == ["scan", "other"]
    assert parsed("statistics", "scan", "--voxels", "all").voxels == "all"
    assert str(parsed("iou", "r", "p").prediction) == "p"


@pytest.mark.parametrize("suffix", [".json", ".toml", ".yaml"])
def test_a_configuration_file_is_read_and_flags_win(tmp_path, suffix):
    path = tmp_path / f"fit{suffix}"
    texts = {
        ".json": '{"output": "run", "epochs": 3, "patch-size": 64}',
        ".toml": 'output = "run"\nepochs = 3\npatch-size = 64\n',
        ".yaml": "output: run\nepochs: 3\npatch-size: 64\n",
    }
    path.write_text(texts[suffix], encoding="utf-8")
    options = parsed("fit", *PAIRS, "--config", str(path), "--epochs", "9")
    assert (options.epochs, options.patch_size, str(options.output)) == (9, 64, "run")


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_a_saved_configuration_gives_the_same_options(tmp_path, suffix):
    path = tmp_path / f"saved{suffix}"
    first = parsed(
        "fit",
        *PAIRS,
        "--output",
        "run",
        "--epochs",
        "4",
        "--class-names",
        "1:bone",
        "--save-config",
        str(path),
    )
    assert (json.loads if suffix == ".json" else yaml.safe_load)(path.read_text(encoding="utf-8"))[
        "epochs"
    ] == 4
    assert parsed("fit", "--config", str(path)) == first


@pytest.mark.parametrize(
    ("name", "text", "told"),
    [
        ("a.json", "{", "no valid JSON"),
        ("a.ini", "", "must end in"),
        ("a.yaml", "- 1", "must hold option names"),
        ("a.json", '{"epoch": 1}', "Did you mean epochs"),
    ],
)
def test_a_wrong_configuration_file_is_told_in_words(tmp_path, name, text, told):
    path = tmp_path / name
    path.write_text(text, encoding="utf-8")
    with pytest.raises(OptionError, match=told):
        parsed("fit", *PAIRS, "--output", "run", "--config", str(path))


def test_none_clears_an_option_that_may_be_empty():
    assert parsed("fit", *PAIRS, "--output", "run", "--early-stopping", "none").early_stopping is None


def test_a_choice_is_found_whatever_its_case():
    assert parsed("fit", *PAIRS, "--output", "run", "--normalization", "zscore", "--slices", "5").slices == 5


def test_a_configuration_file_takes_what_a_flag_takes(tmp_path):
    path = tmp_path / "fit.yaml"
    path.write_text("early_stopping: none\nloss: jaccard\nmode: 2.5d\nslices: '5'\n", encoding="utf-8")
    options = parsed("fit", *PAIRS, "--output", "run", "--config", str(path))
    assert (options.early_stopping, options.loss, options.mode, options.slices) == (
        None,
        "Jaccard",
        "2.5D",
        5,
    )


def test_a_configuration_that_cannot_be_saved_is_told_and_leaves_nothing(tmp_path):
    (tmp_path / "c.json").mkdir()
    with pytest.raises(OutputError, match=r"c\.json: is already there"):
        parsed("fit", *PAIRS, "--output", "run", "--save-config", str(tmp_path / "c.json"))
    assert [path.name for path in tmp_path.iterdir()] == ["c.json"]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["--device", "tpu"], "device is 'tpu': write it as auto, cpu, cuda or cuda:N."),
        (["--gpus", "x"], "gpus is 'x': write it as N or all."),
        (["--name", "a/b?c/"], "name is 'a/b?c/': these characters cannot stand in it: '/' '?'."),
        (
            ["--class-names", "1:b:red"],
            "the colour in value 1 of class_names is 'red': write it as VALUE:NAME[:#rrggbb].",
        ),
    ],
)
def test_what_has_to_be_of_a_form_is_told_without_a_regular_expression(words, told):
    with pytest.raises(OptionError) as fault:
        parsed("fit", *PAIRS, "--output", "run", *words)
    assert fault.value.faults == [told]


@pytest.mark.parametrize("suffix", [".json", ".yaml"])
def test_the_configuration_of_a_run_may_stand_beside_resume(tmp_path, monkeypatch, suffix):
    monkeypatch.chdir(tmp_path)
    config = tmp_path / f"fit{suffix}"
    first = parsed("fit", *PAIRS, "--output", "run", "--map-labels", "255:1", "--save-config", str(config))
    (tmp_path / "run").mkdir()
    written = json.dumps(dump(first.with_paths(Path.absolute)))
    (tmp_path / "run" / "options.json").write_text(written, encoding="utf-8")
    resumed = parsed("fit", "--config", str(config), "--resume", "run", "--epochs", "40")
    assert (resumed.epochs, resumed.map_labels) == (40, ((255, 1),))
    assert resumed.pairs[0].scan == tmp_path / "a"
    with pytest.raises(OptionError, match="seed cannot be changed"):
        parsed("fit", "--config", str(config), "--resume", "run", "--seed", "1")
