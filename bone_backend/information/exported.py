"""What an exported network says of itself: the card that `bone export` writes into it.

In:  a .onnx or .safetensors file.
Out: the card, a dictionary; None where there is none. Only headers are read, and no package is needed.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

NAME = "bone"  # of the card in the file
MOST_BYTES = 1 << 24  # of a header or card
PROPERTY = (
    14  # field of ModelProto: a pair of key (1) and value (2); https://onnx.ai/onnx/intro/concepts.html
)
ENDINGS = (".onnx", ".safetensors")


def card_of(path: Path) -> dict[str, Any] | None:
    """Raises OSError, ValueError for damaged files."""
    read = _of_onnx if path.suffix.lower() == ".onnx" else _of_safetensors
    with path.open("rb") as file:
        text = read(file, path.stat().st_size)
    card = json.loads(text) if text else None
    return card if isinstance(card, dict) and "architecture" in card else None


def _of_safetensors(file: BinaryIO, size: int) -> str | None:
    length = int.from_bytes(file.read(8), "little")
    if not 0 < length <= min(MOST_BYTES, size):
        return None
    found = (json.loads(file.read(length)).get("__metadata__") or {}).get(NAME)
    return found if isinstance(found, str) else None


def _of_onnx(file: BinaryIO, size: int) -> str | None:
    for field, at, length in _fields(file, 0, size):
        if field == PROPERTY and length <= MOST_BYTES:
            parts = {key: (start, count) for key, start, count in _fields(file, at, at + length)}
            texts = [_read(file, *parts[key]).decode("utf-8") for key in (1, 2) if key in parts]
            if len(texts) == 2 and texts[0] == NAME:
                return texts[1]
    return None


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    file.seek(at)
    return file.read(length)


def _fields(file: BinaryIO, at: int, end: int) -> Iterator[tuple[int, int, int]]:
    """Number, place and length of every field of a protobuf message that has a length; no others.

    https://protobuf.dev/programming-guides/encoding. Raises ValueError for what is no such message.
    """
    while at < end:
        file.seek(at)
        field, kind = divmod(_varint(file), 8)
        length = {1: 8, 5: 4}.get(kind, 0)
        if kind in (0, 2):
            value = _varint(file)
            length = value if kind == 2 else 0
        elif kind not in (1, 5):
            raise ValueError("no protobuf")
        start = file.tell()
        at = start + length
        if at > end or field == 0:
            raise ValueError("no protobuf")
        if kind == 2:
            yield field, start, length


def _varint(file: BinaryIO) -> int:
    value = 0
    for shift in range(0, 70, 7):
        byte = file.read(1)
        if not byte:
            raise ValueError("it ends too early")
        value |= (byte[0] & 127) << shift
        if byte[0] < 128:
            return value
    raise ValueError("no number")
