"""Options: every fault at once, in words, and everything a renderer needs."""

import json
import math
import re
from pathlib import Path

import pytest
from pydantic import ValidationError

from bone_backend.errors import OptionError
from bone_backend.jobs.commands import OFFERED
from bone_backend.options.programs import (
    FitOptions,
    PredictOptions,
    PreviewOptions,
    dump,
)

PAIRS = [["a", "am"], ["b", "bm"]]


def faults(**values):
    with pytest.raises(OptionError) as told:
        FitOptions.parse({"pairs": PAIRS, "output": "run"} | values)
    return told.value.faults


def test_all_faults_are_told_at_once():
    wrong = {"epochs": 0, "patch_size": 250, "batchsize": 3, "optimizer": "Adamm", "validation": "scans"}
    told = faults(architecture="U-Net", pairs=[["a", "am"]], **wrong)
    assert len(told) == 5
    text = "\n".join(told)
    assert "epochs is 0" in text
    assert "patch_size is 250; U-Net with resnet18 needs a multiple of 32. Use 224 or 256." in text
    assert "batchsize is no option of BONe DLFit. Did you mean batch_size?" in text
    assert "optimizer is 'Adamm'" in text
    assert "only one pair is given; validation on whole scans needs at least two" in text


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"pairs": [["a", "am"], ["a", "bm"]]}, "pair 2 has the same scan as pair 1"),
        ({"pairs": [["a", "a"], ["b", "bm"]]}, "same path as scan and mask"),
        ({"pairs": [["a"], ["b", "bm"]]}, "a pair is SCAN MASK"),
        ({"pairs": []}, "no pair is given"),
        ({"map_labels": ["255"]}, "255:1"),
        ({"class_names": ["bone"]}, "1:bone"),
        ({"class_names": ["1:bone", "1:pores"]}, "twice"),
        ({"name": "a/b"}, "name is 'a/b'"),
        ({"architecture": "Unett"}, "Did you mean"),
        ({"architecture": "U-Net", "backbone": "resnet19"}, "resnet18"),
        ({"architecture": "U-Net", "backbone": "dpn92", "weights": "imagenet"}, "no such weights"),
        ({"mode": "3D", "patch_depth": 64}, "tile_depth"),
        ({"mode": "3D", "stride": "os.system('x')"}, "five (z, y, x) triples"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"train_split": 1.0}, "train_split is 1.0"),
        ({"validation_pairs": [3]}, "validation_pairs names 3, but there are 2 pairs"),
        ({"validation_pairs": [0]}, "validation_pairs"),
        ({"validation_pairs": [2, 1]}, "leave at least one for training"),
        ({"validation_pairs": [2], "validation": "slabs"}, "validation is slabs, a part of every scan"),
        (
            {"validation_pairs": [1], "pairs": [["a", "am", "Ada"], ["b", "bm", "Ada"], ["c", "cm"]]},
            "scans of Ada on both sides",
        ),
        ({"resume": "no such folder"}, "is no run folder"),
    ],
)
def test_each_fault_is_told_in_words(values, told):
    assert any(told in fault for fault in faults(**values)), faults(**values)


def test_text_from_a_command_line_becomes_numbers():
    options = FitOptions.parse(
        {"pairs": PAIRS, "output": "run", "epochs": "7", "learning_rate": "1e-4", "map_labels": ["255:1"]}
    )
    assert (options.epochs, options.learning_rate, options.map_labels) == (7, 1e-4, ((255, 1),))


def test_a_dump_is_plain_json_and_gives_the_same_options_again():
    options = FitOptions.parse(
        {
            "pairs": [["a", "am", "mouse 1"], ["b", "bm"]],
            "output": "run",
            "class_names": ["1:bone:#ffcc00"],
            "map_labels": ["255:1"],
        }
    )
    assert FitOptions.parse(json.loads(json.dumps(dump(options)))) == options


def test_options_are_frozen():
    options = PredictOptions.parse({"scan": "a", "model": "m.pth", "output": "o"})
    with pytest.raises(Exception, match="frozen"):
        options.chunk_size = 64


def test_a_resumed_run_takes_its_own_options_and_only_harmless_ones_anew(tmp_path):
    stored = FitOptions.parse({"pairs": PAIRS, "output": str(tmp_path), "epochs": 3, "patch_size": 64})
    (tmp_path / "options.json").write_text(json.dumps(dump(stored)), encoding="utf-8")
    resumed = FitOptions.parse({"resume": str(tmp_path), "epochs": 5})
    assert (resumed.patch_size, resumed.epochs, resumed.pairs) == (64, 5, stored.pairs)
    with pytest.raises(OptionError, match="patch_size cannot be changed"):
        FitOptions.parse({"resume": str(tmp_path), "patch_size": 128})


def test_a_resumed_run_keeps_the_patch_size_that_auto_has_chosen(tmp_path):
    stored = FitOptions.parse({"pairs": PAIRS, "output": str(tmp_path), "patch_size": 64})
    (tmp_path / "options.json").write_text(json.dumps(dump(stored)), encoding="utf-8")
    for again in ({}, {"patch_size": "auto"}, {"patch_size": 64}):
        assert FitOptions.parse({"resume": str(tmp_path)} | again).patch_size == 64


@pytest.mark.parametrize("word", ["auto", "Auto", None])
def test_auto_leaves_the_patch_size_open_and_is_written_as_a_word(word):
    options = FitOptions.parse({"pairs": PAIRS, "output": "run", "patch_size": word})
    assert options.patch_size is None
    assert dump(options)["patch_size"] == "auto"
    assert FitOptions.parse(dump(options)) == options


@pytest.mark.parametrize("wrong", ["aut", "none", "", 8, 4096, 32.5, "256 px"])
def test_a_patch_size_that_is_neither_a_number_nor_auto_is_told(wrong):
    (told,) = faults(patch_size=wrong)
    assert told == f"patch_size is {wrong!r}: give a whole number from 16 to 2048, or auto."


TABLE = {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}


def run_folder(folder, **values):
    """A run folder of which only the options are there, with paths as a fit writes them."""
    options = FitOptions.parse({"pairs": PAIRS, "output": folder, "epochs": 3} | values)
    folder.mkdir(exist_ok=True)
    (folder / "options.json").write_text(json.dumps(dump(options.with_paths(Path.absolute))), "utf-8")
    return folder


def edit(folder, change):
    """Change the written options by hand."""
    path = folder / "options.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


@pytest.mark.parametrize(
    "same",
    [
        {"pairs": PAIRS},
        {"pairs": [{"scan": "a", "mask": "am"}, {"scan": "../x/b", "mask": "./bm", "subject": None}]},
        {"output": "run"},
        {"warm_up_epochs": 1},
        {"warm_up_epochs": "1"},
        {"map_labels": ["255:1"]},
        {"class_names": ["1:bone"]},
        {"transforms": TABLE},
        {"transforms": dict(reversed(TABLE.items()))},
        {"transforms": json.dumps(TABLE, indent=2)},
        {"weights": "mine.pth", "weights_dir": "downloads"},
        {"overwrite": True},
        {"overwrite": False},
    ],
)
def test_a_run_is_resumed_with_the_same_values_however_they_are_written(tmp_path, monkeypatch, same):
    (tmp_path / "x").mkdir()
    monkeypatch.chdir(tmp_path / "x")
    values = {
        "warm_up_epochs": 1.0,
        "map_labels": ["255:1"],
        "class_names": ["1:bone"],
        "transforms": TABLE,
        "weights": "mine.pth",
        "weights_dir": "downloads",
        "overwrite": True,
    }
    stored = FitOptions.parse({"resume": run_folder(tmp_path / "x" / "run", **values)})
    assert FitOptions.parse({"resume": "run", "output": "run"} | same).with_paths(Path.absolute) == stored


def test_a_resumed_run_is_checked_twice_as_the_command_line_does(tmp_path):
    """The second time all are given; one that an older version did not write is at its default."""
    run_folder(tmp_path)
    edit(tmp_path, lambda values: [values.pop(name) for name in ("scan_weights", "ignore_label", "compile")])
    once = FitOptions.parse({"resume": str(tmp_path), "epochs": 5})
    assert (once.scan_weights, once.compile) == ((), False)
    assert FitOptions.parse(dump(once)) == once
    with pytest.raises(OptionError, match="scan_weights cannot be changed"):
        FitOptions.parse({"resume": str(tmp_path), "scan_weights": [1, 2]})


@pytest.mark.parametrize(
    "other",
    [
        {"pairs": [["a", "am"], ["b", "other"]]},
        {"pairs": [["a", "am", "Ada"], ["b", "bm"]]},
        {"pairs": PAIRS[::-1]},
        {"output": "elsewhere"},
        {"warm_up_epochs": 2},
        {"map_labels": ["255:2"]},
        {"weights": "imagenet"},
        {"transforms": {"gamma": 0.4}},
        {"overwrite": True},
    ],
)
def test_a_resumed_run_is_not_changed(tmp_path, other):
    run_folder(tmp_path)
    with pytest.raises(OptionError) as told:
        FitOptions.parse({"resume": str(tmp_path)} | other)
    assert told.value.faults == [
        f"{next(iter(other))} cannot be changed when a run is resumed; leave it out."
    ]


def test_faults_beside_resume_are_told_all_together(tmp_path):
    run_folder(tmp_path, batch_size=32)
    given = {"epochs": 0, "batchsize": 3, "optimizer": "Adamm", "patch_size": 64, "gpus": "40", "seed": 42}
    with pytest.raises(OptionError) as told:
        FitOptions.parse({"resume": str(tmp_path)} | given)
    text = "\n".join(told.value.faults)
    assert len(told.value.faults) == 5, text
    for part in (
        "epochs is 0",
        "Did you mean batch_size?",
        "optimizer is 'Adamm'",
        "patch_size cannot be changed",
        "gpus is 40",
    ):
        assert part in text


def test_a_run_is_found_from_any_current_folder_and_after_it_was_moved(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path)
    stored = FitOptions.parse({"resume": run_folder(tmp_path / "run", weights="mine.pth")})
    assert stored.pairs[1].mask == tmp_path / "bm"
    assert stored.weights == str(tmp_path / "mine.pth")
    (tmp_path / "run").rename(tmp_path / "moved")
    monkeypatch.chdir(tmp_path / "elsewhere")
    for given in ({}, {"output": "../moved"}, {"output": "../run"}):
        moved = FitOptions.parse({"resume": "../moved"} | given)
        assert (moved.pairs, moved.weights) == (stored.pairs, stored.weights)
        assert moved.output == Path("../moved")


def test_weights_of_the_library_are_no_path():
    options = FitOptions.parse({"recipe": "paper", "pairs": PAIRS, "output": "run", "weights": "imagenet"})
    assert options.with_paths(Path.absolute).weights == "imagenet"


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda values: values.update(tilt=3), "tilt is no option of BONe DLFit"),
        (lambda values: values.update(loss="Hinge"), "loss is 'Hinge'"),
        (lambda values: values.clear(), "no pair is given"),
    ],
)
def test_options_of_another_version_are_told_as_those_of_the_run(tmp_path, change, told):
    edit(run_folder(tmp_path), change)
    with pytest.raises(OptionError, match="does not hold in this version of BONe; go on with") as fault:
        FitOptions.parse({"resume": str(tmp_path)})
    assert told in str(fault.value)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("[]", "it holds no options"),
        ("3", "it holds no options"),
        ("{", "in line 1"),
        ("\xff", "no text in UTF-8"),
        ("[" * 100_000, "nested too deeply"),
        ("[" * 50 + "]" * 50, "nested too deeply"),
        ('{"epochs": ' + "9" * 1_000_000 + "}", "1000000 digits"),
        ('{"name": "a", "name": "b"}', "'name' stands twice"),
        ('{"name": "\\ud800"}', "is none"),
        ('{"weights": "a\\u0000b"}', "is none"),
    ],
)
def test_a_damaged_run_folder_is_told_in_words(tmp_path, text, told):
    (tmp_path / "options.json").write_text(text, encoding="latin-1")
    with pytest.raises(OptionError, match=rf"its options\.json is damaged \(.*{told}.*\)\. Put back a copy"):
        FitOptions.parse({"resume": str(tmp_path)})


def test_the_options_of_the_machine_may_be_given_anew(tmp_path):
    machine = {field.name for field in FitOptions.option_fields() if field.group == "Machine"}
    assert machine <= {field.name for field in FitOptions.option_fields() if field.may_change}
    run_folder(tmp_path)
    assert FitOptions.parse({"resume": str(tmp_path), "compile": True}).compile
    edit(tmp_path, lambda values: values.update(reproducible=True))
    with pytest.raises(OptionError, match="compile and reproducible are both on"):
        FitOptions.parse({"resume": str(tmp_path), "compile": True})


def test_examples_of_a_run_are_drawn_with_options_of_their_own(tmp_path):
    options = PreviewOptions.parse({"resume": str(run_folder(tmp_path)), "sheet": "s.png", "examples": 2})
    assert (options.examples, options.epochs) == (2, 3)


@pytest.mark.parametrize("program", list(OFFERED))
def test_every_option_has_what_a_renderer_needs(program):
    for field in OFFERED[program].table().option_fields():
        assert field.label
        assert field.group
        assert field.help.rstrip().endswith(".")
        assert field.required or field.default is not None or field.is_optional, field.name
        for other, allowed in field.applies.items():
            assert allowed
            assert program == "predict" or other in OFFERED[program].table().model_fields


def test_an_option_applies_only_beside_the_values_that_it_names():
    fields = {field.name: field for field in FitOptions.option_fields()}
    assert fields["slices"].is_applicable({"mode": "2.5D"})
    assert not fields["slices"].is_applicable({"mode": "2D"})
    assert fields["slices"].choices == (3, 5, 7, 9)
    assert (fields["epochs"].low, fields["epochs"].kind) == (1, "int")
    assert fields["early_stopping"].is_optional
    assert fields["backbone"].is_applicable({"architecture": "U-Net"})
    assert not fields["backbone"].is_applicable({"architecture": "Plain U-Net"})


@pytest.mark.parametrize(
    ("given", "told"),
    [
        (
            {"architecture": "plain unet", "backbone": "vgg11"},
            "backbone is vgg11, but the Plain U-Net has none",
        ),
        ({"architecture": "Plain U-Net", "weights": "imagenet"}, "no backbone that such weights are for"),
        (
            {"architecture": "U-Net", "plain_depth": 5},
            "plain_depth is 5, but only the Plain U-Net has it, not U-Net",
        ),
        ({"plain_norm": "group", "architecture": "FPN"}, "only the Plain U-Net has it, not FPN"),
    ],
)
def test_a_choice_that_means_nothing_for_the_architecture_is_refused(given, told):
    with pytest.raises(OptionError, match=told):
        FitOptions.parse({"output": "run", "pairs": PAIRS, **given})


def test_the_options_of_a_plain_u_net_hold_after_a_way_through_json():
    made = FitOptions.parse({"output": "run", "pairs": PAIRS, "architecture": "PlainUNet", "plain_depth": 3})
    assert (made.architecture, made.encoder, made.size_multiples) == ("Plain U-Net", "", (1, 4, 4))
    assert FitOptions.parse(dump(made)) == made


LIMITED = [
    pytest.param(table, field, id=f"{table.__name__}-{field.name}")
    for table in (command.table() for command in OFFERED.values())
    for field in table.option_fields()
    if field.limits
]
READ = re.compile(r"^(?:each )?(?:(?P<low>[\d.]+) to (?P<high>[\d.]+)|(?P<words>[^:]+?))(?: characters)?$")


def documented(limits: str) -> tuple[dict[str, float], dict[str, float]]:
    """The lowest and the highest value that a documented limit allows, and those it refuses just beside."""
    read = READ.match(limits)
    assert read, limits
    if read["low"]:
        return {"low": float(read["low"]), "high": float(read["high"])}, {}
    allowed: dict[str, float] = {}
    refused: dict[str, float] = {}
    for part in read["words"].split(", "):
        if found := re.fullmatch(r"above ([\d.]+)", part):
            refused["low"] = float(found[1])
        elif found := re.fullmatch(r"([\d.]+) or more", part):
            allowed["low"] = float(found[1])
        elif found := re.fullmatch(r"below ([\d.]+)", part):
            refused["high"] = float(found[1])
        elif found := re.fullmatch(r"up to ([\d.]+)", part):
            allowed["high"] = float(found[1])
        else:
            raise AssertionError(part)
    return allowed, refused


@pytest.mark.parametrize(("table", "field"), LIMITED)
def test_documented_limits_are_those_that_hold_at_both_ends(table, field):
    is_whole = field.lengths is not None or "int" in repr(table.model_fields[field.name].annotation)

    def holds(value: float) -> bool:
        text = "x" * int(value) if field.lengths else f"{value:.0f}" if is_whole else repr(value)
        try:
            table.check_one(field.name, [text] if field.kind == "list" else text)
        except ValidationError:
            return False
        return True

    allowed, refused = documented(field.limits)
    for end, value in allowed.items():
        assert holds(value), (end, value)
        toward = -math.inf if end == "low" else math.inf
        beside = value + (-1 if end == "low" else 1) if is_whole else math.nextafter(value, toward)
        assert (field.lengths and beside < 0) or not holds(beside), beside
    for end, value in refused.items():
        assert not holds(value), (end, value)
        assert holds(math.nextafter(value, math.inf if end == "low" else -math.inf))
    is_endless = "enough" in (field.metavar or "")
    assert is_whole or (holds(math.inf), holds(math.nan)) == (is_endless, False)


def test_exclusive_limits_are_told_as_such():
    fields = {field.name: field for field in FitOptions.option_fields()}
    told = {name: fields[name].limits for name in ("checkpoint_minutes", "train_split", "epochs", "seed")}
    assert told == {
        "checkpoint_minutes": "above 0, up to 10000",
        "train_split": "above 0, below 1",
        "epochs": "1 to 100000",
        "seed": "0 to 4294967295",
    }
    assert fields["scan_weights"].limits == "each 0 to 1000"
    assert fields["restart_epochs"].limits == "1 or more"
