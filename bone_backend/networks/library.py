"""The 2D networks of segmentation_models_pytorch.

In:  a NetworkSpec.
Out: the library's network of that name, with random numbers or whatever weights its settings ask for.
"""

from __future__ import annotations

import difflib
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import segmentation_models_pytorch as library
import timm
import torch

from ..errors import OptionError
from ..options import catalogue
from .spec import NetworkSpec


def build_2d(spec: NetworkSpec, **settings: Any) -> torch.nn.Module:
    """The library's own network for a spec, whatever its mode (in 3D what is inflated afterwards).

    settings: of the library's class, instead of those of the spec.
    """
    architecture = catalogue.find_architecture(spec.architecture)
    make = getattr(library, architecture.library_name, None)
    if make is None:
        raise OptionError(
            f"{architecture.title} is not in segmentation_models_pytorch {library.__version__}. "
            "Use a newer one: pip install -U segmentation-models-pytorch"
        )
    chosen = {"encoder_weights": None, "in_channels": spec.in_channels, "classes": spec.num_classes}
    with quiet():
        try:
            return make(encoder_name=spec.backbone, **{**chosen, **settings})
        except (
            *(ValueError, KeyError, RuntimeError, TypeError, NotImplementedError),
            AssertionError,  # timm's, without a word, e.g. for a dilated hrnet
        ) as error:
            if spec.backbone in catalogue.BACKBONES:
                raise
            reason = str(error) or "the encoder does not take these settings. Use another one"
            raise OptionError(
                f"{architecture.title} with {spec.backbone} cannot be built by segmentation_models_pytorch "
                f"{library.__version__}: {reason}{_suggestion(spec.backbone)}"
            ) from error


def _suggestion(backbone: str) -> str:
    """The nearest names of timm, where a "tu-" name is none of its."""
    name, known = backbone.removeprefix("tu-").split(".")[0], timm.list_models()
    if name in known:
        return ""
    near = difflib.get_close_matches(name, known, n=3)
    return f". Did you mean {' or '.join(f'tu-{item}' for item in near)}?" if near else ""


@contextmanager
def quiet() -> Iterator[None]:
    """Keep back the warning that segmentation_models_pytorch gives for its own encoders named "timm-"."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`timm-` encoders are deprecated")
        yield
