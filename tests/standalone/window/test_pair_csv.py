"""Pairs from a CSV: read beside the file, faults with their line; and the little picture of a pair."""

from __future__ import annotations

import numpy as np
import pytest

from bone_backend.errors import ScanError
from bone_backend.volumes.volume import open_volume, save
from standalone.window.pair_csv import read_pairs
from standalone.window.thumbnail import LARGEST, thumbnail

from .test_window import make_pairs


@pytest.fixture
def scans(tmp_path):
    (tmp_path / "data").mkdir()
    for name in ("a", "a_mask", "b b", "b_mask"):
        (tmp_path / "data" / f"{name}.tif").write_bytes(b"")
    return tmp_path


@pytest.mark.parametrize(
    "text",
    [
        "scan,mask,subject\ndata/a.tif,data/a_mask.tif,mouse 1\ndata/b b.tif,data/b_mask.tif,\n",
        "Mask;Image;age;Animal\r\ndata/a_mask.tif;data/a.tif;3;mouse 1\r\n\r\n"
        "data/b_mask.tif;data/b b.tif;;\r\n",
        '"data/a.tif"\tdata/a_mask.tif\tmouse 1\ndata/b b.tif\tdata/../data/b_mask.tif\n',
    ],
    ids=["commas", "semicolons, other names, another order", "tabs, no names"],
)
def test_a_table_is_read_however_it_was_saved(scans, text):
    (scans / "pairs.csv").write_text(text, encoding="utf-8-sig")
    data = scans / "data"
    assert read_pairs(scans / "pairs.csv") == [
        (str(data / "a.tif"), str(data / "a_mask.tif"), "mouse 1"),
        (str(data / "b b.tif"), str(data / "b_mask.tif"), ""),
    ]


def test_all_faults_are_told_each_with_its_line(scans):
    (scans / "pairs.csv").write_text(
        "scan,mask\ndata/a.tif,data/a_mask.tif\ndata/c.tif,data/a_mask.tif\n\ndata/a.tif,\n"
        "data/a.tif,data/a.tif\ndata/a.tif,data/b_mask.tif\n",
        encoding="utf-8",
    )
    with pytest.raises(ScanError) as fault:
        read_pairs(scans / "pairs.csv")
    assert [*fault.value.faults] == [
        f"pairs.csv, line 3: scan data/c.tif does not exist (looked for at {scans / 'data' / 'c.tif'}).",
        "pairs.csv, line 5: there is no mask.",
        "pairs.csv, line 6: scan and mask are the same file.",
        "pairs.csv, line 7: scan data/a.tif is that of line 2 again.",
    ]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "no line with a scan"),
        (b"scan,subject\na,b\n", "line 1: there is no column mask"),
        (b"\xff\xfe\x00", "Save it as CSV in UTF-8"),
    ],
)
def test_what_is_no_table_of_pairs_is_told(tmp_path, content, told):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(ScanError, match=told):
        read_pairs(tmp_path / "pairs.csv")


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
