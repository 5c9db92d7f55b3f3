"""What all objects of the Project View share, and their ports by name.

In:  a class name of Avizo and a name.
Out: `DataObject` with .name, .ports, .portnames, .viewer_mask, .parameters, ... (section 6); `Ports`.
Objects are always true (`if labeldata:` is written in real scripts).
"""

from __future__ import annotations

from .. import current
from ..attribute import Attribute, int_of, switch
from ..ports.base import text_of
from ..strict import Strict


class Ports(Strict):
    """The ports of an object by name: `ports.threshold`."""

    __slots__ = ("_owner",)

    def __init__(self, owner):
        object.__setattr__(self, "_owner", owner)

    def __getattr__(self, name):
        for port in self._owner._mock_visible_ports():
            if port._name == name:
                return port
        raise AttributeError(f"{self._owner.name} has no port '{name}'; its ports: {self._owner.portnames}")

    def __setattr__(self, name, value):
        raise AttributeError(f"ports.{name} cannot be assigned; a port is made by its class")


class Parameters(Strict):
    """The parameter bundle of an object, used as `parameters['key']`; setValue and getValue do not exist."""

    __slots__ = ("_owner", "_values")

    def __init__(self, owner):
        self._owner = owner
        self._values = {}

    def __getitem__(self, key):
        return self._owner._mock_parameters()[key]

    def __setitem__(self, key, value):
        if key == "Materials":
            self._owner._mock_set_materials(value)
        else:
            self._values[text_of(key, "the key of a parameter")] = value

    def __contains__(self, key):
        return key in self._owner._mock_parameters()

    def __str__(self):
        return str(self._owner._mock_parameters())


class DataObject(Strict):
    """An object of the project that holds data."""

    __slots__ = (
        "__weakref__",
        "_cpp_classname",
        "_mock_name",
        "_mock_ports",
        "_mock_session",
        "_parameters",
        "_ports",
        "_selected",
        "_viewer_mask",
    )

    def __init__(self, cpp_classname, name=None):
        self._mock_session = current.session()
        self._cpp_classname = cpp_classname
        self._mock_name = name or cpp_classname
        self._mock_ports = []
        self._ports = Ports(self)
        self._parameters = Parameters(self)
        self._viewer_mask = 1
        self._selected = False

    def __repr__(self):
        return f"<{self._cpp_classname} {self._mock_name!r}>"

    @property
    def name(self):
        return self._mock_name

    @name.setter
    def name(self, name):
        text_of(name, "name")
        self._mock_name = self._mock_session.project.free_name(name, of=self)

    @property
    def ports(self):
        return self._ports

    @property
    def portnames(self):
        return [port._name for port in self._mock_visible_ports()]

    @property
    def parameters(self):
        return self._parameters

    viewer_mask = Attribute(lambda _thing, value: int_of(value, "viewer_mask", "0 = hidden"))
    selected = switch()

    @property
    def downstream_connections(self):
        """The connections that come from this object, each with `get_owner()`."""
        return [Downstream(port) for port in self._mock_session.connections_from(self)]

    def _mock_visible_ports(self):
        return self._mock_ports

    def _mock_parameters(self):
        return self._parameters._values

    def _mock_set_materials(self, value):
        self._parameters._values["Materials"] = value

    def _mock_port_changed(self, port):
        """Ports of data start no rounds."""


class Downstream(Strict):
    """The far end of a connection."""

    __slots__ = ("_port",)

    def __init__(self, port):
        self._port = port

    def get_owner(self):
        """The object that the connection belongs to."""
        return self._port._owner
