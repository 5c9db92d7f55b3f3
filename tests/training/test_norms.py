"""Batch normalisations that stay in the second half of a fit, and what they then go by."""

from __future__ import annotations

import math

import pytest
import torch

from bone_backend.errors import Cancelled
from bone_backend.fitting import fit
from bone_backend.model_files import model_file
from bone_backend.options.fit import SettledFit
from bone_backend.options.programs import FitOptions
from bone_backend.progress import Recorder
from bone_backend.training import norms
from tests.conftest import fit_values


def chosen(**values) -> SettledFit:
    return SettledFit.model_construct(**{"norm_statistics": "fixed", "minutes": None, "epochs": 9, **values})


@pytest.mark.parametrize(
    ("values", "first"),
    [
        ({}, 5),
        ({"epochs": 4}, 2),
        ({"epochs": 2}, 1),
        ({"epochs": 1}, None),
        ({"norm_statistics": "running"}, None),
        ({"minutes": 5.0, "epochs": 8}, 4),
    ],
)
def test_they_stay_in_the_second_half(values, first):
    options = chosen(**values)
    found = [norms.are_fixed(options, epoch) for epoch in range(options.epochs)]
    assert found == [first is not None and epoch >= first for epoch in range(options.epochs)]


def test_of_a_fit_that_goes_on_in_rounds_they_stay_in_the_second_half_of_each():
    options = chosen(minutes=math.inf, epochs=4)
    found = [norms.are_fixed(options, epoch) for epoch in range(4 + 8 + 16)]
    assert found == [False] * 2 + [True] * 2 + [False] * 4 + [True] * 4 + [False] * 8 + [True] * 8


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = [torch.nn.Conv2d(1, 3, 3), torch.nn.BatchNorm2d(3), torch.nn.Dropout(0.5)]
    return torch.nn.Sequential(*layers, torch.nn.Conv2d(3, 2, 1), torch.nn.BatchNorm2d(2))


def test_what_is_measured_is_the_plain_average_over_the_batches_as_prediction_would_see_them():
    made, batches = network(), torch.randn(5, 4, 1, 9, 9)
    made(batches[0] * 7)  # a past that is forgotten
    with torch.no_grad(), norms.measured(made):
        for batch in batches:
            made(batch)
    first, second = made[1], made[4]
    seen = [made[0](batch) for batch in batches]
    mean = torch.stack([one.mean((0, 2, 3)) for one in seen]).mean(0)
    var = torch.stack([one.transpose(0, 1).flatten(1).var(1) for one in seen]).mean(0)
    torch.testing.assert_close(first.running_mean, mean)
    torch.testing.assert_close(first.running_var, var)
    after = [
        made[3](torch.nn.functional.batch_norm(one, None, None, first.weight, first.bias, True))
        for one in seen
    ]
    torch.testing.assert_close(
        second.running_mean, torch.stack([one.mean((0, 2, 3)) for one in after]).mean(0)
    )
    assert (first.momentum, made.training, made[2].training) == (0.1, True, True)


def test_layers_that_are_fixed_learn_but_keep_what_they_go_by():
    made = network()
    norms.fix(made)
    before = [buffer.clone() for buffer in made.buffers()]
    optimizer = torch.optim.SGD(made.parameters(), lr=0.1)
    made(torch.randn(4, 1, 9, 9)).square().sum().backward()
    weight = made[1].weight.detach().clone()
    optimizer.step()
    assert all(torch.equal(one, other) for one, other in zip(before, made.buffers(), strict=True))
    assert not torch.equal(weight, made[1].weight)
    assert made[2].training


def run(pairs, output, progress):
    values = fit_values(pairs, output, norm_statistics="fixed", epochs=4, keep_checkpoint=True)
    return fit(FitOptions.parse(values), progress=progress)


def state(output) -> dict[str, torch.Tensor]:
    return torch.load(output / "checkpoint.pth", weights_only=True)["network"]


@pytest.fixture(scope="module")
def whole(pairs, tmp_path_factory):
    """An unbroken run, and what it told."""
    folder, reports = tmp_path_factory.mktemp("norms") / "run", Recorder()
    run(pairs, folder, reports)
    return folder, [told.message for told in reports.reports]


def test_a_fit_learns_on_while_they_stay_and_keeps_them_in_its_model(pairs, whole, tmp_path):
    folder, messages = whole
    third = next(i for i, message in enumerate(messages, 1) if message.startswith("Epoch 3 of 4, validation"))
    with pytest.raises(Cancelled):
        run(pairs, tmp_path / "half", Recorder(stop_after=third))
    half, end = state(tmp_path / "half"), state(folder)
    is_norm = [name for name in end if "running_" in name]
    assert is_norm
    assert all(torch.equal(half[name], end[name]) for name in is_norm)
    assert not all(torch.equal(half[name], end[name]) for name in end)
    (last,) = folder.glob("BONe_last_epoch_*.pth")
    kept = model_file.load_state(last)
    assert all(torch.equal(kept[name], end[name]) for name in is_norm)


@pytest.mark.parametrize("share", [0.45, 0.5, 0.55, 0.8])
def test_broken_off_anywhere_it_ends_with_the_same_bits(pairs, whole, tmp_path, share):
    folder, messages = whole
    with pytest.raises(Cancelled):
        run(pairs, tmp_path / "run", Recorder(stop_after=int(share * len(messages))))
    fit(FitOptions.parse({"resume": str(tmp_path / "run")}))
    ended, unbroken = state(tmp_path / "run"), state(folder)
    assert all(torch.equal(ended[name], unbroken[name]) for name in unbroken)
