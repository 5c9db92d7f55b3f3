"""The voxel size that lies beside the slices: logs of SkyScan, Nikon and VGStudio; classes in a TIFF."""

import numpy as np
import pytest
import tifffile

from bone_backend.volumes.header import LabelClass
from bone_backend.volumes.volume import Header, create, open_volume, peek

SHAPE = (3, 4, 5)
# As NRecon 1.7 and CT Pro write them, shortened.
LOG = """[System]
Scanner=SkyScan1272
[Acquisition]
Number Of Rows=   4
Image Pixel Size (um)=   3.500000
[Reconstruction]
Reconstruction Program=NRecon
Result File Type=TIF
Result Image Width (pixels)={width}
Result Image Height (pixels)=4
Pixel Size (um)={size}
Time and Date=Dec 14, 2018  16:03:20
[File name convention]
Filename Prefix=femur_rec
"""
XTEKCT = "[XTekCT]\nName=femur\nVoxelsX=5\nVoxelSizeX=0.0125\nVoxelsY=4\nVoxelSizeY=0.0125\n" + (
    "VoxelsZ=3\nVoxelSizeZ=0.025\n"
)
VGI = (
    "{volume1}\n[representation]\nsize = 5 4 3\ndatatype = unsigned integer\n{volumeprimitive1}\n[geometry]\n"
    + ("resolution = 0.0125 0.0125 0.025\nunit = mm\n")
)


@pytest.fixture
def slices(tmp_path):
    folder = tmp_path / "femur"
    folder.mkdir()
    for z in range(SHAPE[0]):
        tifffile.imwrite(folder / f"femur_rec{z:04}.tif", np.full(SHAPE[1:], z, np.uint16), metadata=None)
    return folder


@pytest.mark.parametrize(
    ("name", "text", "size"),
    [
        ("femur_rec.log", LOG.format(width=5, size="7.00082"), (7.00082, 7.00082, 7.00082)),
        ("femur_rec.log", LOG.format(width=5, size="7,5"), (7.5, 7.5, 7.5)),
        ("femur.xtekct", XTEKCT, (25.0, 12.5, 12.5)),
        ("femur.vgi", VGI, (25.0, 12.5, 12.5)),
    ],
)
def test_a_scanners_file_tells_the_voxel_size_and_is_named(slices, name, text, size):
    assert peek(slices).voxel_size is None
    (slices / name).write_text(text)
    for header in (peek(slices), open_volume(slices).header):
        assert header.voxel_size_um == pytest.approx(size)
        assert header.voxel_size_from == name
        assert header.is_z_told


def test_a_log_of_a_stack_lies_beside_it_under_its_name(slices):
    stack = slices / "tibia.tif"
    tifffile.imwrite(stack, np.zeros(SHAPE, np.uint16), metadata=None, photometric="minisblack")
    (slices / "femur_rec.log").write_text(LOG.format(width=5, size=7))
    assert peek(stack).voxel_size is None
    (slices / "tibia_rec.log").write_text(LOG.format(width=5, size=9))
    assert peek(stack).voxel_size_um == (9, 9, 9)


@pytest.mark.parametrize(
    "text",
    [
        LOG.format(width=6, size=7),  # of another width
        LOG.format(width=5, size="nan"),
        LOG.format(width=5, size=-7),
        "no log at all",
        "[Reconstruction\nPixel Size (um)=7",
        "\0" * (1 << 21),
    ],
    ids=["other width", "nan", "negative", "text", "damaged", "huge"],
)
def test_a_file_that_does_not_fit_is_left_alone(slices, text):
    (slices / "femur_rec.log").write_text(text)
    assert peek(slices).voxel_size is None


def test_two_files_that_disagree_say_nothing(slices):
    (slices / "femur_rec.log").write_text(LOG.format(width=5, size=7))
    (slices / "old_rec.log").write_text(LOG.format(width=5, size=8))
    assert peek(slices).voxel_size is None


def test_what_a_tiff_says_itself_comes_first(tmp_path):
    header = Header("scan", SHAPE, np.dtype("u1"), (3.0, 2.0, 2.0))
    with create(tmp_path / "scan.tif", header) as writer:
        writer.write(np.zeros(SHAPE, np.uint8))
    (tmp_path / "scan_rec.log").write_text(LOG.format(width=5, size=7))
    assert peek(tmp_path / "scan.tif").voxel_size_um == (3, 2, 2)


@pytest.mark.parametrize("name", ["labels.tif", "labels.btf", "labels"])
def test_classes_travel_in_a_tiff_whose_numbers_stay_plain_for_others(tmp_path, name):
    classes = (
        LabelClass(0, "background", "#000000"),
        LabelClass(1, "trabecular bone", "#e69f00"),
        LabelClass(300, "Wirbelk\N{LATIN SMALL LETTER O WITH DIAERESIS}rper \\x41 #1", None),
    )
    labels = np.arange(60, dtype=np.uint16).reshape(SHAPE) * 5
    with create(tmp_path / name, Header("labels", SHAPE, labels.dtype, classes=classes)) as writer:
        writer.write(labels)
    assert peek(tmp_path / name).classes == open_volume(tmp_path / name).header.classes == classes
    files = sorted((tmp_path / name).iterdir()) if name == "labels" else tmp_path / name
    np.testing.assert_array_equal(tifffile.imread(files), labels)
    with tifffile.TiffFile(files[0] if name == "labels" else files) as tiff:
        assert tiff.is_bigtiff == (name == "labels.btf")
        assert "Label 1: trabecular bone" in tiff.pages[0].tags[50839].value["Info"]
