"""Draw a fit in a terminal for the README: python -m tests.standalone.pictures SCANS [PNG]

In:  a folder of real scans as in the tests (mouse_femur, tooth), and where the picture goes.
Out: docs/pictures/terminal.png: what a terminal of 80 columns shows in the third epoch of a fit.
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

from matplotlib import get_data_path
from PIL import Image, ImageDraw, ImageFont

from .terminal import BONE, ROOT, Terminal

SIZE, MARGIN = 20, 18  # px: height of a letter, and around everything
PAPER, INK = "#16181d", "#d7dae0"
COLOURS = {"default": INK, "red": "#f2777a", "green": "#99cc99", "brown": "#ffcc66", "blue": "#6699cc"}
COLOURS |= {"magenta": "#cc99cc", "cyan": "#66cccc", "white": INK, "black": "#747982"}


def draw(terminal: Terminal, path: Path, prompt: str) -> None:
    """The screen as it stands, below the words that were typed."""
    font = ImageFont.truetype(str(Path(get_data_path()) / "fonts" / "ttf" / "DejaVuSansMono.ttf"), SIZE)
    wide, high = font.getlength("m"), SIZE * 1.35
    rows = [[(letter, INK) for letter in line] for line in prompt.split("\n")]
    screen = terminal._screen
    last = max(i for i, line in enumerate(screen.display) if line.strip())
    for y in range(last + 1):
        cells = [screen.buffer[y][x] for x in range(screen.columns)]
        rows.append([(cell.data, COLOURS.get(cell.fg, f"#{cell.fg}")) for cell in cells])
    edges = (int(screen.columns * wide) + 2 * MARGIN, int(len(rows) * high) + 2 * MARGIN)
    picture = Image.new("RGB", edges, PAPER)
    pen = ImageDraw.Draw(picture)
    for y, row in enumerate(rows):
        for x, (letter, colour) in enumerate(row):
            pen.text((MARGIN + x * wide, MARGIN + y * high), letter, font=font, fill=colour)
    picture.quantize(32).save(path, optimize=True)


def main(scans: Path, path: Path) -> None:
    names = ("mouse_femur", "tooth")
    pairs = [
        word
        for name in names
        for word in ("--pair", scans / name / f"{name}_image.tif", scans / name / f"{name}_mask.tif")
    ]
    with tempfile.TemporaryDirectory() as folder:
        words = [*BONE, "fit", *pairs, "--output", "runs/bone", "--minutes", "2"]
        with Terminal(words, folder=Path(folder)) as terminal:
            terminal.wait(lambda shown: "Epoch 3 of 6, training 5" in shown, timeout_s=900)
            prompt = "$ bone fit --pair femur.tif femur_mask.tif --pair tooth.tif tooth_mask.tif \\\n"
            draw(terminal, path, prompt + "           --output runs/bone --minutes 2")


if __name__ == "__main__":
    given = sys.argv[1:]
    main(
        Path(given[0]).resolve(), Path(given[1]) if given[1:] else ROOT / "docs" / "pictures" / "terminal.png"
    )
