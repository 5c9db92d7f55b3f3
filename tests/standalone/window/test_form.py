"""A form holds what a person gave, shows what means something, and puts each fault beside its field."""

import pytest

from bone_backend.errors import Fault, called
from bone_backend.options.programs import dump
from standalone.window.form import EASY, Form, as_text, from_text, hint

PAIRS = [
    {"scan": "a.tif", "mask": "b.tif", "subject": None},
    {"scan": "c.tif", "mask": "d.tif", "subject": None},
]


def test_easy_shows_at_most_five_choices_and_only_ones_that_exist():
    for command in EASY:
        assert 2 <= len(Form(command).easy) <= 5
        assert set(Form(command).easy) <= set(Form(command).fields)


def test_a_value_like_the_default_is_no_choice_of_the_users():
    form = Form("fit")
    form.set("seed", 30)
    assert form.is_changed("seed")
    form.set("seed", 42)
    assert form.values() == {}
    form.set("map_labels", [])
    assert form.values() == {}


def test_what_is_not_given_follows_the_recipe_and_what_is_given_stays():
    form = Form("fit")
    assert (form.value("recipe"), form.value("architecture"), form.value("epochs")) == (
        "easy",
        "Plain U-Net",
        None,
    )
    form.set("recipe", "paper")
    assert (form.value("architecture"), form.value("epochs")) == ("U-Net", 25)
    form.set("architecture", "Plain U-Net")  # as the table says, but not the recipe
    assert form.values() == {"recipe": "paper", "architecture": "Plain U-Net"}
    form.set("architecture", "U-Net")
    assert form.values() == {"recipe": "paper"}


def test_what_was_emptied_is_a_fault_and_never_the_default():
    form = Form("fit")
    form.set("pairs", PAIRS)
    form.set("output", "run")
    form.set("seed", None)
    assert [*form.check().beside] == ["seed"]


def test_a_field_that_means_nothing_is_hidden_and_left_out():
    form = Form("fit")
    form.set("optimizer", "SGD")
    form.set("momentum", 0.5)
    assert form.is_shown("momentum", everything=True)
    form.set("optimizer", "Adam")
    assert not form.is_shown("momentum", everything=True)
    assert form.values() == {}


def test_easy_also_shows_what_was_changed():
    form = Form("fit")
    assert not form.is_shown("epochs", everything=False)
    form.set("epochs", 3)
    assert form.is_shown("epochs", everything=False)


def test_the_mode_of_the_model_decides_what_a_prediction_shows():
    form = Form("predict")
    assert form.is_applicable("chunk_depth")
    form.facts = {"mode": "2D"}
    assert (form.is_applicable("chunk_depth"), form.is_applicable("axes")) == (False, True)


def test_what_is_missing_is_told_apart_from_what_is_wrong():
    form = Form("predict")
    form.set("chunk_size", 20)
    found = form.check()
    assert found.missing == ["Scan", "Model file", "Labels"]
    assert found.beside == {"chunk_size": ["Chunk size is 20: give a whole number from 32 to 8192, or auto."]}


def test_a_fault_stands_beside_the_field_that_its_sentence_calls_in_labels():
    form = Form("fit")
    form.set("pairs", PAIRS)
    form.set("output", "run")
    form.set("patch_size", 250)
    told = "Patch size is 250; Plain U-Net needs a multiple of 4. Use 248 or 252."
    assert form.check().beside == {"patch_size": [told]}


def test_int8_without_openvino_is_a_fault_beside_the_field():
    form = Form("predict")
    for name, value in (("scan", "a.tif"), ("model", "m.pth"), ("output", "l.tif"), ("backend", "torch")):
        form.set(name, value)
    form.set("precision", "int8")
    told = (
        "Precision is int8, which OpenVINO computes, but Backend is torch. Use Backend auto, or Precision "
        "auto."
    )
    assert form.check().beside["precision"] == [told]
    form.set("backend", "openvino")
    assert "precision" not in form.check().beside


def test_a_fault_of_several_fields_goes_to_the_first_that_is_in_sight():
    form = Form("fit")
    beside = {}
    form.place(Fault(f"{called('momentum')} and {called('learning_rate')} quarrel."), beside)
    assert beside == {"learning_rate": ["Momentum and Learning rate quarrel."]}
    beside = {}
    form.place(Fault("The disk is full."), beside)
    assert beside == {"": ["The disk is full."]}


def test_flags_in_a_fault_become_labels():
    form = Form("fit")
    assert form.in_words(
        Fault("Replace it with --overwrite, see max_patch_overlap in run_1/map_labels.txt.")
    ) == ("Replace it with Overwrite, see Max. patch overlap in run_1/map_labels.txt.")


@pytest.mark.parametrize("command", EASY)
def test_every_default_goes_through_its_text_and_back(command):
    for one in Form(command).fields.values():
        if one.kind in ("int", "float", "list", "text"):
            back = from_text(one, as_text(one, one.default))
            assert back == ([] if one.kind == "list" else one.default), one.name


def test_hints_tell_unit_and_limits():
    fields = Form("fit").fields
    assert hint(fields["batch_size"]) == "patches, 1 to 4096"
    assert hint(fields["learning_rate"]) == "above 0, up to 10"
    assert hint(fields["name"]) == ""


def test_a_recipe_changes_what_stands_in_the_fields_that_nobody_has_filled():
    form = Form("fit")
    form.set("seed", 7)
    form.set("recipe", "paper")
    assert form.value("architecture") == "U-Net"
    assert form.value("patch_size") == 256
    assert form.value("seed") == 7
    form.set("architecture", "Plain U-Net")  # the default of easy, and here a choice
    assert form.values() == {"seed": 7, "recipe": "paper", "architecture": "Plain U-Net"}


@pytest.mark.parametrize("command", EASY)
def test_options_as_a_file_keeps_them_are_no_choice_where_they_are_the_defaults(command):
    given = {
        "fit": {"pairs": [["a.tif", "b.tif"]], "output": "x"},
        "predict": {"scan": "a", "model": "m.pth"},
    }
    given["predict"]["output"] = "labels.tif"
    given["iou"] = {"reference": "a.tif", "prediction": "b.tif"}
    form = Form(command)
    for name, value in dump(form.table.parse(given[command])).items():
        form.set(name, value)
    assert {*form.given} == {*given[command]}
