"""What a model file says of its network, before any weight is loaded.

In:  a model file (.pth), of this or of another BONe program.
Out: a ModelHeader: published metadata, our own key `bone`, and the network's names, channels and classes.
What older files lack is read off the tensors' shapes, or asked for. Needs no torch.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from reprlib import repr as short
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from ..errors import ModelFileError, OptionError
from ..files.names import near
from ..files.schema import checked
from ..intensity.normalisation import NORMALISATIONS
from ..networks.spec import NetworkSpec
from ..options import catalogue
from ..options.plain_unet import PlainShape
from ..runs.files import may_be_model
from .archive import Parts, read_parts
from .pickle_reader import TensorFacts

#: the published keys (version 2.0.0.standalone), in their order
METADATA_KEYS = (
    # experiment
    *("train_dataset", "val_dataset", "num_classes", "num_patches", "patch_size", "patch_depth"),
    *("max_overlap", "batch_size", "augmentations", "normalization", "pt_workers", "prefetch_factor"),
    *("random_seed", "version"),
    # network
    *("is_3d", "model_arch", "backbone", "stride", "in_channels", "mode"),
    # fitting
    *("optimizer", "optim_momentum", "optim_weight_decay", "learning_rate", "criterion", "criterion_alpha"),
    *("criterion_beta", "criterion_gamma", "criterion_foc_wt", "criterion_tver_wt", "metric"),
    # figures
    *("flops_G", "param_count", "peak_ram_GB", "peak_vram_GB", "avg_gpu_util_percent", "wall_time_sec"),
    *("fitting_time_sec", "best_val_score", "best_epoch"),
)
OWN_KEY = "bone"
PREFIXES = ("module.", "_orig_mod.")  # of DataParallel and of torch.compile

LONGEST_TEXT = 200  # of the names of an architecture, a backbone, a mode

NEEDED = ("model_arch", "backbone")  # without these there is no network; a Plain U-Net has no backbone


def _printable(text: str) -> str:
    """A name is shown in terminals and tables, where other characters would do something."""
    if not text.isprintable():
        raise ValueError("a name has letters, digits and signs only")
    return text


_ASSUMABLE = ("model_arch", "backbone", "mode", "stride", "normalization")


@dataclass(frozen=True)
class ModelHeader:
    """A model file's header.

    metadata: every published key; None where the file has none and nothing tells. bone: our own key, {} in
    files of other programs. tensors: by name, without "module.", described only, kernels as in the file.
    backbone: "" of a Plain U-Net, whose sizes stand under our own key. stride: five (z, y, x) triples, or
    None. inferred: keys that were read off the tensors or assumed by the caller.
    sha256: of all that the file says but its weights.
    """

    path: Path
    metadata: dict[str, Any]
    bone: dict[str, Any]
    tensors: dict[str, TensorFacts]
    architecture: str
    backbone: str
    mode: str
    in_channels: int
    num_classes: int
    stride: tuple[catalogue.Triple, ...] | None
    inferred: tuple[str, ...]
    sha256: str

    @property
    def spec(self) -> NetworkSpec:
        """What build_network makes the network from."""
        return NetworkSpec(
            self.architecture,
            self.backbone,
            mode=self.mode,
            in_channels=self.in_channels,
            num_classes=self.num_classes,
            stride=self.stride,
            depth_mixing=self._mixes_depth(),
            align_corners=self.bone.get("network", {}).get("align_corners", bool(self.bone)),
            plain=self.plain,
        )

    @property
    def plain(self) -> PlainShape | None:
        """Of a Plain U-Net."""
        if catalogue.has_backbone(self.architecture):
            return None
        known = self.bone["network"]["plain"]
        return PlainShape(known["channels"], known["depth"], known["norm"])

    def _mixes_depth(self) -> bool:
        """Whether a kernel reaches beyond one slice (depth stands last in the file)."""
        return self.mode != "3D" or any(
            facts.shape[-1] > 1 for facts in self.tensors.values() if len(facts.shape) == 5
        )

    @property
    def parameters(self) -> int:
        """Number of values, running statistics included."""
        return sum(facts.elements for facts in self.tensors.values())


def read_header(path: Path | str, *, assume: Mapping[str, Any] | None = None) -> ModelHeader:
    """Read and check a model file's header; reads a few hundred kB, whatever the size of the network.

    assume: values of model_arch, backbone, mode, stride or normalization for files that lack them.
    Raises ModelFileError, in words, for everything that is not a whole and harmless model file.
    """
    path = Path(path)
    return _header(path, _open(path), assume=dict(assume or {}))


def read_metadata(path: Path | str) -> tuple[dict[str, Any], list[str]]:
    """What a model file says of itself, and which of its `NEEDED` keys it lacks.

    Every published key is there; None where the file has none and the tensors' shapes do not tell it.
    Raises ModelFileError for what is no whole and harmless model file.
    """
    path = Path(path)
    parts = _open(path)
    values, _ = _values(path.name, parts, _tensors(path.name, parts), {})
    return values, _lacking(values)


def _lacking(values: Mapping[str, Any]) -> list[str]:
    """The keys without which the network cannot be built, as far as they are missing."""
    named = values["model_arch"]
    is_whole = isinstance(named, str) and not catalogue.has_backbone(named)
    return [key for key in NEEDED if values[key] is None and not (is_whole and key == "backbone")]


MOST_NAMED = 6  # models that are told of


def _open(path: Path) -> Parts:
    """What the file holds."""
    try:
        if path.is_dir():
            raise ModelFileError(f"{path} is a folder; choose the model file (.pth) in it.")
        with path.open("rb") as file:
            return read_parts(file, path.name)
    except FileNotFoundError as error:
        hint = near(path) or _runs_beside(path)
        raise ModelFileError(
            f"{str(path)[:300]} does not exist; a model is a .pth file, or the folder of its run.{hint}"
        ) from error
    except OSError as error:
        raise ModelFileError(f"{str(path)[:300]} cannot be read ({error.strerror or error}).") from error


def _runs_beside(path: Path) -> str:
    """The models that are where one was looked for, as a further sentence."""
    try:
        there = sorted(entry.name for entry in path.parent.iterdir() if may_be_model(entry))
    except OSError:
        return f" Its folder {str(path.parent)[:300]} does not exist either."
    more = f" and {len(there) - MOST_NAMED} more" if len(there) > MOST_NAMED else ""
    return f" In its folder there are {', '.join(there[:MOST_NAMED])}{more}." if there else ""


def strip_prefix(name: str) -> str:
    """A tensor's name without what wrappers of the network put before it."""
    while name.startswith(PREFIXES):
        name = name.partition(".")[2]
    return name


def _tensors(name: str, parts: Parts) -> dict[str, TensorFacts]:
    tensors = {strip_prefix(key): facts for key, facts in parts.state.items()}
    if len(tensors) != len(parts.state):
        raise ModelFileError(f"{name} holds tensors twice, with and without 'module.' before their name.")
    return tensors


def _values(
    name: str, parts: Parts, tensors: dict[str, TensorFacts], assume: dict[str, Any]
) -> tuple[dict[str, Any], list[str]]:
    """The metadata without our own key, completed; and the keys that were completed."""
    metadata = {key: value for key, value in parts.metadata.items() if key != OWN_KEY}
    values: dict[str, Any] = {key: metadata.get(key) for key in METADATA_KEYS} | metadata
    return values, _fill(name, values, _seen(name, tensors), assume)


def _header(path: Path, parts: Parts, *, assume: dict[str, Any]) -> ModelHeader:
    own = parts.metadata.get(OWN_KEY) or {}
    tensors = _tensors(path.name, parts)
    values, inferred = _values(path.name, parts, tensors, assume)
    lacking = _lacking(values)
    if lacking:
        raise ModelFileError(
            f"{path.name} does not say {' and '.join(map(repr, lacking))}, and its weights cannot tell, so "
            "BONe cannot use it. Who knows it can add it with torch: file = torch.load(FILE, "
            f"weights_only=True); file['metadata'][{lacking[0]!r}] = NAME; torch.save(file, NEW_FILE)."
        )
    _check_types(path.name, values, own)
    stride = _stride(path.name, values["stride"])
    header = ModelHeader(
        path=path,
        metadata=values,
        bone=own,
        tensors=tensors,
        architecture=_architecture(path.name, values["model_arch"]),
        backbone=values["backbone"] or "",
        mode=values["mode"],
        in_channels=values["in_channels"],
        num_classes=values["num_classes"],
        stride=stride,
        inferred=tuple(inferred),
        sha256=parts.sha256,
    )
    faults = catalogue.check(
        header.architecture,
        header.backbone,
        header.mode,
        num_classes=header.num_classes,
        slices=header.in_channels,
        stride=stride,
        plain=header.plain,
    )
    if header.mode in ("2D", "3D") and header.in_channels != 1:
        faults.append(
            f"mode is {header.mode}, whose networks read 1 channel, but its weights read "
            f"{header.in_channels}."
        )
    if faults:
        raise ModelFileError(f"{path.name}: " + " ".join(faults))
    return header


def _seen(name: str, tensors: dict[str, TensorFacts]) -> dict[str, Any]:
    """What the shapes tell: the first kernel has the input's channels, the head's last one the classes."""
    kernels = {key: facts.shape for key, facts in tensors.items() if len(facts.shape) in (4, 5)}
    first = next((shape for key, shape in kernels.items() if key.startswith("encoder.")), None)
    heads = [shape for key, shape in kernels.items() if key.startswith("segmentation_head.")]
    if first is None or not heads:
        raise ModelFileError(
            f"{name} is no network of segmentation_models_pytorch: encoder or segmentation_head is missing."
        )
    is_3d, in_channels = len(first) == 5, first[1]
    mode = "3D" if is_3d else "2D" if in_channels == 1 else "2.5D"
    return {"is_3d": is_3d, "in_channels": in_channels, "num_classes": heads[-1][0], "mode": mode}


def _fill(name: str, values: dict[str, Any], seen: dict[str, Any], assume: dict[str, Any]) -> list[str]:
    """Complete the metadata in place; names what was filled. What the tensors contradict is refused."""
    filled = []
    for key, value in assume.items():
        if key not in _ASSUMABLE:
            raise ValueError(f"{key} cannot be assumed")
        if values[key] is None and value is not None:
            values[key] = value
            filled.append(key)
    for key, value in seen.items():
        if values[key] is None:
            values[key] = value
            filled.append(key)
        elif key == "mode":
            if (values[key] == "3D") != seen["is_3d"]:
                raise ModelFileError(
                    f"{name} contradicts itself: mode is {short(values[key])}, its weights are not."
                )
        elif values[key] != value:
            raise ModelFileError(
                f"{name} contradicts itself: {key} is {short(values[key])}, but its weights have {value!r}."
            )
    return filled


def _check_types(name: str, values: dict[str, Any], own: Any) -> None:
    for key in ("model_arch", "backbone", "mode"):
        if key == "backbone" and values[key] is None:
            continue  # it is not lacking
        if not isinstance(values[key], str):
            raise ModelFileError(f"{name}: {key} is {type(values[key]).__name__}, a text was expected.")
        if len(values[key]) > LONGEST_TEXT:
            raise ModelFileError(f"{name}: {key} is {short(values[key])}, which is too long for a name.")
    for key in ("in_channels", "num_classes"):
        if type(values[key]) is not int:
            raise ModelFileError(f"{name}: {key} is {type(values[key]).__name__}, not a whole number.")
    mode = values["normalization"]
    if mode is not None and not (isinstance(mode, str) and mode in NORMALISATIONS):
        raise ModelFileError(
            f"{name}: normalization is {short(mode)}; one of {', '.join(NORMALISATIONS)} was expected."
        )
    known = _check_own(name, own, values["num_classes"])
    if not catalogue.has_backbone(values["model_arch"]) and known.network.plain is None:
        raise ModelFileError(
            f"{name} does not say how large its {values['model_arch']} is (network under the key "
            f"{OWN_KEY!r}), so BONe cannot use it. Copy it again from its source."
        )


class _Part(BaseModel):
    model_config = ConfigDict(strict=True, extra="ignore", allow_inf_nan=False)


class _Class(_Part):
    value: Annotated[int, Field(ge=0, le=65535)]
    name: Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]
    colour: Annotated[str, Field(pattern=r"^#[0-9a-fA-F]{6}$")] | None = None


class _Plain(_Part):
    channels: int
    depth: int
    norm: Annotated[str, Field(max_length=LONGEST_TEXT), AfterValidator(_printable)]


class _Network(_Part):
    align_corners: bool = True
    plain: _Plain | None = None


class _Chosen(_Part):
    """Those options of the fit that mean something for its labels."""

    map_labels: Sequence[Annotated[Sequence[int], Field(min_length=2, max_length=2)]] = ()
    ignore_label: Annotated[int, Field(ge=0, le=65535)] | None = None


Size = Annotated[Sequence[Annotated[float, Field(gt=0, le=1e9)]], Field(min_length=3, max_length=3)]


class _Own(_Part):
    """Our own key, as far as programs rely on it; each may be missing."""

    classes: list[_Class] = Field(default_factory=list)
    network: _Network = Field(default_factory=_Network)
    voxel_size_um: Sequence[Size | None] = ()
    statistics: dict[str, dict[str, Any]] = Field(default_factory=dict)
    statistics_voxels: Literal["auto", "shared-tissues", "edge-tissues", "edges", "nonzero", "all"] = (
        "nonzero"
    )
    options: _Chosen = Field(default_factory=_Chosen)
    scores: dict[str, float | None] = Field(default_factory=dict)


def _check_own(name: str, own: Any, num_classes: int) -> _Own:
    if not isinstance(own, dict):
        raise ModelFileError(f"{name}: its key {OWN_KEY!r} is no dictionary.")
    try:
        known = checked(_Own, own)
    except ValueError as fault:
        raise ModelFileError(
            f"{name}: what it says of itself is not of the expected form ({fault}). Copy it again from its "
            "source."
        ) from fault
    if known.classes and len({item.value for item in known.classes}) != num_classes:
        raise ModelFileError(f"{name}: its classes are not {num_classes} different labels with names.")
    return known


def _architecture(name: str, title: str) -> str:
    try:
        return catalogue.find_architecture(title).title
    except OptionError as error:
        raise ModelFileError(f"{name}: {error}") from error


def _stride(name: str, text: Any) -> tuple[catalogue.Triple, ...] | None:
    """Triples in the order (z, y, x) from the file's (height, width, depth)."""
    if text is None:
        return None
    try:
        triples = catalogue.parse_stride(text)
    except OptionError as error:
        raise ModelFileError(f"{name}: {error}") from error
    return tuple((depth, height, width) for height, width, depth in triples)
