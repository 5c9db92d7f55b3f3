"""What all ports share, and the lists of items that some of them hold.

In:  the module that owns the port, its name and label.
Out: `Port`, `Element` (an item such as one text of several), `PortList`.
A port notes that it changed; whether that starts another round is decided by its owner.
"""

from __future__ import annotations

import copy

from .. import current
from ..attribute import Attribute, int_of, switch
from ..strict import Strict, StrictList


def text_of(value, what):
    """`value` when it is a str, else TypeError."""
    if not isinstance(value, str):
        raise TypeError(f"{what} is {type(value).__name__}; Avizo takes str.")
    return value


class Port(Strict):
    """A line of the Properties panel (section 4.1)."""

    __slots__ = ("_enabled", "_is_new", "_label", "_name", "_owner", "_position", "_visible")

    def __init__(self, owner, name="", label=""):
        if not hasattr(owner, "_mock_ports"):
            raise TypeError(
                f"{type(self).__name__}: the first argument is the module itself (self), not {owner!r}."
            )
        self._owner = owner
        self._name = ""
        self._label = text_of(label, "label")
        self._visible = True
        self._enabled = True
        self._is_new = False
        self._position = None
        owner._mock_ports.append(self)
        if name != "":
            self.name = name

    def __repr__(self):
        return f"<{type(self).__name__} {self._name!r}>"

    @property
    def name(self):
        return self._name

    @name.setter
    def name(self, name):
        text_of(name, "the name of a port")
        if any(port._name == name for port in self._owner._mock_ports if port is not self):
            current.warn(f"two ports are named '{name}'")
        if not name.isidentifier():
            current.warn(f"the port name '{name}' is no identifier: self.ports.<name> cannot reach it")
        self._name = name

    label = Attribute(lambda _port, value: text_of(value, "label"))
    visible = switch()
    enabled = switch()

    @property
    def is_new(self):
        return self._is_new

    @property
    def position(self):
        return self._owner._mock_ports.index(self) + 1 if self._position is None else self._position

    @position.setter
    def position(self, position):
        self._position = int_of(position, "position", "1 = top")

    def _get_state(self):
        raise NotImplementedError(f"the state string of {type(self).__name__} is not known")

    def _set_state(self, state):
        raise NotImplementedError(f"the state string of {type(self).__name__} is not known")

    def _changed(self):
        """Note a new value; raises RuntimeError in a worker thread."""
        current.check_thread(f"port '{self._name}'")
        self._is_new = True
        self._owner._mock_port_changed(self)

    def _seen(self):
        """The round is over."""
        self._is_new = False


class Element(Strict):
    """An item of a port: one text, toggle, radio box, menu, button."""

    __slots__ = ("_port",)

    def __init__(self):
        self._port = None

    def _changed(self):
        if self._port is not None:
            self._port._changed()

    def _state(self):
        """The values of the item as a tuple, to see whether another one differs."""
        raise NotImplementedError

    def _adopted(self):
        """Called when the item becomes part of a port."""


class PortList(StrictList):
    """The items of a port. They can be replaced by index; there are as many as were given."""

    __slots__ = ("_kinds", "_port")

    def __init__(self, port, kinds, items):
        super().__init__()
        self._port = port
        self._kinds = kinds
        self._items = [self._adopt(item) for item in items]

    def _adopt(self, item):
        if not isinstance(item, self._kinds):
            wanted = ", ".join(kind.__qualname__ for kind in self._kinds)
            raise TypeError(f"{self._port!r} takes {wanted}, not {type(item).__name__}.")
        if current.session().behaviour.port_lists == "copied":
            item = copy.copy(item)
        item._port = self._port
        item._adopted()
        return item

    def __setitem__(self, index, item):
        before = self._items[index]._state()
        self._items[index] = self._adopt(item)
        if self._items[index]._state() != before:
            self._port._changed()

    def _states(self):
        return [(type(item), item._state()) for item in self._items]


class Items:
    """A list of items of a port, given whole: list or tuple of `kinds`, anything else is a TypeError.

    Counts as a change of the port when the values differ.
    """

    def __init__(self, *kinds):
        self._kinds = kinds

    def __set_name__(self, kind, name):
        self._slot = f"_{name}"

    def __get__(self, port, kind=None):
        return self if port is None else getattr(port, self._slot)

    def __set__(self, port, items):
        if not isinstance(items, list | tuple):
            raise TypeError(f"{port!r} takes a list of items, not {type(items).__name__}.")
        before = getattr(port, self._slot)._states()
        setattr(port, self._slot, PortList(port, self._kinds, items))
        if getattr(port, self._slot)._states() != before:
            port._changed()


def index_of(value, count, what):
    """`value` as an index. TypeError when it is no int; a warning when there is no such item (yet)."""
    if isinstance(value, bool) or not isinstance(value, int):
        raise TypeError(f"{what}: selected is {value!r}; it is an int.")
    if not 0 <= value < count:
        current.warn(f"{what}: selected is {value}, but there are {count} items")
    return value


def picked(items, what):
    """The attribute `selected`: an index. items, what: from the object to what it counts, and to its name."""
    return Attribute(lambda thing, value: index_of(value, len(items(thing)), what(thing)), is_value=True)
