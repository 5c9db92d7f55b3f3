"""What the three tabs share: a form on the left, things to look at on the right, Start and Stop below.

In:  a command, and the runner of jobs.
Out: runs in the worker's process; faults beside their fields; what came of it in words.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from PySide6.QtCore import Qt, QTimer, QUrl, Signal
from PySide6.QtGui import QDesktopServices, QFontDatabase, QKeySequence, QShortcut
from PySide6.QtWidgets import QPlainTextEdit, QSplitter, QTabWidget, QVBoxLayout, QWidget

from bone_backend.early import check_inputs
from bone_backend.errors import BoneError, OutputError, called
from bone_backend.jobs.leaving import LeftJob
from bone_backend.options.fields import Options
from bone_backend.options.programs import dump

from .editors import Editor
from .form import Checked, Form
from .panel import FormPanel
from .run_bar import RunBar
from .task import News, Outcome, Runner, Task, follower
from .view import View
from .viewer import Viewer

POLL_MS = 80
CHECK_MS, LOOK_MS = 150, 300  # after the last key
MOST_LINES = 5000  # of the log


class RunTab(QWidget):
    """One command."""

    command = ""
    verb = "Start"
    nothing = ""  # in the viewer
    without: tuple[str, ...] = ()  # options that something else than a row stands for
    waits = False  # its runs wait for those that go on

    asked = Signal(object)  # runs that wait for their turn: [(options, what, why it cannot begin)]
    began = Signal()
    ended = Signal(object)  # an Outcome

    def __init__(self, runner: Runner):
        super().__init__()
        self.runner = runner
        self.task: Task | None = None
        self.taken: Callable[[], set[str]] = set  # where runs that go on or wait will write
        self._has_waited = False
        self._result_told: tuple[str, str] | None = None  # what the faults in its place have covered
        self.form = Form(self.command)
        self.checked = Checked()
        self._is_eager = False  # Start was pressed: what is missing is now a fault
        self._late: dict[str, list[str]] = {}  # faults that only a look at files found
        self.panel = FormPanel(self.form, self.special(), self.without)
        self.viewer = Viewer(self.nothing)
        self.pages = QTabWidget()
        self.pages.setDocumentMode(True)
        self.pages.addTab(self.viewer, "Look")
        self.log = QPlainTextEdit()
        self.log.setReadOnly(True)
        self.log.setMaximumBlockCount(MOST_LINES)
        self.log.setFont(QFontDatabase.systemFont(QFontDatabase.SystemFont.FixedFont))
        self.log.setPlaceholderText("What a run tells stands here.")
        self.log.setAccessibleName("Log")
        self.add_pages()
        self.pages.addTab(self.log, "Log")
        self.split = QSplitter(Qt.Orientation.Horizontal)
        self.split.addWidget(self.panel)
        self.split.addWidget(self.pages)
        self.split.setSizes([630, 610])
        self.split.setStretchFactor(0, 1)
        self.split.setStretchFactor(1, 2)
        self.split.setChildrenCollapsible(False)
        self.run_bar = RunBar(self.verb)
        column = QVBoxLayout(self)
        column.setContentsMargins(0, 0, 0, 0)
        column.setSpacing(0)
        column.addWidget(self.split, 1)
        column.addWidget(self.run_bar)
        self._wire()
        self.check()

    def _wire(self) -> None:
        self._check_timer = QTimer(self)
        self._check_timer.setSingleShot(True)
        self._check_timer.setInterval(CHECK_MS)
        self._check_timer.timeout.connect(self.check)
        self._look_timer = QTimer(self)
        self._look_timer.setSingleShot(True)
        self._look_timer.setInterval(LOOK_MS)
        self._look_timer.timeout.connect(self.show_chosen)
        self._poll_timer = QTimer(self)
        self._poll_timer.setInterval(POLL_MS)
        self._poll_timer.timeout.connect(self._poll)
        self.panel.changed.connect(self._changed)
        self.run_bar.started.connect(self.start)
        self.run_bar.stopped.connect(self.stop)
        QShortcut(QKeySequence("Ctrl+Return"), self, self.start).setAutoRepeat(False)

    # what a tab adds

    def special(self) -> dict[str, Editor]:
        """Editors for options that need more than a line."""
        return {}

    def add_pages(self) -> None:
        """Further pages on the right."""

    def field_changed(self, name: str) -> None:
        """A person changed a field."""

    def more_faults(self) -> dict[str, list[str]]:
        """Faults that this tab found, by field."""
        return {}

    def is_too_early(self, name: str) -> bool:
        """Whether nobody has come to a field yet, so that its faults are kept until Start."""
        return False

    def notes(self) -> dict[str, list[str]]:
        """What looks odd, by field; stands where faults stand and stops nobody."""
        return {}

    def show_news(self, news: News, task: Task) -> None:
        """While it runs."""

    def show_result(self, outcome: Outcome, task: Task) -> None:
        """At the end; what is told and can be done then."""
        raise NotImplementedError

    # the form

    def _changed(self, name: str) -> None:
        self._late.pop(name, None)
        self._late.pop("", None)
        self.field_changed(name)
        self.panel.refresh(self._beside())
        self._check_timer.start()

    def check(self) -> None:
        """Look at all fields; tell what is to do."""
        self.checked = self.form.check()
        self.panel.refresh(self._beside())
        if self.task is None or not self.task.is_running:
            self._tell_todo()

    def _beside(self) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {}
        for source in (self.checked.beside, self.more_faults(), self._late, self.notes()):
            for name, faults in source.items():
                if self._is_eager or source is not self.checked.beside or not self.is_too_early(name):
                    known = found.setdefault(name, [])
                    known += [fault for fault in faults if fault not in known]
        if self._is_eager:
            for name in self.form.missing():
                label = self.form.fields[name].label
                found.setdefault(name, []).append(
                    f"{label}: choose {'one' if label[-1] != 's' else 'where they go'}."
                )
        return found

    def todo(self) -> list[str]:
        """What is still to be given, in words."""
        return [label[0].lower() + label[1:] for label in self.checked.missing]

    def _tell_todo(self) -> None:
        faults = sum(len(told) for told in self._beside().values())
        faults -= sum(len(told) for told in self.notes().values())
        todo = self.todo()
        if self.task is not None and self.task.outcome is not None and not faults:
            if self._result_told is not None:  # what came of the last run stands there again
                self.run_bar.tell(*self._result_told)
                self._result_told = None
            return
        if self._result_told is None:
            self._result_told = self.run_bar.told.text(), str(self.run_bar.told.property("kind"))
        if todo:
            self.run_bar.tell(f"Still to give: {', '.join(todo)}.")
        elif faults:
            self.run_bar.tell(
                f"{faults} field{'s' * (faults > 1)} to mend, in red above." if faults else "", "fault"
            )
        else:
            self.run_bar.tell("Ready.")

    def show_everything(self, everything: bool) -> None:
        """Advanced, or Easy."""
        self.panel.everything = everything
        self.panel.refresh(self._beside())

    def take_values(self, values: Mapping[str, Any]) -> None:
        """Those of a configuration; what stood there before is gone."""
        self.form.reset_all()
        for name, value in values.items():
            if name in self.form.fields:
                self.form.set(name, value)
        self._late = {}
        self.panel.show_values()
        for name in values:
            if name in self.form.fields:
                self.field_changed(name)
        self.check()

    # runs

    @property
    def is_running(self) -> bool:
        return self.task is not None and self.task.is_running

    def start(self) -> None:
        """Check everything, files too, and begin or wait; or tell what is wrong, beside its field."""
        if self.is_running and not self.waits:
            return
        self._is_eager, self._late = True, {}
        self.check()
        if self.more_faults() or not self.checked.is_good or self.checked.options is None:
            self._show_first_fault()
            return
        options = self.checked.options.with_paths(Path.absolute)
        try:
            self.check_files(options)
        except BoneError as error:
            for fault in error.faults:
                self.form.place(fault, self._late)
            self.check()
            self._show_first_fault()
            return
        self._is_eager = False
        if self.waits:
            self.asked.emit(self.requests(options))
        else:
            self.begin(options)

    def check_files(self, options: Options) -> None:
        """Raise BoneError where a run could not begin, or would write where another one does."""
        output = str(getattr(options, "output", ""))
        if self.waits and output in self.taken():
            raise OutputError(f"{called('output')} {output}: a run in the queue writes there. Name another.")
        options.check_paths()
        check_inputs(options)

    def requests(self, options: Options) -> list[tuple[Options, str, str]]:
        """What is asked for: options, what it is, and why it cannot begin, if so."""
        return [(options, self.what(options), "")]

    def what(self, options: Options) -> str:
        """A run in words, for the list of runs."""
        return self.verb

    def show_todo(self) -> None:
        """What is missing is a fault from now on."""
        self._is_eager = True
        self.check()
        self._show_first_fault()

    def _show_first_fault(self) -> None:
        beside = self._beside()
        name = next((name for name in self.panel.rows if beside.get(name)), None)
        if name:
            self.panel.ensureWidgetVisible(self.panel.rows[name].fault)
            self.panel.rows[name].marked.setFocus()
        elif beside:
            self.panel.ensureWidgetVisible(self.panel.rest)

    def begin(self, options: Options, *, job: LeftJob | None = None, has_waited: bool = False) -> None:
        """Run it. job: one that an earlier window has left, to be followed. has_waited: in the queue."""
        self._is_eager, self._has_waited, self._result_told = False, has_waited, None
        runner = self.runner if job is None else follower(job.folder)
        gone_s = 0.0 if job is None else max(time.time() - job.began, 0.0)
        self.task = Task(self.command, dump(options), runner=runner, gone_s=gone_s)
        self.log.appendPlainText(f"{self.verb}, {time.strftime('%Y-%m-%d %H:%M')}")
        self.run_bar.show_actions([])
        self.run_bar.show_task(self.task)
        self._poll_timer.start()
        self.began.emit()

    def stop(self) -> None:
        if self.task is not None:
            self.task.stop()
            self.run_bar.show_task(self.task)

    def _poll(self) -> None:
        task = self.task
        if task is None:
            return
        news = task.poll()
        for line in news.lines:
            self.log.appendPlainText(line)
        self.show_news(news, task)
        self.run_bar.show_task(task)
        if news.outcome is not None:
            self._poll_timer.stop()
            self._finish(news.outcome, task)

    def _finish(self, outcome: Outcome, task: Task) -> None:
        if outcome.is_left:
            return
        if outcome.is_done:
            self.run_bar.bar.setValue(self.run_bar.bar.maximum())
            self.show_result(outcome, task)
        elif outcome.is_stopped:
            self.show_result(outcome, task)
        else:
            self.show_faults(outcome)
        self.ended.emit(outcome)

    def show_faults(self, outcome: Outcome) -> None:
        """Beside their fields where they have one, and in the line below."""
        self.run_bar.bar.setValue(0)
        told = [self.form.in_words(fault) for fault in outcome.faults]
        for text in told:
            self.log.appendPlainText(text)
        if outcome.is_ours:
            self.pages.setCurrentWidget(self.log)
            first = told[0].split("\n")[0].removesuffix(" The last lines of its log:")
            self.run_bar.tell(
                f"The run broke off. {first}\n{self.advice()} The log has the details.", "fault"
            )
            return
        for fault in outcome.faults:
            if fault.names and not self._has_waited:  # else the form may hold another run by now
                self.form.place(fault, self._late)
        self.panel.refresh(self._beside())
        self.run_bar.tell("\n".join(told[:4]) + ("\n…" if len(told) > 4 else ""), "fault")

    def advice(self) -> str:
        """What to do first when a run broke off."""
        return "Start it again. If the memory was full, close other programs first."

    # looking

    def look(self, scan: str | None, labels: str | None = None, reference: str | None = None) -> str:
        """Show volumes; what is wrong with them is told in their place, and given."""
        try:
            view = View(scan or None, labels or None, reference or None)
        except (BoneError, OSError) as error:
            self.viewer.show_view(None, str(error))
            return str(error)
        self.viewer.show_view(view)
        return ""

    def look_later(self) -> None:
        """Show what the fields name when nobody types any more."""
        self._look_timer.start()

    def show_chosen(self) -> None:
        """Show what the fields name."""

    def open_file(self, path: Path) -> None:
        """In the program that the system has for it."""
        QDesktopServices.openUrl(QUrl.fromLocalFile(str(path)))

    def take_colours(self) -> None:
        """The scheme has changed."""

    def end(self) -> None:
        """Stop and let go of everything."""
        if self.task is not None and self.task.is_running:
            if not self.task.is_left:
                self.task.stop()
            self.task.wait(15.0)
        self._poll_timer.stop()
        self._check_timer.stop()
        self._look_timer.stop()
        self.viewer.close_view()
