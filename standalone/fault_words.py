"""Faults of options in the words of the command line: flags in place of option names.

In:  a command and a sentence, which names options as a configuration file does.
Out: the sentence with --patch-size for patch_size, and SCAN for scan.
"""

from __future__ import annotations

import re


def in_flags(command: str, text: str) -> str:
    """A fault of a command's options as its --help would call them.

    >>> in_flags("fit", "patch_size is 250; U-Net with resnet18 needs a multiple of 32.")
    '--patch-size is 250; U-Net with resnet18 needs a multiple of 32.'
    """
    from bone_backend.options.programs import PROGRAMS, PreviewOptions

    options = {**PROGRAMS, "preview-augmentation": PreviewOptions}.get(command)
    if options is None:
        return text
    for field in options.option_fields():
        word = field.name.upper() if field.positional else field.flag
        if "_" in field.name:  # no word of every day: it is the option wherever it stands, but in a path
            text = re.sub(rf"(?<![\w./\\-]){field.name}(?![\w/\\-]|\.\w)", word, text)
        else:
            found = rf"(?m)^{field.name}(?= is | cannot | \d)|(?<= of ){field.name}(?= is )"
            text = re.sub(found, word, text)
    return text
