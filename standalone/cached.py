"""What `bone cache` shows.

In:  the result of bone_backend/volumes/store/job.py.
Out: text.
"""

from __future__ import annotations

import time
from typing import Any

from bone_backend.durations import estimated
from bone_backend.volumes.cache import ADVICE

from .columns import Row, rows, size

MOST = 10  # volumes that are named one by one


def page(found: dict[str, Any]) -> str:
    """Where it is, its limit, what is in it."""
    many, in_use = len(found["volumes"]), sum(one["in_use"] for one in found["volumes"])
    told = f"{size(found['limit_bytes'])} ({found['limit']}; BONE_CACHE_LIMIT changes it)"
    facts: list[Row] = [
        ("Cache", f"{found['place']} ({'as BONE_CACHE says' if found['from'] else 'BONE_CACHE moves it'})"),
        ("", None if found["is_writable"] else f"cannot be written. {ADVICE}"),
        ("Limit", told),
        ("Free", f"{size(found['free_bytes'])} on that disk"),
        ("Unpacked", _volumes(many, found["bytes"]) + (f", {in_use} of them in use" if in_use else "")),
        ("Statistics", f"of {found['statistics']} scan{'s' * (found['statistics'] != 1)}"),
        ("Speeds", f"of OpenVINO and torch, {_measurements(found['speeds'])}" if found["speeds"] else None),
    ]
    if found["cleared"]:
        gone = (
            f"{_volumes(found['removed'], found['removed_bytes'])}, statistics of {found['forgotten']} scans"
        )
        if found["speeds_forgotten"]:
            gone += f", {_measurements(found['speeds_forgotten'])} of speed"
        facts.append(("Removed", gone + ("; what is in use stays" if in_use else "")))
    lines = rows(facts)
    for one in found["volumes"][:MOST]:
        ago = estimated(max(0.0, time.time() - one["used"]))
        state = "in use" if one["in_use"] else f"used {ago} ago"
        lines.append(f"  {size(one['bytes']):>9}  {state}")
    return "\n".join([*lines, *[f"  ... and {many - MOST} more"] * (many > MOST)])


def _measurements(count: int) -> str:
    return f"{count} measurement{'s' * (count != 1)}"


def _volumes(count: int, total: int) -> str:
    return f"{count} volume{'s' * (count != 1)}, {size(total)}"
