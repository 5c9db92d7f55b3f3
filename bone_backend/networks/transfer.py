"""What a network starts from: ImageNet weights, or a model of one's own.

In:  a NetworkSpec, and a folder with downloaded weights, or a model file or its state dict and spec.
Out: a network with these weights, and sentences that say what was taken and what was not. Nothing is
fetched but through segmentation_models_pytorch's own settings, and nothing fails after minutes of retries.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segmentation_models_pytorch as library
import torch
from torch import Tensor

from ..errors import ModelFileError, called
from .build import NetworkSpec, build_2d, quiet
from .inflation import inflate_state

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
PROBE_TIMEOUT_S = 5.0


def build_with_imagenet(
    spec: NetworkSpec, weights_dir: Path | None, weights: str = "imagenet"
) -> torch.nn.Module:
    """The 2D network of a spec with a pretrained encoder; the first convolution fits the spec's channels.

    weights: name of a set of the library, nearly always "imagenet". weights_dir: folder with downloaded
    files; None fetches what is not in the local cache yet. One channel gets the sum over red, green and
    blue; more than three repeat them, scaled to the same sum (as the library does). Raises ModelFileError,
    which says what to fetch and where to put it.
    """
    if weights_dir is None:
        return _fetch(spec, weights)
    path = find_weights(spec.backbone, Path(weights_dir), weights)
    network = build_2d(spec, in_channels=3)
    encoder: Any = network.encoder
    try:
        encoder.load_state_dict(read_state(path))
    except RuntimeError as error:
        raise ModelFileError(
            f"{path} does not hold the weights of {spec.backbone}: {_first_line(error)}\n"
            f"{_advice(spec.backbone, weights)}"
        ) from error
    encoder.set_in_channels(spec.in_channels, pretrained=True)
    return network


def find_weights(backbone: str, folder: Path, weights: str = "imagenet") -> Path:
    """The one file in a folder that is named after a backbone.

    resnet18.safetensors, resnet18-5c106cde.pth, resnet18.imagenet/model.safetensors are found for resnet18.
    Raises ModelFileError where there is none or more than one.
    """
    if not folder.is_dir():
        raise ModelFileError(
            f"{called('weights_dir')} is not a folder: {folder}. {_advice(backbone, weights)}"
        )
    found = [
        path
        for path in (*folder.iterdir(), *folder.glob("*/model.*"))
        if path.suffix in SUFFIXES and path.is_file() and _is_named(path, backbone)
    ]
    if not found:
        raise ModelFileError(f"{folder} holds no weights of {backbone}. {_advice(backbone, weights)}")
    if len(found) > 1:
        names = ", ".join(sorted(str(path.relative_to(folder)) for path in found))
        raise ModelFileError(f"{folder} holds several weights of {backbone}: {names}. Keep one of them.")
    return found[0]


def read_state(path: Path) -> dict[str, Tensor]:
    """Tensors by name from a .safetensors, .pth, .pt or .bin file; nothing in it can run code.

    Raises ModelFileError.
    """
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            return load_file(path, device="cpu")
        state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # of torch, pickle, zipfile and safetensors
        raise ModelFileError(f"{path} cannot be read as weights: {_first_line(error)}") from error
    for key in ("state_dict", "model"):
        if isinstance(state, dict) and isinstance(state.get(key), dict):
            state = state[key]
    if not isinstance(state, dict) or not all(isinstance(value, Tensor) for value in state.values()):
        raise ModelFileError(f"{path} holds no plain dictionary of tensors.")
    return {str(name): value for name, value in state.items()}


def initialise(
    network: torch.nn.Module, spec: NetworkSpec, source: Mapping[str, Tensor], source_spec: NetworkSpec
) -> list[str]:
    """Give a network the weights of another model, and say what was taken, changed and left random.

    source: state dict of a network of `source_spec`, kernels of a 3D model ordered (z, y, x). Backbones
    must be equal. 2D starts 2D, 2.5D and 3D; 2.5D starts 2.5D, 2D and 3D; 3D starts 3D. Another
    architecture gives its encoder only, another number of classes a new head. Returns sentences for the
    log. Raises ModelFileError.
    """
    _refuse(spec, source_spec)
    own = network.state_dict()
    state, parts, told = _shared(spec, source, source_spec)
    if spec.in_channels != source_spec.in_channels:
        before, after = source_spec.in_channels, spec.in_channels
        state = _fit_channels(state, own, before, after)
        change = f"from {_channels(source_spec)} to {_channels(spec)}"
        told.append(f"The first convolution went {change}, {_how_fitted(before, after)}.")
    if spec.mode == "3D" and source_spec.mode != "3D":
        state = inflate_state(state, network)
        told.append("Kernels were repeated along z and divided by their depth.")
    elif spec.stride != source_spec.stride:
        told.append("The strides differ: the weights were learned at other depths of the image.")
    if parts != ("encoder.",) and _upsamples_otherwise(network, spec, source_spec):
        told.append(
            f"The model upsamples with align_corners {source_spec.align_corners}, this network with "
            f"{spec.align_corners}: before the first step its result is not quite the model's."
        )
    _compare(state, own, parts)
    network.load_state_dict({**own, **state})
    told.append(f"{len(state)} of {len(own)} tensors were taken.")
    return told


def _shared(
    spec: NetworkSpec, source: Mapping[str, Tensor], source_spec: NetworkSpec
) -> tuple[dict[str, Tensor], tuple[str, ...], list[str]]:
    """What both networks have: its tensors, the beginnings of its names, and sentences."""
    told = [f"Weights from a {_words(source_spec)} for a {_words(spec)}."]
    parts: tuple[str, ...] = ("",)
    if spec.architecture != source_spec.architecture:
        parts = ("encoder.",)
        told.append(
            f"The encoder was taken; decoder and head of the {spec.architecture} start from random numbers."
        )
    elif spec.num_classes != source_spec.num_classes:
        parts = ("encoder.", "decoder.")
        classes = f"the model has {source_spec.num_classes} classes, this fit {spec.num_classes}"
        told.append(f"The head starts from random numbers: {classes}.")
    return {name: value for name, value in source.items() if name.startswith(parts)}, parts, told


def _fetch(spec: NetworkSpec, weights: str) -> torch.nn.Module:
    """Build with the library's own loading; fail at once where its server cannot be reached."""
    is_timm = spec.backbone.startswith("tu-")
    if not is_timm and not _is_cached(spec.backbone, weights):
        problem = _unreachable()
        if problem:
            raise ModelFileError(
                f"The {weights} weights of {spec.backbone} are not on this computer and cannot be fetched "
                f"({problem}). {_advice(spec.backbone, weights)}"
            )
    try:
        with quiet():
            return build_2d(spec, encoder_weights=True if is_timm else weights)
    except Exception as error:  # whatever the network, the server or the cache raise
        raise ModelFileError(
            f"The {weights} weights of {spec.backbone} could not be fetched: {_first_line(error)}. "
            f"{_advice(spec.backbone, weights)}"
        ) from error


def _settings(backbone: str, weights: str) -> dict[str, str] | None:
    """Where the library has a backbone's weights: repo_id and revision."""
    return library.encoders.encoders.get(backbone, {}).get("pretrained_settings", {}).get(weights)


def _endpoint() -> str:
    return os.environ.get("HF_ENDPOINT", "") or "https://huggingface.co"


def _is_cached(backbone: str, weights: str) -> bool:
    from huggingface_hub import try_to_load_from_cache

    place = _settings(backbone, weights)
    if place is None:
        return False
    names = ("config.json", "model.safetensors")
    repository, revision = place["repo_id"], place["revision"]
    found = [try_to_load_from_cache(repository, name, revision=revision) for name in names]
    return all(isinstance(path, str) for path in found)


def _unreachable() -> str | None:
    """Why the weights' server does not answer, within seconds; None where it does, or behind a proxy."""
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return "HF_HUB_OFFLINE is set"
    address = urlsplit(_endpoint())
    if urllib.request.getproxies().get(address.scheme):
        return None
    port = address.port or (443 if address.scheme == "https" else 80)
    try:
        with socket.create_connection((address.hostname or "", port), timeout=PROBE_TIMEOUT_S):
            return None
    except OSError as error:
        return f"{address.hostname}: {error}"


def _advice(backbone: str, weights: str) -> str:
    place = _settings(backbone, weights)
    if place is None:
        return "Start from random numbers (weights random), or from a model file of your own."
    url = f"{_endpoint()}/{place['repo_id']}/resolve/{place['revision']}/model.safetensors"
    return (
        f"On a computer with a network fetch {url}, put it into a folder as {backbone}.safetensors, "
        "and give that folder with --weights-dir FOLDER. Or start from random numbers (weights random)."
    )


def _is_named(path: Path, backbone: str) -> bool:
    name = path.parent.name if path.stem == "model" else path.name
    return name == backbone or (name.startswith(backbone) and name[len(backbone)] in ".-")


def _first_line(error: BaseException) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ".join(lines[:2])[:300] or type(error).__name__


def _words(spec: NetworkSpec) -> str:
    return f"{spec.mode} {spec.architecture} with {spec.backbone}"


def _channels(spec: NetworkSpec) -> str:
    return f"{spec.in_channels} channel{'' if spec.in_channels == 1 else 's'}"


def _refuse(spec: NetworkSpec, source: NetworkSpec) -> None:
    if spec.backbone != source.backbone:
        raise ModelFileError(
            f"The model file holds a {_words(source)}, the fit asks for {spec.backbone}. "
            f"Choose the backbone {source.backbone}, or other weights."
        )
    if source.mode == "3D" and spec.mode != "3D":
        raise ModelFileError(
            f"The model file holds a {_words(source)}; a 3D model cannot start a {spec.mode} network. "
            "Choose the mode 3D, or other weights."
        )


def _fit_channels(
    state: Mapping[str, Tensor], own: Mapping[str, Tensor], before: int, after: int
) -> dict[str, Tensor]:
    """Change the kernels that read the image: those whose input channels differ from the network's own."""

    def fit(name: str, value: Tensor) -> Tensor:
        if value.ndim < 4 or name not in own or value.shape[:2] != (own[name].shape[0], before):
            return value
        return fit_kernel(value, after) if own[name].shape[1] == after else value

    return {name: fit(name, value) for name, value in state.items()}


def fit_kernel(kernel: Tensor, channels: int) -> Tensor:
    """A kernel (out, in, ...) for another number of input channels, its sum over them kept.

    One channel is spread evenly; many become one by summation. Neighbouring slices keep their distance from
    the middle one: slices that are new get zeros, the kernels of those that go are added to the outermost
    ones left (the result is the same where the slices beyond repeat those).

    >>> fit_kernel(torch.tensor([[[[6.0]]]]), 3).flatten().tolist()
    [2.0, 2.0, 2.0]
    >>> fit_kernel(torch.tensor([1.0, 10.0, 100.0]).view(1, 3, 1, 1), 5).flatten().tolist()
    [0.0, 1.0, 10.0, 100.0, 0.0]
    """
    before = kernel.shape[1]
    if before == 1:
        return kernel.repeat_interleave(channels, dim=1) / channels
    fitted = kernel.new_zeros((kernel.shape[0], channels, *kernel.shape[2:]))
    shift = (channels - before) // 2  # both odd
    for index in range(before):
        fitted[:, min(max(index + shift, 0), channels - 1)] += kernel[:, index]
    return fitted


def _how_fitted(before: int, after: int) -> str:
    """What `fit_kernel` did, for the log."""
    if before == 1 or after == 1:
        return "its sum kept"
    if before < after:
        return "the old ones in the middle, zeros for the new ones"
    return "the outer ones added to the outermost left"


def _upsamples_otherwise(network: torch.nn.Module, spec: NetworkSpec, source: NetworkSpec) -> bool:
    """Whether a 3D network has modules that only upsample, and those of the 3D source do it otherwise."""
    has_any = any(isinstance(module, torch.nn.Upsample) for module in network.modules())
    return has_any and source.mode == "3D" and spec.align_corners != source.align_corners


def _compare(state: Mapping[str, Tensor], own: Mapping[str, Tensor], parts: tuple[str, ...]) -> None:
    """Refuse weights that do not fit, or lack something of `parts`; counters of old models may be missing."""
    strange = [name for name in state if name not in own]
    wrong = [name for name in state if name in own and state[name].shape != own[name].shape]
    counters = ".num_batches_tracked"
    missing = [name for name in own if name not in state and name.startswith(parts) and counters not in name]
    if strange:
        raise ModelFileError(f"The model file has tensors that the network does not know, e.g. {strange[0]}.")
    if wrong:
        name = wrong[0]
        raise ModelFileError(
            f"The model file's {name} is {tuple(state[name].shape)}, the network's {tuple(own[name].shape)}."
        )
    if missing:
        raise ModelFileError(f"The model file lacks tensors of the network, e.g. {missing[0]}.")
