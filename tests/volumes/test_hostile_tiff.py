"""TIFFs that are damaged or made to do harm: a ScanError within seconds, and little memory."""

from __future__ import annotations

import os
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import BoneError, ScanError
from bone_backend.volumes.volume import open_volume
from tests.volumes.raw_tiff import LONG, RATIONAL, SHORT, TEXT, plain_page, tiff_bytes

PAGE = (plain_page(8, 6), [bytes(48)])
ROOT = Path(__file__).parents[2]

# Reads a file as a volume, and prints the seconds and the most MB that it took beyond the start.
READ = """
import resource, sys, time
from pathlib import Path
import numpy as np
import bone_backend.volumes.volume as volume
for name in ("imagecodecs",):
    __import__(name)
before, start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.perf_counter()
try:
    scan = volume.open_volume(Path(sys.argv[1]))
    scan.read(0, 1)
    print("read")
except volume.ScanError as fault:
    print(fault)
print(time.perf_counter() - start)
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024)
"""


def read_elsewhere(path):
    """What a process of its own says, the seconds and MB."""
    pytest.importorskip("resource")
    done = subprocess.run(
        [sys.executable, "-c", READ, str(path)],
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    told, seconds, megabytes = done.stdout.splitlines()
    return told, float(seconds), float(megabytes)


@pytest.mark.parametrize("back_to", [0, 1, 2])
def test_a_chain_of_pages_that_loops_is_told_at_once(tmp_path, back_to):
    path = tmp_path / "loop.tif"
    path.write_bytes(tiff_bytes([PAGE] * 3, next_page={2: back_to}))
    start = time.perf_counter()
    with pytest.raises(ScanError, match=rf"loops, from page 3 back to page {back_to + 1}"):
        open_volume(path)
    assert time.perf_counter() - start < 2


def test_a_sub_directory_that_points_to_its_page_is_told_at_once(tmp_path):
    path = tmp_path / "loop.tif"
    with tifffile.TiffWriter(path) as writer:
        for _ in range(3):
            writer.write(np.zeros((6, 8), np.uint8), subifds=1, metadata=None)
            writer.write(np.zeros((3, 4), np.uint8), metadata=None)
    with tifffile.TiffFile(path) as tif:
        page = tif.pages[0]
        place, own = page.tags[330].offset + 8, page.offset
    data = bytearray(path.read_bytes())
    data[place : place + 4] = own.to_bytes(4, "little")
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"another image of its size in a sub-directory"):
        open_volume(path)


@pytest.mark.parametrize("next_page", [{2: "@4000000000"}, {2: "@3"}, {0: "@1"}])
def test_a_chain_that_leads_nowhere_is_told(tmp_path, next_page):
    path = tmp_path / "lost.tif"
    path.write_bytes(tiff_bytes([PAGE] * 3, next_page=next_page))
    with pytest.raises(ScanError, match=r"truncated|damaged"):
        open_volume(path)


@pytest.mark.parametrize("place", [2**64 - 1, 2**63, 2**40])
@pytest.mark.parametrize("tag", [273, 270, None])
def test_a_bigtiff_that_points_beyond_any_file_is_told(tmp_path, place, tag):
    path = tmp_path / "far.tif"
    tifffile.imwrite(
        path, np.zeros((3, 6, 8), np.uint8), bigtiff=True, photometric="minisblack", rowsperstrip=3
    )
    with tifffile.TiffFile(path) as tif:
        at = tif.pages[0].tags[tag].offset + 12 if tag else 8
    data = bytearray(path.read_bytes())
    data[at : at + 8] = place.to_bytes(8, "little")
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"far\.tif: is .*(truncated|damaged)"):
        open_volume(path)


@pytest.mark.parametrize("size", [2**31, 2**31 - 1, 10**6, 0])
@pytest.mark.parametrize("compression", [1, 5, 8, 32773, 50000, 34712, 7])
def test_a_tiny_file_with_giant_sizes_is_told(tmp_path, size, compression):
    tags = plain_page(size, size, tag_259=(SHORT, compression))
    path = tmp_path / "giant.tif"
    path.write_bytes(tiff_bytes([(tags, [bytes(20)])] * 2))
    start = time.perf_counter()
    with pytest.raises(ScanError, match=r"giant\.tif.*(truncated|damaged)"):
        open_volume(path)
    assert time.perf_counter() - start < 2


@pytest.mark.parametrize(
    "changes",
    [
        {"tag_273": (LONG, *range(1, 2000))},  # more strips than rows
        {"tag_273": (LONG, 4_000_000_000)},
        {"tag_273": (LONG, 0)},
        {"tag_279": (LONG, 0)},
        {"tag_279": (LONG, 47)},
        {"tag_278": (LONG, 0)},
        {"tag_278": (LONG, 1)},
        {"tag_322": (LONG, 0), "tag_323": (LONG, 0)},
        {"tag_322": (LONG, 2**31), "tag_323": (LONG, 2**31)},
        {"tag_256": (TEXT, "wide")},
        {"tag_330": (LONG, 4_000_000_000)},
        {"tag_330": (RATIONAL, 1, 1)},
        {"tag_330": (LONG, *range(1000))},
    ],
)
def test_places_and_counts_that_lie_are_told(tmp_path, changes):
    path = tmp_path / "lies.tif"
    path.write_bytes(tiff_bytes([(plain_page(8, 6, **changes), [bytes(48)])] * 2))
    with pytest.raises(ScanError, match=r"lies\.tif: .*(damaged|truncated)"):
        open_volume(path)


@pytest.mark.parametrize("tag", [256, 270, 273, 279, 282, 330, 34412])
def test_a_tag_of_billions_of_values_is_told_or_not_read(tmp_path, tag):
    data = bytearray(
        tiff_bytes([(plain_page(8, 6, tag_270=(TEXT, "a" * 20), tag_282=(5, 1, 1)), [bytes(48)])] * 2)
    )
    path = tmp_path / "many.tif"
    first = data.index(tag.to_bytes(2, "little") + b"\4\0") if tag in (256, 273, 279) else -1
    if first < 0:
        first = data.index((270).to_bytes(2, "little") + b"\2\0")
        data[first : first + 2] = tag.to_bytes(2, "little")
    data[first + 4 : first + 8] = b"\xff\xff\xff\xff"
    path.write_bytes(data)
    with pytest.raises(ScanError, match=r"many\.tif: .*(damaged|truncated|Zeiss)"):
        open_volume(path)


@pytest.mark.parametrize("next_page", [{}, {3: "@900000"}])
def test_a_truncated_stack_says_how_many_slices_are_whole(tmp_path, next_page):
    path = tmp_path / "cut.tif"
    data = tiff_bytes([PAGE] * 4, next_page=next_page)
    path.write_bytes(data if next_page else data[: len(data) // 2 + 20])
    whole = 4 if next_page else 2
    with pytest.raises(ScanError, match=rf"is truncated: slice {whole + 1} .* {whole} are whole"):
        open_volume(path)


@pytest.mark.parametrize("metadata", [None, {}])
@pytest.mark.parametrize("how", [{}, {"compression": "zlib"}, {"contiguous": False}])
@pytest.mark.parametrize("keep", [0.3, 0.6, 0.9])
def test_a_stack_cut_off_is_never_one_slice_only(tmp_path, metadata, how, keep):
    path = tmp_path / "cut.tif"
    rng = np.random.default_rng(0)
    with tifffile.TiffWriter(path) as writer:
        for _ in range(6):
            writer.write(rng.integers(0, 255, (40, 50), dtype=np.uint8), metadata=metadata, **how)
    data = path.read_bytes()
    path.write_bytes(data[: int(keep * len(data))])
    with pytest.raises(
        ScanError, match=r"is truncated: slice \d( of \d)? .*(is|are) whole|truncated: the values"
    ):
        open_volume(path)


BOMB = 2**27  # bytes; that the files are small matters, and that 64 x 64 voxels are expected


def bomb(name):
    """A strip of zeros that unpacks to far more than a header will say."""
    codecs = pytest.importorskip("imagecodecs")
    if name in ("jpeg", "png", "jpegxl", "jpeg2k"):
        side = 2000
        return getattr(codecs, f"{name}_encode")(np.zeros((side, side), np.uint8))
    if name == "zlib":
        packer = zlib.compressobj(9)
        part = bytes(2**20)
        return b"".join(packer.compress(part) for _ in range(BOMB // 2**20)) + packer.flush()
    if name == "packbits":
        return b"\x81\0" * (BOMB // 128)  # 128 zeros each
    return getattr(codecs, f"{name}_encode")(np.zeros(BOMB // (16 if name == "lzma" else 1), np.uint8))


@pytest.mark.parametrize(
    ("name", "code"),
    [
        ("zlib", 8),
        ("zlib", 32946),
        ("lzw", 5),
        ("packbits", 32773),
        ("zstd", 50000),
        ("lzma", 34925),
        ("jpeg", 7),
        ("png", 34933),
        ("jpegxl", 50002),
        ("jpeg2k", 34712),
    ],
)
def test_a_strip_that_unpacks_to_more_than_its_header_says_costs_nothing(tmp_path, name, code):
    strip = bytes(bomb(name))
    path = tmp_path / "bomb.tif"
    tags = plain_page(64, 64, tag_259=(SHORT, code))
    path.write_bytes(tiff_bytes([(tags, [strip])] * 2))
    told, seconds, megabytes = read_elsewhere(path)
    assert "bomb.tif, slice 1 of 2: cannot be decoded" in told
    assert seconds < 2
    assert megabytes < 40 + 3 * len(strip) / 2**20


def stack_of_every_kind():
    """Small files of many layouts, to be damaged."""
    rng = np.random.default_rng(5)
    array = rng.integers(0, 255, (4, 20, 24), dtype=np.uint8)
    for number, how in enumerate(
        [
            {},
            {"metadata": None},
            {"imagej": True},
            {"ome": True, "metadata": {"axes": "ZYX"}},
            {"bigtiff": True, "rowsperstrip": 3},
            {"compression": "zlib", "predictor": True},
            {"compression": "lzw", "rowsperstrip": 4},
            {"compression": "zstd", "tile": (16, 16)},
            {"compression": "packbits", "byteorder": ">"},
            {"compression": "jpeg"},
        ]
    ):
        yield number, array, {"photometric": "minisblack", **how}


def read_by_tifffile(path):
    with tifffile.TiffFile(path) as tif:
        if len(tif.pages) == 1:
            return tif.asarray()
        return np.stack([page.asarray() for page in tif.pages])


@pytest.mark.parametrize("seed", range(*map(int, os.environ.get("BONE_FUZZ_SEEDS", "0 4").split())))
def test_a_damaged_file_is_read_as_by_tifffile_or_refused(tmp_path, seed):
    """Bytes of headers and data are changed at random; nothing but a BoneError may come of it, and quickly.

    Where BONe reads a file, it gives what tifffile gives, if that reads it and finds the same sizes.
    """
    pytest.importorskip("imagecodecs")
    rng = np.random.default_rng(seed)
    path = tmp_path / "fuzz.tif"
    read = 0
    for _, array, how in stack_of_every_kind():
        tifffile.imwrite(path, array, **how)
        whole = path.read_bytes()
        with tifffile.TiffFile(path) as tif:
            heads = [page.offset for page in tif.pages]
        for _ in range(12):
            data = bytearray(whole)
            for _ in range(rng.integers(1, 4)):
                at = int(rng.choice(heads)) + int(rng.integers(0, 200)) if rng.random() < 0.8 else 0
                at = at or int(rng.integers(0, len(data)))
                data[min(at, len(data) - 1)] = (
                    rng.integers(0, 256) if rng.random() < 0.5 else rng.choice([0, 1, 255])
                )
            path.write_bytes(data)
            start = time.perf_counter()
            try:
                with open_volume(path) as volume:
                    assert volume.header.nbytes < 2**30
                    found = volume.read(0, volume.header.shape[0])
            except BoneError:
                continue
            finally:
                assert time.perf_counter() - start < 2
            read += 1
            try:
                expected = read_by_tifffile(path)
            except Exception:  # it may be stricter, or stumble
                continue
            if expected.shape == found.shape and expected.dtype == found.dtype:
                np.testing.assert_array_equal(found, expected)
    assert read > 10


def test_an_ome_stack_whose_chain_of_pages_is_cut_is_not_read_from_what_lies_behind(tmp_path):
    """Between the slices of such a file lie the other pages' tags, which are no voxels."""
    with tifffile.TiffWriter(tmp_path / "a.ome.tif", ome=True) as writer:
        writer.write(np.arange(6 * 24 * 32, dtype=np.uint8).reshape(6, 24, 32), photometric="minisblack")
    data = bytearray((tmp_path / "a.ome.tif").read_bytes())
    first = int.from_bytes(data[4:8], "little")
    end = first + 2 + 12 * int.from_bytes(data[first : first + 2], "little")
    data[end : end + 4] = bytes(4)  # no further page
    (tmp_path / "a.ome.tif").write_bytes(data)
    with pytest.raises(ScanError, match="OME announces 6 slices, one is found"):
        open_volume(tmp_path / "a.ome.tif")
