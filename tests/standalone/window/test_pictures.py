"""The script that draws the window for the docs: each that they name is drawn, and shows something."""

from __future__ import annotations

import re
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tests.conftest import ROOT

REAL = {"window_real.png"}  # of a scan that is not part of BONe; drawn with --biopsy


def named() -> set[str]:
    """The pictures of the window in README and docs."""
    pages = [ROOT / "README.md", *(ROOT / "docs").glob("*.md")]
    text = "\n".join(page.read_text(encoding="utf-8") for page in pages)
    return set(re.findall(r"pictures/(window_\w+\.png)", text))


def test_every_picture_of_the_window_that_docs_name_is_there_and_small():
    folder = ROOT / "docs" / "pictures"
    there = {path.name for path in folder.glob("window_*.png")}
    assert there == named()  # none is left over either
    assert max((folder / name).stat().st_size for name in there) < 300_000


@pytest.mark.slow
def test_every_picture_that_docs_name_is_drawn_and_none_is_blank(application, tmp_path):
    command = [sys.executable, "-m", "tests.standalone.window.pictures", str(tmp_path), "--quick"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in tmp_path.glob("*.png")} == named() - REAL
    seen = []
    for path in sorted(tmp_path.glob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape == (720, 1280, 3)
        right = pixels[100:600, 660:1270].reshape(-1, 3)  # where slices and curves are
        assert len(np.unique(right, axis=0)) > 20, path.name
        seen.append(pixels.tobytes())
    assert len({*seen}) == len(seen)
