"""The packed voxels of Scanco's AIM.

In:  a file and where its packed voxels begin.
Out: slabs; never more than the header announces. Runs are a stream, bits are read at any slice.
As AimIO of Numerics88 packs them: "runs" are pairs of a value and how often it comes (up to 255); "two" are
two values, then lengths that take turns, where 255 means 254 without a turn; "bits" has a byte for 2 x 2 x 2
voxels, and behind all of them the value of those that are set.
"""

from __future__ import annotations

import io
import math
from pathlib import Path
from typing import IO, Any

import numpy as np

from ...errors import ScanError
from ..abstract import Volume
from ..header import Header
from ..medical.unpacking import PIECE, Pieces
from ..medical.voxels import StreamVolume

BITS = "bits"
MOST = {"runs": 128, "two": 254}  # voxels that one packed byte can become
BYTE = np.dtype("i1")
Scale = tuple[float, float] | None


class _Runs(Pieces):
    """Pairs of a value and its length."""

    _held = b""

    def _next(self) -> bytes | None:
        more = self._file.read(PIECE)
        if not more:
            return None
        data = self._held + more
        even = len(data) // 2 * 2
        self._held = data[even:]
        pairs = np.frombuffer(data, np.uint8, even).reshape(-1, 2)
        return np.repeat(pairs[:, 0], pairs[:, 1]).tobytes()


class _Two(Pieces):
    """Lengths of two values in turn."""

    _values: np.ndarray | None = None
    _turns = 0

    def _next(self) -> bytes | None:
        if self._values is None:
            start = self._file.read(2)
            if len(start) < 2:
                return None
            self._values = np.frombuffer(start, np.uint8)
        more = self._file.read(PIECE)
        if not more:
            return None
        lengths = np.frombuffer(more, np.uint8)
        is_turn = lengths != 255
        before = self._turns + np.concatenate(([0], np.cumsum(is_turn)[:-1]))
        self._turns = int(self._turns + is_turn.sum()) % 2
        return np.repeat(self._values[before % 2], np.minimum(lengths, 254)).tobytes()


class PackedVolume(StreamVolume):
    """Voxels in runs. border: (z, y, x), of zeros around what is stored."""

    def __init__(
        self, header: Header, path: Path, offset: int, packed: str, scale: Scale, border: tuple[int, int, int]
    ):
        super().__init__(header, path, offset, BYTE, packed, 0, scale, (path,))
        self._border = border

    def _unpacked(self, file: IO[bytes]) -> Any:
        return io.BufferedReader({"runs": _Runs, "two": _Two}[self._packed](file, self._stored), PIECE)

    def _read(self, plane: np.ndarray, z: int) -> None:
        depth, (bz, by, bx) = self.header.shape[0], self._border
        if not any(self._border):
            super()._read(plane, z)
            return
        plane[...] = 0
        if bz <= z < depth - bz:
            inner = np.empty((plane.shape[0] - 2 * by, plane.shape[1] - 2 * bx), plane.dtype)
            super()._read(inner, z)
            plane[by : plane.shape[0] - by, bx : plane.shape[1] - bx] = inner
        self._next = z + 1


class BitVolume(Volume):
    """A byte for 2 x 2 x 2 voxels."""

    def __init__(self, header: Header, path: Path, offset: int, scale: Scale):
        self.header, self.files = header, (path,)
        self._offset, self._scale = offset, scale
        self._packed = [-(-n // 2) for n in header.shape]
        needed = offset + math.prod(self._packed) + 1
        size = path.stat().st_size
        if size < needed:
            raise ScanError(
                f"{path}: is truncated: {needed} bytes are announced, the file has {size}. Copy it again."
            )
        value = self._bytes(needed - 1, 1)[0]
        self._value = np.uint8(value or 127).view(np.int8)

    def _bytes(self, offset: int, count: int) -> bytes:
        path = self.files[0]
        try:
            with path.open("rb") as file:
                file.seek(offset)
                found = file.read(count)
        except OSError as fault:
            raise ScanError(f"{path}: cannot be read ({fault.strerror or fault}).") from fault
        if len(found) < count:
            raise ScanError(f"{path}: is truncated: it ends within its voxels. Copy it again.")
        return found

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        _, height, width = self._packed
        slope, intercept = self._scale or (1.0, 0.0)
        for z in range(z0, z1):
            raw = self._bytes(self._offset + z // 2 * height * width, height * width)
            packed = np.frombuffer(raw, np.uint8).reshape(height, width)
            plane = np.empty((2 * height, 2 * width), np.uint8)
            for y in range(2):
                for x in range(2):
                    plane[y::2, x::2] = packed >> (4 * (z % 2) + 2 * y + x) & 1
            found = plane[: out.shape[1], : out.shape[2]].astype(np.int8) * self._value
            out[z - z0] = found if self._scale is None else found * slope + intercept


class VmsFloatVolume(Volume):
    """F_floating numbers of VMS, which a plain stream gives as they lie."""

    def __init__(self, plain: StreamVolume):
        self.header, self.files, self._plain = plain.header, plain.files, plain
        self._scale = plain._scale or (1.0, 0.0)
        plain._scale = None

    def _fill(self, z0: int, z1: int, out: np.ndarray) -> None:
        found = self._plain.read(z0, z1)
        words = found.view(np.uint16).reshape(*found.shape, 2)
        turned = np.ascontiguousarray(words[..., ::-1]).view("<f4").reshape(found.shape)
        slope, intercept = self._scale
        np.copyto(out, turned * np.float64(slope / 4) + intercept, casting="same_kind")

    def close(self) -> None:
        self._plain.close()
