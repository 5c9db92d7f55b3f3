"""What a prediction asks on the command line, where one or many scans are labelled.

In:  plain values; scans as paths, patterns, or tables (.csv).
Out: PredictScansOptions, frozen and checked.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator

from ...errors import Fault, called
from ...runs.files import matching
from ...volumes.formats import SAID_BY_ENDING, in_words
from ..field import OptionField
from ..fields import option
from ..types import Cluster, UserPath
from .prediction import PredictOptions

TABLE = ".csv"


def _only_match(path: Path) -> Path:
    """The one file that a pattern names; whatever else it is, as it is."""
    matches = matching(path)
    return matches[0] if len(matches) == 1 else path


class PredictScansOptions(PredictOptions):
    """Label one scan, or many one after the other."""

    scan: Annotated[UserPath, AfterValidator(_only_match)] = option(
        group="Data",
        label="Scan",
        kind="volume",
        positional=True,
        rest="more_scans",
        help=f"The scan to label: {in_words()}. Several, a pattern in quotes, or a .csv with the column scan "
        "(and, where wanted, output) are labelled one after the other.",
    )
    output: UserPath | None = option(  # type: ignore[assignment]
        None,
        group="Data",
        label="Labels",
        kind="save",
        often=True,
        help=f"Where the labels of one scan go. {SAID_BY_ENDING}",
    )
    more_scans: tuple[UserPath, ...] = option(
        (), group="Data", label="Further scans", flag="SCAN", help="Scans that are labelled afterwards."
    )
    output_dir: UserPath | None = option(
        None,
        group="Data",
        label="Folder of labels",
        kind="folder",
        often=True,
        help="Where the labels of several scans go, each under the name of its scan.",
    )
    cluster: Cluster | None = option(
        None,
        group="Machine",
        label="Cluster",
        metavar="ADDRESS|local:N",
        help="Label on the workers of this Dask scheduler, which offer the resource GPU=1 each, or on N "
        "workers that are started here (one for each GPU is best): several scans side by side, one scan slab "
        "by slab on all of them. Needs the Python package distributed.",
    )

    measure: bool = option(
        False,
        group="Labels",
        label="Measure",
        often=True,
        help="Measure the bone in the labels afterwards, as bone measure does: NAME_measures.csv, "
        "NAME_slices.csv and NAME_measures.html beside the labels.",
    )

    @classmethod
    def option_fields(cls) -> list[OptionField]:
        found = super().option_fields()
        groups = list(dict.fromkeys(field.group for field in found))
        return sorted(found, key=lambda field: groups.index(field.group))

    @property
    def scans(self) -> tuple[UserPath, ...]:
        """As they were named."""
        return (self.scan, *self.more_scans)

    @property
    def are_several(self) -> bool:
        """Whether the labels go into a folder, each under the name of its scan."""
        return self.output is None

    def cross_faults(self) -> list[Fault]:
        found = super().cross_faults()
        named = [path for path in (self.scan, *self.more_scans) if path is not None]
        table = next((path for path in named if path.suffix.lower() == TABLE), None)
        if self.cluster and self.is_int8 and len(named) == 1 and table is None and self.output is not None:
            found.append(
                Fault(
                    f"{called('precision')} is int8, but with {called('cluster')} several workers share the "
                    f"one scan, which only torch computes. Leave out {called('cluster')}, or use "
                    f"{called('precision')} auto."
                )
            )
        if self.output is None and self.output_dir is None and table is None:
            where = f"{called('output_dir')} FOLDER" if self.more_scans else f"{called('output')} LABELS"
            found.append(Fault(f"It is not said where the labels go. Name {where}."))
        elif self.output is not None and self.output_dir is not None:
            found.append(
                Fault(
                    f"{called('output')} is for the labels of one scan, {called('output_dir')} for those of "
                    "several. Leave one out."
                )
            )
        elif self.output is not None and (self.more_scans or table or len(matching(self.scan)) > 1):
            seen = f"{table} names scans" if table else f"{len(named)} scans are named"
            if not table and not self.more_scans:
                seen = f"{self.scan} names {len(matching(self.scan))} scans"
            found.append(
                Fault(
                    f"{seen}, but {called('output')} is for the labels of one. Name a folder: "
                    f"{called('output_dir')}."
                )
            )
        return found
