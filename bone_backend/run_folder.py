"""Everything one fit leaves behind, in one folder.

In:  the folder that the user named.
Out: options.json, inputs.json, split.json, scores.csv, log.txt, record.json, checkpoint.pth and the one
before it, the model files, report.html. run_records.py reads them back.
Each file appears under its name only when it is whole. A folder with another run is refused, never mixed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from .errors import OutputError
from .volumes.output import output_fault, put_in_place, remove

OPTIONS, INPUTS, SPLIT, SCORES = "options.json", "inputs.json", "split.json", "scores.csv"
RECORD, LOG = "record.json", "log.txt"
CHECKPOINT, CHECKPOINT_BEFORE = "checkpoint.pth", "checkpoint_before.pth"
CHECKPOINTS = (CHECKPOINT, CHECKPOINT_BEFORE)  # the last state, and the one before it, should that be damaged
REPORT = "report.html"
_OURS = (OPTIONS, INPUTS, SPLIT, SCORES, RECORD, LOG, *CHECKPOINTS, REPORT)


class RunFolder:
    """The folder of one run; a context manager that also keeps the log.

    is_writer: False where another process of the same fit writes; then nothing is written here.
    """

    def __init__(self, path: Path, *, is_writer: bool = True):
        self.path, self.is_writer, self._is_made = path, is_writer, False
        self._handler: logging.Handler | None = None
        self._level = logging.NOTSET

    @classmethod
    def create(cls, path: Path, *, overwrite: bool = False) -> RunFolder:
        """A new run folder.

        Raises OutputError if it holds anything, unless `overwrite` and it is a run of BONe.
        """
        check_free(path, overwrite=overwrite)
        folder = cls(path)
        folder._is_made = not path.exists()
        try:
            path.mkdir(parents=True, exist_ok=True)
            for old in folder._own_files():
                old.unlink()
            probe = path / ".writable"
            probe.touch()
            probe.unlink()
        except OSError as error:
            raise output_fault(path, error) from error
        return folder

    def _own_files(self) -> list[Path]:
        fixed = [self.path / name for name in _OURS]
        models = [*self.path.glob("*_best_epoch_*.pth"), *self.path.glob("*_last_epoch_*.pth")]
        events = [*self.path.glob("tensorboard/events.out.tfevents.*")]
        return [path for path in fixed + models + events if path.is_file()]

    def discard(self) -> None:
        """Leave nothing of a run that could not begin."""
        for own in self._own_files():
            own.unlink(missing_ok=True)
        if self._is_made:
            with contextlib.suppress(OSError):  # somebody put something there
                self.path.rmdir()

    def __enter__(self) -> RunFolder:
        if not self.is_writer:
            return self
        self._check_links()
        handler = logging.FileHandler(self.path / LOG, encoding="utf-8")
        formatter = logging.Formatter("%(asctime)s %(levelname)s %(message)s", datefmt="%Y-%m-%dT%H:%M:%SZ")
        formatter.converter = time.gmtime
        handler.setFormatter(formatter)
        self._handler = handler
        logger = logging.getLogger("bone")
        self._level = logger.level
        if logger.getEffectiveLevel() > logging.INFO:  # the log is whole, whatever the door shows
            logger.setLevel(logging.INFO)
        logger.addHandler(handler)
        return self

    def _check_links(self) -> None:
        """Refuse a folder, of somebody else, whose files are appended to outside of it."""
        for name in (LOG, "tensorboard"):
            if (self.path / name).is_symlink():
                raise OutputError(
                    f"{self.path / name} is a link to another place; a run writes into its own folder only. "
                    "Remove the link."
                )

    def __exit__(self, *_: object) -> None:
        if self._handler:
            logging.getLogger("bone").removeHandler(self._handler)
            logging.getLogger("bone").setLevel(self._level)
            self._handler.close()

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one record, whole or not at all."""
        if not self.is_writer:
            return
        write_text(self.path / name, json.dumps(content, indent=2, default=str) + "\n")

    def write_scores(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the table of scores, one row an epoch."""
        if not self.is_writer:
            return
        text = io.StringIO()
        writer = csv.DictWriter(text, fieldnames=list(rows[0]) if rows else [], lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
        write_text(self.path / SCORES, text.getvalue())


def check_free(path: Path, *, overwrite: bool) -> None:
    """Raise OutputError where a new run folder may not be made."""
    if not path.exists():
        return
    if not path.is_dir():
        raise OutputError(f"output {path} is a file; name a folder.")
    present = sorted(item.name for item in path.iterdir())
    if not present:
        return
    is_run = (path / OPTIONS).exists()
    if not is_run:
        raise OutputError(
            f"output folder {path} is not empty and holds no run of BONe (it has {present[0]}). Name a new "
            f"folder."
        )
    if not overwrite:
        raise OutputError(
            f"output folder {path} holds another run. Name a new folder, or replace the run with --overwrite."
        )


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all. Raises OutputError."""
    temporary = path.with_name(f".{path.name}.part")
    remove(temporary)  # left by a process that was killed; or, in a folder of somebody else, a link
    try:
        with temporary.open("x", encoding="utf-8", newline="") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        put_in_place(temporary, path)
    except OSError as error:
        remove(temporary)
        raise output_fault(path, error) from error
