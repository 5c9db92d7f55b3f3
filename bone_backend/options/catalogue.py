"""Which networks can be built, from what patch size on, and why the others cannot.

In:  names and sizes as the user wrote them.
Out: the catalogue's tables, and the faults of a choice as sentences.
Every refusal was found by building all pairs, and tests/networks/test_build.py builds them again.
"""

from __future__ import annotations

import ast
import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import Fault, OptionError, called
from . import plain_unet
from .backbones import (
    ADVANCED_BACKBONES,
    BACKBONES,
    OTHER_WEIGHTS,
    PLAIN_RESNETS,
    family,
    is_known_backbone,
)
from .plain_unet import PlainShape

MODES = ("2D", "2.5D", "3D")
SLICES = (3, 5, 7, 9)  # of the 2.5D mode
MAX_CLASSES = 255  # labels are written as uint8, 0 is background

Triple = tuple[int, int, int]


@dataclass(frozen=True)
class Architecture:
    """A segmentation network of segmentation_models_pytorch, or of our own.

    library_name: its class. output_stride: how much smaller the deepest feature map is, so the size
    multiple. dilated: its encoder keeps resolution by dilation. global_pool: a batch normalisation follows a
    global average, so that it needs two patches in a training batch. minimum: smallest patch edge in pixels,
    if it is not the output stride. has_backbone: False for a network that is whole in itself; its sizes are
    those of a PlainShape.
    """

    title: str
    library_name: str
    output_stride: int
    in_2d: bool = True
    in_3d: bool = False
    dilated: bool = False
    global_pool: bool = False
    minimum: int | None = None
    has_backbone: bool = True


_ALL = (
    Architecture("U-Net", "Unet", 32, in_3d=True),
    Architecture("UNet++", "UnetPlusPlus", 32, in_3d=True),
    Architecture("FPN", "FPN", 32, in_3d=True),
    Architecture("PSPNet", "PSPNet", 8, in_3d=True),
    Architecture("DeepLabV3+", "DeepLabV3Plus", 16, in_3d=True, dilated=True, global_pool=True),
    Architecture("Linknet", "Linknet", 32, in_3d=True),
    Architecture("MAnet", "MAnet", 32, in_3d=True),
    Architecture("UPerNet", "UPerNet", 32, global_pool=True),
    Architecture("Segformer", "Segformer", 32),
    # PAN halves the feature map (1/16 of the patch) three times more
    Architecture("PAN", "PAN", 16, in_3d=True, dilated=True, global_pool=True, minimum=128),
    Architecture("DeepLabV3", "DeepLabV3", 8, dilated=True, global_pool=True),
    Architecture("DPT", "DPT", 16),
    Architecture(plain_unet.TITLE, "PlainUNet", PlainShape().multiple, in_3d=True, has_backbone=False),
)
_BY_TITLE = {item.title: item for item in _ALL}

#: the nine of the published program, by title
ARCHITECTURES: dict[str, Architecture] = {item.title: item for item in _ALL[:9]}
#: further ones of the library; PAN belongs to the published list in 3D
ADVANCED_ARCHITECTURES: dict[str, Architecture] = {item.title: item for item in _ALL[9:12]}
#: ours, which the published program does not have
OWN_ARCHITECTURES: dict[str, Architecture] = {item.title: item for item in _ALL[12:]}
#: the eight that can be 3D, in the published order
ARCHITECTURES_3D: tuple[str, ...] = tuple(item.title for item in _ALL[:12] if item.in_3d)

#: families whose stages shrink by pooling, which cannot be replaced by dilation
_POOLED = ("vgg", "densenet", "inception", "xception")


def architecture_choices(mode: str) -> tuple[str, ...]:
    """Titles offered in a mode: the nine, or the eight of 3D."""
    return ARCHITECTURES_3D if mode == "3D" else tuple(ARCHITECTURES)


def find_architecture(name: str) -> Architecture:
    """The architecture of a title, or of a spelling that can mean only one ("unet", "UnetPlusPlus").

    Raises OptionError with the nearest titles.
    """
    found = _BY_TITLE.get(name)
    if found is None:
        found = next(
            (item for item in _ALL if _plain(name) in (_plain(item.title), _plain(item.library_name))), None
        )
    if found is None:
        raise OptionError(_unknown("architecture", name, _BY_TITLE))
    return found


def has_backbone(architecture: str) -> bool:
    """Whether it is built around an encoder that one chooses; True for names that nobody knows."""
    try:
        return find_architecture(architecture).has_backbone
    except OptionError:
        return True


def in_words(architecture: str, backbone: str) -> str:
    """
    >>> in_words("U-Net", "resnet18"), in_words("Plain U-Net", "")
    ('U-Net with resnet18', 'Plain U-Net')
    """
    return f"{architecture} with {backbone}" if has_backbone(architecture) else architecture


def refusal(architecture: str, backbone: str, mode: str = "2D") -> str | None:
    """Why this combination cannot be built, in one sentence; None where it can.

    The names must be known ones (`check` looks after that).
    """
    network = find_architecture(architecture)
    kind = family(backbone)
    if not network.has_backbone:
        return None
    if mode == "3D" and not network.in_3d:
        return f"{network.title} has no 3D form. Use one of {', '.join(ARCHITECTURES_3D)}, or the 2.5D mode."
    if mode == "3D" and kind == "mix transformer":
        return (
            f"{backbone} is a transformer, and only convolutional backbones become 3D. "
            "Use e.g. resnet18 or efficientnet-b0, or the 2.5D mode."
        )
    if mode == "3D" and backbone not in BACKBONES:
        return f"{backbone} is offered in 2D and 2.5D only. In 3D use a backbone of the list, e.g. resnet18."
    if network.title == "DPT" and not backbone.startswith("tu-"):
        return (
            f"DPT takes vision transformers of timm only, not {backbone}. "
            "Use e.g. tu-vit_base_patch16_224.augreg_in21k."
        )
    if kind == "mix transformer" and network.title in ("UNet++", "Linknet"):
        return (
            f"{network.title} needs features at half the patch size, which {backbone} (a transformer) "
            "does not give. Use U-Net, FPN, UPerNet or Segformer with it, or a convolutional backbone."
        )
    if network.dilated and kind in _POOLED:
        return (
            f"{network.title} keeps the resolution of its last features by dilation, and {backbone} "
            "shrinks by pooling, which cannot be dilated. Use e.g. resnet34 with it, or U-Net."
        )
    return None


def size_multiples(
    architecture: str,
    backbone: str,
    mode: str = "2D",
    stride: Sequence[Sequence[int]] | None = None,
    *,
    plain: PlainShape | None = None,
) -> Triple:
    """What the (z, y, x) size of a patch or chunk must be a multiple of; z is 1 in 2D and 2.5D.

    stride: five (z, y, x) triples of a 3D U-Net with a plain resnet. plain: of a Plain U-Net.

    >>> size_multiples("U-Net", "resnet18", "3D", [(1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2)])
    (8, 32, 32)
    """
    edge = plain.multiple if plain else find_architecture(architecture).output_stride
    if mode != "3D":
        return (1, edge, edge)
    if stride is None:
        return (edge, edge, edge)
    z, y, x = 1, 1, 1
    for dz, dy, dx in stride:
        z, y, x = z * dz, y * dy, x * dx
    return (z, y, x)


def minimum_size(
    architecture: str, backbone: str, mode: str = "2D", *, plain: PlainShape | None = None
) -> int:
    """Smallest y or x edge of a patch or chunk, in pixels; our 3D forms need no more than the multiple."""
    if plain:
        return plain.minimum
    least = find_architecture(architecture).minimum if mode != "3D" else None
    return least or max(size_multiples(architecture, backbone, mode)[1:])


def parse_stride(text: str | Sequence[Sequence[int]]) -> tuple[Triple, ...]:
    """Five (z, y, x) triples from text such as "((1,2,2),(2,2,2),(2,2,2),(2,2,2),(2,2,2))".

    Raises OptionError where it is anything else. The text is only ever read as a literal.
    """
    value: object = text
    if isinstance(text, str):
        try:
            value = ast.literal_eval(text) if len(text) <= 500 else None
        except (ValueError, SyntaxError, MemoryError, RecursionError, TypeError):
            value = None
    faults = _stride_faults(value)
    if faults:
        raise OptionError(faults)
    return tuple((z, y, x) for z, y, x in value)  # type: ignore[attr-defined]


def check(
    architecture: str,
    backbone: str,
    mode: str,
    *,
    num_classes: int | None = None,
    slices: int | None = None,
    patch_size: int | None = None,
    patch_depth: int | None = None,
    stride: Sequence[Sequence[int]] | None = None,
    batch_size: int | None = None,
    weights: str | None = None,
    plain: PlainShape | None = None,
) -> list[str]:
    """All faults of a choice, one sentence each; an empty list where it can be built.

    num_classes: with background. slices: of 2.5D, not looked at in the other modes. patch_size, patch_depth:
    in pixels. stride: five (z, y, x) triples. batch_size: patches in a training step on one device.
    weights: "random", "imagenet" or another set. plain: of a Plain U-Net. What is None is not looked at.
    """
    faults = _name_faults(architecture, backbone, mode)
    names_known = not faults
    if num_classes is not None and not 2 <= num_classes <= MAX_CLASSES:
        faults.append(
            f"num_classes is {num_classes}; it counts background too and goes from 2 to {MAX_CLASSES}."
        )
    if mode == "2.5D" and slices is not None and slices not in SLICES:
        faults.append(Fault(f"{called('slices')} is {slices}; 2.5D takes 3, 5, 7 or 9 neighbouring slices."))
    if not names_known:
        return faults
    if weights == "imagenet" and backbone in OTHER_WEIGHTS:
        sets = " or ".join(OTHER_WEIGHTS[backbone])
        told = f"{called('weights')} is imagenet, but {backbone} has no such weights"
        faults.append(Fault(f"{told}. Use {sets}, or random."))
    network = find_architecture(architecture)
    if not network.has_backbone and weights not in (None, "random"):
        told = (
            f"{called('weights')} is {weights}, but {network.title} has no backbone that such weights are for"
        )
        faults.append(Fault(f"{told}. Use random, or a model file of your own."))
    if plain is not None and (wrong := plain.faults()):
        return faults + wrong
    reason = refusal(network.title, backbone, mode)
    if reason is not None:
        return [*faults, reason]
    if stride is not None:
        misplaced = _stride_faults(stride) or _stride_place_faults(network.title, backbone, mode)
        faults += misplaced
        stride = None if misplaced else stride
    multiples = size_multiples(network.title, backbone, mode, stride, plain=plain)
    least = minimum_size(network.title, backbone, mode, plain=plain)
    pair = in_words(network.title, backbone)
    faults += _patch_faults(pair, mode, multiples, least, patch_size, patch_depth)
    if plain is not None and plain.norm != "batch":
        return faults
    return faults + _batch_faults(network, multiples, patch_size, patch_depth, batch_size)


def _name_faults(architecture: str, backbone: str, mode: str) -> list[str]:
    faults: list[str] = []
    try:
        find_architecture(architecture)
    except OptionError as error:
        faults += error.faults
    if not has_backbone(architecture):
        if backbone:
            told = f"{called('backbone')} is {backbone}, but {find_architecture(architecture).title} has none"
            faults.append(
                Fault(f"{told}. Leave it out, or choose another {called('architecture')}, e.g. U-Net.")
            )
    elif not is_known_backbone(backbone):
        faults.append(_unknown("backbone", backbone, (*BACKBONES, *ADVANCED_BACKBONES)))
    if mode not in MODES:
        faults.append(_unknown("mode", mode, MODES))
    return faults


def _patch_faults(
    pair: str, mode: str, multiples: Triple, least: int, patch_size: int | None, patch_depth: int | None
) -> list[str]:
    """pair: the network in words. least: its smallest patch, in pixels."""
    faults = []
    if patch_size is not None:
        edge = max(multiples[1:])
        faults += size_faults("patch_size", patch_size, edge, minimum=max(edge, least), network=pair)
    if patch_depth is not None and mode == "3D":
        least = multiples[0]
        faults += size_faults("patch_depth", patch_depth, least, minimum=least, network=f"3D {pair}")
    return faults


def _plain(name: str) -> str:
    return re.sub(r"[\s_\-]", "", name.lower().replace("+", "plus"))


def _unknown(what: str, name: str, known: Sequence[str] | dict[str, Architecture]) -> Fault:
    shown = name if len(name) <= 60 else name[:57] + "..."
    plain = {_plain(item): item for item in known}
    near = [plain[item] for item in difflib.get_close_matches(_plain(name[:60]), plain, n=3, cutoff=0.6)]
    if near:
        return Fault(f"{called(what)} {shown!r} is not known. Did you mean {' or '.join(near)}?")
    if len(plain) <= 12:
        return Fault(f"{called(what)} {shown!r} is not known. Use one of {', '.join(plain.values())}.")
    return Fault(f"{called(what)} {shown!r} is not known. Use e.g. resnet18; docs/networks.md lists all.")


def size_faults(option: str, value: int, multiple: int, *, minimum: int, network: str) -> list[str]:
    """What is wrong with an edge in voxels that must be a multiple and at least `minimum`: nothing or one
    fault, with sizes to use instead."""
    if value >= minimum and value % multiple == 0:
        return []
    below, above = value // multiple * multiple, -(-value // multiple) * multiple
    if value < minimum:
        use, need = str(minimum), f"at least {minimum}"
    else:
        use, need = f"{below} or {above}", f"a multiple of {multiple}"
        if below < minimum:
            use = str(above)
    return [Fault(f"{called(option)} is {value}; {network} needs {need}. Use {use}.")]


def _stride_faults(value: object) -> list[str]:
    triples = value if isinstance(value, (tuple, list)) else ()
    good = len(triples) == 5 and all(
        isinstance(item, (tuple, list))
        and len(item) == 3
        and all(type(n) is int and n in (1, 2) for n in item)
        for item in triples
    )
    if good:
        return []
    return [
        Fault(
            f"{called('stride')} must be five (z, y, x) triples of 1 or 2, one for each stage of the resnet, "
            "e.g. ((1,2,2),(2,2,2),(2,2,2),(2,2,2),(2,2,2))."
        )
    ]


def _stride_place_faults(title: str, backbone: str, mode: str) -> list[str]:
    if mode == "3D" and title == "U-Net" and backbone in PLAIN_RESNETS:
        return []
    plain = ", ".join(PLAIN_RESNETS)
    return [
        Fault(
            f"{called('stride')} is given, but only a 3D U-Net with a plain resnet ({plain}) takes it, not a "
            f"{mode} {in_words(title, backbone)}. Leave it out."
        )
    ]


def _batch_faults(
    network: Architecture,
    multiples: Triple,
    patch_size: int | None,
    patch_depth: int | None,
    batch_size: int | None,
) -> list[str]:
    """Batch normalisation cannot learn from a single value per channel."""
    if batch_size != 1:
        return []
    if network.global_pool:
        told = f"{called('batch_size')} is 1; {network.title} normalises averages over whole patches"
        return [Fault(f"{told}. Use 2 or more.")]
    if patch_size == max(multiples[1:]) and (patch_depth or multiples[0]) == multiples[0]:
        return [
            Fault(
                f"{called('batch_size')} is 1 and {called('patch_size')} {patch_size}: the deepest features "
                "of "
                f"{network.title} are then a single value, and batch normalisation needs two. Use a larger "
                "patch or batch."
            )
        ]
    return []
