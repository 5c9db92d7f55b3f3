"""Losses against plain float64 formulas, segmentation_models_pytorch, and numbers made by hand."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from segmentation_models_pytorch import losses as library

from bone_backend.errors import OptionError
from bone_backend.options.programs import FitOptions
from bone_backend.training.losses import LOSSES, _lovasz_weights, build_loss

IGNORED = -100
ALPHA, BETA, GAMMA, FOCAL_WEIGHT = 0.7, 1.25, 2.0, 0.3
SETTINGS = {"alpha": ALPHA, "beta": BETA, "gamma": GAMMA, "focal_weight": FOCAL_WEIGHT}


# --- the formulas, voxel by voxel, in float64


def softmax(logits: np.ndarray) -> np.ndarray:
    """(voxel, class) -> (voxel, class)."""
    powers = np.exp(logits - logits.max(1, keepdims=True))
    return powers / powers.sum(1, keepdims=True)


def tversky(logits, target, weights, alpha, beta):
    share, losses = softmax(logits), []
    for index in range(logits.shape[1]):
        true = target == index
        hit, false, missed = (
            share[true, index].sum(),
            share[~true, index].sum(),
            (1 - share[true, index]).sum(),
        )
        losses.append(1 - hit / (hit + alpha * false + beta * missed) if true.any() else 0.0)
    return np.average(losses, weights=weights)


def focal(logits, target, weights, gamma):
    share = softmax(logits)[np.arange(len(target)), target]
    return np.average(-((1 - share) ** gamma) * np.log(share), weights=np.asarray(weights)[target])


def lovasz(logits, target, weights):
    """Algorithm 1 of Berman et al. 2018, with the Jaccard loss of every set of errors counted as a set."""
    share, losses, present = softmax(logits), [], []
    for index in range(logits.shape[1]):
        true = target == index
        error = np.where(true, 1 - share[:, index], share[:, index])
        value, before = 0.0, 0.0
        for number, voxel in enumerate(order := np.argsort(-error, kind="stable"), start=1):
            wrong = np.zeros(len(true), bool)
            wrong[order[:number]] = True
            jaccard_loss = wrong.sum() / (true | wrong).sum()
            value += error[voxel] * (jaccard_loss - before)
            before = jaccard_loss
        losses.append(value)
        present.append(true.any())
    return np.average(losses, weights=np.asarray(weights) * present)


FORMULAS = {
    "Jaccard": lambda *data: tversky(*data, 1, 1),
    "Dice": lambda *data: tversky(*data, 0.5, 0.5),
    "Tversky": lambda *data: tversky(*data, ALPHA, BETA),
    "Focal": lambda *data: focal(*data, GAMMA),
    "Cross-entropy": lambda *data: focal(*data, 0),
    "Jaccard + Cross-entropy": lambda *data: tversky(*data, 1, 1) + focal(*data, 0),
    "Lovasz-Softmax": lovasz,
    "Focal Tversky": lambda *data: 0.3 * focal(*data, GAMMA) + 0.7 * tversky(*data, ALPHA, BETA),
    "Dice + Focal": lambda *data: 0.3 * focal(*data, GAMMA) + 0.7 * tversky(*data, 0.5, 0.5),
}


def batch(*shape: int, classes: int, seed: int = 0) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    logits = 2 * torch.randn(shape[0], classes, *shape[1:], generator=generator)
    return logits, torch.randint(0, classes, shape, generator=generator)


def as_voxels(logits: torch.Tensor, target: torch.Tensor) -> tuple[np.ndarray, np.ndarray]:
    flat = logits.double().movedim(1, -1).reshape(-1, logits.shape[1])
    return flat.detach().numpy(), target.reshape(-1).long().numpy()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("shape", [(2, 5, 6), (1, 3, 4, 5)], ids=["2D", "3D"])
@pytest.mark.parametrize("weights", [None, (1.0, 0.5, 3.0)])
@pytest.mark.parametrize("with_ignored", [False, True])
def test_every_loss_equals_its_formula_in_float64(name, shape, weights, with_ignored):
    logits, target = batch(*shape, classes=3)
    if with_ignored:
        target[0, :2] = IGNORED
    loss = build_loss(name, **SETTINGS, class_weights=weights, ignore_label=IGNORED)
    voxels, labels = as_voxels(logits, target)
    counts = labels != IGNORED
    expected = FORMULAS[name](voxels[counts], labels[counts], weights or (1.0, 1.0, 1.0))
    assert float(loss(logits, target)) == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(
    ("name", "peer"),
    [
        ("Jaccard", library.JaccardLoss("multiclass")),
        ("Dice", library.DiceLoss("multiclass")),
        ("Tversky", library.TverskyLoss("multiclass", alpha=1.25, beta=1.25)),
        ("Lovasz-Softmax", library.LovaszLoss("multiclass")),
        ("Cross-entropy", torch.nn.CrossEntropyLoss()),
    ],
)
def test_value_and_gradient_equal_the_library_also_when_a_class_is_absent(name, peer):
    for classes, absent in ((2, None), (4, None), (4, 2)):
        logits, target = batch(3, 16, 16, classes=classes)
        target[target == absent] = 0
        ours, theirs = logits.clone().requires_grad_(), logits.clone().requires_grad_()
        value, expected = build_loss(name)(ours, target), peer(theirs, target)
        value.backward()
        expected.backward()
        torch.testing.assert_close(value, expected, rtol=1e-5, atol=1e-6)
        torch.testing.assert_close(ours.grad, theirs.grad, rtol=1e-4, atol=1e-7)


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_logits_are_scored_in_float32_under_autocast(name, dtype):
    logits, target = batch(2, 64, 64, classes=3)
    logits = logits.to(dtype).requires_grad_()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        value = build_loss(name)(logits, target)
    assert value.dtype == torch.float32
    assert float(value.detach()) == pytest.approx(
        float(build_loss(name)(logits.detach().float(), target)), rel=1e-6
    )
    value.backward()
    assert logits.grad is not None
    assert logits.grad.dtype == dtype
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("name", LOSSES)
@pytest.mark.parametrize("gamma", [0.0, 0.5, 5.0])
@pytest.mark.parametrize("case", ["one class only", "all ignored", "certain and right", "certain and wrong"])
def test_value_and_gradient_are_finite_in_extreme_cases(name, gamma, case):
    logits, target = batch(2, 8, 8, classes=3)
    if case == "one class only":
        target[:] = 2
    elif case == "all ignored":
        target[:] = IGNORED
    else:
        sure = target if case == "certain and right" else (target + 1) % 3
        logits = 1e4 * torch.nn.functional.one_hot(sure, 3).movedim(-1, 1).float()
    logits.requires_grad_()
    value = build_loss(name, gamma=gamma, ignore_label=IGNORED)(logits, target)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()
    if case in ("all ignored", "certain and right"):
        assert float(value.detach()) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_ignored_voxels_have_no_gradient_and_their_logits_do_not_matter(name):
    logits, target = batch(2, 8, 8, classes=3)
    target[:, :4] = 9
    logits.requires_grad_()
    loss = build_loss(name, ignore_label=9)
    value = loss(logits, target)
    value.backward()
    assert (logits.grad[:, :, :4] == 0).all()
    other = logits.detach().clone()
    other[:, :, :4] = -other[:, :, :4]
    assert float(loss(other, target)) == pytest.approx(float(value.detach()), rel=1e-6)


@pytest.mark.parametrize("name", LOSSES)
def test_a_label_to_ignore_can_be_one_of_the_classes(name):
    logits, target = batch(2, 8, 8, classes=3)
    moved = torch.where(target == 2, IGNORED, target)
    expected = build_loss(name, ignore_label=IGNORED)(logits, moved)
    torch.testing.assert_close(build_loss(name, ignore_label=2)(logits, target), expected)


@settings(max_examples=25, deadline=None)
@given(
    st.sampled_from(list(LOSSES)),
    st.integers(2, 5),
    st.integers(0, 2**31),
    st.sampled_from(["uint8", "int16", "int32"]),
)
def test_memory_layout_and_integer_type_do_not_change_the_value(name, classes, seed, dtype):
    logits, target = batch(2, 4, 4, classes=classes, seed=seed)
    loss = build_loss(name)
    turned = logits.contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(loss(turned, target.to(getattr(torch, dtype))), loss(logits, target))


def test_two_voxels_by_hand():
    logits = torch.tensor([[0.0, 0.0], [0.0, np.log(3)]]).view(1, 2, 1, 2)  # p(class 1) = 1/2 and 3/4
    target = torch.tensor([[[0, 1]]])
    jaccard_0, jaccard_1 = 0.5 / (0.5 + 0.25 + 0.5), 0.75 / (0.75 + 0.5 + 0.25)
    assert float(build_loss("Jaccard")(logits, target)) == pytest.approx(1 - (jaccard_0 + jaccard_1) / 2)
    expected = -(0.5**2 * np.log(0.5) + 0.25**2 * np.log(0.75)) / 2
    assert float(build_loss("Focal", gamma=2)(logits, target)) == pytest.approx(expected)


@pytest.mark.slow
def test_lovasz_is_exact_where_counts_exceed_the_whole_numbers_of_float32():
    logits = torch.zeros(1, 2, 4100, 4100)
    logits[:, 1] = 1.0
    target = torch.zeros(1, 4100, 4100, dtype=torch.uint8)
    target[:, :, :2050] = 1
    sure = 1 / (1 + np.exp(-1))  # every voxel's share of class 1
    # class 0: its voxels are the worst errors, and when all are wrong the Jaccard loss is 1;
    # class 1: the others' voxels are, and when all are wrong it is 1/2
    expected = (sure * 1 + (sure + (1 - sure)) / 2) / 2
    assert float(build_loss("Lovasz-Softmax")(logits, target)) == pytest.approx(expected, rel=1e-5)


def test_an_unknown_loss_is_refused_with_the_known_ones():
    with pytest.raises(OptionError, match="Lovasz-Softmax"):
        build_loss("Hinge")


@pytest.mark.parametrize("weights", [(0.0, 0.0), (-1.0, 2.0), ()])
def test_unfit_class_weights_are_refused(weights):
    with pytest.raises(OptionError, match="class_weights"):
        build_loss("Dice", class_weights=weights)


def test_class_weights_of_another_number_of_classes_are_refused():
    logits, target = batch(1, 4, 4, classes=3)
    with pytest.raises(OptionError, match="2 numbers, but the network has 3"):
        build_loss("Dice", class_weights=(1, 2))(logits, target)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
@pytest.mark.parametrize("name", LOSSES)
def test_the_gpu_gives_what_the_cpu_gives(name):
    logits, target = batch(2, 32, 32, classes=3)
    loss = build_loss(name, class_weights=(1, 2, 3), ignore_label=IGNORED)
    expected = loss(logits, target)
    torch.testing.assert_close(
        loss.cuda()(logits.cuda(), target.cuda()).cpu(), expected, rtol=1e-5, atol=1e-6
    )


def test_the_slope_of_lovasz_is_exact_for_millions_of_voxels():
    draw = torch.Generator().manual_seed(3)
    error, found = torch.rand(2_000_000, generator=draw), torch.rand(2_000_000, generator=draw) < 0.4
    order = error.argsort(descending=True, stable=True)
    total, ordered = found.sum(), found[order]
    loss = 1 - (total - ordered.cumsum(0)).double() / (total + (~ordered).cumsum(0)).double()
    expected = torch.diff(loss, prepend=torch.zeros(1, dtype=torch.float64))
    torch.testing.assert_close(_lovasz_weights(error, found)[order].double(), expected, rtol=1e-5, atol=1e-15)


def test_every_loss_is_offered_and_every_one_that_is_offered_exists():
    (field,) = [field for field in FitOptions.option_fields() if field.name == "loss"]
    assert set(field.choices) == set(LOSSES)
