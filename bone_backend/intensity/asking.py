"""Ask the worker for the statistics of scans: the one way in which stories get them.

In:  the paths of scans, and which voxels count.
Out: Statistics of each, counted in the worker's processes or remembered from an earlier count.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..errors import Cancelled
from ..jobs import run as jobs
from ..options.programs import StatisticsOptions
from ..progress import Progress, silent
from .statistics import remembered
from .summary import Statistics, voxels_to_count


def ask(scans: Sequence[Path], voxels: str, *, progress: Progress = silent) -> list[Statistics]:
    """Statistics of every scan, in order. voxels: "nonzero", "all", or those of TISSUE_VOXELS, which
    count the former and take their scale from the tissues.

    Raises what the worker raises.
    """
    answer = ask_plain(scans, voxels_to_count(voxels), progress=progress)
    return [Statistics.from_dict(found) for found in answer]


def ask_plain(scans: Sequence[Path], voxels: str, *, progress: Progress = silent) -> list[dict[str, Any]]:
    """The same as JSON values, with the path and whether it was remembered."""
    request = {
        "scans": [{"path": str(path.absolute())} for path in scans],  # the worker runs in a folder of its own
        "voxels": voxels,
    }
    try:
        known = remembered(request)  # which spares the worker's second
        answer: list[dict[str, Any]] = (
            known or jobs.run_in_worker("measure-greys", request, progress=progress)
        )["scans"]
    except Cancelled as stop:
        stop.result = None  # half of the statistics is nothing that a stopped fit or prediction has reached
        raise
    return answer


def statistics_job(options: StatisticsOptions, progress: Progress) -> dict[str, Any]:
    """The command "statistics": those of one scan."""
    (found,) = ask_plain([options.scan], options.voxels, progress=progress)
    return found
