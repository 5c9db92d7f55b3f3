"""The drawn panel shows visible ports only, and grows with them."""

from pathlib import Path

import pytest

from mocks.avizo import Session
from mocks.avizo.drawing.panel import draw_panel, main
from mocks.avizo.drawing.pen import APPLY, DISABLED, elide, width_of, wrap
from mocks.avizo.namespace import CLASSES
from mocks.avizo.registration import PortGroup, PortGroups

image = pytest.importorskip("PIL.Image")
SCRIPTS = Path(__file__).parent / "scripts"


def colours(path):
    """The set of colours of a PNG."""
    with image.open(path) as picture:
        return {colour for _, colour in picture.getcolors(1 << 20)}


def test_every_kind_of_port_can_be_drawn(tmp_path):
    module = Session().load(SCRIPTS / "Statistics.pyscro")
    before = draw_panel(module, tmp_path / "before.png")
    for name, cls in CLASSES.items():
        if name.startswith("HxPort") or name == "HxConnection":
            cls(module, name, name)
    after = draw_panel(module, tmp_path / "after.png")
    assert after[0] == before[0] == 940
    assert after[1] > before[1] + 10 * 27 * 2


def test_hidden_ports_are_not_drawn_and_disabled_ones_are_grey(tmp_path):
    module = Session().load(SCRIPTS / "GreyThreshold.pyscro")
    hidden = draw_panel(module, tmp_path / "a.png")
    module.ports.threshold.visible = True
    shown = draw_panel(module, tmp_path / "b.png")
    assert shown[1] - hidden[1] == 2 * 27
    assert APPLY in colours(tmp_path / "b.png")
    module.ports.apply.enabled = False
    draw_panel(module, tmp_path / "c.png")
    assert APPLY not in colours(tmp_path / "c.png")
    assert DISABLED in colours(tmp_path / "c.png")


def test_closed_groups_show_their_title_only(tmp_path):
    module = Session().load(SCRIPTS / "Statistics.pyscro")
    groups = PortGroups("Statistics", False, (PortGroup("Output", False, ("which", "line")),))
    closed = draw_panel(module, tmp_path / "a.png", groups=groups)
    opened = draw_panel(module, tmp_path / "b.png", groups=groups, expand_all=True)
    assert opened[1] - closed[1] == 2 * (4 * 27 + 2 * 4)


def test_the_command_connects_and_draws(tmp_path, capsys):
    out = tmp_path / "p.png"
    arguments = [str(SCRIPTS / "Statistics.pyscro"), "--scan", "image", "--mask", "region", "--out", str(out)]
    assert main(arguments) == 0
    assert "940 x" in capsys.readouterr().out
    assert out.read_bytes()[:4] == b"\x89PNG"


def test_texts_are_wrapped_and_cut_to_their_column():
    lines = wrap("one two three\nfour " + "x" * 90, 60)
    assert all(width_of(line) <= 60 for line in lines)
    assert lines[0] == "one two"
    assert elide("abcdefghij", 40, keep_end=True).startswith("…")
