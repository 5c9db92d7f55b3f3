"""Pictures of a fit that goes on: what they show, and that a fit with them is the fit without them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from bone_backend.fitting import fit
from bone_backend.jobs.picture import MOST_BYTES, Picture
from bone_backend.model_files import model_file
from bone_backend.options.programs import FitOptions
from bone_backend.progress import Recorder
from bone_backend.volumes.volume import open_volume

from ..conftest import fit_values

# So small that four patches side by side make a picture, of the many that validate.
SMALL = {"epochs": 3, "patch_size": 16, "patches_per_tile": 12, "max_patch_overlap": 1.0, "batch_size": 32}


class Taker(Recorder):
    """A progress that takes pictures."""

    def __init__(self) -> None:
        super().__init__()
        self.pictures: list[Picture] = []

    def picture(self, epoch: int, content: bytes) -> None:
        assert len(content) <= MOST_BYTES
        self.pictures.append(Picture.from_bytes(content))
        assert self.pictures[-1].epoch == epoch


@pytest.fixture(scope="module")
def watched(pairs, tmp_path_factory) -> tuple[Any, list[Picture]]:
    taker = Taker()
    values = fit_values(pairs, tmp_path_factory.mktemp("watched") / "run", **SMALL)
    return fit(FitOptions.parse(values), progress=taker), taker.pictures


@pytest.mark.slow
def test_a_fit_with_pictures_ends_with_the_weights_of_a_fit_without(watched, pairs, tmp_path):
    result, _ = watched
    plain = fit(FitOptions.parse(fit_values(pairs, tmp_path / "run", **SMALL)), progress=Recorder())
    hashes = [model_file.weights_sha256(model_file.load_state(one.model)) for one in (result, plain)]
    assert hashes[0] == hashes[1]
    assert (result.best_val_iou, result.epochs) == (plain.best_val_iou, plain.epochs)


def test_the_same_patches_of_validation_scans_are_shown_after_each_epoch(watched, pairs):
    _, pictures = watched
    epochs = [picture.epoch for picture in pictures]
    assert epochs[0] == 1
    assert epochs == sorted(set(epochs))
    assert epochs[-1] == 3
    assert {picture.places for picture in pictures} == {pictures[0].places}
    first = pictures[0]
    assert 2 <= len(first.places) <= 4
    assert [name for name, _ in first.classes] == ["background", "class 1", "class 2"]
    assert [picture.scan is None for picture in pictures[1:]] == [True] * (len(pictures) - 1)
    validated = {name for name in ("scan_0", "scan_1", "scan_2") if first.places[0].startswith(name)}
    assert validated
    for place, scan, reference in zip(first.places, first.scan, first.reference, strict=True):
        name, _, z = place.partition(", slice ")
        with open_volume(pairs[int(name.split("_")[1])][1]) as mask:
            (whole,) = mask.read(int(z) - 1, int(z))  # slices are told from 1
        assert reference.shape == (32, 32)
        views = np.lib.stride_tricks.sliding_window_view(whole, reference.shape)
        assert (views == reference).all(axis=(2, 3)).any()  # it is a piece of that slice of the mask
        assert len(np.unique(reference)) > 1
        assert scan[reference == 1].mean() > scan[reference == 0].mean()  # bone is bright
    learnt = [float((one.prediction == first.reference).mean()) for one in pictures]
    assert learnt[-1] > 0.5
    assert first.iou is not None


def test_nothing_is_made_for_a_progress_that_takes_none(pairs, tmp_path, monkeypatch):
    from bone_backend.report import live

    made = []
    monkeypatch.setattr(live.Live, "_show", lambda *_: made.append(1))
    result = fit(FitOptions.parse(fit_values(pairs, tmp_path / "run", epochs=1)), progress=Recorder())
    assert (result.epochs, made) == (1, [])


@pytest.mark.parametrize(
    "content",
    [b"", b"PK\x03\x04 cut off", b"x" * (MOST_BYTES + 1)],
    ids=["empty", "cut off", "too large"],
)
def test_a_damaged_picture_is_told_as_such(content):
    with pytest.raises(ValueError, match=r"picture"):
        Picture.from_bytes(content)


def test_a_picture_of_other_images_is_refused():
    told = Picture(1, ("a",), (("b", "#000000"),), np.zeros((1, 300, 300), np.uint8)).to_bytes()
    with pytest.raises(ValueError, match="300"):
        Picture.from_bytes(told)


def test_a_picture_survives_its_file():
    zeros = np.zeros((2, 4, 5), np.uint8)
    made = Picture(7, ("a, slice 1", "b, slice 2"), (("bone", "#e69f00"),), zeros, zeros + 1, zeros + 2, 0.5)
    again = Picture.from_bytes(made.to_bytes())
    assert (again.epoch, again.places, again.classes, again.iou) == (7, made.places, made.classes, 0.5)
    assert [image.max() for image in (again.prediction, again.scan, again.reference)] == [0, 1, 2]
