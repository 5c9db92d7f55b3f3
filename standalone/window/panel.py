"""The form as it is seen: groups of fields, each with its hint, its reset and its faults.

In:  a Form; editors for options that need more than a line (pairs, classes).
Out: `changed` when a person changes a field. Easy shows few fields, without groups; Advanced all of them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from PySide6.QtCore import Qt, Signal
from PySide6.QtWidgets import (
    QFrame,
    QGridLayout,
    QGroupBox,
    QLabel,
    QScrollArea,
    QSizePolicy,
    QToolButton,
    QVBoxLayout,
    QWidget,
)

from .editors import Choice, Editor, Line, make_editor
from .form import Form, hint
from .theme import mark

WIDE = ("pairs", "class_names")  # stand below their label, over the whole width


class FieldRow:
    """Label, editor, hint, reset and faults of one option, in a grid."""

    def __init__(self, form: Form, editor: Editor, grid: QGridLayout, line: int, *, is_wide: bool):
        self.form, self.editor, self.name = form, editor, editor.one.name
        one = editor.one
        self.label = QLabel(one.label)
        self.label.setToolTip(_tip(one.help))
        editor.setToolTip(_tip(one.help))
        self.marked = editor.marked
        self.label.setBuddy(self.marked)
        self.hint = QLabel(hint(one))
        self.hint.setProperty("kind", "hint")
        self.reset = QToolButton()
        self.reset.setText("reset")
        self.reset.setProperty("kind", "reset")
        self.reset.setAccessibleName(f"Reset {one.label}")
        self.fault = QLabel()
        self.fault.setProperty("kind", "fault")
        self.fault.setWordWrap(True)
        self.fault.setTextInteractionFlags(Qt.TextInteractionFlag.TextSelectableByMouse)
        self.fault.hide()
        if is_wide:
            self.label.setProperty("kind", "title")
            editor.setFocusProxy(None)  # else Tab passes over what stands before it
            grid.addWidget(self.label, line, 0, 1, 3)
            grid.addWidget(editor, line + 1, 0, 1, 4)
        else:
            grid.addWidget(self.label, line, 0, Qt.AlignmentFlag.AlignVCenter)
            grid.addWidget(editor, line, 1, 1, 2)
            if self.hint.text() and isinstance(editor, (Line, Choice)):
                editor.row.insertWidget(1, self.hint)
        grid.addWidget(self.reset, line, 3, Qt.AlignmentFlag.AlignRight)
        grid.setColumnMinimumWidth(3, self.reset.sizeHint().width())  # else fields change their width with it
        grid.addWidget(self.fault, line + 2, 0 if is_wide else 1, 1, 4 if is_wide else 3)

    def show(self, *, is_shown: bool, faults: Sequence[str]) -> None:
        for widget in (self.label, self.editor):
            widget.setVisible(is_shown)
        self.reset.setVisible(is_shown and self.name not in WIDE and self.form.is_changed(self.name))
        self.fault.setText("\n".join(faults))
        self.fault.setVisible(is_shown and bool(faults))
        mark(self.marked, "faulty", bool(faults))


class FormPanel(QScrollArea):
    """All fields of a form."""

    changed = Signal(str)

    def __init__(self, form: Form, special: Mapping[str, Editor], without: Sequence[str] = ()):
        super().__init__()
        self.form = form
        self.rows: dict[str, FieldRow] = {}
        self.boxes: dict[str, tuple[QWidget, list[str]]] = {}
        self.everything = False
        inside = QWidget()
        self.layout_inside = QVBoxLayout(inside)
        self.layout_inside.setContentsMargins(12, 4, 12, 12)
        self.first = self._box("", [name for name in form.easy if name not in without], special)
        for group, fields in form.groups().items():
            names = [one.name for one in fields if one.name not in (*form.easy, *without)]
            if names:
                self._box(group, names, special)
        self.rest = QLabel()
        self.rest.setProperty("kind", "fault")
        self.rest.setWordWrap(True)
        self.layout_inside.addWidget(self.rest)
        self.layout_inside.addStretch(1)
        self.setWidget(inside)
        self.setWidgetResizable(True)
        self.setFrameShape(QFrame.Shape.NoFrame)
        self.setFocusPolicy(Qt.FocusPolicy.NoFocus)  # it scrolls to the field that has the focus
        self.setHorizontalScrollBarPolicy(Qt.ScrollBarPolicy.ScrollBarAlwaysOff)
        self.show_values()

    def _box(self, group: str, names: Sequence[str], special: Mapping[str, Editor]) -> QWidget:
        box = QGroupBox(group) if group else QWidget()
        grid = QGridLayout(box)
        grid.setContentsMargins(0, 2 if group else 8, 0, 0)
        grid.setHorizontalSpacing(10)
        grid.setVerticalSpacing(5)
        grid.setColumnStretch(1, 1)
        for number, name in enumerate(names):
            editor = special.get(name) or make_editor(self.form.fields[name])
            row = FieldRow(self.form, editor, grid, 3 * number, is_wide=name in WIDE)
            row.label.setMinimumWidth(150)
            self.rows[name] = row
            editor.changed.connect(lambda name=name: self._take(name))
            row.reset.clicked.connect(lambda _=False, name=name: self._reset(name))
        box.setSizePolicy(QSizePolicy.Policy.Preferred, QSizePolicy.Policy.Maximum)
        self.layout_inside.addWidget(box)
        self.boxes[group] = (box, list(names))
        return box

    def _take(self, name: str) -> None:
        self.form.set(name, self.rows[name].editor.value())
        self.changed.emit(name)

    def _reset(self, name: str) -> None:
        self.form.reset(name)
        self.rows[name].editor.show_value(self.form.value(name))
        self.changed.emit(name)

    def show_values(self) -> None:
        """Put the form's values into all editors."""
        for name, row in self.rows.items():
            row.editor.show_value(self.form.value(name))

    def refresh(self, beside: Mapping[str, Sequence[str]]) -> None:
        """Show what means something now, and the faults; those of fields out of sight stand below."""
        rest = list(beside.get("", ()))
        for _group, (box, names) in self.boxes.items():
            is_any = False
            for name in names:
                is_shown = self.form.is_shown(name, everything=self.everything) or bool(beside.get(name))
                is_any |= is_shown
                self.rows[name].show(is_shown=is_shown, faults=beside.get(name, ()))
            box.setVisible(is_any)
        for name, faults in beside.items():
            if name and name not in self.rows:
                rest += faults
        self.rest.setText("\n".join(rest))
        self.rest.setVisible(bool(rest))


def _tip(text: str) -> str:
    """A text that Qt wraps."""
    return f"<p>{text.replace('&', '&amp;').replace('<', '&lt;')}</p>" if text else ""
