"""The tour: offered once, followed to its end by the clicks that it asks for, left at any time."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from bone_backend.volumes.volume import open_volume, save
from standalone.window import tour, tour_bar
from standalone.window.tour import STEPS

from .test_runs import Turns, prediction


@pytest.fixture
def turns():
    made = Turns()
    yield made
    made.end({})


@pytest.fixture
def driver(make_driver, turns, monkeypatch, tmp_path):
    monkeypatch.setattr(tour, "SHAPE", (8, 32, 32))
    monkeypatch.setattr(tour_bar, "state_folder", lambda: tmp_path / "state")
    return make_driver(runner=turns)


def test_every_step_leads_to_one_that_there_is_and_all_are_one_sentence():
    following = {name for step in STEPS.values() for _, name in step.then}
    assert following == {*STEPS, ""} - {"offer"}
    for step in STEPS.values():
        assert step.tells[-1] in ".…:"
        assert len(step.tells) < 110
        assert step.button or step.then[0][0] != "button"


def test_the_tour_leads_through_fit_predict_and_iou(driver, turns, tmp_path):
    from tests.prediction_models import make_model  # loads torch

    window, bar = driver.window, driver.window.tour
    window.greet()
    assert bar.isVisible()
    assert bar.told.text().startswith("New here?")
    driver.click(bar.go_on)
    driver.wait(lambda: bar.tour.name == "fit")
    fit = window.fit
    driver.wait(lambda: fit.pairs.pairs.is_looked_at)
    fit.check()
    assert [row.state for row in fit.pairs.pairs.rows] == ["good", "good"]
    assert fit.form.value("minutes") == tour.MINUTES
    assert not bar.go_on.isVisible()
    driver.click(fit.run_bar.start)
    assert bar.tour.name == "learning"
    driver.wait(lambda: turns.asked)
    assert turns.asked[0][1]["class_names"][0]["name"] == "bone"
    model = make_model(tmp_path / "model.pth", is_plain=True)
    turns.end(
        {
            "model": str(model),
            "run_folder": str(tmp_path),
            "best_epoch": 1,
            "epochs": 2,
            "best_val_iou": 0.7,
            "val_iou_per_class": {},
            "seconds": 1.0,
            "peak_ram_gib": 0.1,
        }
    )
    driver.wait(lambda: bar.tour.name == "predict")
    predict = window.predict
    assert window.tab is predict
    assert Path(predict.form.value("scan")).name == "femur_3.tif"
    driver.click(predict.run_bar.start)
    driver.wait(lambda: len(turns.asked) == 2)
    labels = Path(turns.asked[1][1]["output"])
    with open_volume(labels.with_name("femur_3_mask.tif")) as mask:
        save(labels, mask.read(0, mask.header.shape[0]).astype(np.uint8))
    turns.end(prediction(labels))
    driver.wait(lambda: bar.tour.name == "look")
    driver.click(bar.go_on)
    assert window.tab is window.iou
    driver.click(window.iou.run_bar.start)
    driver.wait(lambda: len(turns.asked) == 3)
    assert turns.asked[2][0] == "iou"
    assert Path(turns.asked[2][1]["reference"]).name == "femur_3_mask.tif"
    turns.end(None)  # a comparison that was asked for is enough for the tour
    window.iou.show_result = lambda outcome, task: None
    driver.wait(lambda: bar.tour.name == "end")
    driver.click(bar.go_on)
    assert (window.tab, fit.pairs.pairs.rows, bar.isVisible()) == (fit, [], False)


def test_the_tour_is_offered_once_left_at_any_time_and_taken_again_from_the_menu(driver):
    window, bar = driver.window, driver.window.tour
    window.greet()
    driver.click(bar.leave)
    assert not bar.isVisible()
    window.greet()
    assert not bar.isVisible()
    (help_menu,) = [action.menu() for action in window.menuBar().actions() if action.text() == "&Help"]
    help_menu.actions()[0].trigger()
    assert bar.tour.name == "making"
    driver.click(bar.leave)
    assert (bar.tour.name, bar.isVisible()) == ("", False)
    assert window.fit.pairs.pairs.rows == []


def test_a_fit_of_the_tour_that_is_stopped_leads_back(driver, turns):
    bar = driver.window.tour
    bar.tour.begin("learning")
    bar.scans = []
    bar.happens("fit fails")
    assert bar.tour.name == "fit"


def test_a_tour_that_is_left_while_it_makes_its_scans_leaves_nothing_for_the_next_one(driver):
    bar = driver.window.tour
    bar.offer(again=True)
    before = bar._made
    bar.end()
    bar.offer(again=True)
    before.put([])  # the first one ends late, with fewer scans
    driver.wait(lambda: bar.tour.name == "fit", 180)  # seconds on an idle machine
    assert len(bar.scans) == 3
    bar.end()
