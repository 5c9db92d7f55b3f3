"""Everything one fit leaves behind, in one folder.

In:  the folder that the user named.
Out: options.json, inputs.json, split.json, scores.csv, log.txt, record.json, checkpoint.pth and the one
before it, the model files, report.html. records.py reads them back.
Each file appears under its name only when it is whole. A folder with another run is refused, never mixed.
"""

from __future__ import annotations

import contextlib
import csv
import io
import json
import logging
import time
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from ..errors import BoneError, OutputError
from ..files import locks
from ..files.whole import output_fault, remove_left_over, write_text
from ..volumes.classes import columns
from ..volumes.output import made_folder
from .files import (
    CHECKPOINT,
    INPUTS,
    LAST,
    LOCK,
    LOG,
    OPTIONS,
    RECORD,
    REPORT,
    SCORES,
    SPLIT,
    check_free,
    check_resumable,
    own_files,
    running,
)

__all__ = [
    "CHECKPOINT",
    "INPUTS",
    "OPTIONS",
    "RECORD",
    "REPORT",
    "SCORES",
    "SPLIT",
    "RunFolder",
]


class RunFolder:
    """The folder of one run; a context manager that also keeps the log.

    is_writer: False where another process of the same fit writes; then nothing is written here.
    """

    def __init__(self, path: Path, *, is_writer: bool = True):
        self.path, self.is_writer = path, is_writer
        self._handler: logging.Handler | None = None
        self._level = logging.NOTSET

    @contextlib.contextmanager
    def claimed(
        self, *, overwrite: bool, resume: bool = False, look: Callable[[], None] = lambda: None
    ) -> Iterator[RunFolder]:
        """Be the only fit in the folder, which is made where it is not there, and removed if it stays empty.

        Raises OutputError where another fit runs in it, or may not be replaced, or cannot be resumed.
        """
        with contextlib.ExitStack() as stack:
            try:
                if not resume:
                    check_free(self.path, overwrite=overwrite)
                stack.enter_context(made_folder(self.path))

                def refusal(doing: str, who: str) -> str:
                    return running(self.path, doing, who)

                stack.enter_context(locks.held(self.path / LOCK, doing="a fit", refusal=refusal, look=look))
                if not resume:
                    check_free(self.path, overwrite=overwrite, is_ours=True)  # now nobody else can change it
                else:
                    check_resumable(self.path)
            except OSError as error:
                raise output_fault(self.path, error) from error
            remove_left_over(self.path)
            yield self

    def clear(self) -> None:
        """Remove the files of an earlier run."""
        try:
            for old in own_files(self.path):
                old.unlink()
        except OSError as error:
            raise output_fault(self.path, error) from error

    def finish(self, *, keep_checkpoint: bool, last: str) -> None:
        """Remove what a finished run has no more use for: the checkpoint, and last models but `last`."""
        if not self.is_writer:
            return
        spare = [path for path in self.path.glob(LAST) if path.name != last]
        spare += [] if keep_checkpoint else [self.path / CHECKPOINT]
        for path in spare:
            try:
                path.unlink(missing_ok=True)
            except OSError as error:
                logging.getLogger("bone.fitting").warning("%s stays: %s.", path, error.strerror)

    def discard(self) -> None:
        """Leave nothing of a run that could not begin."""
        for own in own_files(self.path):
            own.unlink(missing_ok=True)

    def __enter__(self) -> RunFolder:
        if not self.is_writer:
            return self
        self._check_links()
        handler = logging.FileHandler(self.path / LOG, encoding="utf-8", errors="backslashreplace")
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

    def note_fault(self, fault: BaseException) -> None:
        """Write into the log alone why the run ends: a BoneError in its words, others with traceback."""
        if self._handler is None:
            return
        is_ours = not isinstance(fault, BoneError)
        told = traceback.format_exception(fault) if is_ours else [str(fault)]
        text = "".join(told).rstrip("\n")
        record = logging.LogRecord("bone", logging.ERROR, __file__, 0, "%s", (text,), None)
        self._handler.handle(record)

    def write_json(self, name: str, content: Mapping[str, Any]) -> None:
        """Write one record, whole or not at all."""
        if not self.is_writer:
            return
        write_text(self.path / name, json.dumps(content, indent=2, default=str) + "\n")

    def write_scores(self, rows: Sequence[Mapping[str, Any]], classes: Sequence[Mapping[str, Any]]) -> None:
        """Write the table of scores, one row an epoch.

        classes: {"value", "name"} of each; what a row calls `val_iou_1` is headed by name, `val_iou_bone`.
        """
        if not self.is_writer:
            return
        named = {f"val_iou_{value}": name for value, name in columns(classes, prefix="val_iou_").items()}
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow([named.get(column, column) for column in rows[0]] if rows else [])
        writer.writerows(row.values() for row in rows)
        write_text(self.path / SCORES, text.getvalue())
