"""A prediction that is broken off anywhere goes on there, and gives the same bytes as one that is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from bone_backend.errors import Cancelled, OutputError
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder
from bone_backend.scores.meaning import record_path
from bone_backend.volumes.kept import Kept, Note, folder_of
from bone_backend.volumes.volume import Header, save
from tests.prediction_models import make_model

ROOT = Path(__file__).resolve().parents[2]
MODES = {
    "slices": {},
    "2.5D": {"model": "25d"},
    "three axes": {"axes": "zyx"},
    "maps and cleaning": {"maps": ["confidence", "probabilities"], "clean": ["1:largest"]},
    "3D": {"model": "3d", "chunk_depth": 32},
}
# Kills itself at the n-th report of its progress, again and again, until it comes to the end.
KILLED = """
import json, os, signal, sys, torch, segmentation_models_pytorch
torch.set_num_threads(1)
import bone_backend.inference.labelling as labelling
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
labelling.LOOK_S = 0.0

def kills_until_it_ends(values, every):
  kills = 0
  while True:
      child = os.fork()
      if child == 0:
          left = [every]
          def progress(*_):
              left[0] -= 1
              if not left[0]:
                  os.kill(os.getpid(), signal.SIGKILL)
          predict(PredictOptions.parse(values), progress=progress)
          os._exit(0)
      _, status = os.waitpid(child, 0)
      if not os.WIFSIGNALED(status):
          break
      kills += 1
  return kills, os.waitstatus_to_exitcode(status)

print(json.dumps([kills_until_it_ends(*one) for one in json.loads(sys.argv[1])]))
"""


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Path:
    torch.set_num_threads(1)
    folder = tmp_path_factory.mktemp("resuming")
    random = np.random.default_rng(1)
    z, y, x = np.meshgrid(*(np.arange(n) for n in (40, 40, 36)), indexing="ij")
    greys = 120 + 80 * np.sin(y / 9 + z / 5) * np.cos(x / 7) + random.normal(0, 10, (40, 40, 36))
    save(folder / "scan.tif", greys.astype(np.uint8), voxel_size=(5.0, 5.0, 5.0))
    make_model(folder / "2d.pth", patch_size=32)
    make_model(folder / "25d.pth", slices=3, patch_size=32)
    make_model(folder / "3d.pth", is_3d=True, patch_size=32)
    return folder


def values(made: Path, output: Path, *, model: str = "2d", **more) -> dict:
    told = {"scan": made / "scan.tif", "model": made / f"{model}.pth", "output": output, "device": "cpu"}
    told |= {"chunk_size": 32, "batch_size": 4, "precision": "fp32", **more}
    return {name: str(value) if isinstance(value, Path) else value for name, value in told.items()}


def run(made: Path, output: Path, *, stop_after: int | None = None, **more):
    recorder = Recorder(stop_after=stop_after)
    try:
        return recorder, predict(PredictOptions.parse(values(made, output, **more)), progress=recorder)
    except Cancelled as stop:
        return recorder, stop


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir() if not p.name.endswith("record.json")}


@pytest.fixture
def slowly(monkeypatch):
    """Each batch is reported, so that it can be broken off behind each."""
    monkeypatch.setattr("bone_backend.inference.labelling.LOOK_S", 0.0)


@pytest.mark.parametrize(
    "mode", [pytest.param(mode, marks=[pytest.mark.slow] * (mode != "maps and cleaning")) for mode in MODES]
)
def test_what_is_broken_off_anywhere_ends_with_the_same_bytes(mode, made, tmp_path, slowly):
    (tmp_path / "whole").mkdir()
    recorder, whole = run(made, tmp_path / "whole" / "labels.tif", **MODES[mode])
    count = len(recorder.reports)
    output = tmp_path / "part" / "labels.tif"
    kept = []
    for share in (0.8, 0.5) if mode == "3D" else (0.35, 0.3):  # of a whole one
        _, stop = run(made, output, stop_after=max(2, int(share * count)), **MODES[mode])
        assert isinstance(stop, Cancelled)
        assert [p.name for p in output.parent.iterdir()] == ["labels.tif.unfinished"]
        assert stop.result == {"unfinished": str(folder_of(output))}
        kept.append(sum(p.stat().st_size for p in folder_of(output).glob("*.jsonl")))
    assert kept == sorted(kept)
    assert kept[0] > 0
    again, result = run(made, output, **MODES[mode])
    assert len(again.reports) < count or mode == "3D"  # whose two slabs overlap
    assert files(output.parent) == files(tmp_path / "whole")
    assert (result.confidence, result.voxels) == (whole.confidence, whole.voxels)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs fork")
def test_killed_again_and_again_it_ends_with_the_same_bytes(made, tmp_path, slowly):
    asked = []
    for mode in ("slices", "three axes"):
        (tmp_path / mode / "whole").mkdir(parents=True)
        recorder, _ = run(made, tmp_path / mode / "whole" / "labels.tif", **MODES[mode])
        output = tmp_path / mode / "killed" / "labels.tif"
        asked.append((values(made, output, **MODES[mode]), len(recorder.reports) * 2 // 5))
    for kills, status in in_child(KILLED, json.dumps(asked)):
        assert status == 0
        assert kills >= 2
    for mode in ("slices", "three axes"):
        assert files(tmp_path / mode / "killed") == files(tmp_path / mode / "whole")


def in_child(code: str, *words: str):
    """What a child prints at its end; it loads torch once and forks for each of its tasks."""
    command = [sys.executable, "-c", code, *words]
    ended = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout)


def test_other_options_another_scan_and_no_resume_begin_anew(made, tmp_path, slowly):
    output = tmp_path / "labels.tif"
    recorder, _ = run(made, tmp_path / "whole.tif", merge="gaussian")
    count = len(recorder.reports)
    run(made, output, stop_after=count // 2)
    assert folder_of(output).is_dir()
    told, _ = run(made, output, merge="gaussian", stop_after=count // 2)
    assert len(told.reports) == count // 2
    again, _ = run(made, output, merge="gaussian", resume=False)
    assert len(again.reports) >= count
    assert output.read_bytes() == (tmp_path / "whole.tif").read_bytes()
    assert not folder_of(output).exists()


def test_a_slab_that_was_damaged_and_all_behind_it_do_not_count(tmp_path):
    header = Header("labels", (9, 4, 5), np.dtype(np.uint8))
    labels = np.random.default_rng(0).integers(0, 3, header.shape).astype(np.uint8)

    def opened() -> Kept:
        kept = Kept(tmp_path / "labels.tif", header, ["confidence"])
        kept.begin("key", resume=True)
        return kept

    kept = opened()
    for z0 in range(0, 9, 3):
        kept.write(labels[z0 : z0 + 3])
        kept.beside([labels[z0 : z0 + 3] + 9], Note(np.full((2, 3), z0), [0.5] * 3))
    kept.close(keep=True)
    kept = opened()
    assert kept.slices == 9
    kept.close(keep=True)
    path = kept.folder / "confidence.raw"
    data = bytearray(path.read_bytes())
    data[4 * 20] ^= 1  # in the second slab
    path.write_bytes(data)
    kept = opened()
    assert (kept.slices, kept.counts.tolist()) == (3, [[0] * 3] * 2)
    np.testing.assert_array_equal(np.concatenate([slab for _, slab in kept.slabs()]), labels[:3])
    assert path.stat().st_size == 3 * 20
    kept.close(keep=False)
    assert not kept.folder.exists()


def test_a_folder_of_somebody_else_in_its_place_is_left_alone(made, tmp_path):
    folder = folder_of(tmp_path / "labels.tif")
    folder.mkdir()
    (folder / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="in the way, and not BONe's"):
        run(made, tmp_path / "labels.tif")
    assert [p.name for p in folder.iterdir()] == ["mine.txt"]


# Does the work and kills itself in a function, before or after it is done; several times, to an output each.
MOMENTS = """
import importlib, json, os, signal, sys, torch, segmentation_models_pytorch
torch.set_num_threads(1)
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict

def die_in(values, name, when):
    module, _, name = name.rpartition(".")
    module, _, owner = module.partition(":")
    owner = getattr(importlib.import_module(module), owner) if owner else importlib.import_module(module)
    done = getattr(owner, name)
    def end(*args, **more):
        if when == "after":
            done(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    setattr(owner, name, end)
    predict(PredictOptions.parse(values))

ended = []
for one in json.loads(sys.argv[1]):
    child = os.fork()
    if child == 0:
        die_in(*one)
        os._exit(0)
    ended.append(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print(json.dumps(ended))
"""
LAST_MOMENTS = {
    "before the labels get their name": ("bone_backend.volumes.kept:Kept.is_done", "after"),
    "before the maps get theirs": ("bone_backend.volumes.tiff.writing:TiffFileWriter._finish", "after"),
    "before the record": ("bone_backend.scores.meaning.write_record", "before"),
    "before the folder goes": ("bone_backend.volumes.kept._remove", "before"),
    "when the folder is half gone": ("bone_backend.volumes.kept._empty", "after"),
}


@pytest.fixture(scope="module")
def died(made, tmp_path_factory):
    """A folder for each last moment, as a prediction that was killed in it left it; and a whole one."""
    folder, more = tmp_path_factory.mktemp("died"), {"maps": ["confidence", "entropy"]}
    (folder / "whole").mkdir()
    run(made, folder / "whole" / "labels.tif", **more)
    outputs = {moment: folder / str(number) / "labels.tif" for number, moment in enumerate(LAST_MOMENTS)}
    asked = [(values(made, path, **more), *LAST_MOMENTS[moment]) for moment, path in outputs.items()]
    assert in_child(MOMENTS, json.dumps(asked)) == [-9] * len(asked)
    return folder / "whole", outputs


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="needs SIGKILL")
@pytest.mark.parametrize("moment", LAST_MOMENTS)
def test_killed_in_a_last_moment_the_same_command_ends_it_and_replaces_nothing_of_anybody(moment, made, died):
    more = {"maps": ["confidence", "entropy"]}
    whole, output = died[0], died[1][moment]
    if output.exists() and not record_path(output).exists():
        with pytest.raises(OutputError, match="already there"):  # by another model: these are not its own
            run(made, output, model="25d", **more)
    if not record_path(output).exists():
        run(made, output, **more)
    else:
        with pytest.raises(OutputError, match="already there"):
            run(made, output, **more)
    assert files(output.parent) == files(whole)
    assert record_path(output).exists()


def test_what_was_killed_in_its_last_moment_leaves_nothing_hidden(made, tmp_path):
    output = tmp_path / "labels.tif"
    run(made, output)
    kept = Kept(output, Header("labels", (9, 4, 5), np.dtype(np.uint8)), [])
    kept.begin("key", resume=True)
    kept.is_done("abc")
    kept.close(keep=True)
    with pytest.raises(OutputError, match="is already there"):
        run(made, output)
    assert not kept.folder.exists()
