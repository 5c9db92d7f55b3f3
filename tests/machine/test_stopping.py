"""A stop is noticed within the computing of a network, forward and backward."""

from __future__ import annotations

import pytest
import torch

from bone_backend.errors import Cancelled
from bone_backend.machine.stopping import interruptible


@pytest.mark.parametrize("call", [1, 2, 3, 4])
def test_a_stop_is_noticed_behind_each_layer_forward_and_backward(call):
    network = torch.nn.Sequential(torch.nn.Linear(2, 2), torch.nn.Linear(2, 1))
    calls = []

    def check():
        calls.append(1)
        if len(calls) == call:
            raise Cancelled("stop")

    def learn():
        network(torch.ones(1, 2)).sum().backward()

    with pytest.raises(Cancelled), interruptible(network, check):
        learn()
    assert len(calls) == call
    learn()  # nothing looks any more
    assert len(calls) == call
