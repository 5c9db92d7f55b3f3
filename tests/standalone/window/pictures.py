"""Draw the window for docs/window.md, as it stands when a person has worked with it.

    python -m tests.standalone.window.pictures docs/pictures [--quick] [--double] [--every] [--biopsy FOLDER]

In:  phantom femurs, drawn anew; a fit, a prediction and a comparison in the worker's process.
Out: window_fit.png (Easy), window_advanced.png (with a fault), window_curves.png (dark), window_predict.png,
window_scores.png, window_iou.png; 1280 x 720. Takes five minutes; --quick: a fit of a few seconds that learns
nothing. --double: as a screen of 200 % shows them. --every: each tab in Easy and Advanced, light and dark,
too, which are to be looked at after a change. --biopsy: only window_real.png, of a real scan with `images/`
and `masks/`: its first half is fitted, the second one labelled.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom

LARGE = 200_000  # bytes, from which on a picture gets 256 colours
SETTINGS = {"minutes": 1.5}
QUICK = {"plain_channels": 8, "plain_depth": 3, "patch_size": 16, "batch_size": 8, "epochs": 2}
QUICK |= {"steps_per_epoch": 6, "validation_patches": 12, "precision": "fp32"}


class Desk:
    """The window on a desk, and a camera."""

    def __init__(self, folder: Path, out: Path):
        from standalone.window.main import Window
        from standalone.window.memory import Memory
        from standalone.window.start import make_application

        self.application, self.out = make_application(), out
        self.window = Window(memory=Memory(folder / "window.json"))
        self.window.show()

    def wait(self, condition: Callable[[], Any] = lambda: False, timeout_s: float = 900.0) -> None:
        deadline = time.monotonic() + timeout_s
        while not condition() and time.monotonic() < deadline:
            self.application.processEvents()
            time.sleep(0.01)

    def draw(self, name: str) -> None:
        """Take a picture of the whole window."""
        self.wait(timeout_s=0.4)
        path = self.out / f"{name}.png"
        self.window.grab().save(str(path))
        picture = Image.open(path).convert("RGB")
        picture.save(path, optimize=True)
        if path.stat().st_size > LARGE:
            picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, f"{path.stat().st_size // 1000} kB")


def make_scans(folder: Path, *, small: bool) -> None:
    """Three femurs with masks, and a fourth to be labelled."""
    shape = (24, 64, 64) if small else (64, 176, 176)
    kinds: tuple[dict[str, Any], ...] = ({}, {"beam_hardening": 0.2}, {"noise": 0.07}, {"rings": 0.03})
    for number, kind in enumerate(kinds, start=1):
        scan, mask = Phantom(shape=shape, seed=number, **kind).slab(0, shape[0])
        for name, array in ((f"femur_{number}", scan), (f"femur_{number}_mask", mask)):
            save(folder / f"{name}.tif", array, voxel_size=(20.0, 20.0, 20.0))


def draw_fit(desk: Desk, folder: Path, settings: dict[str, Any]) -> str:
    """The Fit tab from the first drop to the result; gives the model."""
    tab = desk.window.fit
    tab.pairs.add_paths([str(folder / f"femur_{n}{end}.tif") for n in (1, 2, 3) for end in ("", "_mask")])
    desk.wait(lambda: tab.pairs.pairs.is_looked_at)
    for value, name in ((1, "bone"), (2, "pores")):
        line = tab.classes.lines[value][1]
        line.setText(name)
        line.textEdited.emit(name)
    desk.draw("window_fit")
    tab.take_values({**tab.form.values(), **settings})
    desk.wait(lambda: tab.pairs.pairs.is_looked_at)
    desk.window.show_everything(True)
    tab.form.set("learning_rate", "0")
    tab.panel.show_values()
    tab.check()
    desk.wait(timeout_s=0.3)
    tab.panel.verticalScrollBar().setValue(tab.panel.verticalScrollBar().maximum())
    desk.draw("window_advanced")
    tab.form.reset("learning_rate")
    tab.panel.show_values()
    desk.window.show_everything(False)
    desk.window.choose_scheme("dark")
    tab.run_bar.start.click()
    desk.wait(lambda: (tab.task.share > 0.7 and "Epoch" in tab.task.message) or tab.task.outcome)
    tab.panel.verticalScrollBar().setValue(0)
    desk.wait(timeout_s=1.5)
    desk.draw("window_curves")
    desk.wait(lambda: tab.task.outcome)
    desk.window.choose_scheme("light")
    return str(tab.task.outcome.result["model"])


def draw_others(desk: Desk, folder: Path, model: str) -> None:
    """The labels of the fourth femur, and where they differ from its mask."""
    predict, compare = desk.window.predict, desk.window.iou
    desk.window.tabs.setCurrentWidget(predict)
    predict.set_model(model)
    predict.panel.rows["scan"].editor.take(str(folder / "femur_4.tif"))
    predict.run_bar.start.click()
    desk.wait(lambda: predict.task.outcome)
    predict.viewer.contrast.setChecked(True)
    desk.draw("window_predict")
    desk.window.tabs.setCurrentWidget(compare)
    compare.set_prediction(str(folder / "femur_4_labels.tif"))
    compare.panel.rows["reference"].editor.take(str(folder / "femur_4_mask.tif"))
    compare.run_bar.start.click()
    desk.wait(lambda: compare.task.outcome)
    desk.draw("window_scores")
    compare.show_errors()
    compare.viewer.worst.go(0)
    desk.draw("window_iou")


def draw_every(desk: Desk) -> None:
    """Each tab in Easy and Advanced, light and dark."""
    window = desk.window
    for scheme in ("light", "dark"):
        window.choose_scheme(scheme)
        for everything in (False, True):
            window.show_everything(everything)
            for name, tab in window.by_name.items():
                window.tabs.setCurrentWidget(tab)
                tab.panel.verticalScrollBar().setValue(0)
                desk.draw(f"every_{name}_{'advanced' if everything else 'easy'}_{scheme}")


def draw_biopsy(desk: Desk, folder: Path, biopsy: Path) -> None:
    """A real scan: the half that was not seen in fitting, with its labels."""
    tab, predict = desk.window.fit, desk.window.predict
    for kind, name in (("images", "biopsy_{}"), ("masks", "biopsy_{}_mask")):
        with open_volume(biopsy / kind) as volume:
            middle, depth = volume.header.shape[0] // 2, volume.header.shape[0]
            size = volume.header.voxel_size_um
            for number, (first, last) in enumerate(((0, middle), (middle, depth)), start=1):
                save(folder / f"{name.format(number)}.tif", volume.read(first, last), voxel_size=size)
    tab.pairs.add_paths([str(folder / "biopsy_1.tif"), str(folder / "biopsy_1_mask.tif")])
    desk.wait(lambda: tab.pairs.pairs.is_looked_at)
    for value, name in ((1, "bone"), (2, "marrow")):
        line = tab.classes.lines[value][1]
        line.setText(name)
        line.textEdited.emit(name)
    tab.take_values({**tab.form.values(), "minutes": 1.0, "name": "biopsy"})
    desk.wait(lambda: tab.pairs.pairs.is_looked_at)
    tab.run_bar.start.click()
    desk.wait(lambda: tab.task.outcome)
    desk.window.tabs.setCurrentWidget(predict)
    predict.set_model(str(tab.task.outcome.result["model"]))
    predict.panel.rows["scan"].editor.take(str(folder / "biopsy_2.tif"))
    predict.run_bar.start.click()
    desk.wait(lambda: predict.task.outcome)
    predict.viewer.legend.switch("2")  # marrow fills all the rest
    desk.draw("window_real")


def main(words: list[str] | None = None) -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("out", type=Path)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--double", action="store_true")
    parser.add_argument("--every", action="store_true")
    parser.add_argument("--biopsy", type=Path)
    given = parser.parse_args(words)
    os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")
    if given.double:
        os.environ["QT_SCALE_FACTOR"] = "2"
    with tempfile.TemporaryDirectory(prefix="bone_") as folder:
        scans = Path(folder) / "scans"
        scans.mkdir()
        os.environ["BONE_CACHE"] = str(Path(folder) / "cache")
        desk = Desk(Path(folder), given.out)
        desk.window.choose_scheme("light")
        if given.biopsy:
            draw_biopsy(desk, scans, given.biopsy)
            desk.window.close()
            return
        make_scans(scans, small=given.quick)
        model = draw_fit(desk, scans, QUICK if given.quick else SETTINGS)
        draw_others(desk, scans, model)
        if given.every:
            draw_every(desk)
        desk.window.close()


if __name__ == "__main__":
    main()
