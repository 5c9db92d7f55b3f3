"""Damaged and hostile option files, run records and cache entries: each is refused in words, or used rightly.

In:  --count, --minutes, --seed, --only. Run as: python -m benchmarks.campaigns.fuzz_records
Out: a table by kind of file. Lost is anything that ends in another exception than a BoneError, or beyond
--seconds or --mib; a file outside the run folder and the cache that changed, came or went; a best model
that cannot be loaded after a record was damaged; statistics or converted voxels that are others than the
scan's. options: JSON, TOML and YAML files through `bone fit --config` and `bone predict --config`, up to
the checked options, which must be what they say once more. records: options.json, inputs.json, split.json,
record.json, scores.csv and the checkpoint of a run that is resumed, for the first steps. cache: statistics
and conversions that are used again. What a damaged options.json asks for may be as large as it says.
Options 10 ms, cache 40 ms, records 2 s a file.
"""

from __future__ import annotations

import argparse
import functools
import json
import math
import os
import random
import shutil
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import yaml

from bone_backend.errors import Cancelled
from bone_backend.fitting import fit
from bone_backend.intensity.statistics import measure_job
from bone_backend.jobs.commands import at_terminal
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions, dump
from bone_backend.progress import Recorder
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import open_volume
from standalone.command import build_parser
from standalone.flags import gather

from . import child, damage, small
from .campaign import Campaign, parser
from .disk_full import contents

RECORDS = ("options.json", "inputs.json", "split.json", "record.json", "scores.csv", "checkpoint.pth")
KINDS = (
    *("options as JSON", "options as TOML", "options as YAML"),
    *("statistics in the cache", "conversion in the cache"),
    *RECORDS,
)
#: of what a checkpoint holds
STRANGE_VALUES: tuple[Any, ...] = (
    *(
        None,
        -1,
        10**12,
        10**400,
        math.nan,
        2.5,
        True,
        "",
        "x",
        [],
        ["x"],
        {},
        {"a": 1},
        [[1]],
        torch.zeros(2),
    ),
    *("../precious/model.pth", "options.json", "BONe_best_epoch_9_val_jaccard_0.1.pth"),
)
STEPS = 40  # reports of a resumed fit before it is stopped


def as_toml(values: dict[str, Any]) -> str:
    """Names and JSON values, which TOML takes but for null."""
    return "".join(f"{name} = {json.dumps(value)}\n" for name, value in values.items() if value is not None)


class Files:
    """A finished run, a cache, option files; and precious things beside them that nobody may touch."""

    def __init__(self, folder: Path):
        self.folder = folder
        self.place, self.cache = folder / "place", folder / "cache"
        (folder / "sources").mkdir(parents=True)
        self.place.mkdir()
        os.environ["BONE_CACHE"] = str(self.cache)
        self.pairs = small.write_pairs(folder / "sources")
        self.scan = Path(self.pairs[0][0])  # compressed, so that it is converted
        with open_volume(self.scan) as volume:
            self.voxels = volume.read(0, volume.header.shape[0])
        run = self.place / "run"
        values = small.fit_values(self.pairs, run, epochs=1, **small.TINY)
        made = child.run(lambda: (small.fit_here(values), sorted(sys.modules)))
        if made.kind != child.DONE:
            raise SystemExit(f"The fit to be damaged failed: {made.text}")
        small.import_all(made.value[1])
        (self.place / "precious").mkdir()
        shutil.copy(small.best_model(run), self.place / "precious" / "model.pth")
        (self.place / "precious" / "notes.txt").write_text("years of work\n", encoding="utf-8")
        self.statistics = measure_job({"scans": [{"path": str(self.scan)}]}, lambda *_: None)["scans"][0]
        self.read_converted()
        self.whole_run, self.whole_cache = folder / "whole run", folder / "whole cache"
        shutil.copytree(run, self.whole_run)
        shutil.copytree(self.cache, self.whole_cache)
        values = dump(FitOptions.parse(small.fit_values(self.pairs, run, **small.TINY)))
        predict = {"scan": str(self.scan), "model": str(run / "x.pth"), "output": "labels", "chunk_size": 64}
        self.options = {"fit": values, "predict": predict}
        self.canary = self.untouchable()

    def untouchable(self) -> dict[str, str]:
        """All that no damaged record may change."""
        return contents(self.folder / "sources") | contents(self.place / "precious") | {
            "beside the run": str(sorted(path.name for path in self.place.iterdir()))
        }  # fmt: skip

    def put_back(self) -> None:
        """Run and cache as they were."""
        for whole, place in ((self.whole_run, self.place / "run"), (self.whole_cache, self.cache)):
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(whole, place)

    def read_converted(self) -> str:
        """The scan's voxels by way of the cache; raises ValueError where they are others."""
        with open_volume(self.scan) as volume, open_source(volume, folder=self.cache / "volumes") as source:
            for z, wanted in enumerate(self.voxels):
                if not np.array_equal(source.read_slice(z), wanted):
                    raise ValueError(f"slice {z} of the conversion holds other voxels than the scan")
        return "right"

    def read_statistics(self) -> str:
        """The scan's statistics by way of the cache; raises ValueError where they are others."""
        found = measure_job({"scans": [{"path": str(self.scan)}]}, lambda *_: None)["scans"][0]
        other = [
            name for name in self.statistics if name != "cached" and found.get(name) != self.statistics[name]
        ]
        if other:
            raise ValueError(f"statistics of the scan that are others than its voxels': {', '.join(other)}")
        return "right"

    def read_options(self, program: str, path: Path) -> str:
        """Options from a file, through the command's own words, and once more from what they are."""
        words = build_parser().parse_args([program, "--config", str(path)])
        options = gather(words, at_terminal(program).table())
        values = dump(options)
        json.dumps(values, allow_nan=False)
        if at_terminal(program).table().parse(values) != options:
            raise ValueError("the options are not what they say themselves")
        return "right"

    def resume(self) -> str:
        """The first steps of the resumed run, or all, where none are left; then its best model is loaded."""
        run = self.place / "run"
        try:
            fit(FitOptions.parse({"resume": str(run), "epochs": 2}), progress=Recorder(stop_after=STEPS))
        except Cancelled:
            pass
        finally:
            for path in run.glob("*_best_epoch_*.pth"):
                model_file.load_state(path)
        return "right"


def damage_record(path: Path, rng: random.Random) -> None:
    """A text record, or a checkpoint, is another."""
    if path.suffix == ".pth":
        if rng.random() < 0.4:
            path.write_bytes(damage.change_bytes(path.read_bytes(), rng))
            return
        state = torch.load(path, weights_only=True)
        inner = state["position"] if rng.random() < 0.7 else state
        name = rng.choice([*inner, "extra"])
        inner[name] = rng.choice(STRANGE_VALUES)
        if rng.random() < 0.15:
            del inner[name]
        torch.save(state, path)
        return
    path.write_bytes(damage.change_text(path.read_text(encoding="utf-8"), rng))


def option_file(files: Files, kind: str, program: str, rng: random.Random) -> Path:
    """A damaged option file."""
    values = files.options[program]
    ending = kind.rpartition(" ")[2].lower()
    text = {"json": json.dumps(values, indent=1), "toml": as_toml(values), "yaml": yaml.safe_dump(values)}[
        ending
    ]
    strange = damage.STRANGE + (damage.YAML_STRANGE if ending == "yaml" else ())
    content = damage.change_text(text, rng, strange)
    if ending == "yaml" and rng.random() < 0.05:
        content += damage.LAUGHS.encode()
    if rng.random() < 0.02:
        content = rng.choice(
            (b"", b"[" * 100_000, b"\xff\xfe", b"null", b"[]", b"a: " * 20_000, b'{"a":' * 20_000)
        )
    path = files.folder / f"options.{ending}"
    path.write_bytes(content)
    return path


def trial(campaign: Campaign, files: Files, kind: str, rng: random.Random) -> None:
    """Damage one file, use it, and count or lose it."""
    asked = campaign.asked
    seconds, mib = asked.seconds, asked.mib
    work: Callable[[], str]
    if kind.startswith("options as"):
        program = rng.choice(("fit", "predict"))
        path = option_file(files, kind, program, rng)
        work = functools.partial(files.read_options, program, path)
    elif kind.endswith("the cache"):
        files.put_back()
        is_text = kind.startswith("statistics")
        path = rng.choice(
            [p for p in sorted(files.cache.rglob("*")) if p.is_file() and is_text == (p.suffix == ".json")]
        )
        if is_text:
            damage_record(path, rng)
        else:
            path.write_bytes(damage.change_bytes(path.read_bytes(), rng))
        work = files.read_statistics if is_text else files.read_converted
    else:
        files.put_back()
        path = files.place / "run" / kind
        damage_record(path, rng)
        work, seconds, mib = files.resume, 10 * seconds, 4 * mib
    keep = files.folder / f"damaged {path.name}"
    shutil.copy(path, keep)
    found = child.run(work, processor_s=seconds, grown_mib=mib)
    if files.untouchable() != files.canary:
        campaign.lose(kind, f"something outside the run folder changed ({found.kind})", keep=[keep])
        raise SystemExit(campaign.end())
    if found.kind in (child.SLOW, child.GREEDY) and kind == "options.json":
        campaign.count(kind, "as large as it asks")
    elif found.kind not in (child.DONE, child.REFUSED):
        campaign.lose(kind, f"{found.kind}: {found.text}", keep=[keep])
    elif len(found.text) > 5000:
        campaign.lose(kind, f"a message of {len(found.text)} characters", keep=[keep])
    else:
        campaign.count(kind, "refused in words" if found.kind == child.REFUSED else "used rightly")
    keep.unlink()


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    campaign = Campaign("fuzz_records", asked)
    files = Files(folder)
    for rng in campaign.trials():
        trial(campaign, files, rng.choice(asked.only), rng)
    return campaign.end("torch", "pydantic", "PyYAML")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=1_000)
    made.add_argument(
        "--seconds", type=float, default=5.0, help="Of the processor; ten times for a resumed run."
    )
    made.add_argument("--mib", type=float, default=500.0, help="Of memory; four times for a resumed run.")
    made.add_argument("--only", nargs="+", choices=KINDS, default=list(KINDS), help="Damage these only.")
    asked = made.parse_args(words)
    before = tempfile.tempdir, {"BONE_CACHE": os.environ.get("BONE_CACHE")}
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        try:
            return run(asked, Path(place))
        finally:
            small.restore(*before)


if __name__ == "__main__":
    sys.exit(main())
