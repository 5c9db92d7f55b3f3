"""Damaged TIFF files: each is read as tifffile reads it, or refused in words, in bounded time and memory.

In:  --count, --minutes, --seed, --seconds, --mib. Run as: python -m benchmarks.campaigns.fuzz_tiff
Out: a table by make of file. Lost is a file that ends in anything but a BoneError, takes longer or more
memory than allowed, or is read as other voxels than tifffile's.
The right voxels are those of every page as tifffile decodes it alone, of a file of one page those of its
series.
About 40 ms a file. Voxels of which 0 is white are meant inverted, and rows that are stored from below or
from the right are meant turned: tifffile gives them as they are stored, so that is done here.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import logging
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from . import child, damaged_tiff
from .campaign import Campaign, parser

#: orientation -> axes (y, x) to be flipped; 5 to 8 lie on their side, which a scan never does
FLIPPED = {2: (1,), 3: (0, 1), 4: (0,)}


def read(path: Path) -> str:
    """What BONe reads, slice by slice, as a hash over shape, dtype and voxels. Raises BoneError."""
    from bone_backend.volumes.volume import open_volume

    with open_volume(path) as volume:
        header = volume.header
        digest = _digest(header.shape, header.dtype)
        for z in range(header.shape[0]):
            digest.update(volume.read(z, z + 1).tobytes())
    return digest.hexdigest()


class _Complaints(logging.Handler):
    """Raises what tifffile tells of damage while it goes on reading."""

    def emit(self, record: logging.LogRecord) -> None:
        raise ValueError(record.getMessage())


def meant(path: Path) -> list[str]:
    """What the files hold by tifffile: hashes of all that they may be taken for.

    Raises ValueError where tifffile guesses: it says what is wrong in its log, and reads on.
    """
    import tifffile

    logging.getLogger("tifffile").addHandler(_Complaints(logging.WARNING))
    if path.is_dir():
        stack = []
        for file in sorted(path.iterdir()):
            with tifffile.TiffFile(file) as tif:
                stack.append(_as_meant(tif.pages[0].asarray(), tif.pages[0]))
        return [_hash(np.stack(stack))]
    with tifffile.TiffFile(path) as tif:
        pages = list(tif.pages)  # each with its own tags, before tifffile takes some for copies of others
        if len(pages) > 1:  # whatever a description announces
            kept = [page for page in pages if not (page.is_reduced or _is_marked(page))]
            stacks = [[_as_meant(page.asarray(), page) for page in some] for some in (pages, kept)]
        else:
            array = tif.series[0].asarray()
            stacks = [[_as_meant(plane, pages[0]) for plane in array.reshape(-1, *array.shape[-2:])]]
    alike = [stack for stack in stacks if stack and len({plane.shape for plane in stack}) == 1]
    return [_hash(np.stack(stack)) for stack in alike]


def _is_marked(page: Any) -> bool:
    """Whether a page says that it is a preview or a transparency mask (NewSubfileType, SubfileType)."""
    new, old = (page.tags.get(number) for number in (254, 255))
    return bool(new is not None and int(new.value) & 5) or (old is not None and old.value == 2)


def _as_meant(plane: np.ndarray, page: Any) -> np.ndarray:
    """A slice with black as 0, the first row above."""
    colour, turn = page.tags.get(262), page.tags.get(274)
    if (
        colour is not None
        and colour.value == 0
        and plane.dtype.kind in "bu"
        and not _is_as_stored(plane, page)
    ):
        plane = ~plane if plane.dtype.kind == "b" else np.iinfo(plane.dtype).max - plane
    return np.flip(plane, FLIPPED.get(turn.value if turn else 1, ()))


def _is_as_stored(plane: np.ndarray, page: Any) -> bool:
    """tifffile writes bool arrays, and ImageJ 8-bit images shown inverted, so that 0 is still the value 0."""
    if plane.dtype.kind == "b":
        return str(page.software).startswith("tifffile")
    return plane.dtype.itemsize == 1 and page.parent.pages[0].description.startswith("ImageJ=")


def _digest(shape: Sequence[int], dtype: np.dtype):
    return hashlib.sha256(f"{tuple(map(int, shape))} {np.dtype(dtype).newbyteorder('=')}".encode())


def _hash(array: np.ndarray) -> str:
    array = array.astype(np.uint8) if array.dtype == bool else array
    array = np.ascontiguousarray(array.astype(array.dtype.newbyteorder("="), copy=False))
    digest = _digest(array.shape, array.dtype)
    digest.update(array.tobytes())
    return digest.hexdigest()


def damage_into(folder: Path, seed: Path, rng: random.Random) -> Path:
    """A damaged copy of a seed, a file or a folder of which one slice is damaged."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    copy = folder / seed.name
    if seed.is_dir():
        shutil.copytree(seed, copy)
        target = rng.choice(sorted(copy.iterdir()))
        target.write_bytes(damaged_tiff.damage(target.read_bytes(), rng))
    else:
        copy.write_bytes(damaged_tiff.damage(seed.read_bytes(), rng))
    return copy


def trial(campaign: Campaign, path: Path, kind: str, *, seconds: float, mib: float) -> None:
    """Read one file, and count or lose it."""
    found = child.run(functools.partial(read, path), processor_s=seconds, grown_mib=mib)
    if found.kind == child.REFUSED:
        return campaign.count(kind, "refused in words")
    if found.kind != child.DONE:
        return campaign.lose(kind, f"{found.kind}: {found.text}", keep=[path])
    expected = child.run(functools.partial(meant, path), processor_s=10, grown_mib=2000)
    if expected.kind != child.DONE:
        return campaign.count(kind, "read, tifffile cannot")
    if found.value not in expected.value:
        return campaign.lose(kind, "read as other voxels than tifffile's", keep=[path])
    return campaign.count(kind, "read alike")


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    logging.getLogger("tifffile").addHandler(logging.NullHandler())
    logging.getLogger("tifffile").propagate = False
    warnings.simplefilter("ignore")
    campaign = Campaign("fuzz_tiff", asked)
    seeds = damaged_tiff.write_seeds(folder / "seeds")
    for seed in seeds:  # also so that every decoder is imported before the first child begins
        for look in (read, meant):
            with_words = child.run(functools.partial(look, seed))
            if with_words.kind == child.DONE:
                look(seed)
    for rng in campaign.trials():
        seed = rng.choice(seeds)
        path = damage_into(folder / "trial", seed, rng)
        trial(campaign, path, seed.name.split(".")[0], seconds=asked.seconds, mib=asked.mib)
    return campaign.end("numpy", "tifffile", "imagecodecs")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=10_000)
    made.add_argument("--seconds", type=float, default=5.0, help="Of the processor, for a file [default 5].")
    made.add_argument("--mib", type=float, default=500.0, help="Of memory, for a file [default 500].")
    asked = made.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        return run(asked, Path(place))


if __name__ == "__main__":
    sys.exit(main())
