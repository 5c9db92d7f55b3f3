"""Where a fit stands, on disk, so that it can go on as if it had never stopped.

In:  network, optimizer, scaler, position in the plan, sums of the epoch, scores so far.
Out: one file, replaced whole, beside the one before it; reading it back gives bit for bit the state that was
     written. A file may come from somebody else: all that is taken from it is checked before.
"""

from __future__ import annotations

import contextlib
import logging
import math
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import torch
from pydantic import Field, model_validator

from ..errors import ModelFileError, OutputError
from ..files.json_files import is_name
from ..files.schema import checked
from ..model_files.archive import read_values
from ..model_files.pickle_reader import TensorFacts
from ..model_files.saving import load, save
from ..training.distributed import World
from ..training.replica import random_state, restore_random_state
from ..training.step import Step
from .records import Count, Epoch, Part, Row, Seconds
from .state import SUMS, Position

log = logging.getLogger("bone.fitting")

MOST_HEADER_BYTES = 256 << 20  # with the scores of 100,000 epochs 60 MB
MOST_STEPS = 20_000_000
MOST_PIECES = 1 << 20
# What an optimizer keeps of each weight: tensors of its shape, and single numbers.
KEPT = {
    "Adam": ({"exp_avg", "exp_avg_sq"}, {"step"}),
    "AdamW": ({"exp_avg", "exp_avg_sq"}, {"step"}),
    "SGD": ({"momentum_buffer"}, set[str]()),
}
SCALER = {"scale", "growth_factor", "backoff_factor", "growth_interval", "_growth_tracker"}
ADVICE = "Put back a copy of the run folder, or start a new run."


Table = Annotated[list[list[Count]], Field(max_length=65536)]


class _Written(Part):
    """A position as it stands in a file."""

    epoch: Epoch
    batches: Count
    sums: dict[str, Annotated[float, Field(allow_inf_nan=False, ge=-1e300, le=1e300)]]
    counts: Table
    history: list[Row]
    best_epoch: Epoch
    best_score: Annotated[float, Field(ge=-1, le=1)]
    best_choice: Annotated[float, Field(ge=-1, le=1)] = -1.0
    best_file: Annotated[str, Field(max_length=255)]
    best_counts: Table
    seconds: Seconds
    epoch_seconds: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    epoch_waiting: Annotated[float, Field(allow_inf_nan=False)] = 0.0
    epoch_steps: Annotated[int, Field(ge=0, le=1_000_000)] = 0
    round: Annotated[int, Field(ge=0, le=32)] = 0
    round_before: Annotated[float, Field(ge=-1, le=1)] = -1.0
    step_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    validation_s: Annotated[float, Field(ge=0, le=1e9)] = 0.0
    peaks: dict[str, Annotated[float, Field(ge=0, le=1e9)]] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _holds_together(self) -> _Written:
        if lacking := {"loss_sum", "patches", "skipped"} - self.sums.keys():
            raise ValueError(f"sums lack {', '.join(sorted(lacking))}")
        if min(self.sums.get("counted", 0.0), self.sums["patches"], self.sums["skipped"]) < 0:
            raise ValueError("sums are below 0")
        if [row.epoch for row in self.history] != [*range(1, self.epoch + 1)]:
            raise ValueError(f"history is not that of {self.epoch} epochs")
        if self.best_epoch > self.epoch or (self.best_file and not self.best_epoch):  # the file can be lost
            raise ValueError(f"best_epoch is {self.best_epoch} of {self.epoch}, best_file {self.best_file!a}")
        if not _is_bare(self.best_file):
            raise ValueError(
                f"best_file is {self.best_file!a}, not the name of a model file in the run folder"
            )
        for name, table in (("counts", self.counts), ("best_counts", self.best_counts)):
            if any(len(row) != len(table) for row in table):
                raise ValueError(f"{name} are no square")
        return self


def _is_bare(name: str) -> bool:
    """Whether a name is that of a model file beside the checkpoint, or empty."""
    return not name or (
        name.endswith(".pth")
        and not name.startswith(".")
        and not set('/\\:*?"<>|').intersection(name)
        and is_name(name)
        and name.isprintable()
    )


@dataclass(frozen=True)
class Checkpoint:
    """A checkpoint that holds together, read but not taken yet.

    state: what torch loaded. facts: the same with tensors only described.
    """

    path: Path
    position: Position
    state: dict[str, Any]
    facts: dict[str, Any]


def save_checkpoint(
    path: Path,
    *,
    network: torch.nn.Module,
    step: Step,
    position: Position,
    world: World | None = None,
    before: Path | None = None,
) -> None:
    """Write the state, whole or not at all. Raises OutputError, e.g. on a full disk.

    world: of several processes, all of which must call; the first writes. before: the name under which the
    checkpoint that is replaced is kept.
    """
    randoms = world.gather(random_state(step.device)) if world and world.size > 1 else []
    if world and not world.is_first:
        return
    state = {
        "network": network.state_dict(),
        "optimizer": step.optimizer.state_dict(),
        "scaler": step.scaler.state_dict(),
        "pieces": step.pieces,
        "gathered": step.gathered(),
        "position": asdict(position),
        "random": torch.get_rng_state(),
        "random_cuda": torch.cuda.get_rng_state(step.device) if step.device.type == "cuda" else None,
        "randoms": randoms,  # of every process, where there are several
    }
    save(path, state, before=before)


def load_position(path: Path) -> Position:
    """How far the fit of a checkpoint had come; no weight is read. Raises OutputError."""
    with _opened(path) as file:
        return _position(path, _read_facts(path, file, for_loading=False))


def read_checkpoint(path: Path) -> Checkpoint:
    """A checkpoint, every byte of it compared with its checksum. Raises OutputError where it is damaged."""
    with _opened(path) as file:
        facts = _read_facts(path, file, for_loading=True)
        position = _position(path, facts)
        _check_kinds(path, facts)
        return Checkpoint(path, position, load(file, path.name), facts)


@contextlib.contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The file, and what is wrong with it as an OutputError."""
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise OutputError(f"{path}: cannot be read ({error.strerror or error}).") from error
    except ModelFileError as error:
        raise OutputError(f"checkpoint {path} is damaged: {error}") from error


def read_newest(places: list[Path]) -> Checkpoint | None:
    """The first of the checkpoints that is there and whole; None where none is there.

    A damaged one is named in a warning where another one can take its place; else OutputError is raised.
    """
    fault: OutputError | None = None
    for path in places:
        if not path.is_file():
            continue
        try:
            found = read_checkpoint(path)
        except OutputError as error:
            fault = fault or error
            continue
        if fault:
            log.warning("%s The one before it, %s, is used.", fault, path.name)
        return found
    if fault:
        raise fault
    return None


def restore(
    found: Checkpoint, *, network: torch.nn.Module, step: Step, world: World | None = None
) -> Position:
    """Bring network and step to the state of a checkpoint; gives the position. Raises OutputError where it
    does not fit.

    world: of several processes, all of which must call; only the first takes the sums of the epoch so far.
    """
    world = World() if world is None else world
    if fault := _misfit(found.facts, network, step):
        raise OutputError(f"checkpoint {found.path} is of another network or fit: {fault}. {ADVICE}")
    state, position = found.state, found.position
    network.load_state_dict(state["network"])
    groups = step.optimizer.state_dict()["param_groups"]  # the options' own; rates are set step by step
    step.optimizer.load_state_dict({"state": state["optimizer"]["state"], "param_groups": groups})
    if state["scaler"] and step.scaler.is_enabled():  # empty after a part in a precision that needs none
        step.scaler.load_state_dict(state["scaler"])
    try:
        _restore_random(state, step.device, world)
    except RuntimeError as error:  # torch knows by itself which states there can be
        raise OutputError(
            f"checkpoint {found.path} is damaged: its random numbers are of no state ({error}). {ADVICE}"
        ) from error
    # several processes must all go back through the network equally often
    step.pieces = state["pieces"] if world.size == 1 else 1
    step.restore_gathered(state.get("gathered", {}))
    own = (
        position.sums if world.is_first else dict.fromkeys(SUMS, 0.0) | {"skipped": position.sums["skipped"]}
    )
    step.restore_sums(own)
    return position


def _read_facts(path: Path, file: BinaryIO, *, for_loading: bool) -> dict[str, Any]:
    """What stands in the file, its tensors only described."""
    facts = read_values(
        file, path.name, most_bytes=MOST_HEADER_BYTES, most_steps=MOST_STEPS, for_loading=for_loading
    )
    wanted = {"network", "optimizer", "scaler", "pieces", "position", "random", "random_cuda"}
    if not isinstance(facts, dict) or not wanted <= facts.keys():
        raise _damaged(path, "it is no checkpoint of BONe")
    return facts


def _damaged(path: Path, fault: object) -> OutputError:
    return OutputError(f"checkpoint {path} is damaged: {fault}. {ADVICE}")


def _position(path: Path, facts: Mapping[str, Any]) -> Position:
    try:
        checked(_Written, facts["position"])
        return Position(**facts["position"])
    except (ValueError, TypeError) as error:  # TypeError: a key that Position has not
        raise _damaged(path, error) from error


def _check_kinds(path: Path, facts: Mapping[str, Any]) -> None:
    """Raise OutputError where a part is not of the kind that is written, whatever the network."""
    optimizer, scaler, gathered = facts["optimizer"], facts["scaler"], facts.get("gathered", {})
    gradients = gathered.get("gradients", []) if isinstance(gathered, dict) else None
    states = [facts["random"], *([] if facts["random_cuda"] is None else [facts["random_cuda"]])]
    randoms = facts.get("randoms", [])
    has_randoms = isinstance(randoms, list) and all(
        isinstance(one, dict) and "cpu" in one and one.keys() <= {"cpu", "cuda"} for one in randoms
    )
    if has_randoms:
        states += [state for one in randoms for state in one.values()]
    kinds = {
        "network": _are_tensors(facts["network"], str),
        "optimizer": isinstance(optimizer, dict)
        and isinstance(optimizer.get("state"), dict)
        and all(_are_tensors(kept, str) for kept in optimizer["state"].values()),
        "scaler": isinstance(scaler, dict)
        and (not scaler or scaler.keys() == SCALER)
        and all(_is_number(value) and 0 <= value < 2**31 for key, value in scaler.items() if key != "scale")
        and (not scaler or (_is_number(scaler["scale"]) and scaler["scale"] > 0)),
        "pieces": type(facts["pieces"]) is int and 1 <= facts["pieces"] <= MOST_PIECES,
        "gathered": isinstance(gradients, list)
        and all(item is None or isinstance(item, TensorFacts) for item in gradients)
        and type(gathered.get("batches", 0)) is int
        and 0 <= gathered.get("batches", 0) < 2**31,
        "randoms": has_randoms
        and all(isinstance(s, TensorFacts) and s.dtype == "uint8" and len(s.shape) == 1 for s in states),
    }
    if wrong := [name for name, is_good in kinds.items() if not is_good]:
        raise _damaged(path, f"its {wrong[0]} is not of the expected form")


def _is_number(value: Any) -> bool:
    return type(value) in (int, float) and math.isfinite(value)


def _are_tensors(values: Any, key: type) -> bool:
    return isinstance(values, dict) and all(
        isinstance(name, key) and isinstance(item, TensorFacts) for name, item in values.items()
    )


def _misfit(facts: Mapping[str, Any], network: torch.nn.Module, step: Step) -> str:
    """What does not fit this network and optimizer, in words; empty where all does."""
    own = {name: tuple(tensor.shape) for name, tensor in network.state_dict().items()}
    kept = {name: item.shape for name, item in facts["network"].items()}
    if own != kept:
        name = next(name for name in (own | kept) if own.get(name) != kept.get(name))
        return f"{name[:80]} is {kept.get(name, 'missing')}, here {own.get(name, 'missing')}"
    weights = [p for group in step.optimizer.param_groups for p in group["params"]]
    tensors, numbers = KEPT[type(step.optimizer).__name__]
    for key, state in facts["optimizer"]["state"].items():
        if type(key) is not int or not 0 <= key < len(weights) or state.keys() != tensors | numbers:
            return "its optimizer is another"
        shapes = dict.fromkeys(tensors, tuple(weights[key].shape)) | dict.fromkeys(numbers, ())
        if any(item.shape != shapes[name] or "float" not in item.dtype for name, item in state.items()):
            return f"its optimizer keeps something else of weight {key}"
    gradients = facts.get("gathered", {}).get("gradients", [])
    shapes_of = [tuple(weight.shape) for weight in weights]
    if gradients and (
        len(gradients) != len(weights)
        or any(g is not None and g.shape != shape for g, shape in zip(gradients, shapes_of, strict=True))
    ):
        return "its gradients are of other weights"
    return ""


def _restore_random(state: dict[str, Any], device: torch.device, world: World) -> None:
    """Random states as they were; of processes that were not there before, as they began."""
    randoms = state.get("randoms", [])
    before = max(len(randoms), 1)
    if before != world.size and world.is_first:
        log.warning(
            "This run had %d %s and goes on with %d: as well, but not bit for bit as it would have been.",
            before,
            "process" if before == 1 else "processes",
            world.size,
        )
    if before == world.size > 1:
        restore_random_state(randoms[world.rank.number], device)
    elif world.is_first:
        torch.set_rng_state(state["random"])
        if state["random_cuda"] is not None and device.type == "cuda":
            torch.cuda.set_rng_state(state["random_cuda"], device)
