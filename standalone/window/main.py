"""The window: three tabs, Easy or Advanced, and a menu.

In:  the runner of jobs; what is remembered.
Out: configurations as `--config` takes them, and the command that does the same.
"""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt
from PySide6.QtGui import QAction, QActionGroup, QCloseEvent, QGuiApplication, QKeySequence
from PySide6.QtWidgets import (
    QApplication,
    QButtonGroup,
    QFileDialog,
    QHBoxLayout,
    QMainWindow,
    QMenu,
    QMessageBox,
    QPushButton,
    QTabWidget,
    QVBoxLayout,
    QWidget,
)

from bone_backend import __version__
from bone_backend.errors import BoneError
from bone_backend.files.inside import file_of
from bone_backend.jobs import run as jobs
from bone_backend.jobs.folder import remove
from bone_backend.jobs.leaving import left_jobs
from bone_backend.report.command_words import option_words

from ..flags import write_config
from ..option_files import read_config
from . import closing, theme
from .fit_tab import FitTab
from .iou_tab import IoUTab
from .kept_runs import KeptRuns
from .memory import Memory, as_text
from .predict_tab import PredictTab
from .run_folder import look_at_run
from .runs import Run
from .runs_dock import RunsDock
from .study_window import StudyWindow
from .tab import RunTab
from .task import Runner
from .tour_bar import TourBar

TABS = {"fit": ("Fit", FitTab), "predict": ("Predict", PredictTab), "iou": ("IoU", IoUTab)}
CONFIGURATIONS = "Configurations (*.json *.yaml *.yml *.toml)"
SIZE = (1280, 720)


class Window(QMainWindow):
    """The whole of it."""

    def __init__(
        self, *, runner: Runner = jobs.run_in_worker, memory: Memory | None = None, tab: str = "fit"
    ):
        super().__init__()
        self.memory = memory or Memory()
        self.setWindowTitle(f"BONe {__version__}")
        self.resize(*SIZE)
        self.tabs = QTabWidget()
        self.tabs.setDocumentMode(True)
        self.tabs.tabBar().setDrawBase(False)
        self.by_name: dict[str, RunTab] = {}
        for name, (title, kind) in TABS.items():
            self.by_name[name] = kind(runner)
            self.tabs.addTab(self.by_name[name], title)
        self.fit: Any = self.by_name["fit"]
        self.predict: Any = self.by_name["predict"]
        self.iou: Any = self.by_name["iou"]
        self.fit.predict_with.connect(self._predict_with)
        self.predict.score_with.connect(self._score_with)
        self.tour = TourBar(self)
        inside = QWidget()
        column = QVBoxLayout(inside)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.tour)
        column.addWidget(self.tabs, 1)
        self.setCentralWidget(inside)
        self.dock = RunsDock(self.by_name, KeptRuns(self.memory.path.parent))
        self.addDockWidget(Qt.DockWidgetArea.BottomDockWidgetArea, self.dock)
        self.dock.began.connect(self._remember)
        self.dock.shown.connect(self._show_result)
        self.tabs.setCornerWidget(self._switch(), Qt.Corner.TopRightCorner)
        self._menus()
        self.tabs.setCurrentWidget(self.by_name[tab])
        self.show_everything(self.memory.get("everything", False))
        self.take_colours()

    @property
    def tab(self) -> RunTab:
        """The one in front."""
        return list(self.by_name.values())[self.tabs.currentIndex()]

    def _switch(self) -> QWidget:
        """Easy or Advanced, in the corner."""
        holder = QWidget()
        row = QHBoxLayout(holder)
        row.setContentsMargins(0, 2, 10, 2)
        row.setSpacing(0)
        self.levels = QButtonGroup(self)
        self.easy, self.advanced = QPushButton("Easy"), QPushButton("Advanced")
        for number, (button, told) in enumerate(
            ((self.easy, "The few choices that matter"), (self.advanced, "All options"))
        ):
            button.setCheckable(True)
            button.setToolTip(told)
            self.levels.addButton(button, number)
            row.addWidget(button)
        self.levels.idClicked.connect(lambda number: self.show_everything(number == 1))
        return holder

    def show_everything(self, everything: bool) -> None:
        """Advanced, or Easy, in all tabs."""
        button = self.levels.button(int(everything))
        if button:
            button.setChecked(True)
        for tab in self.by_name.values():
            tab.show_everything(everything)
        self.memory.set("everything", everything)

    def _menus(self) -> None:
        bar = self.menuBar()
        file = bar.addMenu("&File")
        self._action(file, "&Load configuration …", self.ask_load, QKeySequence.StandardKey.Open)
        self._action(file, "&Save configuration …", self.ask_save, QKeySequence.StandardKey.Save)
        self.recent: QMenu = file.addMenu("&Recent configurations")
        self.recent.aboutToShow.connect(self._fill_recent)
        self._action(file, "R&eset this tab", self.reset)
        file.addSeparator()
        self._action(file, "Open r&un folder …", self.ask_run)
        self.recent_runs: QMenu = file.addMenu("Recent ru&ns")
        self.recent_runs.aboutToShow.connect(self._fill_runs)
        self._action(file, "Open s&tudy …", self.ask_study)
        file.addSeparator()
        self._action(file, "&Copy as command", self.copy_command, "Ctrl+Shift+C")
        file.addSeparator()
        self._action(file, "&Quit", self.close, QKeySequence.StandardKey.Quit)
        look = bar.addMenu("&View")
        group = QActionGroup(self)
        chosen = self.memory.get("scheme", "system")
        for name, words in (("system", "As the &system"), ("light", "&Light"), ("dark", "&Dark")):
            action = self._action(look, words, lambda name=name: self.choose_scheme(name))
            action.setCheckable(True)
            action.setChecked(name == chosen)
            group.addAction(action)
        self._action(bar.addMenu("&Help"), "Take the &tour", lambda: self.tour.offer(again=True))
        look.addSeparator()
        shown = self.dock.toggleViewAction()
        shown.setText("Ru&ns")
        look.addAction(shown)

    def _action(self, menu: QMenu, words: str, do: Any, keys: Any = None) -> QAction:
        action = menu.addAction(words)
        if keys is not None:
            action.setShortcut(QKeySequence(keys))
        action.triggered.connect(lambda _=False: do())
        return action

    # configurations

    def ask_load(self) -> None:
        path, _ = QFileDialog.getOpenFileName(self, "Load configuration", "", CONFIGURATIONS)
        if path:
            self.load(Path(path))

    def load(self, path: Path) -> None:
        """Take the values of a configuration into the tab in front; a fault is told in a dialog."""
        try:
            values = read_config(path)
            unknown = sorted(values.keys() - self.tab.form.fields.keys())
            if unknown:
                named, title = ", ".join(unknown[:5]), self.tab.form.table.title
                told = f"{path.name} has {named}, which {title} does not know."
                raise BoneError(f"{told} Open the tab that the configuration is of, and load it there.")
        except BoneError as error:
            self.tell_fault("The configuration was not loaded.", error)
            return
        self.tab.take_values(values)
        self.memory.add_recent(str(path))

    def ask_study(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Open study: the folder of bone study --output")
        if path:
            self.open_study(Path(path))

    def open_study(self, path: Path) -> None:
        """Watch a study, also while it runs; a fault is told in a dialog."""
        try:
            self.study = StudyWindow(path, self)
        except BoneError as error:
            self.tell_fault("The study was not opened.", error)
            return
        self.study.show()

    def ask_save(self) -> None:
        path, _ = QFileDialog.getSaveFileName(
            self, "Save configuration", "configuration.json", CONFIGURATIONS
        )
        if path:
            self.save(Path(path) if Path(path).suffix else Path(f"{path}.json"))

    def save(self, path: Path) -> None:
        """Write the options of the tab in front, as --save-config does."""
        options = self._options()
        if options is None:
            return
        try:
            write_config(path, options)
            self.memory.add_recent(str(path))
            self.tab.run_bar.tell(f"Saved as {path}.")
        except BoneError as error:
            self.tell_fault("The configuration was not saved.", error)

    def reset(self) -> None:
        self.tab.take_values({})

    def command(self) -> str | None:
        """What does the same in a terminal; None while something does not hold."""
        options = self._options()
        if options is None:
            return None
        name = self.tab.command
        groups = [" ".join(shlex.quote(word) for word in words) for words in option_words(options)]
        return " \\\n  ".join([f"bone {name}", *groups])

    def copy_command(self) -> None:
        text = self.command()
        if text is not None:
            QGuiApplication.clipboard().setText(text)
            self.tab.run_bar.tell("Copied. Paste it into a terminal; it does the same as Start.")

    def _options(self) -> Any:
        """The checked options of the tab in front; where there are none, what is missing is shown."""
        tab = self.tab
        tab.check()
        if tab.checked.options is None:
            tab.show_todo()
            return None
        return tab.checked.options.with_paths(Path.absolute)

    def _fill_recent(self) -> None:
        self.recent.clear()
        paths = self.memory.recent()
        for path in paths:
            self._action(self.recent, path, lambda path=path: self.load(Path(path)))
        if not paths:
            self.recent.addAction("none yet").setEnabled(False)

    def tell_fault(self, what: str, error: BoneError) -> None:
        """A fault of no field, in a dialog."""
        box = QMessageBox(QMessageBox.Icon.Warning, "BONe", what, QMessageBox.StandardButton.Ok, self)
        box.setInformativeText("\n".join(self.tab.form.in_words(fault) for fault in error.faults))
        self.box = box
        box.open()

    # runs of before

    def ask_run(self) -> None:
        path = QFileDialog.getExistingDirectory(self, "Run folder")
        if path:
            self.open_run(Path(path))

    def open_run(self, folder: Path) -> bool:
        """Show a run folder in the Fit tab; one that vanished, or is none, is told in a dialog."""
        self.tabs.setCurrentWidget(self.fit)
        try:
            if self.fit.is_running:
                raise BoneError("A fit is shown there just now; wait for its end, or stop it.")
            self.fit.show_run(look_at_run(folder))
        except BoneError as error:
            self.tell_fault("The run is not shown.", error)
            return False
        self.memory.add_run("fit", str(folder))
        return True

    def open_labels(self, entry: dict[str, Any]) -> bool:
        """Show the labels of a prediction over their scan."""
        labels, scan = Path(entry["place"]), Path(str(entry.get("scan", "")))
        self.tabs.setCurrentWidget(self.predict)
        lost = [path for path in (labels, scan) if not file_of(path).exists()]
        if lost:
            error = BoneError(f"{lost[0]} is not there any more; it was moved, renamed or deleted.")
            self.tell_fault("The labels are not shown.", error)
            return False
        self.predict.show_labels(str(scan), str(labels))
        return True

    def _fill_runs(self) -> None:
        self.recent_runs.clear()
        entries = self.memory.runs()
        for entry in entries:
            self._action(self.recent_runs, as_text(entry), lambda entry=entry: self.open_entry(entry))
        if not entries:
            self.recent_runs.addAction("none yet").setEnabled(False)

    def open_entry(self, entry: dict[str, Any]) -> None:
        """A recent run; one that vanished is told once, then forgotten."""
        is_fit = entry["command"] == "fit"
        is_shown = self.open_run(Path(entry["place"])) if is_fit else self.open_labels(entry)
        if not is_shown and not Path(entry["place"]).exists():
            self.memory.forget_run(entry)

    def _remember(self, run: Run) -> None:
        """A run that has begun."""
        options: Any = run.options
        if run.command == "fit":
            if not options.dry_run:
                self.memory.add_run("fit", str(options.resume or options.output))
        else:
            self.memory.add_run(run.command, str(options.output), scan=str(options.scan))

    def _show_result(self, run: Run) -> None:
        options: Any = run.options
        if options is None:
            return
        if run.command == "fit":
            self.open_run(Path(options.resume or options.output))
        elif run.result is not None:
            self.open_labels({"place": str(options.output), "scan": str(options.scan)})

    def find_left(self) -> None:
        """Show runs that an earlier window has left running, or that have ended since."""
        for job in left_jobs():
            tab = self.by_name.get(job.command)
            if tab is None or not tab.waits or tab.is_running:
                continue
            try:
                options = tab.form.table.parse(job.options)
            except BoneError as error:  # e.g. of another version of BONe
                self.tell_fault("A run that was left running cannot be shown.", error)
                if not job.is_running:
                    remove(job.folder)  # told once
                continue
            resumed = job.options.get("resume")  # the rest is that of its folder
            tab.take_values({"resume": resumed} if resumed else job.options)
            self.tabs.setCurrentWidget(tab)
            self.dock.follow(job, options)

    def greet(self) -> None:
        """Offer the tour, the first time that the window is opened."""
        if not self.memory.get("toured", False):
            self.memory.set("toured", True)
            self.tour.offer()

    # from tab to tab

    def _predict_with(self, model: str) -> None:
        self.predict.set_model(model)
        self.tabs.setCurrentWidget(self.predict)

    def _score_with(self, labels: str) -> None:
        self.iou.set_prediction(labels)
        self.tabs.setCurrentWidget(self.iou)

    # light and dark

    def choose_scheme(self, name: str) -> None:
        self.memory.set("scheme", name)
        theme.choose(name)
        self.take_colours()

    def take_colours(self) -> None:
        application = QApplication.instance()
        if isinstance(application, QApplication):
            theme.apply(application, self)
        for tab in self.by_name.values():
            tab.take_colours()

    # the end

    def running(self) -> list[RunTab]:
        return [tab for tab in self.by_name.values() if tab.is_running]

    def ask_to_close(self) -> str:
        """What becomes of the runs: "stop", "leave", or "" to stay; asked while one goes on."""
        return closing.ask(self, self.running(), waiting=len(self.dock.runs.waiting))

    def closeEvent(self, event: QCloseEvent) -> None:  # noqa: N802 (Qt's)
        answer = self.ask_to_close() if self.running() else closing.STOP
        if not answer:
            event.ignore()
            return
        self.dock.close_queue()
        closing.let_go(self.running(), answer)
        self.tour.end()
        self.hide()  # saving the best model takes seconds
        for tab in self.by_name.values():
            tab.end()
        event.accept()
