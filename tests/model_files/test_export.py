"""Exported models give what the model gives; what cannot be exported is refused and leaves nothing."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from bone_backend.errors import ModelFileError, OptionError, OutputError, PackageError
from bone_backend.information.describe import describe
from bone_backend.jobs.run import run_here
from bone_backend.model_files import export
from bone_backend.model_files.export import export_model
from bone_backend.model_files.model_file import read_header, save_model
from bone_backend.networks.build import build_network
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape
from mocks.model_files import CLASSES, NETWORK, published, small_state

PLAIN = NetworkSpec("U-Net", "resnet18")


def saved(path, spec=PLAIN, **metadata):
    torch.manual_seed(0)
    network = build_network(spec).eval()
    for module in network.modules():  # statistics that are not those of a fresh network
        if isinstance(module, (torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)):
            module.running_mean.uniform_(-0.1, 0.1)
    values = {
        "model_arch": spec.architecture,
        "backbone": spec.backbone,
        "mode": spec.mode,
        "normalization": "ZScore",
    }
    own = {"classes": CLASSES}
    if spec.plain:
        values["backbone"] = None
        own["network"] = {"plain": asdict(spec.plain)}
    save_model(path, state=network.state_dict(), metadata=values | metadata, bone=own)
    return network


def test_safetensors_hold_the_weights_and_a_card(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    network = saved(tmp_path / "m.pth")
    result = export_model(tmp_path / "m.pth", tmp_path / "m.safetensors", format="safetensors")
    assert result.largest_difference == 0
    with safetensors.safe_open(tmp_path / "m.safetensors", "pt") as file:
        card = json.loads(file.metadata()["bone"])
        for name, tensor in network.state_dict().items():
            torch.testing.assert_close(file.get_tensor(name), tensor, rtol=0, atol=0)
    assert card["classes"] == CLASSES
    assert card["normalization"] == "ZScore"
    assert card["size_multiples"] == [1, 32, 32]
    told = describe(tmp_path / "m.safetensors")
    assert told["what"] == "a fitted network for other programs, written by bone export as safetensors"
    assert told["facts"]["Network"] == "U-Net with resnet18, 2D"
    assert told["facts"]["Greys"] == "ZScore"


@pytest.mark.slow
@pytest.mark.parametrize(
    "spec",
    [
        pytest.param(PLAIN, marks=pytest.mark.rare),
        pytest.param(
            NetworkSpec("Plain U-Net", "", mode="2.5D", in_channels=3, plain=PlainShape(8, 3)),
            marks=pytest.mark.rare,
        ),
        pytest.param(NetworkSpec("U-Net", "resnet18", mode="3D"), marks=pytest.mark.rare),
        NetworkSpec("Plain U-Net", mode="3D", plain=PlainShape(8, 3, "instance")),
    ],
    ids=lambda spec: f"{spec.architecture}-{spec.mode}",
)
def test_an_onnx_network_gives_the_models_logits_for_other_sizes_and_batches(tmp_path, spec):
    for package in export.ONNX_PACKAGES:
        pytest.importorskip(package)
    import onnxruntime

    network = saved(tmp_path / "m.pth", spec)
    answer = run_here("export", {"model": str(tmp_path / "m.pth"), "output": str(tmp_path / "m.onnx")})
    assert answer["largest_difference"] < 1e-4
    assert answer["fixed_size"] is None
    session = onnxruntime.InferenceSession(tmp_path / "m.onnx", providers=["CPUExecutionProvider"])
    card = json.loads(session.get_modelmeta().custom_metadata_map["bone"])
    assert (card["mode"], card["backbone"]) == (spec.mode, spec.backbone or None)
    assert card.get("plain_unet") == (asdict(spec.plain) if spec.plain else None)
    told = describe(tmp_path / "m.onnx")
    assert told["what"] == "a fitted network for other programs, written by bone export as onnx"
    assert told["facts"]["Network"].startswith(spec.architecture)
    assert told["facts"]["Network"].endswith(spec.mode)
    size = (32, 64, 32) if spec.mode == "3D" else (160, 96)
    grey = torch.randn(3, spec.in_channels, *size)
    with torch.no_grad():
        expected = network(grey).numpy()
    np.testing.assert_allclose(
        session.run(None, {"grey": grey.numpy()})[0], expected, atol=1e-4 * np.abs(expected).max()
    )


def test_a_network_that_gives_another_result_is_refused(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth")

    class Runtime:
        class InferenceSession:
            def __init__(self, *_, **__): ...

            def run(self, _, inputs):
                return [np.zeros((1, 2, *inputs["grey"].shape[2:]), np.float32)]

    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, Runtime])
    monkeypatch.setattr(export, "_trace", lambda *_, **__: None)
    with pytest.raises(ModelFileError, match="differs from the model by 1"):
        export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")
    assert [path.name for path in tmp_path.iterdir()] == ["m.pth"]


def test_a_network_of_one_size_only_is_written_for_its_patch_size_and_says_so(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth", patch_size=96)
    traced = []

    def trace(network, spec, size, *, out, card, dynamic):
        traced.append((size, dynamic))
        if dynamic:
            raise ValueError("sizes must be known")
        out.write_bytes(b"onnx")

    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    monkeypatch.setattr(export, "_trace", trace)
    monkeypatch.setattr(export, "_difference", lambda *_: 0.0)
    result = export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")
    assert result.fixed_size == (96, 96)
    assert traced[-1] == ((96, 96), False)
    assert (tmp_path / "m.onnx").read_bytes() == b"onnx"


def test_a_network_that_is_right_for_small_sizes_only_is_written_for_its_patch_size(tmp_path, monkeypatch):
    """PAN halves its deepest features, 1/16 of the input, as long as there are two."""
    spec = NetworkSpec("PAN", "resnet18", mode="3D")
    saved(tmp_path / "m.pth", spec, patch_size=64, patch_depth=16)
    checked = []

    def difference(network, spec, size, runtime, out):
        checked.append(size)
        if max(size) // 16 >= 16:  # three halvings leave two
            raise ValueError("differs")
        return 0.0

    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    monkeypatch.setattr(export, "_trace", lambda *_, out, **__: out.write_bytes(b"onnx"))
    monkeypatch.setattr(export, "_difference", difference)
    result = export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")
    assert result.fixed_size == (16, 64, 64)
    assert checked[-1] == (16, 64, 64)


@pytest.mark.parametrize(
    ("spec", "positions"),
    [
        (NetworkSpec("PAN", "resnet18", mode="3D"), 16),
        (NetworkSpec("PAN", "resnet18"), 16),
        (NetworkSpec("UPerNet", "resnet18"), 7),
        (NetworkSpec("PSPNet", "resnet18", mode="2.5D", in_channels=3), 7),
        (NetworkSpec("U-Net", "resnet18", mode="3D"), 2),
        (NetworkSpec("Segformer", "mit_b0"), 2),
    ],
    ids=lambda value: f"{value.mode} {value.architecture}" if isinstance(value, NetworkSpec) else None,
)
def test_a_check_sees_deep_features_with_several_positions_along_each_axis(spec, positions):
    sizes = export._example_sizes(spec)
    multiples = spec.multiples[-len(sizes[0]) :]
    for axis, multiple in enumerate(multiples):
        assert max(size[axis] for size in sizes) // multiple >= positions
    assert all(edge % multiple == 0 for size in sizes for edge, multiple in zip(size, multiples, strict=True))


def test_an_onnx_network_is_checked_at_the_patch_size_of_the_fit_too(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth", patch_size=352)
    checked = []
    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    monkeypatch.setattr(export, "_trace", lambda *_, out, **__: out.write_bytes(b"onnx"))
    monkeypatch.setattr(export, "_difference", lambda *given: checked.append(given[2]) or 0.0)
    export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")
    assert (352, 352) in checked


@pytest.mark.rare
def test_a_3d_pan_is_written_for_one_size_and_right_there(tmp_path):
    for package in export.ONNX_PACKAGES:
        pytest.importorskip(package)
    import onnxruntime

    network = saved(
        tmp_path / "m.pth", NetworkSpec("PAN", "resnet18", mode="3D"), patch_size=128, patch_depth=64
    )
    result = export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")
    assert result.fixed_size == (64, 128, 128)
    grey = torch.randn(1, 1, 64, 128, 128)
    with torch.no_grad():
        expected = network(grey).numpy()
    (found,) = onnxruntime.InferenceSession(tmp_path / "m.onnx").run(None, {"grey": grey.numpy()})
    np.testing.assert_allclose(found, expected, atol=1e-4 * np.abs(expected).max())


def test_a_network_that_cannot_be_written_is_refused_without_the_exporters_colours(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth")

    def trace(*_, **__):
        raise RuntimeError("Failed. \x1b[96mThis is step 3/3\x1b[0m of exporting.\nMore.")

    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    monkeypatch.setattr(export, "_trace", trace)
    with pytest.raises(ModelFileError, match=r"\(Failed\. This is step 3/3 of exporting\.\)"):
        export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")


def test_a_model_whose_weights_do_not_fit_is_refused_in_words(tmp_path, monkeypatch):
    state = build_network(PLAIN).state_dict()
    state["encoder.layer4.1.conv2.weight"] = torch.zeros(1, 2, 3, 3)
    metadata = {"model_arch": "U-Net", "backbone": "resnet18", "mode": "2D"}
    save_model(tmp_path / "m.pth", state=state, metadata=metadata, bone={})
    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    with pytest.raises(ModelFileError, match="says it is a 2D U-Net with resnet18, but its weights are not"):
        export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")


def test_two_names_for_one_tensor_become_two_tensors_in_safetensors(tmp_path):
    safetensors = pytest.importorskip("safetensors")
    state = small_state()
    state["decoder.twin"] = state["encoder.conv1.weight"]
    published(tmp_path / "m.pth", state, **NETWORK)
    export_model(tmp_path / "m.pth", tmp_path / "m.safetensors", format="safetensors")
    with safetensors.safe_open(tmp_path / "m.safetensors", "pt") as file:
        assert torch.equal(file.get_tensor("decoder.twin"), state["decoder.twin"])
        assert torch.equal(file.get_tensor("encoder.conv1.weight"), state["decoder.twin"])


@pytest.mark.parametrize("name", ["m.pth", "other/../m.pth", "link.pth"])
def test_an_export_never_replaces_the_model_itself(tmp_path, name):
    pytest.importorskip("safetensors")
    saved(tmp_path / "m.pth")
    (tmp_path / "other").mkdir()
    (tmp_path / "link.pth").hardlink_to(tmp_path / "m.pth")
    with pytest.raises(OutputError, match="is the model file itself"):
        export_model(tmp_path / "m.pth", tmp_path / name, format="safetensors", overwrite=True)
    assert read_header(tmp_path / "m.pth").architecture == "U-Net"


def test_a_missing_package_is_named_with_the_command_that_installs_it(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth")
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(PackageError, match="pip install onnx onnxscript onnxruntime"):
        export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")


def test_weights_beyond_2_gib_and_unknown_formats_are_refused(tmp_path, monkeypatch):
    saved(tmp_path / "m.pth")
    with pytest.raises(OptionError, match="onnx, safetensors"):
        export_model(tmp_path / "m.pth", tmp_path / "m.h5", format="h5")
    monkeypatch.setattr(export, "_packages", lambda *_, **__: [None, None, None])
    monkeypatch.setattr(export, "LARGEST_ONNX_BYTES", 1000)
    with pytest.raises(ModelFileError, match="2 GiB"):
        export_model(tmp_path / "m.pth", tmp_path / "m.onnx", format="onnx")


def test_an_export_does_not_replace_a_file_unless_asked_to(tmp_path):
    pytest.importorskip("safetensors")
    saved(tmp_path / "m.pth")
    (tmp_path / "m.safetensors").write_text("mine")
    with pytest.raises(OutputError, match="--overwrite"):
        export_model(tmp_path / "m.pth", tmp_path / "m.safetensors", format="safetensors")
    assert (tmp_path / "m.safetensors").read_text() == "mine"
    export_model(tmp_path / "m.pth", tmp_path / "m.safetensors", format="safetensors", overwrite=True)
    assert (tmp_path / "m.safetensors").stat().st_size > 1 << 20


@pytest.mark.skipif(sys.platform == "win32", reason="limits the size of files as POSIX does")
@pytest.mark.parametrize("format", ["safetensors", pytest.param("onnx", marks=pytest.mark.rare)])
def test_a_full_disk_is_told_as_such_and_leaves_the_older_export(tmp_path, format):
    import resource

    pytest.importorskip("safetensors" if format == "safetensors" else "onnxscript")
    saved(tmp_path / "m.pth")
    (tmp_path / "export").write_text("older")
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, before[1]))
    try:
        with pytest.raises(OutputError, match="export: the disk is full"):
            export_model(tmp_path / "m.pth", tmp_path / "export", format=format, overwrite=True)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["export", "m.pth"]
    assert (tmp_path / "export").read_text() == "older"
