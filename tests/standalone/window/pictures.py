"""Draw the window for docs/window.md, as it stands when a person has worked with it.

    python -m tests.standalone.window.pictures docs/pictures [--quick] [--double] [--every] [--xvfb]
        [--pairs FOLDER --scan FILE --mask FILE] [--biopsy FOLDER]

In:  phantom femurs, drawn anew; a fit, a prediction and a comparison in the worker's process.
Out: window_fit.png (Easy), window_advanced.png (with a fault), window_curves.png (dark), window_predict.png,
window_scores.png, window_iou.png; 1280 x 720. Takes eight minutes; --quick: a fit of seconds that learns
nothing. --double: as a screen of 200 % shows them. --every: every page of each tab in Easy and Advanced, in
light and dark, and what stands beside (menus, the tour, the queue, faults), to be looked at after a change.
--xvfb: of the screen of a real X server, which is started for it. --pairs, --scan, --mask: real scans in
place of the phantoms. --biopsy: only window_real.png, of a real scan with `images/` and `masks/`: its first
half is fitted, the second one labelled.
"""

from __future__ import annotations

import argparse
import atexit
import os
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from PIL import Image

from bone_backend.volumes.volume import open_volume, save
from mocks.scans import Phantom

from . import every

LARGE = 200_000  # bytes, from which on a picture gets 256 colours
SETTINGS = {"minutes": 3.0}
QUICK = {"plain_channels": 8, "plain_depth": 3, "patch_size": 16, "batch_size": 8, "epochs": 2}
QUICK |= {"steps_per_epoch": 6, "validation_patches": 12, "precision": "fp32"}


class Desk:
    """The window on a desk, and a camera."""

    def __init__(self, folder: Path, out: Path):
        from standalone.window.main import Window
        from standalone.window.memory import Memory
        from standalone.window.start import make_application

        self.application, self.out = make_application(), out
        self.is_real = self.application.platformName() == "xcb"
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
        self.take(path)
        if name.startswith("window"):  # is kept, so it shall be small
            picture = Image.open(path).convert("RGB")
            picture.save(path, optimize=True)
            if path.stat().st_size > LARGE:
                picture.quantize(256, dither=Image.Dither.NONE).save(path, optimize=True)
        print(path, f"{path.stat().st_size // 1000} kB", flush=True)

    def take(self, path: Path) -> None:
        """Of a real screen what stands there, with menus and dialogs; else the window as it draws itself."""
        if not self.is_real:
            self.window.grab().save(str(path))
            return
        screen, frame = self.application.primaryScreen(), self.window.frameGeometry()
        screen.grabWindow(0, frame.x(), frame.y(), frame.width(), frame.height()).save(str(path))


def make_scans(folder: Path, *, small: bool) -> None:
    """Three femurs with masks, and a fourth to be labelled."""
    shape = (24, 64, 64) if small else (64, 176, 176)
    kinds: tuple[dict[str, Any], ...] = ({}, {"beam_hardening": 0.2}, {"noise": 0.07}, {"rings": 0.03})
    for number, kind in enumerate(kinds, start=1):
        scan, mask = Phantom(shape=shape, seed=number, **kind).slab(0, shape[0])
        for name, array in ((f"femur_{number}", scan), (f"femur_{number}_mask", mask)):
            save(folder / f"{name}.tif", array, voxel_size=(20.0, 20.0, 20.0))


def draw_fit(desk: Desk, folder: Path, settings: dict[str, Any], pairs: Path | None = None) -> str:
    """The Fit tab from the first drop to the result; gives the model. pairs: a folder of other scans."""
    tab = desk.window.fit
    names = [f"femur_{n}{end}.tif" for n in (1, 2, 3) for end in ("", "_mask")]
    tab.pairs.add_paths([str(folder / name) for name in names] if pairs is None else [str(pairs)])
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


def draw_others(desk: Desk, labels: Path, model: str, scan: Path, mask: Path) -> None:
    """The labels of a scan that was not seen in fitting, and where they differ from its mask."""
    predict, compare = desk.window.predict, desk.window.iou
    desk.window.tabs.setCurrentWidget(predict)
    predict.set_model(model)
    predict.panel.rows["scan"].editor.take(str(scan))
    predict.panel.rows["output"].editor.take(str(labels))
    predict.run_bar.start.click()
    desk.wait(lambda: predict.task.outcome)
    predict.viewer.contrast.setChecked(True)
    desk.draw("window_predict")
    desk.window.tabs.setCurrentWidget(compare)
    compare.set_prediction(str(labels))
    compare.panel.rows["reference"].editor.take(str(mask))
    compare.run_bar.start.click()
    desk.wait(lambda: compare.task.outcome)
    desk.draw("window_scores")
    compare.show_errors()
    compare.viewer.worst.go(0)
    desk.draw("window_iou")


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
    parser.add_argument("--xvfb", action="store_true")
    for name in ("--pairs", "--scan", "--mask", "--biopsy"):
        parser.add_argument(name, type=Path)
    given = parser.parse_args(words)
    if given.xvfb:
        server, os.environ["DISPLAY"] = every.start_screen(2 if given.double else 1)
        os.environ["QT_QPA_PLATFORM"] = "xcb"
        atexit.register(server.kill)
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
        scan, mask = scans / "femur_4.tif", scans / "femur_4_mask.tif"
        model = draw_fit(desk, scans, QUICK if given.quick else SETTINGS, given.pairs)
        draw_others(desk, scans / "labels.tif", model, given.scan or scan, given.mask or mask)
        if given.every:
            every.draw(desk, scans)
        desk.window.close()


if __name__ == "__main__":
    main()
