"""What the catalogue says can be built is built, and what it refuses the library refuses too."""

import pytest
import segmentation_models_pytorch as library
import torch
from torch import nn

from bone_backend.errors import OptionError
from bone_backend.networks.build import build_network, skeleton
from bone_backend.networks.library import build_2d
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options import catalogue
from bone_backend.options.backbones import FAMILIES

LARGE = (
    *("mix transformer", "efficientnet", "mobileone", "inception", "densenet", "senet", "dpn"),
    *("resnext", "vgg", "xception"),
)


def some_of(families):
    """For parametrize: those of large networks are built rarely."""
    return [pytest.param(name, marks=[pytest.mark.rare] * (name in LARGE)) for name in families]


def shape_after(network: nn.Module, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Shape of the result, on the device "meta"; without normalisations, which are slow there."""
    for module in network.modules():
        for name, child in module.named_children():
            if isinstance(child, nn.modules.batchnorm._BatchNorm):
                setattr(module, name, nn.Identity())
    with torch.no_grad():
        return tuple(network.eval()(torch.empty(shape, device="meta")).shape)


def edge_of(architecture: str, backbone: str) -> int:
    return max(64, catalogue.minimum_size(architecture, backbone))


@pytest.mark.parametrize(("mode", "channels"), [("2D", 1), ("2.5D", 5)])
def test_a_network_gives_logits_of_the_size_of_the_patch(mode, channels):
    network = build_network(NetworkSpec("U-Net", "resnet18", mode, channels, 3))
    assert network(torch.zeros(2, channels, 64, 96)).shape == (2, 3, 64, 96)
    assert network.training


def test_a_3d_network_takes_z_y_x():
    network = build_network(NetworkSpec("FPN", "mobilenet_v2", "3D", 1, 3)).eval()
    with torch.no_grad():
        assert network(torch.zeros(1, 1, 32, 64, 96)).shape == (1, 3, 32, 64, 96)


def test_a_seed_gives_the_same_weights_again():
    for mode in ("2D", "3D"):
        spec = NetworkSpec("U-Net", "mobilenet_v2", mode)
        states = []
        for seed in (1, 1, 2):
            torch.manual_seed(seed)
            states.append(torch.cat([p.flatten() for p in build_network(spec).parameters()]))
        assert torch.equal(states[0], states[1])
        assert not torch.equal(states[0], states[2])


def test_parameter_names_are_those_of_the_library():
    ours = build_network(NetworkSpec("UNet++", "resnet18", "2D", 1, 3)).state_dict()
    theirs = library.UnetPlusPlus("resnet18", encoder_weights=None, in_channels=1, classes=3).state_dict()
    assert {name: value.shape for name, value in ours.items()} == {
        name: value.shape for name, value in theirs.items()
    }


def test_a_mix_transformer_reads_one_channel_under_the_same_names():
    for channels in (1, 3, 5):
        state = skeleton(
            NetworkSpec("Segformer", "mit_b0", "2.5D" if channels > 1 else "2D", channels)
        ).state_dict()
        assert state["encoder.patch_embed1.proj.weight"].shape == (32, channels, 7, 7)


def test_a_spec_tells_all_its_faults():
    with pytest.raises(OptionError) as told:
        build_network(NetworkSpec("UNet++", "mit_b0", "2D", 0, 999))
    assert len(told.value.faults) == 3


def test_weights_that_a_backbone_does_not_have_are_refused():
    with pytest.raises(OptionError, match="dpn92 takes random, imagenet\\+5k, or a model file"):
        build_network(NetworkSpec("U-Net", "dpn92"), weights="imagenet")


def test_the_table_of_missing_imagenet_weights_is_the_library_s():
    names = (*catalogue.BACKBONES, *catalogue.ADVANCED_BACKBONES)
    sets = {name: tuple(library.encoders.encoders[name]["pretrained_settings"]) for name in names}
    assert {name: found for name, found in sets.items() if "imagenet" not in found} == catalogue.OTHER_WEIGHTS


def test_every_encoder_of_the_library_is_in_the_catalogue():
    known = {*catalogue.BACKBONES, *catalogue.ADVANCED_BACKBONES}
    listed = {name for name in library.encoders.get_encoder_names() if name in known}
    assert listed == known
    assert all(catalogue.is_known_backbone(name) for name in known)


def test_every_architecture_of_the_library_is_in_the_catalogue():
    titles = (*catalogue.ARCHITECTURES, *catalogue.ADVANCED_ARCHITECTURES)
    names = {catalogue.find_architecture(title).library_name.lower() for title in titles}
    assert set(library.MODEL_ARCHITECTURES_MAPPING) <= names


def test_advanced_architectures_and_encoders_are_built():
    assert shape_after(skeleton(NetworkSpec("PAN", "resnet18")), (1, 1, 128, 128)) == (1, 2, 128, 128)
    assert shape_after(skeleton(NetworkSpec("DeepLabV3", "resnet18")), (1, 1, 64, 64)) == (1, 2, 64, 64)
    assert shape_after(skeleton(NetworkSpec("U-Net", "tu-resnet18")), (1, 1, 64, 64)) == (1, 2, 64, 64)
    assert shape_after(skeleton(NetworkSpec("U-Net", "timm-skresnet18")), (1, 1, 64, 64)) == (1, 2, 64, 64)


def test_an_encoder_that_timm_does_not_know_is_refused_in_words():
    with pytest.raises(OptionError, match=r"cannot be built by .*Did you mean tu-resnet18 or"):
        build_network(NetworkSpec("U-Net", "tu-resnet181"))


@pytest.mark.parametrize("architecture", ["DeepLabV3+", "DeepLabV3", "PAN"])
def test_an_encoder_that_timm_refuses_without_a_word_is_refused_in_words(architecture):
    with pytest.raises(OptionError, match=r"with tu-hrnet_w18 cannot be built by .* Use another one"):
        skeleton(NetworkSpec(architecture, "tu-hrnet_w18"))


def test_a_skeleton_takes_no_memory():
    network = skeleton(NetworkSpec("U-Net", "mit_b1", "2D"))
    assert {tensor.device.type for tensor in network.state_dict().values()} == {"meta"}


@pytest.mark.slow
@pytest.mark.parametrize("family", some_of(FAMILIES))
def test_pairs_of_a_family_do_in_2d_what_the_catalogue_says(family):
    wrong = []
    for number, backbone in enumerate(FAMILIES[family]):
        for place, architecture in enumerate(catalogue.ARCHITECTURES):
            is_refused = bool(catalogue.refusal(architecture, backbone))
            if not is_refused and number and (place + number) % 3:  # the first has all, the others a third
                continue
            edge = edge_of(architecture, backbone)
            spec = NetworkSpec(architecture, backbone, num_classes=3)
            if is_refused:
                with torch.device("meta"), pytest.raises(ValueError, match=r"not support|dilated"):
                    build_2d(spec)
            elif shape_after(skeleton(spec), (2, 1, edge, edge)) != (2, 3, edge, edge):
                wrong.append((architecture, backbone))
    assert wrong == []


@pytest.mark.slow
@pytest.mark.parametrize("architecture", catalogue.ARCHITECTURES)
def test_the_size_multiple_is_the_smallest_that_the_library_takes(architecture):
    multiple = catalogue.size_multiples(architecture, "resnet18")[1]
    spec = NetworkSpec(architecture, "resnet18")
    assert shape_after(skeleton(spec), (2, 1, 3 * multiple, 5 * multiple))[2:] == (3 * multiple, 5 * multiple)
    if architecture != "U-Net":  # which the library pads on its way up
        with pytest.raises(RuntimeError, match="Wrong input shape"):
            shape_after(skeleton(spec), (2, 1, multiple + multiple // 2, multiple))


@pytest.mark.slow
@pytest.mark.parametrize("family", some_of(name for name in FAMILIES if name != "mix transformer"))
def test_every_backbone_and_every_architecture_becomes_3d(family):
    backbones = FAMILIES[family]
    pairs = [("U-Net", backbone) for backbone in backbones]
    pairs += [(architecture, backbones[0]) for architecture in catalogue.ARCHITECTURES_3D[1:]]
    wrong = []
    for architecture, backbone in pairs:
        spec = NetworkSpec(architecture, backbone, "3D", num_classes=3)
        if catalogue.refusal(architecture, backbone, "3D"):
            with pytest.raises(OptionError):
                skeleton(spec)
        elif shape_after(skeleton(spec), (2, 1, 32, 64, 64)) != (2, 3, 32, 64, 64):
            wrong.append((architecture, backbone))
    assert wrong == []
