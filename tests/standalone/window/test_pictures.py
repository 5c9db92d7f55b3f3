"""The script that draws the window for the docs: each that they name is drawn, and shows something."""

from __future__ import annotations

import ctypes
import re
import shutil
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


PAGES = {"fit": ("look", "progress", "log"), "predict": ("look", "log"), "iou": ("look", "scores", "log")}
BESIDE = ("overlay", "outlines", "fault_fit", "fault_predict", "fault_iou", "queue", "tour")
MENUS = ("menu_file", "menu_view")  # on a real screen only


def every(*, is_real: bool) -> set[str]:
    """The pictures that are looked at after a change: all pages of all tabs, in four ways, and the rest."""
    pages = [
        f"{tab}_{page}_{level}"
        for tab, found in PAGES.items()
        for page in found
        for level in ("easy", "advanced")
    ]
    names = [*pages, *BESIDE, *(MENUS if is_real else ())]
    return {f"every_{name}_{scheme}.png" for name in names for scheme in ("light", "dark")}


@pytest.mark.rare
@pytest.mark.slow
@pytest.mark.parametrize(
    ("scale", "with_every"),
    [
        (1, False),
        (1, True),
        (2, False),
    ],
)
def test_every_picture_is_drawn_and_none_is_blank(application, tmp_path, scale, with_every):
    is_real = shutil.which("Xvfb") is not None and lacks_no_library()  # else the window draws itself
    command = [sys.executable, "-m", "tests.standalone.window.pictures", str(tmp_path), "--quick"]
    command += ["--xvfb"] * is_real + ["--every"] * with_every + ["--double"] * (scale == 2)
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=900, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    assert {path.name for path in tmp_path.glob("*.png")} == (named() - REAL) | (
        every(is_real=is_real) if with_every else set()
    )
    seen = set()
    for path in sorted(tmp_path.glob("*.png")):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        assert pixels.shape == (720 * scale, 1280 * scale, 3), path.name
        right = pixels[100 * scale : 600 * scale, 660 * scale : 1270 * scale].astype(np.uint32)
        assert len(np.unique(right @ [1, 256, 65536])) > 20, path.name  # where slices and curves are
        is_light = pixels[300 * scale :, 5 * scale].mean() > 128  # at the left edge there is paper only
        assert is_light == ("dark" not in path.name and path.name != "window_curves.png"), path.name
        seen.add((path.name.partition("_")[0], pixels.tobytes()))
    assert len(seen) == len([*tmp_path.glob("*.png")])  # no two of a kind are the same


def lacks_no_library() -> bool:
    """Whether Qt can open a window on an X server here."""
    from standalone.window.start import X11_LIBRARIES

    try:
        return all(ctypes.CDLL(name) for name in X11_LIBRARIES)
    except OSError:
        return False
