"""Voxel sizes as ImageJ, OME, tifffile and scanners write them."""

import numpy as np
import pytest
import tifffile

from bone_backend.errors import OutputError, ScanError
from bone_backend.volumes.header import Header, known_unit
from bone_backend.volumes.tiff.calibration import resolution
from bone_backend.volumes.volume import create, peek

STACK = np.zeros((3, 4, 5), np.uint8)


def written(tmp_path, **how):
    path = tmp_path / how.pop("name", "a.tif")
    tifffile.imwrite(path, how.pop("array", STACK), **how)
    return peek(path)


@pytest.mark.parametrize("unit", ["um", "µm", "μm", "micron", "\\u00B5m", "microns"])
@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
def test_imagej_spellings_of_the_micrometre(tmp_path, unit, encoding):
    text = f"ImageJ=1.53t\nimages=3\nslices=3\nunit={unit}\nspacing=7.5\nloop=false\n"
    header = written(
        tmp_path,
        description=text.encode(encoding, "ignore") if unit == "µm" else text.encode(),
        metadata=None,
        resolution=(1 / 5, 1 / 5),
        resolutionunit=1,
        photometric="minisblack",
    )
    assert header.unit == "um"
    assert header.voxel_size == pytest.approx((7.5, 5, 5))


@pytest.mark.parametrize(
    ("text", "unit", "factor"),
    [
        ("mm", "mm", 1),
        ("inch", "inch", 1),
        ("Å", "nm", 0.1),
        ("pixel", "", 1),
        (None, "", 1),
        ("furlong", "", 1),
    ],
)
def test_spellings_of_other_units(text, unit, factor):
    assert known_unit(text) == (unit, factor)


def test_imagej_x_and_y_differ(tmp_path):
    header = written(
        tmp_path, imagej=True, resolution=(1 / 2, 1 / 4), metadata={"axes": "ZYX", "spacing": 8, "unit": "mm"}
    )
    assert (header.voxel_size, header.unit) == ((8, 4, 2), "mm")


def test_imagej_pixel_means_unknown(tmp_path):
    header = written(
        tmp_path, imagej=True, resolution=(1, 1), metadata={"axes": "ZYX", "spacing": 1.0, "unit": "pixel"}
    )
    assert header.voxel_size is None


def test_imagej_without_unit_keeps_the_ratio(tmp_path):
    header = written(tmp_path, imagej=True, resolution=(1, 1), metadata={"axes": "ZYX", "spacing": 2.5})
    assert (header.voxel_size, header.unit) == ((2.5, 1, 1), "")
    assert header.voxel_size_um is None


def test_imagej_of_another_hand(tmp_path):
    """As Fiji writes it, with an origin in pixels."""
    text = "ImageJ=1.53t\nimages=3\nslices=3\nunit=\\u00B5m\nspacing=-3.5\nxorigin=-10\nloop=false\n"
    header = written(
        tmp_path,
        description=text,
        metadata=None,
        resolution=((1, 2), (1, 2)),
        resolutionunit=1,
        photometric=1,
    )
    assert header.voxel_size == (3.5, 2, 2)
    assert header.origin == (0, 0, 20)


@pytest.mark.parametrize(
    ("sizes", "expected", "unit"),
    [
        ({"PhysicalSizeX": 2.0, "PhysicalSizeY": 3.0, "PhysicalSizeZ": 4.0}, (4, 3, 2), "um"),
        (
            {"PhysicalSizeX": 0.5, "PhysicalSizeXUnit": "mm", "PhysicalSizeY": 500, "PhysicalSizeZ": 700},
            (0.7, 0.5, 0.5),
            "mm",
        ),
        ({"PhysicalSizeX": 2.0, "PhysicalSizeY": 2.0}, (2, 2, 2), "um"),
        ({"PhysicalSizeX": 2.0, "PhysicalSizeY": 3.0}, None, "um"),
        ({"PhysicalSizeX": 2.0, "PhysicalSizeXUnit": "pixel", "PhysicalSizeY": 2.0}, None, "um"),
    ],
)
def test_ome(tmp_path, sizes, expected, unit):
    header = written(tmp_path, name="a.ome.tif", metadata={"axes": "ZYX", **sizes}, photometric="minisblack")
    assert header.name == "a"
    assert header.unit == unit
    assert header.voxel_size == (None if expected is None else pytest.approx(expected))


@pytest.mark.parametrize(
    ("per_unit", "unit", "expected"),
    [
        ((1000, 1000), "CENTIMETER", (1e-3, 1e-3, 1e-3)),
        ((72, 72), "INCH", None),
        ((96, 96), "INCH", None),
        ((300, 300), "INCH", None),
        ((28.35, 28.35), "CENTIMETER", None),
        ((118.11, 118.11), "CENTIMETER", None),
        ((2540, 2540), "INCH", (1 / 2540, 1 / 2540, 1 / 2540)),
        ((1, 1), "NONE", None),
        ((1000, 2000), "CENTIMETER", None),  # z could be either
    ],
)
def test_plain_resolution_tags(tmp_path, per_unit, unit, expected):
    header = written(
        tmp_path, resolution=per_unit, resolutionunit=unit, metadata=None, photometric="minisblack"
    )
    assert header.voxel_size == (None if expected is None else pytest.approx(expected, rel=1e-6))
    if expected:
        assert header.unit == {"CENTIMETER": "cm", "INCH": "inch"}[unit]


def test_a_resolution_of_zero_is_unknown(tmp_path):
    assert written(tmp_path, resolution=((0, 1), (0, 1)), metadata=None, photometric=1).voxel_size is None


def test_slices_of_a_folder_carry_the_z_spacing(tmp_path):
    header = Header("scan", (3, 4, 5), np.dtype("u1"), (12.5, 5.0, 4.0), "um", (1.0, 2.0, 3.0))
    with create(tmp_path / "scan", header) as writer:
        writer.write(STACK)
    found = peek(tmp_path / "scan")
    assert found.voxel_size == pytest.approx((12.5, 5, 4))
    assert found.origin == pytest.approx((1, 2, 3))


def test_a_folder_with_resolution_alone_is_taken_as_isotropic(tmp_path):
    for z in range(3):
        tifffile.imwrite(
            tmp_path / f"s{z}.tif", STACK[z], resolution=(1000, 1000), resolutionunit="CENTIMETER"
        )
    assert peek(tmp_path).voxel_size == pytest.approx((1e-3, 1e-3, 1e-3))


def test_rationals_are_the_ones_a_person_would_write():
    def rationals(size):
        return resolution(Header("scan", (2, 2, 2), np.dtype("u1"), (1.0, 1.0, size)))[0]

    assert rationals(141.1) == (10, 1411)
    assert rationals(0.0195) == (2000, 39)
    assert rationals(4) == (1, 4)
    with pytest.raises(OutputError, match="another unit"):
        rationals(1e-12)


@pytest.mark.parametrize("size", [(0, 1, 1), (-1, 1, 1), (float("nan"), 1, 1), (1, 1)])
def test_a_voxel_size_is_three_lengths(size):
    with pytest.raises(ScanError, match="three lengths above 0"):
        Header("scan", (2, 2, 2), np.dtype("u1"), size)


def test_a_header_refuses_other_shapes_and_units():
    with pytest.raises(ScanError, match=r"a volume is \(z, y, x\)"):
        Header("scan", (2, 2), np.dtype("u1"))
    with pytest.raises(ScanError, match='unit "pixel"'):
        Header("scan", (2, 2, 2), np.dtype("u1"), (1, 1, 1), "pixel")
