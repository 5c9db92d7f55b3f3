"""The table of pairs of a fit: filled by dropping, by buttons, and by a look at each pair in a thread.

In:  files and folders.
Out: the options `pairs` and `validation_pairs`; `chosen` with the row that is to be seen in the viewer.
"""

from __future__ import annotations

import queue
import threading
from pathlib import Path
from typing import Any

from PySide6.QtCore import QSize, Qt, QTimer, Signal
from PySide6.QtGui import (
    QBrush,
    QColor,
    QDragEnterEvent,
    QDropEvent,
    QKeySequence,
    QShortcut,
)
from PySide6.QtWidgets import (
    QAbstractItemView,
    QFileDialog,
    QHBoxLayout,
    QHeaderView,
    QLabel,
    QMessageBox,
    QPushButton,
    QTableWidget,
    QTableWidgetItem,
    QVBoxLayout,
)

from bone_backend.errors import ScanError
from bone_backend.options.fields import OptionField
from bone_backend.pairing.tables import ENDINGS, read_pairs

from .editors import Editor
from .pairs import Look, PairList, Row, look_at, scan_name, short_name
from .picture_tip import icon, picture_tip
from .theme import colours

COLUMNS = ("Scan", "Mask", "Subject", "Voxels (z, y, x)", "Classes", "Validates", "State")
SCAN, MASK, SUBJECT, SHAPE, CLASSES, VALIDATES, STATE = range(len(COLUMNS))
TIPS = {
    SUBJECT: "Animal or person. Scans of one subject are never split between training and validation.",
    VALIDATES: "Tick the pairs to validate on; all others train. None ticked: BONe chooses.",
    CLASSES: "Label values seen in slices of the mask.",
}
LOOK_MS = 100
MASK_WIDTH, STATE_WIDTH = 104, 72  # px; what does not fit stands below the table
LEAST_ROWS, MOST_ROWS = 3, 6  # in sight
LINE, THUMBNAIL = 40, 36  # px
TABLES = "Tables of pairs (*.csv *.tsv)"
VOLUMES = "Scans and masks (*.tif *.tiff *.btf *.npy);;All files (*)"


class PairTable(Editor):
    """Shows and takes pairs."""

    chosen = Signal(object)  # a Row
    looked = Signal()

    def __init__(self, one: OptionField):
        super().__init__(one)
        self.pairs = PairList()
        self._looks: queue.SimpleQueue[tuple[Row, str, str, Look]] = queue.SimpleQueue()
        self._is_filling = False
        column = QVBoxLayout()
        column.setSpacing(6)
        self.row.addLayout(column, 1)
        column.addLayout(self._buttons())
        self.table = self._table()
        column.addWidget(self.table)
        self.setFocusProxy(self.table)
        self.empty = QLabel(
            "Drop scans and their masks here, files or folders, or a CSV.\nNames such as femur_1.tif "
            "and femur_1_mask.tif find each other.",
            self.table.viewport(),
        )
        self.empty.setAlignment(Qt.AlignmentFlag.AlignCenter)
        self.empty.setProperty("kind", "hint")
        self.empty.setAttribute(Qt.WidgetAttribute.WA_TransparentForMouseEvents)
        self.setAcceptDrops(True)
        self._timer = QTimer(self)
        self._timer.timeout.connect(self._take_looks)
        self.fill()

    def _buttons(self) -> QHBoxLayout:
        row = QHBoxLayout()
        self.add_files = QPushButton("Add files …")
        self.add_folder = QPushButton("Add folder …")
        self.add_table = QPushButton("From CSV …")
        self.add_table.setToolTip(
            "A table with the columns scan, mask and, if you like, subject; paths beside the table itself"
        )
        self.take_out = QPushButton("Remove")
        self.told = QLabel()
        self.told.setProperty("kind", "hint")
        self.add_files.clicked.connect(self._choose_files)
        self.add_folder.clicked.connect(self._choose_folder)
        self.add_table.clicked.connect(self._choose_table)
        self.take_out.clicked.connect(self.remove_chosen)
        for button in (self.add_files, self.add_folder, self.add_table, self.take_out):
            row.addWidget(button)
        row.addStretch(1)
        row.addWidget(self.told)
        return row

    def _table(self) -> QTableWidget:
        table = QTableWidget(0, len(COLUMNS))
        table.setHorizontalHeaderLabels(COLUMNS)
        table.setAccessibleName(self.one.label)
        table.setAccessibleDescription(self.one.help)
        table.setSelectionBehavior(QAbstractItemView.SelectionBehavior.SelectRows)
        table.verticalHeader().setDefaultSectionSize(LINE)
        table.setIconSize(QSize(THUMBNAIL, THUMBNAIL))
        table.setWordWrap(False)
        table.setTextElideMode(Qt.TextElideMode.ElideMiddle)
        header = table.horizontalHeader()
        header.setDefaultAlignment(Qt.AlignmentFlag.AlignLeft | Qt.AlignmentFlag.AlignVCenter)
        for number in range(len(COLUMNS)):
            item = table.horizontalHeaderItem(number)
            if item:
                item.setToolTip(TIPS.get(number, ""))
            mode = QHeaderView.ResizeMode
            usual = mode.Stretch if number == SCAN else mode.ResizeToContents
            is_set = number in (MASK, STATE)
            header.setSectionResizeMode(number, mode.Interactive if is_set else usual)
        table.setColumnWidth(STATE, STATE_WIDTH)
        table.setColumnWidth(MASK, MASK_WIDTH)
        header.setMinimumSectionSize(48)
        header.setHighlightSections(False)
        table.itemChanged.connect(self._edited)
        table.itemSelectionChanged.connect(self._choose)
        table.cellDoubleClicked.connect(self._replace)
        QShortcut(
            QKeySequence.StandardKey.Delete,
            table,
            self.remove_chosen,
            context=Qt.ShortcutContext.WidgetShortcut,
        )
        return table

    # what the form asks

    def value(self) -> list[dict[str, Any]]:
        return self.pairs.value()

    def show_value(self, value: Any) -> None:
        if [dict(pair) if isinstance(pair, dict) else pair for pair in value or ()] != self.pairs.value():
            self.take(value or ())

    def take(self, value: Any, validation: Any = ()) -> None:
        """Show pairs that come from elsewhere."""
        self.pairs.take(value, validation)
        self.fill()
        self.look()

    # what a person does

    def add_paths(self, paths: list[str]) -> None:
        """Take dropped or chosen files and folders."""
        tables = [path for path in paths if Path(path).suffix.lower() in ENDINGS]
        if tables:
            self.add_tables(tables)
            paths = [path for path in paths if path not in tables]
            if not paths:
                return
        is_any = bool(self.pairs.add(paths))
        self.fill()
        if not is_any:
            self.told.setText(f"no scan or mask in {', '.join(Path(path).name for path in paths[:3])}")
            return
        self.look()
        self.changed.emit()
        if self.pairs.rows and not self.table.selectedItems():
            self.table.selectRow(0)

    def add_tables(self, paths: list[str]) -> None:
        """Take the pairs of CSV files; where one has a fault nothing of it is taken, and all are told."""
        for path in paths:
            try:
                self.pairs.take_lines(read_pairs(Path(path)))
            except ScanError as error:
                kind = QMessageBox.Icon.Warning
                self.box = QMessageBox(
                    kind, "BONe", f"Nothing was taken from {Path(path).name}.", parent=self
                )
                self.box.setInformativeText("\n".join(error.faults))
                self.box.open()
        self.fill()
        self.look()
        self.changed.emit()
        if self.pairs.rows and not self.table.selectedItems():
            self.table.selectRow(0)

    def _choose_table(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "A table of pairs", "", TABLES)
        if paths:
            self.add_tables(paths)

    def remove_chosen(self) -> None:
        rows = sorted({index.row() for index in self.table.selectedIndexes()})
        if rows:
            self.table.clearSelection()
            self.pairs.remove(rows)
            self.fill()
            self.changed.emit()

    def _choose_files(self) -> None:
        paths, _ = QFileDialog.getOpenFileNames(self, "Scans and masks", "", VOLUMES)
        if paths:
            self.add_paths(paths)

    def _choose_folder(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "A folder of scans and masks, or of slices")
        if path:
            self.add_paths([path])

    def _replace(self, number: int, column: int) -> None:
        if column not in (SCAN, MASK):
            return
        row = self.pairs.rows[number]
        path, _ = QFileDialog.getOpenFileName(self, COLUMNS[column], row.scan or row.mask, VOLUMES)
        if path:
            self.set_path(number, column, path)

    def set_path(self, number: int, column: int, path: str) -> None:
        """Another scan or mask in a row."""
        row = self.pairs.rows[number]
        if column == SCAN:
            row.scan = path
        else:
            row.mask = path
        row.look = None
        self.fill()
        self.look()
        self.changed.emit()

    def _edited(self, item: QTableWidgetItem) -> None:
        if self._is_filling:
            return
        row = self.pairs.rows[item.row()]
        if item.column() == SUBJECT:
            row.subject = item.text().strip()
        elif item.column() == VALIDATES:
            row.is_validation = item.checkState() == Qt.CheckState.Checked
        self.fill()
        self.changed.emit()

    def _choose(self) -> None:
        rows = {index.row() for index in self.table.selectedIndexes()}
        if len(rows) == 1 and not self._is_filling:
            self.chosen.emit(self.pairs.rows[rows.pop()])

    def dragEnterEvent(self, event: QDragEnterEvent) -> None:  # noqa: N802 (Qt's)
        if event.mimeData().hasUrls():
            event.acceptProposedAction()

    def dropEvent(self, event: QDropEvent) -> None:  # noqa: N802 (Qt's)
        self.add_paths([url.toLocalFile() for url in event.mimeData().urls() if url.isLocalFile()])
        event.acceptProposedAction()

    # what is seen

    def fill(self) -> None:
        """Write all rows."""
        self._is_filling = True
        rows = self.pairs.rows
        self.table.setRowCount(len(rows))
        is_by_hand = any(row.is_validation for row in rows)
        for number, row in enumerate(rows):
            self._fill_row(number, row, is_by_hand=is_by_hand)
        self._is_filling = False
        self.table.setColumnHidden(SUBJECT, not (any(row.subject for row in rows) or self._is_everything))
        shown = min(max(len(rows), LEAST_ROWS), MOST_ROWS)
        self.table.setFixedHeight(LINE * shown + 30)
        self.empty.setVisible(not rows)
        self.told.setText(self.pairs.in_words() if rows else "")
        self.take_out.setEnabled(bool(rows))
        self._place_empty()

    _is_everything = False

    def show_everything(self, everything: bool) -> None:
        """Also the column that is seldom needed."""
        self._is_everything = everything
        self.fill()

    def _fill_row(self, number: int, row: Row, *, is_by_hand: bool) -> None:
        look = row.look or Look()
        side = "auto" if not is_by_hand else "validates" if row.is_validation else "trains"
        texts = (
            scan_name(Path(row.scan)) if row.scan else "…",
            short_name(Path(row.mask)) if row.mask else "…",
            row.subject,
            f"{look.shape_in_words}\n{look.voxel_size_in_words}".strip(),
            *(look.classes_in_words, side, row.state),
        )
        for column, text in enumerate(texts):
            item = QTableWidgetItem(text)
            flags = Qt.ItemFlag.ItemIsEnabled | Qt.ItemFlag.ItemIsSelectable
            if column == SUBJECT:
                flags |= Qt.ItemFlag.ItemIsEditable
            if column == VALIDATES:
                flags |= Qt.ItemFlag.ItemIsUserCheckable
                checked = Qt.CheckState.Checked if row.is_validation else Qt.CheckState.Unchecked
                item.setCheckState(checked)
            item.setFlags(flags)
            tips = {
                SCAN: row.scan,
                MASK: row.mask,
                STATE: "\n".join((*look.faults, *look.notes)) or row.state,
            }
            item.setToolTip(tips.get(column, TIPS.get(column, "")))
            if column == SCAN and look.picture is not None:
                item.setIcon(icon(look.picture))
                item.setToolTip(picture_tip(row.scan, look.picture))
            if column == STATE and (row.look or not row.is_whole):
                item.setForeground(_colour(is_good=row.state == "good"))
            self.table.setItem(number, column, item)

    def faults(self) -> list[str]:
        """Of the rows, each with the name of its scan."""
        rows = [row for row in self.pairs.rows if row.look]
        return [f"{Path(row.scan).name}: {fault}" for row in rows for fault in row.look.faults]

    def notes(self) -> list[str]:
        """What looks odd, and stops nobody."""
        rows = [row for row in self.pairs.rows if row.look]
        return [f"{Path(row.scan).name}: {note}" for row in rows for note in row.look.notes]

    def resizeEvent(self, event: Any) -> None:  # noqa: N802 (Qt's)
        super().resizeEvent(event)
        self._place_empty()

    def _place_empty(self) -> None:
        self.empty.setGeometry(self.table.viewport().rect())

    # looks, in a thread

    def look(self) -> None:
        """Look at the rows that nobody has looked at."""
        waiting = [
            (n, row, row.scan, row.mask)
            for n, row in enumerate(self.pairs.rows, start=1)
            if row.is_whole and row.look is None
        ]
        if not waiting:
            return

        def work() -> None:
            for number, row, scan, mask in waiting:
                self._looks.put((row, scan, mask, look_at(scan, mask, number)))

        threading.Thread(target=work, name="bone looks", daemon=True).start()
        self._timer.start(LOOK_MS)

    def _take_looks(self) -> None:
        is_new = False
        while not self._looks.empty():
            row, scan, mask, look = self._looks.get()
            if (row.scan, row.mask) == (scan, mask):
                row.look, is_new = look, True
        if is_new:
            self.fill()
            self.looked.emit()
        if self.pairs.is_looked_at:
            self._timer.stop()


def _colour(*, is_good: bool) -> QBrush:
    return QBrush(QColor(colours().good if is_good else colours().wrong))
