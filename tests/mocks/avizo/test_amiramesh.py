"""AmiraMesh files: three codings, byte orders, materials."""

import ast
import zlib

import numpy as np
import pytest

from mocks.avizo import Session

HEADER = """# {magic} 2.1

# a comment
define Lattice 2 3 2

Parameters {{
    Materials {{
        Exterior {{
            Id 1,
            Color 0.2 0.4 0.6
        }}
        "Woven Bone" {{
            Id 2
        }}
        Marrow {{
            Color 1 0 0
        }}
    }}
    Content "2x3x2 byte, uniform coordinates",
    BoundingBox 0 1 0 4 -1 8,
    CoordType "uniform"
}}

Lattice {{ {kind} {variable} }} @1{coding}

# Data section follows
@1
"""
VALUES = [0, 1, 2, 0, 1, 2, 0, 0, 0, 0, 0, 2]


def load(folder, body, *, magic="AmiraMesh BINARY-LITTLE-ENDIAN", kind="byte", variable="Labels", coding=""):
    """The field of a file with this body."""
    header = HEADER.format(magic=magic, kind=kind, variable=variable, coding=coding)
    (folder / "my mask.am").write_bytes(header.encode() + body)
    return Session().load(folder / "my mask.am")


def bodies():
    """Each coding of VALUES with its lattice line and magic words."""
    raw = bytes(VALUES)
    runs = bytes([0x80 | 6, 0, 1, 2, 0, 1, 2, 5, 0, 1, 2])
    packed = zlib.compress(raw)
    return {
        "raw": (raw, {}),
        "run lengths": (runs, {"coding": f"(HxByteRLE,{len(runs)})"}),
        "zip": (packed, {"coding": f"(HxZip,{len(packed)})"}),
        "text": (" ".join(map(str, VALUES)).encode(), {"magic": "AmiraMesh ASCII"}),
        "big-endian": (np.array(VALUES, ">u2").tobytes(), {"magic": "Avizo BINARY", "kind": "ushort"}),
        "little-endian": (
            np.array(VALUES, "<u2").tobytes(),
            {"magic": "Avizo BINARY-LITTLE-ENDIAN", "kind": "ushort"},
        ),
    }


@pytest.mark.parametrize("coding", bodies())
def test_labels_are_read_x_first_from_every_coding(tmp_path, coding):
    body, options = bodies()[coding]
    field = load(tmp_path, body, **options)
    assert field.name == "my-mask.am"
    assert field._cpp_classname == "HxUniformLabelField3"
    assert field.get_array().ravel(order="F").tolist() == VALUES
    assert field.bounding_box == ((0.0, 0.0, -1.0), (1.0, 4.0, 8.0))


def test_materials_keep_names_colours_and_ids(tmp_path):
    found = ast.literal_eval(str(load(tmp_path, bytes(VALUES)).parameters["Materials"]))
    assert {name: material["Id"] for name, material in found.items()} == {
        "Exterior": 1,
        "Woven Bone": 2,
        "Marrow": 3,
    }
    assert found["Exterior"]["Color"] == [0.2, 0.4, 0.6]


def test_other_lattices_are_scalar_fields(tmp_path):
    field = load(tmp_path, np.array(VALUES, "<f4").tobytes(), kind="float", variable="Data")
    assert field._cpp_classname == "HxUniformScalarField3"
    assert field.get_array().dtype == np.float32


def test_a_label_field_survives_saving_and_loading(tmp_path):
    session = Session()
    labels = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) % 3
    session.label_field(labels, name="m", voxel_size=(0.1, 0.2, 0.3), materials={"Bone": 1, "Woven": 2})
    session.tcl(f'm save "Amira binary" {tmp_path / "m.am"}')
    again = session.load(tmp_path / "m.am")
    assert (again.get_array() == labels).all()
    assert again.bounding_box == session.objects["m"].bounding_box
    assert ast.literal_eval(str(again.parameters["Materials"]))["Woven"]["Id"] == 3


def test_other_files_are_refused_in_words(tmp_path):
    (tmp_path / "a.am").write_bytes(b"PNG")
    with pytest.raises(ValueError, match=r"a\.am is no AmiraMesh file"):
        Session().load(tmp_path / "a.am")
