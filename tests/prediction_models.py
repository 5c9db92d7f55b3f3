"""Small model files with seeded random weights, and a plain prediction to compare with.

In:  a mode and the number of classes.
Out: a model file as a fit writes it; labels made by a plain loop in float32.
Running statistics are of noise, and the head's weights large, so that the classes differ.
"""

from __future__ import annotations

import itertools
from dataclasses import asdict
from pathlib import Path

import numpy as np
import torch
from empatches import EMPatches

from bone_backend.model_files import model_file
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape


def make_model(
    path: Path,
    *,
    classes: int = 3,
    slices: int = 1,
    is_3d: bool = False,
    is_plain: bool = True,
    bone: dict | None = None,
    **metadata: object,
) -> Path:
    """Save a Plain U-Net of 8 channels; slices > 1 makes it 2.5D. is_plain false: a U-Net with mobilenet_v2
    (resnet18 in 3D), whose library takes six seconds to load in every child."""
    mode = "3D" if is_3d else "2D" if slices == 1 else "2.5D"
    backbone = "resnet18" if is_3d else "mobilenet_v2"
    spec = NetworkSpec("U-Net", backbone, mode, in_channels=slices, num_classes=classes)
    if is_plain:
        shape = PlainShape(8, 3)
        spec = NetworkSpec("Plain U-Net", mode=mode, in_channels=slices, num_classes=classes, plain=shape)
        bone = {**(bone or {}), "network": {"plain": asdict(shape)}}
    network = made_network(spec)
    told = {
        "num_classes": classes,
        "in_channels": slices,
        "mode": spec.mode,
        "is_3d": is_3d,
        "model_arch": spec.architecture,
        "backbone": spec.backbone,
        "normalization": "ZScore",
        **metadata,
    }
    model_file.save_model(path, state=network.state_dict(), metadata=told, bone=bone or {})
    return path


def made_network(spec: NetworkSpec) -> torch.nn.Module:
    """The network with seeded random weights, in evaluation mode."""
    with torch.random.fork_rng():
        torch.manual_seed(7)
        network = build_network(spec)
        for module in network.modules():
            if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
                module.momentum = 1.0  # running statistics of the one batch below
        with torch.no_grad():
            edges = (32, 64, 64) if spec.mode == "3D" else (64, 64)
            network.train()(torch.randn(4, spec.in_channels, *edges))
            head = network.segmentation_head[0]
            torch.nn.init.normal_(head.weight, std=0.15)
    return network.eval()


def load_network(path: Path) -> torch.nn.Module:
    """The network of a model file as it was fitted: float32, nothing folded."""
    header = model_file.read_header(path)
    network = build_network(header.spec)
    network.load_state_dict(model_file.load_state(path, header))
    return network.eval()


def normalise(scan: np.ndarray, mode: str = "ZScore") -> np.ndarray:
    """float64, by mean and population standard deviation, or range, of the voxels that are not 0."""
    voxels = scan[scan != 0].astype(np.float64)
    if mode == "ZScore":
        return ((scan - voxels.mean()) / voxels.std()).clip(-5, 5)
    return ((scan - voxels.min()) / (voxels.max() - voxels.min())).clip(0, 1)


def plain_probabilities(
    network: torch.nn.Module,
    scan: np.ndarray,
    *,
    chunk: int,
    overlap: float = 0.25,
    mode: str = "ZScore",
    slices: int = 1,
) -> np.ndarray:
    """Mean class probabilities (class, z, y, x): one chunk at a time, windows of empatches, float64."""
    greys = normalise(scan, mode)
    depth, height, width = scan.shape
    half = slices // 2
    pad_y, pad_x = ((-n) % 32 if n < chunk else 0 for n in (height, width))
    greys = np.pad(greys, ((half, half), (0, 0), (0, 0)), mode="edge")
    greys = np.pad(greys, ((0, 0), (0, pad_y), (0, pad_x)), mode="reflect")
    planes = []
    for z in range(depth):
        tile = greys[z : z + slices]
        _, indices = EMPatches().extract_patches(tile[0], chunk, overlap=overlap)
        sums = counts = 0
        for y0, y1, x0, x1 in indices:
            with torch.no_grad():
                logits = network(torch.tensor(tile[None, :, y0:y1, x0:x1], dtype=torch.float32))[0].numpy()
            shares = np.exp(logits.astype(np.float64))
            part = np.zeros((len(logits), *tile.shape[1:]))
            part[:, y0:y1, x0:x1] = shares / shares.sum(axis=0)
            sums, counts = sums + part, counts + part.sum(axis=0)
        planes.append((sums / counts)[:, :height, :width])
    return np.stack(planes, axis=1)


def plain_probabilities_3d(
    network: torch.nn.Module, scan: np.ndarray, *, chunk: tuple[int, int, int]
) -> np.ndarray:
    """The same for a 3D network; chunks (z, y, x) overlap by a quarter along every axis."""
    greys = normalise(scan)
    pads = [(0, (-n) % 32 if n < size else 0) for n, size in zip(scan.shape, chunk, strict=True)]
    greys = np.pad(greys, pads, mode="reflect")
    spans = [
        EMPatches().extract_patches(np.zeros(n), size, overlap=0.25)[1]
        for n, size in zip(greys.shape, chunk, strict=True)
    ]
    sums = counts = 0
    for (z0, z1), (y0, y1), (x0, x1) in itertools.product(*spans):
        cut = torch.tensor(greys[None, None, z0:z1, y0:y1, x0:x1], dtype=torch.float32)
        with torch.no_grad():
            shares = np.exp(network(cut)[0].numpy().astype(np.float64))
        part = np.zeros((len(shares), *greys.shape))
        part[:, z0:z1, y0:y1, x0:x1] = shares / shares.sum(axis=0)
        sums, counts = sums + part, counts + part.sum(axis=0)
    depth, height, width = scan.shape
    return (sums / counts)[:, :depth, :height, :width]


def plain_labels(probabilities: np.ndarray, threshold: float = 0.5) -> np.ndarray:
    """Highest class, below the threshold 0."""
    return np.where(probabilities.max(axis=0) < threshold, 0, probabilities.argmax(axis=0))


def is_clear(probabilities: np.ndarray, threshold: float = 0.5, margin: float = 1e-3) -> np.ndarray:
    """Where rounding cannot change the label."""
    highest = np.sort(probabilities, axis=0)
    return (highest[-1] - highest[-2] > margin) & (abs(highest[-1] - threshold) > margin)
