"""Scripts in the styles that other people write run unchanged (own texts, see scripts/)."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mocks.avizo import BEHAVIOURS, Session

SCRIPTS = Path(__file__).parent / "scripts"
EVERY = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)


@EVERY
def test_a_script_with_another_class_name_and_results_as_a_list(behaviour):
    session = Session(behaviour)
    grey = np.arange(5 * 3 * 4, dtype=np.float32).reshape(5, 3, 4)
    scan = session.scalar_field(grey, name="a.b", voxel_size=(0.5, 1, 2))
    module = session.load(SCRIPTS / "Shrink.pyscro")
    assert module.name == "Keep every n-th"
    session.connect(module.ports.data, scan)
    session.press(module.ports.go)
    small = session.objects["a-b.small"]
    assert module.results[0] is small
    assert len(module.results) == 2
    assert (small.get_array() == grey[::2, ::2, ::2]).all()
    assert small.bounding_box == ((0.0, 0.0, 0.0), (2.0, 2.0, 4.0))
    assert session.console == "made a-b.small (3, 2, 2)\n"
    session.press(module.ports.go)
    assert list(session.objects) == ["a.b", "Keep every n-th", "a-b.small", "a-b(2).small"]


@EVERY
def test_a_script_without_apply_computes_at_each_change(behaviour):
    session = Session(behaviour)
    module = session.load(SCRIPTS / "Statistics.pyscro")
    assert module.ports.line.text == "nothing connected"
    session.connect(module.ports.image, session.scalar_field(np.arange(8, dtype=np.uint8).reshape(2, 2, 2)))
    assert module.ports.line.text == "3.50"
    inside = np.array([0, 0, 0, 0, 0, 0, 1, 2], np.uint8).reshape(2, 2, 2)
    session.connect(module.ports.region, session.label_field(inside))
    session.tick(module.ports.options)
    assert module.ports.line.text == "6.50"
    session.select(module.ports.which, "volume")
    assert module.ports.line.text == "2"
    session.select(module.ports.which, 0)
    session.disconnect(module.ports.region)
    assert (module.ports.line.text, module.ports.options.visible) == ("3.50", False)
    assert session.warnings == []


@EVERY
def test_a_script_with_file_names_writes_into_the_same_result_again(behaviour, tmp_path):
    first = np.arange(24, dtype=np.uint32).reshape(4, 3, 2)
    np.save(tmp_path / "first.npy", first)
    np.save(tmp_path / "second.npy", np.zeros((0, 3, 2), np.uint8))
    session = Session(behaviour)
    module = session.load(SCRIPTS / "Importer.pyscro")
    expected = "" if behaviour.console_port == "early" else "waiting for ports\n"
    assert session.console == expected
    with pytest.raises(RuntimeError, match="disabled"):
        session.press(module.ports.load_it)
    session.pick(module.ports.input_dir, tmp_path / "first.npy")
    session.select(module.ports.order, "z, y, x")
    session.press(module.ports.load_it)
    field = module.results[0]
    assert field.get_array().shape == (2, 3, 4)
    assert (field.get_array() == first.T).all()
    assert field.ports.DataInfo.text == "16-bit unsigned"
    session.pick(module.ports.input_dir, tmp_path / "first.npy", tmp_path / "second.npy")
    session.press(module.ports.load_it)
    assert session.messages == [("error", "The file could not be read.")]
    assert "the array is empty" in session.console
    assert module.results[0] is field


def test_the_command_runs_one_round_of_a_script(tmp_path):
    def run(name, source=None):
        path = SCRIPTS / name
        if source is not None:
            path = tmp_path / name
            path.write_text(source, encoding="utf-8")
        return subprocess.run(
            [sys.executable, "-m", "mocks.avizo", str(path)],
            capture_output=True,
            text=True,
            encoding="utf-8",
            check=False,
        )

    done = run("Statistics.pyscro")
    assert done.returncode == 0, done.stderr
    assert "'Result': 'nothing connected'" in done.stdout
    assert "options" not in done.stdout
    broken = run("Broken.pyscro", "class A(PyScriptObject):\n    def compute(self):\n        1 / 0\n")
    assert broken.returncode == 1
    assert "ZeroDivisionError" in broken.stdout
