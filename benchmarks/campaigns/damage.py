"""Damage to bytes and texts, as disks, copies, editors and attackers do it.

In:  what is whole, a generator.
Out: the same with one thing changed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

INTERESTING = (
    0,
    1,
    2,
    3,
    7,
    8,
    16,
    127,
    128,
    255,
    256,
    32767,
    32768,
    65535,
    65536,
    2**31 - 1,
    2**31,
    2**32 - 1,
)
#: values of options and records that people and attackers write
STRANGE = (
    "null", "true", "-1", "0", "1e999", "-1e400", "NaN", "1" * 5000, "1e-320", '""', '"x"', "[]", "{}",
    "[[]]", '"\\u0000"', '"../precious/model.pth"', '"/"', '"' + "x" * 5000 + '"', "[" * 2000 + "]" * 2000,
    '{"a": ' * 500 + "1" + "}" * 500, "[1, 2, 3]", '{"a": 1}', "3.5", '"\\ud800"', "9" * 20, "1_0", "0x10",
    "[null]", '"..\\\\..\\\\model.pth"', '"~"', '"~nobody/x"', "1.0", "-0.0", "99999999999", '"0"',
    '"true"', "''",
)  # fmt: skip
#: what only YAML has
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [*{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}, *{a}]\n"
    for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
YAML_STRANGE = (
    "&x [*x]", "!!python/object/apply:os.system ['true']", "!!binary aGVsbG8=", "2026-01-01", "!!set {a, b}",
    "? [1]\n: 2", "!!timestamp x", "<<: {epochs: 3}", "1:30:00", "0o17", "!nothing x", "*nothing", ".inf",
    "yes",
)  # fmt: skip


def flip_bytes(content: bytes, rng: random.Random) -> bytes:
    """A few bytes are others."""
    made = bytearray(content)
    for _ in range(rng.randint(1, 4)):
        if made:
            made[rng.randrange(len(made))] = rng.randrange(256)
    return bytes(made)


def flip_bit(content: bytes, rng: random.Random) -> bytes:
    """One bit is the other."""
    made = bytearray(content)
    if made:
        made[rng.randrange(len(made))] ^= 1 << rng.randrange(8)
    return bytes(made)


def cut_off(content: bytes, rng: random.Random) -> bytes:
    """The end is lost, as by a broken copy."""
    return content[: rng.randrange(len(content) + 1)]


def lose_part(content: bytes, rng: random.Random) -> bytes:
    """Something inside is lost."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + content[start + rng.choice((1, 2, 4, 16, 512, 4096)) :]


def insert_part(content: bytes, rng: random.Random) -> bytes:
    """Something is put in."""
    start = rng.randrange(len(content) + 1)
    return content[:start] + rng.randbytes(rng.choice((1, 2, 4, 16, 512))) + content[start:]


def zero_part(content: bytes, rng: random.Random) -> bytes:
    """A block was never written, as after a power cut."""
    start, length = rng.randrange(len(content) + 1), rng.choice((4, 64, 512, 4096))
    return content[:start] + bytes(len(content[start : start + length])) + content[start + length :]


def double_part(content: bytes, rng: random.Random) -> bytes:
    """A part is there twice."""
    start = rng.randrange(len(content) + 1)
    end = min(len(content), start + rng.choice((4, 12, 64, 1024)))
    return content[:end] + content[start:end] + content[end:]


BYTES: tuple[Callable[[bytes, random.Random], bytes], ...] = (
    flip_bytes,
    flip_bit,
    cut_off,
    lose_part,
    insert_part,
    zero_part,
    double_part,
)


def change_bytes(content: bytes, rng: random.Random) -> bytes:
    """One of the above."""
    return rng.choice(BYTES)(content, rng)


_VALUE = re.compile(r'"(?:[^"\\]|\\.)*"|-?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?|\b(?:true|false|null)\b')


def change_value(text: str, rng: random.Random, strange: tuple[str, ...] = STRANGE) -> str:
    """One value, or one name, of a JSON, TOML or YAML text is something strange."""
    places = list(_VALUE.finditer(text))
    if not places:
        return rng.choice(strange)
    place = rng.choice(places)
    return text[: place.start()] + rng.choice(strange) + text[place.end() :]


def change_line(text: str, rng: random.Random) -> str:
    """A line is lost, there twice, or elsewhere."""
    lines = text.splitlines(keepends=True)
    if not lines:
        return text
    line = lines[rng.randrange(len(lines))]
    if rng.random() < 0.5:
        lines.remove(line)
    if rng.random() < 0.7:
        lines.insert(rng.randrange(len(lines) + 1), line)
    return "".join(lines)


def change_text(text: str, rng: random.Random, strange: tuple[str, ...] = STRANGE) -> bytes:
    """A text that a person or a program changed; not always UTF-8 any more."""
    way = rng.random()
    if way < 0.6:
        return change_value(text, rng, strange).encode("utf-8", "surrogatepass")
    if way < 0.75:
        return change_line(text, rng).encode()
    return change_bytes(text.encode(), rng)
