"""The first steps, on scans that are made for them: fit, predict, compare, in about a minute; knows no Qt.

In:  what has happened in the window, by name.
Out: which step it is, its one sentence, what its button does; the scans.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from bone_backend.volumes.volume import save

SHAPE, VOXEL_UM = (40, 96, 96), 20.0
KINDS: tuple[dict[str, float], ...] = ({}, {"noise": 0.06}, {"beam_hardening": 0.2})
CLASSES = ("1:bone:#e69f00", "2:pores:#56b4e9")
MINUTES = 0.5  # of the fit
_making = threading.Lock()


@dataclass(frozen=True)
class Step:
    """tells: one sentence. button: its words, "" for none. then: what must happen, the next step."""

    name: str
    tells: str
    button: str = ""
    then: tuple[tuple[str, str], ...] = ()


STEPS = {
    step.name: step
    for step in (
        Step(
            "offer",
            "New here? Fit, label and compare on scans made for it: six clicks, about a minute.",
            "Show me",
            (("button", "making"),),
        ),
        Step("making", "Making three small femora with known labels …", "", (("made", "fit"),)),
        Step(
            "fit",
            "1 of 3: two femora with their masks are in the table; press Start fit, it takes half a minute.",
            "",
            (("fit begins", "learning"),),
        ),
        Step(
            "learning",
            "1 of 3: the curves rise, and after each epoch the prediction comes nearer to the reference.",
            "",
            (("fit done", "predict"), ("fit fails", "fit")),
        ),
        Step(
            "predict",
            "2 of 3: the model is fitted; here is a third femur that it has never seen: press Label scan.",
            "",
            (("predict done", "look"),),
        ),
        Step(
            "look",
            "2 of 3: its labels lie over it; turn the wheel over the picture to go through the slices.",
            "Next",
            (("button", "iou"),),
        ),
        Step(
            "iou",
            "3 of 3: the true mask of this femur is known; press Compare to see how near the labels come.",
            "",
            (("iou done", "end"),),
        ),
        Step(
            "end",
            "That was all. Now drop your own scans and masks on the Fit tab; Help shows this tour again.",
            "Begin with my scans",
            (("button", ""),),
        ),
    )
}


class Tour:
    """Where a person is. step: None while there is no tour."""

    def __init__(self) -> None:
        self.step: Step | None = None

    @property
    def name(self) -> str:
        return self.step.name if self.step else ""

    def begin(self, name: str = "offer") -> None:
        self.step = STEPS[name]

    def leave(self) -> None:
        self.step = None

    def on(self, happened: str) -> bool:
        """Go to the step that follows; whether there is one.

        >>> tour = Tour()
        >>> tour.begin("fit")
        >>> tour.on("predict done"), tour.on("fit begins"), tour.name
        (False, True, 'learning')
        """
        following = dict(self.step.then if self.step else ())
        if happened not in following:
            return False
        self.step = STEPS.get(following[happened])
        return True


def make_scans(folder: Path, look: Callable[[], bool]) -> list[tuple[Path, Path]]:
    """Three femora and their masks; those that are there already stay. look: whether to go on.

    One thread at a time: a tour that is left and taken again writes the same files. Raises OutputError.
    """
    with _making:
        return _make_scans(folder, look)


def _make_scans(folder: Path, look: Callable[[], bool]) -> list[tuple[Path, Path]]:
    from ..phantoms import Phantom

    made: list[tuple[Path, Path]] = []
    for number, kind in enumerate(KINDS, start=1):
        scan, mask = folder / f"femur_{number}.tif", folder / f"femur_{number}_mask.tif"
        if not look():
            return made
        if not (scan.exists() and mask.exists()):
            folder.mkdir(parents=True, exist_ok=True)
            grey, labels = Phantom(shape=SHAPE, seed=number, **kind).slab(0, SHAPE[0])
            for path, array in ((scan, grey), (mask, labels)):
                save(path, array, voxel_size=(VOXEL_UM,) * 3, overwrite=True)  # one of the two may be there
        made.append((scan, mask))
    return made
