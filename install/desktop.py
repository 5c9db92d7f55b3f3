"""A place in the desktop's menu for the window (Linux; elsewhere `bone-window` is started by its name).

In:  the command bone-window of an environment.
Out: bone-window.desktop in the user's folder of applications.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

ENTRY = """[Desktop Entry]
Type=Application
Name=BONe
Comment=Label bone in micro-CT: fit, predict, score
Exec="{command}"
Terminal=false
Categories=Science;Education;
StartupWMClass=bone-window
"""


def write(command: Path) -> Path | None:
    """Write the entry; gives its path, None where there is no such menu or no home folder to write in."""
    if not sys.platform.startswith("linux"):
        return None
    try:
        home = os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share"
        path = Path(home) / "applications" / "bone-window.desktop"
        path.parent.mkdir(parents=True, exist_ok=True)
        quoted = str(command).replace("\\", "\\\\").replace('"', '\\"')
        path.write_text(ENTRY.format(command=quoted), encoding="utf-8")
    except (OSError, RuntimeError):
        return None
    return path
