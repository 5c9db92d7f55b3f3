"""The Project View: hx_project and hx_object_factory.

In:  type names, files, objects.
Out: objects by their present name; a second object of a name gets (2) before its suffix (section 5.1).
`create` puts the object into the project, the factory does not.
"""

from __future__ import annotations

import re
from pathlib import Path

from .. import current
from ..ports.base import text_of
from ..strict import Strict
from .fields import LABEL, SCALAR, HxRegScalarField3


def numbered(name, number):
    """`name` with (number) before its suffix: x.filtered -> x(2).filtered."""
    stem, dot, suffix = name.partition(".")
    stem = re.sub(r"[(]\d+[)]$", "", stem)
    return f"{stem}({number}){dot}{suffix}"


class Project:
    """What is in the Project View; the part that scripts do not see."""

    def __init__(self):
        self.things = []

    def free_name(self, name, *, of=None):
        """`name`, or the next one with a number that no other object of the project has."""
        if of is not None and not any(thing is of for thing in self.things):
            return name
        taken = {thing.name for thing in self.things if thing is not of}
        number = 1
        free = name
        while free in taken:
            number += 1
            free = numbered(name, number)
        return free

    def add(self, thing):
        """Put `thing` in, under a free name; nothing happens when it is in already."""
        if not any(thing is other for other in self.things):
            self.things.append(thing)
            thing.name = thing.name

    def remove(self, thing):
        """Take `thing` out; what it was connected to loses it. KeyError when it is not in."""
        if not any(thing is other for other in self.things):
            raise KeyError(thing.name)
        self.things = [other for other in self.things if other is not thing]
        for port in current.session().connections_from(thing):
            port.disconnect()
        for other in self.things:
            for index, result in enumerate(getattr(other, "results", ())):
                if result is thing:
                    other.results[index] = None


class Objects(Strict):
    """hx_project.objects: present name -> object, like a dict."""

    __slots__ = ("_project",)

    def __init__(self, project):
        self._project = project

    def _by_name(self):
        return {thing.name: thing for thing in self._project.things}

    def keys(self):
        return self._by_name().keys()

    def get(self, name):
        return self._by_name().get(name)

    def __getitem__(self, name):
        return self._by_name()[name]

    def __contains__(self, name):
        return name in self._by_name()

    def __iter__(self):
        return iter(self._by_name())

    def __len__(self):
        return len(self._by_name())


def make(type_name):
    """An object of Avizo by the name of its type; NotImplementedError for those that the stand-in has not."""
    text_of(type_name, "the type of an object")
    if type_name in (SCALAR, LABEL):
        return HxRegScalarField3(type_name)
    raise NotImplementedError(f"the stand-in cannot make '{type_name}'; it makes {SCALAR} and {LABEL}.")


class HxProject(Strict):
    """The service hx_project."""

    __slots__ = ("_session",)

    def __init__(self, session):
        self._session = session

    @property
    def objects(self):
        return Objects(self._session.project)

    def create(self, type_name):
        """A new object, put into the project."""
        current.check_thread("hx_project.create")
        thing = make(type_name)
        self._session.project.add(thing)
        return thing

    def add(self, thing):
        """Put an object of the factory into the project."""
        current.check_thread("hx_project.add")
        if not hasattr(thing, "_cpp_classname"):
            raise TypeError(f"hx_project.add takes an object, not {type(thing).__name__}.")
        self._session.project.add(thing)

    def get(self, name):
        """The object of that name. KeyError when there is none."""
        if name not in self.objects:
            raise KeyError(name)
        return self.objects[name]

    def remove(self, thing):
        """Take an object (not a name) out of the project."""
        current.check_thread("hx_project.remove")
        if not hasattr(thing, "_cpp_classname"):
            raise TypeError(f"hx_project.remove takes the object, not {thing!r}.")
        self._session.project.remove(thing)

    def remove_all(self):
        """Empty the project."""
        for thing in list(self._session.project.things):
            self._session.project.remove(thing)

    def load(self, path):
        """Load a file into the project; returns the object."""
        current.check_thread("hx_project.load")
        thing = self._session.open_file(text_of(path, "the path"))
        self._session.project.add(thing)
        return thing

    def save(self, path, pack_and_go=False):
        """Write the project as .hx (here: only the names and types of its objects)."""
        lines = [f'# {thing._cpp_classname} "{thing.name}"' for thing in self._session.project.things]
        Path(text_of(path, "the path")).write_text(
            "\n".join(["# Avizo Project", *lines, ""]), encoding="utf-8"
        )


class HxObjectFactory(Strict):
    """The service hx_object_factory: as hx_project, but the objects are not in the project."""

    __slots__ = ("_session",)

    def __init__(self, session):
        self._session = session

    def create(self, type_name):
        """A new object."""
        current.check_thread("hx_object_factory.create")
        return make(type_name)

    def load(self, path):
        """The object that a file holds."""
        current.check_thread("hx_object_factory.load")
        return self._session.open_file(text_of(path, "the path"))
