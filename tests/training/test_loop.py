"""The loop with every choice of augmentation and sampling on: the same for any number of threads."""

import json

import numpy as np
import pytest
import torch

from bone_backend.errors import HardwareError, OptionError, ScanError
from bone_backend.fitting import fit, rescore
from bone_backend.model_files.model_file import weights_sha256
from bone_backend.options.programs import FitOptions
from bone_backend.options.transforms import TRANSFORMS
from bone_backend.volumes.volume import save

from ..conftest import fit_values, phantoms, write_pairs

EVERYTHING = {
    "transforms": dict.fromkeys(TRANSFORMS, 0.5),
    "flip_probability": 0.2,
    "brightness_range": 0.3,
    "empty_tiles": "skip in training",
    "foreground_share": 0.5,
    "class_balance": 0.3,
    "scan_weights": [1.5, 1, 0.5],
}


@pytest.fixture(scope="module")
def pairs(tmp_path_factory):
    """Three phantoms; the masks of two of them are annotated in slices 2 and 5 only."""
    volumes = phantoms(*[(9, 48, 48)] * 3)
    for _grey, labels in volumes[1:]:
        labels[[0, 1, 3, 4, 6, 7, 8]] = 0
    return write_pairs(tmp_path_factory.mktemp("pairs"), volumes, scan="scan_{}.tif", mask="mask_{}.tif")


def options(pairs, output, **changes):
    loose = {"max_patch_overlap": 1, "epochs": 1, "keep_checkpoint": True}
    return fit_values(pairs, output, **(loose | changes))


def run(pairs, output, **changes):
    fit(FitOptions.parse(options(pairs, output, **changes)))
    state = torch.load(output / "checkpoint.pth", weights_only=True)["network"]
    return weights_sha256(state), json.loads((output / "split.json").read_text(encoding="utf-8"))


@pytest.mark.slow
def test_with_everything_on_any_number_of_threads_ends_with_the_same_weights(pairs, tmp_path):
    one, _ = run(pairs, tmp_path / "one", loader_threads=1, **EVERYTHING)
    four, _ = run(pairs, tmp_path / "four", loader_threads=4, **EVERYTHING)
    plain, _ = run(pairs, tmp_path / "plain")
    assert one == four != plain


def test_only_annotated_slices_count_where_empty_ones_are_skipped_everywhere(pairs, tmp_path):
    _, kept = run(pairs, tmp_path / "kept")
    _, skipped = run(pairs, tmp_path / "skipped", empty_tiles="skip everywhere")
    _, half = run(pairs, tmp_path / "half", empty_tiles="skip in training")

    def patches(split, part, tiles):
        return 2 * sum(tiles[int(name.split("_")[1])] for name in split[part])

    whole, annotated = [9, 9, 9], [9, 2, 2]
    for split, training, validation in (
        (kept, whole, whole),
        (skipped, annotated, annotated),
        (half, annotated, whole),
    ):
        assert split["training_patches"] == patches(split, "training", training)
        assert split["validation_patches"] == patches(split, "validation", validation)


def test_a_scan_without_labels_cannot_be_validated_on_when_empty_tiles_are_skipped(pairs, tmp_path):
    save(tmp_path / "empty.tif", np.zeros((9, 48, 48), np.uint8))
    some = [pairs[0], (pairs[1][0], tmp_path / "empty.tif")]
    with pytest.raises(ScanError, match="No tile is left"):
        run(some, tmp_path / "run", empty_tiles="skip everywhere", validation_pairs=(2,))


@pytest.mark.rare
@pytest.mark.slow
def test_a_compiled_network_learns_what_the_plain_one_does(pairs, tmp_path, monkeypatch):
    """The graph is captured as in a real compilation; writing and building C++ would take minutes."""
    capture = torch.nn.Module.compile
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: capture(self, backend="eager"))
    plain = fit(FitOptions.parse(options(pairs, tmp_path / "plain", reproducible=False)))
    compiled = fit(FitOptions.parse(options(pairs, tmp_path / "compiled", reproducible=False, compile=True)))
    assert "Compiling the network" in (tmp_path / "compiled" / "log.txt").read_text(encoding="utf-8")
    assert compiled.best_val_iou == pytest.approx(plain.best_val_iou, abs=1e-3)
    assert rescore(tmp_path / "compiled") == pytest.approx(compiled.best_val_iou, abs=1e-6)


def test_where_nothing_can_be_compiled_the_user_is_told(pairs, tmp_path, monkeypatch):
    def fail(*_args, **_kwargs):
        raise RuntimeError("no compiler was found")

    monkeypatch.setattr(torch.nn.Module, "compile", lambda self: self.register_forward_pre_hook(fail))
    with pytest.raises(HardwareError, match=r"no compiler was found.*Leave compile out"):
        fit(FitOptions.parse(options(pairs, tmp_path / "run", reproducible=False, compile=True)))


def test_nothing_is_compiled_inside_another_program(pairs, tmp_path, monkeypatch):
    monkeypatch.setattr("bone_backend.fitting.is_plain_python", lambda _path: False)
    with pytest.raises(HardwareError, match="draw licences inside Avizo"):
        fit(FitOptions.parse(options(pairs, tmp_path / "run", reproducible=False, compile=True)))
    assert not (tmp_path / "run").exists()


def test_compiled_code_is_not_promised_to_repeat_its_bits(pairs, tmp_path):
    with pytest.raises(OptionError, match="compile and reproducible"):
        FitOptions.parse(options(pairs, tmp_path / "run", compile=True))
