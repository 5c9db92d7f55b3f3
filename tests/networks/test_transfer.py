"""Own models start networks of 2D, 2.5D and 3D; what does not fit is refused in words."""

from dataclasses import replace

import pytest
import torch

from bone_backend.errors import ModelFileError
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.networks.transfer import fit_kernel, initialise

FLAT = NetworkSpec("U-Net", "resnet18", "2D", 1, 3)
THICK = replace(FLAT, mode="2.5D", in_channels=3)
SOLID = replace(FLAT, mode="3D")


def test_channels_change_with_their_sum_kept():
    kernel = torch.tensor([1.0, 2.0, 6.0]).view(1, 3, 1, 1)
    assert fit_kernel(kernel, 1).flatten().tolist() == [9.0]
    assert fit_kernel(kernel[:, :1], 4).flatten().tolist() == [0.25] * 4


@pytest.mark.parametrize(
    ("kernel", "fitted"),
    [
        ([1.0, 10.0, 100.0], [0.0, 1.0, 10.0, 100.0, 0.0]),
        ([1.0, 10.0, 100.0], [0.0, 0.0, 0.0, 1.0, 10.0, 100.0, 0.0, 0.0, 0.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0], [3.0, 3.0, 9.0]),
        ([1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0], [6.0, 4.0, 18.0]),
    ],
)
def test_slices_keep_their_distance_from_the_middle_one(kernel, fitted):
    found = fit_kernel(torch.tensor(kernel).view(1, -1, 1, 1), len(fitted))
    assert found.flatten().tolist() == fitted


def logits(network, patch):
    with torch.no_grad():
        return network.eval()(patch)


@pytest.fixture(scope="module")
def model():
    torch.manual_seed(5)
    network = build_network(FLAT).double()
    network.train()(torch.randn(4, 1, 64, 64, dtype=torch.float64))  # normalisations see something
    return network.eval()


PATCH = torch.randn(1, 1, 64, 64, dtype=torch.float64, generator=torch.Generator().manual_seed(1))


def test_a_2d_model_starts_the_same_2d_network(model):
    network = build_network(FLAT).double()
    told = initialise(network, FLAT, model.state_dict(), FLAT)
    assert torch.equal(logits(network, PATCH), logits(model, PATCH))
    total = len(model.state_dict())
    assert told == [
        "Weights from a 2D U-Net with resnet18 for a 2D U-Net with resnet18.",
        f"{total} of {total} tensors were taken.",
    ]


def test_a_2d_model_starts_a_2_5d_network_that_sees_equal_slices_alike(model):
    network = build_network(THICK).double()
    told = initialise(network, THICK, model.state_dict(), FLAT)
    torch.testing.assert_close(logits(network, PATCH.expand(-1, 3, -1, -1)), logits(model, PATCH))
    assert "The first convolution went from 1 channel to 3 channels, its sum kept." in told


def test_a_2_5d_model_starts_a_2d_network(model):
    thick = build_network(THICK).double()
    initialise(thick, THICK, model.state_dict(), FLAT)
    network = build_network(FLAT).double()
    initialise(network, FLAT, thick.state_dict(), THICK)
    torch.testing.assert_close(logits(network, PATCH), logits(model, PATCH))


def test_more_slices_start_with_what_the_model_makes_of_the_middle_ones():
    model, wide = build_network(THICK).double(), replace(THICK, in_channels=7)
    network = build_network(wide).double()
    told = initialise(network, wide, model.state_dict(), THICK)
    patch = torch.randn(1, 7, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(logits(network, patch), logits(model, patch[:, 2:5]))
    assert (
        "The first convolution went from 3 channels to 7 channels, "
        "the old ones in the middle, zeros for the new ones." in told
    )


def test_fewer_slices_start_with_what_the_model_makes_of_repeated_outer_ones():
    wide = replace(THICK, in_channels=7)
    model, network = build_network(wide).double(), build_network(THICK).double()
    told = initialise(network, THICK, model.state_dict(), wide)
    patch = torch.randn(1, 3, 64, 64, dtype=torch.float64)
    torch.testing.assert_close(logits(network, patch), logits(model, patch[:, [0, 0, 0, 1, 2, 2, 2]]))
    assert (
        "The first convolution went from 7 channels to 3 channels, "
        "the outer ones added to the outermost left." in told
    )


@pytest.mark.parametrize(
    ("architecture", "published", "is_told"),
    [
        ("FPN", False, True),
        ("FPN", True, False),
        ("U-Net", False, False),
    ],  # this U-Net does not only upsample
)
def test_a_published_3d_model_that_upsamples_otherwise_is_told_of(architecture, published, is_told):
    spec = NetworkSpec(architecture, "resnet18", "3D")
    source = replace(spec, align_corners=published)
    network, model = build_network(spec), build_network(source)
    told = initialise(network, spec, model.state_dict(), source)
    patch = torch.randn(1, 1, 32, 64, 32)
    assert is_told == any("upsamples with align_corners False" in line for line in told)
    assert is_told != torch.equal(logits(network, patch), logits(model, patch))


def test_a_2d_model_starts_a_3d_network_that_sees_equal_slices_alike(model):
    spec = replace(SOLID, depth_mixing=False)
    network = build_network(spec).double()
    told = initialise(network, spec, model.state_dict(), FLAT)
    expected = logits(model, PATCH).unsqueeze(2).expand(-1, -1, 2, -1, -1)
    torch.testing.assert_close(logits(network, PATCH.unsqueeze(2).expand(-1, -1, 2, -1, -1)), expected)
    assert "Kernels were repeated along z and divided by their depth." in told


def test_a_3d_network_with_depth_gets_the_same_sums_along_z(model):
    network = build_network(SOLID).double()
    initialise(network, SOLID, model.state_dict(), FLAT)
    for name, value in network.state_dict().items():
        if value.ndim == 5:
            torch.testing.assert_close(value.sum(dim=2), model.state_dict()[name])


def test_another_number_of_classes_gets_a_new_head_and_keeps_the_rest(model):
    spec = replace(FLAT, num_classes=5)
    network = build_network(spec).double()
    head = network.segmentation_head[0].weight.detach().clone()
    told = initialise(network, spec, model.state_dict(), FLAT)
    assert torch.equal(network.segmentation_head[0].weight, head)
    assert torch.equal(network.decoder.blocks[4].conv2[0].weight, model.decoder.blocks[4].conv2[0].weight)
    assert "The head starts from random numbers: the model has 3 classes, this fit 5." in told


@pytest.mark.parametrize("architecture", ["FPN", "PSPNet", "DeepLabV3+"])
def test_another_architecture_gets_the_encoder_only_and_says_so(model, architecture):
    spec = replace(FLAT, architecture=architecture)
    network = build_network(spec).double()
    told = initialise(network, spec, model.state_dict(), FLAT)
    assert torch.equal(network.encoder.conv1.weight, model.encoder.conv1.weight)
    assert f"The encoder was taken; decoder and head of the {architecture} start from random numbers." in told


def test_another_backbone_and_a_3d_model_for_2d_are_refused(model):
    spec = replace(FLAT, backbone="resnet34")
    with pytest.raises(ModelFileError, match="Choose the backbone resnet18"):
        initialise(build_network(spec), spec, model.state_dict(), FLAT)
    with pytest.raises(ModelFileError, match="a 3D model cannot start a 2D network"):
        initialise(build_network(FLAT), FLAT, build_network(SOLID).state_dict(), SOLID)


def test_tensors_that_are_missing_foreign_or_of_another_shape_are_named(model):
    network, state = build_network(FLAT), model.state_dict()
    without = {name: value for name, value in state.items() if name != "encoder.bn1.weight"}
    with pytest.raises(ModelFileError, match=r"lacks tensors of the network, e\.g\. encoder\.bn1\.weight"):
        initialise(network, FLAT, without, FLAT)
    with pytest.raises(ModelFileError, match=r"does not know, e\.g\. extra"):
        initialise(network, FLAT, {**state, "extra": torch.zeros(1)}, FLAT)
    with pytest.raises(ModelFileError, match=r"encoder\.bn1\.weight is \(3,\), the network's \(64,\)"):
        initialise(network, FLAT, {**state, "encoder.bn1.weight": torch.zeros(3)}, FLAT)


def test_counters_that_old_models_lack_are_not_missed(model):
    old = {name: value for name, value in model.state_dict().items() if "num_batches" not in name}
    network = build_network(FLAT).double()
    initialise(network, FLAT, old, FLAT)
    found = network.state_dict()
    assert all(torch.equal(found[name], value) for name, value in old.items())
