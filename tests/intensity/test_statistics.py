"""Statistics against numpy's, against exact fractions, and against numbers that can be checked by hand."""

from __future__ import annotations

import contextlib
import json
import math
import os
import sys
import time
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from bone_backend.errors import Cancelled, OptionError, ScanError
from bone_backend.intensity import remembered as sidecar
from bone_backend.intensity import statistics
from bone_backend.intensity.float_tally import FloatTally
from bone_backend.intensity.histogram import Histogram
from bone_backend.intensity.statistics import PERCENTILES, Statistics, measure, measure_job
from bone_backend.intensity.summary import percentile_values
from bone_backend.intensity.tally import count_values, otsu_means
from bone_backend.intensity.tissues import Tissues
from bone_backend.jobs.run import run_in_worker
from bone_backend.progress import Recorder, silent
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.volume import save

DTYPES = ["uint8", "int8", "uint16", "int16", "float32"]
SHAPES = hnp.array_shapes(min_dims=3, max_dims=3, max_side=7)


def scans(dtype: str) -> st.SearchStrategy[np.ndarray]:
    """Scans with many zeros and extremes; float32 with subnormal numbers and -0.0 too."""
    if dtype == "float32":
        tiny = float(np.float32(1e-45))
        numbers = st.floats(-(2.0**60), 2.0**60, width=32) | st.sampled_from([0.0, -0.0, tiny, -tiny, 1.5])
        return hnp.arrays(dtype, SHAPES, elements=numbers)
    numbers = hnp.from_dtype(np.dtype(dtype)) | st.sampled_from(
        [0, 1, np.iinfo(dtype).min, np.iinfo(dtype).max]
    )
    return hnp.arrays(dtype, SHAPES, elements=numbers)


def exact_mean_and_std(values: np.ndarray) -> tuple[float, float]:
    numbers = [Fraction(value) for value in values.tolist()]
    mean = sum(numbers, Fraction(0)) / len(numbers)
    return float(mean), math.sqrt(sum((number - mean) ** 2 for number in numbers) / len(numbers))


@pytest.mark.parametrize("voxels", ["nonzero", "all"])
@pytest.mark.parametrize("dtype", DTYPES)
def test_statistics_equal_those_of_numpy_and_of_exact_fractions(dtype, voxels):
    @settings(deadline=None, max_examples=60)
    @given(scans(dtype))
    def check(scan):
        chosen = (scan[scan != 0] if voxels == "nonzero" else scan.reshape(-1)).astype(np.float64)
        if chosen.size == 0:
            with pytest.raises(ScanError, match="every voxel is 0"):
                measure(ArrayVolume(scan), voxels=voxels)
            return
        found = measure(ArrayVolume(scan), voxels=voxels)
        assert found.count == chosen.size
        assert (found.min, found.max) == (chosen.min(), chosen.max())
        expected = np.percentile(chosen, PERCENTILES)
        assert list(found.percentiles.values()) == expected.tolist()
        mean, std = exact_mean_and_std(chosen)
        if dtype == "float32":
            largest = float(np.abs(chosen).max())
            assert found.mean == pytest.approx(mean, rel=1e-12, abs=1e-15 * largest)
            assert found.std == pytest.approx(std, rel=1e-9, abs=1e-15 * largest)
        else:
            assert (found.mean, found.std) == (mean, std)

    check()


def test_a_scan_that_can_be_counted_by_hand():
    scan = np.array([[[0, 1, 2], [3, 4, 0]]], np.uint16)
    assert measure(ArrayVolume(scan), percentiles=(0, 50, 62.5, 100)) == Statistics(
        count=4,
        mean=2.5,
        std=math.sqrt(1.25),
        min=1.0,
        max=4.0,
        percentiles={"0": 1.0, "50": 2.5, "62.5": 2.875, "100": 4.0},
        otsu_means=(1.5, 3.5),
        tissues=Tissues(1.5, 3.5, contrast=4.0, border=2 / 6, histogram=Histogram(0.5, 1.0, (1, 1, 1, 1))),
        voxels="nonzero",
        edges=(1 / 3, 3.0),  # every voxel is near an edge
        edge_tissues=(0.25, 3.0),  # of two 0 from -0.5 to 0.5 and a 1 behind them
    )
    assert measure(ArrayVolume(scan), voxels="all").mean == 10 / 6


def test_sums_stay_exact_where_32_and_64_bits_would_overflow():
    """2^34 voxels of 65535 have squares that sum to 2^66; counted here without being there."""
    tally = statistics.first_tally(
        ArrayVolume(np.zeros((1, 1, 1), np.uint16)).header, voxels="nonzero", percentiles=(50.0,)
    )
    tally.counts[[65535, 65533]] = 2**33
    found = tally.finish()
    assert (found.count, found.mean, found.std) == (2**34, 65534.0, 1.0)


def test_voxels_are_counted_alike_for_any_byte_count_and_block():
    for size in (1, 2, 3, (1 << 19) - 1, (1 << 20) + 3):
        values = (np.arange(size) * 7 % 251).astype(np.uint8)
        assert (count_values(values) == np.bincount(values, minlength=256)).all()
        wide = (np.arange(size) * 7919 % 65521).astype(np.uint16)
        assert (count_values(wide) == np.bincount(wide, minlength=65536)).all()


@settings(deadline=None, max_examples=30)
@given(st.sampled_from(DTYPES).flatmap(scans), st.data())
def test_the_division_into_parts_does_not_change_a_bit(scan, data):
    header = ArrayVolume(scan).header
    whole = statistics.first_tally(header, voxels="all", percentiles=PERCENTILES)
    parts = statistics.first_tally(header, voxels="all", percentiles=PERCENTILES)
    cut = data.draw(st.integers(0, len(scan)))
    while not isinstance(whole, Statistics):
        for z0, z1 in ((cut, len(scan)), (0, cut)):  # out of order, as processes give them back
            part = parts.empty()
            part.add(np.ascontiguousarray(scan[z0:z1]), z0)
            parts.merge(part)
        whole.add(np.ascontiguousarray(scan), 0)
        whole, parts = whole.finish(), parts.finish()
    assert whole == parts


def test_memory_is_bounded_by_the_slab(monkeypatch):
    monkeypatch.setattr(statistics, "SLAB_BYTES", 100)
    recorder = Recorder()
    scan = np.ones((10, 5, 6), np.uint8)
    measure(ArrayVolume(scan, name="femur"), progress=recorder)
    assert {(r.steps, r.message) for r in recorder.reports} == {(10, "Measuring femur")}
    assert [r.step for r in recorder.reports] == [3, 6, 9, 10]


def test_a_stop_is_noticed_while_measuring():
    with pytest.raises(Cancelled):
        measure(ArrayVolume(np.ones((2, 2, 2), np.uint8)), progress=Recorder(stop_after=1))


# ---- Otsu


@settings(deadline=None)
@given(st.lists(st.integers(0, 255), min_size=2, max_size=40).filter(lambda values: len(set(values)) > 1))
def test_otsu_means_separate_the_classes_as_well_as_any_threshold_can(values):
    def between(threshold: int) -> tuple[Fraction, float, float]:
        below = [value for value in values if value <= threshold]
        above = [value for value in values if value > threshold]
        means = Fraction(sum(below), len(below)), Fraction(sum(above), len(above))
        return len(below) * len(above) * (means[1] - means[0]) ** 2, float(means[0]), float(means[1])

    candidates = [between(threshold) for threshold in sorted(set(values))[:-1]]
    best = max(variance for variance, _, _ in candidates)
    numbers, counts = np.unique(values, return_counts=True)
    low, high = otsu_means(numbers.astype(np.float64), counts)
    assert any(
        (low, high) == pytest.approx((below, above))
        for variance, below, above in candidates
        if variance >= best * Fraction(1 - 1e-9)
    )


def test_otsu_means_of_float_scans_are_those_of_whole_numbers_to_a_bin():
    scan = np.concatenate([np.arange(90, 111), np.arange(280, 321)]).astype(np.uint16).reshape(1, 2, 31)
    exact = measure(ArrayVolume(scan)).otsu_means
    assert exact == (100.0, 300.0)
    assert measure(ArrayVolume(scan.astype(np.float32))).otsu_means == pytest.approx(exact, abs=0.1)


def test_a_scan_of_one_value_has_no_otsu_means():
    for dtype in DTYPES:
        found = measure(ArrayVolume(np.full((2, 3, 4), 7, dtype)))
        assert (found.otsu_means, found.std, found.mean) == (None, 0.0, 7.0)


# ---- faults


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_nan_and_infinity_are_told_with_their_slice(bad):
    scan = np.ones((9, 4, 5), np.float32)
    scan[6, 2, 1] = bad
    with pytest.raises(ScanError, match=r"skull: slice 7 .* NaN or infinity"):
        measure(ArrayVolume(scan, name="skull"))


def test_the_largest_and_smallest_float32_are_numbers():
    scan = np.array([[[np.finfo(np.float32).max, np.finfo(np.float32).min]]], np.float32)
    assert measure(ArrayVolume(scan)).max == float(np.finfo(np.float32).max)


@pytest.mark.parametrize("dtype", ["int32", "uint32", "float64"])
def test_other_number_types_are_refused_by_name(dtype):
    with pytest.raises(ScanError, match=rf"holds {dtype} numbers; a scan is uint8"):
        measure(ArrayVolume(np.ones((2, 2, 2), dtype)))


def test_all_wrong_choices_are_told_at_once():
    with pytest.raises(OptionError) as caught:
        measure(ArrayVolume(np.ones((1, 1, 1), np.uint8)), voxels="bone", percentiles=(50, 101))
    assert caught.value.faults == [
        "voxels is 'bone'; it can be nonzero or all.",
        "percentile 101 is not between 0 and 100.",
    ]


def test_statistics_survive_json():
    found = measure(ArrayVolume(np.arange(24, dtype=np.int16).reshape(2, 3, 4)))
    assert Statistics.from_dict(json.loads(json.dumps(found.to_dict()))) == found
    same = Statistics.from_dict(
        {**measure(ArrayVolume(np.full((1, 1, 2), 5, np.uint8))).to_dict(), "path": "x"}
    )
    assert same.otsu_means is None


def test_percentiles_interpolate_as_numpy_from_either_end():
    values = np.array([1.0, 1e16])
    found = percentile_values((25, 75), 2, value_at=lambda rank: float(values[rank]))
    assert list(found.values()) == np.percentile(values, [25, 75]).tolist()


# ---- the job


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    return tmp_path / "cache" / "statistics"


def worker(options):
    return run_in_worker("measure-greys", options, python=Path(sys.executable))["scans"]


@pytest.mark.slow
def test_the_worker_measures_several_scans_by_several_processes(tmp_path, cache):
    random = np.random.default_rng(1)
    expected, entries = [], []
    for number, dtype in enumerate(["uint8", "uint16", "float32"]):
        scan = (random.random((40, 100, 1000)) * 250).astype(dtype)
        path = tmp_path / f"{number}.npy"
        np.save(path, scan)
        entries.append({"path": str(path)})
        expected.append(measure(ArrayVolume(scan)))
    answer = worker({"scans": entries, "processes": 2})
    assert [Statistics.from_dict(entry) for entry in answer] == expected
    assert [entry["path"] for entry in answer] == [entry["path"] for entry in entries]


def test_parts_of_a_scan_are_counted_as_the_whole(tmp_path, cache, monkeypatch):
    monkeypatch.setattr(statistics, "PART_BYTES", 1000)
    scan = np.random.default_rng(2).random((20, 10, 30)).astype(np.float32)
    np.save(tmp_path / "a.npy", scan)
    recorder = Recorder()
    answer = measure_job({"scans": [{"path": str(tmp_path / "a.npy")}]}, recorder)
    assert Statistics.from_dict(answer["scans"][0]) == measure(ArrayVolume(scan))
    assert [(r.step, r.steps) for r in recorder.reports] == [(step, 41) for step in range(1, 42)]


def test_an_unchanged_scan_is_not_counted_twice(tmp_path, cache):
    path = tmp_path / "scan"
    save(path, np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    options = {"scans": [{"path": str(path)}]}
    (first,) = worker(options)
    (again,) = worker(options)
    assert (first["cached"], again["cached"]) == (False, True)
    assert Statistics.from_dict(first) == Statistics.from_dict(again)
    assert len(list(cache.iterdir())) == 1


def change_voxel(path: Path) -> None:
    scan = np.load(path)
    scan[1, 2, 3] += 1
    np.save(path, scan)


def change_date(path: Path) -> None:
    os.utime(path, ns=(1, 1))


def change_voxel_behind_the_back(path: Path) -> None:
    about = path.stat()
    change_voxel(path)
    os.utime(path, ns=(about.st_atime_ns, about.st_mtime_ns))


@pytest.mark.parametrize("change", [change_voxel, change_date, change_voxel_behind_the_back])
def test_a_changed_scan_is_counted_again(tmp_path, cache, change):
    path = tmp_path / "scan.npy"
    np.save(path, np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    options = {"scans": [{"path": str(path)}]}
    measure_job(options, silent)
    change(path)
    (again,) = measure_job(options, silent)["scans"]
    assert not again["cached"]
    assert Statistics.from_dict(again) == measure(ArrayVolume(np.load(path)))


def test_another_question_about_the_same_scan_is_another_answer(tmp_path, cache):
    np.save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    scan = [{"path": str(tmp_path / "scan.npy")}]
    for options in ({}, {"voxels": "all"}, {"percentiles": [10]}):
        (found,) = measure_job({"scans": scan, **options}, silent)["scans"]
        assert not found["cached"]
    assert len(list(cache.iterdir())) == 3


@pytest.mark.parametrize("damage", [b"", b"{}", b"\xff", b'{"fingerprint": 1, "statistics": 2}'])
def test_a_damaged_sidecar_is_measured_again(tmp_path, cache, damage):
    np.save(tmp_path / "scan.npy", np.ones((3, 4, 5), np.uint8))
    options = {"scans": [{"path": str(tmp_path / "scan.npy")}]}
    measure_job(options, silent)
    (kept,) = cache.iterdir()
    kept.write_bytes(damage)
    assert not measure_job(options, silent)["scans"][0]["cached"]
    assert measure_job(options, silent)["scans"][0]["cached"]


def test_a_flipped_bit_in_kept_statistics_is_noticed_wherever_it_is(tmp_path, cache):
    np.save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    options = {"scans": [{"path": str(tmp_path / "scan.npy")}]}
    whole = json.loads(json.dumps(measure_job(options, silent)["scans"][0]))
    (kept,) = cache.iterdir()
    content = kept.read_bytes()
    for place in range(len(content)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 7
        kept.write_bytes(damaged)
        with contextlib.suppress(ValueError):  # else it changes nothing, as a space does
            assert sidecar.read_statistics(kept)["statistics"].items() <= whole.items()


@pytest.mark.parametrize(
    "change",
    [
        {"mean": "3"},
        {"mean": float("nan")},
        {"count": 0},
        {"count": 10**24},
        {"std": -1.0},
        {"percentiles": {"50": None}},
        {"percentiles": {"median": 1.0}},
        {"otsu_means": [1.0]},
        {"voxels": "some"},
        {"tissues": {"low": 1.0}},
        {"tissues": {"low": 1, "high": 2, "contrast": 3, "border": 0, "metal": 0, "histogram": {"first": 0}}},
    ],
)
def test_statistics_of_an_earlier_version_have_no_checksum_but_must_be_statistics(
    tmp_path, cache, caplog, change
):
    np.save(tmp_path / "scan.npy", np.arange(60, dtype=np.uint8).reshape(3, 4, 5))
    options = {"scans": [{"path": str(tmp_path / "scan.npy")}]}
    measure_job(options, silent)
    (kept,) = cache.iterdir()
    values = json.loads(kept.read_text(encoding="utf-8"))
    del values["crc32"]
    kept.write_text(json.dumps(values), encoding="utf-8")
    assert measure_job(options, silent)["scans"][0]["cached"]
    values["statistics"] |= change
    kept.write_text(json.dumps(values), encoding="utf-8")
    assert not measure_job(options, silent)["scans"][0]["cached"]
    assert f"{kept} is damaged" in caplog.text


def test_a_cache_that_cannot_be_written_is_no_fault(tmp_path, monkeypatch):
    (tmp_path / "a file").touch()
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "a file"))
    np.save(tmp_path / "scan.npy", np.ones((3, 4, 5), np.uint8))
    answer = measure_job({"scans": [{"path": str(tmp_path / "scan.npy")}]}, silent)
    assert answer["scans"][0]["mean"] == 1.0


def test_a_scan_that_is_not_to_be_remembered_leaves_nothing(tmp_path, cache):
    np.save(tmp_path / "scan.npy", np.ones((3, 4, 5), np.uint8))
    measure_job({"scans": [{"path": str(tmp_path / "scan.npy"), "remember": False}]}, silent)
    assert not cache.exists()


def test_faults_of_a_scan_arrive_from_the_worker_in_words(tmp_path, cache):
    np.save(tmp_path / "dark.npy", np.zeros((3, 4, 5), np.uint16))
    with pytest.raises(ScanError, match=r"dark\.npy: every voxel is 0"):
        worker({"scans": [{"path": str(tmp_path / "dark.npy")}], "processes": 2})
    with pytest.raises(ScanError, match="none"):
        worker({"scans": [{"path": str(tmp_path / "none.npy")}]})
    with pytest.raises(OptionError, match="no scan"):
        worker({"scans": []})


def test_a_stop_ends_the_measurement_within_two_seconds(tmp_path, cache):
    # 6 GB, of which the disk holds a page: long enough that the stop arrives in the midst of it
    np.lib.format.open_memmap(tmp_path / "scan.npy", "w+", np.uint8, (6000, 1000, 1000))[0, 0, 0] = 1
    asked = []

    def progress(step, steps, message, figures=None, /):
        if message.startswith("Measuring"):
            asked.append(time.monotonic())
            raise Cancelled(message)

    options = {"scans": [{"path": str(tmp_path / "scan.npy")}], "processes": 2}
    with pytest.raises(Cancelled):
        run_in_worker("measure-greys", options, progress=progress, python=Path(sys.executable))
    assert time.monotonic() - asked[0] < 4  # 2 s, and other tests beside
    assert not cache.exists()


def test_float_tallies_can_be_merged_in_any_order():
    parts = [FloatTally("a", voxels="all", percentiles=(50.0,)) for _ in range(2)]
    for number, part in enumerate(parts):
        part.add(np.full((1, 1, 3), 0.1 + number, np.float32), number)
    first, second = parts[0].empty(), parts[0].empty()
    for merged, order in ((first, parts), (second, parts[::-1])):
        for part in order:
            merged.merge(part)
    assert first.finish().mean == second.finish().mean == pytest.approx(0.6)


@pytest.mark.slow
def test_real_scans_measured_by_the_worker_equal_numpy(real_scans, cache):
    tifffile = pytest.importorskip("tifffile")
    scans = {
        "lhdl": sorted((real_scans / "lhdl_trab_a" / "images").iterdir()),
        "tooth": [path for path in (real_scans / "tooth").iterdir() if "mask" not in path.name],
        "skull": [path for path in (real_scans / "mouse_skull_balb").iterdir() if "mask" not in path.name],
    }
    paths = [real_scans / "lhdl_trab_a" / "images", scans["tooth"][0], scans["skull"][0]]
    answer = worker({"scans": [{"path": str(path)} for path in paths], "processes": 2})
    for files, entry in zip(scans.values(), answer, strict=True):
        scan = np.concatenate([np.atleast_3d(tifffile.imread(path)).reshape(-1) for path in files])
        voxels = scan[scan != 0].astype(np.float64)
        assert entry["count"] == voxels.size
        assert entry["mean"] == pytest.approx(voxels.mean(), rel=1e-12)
        assert entry["std"] == pytest.approx(voxels.std(), rel=1e-9)
        assert list(entry["percentiles"].values()) == np.percentile(voxels, PERCENTILES).tolist()
