"""Mistakes that people make with their files, planted one by one: each is told in one message that names what
is wrong, where, and what to do."""

import contextlib
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import imagecodecs
import numpy as np
import pytest
import tifffile
from scipy import ndimage

from bone_backend.volumes.volume import save
from standalone import command

SHAPE = (24, 40, 44)
UM = (10.0, 10.0, 10.0)
IN_FOLDERS = ("check", "--scans", "scans", "--masks", "masks")
IN_ONE = ("check", "--pairs-from", "all")
FIT = ("fit", "--scans", "scans", "--masks", "masks", "--output", "run", "--dry-run")
TABLE = ("check", "--pairs-from", "pairs.csv")


def phantom(seed):
    """A scan with noise, and its mask of three labels."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=SHAPE), 3)
    mask = (field > 0).astype(np.uint8) + (field > np.quantile(field, 0.85))
    scan = np.clip(40 + 70 * mask + random.normal(0, 6, SHAPE), 1, 255)
    return scan.astype(np.uint8), mask.astype(np.uint8)


GOOD = [phantom(seed) for seed in range(3)]


@dataclass(frozen=True)
class Mistake:
    """plant: changes the files of three good pairs in the present folder. words: the command. told: all stand
    in what it says, as they are. kind: "fault" (no fit begins, or the command is refused) or "doubt"."""

    name: str
    plant: Callable[[], object]
    told: tuple[str, ...]
    words: tuple[str, ...] = IN_FOLDERS
    kind: str = "fault"


def scan(array, number=2, **settings):
    """Put another scan in the place of one."""
    save(f"scans/femur_{number}.tif", np.ascontiguousarray(array), voxel_size=UM, overwrite=True, **settings)


def mask(array, number=2, **settings):
    """Put another mask in the place of one."""
    save(f"masks/femur_{number}.tif", np.ascontiguousarray(array), voxel_size=UM, overwrite=True, **settings)


def size(kind, sizes, number=2, unit="um"):
    array = GOOD[number - 1][kind == "masks"]
    save(f"{kind}/femur_{number}.tif", array, voxel_size=sizes, unit=unit, overwrite=True)


def slices(kind="scans", number=2, name="{z:03d}.tif"):
    """Put a folder of slices in the place of a file; gives the folder."""
    folder = Path(kind, f"femur_{number}")
    Path(f"{folder}.tif").unlink()
    folder.mkdir()
    for z, plane in enumerate(GOOD[number - 1][kind == "masks"], start=1):
        tifffile.imwrite(folder / name.format(z=z), plane)
    return folder


def at(array, places, value):
    changed = array.copy()
    changed[places] = value
    return changed


def all_in_one(*renamed):
    """All six in one folder, as femur_1.tif and femur_1_mask.tif; renamed: (old, new)."""
    Path("all").mkdir()
    for number in (1, 2, 3):
        shutil.copy(f"scans/femur_{number}.tif", f"all/femur_{number}.tif")
        shutil.copy(f"masks/femur_{number}.tif", f"all/femur_{number}_mask.tif")
    for old, new in renamed:
        Path("all", old).rename(Path("all", new))


def table(text, encoding="utf-8"):
    Path("pairs.csv").write_bytes(text.encode(encoding))


ROW = "scans/femur_{0}.tif,masks/femur_{0}.tif,m{0}\n"
ROWS = "scan,mask,subject\n" + ROW.format(1) + ROW.format(2)


def cut(path, share=0.5):
    """Leave a part of a file."""
    content = Path(path).read_bytes()
    Path(path).write_bytes(content[: int(len(content) * share)])


def link_to_nowhere():
    Path("scans/femur_2.tif").unlink()
    Path("scans/femur_2.tif").symlink_to("gone.tif")


def unreadable():
    Path("scans/femur_2.tif").chmod(0)
    if os.access("scans/femur_2.tif", os.R_OK):
        pytest.skip("this user may read every file")


def folder_for_file():
    Path("scans/femur_2.tif").unlink()
    Path("scans/femur_2.tif").mkdir()


S, M = (pair for pair in zip(*GOOD, strict=True))
SMOOTH = ndimage.shift((M[1] > 0) * 255.0, (0, 0.25, 0.3), order=1).astype(np.uint8)
COLOURED = np.stack([M[1] * np.uint8(100), M[1], M[1]], axis=-1)

MISTAKES = [
    # masks that lie elsewhere
    Mistake("mask of another animal", lambda: mask(M[2]), ("pair 2", "belong to another scan"), kind="doubt"),
    Mistake(
        "mask of noise",
        lambda: mask(np.random.default_rng(9).integers(0, 3, SHAPE, np.uint8)),
        ("pair 2", "belong to another scan"),
        kind="doubt",
    ),
    *(
        Mistake(
            f"mask turned over along {axis}",
            lambda n=n: mask(np.flip(M[1], n)),
            ("pair 2", f"turned over along {axis}", "Export"),
            kind="doubt",
        )
        for n, axis in enumerate("zyx")
    ),
    Mistake(
        "mask turned by half a turn",
        lambda: mask(M[1][:, ::-1, ::-1]),
        ("pair 2", "turned over along y and x"),
        kind="doubt",
    ),
    *(
        Mistake(
            f"mask {by} beside along {'zyx'[axis]}",
            lambda by=by, axis=axis: mask(np.roll(M[1], by, axis)),
            ("pair 2", f"{by} voxel", f"beside the scan along {'zyx'[axis]}: moved by {-by:+d}"),
            kind="doubt",
        )
        for by in (1, 2, 3)
        for axis in range(3)
    ),
    Mistake(
        "mask with axes y and x exchanged",
        lambda: mask(M[1].transpose(0, 2, 1)),
        ("pair 2", "mask", "24 x 44 x 40", "axes", "exchanged"),
    ),
    Mistake(
        "mask with axes z and x exchanged", lambda: mask(M[1].transpose(2, 1, 0)), ("pair 2", "exchanged")
    ),
    Mistake("mask cut off", lambda: mask(M[1][:-5]), ("pair 2", "19 x 40 x 44", "5 slices", "cut off")),
    Mistake(
        "mask of half the size", lambda: mask(M[1][::2, ::2, ::2]), ("pair 2", "12 x 20 x 22", "2 times")
    ),
    Mistake(
        "mask of another size", lambda: mask(np.pad(M[1], 3)), ("pair 2", "30 x 46 x 50", "same lattice")
    ),
    Mistake(
        "mask with other voxels",
        lambda: size("masks", (20.0, 20.0, 20.0)),
        ("pair 2", "20.0", "10.0", "Export both"),
    ),
    Mistake("mask in mm for um", lambda: size("masks", UM, unit="mm"), ("pair 2", "1000 times", "unit")),
    # scans that differ
    Mistake(
        "scan in mm for um",
        lambda: [size(kind, (20.0, 20.0, 20.0), unit="mm") for kind in ("scans", "masks")],
        ("pair 2", "20000", "unit"),
        kind="doubt",
    ),
    Mistake(
        "scan with other voxels",
        lambda: [size(kind, (20.0, 20.0, 20.0)) for kind in ("scans", "masks")],
        ("pair 2", "voxels are", "20 x 20 x 20 um", "most are"),
        kind="doubt",
    ),
    Mistake(
        "scan without voxel size",
        lambda: [size(kind, None) for kind in ("scans", "masks")],
        ("pair 2", "voxel size", "unknown"),
        kind="doubt",
    ),
    Mistake(
        "scan of 16 bit among 8 bit",
        lambda: scan(S[1].astype(np.uint16)),
        ("pair 2", "uint16", "most are uint8"),
        kind="doubt",
    ),
    Mistake(
        "scan of another scanner",
        lambda: scan(S[1] // 4),
        ("pair 2", "grey values", "unlike those of most"),
        kind="doubt",
    ),
    Mistake("inverted scan", lambda: scan(255 - S[1]), ("pair 2", "grey values", "inverted"), kind="doubt"),
    Mistake(
        "constant scan", lambda: scan(np.full(SHAPE, 7, np.uint8)), ("femur_2.tif", "all grey values are 7")
    ),
    Mistake("empty scan", lambda: scan(np.zeros(SHAPE, np.uint8)), ("femur_2.tif", "every voxel is 0")),
    Mistake(
        "noise without bone",
        lambda: scan(np.random.default_rng(1).normal(100, 9, SHAPE).astype(np.uint8)),
        ("pair 2", "two tissues", "overlap"),
        kind="doubt",
    ),
    Mistake(
        "scan with NaN",
        lambda: scan(at(S[1].astype(np.float32), (5, 3, 3), np.nan)),
        ("femur_2.tif", "slice 6", "NaN or infinity", "Replace"),
    ),
    Mistake(
        "scan with infinity",
        lambda: scan(at(S[1].astype(np.float32), (5, 3, 3), np.inf)),
        ("femur_2.tif", "slice 6", "NaN or infinity"),
    ),
    Mistake(
        "scan of 64-bit numbers",
        lambda: scan(S[1].astype(np.float64)),
        ("scan", "femur_2.tif", "float64", "Save it as float32"),
    ),
    Mistake(
        "scan of signed bytes",
        lambda: scan((S[1].astype(np.int16) - 128).astype(np.int8)),
        ("femur_2.tif", "int8", "int16"),
    ),
    Mistake(
        "scan of 32-bit whole numbers",
        lambda: scan(S[1].astype(np.uint32)),
        ("femur_2.tif", "uint32", "uint16"),
    ),
    Mistake(
        "slice saved twice",
        lambda: scan(np.concatenate([S[1][:6], S[1][5:-1]])),
        ("pair 2", "slice 7", "saved twice"),
        kind="doubt",
    ),
    Mistake(
        "black slice amid the scan",
        lambda: scan(at(S[1], slice(8, 10), 0)),
        ("pair 2", "slices 9, 10", "lost?"),
        kind="doubt",
    ),
    Mistake(
        "scan too small for a patch",
        lambda: [scan(S[1][:, :7, :7]), mask(M[1][:, :7, :7])],
        ("femur_2", "7 x 7 px", "smallest patch"),
    ),
    Mistake(
        "too few slices",
        lambda: [scan(S[1][:1]), mask(M[1][:1])],
        ("scans/femur_2.tif", "one slice only", "Give the folder of slices"),
    ),
    # the same scan again
    Mistake(
        "same scan under two names",
        lambda: [scan(S[0]), mask(M[0])],
        ("pair 2", "same slices as that of pair 1"),
        kind="doubt",
    ),
    Mistake(
        "same scan turned over",
        lambda: [scan(S[0][::-1, :, ::-1]), mask(M[0][::-1, :, ::-1])],
        ("pair 2", "perhaps turned over"),
        kind="doubt",
    ),
    Mistake(
        "parts of one scan overlap",
        lambda: [scan(np.concatenate([S[0][:9], S[1][9:]])), mask(np.concatenate([M[0][:9], M[1][9:]]))],
        ("pair 2", "shares 9 slices with that of pair 1"),
        kind="doubt",
    ),
    Mistake(
        "same file twice",
        lambda: None,
        ("pair 2 has the same scan as pair 1", "Give every scan once"),
        (
            "check",
            "--pair",
            "scans/femur_1.tif",
            "masks/femur_1.tif",
            "--pair",
            "scans/femur_1.tif",
            "masks/femur_1.tif",
        ),
    ),
    Mistake(
        "scan as its own mask",
        lambda: None,
        ("pair 1 has the same path as scan and mask",),
        ("check", "--pair", "scans/femur_1.tif", "scans/femur_1.tif"),
    ),
    Mistake(
        "scan and mask swapped",
        lambda: None,
        ("femur_1.tif", "looks like a scan", "swapped"),
        ("check", "--pair", "masks/femur_1.tif", "scans/femur_1.tif"),
    ),
    Mistake(
        "two scans of one animal",
        lambda: all_in_one(
            ("femur_1.tif", "m1_left.tif"),
            ("femur_1_mask.tif", "m1_left_mask.tif"),
            ("femur_2.tif", "m1_right.tif"),
            ("femur_2_mask.tif", "m1_right_mask.tif"),
        ),
        ("may be of one animal", "(m1)", "name the subject"),
        IN_ONE,
        "doubt",
    ),
    Mistake(
        "one animal on both sides",
        lambda: table(
            "scan,mask,subject\nscans/femur_1.tif,masks/femur_1.tif,a\nscans/femur_2.tif,masks/femur_2.tif,a\n"
        ),
        ("--validation-pairs", "scans of a on both sides"),
        (*TABLE, "--validation-pairs", "1"),
    ),
    Mistake(
        "one animal in all",
        lambda: table(
            "scan,mask,subject\nscans/femur_1.tif,masks/femur_1.tif,a\nscans/femur_2.tif,masks/femur_2.tif,a\n"
        ),
        ("one subject only", "Leave the subject out"),
        (*TABLE, "--validation", "scans"),
    ),
    # labels
    Mistake(
        "mask of 0 and 255",
        lambda: mask((M[1] > 0) * np.uint8(255)),
        ("255", "without gaps", "--map-labels", "femur_2.tif"),
    ),
    Mistake(
        "labels with a gap", lambda: mask(M[1] * np.uint8(2)), ("0, 1, 2, 4", "without gaps", "femur_2.tif")
    ),
    Mistake(
        "interpolated mask",
        lambda: mask(SMOOTH),
        ("femur_2.tif", "grey edges", "interpolation", "nearest neighbour", "threshold it at 128"),
    ),
    Mistake(
        "mask with a pencil of one voxel",
        lambda: mask(at(M[1], (3, 4, 5), 3)),
        ("pair 2", "label 3 in one voxel only"),
        kind="doubt",
    ),
    Mistake(
        "label in one mask alone",
        lambda: mask(at(M[1], (0, slice(3), slice(3)), 3)),
        ("pair 2", "alone holds label 3 (9 voxels)"),
        kind="doubt",
    ),
    Mistake("empty mask", lambda: mask(M[1] * 0), ("pair 2", "its mask is empty"), kind="doubt"),
    Mistake(
        "mask of one voxel",
        lambda: mask(at(M[1] * 0, (9, 9, 9), 1)),
        ("pair 2", "label 1 in one voxel only"),
        kind="doubt",
    ),
    Mistake("all masks empty", lambda: [mask(M[0] * 0, n) for n in (1, 2, 3)], ("background only",)),
    Mistake(
        "mask of decimal numbers",
        lambda: mask(M[1].astype(np.float32)),
        ("femur_2.tif", "float32", "whole numbers", "8-bit or 16-bit"),
    ),
    Mistake(
        "negative labels",
        lambda: mask(at(M[1].astype(np.int16), (3, 4, slice(5)), -1)),
        ("femur_2.tif", "below 0", "--ignore-label"),
    ),
    Mistake(
        "labels above 65535",
        lambda: mask(at(M[1].astype(np.uint32), (3, 4, slice(5)), 70_000)),
        ("femur_2.tif", "above 65535"),
    ),
    Mistake(
        "mask in colours",
        lambda: tifffile.imwrite("masks/femur_2.tif", COLOURED, photometric="rgb"),
        ("femur_2.tif", "colour"),
    ),
    Mistake(
        "class in training only",
        lambda: [mask(np.minimum(M[n - 1], 1), n) for n in (1, 2)],
        ("No validation scan", "class 2", "--validation-pairs"),
        (*IN_FOLDERS, "--validation-pairs", "1"),
        "doubt",
    ),
    Mistake(
        "class in validation only",
        lambda: [mask(np.minimum(M[n - 1], 1), n) for n in (2, 3)],
        ("Only the validation scans", "class 2"),
        (*IN_FOLDERS, "--validation-pairs", "1"),
        "doubt",
    ),
    Mistake(
        "map of a label that is not there",
        lambda: None,
        ("names 9", "masks hold 0, 1, 2"),
        (*IN_FOLDERS, "--map-labels", "9:1"),
    ),
    # files
    Mistake(
        "missing file",
        lambda: Path("scans/femur_2.tif").unlink(),
        ("scans/femur_2.tif", "does not exist"),
        ("check", "--pair", "scans/femur_2.tif", "masks/femur_2.tif"),
    ),
    Mistake(
        "missing folder",
        lambda: None,
        ("scan/femur_2.tif", "folder", "does not exist"),
        ("check", "--pair", "scan/femur_2.tif", "masks/femur_2.tif"),
    ),
    Mistake(
        "scan without mask", lambda: Path("masks/femur_2.tif").unlink(), ("scans/femur_2.tif", "has no mask")
    ),
    Mistake(
        "mask without scan", lambda: Path("scans/femur_2.tif").unlink(), ("masks/femur_2.tif", "has no scan")
    ),
    Mistake(
        "two masks of one scan",
        lambda: all_in_one(("femur_3_mask.tif", "femur_2_seg.tif")),
        ("femur_2_mask.tif", "femur_2_seg.tif", "called alike"),
        IN_ONE,
    ),
    Mistake(
        "a folder of scans alone",
        lambda: None,
        ("3 scans and no mask", "in scans", "--masks"),
        ("check", "--pairs-from", "scans"),
    ),
    Mistake(
        "a folder of masks alone",
        lambda: None,
        ("3 masks and no scan", "in masks", "--scans"),
        ("check", "--pairs-from", "masks"),
    ),
    Mistake(
        "empty folder",
        lambda: Path("none").mkdir(),
        ("none", "no scans or masks"),
        ("check", "--pairs-from", "none"),
    ),
    Mistake("no such folder", lambda: None, ("nowhere", "exists"), ("check", "--pairs-from", "nowhere")),
    Mistake(
        "pattern that fits nothing",
        lambda: None,
        ("scans/*.nii", "pattern"),
        ("check", "--scans", "scans/*.nii", "--masks", "masks"),
    ),
    Mistake(
        "empty folder for a scan",
        folder_for_file,
        ("scans/femur_2.tif", "is an empty folder"),
        ("check", "--pair", "scans/femur_2.tif", "masks/femur_2.tif"),
    ),
    Mistake(
        "broken link",
        link_to_nowhere,
        ("scans/femur_2.tif", "gone.tif"),
        ("check", "--pair", "scans/femur_2.tif", "masks/femur_2.tif"),
    ),
    Mistake("file that may not be read", unreadable, ("femur_2.tif", "ermission")),
    Mistake("empty file", lambda: Path("scans/femur_2.tif").write_bytes(b""), ("femur_2.tif", "empty")),
    Mistake(
        "truncated file",
        lambda: cut("scans/femur_2.tif"),
        ("femur_2.tif", "truncated", "slice 14 of 24", "Copy it again"),
    ),
    Mistake(
        "a photograph named as TIFF",
        lambda: Path("scans/femur_2.tif").write_bytes(imagecodecs.jpeg_encode(S[1][0])),
        ("femur_2.tif", "JPEG"),
    ),
    Mistake(
        "text named as TIFF",
        lambda: Path("scans/femur_2.tif").write_text("femur 2, see below"),
        ("femur_2.tif", "TIFF"),
    ),
    Mistake(
        "NIfTI named as TIFF",
        lambda: [save("scan.nii", S[1]), Path("scan.nii").replace("scans/femur_2.tif")],
        ("femur_2.tif", "NIfTI"),
    ),
    Mistake(
        "file of another program",
        lambda: Path("notes.docx").write_bytes(b"PK\3\4 a letter"),
        ("notes.docx", "no volume that BONe reads"),
        ("check", "--pair", "notes.docx", "masks/femur_2.tif"),
    ),
    # folders of slices
    Mistake("lost slice", lambda: (slices() / "007.tif").unlink(), ("femur_2", "007.tif", "missing")),
    Mistake(
        "slice of another size",
        lambda: tifffile.imwrite(slices() / "007.tif", S[1][6, :30]),
        ("007.tif", "(30, 44)", "(40, 44)"),
    ),
    Mistake(
        "slice of other numbers",
        lambda: tifffile.imwrite(slices() / "007.tif", S[1][6].astype(np.uint16)),
        ("007.tif", "uint16", "uint8"),
    ),
    Mistake("empty slice file", lambda: (slices() / "007.tif").write_bytes(b""), ("007.tif", "empty")),
    Mistake("truncated slice", lambda: cut(slices() / "007.tif"), ("007.tif",)),
    Mistake(
        "two stacks in one folder",
        lambda: [
            tifffile.imwrite(folder / f"other_{z:03d}.tif", S[2][z])
            for folder in [slices()]
            for z in range(5)
        ],
        ("femur_2", "other_"),
    ),
    Mistake(
        "numbers without zeros in front and twice",
        lambda: shutil.copy(slices() / "007.tif", "scans/femur_2/7.tif"),
        ("femur_2", "7.tif"),
    ),
    # tables
    Mistake(
        "table without lines",
        lambda: table("scan,mask,subject\n"),
        ("pairs.csv", "no line with a scan and its mask"),
        TABLE,
    ),
    Mistake("empty table", lambda: table(""), ("pairs.csv", "empty"), TABLE),
    Mistake(
        "table without the column mask",
        lambda: table(ROWS.replace("mask,subject", "mast,subject")),
        ("pairs.csv, line 1", "no column mast. Did you mean mask?"),
        TABLE,
    ),
    Mistake(
        "table with a lost file",
        lambda: table(ROWS + ROW.format(9)),
        ("pairs.csv, line 4", "scans/femur_9.tif does not exist", "looked for at"),
        TABLE,
    ),
    Mistake(
        "table without a mask",
        lambda: table(ROWS + "scans/femur_3.tif,,m3\n"),
        ("pairs.csv, line 4", "no mask"),
        TABLE,
    ),
    Mistake(
        "table with a scan twice",
        lambda: table(ROWS + ROW.format(1)),
        ("pairs.csv, line 4", "that of line 2 again"),
        TABLE,
    ),
    Mistake(
        "table with blanks between",
        lambda: table(ROWS.replace(",", " ")),
        ("pairs.csv", "commas, semicolons or tabs"),
        TABLE,
    ),
    Mistake(
        "table of Excel itself",
        lambda: Path("pairs.csv").write_bytes(b"PK\3\4\x14\0\xff\xfe"),
        ("pairs.csv", "CSV"),
        TABLE,
    ),
    Mistake(
        "table in Latin 1",
        lambda: table(ROWS.replace("m1", "m\xe4"), "latin-1"),
        ("pairs.csv", "UTF-8"),
        TABLE,
    ),
    Mistake(
        "table with a quote left open",
        lambda: table(ROWS + '"scans/femur_3.tif,masks/femur_3.tif,m3\n'),
        ("pairs.csv, line 4", "quot"),
        TABLE,
    ),
    Mistake("table that is not there", lambda: None, ("pairs.csv", "exists"), TABLE),
    # other commands, in the same words
    *(
        Mistake(f"{name}, in a fit", plant, told, FIT)
        for name, plant, told in (
            ("mask cut off", lambda: mask(M[1][:-5]), ("pair 2", "lacks 5 slices", "cut off")),
            ("0 and 255", lambda: mask((M[1] > 0) * np.uint8(255)), ("255", "--map-labels", "femur_2.tif")),
            ("interpolated mask", lambda: mask(SMOOTH), ("femur_2.tif", "grey edges", "nearest neighbour")),
            ("empty file", lambda: Path("scans/femur_2.tif").write_bytes(b""), ("femur_2.tif", "empty")),
            ("truncated mask", lambda: cut("masks/femur_2.tif"), ("masks/femur_2.tif", "truncated")),
        )
    ),
    Mistake(
        "labels of another scan compared",
        lambda: mask(M[1][:-5]),
        ("femur_2", "19 x 40 x 44", "Only labels of the same scan"),
        ("iou", "masks/femur_1.tif", "masks/femur_2.tif"),
    ),
    Mistake(
        "statistics of a mask of decimals",
        lambda: scan(S[1].astype(np.float64)),
        ("femur_2.tif", "float64"),
        ("statistics", "scans/femur_2.tif"),
    ),
    Mistake(
        "prediction with a scan for a model",
        lambda: None,
        ("femur_2.tif is no model file",),
        ("predict", "scans/femur_1.tif", "--model", "scans/femur_2.tif", "--output", "labels.tif"),
    ),
    Mistake(
        "info of nothing", lambda: None, ("scan/femur_1.tif", "does not exist"), ("info", "scan/femur_1.tif")
    ),
    # words
    Mistake(
        "pair of one word",
        lambda: None,
        ("pair 1 is", "a pair is SCAN MASK", "2 or 3 words"),
        ("check", "--pair", "scans/femur_1.tif"),
    ),
    Mistake(
        "pair of four words",
        lambda: None,
        ("pair 1 is", "a pair is SCAN MASK", "2 or 3 words"),
        ("check", "--pair", "scans/femur_1.tif", "masks/femur_1.tif", "m 1", "left"),
    ),
    Mistake(
        "scans without masks",
        lambda: None,
        ("--scans and --masks belong together",),
        ("check", "--scans", "scans"),
    ),
    Mistake("pairs in two ways", lambda: None, ("in one way",), (*IN_FOLDERS, "--pairs-from", "scans")),
    Mistake("no pair at all", lambda: None, ("no pair is given",), ("check",)),
]

# What is none of people's faults: nothing is to be said of it.
HARMLESS = {
    "files of Windows and macOS": lambda: [
        Path("scans", name).write_bytes(b"x")
        for name in ("Thumbs.db", ".DS_Store", "._femur_1.tif", "desktop.ini")
    ],
    "the same among slices": lambda: [
        (folder / name).write_bytes(b"x")
        for folder in [slices()]
        for name in ("Thumbs.db", ".DS_Store", "._001.tif", "desktop.ini")
    ],
    "blanks and umlauts": lambda: [
        Path(kind, "femur_2.tif").rename(Path(kind, "Sch\xe4del 2 (links).tif"))
        for kind in ("scans", "masks")
    ],
    "names in capitals": lambda: [
        Path(kind, "femur_2.tif").rename(Path(kind, "FEMUR_2.TIF")) for kind in ("scans", "masks")
    ],
    "8 and 16 bit masks": lambda: mask(M[1].astype(np.uint16)),
}


@pytest.fixture(scope="module")
def good(tmp_path_factory):
    """Three good pairs in two folders, to be copied."""
    folder = tmp_path_factory.mktemp("good")
    with contextlib.chdir(folder):
        for number, (grey, labels) in enumerate(GOOD, start=1):
            Path("scans").mkdir(exist_ok=True)
            Path("masks").mkdir(exist_ok=True)
            scan(grey, number)
            mask(labels, number)
    return folder


@pytest.fixture
def here(good, tmp_path, monkeypatch):
    shutil.copytree(good, tmp_path / "a")
    monkeypatch.chdir(tmp_path / "a")


def said(capsys, words):
    """The status of a command, and all that it says, with single blanks."""
    status = command.main([*words, "--quiet"])
    out, err = capsys.readouterr()
    return status, " ".join((out + "\n" + err).split())


@pytest.mark.parametrize("mistake", MISTAKES, ids=lambda mistake: mistake.name)
def test_a_planted_mistake_is_told(here, capsys, mistake):
    mistake.plant()
    status, text = said(capsys, mistake.words)
    if os.environ.get("SHOW"):
        sys.stderr.write(text)
    for words in mistake.told:
        assert words in text
    assert "Traceback" not in text
    faults, doubts = text.count("FAULT: "), text.count("DOUBT: ")
    if mistake.kind == "doubt":
        assert (status, faults) == (0, 0)
        assert 1 <= doubts <= 3
    else:
        assert status == 1
        assert faults + doubts <= 3  # the mistake is not told in many ways


@pytest.mark.parametrize("what", HARMLESS)
def test_what_is_no_mistake_is_not_told(here, capsys, what):
    HARMLESS[what]()
    status, text = said(capsys, IN_FOLDERS)
    known = text.count("DOUBT: pair 3: the voxel size of its scan is unknown")  # of plain slices
    assert (status, text.count("FAULT")) == (0, 0)
    assert text.count("DOUBT") == known


def test_there_are_sixty_mistakes_at_least():
    assert len({mistake.name for mistake in MISTAKES}) == len(MISTAKES) >= 60


@pytest.mark.slow
def test_a_dry_run_of_a_fit_warns_of_a_turned_mask_as_the_check_does(here, capsys):
    mask(np.flip(M[1], 2))
    status, text = said(capsys, (*FIT, "--epochs", "1"))
    assert status == 0
    assert "Warning: Scan femur_2: its mask seems to lie the wrong way: turned over along x" in text
    assert text.count("seems to") == 1
