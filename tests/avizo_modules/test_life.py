"""A module's life in its host: progress, Stop, log, errors, loading without what it needs."""

import importlib.util
import logging
import os
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest

from bone_backend.avizo import spill
from bone_backend.avizo.door import Door
from bone_backend.avizo.forms import COMPARE
from bone_backend.avizo.running import ConsoleLog, Pace, bar_text
from bone_backend.errors import Cancelled, OutputError, ScanError
from bone_backend.volumes.cache import cache_folder
from mocks.avizo import BEHAVIOURS, Session

from .steps import MODULES, add_pair, open_module, predict_module, press_by_script, projects_objects

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)

SCRIPT = """
from tests.avizo_modules.test_life import Task

class Noted(PyScriptObject):
    def __init__(self):
        self.door = Task(self, globals())
    def update(self):
        self.door.update()
    def compute(self):
        self.door.compute()
"""


class Task(Door):
    """A door whose task is a function of the test."""

    form = replace(COMPARE, connections=())

    def faults(self):
        return []

    def work(self, progress):
        return type(self).task(self, progress)

    def tell(self, outcome):
        return f"stopped {outcome.result}" if outcome.is_stopped else f"done {outcome.result}"


@pytest.fixture
def module_with(tmp_path, monkeypatch):
    """A module whose task is the given function."""
    path = tmp_path / "Noted.pyscro"
    path.write_text(SCRIPT, encoding="utf-8")

    def make(session, task):
        monkeypatch.setattr(Task, "task", task, raising=False)
        return session.load(path)

    return make


def failing(error):
    def task(door, progress):
        progress(1, 2, "working")
        raise error

    return task


@ALL
@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ScanError("skull_07.tif: truncated"), "skull_07.tif: truncated"),
        (MemoryError(), "The machine's memory does not suffice."),
        (ZeroDivisionError("division by zero"), "fault of its own: ZeroDivisionError: division by zero."),
        (FileNotFoundError(2, "No such file", "gone.npy"), "fault of its own: FileNotFoundError"),
    ],
)
def test_every_error_is_one_message_and_the_module_goes_on(behaviour, error, told, module_with):
    session = Session(behaviour)
    module = module_with(session, failing(error))
    session.press(module.ports.apply)
    [message] = session.messages
    assert message.kind == "error"
    assert told in message.text
    assert told.split(":")[0] in module.ports.result.text
    assert told.split(":")[0] in session.console
    assert ("Traceback" in session.console) == ("fault of its own" in told)
    Task.task = lambda door, progress: {"fine": True}
    session.press(module.ports.apply)
    assert len(session.messages) == 1
    assert module.ports.result.text == "done {'fine': True}"


@ALL
def test_stop_is_noticed_and_what_was_reached_is_told(behaviour, module_with):
    def task(door, progress):
        end = time.monotonic() + 20
        try:
            while time.monotonic() < end:
                time.sleep(0.01)
                progress(1, 100, "waiting")
        except Cancelled as stop:
            stop.result = {"best_epoch": 7}
            raise
        return {}

    session = Session(behaviour)
    module = module_with(session, task)
    session.interrupt_after(seconds=0.5)
    session.press(module.ports.apply)
    [bar] = session.progress_log
    assert bar.closed_at_s - bar.told_at_s < 2  # tests run beside
    assert bar.longest_silence_s < 2
    assert module.ports.result.text == "stopped {'best_epoch': 7}"
    assert session.messages == []


def test_apply_is_grey_while_it_works_and_green_afterwards(module_with):
    seen = []

    def task(door, progress):
        seen.append((door.panel.apply.enabled, door.panel.lines["missing"].text))
        return {}

    session = Session()
    module = module_with(session, task)
    module.fire()
    assert module.ports.apply.enabled
    session.press(module.ports.apply)
    assert seen == [(False, "At work. Stop, beside the progress bar, ends it.")]
    assert module.ports.apply.enabled
    assert module.ports.missing.text == "Press Apply."


def test_a_package_that_was_installed_meanwhile_makes_apply_green(monkeypatch, tmp_path, module_with):
    monkeypatch.setenv("BONE_WORKER_PYTHON", "/nowhere/python")
    monkeypatch.setattr(Task, "form", replace(Task.form, command="predict"))
    session = Session()
    module = module_with(session, lambda door, progress: {})
    module.fire()
    assert not module.ports.apply.enabled
    assert "/nowhere/python" in module.ports.missing.text
    monkeypatch.setenv("BONE_WORKER_PYTHON", sys.executable)
    module.fire()
    assert module.ports.apply.enabled


def test_the_bar_tells_epoch_loss_iou_and_time_left(module_with):
    def task(door, progress):
        for step in range(1, 31):
            time.sleep(0.1)
            figures = {"loss": 1 / step, **({"best_val_iou": 0.876} if step > 10 else {})}
            progress(step, 40, f"Epoch {1 + step // 10} of 4, training", figures)
        return {}

    session = Session()
    session.press(module_with(session, task).ports.apply)
    [bar] = session.progress_log
    assert bar.n_steps == 1000
    assert bar.steps_seen == 750
    texts = [text for _, text in bar.texts]
    assert any(text.startswith("Epoch 2 of 4, training | loss 0.0") for text in texts)
    assert "best IoU 0.876" in texts[-1]
    assert texts[-1].endswith("s left")
    assert len(texts) < 15  # it can be read


@pytest.mark.parametrize(
    ("figures", "left", "text"),
    [
        ({}, None, "Checking tibia"),
        ({"loss": 0.25, "odd": 3}, 42.0, "Checking tibia | loss 0.250 | 42 s left"),
        (
            {"loss": 0.25, "best_val_iou": 0.5},
            9000,
            "Checking tibia | loss 0.250, best IoU 0.500 | 2 h 30 min left",
        ),
    ],
)
def test_the_text_of_the_bar(figures, left, text):
    assert bar_text("Checking tibia", figures, left) == text


def test_time_left_follows_the_pace_and_begins_anew_with_a_new_count():
    pace = Pace()
    assert pace.seconds_left(0, 100, 10.0) is None
    assert pace.seconds_left(10, 100, 20.0) == pytest.approx(90.0)
    assert pace.seconds_left(50, 100, 60.0) == pytest.approx(50.0)
    assert pace.seconds_left(0, 30, 61.0) is None
    assert pace.seconds_left(10, 30, 66.0) == pytest.approx(10.0)


def test_the_log_goes_to_the_console_from_any_thread_but_is_printed_by_avizos(module_with):
    printed_by = []

    class Noting(ConsoleLog):
        pass

    def task(door, progress):
        def speak():
            logging.getLogger("bone.loader").info("from a thread: Röntgen")
            printed_by.append("Röntgen" in session.console)
            progress(1, 2, "from a thread")  # not Avizo's: it must not touch the bar

        thread = threading.Thread(target=speak)
        thread.start()
        thread.join()
        logging.getLogger("bone.fitting").debug("nobody asked for this")
        progress(1, 2, "from the task")
        return {}

    session = Session()
    before = logging.getLogger("bone").level, list(logging.getLogger("bone").handlers)
    session.press(module_with(session, task).ports.apply)
    assert printed_by == [False]
    assert "from a thread: Röntgen" in session.console
    assert "nobody asked" not in session.console
    assert (session.messages, session.warnings) == ([], [])
    assert (logging.getLogger("bone").level, list(logging.getLogger("bone").handlers)) == before


@ALL
def test_rounds_that_come_while_a_task_runs_do_nothing(behaviour, module_with):
    rounds = []

    def task(door, progress):
        rounds.append(1)
        door.panel.apply.was_hit = True
        door.host.module.update()
        door.host.module.compute()
        return {}

    session = Session(behaviour)
    session.press(module_with(session, task).ports.apply)
    assert rounds == [1]


@pytest.mark.parametrize("name", ["BONe_DLFit", "BONe_DLPred", "BONe_IoU"])
def test_a_fault_in_a_round_is_told_in_the_panel_without_a_box(name, monkeypatch):
    session = Session()
    module = open_module(session, name)
    monkeypatch.setattr(type(module.door), "faults", lambda door: 1 / 0)
    module.fire()
    assert module.ports.missing.text == "ZeroDivisionError: division by zero. The console has the details."
    assert session.messages == []


@ALL
@pytest.mark.parametrize("name", ["BONe_DLFit", "BONe_DLPred"])
def test_a_missing_worker_is_told_at_load_time_and_at_apply(behaviour, name, monkeypatch):
    monkeypatch.setenv("BONE_WORKER_PYTHON", "/nowhere/python")
    session = Session(behaviour)
    module = open_module(session, name)
    [message] = session.messages
    assert "/nowhere/python" in message.text
    assert "python3 install/bootstrap.py worker" in message.text
    assert not module.ports.apply.enabled
    press_by_script(module)
    assert "python3 install/bootstrap.py worker" in session.messages[1].text
    assert len(session.messages) == 2


def test_missing_packages_are_told_with_the_command_that_installs_them(monkeypatch):
    find = importlib.util.find_spec
    hidden = "segmentation_models_pytorch"
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == hidden else find(name))
    session = Session()
    open_module(session, "BONe_DLFit")
    [message] = session.messages
    assert "lacks segmentation-models-pytorch. Install with: edm run -e" in message.text
    assert "pip install -r" in message.text
    assert open_module(Session(), "BONe_IoU") is not None


@ALL
@pytest.mark.parametrize("name", ["BONe_DLFit", "BONe_DLPred", "BONe_IoU"])
def test_without_its_backend_a_module_says_how_to_install_it(behaviour, name, monkeypatch):
    monkeypatch.setitem(sys.modules, "bone_backend.avizo", None)
    session = Session(behaviour)
    module = open_module(session, name)
    [message] = session.messages
    assert message.kind == "error"
    assert "BONe cannot start" in message.text
    assert "python3 install/bootstrap.py avizo --avizo-dir DIR" in message.text
    assert module.ports.missing.text == message.text
    module.fire()
    assert len(session.messages) == 1


def test_the_backend_is_found_in_the_installation(tmp_path, monkeypatch):
    place = tmp_path / "Avizo 3D" / "share" / "python_modules"
    place.mkdir(parents=True)
    monkeypatch.setattr(sys, "path", list(sys.path))
    open_module(Session(install_dir=tmp_path / "Avizo 3D"), "BONe_IoU")
    home = tmp_path / "elsewhere"
    monkeypatch.setenv("BONE_HOME", str(home))
    names = Session(install_dir=tmp_path / "Avizo 3D")
    source = (MODULES / "BONe_IoU" / "BONe_IoU.pyscro").read_text(encoding="utf-8").split("class ")[0]
    exec(source, {"hx_paths": names.services["hx_paths"]})
    assert str(home) in sys.path
    assert str(place) in sys.path


def test_a_panel_opens_without_importing_torch():
    import subprocess

    code = (
        "import sys; sys.path.insert(0, '.'); from mocks.avizo import Session;"
        "s = Session();"
        "[s.load(f'avizo_modules/BONe_{n}/BONe_{n}.pyscro') for n in ('DLFit', 'DLPred', 'IoU')];"
        "assert s.messages == [], s.messages; print('torch' in sys.modules)"
    )
    root = MODULES.parent
    found = subprocess.run([sys.executable, "-c", code], cwd=root, capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"


def test_fields_are_handed_over_without_a_second_copy(tmp_path, monkeypatch):
    """The largest piece that is held while a field is written is a slab."""
    import tracemalloc

    monkeypatch.setattr(spill, "SLAB_BYTES", 2**20)
    session = Session()
    array = np.zeros((256, 256, 256), np.uint8, order="F")
    array[::7, ::5, ::3] = 9
    session.behaviour = replace(session.behaviour, get_array="read-only view")
    field = session.scalar_field(array, name="large", voxel_size=(0.1, 0.2, 0.3))
    tracemalloc.start()
    with spill.spilling("test") as store:
        path, _ = store.write(field, 1, unit=("mm", 1.0), progress=lambda *_: None)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        np.testing.assert_array_equal(np.load(path, mmap_mode="r"), array.transpose(2, 1, 0))
        assert path.name == "large.npy"
    assert peak < 4 * 2**20
    assert not path.exists()


def test_what_a_crashed_run_left_is_removed_by_the_next(places):
    home = cache_folder() / "avizo"
    gone, alive = home / "gone", home / "alive"
    for folder in (gone, alive):
        folder.mkdir(parents=True)
        (folder / "large.npy").write_bytes(b"0" * 100)
    process = psutil.Process()
    (gone / spill.OWNER).write_text("999999999 5\n")
    (alive / spill.OWNER).write_text(f"{os.getpid()} {process.create_time():.0f}\n")
    with spill.spilling("test"):
        assert not gone.exists()
        assert alive.exists()
    assert alive.exists()
    import shutil

    shutil.rmtree(home)


def test_a_full_disk_is_told_before_the_first_byte(monkeypatch):
    with (
        spill.spilling("test") as store,
        pytest.raises(OutputError, match="set the environment variable BONE_CACHE"),
    ):
        store.check_space(2**60)


@pytest.mark.parametrize("name", ["a/b:c*?", "CON", "..", "x" * 200, "Röntgen scan.am", "tibia.labels"])
def test_every_field_name_becomes_a_file_name(name):
    made = spill.file_name(name)
    assert made
    assert len(made) <= 81
    assert Path(made).name == made
    assert made.upper() != "CON"


def test_two_fields_with_names_that_clash_as_files_stay_apart():
    session = Session()
    one = session.scalar_field(np.full((4, 4, 4), 1, np.uint8), name="a:b")
    other = session.scalar_field(np.full((4, 4, 4), 2, np.uint8), name="a?b")
    with spill.spilling("test") as store:
        paths = [
            store.write(field, n, unit=("", 1.0), progress=lambda *_: None)[0]
            for n, field in enumerate((one, other))
        ]
        assert [int(np.load(path).max()) for path in paths] == [1, 2]
        assert list(store.names.values()) == ["a:b", "a?b"]


def test_memory_of_the_gpu_is_given_back(monkeypatch, module_with):
    import torch

    called = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    monkeypatch.setattr(torch.cuda, "empty_cache", lambda: called.append(True))
    session = Session()
    for task in (lambda door, progress: {}, failing(ScanError("broken"))):
        session.press(module_with(session, task).ports.apply)
    assert called == [True, True]


@pytest.mark.parametrize("kind", ["HxUniformScalarField3", "HxUniformLabelField3"])
def test_a_field_of_one_slice_is_handed_over(kind):
    session = Session()
    field = session._field(kind, np.ones((8, 9, 1), np.uint8), "flat", (1, 1, 1), (0, 0, 0))
    with spill.spilling("test") as store:
        path, _ = store.write(field, 1, unit=("", 1.0), progress=lambda *_: None)
        assert np.load(path).shape == (1, 9, 8)


def test_a_stop_while_fields_are_handed_over_leaves_nothing(tmp_path):
    from tests.prediction_models import make_model

    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], make_model(tmp_path / "m.pth"))
    session.interrupt_after(0)
    session.press(module.ports.apply)
    assert module.ports.result.text == "Stopped; the project is as it was."
    assert projects_objects(session) == ["tibia1", "tibia1-labels"]
    assert session.processes == []
