"""The real window, driven as a person does; runs are a stand-in's but in test_whole_way.py."""

from __future__ import annotations

import json
import shlex
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import OptionError, WorkerError, called
from bone_backend.jobs.commands import COMMANDS
from bone_backend.jobs.run import run_here
from bone_backend.options.fields import Options
from bone_backend.volumes.volume import save
from standalone.command import build_parser
from standalone.flags import gather
from standalone.window.form import EASY, Form
from tests.conftest import write_pairs

ALL_FIELDS = [(command, name) for command in EASY for name in Form(command).fields]
# what stands in a place of its own, and is tested by itself
OWN = ("pairs", "class_names", "validation_pairs", "resume")


def make_pairs(folder, count=2):
    mask = np.zeros((5, 8, 8), np.uint8)
    mask[:, 2:5, 2:5], mask[:, 6, 6] = 1, 2
    volumes = [(mask * 50 + number, mask) for number in range(count)]
    return write_pairs(folder, volumes, scan="femur_{}.tif", mask="femur_{}_mask.tif", voxel_size=(9, 9, 9))


@pytest.fixture
def pairs(tmp_path):
    return make_pairs(tmp_path)


def fill(driver, pairs):
    """Two pairs in the Fit tab, looked at."""
    tab = driver.window.fit
    tab.pairs.add_paths([str(Path(pairs[0][0]).parent)])
    driver.wait(lambda: tab.pairs.pairs.is_looked_at and len(tab.pairs.pairs.rows) == 2)
    tab.check()
    return tab


def cells(tab, row):
    table = tab.pairs.table
    return [table.item(row, column).text() for column in range(table.columnCount())]


def test_easy_shows_few_fields_and_advanced_all_that_mean_something(driver):
    tab = driver.window.fit
    easy = [name for name, row in tab.panel.rows.items() if row.editor.isVisibleTo(tab.panel)]
    assert easy == [name for name in EASY["fit"] if name in tab.form.fields]
    driver.click(driver.window.advanced)
    shown = {name for name, row in tab.panel.rows.items() if row.editor.isVisibleTo(tab.panel)}
    assert {"epochs", "loss", "device", "recipe"} <= shown
    assert not {"momentum", "tile_depth", "backbone"} & shown
    driver.click(driver.window.easy)
    assert not tab.panel.rows["epochs"].editor.isVisibleTo(tab.panel)


def other_value(command, name):
    """A value that the option takes and that is not its default."""
    one = Form(command).fields[name]
    if one.kind == "bool":
        return not one.default
    if one.choices:
        return next(choice for choice in one.choices if choice != one.default)
    if one.kind in ("int", "float"):
        low, high = one.low or 0, one.high or 100
        value = low + (high - low) * 0.37
        return int(value) if one.kind == "int" else round(value, 4)
    if one.kind == "list":
        return {"map_labels": ["255:1"], "maps": ["confidence"]}.get(name, ["1", "2"])
    return {"weights": "imagenet", "device": "cpu", "transforms": "{}", "stride": "2,2,2"}.get(
        name, "some_name"
    )


@pytest.mark.parametrize("command", EASY)
def test_every_field_changes_the_option_that_it_claims(driver, command):
    window = driver.window
    window.show_everything(True)
    tab = window.by_name[command]
    for name in (name for kind, name in ALL_FIELDS if kind == command and name not in OWN):
        value = other_value(command, name)
        editor = tab.panel.rows[name].editor
        target = editor.focusProxy()
        before = dict(tab.form.given)
        if hasattr(target, "toggle"):
            target.toggle()
        elif hasattr(target, "setCurrentText"):
            target.setCurrentText(str(value))
        else:
            between = "; " if name == "more_models" else " "  # a path may hold a space
            text = between.join(value) if isinstance(value, list) else str(value)
            driver.type_into(tab, name, text)
        assert tab.form.given == before | {name: value}, name
        tab.form.reset(name)
        tab.panel.show_values()


def test_a_field_tells_its_unit_limits_and_help_and_is_reset(driver):
    window = driver.window
    window.show_everything(True)
    row = window.fit.panel.rows["batch_size"]
    assert row.hint.text() == "patches, 1 to 4096"
    assert Form("fit").fields["batch_size"].help.split(".")[0][:20] in row.editor.toolTip()
    assert row.editor.focusProxy().accessibleName() == "Batch size, patches"
    assert not row.reset.isVisibleTo(window.fit.panel)
    driver.type_into(window.fit, "batch_size", "5000")
    assert row.fault.text() == "Batch size is 5000: give a whole number from 1 to 4096, or auto."
    assert row.fault.isVisibleTo(window.fit.panel)
    driver.click(row.reset)
    window.fit.check()
    assert (row.editor.focusProxy().text(), row.fault.text()) == ("auto", "")


def test_a_recipe_changes_what_the_other_fields_show(driver):
    window = driver.window
    window.show_everything(True)
    rows = window.fit.panel.rows
    assert rows["architecture"].editor.focusProxy().currentText() == "Plain U-Net"
    rows["recipe"].editor.focusProxy().setCurrentText("paper")
    assert rows["architecture"].editor.focusProxy().currentText() == "U-Net"
    assert rows["epochs"].editor.focusProxy().text() == "25"
    assert not rows["epochs"].reset.isVisibleTo(window.fit.panel)
    rows["minutes"].editor.focusProxy().setEditText("enough")
    assert window.fit.form.given == {"recipe": "paper", "minutes": "enough"}
    rows["minutes"].editor.focusProxy().setEditText("2.5")
    assert window.fit.form.given["minutes"] == 2.5


def test_dropped_pairs_are_looked_at_and_their_classes_get_names(driver, pairs):
    tab = fill(driver, pairs)
    assert cells(tab, 0) == [
        *("femur_0", "femur_0_mask", "", "5 × 8 × 8\n9 µm", "0, 1, 2", "auto", "good"),
    ]
    assert [*tab.classes.lines] == [1, 2]
    line = tab.classes.lines[1][1]
    line.setText("spongy bone")
    line.textEdited.emit("spongy bone")
    assert tab.form.value("class_names") == [{"value": 1, "name": "spongy bone", "colour": None}]
    tab.classes.set_colour(2, "#112233")
    assert tab.form.value("class_names")[1] == {"value": 2, "name": "class 2", "colour": "#112233"}
    driver.wait(lambda: tab.viewer.view is not None)
    assert "spongy bone" in tab.viewer.legend.text()
    assert tab.form.value("output") == str(Path(pairs[0][0]).parent / "bone_run")


def test_classes_that_the_masks_name_are_called_so_until_they_are_named_here(driver, pairs, tmp_path):
    named = []
    for number, (scan, mask) in enumerate(pairs):
        place = tmp_path / "named" / f"femur_{number}"
        named.append((f"{place}.tif", f"{place}_mask.seg.nrrd"))
        run_here("convert", {"source": scan, "output": named[-1][0]})
        names = {"class_names": ["1:cortical bone:#ff8800"], "content": "labels"}
        run_here("convert", {"source": mask, "output": named[-1][1], **names})
    tab = fill(driver, named)
    line = tab.classes.lines[1][1]
    assert (line.text(), line.placeholderText()) == ("", "cortical bone")
    assert tab.classes.lines[2][1].placeholderText() == "class 2"
    assert not tab.form.value("class_names")  # the fit takes them from the masks
    assert tab.classes.classes()[1] == ("cortical bone", "#ff8800")
    driver.wait(lambda: tab.viewer.view is not None)
    assert "cortical bone" in tab.viewer.legend.text()


def test_the_pairs_to_validate_on_are_ticked(driver, pairs):
    from PySide6.QtCore import Qt

    tab = fill(driver, pairs)
    tab.pairs.table.item(1, 5).setCheckState(Qt.CheckState.Checked)
    assert tab.form.value("validation_pairs") == [2]
    assert [cells(tab, row)[5] for row in (0, 1)] == ["trains", "validates"]
    tab.check()
    assert tab.checked.options.validation_pairs == (2,)
    tab.pairs.table.selectRow(1)
    driver.click(tab.pairs.take_out)
    assert tab.form.value("validation_pairs") == ()


def test_a_bad_pair_is_told_in_its_row_and_below_and_stops_the_start(driver, tmp_path):
    save(tmp_path / "femur_0.tif", np.zeros((5, 8, 8), np.uint8))
    save(tmp_path / "femur_0_mask.tif", np.eye(8, dtype=np.uint8)[None].repeat(4, 0))
    make_pairs(tmp_path / "more")
    tab = driver.window.fit
    tab.pairs.add_paths([str(tmp_path)])
    driver.wait(lambda: tab.pairs.pairs.is_looked_at)
    tab.check()
    told = "femur_0.tif: mask femur_0_mask.tif is 4 x 8 x 8 but its scan femur_0.tif is 5 x 8 x 8"
    assert tab.panel.rows["pairs"].fault.text().startswith(told)
    driver.click(tab.run_bar.start)
    assert tab.task is None
    assert "1 with a fault" in tab.pairs.told.text()


def test_what_only_looks_odd_is_told_and_stops_nobody(driver, runner, tmp_path):
    make_pairs(tmp_path)
    save(tmp_path / "femur_1_mask.tif", np.zeros((5, 8, 8), np.uint8), voxel_size=(9, 9, 9), overwrite=True)
    tab = driver.window.fit
    tab.pairs.add_paths([str(tmp_path)])
    driver.wait(lambda: tab.pairs.pairs.is_looked_at)
    tab.check()
    assert tab.panel.rows["pairs"].fault.text() == "femur_1.tif: nothing but 0 was seen in femur_1_mask"
    assert tab.run_bar.told.text() == "Ready."
    driver.click(tab.run_bar.start)
    driver.wait(lambda: runner.asked)


def test_a_drop_without_a_scan_or_mask_says_so(driver, tmp_path):
    (tmp_path / "notes.txt").write_text("", encoding="utf-8")
    driver.window.fit.pairs.add_paths([str(tmp_path / "notes.txt")])
    assert driver.window.fit.pairs.told.text() == "no scan or mask in notes.txt"


def test_start_tells_what_is_missing_beside_the_fields_and_only_then(driver):
    tab = driver.window.predict
    driver.window.tabs.setCurrentWidget(tab)
    assert tab.run_bar.told.text() == "Still to give: scan, model file, labels."
    assert tab.panel.rows["scan"].fault.text() == ""
    driver.click(tab.run_bar.start)
    assert tab.panel.rows["scan"].fault.text() == "Scan: choose one."
    assert tab.task is None


def test_a_path_that_is_not_there_is_told_in_the_viewer_and_beside_its_field(driver, tmp_path):
    tab = driver.window.iou
    driver.window.tabs.setCurrentWidget(tab)
    for name in ("reference", "prediction"):
        driver.type_into(tab, name, str(tmp_path / "nothing.tif"))
    driver.wait(lambda: "nothing.tif: does not exist" in tab.viewer.canvas.told)
    assert "nothing.tif: does not exist" in tab.panel.rows["reference"].fault.text()
    driver.click(tab.run_bar.start)
    assert tab.task is None
    assert "nothing.tif: does not exist" in tab.panel.rows["prediction"].fault.text()
    tab = driver.window.predict
    driver.type_into(tab, "scan", str(tmp_path / "nothing.tif"))
    driver.wait(lambda: "nothing.tif: does not exist" in tab.panel.rows["scan"].fault.text())
    driver.click(tab.run_bar.start)  # which misses the model too, and tells both
    assert "nothing.tif: does not exist" in tab.panel.rows["scan"].fault.text()
    assert tab.panel.rows["model"].fault.text() == "Model file: choose one."
    save(tmp_path / "nothing.tif", np.zeros((5, 8, 8), np.uint8))
    driver.click(tab.run_bar.start)
    assert tab.panel.rows["scan"].fault.text() == ""


def test_a_fit_is_started_watched_and_its_result_told(driver, runner, pairs, tmp_path):
    runner.reports = [(5, 10, "Epoch 1 of 2, training 50 %", {"loss": 0.25})]
    folder = tmp_path / "bone_run"
    runner.result = {
        "model": str(folder / "m.pth"), "best_epoch": 2, "best_val_iou": 0.75, "epochs": 2, "seconds": 1.0,
        "val_iou_per_class": {"0": 0.9, "1": 0.6}, "run_folder": str(folder), "peak_ram_gib": 0.5,
    }  # fmt: skip
    tab = fill(driver, pairs)
    driver.click(tab.run_bar.start)
    assert tab.is_running
    assert tab.run_bar.start.text() == "Add to queue"
    driver.wait(lambda: "Epoch 1" in tab.run_bar.told.text())
    assert tab.run_bar.bar.value() == 500
    assert tab.curves.steps[0] == (1.0, 0.25)  # half of 2 epochs
    command, options = runner.asked[0]
    assert (command, options["output"], len(options["pairs"])) == ("fit", str(folder), 2)
    folder.mkdir()
    (folder / "report.html").write_text("", encoding="utf-8")
    (folder / "scores.csv").write_text(
        "epoch,train_loss,val_loss,val_miou,val_iou_bone\n1,0.5,0.6,0.4,0.3\n2,0.4,0.5,0.75,\n",
        encoding="utf-8",
    )
    driver.wait(lambda: "bone" in tab.curves._lines)
    assert tab.curves._lines["mean"].getData()[1].tolist() == [0.4, 0.75]
    runner.end.set()
    driver.wait(lambda: tab.task.outcome)
    assert tab.run_bar.told.text() == "Done: the best model is that of epoch 2, mean validation IoU 0.750."
    assert [*tab.run_bar.buttons] == ["Open report", "Open folder", "Label a scan"]
    minutes = tab.panel.rows["minutes"]
    minutes.editor.focusProxy().setEditText("soon")
    tab.check()
    assert tab.run_bar.told.text() == "1 field to mend, in red above."
    driver.click(minutes.reset)
    tab.check()
    assert tab.run_bar.told.text().startswith("Done: the best model is that of epoch 2")  # as it was
    driver.click(tab.run_bar.buttons["Label a scan"])
    assert driver.window.tab is driver.window.predict
    assert driver.window.predict.form.value("model") == str(folder / "m.pth")


def test_a_crash_of_the_worker_is_told_and_the_window_goes_on(driver, runner, pairs):
    runner.result = WorkerError("The worker gave no result: it was killed by signal 9.\nThe log's end:\nabc")
    tab = fill(driver, pairs)
    driver.click(tab.run_bar.start)
    (Path(pairs[0][0]).parent / "bone_run").mkdir()
    (Path(pairs[0][0]).parent / "bone_run" / "checkpoint.pth").write_bytes(b"")
    runner.end.set()
    driver.wait(lambda: tab.task.outcome)
    assert tab.run_bar.told.text().startswith("The run broke off. The worker gave no result: it was killed")
    assert "Resume" in tab.run_bar.buttons
    assert "abc" in tab.log.toPlainText()
    assert tab.pages.currentWidget() is tab.log
    assert tab.run_bar.start.isEnabled()


def test_a_fault_that_the_run_finds_stands_beside_its_field(driver, runner, pairs):
    runner.result = OptionError(f"{called('batch_size')} is too large for the memory; use 8.")
    tab = fill(driver, pairs)
    driver.click(tab.run_bar.start)
    runner.end.set()
    driver.wait(lambda: tab.task.outcome)
    row = tab.panel.rows["batch_size"]
    assert row.fault.text() == "Batch size is too large for the memory; use 8."
    assert row.fault.isVisibleTo(tab.panel)  # though Easy hides the field otherwise


def test_closing_asks_while_a_run_goes_on(driver, runner, pairs):
    window, asked = driver.window, []
    tab = fill(driver, pairs)
    driver.click(tab.run_bar.start)
    driver.wait(lambda: runner.asked)
    window.ask_to_close = lambda: asked.append(1)
    assert not window.close()
    assert asked
    assert tab.is_running
    assert not tab.task.is_stopping
    window.ask_to_close = lambda: True
    assert window.close()
    assert tab.task.wait(20)


def test_a_configuration_is_saved_loaded_and_the_same_as_the_command(driver, pairs, tmp_path):
    window = driver.window
    tab = fill(driver, pairs)
    window.show_everything(True)
    driver.type_into(tab, "epochs", "7")
    tab.classes.set_colour(2, "#112233")
    window.save(tmp_path / "mine.json")
    saved = json.loads((tmp_path / "mine.json").read_text(encoding="utf-8"))
    assert (saved["epochs"], saved["seed"]) == (7, 42)
    words = shlex.split(window.command().replace("\\\n", " "))
    assert words[:2] == ["bone", "fit"]
    typed = gather(build_parser().parse_args(words[1:]), COMMANDS["fit"].table())
    assert typed == COMMANDS["fit"].table().parse(saved)
    window.reset()
    assert (tab.form.given, tab.pairs.pairs.rows) == ({}, [])
    window.load(tmp_path / "mine.json")
    assert tab.checked.options.with_paths(Path.absolute) == typed
    assert window.memory.recent() == [str(tmp_path / "mine.json")]


def test_a_configuration_of_another_program_is_refused_in_words(driver, tmp_path):
    (tmp_path / "odd.json").write_text('{"chunk_size": 64}', encoding="utf-8")
    driver.window.load(tmp_path / "odd.json")
    assert driver.window.box.informativeText().startswith(
        "odd.json has chunk_size, which BONe DLFit does not"
    )
    driver.window.box.close()


def test_the_viewer_is_worked_with_keys_wheel_and_mouse(driver, pairs):
    from PySide6.QtCore import QPoint, QPointF, Qt
    from PySide6.QtGui import QWheelEvent
    from PySide6.QtTest import QTest

    tab = fill(driver, pairs)
    viewer, canvas = tab.viewer, tab.viewer.canvas
    driver.wait(lambda: viewer.view is not None)
    driver.application.processEvents()
    assert viewer.number.text() == "3 of 5"
    QTest.keyClick(viewer, Qt.Key.Key_PageUp)
    assert viewer.number.text() == "4 of 5"
    turned = QPoint(0, 120)
    none = Qt.MouseButton.NoButton
    wheel = QWheelEvent(
        QPointF(9, 9), QPointF(9, 9), QPoint(), turned, none, Qt.KeyboardModifier.NoModifier,
        Qt.ScrollPhase.NoScrollPhase, False,
    )  # fmt: skip
    driver.application.sendEvent(canvas, wheel)
    assert viewer.indices[0] == 2
    place = canvas.point_of(4, 3).toPoint()
    QTest.mouseMove(canvas, place)
    driver.wait(lambda: "z 2  y 4  x 3" in viewer.facts.text())
    assert viewer.facts.text().endswith("grey 50   ·   label 1 class 1")
    canvas.zoom_by(4, QPointF(place))
    assert [int(value) for value in canvas.voxel_at(QPointF(place))] == [4, 3]  # it stays under the mouse
    QTest.keyClick(viewer, Qt.Key.Key_X)
    assert viewer.place_of(1, 7) == (1, 7, 4)
    viewer.legend.switch("1")
    assert viewer._table(viewer.view)[1] == 0
    assert viewer._table(viewer.view)[2] != 0
    assert "line-through" in viewer.legend.text()


def test_light_and_dark_are_chosen_and_remembered(driver):
    from PySide6.QtGui import QPalette
    from PySide6.QtWidgets import QApplication

    def paper():
        return QApplication.palette().color(QPalette.ColorRole.Window).lightness()

    driver.window.choose_scheme("dark")
    assert paper() < 80
    driver.window.choose_scheme("light")
    assert paper() > 200
    assert driver.window.memory.get("scheme", "system") == "light"
    driver.window.choose_scheme("system")


def test_nothing_but_the_window_itself_is_a_window(driver):
    from PySide6.QtWidgets import QApplication

    driver.window.show_everything(True)
    shown = [widget for widget in QApplication.topLevelWidgets() if widget.isVisible()]
    assert shown == [driver.window]


def test_every_option_of_a_tab_has_a_row_or_a_place(driver):
    for command, tab in driver.window.by_name.items():
        table: type[Options] = COMMANDS[command].table()
        rows = {*tab.panel.rows, *tab.without}
        assert rows == {one.name for one in table.option_fields()}


def test_a_class_that_no_scan_holds_has_no_curve_and_no_complaint(driver, recwarn):
    from standalone.window.curves import CurvesPage
    from standalone.window.scores import Curves

    page = CurvesPage()
    nan = float("nan")
    page.show_curves(Curves([1, 2], {}, {"background": [nan, nan], "bone": [0.5, 0.6], "mean": [0.5, 0.6]}))
    page.grab()
    assert [*page._lines] == ["bone", "mean"]
    assert not recwarn.list
