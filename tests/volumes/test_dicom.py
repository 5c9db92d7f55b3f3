"""DICOM series: what SimpleITK writes is read as SimpleITK reads it; series, gaps and damage are told."""

from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import ScanError
from bone_backend.volumes.medical.dicom import open_dicom, peek_dicom, storage_of
from bone_backend.volumes.volume import create, open_volume, peek

SimpleITK = pytest.importorskip("SimpleITK")
pydicom = pytest.importorskip("pydicom")

SHAPE = (5, 8, 9)
ROWS = np.array([[0.0, 1, 0], [0, 0, -1]])  # along x and along y, in the patient
NORMAL = np.cross(*ROWS)
ORIGIN, STEP = np.array([10.0, -20, 30]), 1.5
REAL = Path(__file__).parents[3] / "shared" / "data" / "clinical"


def written(
    folder,
    array,
    *,
    series="1.2.3",
    positions=None,
    slope="1",
    base="-1024",
    names="s{}.dcm",
    turn=ROWS,
    more=(),
):
    """One file a slice, in an order that the names do not tell."""
    folder.mkdir(exist_ok=True)
    writer = SimpleITK.ImageFileWriter()
    writer.KeepOriginalImageUIDOn()
    normal = np.cross(*turn)
    for z, plane in enumerate(array):
        image = SimpleITK.GetImageFromArray(plane)
        image.SetSpacing((0.5, 0.25))
        place = ORIGIN + normal * STEP * (z if positions is None else positions[z])
        tags = {
            "0008|0060": "MR",
            "0008|0016": "1.2.840.10008.5.1.4.1.1.4",
            "0008|0018": f"{series}.{z}",
            "0020|000e": series,
            "0020|000d": "1.2",
            "0020|0032": "\\".join(f"{n:.6g}" for n in place),
            "0020|0037": "\\".join(f"{n:.6g}" for n in turn.ravel()),
            "0010|0010": "Somebody^Known",
            "0018|0050": "9",  # SliceThickness
        }
        for tag, value in {**tags, **dict(more)}.items():
            image.SetMetaData(tag, value)
        writer.SetFileName(str(folder / names.format((z * 7) % 5)))
        writer.Execute(image)
    return folder


def numbers(dtype=np.int16):
    return np.random.default_rng(4).integers(0, 2000, SHAPE).astype(dtype)


def test_slices_are_sorted_and_spaced_by_their_positions(tmp_path):
    folder = written(tmp_path / "knee", numbers())
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
    image = reader.Execute()
    with open_volume(folder) as volume:
        header = volume.header
        np.testing.assert_array_equal(volume.read(0, 5), SimpleITK.GetArrayFromImage(image))
        np.testing.assert_array_equal(volume.read(0, 5), numbers())
    assert header.voxel_size == pytest.approx((STEP, 0.25, 0.5))
    assert header.voxel_size[::-1] == pytest.approx(image.GetSpacing())
    assert header.origin[::-1] == pytest.approx(image.GetOrigin())
    direction = np.array(image.GetDirection()).reshape(3, 3)
    np.testing.assert_allclose(header.direction, direction[::-1, ::-1].T, atol=1e-6)
    assert peek(folder) == header
    assert (header.name, header.unit, header.format) == ("knee", "mm", "dicom-folder")


def test_labels_of_a_series_lie_on_it_and_tell_nothing_of_the_patient(tmp_path):
    with open_volume(plain_names(written(tmp_path / "knee", numbers()))) as volume:
        with create(tmp_path / "labels.nii.gz", volume.header) as writer:
            writer.write(volume.read(0, 5))
        image = SimpleITK.ReadImage(str(tmp_path / "labels.nii.gz"))
        assert image.GetOrigin() == pytest.approx(volume.header.origin[::-1])
        assert image.GetSpacing() == pytest.approx((0.5, 0.25, STEP))
        assert "Somebody" not in repr(volume.header)


def plain_names(folder):
    """As the clinic names them: without an ending."""
    for path in folder.iterdir():
        path.rename(folder / f"IM-{path.stem}")
    return folder


@pytest.mark.parametrize(("slope", "base", "dtype"), [(1, -1024, "int16"), (0.5, 3, "float32")])
def test_values_are_what_the_slope_makes_of_them(tmp_path, slope, base, dtype):
    folder = written(tmp_path / "ct", numbers())
    for path in folder.iterdir():
        slice_ = pydicom.dcmread(path)
        slice_.RescaleSlope, slice_.RescaleIntercept, slice_.BitsStored, slice_.HighBit = slope, base, 12, 11
        slice_.PixelRepresentation = 0
        slice_.save_as(path)
    with open_volume(folder) as volume:
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        np.testing.assert_allclose(volume.read(0, 5), SimpleITK.GetArrayFromImage(reader.Execute()))
        assert volume.header.dtype == dtype


def test_what_is_no_single_series_is_told(tmp_path):
    folder = written(tmp_path / "gap", numbers(), positions=[0, 1, 2, 4, 5])
    with pytest.raises(ScanError, match=r"s1\.dcm are 3 mm apart, most slices 1\.5 mm"):
        open_volume(folder)
    folder = written(tmp_path / "twice", numbers(), positions=[0, 1, 1, 2, 3])
    with pytest.raises(ScanError, match="are 0 mm apart"):
        open_volume(folder)
    folder = written(tmp_path / "two", numbers())
    written(folder, numbers()[:3], series="1.2.4", names="t{}.dcm")
    with pytest.raises(
        ScanError, match=r"holds 2 series or echoes.*two#0\.1 \(5 files like s0\.dcm, 8 x 9\)"
    ):
        open_volume(folder)
    folder = written(tmp_path / "one", numbers()[:1])
    with pytest.raises(ScanError, match="one slice only"):
        open_volume(folder)


NUMBER, ECHO, TIME, CALLED = "0020|0011", "0018|0086", "0018|0081", "0008|103e"


def several(folder):
    """Series 2 with two echoes, and series 7."""
    for echo, names in ((1, "a{}.dcm"), (2, "b{}.dcm")):
        more = {NUMBER: "2", ECHO: str(echo), TIME: str(10 * echo), CALLED: "knee sag"}
        written(folder, numbers() + echo, names=names, more=more)
    return written(folder, numbers() + 7, series="1.2.9", names="c{}.dcm", more={NUMBER: "7"})


@pytest.mark.parametrize(("word", "added"), [("2.1", 1), ("2.2", 2), ("7", 7), ("1.2.9", 7)])
def test_one_of_several_series_is_chosen(tmp_path, word, added):
    folder = several(tmp_path / "knee")
    with open_dicom(folder, word) as volume:
        np.testing.assert_array_equal(volume.read(0, 5), numbers() + added)
        assert peek_dicom(folder, word) == volume.header
    assert len(storage_of(folder, word).files) == 5


def test_a_path_chooses_the_series(tmp_path):
    folder = several(tmp_path / "knee")
    with open_volume(f"{folder}#2.2") as volume:
        np.testing.assert_array_equal(volume.read(0, 5), numbers() + 2)
        assert volume.header.name == "knee_2.2"
    with pytest.raises(ScanError, match=r"knee#2\.1 \(5 files like a0\.dcm"):
        peek(folder)


@pytest.mark.parametrize("word", ["", "3", "2", "1.2.3"])
def test_what_to_type_is_told_where_it_is_not_clear_which_series(tmp_path, word):
    folder = several(tmp_path / "knee")
    with pytest.raises(ScanError) as told:
        open_dicom(folder, word)
    assert "holds 3 series or echoes. Name the one that you mean: " in str(told.value)
    assert f'{folder}#2.1 (5 files like a0.dcm, "knee sag", 8 x 9)' in str(told.value)
    assert f"{folder}#7 (5 files like c0.dcm, 8 x 9)" in str(told.value)
    assert ("there is no such series" in str(told.value)) == bool(word)


def test_damaged_slices_are_told_by_name(tmp_path):
    folder = written(tmp_path / "cut", numbers())
    data = (folder / "s3.dcm").read_bytes()
    for cut in (140, 200, len(data) // 2, len(data) - 20):
        (folder / "s3.dcm").write_bytes(data[:cut])
        with pytest.raises(ScanError, match=r"s3\.dcm|mm apart"), open_volume(folder) as volume:
            volume.read(0, volume.header.shape[0])


@pytest.mark.skipif(not REAL.is_dir(), reason="the public scans are not beside this checkout")
@pytest.mark.parametrize("name", ["body_ct_dicom", "knee_mr_dicom"])
def test_public_series_are_what_simpleitk_reads(name):
    reader = SimpleITK.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(REAL / name)))
    image = reader.Execute()
    with open_volume(REAL / name) as volume:
        np.testing.assert_array_equal(
            volume.read(0, volume.header.shape[0]), SimpleITK.GetArrayFromImage(image)
        )
        assert volume.header.voxel_size[::-1] == pytest.approx(image.GetSpacing(), rel=1e-5)
        assert volume.header.origin[::-1] == pytest.approx(image.GetOrigin())
