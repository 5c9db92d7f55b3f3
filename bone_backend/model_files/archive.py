"""Look into a model file without running, loading or trusting anything in it.

In:  the open file, written by torch.save: a ZIP archive of one pickle and the tensors' bytes.
Out: its state as descriptions of tensors, its metadata as plain values; or a ModelFileError. The same for a
     checkpoint, whose parts are others.
Sizes are compared with the size of the file before anything is read. Python's reader and torch's look for the
table of contents in different places; a file in which the places differ is refused. Needs no torch.
"""

from __future__ import annotations

import contextlib
import hashlib
import struct
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any, BinaryIO

from ..errors import ModelFileError
from .pickle_reader import MOST_STEPS, Damage, PickleReader, TensorFacts

MOST_PICKLE_BYTES = 4 << 20  # a UNet++ with timm's efficientnetv2_xl needs 0.3 MiB
MOST_DIRECTORY_BYTES = 4 << 20
# An attribute in the table of contents. torch gives memory as it is, unread, for a part that has it.
DOS_FOLDER = 0x10
MOST_ENTRIES = 20_000
MOST_ITEMS = 200_000  # values in the metadata
MOST_VALUES = 20_000_000  # in a checkpoint
MOST_CHARACTERS = 4 << 20  # of all texts in the metadata, repeated ones counted again
MOST_DEPTH = 12
MOST_SHARING = 2  # memory of all tensors, each with values of its own, over bytes in the file
LONGEST_NAME = 500  # of a tensor

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
# what zipfile raises for damaged data; RuntimeError: encrypted
_FOREIGN = (
    zipfile.BadZipFile,
    struct.error,
    EOFError,
    ValueError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
)


@contextlib.contextmanager
def _in_words() -> Iterator[None]:
    """What zipfile raises for damaged data as Damage; nothing of our own is called within."""
    try:
        yield
    except _FOREIGN as error:
        raise Damage(str(error)[:200] or type(error).__name__) from error


@dataclass(frozen=True)
class Parts:
    """What a model file holds, but the weights.

    state: tensor name -> description. metadata: plain values; single numbers that were saved as tensors are
    numbers. sha256: of the pickle, which is the metadata and the description of every tensor.
    """

    state: dict[str, TensorFacts]
    metadata: dict[str, Any]
    sha256: str


def read_parts(file: BinaryIO, name: str, *, for_loading: bool = False) -> Parts:
    """Everything that a model file says without its weights.

    name: how messages call the file. for_loading: look at the place of every tensor too, since torch reads
    it next.
    Raises ModelFileError for what is no model file, is damaged, holds code, or claims more than it has.
    """
    with _told(name), _Archive(file, name, for_loading=for_loading) as archive:
        tree = archive.read()
        if not isinstance(tree, dict) or not {"model_state", "metadata"} <= tree.keys():
            raise ModelFileError(_other_program(name, tree))
        state, metadata = tree["model_state"], tree["metadata"]
        if not isinstance(state, dict) or not isinstance(metadata, dict):
            raise Damage("model_state and metadata must be dictionaries")
        _check_state(state, held=archive.held, name=name)
        plain = _plain(metadata, _Limits(), archive.number)
        return Parts(state, plain, hashlib.sha256(archive.text).hexdigest())


def read_values(
    file: BinaryIO, name: str, *, most_bytes: int, most_steps: int, for_loading: bool = False
) -> Any:
    """What torch.save wrote, its tensors only described: of a checkpoint.

    most_bytes, most_steps: of the header. for_loading: as in `read_parts`. Raises ModelFileError.
    """
    with (
        _told(name),
        _Archive(file, name, for_loading=for_loading, most_bytes=most_bytes) as archive,
    ):
        values = archive.read(most_steps)
        claimed = sum(facts.nbytes for facts in _tensors_in(values))
        if claimed > MOST_SHARING * archive.held:
            raise Damage(f"it claims tensors of {claimed} bytes and holds {archive.held}")
        return values


def _tensors_in(values: Any) -> Iterator[TensorFacts]:
    """All tensors in nested values, those that stand in it several times too."""
    level, count = [values], 0
    for _ in range(MOST_DEPTH):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, TensorFacts):
                yield value
            elif isinstance(value, dict):
                deeper += value.values()
            elif isinstance(value, (list, tuple)):
                deeper += value
            count += 1
            if len(deeper) + count > MOST_VALUES:
                raise Damage("values nested without end")
        level = deeper
    if level:
        raise Damage("values nested without end")


@contextlib.contextmanager
def _told(name: str) -> Iterator[None]:
    """Damage as a ModelFileError that names the file."""
    try:
        yield
    except Damage as fault:
        raise ModelFileError(f"{name} is damaged ({fault}). Copy it again from its source.") from fault


class _Archive:
    """The parts of an open file, checked before any of them is read.

    for_loading: torch reads it next: look at the place of every part and at its checksum too. held: bytes of
    all tensors. text: the pickle.
    """

    def __init__(self, file: BinaryIO, name: str, *, for_loading: bool, most_bytes: int = MOST_PICKLE_BYTES):
        self.name, self.text = name, b""
        size = file.seek(0, 2)
        file.seek(0)
        _check_kind(file.read(64), name)
        _check_directory(file, size, name)
        with _in_words():
            self._zip = zipfile.ZipFile(file)
        self._entries = _check_entries(self._zip, size, name, most_bytes=most_bytes)
        for entry in self._entries.values() if for_loading else ():
            _check_place(file, entry, name)
            self._check_sum(entry)
        self._sizes = {
            key[5:]: entry.file_size for key, entry in self._entries.items() if key.startswith("data/")
        }
        self.held = sum(self._sizes.values())
        self._numbers: dict[TensorFacts, int | float] = {}  # the metadata can name one place many times

    def __enter__(self) -> _Archive:
        return self

    def __exit__(self, *_: object) -> None:
        self._zip.close()

    def read(self, most_steps: int = MOST_STEPS) -> Any:
        with _in_words():
            self.text = self._zip.read(self._entries["data.pkl"])
        return PickleReader(self.name, self._sizes, most_steps=most_steps).read(self.text)

    def number(self, facts: TensorFacts) -> int | float:
        """The value of a tensor that has one."""
        if facts not in self._numbers:
            form, entry = _NUMBERS.get(facts.dtype), self._entries[f"data/{facts.storage}"]
            if form is None or entry.file_size > 64:
                raise Damage("a number with the data of many")
            with _in_words():
                data = self._zip.read(entry)
            self._numbers[facts] = struct.unpack_from(form, data, facts.offset * struct.calcsize(form))[0]
        return self._numbers[facts]

    def _check_sum(self, entry: zipfile.ZipInfo) -> None:
        """zipfile compares the checksum (CRC-32) at the end of a part; torch does not."""
        with _in_words(), self._zip.open(entry) as part:
            while part.read(1 << 20):
                pass


def _check_state(state: dict[Any, Any], *, held: int, name: str) -> None:
    """Tensors only; with values of their own they take little more than the bytes that the file holds."""
    for key, facts in state.items():
        if not isinstance(key, str) or not isinstance(facts, TensorFacts):
            raise ModelFileError(f"{name}: model_state has {str(key)[:60]!r}, which is no tensor.")
        if len(key) > LONGEST_NAME:
            raise Damage(f"a tensor with a name of {len(key)} characters")
    claimed = sum(facts.nbytes for facts in state.values())
    if claimed > MOST_SHARING * held:
        raise ModelFileError(
            f"{name} claims weights of {claimed} bytes, but the file holds {held}. It is not opened."
        )


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
    """Refuse a table of contents that is too large, or is not where every reader looks for it.

    torch.save ends a file with: the table, two records of ZIP64 (56 and 20 bytes), the end record (22 bytes).
    """
    file.seek(max(0, size - 65_600))
    tail = file.read()
    end = tail.rfind(b"PK\x05\x06")
    if end < 0 or len(tail) - end < 22:
        raise ModelFileError(f"{name} is cut off: its end is missing. Copy it again from its source.")
    entries, length, start, comment = struct.unpack_from("<HIIH", tail, end + 10)
    stop = size - len(tail) + end  # of the table
    stray = comment or len(tail) - end != 22
    if tail[max(0, end - 20) :][:4] == b"PK\x06\x07" and end >= 76:  # ZIP64 has the true numbers
        (record,) = struct.unpack_from("<Q", tail, end - 12)
        stop -= 76
        stray = stray or record != stop or tail[end - 76 : end - 72] != b"PK\x06\x06"
        entries, length, start = struct.unpack_from("<QQQ", tail, end - 44)
    if entries > MOST_ENTRIES or length > MOST_DIRECTORY_BYTES:
        raise ModelFileError(
            f"{name} claims {entries} parts; a model file has at most {MOST_ENTRIES}. It is not opened."
        )
    if stray or start + length != stop:
        raise ModelFileError(
            f"{name} is damaged: its table of contents is not where it should be. Copy it again from its "
            "source."
        )


def _check_entries(
    archive: zipfile.ZipFile, size: int, name: str, *, most_bytes: int
) -> dict[str, zipfile.ZipInfo]:
    """The archive's parts by their name below its folder; none compressed, together no more than the file."""
    entries: dict[str, zipfile.ZipInfo] = {}
    folders, seen = set(), set()
    for entry in archive.infolist():
        if entry.filename != entry.orig_filename or not entry.filename.isascii():
            raise ModelFileError(f"{name} has a part with two names ({entry.filename!a:.80}).")
        folder, _, part = entry.filename.partition("/")
        folders.add(folder)
        if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
            raise ModelFileError(
                f"{name} is compressed ({entry.filename[:80]}), which torch.save never does. "
                "It is not opened."
            )
        if entry.is_dir() or entry.external_attr & DOS_FOLDER:
            raise ModelFileError(
                f"{name} is damaged: {entry.filename[:80]} is marked as a folder. Copy it again from its "
                "source."
            )
        if part.lower() in seen:  # torch does not tell upper from lower case
            raise ModelFileError(f"{name} holds {entry.filename[:80]} twice. It is not opened.")
        seen.add(part.lower())
        entries[part] = entry
    if sum(entry.file_size for entry in entries.values()) > size:
        raise ModelFileError(f"{name} claims more data than the file holds. It is not opened.")
    if any(part.startswith("code/") or part == "constants.pkl" for part in entries):
        raise ModelFileError(f"{name} is a TorchScript program, not a model file of BONe.")
    if "data.pkl" not in entries or len(folders) != 1:
        raise ModelFileError(f"{name} is a ZIP archive, but no model file (.pth written by BONe).")
    if entries["data.pkl"].file_size > most_bytes:
        raise ModelFileError(
            f"{name} has a header of {entries['data.pkl'].file_size >> 20} MiB. It is not opened."
        )
    if "byteorder" in entries:
        if entries["byteorder"].file_size > 64:
            raise Damage("an order of bytes of many bytes")
        with _in_words():
            order = archive.read(entries["byteorder"]).strip()
        if order != b"little":
            raise ModelFileError(f"{name} was written on a big-endian machine, which BONe does not read.")
    return entries


def _check_place(file: BinaryIO, entry: zipfile.ZipInfo, name: str) -> None:
    """What stands before a part's data must be what the table of contents says of it."""
    with _in_words():
        file.seek(entry.header_offset)
        sign, flags, method, packed, unpacked, letters, _ = struct.unpack("<4s2xHH8xIIHH", file.read(30))
    sizes = {0, 0xFFFFFFFF, entry.file_size}  # torch writes the size behind the data, a large one as ZIP64
    if (
        sign != b"PK\x03\x04"
        or flags & 1  # encrypted
        or method != zipfile.ZIP_STORED
        or not {packed, unpacked} <= sizes
        or file.read(letters) != entry.orig_filename.encode("ascii")
    ):
        raise ModelFileError(
            f"{name} is damaged: {entry.filename[:80]} is not what the table of contents says. Copy it again "
            "from its source."
        )


@dataclass
class _Limits:
    """A list that holds itself, or a value many times, must not grow without end when it is walked."""

    items: int = 0
    characters: int = 0

    def count(self, value: Any) -> None:
        self.items += 1
        self.characters += len(value) if isinstance(value, str) else 0
        if self.items > MOST_ITEMS:
            raise Damage("values nested without end")
        if self.characters > MOST_CHARACTERS:
            raise Damage(f"texts of more than {MOST_CHARACTERS} characters")


def _plain(value: Any, limits: _Limits, number: Callable[[TensorFacts], int | float], depth: int = 0) -> Any:
    limits.count(value)
    if depth > MOST_DEPTH:
        raise Damage("values nested without end")
    if isinstance(value, dict):
        for key in value:
            limits.count(key)
        return {key: _plain(item, limits, number, depth + 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(_plain(item, limits, number, depth + 1) for item in value)
    if isinstance(value, TensorFacts) and value.elements == 1:
        return number(value)
    if value is None or type(value) in (bool, int, float, str):
        return value
    raise Damage(f"a value of type {type(value).__name__}")
