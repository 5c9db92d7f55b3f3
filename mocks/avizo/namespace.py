"""The names that Avizo injects into a .pyscro, and the module `_hx_core` for ordinary modules.

In:  a session.
Out: a namespace to execute a script in; a module object for sys.modules.
`_hx_core` talks to the running session, so a module that imports from it once can be used by many sessions.
"""

from __future__ import annotations

import types

from . import current
from .ports import choices as choice_ports
from .ports import numbers as number_ports
from .ports import plain as ports
from .ports import scene as scene_ports
from .script import PyScriptObject
from .strict import Strict
from .things.fields import HxRegScalarField3

CLASSES = {
    cls.__name__: cls
    for cls in (
        PyScriptObject,
        HxRegScalarField3,
        ports.HxConnection,
        ports.HxPortDoIt,
        ports.HxPortFilename,
        ports.HxPortInfo,
        ports.HxPortText,
        choice_ports.HxPortButtonList,
        choice_ports.HxPortButtonMenu,
        choice_ports.HxPortMultiMenu,
        choice_ports.HxPortRadioBox,
        choice_ports.HxPortToggleList,
        number_ports.HxPortFloatSlider,
        number_ports.HxPortFloatTextN,
        number_ports.HxPortIntSlider,
        number_ports.HxPortIntTextN,
        scene_ports.HxPort3DPointList,
        scene_ports.HxPortGeneric,
    )
}


def script_namespace(session, path):
    """A dict to execute the script at `path` in."""
    namespace = {"__name__": path.stem, "__builtins__": __builtins__, **CLASSES, **session.services}
    if session.behaviour.script_file_name:
        namespace["__file__"] = str(path)
    return namespace


class Forward(Strict):
    """A service of whichever session runs."""

    __slots__ = ("_service",)

    def __init__(self, service):
        self._service = service

    def __getattr__(self, name):
        return getattr(current.session().services[self._service], name)


def tcl_interp(command):
    """Run a Tcl command in the running session; gives back its text."""
    return current.session().tcl(command)


def _make_hx_core():
    module = types.ModuleType("_hx_core")
    module.hx_message = Forward("hx_message")
    module.hx_progress = Forward("hx_progress")
    module._tcl_interp = tcl_interp
    return module


HX_CORE = _make_hx_core()


def script_class(namespace, path):
    """The one class that the script defines and that derives from PyScriptObject, whatever its name.

    Raises ImportError when there is none or more than one (a base of another one does not count).
    """
    found = [
        thing
        for thing in namespace.values()
        if isinstance(thing, type)
        and issubclass(thing, PyScriptObject)
        and thing is not PyScriptObject
        and thing.__module__ == path.stem
    ]
    leaves = [cls for cls in found if not any(other is not cls and issubclass(other, cls) for other in found)]
    if len(leaves) != 1:
        names = ", ".join(cls.__name__ for cls in leaves) or "none"
        raise ImportError(
            f"{path.name} must define one class that derives from PyScriptObject; it defines {names}."
        )
    return leaves[0]
