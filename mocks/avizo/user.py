"""What a user does in the Properties panel and the Project View.

In:  a port and what the user puts into it.
Out: the change and one round of the module.
A hidden or disabled port cannot be reached: RuntimeError. Typed values are clipped by the clamp.
"""

from __future__ import annotations

from pathlib import Path

from .ports.choices import (
    HxPortButtonList,
    HxPortButtonMenu,
    HxPortMultiMenu,
    HxPortRadioBox,
    HxPortToggleList,
)
from .ports.numbers import Slider, TextN
from .ports.plain import HxConnection, HxPortDoIt, HxPortFilename, HxPortText
from .ports.scene import GenericComboBox, GenericFloatTextEdit, GenericPushButton, HxPortGeneric


def reach(port, *kinds):
    """Raise RuntimeError when the user cannot reach `port`, TypeError when it is none of `kinds`."""
    if not isinstance(port, kinds):
        raise TypeError(f"{port!r} is not {' or '.join(kind.__name__ for kind in kinds)}.")
    if not port.visible:
        raise RuntimeError(f"{port!r} is hidden; the user cannot reach it.")
    if not port.enabled:
        raise RuntimeError(f"{port!r} is disabled; the user cannot change it.")


def pick_index(wanted, texts):
    """The index of `wanted`, itself an index or one of `texts`. ValueError when there is no such choice."""
    index = texts.index(wanted) if wanted in texts else wanted
    if not isinstance(index, int) or not 0 <= index < len(texts):
        raise ValueError(f"{wanted!r} is not among the choices {texts}.")
    return index


class User:
    """The hands of the user; part of Session."""

    def press(self, port, index=0):
        """Press Apply (HxPortDoIt), or the button `index` of a button list or generic port."""
        reach(port, HxPortDoIt, HxPortButtonList, HxPortGeneric)
        if isinstance(port, HxPortDoIt):
            port.was_hit = True
        elif isinstance(port, HxPortButtonList):
            port.buttons[index].hit = True
        elif isinstance(port.items[index], GenericPushButton):
            port.items[index].hit = True
        else:
            raise TypeError(f"item {index} of {port!r} is no button.")
        self._after(port)

    def type(self, port, *index_and_value):
        """type(port, index, value) into a text field; type(port, value) into a slider or the first field."""
        reach(port, TextN, Slider, HxPortText, HxPortGeneric)
        *index, value = index_and_value
        index = index[0] if index else 0
        if isinstance(port, HxPortText):
            port.text = value
        elif isinstance(port, HxPortGeneric):
            self._type_item(port, index, value)
        elif isinstance(port, TextN):
            text = port.texts[index]
            if not text.enabled:
                raise RuntimeError(f"text {index} of {port!r} is disabled; the user cannot change it.")
            text._put(text._convert(value, text._what()), typed=True)
        else:
            port._put(port._convert(value, f"port '{port.name}'"), typed=True)
        self._after(port)

    @staticmethod
    def _type_item(port, index, value):
        if not isinstance(port.items[index], GenericFloatTextEdit):
            raise TypeError(f"item {index} of {port!r} takes no text.")
        port.items[index].value = value

    def select(self, port, choice, index=0):
        """Choose `choice` (an index or the text) among radio boxes, or in the menu `index`."""
        reach(port, HxPortRadioBox, HxPortButtonMenu, HxPortMultiMenu, HxPortGeneric)
        if isinstance(port, HxPortRadioBox):
            port.selected = pick_index(choice, [box._label for box in port.radio_boxes])
        elif isinstance(port, HxPortGeneric):
            if not isinstance(port.items[index], GenericComboBox):
                raise TypeError(f"item {index} of {port!r} is no menu.")
            port.items[index].selected = pick_index(choice, port.items[index]._elements)
        else:
            menu = port.menus[index]
            menu.selected = pick_index(choice, menu.options)
        self._after(port)

    def tick(self, port, checked=True, index=0):
        """Check or uncheck the toggle `index`."""
        reach(port, HxPortToggleList)
        port.toggles[index].checked = int(checked)
        self._after(port)

    def pick(self, port, *paths):
        """Choose files or a folder with Browse. No path clears the port; several need MULTI_FILE."""
        reach(port, HxPortFilename)
        names = [str(path) for path in paths]
        if len(names) > 1 and port.mode != HxPortFilename.MULTI_FILE:
            raise ValueError(f"{port!r} takes one path, not {len(names)}.")
        for name in names:
            is_folder = port.mode in (HxPortFilename.LOAD_DIRECTORY, HxPortFilename.SAVE_DIRECTORY)
            must_exist = port.mode in (
                HxPortFilename.EXISTING_FILE,
                HxPortFilename.MULTI_FILE,
                HxPortFilename.LOAD_DIRECTORY,
            )
            if must_exist and not (Path(name).is_dir() if is_folder else Path(name).is_file()):
                raise FileNotFoundError(f"the dialog of {port!r} does not offer {name}.")
        port.filenames = None if not names else names[0] if len(names) == 1 else names
        self._after(port)

    def connect(self, port, thing):
        """Drag a line from `thing` to the connection `port`."""
        reach(port, HxConnection)
        port.connect(thing)
        self._after(port)

    def disconnect(self, port):
        """Take the line away."""
        reach(port, HxConnection)
        port.disconnect()
        self._after(port)

    def remove(self, thing):
        """Delete `thing` in the Project View; the modules it was connected to have a round each."""
        ports = self.connections_from(thing)
        self.project.remove(thing)
        for port in ports:
            self._after(port)

    def _after(self, port):
        port._is_new = True
        fire = getattr(port._owner, "fire", None)
        if fire is not None:
            fire()
