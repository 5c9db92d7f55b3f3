"""The encoders that a network of the library can be built around, by family, and whose weights there are.

In:  the name of an encoder.
Out: its family; whether the name is known.
"""

from __future__ import annotations

import re

#: families of encoders, named as segmentation_models_pytorch names its encoders
FAMILIES: dict[str, tuple[str, ...]] = {
    kind: tuple(names.split())
    for kind, names in {
        "resnet": "resnet18 resnet34 resnet50 resnet101 resnet152",
        "resnext": "resnext50_32x4d resnext101_32x4d resnext101_32x8d resnext101_32x16d resnext101_32x32d"
        " resnext101_32x48d",
        "dpn": "dpn68 dpn68b dpn92 dpn98 dpn107 dpn131",
        "vgg": "vgg11 vgg11_bn vgg13 vgg13_bn vgg16 vgg16_bn vgg19 vgg19_bn",
        "senet": "senet154 se_resnet50 se_resnet101 se_resnet152 se_resnext50_32x4d se_resnext101_32x4d",
        "densenet": "densenet121 densenet169 densenet201 densenet161",
        "inception": "inceptionresnetv2 inceptionv4",
        "efficientnet": " ".join(f"efficientnet-b{i}" for i in range(8)),
        "mobilenet": "mobilenet_v2",
        "xception": "xception",
        "mix transformer": " ".join(f"mit_b{i}" for i in range(6)),
        "mobileone": " ".join(f"mobileone_s{i}" for i in range(5)),
    }.items()
}
#: the 58 of the published program
BACKBONES: tuple[str, ...] = tuple(name for names in FAMILIES.values() for name in names)
#: other encoders of the library; any timm model besides, as "tu-<timm name>"
ADVANCED_BACKBONES: tuple[str, ...] = (
    *(f"timm-efficientnet-b{i}" for i in range(9)),
    "timm-efficientnet-l2",
    *(f"timm-tf_efficientnet_lite{i}" for i in range(5)),
    *("timm-skresnet18", "timm-skresnet34", "timm-skresnext50_32x4d"),
)
#: backbones without ImageNet weights in the library, and the sets that it has for them
OTHER_WEIGHTS: dict[str, tuple[str, ...]] = {
    "resnext101_32x4d": ("ssl", "swsl"),
    "resnext101_32x16d": ("instagram", "ssl", "swsl"),
    "resnext101_32x32d": ("instagram",),
    "resnext101_32x48d": ("instagram",),
    "dpn68b": ("imagenet+5k",),
    "dpn92": ("imagenet+5k",),
    "dpn107": ("imagenet+5k",),
    "timm-efficientnet-l2": ("noisy-student", "noisy-student-475"),
}
PLAIN_RESNETS = FAMILIES["resnet"]
_TIMM_NAME = re.compile(r"tu-[A-Za-z0-9][A-Za-z0-9_.]{0,80}")  # no "hf-hub:", no path
_FAMILY = {name: family for family, names in FAMILIES.items() for name in names}


def family(backbone: str) -> str:
    """Family of a backbone, "timm" for those outside the 58."""
    return _FAMILY.get(backbone, "timm")


def is_known_backbone(backbone: str) -> bool:
    """Whether the catalogue knows the name; a "tu-" name is left to the installed timm."""
    return backbone in _FAMILY or backbone in ADVANCED_BACKBONES or _TIMM_NAME.fullmatch(backbone) is not None
