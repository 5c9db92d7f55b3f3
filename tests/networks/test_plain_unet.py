"""The Plain U-Net: its sizes by hand, 2D and 3D alike, and that it learns bone two voxels thin."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
import torch.nn.functional as F

from bone_backend.errors import ModelFileError, OptionError
from bone_backend.networks.build import build_network
from bone_backend.networks.complexity import complexity
from bone_backend.networks.folding import fold_batch_norm
from bone_backend.networks.spec import NetworkSpec
from bone_backend.networks.transfer import initialise
from bone_backend.options.plain_unet import NORMS, PlainShape

FLAT = NetworkSpec("Plain U-Net", num_classes=3, plain=PlainShape(channels=8, depth=3))


def seen(network, patch):
    with torch.no_grad():
        return network.eval()(patch)


def test_parameters_are_those_counted_by_hand():
    """Stages of 8, 16 and 32 channels, two convolutions each; up again from 32 to 16 and from 16 to 8."""
    down = 9 * ((1 * 8 + 8 * 8) + (8 * 16 + 16 * 16) + (16 * 32 + 32 * 32))
    enlarging = (4 * 32 * 16 + 16) + (4 * 16 * 8 + 8)
    up = 9 * ((32 * 16 + 16 * 16) + (16 * 8 + 8 * 8))
    norms = 2 * 2 * (8 + 16 + 32 + 16 + 8)  # two a stage, scale and shift
    head = 8 * 3 + 3
    assert complexity(FLAT, (1, 1, 32, 32)).parameters == down + enlarging + up + norms + head


def test_multiply_adds_are_those_counted_by_hand():
    """On 8 x 8 pixels, so that the stages see 64, 16 and 4 of them."""
    first, second, third = 64, 16, 4
    down = 9 * (first * (8 + 64) + second * (128 + 256) + third * (512 + 1024))
    enlarging = third * 4 * 32 * 16 + second * 4 * 16 * 8  # each weight meets each voxel that is enlarged
    up = 9 * (second * (512 + 256) + first * (128 + 64))
    norms = 2 * 2 * (first * 8 + second * 16 + third * 32 + second * 16 + first * 8)
    found = complexity(FLAT, (1, 1, 8, 8))
    assert found.multiply_adds == down + enlarging + up + norms + first * 8 * 3


@pytest.mark.parametrize("depth", [3, 4, 5, 6])
def test_the_first_stage_has_full_resolution_and_each_further_one_half(depth):
    spec = replace(FLAT, plain=PlainShape(channels=8, depth=depth))
    assert spec.multiples == (1, 2 ** (depth - 1), 2 ** (depth - 1))
    network, edge = build_network(spec), 64
    with torch.no_grad():
        features = network.encoder(torch.zeros(2, 1, edge, edge))
    assert [tuple(f.shape[1:]) for f in features] == [
        (8 * 2**stage, edge // 2**stage, edge // 2**stage) for stage in range(depth)
    ]


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(
    ("mode", "channels", "size"), [("2D", 1, (8, 12)), ("2.5D", 5, (8, 12)), ("3D", 1, (4, 8, 12))]
)
def test_every_voxel_of_a_patch_gets_a_logit_for_each_class(mode, channels, size, norm):
    spec = replace(FLAT, mode=mode, in_channels=channels, plain=PlainShape(8, 3, norm))
    logits = build_network(spec)(torch.randn(2, channels, *size))
    assert logits.shape == (2, 3, *size)
    logits.sum().backward()


def test_a_patch_that_is_no_multiple_is_refused_in_words():
    with pytest.raises(OptionError, match="multiples of 4"):
        build_network(FLAT)(torch.zeros(1, 1, 8, 10))
    with pytest.raises(OptionError, match=r"multiples of \(4, 4, 4\)"):
        build_network(replace(FLAT, mode="3D"))(torch.zeros(1, 1, 6, 8, 8))


def test_a_3d_network_without_depth_computes_what_the_2d_one_does():
    torch.manual_seed(2)
    flat, solid = build_network(FLAT).double(), replace(FLAT, mode="3D", depth_mixing=False)
    network = build_network(solid).double()
    initialise(network, solid, flat.state_dict(), FLAT)
    slab = torch.randn(1, 1, 3, 16, 16, dtype=torch.float64)
    expected = torch.stack([seen(flat, slab[:, :, z]) for z in range(3)], dim=2)
    torch.testing.assert_close(seen(network, slab), expected)


def test_a_2d_model_starts_a_network_that_sees_equal_slices_alike():
    torch.manual_seed(3)
    flat, thick = build_network(FLAT).double(), replace(FLAT, mode="2.5D", in_channels=3)
    network = build_network(thick).double()
    told = initialise(network, thick, flat.state_dict(), FLAT)
    patch = torch.randn(1, 1, 16, 16, dtype=torch.float64)
    torch.testing.assert_close(seen(network, patch.expand(-1, 3, -1, -1)), seen(flat, patch))
    assert told[0].startswith("Weights from a 2D Plain U-Net (8 channels, 3 stages, batch normalisation) for")


@pytest.mark.parametrize(
    "other", [replace(FLAT, plain=PlainShape(8, 4)), NetworkSpec("U-Net", "resnet18", num_classes=3)]
)
def test_a_model_of_another_network_is_refused_with_the_options_that_would_fit(other):
    with pytest.raises(ModelFileError, match=r"Choose the architecture Plain U-Net with plain_channels 8, "):
        initialise(torch.nn.Identity(), other, {}, FLAT)


def test_imagenet_weights_are_refused():
    with pytest.raises(OptionError, match="Plain U-Net takes random, or a model file"):
        build_network(FLAT, weights="imagenet")


def test_all_its_batch_normalisations_are_folded():
    torch.manual_seed(1)
    network = build_network(FLAT)
    network.train()(torch.randn(4, 1, 16, 16) * 3 + 1)  # running statistics of their own
    patch = torch.randn(1, 1, 16, 16)
    before = seen(network, patch)
    assert fold_batch_norm(network, patch) == 2 * (3 + 2)
    torch.testing.assert_close(seen(network, patch), before, rtol=1e-4, atol=1e-5)


def test_it_learns_plates_two_voxels_thin_within_sixty_steps():
    """Plates two voxels thin in noise of half their height; Otsu's threshold reaches an IoU of about .6."""
    torch.manual_seed(4)
    network = build_network(replace(FLAT, num_classes=2))
    optimizer = torch.optim.Adam(network.parameters(), 5e-3)
    across = torch.arange(32)

    def plates(count):
        spacing, start = torch.randint(6, 12, (count, 1)), torch.randint(0, 12, (count, 1))
        bone = (((across + start) % spacing) < 2).long()[:, None].expand(-1, 32, -1)
        return bone[:, None] + 0.5 * torch.randn(count, 1, 32, 32), bone

    for _ in range(60):
        grey, bone = plates(8)
        loss = F.cross_entropy(network.train()(grey), bone)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    grey, bone = plates(16)
    labels = seen(network, grey).argmax(dim=1)
    thresholded = (grey[:, 0] > 0.5).long()

    def iou(found):
        return float((found & bone).sum() / (found | bone).sum())

    assert iou(thresholded) < 0.65
    assert iou(labels) > 0.9
