"""Mixed rows and points in space.

In:  items from the script.
Out: HxPortGeneric, HxPort3DPointList (section 4.2; each seen in one code base only).
The `hit` of a GenericPushButton stays True until the script sets it back.
"""

from __future__ import annotations

from ..attribute import Attribute, switch
from .base import Element, Items, Port, PortList, picked, text_of
from .numbers import real


class GenericLabel(Element):
    """A caption."""

    __slots__ = ("_caption",)

    def __init__(self, caption=""):
        super().__init__()
        self._caption = text_of(caption, "caption")

    def _state(self):
        return (self._caption,)


class GenericFloatTextEdit(Element):
    """A field for a number."""

    __slots__ = ("_value",)

    def __init__(self, value=0.0):
        super().__init__()
        self._value = real(value, "value")

    def _state(self):
        return (self._value,)

    value = Attribute(lambda _field, value: real(value, "value"), is_value=True)


class GenericPushButton(Element):
    """A button."""

    __slots__ = ("_caption", "_hit")

    def __init__(self, caption=""):
        super().__init__()
        self._caption = text_of(caption, "caption")
        self._hit = False

    def _state(self):
        return (self._caption, self._hit)

    hit = switch(is_value=True)


class GenericComboBox(Element):
    """A menu."""

    __slots__ = ("_elements", "_selected")

    def __init__(self, elements=()):
        super().__init__()
        self._elements = [text_of(element, "an element") for element in elements]
        self._selected = 0

    def _state(self):
        return (tuple(self._elements), self._selected)

    selected = picked(lambda box: box._elements, lambda _box: "GenericComboBox")


ITEMS = (GenericLabel, GenericFloatTextEdit, GenericPushButton, GenericComboBox)


class HxPortGeneric(Port):
    """A row of different things."""

    __slots__ = ("_items",)
    GenericLabel = GenericLabel
    GenericFloatTextEdit = GenericFloatTextEdit
    GenericPushButton = GenericPushButton
    GenericComboBox = GenericComboBox

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._items = PortList(self, ITEMS, [])

    items = Items(*ITEMS)


class Point(Element):
    """A point (x, y, z)."""

    __slots__ = ("_coords",)

    def __init__(self, coords=(0.0, 0.0, 0.0)):
        super().__init__()
        self._coords = self._three(coords)

    @staticmethod
    def _three(coords):
        x, y, z = coords
        return (real(x, "x"), real(y, "y"), real(z, "z"))

    def _state(self):
        return self._coords

    coords = Attribute(lambda point, value: point._three(value), is_value=True)


class HxPort3DPointList(Port):
    """Points that the user drags in the viewer."""

    __slots__ = (
        "_points",
        "bounding_box",
        "clamped_to_bbox",
        "max_points",
        "min_points",
        "show_dragger",
        "show_points",
    )
    Point = Point

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._points = PortList(self, (Point,), [])
        self.min_points = 0
        self.max_points = 0
        self.show_dragger = True
        self.show_points = True
        self.bounding_box = None
        self.clamped_to_bbox = False

    points = Items(Point)

    def _get_state(self):
        return f"points {len(self._points)} " + " ".join(
            f"{v:g}" for point in self._points for v in point.coords
        )

    def _set_state(self, state):
        word, count, *values = text_of(state, "state").split()
        if word != "points" or len(values) != 3 * int(count):
            raise ValueError(f"'{state}' is no state of {self!r}.")
        numbers = [float(value) for value in values]
        self.points = [Point(numbers[i : i + 3]) for i in range(0, len(numbers), 3)]
