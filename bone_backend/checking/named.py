"""What the label values of all masks are called, and what that changes for a fit.

In:  the options of a check, and the rows of its pairs, with the classes that their masks name.
Out: the classes as plain values, by the value that is stored; where masks disagree, in words.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ..dataset.checks import table_of_names
from ..files.names import readable
from ..volumes.classes import Named, class_name, describe_classes
from .options import CheckOptions
from .together import DOUBT, Finding

NOT_COUNTED = "not counted"  # the ignored label, where nobody named it


def classes_of(
    options: CheckOptions, rows: Sequence[Mapping[str, Any]]
) -> tuple[list[dict[str, Any]], list[Named], list[Finding]]:
    """The classes of all values that any mask holds; those of a fit, by values after mapping; doubts."""
    masks = [
        (readable(row["mask"]["path"]), [Named(**item) for item in row["mask"].get("classes", [])])
        for row in rows
    ]
    table, doubts = table_of_names(options, masks)
    stored = sorted({int(value) for row in rows for value in row.get("labels", {})})
    mapping = dict(options.map_labels)
    found = []
    for value in stored:
        (item,) = describe_classes([mapping.get(value, value)], table)
        if value == options.ignore_label and item["name"] == class_name(item["value"]):
            item["name"] = NOT_COUNTED
        found.append({**item, "value": value})
    return found, table, [Finding(DOUBT, None, doubt.removesuffix(".")) for doubt in doubts]
