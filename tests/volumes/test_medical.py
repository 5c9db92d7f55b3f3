"""NIfTI, NRRD and MetaImage: what SimpleITK writes is read, and what is written SimpleITK reads."""

import gzip
import io
import re
import struct
from pathlib import Path

import nibabel
import nrrd
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import OutputError, ScanError
from bone_backend.progress import silent
from bone_backend.volumes import formats
from bone_backend.volumes.header import LabelClass
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import Header, create, open_volume, peek

SimpleITK = pytest.importorskip("SimpleITK")

SHAPE = (4, 5, 6)
SIZES, ORIGIN = (0.625, 0.25, 0.5), (10.0, -20.0, 30.5)  # z, y, x; mm
TURNED = np.array([[0.0, 0, 1], [-1, 0, 0], [0, -1, 0]])  # rows: x, y, z of LPS; columns: steps along x, y, z
NAMES = ["a.nii", "a.nii.gz", "a.nrrd", "a.seg.nrrd", "a.nhdr", "a.mha", "a.mhd", "packed.nrrd", "packed.mha"]
DTYPES = ["uint8", "int16", "uint16", "float32"]
CLASSES = (LabelClass(1, "trabecular bone", "#e69f00"), LabelClass(7, "Pore", "#0072b2"))


def numbers(dtype):
    values = np.random.default_rng(3).integers(0, 30_000, SHAPE)
    return values.astype(dtype)


def written_by_itk(path, array, turn=TURNED):
    image = SimpleITK.GetImageFromArray(array)
    image.SetSpacing(SIZES[::-1])
    image.SetOrigin(ORIGIN[::-1])
    image.SetDirection(turn.ravel().tolist())
    SimpleITK.WriteImage(image, str(path), path.name.startswith("packed"))
    return image


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("dtype", DTYPES)
def test_what_itk_writes_is_read_with_its_place_in_space(tmp_path, name, dtype):
    array = numbers(dtype)
    written_by_itk(tmp_path / name, array)
    with open_volume(tmp_path / name) as volume:
        header = volume.header
        np.testing.assert_array_equal(volume.read(0, 4), array)
        np.testing.assert_array_equal(volume.read(2, 3), array[2:3])
        np.testing.assert_array_equal(volume.read(1, 2), array[1:2])  # back again
        is_plain = not (name.startswith("packed") or name.endswith(".gz"))
        assert (volume.slices is not None) == is_plain
        with open_source(volume, folder=tmp_path / "cache", progress=silent) as source:
            np.testing.assert_array_equal(source.read_slice(3), array[3])
    assert (header.name, header.dtype, header.unit) == (name.split(".")[0], array.dtype, "mm")
    assert header.voxel_size == pytest.approx(SIZES, rel=1e-6)
    assert header.origin == pytest.approx(ORIGIN, rel=1e-6)
    np.testing.assert_allclose(header.direction, TURNED[::-1, ::-1].T, atol=1e-6)
    assert header.voxel_size_from
    assert peek(tmp_path / name) == header


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.seg.nrrd", "a.mha"])
def test_itk_reads_what_is_written_with_the_geometry_of_the_scan(tmp_path, name):
    array = numbers("uint16")
    image = written_by_itk(tmp_path / "scan.mha", array)
    with open_volume(tmp_path / "scan.mha") as scan, create(tmp_path / name, scan.header) as writer:
        for z0, z1 in ((0, 1), (1, 4)):
            writer.write(scan.read(z0, z1))
    found = SimpleITK.ReadImage(str(tmp_path / name))
    np.testing.assert_array_equal(SimpleITK.GetArrayFromImage(found), array)
    for what in ("GetSpacing", "GetOrigin", "GetDirection"):
        assert getattr(found, what)() == pytest.approx(getattr(image, what)(), abs=1e-6)
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted({name, "scan.mha"})


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
@settings(max_examples=15, deadline=None)
@given(
    shape=st.tuples(*[st.integers(1, 5)] * 3),
    dtype=st.sampled_from(["u1", "i2", "u2", "i4", "f4", "f8"]),
    size=st.none() | st.tuples(*[st.floats(1e-3, 1e3)] * 3),
    unit=st.sampled_from(["nm", "um", "mm", ""]),
)
def test_voxels_and_voxel_size_come_back(tmp_path_factory, name, shape, dtype, size, unit):
    path = tmp_path_factory.mktemp("m") / name
    array = np.random.default_rng(1).integers(0, 99, shape).astype(dtype)
    header = Header("a", shape, array.dtype, size, unit)
    with create(path, header) as writer:
        writer.write(array)
    with open_volume(path) as found:
        np.testing.assert_array_equal(found.read(0, shape[0]), array)
        assert found.header.dtype == array.dtype
        if size and unit:
            assert found.header.voxel_size_um == pytest.approx(header.voxel_size_um, rel=1e-5)
        elif size and set(size) != {1.0}:
            assert (found.header.voxel_size, found.header.unit) == (pytest.approx(size, rel=1e-6), "")
        else:
            assert found.header.voxel_size is None


def test_nibabel_and_bone_agree_on_slopes_and_units(tmp_path):
    array = numbers("int16")
    image = nibabel.Nifti1Image(array.T, np.diag([12.0, 13, 14, 1]))
    image.header.set_xyzt_units("micron")
    image.header.set_slope_inter(0.5, -1024)
    image.to_filename(tmp_path / "a.nii")
    for path in (tmp_path / "a.nii", tmp_path / "b.nii.gz"):
        nibabel.load(tmp_path / "a.nii").to_filename(path)
        with open_volume(path) as volume:
            wanted = nibabel.load(path).get_fdata().T
            assert volume.header.dtype == np.float32
            np.testing.assert_array_equal(volume.read(0, 4), wanted.astype(np.float32))
            assert volume.header.voxel_size_um == (14, 13, 12)
    big = nibabel.Nifti2Image(array.T.astype(">i2"), np.eye(4), nibabel.Nifti2Header(endianness=">"))
    big.to_filename(tmp_path / "big.nii")
    np.testing.assert_array_equal(open_volume(tmp_path / "big.nii").read(0, 4), array)


def test_what_a_file_does_not_say_is_unknown(tmp_path):
    array = numbers("uint8")
    image = nibabel.Nifti1Image(array.T, None)
    image.to_filename(tmp_path / "a.nii")
    text = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 6 5 4\nencoding: raw\n\n"
    (tmp_path / "a.nrrd").write_bytes(text.encode() + array.tobytes())
    for name in ("a.nii", "a.nrrd"):
        header = peek(tmp_path / name)
        assert (header.voxel_size, header.direction, header.voxel_size_from) == (None, None, "")


def test_a_segmentation_has_the_names_and_colours_that_slicer_looks_for(tmp_path):
    header = Header(
        "a", SHAPE, np.dtype("u1"), (5.0, 5.0, 5.0), classes=(LabelClass(0, "background"), *CLASSES)
    )
    with create(tmp_path / "a.seg.nrrd", header) as writer:
        writer.write(np.zeros(SHAPE, np.uint8))
    fields = nrrd.read_header(str(tmp_path / "a.seg.nrrd"))
    assert fields["space"] == "left-posterior-superior"
    np.testing.assert_allclose(np.diag(fields["space directions"]), 0.005)  # Slicer thinks in mm
    assert [fields[f"Segment{i}_Name"] for i in (0, 1)] == ["trabecular bone", "Pore"]
    assert [fields[f"Segment{i}_LabelValue"] for i in (0, 1)] == ["1", "7"]
    assert fields["Segment0_Color"] == "0.901961 0.623529 0"
    assert fields["Segment1_Extent"] == "0 5 0 4 0 3"
    assert peek(tmp_path / "a.seg.nrrd").classes == CLASSES


def patched(path, place, kind, value):
    data = bytearray(path.read_bytes())
    struct.pack_into(kind, data, place, value)
    path.write_bytes(data)


def hostile(folder):
    """(name, what is told) of files that must be refused, made in a folder."""
    array = numbers("uint16")
    for name in ("cut.nii", "cut.mha", "cut.nhdr", "cut.nii.gz", "packed_cut.nrrd", "packed_cut.mha"):
        place = folder / name.replace("packed_cut", "packed")
        written_by_itk(place, array)
        data = place.with_suffix(".raw") if name.endswith("nhdr") else place
        cut = data.rename(folder / name) if data == place else data
        cut.write_bytes(cut.read_bytes()[: -max(40, len(array.tobytes()) // 3)])
        if data != place:
            place.rename(folder / name)
        yield name, "is truncated"
    for place, kind, value, told in (
        (344, "4s", b"ni1\0", "is no NIfTI file"),
        (70, "<h", 128, "holds"),  # RGB
        (70, "<h", 32, "holds complex64"),
        (70, "<h", 9999, "header is damaged"),
        (46, "<h", 32767, "is truncated"),
        (40, "<h", 4, "has 4 axes"),
        (40, "<h", 77, "header is damaged"),
        (108, "<f", 1e30, "its voxels should lie"),
        (108, "<f", float("nan"), "its voxels should lie|header is damaged"),
        (42, "<h", -5, "header is damaged|a volume is"),
    ):
        name = f"at{place}_{value!r}.nii".replace("\\", "").replace("'", "").replace("x00", "")
        written_by_itk(folder / name, array)
        if place == 40 and value == 4:
            patched(folder / name, 48, "<h", 3)
        patched(folder / name, place, kind, value)
        yield name, told
    bomb = io.BytesIO()
    written_by_itk(folder / "start.nii", array)
    start = bytearray((folder / "start.nii").read_bytes()[:352])
    struct.pack_into("<3h", start, 42, 32767, 32767, 32767)
    with gzip.GzipFile(fileobj=bomb, mode="wb") as stream:
        stream.write(start)
    (folder / "bomb.nii.gz").write_bytes(bomb.getvalue())
    yield "bomb.nii.gz", "far more than"
    text = "NRRD0004\ntype: uint8\ndimension: 3\nsizes: 6 5 4\nencoding: raw\nendian: little\n"
    for name, content, told in (
        ("elsewhere.nhdr", f"{text}data file: ../../etc/passwd\n", "outside of its folder"),
        ("root.nhdr", f"{text}data file: /etc/passwd\n", "outside of its folder"),
        ("lost.nhdr", f"{text}data file: lost.raw\n", "is not there"),
        ("many.nhdr", f"{text}data file: LIST\n", "in several files"),
        ("huge.nrrd", text.replace("6 5 4", "99999999 99999999 99999999") + "\n", "is truncated"),
        ("negative.nrrd", text.replace("6 5 4", "6 -5 4") + "\n", "axes of 6 x -5 x 4"),
        ("words.nrrd", text.replace("6 5 4", "six five four") + "\n", "header is damaged"),
        ("text.nrrd", text.replace("raw", "ascii") + "\n" + "1 " * 120, "stored as ascii"),
        ("layers.seg.nrrd", text.replace("3\nsizes: ", "4\nsizes: 2 ") + "Segment0_ID:=a\n\n", "collapse"),
        ("endless.nrrd", text + "# no end" * 600_000, "has no end"),
        ("other.nrrd", "\x89PNG", "is no NRRD file"),
        ("elsewhere.mhd", "DimSize = 6 5 4\nElementType = MET_UCHAR\nElementDataFile = ../x\n", "outside"),
        ("colour.mha", "NDims = 3\nDimSize = 6 5 4\nElementNumberOfChannels = 3\nElementType = MET_UCHAR\n"
         "ElementDataFile = LOCAL\n", "3 values a voxel"),
        ("cut_text.mha", "ObjectType = Image\nNDims = 3\n", "header is cut off"),
        ("words.mha", "NDims = 3\nDimSize = 6 x 4\nElementDataFile = LOCAL\n", "header is damaged"),
        ("empty.nii", "", "is no NIfTI file"),
        ("empty.nii.gz", "", "is no NIfTI file"),
        ("tiff.nii", "II*\0", "is no NIfTI file"),
    ):  # fmt: skip
        (folder / name).write_text(content, encoding="utf-8")
        yield name, told
    good = folder / "flipped.nii.gz"
    with gzip.open(good, "wb") as stream:
        stream.write((folder / "start.nii").read_bytes())
    data = bytearray(good.read_bytes())
    data[len(data) // 2] ^= 0xFF
    good.write_bytes(data)
    yield "flipped.nii.gz", "is damaged|cannot be unpacked|is truncated"


def test_every_broken_file_is_told_by_name_in_one_sentence(tmp_path):
    seen = 0
    for name, told in hostile(tmp_path):
        path = tmp_path / name
        with pytest.raises(ScanError, match=told) as fault, open_volume(path) as volume:
            volume.read(0, volume.header.shape[0])
        assert str(path) in str(fault.value) or path.stem in str(fault.value), name
        seen += 1
    assert seen > 30


def read_by_others(path):
    """The voxels (z, y, x) as nibabel, pynrrd or ITK read them."""
    if ".nii" in path.name:
        return np.asanyarray(nibabel.load(path).dataobj).T
    if path.suffix == ".nrrd":
        return nrrd.read(str(path), index_order="C")[0]
    return SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(path)))


@pytest.mark.parametrize("name", ["a.nii", "a.nii.gz", "a.nrrd", "a.mha"])
def test_a_file_with_other_bytes_is_read_as_by_others_or_refused_by_its_name(tmp_path, name):
    """Nothing but a ScanError, or the voxels that the file's own library finds, where it finds as many of
    that type.
    """
    rng = np.random.default_rng(4)
    path = tmp_path / name
    written_by_itk(path, numbers("uint8"))
    whole = path.read_bytes()
    refused = unnamed = same = 0
    for number in range(60):
        is_inside = name.endswith(".gz") and number % 2  # else nothing but the packing is damaged
        content = bytearray(gzip.decompress(whole) if is_inside else whole)
        for _ in range(rng.integers(1, 4)):
            content[rng.integers(0, min(len(content), 420))] = rng.integers(0, 256)
        path.write_bytes(gzip.compress(content) if is_inside else content)
        try:
            with open_volume(path) as volume:
                assert volume.header.nbytes < 1 << 24
                found = volume.read(0, volume.header.shape[0])
                assert (found.shape, found.dtype) == (volume.header.shape, volume.header.dtype)
        except ScanError as fault:
            unnamed += path.name not in str(fault)
            refused += 1
            continue
        try:
            expected = read_by_others(path)
        except Exception:  # it may be stricter, or stumble
            continue
        if expected.shape == found.shape and expected.dtype == found.dtype:
            np.testing.assert_array_equal(found, expected)
            same += 1
    assert unnamed == 0
    assert refused >= 3
    assert same >= 5


@pytest.mark.parametrize("name", ["labels.isq", "labels.dcm", "labels.gz", "labels.nhdr", "labels.nii.bz2"])
def test_a_name_of_a_format_that_is_not_written_makes_nothing(tmp_path, name):
    with pytest.raises(OutputError, match=re.escape(Path(name).suffix)):
        create(tmp_path / name, Header("a", SHAPE, np.dtype("u1")))
    assert not any(tmp_path.iterdir())


def test_the_packed_endings_are_looked_at_first():
    assert formats.format_written(Path("a.nii.gz")).name == "nifti-gz"
    assert formats.format_written(Path("A.SEG.NRRD")).name == "nrrd"
