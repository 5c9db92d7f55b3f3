"""Wrong words are told all at once, each with what was probably meant."""

from __future__ import annotations

import pytest

from bone_backend.errors import OptionError
from bone_backend.jobs.commands import OFFERED, at_terminal
from standalone.command import build_parser
from standalone.fault_words import in_flags
from standalone.flags import gather


def faults(*words):
    with pytest.raises(OptionError) as told:
        build_parser().parse_args(words)
    return told.value.faults


@pytest.mark.parametrize(
    ("word", "meant"),
    [
        ("--epoch", "--epochs or --epoch-steps"),
        ("--patchsize", "--patch-size"),
        ("--patch_size", "--patch-size"),
        ("--Patch-Size", "--patch-size"),
        ("--patch-sise", "--patch-size"),
        ("-epochs", "--epochs"),
        ("\N{EN DASH}pair", "--pair"),
        ("--lr", "--learning-rate"),
        ("--rate", "--learning-rate"),
        ("--arch", "--architecture"),
        ("--augment", "--augmentation"),
        ("--no-augment", "--no-augmentation"),
        ("--bs=4", "--batch-size"),
    ],
)
def test_a_wrong_flag_is_answered_with_the_right_one(word, meant):
    name = word.partition("=")[0]
    assert faults("fit", word, "4") == [
        f"there is no option {name}. Did you mean {meant}? See bone fit --help."
    ]


def test_several_that_could_be_meant_are_named():
    assert faults("fit", "--patch", "4") == [
        "there is no option --patch. Did you mean --patch-depth or --patch-size? See bone fit --help."
    ] or faults("fit", "--brightness", "1") == [
        "there is no option --brightness. Did you mean --brightness-probability or --brightness-range? "
        "See bone fit --help."
    ]


def test_a_flag_is_never_completed_so_that_new_options_change_no_command():
    assert "there is no option --output-folder" in faults("predict", "scan", "--output-folder", "x")[0]
    assert faults("predict", "scan", "--mod", "m.pth") == [
        "there is no option --mod. Did you mean --model or --model-weights? See bone predict --help."
    ]


def test_all_wrong_flags_are_told_at_once():
    words = ["fit", "--epoch", "3", "--patchsize=64", "--quux", "--tensorboard=1", "--output", "--pair"]
    assert faults(*words) == [
        "there is no option --epoch. Did you mean --epochs or --epoch-steps?",
        "there is no option --patchsize. Did you mean --patch-size?",
        "there is no option --quux.",
        "--tensorboard is a switch; leave out =1.",
        "--output needs a value: --output FOLDER.",
        "--pair needs a value: --pair SCAN MASK [SUBJECT]. See bone fit --help.",
    ]


def test_a_flag_of_another_command_is_told_as_that():
    assert faults("iou", "a", "b", "--chunk-size", "64") == [
        "there is no option --chunk-size. It belongs to bone predict. See bone iou --help."
    ]


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (["predcit"], "predcit is no command. Did you mean predict? See bone --help."),
        (["FIT", "--epochs", "3"], "FIT is no command. Did you mean fit? See bone --help."),
        (["satistics"], "satistics is no command. Did you mean statistics? See bone --help."),
        (["preview"], "preview is no command. Did you mean preview-augmentation? See bone --help."),
        (["frob"], f"frob is no command. There are {', '.join(OFFERED)}. See bone --help."),
        (["iou", "a", "b", "c"], "one word too many: c. See bone iou --help."),
        (["info", "a", "b", "c"], "words too many: b c. See bone info --help."),
        (
            ["fit", "scans/a.tif", "masks/a.tif", "--output", "R"],
            "words too many: scans/a.tif masks/a.tif. Did you mean --pair scans/a.tif masks/a.tif? "
            "See bone fit --help.",
        ),
        (
            ["fit", "a 1.tif", "b", "c", "d"],
            'words too many: "a 1.tif" b c d. Did you mean --pair "a 1.tif" b --pair c d? '
            "See bone fit --help.",
        ),
        (["fit", "a", "b", "c"], "words too many: a b c. See bone fit --help."),
        (
            ["convert", "a.tif", "b.nii"],
            "one word too many: b.nii. Did you mean --output b.nii? See bone convert --help.",
        ),
        (["convert", "a", "b", "--output", "c"], "one word too many: b. See bone convert --help."),
    ],
)
def test_other_wrong_words_are_told_in_words(words, told):
    assert faults(*words) == [told]


def test_a_negative_number_is_a_value():
    arguments = build_parser().parse_args(
        ["fit", "--pair", "a", "am", "--pair", "b", "bm", "--output", "r", "--map-labels", "-1:0", "-2:0"]
    )
    assert gather(arguments, OFFERED["fit"].table()).map_labels == ((-1, 0), (-2, 0))
    with pytest.raises(OptionError, match="epochs is"):
        gather(build_parser().parse_args(["fit", "--epochs", "-3"]), OFFERED["fit"].table())


def test_a_wrong_flag_beside_help_does_not_hide_the_page(capsys):
    with pytest.raises(SystemExit) as end:
        build_parser().parse_args(["fit", "--epoch", "3", "--help"])
    assert end.value.code == 0
    assert "--epochs N" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["info"],
            "Path is missing. Name it as PATH: a scan, a mask, a model file, a run folder or a study.",
        ),
        (["demo", "--epochs", "2.5"], "--epochs is '2.5': give a whole number from 1 to 100000."),
        (["demo", "--hold-out", "a"], "--hold-out names a scan of --data; give --data DIR too."),
        (["statistics", "a", "--voxels", "x"], "--voxels is 'x': choose nonzero or all."),
    ],
)
def test_wrong_values_of_any_command_are_told_by_its_options(words, told):
    with pytest.raises(OptionError) as found:
        gather(build_parser().parse_args(words), at_terminal(words[0]).table())
    assert [in_flags(words[0], fault) for fault in found.value.faults] == [told]
