"""Look into a model file without running, loading or trusting anything in it.

In:  the open file, written by torch.save: a ZIP archive of one pickle and the tensors' bytes.
Out: its state as descriptions of tensors, its metadata as plain values; or a ModelFileError.
Sizes are compared with the size of the file before anything is read. Needs no torch.
"""

from __future__ import annotations

import struct
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import ModelFileError
from .pickle_reader import PickleReader, TensorFacts

MOST_PICKLE_BYTES = 16 << 20  # the largest network of the catalogue needs 1 MiB
MOST_DIRECTORY_BYTES = 16 << 20
MOST_ENTRIES = 20_000
MOST_ITEMS = 200_000  # values in the metadata
MOST_DEPTH = 12

_NUMBERS = {
    "float64": "<d",
    "float32": "<f",
    "int64": "<q",
    "int32": "<i",
    "int16": "<h",
    "int8": "<b",
    "uint8": "<B",
    "bool": "<?",
}
# what zipfile, struct and the pickle reader raise for damaged data
_DAMAGE = (
    zipfile.BadZipFile,
    EOFError,
    ValueError,
    LookupError,
    TypeError,
    AttributeError,
    struct.error,
    NotImplementedError,
    RecursionError,
    OverflowError,
)


def read_parts(file: BinaryIO, name: str) -> tuple[dict[str, TensorFacts], dict[str, Any]]:
    """The state (tensor name -> description) and the metadata of a model file.

    name: how messages call the file. Single numbers that the metadata holds as tensors come as numbers.
    Raises ModelFileError for what is no model file, is damaged, holds code, or claims more than it has.
    """
    try:
        return _read_parts(file, name)
    except ModelFileError:
        raise
    except _DAMAGE as error:
        raise ModelFileError(f"{name} is damaged ({error}). Copy it again from its source.") from error


def _read_parts(file: BinaryIO, name: str) -> tuple[dict[str, TensorFacts], dict[str, Any]]:
    size = file.seek(0, 2)
    file.seek(0)
    _check_kind(file.read(64), name)
    _check_directory(file, size, name)
    with zipfile.ZipFile(file) as archive:
        entries = _check_entries(archive, size, name)
        sizes = {key[5:]: entry.file_size for key, entry in entries.items() if key.startswith("data/")}
        tree = PickleReader(name, sizes).read(archive.read(entries["data.pkl"]))
        if not isinstance(tree, dict) or not {"model_state", "metadata"} <= tree.keys():
            raise ModelFileError(_other_program(name, tree))
        state, metadata = tree["model_state"], tree["metadata"]
        if not isinstance(state, dict) or not isinstance(metadata, dict):
            raise TypeError("model_state and metadata must be dictionaries")
        for key, facts in state.items():
            if not isinstance(key, str) or not isinstance(facts, TensorFacts):
                raise ModelFileError(f"{name}: model_state has {str(key)[:60]!r}, which is no tensor.")

        def number(facts: TensorFacts) -> int | float:
            form = _NUMBERS[facts.dtype]
            entry = entries[f"data/{facts.storage}"]
            if entry.file_size > 64:
                raise ValueError("a number with the data of many")
            data = archive.read(entry)
            return struct.unpack_from(form, data, facts.offset * struct.calcsize(form))[0]

        return state, _plain(metadata, _Limits(), number)


def _other_program(name: str, tree: Any) -> str:
    if not isinstance(tree, dict):
        seen = f"a {type(tree).__name__}"
    else:
        seen = "the keys " + ", ".join(str(key)[:40] for key in list(tree)[:6])
    return (
        f"{name} is of another program: it holds {seen}, where BONe's model files have model_state and "
        "metadata. Choose a .pth that BONe wrote."
    )


def _check_kind(start: bytes, name: str) -> None:
    """Refuse in the right words what is not a ZIP archive from its first byte on."""
    if start.startswith(b"PK\x03\x04"):
        return
    if not start:
        raise ModelFileError(f"{name} is empty. Copy it again from its source.")
    if start.startswith(b"version https://git-lfs"):
        raise ModelFileError(
            f"{name} is a pointer of Git LFS, not the model itself. Fetch it with: git lfs pull"
        )
    if start.startswith(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19."):
        raise ModelFileError(
            f"{name} is in torch's format of before 2020, which BONe does not open. Its owner can convert it "
            "with torch.save(torch.load(FILE, weights_only=True), NEW_FILE)."
        )
    raise ModelFileError(f"{name} is no model file (.pth written by BONe).")


def _check_directory(file: BinaryIO, size: int, name: str) -> None:
    """Look at the size of the archive's table of contents before it is read into memory."""
    file.seek(max(0, size - 65_600))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        raise ModelFileError(f"{name} is cut off: its end is missing. Copy it again from its source.")
    entries, length = struct.unpack_from("<HI", tail, end + 10)
    if tail[end - 20 : end - 16] == b"PK\x06\x07" and end >= 20:  # ZIP64 has the true numbers elsewhere
        (where,) = struct.unpack_from("<Q", tail, end - 12)
        file.seek(where)
        record = file.read(56)
        if record[:4] != b"PK\x06\x06" or len(record) < 56:
            raise ModelFileError(f"{name} is damaged: its table of contents is not where it should be.")
        entries, length = struct.unpack_from("<QQ", record, 32)
    if entries > MOST_ENTRIES or length > MOST_DIRECTORY_BYTES:
        raise ModelFileError(
            f"{name} claims {entries} parts; a model file has at most {MOST_ENTRIES}. It is not opened."
        )


def _check_entries(archive: zipfile.ZipFile, size: int, name: str) -> dict[str, zipfile.ZipInfo]:
    """The archive's parts by their name below its folder; none compressed, together no more than the file."""
    entries: dict[str, zipfile.ZipInfo] = {}
    folders = set()
    for entry in archive.infolist():
        folder, _, part = entry.filename.partition("/")
        folders.add(folder)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ModelFileError(
                f"{name} is compressed ({entry.filename}), which torch.save never does. It is not opened."
            )
        if part in entries:
            raise ModelFileError(f"{name} holds {entry.filename} twice. It is not opened.")
        entries[part] = entry
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ModelFileError(f"{name} claims more data than the file holds. It is not opened.")
    if any(part.startswith("code/") or part == "constants.pkl" for part in entries):
        raise ModelFileError(f"{name} is a TorchScript program, not a model file of BONe.")
    if "data.pkl" not in entries or len(folders) != 1:
        raise ModelFileError(f"{name} is a ZIP archive, but no model file (.pth written by BONe).")
    if entries["data.pkl"].file_size > MOST_PICKLE_BYTES:
        raise ModelFileError(
            f"{name} has a header of {entries['data.pkl'].file_size >> 20} MiB. It is not opened."
        )
    if "byteorder" in entries and archive.read(entries["byteorder"]).strip() != b"little":
        raise ModelFileError(f"{name} was written on a big-endian machine, which BONe does not read.")
    return entries


@dataclass
class _Limits:
    """A list that holds itself, or the same list many times, must not grow without end when it is walked."""

    items: int = 0


def _plain(value: Any, limits: _Limits, number: Callable[[TensorFacts], float], depth: int = 0) -> Any:
    limits.items += 1
    if depth > MOST_DEPTH or limits.items > MOST_ITEMS:
        raise ValueError("values nested without end")
    if isinstance(value, dict):
        return {key: _plain(item, limits, number, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, limits, number, depth + 1) for item in value)
    if isinstance(value, TensorFacts) and value.elements == 1:
        return number(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise TypeError(f"a value of type {type(value).__name__}")
