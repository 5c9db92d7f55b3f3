"""One line where a scan's voxels are not those of the model's scans."""

import math

import pytest

from bone_backend.inference.voxel_size import advice

TEN = [(10.0, 10.0, 10.0)]


@pytest.mark.parametrize(
    ("sizes", "scan", "mode", "told"),
    [
        (TEN, (20.0, 20.0, 20.0), "2D", "voxels of 10 um, this scan has 20 um"),
        (TEN, (4.0, 4.0, 4.0), "3D", "voxels of 10 um, this scan has 4 um"),
        ([*TEN, (14.0, 14.0, 14.0)], (20.0, 20.0, 20.0), "3D", "voxels of 10 to 14 um, this scan has 20 um"),
        (TEN, (30.0, 10.0, 10.0), "3D", "voxels of 10 um, this scan has 30 x 10 x 10 um (z, y, x)"),
        (TEN, (30.0, 10.0, 10.0), "2.5D", "this scan has 30 x 10 x 10 um (z, y, x)"),
        (TEN, (10.0, 20.0, 10.0), "2D", "voxels of 10 um, this scan has 20 x 10 um (y, x)"),
        ([(40.0, 10.0, 10.0)], (40.0, 40.0, 40.0), "3D", "40 x 10 x 10 um (z, y, x), this scan has 40 um"),
    ],
)
def test_another_size_is_told_with_both(sizes, scan, mode, told):
    found = advice(sizes, scan, mode=mode)
    assert told in found
    assert found.endswith("; if the labels are poor, try --resample.")


@pytest.mark.parametrize(
    ("sizes", "scan", "mode"),
    [
        (TEN, (10.0, 10.0, 10.0), "3D"),
        (TEN, (12.0, 12.0, 12.0), "3D"),  # within what specimens vary by
        ([*TEN, (20.0, 20.0, 20.0)], (15.0, 15.0, 15.0), "3D"),  # between those of the fit
        (TEN, (30.0, 10.0, 10.0), "2D"),  # a 2D network does not see the distance of slices
        (TEN, None, "2D"),
        ([None], (20.0, 20.0, 20.0), "2D"),
        (None, (20.0, 20.0, 20.0), "2D"),
    ],
)
def test_nothing_is_said_where_sizes_are_alike_or_unknown(sizes, scan, mode):
    assert advice(sizes, scan, mode=mode) == ""


@pytest.mark.parametrize(
    "damaged",
    [
        "10",
        10,
        {"z": 10},
        [10],
        [["a", 1, 1]],
        [(0, 10, 10)],
        [(math.nan, 1, 1)],
        [(math.inf, 1, 1)],
        [(True, 1, 1)],
    ],
)
def test_what_a_foreign_file_says_instead_of_sizes_is_passed_over(damaged):
    assert advice(damaged, (20.0, 20.0, 20.0), mode="3D") == ""
