"""Let the disk run full at a random moment of a fit, prediction, export or table: a clear message, nothing
lost.

In:  --count, --minutes, --seed, --how tmpfs | limit. Run as: python -m benchmarks.campaigns.disk_full
Out: a table by what was written. Lost is a run that ends in anything but a message that speaks of the disk,
a scan, mask or model that changed, an older result that is neither as it was nor replaced by a whole new
one, a best model that cannot be loaded, anything left behind, and a second try, with space again, that
fails or gives something else. tmpfs (root only): the outputs lie on a small file system of which another
file takes all but a random rest at a random moment, so that the system says ENOSPC. limit: no file may grow
beyond a random size from that moment on (RLIMIT_FSIZE), which any user can do, and which catches a write
that is not looked at as well.
"""

from __future__ import annotations

import argparse
import contextlib
import functools
import hashlib
import json
import os
import random
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import torch

from bone_backend.errors import BoneError
from bone_backend.jobs import run as jobs
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions
from bone_backend.volumes.volume import save
from standalone.flags import write_config

from . import child, small
from .campaign import Campaign, parser
from .child import Child

DISK_MIB = 400
SPEAKS_OF_THE_DISK = re.compile(r"disk is full|free there|quota|No space|space", re.IGNORECASE)
REST_BYTES = (0, 0, 4096, 100_000, 2_000_000, 20_000_000)  # that are left when the disk runs full


class Disk:
    """A folder that can run full."""

    def __init__(self, folder: Path, how: str):
        self.folder, self.how = folder, how
        self._filler = folder / "filler"

    def fill(self, life: Child, rest: int) -> None:
        """From now on only so many bytes are free, or allowed for a file."""
        if self.how == "limit":
            with contextlib.suppress(ProcessLookupError):
                hard = resource.prlimit(life.pid, resource.RLIMIT_FSIZE)[1]
                resource.prlimit(life.pid, resource.RLIMIT_FSIZE, (rest, hard))
            return
        with contextlib.suppress(OSError), self._filler.open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, max(shutil.disk_usage(self.folder).free - rest, 1))

    def free(self) -> None:
        """There is space again."""
        self._filler.unlink(missing_ok=True)


@contextlib.contextmanager
def small_disk(folder: Path, how: str) -> Iterator[Disk]:
    """Mounted for as long as the campaign lasts, or a plain folder."""
    folder.mkdir()
    if how == "limit":
        yield Disk(folder, how)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m", "tmpfs", str(folder)], check=True)
    try:
        yield Disk(folder, how)
    finally:
        subprocess.run(["umount", "-l", str(folder)], check=True)


def can_mount() -> bool:
    """Whether this user may mount a tmpfs here."""
    with tempfile.TemporaryDirectory() as place:
        command = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", place]
        try:
            is_mounted = subprocess.run(command, check=False, capture_output=True).returncode == 0
        except FileNotFoundError:
            return False
        if is_mounted:
            subprocess.run(["umount", place], check=True)
        return is_mounted


class Works:
    """What is tried: each writes into one folder of the disk. See `WORKS` for what they are."""

    def __init__(self, folder: Path, disk: Disk):
        self.folder, self.disk = folder, disk
        self.place = disk.folder / "out"
        self.sources = folder / "sources"
        self.sources.mkdir()
        self.pairs = small.write_pairs(self.sources)
        self.model = small.make_model(self.sources / "model.pth")
        self.before = contents(self.sources)
        self.begun = folder / "begun"
        os.environ["BONE_CACHE"] = str(disk.folder / "cache")
        self.seconds: dict[str, float] = {}
        self.expected: dict[str, Any] = {}

    def clear(self, name: str) -> None:
        """An empty place, or one with an older result in it."""
        shutil.rmtree(self.place, ignore_errors=True)
        self.place.mkdir()
        if name == "fit that goes on":
            shutil.copytree(self.begun, self.place / "run")
        elif name in ("prediction as TIFF", "prediction as slices"):
            save(self.place / WRITTEN[name], small.labels_of(Path(self.pairs[0][1])))
        elif name in ("export", "saved options"):
            (self.place / WRITTEN[name]).write_bytes(b"older")

    def work(self, name: str) -> Callable[[], Any]:
        """The work of that name, to be done in a child."""
        return {
            "fit": lambda: small.fit_here(small.fit_values(self.pairs, self.place / "run")),
            "fit that goes on": lambda: small.fit_here({"resume": str(self.place / "run"), "epochs": 3}),
            "prediction as TIFF": functools.partial(self._predict, "labels.tif"),
            "prediction as slices": functools.partial(self._predict, "labels"),
            "export": lambda: self._job("export", output="weights.safetensors", format="safetensors",
            overwrite=True, model=str(self.model)),
            "table": lambda: self._job("iou", output="scores.csv", reference=self.pairs[0][1],
                                       prediction=self.pairs[0][1]),
            "saved options": lambda: write_config(self.place / "options.yaml", self._options()),
            "statistics": lambda: jobs.run_here("measure-greys",
            {"scans": [{"path": self.pairs[0][0]}]})["scans"][0]["mean"],
        }[name]  # fmt: skip

    def _options(self) -> FitOptions:
        return FitOptions.parse(small.fit_values(self.pairs, Path("run")))

    def _predict(self, name: str) -> int:
        values = {"scan": self.pairs[0][0], "model": str(self.model), "output": str(self.place / name)}
        return small.predict_here(values | {"overwrite": True, "chunk_size": 64})

    def _job(self, command: str, *, output: str, **values: Any) -> str:
        jobs.run_here(command, values | {"output": str(self.place / output)})
        return output

    def _with_modules(self, name: str) -> tuple[Any, list[str]]:
        return self.work(name)(), sorted(sys.modules)

    def result(self, name: str) -> Any:
        """What the work has made, to be compared."""
        if name.startswith("fit"):
            found = small.ending(self.place / "run")
            return {key: found[key] for key in ("best", "weights", "scores", "outcome")}
        return contents(self.place) if name in WRITTEN else None

    def undisturbed(self, names: Sequence[str]) -> None:
        """How long each takes, and what it makes; every one twice, the second time warm."""
        self.place.mkdir()
        begun = child.run(
            lambda: small.fit_here(
                small.fit_values(self.pairs, self.place / "run", epochs=1, schedule="constant")
            )
        )
        if begun.kind != child.DONE:
            raise SystemExit(f"The undisturbed fit failed: {begun.text}")
        shutil.copytree(self.place / "run", self.begun)
        for name in [names[0], *names]:
            self.clear(name)
            began = time.monotonic()
            found = child.run(functools.partial(self._with_modules, name))
            if found.kind != child.DONE:
                raise SystemExit(f"The undisturbed {name} failed: {found.text}")
            small.import_all(found.value[1])
            self.seconds[name] = time.monotonic() - began
            self.expected[name] = self.result(name)


#: what each work writes in its place
WRITTEN = {
    "prediction as TIFF": "labels.tif",
    "prediction as slices": "labels",
    "export": "weights.safetensors",
    "table": "scores.csv",
    "saved options": "options.yaml",
}
WORKS = ("fit", "fit that goes on", *WRITTEN, "statistics")


def contents(folder: Path) -> dict[str, str]:
    """Hash of every file below a folder, but of records, which hold the time."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.endswith(".record.json")
    }


def trial(campaign: Campaign, works: Works, name: str, rng: random.Random) -> None:
    """Do one work on a disk that runs full, look at what is there, and do it again with space."""
    works.clear(name)
    if rng.random() < 0.3:
        shutil.rmtree(works.disk.folder / "cache", ignore_errors=True)
    older = contents(works.place)
    life = Child(works.work(name))
    # a short work writes in its last milliseconds: half of those meet a disk that is full from the beginning
    at_once = rng.random() < (0.1 if name.startswith("fit") else 0.5)
    if life.is_running_for(0 if at_once else rng.uniform(0, works.seconds[name])):
        works.disk.fill(life, rng.choice(REST_BYTES))
    found = life.end()
    works.disk.free()
    fault = _fault_of_message(found)
    if contents(works.sources) != works.before:
        fault = fault or "a scan, mask or model changed"
    fault = fault or _fault_of_results(works, name, older, is_done=found.kind == child.DONE)
    if not fault and found.kind != child.DONE:
        fault = _second_try(works, name)
    if fault:
        return campaign.lose(name, fault, keep=[works.place])
    return campaign.count(name, "done in spite of it" if found.kind == child.DONE else "told, nothing lost")


def _fault_of_message(found: child.Ending) -> str:
    if found.kind not in (child.DONE, child.REFUSED):
        return f"{found.kind}: {found.text}"
    if "Traceback" in found.said:
        return f"a traceback on its output: {found.said}"
    if found.kind == child.REFUSED and not SPEAKS_OF_THE_DISK.search(found.text):
        return f"its message does not speak of the disk: {found.text}"
    return ""


def _fault_of_results(works: Works, name: str, older: dict[str, str], *, is_done: bool) -> str:
    if name.startswith("fit"):
        models = list((works.place / "run").glob("*_best_epoch_*.pth"))
        if not models and (is_done or name == "fit that goes on"):
            return "the best model is gone"
        for path in models:
            try:
                model_file.load_state(path)
            except BoneError as fault:
                return f"the best model: {fault}"
        return ""
    now = contents(works.place)
    if now not in (older, works.expected[name] or {}):
        return f"neither as before nor whole and new: {sorted(now)}, before: {sorted(older)}"
    return ""


def _second_try(works: Works, name: str) -> str:
    if name == "fit" and (works.place / "run" / "options.json").exists():
        work: Callable[[], Any] = lambda: small.fit_here({"resume": str(works.place / "run")})  # noqa: E731
    else:
        work = works.work(name)
    again = child.run(work)
    if again.kind != child.DONE:
        return f"the second try, with space: {again.kind}: {again.text}"
    result = works.result(name)
    if result != works.expected[name]:
        return f"the second try ends otherwise: {json.dumps(result)[:800]}"
    return ""


def run(asked: argparse.Namespace, folder: Path) -> int:
    """The whole campaign in a folder that is removed later."""
    torch.set_num_threads(1)
    how = asked.how or ("tmpfs" if can_mount() else "limit")
    campaign = Campaign("disk_full", asked)
    with small_disk(folder / "disk", how) as disk:
        works = Works(folder, disk)
        works.undisturbed(asked.only)
        for rng in campaign.trials():
            trial(campaign, works, rng.choice(asked.only), rng)
    print(f"How the disk runs full: {how}")
    return campaign.end("torch", "segmentation_models_pytorch")


def main(words: Sequence[str] | None = None) -> int:
    made = parser(__doc__, count=200)
    made.add_argument(
        "--how", choices=("tmpfs", "limit"), help="How the disk runs full [default: as it can be done]."
    )
    made.add_argument("--only", nargs="+", choices=WORKS, default=list(WORKS), help="Try these works only.")
    asked = made.parse_args(words)
    before = tempfile.tempdir, {"BONE_CACHE": os.environ.get("BONE_CACHE")}
    with tempfile.TemporaryDirectory(prefix="bone-campaign-") as place:
        try:
            return run(asked, Path(place))
        finally:
            small.restore(*before)


if __name__ == "__main__":
    sys.exit(main())
