"""A row that leads from one slice worth a look to the next.

In:  a Ranking.
Out: `chosen` with the number of a slice along z.
"""

from __future__ import annotations

from PySide6.QtCore import Signal
from PySide6.QtWidgets import QHBoxLayout, QLabel, QPushButton, QToolButton, QWidget

from .worst import Ranking


class WorstBar(QWidget):
    """Hidden where nothing is ranked."""

    chosen = Signal(int)

    def __init__(self) -> None:
        super().__init__()
        self.ranking: Ranking | None = None
        self.place = -1
        row = QHBoxLayout(self)
        row.setContentsMargins(0, 0, 0, 0)
        self.worst = QPushButton("Worst slice")
        self.worst.setToolTip("Jump to the slice with the lowest score (key w: to the next one)")
        self.worst.clicked.connect(lambda: self.go(0))
        self.before, self.after = QToolButton(), QToolButton()
        for button, text, name, step in (
            (self.before, "◀", "Worse slice", -1),
            (self.after, "▶", "Next worst slice", 1),
        ):
            button.setText(text)
            button.setAccessibleName(name)
            button.setToolTip(name)
            button.clicked.connect(lambda _=False, step=step: self.go(self.place + step))
        self.told = QLabel()
        self.told.setProperty("kind", "hint")
        for widget in (self.worst, self.before, self.after):
            row.addWidget(widget)
        row.addWidget(self.told, 1)
        self.hide()

    def show_ranking(self, ranking: Ranking | None) -> None:
        """Another one, or none."""
        self.ranking, self.place = ranking, -1
        self.setVisible(bool(ranking and ranking.slices))
        self._tell()

    def go(self, place: int) -> None:
        """To a place of the ranking, the worst is 0; nothing happens beyond its ends."""
        if self.ranking is None or not 0 <= place < len(self.ranking.slices):
            return
        self.place = place
        self._tell()
        self.chosen.emit(self.ranking.slices[place])

    def next(self) -> None:
        self.go(self.place + 1)

    def _tell(self) -> None:
        found = self.ranking
        number = len(found.slices) if found else 0
        self.before.setEnabled(self.place > 0)
        self.after.setEnabled(self.place < number - 1)
        if found and 0 <= self.place < number:
            at = f"{self.place + 1} of {number}: slice {found.slices[self.place] + 1:,}"
            self.told.setText(f"{at}, {found.told[self.place]}")
        else:
            self.told.setText(f"of the {number} with the {found.order} {found.what}" if found else "")
