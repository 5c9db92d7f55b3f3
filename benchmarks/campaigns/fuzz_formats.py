"""Damaged files of every format but TIFF: each is read, or refused in words, in bounded time and memory.

In:  --count, --minutes, --seed, --seconds, --mib, --kind. Run as: python -m benchmarks.campaigns.fuzz_formats
Out: a table by kind of file. Lost is a file that ends in anything but a BoneError, takes longer or more
memory than allowed, or whose fault does not name it. Other voxels are no loss: most formats have no checksum.
About 40 ms a file. Headers that are text are changed as texts, all others as bytes; now and then a number of
the header is a strange one, a file is empty, is gone, or is a link to itself.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import random
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path

from bone_backend.files.inside import parts_of

from . import child, damage, format_files
from .campaign import Campaign, parser

TEXTS = (".vgi", ".pcr", ".dat", ".json", ".zattrs", ".zarray", ".zgroup")
HEADER = 1400  # bytes in which the numbers of a header lie


def read(path: str) -> str:
    """What BONe reads, slab by slab, as a hash over shape, dtype and voxels. Raises BoneError."""
    from bone_backend.volumes.volume import open_volume, peek, storage_of

    digest = hashlib.sha256()
    peek(path)
    storage_of(Path(path))
    with open_volume(path) as volume:
        header = volume.header
        digest.update(f"{header.shape} {header.dtype}".encode())
        for z0, z1 in volume.slabs(1 << 20):
            digest.update(volume.read(z0, z1).tobytes())
    return digest.hexdigest()


def strange_number(content: bytes, rng: random.Random) -> bytes:
    """A number of the header is another one."""
    made = bytearray(content)
    if len(made) >= 12:
        width = rng.choice((2, 4, 8))
        at = rng.randrange(min(len(made), HEADER) - width + 1) // 2 * 2
        value = rng.choice(damage.INTERESTING) & (1 << 8 * width) - 1
        made[at : at + width] = value.to_bytes(width, rng.choice(("little", "big")))
    return bytes(made)


def damage_file(path: Path, rng: random.Random) -> None:
    """One file is another, or gone."""
    way = rng.random()
    if way < 0.03:
        path.unlink()
        if way < 0.01:
            path.symlink_to(path.name)
        return
    content = path.read_bytes()
    if way < 0.05:
        made = b""
    elif path.name.endswith(TEXTS) and way < 0.8:
        made = damage.change_text(content.decode("utf-8", "replace"), rng)
    elif way < 0.5:
        made = strange_number(content, rng)
    else:
        made = damage.change_bytes(content, rng)
    path.write_bytes(made)


def damaged_copy(folder: Path, seed: format_files.Seed, rng: random.Random) -> str:
    """A copy of a seed of which one file is damaged; the path as a user gives it."""
    shutil.rmtree(folder, ignore_errors=True)
    file, inside = parts_of(seed.path)
    shutil.copytree(file.parent, folder)
    damage_file(rng.choice(sorted(path for path in folder.rglob("*") if path.is_file())), rng)
    return str(folder / file.name) + (f"#{inside}" if inside else "")


def trial(
    campaign: Campaign, path: str, seed: format_files.Seed, right: str, *, seconds: float, mib: float
) -> None:
    """Read one file, and count or lose it."""
    found = child.run(functools.partial(read, path), processor_s=seconds, grown_mib=mib)
    folder = parts_of(path)[0].parent
    if found.kind == child.REFUSED:
        if str(folder) not in found.text:
            return campaign.lose(seed.kind, f"refused without the file's name: {found.text}", keep=[folder])
        return campaign.count(seed.kind, "refused in words")
    if found.kind != child.DONE:
        return campaign.lose(seed.kind, f"{found.kind}: {found.text}", keep=[folder])
    return campaign.count(seed.kind, "read as before" if found.value == right else "read, other voxels")


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    warnings.simplefilter("ignore")
    campaign = Campaign("fuzz_formats", asked)
    seeds = format_files.write_seeds(folder / "seeds")
    seeds = [seed for seed in seeds if asked.kind in (None, seed.kind)]
    right = {
        seed.kind: read(seed.path) for seed in seeds
    }  # so every library is imported before the first child
    for number, rng in enumerate(campaign.trials()):
        seed = seeds[number % len(seeds)]
        path = damaged_copy(folder / "trial", seed, rng)
        trial(campaign, path, seed, right[seed.kind], seconds=asked.seconds, mib=asked.mib)
    return campaign.end("numpy", "h5py", "olefile", "imagecodecs")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=20_000)
    made.add_argument("--seconds", type=float, default=5.0, help="Of the processor, for a file [default 5].")
    made.add_argument("--mib", type=float, default=500.0, help="Of memory, for a file [default 500].")
    made.add_argument("--kind", help="Only files of this kind.")
    asked = made.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        return run(asked, Path(place))


if __name__ == "__main__":
    sys.exit(main())
