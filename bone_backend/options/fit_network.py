"""What the network of a fit sees, and which network it is.

In:  plain values of these options.
Out: two groups of FitOptions, each with the faults that lie inside it; those between them are in fit.py.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from ..errors import Fault, OptionError, called
from ..runs.files import model_of
from . import catalogue
from .field import AUTO
from .fields import Options, option
from .plain_unet import TITLE as PLAIN
from .plain_unet import PlainShape
from .types import AS_AUTO, FROM_AUTO, Normalization, PatchSize, Share, ShareOrAuto, UserPath

PLAIN_CHANNELS, PLAIN_DEPTH = 16, 3  # of a Plain U-Net, where they are left open


def _weights(name: str) -> str:
    """A set of the library as it is; else the path of a model file."""
    return name if name in _library_weights() else str(model_of(Path(name).expanduser()))


def _title(architecture: str) -> str:
    """As the catalogue writes it; what it does not know is told with all other faults."""
    try:
        return catalogue.find_architecture(architecture).title
    except OptionError:
        return architecture


def _library_weights() -> set[str]:
    return {"random", "imagenet", *(name for names in catalogue.OTHER_WEIGHTS.values() for name in names)}


class FitInput(Options):
    """Tiles and patches: how they are cut, normalised, and dealt out."""

    mode: Literal["2D", "2.5D", "3D"] = option(
        "2D",
        group="Network input",
        label="Fitting mode",
        often=True,
        help="2D: one slice. 2.5D: neighbouring slices as channels, the centre one is labelled. 3D: slabs.",
    )
    slices: Literal[3, 5, 7, 9] = option(
        3,
        group="Network input",
        label="Number of slices",
        unit="slices",
        applies={"mode": ("2.5D",)},
        help="Slices that a 2.5D network sees at once.",
    )
    tile_depth: Annotated[int, Field(ge=8, le=256)] = option(
        32,
        group="Network input",
        label="Tile depth",
        unit="slices",
        applies={"mode": ("3D",)},
        help="Thickness of the slabs from which 3D patches are cut.",
    )
    patch_depth: Annotated[int, Field(ge=8, le=256)] = option(
        32,
        group="Network input",
        label="Patch depth",
        unit="slices",
        applies={"mode": ("3D",)},
        help="Depth of a 3D patch.",
    )
    patch_size: PatchSize = option(
        None,
        group="Network input",
        label="Patch size",
        unit="px",
        metavar="N|auto",
        none_word=AUTO,
        help="Edge of the square patches; a multiple of what the network needs (mostly 32, of a Plain U-Net "
        "4 to 32). auto: the largest that is of use and fits every scan, at most 256; of a Plain U-Net 32. "
        "A scan of less than a patch, but at least half of it, is reflected at its far ends.",
    )
    patches_per_tile: Annotated[Annotated[int, Field(ge=1, le=1024)] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Network input",
        label="Patches per tile",
        metavar="N|auto",
        none_word=AUTO,
        help="Random patches taken from every tile in every epoch. auto: 1 where the time is given, else 4.",
    )
    axes: Literal["z", "zyx"] = option(
        "zyx",
        group="Network input",
        label="Axes",
        applies={"mode": ("2D", "2.5D")},
        help="Slices along which axes the network learns from: z, or z, y and x, where voxels are cubes and "
        "the scan has room for a patch. Prediction then averages over the three.",
    )
    max_patch_overlap: Share = option(
        0.3,
        group="Network input",
        label="Max. patch overlap",
        help="Largest share of a patch that another patch of the same tile may cover.",
    )
    normalization: Normalization = option(
        "tissue",
        group="Network input",
        label="Normalization",
        help="Per scan. ZScore: mean 0, standard deviation 1, clipped to -5..5. minMax: 0..1. percentiles: "
        "0.5 to 99.5 % become "
        "0..1. tissue: the typical grey values of the scan's two tissues (bone, and what is not) get fixed "
        "values, which carries over between scanners best.",
    )
    statistics_voxels: Literal["auto", "shared-tissues", "edge-tissues", "edges", "nonzero", "all"] = option(
        "auto",
        group="Network input",
        label="Statistics over",
        help="Voxels that the normalisation statistics count. auto: those that are not 0; for tissue "
        "shared-tissues: those within two voxels of where the tissues meet, by the median of the darker one "
        "and the mean of the brighter; scans where these are about the same share their mean. edge-tissues: "
        "the same, each scan by itself; edges: by both means, as in older fits. With the others tissue takes "
        "Otsu's class means over the voxels named.",
    )
    empty_tiles: Literal["keep", "skip in training", "skip everywhere"] = option(
        "keep",
        group="Network input",
        label="Empty tiles",
        advanced=True,
        help="Tiles whose mask holds only background and ignored voxels. Skip everywhere where only some "
        "slices are annotated: "
        "the others then count in validation neither.",
    )
    foreground_share: Share = option(
        0.0,
        group="Network input",
        label="Foreground share",
        advanced=True,
        help="Share of the training patches, in tiles that hold a labelled voxel, which must hold one; the "
        "others lie anywhere.",
    )
    class_balance: ShareOrAuto = option(
        None,
        group="Network input",
        label="Class balance",
        advanced=True,
        metavar="X|auto",
        none_word=AUTO,
        help="Share of the training tiles that is dealt out to the classes evenly, so that rare ones are "
        "seen more often; all patches of such a tile hold its class. auto: 0.5 for a Plain U-Net, else 0.",
    )
    scan_weights: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = option(
        (),
        metavar="WEIGHT",
        group="Network input",
        label="Scan weights",
        advanced=True,
        help="One number for each pair, in order: how often an epoch visits its tiles in training; 0.5 is a "
        "random half of them. "
        "None: 1 for all.",
    )

    @property
    def in_channels(self) -> int:
        """Slices that the network sees as channels."""
        return self.slices if self.mode == "2.5D" else 1

    @property
    def patch(self) -> catalogue.Triple:
        """Voxels of a patch along z, y, x, once patch_size is a number (`dataset.patch_size.settled`)."""
        assert self.patch_size is not None
        return (self.patch_depth if self.mode == "3D" else 1, self.patch_size, self.patch_size)

    @property
    def needs_places(self) -> bool:
        """Whether patches are laid around voxels of a class."""
        return self.foreground_share > 0 or (self.class_balance or 0) > 0

    @property
    def counted_voxels(self) -> str:
        """Which voxels the grey scale goes by, for the model file; "auto" with tissue in older runs only."""
        is_plain = self.statistics_voxels == "auto" and self.normalization != "tissue"
        return "nonzero" if is_plain else self.statistics_voxels

    @property
    def is_along_all(self) -> bool:
        """Whether the network learns from slices along y and x too."""
        return self.axes == "zyx" and self.mode != "3D"

    def cross_faults(self) -> list[Fault]:
        faults = super().cross_faults()
        if self.mode == "3D" and self.patch_depth > self.tile_depth:
            depths = (
                f"{called('patch_depth')} {self.patch_depth}",
                f"{called('tile_depth')} {self.tile_depth}",
            )
            faults.append(Fault(f"{depths[0]} is larger than {depths[1]}; it must fit into a tile."))
        if self.scan_weights and not any(self.scan_weights):
            faults.append(Fault(f"{called('scan_weights')} are all 0; at least one scan must be visited."))
        return faults


class FitNetwork(Options):
    """Architecture, backbone, and first weights."""

    architecture: Annotated[str, AfterValidator(_title)] = option(
        PLAIN,
        group="Network",
        label="Model architecture",
        choices=(*catalogue.ARCHITECTURES, *catalogue.OWN_ARCHITECTURES),
        help="Segmentation network. Plain U-Net is BONe's own: small, with a first stage of full resolution, "
        "and soon learnt; the published program does not have it.",
    )
    backbone: str = option(
        "resnet18",
        group="Network",
        label="Backbone",
        choices=tuple(catalogue.BACKBONES),
        unless={"architecture": (PLAIN,)},
        help="Encoder of the network.",
    )
    plain_channels: Annotated[Literal[8, 16, 24, 32, 48, 64] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Network",
        label="Channels",
        none_word=AUTO,
        applies={"architecture": (PLAIN,)},
        help="Of the first stage of a Plain U-Net; each further one has twice as many. auto: 16.",
    )
    plain_depth: Annotated[Literal[3, 4, 5, 6] | None, FROM_AUTO, AS_AUTO] = option(
        None,
        group="Network",
        label="Depth",
        unit="stages",
        none_word=AUTO,
        applies={"architecture": (PLAIN,)},
        help="Of a Plain U-Net; each further stage sees the image half as large. Patches are a multiple of "
        "4 px (3 stages), 8, 16 or 32 px (6 stages). auto: 3.",
    )
    plain_norm: Literal["batch", "instance", "group"] = option(
        "batch",
        group="Network",
        label="Normalization of layers",
        applies={"architecture": (PLAIN,)},
        advanced=True,
        help="Of a Plain U-Net, after every convolution: over the whole batch, over each channel of each "
        "patch, or over 8 groups of channels of each patch.",
    )
    stride: str | None = option(
        None,
        group="Network",
        label="Custom stride",
        applies={"mode": ("3D",)},
        unless={"architecture": (PLAIN,)},
        advanced=True,
        help="Five (z, y, x) strides of a 3D network with a plain resnet, e.g. "
        "'((1,2,2),(2,2,2),(2,2,2),(2,2,2),(2,2,2))'.",
    )
    weights: Annotated[str, AfterValidator(_weights)] = option(
        "random",
        group="Network",
        label="Weights",
        metavar="random|imagenet|FILE.pth",
        help="Start from random numbers, from ImageNet, or from a model file of your own (or the best of a "
        "run folder).",
    )
    weights_dir: UserPath | None = option(
        None,
        group="Network",
        label="Weights folder",
        kind="folder",
        applies={"weights": ("imagenet",)},
        help="Folder with downloaded ImageNet weights, for machines without a network.",
    )

    @property
    def is_library_weights(self) -> bool:
        """Whether the first weights are random or a set of the library ("imagenet", "imagenet+5k" ...)."""
        return self.weights in _library_weights()

    @property
    def encoder(self) -> str:
        """The backbone; "" of a network that has none."""
        return self.backbone if catalogue.has_backbone(self.architecture) else ""

    @property
    def plain(self) -> PlainShape | None:
        """Of a Plain U-Net."""
        if self.architecture != PLAIN:
            return None
        return PlainShape(
            self.plain_channels or PLAIN_CHANNELS, self.plain_depth or PLAIN_DEPTH, self.plain_norm
        )

    def cross_faults(self) -> list[Fault]:
        return super().cross_faults() + self._idle_faults()

    def _idle_faults(self) -> list[Fault]:
        """Choices that mean nothing for this architecture; at their defaults nobody made them."""
        is_plain = self.architecture == PLAIN
        idle = ("backbone",) if is_plain else ("plain_channels", "plain_depth", "plain_norm")
        only = f"the {PLAIN} has none" if is_plain else f"only the {PLAIN} has it, not {self.architecture}"
        told = f"but {only}. Leave it out, or choose another {called('architecture')}."
        return [
            Fault(f"{called(name)} is {value}, {told}")
            for name in idle
            if (value := getattr(self, name)) != type(self).model_fields[name].default
        ]
