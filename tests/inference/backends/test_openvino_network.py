"""A network by OpenVINO gives what torch gives, for batches of any size, and can be stopped."""

from __future__ import annotations

import importlib
import sys
import time

import numpy as np
import pytest
import torch

from bone_backend.errors import PackageError
from bone_backend.inference.backends import openvino_network
from bone_backend.inference.backends.openvino_network import MOST_SHAPES, OpenVinoNetwork
from bone_backend.networks.folding import fold_batch_norm
from bone_backend.networks.spec import NetworkSpec
from bone_backend.options.plain_unet import PlainShape
from tests.prediction_models import made_network

PLAIN = NetworkSpec("Plain U-Net", num_classes=3, plain=PlainShape(8, 3))
SPECS = {
    "plain": PLAIN,
    "resnet": NetworkSpec("U-Net", "resnet18", num_classes=2),
    "slices": NetworkSpec("Plain U-Net", mode="2.5D", in_channels=3, num_classes=3, plain=PlainShape(8, 3)),
    "3D": NetworkSpec("Plain U-Net", mode="3D", num_classes=2, plain=PlainShape(8, 3)),
}
NEAR = {None: 1e-4, torch.bfloat16: 0.02}  # mean difference, relative to the largest logit


def greys(spec: NetworkSpec, batch: int, *edges: int) -> torch.Tensor:
    random = np.random.default_rng(sum(edges))
    return torch.from_numpy(random.normal(0, 1, (batch, spec.in_channels, *edges)).astype(np.float32))


def both(spec: NetworkSpec, precision=None) -> tuple[torch.nn.Module, OpenVinoNetwork]:
    """By torch in float32, by OpenVINO."""
    network = made_network(spec).requires_grad_(False)
    small = greys(spec, 1, *((16, 32, 32) if spec.mode == "3D" else (64, 64)))
    fold_batch_norm(network, small)
    return network, OpenVinoNetwork(network, small, precision=precision)


@pytest.fixture
def plain(stand_in):
    return both(PLAIN)


@pytest.fixture(params=["stand_in", "real"])
def each(request):
    request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    ("by", "name", "precision"),
    [
        ("stand_in", "plain", None),
        ("stand_in", "plain", torch.bfloat16),
        *(("real", name, precision) for name in SPECS for precision in NEAR),
    ],
)
def test_logits_are_torchs(by, name, precision, request):
    request.getfixturevalue(by)
    spec = SPECS[name]
    by_torch, by_openvino = both(spec, precision)
    sizes = [(1, 16, 32, 64), (2, 16, 32, 32)] if name == "3D" else [(1, 96, 64), (3, 32, 32), (1, 96, 64)]
    for size in sizes:
        batch = greys(spec, *size)
        order = torch.channels_last_3d if name == "3D" else torch.channels_last
        with torch.inference_mode():
            expected, found = by_torch(batch), by_openvino(batch.contiguous(memory_format=order))
        assert (found.dtype, found.shape) == (torch.float32, expected.shape)
        assert float((found - expected).abs().mean()) <= NEAR[precision] * float(expected.abs().max())


def test_a_result_stays_and_sizes_beyond_those_that_are_kept_are_made_again(each):
    by_torch, by_openvino = both(PLAIN)
    batches = [greys(PLAIN, 1, 32, 8 * n) for n in range(1, MOST_SHAPES + 3)] * 2
    with torch.inference_mode():
        found = [by_openvino(batch) for batch in batches]
        for batch, one in zip(batches, found, strict=True):
            torch.testing.assert_close(one, by_torch(batch), rtol=1e-3, atol=1e-3)
    assert len(by_openvino._requests) == MOST_SHAPES


def test_a_stop_is_heard_within_a_batch(plain, monkeypatch):
    _, network = plain
    batch = greys(PLAIN, 1, 32, 32)
    expected = network(batch)
    monkeypatch.setenv("MOCK_OPENVINO_SECONDS", "30")

    def stop() -> None:
        raise KeyboardInterrupt

    began = time.monotonic()
    with pytest.raises(KeyboardInterrupt), network.interruptible(stop):
        network(batch)
    assert time.monotonic() - began < 5
    monkeypatch.delenv("MOCK_OPENVINO_SECONDS")
    assert torch.equal(network(batch), expected)  # and nobody stops it any more


def test_memory_that_runs_out_is_told_as_python_tells_it(plain, monkeypatch):
    monkeypatch.setenv("MOCK_OPENVINO_MEMORY", "1000")
    with pytest.raises(MemoryError):
        plain[1](greys(PLAIN, 1, 32, 32))


def test_a_network_that_it_cannot_compute_is_told(stand_in, monkeypatch):
    monkeypatch.setenv("MOCK_OPENVINO_REFUSES", "1")
    with pytest.raises(PackageError, match=r"OpenVINO 0.0.1 cannot compute this network.*aten::fly"):
        both(PLAIN)


def test_where_it_is_missing_the_message_has_the_line_that_installs_it(missing):
    with pytest.raises(PackageError) as told:
        openvino_network.library()
    assert "backend is openvino, but the Python package openvino is not installed." in str(told.value)
    assert 'pip install "bone-segmentation[openvino]"' in str(told.value)


def test_where_it_is_broken_the_message_says_why(missing):
    (missing / "openvino.py").write_text("raise ImportError('libtbb.so.12 is gone')", encoding="utf-8")
    with pytest.raises(PackageError, match=r"does not work here \(libtbb.so.12 is gone\)"):
        openvino_network.library()


def test_it_is_kept_from_reporting_to_its_makers(stand_in, monkeypatch, tmp_path):
    (tmp_path / "openvino_telemetry.py").write_text("", encoding="utf-8")
    monkeypatch.syspath_prepend(str(tmp_path))
    assert openvino_network.library().REPORTS is False
    for name in ("openvino", "openvino_telemetry"):
        del sys.modules[name]
    assert importlib.import_module("openvino").REPORTS is True  # so it would have
