"""Choices: radio boxes, toggles, menus, buttons.

In:  lists of items from the script, picks of the user.
Out: HxPortRadioBox, HxPortToggleList, HxPortButtonMenu, HxPortMultiMenu, HxPortButtonList (section 4.2).
A toggle list has one toggle, which may be replaced by index; giving it a list is not seen, so not possible.
"""

from __future__ import annotations

from .. import current
from ..attribute import Attribute, switch
from .base import Element, Items, Port, PortList, index_of, picked, text_of


class RadioBox(Element):
    """One of several boxes of which one is selected."""

    __slots__ = ("_label",)

    def __init__(self, label=""):
        super().__init__()
        self._label = text_of(label, "label")

    def _state(self):
        return (self._label,)


class HxPortRadioBox(Port):
    """Radio boxes; `selected` is the index of the chosen one."""

    __slots__ = ("_radio_boxes", "_selected")
    RadioBox = RadioBox

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._radio_boxes = PortList(self, (RadioBox,), [])
        self._selected = 0

    radio_boxes = Items(RadioBox)
    selected = picked(lambda port: port._radio_boxes, lambda port: f"port '{port._name}'")


class Toggle(Element):
    """A box that is checked or not; `checked` reads 1 or 0."""

    __slots__ = ("_checked", "_label")
    UNCHECKED = 0
    CHECKED = 1

    def __init__(self, label="", checked=UNCHECKED):
        super().__init__()
        self._label = text_of(label, "label")
        self._checked = self._number(checked)

    @staticmethod
    def _number(checked):
        if checked not in (0, 1):
            raise ValueError(f"checked is {checked!r}; it is Toggle.CHECKED or Toggle.UNCHECKED.")
        return int(checked)

    def _state(self):
        return (self._label, self._checked)

    checked = Attribute(lambda toggle, value: toggle._number(value), is_value=True)


class HxPortToggleList(Port):
    """Toggles; index 0 exists already."""

    __slots__ = ("_toggles",)
    Toggle = Toggle

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._toggles = PortList(self, (Toggle,), [Toggle()])

    @property
    def toggles(self):
        return self._toggles


class Menu(Element):
    """A menu of texts; `selected` is the index of the chosen one."""

    __slots__ = ("_options", "_selected")

    def __init__(self, options=(), selected=0):
        super().__init__()
        self._options = self._texts(options)
        self._selected = index_of(selected, max(1, len(self._options)), "menu")

    @staticmethod
    def _texts(options):
        if isinstance(options, str):
            raise TypeError(f"the options of a menu are {options!r}; they are a list of str.")
        return [text_of(option, "an option of a menu") for option in options]

    def _state(self):
        return (tuple(self._options), self._selected)

    @property
    def options(self):
        return list(self._options)

    @options.setter
    def options(self, options):
        options = self._texts(options)
        if options != self._options:
            self._options = options
            self._changed()

    selected = picked(lambda menu: menu._options, lambda _menu: "menu")


class HxPortButtonMenu(Port):
    """Menus in a row."""

    __slots__ = ("_menus",)
    Menu = Menu

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._menus = PortList(self, (Menu,), [])

    menus = Items(Menu)


class HxPortMultiMenu(Port):
    """Menus in a row; the Menu class is that of HxPortButtonMenu."""

    __slots__ = ("_menus",)

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        self._menus = PortList(self, (Menu,), [])

    menus = Items(Menu)


class Button(Element):
    """A push button; not made by scripts."""

    __slots__ = ("_hit", "_label")

    def __init__(self, label):
        super().__init__()
        self._label = label
        self._hit = False

    def _state(self):
        return (self._label, self._hit)

    hit = switch(is_value=True)


class HxPortButtonList(Port):
    """Push buttons of built-in modules and of the implicit ports; own creation in a script is not seen."""

    __slots__ = ("_buttons",)

    def __init__(self, owner, name="", label=""):
        super().__init__(owner, name, label)
        current.warn(
            f"port '{name}': nobody has seen a script make a HxPortButtonList; it has no buttons here"
        )
        self._buttons = PortList(self, (Button,), [])

    @classmethod
    def _built_in(cls, owner, name, label, captions):
        """The port as Avizo itself makes it, with one button per caption."""
        port = cls.__new__(cls)
        Port.__init__(port, owner, name, label)
        port._buttons = PortList(port, (Button,), [Button(caption) for caption in captions])
        return port

    @property
    def buttons(self):
        return self._buttons

    def _seen(self):
        super()._seen()
        for button in self._buttons:
            button._hit = False
