"""The table of formats: every row is whole, and a new row is all that a new format needs."""

import importlib
import re
import subprocess
import sys

import numpy as np
import pytest

from bone_backend.errors import OptionError, ScanError
from bone_backend.files.outputs import ENDINGS
from bone_backend.options.programs import PredictOptions
from bone_backend.volumes import formats
from bone_backend.volumes.amira import writing as amira
from bone_backend.volumes.volume import create, open_volume, peek, save, volume_name

ARRAY = np.arange(4 * 5 * 6, dtype=np.uint8).reshape(4, 5, 6)
FUNCTIONS = ("recognise", "open", "peek", "storage", "create", "labels")
WRITTEN = {row.name: f"scan{row.written[-1].upper()}" if row.written else "scan" for row in formats.WRITTEN}


@pytest.mark.parametrize("row", formats.FORMATS, ids=lambda row: row.name)
def test_every_function_that_a_row_names_is_there(row):
    named = [name for name in FUNCTIONS if getattr(row, name)]
    assert named
    for name in named:
        file, function = getattr(row, name).split(":")
        assert callable(getattr(importlib.import_module(f"bone_backend.volumes.{file}"), function))
    if row.open:
        assert row.recognise
        assert row.peek
        assert row.storage


@pytest.mark.parametrize("row", formats.FORMATS, ids=lambda row: row.name)
def test_the_endings_of_a_format_are_known_as_such_wherever_a_name_is_checked(row):
    assert {f".{ending.rsplit('.', 1)[1]}" for ending in row.written} <= ENDINGS
    for longer, shorter in zip(row.endings, row.endings[1:], strict=False):
        assert not shorter.endswith(longer)  # else it would never be cut off


@pytest.mark.parametrize("row", formats.WRITTEN, ids=lambda row: row.name)
def test_a_format_reads_what_it_has_written_and_says_its_own_name(tmp_path, row):
    path = tmp_path / WRITTEN[row.name]
    save(path, ARRAY)
    assert formats.format_of(path) == row
    with open_volume(path) as volume:
        assert volume.header.format == peek(path).format == row.name
        assert (volume.header.name, volume_name(path)) == ("scan", "scan")
        np.testing.assert_array_equal(volume.read(0, 4), ARRAY)
    storage = row.call("storage", path)
    assert len(storage.files) == {"tiff-folder": 4, "image-folder": 4, "ome-zarr": 2}.get(row.name, 1)
    assert all(file.is_file() for file in storage.files)
    assert storage.compression == (row.packed or "none")


@pytest.mark.parametrize("row", formats.WRITTEN, ids=lambda row: row.name)
def test_what_a_format_lacks_is_refused(tmp_path, row):
    header = open_volume_header(tmp_path)
    path = tmp_path / "new" / WRITTEN[row.name]
    if formats.COMPRESSION in row.lacks:
        with pytest.raises(OptionError, match="is not compressed"):
            create(path, header, compression="zlib")
        return
    with create(path, header, compression="zlib") as writer:
        writer.write(ARRAY)
    assert row.call("storage", path).compression == (row.packed or "Deflate")


def open_volume_header(folder):
    save(folder / "some.npy", ARRAY)
    return peek(folder / "some.npy")


@pytest.mark.parametrize("name", ["a.tif", "a.npy"])
def test_a_file_whose_name_tells_nothing_is_looked_into(tmp_path, name):
    save(tmp_path / name, ARRAY)
    plain = (tmp_path / name).rename(tmp_path / "plain")
    np.testing.assert_array_equal(open_volume(plain).read(0, 4), ARRAY)


def test_what_no_format_knows_is_refused_with_all_that_are_read(tmp_path):
    (tmp_path / "notes").write_text("bone")
    with pytest.raises(ScanError, match=re.escape(f"it reads {formats.in_words()}.")):
        open_volume(tmp_path / "notes")


def test_the_label_field_of_amira_holds_what_its_row_says():
    assert tuple(str(number) for number in amira.NUMBERS) == formats.AMIRA.numbers


def test_labels_may_have_every_name_that_a_row_writes():
    for ending in formats.WRITTEN_ENDINGS:
        PredictOptions.parse({"scan": "s", "model": "m.pth", "output": f"labels{ending}"})
    with pytest.raises(OptionError, match=r"\.tif, .*\.npy, .*\.nii\.gz.*, or as a folder of TIFF slices"):
        PredictOptions.parse({"scan": "s", "model": "m.pth", "output": "labels.isq"})


def test_the_table_needs_neither_numpy_nor_a_library_of_a_format():
    code = (
        "import sys; from bone_backend.volumes import formats; print({'numpy', 'tifffile'} & {*sys.modules})"
    )
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
