"""The tour as it is seen: one sentence and a button above the tabs; it can be left at any time.

In:  the window, whose tabs it fills in and watches.
Out: nothing. It presses no Start: the person does.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

from PySide6.QtCore import QTimer
from PySide6.QtWidgets import QFrame, QHBoxLayout, QLabel, QPushButton

from bone_backend.errors import BoneError

from .memory import state_folder
from .tour import CLASSES, MINUTES, Tour, make_scans

FOLDER, POLL_MS = "tour", 100


class TourBar(QFrame):
    """Hidden, but while somebody takes the tour."""

    def __init__(self, window: Any):
        super().__init__()
        self.window_, self.tour = window, Tour()
        self.scans: list[tuple[Path, Path]] = []
        self._made: queue.SimpleQueue[Any] = queue.SimpleQueue()
        self._is_over = threading.Event()
        self.setObjectName("tour")
        self.told = QLabel()
        self.told.setWordWrap(True)
        self.go_on = QPushButton()
        self.go_on.setProperty("kind", "first")
        self.leave = QPushButton("Leave the tour")
        row = QHBoxLayout(self)
        row.setContentsMargins(12, 6, 12, 6)
        row.addWidget(self.told, 1)
        row.addWidget(self.go_on)
        row.addWidget(self.leave)
        self.go_on.clicked.connect(lambda: self.happens("button"))
        self.leave.clicked.connect(self.end)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._look)
        for name, tab in window.by_name.items():
            tab.began.connect(lambda name=name: self.happens(f"{name} begins"))
            tab.ended.connect(lambda outcome, name=name: self._ended(name, outcome))
        self.hide()

    def offer(self, *, again: bool = False) -> None:
        """Show the first sentence. again: somebody asked for the tour."""
        self.tour.begin()
        self._show()
        if again:
            self.happens("button")

    def end(self) -> None:
        self._is_over.set()
        self._timer.stop()
        self.tour.leave()
        self._show()

    def happens(self, what: str) -> None:
        """Go on where that is what the tour waits for."""
        if self.tour.on(what):
            name = self.tour.name or "own_scans"
            getattr(self, f"_do_{name}", lambda: None)()
            self._show()

    def _ended(self, name: str, outcome: Any) -> None:
        has_model = bool((outcome.result or {}).get("model"))
        is_good = has_model if name == "fit" else outcome.is_done
        self.happens(f"{name} done" if is_good else f"{name} fails")

    def _show(self) -> None:
        step = self.tour.step
        self.setVisible(step is not None)
        if step is None:
            return
        self.told.setText(step.tells)
        self.go_on.setText(step.button)
        self.go_on.setVisible(bool(step.button))
        is_last = step.name == "end"
        self.leave.setVisible(not is_last)
        self.leave.setText("No, thanks" if step.name == "offer" else "Leave the tour")

    # what the steps do

    @property
    def folder(self) -> Path:
        return state_folder() / FOLDER

    def _do_making(self) -> None:
        self._is_over, self._made = threading.Event(), queue.SimpleQueue()  # a tour before may end late
        making = (self._is_over, self._made)
        threading.Thread(target=self._make, args=making, name="bone tour", daemon=True).start()
        self._timer.start(POLL_MS)

    def _make(self, is_over: threading.Event, made: queue.SimpleQueue[Any]) -> None:
        try:
            made.put(make_scans(self.folder, lambda: not is_over.is_set()))
        except BoneError as error:
            made.put(error)

    def _look(self) -> None:
        if self._made.empty():
            return
        self._timer.stop()
        found = self._made.get()
        if isinstance(found, BoneError):
            self.end()
            self.window_.tell_fault("The tour has no room for its scans.", found)
        elif not self._is_over.is_set():
            self.scans = found
            self.happens("made")

    def _do_fit(self) -> None:
        fit = self.window_.fit
        self.window_.tabs.setCurrentWidget(fit)
        if fit.is_running:
            return
        pairs = [{"scan": str(scan), "mask": str(mask), "subject": None} for scan, mask in self.scans[:2]]
        output = str(self.folder / "run")
        fit.take_values(
            {
                "pairs": pairs,
                "class_names": [*CLASSES],
                "minutes": MINUTES,
                "output": output,
                "name": "tour",
                "overwrite": True,
            }
        )
        fit.pairs.table.selectRow(0)

    def _do_predict(self) -> None:
        predict = self.window_.predict
        self.window_.tabs.setCurrentWidget(predict)
        predict.take_values({"overwrite": True})
        predict.set_model(str(self.window_.fit.task.outcome.result["model"]))
        predict.panel.rows["scan"].editor.take(str(self.scans[2][0]))

    def _do_iou(self) -> None:
        compare = self.window_.iou
        compare.set_prediction(str(self.window_.predict.task.options["output"]))
        compare.panel.rows["reference"].editor.take(str(self.scans[2][1]))
        self.window_.tabs.setCurrentWidget(compare)

    def _do_own_scans(self) -> None:
        """After the last step: an empty Fit tab."""
        self.window_.fit.take_values({})
        self.window_.tabs.setCurrentWidget(self.window_.fit)
