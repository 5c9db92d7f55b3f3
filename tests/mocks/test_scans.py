"""Phantom scans: the same voxels for any slab, labels that are known, switches that do what they say."""

from __future__ import annotations

import subprocess
import sys
import time
import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from bone_backend.volumes.volume import open_volume
from mocks.artefacts import kernel, noise, step_gain
from mocks.random_fields import Field, spline_matrix
from mocks.scans import Phantom, main, write

CHECKOUT = Path(__file__).resolve().parents[2]
PLAIN = Phantom(shape=(24, 64, 64), seed=7)
STILL = replace(PLAIN, noise=0.0, rings=0.0, beam_hardening=0.0)  # nothing but material and blur


@pytest.fixture(scope="module")
def plain() -> tuple[np.ndarray, np.ndarray]:
    return PLAIN.whole()


def bone_iou_of_otsu(scan: np.ndarray, mask: np.ndarray) -> float:
    """Bone IoU of the best that one threshold can do by Otsu's rule, on voxels inside the field of view."""
    counts = np.bincount(scan[scan > 0].ravel()).astype(float)
    weight, first = np.cumsum(counts), np.cumsum(counts * np.arange(len(counts)))
    below, above = weight[:-1], weight[-1] - weight[:-1]
    gap = first[:-1] / np.maximum(below, 1) - (first[-1] - first[:-1]) / np.maximum(above, 1)
    bone = scan > np.argmax(below * above * gap**2)
    return float((bone & (mask == 1)).sum() / (bone | (mask == 1)).sum())


@pytest.mark.parametrize("slices", [1, 5, 24])
def test_slabs_of_any_size_give_the_same_voxels(plain, slices):
    parts = list(PLAIN.slabs(slices))
    np.testing.assert_array_equal(np.concatenate([scan for scan, _ in parts]), plain[0])
    np.testing.assert_array_equal(np.concatenate([mask for _, mask in parts]), plain[1])


def test_slices_made_backwards_are_the_same(plain):
    for z in (23, 11, 12, 0):
        scan, mask = PLAIN.slab(z, z + 1)
        np.testing.assert_array_equal(scan[0], plain[0][z])
        np.testing.assert_array_equal(mask[0], plain[1][z])


def test_a_new_process_makes_the_same_phantom(plain):
    code = (
        "import zlib; from mocks.scans import Phantom\n"
        "parts = Phantom(shape=(24, 64, 64), seed=7).slab(9, 14)\n"
        "print(*(zlib.crc32(part.tobytes()) for part in parts))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=CHECKOUT, capture_output=True, text=True, check=True
    )
    assert done.stdout.split() == [str(zlib.crc32(part[9:14].tobytes())) for part in plain]


def test_another_seed_is_another_bone(plain):
    scan, mask = replace(PLAIN, seed=8).whole()
    assert np.mean(mask != plain[1]) > 0.05
    assert np.mean(scan != plain[0]) > 0.5


def test_labels_are_background_bone_and_pores_in_the_proportions_of_a_femur(plain):
    share = np.bincount(plain[1].ravel(), minlength=3) / plain[1].size
    assert len(share) == 3
    assert 0.5 < share[0] < 0.85
    assert 0.08 < share[1] < 0.3
    assert 0.08 < share[2] < 0.3


def test_the_shaft_is_a_closed_cortex_around_an_empty_marrow_cavity():
    middle = replace(PLAIN, shape=(50, 64, 64)).slab(48, 49)[1][0][32]
    runs = middle[np.flatnonzero(np.diff(middle, prepend=255))].tolist()
    assert runs == [0, 1, 2, 1, 0]


def test_the_drill_hole_opens_the_cortex():
    """Background touches pores over several voxels only where the hole is (canals open by one or two)."""

    def opening(mask: np.ndarray) -> int:
        return int(
            ((mask[1:] == 0) & (mask[:-1] == 2)).sum() + ((mask[:-1] == 0) & (mask[1:] == 2)).sum()
        ) + int(
            ((mask[:, 1:] == 0) & (mask[:, :-1] == 2)).sum()
            + ((mask[:, :-1] == 0) & (mask[:, 1:] == 2)).sum()
        )

    phantom = Phantom(shape=(100, 128, 128), seed=2)
    hole, shaft = phantom.slab(61, 62)[1][0], phantom.slab(90, 91)[1][0]
    assert opening(hole) > 10 > 3 * opening(shaft)


def test_the_growth_plate_is_a_layer_without_bone_that_crosses_it():
    phantom = Phantom(shape=(80, 96, 96), seed=1)
    _, mask = phantom.whole()
    column = mask[:, 40:56, 40:56].reshape(80, -1)
    bone_by_height = (column == 1).mean(axis=1)
    near = slice(int(80 * 0.22), int(80 * 0.38))
    assert bone_by_height[near].max() > 0.3  # the bony plate under it
    assert bone_by_height[near].min() < 0.1  # the cartilage


def test_bone_is_brighter_than_marrow_and_marrow_brighter_than_nothing(plain):
    scan, mask = plain
    assert scan[mask == 1].mean() > 2 * scan[mask == 2].mean()
    assert scan[:, 0, 0].max() == 0  # outside the reconstructed circle
    assert scan[mask > 0].min() >= 1


def test_one_threshold_does_not_solve_it_and_the_difficult_one_far_less(plain):
    assert 0.5 < bone_iou_of_otsu(*plain) < 0.92
    hard = replace(PLAIN, contrast=0.45, noise=0.08, rings=0.05)
    assert bone_iou_of_otsu(*hard.whole()) < bone_iou_of_otsu(*plain) - 0.1


@pytest.mark.parametrize(("bits", "dtype"), [(8, np.uint8), (16, np.uint16)])
def test_bits_choose_the_number_format_and_its_range(bits, dtype):
    scan, mask = replace(PLAIN, bits=bits).slab(10, 14)
    assert scan.dtype == dtype
    assert mask.dtype == np.uint8
    assert 0.4 < scan.max() / np.iinfo(dtype).max < 1.0


def test_difficulties_leave_the_labels_as_they_are(plain):
    hard = replace(PLAIN, bits=16, contrast=0.3, steps=3, beam_hardening=0.4, rings=0.1, noise=0.2, blur=2.0)
    np.testing.assert_array_equal(hard.whole()[1], plain[1])


def test_contrast_scales_the_distance_between_bone_and_its_surroundings():
    mask = STILL.whole()[1]
    gaps = []
    for contrast in (1.0, 0.4):
        scan = replace(STILL, contrast=contrast, bits=16).whole()[0].astype(float)
        gaps.append(scan[mask == 1].mean() - scan[mask == 2].mean())
    assert gaps[1] / gaps[0] == pytest.approx(0.4, abs=0.001)


def test_steps_multiply_the_brightness_of_whole_parts():
    before = replace(STILL, bits=16).whole()[0].astype(float)
    after = replace(STILL, bits=16, steps=2, step_height=0.1).whole()[0].astype(float)
    seen = before[0] > 5000
    ratio = [np.median(after[z][seen] / before[z][seen]) for z in range(24)]
    assert len(set(np.round(ratio, 2))) == 3
    assert 0.03 < np.ptp(ratio) <= 0.21
    jumps = np.flatnonzero(np.abs(np.diff(ratio)) > 0.02)
    assert len(jumps) == 2


def test_beam_hardening_darkens_the_inside_but_not_the_rim():
    plain, cupped = (
        replace(STILL, bits=16, beam_hardening=b).slab(18, 19)[0][0].astype(float) for b in (0.0, 0.3)
    )
    mask = STILL.slab(18, 19)[1][0]
    ratio = np.where(plain > 0, cupped / np.maximum(plain, 1), 1.0)
    assert ratio[mask == 0].min() > 0.99
    assert ratio[32, 32] == pytest.approx(0.7, abs=0.06)


def test_rings_depend_on_the_distance_from_the_middle_alone():
    without, rings = (replace(STILL, bits=16, rings=r).slab(2, 3)[0][0].astype(float) for r in (0.0, 0.05))
    change = rings - without
    y, x = np.mgrid[:64, :64] - 31.5
    radius = np.rint(np.hypot(y, x)).astype(int)
    inside = (radius < 30) & (without > 2000)
    spread = [np.ptp(change[inside & (radius == r)]) for r in range(5, 29)]
    assert max(spread) <= 2  # rounding
    assert np.ptp(change[inside]) > 1000


def test_noise_has_the_strength_that_was_asked_for():
    quiet, loud = (replace(STILL, bits=16, noise=n).slab(4, 8)[0].astype(float) for n in (0.0, 0.02))
    grain = (loud - quiet)[quiet > 5000] / 65535 * 1.2
    assert grain.std() == pytest.approx(0.02, rel=0.03)
    assert grain.mean() == pytest.approx(0.0, abs=0.0005)


def test_blur_lowers_the_steepest_edge():
    steep = [
        np.abs(np.diff(replace(STILL, blur=b).slab(18, 19)[0][0].astype(float))).max()
        for b in (0.0, 0.75, 2.0)
    ]
    assert steep[0] > 1.2 * steep[1] > 1.4 * steep[2]


def test_two_bones_lie_close_together_and_do_not_touch():
    scipy_label = pytest.importorskip("scipy.ndimage")
    for seed in range(4):
        _, mask = Phantom(shape=(32, 96, 96), seed=seed, two_bones=True).whole()
        parts, count = scipy_label.label(mask > 0, structure=np.ones((3, 3, 3)))
        sizes = np.bincount(parts.ravel())[1:]
        large, small = np.argsort(sizes)[::-1][:2] + 1
        assert sizes[small - 1] > 0.3 * sizes[large - 1]
        assert sizes.sum() - sizes[[large - 1, small - 1]].sum() < 0.001 * sizes.sum(), f"{count} parts"
        gap = scipy_label.distance_transform_edt(parts != large)[parts == small].min()
        assert 1.4 < gap < 6.1


def test_wrong_shapes_and_bits_are_refused():
    with pytest.raises(ValueError, match="at least"):
        Phantom(shape=(4, 64, 64))
    with pytest.raises(ValueError, match="8 or 16"):
        Phantom(bits=12)


def test_a_written_phantom_reads_back_with_its_voxel_size(tmp_path, plain):
    scan_path, mask_path = write(tmp_path / "with blank", replace(PLAIN, voxel_size_um=7.5))
    for path, voxels in zip((scan_path, mask_path), plain, strict=True):
        with open_volume(path) as volume:
            np.testing.assert_array_equal(volume.read(0, 24), voxels)
            assert volume.header.voxel_size_um == pytest.approx((7.5, 7.5, 7.5))


def test_the_command_writes_scan_and_mask_and_tells_faults_in_one_line(tmp_path, capsys):
    out = tmp_path / "out"
    assert main([str(out), "--shape", "8", "32", "40", "--seed", "3", "--two-bones"]) == 0
    assert capsys.readouterr().out.splitlines() == [str(out / "scan"), str(out / "mask")]
    assert len(list((out / "mask").iterdir())) == 8
    assert main([str(out), "--bits", "12"]) == 1
    assert capsys.readouterr().err.count("\n") == 1


def test_five_million_voxels_take_seconds_not_minutes():
    phantom = Phantom(shape=(64, 288, 288), seed=1)
    phantom.slab(0, 1)
    start = time.thread_time()  # not the clock: the machine may be busy with other things
    phantom.whole()
    assert time.thread_time() - start < 5.0  # alone on a machine: 0.4


def test_a_kernel_sums_to_one_and_is_symmetric():
    taps = kernel(0.75)
    assert taps.sum() == pytest.approx(1.0)
    np.testing.assert_allclose(taps, taps[::-1])
    assert len(taps) == 5


def test_spline_weights_sum_to_one_everywhere():
    np.testing.assert_allclose(spline_matrix(50, 3.7).sum(axis=1), 1.0, atol=1e-6)


def test_a_field_has_mean_0_and_standard_deviation_1_and_is_smooth():
    field = Field(1, 1, (40, 200, 200), wavelength=(4.0, 4.0, 4.0))
    values = np.stack([field.slice(z) for z in range(40)])
    assert values.mean() == pytest.approx(0.0, abs=0.03)
    assert values.std() == pytest.approx(1.0, abs=0.04)
    assert np.diff(values, axis=0).std() == pytest.approx(np.diff(values, axis=1).std(), rel=0.05)
    assert np.diff(values, axis=0).std() < 0.35


def test_noise_has_standard_deviation_1():
    assert noise(3, 5, (300, 300)).std() == pytest.approx(1.0, abs=0.01)


def test_no_steps_change_nothing():
    assert step_gain(0, 5, 10, steps=0, height=0.5) == 1.0
