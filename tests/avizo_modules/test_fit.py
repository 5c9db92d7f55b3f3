"""DLFit through the real module file, here or in the worker; it leaves its run folder and no more."""

import json
import os
import threading
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.model_files.model_file import load_state, read_header
from mocks.avizo import BEHAVIOURS, Behaviour, Session

from .steps import add_pair, connect_pairs, fit_module, open_module, projects_objects, settle, workers_only

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)


def best_model(folder):
    [path] = Path(folder).glob("*_best_epoch_*.pth")
    return path


def weights(path):
    return load_state(path, read_header(path))


def same_weights(one, other):
    a, b = weights(one), weights(other)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


@pytest.fixture(scope="module")
def first_run(tmp_path_factory):
    """A run under the plain behaviour, to compare others with."""
    return {}


@ALL
@pytest.mark.slow
def test_a_fit_through_the_module(behaviour, tmp_path, first_run):
    session = Session(behaviour)
    module = fit_module(session, tmp_path / "run")
    before = projects_objects(session)
    session.type(module.ports.classNames, "1:bone:#ff8000")
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    path = best_model(tmp_path / "run")
    assert module.ports.result.text.startswith(f"Best model: {path.name} (epoch 1, validation IoU 0.")
    assert module.ports.missing.text != ""
    assert "Epoch 1" in session.console
    assert workers_only(session) == []
    assert len(session.processes) == 1
    assert projects_objects(session) == before
    header = read_header(path)
    names = header.metadata["train_dataset"] + header.metadata["val_dataset"]
    assert sorted(names) == ["tibia1", "tibia2"]
    assert header.bone["classes"][1] == {"value": 1, "name": "bone", "colour": "#ff8000"}
    sizes = header.bone["voxel_size_um"]
    expected = [50.0, 30.0, 20.0] if behaviour.unit == "mm" else None
    assert [None if size is None else pytest.approx(expected) for size in sizes] == sizes
    if first_run:
        assert same_weights(path, first_run["model"])
    else:
        kept = tmp_path.parent / "first.pth"
        kept.write_bytes(path.read_bytes())
        first_run["model"] = kept


@pytest.mark.slow
def test_twenty_pairs_of_different_sizes_and_types_connect_and_fit(tmp_path):
    session = Session()
    module = open_module(session, "BONe_DLFit")
    types = ["uint8", "uint16", "int16", "float32"]
    pairs = [
        add_pair(session, n, shape=(40 + 3 * n, 60 - n, 1 + n % 3), dtype=types[n % 4]) for n in range(1, 21)
    ]
    connect_pairs(session, module, pairs)
    assert [n for n in range(1, 21) if getattr(module.ports, f"scan{n}").visible] == list(range(1, 21))
    settle(session, module, tmp_path / "run")
    assert module.ports.missing.text == "Press Apply."
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    header = read_header(best_model(tmp_path / "run"))
    names = header.metadata["train_dataset"] + header.metadata["val_dataset"]
    assert sorted(names) == sorted(f"tibia{n}" for n in range(1, 21))
    record = json.loads((tmp_path / "run" / "record.json").read_text(encoding="utf-8"))
    assert {entry["dtype"] for entry in record["inputs"]} == set(types)
    assert [entry["shape"] for entry in record["inputs"]] == [
        [1 + n % 3, 60 - n, 40 + 3 * n] for n in range(1, 21)
    ]


@pytest.mark.slow
@pytest.mark.parametrize("in_worker", [False, True], ids=["here", "in the worker"])
def test_stop_answers_within_two_seconds_and_keeps_the_best_model(in_worker, tmp_path):
    session = Session()
    module = fit_module(session, tmp_path / "run", epochs=5000)
    session.select(module.ports.runInWorker, "on" if in_worker else "off")
    pressed = threading.Event()
    real = session.stop_is_pressed

    def when_a_model_is_there(record, seconds):
        found = any((tmp_path / "run").glob("*_best_epoch_*.pth"))
        if found:
            pressed.set()
        return found or real(record, seconds)

    session.stop_is_pressed = when_a_model_is_there
    session.press(module.ports.apply)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else 1.0  # others may use the machine too
    assert pressed.is_set()
    [bar] = session.progress_log
    assert bar.closed_at_s - bar.told_at_s < 2.0 * max(1.0, load / (os.cpu_count() or 1))
    path = best_model(tmp_path / "run")
    assert module.ports.result.text.startswith(f"Stopped. Best model: {path.name} (epoch ")
    assert session.messages == []
    assert workers_only(session) == []
    assert read_header(path).num_classes == 2


@pytest.mark.slow
def test_the_worker_fits_the_same_model(tmp_path):
    models = []
    for choice in ("off", "on"):
        session = Session()
        module = fit_module(session, tmp_path / choice, epochs=9)
        session.select(module.ports.runInWorker, choice)
        session.press(module.ports.apply)
        assert session.messages == []
        assert "Epoch 1" in session.console
        assert any(" of 9, " in text for _, text in session.progress_log[0].texts)
        models.append(best_model(tmp_path / choice))
    assert models[0].name == models[1].name
    assert same_weights(*models)


@pytest.mark.slow
def test_a_run_goes_on_with_the_same_fields(tmp_path):
    whole = Session()
    module = fit_module(whole, tmp_path / "whole", epochs=2)
    whole.select(module.ports.schedule, "cosine")  # the first of two epochs is as the only one
    whole.press(module.ports.apply)
    session = Session()
    module = fit_module(session, tmp_path / "run", epochs=1)
    session.select(module.ports.schedule, "cosine")
    session.select(module.ports.keepCheckpoint, "on")
    session.press(module.ports.apply)
    session.pick(module.ports.resume, tmp_path / "run")
    session.type(module.ports.epochs, "2")
    session.press(module.ports.apply)
    assert session.messages == []
    assert "Resumed after epoch 1" in session.console
    assert same_weights(
        next((tmp_path / "run").glob("*_last_epoch_2*.pth")),
        next((tmp_path / "whole").glob("*_last_epoch_2*.pth")),
    )
    scan, mask = add_pair(session, 3)
    session.connect(module.ports.scan2, scan)
    session.connect(module.ports.mask2, mask)
    session.press(module.ports.apply)
    [message] = session.messages
    assert (
        "was fitted on tibia1 with tibia1-labels, tibia2 with tibia2-labels. Connect the same" in message.text
    )


@pytest.mark.slow
def test_a_dry_run_tells_time_and_memory_and_writes_nothing(tmp_path):
    session = Session()
    module = fit_module(session, tmp_path / "run", patch_size=None)
    chosen = "Patches of 32 px; every scan has room for them."
    assert module.ports.patchSize.text == "auto"
    assert module.ports.missing.text == "Press Apply."
    assert chosen in module.ports.estimate.text.split("\n")
    session.select(module.ports.dryRun, "on")
    session.press(module.ports.apply)
    assert session.messages == []
    told = module.ports.result.text.split("\n")
    assert told[0].startswith("Training on tibia")
    assert told[2] == chosen
    assert told[3].startswith("Chosen for this network: learning rate 0.005")
    assert any(line.startswith("Time on CPU") for line in told)
    assert any("GiB of RAM" in line for line in told)
    assert not (tmp_path / "run").exists()


@pytest.mark.slow
def test_3d_and_25d_fit_too(tmp_path):
    for mode in ("2.5D", "3D"):
        session = Session(Behaviour(get_array="view"))
        module = fit_module(session, tmp_path / mode, shape=(40, 36, 33), classes=3)
        session.select(module.ports.mode, mode)
        session.press(module.ports.apply)
        assert session.messages == []
        assert read_header(best_model(tmp_path / mode)).mode == mode


@pytest.mark.slow
def test_a_fit_that_fails_is_one_message_and_fields_stay_as_they_were(tmp_path):
    session = Session(Behaviour(get_array="view", set_array="keeps"))
    module = fit_module(session, tmp_path / "run")
    before = {name: session.objects[name].get_array().copy() for name in projects_objects(session)}
    session.select(module.ports.weights, "own file")
    (tmp_path / "broken.pth").write_bytes(b"nothing")
    session.pick(module.ports.weightsOther, tmp_path / "broken.pth")
    session.press(module.ports.apply)
    [message] = session.messages
    assert "broken.pth" in message.text
    for name, array in before.items():
        np.testing.assert_array_equal(session.objects[name].get_array(), array)
    session.select(module.ports.weights, "random")
    session.select(module.ports.overwrite, "on")
    session.press(module.ports.apply)
    assert len(session.messages) == 1
    assert best_model(tmp_path / "run")
