"""Every choice of a fit, once: name, default, unit, limits, choices, help, and when it applies.

In:  plain values from any door (flags, a file, ports, a form).
Out: one frozen, checked object; or an OptionError that names all faults at once.
Longer than other files, because it is one list that is read from top to bottom.
"""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, ValidationError

from ..errors import OptionError
from ..files.json_files import read_json
from ..files.names import from_home
from ..files.outputs import Named, check_apart, check_output, ending_fault
from ..runs.files import check_free, check_quiet, check_resumable, model_of
from . import catalogue
from . import transforms as transform_table
from .fields import AUTO, LONGEST_TEXT, OptionField, Options, option
from .plain_unet import TITLE as PLAIN
from .plain_unet import PlainShape
from .sentences import is_text
from .types import (
    DEVICE,
    PRECISION,
    Device,
    Label,
    LabelMap,
    NamedClass,
    NamedPair,
    Normalization,
    PatchSize,
    Precision,
    Share,
    Transforms,
    UserPath,
    _as_text,
    map_faults,
)


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


class FitOptions(Options):
    """BONe DLFit: fit a network on pairs of scan and mask."""

    title: ClassVar[str] = "BONe DLFit"

    # --- data
    pairs: tuple[NamedPair, ...] = option(
        (),
        flag="--pair",
        metavar="SCAN MASK [SUBJECT]",
        group="Data",
        label="Scan and mask pairs",
        often=True,
        help="A scan and its mask: TIFF folders or multi-page TIFF files. Give it once for each pair. A "
        "third word names "
        "the subject (animal or person); scans of one subject are never split between training and "
        "validation.",
    )
    map_labels: tuple[LabelMap, ...] = option(
        (),
        metavar="OLD:NEW",
        group="Data",
        label="Map labels",
        often=True,
        help="Change label values of the masks while reading, e.g. 255:1. Values that are not named stay.",
    )
    class_names: tuple[NamedClass, ...] = option(
        (),
        metavar="VALUE:NAME[:#rrggbb]",
        group="Data",
        label="Class names",
        often=True,
        help="Names and colours of the label values, e.g. 1:bone 2:pores.",
    )
    ignore_label: Label | None = option(
        None,
        group="Data",
        label="Ignore label",
        advanced=True,
        help="Voxels with this mask value count neither in the loss nor in the scores (not annotated).",
    )
    train_split: Annotated[float, Field(gt=0, lt=1)] = option(
        0.8,
        group="Data",
        label="Train/validation split",
        help="Share of the patches that is used for training; whole scans (or subjects) are dealt out as "
        "close to it as possible, at least one to each side. Not used where validation_pairs are named.",
    )
    validation_pairs: tuple[Annotated[int, Field(ge=1)], ...] = option(
        (),
        metavar="NUMBER",
        group="Data",
        label="Validation pairs",
        often=True,
        help="Numbers of the pairs to validate on, counted from 1 in the order in which the pairs are given; "
        "all others train. Name scans like those that you will label. None: train_split decides.",
    )
    # --- output
    output: UserPath = option(
        group="Output",
        label="Save folder",
        often=True,
        kind="folder",
        help="Run folder: everything that this fit leaves behind.",
    )
    name: Annotated[str, Field(min_length=1, max_length=100, pattern=r"^[^<>:\"/\\|?*\x00-\x1f]+$")] = option(
        "BONe", group="Output", label="Model filename", help="The model file's name begins with this."
    )
    overwrite: bool = option(
        False, group="Output", label="Overwrite", often=True, help="Replace another run in the output folder."
    )
    resume: UserPath | None = option(
        None,
        group="Output",
        label="Resume run folder",
        often=True,
        kind="folder",
        help="Go on with the run in this folder, with its own options; only epochs, early stopping, "
        "checkpoints, TensorBoard, dry run and the machine's options may be given anew.",
    )
    checkpoint_minutes: Annotated[float, Field(gt=0, le=10_000)] = option(
        10.0,
        group="Output",
        label="Checkpoint every",
        unit="min",
        advanced=True,
        help="A run can go on from its last checkpoint; one is written after each epoch too.",
    )
    keep_checkpoint: bool = option(
        False,
        group="Output",
        label="Keep checkpoint",
        advanced=True,
        help="Keep checkpoint.pth, three times as large as a model, when the fit is finished, so that it can "
        "go on with more epochs later. A fit that was stopped or failed keeps it anyway.",
    )
    tensorboard: bool = option(
        False,
        group="Output",
        label="TensorBoard",
        advanced=True,
        help="Write the scores for TensorBoard too; needs the Python package tensorboard.",
    )
    dry_run: bool = option(
        False,
        group="Output",
        label="Dry run",
        often=True,
        help="Check everything, measure one step, tell time, RAM, GPU memory and disk that the fit will "
        "take, and stop. "
        "Nothing is written to the save folder.",
    )
    # --- what the network sees
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
        often=True,
        unit="px",
        metavar="N|auto",
        none_word=AUTO,
        help="Edge of the square patches; a multiple of what the network needs (mostly 32). auto: the "
        "largest that fits every scan, at most 256.",
    )
    patches_per_tile: Annotated[int, Field(ge=1, le=1024)] = option(
        4,
        group="Network input",
        label="Patches per tile",
        help="Random patches taken from every tile in every epoch.",
    )
    max_patch_overlap: Share = option(
        0.3,
        group="Network input",
        label="Max. patch overlap",
        help="Largest share of a patch that another patch of the same tile may cover.",
    )
    normalization: Normalization = option(
        "ZScore",
        group="Network input",
        label="Normalization",
        help="Per scan. ZScore: mean 0, standard deviation 1, clipped to -5..5. minMax: 0..1. percentiles: "
        "0.5 to 99.5 % become "
        "0..1. tissue: the scan's two Otsu class means get fixed values, which carries over between scanners "
        "best.",
    )
    statistics_voxels: Literal["auto", "nonzero", "all"] = option(
        "auto",
        group="Network input",
        label="Statistics over",
        help="Voxels that the normalisation statistics count. auto: those that are not 0; for tissue all, "
        "less a border written as one value and metal. Otherwise tissue takes Otsu's class means over the "
        "voxels named.",
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
    class_balance: Share = option(
        0.0,
        group="Network input",
        label="Class balance",
        advanced=True,
        help="Share of the training tiles that is dealt out to the classes evenly, so that rare ones are "
        "seen more often; all "
        "patches of such a tile hold its class.",
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
    # --- augmentation
    augmentation: bool = option(
        True,
        group="Augmentation",
        label="Augmentations",
        help="Random flips, quarter turns, brightness and contrast of the training patches.",
    )
    flip_probability: Share | None = option(
        None,
        group="Augmentation",
        label="Flip probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of each direction. None: the paper's, 0.166 for two directions, 0.111 for three in 3D.",
    )
    turn_probability: Share = option(
        0.5,
        group="Augmentation",
        label="Turn probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of a turn by 90, 180 or 270 degrees in the slice plane. A patch is flipped or turned, not "
        "both.",
    )
    brightness_probability: Share = option(
        0.4,
        group="Augmentation",
        label="Brightness probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of an added grey value, one for all patches of a tile.",
    )
    brightness_range: Annotated[float, Field(ge=0, le=5)] = option(
        0.15,
        group="Augmentation",
        label="Brightness range",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Largest added normalised grey value, to either side.",
    )
    contrast_probability: Share = option(
        0.4,
        group="Augmentation",
        label="Contrast probability",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Of a contrast factor, one for all patches of a tile.",
    )
    contrast_range: Annotated[float, Field(ge=0, le=0.95)] = option(
        0.25,
        group="Augmentation",
        label="Contrast range",
        applies={"augmentation": (True,)},
        advanced=True,
        help="Largest change of the contrast factor from 1, to either side.",
    )
    transforms: Transforms = option(
        "",
        group="Augmentation",
        label="Transforms",
        applies={"augmentation": (True,)},
        advanced=True,
        metavar="JSON",
        help="Further changes with their probabilities, as JSON: rotation, scaling, elastic, gamma, blur, "
        "noise, ring, step. "
        'E.g. {"gamma": 0.3, "elastic": {"probability": 0.2, "strength_px": 4}}. See docs/augmentation.md.',
    )
    # --- network
    architecture: Annotated[str, AfterValidator(_title)] = option(
        "U-Net",
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
        often=True,
        choices=tuple(catalogue.BACKBONES),
        unless={"architecture": (PLAIN,)},
        help="Encoder of the network.",
    )
    plain_channels: Literal[8, 16, 24, 32, 48, 64] = option(
        16,
        group="Network",
        label="Channels",
        applies={"architecture": (PLAIN,)},
        help="Of the first stage of a Plain U-Net; each further one has twice as many.",
    )
    plain_depth: Literal[3, 4, 5, 6] = option(
        4,
        group="Network",
        label="Depth",
        unit="stages",
        applies={"architecture": (PLAIN,)},
        help="Of a Plain U-Net; each further stage sees the image half as large. Patches are a multiple of "
        "4 px (3 stages), 8, 16 or 32 px (6 stages).",
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
    # --- fitting
    epochs: Annotated[int, Field(ge=1, le=100_000)] = option(
        25, group="Fitting", label="Number of epochs", often=True, help="Passes over all tiles."
    )
    batch_size: Annotated[int, Field(ge=1, le=4096)] = option(
        32, group="Fitting", label="Batch size", often=True, unit="patches", help="Patches in one step."
    )
    learning_rate: Annotated[float, Field(gt=0, le=10)] = option(
        0.001, group="Fitting", label="Learning rate", help="At the start; the cosine schedule ends at 1e-6."
    )
    optimizer: Literal["Adam", "AdamW", "SGD"] = option(
        "Adam", group="Fitting", label="Optimizer", help="How the weights follow the gradient."
    )
    weight_decay: Annotated[float, Field(ge=0, le=0.1)] = option(
        0.01,
        group="Fitting",
        label="Weight decay",
        applies={"optimizer": ("AdamW", "SGD")},
        help="Pulls the weights towards zero.",
    )
    momentum: Annotated[float, Field(ge=0, le=0.99)] = option(
        0.9, group="Fitting", label="Momentum", applies={"optimizer": ("SGD",)}, help="Of SGD."
    )
    schedule: Literal["cosine", "cosine restarts", "one-cycle", "constant"] = option(
        "cosine",
        group="Fitting",
        label="Schedule",
        advanced=True,
        help="How the learning rate changes over the epochs.",
    )
    restart_epochs: Annotated[int, Field(ge=1)] = option(
        10,
        group="Fitting",
        label="Restart every",
        unit="epochs",
        advanced=True,
        applies={"schedule": ("cosine restarts",)},
        help="Length of one cosine.",
    )
    warm_up_epochs: Annotated[float, Field(ge=0, le=1000)] = option(
        0.0,
        group="Fitting",
        label="Warm-up",
        unit="epochs",
        advanced=True,
        help="Epochs over which the rate rises from zero first.",
    )
    early_stopping: Annotated[int, Field(ge=1)] | None = option(
        None,
        group="Fitting",
        label="Early stopping",
        unit="epochs",
        advanced=True,
        help="Stop after this many epochs without a better validation score; none: never.",
    )
    accumulate: Annotated[int, Field(ge=1, le=1024)] = option(
        1,
        group="Fitting",
        label="Accumulate",
        unit="batches",
        advanced=True,
        help="Batches whose gradients make one change of the weights.",
    )
    clip_gradient: Annotated[float, Field(gt=0, le=1_000_000)] | None = option(
        None,
        group="Fitting",
        label="Clip gradient",
        advanced=True,
        help="Largest norm of the gradient; none: no limit.",
    )
    loss: Literal[
        "Jaccard",
        "Dice",
        "Lovasz-Softmax",
        "Focal",
        "Tversky",
        "Focal Tversky",
        "Cross-entropy",
        "Dice + Focal",
    ] = option("Jaccard", group="Fitting", label="Loss function", help="What the fit makes small.")
    loss_alpha: Annotated[float, Field(ge=0, le=5)] = option(
        1.25,
        group="Fitting",
        label="Alpha",
        applies={"loss": ("Tversky", "Focal Tversky")},
        help="Weight of false positives in the Tversky loss.",
    )
    loss_beta: Annotated[float, Field(ge=0, le=5)] = option(
        1.25,
        group="Fitting",
        label="Beta",
        applies={"loss": ("Tversky", "Focal Tversky")},
        help="Weight of false negatives in the Tversky loss.",
    )
    loss_gamma: Annotated[float, Field(ge=0, le=5)] = option(
        2.0,
        group="Fitting",
        label="Gamma",
        applies={"loss": ("Focal", "Focal Tversky", "Dice + Focal")},
        help="Focus on hard voxels.",
    )
    focal_weight: Annotated[float, Field(ge=0.1, le=0.9)] = option(
        0.5,
        group="Fitting",
        label="Focal weight",
        applies={"loss": ("Focal Tversky", "Dice + Focal")},
        help="Share of the Focal loss in the sum; the rest goes to the other loss.",
    )
    class_weights: tuple[Annotated[float, Field(ge=0, le=1000)], ...] = option(
        (),
        metavar="WEIGHT",
        group="Fitting",
        label="Class weights",
        advanced=True,
        help="One number for each class, background first: how much it counts in the loss. None: 1 for all.",
    )
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = option(
        42,
        group="Fitting",
        label="Random seed",
        help="Of split, first weights, patches and augmentation; the same seed draws the same numbers.",
    )
    reproducible: bool = option(
        False,
        group="Fitting",
        label="Reproducibility mode",
        help="Deterministic kernels too: the same machine and options give the same weights, bit for bit.",
    )
    # --- machine
    device: Device = DEVICE
    gpus: Annotated[str, Field(pattern=r"^(all|[1-9]\d{0,3})$"), BeforeValidator(_as_text)] = option(
        "1",
        group="Machine",
        label="GPUs",
        choices=("1", "all"),
        metavar="N|all",
        help="GPUs of this machine that fit together, each with a share of every batch. With device cpu: so "
        "many processes, "
        "to try it out.",
    )
    precision: Precision = PRECISION
    compile: bool = option(
        False,
        group="Machine",
        label="Compile",
        advanced=True,
        help="Compile the network with torch.compile at the first steps: a minute or more at the start, "
        "faster steps on a GPU, no gain on a CPU. Needs a C++ compiler; on a GPU Triton too.",
    )
    loader_threads: Annotated[int, Field(ge=1, le=64)] = option(
        2,
        group="Machine",
        label="Loader threads",
        advanced=True,
        help="Threads that read patches ahead; any number gives the same result.",
    )

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values.

        Those of a run that is to be resumed come from its folder. Raises OptionError.
        """
        resumed = values.get("resume")
        is_named = isinstance(resumed, (str, os.PathLike)) and str(resumed) != ""
        if not is_named or len(str(resumed)) > LONGEST_TEXT or not is_text(str(resumed)):
            return super().parse(values)
        values, changes = _resumed(from_home(str(resumed)), values)
        try:
            made = super().parse(values)
        except OptionError as error:
            raise OptionError([*error.faults, *changes]) from error
        if changes:
            raise OptionError(changes)
        return made

    def with_paths(self, place: Callable[[Path], Path]) -> Self:
        """The same options with `place` applied to every path in them.

        Path.absolute gives paths that hold from any current folder.
        """
        placed: dict[str, Any] = {name: place(value) for name, value in self if isinstance(value, Path)}
        placed["pairs"] = tuple(
            pair.model_copy(update={"scan": place(pair.scan), "mask": place(pair.mask)})
            for pair in self.pairs
        )
        if not self.is_library_weights:
            placed["weights"] = str(place(Path(self.weights)))
        return self.model_copy(update=placed)

    def inputs(self) -> list[Named]:
        found: list[Named] = []
        for number, pair in enumerate(self.pairs, start=1):
            found += [(f"the scan of pair {number}", pair.scan), (f"the mask of pair {number}", pair.mask)]
        return found if self.is_library_weights else [*found, ("the first weights", Path(self.weights))]

    def check_paths(self) -> None:
        if self.resume:
            check_quiet(self.resume)
            check_resumable(self.resume)
            return
        check_apart(self.output, self.inputs())
        check_free(self.output, overwrite=self.overwrite)

    @property
    def is_library_weights(self) -> bool:
        """Whether the first weights are random or a set of the library ("imagenet", "imagenet+5k" ...)."""
        return self.weights in _library_weights()

    @property
    def in_channels(self) -> int:
        """Slices that the network sees as channels."""
        return self.slices if self.mode == "2.5D" else 1

    @property
    def encoder(self) -> str:
        """The backbone; "" of a network that has none."""
        return self.backbone if catalogue.has_backbone(self.architecture) else ""

    @property
    def plain(self) -> PlainShape | None:
        """Of a Plain U-Net."""
        if self.architecture != PLAIN:
            return None
        return PlainShape(self.plain_channels, self.plain_depth, self.plain_norm)

    @property
    def strides(self) -> tuple[catalogue.Triple, ...] | None:
        """Of the stages of a 3D network, where they are given."""
        return catalogue.parse_stride(self.stride) if self.stride and self.mode == "3D" else None

    @property
    def counted_voxels(self) -> str:
        """Which voxels the grey scale goes by, for the model file; "auto" with the tissue scale only."""
        is_plain = self.statistics_voxels == "auto" and self.normalization != "tissue"
        return "nonzero" if is_plain else self.statistics_voxels

    @property
    def size_multiples(self) -> catalogue.Triple:
        """What a patch of the network is a multiple of, along z, y, x."""
        return catalogue.size_multiples(
            self.architecture, self.encoder, self.mode, self.strides, plain=self.plain
        )

    @property
    def smallest_patch(self) -> int:
        """Edge of the smallest patch that the network and this option take, in pixels."""
        edge, least = max(self.size_multiples[1:]), 16  # the limit of patch_size
        own = catalogue.minimum_size(self.architecture, self.encoder, self.mode, plain=self.plain)
        return max(-(-least // edge) * edge, own)

    @property
    def patch(self) -> catalogue.Triple:
        """Voxels of a patch along z, y, x, once patch_size is a number (`dataset.patch_size.settled`)."""
        assert self.patch_size is not None
        return (self.patch_depth if self.mode == "3D" else 1, self.patch_size, self.patch_size)

    @property
    def flip_chance(self) -> float:
        """Probability of each flip direction; the paper's for the mode where none is given."""
        if self.flip_probability is not None:
            return self.flip_probability
        return 0.111 if self.mode == "3D" else 0.166

    @property
    def needs_places(self) -> bool:
        """Whether patches are laid around voxels of a class."""
        return self.foreground_share > 0 or self.class_balance > 0

    def cross_faults(self) -> list[tuple[tuple[str, ...], str]]:
        faults: list[tuple[tuple[str, ...], str]] = []
        folder = "as a folder (a name without ending)"
        fault = ending_fault(self.output, what="a run is", written=(), or_folder=folder)
        if fault and not os.path.isdir(self.output):  # noqa: PTH112 (never raises)
            faults.append((("output",), fault))
        if len(self.pairs) < 2:
            told = "no pair is given" if not self.pairs else "only one pair is given"
            faults.append(
                (
                    ("pairs",),
                    f"{told}; a split into training and validation by whole scans needs at least two pairs. "
                    "Name each with --pair SCAN MASK.",
                )
            )
        seen: dict[Path, int] = {}  # by the file itself: a link or another spelling is the same scan
        for number, pair in enumerate(self.pairs, start=1):
            scan = _real(pair.scan)
            if scan in seen:
                faults.append(
                    (
                        ("pairs",),
                        f"pair {number} has the same scan as pair {seen[scan]}: {pair.scan}. Give every "
                        f"scan once.",
                    )
                )
            if scan == _real(pair.mask):
                faults.append((("pairs",), f"pair {number} has the same path as scan and mask: {pair.scan}."))
            seen.setdefault(scan, number)
        if self.class_weights and not any(self.class_weights):
            faults.append((("class_weights",), "class_weights are all 0; at least one class must count."))
        faults += map_faults(self.map_labels)
        values = [item.value for item in self.class_names]
        if len(set(values)) < len(values):
            faults.append((("class_names",), "class_names names a label value twice."))
        stride = None
        if self.stride and self.mode == "3D":
            try:
                stride = catalogue.parse_stride(self.stride)
            except OptionError as error:
                faults += [(("stride",), fault) for fault in error.faults]
        keys = (
            "architecture",
            "backbone",
            "mode",
            "patch_size",
            "patch_depth",
            "slices",
            "stride",
            "batch_size",
        )
        faults += [
            (keys, fault)
            for fault in catalogue.check(
                self.architecture,
                self.encoder,
                self.mode,
                slices=self.in_channels,
                patch_size=self.patch_size,
                patch_depth=self.patch_depth if self.mode == "3D" else None,
                stride=stride,
                batch_size=self.batch_size,
                weights=self.weights if self.is_library_weights else None,
                plain=self.plain,
            )
        ]
        faults += self._idle_faults()
        if self.mode == "3D" and self.patch_depth > self.tile_depth:
            faults.append(
                (
                    ("patch_depth", "tile_depth"),
                    f"patch_depth {self.patch_depth} is larger than tile_depth {self.tile_depth}; it must "
                    f"fit into a tile.",
                )
            )
        return faults + self._validation_faults() + self._augmentation_faults() + self._machine_faults()

    def _idle_faults(self) -> list[tuple[tuple[str, ...], str]]:
        """Choices that mean nothing for this architecture; at their defaults nobody made them."""
        is_plain = self.architecture == PLAIN
        idle = ("backbone",) if is_plain else ("plain_channels", "plain_depth", "plain_norm")
        only = f"the {PLAIN} has none" if is_plain else f"only the {PLAIN} has it, not {self.architecture}"
        told = f"but {only}. Leave it out, or choose another architecture."
        return [
            ((name, "architecture"), f"{name} is {value}, {told}")
            for name in idle
            if (value := getattr(self, name)) != type(self).model_fields[name].default
        ]

    def _machine_faults(self) -> list[tuple[tuple[str, ...], str]]:
        faults: list[tuple[tuple[str, ...], str]] = []
        if self.gpus != "1" and self.device.startswith("cuda:"):
            told = f"gpus is {self.gpus}, but device names one GPU, {self.device}. Use device cuda or auto."
            faults.append((("gpus", "device"), told))
        if self.gpus != "all" and int(self.gpus) > self.batch_size:
            told = f"gpus is {self.gpus}, but batch_size is {self.batch_size}; each takes a share of a batch."
            faults.append((("gpus", "batch_size"), told))
        if self.compile and self.reproducible:
            told = "compile and reproducible are both on; compiled code is not promised to repeat its bits."
            faults.append((("compile", "reproducible"), f"{told} Leave one out."))
        return faults

    def _augmentation_faults(self) -> list[tuple[tuple[str, ...], str]]:
        faults: list[tuple[tuple[str, ...], str]] = []
        faults += [(("transforms",), fault) for fault in transform_table.faults(self.transforms)]
        if self.transforms and not self.augmentation:
            faults.append(
                (
                    ("transforms", "augmentation"),
                    "transforms are given but augmentation is off; leave one out.",
                )
            )
        directions = 3 if self.mode == "3D" else 2
        chance = directions * self.flip_chance + self.turn_probability
        if chance > 1 + 1e-9:
            faults.append(
                (
                    ("flip_probability", "turn_probability"),
                    f"flip_probability {self.flip_chance:g} in {directions} directions and turn_probability "
                    f"{self.turn_probability:g} add up to {chance:g}; a patch is flipped or turned, so at "
                    f"most 1.",
                )
            )
        if self.scan_weights and len(self.scan_weights) != len(self.pairs):
            faults.append(
                (
                    ("scan_weights", "pairs"),
                    f"scan_weights has {len(self.scan_weights)} numbers for {len(self.pairs)} pairs; give "
                    f"one for each.",
                )
            )
        elif self.scan_weights and not any(self.scan_weights):
            faults.append((("scan_weights",), "scan_weights are all 0; at least one scan must be visited."))
        return faults

    def _validation_faults(self) -> list[tuple[tuple[str, ...], str]]:
        chosen, count = set(self.validation_pairs), len(self.pairs)
        names = ("validation_pairs", "pairs")
        if beyond := sorted(number for number in chosen if number > count):
            told = ", ".join(map(str, beyond))
            return [(names, f"validation_pairs names {told}, but there are {count} pairs.")]
        if chosen and len(chosen) == count:
            return [(names, "validation_pairs names all pairs; leave at least one for training.")]
        sides: tuple[set[str], set[str]] = (set(), set())
        for number, pair in enumerate(self.pairs, start=1):
            if pair.subject is not None:
                sides[number in chosen].add(pair.subject)
        if both := sorted(sides[0] & sides[1]):
            told = f"validation_pairs has scans of {', '.join(both)} on both sides"
            return [(names, f"{told}; scans of one subject go to training or to validation together.")]
        return []


# What may differ from the run that is resumed: how long it goes on and on what, never what is fitted. The
# options of the machine change the result by rounding at most.
MAY_CHANGE = {
    "resume",
    "gpus",
    "compile",
    "epochs",
    "early_stopping",
    "device",
    "precision",
    "loader_threads",
    "checkpoint_minutes",
    "keep_checkpoint",
    "tensorboard",
    "dry_run",
}


def _resumed(folder: Path, given: Mapping[str, Any]) -> tuple[dict[str, Any], list[str]]:
    """The values with which the run in `folder` goes on, and a fault for each given one that would change it.

    Values are compared as the options hold them, not as they are written. Those that do not hold at all are
    left in, to be told with all other faults. Raises OptionError where the folder is none of a run.
    """
    stored = _stored(folder)
    checked: dict[str, Any] = {}
    kept: dict[str, Any] = {}
    for name, value in given.items():
        if name in MAY_CHANGE or name not in FitOptions.model_fields:
            kept[name] = value
            continue
        try:
            checked[name] = FitOptions.check_one(name, value)
        except ValidationError:
            kept[name] = value
    before = stored.with_paths(_real)
    now = stored.model_copy(update=checked).with_paths(_real)
    chosen = {field.name for field in FitOptions.option_fields() if field.none_word == AUTO}
    changes = [
        f"{name} cannot be changed when a run is resumed; leave it out."
        for name in checked
        if not (name in chosen and getattr(now, name) is None)  # auto: what the run has chosen
        and not _is_same(name, getattr(now, name), getattr(before, name))
        and not (name == "output" and now.output == _real(folder))  # also where the folder was moved
        and (name, now.overwrite) != ("overwrite", False)
    ]
    return {**dict(stored), "output": folder, **kept}, changes


def _stored(folder: Path) -> FitOptions:
    """The options in a run folder; what an older version did not write is at its default."""
    place = folder / "options.json"
    try:
        values = read_json(place)
        if not isinstance(values, dict):
            raise ValueError("it holds no options")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise OptionError(f"resume {folder} is no run folder: its options.json is missing.") from error
    except (OSError, ValueError) as error:
        fault = getattr(error, "strerror", None) or error
        raise OptionError(
            f"resume {folder}: its options.json is damaged ({fault}). Put back a copy, or start a new run."
        ) from error
    try:
        return FitOptions.parse({**values, "resume": None})
    except OptionError as error:
        raise OptionError(
            f"resume {folder}: its options.json does not hold in this version of BONe; go on with the "
            f"one that began the run. {' '.join(fault[:300] for fault in error.faults)}"
        ) from error


def _real(path: Path) -> Path:
    """One path for one file, however it is named."""
    return Path(os.path.realpath(path))


def _is_same(name: str, one: Any, other: Any) -> bool:
    if name == "transforms" and one and other:  # tables, whose order means nothing
        one, other = json.loads(one), json.loads(other)
    return bool(one == other)


# Options of a fit that change what a patch looks like.
_SEEN = (
    *("pairs", "map_labels", "class_names", "ignore_label"),
    *("mode", "slices", "tile_depth", "patch_depth", "patch_size", "normalization", "statistics_voxels"),
    *("augmentation", "flip_probability", "turn_probability"),
    *("brightness_probability", "brightness_range", "contrast_probability", "contrast_range", "transforms"),
    *("seed", "sheet", "overwrite", "resume", "examples", "variants"),
)


class PreviewOptions(FitOptions):
    """Examples of augmented patches.

    The one place with two levels of inheritance, so that what is shown is defined once, in the fit. Of its
    options those are taken that change what a patch looks like; all others are unknown here.
    """

    title: ClassVar[str] = "bone preview-augmentation"

    output: UserPath = option(
        Path("run"), group="Output", label="Save folder", kind="folder", help="Of the fit; not used."
    )
    overwrite: bool = option(False, group="Output", label="Overwrite", help="Replace an existing picture.")
    resume: UserPath | None = option(
        None, group="Output", label="Run folder", kind="folder", help="Show what the run in this folder does."
    )
    sheet: UserPath = option(
        Path("augmentation.png"),
        group="Preview",
        label="Sheet",
        often=True,
        kind="save",
        metavar="FILE.png",
        help="The picture that is written.",
    )
    examples: Annotated[int, Field(ge=1, le=20)] = option(
        3,
        group="Preview",
        label="Examples",
        often=True,
        unit="patches",
        help="Patches shown, taken from the pairs in turn.",
    )
    variants: Annotated[int, Field(ge=1, le=12)] = option(
        5,
        group="Preview",
        label="Variants",
        often=True,
        help="How often each patch is shown as training would change it.",
    )

    def check_paths(self) -> None:
        check_output(self.sheet, inputs=self.inputs(), overwrite=self.overwrite, name="sheet")

    @classmethod
    def option_fields(cls) -> list[OptionField]:
        """Those that mean something here."""
        return [field for field in super().option_fields() if field.name in _SEEN]

    @classmethod
    def parse(cls, values: Mapping[str, Any]) -> Self:
        """Check plain values; options of a fit that change nothing of what is shown are unknown."""
        foreign = [name for name in values if name in cls.model_fields and name not in _SEEN]
        unknown = [
            f"{name} is an option of a fit that changes no patch; leave it out of {cls.title}."
            for name in foreign
        ]
        try:
            made = super().parse({name: value for name, value in values.items() if name not in foreign})
        except OptionError as error:
            raise OptionError([*unknown, *error.faults]) from error
        if unknown:
            raise OptionError(unknown)
        return made

    def cross_faults(self) -> list[tuple[tuple[str, ...], str]]:
        faults = [
            (names, fault)
            for names, fault in super().cross_faults()
            if "only one pair" not in fault and "architecture" not in names
        ]
        if self.sheet.suffix.lower() != ".png":
            faults.append((("sheet",), f"sheet is {self.sheet}; its name must end in .png."))
        return faults
