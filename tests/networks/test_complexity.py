"""Parameters and multiply-adds against hand counts and fvcore."""

import warnings

import pytest
import torch
from torch import nn

from bone_backend.errors import OptionError
from bone_backend.networks.build import build_network
from bone_backend.networks.complexity import complexity, count
from bone_backend.networks.spec import NetworkSpec

PAIRS = [
    ("U-Net", "resnet18"),
    ("UPerNet", "mobilenet_v2"),
    ("Segformer", "mit_b0"),
    ("MAnet", "mobileone_s0"),
]
MORE_PAIRS = [
    *[("PSPNet", "se_resnet50"), ("DeepLabV3+", "efficientnet-b0"), ("Linknet", "resnet18")],
    *[("FPN", "densenet121"), ("UNet++", "dpn68"), ("PAN", "resnet18"), ("U-Net", "inceptionv4")],
]


def counted_by_fvcore(network: nn.Module, shape: tuple[int, ...]) -> int:
    """fvcore computes the network, so for small inputs only."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # fvcore 0.1.5 uses torch.jit, which torch has given up
        from fvcore.nn import FlopCountAnalysis

        analysis = FlopCountAnalysis(network.eval(), torch.zeros(shape))
        analysis.unsupported_ops_warnings(False).uncalled_modules_warnings(False).tracer_warnings("none")
        return int(analysis.total())


def test_a_convolution_counts_each_weight_once_per_output_pixel():
    with torch.device("meta"):
        network = nn.Conv2d(2, 5, 3, padding=1)
    found = count(network, (4, 2, 10, 20))
    assert found.multiply_adds == 4 * (5 * 2 * 3 * 3) * (10 * 20)
    assert found.parameters == 5 * 2 * 3 * 3 + 5


def test_the_published_count_of_the_default_network_is_found():
    """5,332,860,928 in the published program's metadata: U-Net with resnet18, 256 px, three classes."""
    spec = NetworkSpec("U-Net", "resnet18", num_classes=3)
    assert complexity(spec, (1, 1, 256, 256)).multiply_adds == 5_332_860_928


def test_a_transposed_convolution_counts_each_weight_once_per_input_voxel():
    with torch.device("meta"):
        network = nn.ConvTranspose3d(2, 5, 4, stride=2, padding=1)
    assert count(network, (1, 2, 3, 4, 5)).multiply_adds == (2 * 5 * 4**3) * (3 * 4 * 5)


@pytest.mark.parametrize(("architecture", "backbone"), PAIRS)
def test_the_count_is_that_of_fvcore(architecture, backbone):
    spec = NetworkSpec(architecture, backbone)
    assert complexity(spec, (1, 1, 64, 64)).multiply_adds == counted_by_fvcore(
        build_network(spec), (1, 1, 64, 64)
    )


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "backbone"), MORE_PAIRS)
def test_the_count_is_that_of_fvcore_for_more_networks(architecture, backbone):
    spec, shape = NetworkSpec(architecture, backbone), (1, 1, 128, 128)
    assert complexity(spec, shape).multiply_adds == counted_by_fvcore(build_network(spec), shape)


def test_the_count_is_that_of_fvcore_in_3d():
    spec, shape = NetworkSpec("Linknet", "resnet18", "3D"), (1, 1, 32, 32, 32)
    assert complexity(spec, shape).multiply_adds == counted_by_fvcore(build_network(spec), shape)


def test_a_size_that_an_encoder_of_timm_does_not_take_is_refused_in_words():
    spec = NetworkSpec("U-Net", "tu-swin_tiny_patch4_window7_224")
    with pytest.raises(
        OptionError, match="tu-swin_tiny_patch4_window7_224 does not take patches of 256 x 256"
    ):
        complexity(spec, (1, 1, 256, 256))


def test_parameters_are_those_of_the_built_network():
    spec = NetworkSpec("U-Net", "resnet18", num_classes=4)
    built = sum(parameter.numel() for parameter in build_network(spec).parameters())
    assert complexity(spec, (1, 1, 32, 32)).parameters == built


def test_a_large_network_is_counted_without_its_memory():
    """1.6 billion parameters, 6.4 GB of weights: built as shapes only."""
    found = complexity(NetworkSpec("PAN", "resnext101_32x48d", "3D"), (8, 1, 32, 256, 256))
    assert found.parameters > 1_500_000_000
    assert str(found).startswith(
        "1597.16 million parameters, 10267.97 G multiply-adds for an input of 8 x 1 x 32"
    )
