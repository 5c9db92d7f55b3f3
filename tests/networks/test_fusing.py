"""Fused networks give what they gave before, and are left alone where that is not so."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from bone_backend.networks import fusing
from bone_backend.networks.build import build_network
from bone_backend.networks.folding import fold_batch_norm
from bone_backend.networks.fusing import Fused, fused
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape

PLAIN = NetworkSpec("Plain U-Net", num_classes=3, plain=PlainShape(depth=3))


def folded(spec: NetworkSpec) -> nn.Module:
    torch.manual_seed(1)
    network = build_network(spec)
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.2, 0.2)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    network = network.eval().requires_grad_(False)
    fold_batch_norm(network, torch.zeros(1, spec.in_channels, 64, 64))
    return network.to(memory_format=torch.channels_last)


def count(network: nn.Module, kind: type[nn.Module]) -> int:
    return sum(type(module) is kind for module in network.modules())


@pytest.mark.parametrize(
    ("spec", "rectified_left"),
    [
        (PLAIN, 0),
        (NetworkSpec("U-Net", "resnet18", num_classes=3), 8),  # each block's is used after its sum too
        (NetworkSpec("U-Net", "resnet18", mode="2.5D", in_channels=5), 8),
        (NetworkSpec("DeepLabV3+", "mobilenet_v2"), None),  # grouped, dilated
        (NetworkSpec("U-Net", "densenet121"), None),  # rectified before the convolution
    ],
)
@pytest.mark.parametrize("precision", [None, torch.bfloat16])
def test_a_fused_network_gives_the_same_output(spec, rectified_left, precision):
    network = folded(spec)
    patch = torch.randn(2, spec.in_channels, 96, 64).contiguous(memory_format=torch.channels_last)
    made = fused(network, patch[:1, :, :64], precision)
    assert made is not network
    assert count(made, nn.Conv2d) == 0 < count(made, Fused)
    if rectified_left is not None:
        assert count(made, nn.ReLU) == rectified_left
    with torch.inference_mode(), torch.autocast("cpu", torch.bfloat16, enabled=precision is not None):
        found, expected = made(patch).float(), network(patch).float()
    near = 1e-5 if precision is None else 0.05
    assert (found - expected).abs().max() <= near * expected.abs().max()


class Branching(nn.Module):
    """What is rectified is needed as it was too."""

    def __init__(self):
        super().__init__()
        self.convolution, self.rectify = nn.Conv2d(1, 4, 3), nn.ReLU()

    def forward(self, patch):
        made = self.convolution(patch)
        return self.rectify(made) + made


class Early(Branching):
    """The same, and read before."""

    def forward(self, patch):
        made = self.convolution(patch)
        return made.abs() + self.rectify(made)


@pytest.mark.parametrize("kind", [Branching, Early])
def test_what_is_read_without_rectification_too_stays_as_it_is(kind):
    patch = torch.randn(1, 1, 16, 16)
    network = kind().eval().requires_grad_(False)
    made = fused(network, patch, None)
    assert count(made, nn.ReLU) == 1
    torch.testing.assert_close(made(patch), network(patch))


def test_a_network_whose_fused_form_differs_or_cannot_be_made_stays(monkeypatch):
    network = folded(PLAIN)
    patch = torch.randn(1, 1, 32, 32).contiguous(memory_format=torch.channels_last)
    monkeypatch.setattr(fusing, "NEAR", {None: -1.0})
    assert fused(network, patch, None) is network
    monkeypatch.undo()
    damaged = folded(PLAIN)
    damaged.segmentation_head[0].bias.fill_(torch.nan)
    assert fused(damaged, patch, None) is damaged
    assert fused(network, patch, torch.float16) is network
    monkeypatch.setattr(torch.ops.mkldnn, "_convolution_pointwise", None)  # another torch
    assert fused(network, patch, None) is network
