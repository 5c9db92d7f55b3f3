"""VGI, PCR, DAT, RAW, ISQ, AIM, MRC, HDF5, TXM: read as others wrote them; refused where they are damaged.

Files come from benchmarks/campaigns/format_files.py: mrcfile, h5py, pyaaf2 and py_aimio write what BONe reads
without them; ISQ, VGI, PCR, DAT and AIM 020 are made from the layouts that stand in the readers. py_aimio
also reads ISQ and AIM, as an independent reader.
"""

import struct
import sys

import numpy as np
import pytest

from benchmarks.campaigns import format_files as files
from bone_backend.errors import PackageError, ScanError
from bone_backend.files.inside import file_of, parts_of
from bone_backend.files.outputs import check_output
from bone_backend.pairing.names import match, volumes_in
from bone_backend.volumes import formats
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume, peek, save, storage_of

NEEDED = {"aim-two": "py_aimio", "aim-float": "py_aimio", "mrc": "mrcfile", "txm": "aaf2"} | {
    "hdf5": "h5py",
    "hdf5-chunks": "h5py",
}
KINDS = ["vgi", "pcr", "dat", "raw", "isq", "aim-bits", "aim-runs", "aim-short", *NEEDED]
GREY = files.scan("uint16")
X, Y, Z = files.SHAPE[::-1]


@pytest.fixture(scope="module")
def seeds(tmp_path_factory):
    folder = tmp_path_factory.mktemp("seeds")
    found = []
    for make in (files._headers, files._scanco, files._mrc, files._hdf5, files._txm):
        try:
            found += [*make(folder)]
        except ImportError:
            pass
    return {seed.kind: seed for seed in found}


@pytest.mark.parametrize("kind", KINDS)
def test_a_file_is_read_as_it_was_written(tmp_path, seeds, kind):
    if kind not in seeds:
        pytest.importorskip(NEEDED.get(kind, "py_aimio"))
    seed = seeds[kind]
    with open_volume(seed.path) as volume:
        header = volume.header
        assert header.shape == seed.array.shape
        assert header.dtype == seed.array.dtype
        assert header.voxel_size_um == pytest.approx(seed.voxel_size_um, rel=1e-6)
        assert header.voxel_size_from
        assert header.name == "scan"
        assert (header.format, str(header.path)) == (formats.format_of(header.path).name, seed.path)
        np.testing.assert_array_equal(volume.read(0, 6), seed.array)
        np.testing.assert_array_equal(volume.read(3, 5), seed.array[3:5])  # going back
        np.testing.assert_array_equal(volume.read(1, 2), seed.array[1:2])
        with open_source(volume, folder=tmp_path) as source:
            patch = source.read_patch(2, 3, 4, out=np.empty((2, 5, 6), header.dtype))
        np.testing.assert_array_equal(patch, seed.array[2:4, 3:8, 4:10])
    assert peek(seed.path) == header
    assert file_of(seed.path) in storage_of(header.path).files


@pytest.mark.parametrize("kind", ["vgi", "pcr", "dat", "isq", "aim-short", "mrc", "hdf5", "txm"])
def test_a_file_that_lost_its_name_is_known_by_its_content(tmp_path, seeds, kind):
    if kind not in seeds:
        pytest.importorskip(NEEDED.get(kind, "py_aimio"))
    row = formats.format_of(file_of(seeds[kind].path))
    assert row.call("recognise", file_of(seeds[kind].path))
    (tmp_path / "notes").write_text("bone")
    assert not row.call("recognise", tmp_path / "notes")
    assert not row.call("recognise", tmp_path / "nothing")
    assert not row.call("recognise", tmp_path)


def test_isq_and_aim_are_read_as_another_library_reads_them(seeds):
    py_aimio = pytest.importorskip("py_aimio")
    for kind in ("isq", "aim-bits", "aim-runs", "aim-short", "aim-two", "aim-float"):
        read = py_aimio.read_isq if kind == "isq" else py_aimio.read_aim
        array, told = read(seeds[kind].path)
        with open_volume(seeds[kind].path) as volume:
            np.testing.assert_array_equal(volume.read(0, 6), array)
            sizes = told["spacing"] if kind == "isq" else [1000 * size for size in told["element_size"]]
            assert volume.header.voxel_size_um[::-1] == pytest.approx(sizes, rel=1e-6)
            if kind != "isq":
                assert volume.header.origin[::-1] == pytest.approx(told["origin"], rel=1e-6)


@pytest.mark.parametrize("kind", ["isq", "aim-short", "aim-runs", "aim-bits", "aim-float"])
def test_scanco_gives_calibrated_values_where_they_are_asked_for(seeds, kind):
    if kind not in seeds:
        pytest.importorskip("py_aimio")
    stored = seeds[kind].array.astype(np.float64)
    for inside, right in (("mu", stored / 4096), ("density", stored / 4096 * 1603.5 - 391.2)):
        with open_volume(f"{seeds[kind].path}#{inside}") as volume:
            assert volume.header.dtype == np.float32
            assert volume.header.name == f"scan_{inside}"
            assert volume.variant == inside  # so that it is not taken for the stored numbers in the cache
            np.testing.assert_allclose(volume.read(0, 6), right, rtol=1e-6, atol=1e-4)
        assert peek(f"{seeds[kind].path}#{inside}").dtype == np.float32


def test_zeros_around_packed_voxels_are_given_back(tmp_path):
    inner = files.mask()[:, 1:-1, 2:-2][1:-1]
    data = files.aim_020(files.mask(), 0x00080002, files.runs(inner), border=(2, 1, 1))
    (tmp_path / "a.aim").write_bytes(data)
    with open_volume(tmp_path / "a.aim") as volume:
        np.testing.assert_array_equal(volume.read(0, 6), files.mask())
        np.testing.assert_array_equal(volume.read(2, 3), files.mask()[2:3])


def test_raw_voxels_are_read_through_the_header_beside_them(tmp_path, seeds):
    for kind in ("vgi", "pcr", "dat"):
        header = file_of(seeds[kind].path)
        (voxels,) = (item for item in header.parent.iterdir() if item != header)
        with open_volume(voxels) as volume:
            np.testing.assert_array_equal(volume.read(0, 6), GREY)
            assert volume.header.voxel_size_um is not None
    save(tmp_path / "a.mha", GREY, voxel_size=(3, 2, 1))
    text, _, voxels = (tmp_path / "a.mha").read_bytes().partition(b"ElementDataFile = LOCAL\n")
    (tmp_path / "a.raw").write_bytes(voxels)
    (tmp_path / "a.mhd").write_bytes(text + b"ElementDataFile = a.raw\n")
    assert peek(tmp_path / "a.raw").voxel_size_um == pytest.approx((3, 2, 1))


@pytest.mark.parametrize(
    ("inside", "dtype", "um"),
    [
        (f"{X}x{Y}x{Z},uint16", "<u2", None),
        (f"{X}x{Y}x{Z}, uint16, big", ">u2", None),
        (f"{X}x{Y}x{Z},int16,skip=7,0.01mm", "<i2", (10, 10, 10)),
        (f"{X}x{Y}x{Z},float32,3x4x5um", "<f4", (5, 4, 3)),
        (f"{X}x{Y}x{Z},uint8", "u1", None),
    ],
)
def test_raw_voxels_are_what_stands_behind_their_name(tmp_path, inside, dtype, um):
    array = GREY.astype(dtype)
    (tmp_path / "a.raw").write_bytes(bytes(7 if "skip" in inside else 0) + array.tobytes())
    with open_volume(f"{tmp_path / 'a.raw'}#{inside}") as volume:
        np.testing.assert_array_equal(volume.read(0, 6), array)
        assert volume.header.name == "a"
        assert volume.header.voxel_size_um == (None if um is None else pytest.approx(um))


def test_what_a_name_says_is_offered_and_not_guessed(tmp_path):
    path = tmp_path / f"femur_{X}x{Y}x{Z}_int16.raw"
    path.write_bytes(GREY.tobytes())
    with pytest.raises(
        ScanError, match=rf"fit femur_{X}x{Y}x{Z}_int16.raw#{X}x{Y}x{Z},int16: .*uint16"
    ) as told:
        open_volume(path)
    words = str(told.value)
    offered = words[words.index("fit ") + 4 : words.index(": write")]
    with open_volume(tmp_path / offered) as volume:
        np.testing.assert_array_equal(volume.read(0, 6), GREY.astype("int16"))
    path.write_bytes(GREY.tobytes() + b"x")
    with pytest.raises(ScanError, match="Say what it holds"):
        open_volume(path)


def test_imod_says_that_bytes_have_no_sign(tmp_path, seeds):
    pytest.importorskip("mrcfile")
    data = bytearray(file_of(seeds["mrc"].path).read_bytes()[:1024])
    struct.pack_into("<i", data, 12, 0)
    for flags, dtype in ((0, "uint8"), (1, "int8")):
        struct.pack_into("<2i", data, 152, 1146047817, flags)
        (tmp_path / "a.rec").write_bytes(bytes(data) + bytes(GREY.size))
        assert peek(tmp_path / "a.rec").dtype == dtype


@pytest.mark.filterwarnings("ignore:Setting the dtype:DeprecationWarning")  # by mrcfile
def test_an_mrc_of_the_other_byte_order_is_read(tmp_path):
    mrcfile = pytest.importorskip("mrcfile")
    with mrcfile.new(tmp_path / "a.mrc") as file:
        file.set_data(GREY.astype(">u2"))
        file.voxel_size = 5.0
    assert (tmp_path / "a.mrc").read_bytes()[212] == 0x11
    with open_volume(tmp_path / "a.mrc") as volume:
        np.testing.assert_array_equal(volume.read(0, 6), GREY)
        assert volume.header.voxel_size_um == pytest.approx((5e-4,) * 3)
        assert volume.header.unit == "nm"


def test_one_data_set_of_several_is_chosen(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["one/scan"] = GREY
        file.create_dataset("two/mask", data=files.mask()[None, ..., None] > 0, chunks=True)
        file["two/link"] = h5py.SoftLink("mask")
        file["one/far"] = h5py.SoftLink("/two/link")
    with pytest.raises(ScanError, match=r"holds 2 volumes: /one/scan .*/two/mask .*a.h5#/one/scan"):
        open_volume(tmp_path / "a.h5")
    for inside in ("/one/scan", "one/scan", "one"):
        with open_volume(f"{tmp_path / 'a.h5'}#{inside}") as volume:
            np.testing.assert_array_equal(volume.read(0, 6), GREY)
    for inside in ("/two/mask", "two", "one/far", "/two/link"):
        with open_volume(f"{tmp_path / 'a.h5'}#{inside}") as volume:
            assert volume.header.dtype == np.uint8
            np.testing.assert_array_equal(volume.read(1, 6), files.mask()[1:] > 0)
    names = {peek(f"{tmp_path / 'a.h5'}#{inside}").name for inside in ("one/scan", "two/mask")}
    assert names == {"a_scan", "a_mask"}


def test_two_data_sets_of_one_file_do_not_share_a_place_in_the_cache(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name in "ab":
            file.create_dataset(name, data=GREY + (name == "b"), chunks=True)
    found = []
    for name in "ab":
        volume = open_volume(f"{tmp_path / 'a.h5'}#{name}")
        with volume, open_source(volume, folder=tmp_path / "cache") as source:
            found.append(source.read_slice(3))
    np.testing.assert_array_equal(found[0] + 1, found[1])


# What is wrong with a file, how it is made of a whole one, and the words of the fault.
def _vgi(**settings):
    def make(folder):
        GREY.tofile(folder / "a.vol")
        (folder / "a.vgi").write_text(files.vgi(settings.pop("name", "a.vol"), GREY, **settings))
        return "a.vgi"

    return make


def _text(name, old, new, text=files.vgi, voxels="a.vol"):
    def make(folder):
        GREY.tofile(folder / voxels)
        whole = text(voxels, GREY)
        assert old in whole
        (folder / name).write_text(whole.replace(old, new))
        return name

    return make


def _bytes(name, data):
    def make(folder):
        (folder / name.partition("#")[0]).write_bytes(data)
        return name

    return make


def _at(offset, code, *values, data=None):
    made = bytearray(files.isq(files.scan()) if data is None else data)
    struct.pack_into(code, made, offset, *values)
    return bytes(made)


AIM = files.aim_020(files.scan(), 0x00020002, files.scan().tobytes())
RUNS = files.aim_020(files.mask(), 0x00080002, files.runs(files.mask()))
MRC = bytearray(1024)
struct.pack_into("<4i", MRC, 0, X, Y, Z, 1)
struct.pack_into("<3i", MRC, 64, 1, 2, 3)
MRC[208:216] = b"MAP \x44\x44\0\0"
MRC = bytes(MRC) + GREY.tobytes()

MISTAKES = {
    "a VGI of a file elsewhere": (_vgi(name="../../etc/passwd"), r"beside it in passwd, which is not there"),
    "a VGI of a Windows path": (_vgi(name="C:\\CT\\other.vol"),
        r"beside it in other.vol, which is not there"),
    "a VGI of itself": (_vgi(name="a.vgi"), "names itself"),
    "a VGI of nothing": (_vgi(name=".."), "names no file"),
    "a VGI of two files": (_vgi(more="[file2]\nName = b.vol\n"), "2 files of voxels"),
    "a VGI that is shown mirrored": (_text("a.vgi", "mirror = 0 0 0 0", "mirror = 0 0 1 0"), "mirrored"),
    "a VGI of a part": (_vgi(more="RegionOfInterestStart = 1 0 0\n"), "RegionOfInterest"),
    "a VGI of a smaller file": (_vgi(size=f"{X} {Y} {Z + 1}"), "6 of 7 slices are whole"),
    "a VGI of a larger file": (_vgi(size=f"{X} {Y} {Z - 1}"), "Sizes, type or file are others"),
    "a VGI of huge size": (_vgi(size="999999999 999999999 999999999"), "its size is"),
    "a VGI without sizes": (_vgi(size="many"), "three whole numbers"),
    "a VGI of complex numbers": (_text("a.vgi", "Datatype = unsigned integer", "Datatype = complex"),
        "complex"),
    "a VGI of tiles": (_text("a.vgi", "FileFormat = raw", "FileFormat = tiled"), "not raw"),
    "a VGI with a bad SkipHeader": (_text("a.vgi", "SkipHeader = 0", "SkipHeader = -5"), "SkipHeader"),
    "an empty VGI": (_bytes("a.vgi", b""), r"\[file1\]"),
    "a VGI that is a picture": (_bytes("a.vgi", b"\x89PNG\r\n\x1a\n\0\0\0"), "is no VGI header"),
    "a VGI of 2 MiB": (_bytes("a.vgi", b"a = b\n" * 400_000), "no short text"),
    "a PCR of unknown numbers": (_text("a.pcr", "Format=5", "Format=7", files.pcr), "Format is '7'"),
    "a PCR without volume": (_text("a.pcr", "[VolumeData]", "[CalibImages]", files.pcr), "VolumeData"),
    "a PCR without its VOL": (_bytes("a.pcr", files.pcr("b.vol", GREY).encode()),
                              "a.vol, which is not there"),
    "a DAT of several times": (_text("a.dat", "TimeSteps: 1", "TimeSteps: 3", files.dat, "a.raw"), "3 times"),
    "a DAT of vectors": (_text("a.dat", "USHORT", "VECTOR", files.dat, "a.raw"), "VECTOR"),
    "raw voxels alone": (_bytes("a.raw", GREY.tobytes()), "has no header beside it"),
    "raw voxels of a wrong size": (_bytes(f"a.raw#{X}x{Y}x7,uint16", GREY.tobytes()), "6 of 7 slices"),
    "raw voxels of a wrong type": (_bytes(f"a.raw#{X}x{Y}x{Z},uint8", GREY.tobytes()), "are 756"),
    "raw voxels of no type": (_bytes(f"a.raw#{X}x{Y}x{Z}", GREY.tobytes()),
        "does not say what the file holds"),
    "raw voxels with a strange word": (_bytes(f"a.raw#{X}x{Y}x{Z},uint16,huge", GREY.tobytes()), '"huge"'),
    "raw voxels of no size": (_bytes(f"a.raw#{X}x{Y}x0,uint16", GREY.tobytes()), "each at least 1"),
    "an ISQ cut off": (_bytes("a.isq", files.isq(files.scan())[:-300]), "4 of 6|5 of 6"),
    "an ISQ cut off in its header": (_bytes("a.isq", files.isq(files.scan())[:300]), "header ends early"),
    "an empty ISQ": (_bytes("a.isq", b""), "is no ISQ file"),
    "an ISQ of projections": (_bytes("a.isq", files.isq(files.scan(), kind=9)), "radiograph"),
    "an ISQ of huge size": (_bytes("a.isq", _at(44, "<3i", 2**31 - 1, 2**31 - 1, 2**31 - 1)), "its size is"),
    "an ISQ of negative size": (_bytes("a.isq", _at(44, "<i", -5)), "its size is"),
    "an ISQ with voxels far away": (_bytes("a.isq", _at(508, "<i", 2**30)), "blocks should stand"),
    "an ISQ without calibration": (_bytes("a.isq#mu", files.isq(files.scan(), mu_scaling=0)),
        "no calibration for mu"),
    "an ISQ with a strange choice": (_bytes("a.isq#bone", files.isq(files.scan())),
        '"bone" cannot be chosen'),
    "an AIM cut off": (_bytes("a.aim", AIM[:-300]), "slices are whole"),
    "an AIM of runs cut off": (_bytes("a.aim", RUNS[:-9]), "is cut off"),
    "an AIM of far too many voxels": (_bytes("a.aim", _at(56, "<3i", 9999, 9999, 9999, data=RUNS)),
        "far more than"),
    "an AIM of unknown numbers": (_bytes("a.aim", _at(40, "<i", 0x00990001, data=AIM)), "0x00990001"),
    "an AIM with too wide a border": (_bytes("a.aim", _at(68, "<3i", 7, 0, 0, data=RUNS)), "its border is"),
    "an AIM that is text": (_bytes("a.aim", b"bone " * 99), "is no AIM"),
    "an MRC cut off": (_bytes("a.mrc", MRC[:-300]), "slices are whole"),
    "an MRC of complex numbers": (_bytes("a.mrc", _at(12, "<i", 4, data=MRC)), "complex"),
    "an MRC with exchanged axes": (_bytes("a.mrc", _at(64, "<3i", 3, 2, 1, data=MRC)), "another order"),
    "an MRC with a negative header": (_bytes("a.mrc", _at(92, "<i", -4, data=MRC)), "second header"),
    "an MRC without its mark": (_bytes("a.mrc", bytes(2000)), "is no MRC file"),
    "an empty HDF5": (_bytes("a.h5", b""), "is no HDF5 file"),
    "an HDF5 that is cut off": (_bytes("a.h5", b"\x89HDF\r\n\x1a\n" + bytes(90)), "truncated or damaged"),
    "a TXM of projections": (_bytes("a.txrm", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600)),
        "a .txm, instead"),
    "a TXM that is cut off": (_bytes("a.txm", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(90)),
        "truncated or"),
    "a choice inside a TIFF": (lambda folder: save(folder / "a.tif", GREY) or "a.tif#1",
        "nothing can be chosen"),
}  # fmt: skip


@pytest.mark.parametrize("mistake", MISTAKES)
def test_a_mistake_is_told_with_the_name_of_the_file(tmp_path, mistake):
    make, words = MISTAKES[mistake]
    path = f"{tmp_path}/{make(tmp_path)}"
    if path.endswith((".h5", ".txm")) and len(file_of(path).read_bytes()):
        pytest.importorskip("h5py" if path.endswith("5") else "olefile")

    def look():
        with open_volume(path) as volume:
            volume.read(0, volume.header.shape[0])

    with pytest.raises(ScanError, match=words) as told:
        look()
    assert str(tmp_path) in str(told.value)
    assert len(told.value.faults) == 1
    assert "\n" not in str(told.value)


def test_nothing_outside_of_an_hdf5_file_is_opened(tmp_path):
    h5py = pytest.importorskip("h5py")
    with h5py.File(tmp_path / "far.h5", "w") as file:
        file["scan"] = GREY
    GREY.tofile(tmp_path / "far.raw")
    with h5py.File(tmp_path / "a.h5", "w") as file:
        file["link"] = h5py.ExternalLink("far.h5", "/scan")
        layout = h5py.VirtualLayout(shape=files.SHAPE, dtype="u2")
        layout[...] = h5py.VirtualSource(tmp_path / "far.h5", "scan", shape=files.SHAPE)
        file.create_virtual_dataset("virtual", layout)
        file.create_dataset("raw", files.SHAPE, "u2", external=[(str(tmp_path / "far.raw"), 0, GREY.nbytes)])
        file["one"] = h5py.SoftLink("/two")
        file["two"] = h5py.SoftLink("/one")
        file.create_dataset("flat", data=np.zeros((5, 6)))
        file.create_dataset("times", data=np.zeros((2, 3, 4, 5)))
        file.create_dataset("chunk", (600, 600, 2000), "u1", chunks=(600, 600, 2000))
    for inside, words in {
        "link": "a link to another file, far.h5",
        "virtual": "lies in other files",
        "raw": "lies in other files",
        "one": "leads in a circle",
        "nothing": "holds nothing called nothing; / holds",
        "flat/x": "holds nothing called flat/x",
        "flat": r"has axes \(5, 6\)",
        "times": "a volume has three",
        "chunk": "more than BONe unpacks at once",
    }.items():
        with pytest.raises(ScanError, match=words):
            open_volume(f"{tmp_path / 'a.h5'}#{inside}")


@pytest.mark.parametrize(("kind", "package"), [("hdf5", "h5py"), ("txm", "olefile")])
def test_a_missing_library_is_told_with_the_line_that_installs_it(monkeypatch, seeds, kind, package):
    if kind not in seeds:
        pytest.importorskip(NEEDED[kind])
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(PackageError, match=f"pip install {package}$"):
        open_volume(seeds[kind].path)


def test_voxels_beside_their_header_are_no_volume_of_their_own(tmp_path):
    for name in ("femur_scan", "femur_mask"):
        GREY.tofile(tmp_path / f"{name}.vol")
        (tmp_path / f"{name}.vgi").write_text(files.vgi(f"{name}.vol", GREY))
    (tmp_path / "notes.dat").write_text("anything")
    (tmp_path / "tibia.raw").write_bytes(b"12")
    assert [path.name for path in volumes_in(tmp_path)] == ["femur_mask.vgi", "femur_scan.vgi", "tibia.raw"]
    assert match([tmp_path / "femur_scan.vgi", tmp_path / "femur_mask.vgi"]) == [
        (tmp_path / "femur_scan.vgi", tmp_path / "femur_mask.vgi")
    ]


def test_a_sign_in_a_name_is_a_part_of_the_name(tmp_path):
    save(tmp_path / "scan #1.tif", GREY)
    assert parts_of(tmp_path / "scan #1.tif") == (tmp_path / "scan #1.tif", "")
    assert peek(tmp_path / "scan #1.tif").name == "scan #1"
    (tmp_path / "scan #1.tif").rename(tmp_path / "scan #1.raw")
    path, inside = parts_of(f"{tmp_path / 'scan #1.raw'}#1x2x3,uint8")
    assert (path.name, inside) == ("scan #1.raw", "1x2x3,uint8")


def test_the_file_behind_a_choice_is_never_written_over(tmp_path):
    (tmp_path / "a.h5").write_bytes(b"x")
    with pytest.raises(Exception, match="is the scan itself"):
        check_output(tmp_path / "a.h5", inputs=[("the scan", tmp_path / "a.h5#/one")], overwrite=True)
