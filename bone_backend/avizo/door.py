"""What the three modules share: a round, a press of Apply, and how its end is told.

In:  a script object of Avizo and the global names of its .pyscro.
Out: `update` and `compute`, to be called from those of the script object.
While a task runs, Avizo's window lives on, so rounds come in between; they do nothing then.
"""

from __future__ import annotations

import abc
import sys
import traceback
from collections.abc import Callable, Mapping, Sequence
from typing import Any, ClassVar

from ..errors import BoneError, OptionError
from ..jobs import run as jobs
from ..progress import Progress
from .fields import Facts, Watch
from .forms import Form
from .host import Host
from .installation import lacking
from .panel import Panel
from .running import HostProgress, Outcome, run

READY = "Press Apply."
WORKING = "At work. Stop, beside the progress bar, ends it."
MOST_LINES = 8  # of faults in the panel


class Door(abc.ABC):
    """A module of BONe in Avizo."""

    form: ClassVar[Form]

    def __init__(self, module: Any, names: Mapping[str, Any]):
        self.host = Host(module, names)
        self.panel = Panel(self.host, self.form)
        self.facts: dict[str, Facts | None] = dict.fromkeys(self.panel.connections)
        self.paths: dict[str, str] = {}  # what the user calls the paths of the run under way
        self._watch = Watch()
        self._is_running = False
        self._lacking = [told for told in (lacking(self.form.command),) if told]
        if self._lacking:
            self._refuse(self._lacking)

    def update(self) -> None:
        """One round: show the ports that mean something, and what is missing."""
        if self._is_running:
            return
        self._safely(self._round)

    def _round(self) -> None:
        self.panel.adopt_data()
        self.facts = self._watch.look(self.panel.connections)
        self.show()
        if self._lacking:  # it may have been installed meanwhile
            self._look_for_packages()
        self._look_for_faults()

    def _safely(self, look: Callable[[], None]) -> None:
        """Look at something; what goes wrong is told in the panel."""
        try:
            look()
        except BoneError as error:
            self._show_faults(error.faults)
        except Exception as error:  # Avizo's answer to an exception is not known; the panel must go on
            traceback.print_exc(file=sys.stdout)
            self.panel.tell("missing", f"{type(error).__name__}: {error}. The console has the details.")

    def compute(self) -> None:
        """Do the work when Apply was pressed."""
        if self._is_running or not self.panel.apply.was_hit:
            return
        self._is_running = True
        try:
            self._apply()
        finally:
            self._is_running = False

    def _apply(self) -> None:
        self.panel.tell("result", "")
        self.facts = self._watch.look(self.panel.connections)
        self._look_for_packages()
        try:
            faults = self._lacking + self.faults()
        except BoneError as error:
            faults = [*self._lacking, *error.faults]
        if faults:
            self.panel.apply_works(False)
            self._refuse(faults)
            return
        self.panel.tell("missing", WORKING)
        self.panel.apply_works(False)
        outcome = run(self.host, self.form.title, self.work)
        self._safely(self._look_for_faults)  # a run folder is taken now, for instance
        if outcome.faults:
            self._refuse(outcome.faults, line="result")
        else:
            self.panel.tell("result", self.in_words(self.tell(outcome)))
            print(f"{self.form.title}: {self.panel.lines['result'].text}")

    def _look_for_faults(self) -> None:
        self._show_faults(self._lacking + self.faults())

    def _show_faults(self, faults: Sequence[str]) -> None:
        """Say what is missing; Apply cannot be pressed while there is anything."""
        told = [self.in_words(fault) for fault in faults]
        self.panel.tell("missing", self._listed(told) if told else READY)
        self.panel.apply_works(not told)

    def _look_for_packages(self) -> None:
        told = lacking(self.form.command, in_worker=self.in_worker())
        self._lacking = [told] if told else []

    def _refuse(self, faults: Sequence[str], *, line: str = "missing") -> None:
        """One message box, a line in the panel, and the console."""
        told = [self.in_words(fault) for fault in faults]
        text = "\n".join(told)
        self.panel.tell(line, self._listed(told))
        print(f"{self.form.title}: {text}")
        self.host.error(text)

    def show(self) -> None:
        """Show the ports that mean something now."""
        self.panel.show({})

    @abc.abstractmethod
    def faults(self) -> list[str]:
        """What is missing before Apply can work, in sentences."""

    @abc.abstractmethod
    def work(self, progress: HostProgress) -> dict[str, Any]:
        """The task behind Apply. Raises BoneError, or Cancelled after Stop."""

    @abc.abstractmethod
    def tell(self, outcome: Outcome) -> str:
        """The end of the task in one line, for the panel."""

    def in_worker(self) -> bool:
        """Whether the user wants the work done in the worker."""
        port = self.panel.options.get("run_in_worker")
        return bool(port is not None and port.read())

    def start(self, options: dict[str, Any], progress: Progress) -> dict[str, Any]:
        """Run the module's command, here or in the worker: the same result, the same Stop."""
        run_it = jobs.run_in_worker if self.in_worker() else jobs.run_here
        return run_it(self.form.command, options, progress=progress)

    def unit(self) -> tuple[str, float]:
        """The unit of the project's coordinates, and what turns a coordinate into it."""
        port = self.panel.options.get("unit")
        return ("", 1.0) if port is None else self.host.unit(port.read())

    def option_faults(self) -> list[str]:
        """Faults of the panel's own choices."""
        faults: list[str] = []
        for check in (self.panel.check_own, self.panel.host_options):
            try:
                check()
            except OptionError as error:
                faults += error.faults
        return faults

    def in_words(self, text: str) -> str:
        """A message in the panel's words: labels for options, fields for paths."""
        text = self.form.in_words(text)
        for path, name in self.paths.items():
            text = text.replace(path, name)
        return text

    @staticmethod
    def _listed(faults: list[str]) -> str:
        """Faults as lines; only the first few, because the panel is narrow."""
        lines = [line for fault in faults for line in fault.split("\n")]
        more = len(lines) - MOST_LINES
        return "\n".join(
            lines[:MOST_LINES] + ([f"... and {more} more, told when these are mended."] if more > 0 else [])
        )
