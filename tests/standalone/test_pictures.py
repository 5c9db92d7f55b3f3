"""The picture of the demo says which scan it shows, and what its columns are."""

import json

import numpy as np
from matplotlib.colors import to_hex

from bone_backend.volumes.classes import WRONG
from bone_backend.volumes.volume import save
from standalone import pictures


def test_the_overlay_is_headed_by_the_scans_name_and_score(tmp_path, monkeypatch):
    labels = np.zeros((4, 12, 12), np.uint8)
    labels[:, 3:9, 3:9] = 1
    for name, array in (("scan", labels * 100), ("mask", labels), ("labels", labels[:, ::-1].copy())):
        save(tmp_path / name, array)
    drawn = []
    keep = pictures._save
    monkeypatch.setattr(pictures, "_save", lambda figure, path: (drawn.append(figure), keep(figure, path))[1])
    found = pictures.overlay(
        tmp_path / "overlay.png",
        scan=tmp_path / "scan",
        reference=tmp_path / "mask",
        prediction=tmp_path / "labels",
        scores={"mean_iou": 0.5, "classes": {"0": {"iou": 1.0}, "1": {"iou": 0.25}}},
        title="femur_4",
        classes=[{"value": 1, "name": "bone", "colour": "#56b4e9"}],
    )
    assert found.stat().st_size > 0
    assert drawn[0].get_suptitle() == "femur_4, not seen in fitting: mean IoU 0.500"
    headings = [axis.get_title() for axis in drawn[0].axes[:4]]
    assert headings == ["scan", "reference", "prediction", "difference"]
    assert legend_of(drawn[0].legends[0]) == {"bone: IoU 0.250": "#56b4e9", "wrong": WRONG}


def test_the_curves_have_the_names_and_colours_of_the_classes(tmp_path, monkeypatch):
    row = {"train_loss": 0.5, "val_loss": None, "val_miou": 0.75, "val_iou_0": 1.0, "val_iou_1": 0.5}
    classes = [
        {"value": 0, "name": "background", "colour": "#000000"},
        {"value": 1, "name": "cortical bone", "colour": "#e69f00"},
    ]
    scores = [{"epoch": 1, **row}, {"epoch": 2, **row}]
    (tmp_path / "record.json").write_text(json.dumps({"scores": scores, "classes": classes}))
    drawn = []
    keep = pictures._save
    monkeypatch.setattr(pictures, "_save", lambda figure, path: (drawn.append(figure), keep(figure, path))[1])
    assert pictures.curves(tmp_path / "curves.png", tmp_path / "record.json").stat().st_size > 0
    right = drawn[0].axes[1]
    found = {line.get_label(): line.get_color() for line in right.get_lines()}
    assert found == {"background": "#000000", "cortical bone": "#e69f00", "mean": "#444444"}


def legend_of(legend):
    return {
        text.get_text(): to_hex(handle.get_facecolor())
        for text, handle in zip(legend.get_texts(), legend.legend_handles, strict=True)
    }
