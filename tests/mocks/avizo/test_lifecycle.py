"""A round of the stand-in, from loading a script to its result, under every behaviour."""

from pathlib import Path

import numpy as np
import pytest

from mocks.avizo import BEHAVIOURS, Behaviour, Session

SCRIPTS = Path(__file__).parent / "scripts"
NOTED = """
class Noted(PyScriptObject):
    def __init__(self):
        self.seen = []
        self.number = HxPortIntTextN(self, "number", "Number")
        self.apply = HxPortDoIt(self, "apply", "Apply")
    def update(self):
        self.seen.append(("update", self.number.is_new, self.apply.was_hit))
        {update}
    def compute(self):
        self.seen.append(("compute", self.number.is_new, self.apply.was_hit))
        {compute}
"""


def script(folder, source, name="Noted.pyscro"):
    """The path of a script with this text."""
    (folder / name).write_text(source, encoding="utf-8")
    return folder / name


def noted(folder, *, update="pass", compute="pass"):
    """The path of a script that notes its rounds and does something more."""
    return script(folder, NOTED.format(update=update, compute=compute))


@pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
def test_the_example_of_the_reference_labels_a_scan(behaviour):
    session = Session(behaviour)
    grey = np.arange(24, dtype=np.uint16).reshape(2, 3, 4) * 20
    scan = session.scalar_field(grey, name="scan", voxel_size=(0.5, 0.25, 2.0))
    module = session.load(SCRIPTS / "GreyThreshold.pyscro")
    assert not module.ports.threshold.visible
    module.ports.data.connect(scan)
    module.fire()
    assert module.ports.threshold.visible
    session.type(module.ports.threshold, 0, 300)
    session.press(module.ports.apply)
    result = module.results[0]
    assert (result.get_array() == (grey >= 300)).all()
    assert result.get_array().dtype == np.uint8
    assert result.bounding_box == ((0.0, 0.0, 0.0), (0.5, 0.5, 6.0))
    assert session.objects["scan.labels"] is result
    assert (session.messages, session.warnings, session.console) == ([], [], "")
    assert [(bar.n_steps, bar.steps_seen, bar.looks) for bar in session.progress_log] == [(4, 4, 4)]


def test_apply_without_input_gives_one_message_and_no_result():
    session = Session()
    module = session.load(SCRIPTS / "GreyThreshold.pyscro")
    session.press(module.ports.apply)
    assert session.messages == [("error", "Connect an image first.")]
    assert module.results[0] is None
    assert len(module.results) == 1


def test_stop_leaves_after_the_look_that_answers_true():
    session = Session()
    scan = session.scalar_field(np.ones((2, 2, 9), np.uint8))
    module = session.load(SCRIPTS / "GreyThreshold.pyscro")
    session.connect(module.ports.data, scan)
    session.interrupt_after(3)
    session.press(module.ports.apply)
    assert session.progress_log[0].steps_seen == 4
    assert session.progress_log[0].told_at_s <= session.progress_log[0].closed_at_s
    assert module.results[0] is None
    session.interrupt_after()
    session.press(module.ports.apply)
    assert module.results[0] is not None


def test_data_ports_and_results_exist_before_init(tmp_path):
    source = """
class A(PyScriptObject):
    def __init__(self):
        self.found = (self.data.source(), self.results[0], self.ports.data is self.data, len(self.portnames))
    def compute(self):
        pass
"""
    assert Session().load(script(tmp_path, source)).found == (None, None, True, 3)


def test_a_round_is_update_then_compute_then_ports_are_seen(tmp_path):
    session = Session()
    module = session.load(noted(tmp_path))
    assert module.seen == [("update", True, False), ("compute", True, False)]
    module.seen.clear()
    session.press(module.ports.apply)
    assert module.seen == [("update", False, True), ("compute", False, True)]
    assert not module.ports.apply.was_hit
    module.seen.clear()
    session.type(module.ports.number, 0, 7)
    assert module.seen == [("update", True, False), ("compute", True, False)]
    assert not module.ports.number.is_new


def test_the_first_round_can_be_not_new(tmp_path):
    module = Session(Behaviour(first_round_is_new=False)).load(noted(tmp_path))
    assert module.seen[0] == ("update", False, False)


def test_execute_presses_apply_and_is_done_on_return(tmp_path):
    module = Session().load(noted(tmp_path))
    module.seen.clear()
    module.execute()
    assert module.seen == [("update", False, True), ("compute", False, True)]


@pytest.mark.parametrize(("choice", "rounds"), [("after", 8), ("ignored", 1)])
def test_fire_inside_update_is_survived(tmp_path, choice, rounds):
    session = Session(Behaviour(fire_inside_a_round=choice))
    module = session.load(noted(tmp_path, update="self.fire()"))
    assert len(module.seen) == 2 * rounds
    assert bool(session.warnings) == (choice == "after")


@pytest.mark.parametrize(("fires", "rounds"), [(False, 1), (True, 2)])
def test_a_port_set_in_update_can_cause_one_more_round(tmp_path, fires, rounds):
    session = Session(Behaviour(setting_a_port_fires=fires))
    module = session.load(noted(tmp_path, update="self.number.texts[0].value = 4"))
    assert len(module.seen) == 2 * rounds
    assert session.warnings == []


def test_an_uncaught_exception_reaches_the_test_or_the_console_or_a_box(tmp_path):
    path = noted(tmp_path, compute="{}['bone'] if self.apply.was_hit else 0")
    session = Session()
    module = session.load(path)
    with pytest.raises(KeyError, match="bone"):
        session.press(module.ports.apply)
    assert not module.ports.apply.was_hit
    session = Session(Behaviour(uncaught_exception="console"))
    session.press(session.load(path).ports.apply)
    assert "KeyError: 'bone'" in session.console
    assert session.messages == []
    session = Session(Behaviour(uncaught_exception="message box"))
    session.press(session.load(path).ports.apply)
    assert session.messages == [("error", "Noted.compute: KeyError: 'bone'")]


def test_a_module_whose_init_raises_leaves_the_project(tmp_path):
    session = Session()
    path = script(
        tmp_path, "class A(PyScriptObject):\n    def __init__(self):\n        raise OSError('no worker')\n"
    )
    with pytest.raises(OSError, match="no worker"):
        session.load(path)
    assert session.objects == {}
    assert "no worker" in session.console


def test_visibility_can_fall_back_at_each_round(tmp_path):
    path = noted(tmp_path)
    for resets in (False, True):
        module = Session(Behaviour(visibility_resets=resets)).load(path)
        module.ports.number.visible = False
        module.fire()
        assert module.ports.number.visible == resets


def test_a_script_needs_exactly_one_script_object(tmp_path):
    with pytest.raises(ImportError, match="it defines none"):
        Session().load(script(tmp_path, "x = 1\n"))
    two = "class A(PyScriptObject):\n    pass\nclass B(PyScriptObject):\n    pass\n"
    with pytest.raises(ImportError, match="A, B"):
        Session().load(script(tmp_path, two))
    base = "class A(PyScriptObject):\n    def compute(self): pass\nclass B(A):\n    pass\n"
    assert type(Session().load(script(tmp_path, base))).__name__ == "B"
