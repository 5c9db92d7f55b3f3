"""The pictures of a fit that goes on, all epochs of them; knows no Qt.

In:  the files that a run hands out, one an epoch (bone_backend/jobs/picture.py).
Out: of any epoch, for each patch, what is painted: scan, reference, prediction, errors; and words.
Files are kept as they come, a few kB each, and unpacked when they are looked at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from bone_backend.jobs.picture import NOT_COUNTED, Picture
from bone_backend.volumes.classes import NOT_ANNOTATED, rgb, wrong_colour

TITLES = ("scan", "reference", "prediction", "errors")
ALPHA, FADED = 0.5, 0.6  # of the classes over the scan; share of white under the errors, as in the report
MOST_KEPT = 2000  # epochs; of more, every second one is dropped, but not the last


@dataclass(frozen=True)
class Row:
    """One patch. place: in words. images: uint8 (y, x, 3) for each of TITLES. wrong: share of its voxels."""

    place: str
    images: tuple[np.ndarray, ...]
    wrong: float


class LivePictures:
    """What one run has shown so far."""

    def __init__(self) -> None:
        self._files: list[tuple[int, bytes]] = []
        self._first: Picture | None = None

    def __len__(self) -> int:
        return len(self._files)

    def clear(self) -> None:
        self._files, self._first = [], None

    def take(self, content: bytes) -> bool:
        """Keep the picture of one more epoch; whether it is one, and can be shown."""
        try:
            picture = Picture.from_bytes(content)
        except ValueError:
            return False
        if picture.scan is not None:
            if self._first and self._first.places != picture.places:
                self.clear()
            self._first = picture
        if self._first is None or picture.prediction.shape != self._first.prediction.shape:
            return False
        before = [(epoch, other) for epoch, other in self._files if epoch < picture.epoch]
        self._files = [*before, (picture.epoch, content)]
        if len(self._files) > MOST_KEPT:
            self._files = [*self._files[:-1:2], self._files[-1]]
        return True

    def rows(self, number: int) -> list[Row]:
        """What is painted of one of the epochs kept, by its place among them."""
        first, picture = self._first, self._at(number)
        if first is None or first.scan is None or first.reference is None:
            return []
        colours = [colour for _name, colour in picture.classes]
        made = []
        for place, scan, wanted, found in zip(
            first.places, first.scan, first.reference, picture.prediction, strict=False
        ):
            wrong = (found != wanted) & (wanted != NOT_COUNTED)
            images = (
                np.repeat(scan[..., None], 3, axis=2),
                painted(scan, wanted, colours),
                painted(scan, found, colours),
                in_red(scan, wrong, wrong_colour(colours)),
            )
            counted = max(int((wanted != NOT_COUNTED).sum()), 1)
            made.append(Row(place, images, int(wrong.sum()) / counted))
        return made

    def in_words(self, number: int) -> str:
        """
        >>> LivePictures().in_words(0)
        'After the first epoch the same few patches of the validation scans are shown here.'
        """
        if not self._files:
            return "After the first epoch the same few patches of the validation scans are shown here."
        picture, rows = self._at(number), self.rows(number)
        told = f"After epoch {picture.epoch}"
        told += "" if picture.iou is None else f": mean validation IoU {picture.iou:.3f}"
        wrong = sum(row.wrong for row in rows) / max(len(rows), 1)
        return f"{told}; {100 * wrong:.1f} % of the voxels shown are wrong."

    def classes(self) -> tuple[tuple[str, str], ...]:
        """(name, colour) of the classes."""
        return self._first.classes if self._first else ()

    def _at(self, number: int) -> Picture:
        return Picture.from_bytes(self._files[number][1])


def painted(scan: np.ndarray, labels: np.ndarray, colours: Sequence[str]) -> np.ndarray:
    """uint8 (y, x, 3): classes in their colours over the scan; background clear, not annotated whitish.

    >>> painted(np.full((1, 2), 100, np.uint8), np.array([[0, 1]], np.uint8), ["#000000", "#ff0000"]).tolist()
    [[[100, 100, 100], [177, 50, 50]]]
    """
    table = np.zeros((256, 3), np.float32)
    for number, colour in enumerate(colours[:NOT_COUNTED]):
        table[number] = rgb(colour)
    table[NOT_COUNTED] = rgb(NOT_ANNOTATED)
    alpha = np.full(256, ALPHA, np.float32)
    alpha[0] = 0
    share = alpha[labels][..., None]
    return np.asarray((1 - share) * scan[..., None] + share * table[labels], np.uint8)


def in_red(scan: np.ndarray, wrong: np.ndarray, colour: str) -> np.ndarray:
    """uint8 (y, x, 3): what is wrong in `colour`, over the scan faded to white."""
    faded = (1 - FADED) * scan[..., None].astype(np.float32) + FADED * 255
    image: np.ndarray = np.repeat(faded, 3, axis=2).astype(np.uint8)
    image[wrong] = rgb(colour)
    return image
