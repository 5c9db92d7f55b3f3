"""The columns of a table that somebody keeps: which are misspelt, and which are of no use here.

In:  the names in its first line, and those that are known.
Out: sentences, without the name of the file. Standard library only.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

NEAR = 0.65  # out for output, ouput, masc, subjct


def misspelt(names: Iterable[str], known: Sequence[str]) -> str | None:
    """What to say of the first name that is nearly one which is known and lacking.

    >>> misspelt(["scan", "ouput"], ["scan", "output"])
    'there is no column ouput. Did you mean output? Those that are known: scan, output.'
    >>> misspelt(["scan", "output", "outputs"], ["scan", "output"])
    """
    names = [name for name in names if name]
    lacking = [name for name in known if name not in names]
    for name in names:
        if name not in known and (meant := difflib.get_close_matches(name, lacking, n=1, cutoff=NEAR)):
            return f"there is no column {name}. Did you mean {meant[0]}? {_known(known)}"
    return None


def unused(names: Iterable[str], known: Sequence[str]) -> str | None:
    """What to say of names that are not known.

    >>> unused(["scan", "sex", "age"], ["scan", "mask"])
    'the columns sex, age are not used. Those that are known: scan, mask.'
    """
    others = [name for name in names if name and name not in known]
    if not others:
        return None
    told = f"the column {others[0]} is" if len(others) == 1 else f"the columns {', '.join(others)} are"
    return f"{told} not used. {_known(known)}"


def _known(known: Sequence[str]) -> str:
    return f"Those that are known: {', '.join(known)}."
