"""The table of transforms as a user writes it."""

import pytest

from bone_backend.errors import OptionError
from bone_backend.options.programs import FitOptions, dump
from bone_backend.options.transforms import TRANSFORMS, faults, read, written

PAIRS = [["a", "am"], ["b", "bm"]]


def fit(**values):
    return FitOptions.parse({"pairs": PAIRS, "output": "run"} | values)


def told(**values):
    with pytest.raises(OptionError) as found:
        fit(**values)
    return found.value.faults


def test_a_text_and_a_mapping_give_the_same_table():
    mapping = {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}
    text = '{"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}'
    assert fit(transforms=mapping).transforms == fit(transforms=text).transforms == text
    assert read(text) == {
        "gamma": {"probability": 0.3, "low": 0.7, "high": 1.5},
        "elastic": {"probability": 0.2, "strength_px": 4, "spacing_px": 32},
    }
    options = fit(transforms=mapping)
    assert FitOptions.parse(dump(options)) == options


@pytest.mark.parametrize("value", ["", "{}", {}, None, "  "])
def test_none_can_be_written_in_many_ways(value):
    assert fit(transforms=value).transforms == ""
    assert read("") == {}


def test_every_fault_is_told_at_once_with_what_would_be_right():
    found = told(
        transforms={
            "gama": 0.3,
            "blur": 1.5,
            "noise": {"strength": 0.1},
            "ring": {"probability": 0.5, "strenght": 1},
            "elastic": {"probability": 0.1, "strength_px": 99},
            "step": "often",
        },
        epochs=0,
    )
    text = "\n".join(found)
    assert len(found) == 7
    assert "gama is no transform. Did you mean gamma?" in text
    assert "blur is 1.5; its probability is a number from 0 to 1" in text
    assert "noise has no probability" in text
    assert "ring has no number strenght. Did you mean strength?" in text
    assert "elastic: strength_px is 99; it is a number from 0 to 20" in text
    assert "step is 'often'" in text
    assert "epochs is 0" in text


@pytest.mark.parametrize("value", ["gamma", "[1, 2]", 3, '{"gamma": 0.3'])
def test_what_is_no_table_is_refused_with_an_example(value):
    assert any("transforms" in fault and "write it as {" in fault for fault in told(transforms=value))


def test_true_is_no_probability():
    assert faults(written({"gamma": True})) != []


def test_every_default_lies_within_its_limits():
    for row in TRANSFORMS.values():
        for parameter in row.numbers.values():
            assert parameter.low <= parameter.default <= parameter.high
            assert parameter.help


def test_transforms_without_augmentation_are_refused():
    assert any(
        "augmentation is off" in fault for fault in told(transforms={"gamma": 0.3}, augmentation=False)
    )


def test_flips_and_turns_beyond_certainty_are_refused():
    assert any("add up to 1.3" in fault for fault in told(flip_probability=0.4, turn_probability=0.5))
    assert any("3 directions" in fault for fault in told(mode="3D", flip_probability=0.3, patch_depth=32))


def test_the_papers_flips_are_the_default_of_each_mode():
    assert (fit().flip_chance, fit(mode="3D").flip_chance, fit(flip_probability=0).flip_chance) == (
        0.166,
        0.111,
        0,
    )


def test_weights_are_one_for_each_pair_and_not_all_zero():
    assert fit(scan_weights=["1", "0.5"]).scan_weights == (1, 0.5)
    assert any("1 numbers for 2 pairs" in fault for fault in told(scan_weights=[1]))
    assert any("all 0" in fault for fault in told(scan_weights=[0, 0]))
