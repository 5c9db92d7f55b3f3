"""Reading of every format beside the plain call of a library: MB/s and peak memory.

In:  --mib of the scan, --repeats, --only. Run as: python -m benchmarks.formats
Out: a table: MB of voxels per second (median of the repeats, range) in slabs as BONe reads them, and as the
library gives the whole array; memory above the start's. Each measurement is a process of its own, in
alternating order. Every result must first equal the scan. "none" is a file that numpy maps or reads.
The page cache is warm in both. A row whose library is not there is left out.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.campaigns import format_files as files
from benchmarks.sidebyside import add_quick, alternate, machine, markdown_table, measure, median_and_range
from bone_backend.errors import BoneError
from bone_backend.volumes.volume import open_volume, save

SIDE = 512
UM = (10.0, 10.0, 10.0)


def scan(mib: float) -> np.ndarray:
    """A uint16 scan with noise, of about so many MiB."""
    side = min(SIDE, max(16, round((mib * 2**19) ** (1 / 3))))
    depth = max(4, round(mib * 2**19 / side**2))
    return np.random.default_rng(0).integers(0, 4000, (depth, side, side)).astype(np.uint16)


def _isq(path: Path, array: np.ndarray) -> None:
    path.write_bytes(files.isq(array.astype(np.int16), UM))


def _vgi(path: Path, array: np.ndarray) -> None:
    array.tofile(path.with_suffix(".vol"))
    path.write_text(files.vgi(path.with_suffix(".vol").name, array))


def _mrc(path: Path, array: np.ndarray) -> None:
    with importlib.import_module("mrcfile").new(path) as file:
        file.set_data(array)


def _hdf5(path: Path, array: np.ndarray) -> None:
    chunks = tuple(min(most, n) for most, n in zip((16, 128, 128), array.shape, strict=True))
    with importlib.import_module("h5py").File(path, "w") as file:
        file.create_dataset("data", data=array, chunks=chunks, compression="gzip", compression_opts=1)


def _save(path: Path, array: np.ndarray) -> None:
    save(path, array, voxel_size=UM)


def _read_hdf5(path: Path) -> np.ndarray:
    with importlib.import_module("h5py").File(path) as file:
        return file["data"][:]


#: name -> ending, how it is made, the library of the peer, its plain call
ROWS: dict[str, tuple[str, Callable[[Path, np.ndarray], None], str, Callable[[Path], Any]]] = {
    "tiff": (".tif", _save, "tifffile", lambda path: importlib.import_module("tifffile").imread(path)),
    "npy": (".npy", _save, "numpy", np.load),
    "nifti": (
        ".nii",
        _save,
        "nibabel",
        lambda path: np.asarray(importlib.import_module("nibabel").load(path).dataobj).T,
    ),
    "nrrd": (".nrrd", _save, "nrrd", lambda path: importlib.import_module("nrrd").read(str(path))[0].T),
    "vgi": (".vgi", _vgi, "numpy", lambda path: np.fromfile(path.with_suffix(".vol"), np.uint16)),
    "isq": (
        ".isq",
        _isq,
        "py_aimio",
        lambda path: importlib.import_module("py_aimio").read_isq(str(path))[0],
    ),
    "mrc": (".mrc", _mrc, "mrcfile", lambda path: importlib.import_module("mrcfile").read(path)),
    "hdf5": (".h5", _hdf5, "h5py", _read_hdf5),
    "ome-zarr": (
        ".zarr",
        _save,
        "zarr",
        lambda path: importlib.import_module("zarr").open_array(str(path / "0"), mode="r")[:],
    ),
}


def in_slabs(path: Path) -> int:
    """A sum over all voxels, as BONe reads them; only one slab is held."""
    total = 0
    with open_volume(path) as volume:
        for z0, z1 in volume.slabs():
            total += int(volume.read(z0, z1).sum(dtype=np.int64))
    return total


def candidate(name: str, folder: Path) -> None:
    """Measure one way of reading one format."""
    row, who = name.split("/")
    ending, _, _, plain = ROWS[row]
    path = folder / f"{row}{ending}"
    if who == "BONe":
        measure(lambda: in_slabs(path), watch_memory=True)
    else:
        measure(lambda: int(np.asarray(plain(path)).sum(dtype=np.int64)), watch_memory=True)


def table(given: argparse.Namespace, folder: Path) -> None:
    """Make the files, measure, print."""
    array = scan(given.mib)
    right, mb = int(array.sum(dtype=np.int64)), array.nbytes / 1e6
    lines = []
    for row, (ending, write, package, _) in ROWS.items():
        if given.only and row not in given.only:
            continue
        try:
            importlib.import_module(package)
            write(folder / f"{row}{ending}", array)
        except (ImportError, BoneError):
            lines.append([row, package, "not installed", "", "", ""])
            continue
        names = [f"{row}/BONe", f"{row}/{package}"]
        words = ["--folder", str(folder)]
        found = alternate(
            "benchmarks.formats", names, arguments=words, repeats=given.repeats, is_quick=given.quick
        )
        cells = []
        for name in names:
            if any(sample.result != right for sample in found[name]):
                raise SystemExit(f"{name} reads other voxels")
            cells.append(median_and_range([mb / sample.seconds for sample in found[name]]))
        peaks = [f"{max(sample.peak_mib or 0.0 for sample in found[name]):.0f}" for name in names]
        lines.append([row, package, *cells, *peaks])
    print(machine("numpy"))
    print(f"uint16 {array.shape}, {mb:.0f} MB of voxels\n")
    print(markdown_table(["format", "beside", "BONe MB/s", "beside MB/s", "BONe MiB", "beside MiB"], lines))


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add_quick(parser)
    parser.add_argument("--mib", type=float, default=512, help="Of voxels [default 512].")
    parser.add_argument("--repeats", type=int, default=5, help="Of every measurement [default 5].")
    parser.add_argument("--only", nargs="*", choices=[*ROWS], help="Only these formats.")
    parser.add_argument("--candidate", help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args(words)
    if given.candidate:
        candidate(given.candidate, given.folder)
        return
    if given.quick:
        given.mib, given.repeats = 0.25, 1
    with tempfile.TemporaryDirectory(prefix="bone-formats-") as place:
        table(given, Path(place))


if __name__ == "__main__":
    sys.exit(main())
