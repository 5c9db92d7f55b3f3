"""An attribute that a script may set, of which Avizo keeps what it takes.

In:  what takes a value: a function of the object and the value, which raises where Avizo would not take it.
Out: a descriptor. The value lies under the attribute's name with an underscore before it.
"""

from __future__ import annotations


class Attribute:
    """take: gives what is kept. is_value: another value counts as a change of the port, and starts a round.

    >>> class Lamp:
    ...     is_on = Attribute(lambda lamp, value: bool(value))
    >>> lamp = Lamp()
    >>> lamp.is_on = 3
    >>> lamp.is_on
    True
    """

    def __init__(self, take, *, is_value=False):
        self._take = take
        self._is_value = is_value

    def __set_name__(self, kind, name):
        self._slot = f"_{name}"

    def __get__(self, thing, kind=None):
        return self if thing is None else getattr(thing, self._slot)

    def __set__(self, thing, value):
        value = self._take(thing, value)
        if not self._is_value:
            setattr(thing, self._slot, value)
        elif value != getattr(thing, self._slot):
            setattr(thing, self._slot, value)
            thing._changed()


def switch(*, is_value=False):
    """One that is on or off, whatever is put there."""
    return Attribute(lambda _thing, value: bool(value), is_value=is_value)


def int_of(value, name, meaning):
    """`value` when it is an int, else TypeError. meaning: of the numbers, in words."""
    if not isinstance(value, int):
        raise TypeError(f"{name} is {value!r}; it is an int, {meaning}.")
    return int(value)
