"""The two tissues where they meet: alike whatever else is in the field of view, by hand and in real scans."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy import ndimage

from bone_backend.intensity import edges
from bone_backend.intensity.edges import Beside, darker_median, near_edges
from bone_backend.intensity.normalisation import normalisation, scale_notes
from bone_backend.intensity.statistics import measure, measure_job
from bone_backend.intensity.summary import Statistics
from bone_backend.progress import silent
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import open_volume, save

DATA = Path(__file__).parents[3] / "shared" / "data"
AIR, SOFT, BONE = 20.0, 40.0, 160.0


def scan(*, wide: int = 0, air: float = AIR, air_noise: float = 3.0, noise: float = 3.0) -> np.ndarray:
    """uint16 (12, 96 + 2 * wide, ...): a tube of bone in soft tissue, in as much air as wanted."""
    random = np.random.default_rng(0)
    y, x = np.mgrid[:96, :96] - 47.5
    radius = np.hypot(y, x)
    inner = np.where((radius > 16) & (radius < 22), BONE, np.where(radius < 44, SOFT, air))
    slice_ = np.pad(ndimage.gaussian_filter(inner, 0.7), wide, constant_values=air)
    spread = np.where(np.pad(radius, wide, constant_values=99) < 44, noise, air_noise)
    greys = slice_ + random.normal(0, 1, (12, *slice_.shape)) * spread
    return greys.round().clip(0, 65535).astype(np.uint16)


KINDS = pytest.mark.parametrize("kind", ["edges", "edge_tissues"])


def found(greys: np.ndarray, kind: str = "edge_tissues") -> tuple[float, float]:
    low, high = getattr(measure(ArrayVolume(greys)), kind)
    return low, high


@KINDS
def test_the_two_sides_of_the_surface_of_bone_are_found(kind):
    low, high = found(scan(), kind)
    assert low == pytest.approx(SOFT, abs=8)
    assert high == pytest.approx(BONE, abs=20)


@KINDS
@pytest.mark.parametrize(
    "other",
    [
        scan(wide=100),
        scan(wide=100, air=0, air_noise=0),
        scan(wide=10, noise=6, air_noise=6),
        scan()[:, 20:76, 20:76],
    ],
    ids=["much air", "a border of 0", "noise", "a crop"],
)
def test_what_else_is_seen_moves_them_little(other, kind):
    """By a tenth of the distance of the tissues at most."""
    before, after = found(scan(), kind), found(other, kind)
    assert np.abs(np.subtract(before, after)).max() < 0.1 * (before[1] - before[0])


def test_means_over_all_voxels_are_not_as_steady():
    tissues = [measure(ArrayVolume(greys)).tissues for greys in (scan(), scan(wide=100))]
    assert tissues[0].low - tissues[1].low > 0.1 * (tissues[0].high - tissues[0].low)


@KINDS
def test_metal_and_hot_pixels_move_them_little(kind):
    greys = scan()
    before = found(greys, kind)
    greys[:, 40:44, 4:8] = 3000
    greys[5, ::40, ::40] = 65535
    assert np.abs(np.subtract(before, found(greys, kind))).max() < 0.1 * (before[1] - before[0])


@KINDS
@pytest.mark.parametrize("dtype", ["uint8", "int8", "int16", "float32"])
def test_every_type_of_scan_has_the_same(dtype, kind):
    greys = scan().clip(0, 255)
    shift = 128 if dtype == "int8" else 0
    others = found((greys.astype(np.int32) - shift).astype(dtype), kind)
    assert np.add(others, shift) == pytest.approx(found(greys, kind), abs=0.1)


def test_the_median_is_that_of_the_darker_values_before_they_were_rounded():
    greys = np.concatenate([np.random.default_rng(0).normal(20, 6, 9000), np.full(3000, 90.0)])
    values, counts = np.unique(greys.round(), return_counts=True)
    wanted = np.median(greys[greys.round() <= 24])
    assert darker_median(values, counts, limit=24.4) == pytest.approx(wanted, abs=0.05)
    assert darker_median(np.array([3.0, 9.0]), np.array([5, 1]), limit=6.0) == 3.0


def test_a_scan_without_edges_or_of_one_value_has_none():
    assert near_edges(ArrayVolume(np.full((3, 20, 20), 7, np.uint8)), None) == Beside(None, None)
    ramp = np.repeat(np.array([10, 200], np.uint8), 5)[:, None, None] * np.ones((1, 20, 20), np.uint8)
    statistics = measure(ArrayVolume(ramp))  # two halves that no slice shows together
    assert statistics.edges is statistics.edge_tissues is None
    for voxels in ("edges", "edge-tissues"):
        assert normalisation("tissue", statistics, voxels=voxels) == normalisation("tissue", statistics)


def test_a_part_of_a_large_scan_is_looked_at(monkeypatch):
    whole = found(scan(wide=40))
    monkeypatch.setattr(edges, "VOXELS", 1)
    monkeypatch.setattr(edges, "SLICES", 5)
    monkeypatch.setattr(edges, "BAND", 60 * 176)
    greys = scan(wide=40)
    bands = list(edges._bands(ArrayVolume(greys)))
    assert [band.shape for band in bands] == [(60, 176)] * 5
    assert np.array_equal(bands[1], greys[3, 60:120])
    assert found(greys) == pytest.approx(whole, abs=8)


def test_the_slope_is_that_of_scipy():
    greys = scan()[0]
    tissues = measure(ArrayVolume(scan())).tissues
    scaled = ((greys - tissues.low) / (tissues.high - tissues.low)).clip(-1, 2)
    kernel = np.array([1, 4, 6, 4, 1.0])
    smooth = ndimage.convolve1d(
        ndimage.convolve1d(scaled, kernel, 0, mode="nearest"), kernel, 1, mode="nearest"
    )
    wanted = sum(ndimage.convolve1d(smooth, [1, 0, -1.0], axis, mode="nearest") ** 2 for axis in (0, 1))
    assert edges._slopes(greys, tissues) == pytest.approx(wanted, rel=1e-3, abs=1e-2)
    is_edge = wanted > np.quantile(wanted, 0.9)
    box = ndimage.binary_dilation(is_edge, np.ones((5, 5)))
    assert np.array_equal(edges._widened(is_edge), box)


def test_the_job_finds_what_the_library_does_and_says_so(tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE_DIR", str(tmp_path / "cache"))
    save(tmp_path / "a", scan())
    (answer,) = measure_job({"scans": [{"path": str(tmp_path / "a")}]}, silent)["scans"]
    statistics = Statistics.from_dict(answer)
    assert statistics == measure(ArrayVolume(scan()))
    assert statistics.edges != statistics.edge_tissues
    for voxels, (low, high) in (("edges", statistics.edges), ("edge-tissues", statistics.edge_tissues)):
        assert scale_notes("tissue", statistics, name="Scan a", voxels=voxels) == (
            [f"Scan a: beside its edges the two tissues have the grey values {low:.5g} and {high:.5g}."],
            [],
        )
        made = normalisation("tissue", statistics, voxels=voxels)
        assert made.apply(np.array([low, high])) == pytest.approx([-1, 1], abs=1e-5)


def skull() -> np.ndarray:
    if not DATA.is_dir():
        pytest.skip("the shared scans are not here")
    with open_volume(DATA / "mouse_skull_cast" / "mouse_skull_cast_image.tif") as volume:
        return volume.read(40, 100)


def test_another_grey_curve_moves_the_scale_with_the_median_less():
    """Where the grey value at which the mask of the skull ends, 26, comes to lie on the scale, -1 to 1."""
    greys = skull()
    curved = (251 * (greys / 251.0) ** 0.75).round().astype(np.uint8)
    moved = {}
    for kind in ("edges", "edge_tissues"):
        places = [
            2 * (end - low) / (high - low) - 1
            for end, (low, high) in (
                (26, found(greys, kind)),
                (251 * (26 / 251) ** 0.75, found(curved, kind)),
            )
        ]
        moved[kind] = places[1] - places[0]
    assert 0.05 < moved["edge_tissues"] < 0.9 * moved["edges"]


@KINDS
def test_a_blurred_noisy_skull_keeps_its_scale(kind):
    """0 around the skull becomes noise, which moves the means over all voxels much more."""
    greys = skull()
    noise = np.random.default_rng(0).normal(0.08, 0.024, greys.shape) * greys.max()
    worse = 0.8 * ndimage.gaussian_filter(greys.astype(float), 0.7) + noise
    worse = worse.round().clip(0, 255).astype(np.uint8)
    expected = [0.8 * value + 0.08 * greys.max() for value in found(greys, kind)]
    distance, moved = expected[1] - expected[0], np.subtract(found(worse, kind), expected)
    assert abs(moved[0]) < 0.05 * distance
    assert -0.3 * distance < moved[1] < 0  # thin bone that is blurred is darker
