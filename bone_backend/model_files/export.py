"""Write a model for other software: ONNX (network and weights) or safetensors (weights).

In:  a model file, and the path that the export shall have.
Out: the file, which appears only after it has given the same result as the model.
The network takes normalised greys, as in training, and gives logits; what is needed to use it (classes,
normalisation, size multiples) stands in the file's metadata under "bone". ONNX needs onnx, onnxscript and
onnxruntime.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import json
import logging
import os
import re
import warnings
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import ModelFileError, OptionError, OutputError, PackageError
from ..files.names import readable
from ..files.outputs import check_output
from ..files.whole import Whole
from ..networks.build import build_network
from ..networks.spec import NetworkSpec
from ..options.programs import ExportOptions
from ..progress import Progress, silent
from ..volumes.output import claim
from .header import ModelHeader
from .model_file import check_weights, load_state, read_header

log = logging.getLogger("bone.export")

LARGEST_DIFFERENCE = 1e-3  # of logits, relative to the largest one; float32 in another order gives 1e-5
LARGEST_ONNX_BYTES = 2**31 - 2**24  # a protobuf file ends at 2 GiB
ONNX_PACKAGES = ("onnx", "onnxscript", "onnxruntime")
#: positions of the deepest features from which on the network computes as it does on large images: PAN halves
#: them three times more, PSPNet and UPerNet average them over 6 x 6 parts
DEEP_POSITIONS = {"PAN": 16, "PSPNet": 7, "UPerNet": 7}
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


@dataclass(frozen=True)
class Export:
    """What was written. largest_difference: of logits (ONNX) or weights (safetensors, always 0).

    fixed_size: ([z,] y, x) of the input where the network could not be written for any size, else None.
    """

    path: Path
    format: str
    largest_difference: float
    fixed_size: tuple[int, ...] | None = None


def export_model(
    path: Path | str, out: Path | str, *, format: str, overwrite: bool = False, progress: Progress = silent
) -> Export:
    """Write the model file `path` as `out`; format: "onnx" or "safetensors".

    Raises ModelFileError for a model file that does not hold, or an export that gives another result;
    PackageError where a package is missing; OutputError where the file cannot be written or is there already.
    """
    if format not in FORMATS:
        raise OptionError(f"format {format!r} is not known. Use one of {', '.join(FORMATS)}.")
    out = Path(out)
    check_output(out, inputs=[("the model file", Path(path))], overwrite=overwrite)
    if readable(str(out)) != str(out):
        raise OutputError(
            f"{out}: the libraries that write and read exports take only names in UTF-8. Choose another name "
            "or folder."
        )
    header = read_header(path)
    with claim(out, doing="an export"), Whole(out) as temporary:
        temporary.touch()  # has the usual mode; what the libraries write has not
        mode = temporary.stat().st_mode
        export = FORMATS[format](header, temporary, progress)
        temporary.chmod(mode)
    log.info("%s written; largest difference to the model %.2g.", out, export.largest_difference)
    return Export(out, format, export.largest_difference, export.fixed_size)


def export_job(options: ExportOptions, progress: Progress = silent) -> dict[str, Any]:
    """The command "export"."""
    result = export_model(
        options.model,
        options.output,
        format=options.format,
        overwrite=options.overwrite,
        progress=progress,
    )
    return asdict(result) | {"path": str(result.path)}


def _write_safetensors(header: ModelHeader, out: Path, progress: Progress) -> Export:
    (library,) = _packages("safetensors.torch", install="safetensors")
    progress(0, 2, "Writing weights")
    state = _apart(load_state(header.path, header))
    with _system_faults():
        library.save_file(state, out, metadata={"bone": _card(header, axes="z, y, x")})
    progress(1, 2, "Checking weights")
    again = library.load_file(out)
    if again.keys() != state.keys() or not all(torch.equal(again[name], state[name]) for name in state):
        raise ModelFileError(
            f"{header.path.name}: the exported weights are not those of the model; not written."
        )
    return Export(out, "safetensors", 0.0)


@contextlib.contextmanager
def _system_faults() -> Iterator[None]:
    """safetensors tells of a full disk in an exception of its own, with the system's number in its words."""
    try:
        yield
    except Exception as error:
        number = re.search(r"os error (\d+)", str(error))
        if number is None:
            raise
        code = int(number[1])  # the fourth is for Windows, where it is no errno
        raise OSError(code, os.strerror(code), None, code) from error


def _write_onnx(header: ModelHeader, out: Path, progress: Progress) -> Export:
    *_, runtime = _packages(*ONNX_PACKAGES, install=" ".join(ONNX_PACKAGES))
    spec = header.spec
    check_weights(header)
    network = build_network(spec).eval()
    network.load_state_dict(load_state(header.path, header))
    size = sum(tensor.numel() * tensor.element_size() for tensor in network.state_dict().values())
    if size > LARGEST_ONNX_BYTES:
        raise ModelFileError(
            f"{header.path.name}: its weights take {size / 2**30:.1f} GiB, and an ONNX file ends at 2 GiB. "
            "Export it as safetensors."
        )
    card = _card(header)
    patch = _patch_size(header)
    steps = ((None, (*_example_sizes(spec), patch)), (patch, (patch,)))
    for number, (fixed, sizes) in enumerate(steps):
        progress(number, 3, "Writing the network" + (f" for {fixed}" if fixed else ""))
        try:
            _trace(network, spec, sizes[0], out=out, card=card, dynamic=fixed is None)
            progress(2, 3, "Checking the network")
            difference = max(_difference(network, spec, size, runtime, out) for size in sizes)
            return Export(out, "onnx", difference, fixed)
        except (ModelFileError, OutputError, OSError):  # a full disk is no fault of the network
            raise
        except Exception as error:  # the exporter and the runtime raise many kinds
            if fixed is not None:
                raise ModelFileError(
                    f"{header.path.name}: {spec.words} cannot be written as ONNX "
                    f"by torch {torch.__version__} ({_first_line(error)}). Export it as safetensors."
                ) from error
            log.warning("The network cannot be written for any size of input; a fixed one is taken instead.")
    raise AssertionError("unreachable")


def _trace(
    network: torch.nn.Module, spec: NetworkSpec, size: Sequence[int], *, out: Path, card: str, dynamic: bool
) -> None:
    """Write the network; dynamic: for any batch and size, else for this size."""
    axes = (0, *range(2, 2 + len(size))) if dynamic else (0,)
    shapes = (dict.fromkeys(axes, torch.export.Dim.DYNAMIC),)
    with _quiet():
        program = torch.onnx.export(
            network,
            (torch.zeros(2, spec.in_channels, *size),),
            dynamo=True,
            dynamic_shapes=shapes,
            input_names=["grey"],
            output_names=["logits"],
            verbose=False,
        )
        assert program is not None
        program.model.metadata_props["bone"] = card
        program.save(str(out))


@torch.no_grad()
def _difference(
    network: torch.nn.Module, spec: NetworkSpec, size: Sequence[int], runtime: Any, out: Path
) -> float:
    """Largest difference of logits for random greys, relative to the largest logit."""
    session = runtime.InferenceSession(str(out), providers=["CPUExecutionProvider"])
    grey = torch.randn(1, spec.in_channels, *size, generator=torch.Generator().manual_seed(0))
    expected = network(grey).numpy()
    (found,) = session.run(None, {"grey": grey.numpy()})
    if found.shape != expected.shape:
        raise ValueError(f"the exported network gives {found.shape}, the model {expected.shape}")
    difference = float(np.abs(found - expected).max() / max(np.abs(expected).max(), 1e-6))
    if not difference <= LARGEST_DIFFERENCE:
        raise ValueError(f"the exported network differs from the model by {difference:.2g}")
    return difference


def _example_sizes(spec: NetworkSpec) -> list[tuple[int, ...]]:
    """Sizes ([z,] y, x) for the check, the first for writing too; no two sides of one are equal.

    The last one is small. Each axis is once so long that the deepest features have `DEEP_POSITIONS`; in 3D,
    where that takes time, one axis after the other.
    """
    least = spec.minimum
    z, y, x = spec.multiples
    low = tuple(-(-least // step) * step for step in (y, x))
    deep = DEEP_POSITIONS.get(spec.architecture)
    first, second = (low[0] + y, low[1] + 2 * x), (low[0] + 3 * y, low[1] + x)
    if spec.mode != "3D":
        return [first, second] if deep is None else [(deep * y, (deep + 2) * x), second]
    small: list[tuple[int, ...]] = [(2 * z, *first), (z, *second)]
    if deep is None:
        return small
    return [(deep * z, 2 * y, 3 * x), (2 * z, deep * y, 3 * x), (3 * z, 2 * y, deep * x), small[1]]


def _patch_size(header: ModelHeader) -> tuple[int, ...]:
    """The size of the patches that the network was fitted with, or the smallest one."""
    edge = header.metadata.get("patch_size")
    if type(edge) is not int or not 0 < edge <= 4096 or edge % max(header.spec.multiples[1:]):
        edge = max(header.spec.minimum, *header.spec.multiples[1:])
    if header.mode != "3D":
        return (edge, edge)
    depth = header.metadata.get("patch_depth")
    if type(depth) is not int or not 0 < depth <= 4096 or depth % header.spec.multiples[0]:
        depth = header.spec.multiples[0]
    return (depth, edge, edge)


def _card(header: ModelHeader, **more: str) -> str:
    """What a user of the exported network needs, as JSON."""
    keys = ("normalization", "patch_size", "patch_depth", "best_val_score", "best_epoch", "version")
    return json.dumps(
        {
            "architecture": header.architecture,
            "backbone": header.backbone or None,
            **({"plain_unet": asdict(header.plain)} if header.plain else {}),
            "mode": header.mode,
            "in_channels": header.in_channels,
            "num_classes": header.num_classes,
            "size_multiples": header.spec.multiples,
            "classes": header.bone.get("classes", []),
            **{key: header.metadata.get(key) for key in keys},
            **more,
        }
    )


def _apart(state: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The same tensors, none sharing its memory with another, which safetensors refuses."""
    taken: set[int] = set()
    apart = {}
    for name, tensor in state.items():
        place = tensor.untyped_storage().data_ptr()
        apart[name] = tensor.clone() if place in taken else tensor
        taken.add(place)
    return apart


def _first_line(error: Exception) -> str:
    """What an error says, without the colours that the exporter writes for a terminal."""
    lines = _COLOUR.sub("", str(error)).splitlines()
    return lines[0][:300] if lines else type(error).__name__


def _packages(*names: str, install: str) -> list[Any]:
    """Import packages that are not part of the installation."""
    try:
        return [importlib.import_module(name) for name in names]
    except ImportError as error:
        raise PackageError(f"Exporting needs {error.name}: pip install {install}") from error


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep back what the exporter prints and warns of."""
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


#: format -> how it is written; also the choices of the command line
FORMATS = {"onnx": _write_onnx, "safetensors": _write_safetensors}
