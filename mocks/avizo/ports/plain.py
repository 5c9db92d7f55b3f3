"""Connections, the Apply button, texts and file names.

In:  what a script or the user puts into them.
Out: the port classes HxConnection, HxPortDoIt, HxPortInfo, HxPortText, HxPortFilename (section 4.2).
`source` is a method, so `if connection.source:` is always true, as in real life.
"""

from __future__ import annotations

from .. import current
from ..attribute import Attribute
from ..things.types import KNOWN_TYPES, matches
from .base import Port, text_of


class HxConnection(Port):
    """A line to another object of the project."""

    __slots__ = ("_source", "_valid_types")

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._source = None
        self._valid_types = []

    @property
    def valid_types(self):
        return self._valid_types

    @valid_types.setter
    def valid_types(self, types):
        names = [types] if isinstance(types, str) else list(types)
        for name in names:
            if text_of(name, "a valid type") not in KNOWN_TYPES:
                current.warn(f"valid_types of '{self._name}' has '{name}', which nobody has seen to work")
        self._valid_types = types if isinstance(types, str) else names

    @property
    def connected(self):
        return self._source is not None

    def source(self):
        """The connected object or None."""
        return self._source

    def connect(self, thing):
        """Connect `thing`, an object of the project. TypeError (or a warning) when its type is wrong."""
        if not hasattr(thing, "_cpp_classname"):
            raise TypeError(
                f"'{self._name}'.connect takes an object of the project, not {type(thing).__name__}."
            )
        if not self._matches(thing):
            what = f"{thing.name} ({thing._cpp_classname})"
            text = f"{what} was connected to '{self._name}', which takes {self._valid_types}"
            if current.session().behaviour.wrong_connection == "raise":
                raise TypeError(text)
            current.warn(text)
            return
        if thing is not self._source:
            self._source = thing
            self._changed()

    def disconnect(self):
        """Leave the port unconnected."""
        if self._source is not None:
            self._source = None
            self._changed()

    def _matches(self, thing):
        types = [self._valid_types] if isinstance(self._valid_types, str) else self._valid_types
        scalar = current.session().behaviour.labels_match_scalar
        return matches(thing._cpp_classname, types, labels_match_scalar=scalar)


class HxPortDoIt(Port):
    """The Apply button; its label is the text on it."""

    __slots__ = ("_was_hit",)

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._was_hit = False

    @property
    def was_hit(self):
        return self._was_hit

    @was_hit.setter
    def was_hit(self, was_hit):
        self._was_hit = bool(was_hit)
        if self._was_hit:
            self._changed()

    def _seen(self):
        super()._seen()
        self._was_hit = False


class HxPortInfo(Port):
    """A line of text for the user to read."""

    __slots__ = ("_text",)

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._text = ""

    text = Attribute(lambda port, value: text_of(value, f"text of '{port._name}'"), is_value=True)


class HxPortText(HxPortInfo):
    """A line of text that the user can write."""

    __slots__ = ()


class HxPortFilename(Port):
    """One path, several, or none."""

    __slots__ = ("_filenames", "_filetypes", "_mode")

    ANY_FILE = 0
    EXISTING_FILE = 1
    MULTI_FILE = 2
    LOAD_DIRECTORY = 3
    SAVE_DIRECTORY = 4

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._mode = self.ANY_FILE
        self._filenames = None
        self._filetypes = []

    mode = Attribute(lambda port, value: port._known_mode(value))

    @property
    def filenames(self):
        """None, a str, or a list of str."""
        return list(self._filenames) if isinstance(self._filenames, list) else self._filenames

    @filenames.setter
    def filenames(self, names):
        if names is not None and not isinstance(names, str):
            if not isinstance(names, list | tuple):
                raise TypeError(
                    f"filenames of '{self._name}' takes None, str or a list of str, not {names!r}."
                )
            names = [text_of(name, "a file name") for name in names]
        if names != self._filenames:
            self._filenames = names
            self._changed()

    def _known_mode(self, mode):
        if mode not in range(5):
            raise ValueError(
                f"mode of '{self._name}' is {mode!r}; take one of the constants of HxPortFilename."
            )
        return mode

    def registerfiletype(self, name, extensions, kind):
        """Offer files of this type in the dialog. extensions: 'tif:tiff' or '*'; kind: unknown meaning."""
        text_of(name, "name"), text_of(extensions, "extensions")
        if not isinstance(kind, int):
            raise TypeError(f"the third argument of registerfiletype is {kind!r}; an int (0 or 1) was seen.")
        self._filetypes.append((name, extensions, kind))
