"""Change a batch of normalised patches exactly as its records say, on the device.

In:  float32 patches (batch, channel, [z,] y, x), class indices (batch, [z,] y, x), and a record of VARIATION
     for each patch.
Out: the same, changed, by the transforms of options/transforms.py in their order: first moved, then their
     greys, each by the function of its name here.
Every number comes from the patch's own record, so a patch is changed alike in any batch and with any number
of threads. Grey values are interpolated linearly, class indices taken from the nearest voxel; beyond its edge
a patch is mirrored.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np
import torch
import torch.nn.functional as F

from ..options.transforms import TRANSFORMS
from .hashing import normals, uniforms

# Streams of the hash: what one patch's seed is used for.
NOISE, RING, RING_CHOICE, ELASTIC = 1, 2, 3, 4
# Voxels of one piece of work where numbers are made for every voxel.
PIECE = 1 << 22


def vary(
    patches: torch.Tensor, target: torch.Tensor, records: np.ndarray, *, unit: float
) -> tuple[torch.Tensor, torch.Tensor]:
    """Patches and class indices, changed in place.

    records: VARIATION (batch,). unit: of noise, rings and offsets, in normalised grey values.
    """
    moving = {
        column: value for row in TRANSFORMS.values() if row.moves for column, value in row.neutral.items()
    }
    some = _changed(records, moving)
    if len(some):
        chosen = to_device(some, patches.device)
        moved, moved_target = move(patches[chosen], target[chosen], records[some])
        patches.index_copy_(0, chosen, moved)
        target.index_copy_(0, chosen, moved_target)
    for name, row in TRANSFORMS.items():
        if row.moves:
            continue
        change = globals()[name]  # the function of this file that has the transform's name
        some = _changed(records, row.neutral)
        for piece in np.array_split(some, max(1, -(-len(some) * patches[0].numel() // PIECE))):
            if len(piece):
                chosen = to_device(piece, patches.device)
                patches.index_copy_(0, chosen, change(patches[chosen], records[piece], unit))
    return patches, target


def _changed(records: np.ndarray, neutral: Mapping[str, float]) -> np.ndarray:
    """Numbers of the records in which a column is not at its neutral value."""
    return np.flatnonzero(np.logical_or.reduce([records[name] != value for name, value in neutral.items()]))


def to_device(values: np.ndarray, device: torch.device) -> torch.Tensor:
    """The values as a tensor on the device; on a CPU they share memory, and a GPU is not waited for.

    Only a copy from page-locked memory leaves without waiting. torch gives such memory to nobody else before
    the copy has ended (ATen/core/CachingHostAllocator.h), so nobody has to keep it.
    """
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor if device.type == "cpu" else tensor.pin_memory().to(device, non_blocking=True)


def move(
    patches: torch.Tensor, target: torch.Tensor, records: np.ndarray
) -> tuple[torch.Tensor, torch.Tensor]:
    """Rotate, scale, shrink and bend every patch with its class indices, on one grid for both."""
    if (records["shrink"] < 1).any():
        patches = spread(patches, box(records["shrink"]))
    grid = source_grid(records, tuple(patches.shape[2:]), patches.device)
    sampled = F.grid_sample(patches, grid, mode="bilinear", padding_mode="reflection", align_corners=True)
    classes = F.grid_sample(
        target[:, None].to(torch.float32), grid, mode="nearest", padding_mode="reflection", align_corners=True
    )
    return sampled, classes[:, 0].to(target.dtype)


def source_grid(records: np.ndarray, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Where each voxel's value comes from, as grid_sample takes it: (batch, [z,] y, x, axis), axes x, y, [z],
    -1..1.

    The middle of the patch stays. Rotation turns y to x as torch.rot90 does; along z nothing is rotated.
    """
    batch = len(records)
    lines = [torch.arange(n, dtype=torch.float32, device=device) - (n - 1) / 2 for n in shape]
    at = list(torch.meshgrid(*lines, indexing="ij"))
    wide = (batch,) + (1,) * len(shape)
    angle = np.deg2rad(records["rotation"].astype(np.float64))
    zoom = _numbers(1 / (records["scaling"] * records["shrink"]), device).view(wide)
    cosine, sine = (_numbers(f(angle), device).view(wide) for f in (np.cos, np.sin))
    y, x = at[-2], at[-1]
    source = [a * zoom for a in at[:-2]] + [(y * cosine + x * sine) * zoom, (x * cosine - y * sine) * zoom]
    if (records["elastic"] != 0).any():
        bent = displacement(records, shape, device)
        source = [a + bent[:, i] for i, a in enumerate(source)]
    scaled = [a * (2 / max(n - 1, 1)) for a, n in zip(source, shape, strict=True)]
    return torch.stack([a.expand(batch, *shape) for a in reversed(scaled)], dim=-1)


def displacement(records: np.ndarray, shape: tuple[int, ...], device: torch.device) -> torch.Tensor:
    """Smooth random displacements (batch, axis, [z,] y, x) in px: cubic B-splines between normal random
    knots.

    Each component has the standard deviation of the record's `elastic`, over knots and positions.
    """
    spacing = float(records["spacing"].max())
    bases = [spline_basis(n, spacing) for n in shape]
    knots = [basis.shape[1] for basis in bases]
    count = len(shape) * math.prod(knots)
    field = normals(_seeds(records, device), count, stream=ELASTIC).view(len(records), len(shape), *knots)
    for axis, basis in enumerate(bases):
        spread = math.sqrt(float((basis**2).sum(1).mean()))
        field = torch.tensordot(field, to_device((basis / spread).numpy(), device), dims=([2], [1]))
        # the axis just spread has moved to the end, so the next is at 2 again
        assert field.shape[-1] == shape[axis]
    return field * _numbers(records["elastic"], device).view(-1, *(1,) * (len(shape) + 1))


def spline_basis(size: int, spacing: float) -> torch.Tensor:
    """Weights float32 (size, knots) of a uniform cubic B-spline with a knot every `spacing` px; every row
    sums to 1.
    """
    at = torch.arange(size, dtype=torch.float64) / spacing
    first = at.floor().to(torch.int64)
    t = at - first
    weights = [(1 - t) ** 3, 3 * t**3 - 6 * t**2 + 4, -3 * t**3 + 3 * t**2 + 3 * t + 1, t**3]
    basis = torch.zeros(size, int(first[-1]) + 4, dtype=torch.float64)
    for i, weight in enumerate(weights):
        basis[torch.arange(size), first + i] = weight / 6
    return basis.to(torch.float32)


def blur(patches: torch.Tensor, records: np.ndarray, _unit: float) -> torch.Tensor:
    """Gaussian of the record's standard deviation along y and x, and along z where z is an axis."""
    return spread(patches, gaussian(records["blur"]))


def spread(patches: torch.Tensor, weights: np.ndarray) -> torch.Tensor:
    """Each voxel as a weighted mean of its neighbours along y and x, and along z where z is an axis.

    weights: (patch, 2 reach + 1), every row summing to 1.
    """
    shares = _numbers(weights, patches.device)
    reach = shares.shape[1] // 2
    for axis in range(2, patches.ndim):
        size = patches.shape[axis]
        padded = patches.index_select(axis, _mirrored(size, reach, patches.device))
        total = torch.zeros_like(patches)
        for i in range(2 * reach + 1):
            total += padded.narrow(axis, i, size) * _wide(shares[:, i], patches)
        patches = total
    return patches


def gaussian(sigma: np.ndarray) -> np.ndarray:
    """Weights float64 (patch, 2 reach + 1) of Gaussians cut at 3 sigma, every row summing to 1.

    Summed from the middle outwards, so that a row is the same whatever the reach that a wider Gaussian needs.
    """
    reach = max(1, math.ceil(3 * float(sigma.max())))
    taps = np.arange(reach + 1)
    side = np.exp(-0.5 * (taps / sigma[:, None].astype(np.float64)) ** 2) * (taps <= 3 * sigma[:, None])
    total = side[:, 0] + sum(2 * side[:, i] for i in range(1, reach + 1))
    return np.concatenate([side[:, :0:-1], side], axis=1) / total[:, None]


def box(factor: np.ndarray) -> np.ndarray:
    """Weights float64 (patch, 2 reach + 1) of means over as many voxels as fall into one when a patch becomes
    `factor` times as large; nothing is averaged where it is enlarged. Every row sums to 1.

    >>> box(np.array([0.5])).tolist()
    [[0.25, 0.5, 0.25]]
    """
    width = np.maximum(1 / factor.astype(np.float64), 1)[:, None]
    reach = math.ceil((float(width.max()) - 1) / 2)
    taps = np.abs(np.arange(-reach, reach + 1))
    return np.clip((width + 1) / 2 - taps, 0, 1) / width


def gamma(patches: torch.Tensor, records: np.ndarray, _unit: float) -> torch.Tensor:
    """low + (high - low) * ((grey - low) / (high - low)) ** gamma, low and high the patch's own smallest and
    largest.
    """
    axes = tuple(range(1, patches.ndim))
    low, high = patches.amin(axes, keepdim=True), patches.amax(axes, keepdim=True)
    span = (high - low).clamp_min(1e-6)
    return low + span * ((patches - low) / span).pow(
        _wide(_numbers(records["gamma"], patches.device), patches)
    )


def noise(patches: torch.Tensor, records: np.ndarray, unit: float) -> torch.Tensor:
    """White Gaussian noise of the record's standard deviation."""
    made = normals(_seeds(records, patches.device), patches[0].numel(), stream=NOISE).view_as(patches)
    return patches + made * _wide(_numbers(records["noise"] * unit, patches.device), patches)


def ring(patches: torch.Tensor, records: np.ndarray, unit: float) -> torch.Tensor:
    """Rings around the middle of the scan, the same in every slice: some radii are brighter or darker."""
    device, (height, width) = patches.device, patches.shape[-2:]
    y = (
        torch.arange(height, dtype=torch.float32, device=device)[None]
        - _numbers(records["centre_y"], device)[:, None]
    )
    x = (
        torch.arange(width, dtype=torch.float32, device=device)[None]
        - _numbers(records["centre_x"], device)[:, None]
    )
    radius = torch.sqrt(y[:, :, None] ** 2 + x[:, None, :] ** 2)
    farthest = np.hypot(
        np.maximum(np.abs(records["centre_y"]), np.abs(height - 1 - records["centre_y"])),
        np.maximum(np.abs(records["centre_x"]), np.abs(width - 1 - records["centre_x"])),
    )
    profile = ring_profile(records, math.ceil(float(farthest.max())) + 2, device)
    inner = radius.floor()
    share, index = radius - inner, inner.to(torch.int64).flatten(1)
    at, beyond = profile.gather(1, index).view_as(radius), profile.gather(1, index + 1).view_as(radius)
    heights = (at + (beyond - at) * share) * _numbers(records["ring"] * unit, device)[:, None, None]
    return patches + heights.view(len(patches), *(1,) * (patches.ndim - 3), height, width)


def ring_profile(records: np.ndarray, count: int, device: torch.device) -> torch.Tensor:
    """Height (batch, count) of the rings at radius 0, 1, 2 ... px: normal numbers, 0 where a radius is not
    touched.
    """
    seeds = _seeds(records, device)
    is_touched = uniforms(seeds, count, stream=RING_CHOICE) < _numbers(records["ring_share"], device)[:, None]
    return torch.where(is_touched, normals(seeds, count, stream=RING), 0.0)


def step(patches: torch.Tensor, records: np.ndarray, unit: float) -> torch.Tensor:
    """From a slice on, grey * gain + shift; the slices are those along z, or the channels. A single slice
    changes whole.
    """
    axis = 2 if patches.ndim == 5 else 1
    count = patches.shape[axis]
    first = 1 + np.floor(records["step_at"] * (count - 1)) if count > 1 else np.zeros(len(records))
    is_behind = to_device(np.arange(count)[None] >= first[:, None], patches.device)
    shape = [1] * patches.ndim
    shape[0], shape[axis] = len(records), count
    gain, shift = (_numbers(v, patches.device) for v in (records["gain"], records["shift"] * unit))
    return torch.where(is_behind.view(shape), patches * _wide(gain, patches) + _wide(shift, patches), patches)


def _mirrored(size: int, reach: int, device: torch.device) -> torch.Tensor:
    """Indices -reach .. size + reach - 1, mirrored at both ends, however small the size."""
    period = max(2 * (size - 1), 1)
    index = torch.arange(-reach, size + reach, device=device).remainder(period)
    return torch.where(index < size, index, period - index)


def _numbers(values: np.ndarray | Sequence[float], device: torch.device) -> torch.Tensor:
    return to_device(np.asarray(values, dtype=np.float32), device)


def _wide(values: torch.Tensor, patches: torch.Tensor) -> torch.Tensor:
    return values.view(-1, *(1,) * (patches.ndim - 1))


def _seeds(records: np.ndarray, device: torch.device) -> torch.Tensor:
    return to_device(records["seed"], device)
