"""Draw a module's ports as they stand: python -m mocks.avizo.drawing.panel FILE.pyscro --out panel.png

In:  a loaded module, and its port groups (.xml) where there are any.
Out: a PNG like Avizo's Properties panel.
Hidden ports are not drawn, disabled ones are grey, buttons stand at the bottom. Pillow is imported on use.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np

from .. import Session
from ..ports.plain import HxConnection, HxPortDoIt
from ..registration import read_groups
from . import pen as ink
from .widgets import ROW, draw_widget

WIDTH = 470
LABEL_X = 30
WIDGET_X = 176
MARGIN = 12
TALLEST = 6000


def draw_panel(module, path, *, groups=None, expand_all=False, width=WIDTH):
    """Write the panel of `module` to `path` (PNG) and return (width, height) in pixels.

    groups: PortGroups, or None for all ports in one list. expand_all: also draw closed groups.
    """
    from PIL import Image

    image = Image.new("RGB", (width * ink.SCALE, TALLEST * ink.SCALE), ink.BACKGROUND)
    pen = ink.Pen(image)
    y = _header(pen, module, width)
    for title, is_open, ports in _sections(module, groups, expand_all):
        if title is not None:
            y = _group(pen, title, is_open, y, width)
        if is_open:
            for port in ports:
                y = _line(pen, port, y, width)
            y += 4
    y = _buttons(pen, [port for port in _shown(module) if isinstance(port, HxPortDoIt)], y, width)
    if y > TALLEST:
        raise ValueError(
            f"the panel of {module.name} is {y:.0f} pixels tall; at most {TALLEST} can be drawn."
        )
    image = image.crop((0, 0, width * ink.SCALE, int(y * ink.SCALE)))
    image.save(path)
    return image.size


def _shown(module):
    """The visible ports from top to bottom."""
    ports = [port for port in module._mock_visible_ports() if port.visible]
    return sorted(ports, key=lambda port: port.position)


def _sections(module, groups, expand_all):
    """(title or None, is_open, ports) from top to bottom: connections, loose ports, then the groups."""
    ports = [port for port in _shown(module) if not isinstance(port, HxPortDoIt)]
    if groups is None:
        return [(None, True, ports)]
    by_name = {port.name: port for port in ports}
    named = {name for group in groups.groups for name in group.ports}
    loose = [port for port in ports if port.name not in named]
    connections = [port for port in loose if isinstance(port, HxConnection)]
    others = [port for port in loose if not isinstance(port, HxConnection)]
    sections = [("Connections", groups.connection_expanded or expand_all, connections), (None, True, others)]
    for group in groups.groups:
        members = [by_name[name] for name in group.ports if name in by_name]
        sections.append((group.name, group.expanded or expand_all, members))
    return [section for section in sections if section[2]]


def _header(pen, module, width):
    pen.box(0, 0, width, 36, fill=ink.HEADER, radius=0)
    pen.box(12, 12, 24, 24, fill=ink.MODULE, radius=2)
    pen.text(32, 18, ink.elide(module.name, width - 80, 13), size=13, weight="-Bold")
    pen.disc(width - 20, 18, 8, edge=ink.FAINT)
    pen.text(width - 20, 18, "?", color=ink.FAINT, anchor="mm")
    return 42


def _group(pen, title, is_open, y, width):
    pen.box(6, y + 2, width - 6, y + 24, fill=ink.GROUP)
    pen.triangle(18, y + 13, down=is_open)
    pen.text(30, y + 13, title, weight="-Bold")
    return y + 28


def _line(pen, port, y, width):
    """One port: pin, label, widget."""
    middle = y + ROW / 2
    color = ink.TEXT if port.enabled else ink.DISABLED
    filled = isinstance(port, HxConnection) and port.connected
    pen.disc(18, middle, 3.5, fill=ink.ACCENT if filled else None, edge=ink.ACCENT if filled else ink.LINE)
    label = port.label or port.name
    for number, line in enumerate(ink.wrap(f"{label}:", WIDGET_X - LABEL_X - 8)):
        pen.text(LABEL_X, middle + number * 14, line, color=color)
        lines = number
    height = draw_widget(pen, port, WIDGET_X, y, width - WIDGET_X - MARGIN)
    return y + max(height, ROW + lines * 14)


def _buttons(pen, ports, y, width):
    """The DoIt ports, green, at the bottom."""
    y += 4
    pen.lines([(0, y), (width, y)], color=ink.HEADER)
    y += 10
    left = MARGIN
    for port in ports:
        size = max(96, ink.width_of(port.label) + 32)
        fill, edge = (ink.APPLY, ink.APPLY_EDGE) if port.enabled else (ink.GROUP, ink.LINE)
        pen.box(left, y, left + size, y + 26, fill=fill, edge=edge, radius=4)
        color = ink.TEXT if port.enabled else ink.DISABLED
        pen.text(left + size / 2, y + 13, port.label, color=color, weight="-Bold", anchor="mm")
        left += size + 10
    return y + (38 if ports else 0)


def groups_beside(path):
    """The PortGroups of the only .xml file beside the script at `path`, or None."""
    found = sorted(Path(path).parent.glob("*.xml"))
    return read_groups(found[0]) if len(found) == 1 else None


def main(arguments=None):
    """Load a script, connect small fields where asked, and draw its panel. Returns the exit code."""
    parser = argparse.ArgumentParser(
        prog="python -m mocks.avizo.drawing.panel", description=__doc__.splitlines()[0]
    )
    parser.add_argument("file", type=Path, help="the .pyscro file")
    parser.add_argument("--out", type=Path, required=True, help="the PNG to write")
    parser.add_argument(
        "--groups", type=Path, help="the .xml with port groups (default: the only one beside the script)"
    )
    parser.add_argument(
        "--scan", action="append", default=[], metavar="PORT", help="connect a small scalar field to PORT"
    )
    parser.add_argument(
        "--mask", action="append", default=[], metavar="PORT", help="connect a small label field to PORT"
    )
    parser.add_argument("--expand-all", action="store_true", help="also draw groups that are closed at first")
    chosen = parser.parse_args(arguments)
    session = Session()
    module = session.load(chosen.file)
    grey = np.arange(64, dtype=np.uint16).reshape(4, 4, 4)
    for number, port in enumerate(chosen.scan, start=1):
        session.connect(getattr(module.ports, port), session.scalar_field(grey, name=f"scan{number}"))
    for number, port in enumerate(chosen.mask, start=1):
        labels = (grey > 20).astype(np.uint8)
        session.connect(getattr(module.ports, port), session.label_field(labels, name=f"mask{number}"))
    groups = read_groups(chosen.groups) if chosen.groups else groups_beside(chosen.file)
    width, height = draw_panel(module, chosen.out, groups=groups, expand_all=chosen.expand_all)
    print(f"{chosen.out}: {width} x {height} pixels")
    return 0


if __name__ == "__main__":
    sys.exit(main())
