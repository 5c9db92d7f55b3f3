"""What the colours of labels mean; a click on a class hides it, or shows it again.

In:  the classes of a View.
Out: `changed` with the set of classes that are hidden.
"""

from __future__ import annotations

from html import escape

from PySide6.QtCore import QEvent, Qt, Signal
from PySide6.QtWidgets import QLabel

from bone_backend.volumes.classes import wrong_colour

from .view import View

MOST = 12  # classes that are told


class Legend(QLabel):
    """Squares in the colours, with value and name."""

    changed = Signal()

    def __init__(self) -> None:
        super().__init__()
        self.off: set[int] = set()
        self._view: View | None = None
        self.setTextFormat(Qt.TextFormat.RichText)
        self.setTextInteractionFlags(
            Qt.TextInteractionFlag.LinksAccessibleByMouse | Qt.TextInteractionFlag.LinksAccessibleByKeyboard
        )
        self.setWordWrap(True)
        self.setAccessibleName("Classes; Return hides the one in focus, or shows it again")
        self.setToolTip("Click on a class to hide it, or to show it again")
        self.linkActivated.connect(self.switch)

    def show_view(self, view: View | None) -> None:
        """Another one, with all classes shown."""
        self._view, self.off = view, set()
        self.tell()

    def switch(self, link: str) -> None:
        """Hide a class, or show it again."""
        self.off ^= {int(link)}
        self.tell()
        self.changed.emit()

    def changeEvent(self, event: QEvent) -> None:  # noqa: N802 (Qt's)
        if event.type() == QEvent.Type.PaletteChange:  # the ink stands in the text
            self.tell()
        super().changeEvent(event)

    def tell(self) -> None:
        """Those values that have names; where none has, those that some slices hold."""
        view, told = self._view, []
        names = view.known_names() if view else {}
        ink = self.palette().color(self.foregroundRole()).name()
        for value, name in sorted(names.items())[:MOST]:
            assert view is not None
            is_off = value in self.off
            words = f'<span style="color:{ink}; text-decoration:{"line-through" if is_off else "none"}">'
            colour, square = (ink, "□") if is_off else (view.colour(value), "■")
            marked = f'<span style="color:{colour}">{square}</span> {words}{value} {escape(name)}</span>'
            told.append(f'<a href="{value}" style="text-decoration:none">{marked}</a>')
        if view is not None and view.has_errors:
            told.append(f'<span style="color:{wrong_colour(view.colours.values())}">■</span> differs')
        self.setText("&nbsp;&nbsp; ".join(told))
        self.setVisible(bool(told))
