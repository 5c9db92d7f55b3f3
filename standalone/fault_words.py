"""Faults in the words of the command line: flags in place of option names.

In:  a command and a fault, which knows the options that it is about.
Out: the sentence with --patch-size for patch_size, and SCAN for scan.
"""

from __future__ import annotations

from bone_backend.errors import Fault
from bone_backend.jobs.commands import OFFERED, at_terminal


def in_flags(command: str, fault: Fault) -> str:
    """A fault as a command's --help would call its options.

    >>> from bone_backend.errors import called
    >>> in_flags("fit", Fault(f"{called('patch_size')} is 250; U-Net with resnet18 needs a multiple of 32."))
    '--patch-size is 250; U-Net with resnet18 needs a multiple of 32.'
    """
    if not fault.names:
        return fault
    options = at_terminal(command).table().option_fields() if command in OFFERED else []
    fields = {field.name: field for field in options}

    def word(name: str) -> str:
        if name not in fields:
            return name
        return name.upper() if fields[name].positional else fields[name].flag

    return fault.put(word)
