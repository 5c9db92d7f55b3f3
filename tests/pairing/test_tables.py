"""Pairs from a CSV: read beside the file, faults with their line."""

from __future__ import annotations

import pytest

from bone_backend.errors import ScanError
from bone_backend.pairing.tables import read_pairs


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


def test_a_column_of_no_use_is_told(scans, caplog):
    text = "scan,mask,age\ndata/a.tif,data/a_mask.tif,3\n"
    (scans / "pairs.csv").write_text(text, encoding="utf-8")
    assert len(read_pairs(scans / "pairs.csv")) == 1
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage() == (
        "pairs.csv: the column age is not used. Those that are known: scan, mask, subject."
    )


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
        (b"", "is empty"),
        (b"scan,subject\na,b\n", "line 1: there is no column mask"),
        (b"scan,mask,subjct\na,b,c\n", r"line 1: there is no column subjct\. Did you mean subject\?"),
        (b"scan,masc\na,b\n", r"Did you mean mask\? Those that are known: scan, mask, subject\."),
        (b"\xff\xfe\x00", "Save it as CSV in UTF-8"),
    ],
)
def test_what_is_no_table_of_pairs_is_told(tmp_path, content, told):
    (tmp_path / "pairs.csv").write_bytes(content)
    with pytest.raises(ScanError, match=told):
        read_pairs(tmp_path / "pairs.csv")
