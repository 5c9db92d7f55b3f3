"""Patches equal slices of the array, whatever the format; conversions are made once and whole."""

import os
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import pytest
import tifffile
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import Cancelled, OutputError, ScanError
from bone_backend.progress import Recorder
from bone_backend.volumes.cache import cache_folder
from bone_backend.volumes.patch_source import fingerprint, open_source
from bone_backend.volumes.volume import ArrayVolume, open_volume, save

SCAN = np.random.default_rng(0).integers(0, 60000, (9, 33, 41)).astype(np.uint16)
WAYS = [
    "slices",
    "big endian slices",
    "a.tif",
    "zlib.tif",
    "zlib slices",
    "a.npy",
    "fortran.npy",
    "array",
    "swapped",
]


def volume_of(array, folder, way):
    """The array as a volume of each kind."""
    path = Path(folder) / way
    if way == "array":
        return ArrayVolume(array)
    if way == "swapped":
        return ArrayVolume(array.astype(array.dtype.newbyteorder()))
    if way == "big endian slices":
        path.mkdir()
        for z, image in enumerate(array):
            tifffile.imwrite(path / f"s{z}.tif", image, byteorder=">")
    elif way == "fortran.npy":
        np.save(path, np.asfortranarray(array))
    else:
        save(path, array, compression="zlib" if "zlib" in way else None)
    return open_volume(path)


@settings(max_examples=50, deadline=None)
@given(st.sampled_from(WAYS), st.sampled_from(["uint8", "uint16", "int16", "float32"]), st.data())
def test_patches_are_slices_of_the_array(way, dtype, data):
    array = SCAN.astype(dtype)
    with tempfile.TemporaryDirectory() as folder:
        volume = volume_of(array, folder, way)
        source = open_source(volume, folder=Path(folder) / "store")
        assert source.header == volume.header
        for _ in range(8):
            z, y, x = (data.draw(st.integers(0, n - 1)) for n in array.shape)
            depth, height, width = (
                data.draw(st.integers(1, n - i)) for n, i in zip(array.shape, (z, y, x), strict=True)
            )
            out = np.zeros((depth, height, width), dtype)
            assert source.read_patch(z, y, x, out=out) is out
            np.testing.assert_array_equal(out, array[z : z + depth, y : y + height, x : x + width])
            one = np.zeros((height, 2 * width), dtype)[:, ::2]  # any strides
            np.testing.assert_array_equal(source.read_patch(z, y, x, out=one), out[0])
        np.testing.assert_array_equal(source.read_slice(4), array[4])
        source.close()
        volume.close()


def test_a_wider_dtype_may_be_filled_but_not_a_narrower_one(tmp_path):
    save(tmp_path / "a.tif", SCAN)
    source = open_source(open_volume(tmp_path / "a.tif"), folder=tmp_path)
    out = source.read_patch(0, 0, 0, out=np.empty((4, 4), np.int64))
    np.testing.assert_array_equal(out, SCAN[0, :4, :4])
    with pytest.raises(TypeError, match="safe"):
        source.read_patch(0, 0, 0, out=np.empty((4, 4), np.uint8))


@pytest.mark.parametrize("way", ["slices", "array"])
@pytest.mark.parametrize(
    ("place", "shape"),
    [((9, 0, 0), (1, 1)), ((-1, 0, 0), (1, 1)), ((0, 30, 0), (4, 4)), ((8, 0, 0), (2, 4, 4))],
)
def test_patches_outside_the_volume_are_refused(tmp_path, way, place, shape):
    source = open_source(volume_of(SCAN, tmp_path, way), folder=tmp_path)
    with pytest.raises(IndexError, match="is not inside"):
        source.read_patch(*place, out=np.empty(shape, np.uint16))


def test_uncompressed_volumes_are_read_where_they_are(tmp_path):
    for way in ("slices", "a.tif", "a.npy", "array"):
        open_source(volume_of(SCAN, tmp_path, way), folder=tmp_path / "store").read_slice(0)
    assert not (tmp_path / "store").exists()


def test_a_compressed_volume_is_converted_once_and_again_when_it_changes(tmp_path):
    store = tmp_path / "store"
    volume = volume_of(SCAN, tmp_path, "zlib.tif")
    recorder = Recorder()
    open_source(volume, folder=store, progress=recorder)
    assert recorder.reports[-1].step == recorder.reports[-1].steps == len(SCAN)
    (made,) = store.iterdir()
    time_made = made.stat().st_mtime_ns
    again = Recorder()
    source = open_source(open_volume(tmp_path / "zlib.tif"), folder=store, progress=again)
    np.testing.assert_array_equal(source.read_slice(8), SCAN[8])
    assert again.reports == []
    assert made.stat().st_mtime_ns == time_made
    save(tmp_path / "zlib.tif", SCAN[::-1], compression="zlib", overwrite=True)
    source = open_source(open_volume(tmp_path / "zlib.tif"), folder=store)
    np.testing.assert_array_equal(source.read_slice(0), SCAN[8])
    assert len(list(store.glob("*.npy"))) == 2


def test_the_key_changes_with_path_size_and_time(tmp_path):
    file = tmp_path / "a"
    file.write_bytes(b"12")
    keys = {fingerprint([file]), fingerprint([file], "note"), fingerprint([file, file])}
    os.utime(file, ns=(0, 12345))
    keys.add(fingerprint([file]))
    file.write_bytes(b"123")
    os.utime(file, ns=(0, 12345))
    keys.add(fingerprint([file]))
    file.rename(tmp_path / "b")
    keys.add(fingerprint([tmp_path / "b"]))
    assert len(keys) == 6
    assert all(len(key) == 32 for key in keys)
    with pytest.raises(ScanError, match="cannot be read any more"):
        fingerprint([file])


def test_a_conversion_that_is_stopped_leaves_nothing(tmp_path):
    volume = volume_of(SCAN, tmp_path, "zlib.tif")
    with pytest.raises(Cancelled):
        open_source(volume, folder=tmp_path / "store", progress=Recorder(stop_after=1))
    assert list((tmp_path / "store").iterdir()) == []


def test_a_conversion_of_a_damaged_slice_leaves_nothing(tmp_path):
    tifffile.imwrite(tmp_path / "a.tif", SCAN, compression="zlib", photometric="minisblack", metadata=None)
    with tifffile.TiffFile(tmp_path / "a.tif") as tif:
        offset = tif.pages[5].dataoffsets[0]
    data = bytearray((tmp_path / "a.tif").read_bytes())
    data[offset : offset + 500] = bytes(500)
    (tmp_path / "a.tif").write_bytes(data)
    with pytest.raises(ScanError, match="slice 6 of 9: cannot be decoded"):
        open_source(open_volume(tmp_path / "a.tif"), folder=tmp_path / "store")
    assert list((tmp_path / "store").iterdir()) == []


class Endless(ArrayVolume):
    """A volume larger than any disk, of a format that has to be converted."""

    def __init__(self):
        super().__init__(np.broadcast_to(np.uint16(1), (10**7, 10**4, 10**4)), format="npy")


def test_a_store_without_space_is_told_with_both_figures(tmp_path):
    with pytest.raises(OutputError, match=r"needs 1862645\.\d\d GiB, but only \d+\.\d\d GiB are free"):
        open_source(Endless(), folder=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_several_threads_convert_once(tmp_path):
    save(tmp_path / "a.tif", SCAN, compression="zlib")
    recorders = [Recorder() for _ in range(6)]
    found = []

    def work(recorder):
        with open_volume(tmp_path / "a.tif") as volume:
            found.append(open_source(volume, folder=tmp_path / "store", progress=recorder).read_slice(3))

    threads = [threading.Thread(target=work, args=(r,)) for r in recorders]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 6
    assert all((image == SCAN[3]).all() for image in found)
    assert sum(bool(r.reports) for r in recorders) == 1
    assert len(list((tmp_path / "store").iterdir())) == 1


def test_what_a_killed_conversion_left_is_removed_after_a_day(tmp_path):
    store = tmp_path / "store"
    store.mkdir()
    old, new = store / ".k.npy.1-a.part", store / ".k.npy.2-b.part"
    for path in (old, new):
        path.touch()
    os.utime(old, (time.time() - 2 * 86400,) * 2)
    open_source(volume_of(SCAN, tmp_path, "zlib.tif"), folder=store)
    assert not old.exists()
    assert new.exists()


def test_a_conversion_is_removed_when_it_was_not_used_for_a_month(tmp_path):
    store, month = tmp_path / "store", 31 * 24 * 3600.0
    pages = [tmp_path / f"{name}.tif" for name in "abc"]
    for page in pages:
        save(page, SCAN, compression="zlib")
    for page in pages[:2]:
        open_source(open_volume(page), folder=store).close()
    kept = store / "somebody.npy"
    np.save(kept, np.zeros(3))
    for path in store.iterdir():
        os.utime(path, (time.time() - month, time.time() - month))
    open_source(open_volume(pages[1]), folder=store).close()  # used again, so that it stays
    open_source(open_volume(pages[2]), folder=store).close()
    assert len(list(store.iterdir())) == 3
    assert kept.exists()


def test_threads_read_the_same_source(tmp_path):
    source = open_source(volume_of(SCAN, tmp_path, "slices"), folder=tmp_path)
    wrong = []

    def work(seed):
        rng = np.random.default_rng(seed)
        out = np.empty((7, 8), np.uint16)
        for _ in range(500):
            z, y, x = rng.integers(0, (9, 27, 34))
            if (source.read_patch(z, y, x, out=out) != SCAN[z, y : y + 7, x : x + 8]).any():
                wrong.append((z, y, x))

    threads = [threading.Thread(target=work, args=(seed,)) for seed in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_a_slice_that_was_shortened_or_lost_is_named(tmp_path):
    save(tmp_path / "scan", SCAN)
    source = open_source(open_volume(tmp_path / "scan"), folder=tmp_path)
    os.truncate(tmp_path / "scan" / "scan_0004.tif", 1000)
    with pytest.raises(ScanError, match=r"scan_0004\.tif: ends after 1000 bytes"):
        source.read_slice(4)
    (tmp_path / "scan" / "scan_0005.tif").unlink()
    with pytest.raises(ScanError, match=r"scan_0005\.tif: cannot be read any more"):
        source.read_slice(5)
    np.testing.assert_array_equal(source.read_slice(6), SCAN[6])


def test_the_cache_folder_is_the_one_named(tmp_path, monkeypatch):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path))
    assert cache_folder() == tmp_path
    monkeypatch.delenv("BONE_CACHE")
    assert cache_folder().name == "bone"


@pytest.mark.skipif(sys.platform != "linux", reason="/proc takes no files")
def test_where_a_conversion_cannot_be_written_the_variable_to_set_is_named(tmp_path):
    tifffile.imwrite(
        tmp_path / "scan.tif", np.ones((5, 8, 8), np.uint8), compression="zlib", photometric="minisblack"
    )
    with pytest.raises(OutputError, match=r"scan has to be unpacked .* BONE_CACHE"):
        open_source(open_volume(tmp_path / "scan.tif"), folder=Path("/proc/nothing"))


def converted(tmp_path):
    """A compressed stack, and its conversion."""
    save(tmp_path / "z.tif", SCAN, compression="zlib")
    open_source(open_volume(tmp_path / "z.tif"), folder=tmp_path / "store").close()
    (made,) = (tmp_path / "store").iterdir()
    return tmp_path / "z.tif", made


@pytest.mark.parametrize("share", [0.0, 0.004, 0.01, 0.3, 0.5, 0.77, 0.9995, 1.0])
def test_a_flipped_bit_in_a_conversion_is_told_and_it_is_made_anew(tmp_path, caplog, share):
    path, made = converted(tmp_path)
    whole = made.read_bytes()
    damaged = bytearray(whole)
    damaged[round(share * (len(whole) - 1))] ^= 4
    made.write_bytes(damaged)
    source = open_source(open_volume(path), folder=made.parent)
    np.testing.assert_array_equal(source.read_patch(0, 0, 0, out=np.empty_like(SCAN)), SCAN)
    assert made.read_bytes() == whole
    assert f"{made}: is" in caplog.text
    assert "It is made anew." in caplog.text


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b[:500], lambda b: b"", lambda b: b + b"x"])
def test_a_conversion_of_another_length_is_made_anew(tmp_path, caplog, change):
    path, made = converted(tmp_path)
    whole = made.read_bytes()
    made.write_bytes(change(whole))
    open_source(open_volume(path), folder=made.parent).close()
    assert made.read_bytes() == whole
    assert "It is made anew." in caplog.text


def test_a_conversion_of_an_earlier_version_has_no_checksum_and_is_taken(tmp_path, caplog):
    path, made = converted(tmp_path)
    made.write_bytes(made.read_bytes()[:-12])
    before = made.stat().st_mtime_ns
    source = open_source(open_volume(path), folder=made.parent)
    np.testing.assert_array_equal(source.read_slice(3), SCAN[3])
    assert made.stat().st_mtime_ns == before
    assert caplog.text == ""
