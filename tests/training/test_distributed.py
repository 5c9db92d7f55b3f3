"""Processes that fit together: shares without repeats, exact sums, one gradient, one end for all."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.dataset.loader import Loader, PairSource, PatchLayout
from bone_backend.dataset.plan import PatchShape, Plan
from bone_backend.errors import HardwareError, ProgramFault, WorkerError, as_plain
from bone_backend.jobs.ranks import Rank
from bone_backend.jobs.run import run_in_worker
from bone_backend.model_files.model_file import weights_sha256
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.progress import silent
from bone_backend.training import distributed
from bone_backend.training.distributed import World, count_processes, device_of, smallest_share
from bone_backend.training.replica import seed_apart, synchronised, unused_parameters
from bone_backend.volumes.patch_source import open_source
from bone_backend.volumes.volume import ArrayVolume
from mocks import several


@pytest.fixture(scope="module")
def seen():
    """What two real processes saw of each other."""
    return run_in_worker("mocks.several:exchange", {}, python=Path(sys.executable), processes=2)["seen"]


def test_integers_are_added_exactly(seen):
    assert [one["sum"] for one in seen] == [[2**61 + 1]] * 2


def test_all_hear_what_one_says(seen):
    assert [one["any"] for one in seen] == [[True, False]] * 2
    assert [one["gathered"] for one in seen] == [["from 0", "from 1"]] * 2
    assert [one["first"] for one in seen] == [seen[0]["pid"]] * 2
    assert seen[0]["pid"] != seen[1]["pid"]


def test_a_fault_of_one_is_told_by_the_first(seen):
    assert [one["told"] for one in seen] == ["ScanError: scan_3: truncated", "Parted: "]


def test_a_stop_that_the_first_is_asked_for_stops_all_at_the_same_place(seen):
    assert [one["stopped"] for one in seen] == ["Cancelled: asked to stop"] * 2
    assert [one["reports"] for one in seen] == [3, 3]


def test_weights_that_drift_apart_are_a_fault(seen):
    assert all(
        one["differing"].startswith("FittingError: the weights of the 2 processes differ") for one in seen
    )
    assert [one["same"] for one in seen] == ["nothing"] * 2


def test_two_processes_end_with_the_same_weights_which_are_those_of_one(seen):
    alone = several._train(World())
    assert seen[0]["trained"]["weights"] == seen[1]["trained"]["weights"]
    assert [one["trained"]["patches"] for one in seen] == [3 + 4 + 3, 2 + 3 + 2]
    for found, wanted in zip(seen[0]["trained"]["weights"], alone["weights"], strict=True):
        assert found == pytest.approx(wanted, abs=1e-6)


def test_weights_that_nothing_depends_on_stay(seen):
    assert all(one["unused"]["is_unchanged"] for one in seen)
    assert seen[0]["unused"]["used"] == seen[1]["unused"]["used"]


# ---- without processes


def test_a_process_by_itself_is_a_world_that_does_nothing():
    world, network = World(), torch.nn.Conv2d(1, 1, 1)
    assert world.exchanging(network, (2, 1, 4, 4)) == (network, network)
    assert world.agreed(silent) is silent
    assert (world.sum(torch.tensor([3])).tolist(), world.any(True), world.gather(5)) == ([3], True, [5])
    assert world.first(lambda: 7) == 7


def plan_of(count: int) -> Plan:
    zero = np.zeros(count, np.int64)
    return Plan(
        zero,
        np.arange(count),
        zero,
        zero,
        zero.astype(np.int8),
        np.zeros(count, np.float32),
        np.ones(count, np.float32),
    )


@pytest.fixture(scope="module")
def loader(tmp_path_factory):
    source = open_source(
        ArrayVolume(np.arange(200 * 16, dtype=np.uint16).reshape(200, 4, 4)),
        folder=tmp_path_factory.mktemp("s"),
    )
    with Loader(
        [PairSource(source, source)], PatchLayout(PatchShape(1, 4, 4)), batch_size=9, threads=1
    ) as made:
        yield made


@settings(max_examples=30, deadline=None)
@given(count=st.integers(1, 60), size=st.integers(1, 5))
def test_no_patch_is_left_out_or_taken_twice(loader, count, size):
    plan = plan_of(count)
    whole = [batch.plan.z.tolist() for batch in loader.batches(plan)]
    shared = [[b.plan.z.tolist() for b in loader.batches(plan, share=(rank, size))] for rank in range(size)]
    for number, batch in enumerate(whole):  # training: every process takes a share of every batch
        assert sorted(z for rank in range(size) for z in shared[rank][number]) == batch
    dealt = [[b.plan.z.tolist() for b in loader.batches(plan, first=r, step=size)] for r in range(size)]
    assert (
        sorted(batch for part in dealt for batch in part) == whole
    )  # validation: every batch, as it is, in one of the processes
    assert smallest_share(count, 9, size) == min(len(part) for rank in shared for part in rank)


def test_a_share_knows_its_batch_and_holds_its_own_voxels(loader):
    batches = list(loader.batches(plan_of(10), share=(1, 2)))
    assert [(len(batch.plan), batch.whole) for batch in batches] == [(2, 5), (2, 5)]
    (first, *_) = loader.batches(plan_of(10), share=(1, 2))
    assert first.grey[:, 0, 0, 0].tolist() == [16, 48]  # slices 1 and 3


@pytest.mark.parametrize(("architecture", "backbone"), [("U-Net", "efficientnet-b0"), ("PSPNet", "resnet18")])
def test_unused_weights_are_those_that_get_no_gradient(architecture, backbone):
    network = build_network(NetworkSpec(architecture, backbone, "2D", 1, 2))
    before, random = weights_sha256(network.state_dict()), torch.get_rng_state()
    found = unused_parameters(network, (2, 1, 64, 64))
    assert weights_sha256(network.state_dict()) == before
    assert torch.equal(torch.get_rng_state(), random)
    network.train()(torch.randn(2, 1, 64, 64)).sum().backward()
    assert found == [name for name, p in network.named_parameters() if p.grad is None]
    assert found


def test_synchronised_normalisation_keeps_values_names_and_activations():
    from timm.layers import BatchNormAct2d

    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), BatchNormAct2d(4), torch.nn.BatchNorm2d(4)).eval()
    patches, names = torch.randn(2, 1, 8, 8), list(network.state_dict())
    wanted = network(patches)
    changed = synchronised(network)
    assert sum(isinstance(layer, torch.nn.SyncBatchNorm) for layer in changed.modules()) == 2
    assert list(changed.state_dict()) == names
    assert torch.equal(changed(patches), wanted)


def test_places_come_from_the_environment():
    rank = Rank(number=5, of=8, local=1, local_of=4)
    assert Rank.of_environment(rank.environment()) == rank
    assert Rank.of_environment({"RANK": "x", "WORLD_SIZE": "2"}) == Rank()
    assert "WORLD_SIZE" not in os.environ


def test_dropout_of_the_first_process_is_as_without_others():
    drawn = []
    for number in range(3):
        torch.manual_seed(1)
        seed_apart(42, Rank(number, 3, number, 3))
        drawn.append(torch.rand(1).item())
    torch.manual_seed(1)
    assert drawn[0] == torch.rand(1).item()
    assert len(set(drawn)) == 3


def test_the_number_of_processes_is_that_of_the_gpus_or_as_told_on_a_cpu():
    assert count_processes("1", "auto") == 1
    assert count_processes("3", "cpu") == 3
    with pytest.raises(HardwareError, match="gpus is all, but device is cpu"):
        count_processes("all", "cpu")
    if not torch.cuda.is_available():
        with pytest.raises(HardwareError, match="no GPU answers here"):
            count_processes("2", "auto")
    else:
        assert count_processes("all", "auto") == max(1, torch.cuda.device_count())
        with pytest.raises(HardwareError, match="gpus is 9999, but this machine"):
            count_processes("9999", "auto")


def test_a_process_without_others_on_a_cpu_has_the_cpu():
    assert device_of("cpu", Rank(1, 2, 1, 2)) == torch.device("cpu")


CLOSED = "[enforce fail at third_party/gloo/gloo/transport/tcp/pair.cc:534] Connection closed by peer [::1]:5"


@pytest.mark.parametrize(
    ("error", "is_lost"),
    [
        (RuntimeError(CLOSED), True),
        (RuntimeError("Read error [127.0.0.1]:7: Connection reset by peer"), True),
        (RuntimeError("writev [127.0.0.1]:7: Broken pipe"), True),
        (RuntimeError("Timed out waiting 1800000ms for recv operation to complete"), True),
        (torch.distributed.DistNetworkError("the client socket has failed"), True),
        (torch.distributed.DistBackendError("NCCL error: ncclRemoteError"), True),
        (torch.distributed.DistBackendError("NCCL error: ncclInvalidUsage"), False),
        (RuntimeError("The size of tensor a (3) must match the size of tensor b (4)"), False),
        (RuntimeError("each connection of the decoder needs a skip"), False),
        (RuntimeError("gloo: tensors of several dtypes"), False),
        (NotImplementedError("Connection closed by peer"), False),
    ],
)
def test_a_lost_process_is_told_apart_from_a_fault_of_our_own(error, is_lost):
    rank = Rank(0, 2, 0, 2)
    with pytest.raises(WorkerError if is_lost else type(error)) as caught, distributed._in_words(rank):
        raise error
    assert ("has ended" in str(caught.value)) == is_lost


def test_a_fault_of_our_own_in_another_process_comes_with_its_traceback():
    try:
        [][1]
    except IndexError as error:
        told = as_plain(error)
    fault = distributed._as_told(told, 1, 2)
    assert isinstance(fault, ProgramFault)
    assert str(fault).startswith("Process 2 of 2 failed.\nTraceback")
    assert "IndexError: list index out of range" in str(fault)
