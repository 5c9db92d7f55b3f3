"""Where something may be written: one rule for every output of every command.

In:  the path of an output, the inputs of the command, whether replacing was allowed.
Out: nothing, or OutputError: an output is never an input, nor inside one, nor a folder that holds one, and
nothing that is there is replaced unless the user said so. And which endings a name may have.
Standard library only, so that a door can ask before torch is loaded.
"""

from __future__ import annotations

import os
import zlib
from collections.abc import Iterator, Sequence
from pathlib import Path

from ..errors import OutputError, called
from . import locks
from .inside import file_of
from .names import in_full

Named = tuple[str, Path]  # what it is, in words: ("the scan", ...)

# Endings by which other programs know what is in a file. A folder's name may have any other dot in it.
ENDINGS = frozenset(
    """
    .tif .tiff .btf .tf8 .tf2 .npy .npz
    .nii .gz .nrrd .nhdr .mha .mhd .img .hdr .am .amiramesh .hx .raw .vol .isq .aim .mrc
    .h5 .hdf5 .zarr .n5 .ims .czi .lif .nd2 .vff .vgi .vgl .vtk .vti .mat .dcm .dicom .ima .oib .lsm
    .png .jpg .jpeg .jp2 .bmp .gif .webp .svg .pdf .tga .stl .ply .obj .surf .mp4 .avi
    .csv .tsv .xlsx .xls .ods .txt .json .yaml .yml .toml .xml .html .htm .docx .md
    .pth .pt .ckpt .onnx .safetensors .pkl .zip .tar .7z .tgz .bz2 .xz .zst
    """.split()  # noqa: SIM905
)


def check_output(path: Path, *, inputs: Sequence[Named] = (), overwrite: bool, name: str = "output") -> None:
    """Raise OutputError where `path` may not be written.

    inputs: what the command reads. name: of the option. Followed are symbolic links, on both sides; files
    and folders are the same where the system says so, whatever the case of their names.
    """
    check_apart(path, inputs, name=name)
    here = in_full(path)
    if here == here.parent or Path.cwd().is_relative_to(here):
        raise OutputError(
            f"{called(name)} {path}: is the folder that you are in, or holds it. "
            "Give the name of something new."
        )
    if maker := locks.holder(lock_of(path)):
        raise OutputError(in_work(path, maker.doing, str(maker)))
    if os.path.lexists(path) and not overwrite:
        raise OutputError(
            f"{called(name)} {path}: is already there. Choose another name, or allow it with --overwrite."
        )


def lock_of(path: Path) -> Path:
    """The lock that is held while a file or folder is made."""
    place = in_full(path)  # "." has no name
    return place.parent / f".{short(place.name)}.bone-lock"


def in_work(path: Path, doing: str, who: str) -> str:
    """What is told where somebody else makes it."""
    return f"{path}: {doing} is writing this just now ({who}). Wait for its end, or choose another name."


def short(name: str) -> str:
    """A name that leaves room for more; file systems mostly end at 255 bytes."""
    return name if len(os.fsencode(name)) <= 190 else f"{name[:40]}-{zlib.crc32(os.fsencode(name)):08x}"


def check_apart(path: Path, inputs: Sequence[Named], *, name: str = "output") -> None:
    """Raise OutputError where an output is one of the inputs, or inside it, or holds it."""
    real = Path(os.path.realpath(path))
    for word, other in inputs:
        place = Path(os.path.realpath(file_of(other)))
        if _is_same(real, place):
            raise OutputError(f"{called(name)} {path}: is {word} itself. Choose another name.")
        if any(_is_same(folder, place) for folder in real.parents):
            raise OutputError(
                f"{called(name)} {path}: lies inside {word}, {other}, which would then hold more than its "
                "slices. Choose a place outside of it."
            )
        if any(_is_same(folder, real) for folder in place.parents):
            raise OutputError(
                f"{called(name)} {path}: is the folder that holds {word}, {other}. Choose another name, so "
                "that nothing of yours is replaced."
            )
        if real.exists() and any(
            _is_same(file, real) or real in file.parents for file in _linked(place, real)
        ):
            raise OutputError(f"{called(name)} {path}: belongs to {word}, {other}. Choose another name.")
    inside = next((folder for folder in Path(path).parents if os.path.lexists(folder)), None)
    if inside is not None and not os.path.isdir(inside):  # noqa: PTH112 (never raises)
        raise OutputError(
            f"{called(name)} {path}: cannot be made, since {inside} is a file. Choose another name."
        )


def _is_same(one: Path, other: Path) -> bool:
    """Whether two real paths are one file; also before it is there."""
    try:
        return one.samefile(other)
    except OSError:
        return os.path.normcase(one) == os.path.normcase(other)


def _linked(folder: Path, output: Path) -> Iterator[Path]:
    """Files that a folder of slices only links to; hard links where the output is such a file."""
    try:
        entries = list(os.scandir(folder)) if folder.is_dir() else []
        number = output.stat().st_ino
    except OSError:
        return
    for entry in entries:
        if entry.is_symlink():
            yield Path(os.path.realpath(entry.path))
        elif entry.inode() == number:
            yield Path(entry.path)


def ending_fault(
    path: Path | None, *, what: str, written: Sequence[str], or_folder: str = "", name: str = "output"
) -> str:
    """A fault where a name ends in what is not written, else ""; also where there is none (None).

    what: is written, in words. written: the endings that are. or_folder: what any other name gives; without
    it the name must have one of the endings.
    """
    if path is None:
        return ""
    ending = path.suffix.lower()
    if path.name.lower().endswith(tuple(written)) or (or_folder and ending not in ENDINGS):
        return ""
    if not or_folder and os.path.isdir(path):  # noqa: PTH112 (never raises)
        return f"{called(name)} is {path}, which is a folder. Name a file ending in {' or '.join(written)}."
    told = "".join(path.suffixes[-2:]) if ending in (".gz", ".bz2", ".xz", ".zst") else path.suffix
    endings = " or ".join(", ".join(written).rsplit(", ", 1))
    ways = [f"as a file ending in {endings}"] if written else []
    ways += [or_folder] if or_folder else []
    seen = f"not as {told}" if told else "its name has no ending"
    return f"{called(name)} is {path}; {what} written {', or '.join(ways)}, {seen}."
