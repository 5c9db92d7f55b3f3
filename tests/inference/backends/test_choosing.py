"""OpenVINO is chosen where it was measured to be faster by a margin, and does not differ from torch."""

from __future__ import annotations

import pytest
import torch

from bone_backend.errors import PackageError
from bone_backend.inference.backends import remembered
from bone_backend.inference.backends.choosing import (
    MARGIN,
    OPENVINO,
    ROUNDS,
    TORCH,
    agreement,
    measured,
    verdict,
)
from bone_backend.inference.backends.remembered import Seconds
from bone_backend.volumes.cache import BACKENDS, cache_folder

CHUNK = torch.randn((1, 1, 8, 8), generator=torch.Generator().manual_seed(0))
QUESTION = {"network": ["Plain U-Net", 1], "threads": 2}


class Clock:
    """A time that goes on only where a network computes."""

    def __init__(self):
        self.now, self.calls = 0.0, []

    def __call__(self) -> float:
        return self.now

    def network(self, name: str, *seconds: float):
        """Takes so long the first time, the second, ...; the last ever after."""
        left = list(seconds)

        def compute(batch: torch.Tensor) -> torch.Tensor:
            self.calls.append(name)
            self.now += left.pop(0) if len(left) > 1 else left[0]
            return batch

        return compute


def test_the_least_of_several_times_by_turns_counts_and_the_first_does_not():
    clock = Clock()
    networks = clock.network("t", 0.001, 0.04, 0.02, 0.03), clock.network("o", 0.001, 0.01, 0.03)
    assert measured(networks, CHUNK, None, now=clock) == pytest.approx((0.02, 0.01))
    assert clock.calls == ["t", "o"] * (ROUNDS + 1)


def test_large_chunks_are_measured_once():
    clock = Clock()
    assert measured((clock.network("t", 9.0), clock.network("o", 8.0)), CHUNK, None, now=clock) == (9, 8)
    assert clock.calls == ["t", "o"] * 2


def chosen(*seconds: float, chunks: float = 1000, models: int = 1) -> tuple[str, str]:
    return verdict(
        Seconds(*seconds),
        other=OPENVINO,
        title="OpenVINO",
        chunks=chunks,
        models=models,
        when="measured earlier",
    )


def test_a_tenth_of_the_time_has_to_be_saved():
    assert chosen(1.0, MARGIN - 0.001, 0.0)[0] == OPENVINO
    assert chosen(1.0, MARGIN, 0.0)[0] == TORCH
    assert chosen(0.5, 1.0, 0.0) == (
        TORCH,
        "OpenVINO takes 200 % of torch's time for a chunk (measured earlier); below 90 % it would be taken",
    )


def test_a_small_scan_is_not_worth_the_beginning():
    assert chosen(0.2, 0.1, 2.0, chunks=21)[0] == OPENVINO
    assert chosen(0.2, 0.1, 2.0, chunks=19) == (
        TORCH,
        "OpenVINO takes 50 % of torch's time for a chunk (measured earlier), so it would save 1.9 s here and "
        "take 2.0 s to begin",
    )
    assert [chosen(0.2, 0.1, 2.0, chunks=n, models=5)[0] for n in (19, 21)] == [TORCH, OPENVINO]


def double(batch: torch.Tensor) -> torch.Tensor:
    return 2 * batch


def off_by(share: float):
    """A network whose largest difference from `double` is that share of the largest logit."""
    return lambda batch: double(batch) + share * double(batch).abs().max() * (batch == batch.max())


@pytest.mark.parametrize(
    ("found", "own", "precision", "is_good"),
    [
        (0.0009, 0, None, True),
        (0.0011, 0, None, False),
        (0.009, 0, torch.bfloat16, True),
        (0.011, 0, torch.bfloat16, False),
        (0.039, 0.02, torch.bfloat16, True),
        (0.041, 0.02, torch.bfloat16, False),
        (float("nan"), 0.02, torch.bfloat16, False),
    ],
)
def test_it_may_differ_by_rounding_only(found, own, precision, is_good):
    more = {"plain": double, "own": off_by(own), "precision": precision, "name": "m.pth", "title": "MPS"}
    if is_good:
        assert f"{found:.2g} of the largest" in agreement(off_by(found), CHUNK, **more)
        return
    with pytest.raises(PackageError, match=r"MPS does not compute m.pth well: logits differ .* is allowed"):
        agreement(off_by(found), CHUNK, **more)


def test_where_torch_gives_no_numbers_nothing_is_compared():
    def broken(batch: torch.Tensor) -> torch.Tensor:
        return batch * float("nan")

    told = agreement(double, CHUNK, plain=broken, own=broken, precision=None, name="m.pth", title="MPS")
    assert told == "not compared, for torch gives no numbers"


def test_what_was_measured_first_is_remembered():
    assert remembered.read(QUESTION) is None
    assert remembered.keep(QUESTION, Seconds(1.0, 0.5, 0.7)) == Seconds(1.0, 0.5, 0.7)
    assert remembered.keep(QUESTION, Seconds(1.0, 2.0, 0.7)) == Seconds(1.0, 0.5, 0.7)
    assert remembered.read({**QUESTION, "threads": 3}) is None


def test_what_is_damaged_is_measured_again(caplog):
    remembered.keep(QUESTION, Seconds(1.0, 0.5, 0.7))
    (path,) = (cache_folder() / BACKENDS).iterdir()
    path.write_text(path.read_text(encoding="utf-8").replace("0.5", "2.5"), encoding="utf-8")
    assert remembered.read(QUESTION) is None
    assert "is damaged" in caplog.text
    assert remembered.keep(QUESTION, Seconds(1.0, 3.0, 0.7)) == Seconds(1.0, 3.0, 0.7)


def test_where_nothing_can_be_kept_there_is_no_answer():
    cache_folder().parent.mkdir(exist_ok=True)
    cache_folder().write_text("a file", encoding="utf-8")
    assert remembered.keep(QUESTION, Seconds(1.0, 0.5, 0.7)) is None
