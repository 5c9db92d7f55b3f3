"""The base of every stand-in object: what is not listed does not exist.

In:  a class that names its attributes in __slots__ and properties.
Out: AttributeError on reading or setting anything else.
A permissive stand-in would bless invented calls; this one makes them fail.
"""

from __future__ import annotations


class Strict:
    """An object with exactly the attributes that its class lists."""

    __slots__ = ()

    def __getattr__(self, name):
        raise AttributeError(f"{type(self).__name__} has no '{name}', as far as Avizo's API is known.")

    def __setattr__(self, name, value):
        try:
            object.__setattr__(self, name, value)
        except AttributeError as error:
            raise AttributeError(
                f"{type(self).__name__}.{name} cannot be set: not writable, as far as is known ({error})."
            ) from None


class StrictList(Strict):
    """A sequence of fixed length whose items can be read and replaced; no append, no slices, no deletion."""

    __slots__ = ("_items",)

    def __init__(self, items=()):
        self._items = list(items)

    def __len__(self):
        return len(self._items)

    def __iter__(self):
        return iter(list(self._items))

    def __getitem__(self, index):
        if isinstance(index, slice):
            raise TypeError("slices of this list are not known of Avizo's API")
        return self._items[index]

    def __repr__(self):
        return repr(self._items)
