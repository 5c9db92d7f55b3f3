"""Fields: axes, memory, boxes, refusals, materials."""

import ast

import numpy as np
import pytest

from mocks.avizo import BEHAVIOURS, Behaviour, Session
from mocks.avizo.things.fields import DTYPES


def test_arrays_are_x_y_z_and_fortran_ordered_whatever_was_set():
    session = Session()
    grey = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    for array in (grey, np.asfortranarray(grey), grey.transpose(2, 1, 0), grey[:, ::2]):
        field = session.scalar_field(array)
        got = field.get_array()
        assert got.shape == array.shape
        assert got.flags.f_contiguous
        assert (got == array).all()


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_the_six_dtypes_come_back_as_they_went_in(dtype):
    assert Session().scalar_field(np.ones((2, 2, 2), dtype)).get_array().dtype == dtype


@pytest.mark.parametrize(
    "dtype", ["bool", "int8", "uint32", "int64", "uint64", "float16", "complex64", ">u2"]
)
def test_other_dtypes_are_refused(dtype):
    with pytest.raises(TypeError, match="Avizo does not take"):
        Session().scalar_field(np.ones((2, 2, 2), dtype))


def test_empty_flat_and_foreign_arrays_are_refused():
    session = Session()
    field = session.services["hx_project"].create("HxUniformScalarField3")
    with pytest.raises(ValueError, match="empty"):
        field.set_array(np.ones((2, 0, 2), np.uint8))
    with pytest.raises(ValueError, match="three axes"):
        field.set_array(np.ones((2, 2), np.uint8))
    with pytest.raises(TypeError, match=r"numpy\.ndarray"):
        field.set_array([[[1]]])
    with pytest.raises(ValueError, match="nothing was set"):
        field.get_array()
    with pytest.raises(TypeError, match="label field"):
        session.label_field(np.ones((2, 2, 2), np.float32))


@pytest.mark.parametrize(
    ("choice", "writeable", "shared"),
    [("copy", True, False), ("view", True, True), ("read-only view", False, False)],
)
def test_get_array_copies_or_shares(choice, writeable, shared):
    field = Session(Behaviour(get_array=choice)).scalar_field(np.zeros((2, 2, 2), np.uint8))
    got = field.get_array()
    assert got.flags.writeable == writeable
    if writeable:
        got[0, 0, 0] = 7
        assert (field.get_array()[0, 0, 0] == 7) == shared
    else:
        with pytest.raises(ValueError, match="read-only"):
            got[0, 0, 0] = 7


@pytest.mark.parametrize(("choice", "value"), [("copies", 0), ("keeps", 9)])
def test_set_array_copies_or_keeps(choice, value):
    array = np.zeros((2, 2, 2), np.uint8, order="F")
    field = Session(Behaviour(set_array=choice)).scalar_field(array)
    array[0, 0, 0] = 9
    assert field.get_array()[0, 0, 0] == value


@pytest.mark.parametrize("box_first", [True, False])
def test_box_and_array_may_be_set_in_either_order(box_first):
    field = Session().services["hx_project"].create("HxUniformScalarField3")
    for is_box in (box_first, not box_first):
        if is_box:
            field.bounding_box = [np.zeros(3), (v for v in (1, 4, 9))]
        else:
            field.set_array(np.ones((2, 3, 4), np.uint8))
    assert field.bounding_box == ((0.0, 0.0, 0.0), (1.0, 4.0, 9.0))
    assert all(type(value) is float for corner in field.bounding_box for value in corner)
    assert field.ports.VoxelSize.text == "1 x 2 x 3"
    assert field.ports.LatticeInfo.text.startswith("2 x 3 x 4,")


def test_the_box_joins_voxel_centres_and_one_slice_is_one_voxel_thick():
    field = Session().scalar_field(
        np.ones((3, 5, 1), np.uint8), voxel_size=(0.5, 0.25, 2), origin=(10, 20, 30)
    )
    assert field.bounding_box == ((10.0, 20.0, 30.0), (11.0, 21.0, 32.0))
    assert field.ports.VoxelSize.text == "0.5 x 0.25 x 2"
    assert field.ports.PhysicalSize.text == "1.5 x 1.25 x 2 from 10, 20, 30"


def test_a_box_turned_inside_out_is_refused():
    field = Session().scalar_field(np.ones((2, 2, 2), np.uint8))
    for box in (((0, 0, 1), (1, 1, 0)), ((0, 0), (1, 1)), ((0, 0, 0), (1, 1, float("nan")))):
        with pytest.raises(ValueError, match="bounding box"):
            field.bounding_box = box


def test_fields_are_wrapped_in_one_class_and_say_what_they_are():
    session = Session(Behaviour(unit="mm"))
    scan, mask = (
        session.scalar_field(np.ones((2, 2, 2), np.uint16)),
        session.label_field(np.ones((2, 2, 2), np.uint8)),
    )
    assert type(scan) is type(mask)
    assert "HxRegScalarField3" in str(type(mask))
    assert [scan._cpp_classname, mask._cpp_classname] == ["HxUniformScalarField3", "HxUniformLabelField3"]
    assert scan.ports.DataInfo.text.startswith("16-bit")
    assert scan.ports.VoxelSize.text == "1 x 1 x 1 [mm]"
    assert scan.range == (1.0, 1.0)
    assert bool(scan)
    twin = mask.duplicate()
    assert (twin.get_array() == 1).all()
    assert twin not in session.objects.values()


def test_parameters_are_a_dict_without_set_value():
    field = Session().scalar_field(np.ones((2, 2, 2), np.uint8))
    field.parameters["stain"] = "iodine"
    assert field.parameters["stain"] == "iodine"
    with pytest.raises(AttributeError):
        field.parameters.setValue("a", 1)
    with pytest.raises(KeyError):
        _ = field.parameters["Materials"]


def labels(*values):
    """A label array (n, 1, 1)."""
    return np.array(values, np.uint8).reshape(-1, 1, 1)


def test_materials_appear_by_themselves_with_id_one_above_the_label():
    field = Session().label_field(labels(0, 3, 3, 7))
    found = ast.literal_eval(str(field.parameters["Materials"]))
    assert sorted(material["Id"] for material in found.values()) == [1, 4, 8]
    assert found["Exterior"]["Id"] == 1
    assert (field.get_array().ravel() == [0, 3, 3, 7]).all()
    field.set_array(labels(0, 1))
    assert sorted(m["Id"] for m in ast.literal_eval(str(field.parameters["Materials"])).values()) == [
        1,
        2,
        4,
        8,
    ]


def test_labels_with_gaps_can_be_renumbered():
    field = Session(BEHAVIOURS["renumbers"]).label_field(labels(0, 3, 3, 7))
    assert (field.get_array().ravel() == [0, 1, 1, 2]).all()
    assert len(ast.literal_eval(str(field.parameters["Materials"]))) == 3


def test_known_materials_keep_their_names():
    field = Session().label_field(labels(0, 1, 2), materials={"Background": 0, "Bone": 1})
    found = ast.literal_eval(str(field.parameters["Materials"]))
    assert {name: m["Id"] for name, m in found.items()} == {"Background": 1, "Bone": 2, "Material3": 3}


def test_writing_materials_does_what_the_behaviour_says():
    for choice, expected in (("ignored", False), ("assignable", True)):
        field = Session(Behaviour(materials=choice)).label_field(labels(0, 1))
        field.parameters["Materials"]["Bone"] = {"Id": 2}
        assert ("Bone" in field.parameters["Materials"]) == expected
        field.parameters["Materials"] = {"Marrow": {"Id": 2}}
        assert ("Marrow" in field.parameters["Materials"]) == expected
    field = Session(Behaviour(materials="refused")).label_field(labels(0, 1))
    with pytest.raises(TypeError, match="materials"):
        field.parameters["Materials"]["Bone"] = {"Id": 2}
    with pytest.raises(TypeError, match="materials"):
        field.parameters["Materials"] = {}
