"""A 3D network made from a 2D one computes what the 2D one does, wherever that can be said."""

import copy

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from bone_backend.errors import OptionError
from bone_backend.networks.build import build_network
from bone_backend.networks.decoders3d import Depth, _attend
from bone_backend.networks.inflation import (
    Conv3d,
    PaddedAverage3d,
    from_hwd,
    inflate,
    inflate_kernel,
    inflate_state,
    redraw,
)
from bone_backend.networks.library import build_2d
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options import catalogue

#: a small backbone of each family of convolutional ones but plain resnets, and two with modules of their own
SMALL = (
    *("resnext50_32x4d", "dpn68", "vgg11_bn", "se_resnet50", "densenet121", "inceptionv4"),
    *("efficientnet-b0", "mobilenet_v2", "xception", "mobileone_s0", "mobileone_s4"),
)
HEAVY = ("vgg11_bn", "inceptionv4", "resnext50_32x4d", "se_resnet50", "mobileone_s4", "xception")


def lively(network: nn.Module) -> nn.Module:
    """Give batch normalisations something to do, as after some training; float64, evaluation mode."""
    for module in network.modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            nn.init.normal_(module.running_mean, 0.0, 0.1)
            nn.init.uniform_(module.running_var, 0.5, 2.0)
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.normal_(module.bias, 0.0, 0.1)
    return network.double().eval()


def difference_without_mixing(architecture: str, backbone: str, edge: int) -> float:
    """Difference of a 2D network and its 3D form on three equal slices, relative to the largest value."""
    torch.manual_seed(7)
    flat = lively(build_2d(NetworkSpec(architecture, backbone, "3D", num_classes=3)))
    solid = inflate(flat, (1, 32, 32), depth=Depth(mixing=False)).eval()
    image = torch.randn(1, 1, edge, edge, dtype=torch.float64)
    with torch.no_grad():
        expected, found = flat(image), solid(image.unsqueeze(2).expand(-1, -1, 3, -1, -1))
    assert found.shape == (1, 3, 3, edge, edge)
    return float((found - expected.unsqueeze(2)).abs().max() / expected.abs().max())


def to_hwd(state):
    """The way back of `from_hwd`."""
    return {name: value.permute(0, 1, 3, 4, 2) if value.ndim == 5 else value for name, value in state.items()}


@pytest.mark.parametrize("architecture", catalogue.ARCHITECTURES_3D)
def test_without_depth_mixing_a_stack_of_equal_slices_gives_what_one_slice_gives_in_2d(architecture):
    assert difference_without_mixing(architecture, "resnet18", 128 if architecture == "PAN" else 64) < 1e-10


@pytest.mark.slow
@pytest.mark.parametrize(
    "backbone", [pytest.param(name, marks=[pytest.mark.rare] * (name in HEAVY)) for name in SMALL]
)
def test_the_same_holds_for_every_family_of_backbones(backbone):
    assert difference_without_mixing("U-Net", backbone, 64) < 1e-10


def test_without_depth_mixing_every_slice_is_computed_by_itself():
    flat = lively(build_2d(NetworkSpec("MAnet", "resnet18", "3D")))
    solid = inflate(flat, (1, 32, 32), depth=Depth(mixing=False)).eval()
    stack = torch.randn(1, 1, 3, 32, 64, dtype=torch.float64)
    with torch.no_grad():
        found = solid(stack)
        for z in range(3):
            torch.testing.assert_close(found[:, :, z], flat(stack[:, :, z]), rtol=0, atol=1e-10)


@pytest.mark.parametrize(
    ("layer", "margin"),
    [
        (nn.Conv2d(2, 3, 3, padding=1), 1),
        (nn.Conv2d(2, 4, 7, stride=2, padding=3, groups=2), 2),
        (nn.Conv2d(2, 3, 3, padding=4, dilation=4), 4),
        (nn.Conv2d(2, 3, (1, 7), padding=(0, 3)), 0),
        (nn.ConvTranspose2d(2, 3, 4, stride=2, padding=1), 2),
        (nn.MaxPool2d(3, stride=2, padding=1), 0),
        (nn.MaxPool2d(3, stride=2, ceil_mode=True), 0),
        (nn.AvgPool2d(2, stride=2), 0),
        (nn.AvgPool2d(3, stride=1, padding=1, count_include_pad=False), 0),
        (nn.AdaptiveAvgPool2d(3), 0),
        (nn.Upsample(scale_factor=4, mode="bilinear", align_corners=True), 0),
        (nn.BatchNorm2d(2), 0),
    ],
)
def test_what_does_not_change_along_z_gives_the_2d_result_away_from_the_padding(layer, margin):
    layer = layer.double()
    whole = nn.Module()
    whole.encoder, whole.decoder, whole.segmentation_head = nn.Sequential(layer), nn.Identity(), nn.Identity()
    image = torch.randn(1, 2, 12, 12, dtype=torch.float64)
    found = inflate(whole, (1, 1, 1))(image.unsqueeze(2).expand(-1, -1, 16, -1, -1))
    expected = layer(image).unsqueeze(2)
    inner = found[:, :, margin : found.shape[2] - margin]
    assert inner.shape[2] > 1
    torch.testing.assert_close(inner, expected.expand_as(inner))


def test_a_kernel_is_repeated_and_divided():
    kernel = torch.tensor([[[[3.0, 6.0]]]])
    assert inflate_kernel(kernel, 3).tolist() == [[[[[1.0, 2.0]], [[1.0, 2.0]], [[1.0, 2.0]]]]]
    assert inflate_kernel(kernel, 4, taps=2).tolist() == [[[[[1.5, 3.0]]] * 4]]


def test_2d_weights_load_under_the_same_names():
    flat = build_2d(NetworkSpec("DeepLabV3+", "efficientnet-b0", "3D"))
    solid = build_network(NetworkSpec("DeepLabV3+", "efficientnet-b0", "3D"))
    assert list(flat.state_dict()) == list(solid.state_dict())
    solid.load_state_dict(inflate_state(flat.state_dict(), solid))
    stem = flat.state_dict()["encoder._conv_stem.weight"]
    assert torch.equal(solid.state_dict()["encoder._conv_stem.weight"][:, :, 1], stem / 3)


def test_the_2d_network_is_left_as_it_was():
    flat = build_2d(NetworkSpec("U-Net", "resnet18", "3D"))
    before = copy.deepcopy(flat.state_dict())
    inflate(flat, (32, 32, 32))
    assert all(torch.equal(value, before[name]) for name, value in flat.state_dict().items())
    assert isinstance(flat.encoder.conv1, nn.Conv2d)


@pytest.mark.parametrize("backbone", ["resnet18", "resnet50"])
def test_a_stride_acts_on_each_stage_and_the_decoder_follows(backbone):
    stride = ((1, 2, 2), (2, 1, 2), (2, 2, 1), (1, 2, 2), (2, 1, 1))
    network = build_network(NetworkSpec("U-Net", backbone, "3D", stride=stride)).eval()
    assert network.multiples == (8, 8, 8)
    with torch.no_grad():
        features = network.encoder(torch.zeros(1, 1, 16, 32, 32))
        sizes = [tuple(feature.shape[2:]) for feature in features]
        assert network(torch.zeros(1, 1, 16, 32, 32)).shape == (1, 2, 16, 32, 32)
    assert sizes == [(16, 32, 32), (16, 16, 16), (8, 16, 8), (4, 8, 8), (4, 4, 4), (2, 4, 4)]


def test_a_stride_of_twos_changes_nothing():
    network = build_network(NetworkSpec("U-Net", "resnet18", "3D"))
    strided = inflate(build_2d(NetworkSpec("U-Net", "resnet18", "3D")), (32, 32, 32), stride=((2, 2, 2),) * 5)
    strided.load_state_dict(network.state_dict())
    patch = torch.randn(2, 1, 32, 64, 64)
    with torch.no_grad():
        assert torch.equal(strided.eval()(patch), network.eval()(patch))


def test_a_patch_of_a_wrong_size_is_refused_in_words():
    network = build_network(NetworkSpec("U-Net", "mobilenet_v2", "3D"))
    with pytest.raises(OptionError, match=r"The patch is \(16, 64, 64\) \(z, y, x\)"):
        network(torch.zeros(1, 1, 16, 64, 64))


def test_a_module_without_3d_form_is_named():
    whole = nn.Module()
    whole.encoder, whole.decoder, whole.segmentation_head = nn.ZeroPad2d(1), nn.Identity(), nn.Identity()
    with pytest.raises(OptionError, match="ZeroPad2d cannot be converted"):
        inflate(whole, (1, 1, 1))


def test_published_kernels_are_turned_from_height_width_depth():
    """The same convolution written in both orders of axes."""
    image, kernel = torch.randn(1, 2, 5, 6, 7), torch.randn(3, 2, 3, 3, 3)  # (.., height, width, depth)
    expected = F.conv3d(image, kernel).permute(0, 1, 4, 2, 3)
    turned = from_hwd({"a": kernel, "b": torch.ones(3)})
    torch.testing.assert_close(F.conv3d(image.permute(0, 1, 4, 2, 3), turned["a"]), expected)
    assert torch.equal(turned["b"], torch.ones(3))
    assert torch.equal(to_hwd(turned)["a"], kernel)


def test_turned_kernels_and_a_turned_scan_give_turned_labels():
    torch.manual_seed(3)
    network = lively(build_network(NetworkSpec("FPN", "resnet18", "3D")))
    published = copy.deepcopy(network)
    published.load_state_dict(to_hwd(network.state_dict()))
    patch = torch.randn(1, 1, 32, 64, 32, dtype=torch.float64)
    with torch.no_grad():
        expected = published(patch.permute(0, 1, 3, 4, 2)).permute(0, 1, 4, 2, 3)
        torch.testing.assert_close(network(patch), expected)


def test_attention_counts_positions_as_the_published_3d_models_do():
    """Plain numpy, axes (channel, height, width, depth), as in segmentation_models_pytorch_3d."""
    random = np.random.default_rng(5)
    rows, columns, values = random.normal(size=(3, 4, 3, 2, 2))
    scores = rows.reshape(4, -1).T @ columns.reshape(4, -1)
    weights = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
    expected = (weights @ values.reshape(4, -1).T).reshape(4, 3, 2, 2)
    turned = [torch.from_numpy(part.transpose(0, 3, 1, 2)[None].copy()) for part in (rows, columns, values)]
    np.testing.assert_allclose(_attend(*turned)[0].numpy().transpose(0, 2, 3, 1), expected, rtol=1e-12)


@pytest.mark.parametrize("counts_padding", [True, False])
def test_padded_averages_are_those_of_torch_and_thin_slabs_work(counts_padding):
    ours = PaddedAverage3d((3, 3, 3), (1, 1, 1), (1, 1, 1), counts_padding=counts_padding)
    theirs = nn.AvgPool3d(3, stride=1, padding=1, count_include_pad=counts_padding)
    patch = torch.randn(2, 3, 4, 5, 6)
    torch.testing.assert_close(ours(patch), theirs(patch))
    # eight voxels of one, in 27 or in the eight that are there
    expected = 8 / 27 if counts_padding else 1.0
    torch.testing.assert_close(ours(torch.ones(1, 1, 2, 2, 2)), torch.full((1, 1, 2, 2, 2), expected))


def test_a_thin_slab_goes_through_pan():
    network = build_network(NetworkSpec("PAN", "resnet18", "3D")).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 16, 64, 64)).shape == (1, 2, 16, 64, 64)


def test_random_kernels_keep_the_variance_of_the_output():
    torch.manual_seed(0)
    flat = nn.Conv2d(64, 64, 3, bias=False)
    whole = nn.Module()
    whole.encoder, whole.decoder, whole.segmentation_head = flat, nn.Identity(), nn.Identity()
    solid = inflate(whole, (1, 1, 1))
    redraw(solid)
    kernel = solid.encoder.weight
    assert not torch.equal(kernel[:, :, 0], kernel[:, :, 1])
    with torch.no_grad():
        in_2d = flat(torch.randn(4, 64, 20, 20)).std()
        in_3d = solid(torch.randn(2, 64, 8, 12, 12)).std()
    assert float(in_3d / in_2d) == pytest.approx(1.0, abs=0.05)


def test_stochastic_depth_drops_whole_patches():
    network = build_network(NetworkSpec("U-Net", "efficientnet-b0", "3D"))
    block = network.encoder._blocks[2].train()
    patch = torch.randn(64, block._bn2.num_features, 2, 2, 2)
    with torch.no_grad():
        added = block(patch, 0.5) - patch
    dropped = [bool((part == 0).all()) for part in added]
    assert 10 < sum(dropped) < 54
    assert all(not bool((part == 0).any()) for part, gone in zip(added, dropped, strict=True) if not gone)


def test_published_upsampling_differs_at_the_edges_only_by_its_alignment():
    spec = NetworkSpec("PSPNet", "resnet18", "3D")
    assert build_network(spec).segmentation_head[1].align_corners is True
    published = NetworkSpec("PSPNet", "resnet18", "3D", align_corners=False)
    assert build_network(published).segmentation_head[1].align_corners is False


@pytest.mark.parametrize("size", [(1, 1, 1), (1, 8, 8)])
@pytest.mark.parametrize("kernel", [3, 5])
def test_a_convolution_of_one_channel_and_one_slice_is_right_in_bf16(size, kernel):
    convolution = Conv3d(1, 8, kernel, padding=kernel // 2).to(memory_format=torch.channels_last_3d)
    x = torch.randn(4, 1, *size).to(memory_format=torch.channels_last_3d)
    for _ in range(5):
        dirt = [torch.full((2**power,), 3e10) for power in range(4, 16)]
        del dirt  # memory that a kernel may read although nobody wrote it
        with torch.autocast("cpu", torch.bfloat16):
            found = convolution(x)
        torch.testing.assert_close(found.float(), convolution(x), rtol=0.02, atol=0.02)


@pytest.mark.parametrize(
    ("kernel", "stride", "size"),
    [(3, 1, (2, 2, 2)), (3, 1, (2, 8, 8)), (3, 2, (1, 1, 1)), (5, 1, (4, 4, 4)), (7, 2, (4, 16, 16))],
)
def test_gradients_of_inputs_smaller_than_the_kernel_are_right_in_bf16(kernel, stride, size):
    convolution = Conv3d(16, 8, kernel, stride=stride, padding=kernel // 2)
    convolution = convolution.to(memory_format=torch.channels_last_3d)
    x = torch.randn(4, 16, *size).to(memory_format=torch.channels_last_3d)
    gradient = torch.randn(convolution(x).shape)
    convolution(x).backward(gradient)
    expected = convolution.weight.grad.clone()
    for _ in range(5):
        convolution.zero_grad()
        dirt = [torch.full((2**power,), 3e10) for power in range(4, 16)]
        del dirt
        with torch.autocast("cpu", torch.bfloat16):
            found = convolution(x)
        found.backward(gradient.to(found.dtype))
        scale = expected.abs().max().item()
        torch.testing.assert_close(convolution.weight.grad, expected, rtol=0.02, atol=0.02 * scale)


@pytest.mark.parametrize(
    ("width", "stride", "channels", "expected"),
    [
        (2, 1, 4, torch.float32),  # smaller than the kernel
        (3, 1, 4, torch.bfloat16),
        (4, 2, 4, torch.bfloat16),
        (8, 1, 1, torch.bfloat16),
    ],
)
def test_only_unsafe_convolutions_leave_bf16(width, stride, channels, expected):
    convolution = Conv3d(channels, 2, 3, padding=1, stride=stride)
    with torch.autocast("cpu", torch.bfloat16):
        assert convolution(torch.randn(1, channels, 4, width, width)).dtype == expected
    pointwise = Conv3d(4, 2, 1, stride=2)
    with torch.autocast("cpu", torch.bfloat16):
        assert pointwise(torch.randn(1, 4, 4, 4, 2)).dtype == torch.float32  # one output column
        assert pointwise(torch.randn(1, 4, 4, 4, 4)).dtype == torch.bfloat16


def test_3d_pan_learns_with_patches_of_one_feature_voxel():
    torch.manual_seed(0)
    network = build_network(NetworkSpec("PAN", "resnet18", "3D", 1, 2)).to(
        memory_format=torch.channels_last_3d
    )
    for _ in range(3):
        with torch.autocast("cpu", torch.bfloat16):
            network(torch.randn(4, 1, 16, 32, 32)).float().square().mean().backward()
    states = network.state_dict()
    largest = max(states[name].abs().max().item() for name in states if name.endswith("running_var"))
    assert largest < 1e6
