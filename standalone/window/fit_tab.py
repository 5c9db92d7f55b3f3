"""Fit a network on pairs of scan and mask.

In:  pairs, names of classes, where the run goes, and everything that Advanced shows.
Out: a run in the worker's process with live curves; the best model, its report, a way on to a prediction.
"""

from __future__ import annotations

import re
import time
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import QSplitter

from bone_backend.errors import BoneError
from bone_backend.runs.files import CHECKPOINT, REPORT, SCORES, stored_options
from bone_backend.volumes.classes import class_colour

from ..show import fit as fit_in_words
from .class_table import ClassTable
from .editors import Editor
from .live_page import LivePage
from .pair_table import PairTable
from .pairs import Row
from .run_folder import ShownRun
from .scores import read_curves
from .tab import RunTab
from .task import News, Outcome, Task

EPOCHS = re.compile(r"Epoch \d+ of (\d+)")  # as a fit tells where it is
FIRST_FOLDER = "bone_run"
SCORES_S = 1.0  # between two looks at the scores


class FitTab(RunTab):
    """The first tab."""

    command = "fit"
    verb = "Start fit"
    nothing = "Choose a pair to see its scan with the mask over it."
    without = ("validation_pairs",)  # the table of pairs has it
    waits = True

    predict_with = Signal(str)  # a model file

    def special(self) -> dict[str, Editor]:
        self.pairs = PairTable(self.form.fields["pairs"])
        self.classes = ClassTable(self.form.fields["class_names"])
        self.pairs.chosen.connect(self._look_at)
        self.pairs.looked.connect(self._looked)
        self._shown: tuple[str, str] = ("", "")
        self._scores_time = 0
        self._suggested = ""  # run folder
        return {"pairs": self.pairs, "class_names": self.classes}

    def add_pages(self) -> None:
        self.curves: Any = None
        self.live = LivePage()
        self.curves_place = QSplitter(Qt.Orientation.Vertical)  # pyqtgraph is loaded when a fit begins
        self.curves_place.setChildrenCollapsible(False)
        self.curves_place.addWidget(self.live)
        self.pages.addTab(self.curves_place, "Progress")

    def make_curves(self) -> None:
        """The page of curves, on first use."""
        if self.curves is None:
            from .curves import CurvesPage

            self.curves = CurvesPage()
            self.curves_place.insertWidget(0, self.curves)
            self.curves_place.setSizes([220, 380])

    def field_changed(self, name: str) -> None:
        if name == "pairs":
            if "validation_pairs" in self.form.given and not self.pairs.pairs.rows:
                self.form.reset("validation_pairs")
            self.form.set("validation_pairs", self.pairs.pairs.validation())
            self._suggest_folder()
            self._looked()
        if name == "class_names":
            self.viewer.take_classes(self.classes.classes())
        if name == "recipe":
            self.panel.show_values()  # what was not given follows the recipe
        if name == "resume" and self.form.value("resume"):
            self._take_resumed(Path(str(self.form.value("resume"))))

    def take_values(self, values: Any) -> None:
        chosen = values.get("validation_pairs") or ()
        super().take_values({name: value for name, value in values.items() if name != "validation_pairs"})
        if not values.get("resume"):
            self.pairs.take(values.get("pairs") or (), chosen)
            self.form.set("validation_pairs", [*chosen])
        self.check()

    def _take_resumed(self, folder: Path) -> None:
        """A run that goes on has its own options; they are shown, and only some may be given anew."""
        try:
            values = stored_options(folder)
        except BoneError:
            return  # the check tells it
        self.pairs.take(values.get("pairs") or (), values.get("validation_pairs") or ())
        self.classes.show_value(values.get("class_names") or ())
        for name in ("pairs", "validation_pairs", "class_names"):
            self.form.reset(name)

    def _suggest_folder(self) -> None:
        """A run folder beside the scans, where none was given; it stands in its field to be changed."""
        given = self.form.given.get("output")
        if given not in (None, self._suggested) or not self.pairs.pairs.rows:
            return
        first = self.pairs.pairs.rows[0]
        if first.is_whole:
            place = Path(first.scan).parent
            folder = place / FIRST_FOLDER
            number = 2
            while folder.exists() or str(folder) in self.taken():
                folder, number = place / f"{FIRST_FOLDER}_{number}", number + 1
            self._suggested = str(folder)
            self.form.set("output", str(folder))
            self.panel.rows["output"].editor.show_value(str(folder))

    def _looked(self) -> None:
        self.classes.see(self.pairs.pairs.classes(), self.pairs.pairs.names())
        self.viewer.take_classes(self.classes.classes())
        self.panel.refresh(self._beside())
        self._check_timer.start()

    def more_faults(self) -> dict[str, list[str]]:
        found = self.pairs.faults()
        return {"pairs": found} if found else {}

    def notes(self) -> dict[str, list[str]]:
        found = self.pairs.notes()
        return {"pairs": found} if found else {}

    def todo(self) -> list[str]:
        todo = super().todo()
        if self.is_too_early("pairs") and not self.form.value("resume"):
            todo.insert(0, "pairs of a scan and its mask")
        return [word for word in todo if word != "scan and mask pairs"]

    def is_too_early(self, name: str) -> bool:
        return name == "pairs" and not self.pairs.value()

    def _look_at(self, row: Row) -> None:
        if (row.scan, row.mask) != self._shown:
            self._shown = (row.scan, row.mask)
            self.look(row.scan, row.mask)
            self.viewer.take_classes(self.classes.classes())

    def show_everything(self, everything: bool) -> None:
        self.pairs.show_everything(everything)
        super().show_everything(everything)

    def start(self) -> None:
        if self.taken():  # another run goes on, or waits
            self._suggest_folder()
        super().start()

    def what(self, options: Any) -> str:
        if options.resume:
            return f"Resume the fit in {Path(options.resume).name}"
        number = len(options.pairs)
        return f"Fit into {Path(options.output).name} ({number} pair{'s' * (number != 1)})"

    def _begin_curves(self, class_names: Any) -> None:
        """class_names: as the options of the run have them; the rest are those of the table."""
        self.make_curves()
        known = dict(self.classes.classes())
        known |= {one.value: (one.name, one.colour) for one in class_names}
        self.curves.begin(
            {
                " ".join(name.split()): colour or class_colour(value)
                for value, (name, colour) in known.items()
                if value
            }
        )

    def begin(self, options: Any, **more: Any) -> None:
        self._begin_curves(options.class_names)
        self.live.begin(
            goes_on=options.resume is not None and options.resume == getattr(self, "_folder", None)
        )
        self.live.show()
        self._scores_time, self._scores_looked = 0, 0.0
        self.pages.setCurrentWidget(self.curves_place)
        self._folder = Path(options.resume or options.output)
        super().begin(options, **more)

    def show_news(self, news: News, task: Task) -> None:
        for picture in news.pictures:
            self.live.take(picture)
        told = EPOCHS.match(task.message)
        for step, steps, figures in news.figures if told else ():
            if "loss" in figures:
                self.curves.add_step(step / max(steps, 1) * int(told[1]), figures["loss"])
        if news.outcome is not None:
            self.curves.draw_steps()
        if time.monotonic() - self._scores_looked < SCORES_S and news.outcome is None:
            return
        self._scores_looked = time.monotonic()
        try:
            changed = (self._folder / SCORES).stat().st_mtime_ns
        except OSError:
            return
        if changed != self._scores_time:
            self._scores_time = changed
            self.curves.show_curves(read_curves(self._folder))

    def show_result(self, outcome: Outcome, task: Task) -> None:
        result = outcome.result or {}
        model, folder = result.get("model"), result.get("run_folder")
        if result.get("dry_run"):
            self.run_bar.tell("Checked: nothing was fitted. The log tells what the fit will take.", "good")
            self.log.appendPlainText(fit_in_words(result))
            self.pages.setCurrentWidget(self.log)
            return
        told = "Stopped" if outcome.is_stopped else "Done"
        if model:
            told += f": the best model is that of epoch {result['best_epoch']}, {_score(result)}."
        elif outcome.is_stopped:
            told += ": no epoch was finished, so there is no model."
        self.run_bar.tell(told, "good" if model else "")
        self.log.appendPlainText(fit_in_words(result) if "val_iou_per_class" in result else told)
        if folder:
            self._offer(Path(folder), model, can_go_on=outcome.is_stopped)

    def _offer(self, folder: Path, model: Any, *, can_go_on: bool) -> None:
        """Buttons for what can be done with a run."""
        actions: list[Any] = []
        if (folder / REPORT).exists():
            actions.append(("Open report", lambda: self.open_file(folder / REPORT)))
        actions.append(("Open folder", lambda: self.open_file(folder)))
        if can_go_on:
            actions.append(("Resume", lambda: self.resume(str(folder))))
        if model:
            actions.append(("Label a scan", lambda: self.predict_with.emit(str(model))))
        self.run_bar.show_actions(actions)

    def show_faults(self, outcome: Outcome) -> None:
        super().show_faults(outcome)
        if (self._folder / CHECKPOINT).exists():
            self._offer(self._folder, None, can_go_on=True)

    def advice(self) -> str:
        if (self._folder / CHECKPOINT).exists():
            return (
                "Resume continues it from its last checkpoint. If it breaks off there again, close other "
                "programs, or begin anew with a smaller batch size."
            )
        return super().advice()

    def show_run(self, found: ShownRun) -> None:
        """Show a run folder again; the form stays as it is."""
        self._folder = found.folder
        self._begin_curves(found.class_names)
        self.curves.show_curves(found.curves)
        self.live.begin(goes_on=False)
        self.live.hide()  # the pictures of a run are gone with it; its report has more
        self.pages.setCurrentWidget(self.curves_place)
        self.run_bar.tell(found.told)
        self._offer(found.folder, found.model, can_go_on=found.can_go_on)

    def resume(self, folder: str) -> None:
        """Go on with a run that was stopped, with its own options; the form stays as it is."""
        try:
            options = self.form.table.parse({"resume": folder}).with_paths(Path.absolute)
            self.check_files(options)
        except BoneError as error:
            self.run_bar.tell("\n".join(self.form.in_words(fault) for fault in error.faults), "fault")
            return
        self.asked.emit(self.requests(options))

    def take_colours(self) -> None:
        if self.curves is not None:
            self.curves.take_colours()
        self.live.update()
        self.pairs.fill()


def _score(result: dict[str, Any]) -> str:
    score = result.get("best_val_iou")
    return f"mean validation IoU {score:.3f}" if isinstance(score, float) else "its score is in the log"
