"""The script object: its ports, its results and its rounds.

In:  a class of a .pyscro that derives from PyScriptObject.
Out: update, compute, then is_new and was_hit cleared, at each fire() (section 3).
`data`, `ports` and `results` exist before `__init__` runs, since no script calls `super().__init__()`.
"""

from __future__ import annotations

import traceback

from . import current
from .ports.base import text_of
from .ports.choices import HxPortButtonList
from .ports.plain import HxConnection, HxPortDoIt, HxPortFilename
from .strict import StrictList
from .things.data_object import Ports

MOST_ROUNDS = 8


class Results(StrictList):
    """The results of a module; slot 0 exists at once. An object that is put in joins the project."""

    __slots__ = ("_module",)

    def __init__(self, module, items=(None,)):
        super().__init__()
        self._module = module
        self._items = [None] * len(items)
        for index, item in enumerate(items):
            self[index] = item

    def __setitem__(self, index, thing):
        current.check_thread("results")
        if thing is not None and not hasattr(thing, "_cpp_classname"):
            raise TypeError(
                f"a result is {type(thing).__name__}; it is an object of Avizo, or None to let one go."
            )
        before = self._items[index]
        if before is not None and before is not thing and "master" in before.portnames:
            before.ports.master.disconnect()
        self._items[index] = thing
        if thing is not None:
            self._module._mock_session.project.add(thing)
            if "master" in thing.portnames and thing.ports.master.source() is None:
                thing.ports.master.connect(self._module)


class PyScriptObject:
    """The base class of all script objects (section 2). Scripts set what attributes they like."""

    _cpp_classname = "HxPythonScriptObject"

    def __new__(cls):
        self = super().__new__(cls)
        session = current.session()
        self.__dict__.update(
            _mock_session=session,
            _mock_ports=[],
            _mock_name=session.script_name or cls.__name__,
            _mock_in_round=False,
        )
        self.__dict__.update(
            _mock_again=False, _mock_changed=[], _mock_rounds=0, viewer_mask=1, selected=False
        )
        data = HxConnection(self, "data", "Data")
        HxPortButtonList._built_in(self, "startStop", "Script", ["Start", "Stop"])
        HxPortButtonList._built_in(self, "showConsole", "Console", ["Show"])
        HxPortFilename(self, "filename", "Filename")
        for port in self._mock_ports[1:]:
            port._visible = False
        self.__dict__.update(_mock_data=data, _mock_namespace=Ports(self), _mock_results=Results(self))
        return self

    def __repr__(self):
        return f"<script object {self._mock_name!r}>"

    @property
    def name(self):
        return self._mock_name

    @name.setter
    def name(self, name):
        self._mock_name = self._mock_session.project.free_name(text_of(name, "name"), of=self)

    @property
    def data(self):
        return self._mock_data

    @property
    def ports(self):
        return self._mock_namespace

    @property
    def portnames(self):
        return [port._name for port in self._mock_visible_ports()]

    @property
    def results(self):
        return self._mock_results

    @results.setter
    def results(self, results):
        for index, thing in enumerate(self._mock_results):
            if thing is not None and not any(thing is other for other in results):
                self._mock_results[index] = None
        self._mock_results = Results(self, list(results))

    def fire(self):
        """One round: update, compute, then all ports are seen. Inside a round: as Behaviour says."""
        current.check_thread("fire")
        if self._mock_in_round:
            self._mock_again |= self._mock_session.behaviour.fire_inside_a_round == "after"
            return
        with self._mock_session.running():
            for _ in range(MOST_ROUNDS):
                self._mock_again = False
                self._mock_round()
                if not self._mock_again:
                    return
        current.warn(f"{self._mock_name} did not come to rest in {MOST_ROUNDS} rounds")

    def execute(self):
        """Press the first DoIt port, if there is one, and run a round."""
        for port in self._mock_ports:
            if isinstance(port, HxPortDoIt):
                port.was_hit = True
                break
        self.fire()

    def _mock_visible_ports(self):
        early = self._mock_session.behaviour.console_port == "early" or self._mock_rounds > 0
        return [port for port in self._mock_ports if early or port._name != "showConsole"]

    def _mock_port_changed(self, port):
        if self._mock_in_round and not any(port is other for other in self._mock_changed):
            self._mock_changed.append(port)

    def _mock_round(self):
        behaviour = self._mock_session.behaviour
        self._mock_in_round = True
        self._mock_changed = []
        if behaviour.visibility_resets and self._mock_rounds > 0:
            for port in self._mock_ports:
                port._visible = port._name not in ("startStop", "showConsole", "filename")
        try:
            done = self._mock_session.guard(
                getattr(self, "update", lambda: None), f"{self._mock_name}.update"
            )
            if done:
                self._mock_session.guard(self.compute, f"{self._mock_name}.compute")
        finally:
            self._mock_in_round = False
            self._mock_rounds += 1
            for port in self._mock_ports:
                port._seen()
            if behaviour.setting_a_port_fires and self._mock_changed:
                self._mock_again = True
                for port in self._mock_changed:
                    port._is_new = True


def run_guarded(session, call, what):
    """Call `call()`; an exception does what Behaviour says. Returns whether it went well."""
    try:
        call()
    except Exception as error:
        session.console_stream.write(traceback.format_exc())
        choice = session.behaviour.uncaught_exception
        if choice == "raise":
            raise
        if choice == "message box":
            session.record_message("error", f"{what}: {type(error).__name__}: {error}")
        return False
    return True
