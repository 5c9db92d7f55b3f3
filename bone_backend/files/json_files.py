"""Read JSON files that somebody else may have written, or that a disk has damaged.

In:  a path.
Out: plain values; or a ValueError that says in a few words what is wrong with the file.
Whatever stands in the file, its size bounds the memory that reading takes, and what comes out can be
compared, shown, and used as a path. Standard library only, for the worker.
"""

from __future__ import annotations

import json
import stat
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

MOST_BYTES = 16 << 20  # the inputs of 1,000 pairs have 2 MB
MOST_DEPTH = 30
MOST_DIGITS = 25  # of a whole number; int64 has 19

CHECKSUM = "crc32"  # the key of a checksum in a file that carries one


def read_json(path: Path, *, most_bytes: int = MOST_BYTES) -> Any:
    """The values in a JSON file. Raises OSError, and ValueError for what is no sound JSON."""
    state = path.stat()
    if not stat.S_ISREG(state.st_mode):
        raise ValueError("it is no file")
    if state.st_size > most_bytes:
        raise ValueError(f"it has {state.st_size >> 20} MiB")
    return parse_json(path.read_bytes())


def parse_json(text: bytes) -> Any:
    """The values in a JSON text. Raises ValueError.

    >>> parse_json(b'{"a": [1, 2.5, null]}')
    {'a': [1, 2.5, None]}
    """
    try:
        values = json.loads(text.decode("utf-8"), object_pairs_hook=_once, parse_int=_whole)
    except RecursionError as error:
        raise ValueError("its values are nested too deeply") from error
    except UnicodeDecodeError as error:
        raise ValueError(f"it is no text in UTF-8 from byte {error.start} on") from error
    except json.JSONDecodeError as error:
        raise ValueError(f"{error.msg[:1].lower()}{error.msg[1:]} in line {error.lineno}") from error
    _check(values)
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"{twice[:40]!a} stands twice in it")
    return values


def _whole(digits: str) -> int:
    if len(digits) > MOST_DIGITS:
        raise ValueError(f"a number in it has {len(digits)} digits")
    return int(digits)


def _check(values: Any) -> None:
    """Refuse what Python's JSON takes and its other parts do not."""
    level: list[Any] = [values]
    for _ in range(MOST_DEPTH):
        deeper: list[Any] = []
        for value in level:
            if isinstance(value, dict):
                deeper += [*value, *value.values()]
            elif isinstance(value, list):
                deeper += value
            elif isinstance(value, str) and not is_name(value):
                raise ValueError(f"a text in it is none: {value[:40]!a}")
        if not deeper:
            return
        level = deeper
    raise ValueError("its values are nested too deeply")


def is_name(text: str) -> bool:
    """Whether a text can be the name of a file: no NUL, and no half of a character but those that stand for
    the bytes of a name that is not UTF-8 (os.fsdecode).
    """
    try:
        text.encode("utf-8", "surrogateescape")
    except UnicodeEncodeError:
        return False
    return "\0" not in text


def sealed(values: Mapping[str, Any]) -> dict[str, Any]:
    """JSON values with their checksum under the key "crc32"."""
    return {**values, CHECKSUM: _checksum(values)}


def opened(values: Any) -> dict[str, Any]:
    """The values of `sealed` without their checksum. Older files have none.

    Raises ValueError where it is not theirs, or the values are no dictionary.
    """
    if not isinstance(values, dict):
        raise ValueError("it holds no dictionary")
    rest = {key: value for key, value in values.items() if key != CHECKSUM}
    if CHECKSUM in values and values[CHECKSUM] != _checksum(rest):
        raise ValueError("its checksum is that of other values")
    return rest


def _checksum(values: Mapping[str, Any]) -> int:
    return zlib.crc32(json.dumps(json.loads(json.dumps(values)), sort_keys=True).encode())
