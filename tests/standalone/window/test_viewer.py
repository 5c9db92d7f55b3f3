"""The viewer by mouse and keys: contrast by its histogram, overlays, the way to the worst slices."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.jobs.run import run_here
from bone_backend.scores.meaning import write_record
from bone_backend.volumes.volume import save

SHAPE = (6, 20, 24)


@pytest.fixture
def labelled(tmp_path) -> tuple[str, str, str]:
    """A scan of two greys, its mask, and labels that are wrong in slice 4 only."""
    mask = np.zeros(SHAPE, np.uint8)
    mask[:, 5:15, 6:18] = 1
    labels = mask.copy()
    labels[4, 5:10] = 0
    scan = np.where(mask, 150, 40) + np.random.default_rng(0).integers(-9, 9, SHAPE)
    for name, array in (("scan", scan.astype(np.uint8)), ("mask", mask), ("labels", labels)):
        save(tmp_path / f"{name}.npy", array)
    return tuple(str(tmp_path / f"{name}.npy") for name in ("scan", "mask", "labels"))


def shown(viewer) -> np.ndarray:
    """The greys (row, column) that are drawn."""
    image = viewer.canvas.base
    pixels = np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), -1, 4)
    return pixels[:, : image.width(), 0]


def colours(viewer, number: int = 0) -> np.ndarray:
    """Blue, green, red, alpha (row, column, 4) of what lies over it."""
    image = viewer.canvas.overlays[number][0]
    return np.frombuffer(image.constBits(), np.uint8).reshape(image.height(), image.width(), 4)


def test_borders_of_the_histogram_are_dragged_and_make_black_and_white(driver, labelled):
    from PySide6.QtCore import QPoint, Qt
    from PySide6.QtTest import QTest

    tab, viewer = driver.window.predict, driver.window.predict.viewer
    driver.window.tabs.setCurrentWidget(tab)
    tab.look(labelled[0])
    driver.click(viewer.contrast)
    histogram = viewer.greys.histogram
    assert histogram.isVisible()
    assert histogram.bins.tissues == pytest.approx((40, 150), abs=2)
    goal = histogram.x_of(95.0)
    start = histogram.x_of(histogram.low)
    QTest.mousePress(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(start), 20))
    QTest.mouseMove(histogram, QPoint(round(goal), 20))
    driver.application.processEvents()
    QTest.mouseRelease(histogram, Qt.MouseButton.LeftButton, pos=QPoint(round(goal), 20))
    assert viewer.low == pytest.approx(95, abs=3)
    assert shown(viewer)[0, 0] == 0  # of grey 40 or so, which is black now
    assert shown(viewer)[10, 10] > 50
    before = viewer.high
    histogram.setFocus()
    QTest.keyClick(histogram, Qt.Key.Key_Space)  # the other border
    QTest.keyClick(histogram, Qt.Key.Key_Left)
    assert viewer.high < before
    driver.click(viewer.greys.auto)
    assert (viewer.low, viewer.high) == (viewer.view.first.low, viewer.view.first.high)
    assert shown(viewer)[0, 0] > 0 or viewer.low > 31
    tab.look(labelled[0], labelled[1])
    assert histogram.isVisible()  # stays for the next scan
    viewer.show_view(None)
    assert not histogram.isVisible()


def test_an_overlay_is_coloured_by_its_range_and_taken_away(driver, labelled, tmp_path):
    tab, viewer = driver.window.predict, driver.window.predict.viewer
    driver.window.tabs.setCurrentWidget(tab)
    sure = np.full(SHAPE, 200, np.uint8)
    sure[3, 2, 5] = 0
    save(tmp_path / "sure.npy", sure)
    save(tmp_path / "small.npy", sure[:2])
    tab.look(labelled[0])
    assert "2 x 20 x 24" in viewer.open_overlay(str(tmp_path / "small.npy"))
    assert "cannot lie over each other" in viewer.fault.text()
    assert viewer.fault.isVisible()
    assert viewer.open_overlay(str(tmp_path / "sure.npy")) == ""
    viewer.go_to(3)
    assert not viewer.fault.isVisible()
    assert viewer.overlay.isVisible()
    assert colours(viewer)[2, 5].tolist() == [32, 0, 224, 255]  # doubtful: red
    assert colours(viewer)[0, 0, 3] == 0  # sure: clear
    viewer.go_to(0)
    driver.click(viewer.worst.worst)
    assert viewer.indices[0] == 3
    assert viewer.worst.told.text() == "1 of 6: slice 4, mean of the overlay 199.6"
    viewer.overlay.maps.setCurrentText("Entropy")
    assert "of the 6 with the highest mean of the overlay" in viewer.worst.told.text()
    assert viewer.worst.ranking.slices[-1] == 3  # what is doubtful in an entropy is high
    viewer.overlay.maps.setCurrentText("Grey")  # which tells nothing of doubt
    assert not viewer.worst.isVisible()
    assert colours(viewer)[0, 0].tolist() == [255, 255, 255, 255]
    viewer.overlay.range.moved.emit(0, 0)  # nothing moved: nothing changes
    viewer.overlay.range.show_borders(0, 400)
    viewer.draw()
    assert colours(viewer)[0, 0].tolist() == [127, 127, 127, 255]
    driver.click(viewer.overlay.shown)
    assert viewer.canvas.overlays == []
    driver.click(viewer.overlay.close_button)
    assert not viewer.overlay.isVisible()
    assert not viewer.worst.isVisible()
    assert [*viewer.view.layers] == ["scan"]


def test_labels_that_tell_their_confidence_lead_to_the_least_sure_slice_and_show_their_map(
    driver, labelled, tmp_path
):
    scan, mask, _ = labelled
    tab, viewer = driver.window.predict, driver.window.predict.viewer
    driver.window.tabs.setCurrentWidget(tab)
    doubt = np.zeros(SHAPE, np.uint8)
    doubt[1, 3, 4] = 255
    for name in ("mask_entropy.npy", "mask_probability_1_bone.npy"):
        save(tmp_path / name, doubt)
    sure = [0.9, 0.5, 0.8, 0.9, 0.95, 0.9]
    result = {
        "confidence": {"mean": 0.8, "slices": sure},
        "maps": ["mask_probability_1_bone.npy", "mask_entropy.npy"],
    }
    write_record(Path(mask), {"shape": SHAPE, "result": result})
    tab.show_labels(scan, mask)
    driver.click(viewer.worst.worst)
    assert viewer.worst.told.text() == "1 of 6: slice 2, confidence 0.5"  # by the record, not by the map
    assert viewer.overlay.maps.currentText() == "Entropy"
    assert colours(viewer, 1)[3, 4].tolist() == [32, 0, 224, 255]  # high entropy is red, over the labels
    assert colours(viewer, 1)[0, 0, 3] == 0
    driver.click(viewer.overlay.close_button)
    offered = [action for action in viewer.add_overlay.menu().actions() if action.text()]
    words = [action.text() for action in offered]
    assert words == ["Entropy", "Probability of 1 bone", "Another volume …"]
    offered[1].trigger()
    assert viewer.overlay.isVisible()
    assert viewer.overlay.maps.currentText() == "Viridis"
    assert viewer.worst.told.text().startswith("1 of 6: slice 2, confidence")  # still by the record
    tab.show_labels(scan, labelled[2])
    assert viewer.add_overlay.menu() is None
    assert "class 1" in viewer.legend.text()  # which nobody has named
    viewer.legend.switch("1")
    assert not colours(viewer)[..., 3].any()
    assert not viewer.worst.isVisible()
    assert not viewer.overlay.isVisible()


def test_a_comparison_shows_its_slices_leads_to_the_worst_and_is_saved(driver, runner, labelled, tmp_path):
    from PySide6.QtCore import Qt
    from PySide6.QtTest import QTest

    _, mask, labels = labelled
    tab, viewer = driver.window.iou, driver.window.iou.viewer
    driver.window.tabs.setCurrentWidget(tab)
    driver.type_into(tab, "reference", mask)
    driver.type_into(tab, "prediction", labels)
    write_record(Path(labels), {"shape": SHAPE, "classes": [{"value": 1, "name": "bone"}]})
    files = {
        kind: tmp_path / name for kind, name in (("output", "a.csv"), ("slices", "b.csv"), ("page", "c.html"))
    }
    runner.result = run_here(
        "iou", {"reference": mask, "prediction": labels, **{k: str(p) for k, p in files.items()}}
    )
    runner.end.set()
    driver.wait(lambda: viewer.view is not None)
    driver.click(tab.run_bar.start)
    driver.wait(lambda: tab.task.outcome)
    plot = tab.slices
    assert plot.isVisible()
    assert plot.list.item(0).text() == f"slice 5   {plot.ranking.told[0].split()[-1]}"
    names = [item.name() for item in plot.plot.getPlotItem().listDataItems() if item.name()]
    assert names == ["bone", "mean"]
    plot.by.setCurrentIndex(plot.by.findText("bone"))
    assert plot.ranking.told[0] == "IoU of bone 0.500"
    QTest.mouseClick(
        plot.list.viewport(),
        Qt.MouseButton.LeftButton,
        pos=plot.list.visualItemRect(plot.list.item(0)).center(),
    )
    assert tab.pages.currentWidget() is viewer
    assert (viewer.axis, viewer.indices[0]) == (0, 4)
    assert colours(viewer, 1)[6, 8, 3] == 255  # the error
    viewer.show_axis(1)
    driver.click(viewer.worst.worst)
    assert (viewer.axis, viewer.indices[0]) == (0, 4)
    assert viewer.worst.told.text() == "1 of 6: slice 5, IoU of bone 0.500"
    QTest.keyClick(viewer, Qt.Key.Key_W)
    assert viewer.worst.told.text().startswith("2 of 6: slice 1, ")
    assert plot.here.value() == 1  # as it is counted below the plot
    assert [*tab.run_bar.buttons] == ["Show errors", "Save table", "Save slices", "Save page"]
    for kind, option, name in (
        ("classes", "output", "x.csv"),
        ("slices", "slices", "y.csv"),
        ("page", "page", "z"),
    ):
        tab.save(kind, tmp_path / name)
        written = (tmp_path / name).with_suffix(files[option].suffix)
        assert written.read_bytes() == files[option].read_bytes()  # as the command has written it
    with (tmp_path / "y.csv").open(encoding="utf-8", newline="") as file:
        assert [row["iou_bone"] for row in csv.DictReader(file)] == ["1.0"] * 4 + ["0.5", "1.0"]


def test_labels_that_cannot_be_read_are_told_in_place_of_the_slice(driver, labelled, tmp_path):
    tab, viewer = driver.window.predict, driver.window.predict.viewer
    labels = tmp_path / "damaged.tif"
    save(labels, np.random.default_rng(0).integers(0, 3, SHAPE, np.uint8), compression="zlib")
    with tifffile.TiffFile(labels) as file:
        start, size = file.pages[3].dataoffsets[0], file.pages[3].databytecounts[0]
    content = bytearray(labels.read_bytes())
    content[start : start + size] = bytes(size)
    labels.write_bytes(content)
    assert tab.look(labelled[0], str(labels)) == ""  # its header is whole
    viewer.go_to(3)
    assert "damaged.tif" in viewer.canvas.told
    assert viewer.legend.text() == ""
