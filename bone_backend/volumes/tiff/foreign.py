"""What a file is that is not what its name says, or that BONe does not read.

In:  a file.
Out: what it is, in words, as far as its first bytes tell; and what to do.
"""

from __future__ import annotations

from pathlib import Path

#: where the mark stands, the mark, what such a file is, and what to do with it
_RENAME = "Give it the ending {0}"
_KNOWN = (
    (0, b"\xff\xd8\xff", "a JPEG picture", _RENAME.format(".jpg")),
    (0, b"\x89PNG", "a PNG picture", _RENAME.format(".png")),
    (0, b"BM", "a BMP picture", _RENAME.format(".bmp")),
    (0, b"II*\0", "a TIFF", _RENAME.format(".tif")),
    (0, b"MM\0*", "a TIFF", _RENAME.format(".tif")),
    (0, b"\x93NUMPY", "an array of numpy", _RENAME.format(".npy")),
    (0, b"NRRD0", "an NRRD file", _RENAME.format(".nrrd")),
    (0, b"# AmiraMesh", "an AmiraMesh file", _RENAME.format(".am")),
    (0, b"# Avizo", "an AmiraMesh file", _RENAME.format(".am")),
    (344, b"n+1\0", "a NIfTI file", _RENAME.format(".nii")),
    (128, b"DICM", "one slice of a DICOM series", "Give the folder that holds the series"),
    (0, b"PK\3\4", "a ZIP archive, as .xlsx and .docx files are too", "Unpack it, or export it again"),
    (0, b"\x1f\x8b", "packed with gzip", "Unpack it first"),
    (0, b"Rar!", "a RAR archive", "Unpack it first"),
    (0, b"7z\xbc\xaf", "a 7z archive", "Unpack it first"),
    (0, b"%PDF", "a PDF", "Export the volume itself"),
    (0, b"\x89HDF", "an HDF5 file", "Export it as TIFF"),
    (0, b"version https://git-lfs", "a placeholder of Git LFS", "Fetch the file itself (git lfs pull)"),
)
HEAD = 512  # bytes that are looked at


def described(head: bytes) -> tuple[str, str]:
    """What a file is that begins so, and what to do; empty where nothing is known.

    >>> described(b"%PDF-1.4")
    ('a PDF', 'Export the volume itself')
    """
    if not head:
        return "empty (0 bytes)", "Copy or export it again"
    for place, mark, words, advice in _KNOWN:
        if head[place : place + len(mark)] == mark:
            return words, advice
    letters = head[:200]
    if all(31 < letter < 127 or letter in b"\t\r\n" for letter in letters):
        return "a text", "Choose the volume itself"
    return "", ""


def lost(path: Path) -> str:
    """Why nothing is at a path: a link that leads nowhere, or no such folder; else ""."""
    if path.is_symlink():
        return f"{path}: is a link to {path.readlink()}, which does not exist. Mend the link."
    return (
        ""
        if path.parent.is_dir()
        else f"{path}: does not exist. Its folder {path.parent} does not exist either."
    )


def unknown(path: Path, readable: str) -> str:
    """What to say of a file or folder that is no volume. readable: the formats that BONe reads, in words."""
    try:
        if path.is_dir():
            return f"{path}: is an empty folder." if not any(path.iterdir()) else ""
        with path.open("rb") as file:
            head = file.read(HEAD)
    except OSError as fault:
        return f"{path}: cannot be read ({fault.strerror or fault})."
    words, advice = described(head)
    is_what = f" This is {words}. {advice}." if words else ""
    return f"{path}: is no volume that BONe reads; it reads {readable}.{is_what}"


def no_tiff(path: Path, head: bytes) -> str:
    """What to say of a file that is named as a TIFF and is none."""
    words, advice = described(head)
    if not words:
        return f"{path}: is not a TIFF file, whatever its name says, or it is damaged. Export it again."
    return f"{path}: is not a TIFF file, whatever its name says: it is {words}. {advice}."
