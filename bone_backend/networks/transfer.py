"""Start a network from a model of one's own, also of another mode, number of channels or classes.

In:  a network and its NetworkSpec; the state dict and spec of the model.
Out: the network with these weights, and sentences that say what was taken and what was not.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from ..errors import ModelFileError
from .spec import NetworkSpec


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
        from .inflation import inflate_state

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


def _words(spec: NetworkSpec) -> str:
    return f"{spec.mode} {spec.words}"


def _choice(spec: NetworkSpec) -> str:
    """The options that make this network, in words."""
    if spec.plain is None:
        return f"architecture {spec.architecture} and the backbone {spec.backbone}"
    told = f"plain_channels {spec.plain.channels}, plain_depth {spec.plain.depth}"
    return f"architecture {spec.architecture} with {told} and plain_norm {spec.plain.norm}"


def _channels(spec: NetworkSpec) -> str:
    return f"{spec.in_channels} channel{'' if spec.in_channels == 1 else 's'}"


def _refuse(spec: NetworkSpec, source: NetworkSpec) -> None:
    if spec.plain != source.plain:
        raise ModelFileError(
            f"The model file holds a {_words(source)}, the fit asks for a {_words(spec)}. Choose the "
            f"{_choice(source)}, or other weights."
        )
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
