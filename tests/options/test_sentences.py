"""Faults of options are sentences: no word of the checking library, no count from 0, no endless value."""

import re

import pytest

from bone_backend.errors import Fault, OptionError, called
from bone_backend.jobs.commands import OFFERED
from bone_backend.options.programs import FitOptions, PredictOptions, StatisticsOptions
from bone_backend.volumes.formats import in_words
from standalone.fault_words import in_flags

BASE = {"pairs": [["a", "am"], ["b", "bm"]], "output": "run"}
LIBRARY_WORDS = re.compile(
    r"[Ii]nput should|\[\d+\]|valid (integer|number|string|tuple|boolean)|pydantic|\bliteral\b|\bdict\b"
)


def fault(options=FitOptions, **values):
    with pytest.raises(OptionError) as told:
        options.parse((BASE if options is FitOptions else {}) | values)
    return "\n".join(told.value.faults)


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"epochs": 0}, "epochs is 0: give a whole number from 1 to 100000, or auto."),
        ({"epochs": "x"}, "epochs is 'x': give a whole number from 1 to 100000, or auto."),
        ({"epochs": 1.5}, "epochs is 1.5: give a whole number from 1 to 100000, or auto."),
        ({"epochs": True}, "epochs is true: give a whole number from 1 to 100000, or auto."),
        ({"minutes": 0}, "minutes is 0: give a number above 0, or enough or auto."),
        ({"minutes": 1e9}, "minutes is 1000000000.0: give a number up to 100000, or enough or auto."),
        ({"plain_depth": 7}, "plain_depth is 7: choose 3, 4, 5 or 6, or auto."),
        ({"recipe": "papr"}, "recipe is 'papr': choose easy, paper or quick; did you mean paper?"),
        ({"seed": None}, "seed is None: give a whole number from 0 to 4294967295."),
        ({"seed": True}, "seed is true: give a whole number from 0 to 4294967295."),
        ({"seed": -1}, "seed is -1: give a whole number from 0 to 4294967295."),
        ({"train_split": 1}, "train_split is 1: give a number above 0 and below 1."),
        ({"learning_rate": 0}, "learning_rate is 0: give a number above 0 and up to 10, or auto."),
        ({"early_stopping": 0}, "early_stopping is 0: give a whole number from 1."),
        ({"optimizer": "Adamm"}, "optimizer is 'Adamm': choose Adam, AdamW or SGD; did you mean Adam?"),
        ({"slices": 4}, "slices is 4: choose 3, 5, 7 or 9."),
        ({"overwrite": "maybe"}, "overwrite is 'maybe': give true or false."),
        ({"name": ""}, "name is '': it must not be empty."),
        ({"output": 7}, "output is 7: give a path."),
        ({"pairs": "a"}, "pairs is 'a': give a list."),
        ({"pairs": [["a", "am"], ["b"]]}, "pair 2 is 'b': a pair is SCAN MASK, or SCAN MASK SUBJECT"),
        ({"pairs": [["a", 3], ["b", "bm"]]}, "the mask of pair 1 is 3: a pair is a scan, its mask"),
        (
            {"pairs": [{"scan": "a"}, ["b", "bm"]]},
            "the mask of pair 1 is missing: a pair is a scan, its mask",
        ),
        ({"map_labels": ["255"]}, "value 1 of map_labels is '255': write it as OLD:NEW, e.g. 255:1."),
        ({"map_labels": ["1:1", "2:70000"]}, "value 2 of map_labels is '70000': give numbers up to 65535."),
        (
            {"class_names": ["1:b:red"]},
            "the colour in value 1 of class_names is 'red': write it as VALUE:NAME",
        ),
        ({"validation_pairs": [0]}, "value 1 of validation_pairs is 0: give numbers from 1 on."),
        (
            {"output": "~no-such-user/run"},
            "the home folder ~no-such-user is not known; write the path in full.",
        ),
        ({"pairs": []}, "Name each with --pair SCAN MASK, or a folder with --pairs-from."),
    ],
)
def test_a_fault_says_what_was_given_and_what_is_allowed(values, told):
    assert told in fault(**values)


def test_what_is_missing_is_named_with_the_flag_that_gives_it():
    told = fault(PredictOptions)
    assert "Model file is missing. Name it with --model: the .pth file of a fit" in told
    assert "Scan is missing. Name it as SCAN: the scan to label" in told


STRANGE = [
    None,
    True,
    -1,
    10**400,
    float("nan"),
    "",
    "x" * 10_000,
    [],
    {},
    [[[]]],
    {"a": {"b": 1}},
    [None],
    b"x",
]


@pytest.mark.parametrize("program", list(OFFERED))
@pytest.mark.parametrize("value", STRANGE, ids=[repr(value)[:12] for value in STRANGE])
def test_no_value_of_any_option_brings_up_a_word_of_the_library(program, value):
    for name in OFFERED[program].table().model_fields:
        try:
            OFFERED[program].table().parse((BASE if program == "fit" else {}) | {name: value})
            continue
        except OptionError as error:
            faults = error.faults
        assert all(len(text) < 400 for text in faults), faults
        assert not LIBRARY_WORDS.search("\n".join(faults)), faults


@pytest.mark.parametrize(
    ("command", "text", "shown"),
    [
        ("fit", f"{called('patch_size')} is 250; it needs 224.", "--patch-size is 250; it needs 224."),
        ("fit", f"{called('epochs')} is 0: give more.", "--epochs is 0: give more."),
        ("fit", f"value 2 of {called('map_labels')} is 3.", "value 2 of --map-labels is 3."),
        ("fit", f"{called('pairs')} is 3: give a list.", "--pair is 3: give a list."),
        ("fit", "a/patch_size is/b.tif: does not exist.", "a/patch_size is/b.tif: does not exist."),
        ("fit", "output is a word of every day.", "output is a word of every day."),
        ("predict", f"{called('scan')} is 3: give a path.", "SCAN is 3: give a path."),
        ("info", called("patch_size"), "patch_size"),
    ],
)
def test_the_command_line_calls_options_by_their_flags(command, text, shown):
    assert in_flags(command, Fault(text)) == shown


def test_the_formats_of_a_scan_are_told_where_it_is_missing():
    assert f"Name it as SCAN: the scan to measure: {in_words()}." in fault(StatisticsOptions)


def test_a_word_of_a_list_of_choices_is_told_with_its_choices():
    with pytest.raises(OptionError, match="choose confidence, entropy or probabilities; did you mean conf"):
        OFFERED["predict"].table().parse({"maps": ["confdence"]})
