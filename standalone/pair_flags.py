"""Pairs without typing each: --pairs-from FOLDER or TABLE, --scans FOLDER --masks FOLDER.

In:  the parsed words of a command that takes pairs.
Out: the value of the option `pairs`, and a line for each pair; OptionError for every doubt.
"""

from __future__ import annotations

import argparse
import logging
from typing import Any

from bone_backend.errors import OptionError
from bone_backend.pairing import names, tables

from .pages import Entry
from .parser import Parser

log = logging.getLogger("bone.pairs")


def add_to(parser: Parser) -> None:
    """The flags, beside --pair."""
    rows = (
        (
            "--pairs-from",
            "FOLDER|CSV",
            "Instead of --pair: a folder of scans and masks of the same names but for words such as mask or "
            "seg; or a CSV table: scan, mask, subject.",
        ),
        ("--scans", "FOLDER", "Instead of --pair: a folder of scans, or a pattern; with --masks."),
        ("--masks", "FOLDER", "A folder of the masks of --scans, each with the name of its scan."),
    )
    for flag, word, told in rows:
        parser.add(
            Entry("Data", f"{flag} {word}", told, flag == "--pairs-from"), flag, default=None, metavar=word
        )


def pairs_of(words: argparse.Namespace) -> list[dict[str, Any]] | None:
    """The pairs that these flags name; None where none was given. Raises OptionError, ScanError."""
    place, scans, masks = (getattr(words, name, None) for name in ("pairs_from", "scans", "masks"))
    if place is scans is masks is None:
        return None
    if (scans is None) != (masks is None):
        raise OptionError("--scans and --masks belong together; one of them is missing.")
    ways = [bool(getattr(words, "pairs", None)), place is not None, scans is not None]
    if sum(ways) > 1:
        raise OptionError("Name the pairs in one way: --pair, or --pairs-from, or --scans with --masks.")
    if place is not None and place.lower().endswith(tables.ENDINGS):
        rows = tables.read_pairs(names.expanded(place)[0])
        found = [{"scan": scan, "mask": mask, "subject": subject or None} for scan, mask, subject in rows]
    else:
        if place is not None:
            made = names.pairs_in(names.expanded(place))
        else:
            made = names.pairs_of(names.expanded(scans), names.expanded(masks))
        found = [{"scan": str(scan), "mask": str(mask), "subject": None} for scan, mask in made]
    for number, pair in enumerate(found, start=1):
        of = f" ({pair['subject']})" if pair["subject"] else ""
        log.info("Pair %d: %s with mask %s%s", number, pair["scan"], pair["mask"], of)
    return found
