"""One option as something to type or choose in.

In:  an OptionField.
Out: an Editor: a widget that shows a plain value and tells what it holds now.
Which kind an option gets follows from its type and choices alone. Numbers are typed, not clamped: what does
not hold is told below, and never replaced.
"""

from __future__ import annotations

from typing import Any

from PySide6.QtCore import Qt, Signal
from PySide6.QtGui import QDragEnterEvent, QDropEvent, QWheelEvent
from PySide6.QtWidgets import (
    QCheckBox,
    QComboBox,
    QFileDialog,
    QHBoxLayout,
    QLineEdit,
    QPushButton,
    QWidget,
)

from bone_backend.options.fields import OptionField

from .form import alternatives, as_text, from_text, words_of

NUMBER_WIDTH = 110
OWN_FILE = "choose a file …"


class Editor(QWidget):
    """Shows a value; `changed` when a person changes it."""

    changed = Signal()

    def __init__(self, one: OptionField):
        super().__init__()
        self.one = one
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.row = row

    def add(self, widget: QWidget, stretch: int = 0) -> None:
        widget.setAccessibleName(f"{self.one.label}, {self.one.unit}" if self.one.unit else self.one.label)
        widget.setAccessibleDescription(self.one.help)
        self.row.addWidget(widget, stretch)
        if self.focusProxy() is None:
            self.setFocusProxy(widget)

    def value(self) -> Any:
        """The plain value; None where there is none."""
        raise NotImplementedError

    def show_value(self, value: Any) -> None:
        """Show a value without telling that it changed."""
        raise NotImplementedError

    @property
    def marked(self) -> QWidget:
        """What gets a red edge where it does not hold."""
        found = self.focusProxy()
        return found if found is not None else self


class QuietCombo(QComboBox):
    """A menu that does not change while one scrolls past it."""

    def wheelEvent(self, event: QWheelEvent) -> None:  # noqa: N802 (Qt's)
        event.ignore()


class Switch(Editor):
    """On or off."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.box = QCheckBox()
        self.add(self.box)
        self.row.addStretch(1)
        self.box.toggled.connect(self.changed)

    def value(self) -> bool:
        return self.box.isChecked()

    def show_value(self, value: Any) -> None:
        self.box.blockSignals(True)
        self.box.setChecked(bool(value))
        self.box.blockSignals(False)


class Choice(Editor):
    """A menu; what is not in it can be typed where the option takes more than it offers."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.menu = QuietCombo()
        for choice in ((None,) if one.is_optional else ()) + tuple(one.choices or alternatives(one)):
            self.menu.addItem(one.none_word if choice is None else str(choice), choice)
        self.is_open = not one.is_closed
        self.menu.setEditable(self.is_open)
        self.menu.setInsertPolicy(QComboBox.InsertPolicy.NoInsert)
        self.menu.setMinimumWidth(NUMBER_WIDTH)
        self.add(self.menu)
        if "FILE" in (one.metavar or ""):
            self.button = QPushButton("File …")
            self.button.setAccessibleName(f"{one.label}: choose a file")
            self.button.clicked.connect(self._choose)
            self.row.addWidget(self.button)
        self.row.addStretch(1)
        self.menu.currentIndexChanged.connect(self.changed)
        self.menu.editTextChanged.connect(self.changed)

    def value(self) -> Any:
        text = self.menu.currentText().strip()
        found = self.menu.findText(text, Qt.MatchFlag.MatchFixedString)
        return self.menu.itemData(found) if found >= 0 else from_text(self.one, text)

    def show_value(self, value: Any) -> None:
        self.menu.blockSignals(True)
        found = self.menu.findData(value)
        if found >= 0:
            self.menu.setCurrentIndex(found)
        elif self.is_open:
            self.menu.setEditText(as_text(self.one, value))
        self.menu.blockSignals(False)

    def _choose(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, self.one.label, "", "Model files (*.pth);;All files (*)")
        if path:
            self.menu.setEditText(path)


class Ticks(Editor):
    """Some of a few words, each to be ticked."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.boxes = {word: QCheckBox(word) for word in words_of(one)}
        for word, box in self.boxes.items():
            self.add(box)
            box.setAccessibleName(f"{one.label}: {word}")
            box.toggled.connect(self.changed)
        self.row.addStretch(1)

    def value(self) -> list[str]:
        return [word for word, box in self.boxes.items() if box.isChecked()]

    def show_value(self, value: Any) -> None:
        for word, box in self.boxes.items():
            box.blockSignals(True)
            box.setChecked(word in (value or ()))
            box.blockSignals(False)


class Line(Editor):
    """A number, a text, a list of words."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.line = QLineEdit()
        is_number = one.kind in ("int", "float")
        if is_number:
            self.line.setMaximumWidth(NUMBER_WIDTH)
        self.line.setPlaceholderText(_placeholder(one))
        self.add(self.line, 0 if is_number else 1)
        if is_number:
            self.row.addStretch(1)
        self.line.textEdited.connect(self.changed)

    def value(self) -> Any:
        return from_text(self.one, self.line.text())

    def show_value(self, value: Any) -> None:
        text = as_text(self.one, value)
        if self.line.text() != text and not (self.line.hasFocus() and self.value() == value):
            self.line.setText(text)


class Place(Editor):
    """A file or folder: typed, chosen, or dropped. takes_many: of several, `more` tells all but the first."""

    more = Signal(list)

    def __init__(self, one: OptionField, *, takes_many: bool = False):
        super().__init__(one)
        self.takes_many = takes_many
        self.line = QLineEdit()
        self.line.setPlaceholderText(_place_words(one))
        self.add(self.line, 1)
        self.buttons = [("Choose …", self._choose_file)] if one.kind != "folder" else []
        if one.kind in ("folder", "volume"):
            self.buttons.append(("Folder …" if one.kind == "volume" else "Choose …", self._choose_folder))
        for words, action in self.buttons:
            button = QPushButton(words)
            button.setAccessibleName(f"{one.label}: {words.rstrip(' …')}")
            button.clicked.connect(action)
            self.row.addWidget(button)
        self.setAcceptDrops(True)
        self.line.setAcceptDrops(False)  # else it would take the drop as text
        self.line.textEdited.connect(self.changed)

    def value(self) -> Any:
        return self.line.text().strip() or None

    def show_value(self, value: Any) -> None:
        text = "" if value is None else str(value)
        if self.line.text().strip() != text:
            self.line.setText(text)

    def take(self, path: str) -> None:
        """As if a person had typed it."""
        self.line.setText(path)
        self.changed.emit()

    def _choose_file(self) -> None:
        if self.takes_many:
            paths, _ = QFileDialog.getOpenFileNames(self, self.one.label, self.line.text())
            self.take_all(paths)
            return
        ask = QFileDialog.getSaveFileName if self.one.kind == "save" else QFileDialog.getOpenFileName
        path, _ = ask(self, self.one.label, self.line.text())
        self.take_all([path] if path else [])

    def take_all(self, paths: list[str]) -> None:
        """The first, and tell of the others."""
        if paths:
            self.take(paths[0])
            if paths[1:]:
                self.more.emit(paths[1:])

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, self.one.label, self.line.text())
        self.take_all([path] if path else [])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's)
        number = len(event.mimeData().urls())
        if number == 1 or (number and self.takes_many):
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's)
        paths = [url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()]
        self.take_all(paths)
        event.acceptProposedAction()


class Places(Editor):
    """Files or folders, with ; between them: typed, chosen, or dropped."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.line = QLineEdit()
        self.line.setPlaceholderText(f"{one.none_word}; drop them here, or choose them")
        self.add(self.line, 1)
        button = QPushButton("Choose …")
        button.setAccessibleName(f"{one.label}: Choose")
        button.clicked.connect(self._choose)
        self.row.addWidget(button)
        self.setAcceptDrops(True)
        self.line.setAcceptDrops(False)
        self.line.textEdited.connect(self.changed)

    def value(self) -> list[str]:
        return [place.strip() for place in self.line.text().split(";") if place.strip()]

    def show_value(self, value: Any) -> None:
        if self.value() != [str(place) for place in value or ()]:
            self.line.setText("; ".join(str(place) for place in value or ()))

    def take_all(self, paths: list[str]) -> None:
        """Add some to those that are there."""
        if paths:
            self.line.setText("; ".join(dict.fromkeys([*self.value(), *paths])))
            self.changed.emit()

    def _choose(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, self.one.label)
        self.take_all(paths)

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's)
        if event.mimeData().urls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's)
        self.take_all([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()


def _placeholder(one: OptionField) -> str:
    if one.kind == "list" and one.metavar:
        return one.metavar
    return one.none_word if one.is_optional else ""


def _place_words(one: OptionField) -> str:
    """What stands in an empty line for a place."""
    if one.is_output:
        return "not written" if one.is_optional else ""
    return "none; drop it here, or choose it" if one.is_optional else "drop it here, or choose it"


def make_editor(one: OptionField) -> Editor:
    """The editor that suits an option."""
    if one.kind in ("path", "file", "folder", "save", "volume"):
        return Place(one)
    if one.kind == "bool":
        return Switch(one)
    if words_of(one):
        return Ticks(one)
    if one.kind == "list" and one.metavar == "paths":
        return Places(one)
    if one.choices or alternatives(one):
        return Choice(one)
    return Line(one)
