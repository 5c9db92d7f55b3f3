"""The picture of the demo says which scan it shows, and what its columns are."""

import numpy as np

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
        names={1: "bone"},
    )
    assert found.stat().st_size > 0
    assert drawn[0].get_suptitle() == "femur_4, not seen in fitting: mean IoU 0.500"
    headings = [axis.get_title() for axis in drawn[0].axes[:4]]
    assert headings == ["scan", "reference", "prediction", "difference"]
