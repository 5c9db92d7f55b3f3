"""Small model files, and damage that knows archives, pickles, metadata and tensors.

In:  a folder for the files; a whole file and a generator.
Out: paths of whole files; the path of a damaged one.
"""

from __future__ import annotations

import itertools
import pickle
import pickletools
import random
import struct
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from bone_backend.model_files.model_file import save_model
from mocks.model_files import CLASSES, NETWORK, header_of, published, rewrite, small_state

from .damage import INTERESTING, change_bytes

#: makes code run where a reader unpickles it; MARK is replaced by a path
EVIL = b"cposix\nsystem\n(S'touch MARK'\ntR0"


def write_seeds(folder: Path) -> list[Path]:
    """As other programs write them, and as BONe does."""
    folder.mkdir(parents=True, exist_ok=True)
    bone = {"classes": CLASSES, "statistics": {}, "scores": {"epoch": 3}, "versions": {"torch": "2"}}
    told = NETWORK | {"num_classes": 2, "in_channels": 1, "patch_size": 32, "best_val_score": 0.9}
    return [
        published(folder / "published.pth", **NETWORK),
        published(folder / "published in full.pth", **told, train_dataset=["a", "b"], wall_time_sec=1.5),
        published(folder / "3D.pth", small_state(depth=3), **NETWORK | {"mode": "3D", "is_3d": True}),
        save_model(folder / "ours.pth", state=small_state(), metadata=told, bone=bone) or folder / "ours.pth",
    ]


def change_file(source: Path, target: Path, rng: random.Random) -> Path:
    """Bytes anywhere."""
    target.write_bytes(change_bytes(source.read_bytes(), rng))
    return target


def change_archive(source: Path, target: Path, rng: random.Random) -> Path:
    """Fields of the archive's own records: places, lengths, checksums, names, flags."""
    made = bytearray(source.read_bytes())
    for _ in range(rng.choice((1, 1, 2))):
        mark = rng.choice(
            (b"PK\x03\x04", b"PK\x01\x02", b"PK\x01\x02", b"PK\x05\x06", b"PK\x06\x06", b"PK\x06\x07")
        )
        places = [i for i in range(len(made) - 4) if made[i : i + 4] == mark]
        if not places:
            continue
        place = rng.choice(places) + rng.randrange(4, {b"PK\x05\x06": 22, b"PK\x06\x07": 20}.get(mark, 50))
        kind = rng.choice("BHI")
        if place + struct.calcsize(kind) <= len(made):
            (now,) = struct.unpack_from(f"<{kind}", made, place)
            value = rng.choice((now + 1, now - 1, now ^ 1, now * 2, len(made), *INTERESTING))
            struct.pack_into(f"<{kind}", made, place, value % (1 << 8 * struct.calcsize(kind)))
    target.write_bytes(made)
    return target


def change_pickle(source: Path, target: Path, rng: random.Random) -> Path:
    """Operations of the pickle that describes everything: lost, doubled, moved, exchanged, made up."""
    text = header_of(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        places = [place for _, _, place in pickletools.genops(text)] + [len(text)]
    parts = [text[a:b] for a, b in itertools.pairwise(places)]
    evil = EVIL.replace(b"MARK", str(target.parent / "ran").encode())
    for _ in range(rng.choice((1, 1, 2, 3))):
        at = rng.randrange(len(parts))
        way = rng.randrange(7)
        if way == 0:
            del parts[at]
        elif way == 1:
            parts.insert(at, parts[rng.randrange(len(parts))])
        elif way == 2:
            parts[at] = rng.choice(parts)
        elif way == 3:
            parts[at] = bytes([rng.randrange(256)]) + parts[at][1:]
        elif way == 4:
            parts[at] = change_bytes(parts[at], rng)
        elif way == 5:
            parts.insert(
                at,
                rng.choice(
                    (evil, b"0", b"2", b"}", b"(", b"t", b"R", b"Q", b"h\x00", b"u", b"J\xff\xff\xff\x7f")
                ),
            )
        else:
            number = rng.choice(INTERESTING)
            parts[at] = b"J" + struct.pack("<i", min(number, 2**31 - 1))
        parts = parts or [b"."]
    return rewrite(source, target, {"data.pkl": b"".join(parts)})


STRANGE: tuple[Any, ...] = (
    None, True, -1, 0, 2**40, 10**400, float("nan"), float("inf"), "", "x", "2D", "U-Net", "../x", "\0",
    "x" * 9999, [], [[]], {}, {"a": 1}, {1: 2}, (1, 2), b"bytes", [None], ["a"] * 999, {"value": 0},
    [{"value": -1}], "\ud800", [{"value": 0, "name": 5}], [{"value": 10**20, "name": "bone"}], 1e308, -0.0,
    [1.5], "resnet18", "3D", "ZScore", torch.tensor(1.0), torch.zeros(3), {"a": {"b": {"c": [1]}}},
    complex(1, 2), 3 + 2**63, (((1, 1, 1),) * 5),
)  # fmt: skip


def change_metadata(source: Path, target: Path, rng: random.Random) -> Path:
    """Values that are not what their name promises, or names that are not there."""
    whole = torch.load(source, weights_only=True)
    for _ in range(rng.choice((1, 1, 2))):
        inner = whole
        while isinstance(inner, dict) and inner and rng.random() < 0.75:
            name = rng.choice(list(inner))
            if not isinstance(inner[name], dict) or name == "model_state":
                break
            inner = inner[name]
        name = rng.choice([*inner, "extra"]) if isinstance(inner, dict) else "metadata"
        if rng.random() < 0.2:
            inner.pop(name, None)
        else:
            inner[name] = rng.choice(STRANGE)
    torch.save(whole, target)
    return target


def change_tensors(source: Path, target: Path, rng: random.Random) -> Path:
    """Weights of other sizes, kinds and names than the network's."""
    whole = torch.load(source, weights_only=True)
    state = whole["model_state"]
    for _ in range(rng.choice((1, 1, 2))):
        # not the huge one that an earlier change has made, of which most changes would be made in memory
        names = [name for name, value in state.items() if isinstance(value, torch.Tensor)]
        name = rng.choice([name for name in names if state[name].numel() < 2**24])
        tensor = state[name].to_dense()
        state[name] = rng.choice(
            (
                tensor.double(), tensor.to(torch.float16), tensor.reshape(-1), tensor[..., None],
                tensor.new_zeros(0), tensor.new_zeros(1).expand(2**33), torch.zeros(1, dtype=torch.int64),
                tensor.to(torch.complex64), torch.zeros((1,) * 30), tensor.flatten()[:1],
                torch.full_like(tensor, 7), torch.tensor(0.0), None, 3.0, tensor.to_sparse(),
                torch.zeros(0, 2**40), torch.nn.Parameter(torch.zeros(2)), [tensor],
            )
        )  # fmt: skip
        if rng.random() < 0.3:
            state[rng.choice((5, "", "module." * 99, "encoder.conv1.weight", "\0", ("a",)))] = state.pop(name)
    torch.save(whole, target)
    return target


def change_sizes(source: Path, target: Path, rng: random.Random) -> Path:
    """Numbers in the pickle: shapes, strides, offsets and lengths of storages."""
    text = header_of(source)
    numbers = [
        (op, arg, place) for op, arg, place in pickletools.genops(text) if op.name.startswith("BININT")
    ]
    _, value, place = rng.choice(numbers)
    width = {b"K": 2, b"M": 3, b"J": 5}[text[place : place + 1]]
    wanted = rng.choice((value + 1, value - 1, value * 2, *INTERESTING))
    written = pickle.dumps(wanted, protocol=2)[2:-1]
    return rewrite(source, target, {"data.pkl": text[:place] + written + text[place + width :]})


CHANGES: dict[str, Callable[[Path, Path, random.Random], Path]] = {
    "bytes": change_file,
    "archive": change_archive,
    "pickle": change_pickle,
    "metadata": change_metadata,
    "tensors": change_tensors,
    "sizes": change_sizes,
}
#: changes after which what is read must be what was written: the archive's checksums tell any other byte
MUST_BE_EQUAL = ("bytes", "archive")
