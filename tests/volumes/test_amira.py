"""AmiraMesh: text, raw, run lengths and zip in both byte orders; materials; what is damaged is refused."""

import itertools
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import OutputError, ScanError
from bone_backend.progress import silent
from bone_backend.volumes.header import LabelClass
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import Header, create, open_volume, peek
from mocks.avizo import Session
from mocks.avizo.things import amiramesh

SHAPE = (3, 4, 5)
RUN = st.tuples(st.integers(0, 255), st.integers(1, 400))
TYPES = {"u1": "byte", "i2": "short", "u2": "ushort", "i4": "int", "f4": "float", "f8": "double"}
# As Avizo 2020 writes them.
MATERIALS = """    Materials {
        Exterior {
            Id 1
        }
        Trabecular_bone {
            Color 0.902 0.62353 0,
            Id 2
        }
        "odd { name" {
            Group "a } b",
            Id 5,
            Color 0 1 1
        }
    }
    Units {
        Coordinates "mm"
    }
"""


def run_lengths(data, at_most=127):
    """Packed by the plain rule, one run or literal after the other."""
    packed = bytearray()
    groups = [(byte, len([*group])) for byte, group in itertools.groupby(data)]
    for byte, count in groups:
        while count:
            run = min(count, at_most)
            packed += bytes([run, byte]) if run > 1 else bytes([129, byte])
            count -= run
    return bytes(packed)


def text_of(kind, how="", first="BINARY-LITTLE-ENDIAN 2.1", more=MATERIALS, box="0 0.2 1 1.6 -2 2"):
    return (
        f"# AmiraMesh {first}\n\n\ndefine Lattice 5 4 3\n\nParameters {{\n{more}"
        f'    Content "5x4x3 {kind}, uniform coordinates",\n    BoundingBox {box},\n'
        f'    CoordType "uniform"\n}}\n\nLattice {{ {kind} Labels }} @1{how}\n\n# Data section follows\n@1\n'
    ).encode()


def numbers(dtype):
    return (np.random.default_rng(1).integers(0, 3, SHAPE) * 40).astype(dtype)


def read(path, content):
    path.write_bytes(content)
    with open_volume(path) as volume:
        return volume.header, volume.read(0, volume.header.shape[0])


@pytest.mark.parametrize("dtype", TYPES)
@pytest.mark.parametrize("first", ["BINARY-LITTLE-ENDIAN 2.1", "3D BINARY 2.0", "3D ASCII 2.0"])
@pytest.mark.parametrize("how", ["", "HxZip"])
def test_numbers_of_every_type_order_and_packing(tmp_path, dtype, first, how):
    array = numbers(dtype)
    if "ASCII" in first:
        body = "\n".join(f"{value:.10g} " for value in array.ravel()).encode() + b"\n"
        how = ""
    else:
        body = array.astype(array.dtype.newbyteorder("<" if "LITTLE" in first else ">")).tobytes()
    if how:
        body = zlib.compress(body)
        how = f"(HxZip,{len(body)})"
    text = text_of(TYPES[dtype], how, first)
    content = (text.replace(b" Labels }", b" Data }") if dtype[0] == "f" else text) + body
    header, found = read(tmp_path / "a.am", content)
    np.testing.assert_array_equal(found, array)
    assert header == peek(tmp_path / "a.am")
    with Session():  # the stand-in for Avizo has a reader of its own
        other = amiramesh.read(tmp_path / "a.am")
    np.testing.assert_array_equal(other.get_array().transpose(2, 1, 0), array)
    assert (header.dtype, header.shape, header.unit) == (array.dtype, SHAPE, "mm")
    assert header.voxel_size == pytest.approx((2, 0.2, 0.05))
    assert header.origin == (-2, 1, 0)
    assert header.classes == (
        LabelClass(0, "background"),
        LabelClass(1, "Trabecular_bone", "#e69f00"),
        LabelClass(4, "odd { name", "#00ffff"),
    )
    with open_volume(tmp_path / "a.am") as volume:
        assert (volume.slices is not None) == (not how and "ASCII" not in first)
        with open_source(volume, folder=tmp_path, progress=silent) as source:
            np.testing.assert_array_equal(source.read_slice(1), array[1])


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.tuples(st.integers(0, 255), st.integers(1, 400)), min_size=60, max_size=90),
    st.integers(1, 127),
)
def test_run_lengths_are_unrolled(tmp_path_factory, runs, at_most):
    data = b"".join(bytes([value]) * count for value, count in runs)
    width = len(data) // 12
    data = data[: 12 * width]
    packed = run_lengths(data, at_most)
    # literals of several bytes, as Amira writes them where nothing repeats
    packed += bytes([128 + 100]) + bytes(range(100))
    text = text_of("byte", f"(HxByteRLE,{len(packed)})").replace(b"Lattice 5 4 3", b"Lattice %d 4 3" % width)
    _, found = read(tmp_path_factory.getbasetemp() / "runs.am", text + packed)
    assert found.tobytes() == data


def test_a_literal_of_many_bytes_is_taken_as_it_is(tmp_path):
    data = bytes(range(60))
    _, found = read(tmp_path / "a.am", text_of("byte", "(HxByteRLE,61)") + bytes([128 + 60]) + data)
    assert found.tobytes() == data


def test_labels_keep_their_geometry_and_classes(tmp_path):
    labels = numbers("u1")
    classes = (
        LabelClass(0, "background"),
        LabelClass(40, "bone", "#e69f00"),
        LabelClass(80, "pore", "#0072b2"),
    )
    header = Header("a", SHAPE, labels.dtype, (3.0, 2.0, 2.5), "um", (1.0, 2.0, 3.0), classes=classes)
    with create(tmp_path / "a.am", header) as writer:
        writer.write(labels)
    with open_volume(tmp_path / "a.am") as volume:
        np.testing.assert_array_equal(volume.read(0, 3), labels)
        found = volume.header
    assert (found.voxel_size, found.unit, found.origin) == (pytest.approx((3, 2, 2.5)), "um", (1, 2, 3))
    assert [(c.value, c.name) for c in found.classes] == [(c.value, c.name) for c in classes]
    assert [c.colour for c in found.classes] == [None, "#e69f00", "#0072b2"]
    with pytest.raises(OutputError, match="labels in AmiraMesh are uint8 or uint16"):
        create(tmp_path / "b.am", Header("b", SHAPE, np.dtype("f4"), classes=classes))


@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "i4", "f4", "f8"])
def test_greys_are_a_field_of_numbers_and_no_labels(tmp_path, kind):
    greys = numbers(kind)
    with create(tmp_path / "a.am", Header("a", SHAPE, greys.dtype, (3.0, 2.0, 2.5), "um")) as writer:
        writer.write(greys)
    text = (tmp_path / "a.am").read_bytes()[:600]
    assert b" Data } @1" in text
    assert b"Materials" not in text
    with open_volume(tmp_path / "a.am") as volume:
        np.testing.assert_array_equal(volume.read(0, 3), greys)
    with pytest.raises(OutputError, match="AmiraMesh has no such numbers"):
        create(tmp_path / "b.am", Header("b", SHAPE, np.dtype("u8")))


def test_without_a_unit_steps_of_1_say_nothing(tmp_path):
    header, _ = read(tmp_path / "a.am", text_of("byte", more="", box="0 4 0 3 0 2") + bytes(60))
    assert (header.voxel_size, header.classes) == (None, ())


GOOD = text_of("byte")
HOSTILE = [
    (b"", "is no AmiraMesh"),
    (b"# HyperSurface 0.1 BINARY\n", "is no AmiraMesh"),
    (b"# AmiraMesh 3D BINARY 2.0\n", "no voxels follow"),
    (GOOD + bytes(59), "is truncated"),
    (GOOD.replace(b"5 4 3", b"99999999 99999999 99999999", 1) + bytes(60), "is truncated"),
    (GOOD.replace(b"Lattice 5 4 3", b"Lattice 5 4"), "lattice of 5 x 4"),
    (GOOD.replace(b"define Lattice", b"define Vertices"), "no surfaces or lines"),
    (GOOD.replace(b"{ byte Labels }", b"{ byte[3] Labels }"), r"holds byte\[3\]"),
    (GOOD.replace(b"{ byte Labels }", b"{ complex Labels }"), "holds complex"),
    (GOOD.replace(b"@1\n\n", b"@1\nLattice { byte More } @2\n\n"), "holds 2 fields"),
    (GOOD.replace(b"} @1", b"} @7"), "behind @7"),
    (GOOD.replace(b'CoordType "uniform"', b'CoordType "stacked"'), "stacked coordinates"),
    (text_of("ushort", "(HxByteRLE,9)") + bytes(60), "of which BONe reads bytes only"),
    (text_of("byte", "(HxLZ4,9)") + bytes(60), "packed with HxLZ4"),
    (text_of("byte", "(HxByteRLE,2)") + b"\x7f\0", None),
    (text_of("byte", "(HxByteRLE,3)") + b"\x20\0\x05", "is truncated"),
    (text_of("byte", "(HxByteRLE,4)") + b"\0\0" * 9, "is truncated"),
    (text_of("byte", "(HxZip,4)") + b"junk", "cannot be unpacked"),
    (text_of("byte", "(HxZip,9)") + zlib.compress(bytes(60))[:-8], "is truncated|cannot be unpacked"),
    (text_of("byte", first="ASCII 2.0") + b"1 2 3", "is truncated"),
    (text_of("byte", first="ASCII 2.0") + b"1 x " * 60, "cannot be unpacked"),
    (text_of("byte", first="ASCII 2.0") + b"300 " * 60, "cannot be unpacked"),
    (text_of("float", first="ASCII 2.0") + b"1" * 999, "is truncated|cannot be unpacked"),
]


@pytest.mark.parametrize(("content", "told"), HOSTILE, ids=range(len(HOSTILE)))
def test_every_broken_file_is_told_by_name(tmp_path, content, told):
    if told is None:
        read(tmp_path / "a.am", content)
        return
    with pytest.raises(ScanError, match=told) as fault:
        read(tmp_path / "a.am", content)
    assert "a.am" in str(fault.value)


@settings(max_examples=150, deadline=None)
@given(st.data(), st.sampled_from([GOOD + bytes(60), text_of("byte", "(HxByteRLE,8)") + b"\x3c\1\x05\1" * 3]))
def test_a_file_with_other_bytes_is_read_or_refused_and_nothing_else(tmp_path_factory, data, content):
    content = bytearray(content)
    for _ in range(data.draw(st.integers(1, 5))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path_factory.getbasetemp() / "fuzz.am"
    path.write_bytes(content)
    told = None
    try:
        with open_volume(path) as volume:
            small = volume.header.nbytes < 1 << 20
            assert not small or volume.read(0, 1).shape == (1, *volume.header.shape[1:])
    except ScanError as fault:
        told = str(fault)
    assert told is None or path.name in told
