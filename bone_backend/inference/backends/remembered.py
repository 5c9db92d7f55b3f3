"""Which backend was faster: measured once, then remembered, so that the same prediction is computed the same.

In:  what the answer depends on: network, size of a chunk, precision, threads, processor, versions.
Out: the seconds that were measured then; one small JSON file per question in the cache folder.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from ...errors import OutputError
from ...files.json_files import opened, read_json, sealed
from ...files.whole import whole_file
from ...volumes.cache import BACKENDS, cache_folder

log = logging.getLogger("bone.prediction")


class Seconds(NamedTuple):
    """What a chunk took, and what the other took before the first: loading, translating, comparing."""

    torch: float
    other: float
    start: float


def read(question: Mapping[str, Any]) -> Seconds | None:
    """What was measured before, or None."""
    path = _place(question)
    try:
        kept = opened(read_json(path))
        if kept["question"] != json.loads(json.dumps(question)):
            return None
        return Seconds(*(float(kept[name]) for name in Seconds._fields))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError) as fault:
        log.warning("%s is damaged (%s). It is measured again.", path, fault)
        return None


def keep(question: Mapping[str, Any], found: Seconds) -> Seconds | None:
    """Keep it; gives what is kept, which another process may have measured before. None where nothing can."""
    earlier, path = read(question), _place(question)
    if earlier is not None:
        return earlier
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(path) as file:
            file.write(json.dumps(sealed({"question": question, **found._asdict()}), indent=1).encode())
    except (OSError, OutputError) as fault:
        log.info("%s: cannot be written (%s).", path, fault)
        return None
    return read(question)


def _place(question: Mapping[str, Any]) -> Path:
    key = json.dumps(question, sort_keys=True)
    return cache_folder() / BACKENDS / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"
