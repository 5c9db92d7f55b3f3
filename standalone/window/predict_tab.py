"""Label a scan with a fitted model: scan, model, go.

In:  a scan, a model file or run folder.
Out: labels, shown over the scan.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QGridLayout, QLabel, QVBoxLayout, QWidget

from bone_backend.errors import BoneError
from bone_backend.files.inside import file_of
from bone_backend.files.names import from_home
from bone_backend.volumes.volume import volume_name

from ..show import predict as predict_in_words
from .beside import beside
from .editors import Editor, Place
from .model_card import Card, read_card
from .tab import RunTab
from .task import Outcome, Task
from .worst import by_mean


class PredictTab(RunTab):
    """The second tab."""

    command = "predict"
    verb = "Label scan"
    nothing = "Choose a scan to see it here."
    waits = True

    score_with = Signal(str)  # labels

    def __init__(self, runner: Any):
        self.card = Card()
        self._unreadable = ""  # why the scan of the form cannot be looked at
        self.waiting: list[str] = []  # scans that are labelled afterwards
        super().__init__(runner)
        self.queue = QLabel()
        self.queue.setWordWrap(True)
        self.queue.setProperty("kind", "hint")
        self.queue.hide()
        self.panel.layout_inside.insertWidget(1, self.queue)
        self.card_box = QWidget()
        column = QVBoxLayout(self.card_box)
        column.setContentsMargins(0, 8, 0, 0)
        title = QLabel("Model")
        title.setProperty("kind", "title")
        column.addWidget(title)
        self.card_grid = QGridLayout()
        self.card_grid.setColumnStretch(1, 1)
        column.addLayout(self.card_grid)
        self.warning = QLabel()
        self.warning.setWordWrap(True)
        self.warning.setProperty("kind", "doubt")
        column.addWidget(self.warning)
        self.panel.layout_inside.insertWidget(2, self.card_box)
        self.card_box.hide()

    def special(self) -> dict[str, Editor]:
        self.scan = Place(self.form.fields["scan"], takes_many=True)
        self.scan.more.connect(self.wait_for)
        return {"scan": self.scan}

    def wait_for(self, scans: list[str]) -> None:
        """Scans that are labelled one after the other, each beside itself under its own name."""
        self.waiting = [*scans]
        names = ", ".join(Path(scan).name for scan in scans[:6]) + (", …" if len(scans) > 6 else "")
        self.queue.setText(
            f"Then {len(scans)} more, each with its labels beside it: {names}" if scans else ""
        )
        self.queue.setVisible(bool(scans))

    def requests(self, options: Any) -> list[tuple[Any, str, str]]:
        """The scan of the form, and those that were dropped with it, each with its labels beside it."""
        found = super().requests(options)
        for scan in self.waiting:
            output = labels_beside(from_home(scan))
            other = options.model_copy(update={"scan": from_home(scan), "output": output})
            try:
                self.check_files(other)
                fault = ""
            except BoneError as error:
                fault = " ".join(self.form.in_words(told) for told in error.faults)
            found.append((other, self.what(other), fault))
        self.wait_for([])
        return found

    def what(self, options: Any) -> str:
        return f"Label {options.scan.name} with {options.model.name}"

    def field_changed(self, name: str) -> None:
        if name == "model":
            self._read_card()
        if name == "scan":
            self._unreadable = ""
            self._suggest_output()
            self.look_later()
        if name in ("scan", "model"):
            self._warn()

    def show_chosen(self) -> None:
        scan = self.form.value("scan")
        if not scan:
            self.viewer.show_view(None)
            return
        self._unreadable = self.look(str(from_home(scan)))
        self._warn()
        self.check()

    def start(self) -> None:
        if self._unreadable:
            self.show_chosen()  # somebody may have mended it
        super().start()

    def set_model(self, path: str) -> None:
        """As if a person had chosen it."""
        editor: Any = self.panel.rows["model"].editor
        editor.take(path)

    def _read_card(self) -> None:
        model = self.form.value("model")
        self.card = read_card(model) if model else Card()
        self.form.facts = {"mode": self.card.mode} if self.card.mode else {}
        while self.card_grid.count():
            item = self.card_grid.takeAt(0)
            if item and item.widget():
                item.widget().deleteLater()
        for number, (what, told) in enumerate(self.card.lines):
            label, words = QLabel(what), QLabel(told)
            label.setMinimumWidth(150)
            label.setProperty("kind", "hint")
            words.setWordWrap(True)
            self.card_grid.addWidget(label, number, 0)
            self.card_grid.addWidget(words, number, 1)
        self.card_box.setVisible(bool(self.card.lines))

    def _warn(self) -> None:
        told = [self.card.warning(self.form.value("scan"))]
        told += [f"From some of its slices: {text}" for text in self._grey_warnings()]
        told = [text[0].upper() + text[1:] for text in told if text]
        self.warning.setText("\n".join(told))
        self.warning.setVisible(bool(told))

    def _grey_warnings(self) -> list[str]:
        """Of the scan that is looked at, once it is; after a prediction the run has told it better."""
        view, scan = self.viewer.view, self.form.value("scan")
        layer = view.layers.get("scan") if view and scan else None
        if layer is None or layer.greys is None or layer.path != from_home(scan):
            return []
        return self.card.grey_warnings(layer.greys.sample)

    def _show_doubt(self, labels: str) -> None:
        """The least sure slices, and the maps that were written; the record beside the labels tells both."""
        found, view = beside(Path(labels)), self.viewer.view
        if view is not None and len(found.confidence) == view.shape[0]:
            self.viewer.show_ranking(by_mean(found.confidence, "confidence"))
        self.viewer.add_overlay.offer(found.maps)
        for one in found.maps[:1]:
            self.viewer.open_overlay(one.path, one.colours)

    def more_faults(self) -> dict[str, list[str]]:
        found = {"model": self.card.fault, "scan": self._unreadable}
        return {name: [fault] for name, fault in found.items() if fault}

    def _suggest_output(self) -> None:
        """Labels beside the scan, under its name; it stands in its field to be changed."""
        scan = self.form.value("scan")
        if not scan or not file_of(from_home(scan)).exists():
            return
        suggested = str(self.form.value("output") or "")
        if suggested and suggested != getattr(self, "_suggested", None):
            return
        path = from_home(scan)
        self._suggested = str(labels_beside(path))
        self.form.set("output", self._suggested)
        self.panel.rows["output"].editor.show_value(self._suggested)

    def show_result(self, outcome: Outcome, task: Task) -> None:
        if outcome.is_stopped or outcome.result is None:
            self.run_bar.tell("Stopped; no labels were written.", "")
            return
        result = outcome.result
        self.log.appendPlainText(predict_in_words(result))
        sure = result["confidence"].get("mean")
        told = f"Done: {result['slices']:,} slices labelled"
        told += f", mean confidence {sure:.3f}." if sure is not None else "."
        name = volume_name(Path(task.options["scan"]))
        found = result.get("warnings", ())
        warnings = [text if text.startswith(f"{name}: ") else f"{name}: {text}" for text in found]
        for text in warnings:
            self.log.appendPlainText(f"warning: {text}")
        labels, scan = str(result["output"]), str(task.options["scan"])
        self.run_bar.tell("\n".join([told, *warnings]), "doubt" if warnings else "good")
        if not self._has_waited or self.isVisible():
            self.show_labels(scan, labels)
        self.run_bar.show_actions(
            [
                ("Show labels", lambda: self.show_labels(scan, labels)),
                ("Open folder", lambda: self.open_file(Path(labels).parent)),
                ("Compare with a mask", lambda: self.score_with.emit(labels)),
            ]
        )

    def show_labels(self, scan: str, labels: str) -> None:
        """The labels over their scan, the least sure slices, and the map that tells most."""
        self._look_timer.stop()
        self.look(scan, labels)
        self.viewer.take_classes(self.card.classes)
        self._show_doubt(labels)
        self.pages.setCurrentWidget(self.viewer)


def labels_beside(scan: Path) -> Path:
    """Where the labels of a scan go, if nobody says.

    >>> labels_beside(Path("scans/femur_1.tif")).as_posix()
    'scans/femur_1_labels.tif'
    """
    name = f"{volume_name(scan)}_labels"
    return file_of(scan).parent / (name if scan.is_dir() else f"{name}.tif")
