"""Numbers: text fields and sliders.

In:  numbers from the script (programmatic) or from the user (typed; always clipped by the clamp).
Out: HxPortIntTextN, HxPortFloatTextN, HxPortIntSlider, HxPortFloatSlider (section 4.2).
The clamp of a fresh text is (0, 10): set `clamp_range` first, `value` second.
"""

from __future__ import annotations

import math

from .. import current
from ..attribute import switch
from ..strict import Strict
from .base import Element, Items, Port, PortList, text_of

DEFAULT_CLAMP = (0, 10)
INT_LIMIT = 2**31


def whole(value, what):
    """`value` as a C int. TypeError for anything but an integer, OverflowError beyond 32 bits."""
    if isinstance(value, float | str) or not hasattr(value, "__index__"):
        raise TypeError(f"{what} is {value!r}; it takes an int.")
    if not isinstance(value, int):
        current.warn(f"{what} got a {type(value).__name__}; convert it with int()")
    value = int(value)
    if not -INT_LIMIT <= value < INT_LIMIT:
        raise OverflowError(f"{what} is {value}, more than 32 bits.")
    return value


def real(value, what):
    """`value` as a float. TypeError for anything but a number."""
    if isinstance(value, str) or not hasattr(value, "__float__"):
        raise TypeError(f"{what} is {value!r}; it takes a float.")
    if not isinstance(value, float | int):
        current.warn(f"{what} got a {type(value).__name__}; convert it with float()")
    if math.isnan(value):
        raise ValueError(f"{what} is not a number.")
    return float(value)


def checked_clamp(clamp, convert, what):
    """`clamp` as a pair (low, high) in the type of the text. TypeError or ValueError when it is none."""
    low, high = clamp
    low, high = convert(low, what), convert(high, what)
    if low > high:
        raise ValueError(f"{what} is ({low}, {high}): the lower end is above the upper.")
    return (low, high)


def fit(value, clamp, what, *, typed):
    """`value` as the widget would take it: clipped when typed by the user, else as Behaviour says.

    clamp: (low, high), or None when the script never set one.
    """
    low, high = clamp or DEFAULT_CLAMP
    if low <= value <= high:
        return value
    if typed or current.session().behaviour.programmatic_values == "clipped":
        if clamp is None:
            current.warn(
                f"{what}: {value} was clipped by the default clamp {DEFAULT_CLAMP}; set clamp_range first"
            )
        return type(value)(min(max(value, low), high))
    current.warn(f"{what}: the script set {value}, outside the clamp ({low}, {high})")
    return value


class Clamped(Strict):
    """What a text field and a slider share: a value in a clamp."""

    __slots__ = ()

    @property
    def clamp_range(self):
        return self._clamp or DEFAULT_CLAMP

    @clamp_range.setter
    def clamp_range(self, clamp):
        self._clamp = checked_clamp(clamp, self._convert, f"clamp_range of {self._what()}")
        if current.session().behaviour.programmatic_values == "clipped":
            self._put(self._value, typed=False)

    @property
    def value(self):
        return self._value

    @value.setter
    def value(self, value):
        self._put(self._convert(value, self._what()), typed=False)

    def _put(self, value, *, typed):
        value = fit(value, self._clamp, self._what(), typed=typed)
        if value != self._value:
            self._value = value
            self._changed()


class NumberText(Clamped, Element):
    """One text field of a port."""

    __slots__ = ("_clamp", "_enabled", "_label", "_value")

    _convert = staticmethod(real)

    def __init__(self, label="", value=None, clamp_range=None):
        super().__init__()
        self._label = text_of(label, "label")
        self._enabled = True
        self._clamp = None
        self._value = self._convert(0, "value")
        if clamp_range is not None:
            self.clamp_range = clamp_range
        if value is not None:
            self.value = value

    def _what(self):
        owner = "" if self._port is None else f"port '{self._port._name}', "
        return f"{owner}text '{self._label}'"

    def _state(self):
        return (self._label, self._value, self._clamp, self._enabled)

    enabled = switch()


class IntText(NumberText):
    """A text field for an int."""

    __slots__ = ()
    _convert = staticmethod(whole)


class FloatText(NumberText):
    """A text field for a float."""

    __slots__ = ()


class TextN(Port):
    """A row of text fields; one exists by default."""

    __slots__ = ("_texts",)
    _kind = NumberText

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._texts = PortList(self, (self._kind,), [self._kind()])

    def _get_state(self):
        return f"values {len(self._texts)} " + " ".join(f"{text.value:g}" for text in self._texts)

    def _set_state(self, state):
        word, count, *values = text_of(state, "state").split()
        if word != "values" or int(count) != len(values) or len(values) != len(self._texts):
            raise ValueError(f"'{state}' is no state of {self!r} with {len(self._texts)} texts.")
        for text, value in zip(self._texts, values, strict=True):
            text.value = type(text.value)(value)


class HxPortIntTextN(TextN):
    """Text fields for ints."""

    __slots__ = ()
    IntText = IntText
    _kind = IntText
    texts = Items(IntText)


class HxPortFloatTextN(TextN):
    """Text fields for floats."""

    __slots__ = ()
    FloatText = FloatText
    _kind = FloatText
    texts = Items(FloatText)


class Slider(Clamped, Port):
    """A slider with a value in a clamp."""

    __slots__ = ("_clamp", "_value")
    _convert = staticmethod(real)

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._clamp = None
        self._value = self._convert(0, "value")

    def _what(self):
        return f"port '{self._name}'"

    def _get_state(self):
        return f"value {self._value:g}"

    def _set_state(self, state):
        word, value = text_of(state, "state").split()
        if word != "value":
            raise ValueError(f"'{state}' is no state of {self!r}.")
        self.value = type(self._value)(value)


class HxPortIntSlider(Slider):
    """A slider for an int."""

    __slots__ = ()
    _convert = staticmethod(whole)


class HxPortFloatSlider(Slider):
    """A slider for a float."""

    __slots__ = ("_has_edit_button", "_has_sub_range_buttons")

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._has_edit_button = False
        self._has_sub_range_buttons = False

    has_edit_button = switch()
    has_sub_range_buttons = switch()
