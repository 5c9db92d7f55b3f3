"""Damaged and hostile model files: each is refused in words, or read as what was written, in bounded time
and memory.

In:  --count, --minutes, --seed. Run as: python -m benchmarks.campaigns.fuzz_models
Out: a table by kind of damage. Lost is a file that ends in anything but a ModelFileError, that runs code,
takes more than --seconds or --mib, or, where only bytes were changed, is read as something else than was
written. A file is read through every reader: `bone info`, its header, its weights, and the check of both
against the network. About 40 ms a file.
"""

from __future__ import annotations

import argparse
import functools
import hashlib
import json
import shutil
import sys
import tempfile
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch

from bone_backend.errors import ModelFileError
from bone_backend.information import describe as information
from bone_backend.model_files import model_file

from . import child, damaged_model
from .campaign import Campaign, parser


def read(path: Path) -> dict[str, str]:
    """What each reader gives, in short: hashes, or the words of its refusal. Other exceptions go up."""
    readers = {
        "info": lambda: json.dumps({**information.describe(path), "path": ""}, default=str),
        "header": lambda: repr((model_file.read_header(path).metadata, model_file.read_header(path).bone)),
        "weights": lambda: _weights(model_file.load_state(path)),
        "check": lambda: str(model_file.check_weights(model_file.read_header(path))),
    }
    found = {}
    for name, reader in readers.items():
        try:
            found[name] = hashlib.sha256(reader().encode("utf-8", "surrogatepass")).hexdigest()
        except ModelFileError as refusal:
            if isinstance(refusal.__cause__, MemoryError) or "MemoryError" in str(refusal):
                raise
            if len(str(refusal)) > 2000:
                raise RuntimeError(f"a message of {len(str(refusal))} characters") from refusal
            found[name] = f"refused: {refusal}"
    return found


def _weights(state: dict[str, Any]) -> str:
    for name, value in state.items():
        if not isinstance(name, str) or not isinstance(value, torch.Tensor):
            raise TypeError(f"{name!r} is {type(value)}, no tensor")
    return model_file.weights_sha256(state)


def trial(
    campaign: Campaign, path: Path, kind: str, *, whole: dict[str, str], seconds: float, mib: float
) -> None:
    """Read one file, and count or lose it. whole: what its seed gives."""
    found = child.run(functools.partial(read, path), processor_s=seconds, grown_mib=mib)
    if (path.parent / "ran").exists():
        (path.parent / "ran").unlink()
        return campaign.lose(kind, "code in the file was run", keep=[path])
    if found.kind != child.DONE:
        return campaign.lose(kind, f"{found.kind}: {found.text}", keep=[path])
    known = [name for name, answer in whole.items() if not answer.startswith("refused: ")]
    answers = {name: found.value[name] for name in known if not found.value[name].startswith("refused: ")}
    if not answers:
        return campaign.count(kind, "refused in words")
    other = [name for name, answer in answers.items() if answer != whole[name]]
    if other and kind in damaged_model.MUST_BE_EQUAL:
        return campaign.lose(
            kind, f"{', '.join(other)}: read as something else than was written", keep=[path]
        )
    return campaign.count(kind, "read" if len(answers) == len(known) else "read in part, refused in words")


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    warnings.simplefilter("ignore")
    torch.set_num_threads(1)
    campaign = Campaign("fuzz_models", asked)
    seeds = damaged_model.write_seeds(folder / "seeds")
    whole = {seed: read(seed) for seed in seeds}
    for rng in campaign.trials():
        seed, kind = rng.choice(seeds), rng.choice(list(damaged_model.CHANGES))
        shutil.rmtree(folder / "trial", ignore_errors=True)
        (folder / "trial").mkdir()
        path = damaged_model.CHANGES[kind](seed, folder / "trial" / "model.pth", rng)
        trial(campaign, path, kind, whole=whole[seed], seconds=asked.seconds, mib=asked.mib)
    return campaign.end("torch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=3_000)
    made.add_argument("--seconds", type=float, default=5.0, help="Of the processor, for a file [default 5].")
    made.add_argument("--mib", type=float, default=500.0, help="Of memory, for a file [default 500].")
    asked = made.parse_args(words)
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        return run(asked, Path(place))


if __name__ == "__main__":
    sys.exit(main())
