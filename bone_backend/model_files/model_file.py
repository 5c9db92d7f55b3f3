"""Write and read model files (.pth) that travel between BONe programs.

In:  a network's state and what there is to say about it.
Out: a file with the published keys `model_state` and `metadata`, written whole or not at all; and back.
In a file the axes of 3D kernels and strides are (height, width, depth), as in segmentation_models_pytorch_3d
of the published program; here they are (z, y, x). Both directions turn them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelFileError
from ..networks.build import skeleton
from ..options.catalogue import parse_stride
from .archive import read_parts
from .header import METADATA_KEYS, OWN_KEY, ModelHeader, read_header, read_metadata, strip_prefix
from .pickle_reader import STORAGES
from .saving import load, save

__all__ = [
    "METADATA_KEYS",
    "ModelHeader",
    "check_weights",
    "load_state",
    "read_header",
    "read_metadata",
    "save_model",
    "weights_sha256",
]

FORMAT = 1  # of the key `bone`
_SHA256 = "weights_sha256"
_DTYPES = {getattr(torch, dtype) for dtype, _ in STORAGES.values()}


def save_model(
    path: Path | str,
    *,
    state: Mapping[str, torch.Tensor],
    metadata: Mapping[str, Any],
    bone: Mapping[str, Any],
) -> None:
    """Write a model file; it appears under its name only when it is whole.

    state: a network's state dict, on any device; "module." before names is taken off. metadata: published
    keys (METADATA_KEYS) with plain values; missing ones become None; stride: None or five (z, y, x) triples,
    or their text. bone: plain values of our own: classes (value, name, colour), network (align_corners of a
    3D one, plain of a Plain U-Net), options ...; format and SHA-256 of the weights are added.
    Raises OutputError when it cannot be written; ValueError for a key or value that does not belong there.
    """
    path = Path(path)
    unknown = set(metadata) - set(METADATA_KEYS)
    if unknown:
        raise ValueError(f"not published metadata keys: {sorted(unknown)}; put them into `bone`")
    tensors = {strip_prefix(name): _to_file(name, tensor) for name, tensor in state.items()}
    values = {key: _plain(key, metadata.get(key)) for key in METADATA_KEYS}
    if values["stride"] is not None:
        values["stride"] = str(tuple((y, x, z) for z, y, x in parse_stride(values["stride"])))
    own = {**{key: _plain(key, value) for key, value in bone.items()}, "format": FORMAT}
    values[OWN_KEY] = {**own, _SHA256: weights_sha256(tensors)}
    save(path, {"model_state": tensors, "metadata": values})


def check_weights(header: ModelHeader) -> None:
    """Refuse a file whose weights are not those of its network; told from shapes, so before memory is taken.

    A small file can name a large network. Raises ModelFileError.
    """
    shapes = {name: _turned(facts.shape) for name, facts in header.tensors.items()}
    network = skeleton(header.spec)
    try:
        with torch.device("meta"):
            network.load_state_dict({name: torch.empty(shape) for name, shape in shapes.items()})
    except RuntimeError as error:
        told = " ".join(str(error).split("\n\t")[1:2])
        raise ModelFileError(
            f"{header.path.name} says it is a {header.mode} {header.spec.words}, but its weights are not: "
            f"{told[:300]}{'...' if len(told) > 300 else ''}"
        ) from error


def load_state(path: Path | str, header: ModelHeader | None = None) -> dict[str, torch.Tensor]:
    """The state dict of a model file, on the CPU; names as in the library, kernels ([z,] y, x).

    header: of the same file; it is read again, so that what is loaded is what was checked.
    Raises ModelFileError, also where the file is not that of the header, or the weights do not have the
    recorded SHA-256.
    """
    path = Path(path)
    header = header if header is not None else read_header(path)
    try:
        with path.open("rb") as file:
            parts = read_parts(file, path.name, for_loading=True)
            if parts.sha256 != header.sha256:
                raise ModelFileError(f"{path.name} was replaced after it was looked at. Start again.")
            state = dict(load(file, path.name)["model_state"])
    except OSError as error:
        raise ModelFileError(f"{path} cannot be read ({error.strerror or error}).") from error
    held = {name: (_dtype(tensor), tuple(tensor.shape)) for name, tensor in state.items()}
    if held != {name: (facts.dtype, facts.shape) for name, facts in parts.state.items()}:
        raise ModelFileError(f"{path.name} does not hold what its header says. It is not used.")
    state = {strip_prefix(name): tensor.detach() for name, tensor in state.items()}
    expected = header.bone.get(_SHA256)
    if expected is not None and weights_sha256(state) != expected:
        raise ModelFileError(
            f"{path.name} is damaged: its weights have not the recorded SHA-256. Copy it again."
        )
    return {name: _from_file(tensor) for name, tensor in state.items()}


def weights_sha256(state: Mapping[str, torch.Tensor]) -> str:
    """SHA-256 over name, dtype, shape and bytes of every tensor, in order of names, axes as in the file."""
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().cpu().contiguous()
        shape = ",".join(map(str, tensor.shape))
        digest.update(f"{name}:{_dtype(tensor)}:{shape}\n".encode())
        digest.update(memoryview(tensor.reshape(-1).view(torch.uint8).numpy()))
    return digest.hexdigest()


def _to_file(name: str, tensor: torch.Tensor) -> torch.Tensor:
    """A copy on the CPU with memory of its own, 3D kernels turned to (height, width, depth)."""
    if tensor.dtype not in _DTYPES:
        raise ValueError(f"{name} is {tensor.dtype}, which a model file does not hold")
    tensor = tensor.detach().cpu()
    if tensor.ndim == 5:
        tensor = tensor.permute(0, 1, 3, 4, 2)
    return tensor.clone(memory_format=torch.contiguous_format)


def _from_file(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.permute(0, 1, 4, 2, 3).contiguous() if tensor.ndim == 5 else tensor.contiguous()


def _turned(shape: tuple[int, ...]) -> tuple[int, ...]:
    """The shape that `_from_file` gives."""
    if len(shape) != 5:
        return shape
    outputs, inputs, y, x, z = shape
    return (outputs, inputs, z, y, x)


def _dtype(tensor: torch.Tensor) -> str:
    return str(tensor.dtype).removeprefix("torch.")


def _plain(name: str, value: Any) -> Any:
    """Numbers of numpy and torch, paths and tuples as the plain values that every reader takes."""
    if value is None or type(value) in (bool, int, float, str):
        return value
    if isinstance(value, Path):
        return str(value)
    if isinstance(value, (np.generic, torch.Tensor)) and np.ndim(value) == 0:
        return value.item()
    if isinstance(value, Mapping):
        return {_plain(name, key): _plain(name, item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        items = [_plain(name, item) for item in value]
        return items if isinstance(value, list) else tuple(items)
    raise ValueError(f"{name} holds a {type(value).__name__}; only plain values go into a model file")
