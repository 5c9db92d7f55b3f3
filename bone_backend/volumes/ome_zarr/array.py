"""One array of a Zarr store on disk: its header, and its chunks by their place.

In:  the folder of an array, of Zarr 2 (.zarray) or 3 (zarr.json), with or without shards.
Out: chunks as arrays; ScanError with the chunk's file where one is damaged. A chunk that is not there is
filled with the fill value, as Zarr has it. No word in the header leads anywhere: files are named by numbers.
The layouts are those of https://zarr-specs.readthedocs.io (v2; v3 core 3.0 and its codecs).
"""

from __future__ import annotations

import itertools
import math
from collections import OrderedDict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ...errors import ScanError
from ...files.json_files import read_json
from .codecs import Codecs, of_second, of_third

MOST_CHUNK = 256 << 20  # bytes, unpacked
MOST_INDEX = 1 << 22  # chunks of a shard
MOST_VOXELS = 1 << 48
MOST_AXES = 6
KEPT_INDEXES = 8
NOTHING = 2**64 - 1  # in the index of a shard: no such chunk


class Shards(NamedTuple):
    """How chunks lie in shards. shape: of a shard in chunks. codecs: of the index, at its end or start."""

    shape: tuple[int, ...]
    codecs: Codecs
    is_at_start: bool


class Layout(NamedTuple):
    """The header of an array. chunk: the shape of one. prefix, separator: of the names of files."""

    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    dtype: np.dtype
    fill: Any
    codecs: Codecs
    prefix: str
    separator: str
    shards: Shards | None
    names: tuple[str, ...]  # of the axes, where Zarr 3 tells them


def has_array(folder: Path) -> bool:
    """Whether a folder is an array."""
    if (folder / ".zarray").is_file():
        return True
    try:
        found = read_json(folder / "zarr.json")
    except (OSError, ValueError):
        return False
    return isinstance(found, Mapping) and found.get("node_type") == "array"


def read_layout(folder: Path) -> Layout:
    """The header of an array. Raises ScanError."""
    place = folder / ".zarray"
    is_second = place.is_file()
    place = place if is_second else folder / "zarr.json"
    try:
        header = read_json(place)
        if not isinstance(header, Mapping):
            raise ValueError("it is no table")
        return _second(header) if is_second else _third(header)
    except OSError as fault:
        raise ScanError(f"{place}: cannot be read ({fault.strerror or fault}).") from fault
    except (ValueError, TypeError, KeyError, AttributeError, OverflowError) as fault:
        raise ScanError(f"{place}: is damaged, or of no volume that BONe reads: {fault}.") from fault


def _whole_numbers(values: Any, lowest: int) -> tuple[int, ...]:
    if not isinstance(values, Sequence) or isinstance(values, str) or not 1 <= len(values) <= MOST_AXES:
        raise ValueError("its sizes are no list of whole numbers")
    if not all(type(n) is int and lowest <= n <= MOST_VOXELS for n in values):
        raise ValueError(f"its sizes are {str(values)[:60]}")
    return tuple(values)


def _sizes(shape: Any, chunk: Any, dtype: np.dtype) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """Shape and chunk, checked."""
    shape, chunk = _whole_numbers(shape, 1), _whole_numbers(chunk, 1)
    if len(shape) != len(chunk) or math.prod(shape) > MOST_VOXELS:
        raise ValueError(f"its shape is {shape}, its chunks {chunk}")
    if math.prod(chunk) * dtype.itemsize > MOST_CHUNK:
        raise ValueError(f"its chunks are {chunk}, more than BONe unpacks at once")
    return shape, chunk


def _numbers(dtype: np.dtype) -> np.dtype:
    if dtype.kind not in "uifb" or dtype.itemsize > 8 or dtype.hasobject:
        raise ValueError(f"it holds {dtype}; a volume holds whole or floating-point numbers")
    return dtype


def _fill(value: Any, dtype: np.dtype) -> Any:
    """The fill value as a number of the array."""
    if value is None:
        return dtype.type(0)
    if isinstance(value, str):
        value = float(value.replace("Infinity", "inf"))  # "NaN", "-Infinity"
    return np.array(value).astype(dtype)[()]


def _second(header: Mapping[str, Any]) -> Layout:
    if header.get("zarr_format") != 2 or not isinstance(header.get("dtype"), str):
        raise ValueError("it is no header of Zarr 2")
    dtype = _numbers(np.dtype(header["dtype"]))
    shape, chunk = _sizes(header.get("shape"), header.get("chunks"), dtype)
    separator = header.get("dimension_separator", ".")
    if separator not in (".", "/"):
        raise ValueError(f"its dimension_separator is {str(separator)[:20]!r}")
    codecs = of_second(header, len(shape))
    return Layout(
        shape, chunk, dtype, _fill(header.get("fill_value"), dtype), codecs, "", separator, None, ()
    )


def _third(header: Mapping[str, Any]) -> Layout:
    if header.get("zarr_format") != 3 or header.get("node_type") != "array":
        raise ValueError("it is no header of an array of Zarr 3")
    kind = header["data_type"]
    if not isinstance(kind, str) or kind.startswith(("r", "complex", "string")):
        raise ValueError(f"it holds {str(kind)[:40]!r}; a volume holds whole or floating-point numbers")
    dtype = _numbers(np.dtype(kind))
    grid, keys = header["chunk_grid"], header.get("chunk_key_encoding", {"name": "default"})
    if grid.get("name") != "regular" or keys.get("name") not in ("default", "v2"):
        raise ValueError("its chunks are not regular, or named in another way than the default")
    if header.get("storage_transformers"):
        raise ValueError("its chunks are stored in another way than Zarr's own")
    is_old = keys["name"] == "v2"
    separator = keys.get("configuration", {}).get("separator", "." if is_old else "/")
    if separator not in (".", "/"):
        raise ValueError(f"its separator is {str(separator)[:20]!r}")
    codecs, shards = header["codecs"], None
    outer = _whole_numbers(grid["configuration"]["chunk_shape"], 1)
    chunk: Any = outer
    if len(codecs) == 1 and isinstance(codecs[0], Mapping) and codecs[0].get("name") == "sharding_indexed":
        settings = codecs[0]["configuration"]
        chunk, codecs = _whole_numbers(settings["chunk_shape"], 1), settings["codecs"]
        shards = _shards(outer, chunk, settings)
    shape, chunk = _sizes(header["shape"], chunk, dtype)
    found = of_third(codecs, len(shape))
    told = header.get("dimension_names") or ()
    names = tuple(str(name) for name in told) if isinstance(told, list) and len(told) == len(shape) else ()
    order = np.dtype(found.order + dtype.str[1:])
    fill = _fill(header.get("fill_value"), dtype)
    return Layout(
        shape, chunk, order, fill, found, "" if is_old else f"c{separator}", separator, shards, names
    )


def _shards(outer: tuple[int, ...], chunk: tuple[int, ...], settings: Mapping[str, Any]) -> Shards:
    if len(outer) != len(chunk) or any(big % small for big, small in zip(outer, chunk, strict=True)):
        raise ValueError(f"its shards are {outer}, its chunks {chunk}")
    counts = tuple(big // small for big, small in zip(outer, chunk, strict=True))
    if math.prod(counts) > MOST_INDEX:
        raise ValueError(f"its shards hold {math.prod(counts):,} chunks each")
    place = settings.get("index_location", "end")
    codecs = of_third(settings["index_codecs"], 1 + len(outer))
    if place not in ("start", "end") or codecs.packed or codecs.turned:
        raise ValueError("the index of its shards is packed, or in no place that BONe knows")
    return Shards(counts, codecs, place == "start")


class Chunks:
    """The chunks of an array. Any number of threads may read."""

    def __init__(self, folder: Path, layout: Layout):
        self.folder, self.layout = folder, layout
        self.chunk_bytes = math.prod(layout.chunk) * layout.dtype.itemsize
        self._indexes: OrderedDict[tuple[int, ...], np.ndarray | None] = OrderedDict()

    def file_of(self, place: Sequence[int]) -> Path:
        """The file of a chunk, or of a shard."""
        return self.folder / (self.layout.prefix + self.layout.separator.join(map(str, place)))

    def read(self, place: tuple[int, ...]) -> np.ndarray | None:
        """A chunk, of the shape of all chunks; None where it is not there. Raises ScanError."""
        layout, shards = self.layout, self.layout.shards
        path = self.file_of(place)
        if shards is not None:
            path = self.file_of([n // count for n, count in zip(place, shards.shape, strict=True)])
        try:
            data = self._bytes(path, layout.codecs.most(self.chunk_bytes)) if shards is None else None
            if shards is not None:
                data = self._of_shard(path, place, shards)
            if data is None:
                return None
            plain = layout.codecs.unpack(data, self.chunk_bytes)
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
        except ValueError as fault:
            raise ScanError(f"{path}: is a damaged chunk: {fault}. Copy it again.") from fault
        turned = layout.codecs.turned
        if not turned:
            return np.frombuffer(plain, layout.dtype).reshape(layout.chunk)
        stored = np.frombuffer(plain, layout.dtype).reshape([layout.chunk[axis] for axis in turned])
        return stored.transpose(np.argsort(turned))

    @staticmethod
    def _bytes(path: Path, most: int) -> bytes | None:
        """A whole file; None where there is none."""
        try:
            with path.open("rb") as file:
                data = file.read(most + 1)
        except FileNotFoundError:
            return None
        if len(data) > most:
            raise ValueError(f"it has more than {most:,} bytes, which no chunk of this array has")
        return data

    def _of_shard(self, path: Path, place: tuple[int, ...], shards: Shards) -> bytes | None:
        shard = tuple(n // count for n, count in zip(place, shards.shape, strict=True))
        index = self._index(path, shard, shards)
        if index is None:
            return None
        inner = tuple(n % count for n, count in zip(place, shards.shape, strict=True))
        offset, length = (int(n) for n in index[inner])
        if offset == length == NOTHING:
            return None
        if length > self.layout.codecs.most(self.chunk_bytes):
            raise ValueError(f"its chunk {place} has {length:,} bytes, which none of this array has")
        if offset > 1 << 62:
            raise ValueError(f"its chunk {place} begins at byte {offset:,}")
        with path.open("rb") as file:
            file.seek(offset)
            data = file.read(length)
        if len(data) < length:
            raise ValueError(f"it ends within its chunk {place}")
        return data

    def _index(self, path: Path, shard: tuple[int, ...], shards: Shards) -> np.ndarray | None:
        """Where the chunks of a shard lie: (*chunks, 2), offset and length."""
        if shard in self._indexes:
            return self._indexes[shard]
        size = math.prod(shards.shape) * 16
        length = size + 4 * shards.codecs.inner_checksums
        try:
            with path.open("rb") as file:
                whole = file.seek(0, 2)
                if whole < length:
                    raise ValueError("it ends within its index")
                file.seek(0 if shards.is_at_start else whole - length)
                data = file.read(length)
        except FileNotFoundError:
            found = None
        else:
            plain = shards.codecs.unpack(data, size)
            found = np.frombuffer(plain, f"{shards.codecs.order}u8").reshape(*shards.shape, 2)
        self._indexes[shard] = found
        while len(self._indexes) > KEPT_INDEXES:
            try:
                self._indexes.popitem(last=False)
            except KeyError:  # another thread was quicker
                break
        return found

    def files(self) -> list[Path]:
        """The files of the chunks that are there, and the header's."""
        layout = self.layout
        header = next(
            (self.folder / name for name in (".zarray", "zarr.json") if (self.folder / name).is_file()), None
        )
        sizes = layout.chunk
        if layout.shards:
            sizes = tuple(n * count for n, count in zip(sizes, layout.shards.shape, strict=True))
        counts = [-(-n // size) for n, size in zip(layout.shape, sizes, strict=True)]
        if math.prod(counts) > 1 << 20:
            raise ScanError(f"{self.folder}: has {math.prod(counts):,} chunks, more than BONe opens.")
        found = (self.file_of(place) for place in itertools.product(*map(range, counts)))
        return [*([header] if header else []), *(path for path in found if path.is_file())]
