"""A mask on its scan's grid by their places in the patient: as SimpleITK resamples it, or refused."""

import itertools
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import ScanError
from bone_backend.progress import silent
from bone_backend.volumes.medical.matching import MatchedVolume, on_grid_of
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume, peek

SimpleITK = pytest.importorskip("SimpleITK")

SHAPE = (6, 8, 10)
LABELS = np.random.default_rng(5).integers(0, 4, SHAPE).astype(np.uint8)
REAL = Path(__file__).parents[3] / "shared" / "data" / "clinical"


def scan_at(path):
    image = SimpleITK.GetImageFromArray(LABELS.astype(np.int16))
    image.SetSpacing((0.5, 0.75, 2.0))
    image.SetOrigin((5, -7, 11))
    image.SetDirection((0.8, 0, -0.6, 0, 1, 0, 0.6, 0, 0.8))
    SimpleITK.WriteImage(image, str(path))
    return image


def reordered(image, axes, flips):
    labels = SimpleITK.Cast(image, SimpleITK.sitkUInt8)
    return SimpleITK.Flip(SimpleITK.PermuteAxes(labels, axes), flips)


WAYS = [*itertools.product(itertools.permutations(range(3)), itertools.product((False, True), repeat=3))]


def test_every_turn_by_right_angles_is_undone(tmp_path):
    image = scan_at(tmp_path / "scan.nii")
    with open_volume(tmp_path / "scan.nii") as scan:
        for number, (axes, flips) in enumerate(WAYS):
            path = tmp_path / f"mask_{number}.nii.gz"
            SimpleITK.WriteImage(reordered(image, axes, flips), str(path))
            with on_grid_of(open_volume(path), scan.header) as mask:
                np.testing.assert_array_equal(mask.read(0, 6), LABELS)
                np.testing.assert_array_equal(mask.read(2, 5), LABELS[2:5])
                assert isinstance(mask, MatchedVolume) == (number > 0)
                with open_source(mask, folder=tmp_path / "cache", progress=silent) as source:
                    np.testing.assert_array_equal(source.read_slice(1), LABELS[1])
    assert number == 47


def test_a_flipped_mask_and_the_same_file_as_it_is_are_unpacked_apart(tmp_path):
    image = scan_at(tmp_path / "scan.nii")
    SimpleITK.WriteImage(reordered(image, (0, 1, 2), (False, True, False)), str(tmp_path / "mask.nii.gz"))
    with open_volume(tmp_path / "scan.nii") as scan, open_volume(tmp_path / "mask.nii.gz") as plain:
        matched = on_grid_of(open_volume(tmp_path / "mask.nii.gz"), scan.header)
        assert matched.in_words() == "y turned over"
        for volume, wanted in ((plain, LABELS[2, ::-1]), (matched, LABELS[2])):
            with open_source(volume, folder=tmp_path / "cache", progress=silent) as source:
                np.testing.assert_array_equal(source.read_slice(2), wanted)
        matched.close()


def test_a_larger_mask_is_cut_and_whatever_is_not_exact_is_refused(tmp_path):
    image = SimpleITK.Cast(scan_at(tmp_path / "whole.nii"), SimpleITK.sitkUInt8)
    part = image[2:9, 1:7, 1:5]
    SimpleITK.WriteImage(part, str(tmp_path / "part.mha"))
    with open_volume(tmp_path / "part.mha") as scan, open_volume(tmp_path / "whole.nii") as mask:
        np.testing.assert_array_equal(on_grid_of(mask, scan.header).read(0, 4), LABELS[1:5, 1:7, 2:9])
        with pytest.raises(ScanError, match=r"the scan reaches beyond its mask.*Mask: .*Scan: "):
            on_grid_of(scan, mask.header)
    image.SetOrigin([value + 0.2 for value in image.GetOrigin()])
    SimpleITK.WriteImage(image, str(tmp_path / "beside.nii"))
    scan, mask = peek(tmp_path / "whole.nii"), open_volume(tmp_path / "beside.nii")
    with mask, pytest.raises(ScanError, match="no voxel of one lies on a voxel of the other"):
        on_grid_of(mask, scan)


@pytest.mark.skipif(not REAL.is_dir(), reason="the public scans are not beside this checkout")
def test_the_labels_of_the_body_lie_on_its_ct():
    mask = SimpleITK.ReadImage(str(REAL / "example_seg_dicom.nii.gz"))
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(REAL / "body_ct_dicom")))
    wanted = SimpleITK.Resample(mask, reader.Execute(), SimpleITK.Transform(), SimpleITK.sitkNearestNeighbor)
    labels = open_volume(REAL / "example_seg_dicom.nii.gz")
    with on_grid_of(labels, peek(REAL / "body_ct_dicom")) as found:
        assert found.in_words() == "y turned over"
        np.testing.assert_array_equal(found.read(0, 20), SimpleITK.GetArrayFromImage(wanted))
