"""One scan on several workers: the same bytes as in one process, also when a worker is killed."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

from bone_backend.errors import Cancelled, HardwareError, ModelFileError, ScanError, WorkerError
from bone_backend.inference.dealing import worker
from bone_backend.inference.opening import Place
from bone_backend.options.predicting.scans import PredictScansOptions
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.predictions import predict_scans_job
from bone_backend.progress import silent
from bone_backend.side_by_side import cluster
from bone_backend.side_by_side.crew import DaskCrew
from bone_backend.volumes.kept import folder_of
from bone_backend.volumes.volume import save
from tests.prediction_models import make_model

pytest.importorskip("distributed")
KINDS = {
    "chunks and maps": {"chunk_size": 32, "maps": ["confidence", "probabilities"], "clean": ["1:islands=3"]},
    "chunks that overlap along z": {
        "model": "deep",
        "chunk_size": 32,
        "chunk_depth": 16,
        "merge": "gaussian",
    },
    "neighbouring slices, mirrored": {"model": "slices", "average": "flips"},
    "three axes by two models": {"axes": "zyx", "more_models": ["slices"], "model_weights": [2, 1]},
    "voxels of another size": {"resample": True, "voxel_size": "14um"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("one")
    told = {"bone": {"voxel_size_um": [[10.0, 10.0, 10.0]]}}
    make_model(folder / "m.pth", is_plain=True, **told)
    make_model(folder / "slices.pth", is_plain=True, slices=3)
    make_model(folder / "deep.pth", is_plain=True, is_3d=True)
    scan = np.random.default_rng(0).integers(1, 255, (70, 40, 44)).astype(np.uint8)
    save(folder / "scan.tif", scan, voxel_size=(10.0, 10.0, 10.0))
    return folder


@pytest.fixture(scope="module")
def client():
    with cluster.connected("local:2", gpus=0, called="test", cores=2) as found:
        yield found


@pytest.fixture(autouse=True)
def all_there(client):
    """A worker that a test killed is there again before the next one counts them."""
    client.wait_for_workers(2, timeout=60)


@pytest.fixture
def crew(client, tmp_path):
    with DaskCrew(client, tmp_path / "stop", worker.forget) as found:
        yield found


def options(made: Path, output: Path, **more) -> PredictOptions:
    told = {"scan": made / "scan.tif", "model": "m", "device": "cpu", "precision": "fp32", **more}
    told["model"] = made / f"{told['model']}.pth"
    told["more_models"] = [made / f"{name}.pth" for name in told.get("more_models", ())]
    return PredictOptions.parse({"axes": "z", **told, "output": output})


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.suffix == ".tif"}


def result(path: Path) -> dict:
    told = json.loads(path.with_name(f"{path.name}.record.json").read_text())["result"]
    own = ("seconds", "peak_ram_gib")
    return {name: value for name, value in told.items() if name not in own}


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind",
    [
        pytest.param(name, marks=[pytest.mark.rare] * (name == "chunks that overlap along z"))
        for name in KINDS
    ],
)
def test_what_several_workers_make_is_byte_equal(made, crew, tmp_path, kind):
    here, there = tmp_path / "here" / "a.tif", tmp_path / "there" / "a.tif"
    predict(options(made, here, **KINDS[kind]))
    predict(options(made, there, **KINDS[kind]), crew=crew)
    assert files(there.parent) == files(here.parent)
    assert len({*np.unique(np.frombuffer(here.read_bytes()[-70 * 40 * 44 :], np.uint8))}) > 1
    assert {**result(there), "maps": 0} == {**result(here), "maps": 0}
    assert not folder_of(there).exists()


@pytest.mark.slow
def test_the_slab_of_a_killed_worker_is_done_again(made, client, crew, tmp_path):
    here, there, killed = tmp_path / "here" / "a.tif", tmp_path / "there" / "a.tif", []

    def progress(*_):
        journal = folder_of(there) / "slabs.jsonl"
        if not killed and journal.is_file() and journal.stat().st_size:
            at_work = client.sync(client.scheduler.processing)
            pids = client.run(_pid)
            killed.append(next((address for address, keys in at_work.items() if keys), next(iter(pids))))
            psutil.Process(pids[killed[0]]).kill()

    more = {"model": "slices", "average": "turns", "batch_size": 1}
    predict(options(made, here, **more))
    predict(options(made, there, **more), crew=crew, progress=progress)
    assert killed
    assert files(there.parent) == files(here.parent)


def _pid() -> int:
    import os

    return os.getpid()


@pytest.mark.slow
def test_a_stop_keeps_what_is_done_and_one_process_goes_on_with_it(made, crew, tmp_path):
    here, there = tmp_path / "here" / "a.tif", tmp_path / "there" / "a.tif"
    more = {"axes": "zyx", "batch_size": 4}

    def stopping(*_):
        journal = folder_of(there) / "passes.jsonl"
        if journal.is_file() and journal.read_bytes().count(b"\n") >= 6:
            raise Cancelled("asked to stop")

    predict(options(made, here, **more))
    with pytest.raises(Cancelled) as stop:
        predict(options(made, there, **more), crew=crew, progress=stopping)
    assert stop.value.result == {"unfinished": str(folder_of(there))}
    assert not list(folder_of(there).glob(".bricks*"))
    seen = []
    predict(options(made, there, **more), progress=lambda *told: seen.append(told[2]))
    assert not any(words.startswith("Labelling slice 1 of 70 along z") for words in seen)
    assert files(there.parent) == files(here.parent)
    assert not folder_of(there).exists()


@pytest.mark.slow
def test_one_scan_of_a_person_goes_to_all_workers_in_slabs(made, client, tmp_path, monkeypatch, caplog):
    class Started:
        def __init__(self, *_, **__): ...

        def __enter__(self):
            return client

        def __exit__(self, *_): ...

    monkeypatch.setattr(cluster, "connected", Started)
    told = {"scan": made / "scan.tif", "model": made / "m.pth", "device": "cpu", "precision": "fp32"}
    told |= {"output": tmp_path / "labels.tif", "cluster": "local:2"}
    with caplog.at_level(logging.INFO, "bone"):
        found = predict_scans_job(PredictScansOptions.parse(told))
    assert found["slices"] == 70
    assert "2 workers of the cluster compute" in caplog.text
    predict(options(made, tmp_path / "here.tif", axes="auto"))
    assert (tmp_path / "labels.tif").read_bytes() == (tmp_path / "here.tif").read_bytes()
    (tmp_path / "labels.tif").unlink()
    monkeypatch.setattr(worker, "look_around", _fail)
    with pytest.raises(ScanError, match="no memory left"):
        predict_scans_job(PredictScansOptions.parse(told))


def _fail(*_, **__):
    raise HardwareError("no memory left")


def _work(made: Path, **more) -> worker.Work:
    """As a head that sees these files would send it."""
    from bone_backend.inference import opening
    from bone_backend.inference.dealing import head
    from bone_backend.intensity.normalisation import Normalisation
    from bone_backend.model_files.header import read_header
    from bone_backend.volumes.volume import open_volume

    asked = options(made, made / "no.tif")
    model = read_header(made / "m.pth")
    with open_volume(asked.scan) as scan:
        header = scan.header
    team = opening.Team(
        Normalisation("ZScore", 0.0, 1.0, -9.0, 9.0), opening.cut(asked, header.shape, model), [model], [1.0]
    )
    dealt = head.Dealt(
        asked, [team], None, None, crew=None, place=Place(torch.device("cpu"), None, "CPU, fp32", 1 << 30)
    )
    return replace(dealt._work(team, header, team.chunks), batch_size=1, **more)


def test_a_worker_that_sees_other_files_or_is_unlike_the_others_says_so(made):
    work = _work(made)
    assert len(worker.slab(work, 3, 5, progress=silent).values) == 2
    other = replace(work.header, shape=(71, 40, 44))
    with pytest.raises(ScanError, match="another scan on a worker"):
        worker.slab(replace(work, header=other), 3, 5, progress=silent)
    networks = replace(work.networks, made=(("other", "model"),))
    with pytest.raises(ModelFileError, match="another model on a worker"):
        worker.slab(replace(work, networks=networks), 3, 5, progress=silent)
    with pytest.raises(HardwareError, match="One worker computes on cuda, another on cpu"):
        worker.slab(replace(work, networks=replace(work.networks, kind="cuda")), 3, 5, progress=silent)
    worker.forget()


class _Lost:
    """A client whose scheduler has gone."""

    scheduler = None

    def submit(self, *_, **__):
        return self

    def result(self):
        from concurrent.futures import CancelledError

        raise CancelledError

    def sync(self, *_, **__):
        raise OSError

    status = "closed"

    def cancel(self, *_):
        raise RuntimeError("Client is closed")


@pytest.mark.rare
def test_a_scheduler_that_is_lost_is_told(tmp_path):
    lost = _Lost()
    lost.scheduler = type("S", (), {"identity": None})()
    with (
        pytest.raises(WorkerError, match="does not answer any more"),
        DaskCrew(lost, tmp_path / "stop", silent) as crew,
    ):
        list(crew.deal(silent, [()], lambda: None))
    assert not (tmp_path / "stop").exists()
