"""The ports: their defaults, how they take values, what they refuse."""

import numpy as np
import pytest

from mocks.avizo import Behaviour, Session
from mocks.avizo.namespace import CLASSES

TOGGLE = CLASSES["HxPortToggleList"].Toggle
LINES = """
class Lines(PyScriptObject):
    def __init__(self):
        self.rounds = 0
        {lines}
    def compute(self):
        self.rounds += 1
"""


@pytest.fixture
def load(tmp_path):
    """load(line, ..., behaviour=...) gives (session, module) of a script with these lines in its __init__."""
    sessions = []

    def load(*lines, behaviour=None):
        path = tmp_path / "Lines.pyscro"
        path.write_text(LINES.format(lines="\n        ".join(lines or ["pass"])), encoding="utf-8")
        session = Session(behaviour)
        sessions.append(session)
        return session, session.load(path)

    return load


def test_ports_take_name_and_label_in_three_ways(load):
    _, module = load(
        "HxPortText(self, 'a', 'A')",
        "HxPortText(self, name='b', label='B')",
        "c = HxPortText(self)",
        "c.name = 'c'; c.label = 'C'",
    )
    assert module.portnames[-3:] == ["a", "b", "c"]
    assert [getattr(module.ports, name).label for name in "abc"] == ["A", "B", "C"]
    assert [getattr(module.ports, name).position for name in "abc"] == [5, 6, 7]


def test_implicit_ports_stand_beside_those_of_the_script(load):
    _, module = load()
    assert module.portnames == ["data", "startStop", "showConsole", "filename"]
    assert module.ports.data is module.data
    assert module.ports.showConsole.buttons[0].hit is False


def test_a_fresh_text_port_has_one_text_with_the_clamp_0_to_10(load):
    session, module = load("HxPortIntTextN(self, 'n', 'N')")
    assert len(module.ports.n.texts) == 1
    assert (module.ports.n.texts[0].value, module.ports.n.texts[0].clamp_range) == (0, (0, 10))
    session.type(module.ports.n, 0, 1024)
    assert module.ports.n.texts[0].value == 10
    assert "set clamp_range first" in session.warnings[0]


def test_typed_values_are_clipped_by_the_clamp_of_the_script(load):
    session, module = load(
        "HxPortFloatTextN(self, 'f', 'F').texts = [HxPortFloatTextN.FloatText(label='', clamp_range=(-1, 1))]"
    )
    session.type(module.ports.f, 0, -3)
    assert module.ports.f.texts[0].value == -1.0
    assert session.warnings == []
    assert module.rounds == 2


@pytest.mark.parametrize(("choice", "value"), [("kept", 1024), ("clipped", 10)])
def test_programmatic_values_outside_the_clamp_are_kept_or_clipped_and_always_noted(load, choice, value):
    session, module = load(
        "HxPortIntTextN(self, 'n', 'N').texts[0].value = 1024",
        behaviour=Behaviour(programmatic_values=choice),
    )
    assert module.ports.n.texts[0].value == value
    assert len(session.warnings) == 1


def test_text_ports_refuse_what_c_plus_plus_would(load):
    _, module = load("HxPortIntTextN(self, 'n', 'N').texts[0].clamp_range = (0, 2**31 - 1)")
    text = module.ports.n.texts[0]
    with pytest.raises(TypeError, match="takes an int"):
        text.value = 1.5
    with pytest.raises(OverflowError, match="32 bits"):
        text.value = 2**31
    with pytest.raises(ValueError, match="above the upper"):
        text.clamp_range = (5, 1)
    with pytest.raises(TypeError, match="takes IntText"):
        module.ports.n.texts = [CLASSES["HxPortFloatTextN"].FloatText()]


def test_sliders_stay_in_their_range_for_the_user(load):
    session, module = load("s = HxPortFloatSlider(self, 's', 'S'); s.clamp_range = (0, 1); s.value = 0.5")
    session.type(module.ports.s, 2)
    assert module.ports.s.value == 1.0
    module.ports.s._set_state("value 0.25")
    assert module.ports.s._get_state() == "value 0.25"


def test_toggle_0_exists_and_can_be_replaced_but_no_list_be_given(load):
    session, module = load(
        "t = HxPortToggleList(self, 't', 'T')", "t.toggles[0] = HxPortToggleList.Toggle(label='x', checked=1)"
    )
    assert module.ports.t.toggles[0].checked == TOGGLE.CHECKED == 1
    session.tick(module.ports.t, False)
    assert module.ports.t.toggles[0].checked == 0
    with pytest.raises(AttributeError, match="not writable"):
        module.ports.t.toggles = []
    with pytest.raises(IndexError):
        module.ports.t.toggles[1] = TOGGLE()
    with pytest.raises(AttributeError, match="append"):
        module.ports.t.toggles.append(1)


def test_menus_and_radio_boxes_are_chosen_by_index_or_text(load):
    session, module = load(
        "m = HxPortMultiMenu(self); m.name = 'm'",
        "m.menus = [HxPortButtonMenu.Menu(options=['a', 'b']), "
        "HxPortButtonMenu.Menu(options=['c', 'd'], selected=1)]",
        "r = HxPortRadioBox(self, 'r', 'R')",
        "r.radio_boxes = [HxPortRadioBox.RadioBox(label='2D'), HxPortRadioBox.RadioBox(label='3D')]",
    )
    assert [menu.selected for menu in module.ports.m.menus] == [0, 1]
    session.select(module.ports.m, "b", index=0)
    session.select(module.ports.r, "3D")
    assert (module.ports.m.menus[0].selected, module.ports.r.selected) == (1, 1)
    with pytest.raises(ValueError, match="4D"):
        session.select(module.ports.r, "4D")
    with pytest.raises(AttributeError, match="selected_index"):
        _ = module.ports.m.menus[0].selected_index


@pytest.mark.parametrize(("choice", "value"), [("adopted", 7), ("copied", 3)])
def test_items_given_to_a_port_are_adopted_or_copied(load, choice, value):
    _, module = load(
        "self.item = HxPortIntTextN.IntText(label='', value=3)",
        "HxPortIntTextN(self, 'n', 'N').texts = [self.item]",
        behaviour=Behaviour(port_lists=choice),
    )
    module.item.value = 7
    assert module.ports.n.texts[0].value == value


def test_file_names_are_none_one_text_or_a_list(load, tmp_path):
    session, module = load("f = HxPortFilename(self, 'f', 'F'); f.mode = HxPortFilename.MULTI_FILE")
    port = module.ports.f
    assert port.filenames is None
    for name in ("a.tif", "b.tif"):
        (tmp_path / name).touch()
    session.pick(port, tmp_path / "a.tif")
    assert port.filenames == str(tmp_path / "a.tif")
    session.pick(port, tmp_path / "a.tif", tmp_path / "b.tif")
    assert port.filenames == [str(tmp_path / "a.tif"), str(tmp_path / "b.tif")]
    with pytest.raises(FileNotFoundError):
        session.pick(port, tmp_path / "c.tif")
    with pytest.raises(TypeError, match="takes None, str or a list"):
        port.filenames = tmp_path
    session.pick(port)
    assert port.filenames is None


def test_connections_match_by_derivation(load):
    session, module = load(
        "self.data.valid_types = 'HxUniformScalarField3'",
        "HxConnection(self, 'm', 'M').valid_types = ['HxUniformLabelField3']",
    )
    scan, mask = (
        session.scalar_field(np.ones((2, 2, 2), np.uint8)),
        session.label_field(np.ones((2, 2, 2), np.uint8)),
    )
    module.ports.data.connect(mask)
    assert module.ports.data.source() is mask
    with pytest.raises(TypeError, match="which takes"):
        module.ports.m.connect(scan)
    with pytest.raises(TypeError, match="HxSurface"):
        module.ports.data.connect(session.other_object("HxSurface"))
    assert (module.ports.m.connected, module.ports.m.source()) == (False, None)
    assert module.ports.m.source
    module.ports.data.disconnect()
    assert not module.ports.data.connected


def test_wrong_connections_can_be_recorded_and_labels_kept_out(load):
    behaviour = Behaviour(wrong_connection="record", labels_match_scalar=False)
    session, module = load("self.data.valid_types = ['HxUniformScalarField3']", behaviour=behaviour)
    module.ports.data.connect(session.label_field(np.ones((2, 2, 2), np.uint8)))
    assert not module.ports.data.connected
    assert "HxUniformLabelField3" in session.warnings[0]


def test_a_type_that_nobody_has_seen_to_work_is_noted(load):
    session, _ = load("self.data.valid_types = ['HxField3']")
    assert "HxField3" in session.warnings[0]


def test_the_user_cannot_reach_hidden_or_disabled_ports(load):
    session, module = load(
        "HxPortDoIt(self, 'apply', 'Apply').visible = False", "HxPortText(self, 't', 'T').enabled = False"
    )
    with pytest.raises(RuntimeError, match="hidden"):
        session.press(module.ports.apply)
    with pytest.raises(RuntimeError, match="disabled"):
        session.type(module.ports.t, "x")


def test_a_deleted_object_leaves_its_connections(load):
    session, module = load()
    scan = session.scalar_field(np.ones((2, 2, 2), np.uint8))
    session.connect(module.ports.data, scan)
    assert [c.get_owner() for c in scan.downstream_connections] == [module]
    session.remove(scan)
    assert module.ports.data.source() is None
    assert module.rounds == 3


def test_generic_rows_and_points_keep_what_they_are_given(load):
    session, module = load(
        "g = HxPortGeneric(self, 'g', 'G')",
        "g.items = [HxPortGeneric.GenericLabel(caption='z'), HxPortGeneric.GenericFloatTextEdit(value=1.5), "
        "HxPortGeneric.GenericPushButton(caption='set'), "
        "HxPortGeneric.GenericComboBox(elements=['mm', 'um'])]",
        "p = HxPort3DPointList(self, 'p', 'P'); p.points = [HxPort3DPointList.Point(coords=(1, 2, 3))]",
    )
    session.type(module.ports.g, 1, 2.5)
    session.select(module.ports.g, "um", index=3)
    session.press(module.ports.g, 2)
    assert [module.ports.g.items[1].value, module.ports.g.items[3].selected] == [2.5, 1]
    assert module.ports.g.items[2].hit  # the script sets it back itself
    assert module.ports.p._get_state() == "points 1 1 2 3"


def test_doubtful_port_names_are_noted(load):
    session, _ = load(
        "HxPortText(self, 'a b', '')", "HxPortText(self, 'data', '')", "HxPortButtonList(self, 'c', '')"
    )
    assert [("identifier" in w, "two ports" in w, "HxPortButtonList" in w) for w in session.warnings] == [
        (True, False, False),
        (False, True, False),
        (False, False, True),
    ]
