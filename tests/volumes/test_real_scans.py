"""The real scans of shared/data: shapes and voxel sizes of their README, patches equal to tifffile's."""

from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume, peek, save

DATA = Path(__file__).parents[3] / "shared" / "data"
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="the real scans (../shared/data) are not there")

KNOWN = [
    ("lhdl_trab_a/images", (140, 200, 200), "uint8", None),
    ("lhdl_trab_a/masks", (140, 200, 200), "uint8", None),
    ("mouse_femur/mouse_femur_image.tif", (103, 49, 63), "uint8", 50.0),
    ("tooth/tooth_image.tif", (161, 94, 103), "uint16", None),
    ("tooth/tooth_mask.tif", (161, 94, 103), "uint8", None),
    ("mouse_skull_c57bl6/mouse_skull_c57bl6_image.tif", (147, 170, 170), "uint8", 141.1),
    ("mouse_skull_c57bl6/mouse_skull_c57bl6_mask.tif", (147, 170, 170), "uint8", 141.1),
]


@pytest.mark.parametrize(("name", "shape", "dtype", "voxel_um"), KNOWN)
def test_shape_dtype_and_voxel_size(name, shape, dtype, voxel_um):
    header = peek(DATA / name)
    assert header.shape == shape
    assert header.dtype == dtype
    assert header.voxel_size_um == (None if voxel_um is None else pytest.approx((voxel_um,) * 3))
    assert open_volume(DATA / name).header == header


@pytest.mark.parametrize("name", [known[0] for known in KNOWN])
def test_patches_equal_what_tifffile_reads(tmp_path, name):
    path = DATA / name
    reference = tifffile.imread(sorted(path.iterdir()) if path.is_dir() else path)
    with open_volume(path) as volume:
        np.testing.assert_array_equal(volume.read(0, len(reference)), reference)
        source = open_source(volume, folder=tmp_path)
        rng = np.random.default_rng(0)
        out = np.empty((32, 24), reference.dtype)
        for _ in range(50):
            z, y, x = rng.integers(0, np.subtract(reference.shape, (0, 32, 24)))
            np.testing.assert_array_equal(
                source.read_patch(z, y, x, out=out), reference[z, y : y + 32, x : x + 24]
            )


def test_a_copy_has_the_same_voxel_size(tmp_path):
    with open_volume(DATA / KNOWN[2][0]) as volume:
        save(tmp_path / "copy.tif", volume)
        save(tmp_path / "copy", volume)
        for path in (tmp_path / "copy.tif", tmp_path / "copy"):
            assert peek(path).voxel_size == volume.header.voxel_size == (50, 50, 50)
