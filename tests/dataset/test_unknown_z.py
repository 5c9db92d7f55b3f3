"""A voxel size along z that a file does not say is unknown: not compared, and not written as if known."""

import numpy as np
import pytest
import tifffile

from bone_backend.dataset.checks import pair_faults
from bone_backend.errors import ScanError
from bone_backend.jobs.run import run_here
from bone_backend.volumes.volume import open_volume, peek, save

SHAPE = (4, 12, 10)


@pytest.fixture
def scan(tmp_path):
    """Slices 50 um apart, of pixels of 20 um."""
    save(tmp_path / "scan.tif", np.arange(480, dtype=np.uint16).reshape(SHAPE), voxel_size=(50, 20, 20))
    return tmp_path / "scan.tif"


@pytest.fixture
def mask(tmp_path):
    """Slices that say 20 um along x and y, and nothing of z."""
    (tmp_path / "mask").mkdir()
    for z in range(4):
        file = tmp_path / "mask" / f"m_{z}.tif"
        plane = np.full(SHAPE[1:], z % 2, np.uint8)
        tifffile.imwrite(file, plane, resolution=(1 / 0.002, 1 / 0.002), resolutionunit="CENTIMETER")
    return tmp_path / "mask"


def test_such_a_mask_fits_its_scan(scan, mask):
    assert not peek(mask).is_z_told
    with open_volume(scan) as one, open_volume(mask) as other:
        assert pair_faults(one, other, number=1) == []
    save(scan.with_name("labels.tif"), np.zeros(SHAPE, np.uint8), voxel_size=(50, 20, 20))
    labels = str(scan.with_name("labels.tif"))
    assert run_here("iou", {"reference": str(mask), "prediction": labels})["voxels"] == 480


def test_x_and_y_still_count(scan, mask):
    save(scan.with_name("labels.tif"), np.zeros(SHAPE, np.uint8), voxel_size=(50, 21, 21))
    with pytest.raises(ScanError, match="its voxels are"):
        run_here("iou", {"reference": str(mask), "prediction": str(scan.with_name("labels.tif"))})


def test_the_guess_is_no_statement_of_what_is_written(mask, tmp_path):
    for name in ("a.tif", "b", "c.png"):
        found = run_here("convert", {"source": str(mask), "output": str(tmp_path / name)})
        assert found["lost"] == found["made_up"] == []
        assert not peek(tmp_path / name).is_z_told
        assert peek(tmp_path / name).voxel_size_um == pytest.approx((20, 20, 20))
    found = run_here("convert", {"source": str(mask), "output": str(tmp_path / "d.nii")})
    assert any("along z" in thing for thing in found["made_up"])
