"""Checkpoints: what is taken from a file is checked, damage is noticed, and the one before it is used."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

from bone_backend.errors import OutputError
from bone_backend.model_files.model_file import weights_sha256
from bone_backend.options.programs import FitOptions
from bone_backend.runs.checkpoint import (
    load_position,
    read_checkpoint,
    read_newest,
    restore,
    save_checkpoint,
)
from bone_backend.runs.state import Position
from bone_backend.training.optimization import build_optimizer
from bone_backend.training.step import Step

CPU = torch.device("cpu")
BEST = "BONe_best_epoch_1_val_jaccard_0.5000.pth"
ROW = {
    "epoch": 1,
    "learning_rate": 0.1,
    "train_loss": None,
    "val_loss": 0.7,
    "train_miou": 0.4,
    "val_miou": 0.5,
    "val_iou_0": 0.5,
    "val_iou_1": None,
    "skipped_steps": 0,
    "seconds": 2.5,
    "patches_per_s": 10.0,
    "waiting_share": 0.1,
}
POSITION = {
    "epoch": 1,
    "batches": 3,
    "sums": {"loss_sum": 1.5, "counted": 6.0, "patches": 6.0, "skipped": 0.0},
    "counts": [[2**40, 0], [1, 2]],
    "history": [ROW],
    "best_epoch": 1,
    "best_score": 0.5,
    "best_file": BEST,
    "best_counts": [[1, 2], [3, 4]],
    "seconds": 9.5,
    "peaks": {"peak_ram_gib": 1.5},
}


def made_step(classes: int = 2, optimizer: str = "AdamW") -> Step:
    """A network of one convolution that has learnt for one step."""
    torch.manual_seed(0)
    network = torch.nn.Conv2d(1, classes, 3, padding=1)
    pairs = [["a", "b"], ["c", "d"]]
    chosen = {"recipe": "paper", "pairs": pairs, "output": "run", "optimizer": optimizer}
    step = Step(
        network,
        torch.nn.CrossEntropyLoss(),
        optimizer=build_optimizer(network.parameters(), FitOptions.parse(chosen)),
        device=CPU,
        precision=None,
    )
    step(torch.ones(2, 1, 8, 8), torch.zeros(2, 8, 8, dtype=torch.long), seen=lambda _logits, _target: None)
    return step


@pytest.fixture(scope="module")
def step():
    return made_step()


def write(path: Path, step: Step, **changes: object) -> Path:
    """A checkpoint; changes: of its position, or of a part of the file by its name with `_`."""
    save_checkpoint(path, network=step.network, step=step, position=Position(**POSITION))
    state = torch.load(path, weights_only=True)
    state["position"] |= {key: value for key, value in changes.items() if not key.startswith("_")}
    state |= {key[1:]: value for key, value in changes.items() if key.startswith("_")}
    torch.save(state, path)
    return path


def test_a_position_comes_back_as_it_was(tmp_path, step):
    assert load_position(write(tmp_path / "c.pth", step)) == Position(**POSITION)


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        ({"epoch": -1}, "epoch is -1"),
        ({"epoch": "1"}, "epoch is '1'"),
        ({"epoch": True}, "epoch is True"),
        ({"epoch": 2**70}, "epoch is 1180591620717411303424"),
        ({"epoch": 2}, "history is not that of 2 epochs"),
        ({"batches": -3}, "batches is -3"),
        ({"seconds": float("nan")}, "seconds is nan"),
        ({"seconds": float("inf")}, "seconds is inf"),
        ({"seconds": -1.0}, "seconds is -1.0"),
        ({"best_score": 1e300}, "best_score is 1e.300"),
        ({"best_epoch": 5}, "best_epoch is 5 of 1"),
        ({"best_epoch": 0}, "best_epoch is 0 of 1"),
        ({"sums": {}}, "sums lack loss_sum, patches, skipped"),
        ({"sums": POSITION["sums"] | {"patches": float("nan")}}, r"sums\.patches is nan"),
        ({"counts": [[1, 2]]}, "counts are no square"),
        ({"counts": [[1, -2], [0, 0]]}, r"counts\[0\]\[1\] is -2"),
        ({"counts": 3}, "counts is 3"),
        ({"history": [ROW] * 2}, "history is not that of 1 epochs"),
        ({"history": ["row"]}, r"history\[0\] is 'row'"),
        ({"history": [ROW | {"val_iou_0": "high"}]}, r"history\[0\]\.val_iou_0 is 'high'"),
        ({"history": [ROW | {"seconds": None}]}, r"history\[0\]\.seconds is None"),
        ({"history": [{"epoch": 1}]}, r"history\[0\]\.learning_rate is: field required"),
        ({"peaks": {"peak_ram_gib": -1.0}}, r"peaks\.peak_ram_gib is -1"),
        ({"stranger": 1}, "stranger"),
        ({"_pieces": 0}, "its pieces"),
        ({"_pieces": 2.5}, "its pieces"),
        ({"_gathered": {"batches": -1, "gradients": []}}, "its gathered"),
        ({"_gathered": {"batches": 1, "gradients": [3]}}, "its gathered"),
        ({"_scaler": {"scale": 0.0}}, "its scaler"),
        ({"_optimizer": []}, "its optimizer"),
        ({"_network": {"weight": 5}}, "its network"),
        ({"_random": torch.zeros(3)}, "its randoms"),
        ({"_random": torch.zeros(8, dtype=torch.uint8)}, "random numbers are of no state"),
        ({"_randoms": [{"gpu": torch.zeros(3, dtype=torch.uint8)}]}, "its randoms"),
        ({"_position": [1]}, "it is"),
        ({"_position": None}, "it is"),
    ],
)
def test_a_part_that_cannot_be_is_told_with_file_and_value(tmp_path, step, changes, told):
    path = write(tmp_path / "c.pth", step, **changes)
    with pytest.raises(OutputError, match=rf"(?s)checkpoint .*c\.pth is damaged: .*{told}.*Put back a copy"):
        restore(read_checkpoint(path), network=step.network, step=step)


@pytest.mark.parametrize(
    "name",
    [
        "../x.pth",
        "/etc/x.pth",
        "a/b.pth",
        "a\\b.pth",
        "C:x.pth",
        "..",
        ".pth",
        "notes.txt",
        "x\0.pth",
        "x\n.pth",
        "\ud800.pth",
        "x" * 300 + ".pth",
        7,
        None,
    ],
)
def test_a_best_model_is_a_file_of_the_run_folder_and_nothing_else(tmp_path, step, name):
    with pytest.raises(OutputError, match="best_file is"):
        load_position(write(tmp_path / "c.pth", step, best_file=name))


@pytest.mark.parametrize(
    ("other", "told"),
    [
        ({"classes": 3}, r"weight is \(2, 1, 3, 3\), here \(3, 1, 3, 3\)"),
        ({"optimizer": "SGD"}, "its optimizer is another"),
    ],
)
def test_a_checkpoint_of_another_network_changes_nothing(tmp_path, step, other, told):
    path, mine = write(tmp_path / "c.pth", step), made_step(**other)
    before = weights_sha256(mine.network.state_dict())
    with pytest.raises(OutputError, match=rf"is of another network or fit: {told}"):
        restore(read_checkpoint(path), network=mine.network, step=mine)
    assert weights_sha256(mine.network.state_dict()) == before


def test_what_an_optimizer_keeps_must_have_the_shape_of_its_weight(tmp_path, step):
    own = step.optimizer.state_dict()
    state = {key: dict(kept) for key, kept in own["state"].items()}
    state[0]["exp_avg"] = torch.zeros(2, 1, 3, 9)
    path = write(tmp_path / "c.pth", step, _optimizer={"state": state, "param_groups": own["param_groups"]})
    with pytest.raises(OutputError, match="keeps something else of weight 0"):
        restore(read_checkpoint(path), network=step.network, step=step)


def test_a_flipped_bit_anywhere_is_noticed_or_changes_nothing(tmp_path, step):
    path = write(tmp_path / "c.pth", step)
    content, digest = path.read_bytes(), weights_sha256(step.network.state_dict())
    kept = {key: dict(item) for key, item in step.optimizer.state_dict()["state"].items()}
    noticed = 0
    for place in range(0, len(content), max(1, len(content) // 300)):
        damaged = bytearray(content)
        damaged[place] ^= 1 << place % 8
        path.write_bytes(damaged)
        try:
            position = restore(read_checkpoint(path), network=step.network, step=step)
        except OutputError:
            noticed += 1
            continue
        assert position == Position(**POSITION)
        assert weights_sha256(step.network.state_dict()) == digest
        for key, item in step.optimizer.state_dict()["state"].items():
            assert all(torch.equal(item[name], kept[key][name]) for name in item)
    assert noticed > 150


@pytest.mark.parametrize("damage", ["cut", "empty", "text", "flip", "position"])
def test_a_damaged_checkpoint_is_named_and_the_one_before_it_used(tmp_path, step, caplog, damage):
    new, old = tmp_path / "checkpoint.pth", tmp_path / "checkpoint_before.pth"
    write(old, step, batches=2)
    write(new, step, **({"epoch": -1} if damage == "position" else {}))
    content = new.read_bytes()
    middle = len(content) // 2
    if damage != "position":
        flipped = bytearray(content)
        flipped[content.index(b"FB") if damage == "cut" else middle] ^= 1
        new.write_bytes(
            {"cut": content[:middle], "empty": b"", "text": b"hello", "flip": bytes(flipped)}[damage]
        )
    found = read_newest([new, old])
    assert (found.path, found.position.batches) == (old, 2)
    assert f"checkpoint {new} is damaged" in caplog.text
    assert "The one before it, checkpoint_before.pth, is used." in caplog.text
    old.unlink()
    with pytest.raises(OutputError, match="is damaged"):
        read_newest([new, old])
    new.unlink()
    assert read_newest([new, old]) is None


@pytest.mark.parametrize("has_links", [True, False])
def test_the_checkpoint_that_is_replaced_stays_under_the_other_name(tmp_path, step, monkeypatch, has_links):
    new, old = tmp_path / "checkpoint.pth", tmp_path / "checkpoint_before.pth"
    if not has_links:

        def refuse(*_: object) -> None:
            raise OSError("no hard links here")

        monkeypatch.setattr(os, "link", refuse)
    for batches in (1, 2, 3):
        position = Position(**POSITION | {"batches": batches})
        save_checkpoint(new, network=step.network, step=step, position=position, before=old)
    assert (load_position(new).batches, load_position(old).batches) == (3, 2)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint.pth", "checkpoint_before.pth"]


def test_what_a_killed_process_left_is_removed_and_a_link_is_not_followed(tmp_path, step):
    (tmp_path / "precious").write_text("mine", encoding="utf-8")
    (tmp_path / ".c.pth.part").symlink_to(tmp_path / "precious")
    (tmp_path / ".c.pth.77-abcd.part").write_bytes(b"half")
    write(tmp_path / "c.pth", step)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.pth", "precious"]
    assert (tmp_path / "precious").read_text(encoding="utf-8") == "mine"


def test_a_fault_of_our_own_while_saving_is_no_full_disk(tmp_path, step, monkeypatch):
    def fail(*_: object) -> None:
        raise RuntimeError("CUDA error: device-side assert triggered")

    monkeypatch.setattr(torch, "save", fail)
    with pytest.raises(RuntimeError, match="device-side assert"):
        write(tmp_path / "c.pth", step)
