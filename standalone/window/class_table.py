"""Names and colours of the classes of a fit: a line for each label value that the masks hold.

In:  label values seen in the masks, and what their files call them; the option `class_names`.
Out: the option `class_names`: of the values that were given a name. The others keep those of the masks.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from PySide6.QtGui import QColor, QIcon, QPixmap
from PySide6.QtWidgets import QColorDialog, QGridLayout, QLabel, QLineEdit, QToolButton, QVBoxLayout

from bone_backend.options.fields import OptionField
from bone_backend.volumes.classes import class_colour, class_name

from .editors import Editor

SWATCH = 16  # px
VALUE_WIDTH, NAME_WIDTH = 24, 260


class ClassTable(Editor):
    """Shows and takes names of classes."""

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.lines: dict[int, tuple[QToolButton, QLineEdit]] = {}
        self._known: dict[int, tuple[str, str | None]] = {}
        self._seen: tuple[int, ...] = ()
        self._told: dict[int, tuple[str, str | None]] = {}
        column = QVBoxLayout()
        self.row.addLayout(column, 1)
        self.empty = QLabel("The label values appear here when masks were added; name those that you know.")
        self.empty.setWordWrap(True)
        self.empty.setProperty("kind", "hint")
        column.addWidget(self.empty)
        self.grid = QGridLayout()
        self.grid.setColumnStretch(3, 1)
        self.grid.setVerticalSpacing(4)
        column.addLayout(self.grid)

    def see(self, values: Iterable[int], told: Mapping[int, tuple[str, str | None]] | None = None) -> None:
        """The label values that the masks hold. told: their names and colours, where the files say them."""
        found, names = tuple(sorted(set(values))), dict(told or {})
        if (found, names) != (self._seen, self._told):
            self._seen, self._told = found, names
            self._fill()

    def classes(self) -> dict[int, tuple[str, str | None]]:
        """Name and colour of each value that was seen or named."""
        given = {value: entry for value, entry in self._known.items() if entry[0]}
        return {value: self._told.get(value, (class_name(value), None)) for value in self._seen} | given

    def value(self) -> list[dict[str, Any]]:
        return [
            {"value": value, "name": name, "colour": colour}
            for value, (name, colour) in sorted(self._known.items())
            if name
        ]

    def show_value(self, value: Any) -> None:
        found = dict(_entry(item) for item in value or ())
        if found != {number: entry for number, entry in self._known.items() if entry[0]}:
            self._known = found
            self._fill()

    def _fill(self) -> None:
        for swatch, line in self.lines.values():
            swatch.deleteLater()
            line.deleteLater()
        while self.grid.count():
            item = self.grid.takeAt(0)
            if item and item.widget():
                item.widget().deleteLater()
        self.lines = {}
        values = sorted({*self._seen, *self._known} - {0})
        self.empty.setVisible(not values)
        for number, value in enumerate(values):
            name, colour = self._known.get(value, ("", None))
            self._line(number, value, name, colour)

    def _line(self, number: int, value: int, name: str, colour: str | None) -> None:
        swatch = QToolButton()
        told, told_colour = self._told.get(value, (f"class {value}", None))
        swatch.setIcon(_swatch(colour or told_colour or class_colour(value)))
        swatch.setAccessibleName(f"Colour of class {value}")
        swatch.setToolTip("Choose another colour")
        swatch.setAutoRaise(True)
        swatch.clicked.connect(lambda: self._choose(value))
        line = QLineEdit(name)
        line.setPlaceholderText(told)
        line.setAccessibleName(f"Name of class {value}")
        line.textEdited.connect(lambda text: self._name(value, text))
        line.setFixedWidth(NAME_WIDTH)
        label = QLabel(str(value))
        label.setMinimumWidth(VALUE_WIDTH)
        for column, widget in enumerate((label, swatch, line)):
            self.grid.addWidget(widget, number, column)
        self.lines[value] = (swatch, line)

    def _name(self, value: int, text: str) -> None:
        self._known[value] = (text.strip(), self._known.get(value, ("", None))[1])
        self.changed.emit()

    def _choose(self, value: int) -> None:
        own, told = (known.get(value, ("", None))[1] for known in (self._known, self._told))
        before = own or told or class_colour(value)
        colour = QColorDialog.getColor(QColor(before), self, f"Colour of class {value}")
        if colour.isValid():
            self.set_colour(value, colour.name())

    def set_colour(self, value: int, colour: str) -> None:
        """Another colour; it needs a name to be kept with, so that one is made where there is none."""
        told = self._told.get(value, (f"class {value}", None))[0]
        name = self._known.get(value, ("", None))[0] or told
        self._known[value] = (name, colour)
        swatch, line = self.lines[value]
        swatch.setIcon(_swatch(colour))
        line.setText(name)
        self.changed.emit()


def _entry(item: Any) -> tuple[int, tuple[str, str | None]]:
    """One value of the option, as a text or a dictionary."""
    if isinstance(item, str):
        value, name, *rest = re.split(":", item)
        return int(value), (name, rest[0] if rest else None)
    return int(item["value"]), (item["name"], item.get("colour"))


def _swatch(colour: str) -> QIcon:
    picture = QPixmap(SWATCH, SWATCH)
    picture.fill(QColor(colour))
    return QIcon(picture)
