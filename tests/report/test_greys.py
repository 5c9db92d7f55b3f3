"""The picture of grey values marks the tissues of every scan where the network sees them."""

from __future__ import annotations

import re

import numpy as np
import pytest

from bone_backend.intensity.normalisation import normalisation
from bone_backend.intensity.statistics import measure
from bone_backend.options.programs import FitOptions, dump
from bone_backend.report.greys import LEFT, MOST_ROWS, RIGHT, WIDTH, greys_section
from bone_backend.volumes.array import ArrayVolume
from bone_backend.volumes.classes import TRAINING, VALIDATION
from mocks.scans import Phantom

PAIRS = [{"scan": f"scans/{name}", "mask": f"masks/{name}"} for name in "ab"]
MARK = re.compile(r'<line x1="([\d.]+)" x2="\1" y1="\d+" y2="\d+" stroke="#222222"')


def scan(seed: int, *, factor: int = 1) -> np.ndarray:
    return Phantom(shape=(8, 64, 64), seed=seed).whole()[0].astype(np.uint16) * factor


def record(scans: dict, mode: str = "tissue", **uses) -> dict:
    options = FitOptions.parse({"pairs": PAIRS, "output": "run", "normalization": mode})
    names = list(scans)
    return {
        "options": dump(options),
        "inputs": [
            {"name": name, "statistics": measure(ArrayVolume(grey)).to_dict()} for name, grey in scans.items()
        ],
        "result": {"train_scans": names[:-1], "validation_scans": names[-1:], **uses},
    }


def marks(section) -> list[float]:
    return [float(x) for x in MARK.findall(str(section["picture"]))]


def test_by_tissue_the_marks_of_all_scans_stand_below_each_other_whatever_their_greys():
    section = greys_section(record({"a": scan(1), "b": scan(2, factor=200)}))
    dark, bright, *others = marks(section)
    assert others == pytest.approx([dark, bright], abs=0.11)
    assert LEFT < dark < bright < WIDTH - RIGHT
    told = measure(ArrayVolume(scan(2, factor=200))).tissues
    assert f">{told.high:.4g}<" in str(section["picture"])


def test_by_z_score_the_marks_stand_where_the_network_sees_the_tissues():
    scans = {"a": scan(1), "b": scan(2)[:, :30]}
    found = marks(greys_section(record(scans, "ZScore")))
    expected = []
    for grey in scans.values():
        measured = measure(ArrayVolume(grey))
        means = np.array([measured.tissues.low, measured.tissues.high])
        expected += list(normalisation("ZScore", measured).apply(means))
    slope = np.polyfit(expected, found, 1)
    assert found == pytest.approx(np.polyval(slope, expected), abs=0.15)


def test_training_and_validation_are_told_apart_and_names_are_escaped():
    picture = str(greys_section(record({"<b>a": scan(1), "b": scan(2)}))["picture"])
    assert "&lt;b&gt;a" in picture
    assert TRAINING in picture
    assert VALIDATION in picture
    both = str(greys_section(record({"a": scan(1)}, train_scans=["a"]))["picture"])
    assert "training and validation" in both


def test_the_height_of_a_step_is_the_share_of_the_voxels_on_a_logarithmic_scale():
    grey = np.repeat(np.array([10, 20, 90, 100], np.uint8), [40000, 40000, 10000, 10000]).reshape(
        10, 100, 100
    )
    path = re.search(r'<path d="([^"]+)"', str(greys_section(record({"a": grey}))["picture"])).group(1)
    base = float(re.match(r"M[\d.]+ (\d+)", path).group(1))
    heights = base - np.array([float(v) for v in re.findall(r"V([\d.]+)H", path)])
    assert heights.max() == pytest.approx(40)
    bone, other = heights[len(heights) // 2 :].max(), heights[: len(heights) // 2].max()
    assert other == pytest.approx(40)
    assert 30 < bone < 40  # a quarter of the voxels is no quarter of the height


def test_a_run_without_histograms_has_no_picture_and_many_scans_are_cut_and_counted():
    old = record({"a": scan(1)})
    del old["inputs"][0]["statistics"]["tissues"]
    assert greys_section(old) is None
    many = record({"a": scan(1)})
    many["inputs"] *= MOST_ROWS + 2
    section = greys_section(many)
    assert section["left_out"] == 2
    assert len(marks(section)) == 2 * MOST_ROWS
