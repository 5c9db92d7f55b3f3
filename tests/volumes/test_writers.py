"""Results appear when they are whole, and leave nothing behind when they do not."""

import multiprocessing
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import tifffile

from bone_backend.errors import OptionError, OutputError
from bone_backend.volumes.output import output_fault
from bone_backend.volumes.tiff.writing import TiffFileWriter
from bone_backend.volumes.volume import Header, create, open_volume, save

ARRAY = np.arange(5 * 6 * 7, dtype=np.uint16).reshape(5, 6, 7)
HEADER = Header("scan", ARRAY.shape, ARRAY.dtype, (2.0, 1.0, 1.0))
NAMES = ["slices", "a.tif", "a.npy"]


def write_and_stop(writer, stop):
    with writer:
        writer.write(ARRAY[:3])
        raise stop


def contents(folder):
    return sorted(p.name for p in folder.iterdir())


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("compression", [None, "zlib"])
@pytest.mark.parametrize("stop", [RuntimeError, KeyboardInterrupt])
def test_nothing_is_left_when_the_work_stops(tmp_path, name, compression, stop):
    if name == "a.npy" and compression:
        pytest.skip(".npy is not compressed")
    with pytest.raises(stop):
        write_and_stop(create(tmp_path / name, HEADER, compression=compression), stop)
    assert contents(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_missing_slices_are_told_and_nothing_is_left(tmp_path, name):
    with pytest.raises(OutputError, match="3 of 5 slices"), create(tmp_path / name, HEADER) as writer:
        writer.write(ARRAY[:3])
    assert contents(tmp_path) == []


@pytest.mark.parametrize("name", NAMES)
def test_the_name_appears_at_the_end(tmp_path, name):
    with create(tmp_path / "new" / name, HEADER) as writer:
        writer.write(ARRAY)
        assert not (tmp_path / "new" / name).exists()
    assert contents(tmp_path / "new") == [name]
    np.testing.assert_array_equal(open_volume(tmp_path / "new" / name).read(0, 5), ARRAY)


@pytest.mark.parametrize("name", NAMES)
def test_a_result_that_is_there_stays_unless_overwriting_is_asked_for(tmp_path, name):
    save(tmp_path / name, ARRAY)
    with pytest.raises(OutputError, match="is already there"):
        create(tmp_path / name, HEADER)
    with pytest.raises(RuntimeError):
        write_and_stop(create(tmp_path / name, HEADER, overwrite=True), RuntimeError)
    np.testing.assert_array_equal(open_volume(tmp_path / name).read(0, 5), ARRAY)
    save(tmp_path / name, ARRAY[:3] + 1, overwrite=True)
    np.testing.assert_array_equal(open_volume(tmp_path / name).read(0, 3), ARRAY[:3] + 1)
    assert contents(tmp_path) == [name]


def test_a_folder_with_other_files_is_never_replaced(tmp_path):
    save(tmp_path / "slices", ARRAY)
    (tmp_path / "slices" / "notes.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match=r"also holds notes\.txt"):
        create(tmp_path / "slices", HEADER, overwrite=True)
    (tmp_path / "file").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is a file"):
        create(tmp_path / "file", HEADER, overwrite=True)
    (tmp_path / "folder.tif").mkdir()
    with pytest.raises(OutputError, match="is a folder"):
        create(tmp_path / "folder.tif", HEADER, overwrite=True)


def test_slices_of_another_name_are_not_replaced(tmp_path):
    save(tmp_path / "femur", ARRAY)
    (tmp_path / "femur").rename(tmp_path / "labels")
    with pytest.raises(OutputError, match=r"femur_0000\.tif, which BONe did not write"):
        create(tmp_path / "labels", HEADER, overwrite=True)
    assert len(list((tmp_path / "labels").iterdir())) == len(ARRAY)


def test_slabs_that_do_not_fit_are_refused(tmp_path):
    with pytest.raises(ValueError, match="expected"), create(tmp_path / "a.tif", HEADER) as writer:
        writer.write(ARRAY[:, :3])
    with pytest.raises(ValueError, match="uint16"), create(tmp_path / "a.tif", HEADER) as writer:
        writer.write(ARRAY.astype(np.uint8))
    with (
        pytest.raises(ValueError, match="has 5 slices; 6 were given"),
        create(tmp_path / "a", HEADER) as writer,
    ):
        writer.write(np.concatenate([ARRAY, ARRAY[:1]]))
    with pytest.raises(ValueError, match="bool cannot be written"):
        create(tmp_path / "a.tif", Header("mask", (2, 2, 2), np.dtype(bool)))
    assert contents(tmp_path) == []


def test_one_slice_at_a_time_and_bool_labels(tmp_path):
    mask = ARRAY > 50
    with create(tmp_path / "mask.tif", Header("mask", mask.shape, np.dtype(np.uint8))) as writer:
        for image in mask:
            writer.write(image)
    np.testing.assert_array_equal(tifffile.imread(tmp_path / "mask.tif"), mask.astype(np.uint8))


@pytest.mark.slow
def test_numbers_in_slice_names_sort_and_are_wide_enough(tmp_path):
    save(tmp_path / "bone", ARRAY)
    assert contents(tmp_path / "bone") == [f"bone_000{z}.tif" for z in range(5)]
    save(tmp_path / "long", np.zeros((10001, 1, 1), np.uint8))
    assert contents(tmp_path / "long")[-1] == "long_10000.tif"


def test_above_4_gb_the_file_is_a_bigtiff(tmp_path):
    """Only the layout is made; the voxels stay a hole in the file."""
    if sys.platform == "win32":
        pytest.skip("the file is only small where the system keeps sparse files")
    header = Header("scan", (2200, 1000, 1000), np.dtype(np.uint16))
    writer = create(tmp_path / "a.tif", header)
    assert isinstance(writer, TiffFileWriter)
    (part,) = tmp_path.iterdir()
    with tifffile.TiffFile(part) as tif:
        assert tif.is_bigtiff
        assert len(tif.pages) == 2200
        assert tif.series[0].shape == (2200, 1000, 1000)
    with pytest.raises(RuntimeError), writer:
        raise RuntimeError
    assert contents(tmp_path) == []


def test_a_disk_that_is_too_small_is_told_before_the_work(tmp_path):
    header = Header("scan", (10**6, 10**4, 10**4), np.dtype(np.uint16))
    for name in NAMES:
        with pytest.raises(OutputError, match=r"needs 186264\.\d\d GiB, but only"):
            create(tmp_path / name, header)
    assert contents(tmp_path) == []


LIMITED = """
import resource, sys
import numpy as np
from bone_backend.errors import OutputError
from bone_backend.volumes.volume import Header, create
limit = 500_000 if sys.argv[1] == "slices" else 20_000_000
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
header = Header("scan", (40, 1000, 1000), np.dtype(np.uint8))
noise = np.random.default_rng(0).integers(0, 255, (1000, 1000), np.uint8)
try:
    with create(sys.argv[1], header, compression=sys.argv[2] or None) as writer:
        for z in range(40):
            writer.write(noise)
except OutputError as fault:
    print(fault)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no limit on the size of files to test with")
@pytest.mark.parametrize(
    ("name", "compression"), [("slices", ""), ("a.tif", ""), ("a.npy", ""), ("a.tif", "zlib")]
)
def test_a_full_disk_is_told_and_nothing_is_left(tmp_path, name, compression):
    """A limit on the size of files stands in for the end of the disk."""
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", LIMITED, name, compression],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "the disk is full, or your quota or the largest allowed file is reached" in done.stdout, (
        done.stderr
    )
    assert contents(tmp_path) == []


def test_a_folder_without_the_right_to_write_is_told(tmp_path):
    fault = output_fault(tmp_path / "a.tif", PermissionError(13, "Permission denied"))
    assert "in which you may write" in str(fault)
    (tmp_path / "file").touch()
    with pytest.raises(OutputError, match="cannot be written"):
        create(tmp_path / "file" / "a.tif", HEADER)
    assert "cannot be written (Input/output error)" in str(
        output_fault(tmp_path, OSError(5, "Input/output error"))
    )


def test_other_compressions_are_refused(tmp_path):
    with pytest.raises(OptionError, match='compression is "lzw"'):
        create(tmp_path / "a.tif", HEADER, compression="lzw")
    with pytest.raises(OptionError, match="not compressed"):
        create(tmp_path / "a.npy", HEADER, compression="zlib")


def _write_forever(path, ready):
    with create(path, HEADER) as writer:
        writer.write(ARRAY[:2])
        ready.set()
        signal.pause()


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.parametrize("name", NAMES)
def test_a_killed_process_leaves_no_file_of_that_name(tmp_path, name):
    context = multiprocessing.get_context("spawn")
    ready = context.Event()
    process = context.Process(target=_write_forever, args=(tmp_path / name, ready))
    process.start()
    assert ready.wait(60)
    process.kill()
    process.join()
    assert not (tmp_path / name).exists()
    assert all(found.startswith(".") and found.endswith(".part") for found in contents(tmp_path))
