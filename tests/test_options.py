"""Options: every fault at once, in words, and everything a renderer needs."""

import json

import pytest

from bone_backend.errors import OptionError
from bone_backend.options import PROGRAMS, FitOptions, PredictOptions, dump

PAIRS = [["a", "am"], ["b", "bm"]]


def faults(**values):
    with pytest.raises(OptionError) as told:
        FitOptions.parse({"pairs": PAIRS, "output": "run"} | values)
    return told.value.faults


def test_the_defaults_are_those_of_the_published_program():
    options = FitOptions.parse({"pairs": PAIRS, "output": "run"})
    assert (options.architecture, options.backbone, options.mode) == ("U-Net", "resnet18", "2D")
    assert (options.patch_size, options.patches_per_tile, options.max_patch_overlap) == (256, 4, 0.3)
    assert (options.epochs, options.batch_size, options.learning_rate) == (25, 32, 0.001)
    assert (options.loss, options.optimizer, options.normalization) == ("Jaccard", "Adam", "ZScore")
    assert (options.train_split, options.seed, options.momentum, options.weight_decay) == (0.8, 42, 0.9, 0.01)
    assert (options.loss_beta, options.loss_gamma, options.focal_weight) == (1.25, 2.0, 0.5)


def test_all_faults_are_told_at_once():
    told = faults(epochs=0, patch_size=250, batchsize=3, optimizer="Adamm", pairs=[["a", "am"]])
    assert len(told) == 5
    text = "\n".join(told)
    assert "epochs is 0" in text
    assert "patch_size is 250; U-Net with resnet18 needs a multiple of 32. Use 224 or 256." in text
    assert "batchsize is no option of BONe DLFit. Did you mean batch_size?" in text
    assert "optimizer is 'Adamm'" in text
    assert "at least two pairs" in text


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
        ({"backbone": "resnet19"}, "resnet18"),
        ({"backbone": "dpn92", "weights": "imagenet"}, "no such weights"),
        ({"mode": "3D", "patch_depth": 64}, "tile_depth"),
        ({"mode": "3D", "stride": "os.system('x')"}, "five (z, y, x) triples"),
        ({"device": "gpu"}, "device is 'gpu'"),
        ({"learning_rate": "fast"}, "learning_rate is 'fast'"),
        ({"train_split": 1.0}, "train_split is 1.0"),
        ({"validation_pairs": [3]}, "validation_pairs names [3], but there are 2 pairs"),
        ({"validation_pairs": [0]}, "validation_pairs"),
        ({"validation_pairs": [2, 1]}, "leave at least one for training"),
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


@pytest.mark.parametrize("program", list(PROGRAMS))
def test_every_option_has_what_a_renderer_needs(program):
    for field in PROGRAMS[program].option_fields():
        assert field.label
        assert field.group
        assert field.help.rstrip().endswith(".")
        assert field.required or field.default is not None or field.is_optional, field.name
        for other, allowed in field.applies.items():
            assert allowed
            assert program == "predict" or other in PROGRAMS[program].model_fields


def test_an_option_applies_only_beside_the_values_that_it_names():
    fields = {field.name: field for field in FitOptions.option_fields()}
    assert fields["slices"].is_applicable({"mode": "2.5D"})
    assert not fields["slices"].is_applicable({"mode": "2D"})
    assert fields["slices"].choices == (3, 5, 7, 9)
    assert (fields["epochs"].low, fields["epochs"].kind) == (1, "int")
    assert fields["early_stopping"].is_optional
