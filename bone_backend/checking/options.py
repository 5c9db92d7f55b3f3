"""What `bone check` is told: pairs as a fit takes them, who validates, and a page.

In:  plain values of these options.
Out: CheckOptions; OptionError with all faults, also for options of a fit by which nothing is checked.
"""

from __future__ import annotations

from typing import Any, ClassVar

from ..errors import Fault
from ..files.outputs import ending_fault
from ..options.fields import option
from ..options.fit_data import FitData
from ..options.types import UserPath


class CheckOptions(FitData):
    """Pairs that are looked at before a fit."""

    title: ClassVar[str] = "bone check"

    page: UserPath | None = option(
        None,
        group="Output",
        label="Page",
        often=True,
        kind="save",
        help="Write what was found, with grey values and three slices of every pair, to this HTML file too.",
    )
    overwrite: bool = option(False, group="Output", label="Overwrite", help="Replace an existing page.")

    def cross_faults(self) -> list[Fault]:
        fault = ending_fault(self.page, what="the page is", written=(".html", ".htm"), name="page")
        return super().cross_faults() + ([Fault(fault)] if fault else [])

    def of_fit(self) -> dict[str, Any]:
        """The options of the same fit, as plain values."""
        return self.model_dump(mode="json", include=set(FitData.model_fields))
