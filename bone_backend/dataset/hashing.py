"""Random numbers that depend on a seed and a position only, made on the device.

In:  one int64 seed a patch, how many numbers, and for what they are (a stream).
Out: uniform or normal float32 numbers (patch, count).
A generator with a state would give other numbers in another batch; a hash of (seed, stream, position) does
not.
"""

from __future__ import annotations

import math

import torch

# Constants of splitmix64 (Steele, Lea and Flood 2014, doi 10.1145/2660193.2660195) as signed 64-bit integers.
STEP, FIRST, SECOND = (n - 2**64 for n in (0x9E3779B97F4A7C15, 0xBF58476D1CE4E5B9, 0x94D049BB133111EB))


def bits(seeds: torch.Tensor, count: int, *, stream: int) -> torch.Tensor:
    """64 random bits int64 (patch, count): number i is output i of splitmix64 with a state made of seed and
    stream.
    """
    state = _mix(seeds + torch.full((), stream, dtype=torch.int64, device=seeds.device) * STEP)
    return _mix(state[:, None] + torch.arange(1, count + 1, device=seeds.device)[None] * STEP)


def _mix(x: torch.Tensor) -> torch.Tensor:
    # int64 wraps around; >> keeps the sign in torch, so the bits that it moves in are masked off.
    x = (x ^ ((x >> 30) & (2**34 - 1))) * FIRST
    x = (x ^ ((x >> 27) & (2**37 - 1))) * SECOND
    return x ^ ((x >> 31) & (2**33 - 1))


def uniforms(seeds: torch.Tensor, count: int, *, stream: int) -> torch.Tensor:
    """float32 (patch, count), 0 <= number < 1, multiples of 2**-24."""
    return ((bits(seeds, count, stream=stream) >> 40) & (2**24 - 1)).to(torch.float32) * 2.0**-24


def normals(seeds: torch.Tensor, count: int, *, stream: int) -> torch.Tensor:
    """float32 (patch, count) of mean 0 and standard deviation 1 (Box and Muller 1958, doi
    10.1214/aoms/1177706645).
    """
    drawn = bits(seeds, count, stream=stream)
    length = (((drawn >> 32) & (2**32 - 1)).to(torch.float32) + 1) * 2.0**-32
    angle = (drawn & (2**32 - 1)).to(torch.float32) * (2 * math.pi * 2.0**-32)
    return torch.sqrt(-2 * torch.log(length.clamp_max(1.0))) * torch.cos(angle)
