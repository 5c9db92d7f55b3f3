"""Tags that change what the numbers mean are honoured or refused by name (docs/formats.md)."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import ScanError
from bone_backend.volumes.volume import open_volume, peek
from tests.volumes.raw_tiff import BYTE, LONG, RATIONAL, SHORT, TEXT, plain_page, tiff_bytes

STACK = np.arange(4 * 6 * 8, dtype=np.uint8).reshape(4, 6, 8)
FORMATS = Path(__file__).parents[2] / "docs" / "formats.md"


def stack(path, *, array=STACK, order="<", first=None, others=None, **changes):
    """A stack of plain pages with some tags changed; `first` and `others` only on those pages."""
    pages = []
    for z, image in enumerate(array):
        only = (first if z == 0 else others) or {}
        tags = plain_page(image.shape[1], image.shape[0], **{**changes, **only})
        pages.append((tags, [image.astype(image.dtype.newbyteorder(order)).tobytes()]))
    path.write_bytes(tiff_bytes(pages, order=order))
    return path


def test_a_plain_stack_is_read(tmp_path):
    np.testing.assert_array_equal(open_volume(stack(tmp_path / "a.tif")).read(0, 4), STACK)


@pytest.mark.parametrize(
    ("tag", "value", "name"),
    [
        (262, (SHORT, 0), "WhiteIsZero"),
        (262, (SHORT, 2), "colour"),
        (262, (SHORT, 4), "transparency mask"),
        (262, (SHORT, 5), "CMYK"),
        (262, (SHORT, 6), "YCbCr"),
        (262, (SHORT, 8), "CIELab"),
        (262, (SHORT, 32803), "colour filter"),
        (262, (SHORT, 32844), "LogL"),
        (262, (SHORT, 77), "unknown"),
        *((274, (SHORT, way), f"Orientation \\(tag 274\\) is {way}") for way in (0, 2, 3, 4, 5, 6, 7, 8, 9)),
        (277, (SHORT, 2), "2 values per pixel"),
        (277, (SHORT, 3), "3 values per pixel"),
        (254, (LONG, 1), "NewSubfileType"),
        (254, (LONG, 4), "NewSubfileType"),
        (255, (SHORT, 2), "previews"),
        (266, (SHORT, 3), "FillOrder"),
        (263, (SHORT, 2), "Threshholding"),
        (258, (SHORT, 24), "24-bit unsigned"),
        (258, (SHORT, 0), "0-bit"),
        (339, (SHORT, 5), "complex"),
        (339, (SHORT, 6), "complex"),
        (339, (SHORT, 9), "unknown"),
        (339, (SHORT, 3), "8-bit floating-point"),
        (317, (SHORT, 2), "Predictor"),
        (317, (SHORT, 34892), "Predictor"),
        (259, (SHORT, 3), "CCITT Group 3"),
        (259, (SHORT, 4), "CCITT Group 4"),
        (259, (SHORT, 6), "old-style JPEG"),
        (259, (SHORT, 34887), "LERC"),
        (259, (SHORT, 50001), "WebP"),
        (259, (SHORT, 12345), "unknown"),
        (291, (SHORT, *range(256)), "GrayResponseCurve"),
        (433, (LONG, 0), "Decode"),
        (32996, (SHORT, 1), "DataType"),
        (32997, (LONG, 4), "ImageDepth"),
        (33445, (LONG, 2), "MD FileTag"),
        (33446, (RATIONAL, 1, 10), "MD ScalePixel"),
        (33628, (LONG, 1), "MetaMorph"),
        (33629, (LONG, 12), "MetaMorph"),
        (34361, (BYTE, 1), "FluoView"),
        (34412, (BYTE, 1, 2, 3, 4, 5, 6, 7, 8), "Zeiss LSM"),
        (42113, (TEXT, "0"), "no data"),
        (42112, (TEXT, '<Item name="SCALE" role="scale">2</Item>'), "scaled"),
        (50706, (BYTE, 1, 4, 0, 0), "DNG"),
        (65420, (LONG, 1), "NDPI"),
    ],
)
@pytest.mark.parametrize("order", "<>")
def test_what_changes_the_numbers_is_refused_by_name(tmp_path, tag, value, name, order):
    path = stack(tmp_path / "a.tif", order=order, **{f"tag_{tag}": value})
    with pytest.raises(ScanError, match=rf"a\.tif.*{name}"):
        open_volume(path)


def test_a_page_of_other_bits_is_named(tmp_path):
    path = stack(tmp_path / "a.tif", others={"tag_258": (SHORT, 4)})
    with pytest.raises(ScanError, match=r"page 1 is .*stored with 8 bit, the others with 4"):
        open_volume(path)


@pytest.mark.parametrize("tag", [262, 274, 339])
def test_one_page_of_another_meaning_is_found_and_named(tmp_path, tag):
    path = stack(tmp_path / "a.tif", others={f"tag_{tag}": (SHORT, {262: 0, 274: 4, 339: 6}[tag])})
    with pytest.raises(ScanError, match=r"a\.tif, page 2: .*tag"):
        open_volume(path)


@pytest.mark.parametrize(
    "changes",
    [
        {"tag_262": None},
        {"tag_262": (SHORT, 3), "tag_320": (SHORT, *range(768))},  # indexed colours: labels
        {"tag_274": (SHORT, 1)},
        {"tag_339": (SHORT, 4)},  # "undefined" is to be taken as unsigned
        {"tag_284": (SHORT, 2)},  # planes of one sample are one plane
        {"tag_280": (SHORT, 3), "tag_281": (SHORT, 5)},  # least and greatest sample: a remark
        {"tag_301": (SHORT, *range(256))},  # how to show the numbers
        {"tag_254": (LONG, 2)},  # a page of several
        {"tag_255": (SHORT, 3)},
        {"tag_278": None},  # one strip
    ],
)
def test_what_leaves_the_numbers_alone_is_read(tmp_path, changes):
    np.testing.assert_array_equal(open_volume(stack(tmp_path / "a.tif", **changes)).read(0, 4), STACK)


def test_signed_numbers_are_signed(tmp_path):
    found = open_volume(stack(tmp_path / "a.tif", tag_339=(SHORT, 2)))
    np.testing.assert_array_equal(found.read(0, 4), STACK.view(np.int8))


def test_bytes_whose_bits_are_reversed_are_turned(tmp_path):
    """Fill order 2: 0b00000001 means 128."""
    path = stack(tmp_path / "a.tif", tag_266=(SHORT, 2))
    assert open_volume(path).read(0, 1)[0, 0, :4].tolist() == [0, 128, 64, 192]


def test_imagej_masks_with_an_inverted_table_keep_their_numbers(tmp_path):
    """ImageJ marks its black-on-white masks as white-is-zero; 255 is the object in the file and in ImageJ."""
    array = (STACK % 2) * np.uint8(255)
    text = "ImageJ=1.54f\nimages=4\nslices=4\nloop=false\n"
    path = stack(tmp_path / "a.tif", array=array, tag_262=(SHORT, 0), first={"tag_270": (TEXT, text)})
    np.testing.assert_array_equal(open_volume(path).read(0, 4), array)


@pytest.mark.parametrize("mark", [{"tag_254": (LONG, 1)}, {"tag_255": (SHORT, 2)}, {"tag_254": (LONG, 5)}])
def test_previews_between_the_slices_are_left_out(tmp_path, mark):
    pages = []
    for image in STACK:
        pages.append((plain_page(8, 6), [image.tobytes()]))
        pages.append((plain_page(4, 3, **mark), [bytes(12)]))
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(pages))
    np.testing.assert_array_equal(open_volume(path).read(0, 4), STACK)
    folder = tmp_path / "slices"
    folder.mkdir()
    for z in range(4):
        (folder / f"s{z}.tif").write_bytes(tiff_bytes(pages[2 * z : 2 * z + 2]))
    np.testing.assert_array_equal(open_volume(folder).read(0, 4), STACK)


def test_previews_that_are_not_marked_are_named_with_advice_that_can_be_followed(tmp_path):
    pages = [(plain_page(8, 6), [STACK[0].tobytes()]), (plain_page(4, 3), [bytes(12)])]
    path = tmp_path / "a.tif"
    path.write_bytes(tiff_bytes(pages * 3))
    with pytest.raises(ScanError, match=r"Pages 2, 4, 6 may be previews, but are not marked as such; save"):
        open_volume(path)
    folder = tmp_path / "slices"
    folder.mkdir()
    for z in range(3):
        (folder / f"s{z}.tif").write_bytes(tiff_bytes(pages))
    with pytest.raises(ScanError, match=r"of 6 x 8, 3 x 4 voxels; save each slice without its previews"):
        open_volume(folder)


@pytest.mark.parametrize("same_size", [True, False])
def test_smaller_versions_in_sub_directories_do_not_matter_and_other_images_do(tmp_path, same_size):
    path = tmp_path / "a.tif"
    with tifffile.TiffWriter(path) as writer:
        for image in STACK:
            writer.write(image, subifds=1, metadata=None)
            writer.write(image if same_size else image[::2, ::2], metadata=None)
    if same_size:
        with pytest.raises(
            ScanError, match=r"another image of its size in a sub-directory \(SubIFDs, tag 330"
        ):
            open_volume(path)
    else:
        np.testing.assert_array_equal(open_volume(path).read(0, 4), STACK)


IMAGEJ = "ImageJ=1.54f\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("images=24\nslices=24\n", r"24 slices are announced \(by ImageJ\), 4 found"),
        ("images=2\nslices=2\n", r"2 slices are announced \(by ImageJ\), 4 found"),
        ("slices=12\n", "12 slices are announced"),
        ("images=4\nslices=2\n", r"contradicts itself \(images=4, slices=2\)"),
        ("images=4\nslices=2\nframes=2\n", "2 slices, 2 times"),
        ("images=4\nchannels=2\nslices=2\n", "Export one channel"),
        ("images=4\nchannels=4\n", "4 channels"),
        ("images=four\n", "says images=four"),
        ("images=0\n", "says images=0"),
        ("images=-4\n", "says images=-4"),
        ("images=99999999999999999999999\n", "says images=9999"),
    ],
)
def test_what_imagej_announces_must_be_there(tmp_path, text, message):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, IMAGEJ + text)})
    with pytest.raises(ScanError, match=message):
        open_volume(path)


@pytest.mark.parametrize(
    "text", ["images=4\nslices=4\n", "images=4\nframes=4\n", "images=4\n", "", "images=1\n"]
)
def test_a_stack_that_imagej_announces_rightly_is_read(tmp_path, text):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, IMAGEJ + text)})
    np.testing.assert_array_equal(open_volume(path).read(0, 4), STACK)


OME = (
    '<?xml version="1.0"?><OME xmlns="http://www.openmicroscopy.org/Schemas/OME/2016-06"><Image ID="Image:0">'
    '<Pixels ID="Pixels:0" DimensionOrder="XYZCT" Type="uint8" SizeX="8" SizeY="6" {sizes}>{data}'
    "</Pixels></Image></OME>"
)
Z4 = 'SizeZ="4" SizeC="1" SizeT="1"'


@pytest.mark.parametrize(
    ("sizes", "data", "message"),
    [
        ('SizeZ="24" SizeC="1" SizeT="1"', "", r"24 slices are announced \(by OME\), 4 found"),
        ('SizeZ="24" SizeC="1" SizeT="1"', '<TiffData IFD="0" PlaneCount="4"/>', "only 4 slices are there"),
        ('SizeZ="2" SizeC="1" SizeT="1"', '<TiffData IFD="0" PlaneCount="2"/>', "announces 2 slices, but 4"),
        ('SizeZ="2" SizeC="2" SizeT="1"', "", "2 slices, 2 channels"),
        ('SizeZ="1" SizeC="4" SizeT="1"', "", "4 channels"),
        (Z4, '<TiffData IFD="1" PlaneCount="4"/>', "others than it names"),
        (Z4, '<TiffData IFD="0" FirstZ="3" PlaneCount="4"/>', "plane 7 of 4"),
        ('SizeZ="0"', "", "sizes of"),
        ('SizeZ="four"', "", "SizeZ='four'"),
        (Z4, '<TiffData IFD="0"><UUID FileName="b.tif">x</UUID></TiffData>', "several files"),
        (
            Z4,
            '<TiffData IFD="0"><UUID FileName="a.tif">x</UUID></TiffData>'
            '<TiffData FirstZ="1"><UUID FileName="b.tif">y</UUID></TiffData>',
            "several files",
        ),
    ],
)
def test_what_ome_announces_must_be_there(tmp_path, sizes, data, message):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, OME.format(sizes=sizes, data=data))})
    with pytest.raises(ScanError, match=message):
        open_volume(path)


def test_ome_may_name_the_pages_in_any_order(tmp_path):
    data = "".join(f'<TiffData IFD="{3 - z}" FirstZ="{z}" PlaneCount="1"/>' for z in range(4))
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, OME.format(sizes=Z4, data=data))})
    np.testing.assert_array_equal(open_volume(path).read(0, 4), STACK[::-1])


@pytest.mark.parametrize("text", [OME[:200], OME.format(sizes=Z4, data="<TiffData"), "<OME"])
def test_a_broken_ome_description_is_told(tmp_path, text):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, text)})
    with pytest.raises(ScanError, match="OME description"):
        open_volume(path)


def test_an_ome_description_with_entities_is_refused_at_once(tmp_path):
    lines = "".join(f'<!ENTITY l{i} "{f"&l{i - 1};" * 10}">' for i in range(1, 30))
    text = f'<?xml version="1.0"?><!DOCTYPE OME [<!ENTITY l0 "lol">{lines}]><OME>&l29;</OME>'
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, text)})
    with pytest.raises(ScanError, match="declares entities"):
        open_volume(path)


@pytest.mark.parametrize("shape", ["[24, 6, 8]", "[2, 6, 8]", "[2, 2, 6, 8]", "[3, 4, 6, 8]"])
def test_what_tifffile_announces_must_be_there(tmp_path, shape):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, f'{{"shape": {shape}}}')})
    with pytest.raises(ScanError, match=r"announced"):
        open_volume(path)


def signed(function):
    return IMAGEJ + f"images=4\nslices=4\ncf=0\n{function}\nvunit=Gray Value\n"


def test_signed_numbers_that_imagej_stores_with_an_offset_are_read_as_what_they_are(tmp_path):
    array = np.array([0, 1, 32767, 32768, 32769, 65535], np.uint16).reshape(1, 2, 3).repeat(4, axis=0)
    for order in "<>":
        path = stack(
            tmp_path / "a.tif",
            array=array,
            order=order,
            tag_258=(SHORT, 16),
            first={"tag_270": (TEXT, signed("c0=-32768.0\nc1=1.0"))},
        )
        volume = open_volume(path)
        assert volume.header.dtype == np.int16
        assert peek(path) == volume.header
        assert volume.read(3, 4).ravel().tolist() == [-32768, -32767, -1, 0, 1, 32767]


@pytest.mark.parametrize("function", ["c0=0\nc1=1", "c0=0.0\nc1=1.0\n", "c0=0,0\nc1=1,0"])
def test_a_calibration_that_changes_nothing_is_read(tmp_path, function):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, signed(function))})
    np.testing.assert_array_equal(open_volume(path).read(0, 4), STACK)


@pytest.mark.parametrize("function", ["c0=-1000\nc1=2.5", "c0=-32768\nc1=2", "c0=a\nc1=1", "c1=1\nc2=0.1"])
def test_other_calibrations_of_grey_values_are_refused(tmp_path, function):
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, signed(function))})
    with pytest.raises(ScanError, match=r"calibrated by a function of ImageJ \(cf=0, c.*Function: None"):
        open_volume(path)


@pytest.mark.parametrize(
    ("spacing", "expected"),
    [
        ("0,0195", (0.0195, 0.5, 0.5)),
        ("0.0195", (0.0195, 0.5, 0.5)),
        ("1.234,5", None),
        ("wide", None),
        ("inf", None),
        ("", None),
    ],
)
def test_a_spacing_with_a_decimal_comma_is_that_number_and_nonsense_is_unknown(tmp_path, spacing, expected):
    text = IMAGEJ + f"images=4\nslices=4\nunit=mm\nspacing={spacing}\n"
    resolution = {"tag_282": (RATIONAL, 2, 1), "tag_283": (RATIONAL, 2, 1), "tag_296": (SHORT, 1)}
    path = stack(tmp_path / "a.tif", first={"tag_270": (TEXT, text), **resolution})
    assert peek(path).voxel_size == expected


@pytest.mark.parametrize(
    ("x", "unit", "expected"),
    [
        ((2, 1), 4, (0.5, "mm")),
        ((2, 1), 5, (0.5, "um")),
        ((1000, 1), 3, (0.001, "cm")),
        ((0, 1), 3, None),
        ((1, 0), 3, None),
        ((0, 0), 2, None),
    ],
)
def test_resolutions_and_their_units(tmp_path, x, unit, expected):
    path = stack(tmp_path / "a.tif", tag_282=(RATIONAL, *x), tag_283=(RATIONAL, *x), tag_296=(SHORT, unit))
    found = peek(path)
    if expected is None:
        assert found.voxel_size is None
    else:
        assert (found.voxel_size, found.unit) == ((expected[0],) * 3, expected[1])


def test_every_tag_that_the_reader_names_stands_in_the_document():
    source = (Path(__file__).parents[2] / "bone_backend" / "volumes" / "tiff" / "tags.py").read_text("utf-8")
    told = set(re.findall(r"^\| [^|]+ \| (\d+)", FORMATS.read_text("utf-8"), re.MULTILINE))
    named = set(re.findall(r"tag (\d{3,5})", source)) | set(re.findall(r"^    (\d{3,5}): \(\"", source, re.M))
    assert len(named) > 15
    assert named <= told
