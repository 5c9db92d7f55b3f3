"""Preflight: what it tells is true enough to plan with, and measuring changes nothing, bit for bit."""

from __future__ import annotations

import json
import sys
import time
from dataclasses import replace

import pytest
import torch

from bone_backend.dataset.plan import Extent, PatchShape, draw_plan
from bone_backend.errors import Cancelled, HardwareError, OutputError
from bone_backend.fitting import fit, measure, ready, rehearse
from bone_backend.jobs.run import run_here
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions, dump
from bone_backend.progress import Recorder
from bone_backend.training import preflight
from bone_backend.training.distributed import World
from bone_backend.training.preflight import GIB, crowded_share
from bone_backend.training.rehearsal import Kept

from ..conftest import fit_values


def options(pairs, output, **changes):
    return FitOptions.parse(fit_values(pairs, output, **{"max_patch_overlap": 1.0, **changes}))


@pytest.fixture
def state(pairs, tmp_path):
    """A fit that is ready to begin."""
    with ready(options(pairs, tmp_path / "run"), World()) as state:
        yield state


def state_of(training):
    """Everything that a step could change, as bytes."""
    step = training.step
    return {
        "weights": model_file.weights_sha256(step.network.state_dict()),
        "optimizer": json.dumps(step.optimizer.state_dict(), default=repr),
        "sums": step.sums(),
        "pieces": step.pieces,
        "counts": training.counts.matrix.tolist(),
        "random": torch.get_rng_state().numpy().tobytes(),
        "gradients": [p.grad for p in step.network.parameters() if p.grad is not None],
        "training": step.network.training,
        "waiting": training.timing.waiting,
    }


def measured(state, check=lambda: None):
    return measure(state, progress=lambda *_: check())


def test_measuring_a_step_leaves_everything_as_it_was(state):
    before = state_of(state.training)
    measured(state)
    assert state_of(state.training) == before


def test_measuring_in_the_middle_of_a_fit_leaves_everything_as_it_was(state):
    for _ in state.training.train(0, first=0, report=lambda _done, _figures: None):
        pass
    before = state_of(state.training)
    measured(state)
    assert state_of(state.training) == before


def test_a_stop_while_measuring_leaves_everything_as_it_was(state):
    calls = []

    def check():
        calls.append(1)
        raise Cancelled("stop")

    training = state.training
    before = state_of(training)
    slow = state.network.register_forward_pre_hook(lambda *_: time.sleep(0.3))  # it looks every 0.2 s
    with pytest.raises(Cancelled):
        measured(state, check)
    slow.remove()
    assert len(calls) >= 1
    assert state_of(training) == before


def test_a_fit_learns_the_same_with_and_without_a_preflight(pairs, tmp_path):
    def weights(name, is_measured):
        with ready(options(pairs, tmp_path / name), World()) as state:
            if is_measured:
                measured(state)
                measured(state)
            for _ in state.training.train(0, first=0, report=lambda _done, _figures: None):
                pass
            return model_file.weights_sha256(state.network.state_dict())

    assert weights("with", True) == weights("without", False)


def test_patches_and_steps_are_those_of_the_fit(pairs, tmp_path):
    found = rehearse(options(pairs, tmp_path / "run"))
    result = fit(options(pairs, tmp_path / "run"))
    split = json.loads((tmp_path / "run" / "split.json").read_text(encoding="utf-8"))
    assert found.training_scans == result.train_scans
    assert found.validation_scans == result.validation_scans
    assert found.training_patches == split["training_patches"]
    assert found.validation_patches == split["validation_patches"]
    assert found.steps == -(-found.training_patches // 6)
    assert found.epochs == 2


def test_a_dry_run_leaves_nothing_behind(pairs, tmp_path):
    before = sorted(path for path in tmp_path.rglob("*"))
    told = run_here("fit", dump(options(pairs, tmp_path / "run", dry_run=True)))
    assert sorted(path for path in tmp_path.rglob("*")) == before
    assert told["dry_run"] is True
    assert json.loads(json.dumps(told))["training_patches"] == told["training_patches"]
    assert "model" not in told


def test_a_dry_run_finds_the_faults_that_a_fit_would_find(pairs, tmp_path):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "mine.txt").touch()
    with pytest.raises(OutputError, match="not empty"):
        rehearse(options(pairs, tmp_path / "run", dry_run=True))


def test_a_dry_run_of_a_resumed_run_counts_the_epochs_that_are_left_and_changes_nothing(pairs, tmp_path):
    fit(options(pairs, tmp_path / "run", epochs=1, keep_checkpoint=True))
    before = {path: path.read_bytes() for path in (tmp_path / "run").iterdir()}
    found = rehearse(FitOptions.parse({"resume": str(tmp_path / "run"), "epochs": 4, "dry_run": True}))
    assert found.epochs == 3
    assert {path: path.read_bytes() for path in (tmp_path / "run").iterdir()} == before


def test_what_is_kept_for_the_way_back_is_counted_exactly():
    """Two linear layers: what autograd keeps is the input, the ReLU's output, and no weights."""
    first, last = torch.nn.Linear(100, 50, bias=False), torch.nn.Linear(50, 10, bias=False)
    network = torch.nn.Sequential(first, torch.nn.ReLU(), last)
    kept = Kept(network)
    with torch.autograd.graph.saved_tensors_hooks(kept.take, lambda tensor: tensor):
        network(torch.zeros(8, 100)).sum().backward()
    assert kept.total == 4 * 8 * (100 + 50)
    assert kept.largest == 4 * 8 * 100


def test_the_disk_that_is_asked_for_covers_what_a_run_leaves(pairs, tmp_path):
    found = rehearse(options(pairs, tmp_path / "run"))
    fit(options(pairs, tmp_path / "run", keep_checkpoint=True))
    left = sum(path.stat().st_size for path in (tmp_path / "run").iterdir())
    assert left < found.disk_gib * GIB < 2.5 * left


def test_too_little_of_anything_is_told_in_words(state):
    found = replace(measured(state), ram_gib=1000.0, disk_gib=1e6, gpu_gib=50.0, gpu_free_gib=40.0)
    told = preflight._warnings(found, state.training, is_too_large=False)
    assert len(told) == 3
    assert "needs about 1000.0 GiB of RAM" in told[0]
    assert "50.0 GiB on the GPU, but 40.0 GiB" in told[1]
    assert "GiB are free there" in told[2]
    little = replace(found, ram_gib=0.1, gpu_gib=1.0, disk_gib=4 / 1024, disk_free_gib=1 / 1024)
    [told] = preflight._warnings(little, state.training, is_too_large=False)
    assert "needs about 4.00 MiB, but 1.00 MiB are free there" in told
    enough = replace(found, ram_gib=0.1, disk_gib=0.1, gpu_gib=1.0)
    assert preflight._warnings(enough, state.training, is_too_large=False) == []


def test_a_batch_that_does_not_fit_is_measured_by_a_part(state):
    training, sizes = state.training, []
    real = training.rehearse

    def small_memory(plan, *, learn, check):
        sizes.append(len(plan))
        assert sys.exception() is None  # its traceback would keep what the failed attempt has computed
        if len(plan) > 2:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(plan, learn=learn, check=check)

    training.rehearse = small_memory
    found = measured(state)
    assert sizes == [4, 2, 4, 2]  # training, then validation
    assert any("does not fit into RAM" in warning for warning in found.warnings)
    training.rehearse = lambda plan, *, learn, check: (_ for _ in ()).throw(
        torch.OutOfMemoryError("out of memory")
    )
    with pytest.raises(HardwareError, match="not even for 2 patches"):
        measured(state)


def test_crowded_patches_equal_a_count_by_hand():
    extents, patch = [Extent(6, 50, 50)], PatchShape(1, 32, 32)
    rng_plan = draw_plan(
        extents, patch, scans=[0], patches_per_tile=4, max_overlap=0.3, seed=1, epoch=0, chances=None
    )
    crowded = 0
    corners = list(zip(rng_plan.z, rng_plan.y, rng_plan.x, strict=True))
    for i, (z, y, x) in enumerate(corners):
        shares = [
            max(0, 32 - abs(y - b)) * max(0, 32 - abs(x - c)) / 32**2
            for j, (a, b, c) in enumerate(corners)
            if j != i and a == z
        ]
        crowded += max(shares) > 0.3
    found = crowded_share(rng_plan, patch, per_tile=4, limit=0.3)
    assert found == crowded / len(rng_plan) > 0.5
    assert crowded_share(rng_plan, patch, per_tile=4, limit=1.0) == 0.0
    assert crowded_share(rng_plan, patch, per_tile=1, limit=0.0) == 0.0


def test_an_overlap_that_cannot_be_kept_is_told(pairs, tmp_path):
    found = rehearse(options(pairs, tmp_path / "run", patches_per_tile=6, max_patch_overlap=0.1))
    assert found.crowded_share > 0.5
    assert any("max_patch_overlap 0.1" in warning for warning in found.warnings)


def test_every_fit_tells_its_figures_in_the_log_and_asks_for_a_stop_before(pairs, tmp_path):
    recorder = Recorder()
    fit(options(pairs, tmp_path / "run", epochs=1), progress=recorder)
    text = (tmp_path / "run" / "log.txt").read_text(encoding="utf-8")
    assert "Time on CPU" in text
    assert "GiB of RAM" in text
    messages = [report.message for report in recorder.reports]
    assert messages.index("Measuring one step") < next(i for i, m in enumerate(messages) if "Epoch 1" in m)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_gpu_memory_is_told_within_half_of_what_the_fit_takes(pairs, tmp_path):
    chosen = options(pairs, tmp_path / "run", device="cuda", reproducible=False, precision="auto")
    found = rehearse(chosen)
    torch.cuda.empty_cache()
    torch.cuda.reset_peak_memory_stats()
    fit(chosen)
    taken = torch.cuda.max_memory_allocated() / GIB
    assert found.gpu_gib == pytest.approx(taken, rel=0.5)
    assert found.gpu_free_gib > found.gpu_gib
