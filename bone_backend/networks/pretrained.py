"""Encoder weights that others have learned on ImageNet.

In:  a NetworkSpec, and a folder with downloaded weights or none.
Out: the 2D network of the spec with these weights. Nothing is fetched but through
segmentation_models_pytorch's own settings, and nothing fails after minutes of retries.
"""

from __future__ import annotations

import os
import socket
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import segmentation_models_pytorch as library
import torch
from huggingface_hub import errors as hub
from huggingface_hub import try_to_load_from_cache
from safetensors import SafetensorError
from torch import Tensor

from ..errors import ModelFileError, OptionError, called
from .library import build_2d, quiet
from .spec import NetworkSpec

SUFFIXES = (".safetensors", ".pth", ".pt", ".bin")
PROBE_TIMEOUT_S = 5.0
#: what goes wrong on the way to the weights; anything else is a fault of ours
FETCHING: tuple[type[Exception], ...] = (
    OSError,  # the network, the server's answer, a full cache
    *hub.HfHubHTTPError.__bases__,  # the errors of the hub's HTTP client, which differs between its versions
    *(hub.EntryNotFoundError, hub.HFValidationError, getattr(hub, "XetDownloadError", OSError)),
    SafetensorError,  # a file that was cut short
    RuntimeError,  # weights of another shape; timm: a model without weights
    OptionError,  # of build_2d, for timm's names
)


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
    except FETCHING as error:
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
