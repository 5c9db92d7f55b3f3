"""What a prediction has finished so far: kept beside its output until that is whole, also after a kill.

In:  slabs of labels and maps as they come, and what identifies the work (a key).
Out: how many slices are there and sound, so that the work goes on behind them.
A visible folder NAME.unfinished: one raw file for each volume, and a line of JSON for each slab with its
checksums, written last. A slab without a line, or whose bytes are others, does not count, nor what follows.
It goes when the record of the labels is written; until then it says what was about to get its name, so that
the same work knows its own labels again.
"""

from __future__ import annotations

import json
import logging
import zlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from ..errors import OutputError
from ..files.json_files import parse_json, read_json
from ..files.whole import output_fault, remove, temporary_path, write_text
from .header import Header

log = logging.getLogger("bone.prediction")

KIND = "BONe unfinished labels"
STATE, SLABS = "state.json", "slabs.jsonl"
LABELS = "labels"
CHECK_BYTES = 16 << 20  # read at a time


class Note(NamedTuple):
    """counts: int64 of all slices up to the end of a slab. sure: of each slice of the slab."""

    counts: np.ndarray
    sure: list[float]


class Kept:
    """header: of the labels. names: of the volumes beside them, uint8. Slices are appended by `write`, then
    `beside`; `read` is for the labels.
    """

    def __init__(self, output: Path, header: Header, names: Sequence[str]):
        self.folder, self._output = folder_of(output), output
        self.header, self.names = header, tuple(names)
        self.slices, self.sure = 0, list[float]()
        self.counts: np.ndarray | None = None
        self._open: dict[str, Any] = {}

    def begin(self, key: str, *, resume: bool, told: Mapping[str, Any] | None = None) -> bool:
        """Go on with what is there, or begin anew; says whether it goes on.

        told: kept with the key, for `told_before`.

        Raises OutputError where the folder is somebody else's.
        """
        found = self._found()
        is_same = resume and found is not None and found.get("key") == key
        if found and not is_same:
            log.info("%s: what another prediction had left there was removed.", self.folder)
        try:
            if not is_same:
                _remove(self.folder)
                self._make(key, told or {})
            self._open = {name: self._file(f"{name}.raw") for name in (LABELS, *self.names)}
            self._open[SLABS] = self._file(SLABS)
            self._take_what_is_sound()
        except OSError as fault:
            raise output_fault(self.folder, fault, is_kept=True) from fault
        return is_same

    def told_before(self) -> dict[str, Any]:
        """What was told when the work that is there was begun; empty where nothing is there."""
        return self._found() or {}

    def is_of(self, key: str) -> bool:
        """Whether what is there is of the work that the key stands for."""
        return (self._found() or {}).get("key") == key

    def _make(self, key: str, told: Mapping[str, Any]) -> None:
        """The folder, which is never without its state, so that it is known again."""
        made = temporary_path(self._output)
        try:
            made.mkdir(parents=True)
            known = {**told, "kind": KIND, "key": key, "slices": self.header.shape[0]}
            write_text(made / STATE, json.dumps(known) + "\n")
            made.rename(self.folder)
        finally:
            remove(made)

    def _file(self, name: str) -> Any:
        path = self.folder / name
        path.touch()
        return path.open("r+b")

    def _found(self) -> dict[str, Any] | None:
        if not self.folder.exists():
            return None
        try:
            found = read_json(self.folder / STATE)
        except (OSError, ValueError):
            found = None
        if isinstance(found, dict) and found.get("kind") == KIND:
            return found
        if self.folder.is_dir() and not any(self.folder.iterdir()):
            return {}
        raise OutputError(f"{self.folder}: is in the way, and not BONe's. Move it, or choose another output.")

    def _take_what_is_sound(self) -> None:
        """Read the lines, check their slabs, and cut off all behind the last sound one."""
        sound = 0
        for line in self._open[SLABS].read().split(b"\n")[:-1]:
            try:
                told = parse_json(line)
                end, sure = told["end"], told["sure"]
                counts = np.array(told["counts"], np.int64)
                if not (self.slices < end <= self.header.shape[0]) or len(sure) != end - self.slices:
                    break
                if any(self._checksum(name, self.slices, end) != told["crc"][name] for name in self._volumes):
                    break
            except (ValueError, KeyError, TypeError):
                break
            self.slices, self.counts = end, counts
            self.sure += sure
            sound += len(line) + 1
        self._cut(sound)

    @property
    def _volumes(self) -> tuple[str, ...]:
        return (LABELS, *self.names)

    def _cut(self, journal: int) -> None:
        for name in self._volumes:
            size = self.slices * self._slice_bytes(name)
            self._open[name].truncate(size)
            self._open[name].seek(size)
        self._open[SLABS].truncate(journal)
        self._open[SLABS].seek(journal)

    def _slice_bytes(self, name: str) -> int:
        height, width = self.header.shape[1:]
        return self.header.slice_bytes if name == LABELS else height * width

    def _checksum(self, name: str, first: int, end: int) -> int:
        file, size = self._open[name], self._slice_bytes(name)
        file.seek(first * size)
        left, found = (end - first) * size, 0
        while left:
            part = file.read(min(left, CHECK_BYTES))
            if not part:
                return -1
            found, left = zlib.crc32(part, found), left - len(part)
        return found

    @property
    def has_anything(self) -> bool:
        """Whether it is worth going on."""
        return self.slices > 0 or any(path.stat().st_size for path in self.folder.glob("passes*"))

    def is_done(self, sha256: str) -> None:
        """Say that the labels are about to get their name. sha256: of their voxels, see `sha256_of`."""
        found = read_json(self.folder / STATE)
        write_text(self.folder / STATE, json.dumps({**found, "done": sha256}) + "\n")

    def drop(self) -> None:
        """Give the room back that slabs take, of labels that have their name but no record yet."""
        self._close()
        _empty(self.folder)

    def forget(self) -> None:
        """Begin anew with the slices."""
        self.slices, self.sure, self.counts = 0, [], None
        self._cut(0)

    def write(self, labels: np.ndarray) -> None:
        """The labels of the next slices; `beside` says that they are whole."""
        self._crc = {LABELS: self._append(LABELS, labels)}
        self._new = len(labels)

    def beside(self, layers: Sequence[np.ndarray], note: Note) -> None:
        """The other volumes of the same slices, and what is known of them."""
        for name, layer in zip(self.names, layers, strict=True):
            self._crc[name] = self._append(name, layer)
        self.slices += self._new
        self.counts = note.counts
        self.sure += note.sure
        line = {"end": self.slices, "crc": self._crc, "counts": note.counts.tolist(), "sure": note.sure}
        try:
            self._open[SLABS].write(json.dumps(line).encode() + b"\n")
            self._open[SLABS].flush()
        except OSError as fault:
            raise output_fault(self.folder, fault, is_kept=True) from fault

    def _append(self, name: str, slab: np.ndarray) -> int:
        data = memoryview(np.ascontiguousarray(slab).reshape(-1).view(np.uint8))
        try:
            self._open[name].write(data)
            self._open[name].flush()
        except OSError as fault:
            raise output_fault(self.folder, fault, is_kept=True) from fault
        return zlib.crc32(data)

    def slabs(self, name: str = LABELS) -> Iterator[tuple[int, np.ndarray]]:
        """All slices that are there, in order: the first of each slab, and the slab."""
        dtype = self.header.dtype if name == LABELS else np.dtype(np.uint8)
        size = self._slice_bytes(name)
        step = max(1, CHECK_BYTES // size)
        for z0 in range(0, self.slices, step):
            z1 = min(z0 + step, self.slices)
            self._open[name].seek(z0 * size)
            data = self._open[name].read((z1 - z0) * size)
            yield z0, np.frombuffer(data, dtype).reshape(z1 - z0, *self.header.shape[1:])
        self._open[name].seek(self.slices * size)

    def close(self, *, keep: bool) -> None:
        """Leave the folder for another time, or remove it."""
        self._close()
        if not keep:
            _remove(self.folder)

    def _close(self) -> None:
        for file in self._open.values():
            try:
                file.close()
            except OSError:  # the disk is full; what is not written does not count
                pass
        self._open = {}


def _empty(folder: Path) -> None:
    """Remove all but the state."""
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.name != STATE:
            remove(path)


def _remove(folder: Path) -> None:
    """Remove the folder, its state last, so that it is known again after a kill in between."""
    _empty(folder)
    remove(folder / STATE)
    remove(folder)


def done(output: Path) -> str:
    """The SHA-256 of the labels that were about to get this name when their maker was killed, else ""."""
    try:
        found = read_json(folder_of(output) / STATE)
    except (OSError, ValueError):
        return ""
    is_ours = isinstance(found, dict) and found.get("kind") == KIND
    return str(found.get("done") or "") if is_ours else ""


def room(output: Path) -> int:
    """Bytes that the unfinished part of an output takes already."""
    return sum(path.stat().st_size for path in folder_of(output).glob("*.raw"))


def sweep(output: Path) -> None:
    """Remove what stands beside an output that has all it needs, since its maker was killed in the last
    moment.
    """
    folder = folder_of(output)
    is_empty = folder.is_dir() and not any(folder.iterdir())
    if output.exists() and (is_empty or done(output)):
        _remove(folder)


def folder_of(output: Path) -> Path:
    """Where the finished part of an output is.

    >>> folder_of(Path("out/femur.tif")).name
    'femur.tif.unfinished'
    """
    return output.with_name(f"{output.name}.unfinished")
