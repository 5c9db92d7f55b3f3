"""Pairs from a CSV: read beside the file, faults with their line; and the little picture of a pair."""

from __future__ import annotations

import numpy as np

from bone_backend.volumes.volume import open_volume, save
from standalone.window.thumbnail import LARGEST, thumbnail

from .test_window import make_pairs


def test_a_table_fills_the_table_of_pairs_and_a_faulty_one_changes_nothing(driver, tmp_path):
    make_pairs(tmp_path)
    good, bad = tmp_path / "good.csv", tmp_path / "bad.csv"
    good.write_text("femur_0.tif,femur_0_mask.tif,m1\nfemur_1.tif,femur_1_mask.tif,m1\n", encoding="utf-8")
    bad.write_text("femur_0.tif,gone.tif\n", encoding="utf-8")
    table = driver.window.fit.pairs
    table.add_paths([str(bad)])
    assert "bad.csv, line 1: mask gone.tif does not exist" in table.box.informativeText()
    table.box.close()
    assert table.pairs.rows == []
    table.add_paths([str(good)])
    driver.wait(lambda: table.pairs.is_looked_at)
    assert [(row.subject, row.state) for row in table.pairs.rows] == [("m1", "good")] * 2
    assert not table.table.isColumnHidden(2)  # subjects were given
    item = table.table.item(0, 0)
    assert not item.icon().isNull()
    assert "data:image/png;base64," in item.toolTip()
    table.add_paths([str(good)])  # once more
    assert len(table.pairs.rows) == 2


def test_the_little_picture_is_the_middle_slice_with_its_mask(tmp_path):
    grey, mask = np.zeros((5, 400, 300), np.uint16), np.zeros((5, 400, 300), np.uint16)
    grey[2, :200], mask[2, :100], mask[2, 300:] = 60000, 1, 2
    save(tmp_path / "grey.tif", grey)
    save(tmp_path / "mask.tif", mask)
    with open_volume(tmp_path / "grey.tif") as scan, open_volume(tmp_path / "mask.tif") as labels:
        picture = thumbnail(scan, labels)
        plain = thumbnail(scan, None)
    height, width = picture.shape[:2]
    assert max(height, width) <= LARGEST
    assert abs(height / width - 4 / 3) < 0.02
    rows = [height * share // 8 for share in (1, 3, 5, 7)]
    assert [picture[row, 0].tolist() for row in rows] == [
        [242, 207, 127],  # half white, half the colour of label 1
        [255, 255, 255],
        [0, 0, 0],
        [43, 90, 116],  # half black, half the colour of label 2
    ]
    assert [plain[row, 0, 0] for row in rows] == [255, 255, 0, 0]
