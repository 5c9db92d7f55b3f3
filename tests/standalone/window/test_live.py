"""The pictures of a fit that goes on: what they show of which epoch, and how one slides back."""

from __future__ import annotations

import numpy as np

from bone_backend.jobs.picture import NOT_COUNTED, Picture
from standalone.window import live
from standalone.window.live import LivePictures, in_red, painted

from .test_window import fill, pairs  # noqa: F401 (a fixture)

CLASSES = (("background", "#000000"), ("bone", "#e69f00"))


def picture(epoch, prediction, *, is_first=False, places=("femur_1, slice 3",), iou=None):
    scan, reference = np.full((1, 2, 4), 100, np.uint8), np.zeros((1, 2, 4), np.uint8)
    reference[0, 0] = 1
    reference[0, 1, 3] = NOT_COUNTED
    first = (scan, reference) if is_first else (None, None)
    return Picture(epoch, places, CLASSES, np.array([prediction], np.uint8), *first, iou).to_bytes()


GOOD = [[1, 1, 1, 1], [0, 0, 0, 0]]
BAD = [[0, 0, 1, 1], [1, 0, 0, 1]]  # 3 of 7 voxels that count are wrong


def test_each_epoch_keeps_its_prediction_and_all_have_the_scan_of_the_first():
    shown = LivePictures()
    assert not shown.take(picture(1, BAD))  # nothing to lay it over
    assert shown.take(picture(1, BAD, is_first=True, iou=0.25))
    assert shown.take(picture(3, GOOD))
    (bad,), (good,) = shown.rows(0), shown.rows(1)
    assert (bad.wrong, good.wrong, bad.place) == (3 / 7, 0.0, "femur_1, slice 3")
    assert shown.in_words(0) == (
        "After epoch 1: mean validation IoU 0.250; 42.9 % of the voxels shown are wrong."
    )
    assert shown.in_words(1) == "After epoch 3; 0.0 % of the voxels shown are wrong."
    scan, reference, prediction, errors = bad.images
    assert scan.tolist() == np.full((2, 4, 3), 100).tolist()
    assert reference[0, 0].tolist() == prediction[0, 2].tolist() == [165, 129, 50]  # half bone, half grey 100
    assert prediction[0, 0].tolist() == [100, 100, 100]
    assert errors[0, 0].tolist() == errors[1, 0].tolist() == [224, 0, 32]
    assert errors[1, 3].tolist() == errors[0, 2].tolist() == [193, 193, 193]  # not annotated; right


def test_a_run_that_goes_on_takes_up_after_its_epochs_and_another_one_begins_anew():
    shown = LivePictures()
    for epoch in (1, 2, 3):
        shown.take(picture(epoch, GOOD, is_first=epoch == 1))
    assert shown.take(picture(3, BAD, is_first=True))  # resumed before the end of its third epoch
    assert [epoch for epoch, _ in shown._files] == [1, 2, 3]
    assert shown.rows(2)[0].wrong > 0
    assert shown.take(picture(1, GOOD, is_first=True, places=("femur_9, slice 0",)))
    assert len(shown) == 1
    assert not shown.take(b"nothing of the kind")


def test_of_very_many_epochs_every_second_is_dropped_but_not_the_last(monkeypatch):
    monkeypatch.setattr(live, "MOST_KEPT", 4)
    shown = LivePictures()
    for epoch in range(1, 6):
        shown.take(picture(epoch, GOOD, is_first=epoch == 1))
    assert [epoch for epoch, _ in shown._files] == [1, 3, 5]


def test_colours_that_nobody_gave_are_black():
    scan, labels = np.zeros((1, 1), np.uint8), np.array([[7]], np.uint8)
    assert painted(scan, labels, ["#000000"]).tolist() == [[[0, 0, 0]]]
    assert in_red(scan, labels > 0, "#112233").tolist() == [[[0x11, 0x22, 0x33]]]


def test_the_pictures_of_a_run_appear_beside_its_curves_and_one_slides_back(driver, runner, pairs):  # noqa: F811
    from PySide6.QtTest import QTest

    runner.pictures = [picture(1, BAD, is_first=True), picture(2, BAD), picture(3, GOOD)]
    tab = fill(driver, pairs)
    driver.click(tab.run_bar.start)
    driver.wait(lambda: len(tab.live.pictures) == 3)
    page = tab.live
    assert tab.pages.currentWidget() is tab.curves_place
    assert page.isVisibleTo(tab)
    assert page.told.text().startswith("After epoch 3")
    assert "bone" in page.legend.text()
    page.slider.setValue(0)
    assert page.panels.rows[0].wrong > 0
    page.take(picture(4, GOOD))  # the run goes on, but somebody looks at an earlier epoch
    assert (page.slider.value(), page.slider.maximum()) == (0, 3)
    driver.click(page.newest)
    assert page.told.text().startswith("After epoch 4")
    shown = page.panels.grab().toImage()
    (_, _, where), *_ = [cell for cell in page.panels.cells() if cell[1] == 2]
    at = where.center().toPoint()
    assert shown.pixelColor(at.x(), round(where.top() + where.height() / 4)).name() == "#a58132"
    small = where.width()
    QTest.keyClick(page.panels, "1")
    assert page.panels.alone == 0
    assert page.panels.cells()[0][2].width() >= small
