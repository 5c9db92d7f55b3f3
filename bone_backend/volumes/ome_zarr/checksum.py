"""CRC-32C (Castagnoli) of bytes, as Zarr's chunks and shards carry it.

In:  bytes.
Out: the checksum. Python has none: long texts are cut into lanes of one length, which numpy goes through side
by side, and whose checksums are then put together (a checksum is linear in the bytes).
"""

from __future__ import annotations

import functools

import numpy as np

POLYNOMIAL = 0x82F63B78
LANES = 4096
SHORT = 1 << 15  # bytes, below which lanes are not worth it


@functools.lru_cache(1)
def _table() -> np.ndarray:
    """The checksum register after each value of one byte."""
    values = np.arange(256, dtype=np.uint32)
    for _ in range(8):
        values = np.where(values & 1, values >> 1 ^ POLYNOMIAL, values >> 1).astype(np.uint32)
    return values


def _plain(data: bytes, register: int) -> int:
    table = _table().tolist()
    for byte in data:
        register = table[(register ^ byte) & 255] ^ register >> 8
    return register


@functools.lru_cache(8)
def _shift(length: int) -> list[list[int]]:
    """What `length` bytes of zero make of a register: by its four bytes, 256 values each."""
    basis = np.uint32(1) << np.arange(32, dtype=np.uint32)
    table = _table()
    for _ in range(length):
        basis = table[basis & 255] ^ basis >> np.uint32(8)
    tables = []
    for part in range(4):
        values = np.zeros(256, np.uint32)
        for bit in range(8):
            values ^= np.where(np.arange(256) >> bit & 1, basis[8 * part + bit], 0).astype(np.uint32)
        tables.append(values.tolist())
    return tables


def crc32c(data: bytes | memoryview) -> int:
    """The checksum.

    >>> hex(crc32c(b"123456789"))
    '0xe3069283'
    """
    data = bytes(data)
    register = 0xFFFFFFFF
    if len(data) >= SHORT:
        length = len(data) // LANES
        lanes = np.frombuffer(data, np.uint8, LANES * length).reshape(LANES, length)
        table, registers = _table(), np.zeros(LANES, np.uint32)
        for column in np.ascontiguousarray(lanes.T):
            registers = table[(registers ^ column) & 255] ^ registers >> np.uint32(8)
        tables = _shift(length)
        for lane in registers.tolist():
            register = (
                tables[0][register & 255]
                ^ tables[1][register >> 8 & 255]
                ^ tables[2][register >> 16 & 255]
                ^ tables[3][register >> 24]
                ^ lane
            )
        data = data[LANES * length :]
    return _plain(data, register) ^ 0xFFFFFFFF
