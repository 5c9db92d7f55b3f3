"""Planes of volumes, greys as bytes, and the small copy that stands for a large volume."""

import json
import time

import numpy as np
import pytest

from bone_backend.errors import ScanError
from bone_backend.volumes.volume import save
from standalone.window import view as view_module
from standalone.window.beside import Beside, Map, beside
from standalone.window.greys import Greys
from standalone.window.overview import FACTOR, block_means
from standalone.window.view import Plane, View, as_bytes, as_indices

SHAPE = (9, 10, 14)


@pytest.fixture
def volumes(tmp_path):
    """A scan whose value is its place, labels, and a reference that differs in one voxel."""
    scan = np.arange(np.prod(SHAPE), dtype=np.uint16).reshape(SHAPE)
    labels = (scan % 3).astype(np.uint8)
    reference = labels.copy()
    reference[4, 5, 6] = 9
    paths = [tmp_path / f"{name}.tif" for name in ("scan", "labels", "reference")]
    for path, array in zip(paths, (scan, labels, reference), strict=True):
        save(path, array, voxel_size=(20.0, 10.0, 10.0))
    return scan, [str(path) for path in paths]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_slice_of_a_small_volume_is_the_volumes_own(volumes, axis):
    scan, paths = volumes
    view = View(paths[0])
    for index in (0, SHAPE[axis] - 1, 3):
        assert np.array_equal(view.plane("scan", axis, index).values, np.take(scan, index, axis))
    view.close()


def test_a_voxel_is_told_with_its_place_grey_and_label(volumes):
    view = View(*volumes[1])
    view.take_classes({1: ("bone", "#ff8800")})
    assert view.facts((4, 5, 6)) == (
        "z 4  y 5  x 6   ·   80  50  60 µm   ·   grey 636   ·   label 0 background   ·   reference 9 class 9"
    )
    assert view.facts((0, 0, 1)).endswith("label 1 bone   ·   reference 1 bone")
    assert (view.colour(1), view.spacing(0), view.spacing(1)) == ("#ff8800", (1, 1), (2, 1))
    view.close()


def test_volumes_of_different_shapes_are_not_laid_over_each_other(volumes, tmp_path):
    save(tmp_path / "other.npy", np.zeros((3, 4, 5), np.uint8))
    with pytest.raises(ScanError, match=r"other.npy is 3 x 4 x 5 but scan.tif is 9 x 10 x 14"):
        View(volumes[1][0], str(tmp_path / "other.npy"))


def test_greys_become_bytes_between_black_and_white():
    assert as_bytes(Plane(np.array([[0, 100, 150, 200, 300]], np.uint16)), 100, 200).tolist() == [
        [0, 0, 127, 255, 255]
    ]
    floats = np.array([[-1, 0.5, np.nan, 2]], np.float32)
    assert as_bytes(Plane(floats), 0, 1).tolist() == [[0, 127, 0, 255]]
    small = Plane(np.array([[0, 128, 255]], np.uint8), 4, 1000, 2000)
    assert as_bytes(small, 1000, 2000).tolist() == [[0, 128, 255]]
    assert as_bytes(small, 1500, 2500).tolist() == [[0, 0, 127]]
    assert as_indices(Plane(np.array([[3, 256 + 3]], np.uint16))).tolist() == [[3, 3]]


def test_the_mean_of_a_block_counts_every_voxel_once():
    rng = np.random.default_rng(1)
    for shape in ((8, 12), (9, 13), (3, 3)):
        plane = rng.integers(0, 255, shape).astype(np.uint8)
        found = block_means(plane)
        for y in range(found.shape[0]):
            for x in range(found.shape[1]):
                block = plane[y * FACTOR : (y + 1) * FACTOR, x * FACTOR : (x + 1) * FACTOR]
                assert found[y, x] == pytest.approx(block.mean())


def test_of_a_large_volume_y_and_x_come_from_a_small_copy_made_once(volumes, monkeypatch, tmp_path):
    monkeypatch.setattr(view_module, "SMALL_BYTES", 0)
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    scan, paths = volumes
    view = View(paths[0], paths[1])
    assert np.array_equal(view.plane("scan", 0, 4).values, scan[4])
    # it is being made, or was in this moment
    assert view.plane("scan", 1, 0) is None or view.first._making.share == 1
    deadline = time.monotonic() + 20
    while view.share() < 1 or view.plane("labels", 1, 5) is None:
        assert time.monotonic() < deadline
        time.sleep(0.01)
    plane = view.plane("scan", 1, 5)
    low, high = plane.low, plane.high
    expected = [block_means(scan[z])[5 // FACTOR] for z in range(0, SHAPE[0], FACTOR)]
    greys = low + plane.values * (high - low) / 255
    inside = (np.array(expected) > low) & (np.array(expected) < high)
    assert np.abs(greys - expected)[inside].max() <= (high - low) / 255
    labels = view.plane("labels", 1, 5)
    assert np.array_equal(labels.values, (scan % 3)[::FACTOR, 4, ::FACTOR])
    made = sorted((tmp_path / "cache" / "overviews").glob("*.npy"))
    view.close()
    again = View(paths[0])
    again.first.prepare()
    again.first._making.wait(20)
    assert again.plane("scan", 2, 3) is not None
    assert sorted((tmp_path / "cache" / "overviews").glob("*.npy")) == made
    assert len(made) == 2
    again.close()


@pytest.mark.parametrize("axis", [1, 2])
def test_a_slice_along_y_or_x_is_read_in_full_when_the_view_rests(volumes, monkeypatch, axis):
    scan, paths = volumes
    view = View(paths[0], paths[1])
    assert view.sharpen(axis, 3) is None  # small ones are in memory
    monkeypatch.setattr(view_module, "SMALL_BYTES", 0)
    assert view.sharpen(0, 3) is None  # comes in full anyway
    sharp = view.sharpen(axis, 3)
    while not sharp.is_done:
        time.sleep(0.005)
    assert np.array_equal(sharp.planes["scan"], scan.take(3, axis))
    assert np.array_equal(sharp.planes["labels"], (scan % 3).take(3, axis))
    sharp.end()
    monkeypatch.setattr(view_module, "MOST_SHARP_BYTES", 10)
    assert (view.sharpen(axis, 3) is None) == (axis == 2)  # which would read all of the file
    view.close()


def test_an_overlay_of_the_same_shape_is_laid_over_and_another_is_refused(volumes, tmp_path):
    _, paths = volumes
    sure = np.random.default_rng(1).random(SHAPE, np.float32)
    save(tmp_path / "sure.npy", sure)
    save(tmp_path / "other.npy", sure[:-1])
    view = View(paths[0])
    with pytest.raises(ScanError, match="they cannot lie over each other"):
        view.add_overlay(str(tmp_path / "other.npy"))
    assert [*view.layers] == ["scan"]
    view.add_overlay(str(tmp_path / "sure.npy"))
    assert np.array_equal(view.plane("overlay", 1, 5).values, sure[:, 5])
    assert view.facts((1, 2, 3)).endswith(f"overlay {sure[1, 2, 3]:.6g}")
    layer = view.layers["overlay"]
    assert 0 <= layer.low < 0.1
    assert 0.9 < layer.high <= 1
    with pytest.raises(ScanError):
        view.add_overlay(str(tmp_path / "nothing.npy"))
    assert view.layers["overlay"] is layer  # what was there stays
    view.drop_overlay()
    assert [*view.layers] == ["scan"]
    view.close()


def test_a_histogram_has_every_voxel_in_its_bin_and_knows_the_two_tissues():
    random = np.random.default_rng(0)
    greys = np.concatenate([random.normal(40, 4, 9000), random.normal(160, 8, 1000)]).round().astype(np.uint8)
    bins = Greys(greys).bins
    low = round(bins.edges[0] + 0.5)
    assert bins.counts[:30].tolist() == np.bincount(greys, minlength=256)[low : low + 30].tolist()
    assert bins.tissues == pytest.approx((40, 160), abs=1)
    assert bins.heights.max() == 1
    assert bins.heights[np.argmax(bins.counts > 0)] > 0.05  # single voxels are seen beside thousands
    assert Greys(random.normal(0, 1, 5000)).bins.tissues is None  # one tissue only
    assert Greys(np.array([np.nan, np.inf])).bins.counts.sum() == 0


def test_what_differs_is_judged_by_the_meaning_that_the_labels_record_tells(volumes):
    view = View(*volumes[1])
    labels, reference = Plane(np.array([[0, 1, 1, 0]], np.uint8)), Plane(np.array([[0, 255, 0, 7]], np.uint8))
    assert view.differs(labels, reference).tolist() == [[False, True, True, True]]
    view.take_meaning([[255, 1]], 7)
    assert view.differs(labels, reference).tolist() == [[False, False, True, False]]
    view.close()


def test_labels_find_the_scan_that_they_were_predicted_from_and_their_maps(tmp_path):
    labels = tmp_path / "labels.tif"
    assert beside(labels) == Beside()
    record = tmp_path / "labels.tif.record.json"
    told = {
        "options": {"scan": "elsewhere/scan.tif"},
        "result": {
            "confidence": {"slices": [0.5, 1]},
            "maps": ["/gone/labels_probability_1_bone.tif", "labels_entropy.tif", "x.tif", "..", 3, ""],
        },
    }
    record.write_text(json.dumps(told), encoding="utf-8")
    assert beside(labels) == Beside(confidence=(0.5, 1.0))
    for name in ("scan.tif", "labels_probability_1_bone.tif", "labels_entropy.tif"):
        (tmp_path / name).write_bytes(b"")
    assert beside(labels) == Beside(
        tmp_path / "scan.tif",
        (0.5, 1.0),
        (
            Map(str(tmp_path / "labels_entropy.tif"), "entropy", "Entropy"),
            Map(str(tmp_path / "labels_probability_1_bone.tif"), "probability of 1 bone", "Viridis"),
        ),
    )
    for odd in ('{"options": 3}', '{"result": {"confidence": {"slices": [true]}, "maps": 3}}', "[]", "{"):
        record.write_text(odd, encoding="utf-8")
        assert beside(labels) == Beside()
