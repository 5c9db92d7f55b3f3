"""One step: gradients that add up, steps that are skipped, and memory that runs out."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

from bone_backend.errors import HardwareError
from bone_backend.machine.device import determinism
from bone_backend.model_files.model_file import weights_sha256
from bone_backend.options.programs import FitOptions
from bone_backend.runs.checkpoint import read_checkpoint, restore, save_checkpoint
from bone_backend.runs.state import Position
from bone_backend.training.optimization import build_optimizer
from bone_backend.training.step import Step

CPU = torch.device("cpu")
PAIRS = [("a", "b"), ("c", "d")]


def made_step(*, least=1, precision=None, accumulate=1, clip=None, **chosen) -> Step:
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, 2, 3, padding=1)
    options = FitOptions.parse({"pairs": PAIRS, "output": "run", "learning_rate": 0.1, **chosen})
    return Step(
        network,
        torch.nn.CrossEntropyLoss(),
        optimizer=build_optimizer(network.parameters(), options),
        device=CPU,
        precision=precision,
        accumulate=accumulate,
        clip=clip,
        least=least,
    )


def batch(number: int, patches: int = 4) -> tuple[torch.Tensor, torch.Tensor]:
    draw = torch.Generator().manual_seed(number)
    grey = torch.randn(patches, 1, 8, 8, generator=draw)
    return grey, torch.randint(0, 2, (patches, 8, 8), generator=draw)


def train(step: Step, *numbers: int, **more) -> Step:
    for number in numbers:
        step(*batch(number), seen=lambda _logits, _target: None, **more)
    return step


def weights(step: Step) -> str:
    return weights_sha256(step.network.state_dict())


def fail_in_forward(step: Step, *, times: int, above: int = 0) -> list[int]:
    """Let memory run out in so many passes with more patches than `above`; gives the sizes that went
    through.
    """
    left, went = [times], []

    def check(_module, inputs):
        if len(inputs[0]) > above and left[0]:
            left[0] -= 1
            raise torch.OutOfMemoryError("CUDA out of memory")
        went.append(len(inputs[0]))

    step.network.register_forward_pre_hook(check)
    return went


def test_accumulated_batches_change_the_weights_as_one_large_batch():
    together, apart = made_step(optimizer="SGD"), made_step(optimizer="SGD", accumulate=3)
    parts = [batch(number) for number in range(3)]
    together(
        torch.cat([grey for grey, _ in parts]),
        torch.cat([target for _, target in parts]),
        seen=lambda _logits, _target: None,
    )
    train(apart, 0, 1, 2)
    torch.testing.assert_close(apart.network.weight, together.network.weight)


def test_a_shorter_last_group_is_divided_by_its_own_size():
    whole, short = made_step(optimizer="SGD", accumulate=2), made_step(optimizer="SGD", accumulate=8)
    train(whole, 0, 1)
    before = weights(short)
    train(short, 0, group=2)
    assert weights(short) == before
    train(short, 1, group=2)
    torch.testing.assert_close(short.network.weight, whole.network.weight)


@pytest.mark.parametrize("optimizer", ["Adam", "AdamW", "SGD"])
def test_a_first_step_without_a_number_is_skipped_and_leaves_no_trace(optimizer):
    step, untouched = made_step(optimizer=optimizer), made_step(optimizer=optimizer)
    before = weights(step)
    grey, target = batch(0)
    with determinism(True):  # fills what is not written with NaN
        step(grey * torch.nan, target, seen=lambda _logits, _target: None)
    assert weights(step) == before
    assert step.sums()["skipped"] == 1
    train(step, 1, 2)
    train(untouched, 1, 2)
    assert step.sums()["skipped"] == 1
    assert weights(step) == weights(untouched)


def test_the_mean_loss_is_over_the_patches_that_have_one():
    step = train(made_step(), 0)
    alone = step.sums()
    assert (alone["counted"], alone["patches"]) == (4, 4)
    grey, target = batch(1)
    step(grey * torch.nan, target, seen=lambda _logits, _target: None)
    both = step.sums()
    assert (both["counted"], both["patches"]) == (4, 8)
    assert both["loss_sum"] == alone["loss_sum"]


@pytest.mark.parametrize("gathered", [0, 1])
def test_when_memory_runs_out_the_same_batch_is_taken_in_pieces(gathered, caplog):
    step, plain = (made_step(optimizer="SGD", accumulate=2) for _ in range(2))
    for one in (step, plain):
        train(one, *range(gathered))
    went = fail_in_forward(step, times=9, above=2)
    train(step, *range(gathered, 2))
    train(plain, *range(gathered, 2))
    assert went[:2] == [2, 2]
    assert step.sums()["patches"] == 8
    assert "in 2 pieces" in caplog.text
    torch.testing.assert_close(step.network.weight, plain.network.weight)


def test_pieces_are_even_and_never_smaller_than_the_network_can_learn_from():
    step = made_step(least=2)
    went = fail_in_forward(step, times=9, above=3)
    step(*batch(0, patches=9), seen=lambda _logits, _target: None)
    assert went == [3, 2, 2, 2]
    step(*batch(1, patches=5), seen=lambda _logits, _target: None)
    assert went[4:] == [3, 2]


def test_after_three_halvings_or_below_the_least_it_is_given_up_in_words():
    step = made_step(least=2)
    fail_in_forward(step, times=99)
    with pytest.raises(HardwareError, match="does not suffice, even for batches of 2 patches"):
        train(step, 0)
    step = made_step()
    fail_in_forward(step, times=99)
    with pytest.raises(HardwareError, match="does not suffice, even for batches of 8 patches"):
        step(*batch(0, patches=64), seen=lambda _logits, _target: None)


def test_an_interrupted_batch_leaves_the_gradients_gathered_before():
    step, whole = made_step(accumulate=2), made_step(accumulate=2)
    train(step, 0)

    def stop(_parameter):
        raise KeyboardInterrupt

    hook = step.network.weight.register_post_accumulate_grad_hook(stop)
    with pytest.raises(KeyboardInterrupt):
        train(step, 1)
    hook.remove()
    train(step, 1)
    train(whole, 0, 1)
    assert weights(step) == weights(whole)


@pytest.mark.parametrize("optimizer", ["Adam", "SGD"])
def test_a_checkpoint_in_the_midst_of_a_group_goes_on_to_the_same_bits(tmp_path, optimizer):
    whole = train(made_step(optimizer=optimizer, accumulate=3), *range(6))
    broken = train(made_step(optimizer=optimizer, accumulate=3), *range(4))
    save_checkpoint(tmp_path / "c.pth", network=broken.network, step=broken, position=Position())
    resumed = made_step(optimizer=optimizer, accumulate=3)
    restore(read_checkpoint(tmp_path / "c.pth"), network=resumed.network, step=resumed)
    train(resumed, 4, 5)
    assert weights(resumed) == weights(whole)
    assert resumed.gathered() == {}


def test_a_rehearsal_changes_nothing_also_amid_a_group():
    step, whole = made_step(accumulate=2), made_step(accumulate=2)
    train(step, 0)
    before = step.sums()
    step.rehearse(*batch(7))
    assert step.sums() == before
    train(step, 1)
    train(whole, 0, 1)
    assert weights(step) == weights(whole)


def test_a_run_goes_on_in_half_precision_that_began_in_another(tmp_path):
    before = train(made_step(), 0)
    save_checkpoint(tmp_path / "c.pth", network=before.network, step=before, position=Position())
    after = made_step(precision=torch.float16)
    restore(read_checkpoint(tmp_path / "c.pth"), network=after.network, step=after)
    assert weights(after) == weights(before)
    scale = after.scaler.get_scale()
    save_checkpoint(tmp_path / "d.pth", network=after.network, step=after, position=Position())
    back = made_step()
    restore(read_checkpoint(tmp_path / "d.pth"), network=back.network, step=back)
    assert scale > 1


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_weights_on_a_gpu_have_the_same_hash():
    network = made_step().network
    assert weights_sha256(deepcopy(network).cuda().state_dict()) == weights_sha256(network.state_dict())
