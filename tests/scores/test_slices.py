"""Scores slice by slice: by hand, against each slice compared alone, as tables and as a page."""

from __future__ import annotations

import csv
import io
import json
import subprocess
import sys
from html.parser import HTMLParser

import numpy as np
import pytest

from bone_backend import comparison
from bone_backend.comparison import compare
from bone_backend.report.comparison_page import page
from bone_backend.scores.slices import SliceScores
from bone_backend.scores.tables import slices_table
from bone_backend.volumes.volume import ArrayVolume, save
from tests.conftest import ROOT

# Slice 0: one of two bone voxels found. 1: nothing but background. 2: bone where there is none.
REFERENCE = np.array([[[1, 1, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 0, 0]]], np.uint8)
PREDICTION = np.array([[[1, 0, 0, 0]], [[0, 0, 0, 0]], [[0, 0, 1, 1]]], np.uint8)


def sliced(reference: np.ndarray, prediction: np.ndarray, **given):
    return compare(ArrayVolume(reference), ArrayVolume(prediction), by_slice=True, **given)


def test_three_slices_by_hand():
    found = sliced(REFERENCE, PREDICTION).slices
    np.testing.assert_allclose(found.iou, [[2 / 3, 1 / 2], [1, np.nan], [2 / 4, 0]])
    np.testing.assert_allclose(found.mean_iou, [7 / 12, 1, 1 / 4])
    assert found.wrong_voxels.tolist() == [1, 0, 2]
    assert found.worst(9) == [2, 0, 1]
    assert found.worst(9, 1) == [2, 0]  # slice 1 has no bone at all
    assert found.worst(1) == [2]
    assert compare(ArrayVolume(REFERENCE), ArrayVolume(PREDICTION)).slices is None


@pytest.mark.parametrize("piece", [1, 7, 1 << 20])
def test_every_slice_is_scored_as_if_it_stood_alone(monkeypatch, piece):
    """Also with mapped and ignored labels, and in whatever order the voxels lie in memory."""
    monkeypatch.setattr(comparison, "PIECE_BYTES", piece)
    random = np.random.default_rng(0)
    reference = random.choice(np.array([0, 1, 2, 255], np.uint8), (5, 6, 7), p=[0.5, 0.2, 0.2, 0.1])
    prediction = random.integers(0, 3, (5, 6, 7), dtype=np.uint8)
    reference[3], prediction[3] = 255, 0  # nothing of it counts
    meant = {"map_labels": [(2, 1)], "ignore_label": 255}
    sides = (np.asfortranarray(reference), np.asfortranarray(prediction))
    whole = sliced(*sides, **meant)
    assert whole.confusion.tolist() == compare(*map(ArrayVolume, sides), **meant).confusion.tolist()
    for z in (0, 1, 2, 4):
        alone = sliced(reference[z : z + 1], prediction[z : z + 1], **meant)
        for value, score in alone.classes.items():
            assert whole.slices.iou[z, whole.slices.values.index(value)] == pytest.approx(score.iou)
        assert whole.slices.mean_iou[z] == pytest.approx(alone.mean_iou)
    assert np.isnan(whole.slices.mean_iou[3])
    assert 3 not in whole.slices.worst(9)
    again = SliceScores.from_dict(json.loads(json.dumps(whole.slices.to_dict())))
    np.testing.assert_array_equal(again.iou, whole.slices.iou)
    total = whole.slices.intersection_voxels.sum(axis=0).tolist()
    assert total == [score.intersection_voxels for score in whole.classes.values()]


def test_the_table_of_slices_has_a_row_for_each_and_empty_cells_where_nothing_is():
    rows = list(csv.reader(io.StringIO(slices_table(sliced(REFERENCE, PREDICTION).to_dict()))))
    head = ["z", "mean_iou", "counted_voxels", "wrong_voxels", "iou_background", "iou_class_1"]
    assert rows[0] == head
    assert rows[2] == ["1", "1.0", "4", "0", "1.0", ""]
    assert rows[3] == ["2", "0.25", "4", "2", "0.5", "0.0"]


class Texts(HTMLParser):
    """The texts of a page, and whether every tag that was opened was closed."""

    def __init__(self, text: str):
        super().__init__()
        self.texts: list[str] = []
        self.tags: list[str] = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        if tag not in ("meta", "br", "path", "line", "circle"):
            self.tags.append(tag)

    def handle_endtag(self, tag):
        if tag not in ("path", "line", "circle"):
            assert self.tags.pop() == tag

    def handle_data(self, data):
        self.texts += [data.strip()] if data.strip() else []


def test_the_page_has_scores_names_the_curve_and_the_worst_slices_first():
    found = sliced(REFERENCE, PREDICTION).to_dict() | {"names": {"1": "bone & <marrow>"}}
    seen = Texts(page(found))
    assert seen.tags == []
    assert "bone & <marrow>" in seen.texts
    assert "slice along z" in seen.texts
    after = seen.texts[seen.texts.index("The worst slices") :]
    assert after[after.index("wrong voxels") + 1 :][:8] == [
        "3",
        "0.2500",
        "0.0000",
        "2",
        "1",
        "0.5833",
        "0.5000",
        "1",
    ]
    without = compare(ArrayVolume(REFERENCE), ArrayVolume(PREDICTION)).to_dict()
    assert "The worst slices" not in Texts(page(without)).texts


def test_the_command_writes_tables_and_page_and_refuses_one_name_for_two(tmp_path):
    save(tmp_path / "reference.tif", REFERENCE)
    save(tmp_path / "prediction.tif", PREDICTION)

    def run(*words: str):
        command = [sys.executable, "-m", "standalone.command", "iou", "reference.tif", "prediction.tif"]
        environment = {"PYTHONPATH": str(ROOT), "PATH": "", "BONE_CACHE": str(tmp_path / "cache")}
        return subprocess.run(
            [*command, *words], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )

    done = run("--slices", "slices.csv", "--page", "out/page.html", "--output", "scores.csv")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "slices.csv").read_text(encoding="utf-8").splitlines()[3] == "2,0.25,4,2,0.5,0.0"
    assert "The worst slices" in (tmp_path / "out" / "page.html").read_text(encoding="utf-8")
    assert (tmp_path / "scores.csv").is_file()
    again = run("--slices", "slices.csv", "--page", "new.html")
    assert again.returncode == 1
    assert "slices.csv: is already there" in again.stderr
    assert not (tmp_path / "new.html").exists()
    same = run("--slices", "one.csv", "--output", "one.csv")
    assert "--slices is the file of --output. Give each its own name." in same.stderr


def test_a_table_of_slices_of_too_many_labels_is_refused_in_words(tmp_path):
    labels = np.arange(70, dtype=np.uint8).repeat(30).reshape(1, 70, 30).repeat(2, axis=0)
    save(tmp_path / "labels.tif", labels)
    save(tmp_path / "others.tif", labels)
    options = {"reference": str(tmp_path / "labels.tif"), "prediction": str(tmp_path / "others.tif")}
    from bone_backend.errors import ScanError
    from bone_backend.jobs.run import run_here

    assert run_here("iou", options)["slices"] is None
    with pytest.raises(ScanError, match="more than 64 labels"):
        run_here("iou", options | {"slices": str(tmp_path / "slices.csv")})
