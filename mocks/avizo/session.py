"""A session of Avizo with an empty project, without Avizo.

In:  arrays (x, y, z), .pyscro files, what a user does with the ports.
Out: messages, console text, results, and what looked doubtful (`warnings`).
Programmatic changes (`port.connect(...)`) start no round, as in Avizo's console; what the user does
(`press`, `type`, `select`, `tick`, `pick`, `connect`, `disconnect`) starts one.
"""

from __future__ import annotations

import contextlib
import sys
import tempfile
import threading
import traceback
from pathlib import Path

from . import current, namespace, tcl, user
from .behaviour import Behaviour
from .console import ConsoleStream
from .ports.plain import HxConnection
from .processes import watch_processes
from .script import run_guarded
from .services import HxMessage, HxPaths, HxProgress, HxViewerManager, Message
from .things import amiramesh
from .things.data_object import DataObject
from .things.fields import LABEL, SCALAR, HxRegScalarField3
from .things.project import HxObjectFactory, HxProject, Project


class Session(user.User):
    """One run of Avizo.

    behaviour: answers to what is not established. install_dir: the folder that hx_paths speaks of; its
    share/python_modules is on sys.path while a script runs, when it exists. echo: also print the console.

    messages: list of Message(kind, text). console: str. warnings: list of str. progress_log: list of
    ProgressRecord. confirmations: list of ints, the answers to come. processes: (event, arguments) of each
    process that was started while a script ran.
    """

    def __init__(self, behaviour=None, *, install_dir=None, echo=False):
        self.behaviour = behaviour or Behaviour()
        self.install_dir = Path(install_dir or Path(tempfile.gettempdir()) / "Avizo3D-stand-in")
        self.thread = threading.get_ident()
        self.messages, self.warnings, self.confirmations = [], [], []
        self.progress_log, self.open_progress, self.processes = [], [], []
        self.console_stream = ConsoleStream(echo=echo)
        self.script_name = None
        self.project = Project()
        self._stop = {}
        self.services = {
            "hx_project": HxProject(self),
            "hx_object_factory": HxObjectFactory(self),
            "hx_message": HxMessage(self),
            "hx_progress": HxProgress(self),
            "hx_paths": HxPaths(self.install_dir),
            "hx_viewer_manager": HxViewerManager(),
        }
        current.register(self)
        watch_processes()

    def __enter__(self):
        self._running = self.running()
        self._running.__enter__()
        return self

    def __exit__(self, *error):
        self._running.__exit__(*error)

    @property
    def console(self):
        """All that was printed, tracebacks included."""
        return self.console_stream.text()

    @property
    def objects(self):
        """The Project View: present name -> object."""
        return {thing.name: thing for thing in self.project.things}

    def scalar_field(self, array, *, name="scan", voxel_size=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0)):
        """A scalar field in the project. array: (x, y, z); voxel_size, origin: (x, y, z)."""
        return self._field(SCALAR, array, name, voxel_size, origin)

    def label_field(
        self, array, *, name="mask", voxel_size=(1.0, 1.0, 1.0), origin=(0.0, 0.0, 0.0), materials=None
    ):
        """A label field in the project. materials: {name: label value}; others appear by themselves."""
        field = self._field(LABEL, array, name, voxel_size, origin)
        for material, value in (materials or {}).items():
            field._mock_materials[material] = {"Id": value + 1, "Color": [1.0, 1.0, 1.0]}
        return field

    def other_object(self, type_name="HxSurface", *, name="surface"):
        """An object that is no field, to connect wrongly."""
        thing = DataObject(type_name, name)
        self.project.add(thing)
        return thing

    def _field(self, type_name, array, name, voxel_size, origin):
        """An axis with one voxel has a box as long as the voxel (our decision, see HxRegScalarField3)."""
        current.register(self)
        field = HxRegScalarField3(type_name, name)
        high = [o + max(n - 1, 1) * size for o, n, size in zip(origin, array.shape, voxel_size, strict=True)]
        field.bounding_box = (origin, high)
        field.set_array(array)
        self.project.add(field)
        return field

    def load(self, path):
        """Open a file; a script object is made, put into the project and fired for the first time.

        Raises what the script raises, under Behaviour.uncaught_exception "raise".
        """
        path = Path(path)
        thing = self.open_file(str(path))
        self.project.add(thing)
        return thing

    def open_file(self, path):
        """The object in the file `path`: .pyscro or .am. FileNotFoundError, NotImplementedError."""
        path = Path(path)
        if not path.is_file():
            raise FileNotFoundError(f"{path} does not exist.")
        if path.suffix.lower() in (".pyscro", ".py"):
            return self._load_script(path)
        if path.suffix.lower() == ".am":
            return amiramesh.read(path)
        raise NotImplementedError(f"the stand-in opens .pyscro and .am; {path.name} is neither.")

    def _load_script(self, path):
        source = path.read_text(encoding="utf-8")
        names = namespace.script_namespace(self, path)
        with self.running():
            try:
                exec(compile(source, str(path), "exec"), names)
                cls = namespace.script_class(names, path)
            except Exception:
                self.console_stream.write(traceback.format_exc())
                raise
            self.script_name = self.project.free_name(path.stem, of=None)
            try:
                module = cls.__new__(cls)
            finally:
                self.script_name = None
            self.project.add(module)
            self._initialise(module)
        module.fire()
        return module

    def _initialise(self, module):
        """Run `__init__`; a module whose `__init__` raised leaves the project when the exception goes on."""
        try:
            self.guard(module.__init__, f"{module.name}.__init__")
        except Exception:
            self.project.remove(module)
            raise
        for port in module._mock_ports:
            port._is_new = self.behaviour.first_round_is_new

    def guard(self, call, what):
        """Call `call()` as Behaviour.uncaught_exception says. Returns whether it went well."""
        return run_guarded(self, call, what)

    @contextlib.contextmanager
    def running(self):
        """While a script runs: its console, `_hx_core`, sys.path and sys.executable."""
        if current.running() is self:
            yield
            return
        modules = str(self.install_dir / "share" / "python_modules")
        executable, path = sys.executable, list(sys.path)
        current.enter(self)
        sys.modules["_hx_core"] = namespace.HX_CORE
        if Path(modules).is_dir():
            sys.path.insert(0, modules)
        if self.behaviour.executable == "application":
            sys.executable = str(self.install_dir / "bin" / "arch-Win64VC-Optimize" / "Avizo3D.exe")
        try:
            with (
                contextlib.redirect_stdout(self.console_stream),
                contextlib.redirect_stderr(self.console_stream),
            ):
                yield
        finally:
            sys.executable, sys.path[:] = executable, path
            current.leave()
            if current.running() is None:
                sys.modules.pop("_hx_core", None)

    def record_message(self, kind, text):
        """A message box."""
        current.check_thread("hx_message")
        self.messages.append(Message(kind, text))

    def tcl(self, command):
        """Run a Tcl command as `_hx_core._tcl_interp` does."""
        current.check_thread("_tcl_interp")
        return tcl.interpret(self, command)

    def interrupt_after(self, looks=None, *, steps=None, seconds=None):
        """Press Stop in the next bars after so many looks at `interrupted`, steps or seconds; or never."""
        self._stop = {"looks": looks, "steps": steps, "seconds": seconds}

    def stop_is_pressed(self, record, seconds):
        """Whether the user has pressed Stop by now."""
        reached = {"looks": record.looks - 1, "steps": record.steps_seen, "seconds": seconds}
        return any(limit is not None and reached[key] >= limit for key, limit in self._stop.items())

    def connections_from(self, thing):
        """The connections of the project that come from `thing`, as ports."""
        return [
            port
            for owner in self.project.things
            for port in owner._mock_ports
            if isinstance(port, HxConnection) and port.source() is thing
        ]
