"""The services: project, messages, progress, paths, Tcl, processes, and the refusal of everything else."""

import subprocess
import sys
import threading

import numpy as np
import pytest

from mocks.avizo import Behaviour, Session
from mocks.avizo.namespace import CLASSES

ONES = np.ones((2, 2, 2), np.uint8)
RUN = """
class Run(PyScriptObject):
    def __init__(self):
        self.do = None
        self.apply = HxPortDoIt(self, "apply", "Apply")
    def compute(self):
        if self.apply.was_hit:
            self.do()
"""


@pytest.fixture
def run(tmp_path):
    """run(session, function) calls the function in compute of a script object, and gives the object."""
    (tmp_path / "Run.pyscro").write_text(RUN, encoding="utf-8")

    def run(session, function):
        module = session.load(tmp_path / "Run.pyscro")
        module.do = function
        session.press(module.ports.apply)
        return module

    return run


def test_create_puts_into_the_project_and_the_factory_does_not(run):
    session = Session()
    project, factory = session.services["hx_project"], session.services["hx_object_factory"]
    made = project.create("HxUniformScalarField3")
    loose = factory.create("HxUniformLabelField3")
    assert list(session.objects.values()) == [made]
    project.add(loose)
    assert project.get(loose.name) is loose
    module = run(session, lambda: None)
    third = factory.create("HxUniformLabelField3")
    module.results[0] = third
    assert third in session.objects.values()
    assert third.ports.master.source() is module
    module.results[0] = None
    assert third.ports.master.source() is None
    project.remove(third)
    assert third not in session.objects.values()


def test_names_are_looked_up_as_they_are_now_and_made_unique():
    session = Session()
    project = session.services["hx_project"]
    first, second = (
        session.scalar_field(ONES, name="x.filtered"),
        session.scalar_field(ONES, name="x.filtered"),
    )
    assert second.name == "x(2).filtered"
    first.name = "y"
    second.name = "x.filtered"
    assert project.get("x.filtered") is second
    with pytest.raises(KeyError, match="nothing"):
        project.get("nothing")
    assert sorted(project.objects.keys()) == ["x.filtered", "y"]
    assert project.objects.get("nothing") is None
    project.remove_all()
    assert len(project.objects) == 0


def test_unknown_types_and_files_are_refused(tmp_path):
    project = Session().services["hx_project"]
    with pytest.raises(NotImplementedError, match="HxDream"):
        project.create("HxDream")
    with pytest.raises(TypeError, match="takes the object"):
        project.remove("scan")
    with pytest.raises(FileNotFoundError):
        project.load(str(tmp_path / "none.am"))
    (tmp_path / "a.vtk").touch()
    with pytest.raises(NotImplementedError, match=r"a\.vtk"):
        project.load(str(tmp_path / "a.vtk"))


def test_removing_a_result_empties_its_slot(run):
    session = Session()
    module = run(session, lambda: None)
    module.results[0] = session.scalar_field(ONES)
    session.remove(module.results[0])
    assert module.results[0] is None
    with pytest.raises(TypeError, match="a result is"):
        module.results[0] = ONES
    with pytest.raises(IndexError):
        module.results[1] = None


def test_messages_are_recorded_and_questions_answered_from_a_queue(run):
    session = Session()
    session.confirmations = [1]
    message = session.services["hx_message"]
    answers = []

    def ask():
        message.error("a")
        message.warning(message="b")
        message.info("c")
        answers.append(message.confirmations("d?", "Yes", "No"))

    run(session, ask)
    assert answers == [1]
    assert session.messages == [("error", "a"), ("warning", "b"), ("info", "c"), ("confirmations", "d?")]
    with pytest.raises(RuntimeError, match="queued no answer"):
        message.confirmations("e?", "Yes")


@pytest.mark.parametrize("limit", [{"looks": 2}, {"steps": 3}, {"seconds": 0.0}])
def test_stop_is_pressed_after_looks_steps_or_seconds(limit):
    session = Session()
    session.interrupt_after(**limit)
    looks = []
    with session.services["hx_progress"].progress(10, "work") as bar:
        for _ in range(5):
            bar.increase_progress_step()
            looks.append(bar.interrupted)
    expected = {
        "looks": [False, False, True, True, True],
        "steps": [False, False, True, True, True],
        "seconds": [True] * 5,
    }
    assert looks == expected[next(iter(limit))]


def test_a_progress_bar_counts_and_says_what_it_showed():
    session = Session()
    progress = session.services["hx_progress"]
    with progress.progress(4, "work") as bar:
        bar.current_step = 2
        bar.set_text("half")
        assert (bar.value, bar.current_step) == (0.5, 2)
        bar.current_step = 9
        assert bar.value == 1.0
        progress.set_text("over")
        progress.stop_working()
    assert session.progress_log[0].texts == [(0, "work"), (2, "half"), (9, "over")]
    with pytest.raises(RuntimeError, match="outside"):
        bar.increase_progress_step()
    with pytest.raises(TypeError):
        progress.progress(2.5, "x")


def test_ordinary_modules_reach_the_running_session_by_hx_core(run):
    session = Session()

    def use():
        from _hx_core import _tcl_interp, hx_message, hx_progress

        hx_message.info(_tcl_interp("_units isUnitsManagementActivated"))
        with hx_progress.progress(1, "x"):
            pass

    run(session, use)
    assert session.messages == [("info", "0")]
    assert "_hx_core" not in sys.modules
    other = Session(Behaviour(unit="mm"))
    run(other, use)
    assert other.messages == [("info", "1")]
    assert len(session.messages) == 1


def test_tcl_knows_only_what_was_seen(tmp_path):
    session = Session(Behaviour(unit="mm"))
    session.scalar_field(np.arange(8, dtype=np.uint16).reshape(2, 2, 2), name="scan", voxel_size=(0.5, 1, 2))
    mask = session.label_field(ONES, name="thing", materials={"Bone": 1})
    assert session.tcl("startLogInhibitor") == ""
    assert float(session.tcl("_units convertFromWorkingCoordinatesUnit 1 um")) == 1000
    session.tcl("thing composeLabel scan labels")
    assert mask.name == "scan.labels"
    session.tcl(f'scan save "Amira binary" "{tmp_path / "a.am"}"')
    again = session.services["hx_project"].load(str(tmp_path / "a.am"))
    assert again.bounding_box == ((0.0, 0.0, 0.0), (0.5, 1.0, 2.0))
    (tmp_path / "r.raw").write_bytes(np.arange(24, dtype="<u2").tobytes())
    name = session.tcl(f'load -raw "{tmp_path / "r.raw"}" little xfastest ushort 1 2 3 4 0 1 0 2 0 3')
    assert session.objects[name].get_array()[1, 2, 3] == 23
    assert session.objects[name].get_array()[1, 0, 0] == 1
    with pytest.raises(NotImplementedError, match="scan parameters"):
        session.tcl("scan parameters setValue Materials/Bone/Id 2")


def test_nothing_unlisted_exists():
    session = Session()
    session.scalar_field(ONES)
    strange = [
        *session.services.values(),
        session.objects["scan"],
        session.objects["scan"].ports,
        session.objects["scan"].parameters,
        session.objects["scan"].ports.master,
    ]
    for thing in strange:
        with pytest.raises(AttributeError):
            _ = thing.invented
        with pytest.raises(AttributeError):
            thing.invented = 1
    for name in (
        "HxPortComboBox",
        "HxPortSeparator",
        "HxPortGroup",
        "HxPortTextEdit",
        "hx_app",
        "theWorkArea",
    ):
        assert name not in CLASSES
        assert name not in session.services


def test_every_class_of_port_refuses_invented_attributes(run):
    session = Session()
    module = run(session, lambda: None)
    for name, cls in CLASSES.items():
        if name.startswith("HxPort") or name == "HxConnection":
            port = cls(module, "a", "A")
            for invented in ("tooltip", "value_changed", "invented"):
                with pytest.raises(AttributeError):
                    setattr(port, invented, 1)
                with pytest.raises(AttributeError):
                    getattr(port, invented)
            with pytest.raises(AttributeError):
                port.is_new = True


def test_worker_threads_may_not_touch_avizo(run):
    session = Session()
    field = session.scalar_field(ONES)
    module = run(session, lambda: None)
    calls = {
        "message": lambda: session.services["hx_message"].info("x"),
        "progress": lambda: session.services["hx_progress"].progress(1, "x"),
        "get_array": field.get_array,
        "port": lambda: setattr(module.ports.apply, "was_hit", True),
        "create": lambda: session.services["hx_project"].create("HxUniformScalarField3"),
    }
    refused = []

    def work():
        for name, call in calls.items():
            try:
                call()
            except RuntimeError:
                refused.append(name)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert refused == list(calls)


def test_python_is_the_application_while_a_script_runs(run, tmp_path):
    before = sys.executable
    (tmp_path / "share" / "python_modules").mkdir(parents=True)
    seen = []
    session = Session(install_dir=tmp_path)
    run(session, lambda: seen.extend([sys.executable, sys.path[0]]))
    assert seen[0].endswith("Avizo3D.exe")
    assert (
        seen[1]
        == session.services["hx_paths"].python_modules_dir
        == str(tmp_path / "share" / "python_modules")
    )
    assert sys.executable == before
    run(Session(Behaviour(executable="python")), lambda: seen.append(sys.executable))
    assert seen[2] == before


def test_processes_that_a_script_starts_are_noted(run):
    session = Session(Behaviour(executable="python"))
    run(session, lambda: subprocess.run([sys.executable, "-c", ""], check=True))
    assert session.processes[0][0] == "subprocess.Popen"
    assert session.processes[0][1][0] == sys.executable
    quiet = Session()
    run(quiet, lambda: print("hello"))
    assert (quiet.processes, quiet.console) == ([], "hello\n")


def test_a_script_may_know_its_file_or_not(tmp_path):
    path = tmp_path / "F.pyscro"
    path.write_text(
        "class F(PyScriptObject):\n    where = __file__\n    def compute(self): pass\n", encoding="utf-8"
    )
    assert Session(Behaviour(script_file_name=True)).load(path).where == str(path)
    with pytest.raises(NameError, match="__file__"):
        Session().load(path)


def test_a_behaviour_that_does_not_exist_is_refused():
    with pytest.raises(ValueError, match=r"Behaviour\.get_array is 'shared'"):
        Behaviour(get_array="shared")
