"""What stands beside a .pyscro: the menu entry (.rc) and the groups of ports (.xml).

In:  the files of a module's folder, and the module itself as a session loaded it.
Out: `MenuEntry` and `PortGroups`; `check_folder` raises RegistrationError with all faults at once.
Only the options and attributes that were seen in files in use are known.
"""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from .things.types import KNOWN_TYPES

OPTIONS = (
    "-name",
    "-language",
    "-file",
    "-primary",
    "-package",
    "-category",
    "-xml",
    "-color",
    "-icon",
    "-customHelp",
)
REQUIRED = ("-name", "-language", "-file", "-package")


class RegistrationError(ValueError):
    """The files beside a .pyscro would not register it; the message lists all faults."""


@dataclass(frozen=True)
class MenuEntry:
    """One `module` command of a .rc file. primary: type names; category: without its braces."""

    name: str
    language: str
    file: str
    package: str
    primary: tuple = ()
    category: str = ""
    xml: str = ""
    color: str = ""
    icon: str = ""
    custom_help: str = ""


@dataclass(frozen=True)
class PortGroup:
    """A group with an expander; ports: port names in order."""

    name: str
    expanded: bool
    ports: tuple


@dataclass(frozen=True)
class PortGroups:
    """The groups of a module."""

    module: str
    connection_expanded: bool
    groups: tuple


def tcl_words(text):
    """The commands of a Tcl text as lists of words, unquoted. RegistrationError when unbalanced."""
    commands, words, word, at = [], [], None, 0
    text = text.replace("\\\r\n", " ").replace("\\\n", " ") + "\n"
    while at < len(text):
        c = text[at]
        if word is None and c == "#" and not words:
            at = text.index("\n", at)
        elif word is None and c in '"{':
            end = _closing(text, at)
            words.append(text[at + 1 : end])
            at = end + 1
            if text[at] not in " \t\r\n;":
                raise RegistrationError(f"there are extra characters after {text[at - 12 : at]!r}.")
        elif c in " \t\r\n;":
            if word is not None:
                words.append(word)
                word = None
            if c in "\n;" and words:
                commands.append(words)
                words = []
            at += 1
        else:
            word = (word or "") + c
            at += 1
    return commands


def _closing(text, at):
    """The index of the quote or brace that closes the one at `at`."""
    depth = 0
    for i in range(at, len(text)):
        if text[at] == '"':
            if i > at and text[i] == '"' and text[i - 1] != "\\":
                return i
        elif text[i] in "{}":
            depth += 1 if text[i] == "{" else -1
            if depth == 0:
                return i
    raise RegistrationError(f"{text[at : at + 30]!r} is never closed.")


def read_rc(path):
    """The menu entries of a .rc file, as a list of MenuEntry. Raises RegistrationError with all faults."""
    path = Path(path)
    faults, entries = [], []
    for command, *words in tcl_words(path.read_text(encoding="utf-8")):
        if command != "module":
            faults.append(f"the command '{command}' is not known; only `module` is")
            continue
        options = dict(zip(words[0::2], words[1::2], strict=False))
        if len(words) % 2:
            faults.append(f"the option '{words[-1]}' has no value")
        faults += [f"the option '{name}' is not known" for name in options if name not in OPTIONS]
        faults += [f"the option '{name}' is missing" for name in REQUIRED if not options.get(name)]
        if options.get("-language", "python") != "python":
            faults.append(f"the language is '{options['-language']}', not python")
        primary = tuple(options.get("-primary", "").split())
        faults += [
            f"'{name}' in -primary is no type that anybody has seen"
            for name in primary
            if name not in KNOWN_TYPES
        ]
        if not faults:
            entries.append(_entry(options, primary))
    if not entries and not faults:
        faults.append("there is no `module` command")
    if faults:
        raise RegistrationError(f"{path.name}: {'; '.join(faults)}.")
    return entries


def _entry(options, primary):
    return MenuEntry(
        name=options["-name"],
        language=options["-language"],
        file=options["-file"],
        package=options["-package"],
        primary=primary,
        category=options.get("-category", "").strip("{}"),
        xml=options.get("-xml", ""),
        color=options.get("-color", ""),
        icon=options.get("-icon", ""),
        custom_help=options.get("-customHelp", ""),
    )


def read_groups(path):
    """The port groups of an .xml file, as PortGroups. RegistrationError unless it is as section 8.3 says."""
    path = Path(path)
    try:
        root = ElementTree.parse(path).getroot()
    except ElementTree.ParseError as error:
        raise RegistrationError(f"{path.name} is not well-formed: {error}.") from error
    faults = []
    _check_element(root, "module", {"name", "connectionExpandedByDefault"}, faults)
    for group in root:
        _check_element(group, "group", {"name", "expandedByDefault"}, faults)
        for port in group:
            _check_element(port, "port", {"portName"}, faults)
            if "portName" not in port.attrib or len(port):
                faults.append(f"a port of the group '{group.get('name')}' has no portName, or has children")
    if faults:
        raise RegistrationError(f"{path.name}: {'; '.join(faults)}.")
    groups = tuple(
        PortGroup(
            group.get("name", ""),
            _flag(group, "expandedByDefault"),
            tuple(port.get("portName") for port in group),
        )
        for group in root
    )
    return PortGroups(root.get("name", ""), _flag(root, "connectionExpandedByDefault"), groups)


def _flag(element, name):
    return element.get(name, "true") == "true"


def _check_element(element, tag, attributes, faults):
    if element.tag != tag:
        faults.append(f"<{element.tag}> stands where <{tag}> is expected")
    faults += [
        f"<{element.tag}> has the unknown attribute '{name}'"
        for name in element.attrib
        if name not in attributes
    ]
    faults += [
        f'<{element.tag}> has {name}="{element.get(name)}"; it is true or false'
        for name in attributes
        if name.endswith("ByDefault") and element.get(name, "true") not in ("true", "false")
    ]


def check_groups(groups, module):
    """Raise RegistrationError unless every port in `groups` is one of `module` and stands in one group."""
    named = [name for group in groups.groups for name in group.ports]
    faults = [f"the port '{name}' does not exist" for name in named if name not in module.portnames]
    faults += [
        f"the port '{name}' stands in {named.count(name)} groups"
        for name in sorted(set(named))
        if named.count(name) > 1
    ]
    faults += [f"the group '{group.name}' is empty" for group in groups.groups if not group.ports]
    if faults:
        raise RegistrationError(f"{module.name}: {'; '.join(faults)}.")


def check_folder(folder, module=None):
    """Check the .rc of a module's folder and all that it names: script, groups, help page.

    module: the loaded module, to compare the groups with its ports. Returns (MenuEntry, PortGroups or None).
    Files may stand in `folder` itself; -file is looked for by its last part.
    """
    folder = Path(folder)
    entries = [entry for path in sorted(folder.glob("*.rc")) for entry in read_rc(path)]
    if len(entries) != 1:
        raise RegistrationError(f"{folder.name} has {len(entries)} menu entries; one is expected.")
    entry = entries[0]
    faults = []
    if not entry.file.startswith("share/python_script_objects/"):
        faults.append(f"-file is '{entry.file}'; it starts with share/python_script_objects/")
    for option, value in (("-file", entry.file), ("-xml", entry.xml), ("-customHelp", entry.custom_help)):
        if value and not (folder / PurePosixPath(value).name).is_file():
            faults.append(f"{option} names '{value}', and {PurePosixPath(value).name} is not there")
    if faults:
        raise RegistrationError(f"{folder.name}: {'; '.join(faults)}.")
    groups = read_groups(folder / PurePosixPath(entry.xml).name) if entry.xml else None
    if groups is not None and module is not None:
        check_groups(groups, module)
    return entry, groups
