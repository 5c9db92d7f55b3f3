"""The widget of each kind of port, as it stands in the right column of the Properties panel.

In:  a pen, a port, the corner (x, y) and the width of the column.
Out: the height that the widget took, in logical pixels.
Rows are ROW high; what does not fit beside each other goes on to the next row.
"""

from __future__ import annotations

from ..ports.choices import (
    HxPortButtonList,
    HxPortButtonMenu,
    HxPortMultiMenu,
    HxPortRadioBox,
    HxPortToggleList,
)
from ..ports.numbers import Slider, TextN
from ..ports.plain import HxConnection, HxPortFilename, HxPortInfo, HxPortText
from ..ports.scene import (
    GenericComboBox,
    GenericFloatTextEdit,
    GenericLabel,
    GenericPushButton,
    HxPort3DPointList,
    HxPortGeneric,
)
from . import pen as ink

ROW = 27
FIELD_WIDTH = 76
LINE_HEIGHT = 16


def flow(items, x, y, width, gap=14):
    """Place (width, draw) items in rows; draw(x, middle) draws one. Returns the height."""
    left, top = x, y
    for item_width, draw in items:
        if left > x and left + item_width > x + width:
            left, top = x, top + ROW
        draw(left, top + ROW / 2)
        left += item_width + gap
    return top + ROW - y


def shade(port, color=ink.TEXT):
    """`color`, or grey when the port is disabled."""
    return color if port.enabled else ink.DISABLED


def draw_field(pen, x, y, width, text, *, color=ink.TEXT, keep_end=False):
    """A field with text in it, around the height y."""
    pen.box(x, y - 10, x + width, y + 10, fill=ink.FIELD, edge=ink.LINE)
    pen.text(x + 6, y, ink.elide(text, width - 12, keep_end=keep_end), color=color)


def draw_menu(pen, x, y, width, text, *, color=ink.TEXT):
    """A closed menu."""
    pen.box(x, y - 10, x + width, y + 10, fill=ink.BUTTON, edge=ink.LINE)
    pen.text(x + 7, y, ink.elide(text, width - 26), color=color)
    pen.triangle(x + width - 11, y, color=color)


def draw_button(pen, x, y, width, text, *, color=ink.TEXT):
    """A push button."""
    pen.box(x, y - 10, x + width, y + 10, fill=ink.BUTTON, edge=ink.LINE)
    pen.text(x + width / 2, y, ink.elide(text, width - 8), color=color, anchor="mm")


def button_width(text):
    """The width of a button with `text`."""
    return ink.width_of(text) + 24


def connection(pen, port, x, y, width):
    """The name of the source, or that there is none."""
    middle = y + ROW / 2
    text = port.source().name if port.connected else "NO SOURCE"
    color = ink.TEXT if port.connected else ink.FAINT
    draw_menu(pen, x, middle, width, text, color=shade(port, color))
    return ROW


def info(pen, port, x, y, width):
    """Text for the user, in as many lines as it takes."""
    lines = ink.wrap(port.text, width)
    for number, line in enumerate(lines):
        pen.text(x, y + ROW / 2 + number * LINE_HEIGHT, line, color=shade(port))
    return ROW + (len(lines) - 1) * LINE_HEIGHT


def text(pen, port, x, y, width):
    """A line that the user writes."""
    draw_field(pen, x, y + ROW / 2, width, port.text, color=shade(port))
    return ROW


def filename(pen, port, x, y, width):
    """The path, or how many, and Browse."""
    names = port.filenames
    if isinstance(names, list):
        shown = f"{len(names)} files: {', '.join(names)}" if len(names) != 1 else names[0]
    else:
        shown = names or ""
    browse = button_width("Browse…")
    draw_field(
        pen, x, y + ROW / 2, width - browse - 6, shown, color=shade(port), keep_end=isinstance(names, str)
    )
    draw_button(pen, x + width - browse, y + ROW / 2, browse, "Browse…", color=shade(port))
    return ROW


def number(value):
    """A number as the field shows it."""
    return str(value) if isinstance(value, int) else f"{value:g}"


def texts(pen, port, x, y, width):
    """Labels and fields."""

    def item(text):
        label_width = ink.width_of(text._label) + 6 if text._label else 0
        color = shade(port) if text.enabled else ink.DISABLED

        def draw(left, middle):
            pen.text(left, middle, text._label, color=color)
            draw_field(pen, left + label_width, middle, FIELD_WIDTH, number(text.value), color=color)

        return label_width + FIELD_WIDTH, draw

    return flow([item(text) for text in port.texts], x, y, width)


def slider(pen, port, x, y, width):
    """A track, a knob, and the number."""
    middle = y + ROW / 2
    low, high = port.clamp_range
    end = x + width - FIELD_WIDTH - 12
    place = 0.0 if high == low else min(1.0, max(0.0, (port.value - low) / (high - low)))
    knob = x + 6 + place * (end - x - 12)
    pen.box(x, middle - 2, end, middle + 2, fill=ink.FIELD, edge=ink.LINE, radius=2)
    pen.box(x, middle - 2, knob, middle + 2, fill=shade(port, ink.ACCENT), radius=2)
    pen.disc(knob, middle, 6, fill=shade(port), edge=ink.LINE)
    draw_field(pen, x + width - FIELD_WIDTH, middle, FIELD_WIDTH, number(port.value), color=shade(port))
    return ROW


def radio(pen, port, x, y, width):
    """Circles, one of them filled."""

    def item(index, label):
        def draw(left, middle):
            pen.disc(left + 6, middle, 6, fill=ink.FIELD, edge=ink.LINE)
            if index == port.selected:
                pen.disc(left + 6, middle, 3, fill=shade(port, ink.ACCENT))
            pen.text(left + 17, middle, label, color=shade(port))

        return 17 + ink.width_of(label), draw

    return flow([item(i, box._label) for i, box in enumerate(port.radio_boxes)], x, y, width)


def toggles(pen, port, x, y, width):
    """Boxes, checked or not."""

    def item(toggle):
        def draw(left, middle):
            fill = shade(port, ink.ACCENT) if toggle.checked else ink.FIELD
            pen.box(left, middle - 6, left + 12, middle + 6, fill=fill, edge=ink.LINE, radius=2)
            if toggle.checked:
                pen.lines(
                    [(left + 3, middle), (left + 5, middle + 3), (left + 9.5, middle - 3)],
                    color=ink.FIELD,
                    width=1.5,
                )
            pen.text(left + 18, middle, toggle._label, color=shade(port))

        return 18 + ink.width_of(toggle._label), draw

    return flow([item(toggle) for toggle in port.toggles], x, y, width)


def menus(pen, port, x, y, width):
    """Menus of equal width, two in a row when there are several."""
    each = width if len(port.menus) == 1 else (width - 8) / 2

    def item(menu):
        shown = menu.options[menu.selected] if 0 <= menu.selected < len(menu.options) else ""
        return each, lambda left, middle: draw_menu(pen, left, middle, each, shown, color=shade(port))

    return flow([item(menu) for menu in port.menus], x, y, width, gap=8)


def buttons(pen, port, x, y, width):
    """Push buttons in a row."""

    def item(label):
        size = button_width(label)
        return size, lambda left, middle: draw_button(pen, left, middle, size, label, color=shade(port))

    return flow([item(button._label) for button in port.buttons], x, y, width)


def generic(pen, port, x, y, width):
    """The different things of a HxPortGeneric."""

    def item(thing):
        if isinstance(thing, GenericLabel):
            return ink.width_of(thing._caption), lambda left, middle: pen.text(
                left, middle, thing._caption, color=shade(port)
            )
        if isinstance(thing, GenericPushButton):
            size = button_width(thing._caption)
            return size, lambda left, middle: draw_button(
                pen, left, middle, size, thing._caption, color=shade(port)
            )
        if isinstance(thing, GenericFloatTextEdit):
            shown = number(thing.value)
            return FIELD_WIDTH, lambda left, middle: draw_field(
                pen, left, middle, FIELD_WIDTH, shown, color=shade(port)
            )
        assert isinstance(thing, GenericComboBox)
        shown = (thing._elements or [""])[thing.selected]
        return 120, lambda left, middle: draw_menu(pen, left, middle, 120, shown, color=shade(port))

    return flow([item(thing) for thing in port.items], x, y, width, gap=8)


def points(pen, port, x, y, width):
    """How many points there are."""
    pen.text(x, y + ROW / 2, f"{len(port.points)} points", color=shade(port))
    return ROW


WIDGETS = (
    (HxConnection, connection),
    (HxPortText, text),
    (HxPortInfo, info),
    (HxPortFilename, filename),
    (TextN, texts),
    (Slider, slider),
    (HxPortRadioBox, radio),
    (HxPortToggleList, toggles),
    (HxPortButtonMenu, menus),
    (HxPortMultiMenu, menus),
    (HxPortButtonList, buttons),
    (HxPortGeneric, generic),
    (HxPort3DPointList, points),
)


def draw_widget(pen, port, x, y, width):
    """Draw what stands in `port`; returns the height. TypeError for a port that has no widget."""
    for kind, draw in WIDGETS:
        if isinstance(port, kind):
            return draw(pen, port, x, y, width)
    raise TypeError(f"{port!r} has no widget")
