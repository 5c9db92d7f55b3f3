"""The installer's own folder on the path, as when install/bootstrap.py is run."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "install"))
