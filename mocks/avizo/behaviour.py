"""Switches for what is not established about Avizo.

In:  one choice for each question about it that is open.
Out: `Behaviour`, given to `Session(behaviour=...)`, and `BEHAVIOURS`, sensible combinations by name.
A module that passes under all of BEHAVIOURS does not lean on a guess.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

CHOICES = {
    "get_array": ("copy", "view", "read-only view"),
    "set_array": ("copies", "keeps"),
    "programmatic_values": ("kept", "clipped"),
    "uncaught_exception": ("raise", "console", "message box"),
    "fire_inside_a_round": ("after", "ignored"),
    "label_values": ("kept", "renumbered"),
    "materials": ("ignored", "assignable", "refused"),
    "wrong_connection": ("raise", "record"),
    "port_lists": ("adopted", "copied"),
    "console_port": ("late", "early"),
    "executable": ("application", "python"),
}


@dataclass(frozen=True)
class Behaviour:
    """How this Avizo answers where the evidence is silent or split.

    get_array: what `field.get_array()` hands out. A view shares the memory of the field.
    set_array: whether a Fortran-ordered array is copied or kept (then later writes to it change the field).
    programmatic_values: whether `text.value = 1024` is clipped by the clamp (0, 10 when unset), as typed
        values are.
    uncaught_exception: what an exception out of `__init__`, `update` or `compute` does: reaches the test,
        goes to the console, or goes to the console and into a message box.
    first_round_is_new: whether `is_new` is True for all ports in the first round.
    setting_a_port_fires: whether a port that a script changes in a round causes another round.
    fire_inside_a_round: whether `self.fire()` inside `update()` causes one more round or nothing.
    label_values: whether `set_array` of labels with gaps renumbers them to 0..n-1.
    materials: what writing into `parameters['Materials']` does: nothing, what it says, or TypeError.
    wrong_connection: whether `connect()` of a wrong type raises TypeError or leaves the port as it was.
    labels_match_scalar: whether a label field connects where a scalar field is asked for.
    visibility_resets: whether every port is visible again at the start of each round (old rule).
    port_lists: whether the items given to `port.texts = [...]` stay the port's items or are copied.
    console_port: whether `ports.showConsole` exists in the first round already.
    script_file_name: whether `__file__` is known inside a .pyscro.
    executable: what `sys.executable` is while a script runs.
    unit: the unit of coordinates, or "" when units are off.
    """

    get_array: str = "copy"
    set_array: str = "copies"
    programmatic_values: str = "kept"
    uncaught_exception: str = "raise"
    first_round_is_new: bool = True
    setting_a_port_fires: bool = False
    fire_inside_a_round: str = "after"
    label_values: str = "kept"
    materials: str = "ignored"
    wrong_connection: str = "raise"
    labels_match_scalar: bool = True
    visibility_resets: bool = False
    port_lists: str = "adopted"
    console_port: str = "late"
    script_file_name: bool = False
    executable: str = "application"
    unit: str = ""

    def __post_init__(self):
        for field in fields(self):
            allowed = CHOICES.get(field.name)
            value = getattr(self, field.name)
            if allowed is not None and value not in allowed:
                raise ValueError(f"Behaviour.{field.name} is {value!r}; it can be one of {allowed}.")


BEHAVIOURS = {
    "plain": Behaviour(),
    "shared memory": Behaviour(get_array="view", set_array="keeps", programmatic_values="clipped", unit="mm"),
    "read-only": Behaviour(get_array="read-only view", materials="refused", first_round_is_new=False),
    "restless": Behaviour(
        setting_a_port_fires=True,
        first_round_is_new=False,
        programmatic_values="clipped",
        visibility_resets=True,
    ),
    "swallows errors": Behaviour(
        uncaught_exception="console", wrong_connection="record", port_lists="copied"
    ),
    "boxes errors": Behaviour(
        uncaught_exception="message box", fire_inside_a_round="ignored", set_array="keeps"
    ),
    "renumbers": Behaviour(label_values="renumbered", materials="assignable", console_port="early"),
    "strict labels": Behaviour(labels_match_scalar=False, visibility_resets=True, script_file_name=True),
}
