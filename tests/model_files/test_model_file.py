"""Model files: what was saved comes back, older files are understood, and nothing in a file is trusted."""

from __future__ import annotations

import collections
import contextlib
import json
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from bone_backend.errors import ModelFileError, OutputError
from bone_backend.information.describe import describe
from bone_backend.model_files.model_file import (
    METADATA_KEYS,
    check_weights,
    load_state,
    read_header,
    save_model,
    weights_sha256,
)
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options import catalogue
from bone_backend.options.backbones import FAMILIES
from bone_backend.options.plain_unet import PlainShape
from mocks.model_files import CLASSES, NETWORK, published, small_state
from standalone import show

# --- there and back


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec("U-Net", "resnet18", num_classes=3),
        NetworkSpec("Linknet", "mobilenet_v2", mode="2.5D", in_channels=5),
        NetworkSpec("U-Net", "resnet18", mode="3D", stride=((1, 2, 2),) + ((2, 2, 2),) * 4),
        NetworkSpec("U-Net", "resnet18", mode="3D", depth_mixing=False),
    ],
    ids=lambda spec: spec.mode,
)
def test_a_network_comes_back_as_it_was_saved(tmp_path, spec):
    network = build_network(spec)
    path = tmp_path / "model.pth"
    metadata = {
        "model_arch": spec.architecture,
        "backbone": spec.backbone,
        "mode": spec.mode,
        "stride": spec.stride,
    }
    save_model(path, state=network.state_dict(), metadata=metadata, bone={"scores": {"bone": 0.9}})
    header = read_header(path)
    assert header.spec == spec
    assert header.bone["scores"] == {"bone": 0.9}
    state = load_state(path, header)
    assert list(state) == list(network.state_dict())
    for name, tensor in network.state_dict().items():
        torch.testing.assert_close(state[name], tensor, rtol=0, atol=0)
    build_network(header.spec).load_state_dict(state)
    assert header.parameters == sum(tensor.numel() for tensor in state.values())


def plain_file(path, *, network, **metadata):
    """A model file of a small Plain U-Net; network: what our own key says of it."""
    spec = NetworkSpec("Plain U-Net", num_classes=3, plain=PlainShape(8, 3, "group"))
    known = {"model_arch": spec.architecture, "mode": "2D"} | metadata
    save_model(path, state=build_network(spec).state_dict(), metadata=known, bone={"network": network})
    return spec


def test_a_plain_u_net_says_its_sizes_under_our_own_key(tmp_path):
    path = tmp_path / "model.pth"
    spec = plain_file(path, network={"plain": {"channels": 8, "depth": 3, "norm": "group"}})
    header = read_header(path)
    assert (header.spec, header.backbone, header.metadata["backbone"]) == (spec, "", None)
    check_weights(header)
    build_network(header.spec).load_state_dict(load_state(path, header))


@pytest.mark.parametrize(
    ("network", "metadata", "told"),
    [
        ({}, {}, "does not say how large its Plain U-Net is"),
        ({"plain": {"channels": 8}}, {}, "not of the expected form"),
        ({"plain": {"channels": "8", "depth": 3, "norm": "group"}}, {}, "not of the expected form"),
        ({"plain": {"channels": 8, "depth": 10**9, "norm": "group"}}, {}, "plain_depth is 1000000000; use"),
        ({"plain": {"channels": 8, "depth": 3, "norm": "layer"}}, {}, "plain_norm is 'layer'; use one of"),
        (
            {"plain": {"channels": 8, "depth": 3, "norm": "group"}},
            {"backbone": "resnet18"},
            "backbone is resnet18, but Plain U-Net has none",
        ),
    ],
)
def test_a_plain_u_net_of_unknown_or_strange_sizes_is_refused(tmp_path, network, metadata, told):
    plain_file(tmp_path / "model.pth", network=network, **metadata)
    with pytest.raises(ModelFileError, match=told):
        read_header(tmp_path / "model.pth")


def test_weights_of_a_plain_u_net_of_other_sizes_are_told(tmp_path):
    plain_file(tmp_path / "model.pth", network={"plain": {"channels": 16, "depth": 3, "norm": "group"}})
    with pytest.raises(ModelFileError, match=r"says it is a 2D Plain U-Net \(16 channels, 3 stages, group"):
        check_weights(read_header(tmp_path / "model.pth"))


def test_the_file_has_the_published_keys_and_only_one_more(tmp_path):
    save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK, bone={})
    content = torch.load(tmp_path / "m.pth", weights_only=True)
    assert set(content) == {"model_state", "metadata"}
    assert tuple(content["metadata"]) == (*METADATA_KEYS, "bone")
    assert content["metadata"]["backbone"] == "resnet18"
    assert content["metadata"]["wall_time_sec"] is None


def test_3d_kernels_and_strides_stand_in_the_file_as_height_width_depth(tmp_path):
    state = {
        "encoder.conv1.weight": torch.arange(2 * 3 * 4.0).reshape(1, 1, 2, 3, 4),
        "segmentation_head.0.weight": torch.zeros(2, 1, 1, 1, 1),
    }
    stride = ((1, 2, 2), (1, 2, 2), (2, 2, 2), (2, 2, 2), (2, 2, 2))
    save_model(
        tmp_path / "m.pth", state=state, metadata=NETWORK | {"mode": "3D", "stride": str(stride)}, bone={}
    )
    content = torch.load(tmp_path / "m.pth", weights_only=True)
    kernel = content["model_state"]["encoder.conv1.weight"]
    assert kernel.shape == (1, 1, 3, 4, 2)
    assert kernel[0, 0, 2, 3, 1] == state["encoder.conv1.weight"][0, 0, 1, 2, 3]
    assert content["metadata"]["stride"].startswith("((2, 2, 1), (2, 2, 1), (2, 2, 2)")
    assert read_header(tmp_path / "m.pth").stride == stride
    torch.testing.assert_close(
        load_state(tmp_path / "m.pth")["encoder.conv1.weight"], state["encoder.conv1.weight"]
    )


def test_values_of_numpy_torch_and_paths_are_written_plain(tmp_path):
    metadata = NETWORK | {
        "best_val_score": np.float64(0.5),
        "best_epoch": torch.tensor(7),
        "train_dataset": [Path("a")],
        "peak_vram_GB": {0: np.float32(1.5)},
    }
    save_model(
        tmp_path / "m.pth", state=small_state(), metadata=metadata, bone={"voxel_size_um": [(1.0, 2, 3)]}
    )
    header = read_header(tmp_path / "m.pth")
    assert header.metadata["best_val_score"] == 0.5
    assert header.metadata["best_epoch"] == 7
    assert header.metadata["train_dataset"] == ["a"]
    assert header.metadata["peak_vram_GB"] == {0: 1.5}
    assert header.bone["voxel_size_um"] == [(1.0, 2, 3)]


def test_a_view_is_saved_without_the_memory_behind_it(tmp_path):
    state = small_state() | {"encoder.view": torch.zeros(1000, 1000)[:1, :1]}
    save_model(tmp_path / "m.pth", state=state, metadata=NETWORK, bone={})
    assert (tmp_path / "m.pth").stat().st_size < 20_000


@pytest.mark.parametrize(
    ("metadata", "bone"),
    [({"colour": "red"}, {}), ({"version": object()}, {}), ({}, {"options": {"a": {1, 2}}})],
)
def test_what_does_not_belong_into_a_model_file_is_refused_before_writing(tmp_path, metadata, bone):
    with pytest.raises(ValueError, match=r"published|plain"):
        save_model(tmp_path / "m.pth", state=small_state(), metadata=metadata, bone=bone)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_cannot_be_written_leaves_the_old_one_and_no_rest(tmp_path):
    path = tmp_path / "m.pth"
    path.mkdir()  # a folder has the name
    with pytest.raises(OutputError):
        save_model(path, state=small_state(), metadata=NETWORK, bone={})
    assert [item.name for item in tmp_path.iterdir()] == ["m.pth"]
    with pytest.raises(OutputError):
        save_model(tmp_path / "none" / "m.pth", state=small_state(), metadata=NETWORK, bone={})


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("most", [0, 500, 1500])
def test_a_full_disk_is_an_output_error(tmp_path, most):
    import resource

    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, before[1]))
    try:
        with pytest.raises(OutputError, match="the disk is full"):
            save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK, bone={})
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert list(tmp_path.iterdir()) == []


def test_the_checksum_depends_on_every_value_name_and_shape():
    state = small_state()
    digest = weights_sha256(state)
    assert weights_sha256(dict(reversed(state.items()))) == digest
    assert (
        weights_sha256(state | {"segmentation_head.0.bias": state["segmentation_head.0.bias"] + 1e-6})
        != digest
    )
    assert (
        weights_sha256(state | {"encoder.bn1.running_mean": state["encoder.bn1.running_mean"].view(2, 2)})
        != digest
    )


# --- files of other programs


def test_channels_classes_and_mode_are_read_off_the_tensors(tmp_path):
    for channels, depth, mode in ((1, None, "2D"), (7, None, "2.5D"), (1, 3, "3D")):
        state = small_state(channels, 4, depth=depth)
        path = published(tmp_path / "old.pth", state, model_arch="U-Net", backbone="resnet18")
        header = read_header(path)
        assert (header.mode, header.in_channels, header.num_classes) == (mode, channels, 4)
        assert set(header.inferred) == {"is_3d", "in_channels", "num_classes", "mode"}
        assert header.bone == {}
        assert header.metadata["normalization"] is None


@pytest.mark.slow
def test_channels_and_classes_are_found_in_every_family_of_backbones_and_architecture(tmp_path):
    pairs = [("U-Net", backbones[0]) for backbones in FAMILIES.values()]
    pairs += [(title, "resnet18") for title in (*catalogue.ARCHITECTURES, "PAN", "DeepLabV3")] + [
        ("Segformer", "mit_b0")
    ]
    for title, backbone in pairs:
        # a mix transformer reads numbers while it is built, which the meta device has not
        with torch.device("cpu" if backbone.startswith("mit") else "meta"):
            names = build_network(
                NetworkSpec(title, backbone, mode="2.5D", in_channels=5, num_classes=7)
            ).state_dict()
        small = {
            name: torch.zeros(tensor.shape[:2]).view(*tensor.shape[:2], 1, 1)
            for name, tensor in names.items()
            if tensor.ndim == 4
        }
        header = read_header(published(tmp_path / "m.pth", small, model_arch=title, backbone=backbone))
        assert (header.in_channels, header.num_classes) == (5, 7), (title, backbone)


def test_a_file_without_a_backbone_is_refused_with_a_way_that_mends_it(tmp_path):
    path = published(tmp_path / "old.pth", model_arch="FPN")
    with pytest.raises(
        ModelFileError, match=r"does not say 'backbone'.*file\['metadata'\]\['backbone'\] = NAME"
    ):
        read_header(path)
    file = torch.load(path, weights_only=True)
    file["metadata"]["backbone"] = "resnet34"
    torch.save(file, tmp_path / "new.pth")
    assert read_header(tmp_path / "new.pth").backbone == "resnet34"


def test_a_missing_backbone_can_be_assumed(tmp_path):
    path = published(tmp_path / "old.pth", model_arch="FPN")
    header = read_header(path, assume={"backbone": "resnet34"})
    assert header.backbone == "resnet34"
    assert "backbone" in header.inferred


def test_info_shows_what_a_file_without_a_backbone_says(tmp_path):
    path = published(tmp_path / "old.pth", small_state(5, 4), model_arch="FPN", best_epoch=3)
    card = describe(path)
    assert card["missing"] == "backbone; BONe cannot use the model without"
    assert (card["architecture"], card["backbone"], card["mode"]) == ("FPN", None, "2.5D")
    assert (card["in_channels"], card["num_classes"], card["best_epoch"]) == (5, 4, 3)


def test_info_gives_json_also_for_scores_that_are_no_numbers(tmp_path):
    more = {"best_val_score": float("nan"), "train_dataset": ["a", float("inf")]}
    card = describe(published(tmp_path / "m.pth", **NETWORK, **more))
    assert json.loads(json.dumps(card, allow_nan=False))["train_dataset"] == ["a", None]
    assert card["best_val_score"] is None
    assert "missing" not in card


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({}, ["it would write the labels 0 to 1 for 0, 255"]),
        ({"normalization": "tissue"}, ["normalization tissue", "labels 0 to 1"]),
        ({"model_arch": "UPerNet", "normalization": "minMax"}, ["labels 0 to 1"]),
    ],
)
def test_info_says_what_keeps_the_published_program_from_using_a_model(tmp_path, change, told):
    options = {"loss": "Dice", "epochs": 3, "map_labels": [[7, 255]], "batch_size": 32, "momentum": 0.5}
    own = {
        "classes": CLASSES,
        "options": options,
        "voxel_size_um": [(30.0, 20.0, 20.0), (30.0, 20.0, 20.0), None],
        "scores": {"val_miou": 0.8, "val_iou_0": 0.9, "val_iou_255": 0.7},
    }
    save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK | change, bone=own)
    card = describe(tmp_path / "m.pth")
    assert len(card["published_program"]) == len(told)
    assert all(part in fault for part, fault in zip(told, card["published_program"], strict=True))
    assert card["trained_voxel_sizes_um"] == [[30.0, 20.0, 20.0]]
    assert card["val_iou_per_class"] == {"0": 0.9, "255": 0.7}
    # without what is at its default, and what means nothing beside Adam
    assert card["other_options"] == {"batch_size": 32, "loss": "Dice", "map_labels": [[7, 255]]}
    text = show.result("info", card)
    assert "255 bone" in text
    assert "#e69f00" in text


def test_info_of_a_model_with_plain_labels_can_be_used_by_the_published_program(tmp_path):
    assert describe(published(tmp_path / "m.pth", **NETWORK))["published_program"] == []
    classes = [{"value": value, "name": f"class {value}"} for value in (0, 1)]
    save_model(tmp_path / "o.pth", state=small_state(), metadata=NETWORK, bone={"classes": classes})
    card = describe(tmp_path / "o.pth")
    assert card["published_program"] == []
    assert "can use it" in show.result("info", card)


def test_prefixes_of_wrappers_are_taken_off(tmp_path):
    state = {f"module._orig_mod.{name}": tensor for name, tensor in small_state().items()}
    path = published(tmp_path / "ddp.pth", state, **NETWORK)
    assert list(read_header(path).tensors) == list(small_state())
    assert list(load_state(path)) == list(small_state())
    save_model(tmp_path / "ours.pth", state=state, metadata=NETWORK, bone={})
    assert list(torch.load(tmp_path / "ours.pth", weights_only=True)["model_state"]) == list(small_state())


def test_figures_can_be_dictionaries_numbers_or_single_tensors(tmp_path):
    path = published(
        tmp_path / "m.pth",
        **NETWORK,
        peak_vram_GB={0: 10.5, 1: 11.5},
        avg_gpu_util_percent={"cuda:0": 99},
        best_val_score=torch.tensor(0.75),
        best_epoch=torch.tensor([3]),
        unknown_key="kept",
    )
    metadata = read_header(path).metadata
    assert metadata["peak_vram_GB"] == {0: 10.5, 1: 11.5}
    assert metadata["best_val_score"] == 0.75
    assert metadata["best_epoch"] == 3
    assert metadata["unknown_key"] == "kept"


def test_parameters_and_ordered_dictionaries_are_read(tmp_path):
    state = collections.OrderedDict(
        (name, torch.nn.Parameter(value)) if value.is_floating_point() else (name, value)
        for name, value in small_state().items()
    )
    path = published(tmp_path / "m.pth", state, **NETWORK)
    loaded = load_state(path)
    assert not any(tensor.requires_grad for tensor in loaded.values())
    torch.testing.assert_close(loaded["encoder.conv1.weight"], small_state()["encoder.conv1.weight"])


def test_version_marks_of_a_state_dict_are_passed_over(tmp_path):
    state = torch.nn.Sequential(collections.OrderedDict(encoder=torch.nn.Conv2d(1, 4, 3))).state_dict()
    state.update(small_state())
    assert state._metadata  # what torch's own state dicts carry
    assert set(load_state(published(tmp_path / "m.pth", state, **NETWORK))) == set(state)


def test_strided_and_shared_tensors_of_a_file_are_read(tmp_path):
    state = small_state()
    state["encoder.conv1.weight"] = state["encoder.conv1.weight"].contiguous(
        memory_format=torch.channels_last
    )
    state["encoder.again"] = state["encoder.bn1.running_mean"]
    loaded = load_state(published(tmp_path / "m.pth", state, **NETWORK))
    torch.testing.assert_close(loaded["encoder.conv1.weight"], state["encoder.conv1.weight"])
    torch.testing.assert_close(loaded["encoder.again"], state["encoder.again"])


# --- what does not fit


@pytest.mark.parametrize(
    ("metadata", "message"),
    [
        ({"model_arch": "os.system"}, "architecture 'os.system' is not known"),
        ({"backbone": "hf-hub:someone/model"}, "not known"),
        ({"backbone": "../weights"}, "not known"),
        ({"mode": "4D"}, "mode '4D' is not known"),
        ({"mode": "3D"}, "contradicts itself: mode is '3D'"),
        ({"mode": "2.5D"}, "slices is 1"),
        ({"mode": "x" * 300}, "too long for a name"),
        ({"num_classes": 3}, "contradicts itself: num_classes is 3, but its weights have 2"),
        ({"in_channels": "one"}, "contradicts itself: in_channels is 'one'"),
        ({"is_3d": True}, "contradicts itself: is_3d"),
        ({"backbone": 18}, "backbone is int"),
        ({"model_arch": ["U-Net"]}, "model_arch is list"),
        ({"normalization": "histogram"}, "normalization is 'histogram'"),
        ({"normalization": ["ZScore"]}, "normalization is"),
        ({"stride": "__import__('os').system('true')"}, "five"),
        ({"stride": "((2,2,2),)*5"}, "five"),
        ({"stride": str(((2, 2, 2),) * 5)}, "only a 3D U-Net"),
        ({"stride": "(" * 400}, "five"),
        ({"bone": ["no", "dictionary"]}, "'bone' is no dictionary"),
        ({"bone": {"classes": "bone"}}, "classes is 'bone'"),
        ({"bone": {"classes": [CLASSES[0]]}}, "classes are not 2"),
        ({"bone": {"classes": [CLASSES[0], {"value": -1, "name": "x"}]}}, r"classes\[1\]\.value is -1"),
        ({"bone": {"classes": [CLASSES[0], {"value": 1, "name": "\x1b[2J"}]}}, r"classes\[1\]\.name is"),
        ({"bone": {"classes": [CLASSES[0], {"value": 1, "name": "x", "colour": "red"}]}}, "colour is 'red'"),
        ({"bone": {"network": {"align_corners": 1}}}, r"network\.align_corners is 1"),
        ({"bone": {"statistics_voxels": "some"}}, "statistics_voxels is 'some'"),
        ({"bone": {"voxel_size_um": [(1.0, 0.0, 1.0)]}}, r"voxel_size_um\[0\]"),
        ({"bone": {"voxel_size_um": [(1.0, float("inf"), 1.0)]}}, r"voxel_size_um\[0\]"),
        ({"bone": {"options": {"ignore_label": "all"}}}, r"options\.ignore_label is 'all'"),
        ({"bone": {"options": {"map_labels": [[1, 2, 3]]}}}, r"options\.map_labels\[0\]"),
        ({"bone": {"classes": [CLASSES[0], CLASSES[0]]}}, "classes are not 2"),
        ({"bone": {"network": 3}}, r"network is 3: input should be a valid dictionary\)"),
    ],
)
def test_metadata_that_do_not_hold_are_refused_in_words(tmp_path, metadata, message):
    path = published(tmp_path / "m.pth", **{**NETWORK, **metadata})
    with pytest.raises(ModelFileError, match=message) as caught:
        read_header(path)
    assert "m.pth" in str(caught.value)


@pytest.mark.parametrize(
    ("mode", "channels", "message"),
    [
        ("2D", 2, "mode is 2D, whose networks read 1 channel, but its weights read 2"),
        ("2D", 3, "mode is 2D, whose networks read 1 channel, but its weights read 3"),
        ("3D", 3, "mode is 3D, whose networks read 1 channel, but its weights read 3"),
        ("2.5D", 4, "slices is 4"),
        ("2.5D", 11, "slices is 11"),
    ],
)
def test_channels_that_the_mode_does_not_have_are_refused(tmp_path, mode, channels, message):
    state = small_state(channels, depth=3 if mode == "3D" else None)
    with pytest.raises(ModelFileError, match=message):
        read_header(published(tmp_path / "m.pth", state, **{**NETWORK, "mode": mode}))


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        NetworkSpec("U-Net", "resnet18", mode="3D", stride=((1, 2, 2),) + ((2, 2, 2),) * 4),
        NetworkSpec("Segformer", "mit_b0", mode="2.5D", in_channels=3),
        NetworkSpec("FPN", "tu-mobilenetv3_small_100"),
    ],
    ids=lambda spec: spec.mode,
)
def test_weights_are_compared_with_the_network_that_they_are_for(tmp_path, spec):
    path = tmp_path / "m.pth"
    metadata = {"model_arch": spec.architecture, "backbone": spec.backbone, "mode": spec.mode}
    state = dict(build_network(spec).state_dict())
    save_model(path, state=state, metadata=metadata | {"stride": spec.stride}, bone={})
    check_weights(read_header(path))
    del state[next(name for name in state if name.startswith("decoder.") and name.endswith("weight"))]
    save_model(path, state=state, metadata=metadata | {"stride": spec.stride}, bone={})
    with pytest.raises(ModelFileError, match=r"its weights are not: Missing .*decoder\."):
        check_weights(read_header(path))


def test_a_file_that_is_replaced_between_header_and_weights_is_refused(tmp_path):
    """Also where only the metadata differ, e.g. the normalisation."""
    path = published(tmp_path / "m.pth", **NETWORK)
    header = read_header(path)
    assert load_state(path, header)
    published(path, **{**NETWORK, "normalization": "minMax"})
    with pytest.raises(ModelFileError, match=r"m\.pth was replaced after it was looked at"):
        load_state(path, header)
    published(path, small_state(1, 3), **NETWORK)
    with pytest.raises(ModelFileError, match="was replaced"):
        load_state(path, header)


PLAIN_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.floats() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3) | st.integers(), inner, max_size=3)
    ),
    max_leaves=5,
)


@pytest.mark.slow
@settings(max_examples=200, deadline=None)
@given(
    key=st.sampled_from([*METADATA_KEYS, "bone", "classes", "network"]),
    value=PLAIN_VALUES,
)
def test_any_plain_value_of_any_key_is_taken_or_refused_in_words(tmp_path_factory, key, value):
    change = {"bone": {key: value}} if key in ("classes", "network") else {key: value}
    path = published(tmp_path_factory.mktemp("any") / "m.pth", **{**NETWORK, **change})
    with contextlib.suppress(ModelFileError):
        assert read_header(path).spec.num_classes >= 2


def test_classes_of_our_own_key_are_read(tmp_path):
    save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK, bone={"classes": CLASSES})
    assert read_header(tmp_path / "m.pth").bone["classes"] == CLASSES


def test_a_single_class_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="num_classes is 1"):
        read_header(published(tmp_path / "m.pth", small_state(1, 1), **NETWORK))


@pytest.mark.parametrize(
    "content",
    [{"state_dict": small_state()}, small_state(), [1, 2], torch.zeros(3)],
    ids=lambda content: type(content).__name__,
)
def test_a_file_of_another_program_is_refused(tmp_path, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(ModelFileError, match="another program"):
        read_header(tmp_path / "other.pth")


def test_a_network_that_is_not_of_the_library_is_refused(tmp_path):
    with pytest.raises(ModelFileError, match="segmentation_models_pytorch"):
        read_header(published(tmp_path / "m.pth", {"unet.conv.weight": torch.zeros(2, 1, 3, 3)}, **NETWORK))


@pytest.mark.parametrize("value", [3, "text", [torch.zeros(2)], None])
def test_a_state_with_anything_but_tensors_is_refused(tmp_path, value):
    with pytest.raises(ModelFileError, match="no tensor"):
        read_header(published(tmp_path / "m.pth", small_state() | {"encoder.extra": value}, **NETWORK))


def test_names_that_fall_together_without_their_prefix_are_refused(tmp_path):
    state = small_state() | {"module.encoder.bn1.running_mean": torch.zeros(4)}
    with pytest.raises(ModelFileError, match="twice"):
        read_header(published(tmp_path / "m.pth", state, **NETWORK))


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(tmp_path):
    """The weights have their SHA-256, all else the checksums of the archive."""
    save_model(tmp_path / "m.pth", state=small_state(), metadata=NETWORK, bone={"classes": CLASSES})
    content = (tmp_path / "m.pth").read_bytes()
    before, state = read_header(tmp_path / "m.pth"), load_state(tmp_path / "m.pth")
    noticed = 0
    for place in range(0, len(content), max(1, len(content) // 400)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        (tmp_path / "m.pth").write_bytes(damaged)
        try:
            header, found = read_header(tmp_path / "m.pth"), load_state(tmp_path / "m.pth")
        except ModelFileError:
            noticed += 1
            continue
        assert (header.metadata, header.bone) == (before.metadata, before.bone)
        assert all(torch.equal(found[name], tensor) for name, tensor in state.items())
    assert noticed > 100
