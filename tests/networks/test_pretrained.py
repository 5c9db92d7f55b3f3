"""ImageNet weights are taken from files, or refused in words."""

import pickle
import time
from dataclasses import replace

import pytest
import segmentation_models_pytorch as library
import torch
from safetensors.torch import save_file

from bone_backend.errors import ModelFileError
from bone_backend.networks.build import build_network
from bone_backend.networks.pretrained import find_weights, read_state
from bone_backend.networks.spec import NetworkSpec

FLAT = NetworkSpec("U-Net", "resnet18", "2D", 1, 3)


@pytest.fixture(scope="module")
def encoder_state():
    torch.manual_seed(11)
    encoder = library.encoders.get_encoder("resnet18", weights=None)
    return {name: value.clone() for name, value in encoder.state_dict().items()}


@pytest.fixture
def folder(tmp_path, encoder_state):
    save_file(encoder_state, tmp_path / "resnet18.safetensors")
    return tmp_path


@pytest.mark.parametrize(
    ("backbone", "name"),
    [
        ("resnet18", "resnet18.safetensors"),
        ("resnet18", "resnet18-5c106cde.pth"),
        ("resnet18", "resnet18.imagenet/model.safetensors"),
        ("vgg11", "vgg11-bbd30ac9.pth"),
        ("vgg11_bn", "vgg11_bn-6002323d.pth"),
        ("efficientnet-b0", "efficientnet-b0-355c32eb.pth"),
        ("dpn68", "dpn68.bin"),
    ],
)
def test_a_file_named_after_the_backbone_is_found_among_others(tmp_path, backbone, name):
    for other in ("resnet18d.pth", "vgg13.pth", "dpn68b-a.pth", "efficientnet-b01.pth", "readme.txt", name):
        (tmp_path / other).parent.mkdir(exist_ok=True)
        (tmp_path / other).touch()
    assert find_weights(backbone, tmp_path) == tmp_path / name


def test_several_files_for_one_backbone_are_refused_by_name(tmp_path):
    for name in ("resnet18.pth", "resnet18.bin"):
        (tmp_path / name).touch()
    with pytest.raises(ModelFileError, match=r"resnet18\.bin, resnet18\.pth\. Keep one"):
        find_weights("resnet18", tmp_path)


def test_a_folder_without_the_file_says_which_to_fetch_and_how_to_name_it(tmp_path):
    with pytest.raises(ModelFileError) as told:
        build_network(FLAT, weights="imagenet", weights_dir=tmp_path)
    words = str(told.value)
    assert "smp-hub/resnet18.imagenet/resolve/" in words
    assert "as resnet18.safetensors" in words
    assert "--weights-dir" in words


def test_without_a_network_it_fails_at_once_and_says_what_to_fetch(monkeypatch):
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")  # nobody listens there
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    start = time.monotonic()
    with pytest.raises(
        ModelFileError, match=r"cannot be fetched \(127\.0\.0\.1: .*smp-hub/senet154\.imagenet"
    ):
        build_network(NetworkSpec("U-Net", "senet154"), weights="imagenet")
    assert time.monotonic() - start < 15  # alone on a machine: 1


@pytest.mark.parametrize("suffix", [".safetensors", ".pth"])
def test_one_channel_gets_the_sum_of_the_three(tmp_path, encoder_state, suffix):
    path = tmp_path / f"resnet18{suffix}"
    save_file(encoder_state, path) if suffix == ".safetensors" else torch.save(
        {"state_dict": encoder_state}, path
    )
    network = build_network(FLAT, weights="imagenet", weights_dir=tmp_path)
    expected = encoder_state["conv1.weight"].sum(dim=1, keepdim=True)
    torch.testing.assert_close(network.encoder.conv1.weight.detach(), expected)
    assert torch.equal(network.encoder.layer4[1].conv2.weight, encoder_state["layer4.1.conv2.weight"])


def test_five_channels_repeat_the_three_as_the_library_does(folder, encoder_state):
    network = build_network(replace(FLAT, mode="2.5D", in_channels=5), weights="imagenet", weights_dir=folder)
    kernel = encoder_state["conv1.weight"][:, [0, 1, 2, 0, 1]] * (3 / 5)
    torch.testing.assert_close(network.encoder.conv1.weight.detach(), kernel)


def test_in_3d_the_encoder_is_inflated_and_the_decoder_random(folder, encoder_state):
    network = build_network(replace(FLAT, mode="3D"), weights="imagenet", weights_dir=folder)
    kernel = encoder_state["layer1.0.conv1.weight"]
    found = network.encoder.layer1[0].conv1.weight
    assert all(torch.equal(found[:, :, z], kernel / 3) for z in range(3))
    decoder = network.decoder.blocks[0].conv1[0].weight
    assert not torch.equal(decoder[:, :, 0], decoder[:, :, 1])


def test_a_dilated_encoder_takes_the_same_file(folder, encoder_state):
    network = build_network(NetworkSpec("DeepLabV3+", "resnet18"), weights="imagenet", weights_dir=folder)
    assert torch.equal(network.encoder.layer4[0].conv2.weight, encoder_state["layer4.0.conv2.weight"])


def test_weights_of_another_backbone_are_refused(tmp_path, encoder_state):
    save_file(encoder_state, tmp_path / "resnet34.safetensors")
    with pytest.raises(ModelFileError, match=r"resnet34\.safetensors does not hold the weights of resnet34"):
        build_network(NetworkSpec("U-Net", "resnet34"), weights="imagenet", weights_dir=tmp_path)


class Runs:
    """A pickle that would run code."""

    def __reduce__(self):
        return (print, ("ran",))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".bin"])
def test_a_file_that_could_run_code_or_is_damaged_is_refused(tmp_path, capsys, suffix):
    path = tmp_path / f"resnet18{suffix}"
    for content in (pickle.dumps(Runs()), b"", b"PK\x03\x04 cut short", b"\xff" * 64):
        path.write_bytes(content)
        with pytest.raises(ModelFileError, match="cannot be read as weights"):
            read_state(path)
    assert "ran" not in capsys.readouterr().out


def test_a_file_with_other_things_than_tensors_is_refused(tmp_path):
    torch.save({"weight": 3}, tmp_path / "resnet18.pth")
    with pytest.raises(ModelFileError, match="no plain dictionary of tensors"):
        read_state(tmp_path / "resnet18.pth")


def test_a_timm_encoder_without_weights_is_refused_in_words():
    with pytest.raises(ModelFileError, match=r"tu-lcnet_035 could not be fetched: .*No pretrained weights"):
        build_network(NetworkSpec("U-Net", "tu-lcnet_035"), weights="imagenet")
