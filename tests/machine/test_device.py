"""The device and the precision are what was asked for, or an error."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch

from bone_backend.errors import HardwareError
from bone_backend.machine.device import (
    choose_device,
    choose_precision,
    compile_network,
    cpu_has_bf16,
    describe,
    determinism,
    free_bytes,
    mixed_precision,
)

CPU = torch.device("cpu")
without_gpu = pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU is there")


def test_cpu_is_the_cpu():
    assert choose_device("cpu") == CPU


def test_auto_takes_the_gpu_only_where_there_is_one():
    assert choose_device("auto").type == ("cuda" if torch.cuda.is_available() else "cpu")


@without_gpu
@pytest.mark.parametrize("name", ["cuda", "cuda:1"])
def test_a_gpu_that_is_not_there_is_refused_and_never_replaced(name):
    with pytest.raises(HardwareError, match=rf"device is {name}, but .*device cpu"):
        choose_device(name)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA GPU")
def test_a_gpu_number_beyond_those_there_is_refused():
    assert choose_device("cuda") == torch.device("cuda", 0)
    with pytest.raises(HardwareError, match="device is cuda:99, but there are"):
        choose_device("cuda:99")


@pytest.mark.parametrize("name", ["tpu", "cuda:x", "cuda:-1", ""])
def test_an_unknown_device_is_named(name):
    with pytest.raises(HardwareError, match="use auto, cpu, cuda or cuda:N"):
        choose_device(name)


def test_precision_by_name_is_that_dtype():
    assert choose_precision("bf16", CPU) == torch.bfloat16
    assert choose_precision("fp32", CPU) is None


def test_auto_precision_on_a_cpu_is_bf16_only_where_the_cpu_has_it():
    assert choose_precision("auto", CPU) == (torch.bfloat16 if cpu_has_bf16() else None)


def test_half_precision_on_a_cpu_is_refused():
    with pytest.raises(HardwareError, match="fp16, which needs a GPU"):
        choose_precision("fp16", CPU)


def test_an_unknown_precision_is_named():
    with pytest.raises(HardwareError, match="precision is 'int8'"):
        choose_precision("int8", CPU)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc/cpuinfo")
def test_the_cpu_flag_agrees_with_the_kernel(monkeypatch):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    flags = set(told.split())
    assert cpu_has_bf16() == bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


@pytest.mark.parametrize(("held_back", "has"), [("AVX2", False), ("avx512_core_vnni", False), ("ALL", None)])
def test_where_onednn_is_held_back_there_is_no_bf16(monkeypatch, held_back, has):
    monkeypatch.delenv("ONEDNN_MAX_CPU_ISA", raising=False)
    before = cpu_has_bf16()
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", held_back)
    assert cpu_has_bf16() == (before if has is None else has)


def test_mixed_precision_makes_a_product_of_that_dtype():
    a = torch.ones(4, 4)
    with mixed_precision(CPU, torch.bfloat16):
        assert (a @ a).dtype == torch.bfloat16
    with mixed_precision(CPU, None):
        assert (a @ a).dtype == torch.float32


def test_free_memory_is_a_plausible_number_of_bytes():
    assert 2**20 < free_bytes(CPU) < 2**50


def test_the_description_names_device_and_precision():
    assert describe(CPU, None) == "CPU, fp32"
    assert describe(CPU, torch.bfloat16) == "CPU, bf16"


@pytest.mark.rare
def test_compiled_layers_compute_the_same_under_the_same_names():
    torch.manual_seed(0)
    network = torch.nn.Sequential(torch.nn.Conv2d(1, 4, 3), torch.nn.BatchNorm2d(4), torch.nn.ReLU())
    names, x = list(network.state_dict()), torch.randn(2, 1, 8, 8)
    expected = network.eval()(x)
    compile_network(network, torch.device("cpu"))
    torch.testing.assert_close(network(x), expected)
    assert list(network.state_dict()) == names


@pytest.mark.parametrize("wanted", [True, False])
def test_kernels_are_repeatable_or_the_fastest_and_as_before_afterwards(wanted):
    before = torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark
    with determinism(wanted):
        assert torch.are_deterministic_algorithms_enabled() is wanted
        assert torch.backends.cudnn.benchmark is not wanted
    assert (torch.are_deterministic_algorithms_enabled(), torch.backends.cudnn.benchmark) == before
