"""A port in one line of text.

In:  any port.
Out: name, class, label and what stands in it.
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
from ..ports.plain import HxConnection, HxPortFilename, HxPortInfo


def content(port):
    """What stands in the port, as text."""
    if isinstance(port, HxConnection):
        return (
            port.source().name if port.connected else f"not connected, takes {port.valid_types or 'anything'}"
        )
    if isinstance(port, HxPortInfo):
        return repr(port.text)
    if isinstance(port, HxPortFilename):
        return str(port.filenames)
    if isinstance(port, TextN):
        return ", ".join(f"{text._label} = {text.value}".strip(" =") for text in port.texts)
    if isinstance(port, Slider):
        return f"{port.value} in {port.clamp_range}"
    if isinstance(port, HxPortRadioBox):
        return ", ".join(
            ("(o) " if i == port.selected else "( ) ") + b._label for i, b in enumerate(port.radio_boxes)
        )
    if isinstance(port, HxPortToggleList):
        return ", ".join(("[x] " if toggle.checked else "[ ] ") + toggle._label for toggle in port.toggles)
    if isinstance(port, HxPortButtonMenu | HxPortMultiMenu):
        return ", ".join(
            f"{(menu.options or [''])[menu.selected]!r} of {len(menu.options)}" for menu in port.menus
        )
    if isinstance(port, HxPortButtonList):
        return ", ".join(f"[{button._label}]" for button in port.buttons)
    return ""


def describe(port):
    """One line: name, class, label, content, and whether it is hidden or disabled."""
    state = ("" if port.visible else " (hidden)") + ("" if port.enabled else " (disabled)")
    return f"{port.name:<20} {type(port).__name__:<18} {port.label!r}: {content(port)}{state}"
