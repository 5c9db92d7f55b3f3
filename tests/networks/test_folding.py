"""Folding changes no output, and leaves alone what cannot be folded."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bone_backend.networks.build import build_network
from bone_backend.networks.folding import fold_batch_norm
from bone_backend.networks.spec import NetworkSpec


def with_running_statistics(network: nn.Module) -> nn.Module:
    for module in network.modules():
        if isinstance(module, (nn.BatchNorm2d, nn.BatchNorm3d)):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.2, 0.2)
    return network.eval()


@pytest.mark.parametrize(
    ("architecture", "backbone", "folded"),
    [
        ("U-Net", "resnet18", 30),
        ("U-Net", "densenet121", 69),  # the others stand before their convolution
        ("DeepLabV3+", "mobilenet_v2", 61),
        ("U-Net", "mobileone_s0", 201),
        ("U-Net", "mit_b0", 10),
    ],
)
def test_a_folded_network_gives_the_same_output(architecture, backbone, folded):
    torch.manual_seed(1)
    network = with_running_statistics(build_network(NetworkSpec(architecture, backbone, num_classes=3)))
    patch = torch.randn(1, 1, 128, 128)
    with torch.no_grad():
        before = network(patch)
        assert fold_batch_norm(network, torch.zeros(1, 1, 128, 128)) == folded
        after = network(patch)
    assert (after - before).abs().max() < 3e-5 * before.abs().max() + 1e-5


def test_three_dimensions_are_folded_too():
    torch.manual_seed(1)
    network = with_running_statistics(nn.Sequential(nn.Conv3d(1, 4, 3), nn.BatchNorm3d(4), nn.ReLU()))
    patch = torch.randn(2, 1, 6, 6, 6)
    with torch.no_grad():
        before = network(patch)
        assert fold_batch_norm(network, patch) == 1
        torch.testing.assert_close(network(patch), before)
    assert isinstance(network[1], nn.Identity)


class UsedTwice(nn.Module):
    """The convolution's output is needed without normalisation too."""

    def __init__(self):
        super().__init__()
        self.convolution, self.norm = nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, patch):
        made = self.convolution(patch)
        return made + self.norm(made)


class Shared(nn.Module):
    """One normalisation for two convolutions."""

    def __init__(self):
        super().__init__()
        self.one, self.other, self.norm = nn.Conv2d(1, 2, 3), nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2)

    def forward(self, patch):
        return self.norm(self.one(patch)) + self.norm(self.other(patch))


@pytest.mark.parametrize("kind", [UsedTwice, Shared])
def test_what_is_used_twice_is_left_alone(kind):
    network = with_running_statistics(kind())
    assert fold_batch_norm(network, torch.randn(1, 1, 8, 8)) == 0


def test_a_network_in_training_is_left_alone():
    network = nn.Sequential(nn.Conv2d(1, 2, 3), nn.BatchNorm2d(2))
    assert fold_batch_norm(network, torch.randn(2, 1, 8, 8)) == 0
