"""One table of classes from several masks: what is given wins, and where masks disagree is told."""

from bone_backend.volumes.classes import one_table
from bone_backend.volumes.header import LabelClass

BONE, PORES = LabelClass(1, "cortical bone", "#ff0000"), LabelClass(2, "pores")


def names(table):
    return {item.value: (item.name, item.colour) for item in table.classes}


def test_masks_complete_each_other():
    found = one_table([("a", [BONE]), ("b", []), ("c", [PORES, BONE])])
    assert names(found) == {1: ("cortical bone", "#ff0000"), 2: ("pores", None)}
    assert found.doubts == []


def test_of_masks_that_disagree_the_first_counts_and_it_is_told():
    found = one_table([("a.am", [BONE]), ("b.am", [LabelClass(1, "marrow")])], advice="; look")
    assert names(found)[1][0] == "cortical bone"
    assert found.doubts == ['Label 1 is called "cortical bone" in a.am, but "marrow" in b.am; look.']


def test_what_a_format_makes_of_a_name_is_no_other_name():
    word = LabelClass(1, "Cortical_bone")
    assert one_table([("a", [BONE]), ("b", [word]), ("c", [LabelClass(1, "class 1")])]).doubts == []


def test_names_that_are_given_win_and_take_the_colour_of_the_mask():
    found = one_table([("a", [BONE]), ("b", [LabelClass(1, "marrow")])], given=[LabelClass(1, "bone")])
    assert names(found) == {1: ("bone", "#ff0000")}
    assert found.doubts == []
    own = one_table([("a", [BONE])], given=[LabelClass(1, "bone", "#00ff00")])
    assert names(own) == {1: ("bone", "#00ff00")}


def test_names_go_with_the_values_that_labels_are_mapped_to():
    mask = [LabelClass(255, "bone"), LabelClass(7, "pores"), LabelClass(8, "vessels")]
    found = one_table([("a", mask)], map_labels=[(255, 1), (7, 2), (8, 2)])
    assert names(found) == {1: ("bone", None)}  # of two that become one, none is the name of both
