"""The ports of a module, made from its form.

In:  a form, and what the user does with the ports.
Out: the values of the options as any other door gives them; only those ports visible that mean something now.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any

from ..errors import OptionError
from ..options.fields import OptionField, Options
from .forms import APPLY, LOOSE, STATE, Form
from .host import Field, Host
from .ports import OptionPort, make_port, port_names


class Panel:
    """All ports of a module: connections, options, lines that tell how things stand, Apply."""

    def __init__(self, host: Host, form: Form):
        self.host, self.form = host, form
        host.module.data.visible = False
        self.connections: dict[str, Any] = {}
        self.given: dict[str, Any] = {}  # values of the recipe, where they are not the defaults
        for wanted in form.connections:
            port = host.port("HxConnection", wanted.name, wanted.label)
            port.valid_types = list(wanted.types)
            self.connections[wanted.name] = port
        self.options: dict[str, OptionPort] = {
            field.name: make_port(host, field) for _, fields in form.groups() for field in fields
        }
        self.lines = {name: host.info(name, label) for name, label in form.lines}
        self.apply = host.port("HxPortDoIt", APPLY, "Apply")

    def adopt_data(self) -> None:
        """Hand on what Avizo connected to the hidden port `data`, to the first connection that is free."""
        data = self.host.module.data
        field = data.source()
        if field is None:
            return
        data.disconnect()
        for port in self.connections.values():
            if port.source() is None:
                with contextlib.suppress(TypeError):  # an object of the wrong type
                    port.connect(field)
            if port.source() is not None and port.source().name == field.name:
                return

    def is_changed(self, port: OptionPort) -> bool:
        """Whether the user has chosen something else than what the recipe says."""
        return not port.holds(self.given.get(port.field.name, port.field.default))

    def take(self, values: Mapping[str, Any]) -> None:
        """Put the values of another recipe into the ports that stand at those of the one before."""
        before, self.given = self.given, dict(values)
        for name in before.keys() | values.keys():
            port = self.options.get(name)
            if port is not None and port.holds(before.get(name, port.field.default)):
                port.write(values.get(name, port.field.default))

    def values(self, options: type[Options], beside: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The values of those options that mean something now; what the user left empty is absent.

        beside: values that come from elsewhere and decide too what means something.
        """
        return {
            field.name: value
            for field, value in self._read(options.option_fields(), beside or {})
            if value is not None
        }

    def _read(
        self, fields: Iterable[OptionField], beside: Mapping[str, Any]
    ) -> Iterable[tuple[OptionField, Any]]:
        present = [field for field in fields if field.name in self.options]
        read = {field.name: self.options[field.name].read() for field in present}
        for field in present:
            if field.is_applicable({**read, **beside}):
                yield field, read[field.name]

    def host_options(self) -> Any:
        """The checked options of the host. Raises OptionError."""
        return self.form.host.parse(self.values(self.form.host))

    def check_own(self) -> None:
        """Raises OptionError where a choice asks for more that was not given."""
        faults = [fault for port in self.options.values() if (fault := port.fault())]
        if faults:
            raise OptionError(faults)

    def show(self, beside: Mapping[str, Any]) -> None:
        """Show what means something; said anew in each round, because Avizo may forget it."""
        self.host.module.data.visible = False
        values = {name: port.read() for name, port in self.options.items()} | dict(beside)
        is_all = values.get("detail") != "Easy"  # also of a form without the choice
        for port in self.options.values():
            field = port.field
            is_wanted = is_all or field.easy or self.is_changed(port)
            port.show(field.is_applicable(values) and is_wanted)
        for line in self.lines.values():
            line.visible = bool(line.text)
        self.apply.visible = True

    def tell(self, line: str, text: str) -> None:
        """Put a text into one of the lines; an empty one hides it."""
        if self.lines[line].text != text:
            self.lines[line].text = text
        self.lines[line].visible = bool(text)

    def apply_works(self, is_ready: bool) -> None:
        """Let Apply be pressed, or not: it is green only then."""
        with contextlib.suppress(AttributeError):  # `enabled` was seen on other kinds of ports only
            self.apply.enabled = is_ready

    def sources(self) -> dict[str, Field | None]:
        """The connected fields by name of their connection."""
        return {name: port.source() for name, port in self.connections.items()}


def group_ports(form: Form) -> list[tuple[str, list[str]]]:
    """The groups of the panel with the names of their ports; loose ports and connections are in none."""
    groups = [
        (group, [name for field in fields for name in port_names(field)])
        for group, fields in form.groups()
        if group != LOOSE
    ]
    return [*groups, (STATE, [name for name, _ in form.lines])]
