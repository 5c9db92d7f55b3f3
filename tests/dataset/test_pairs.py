"""Two scans never share a name, whatever their files and folders are called."""

from pathlib import Path

import pytest

from bone_backend.pairing.names import unique_names
from bone_backend.volumes.volume import volume_name


def test_a_file_loses_the_ending_of_its_format_and_nothing_else(tmp_path):
    names = {
        "femur.tif": "femur",
        "femur.TIFF": "femur",
        "femur.ome.tif": "femur",
        "femur_1.5um.tif": "femur_1.5um",
        "femur.1.npy": "femur.1",
        "femur.ome": "femur.ome",
        ".tif": ".tif",
    }
    for file, name in names.items():
        assert volume_name(tmp_path / file) == name


def test_a_folder_keeps_its_whole_name(tmp_path, monkeypatch):
    for name in ("femur.1", "scan_1.5um", "rec.tif", "a.b.npy"):
        (tmp_path / name).mkdir()
        assert volume_name(tmp_path / name) == name
    monkeypatch.chdir(tmp_path / "femur.1")
    assert volume_name(Path()) == "femur.1"
    assert volume_name(Path("../femur.1/..")) == tmp_path.name


@pytest.mark.parametrize(
    ("paths", "names"),
    [
        (["femur.1/", "femur.2/"], ["femur.1", "femur.2"]),
        (["femur_1.5um/", "femur_1.7um/"], ["femur_1.5um", "femur_1.7um"]),
        (["scan.v1.tif", "scan.v2.tif"], ["scan.v1", "scan.v2"]),
        (["a/scan.tif", "b/scan.tif"], ["a/scan", "b/scan"]),
        (["a.1/scan.tif", "a.2/scan.tif"], ["a.1/scan", "a.2/scan"]),
        (["a/x/scan/", "b/x/scan/", "c/y/scan/"], ["a/x/scan", "b/x/scan", "c/y/scan"]),
        (["a/scan.tif", "a/scan.npy"], ["scan.tif", "scan.npy"]),
        (["scan.ome.tif", "scan.tif", "b/scan.tif"], ["here/scan.ome.tif", "here/scan.tif", "b/scan.tif"]),
        (["scan.tif", "../here/b/../scan.tif"], ["scan.tif (1)", "scan.tif (2)"]),
        (["scan.tif", "../scan.tif"], ["here/scan", "{parent}/scan"]),
        (["scan", "scan.tif"], ["scan", "scan.tif"]),
    ],
)
def test_scans_are_told_apart(tmp_path, monkeypatch, paths, names):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for path in paths:
        if path.endswith("/"):
            Path(path).mkdir(parents=True)
    assert unique_names([Path(path) for path in paths]) == [
        name.format(parent=tmp_path.name) for name in names
    ]


def test_every_scan_has_a_name_also_at_the_root():
    assert unique_names([]) == []
    assert len(set(unique_names([Path("/"), Path("/a"), Path("/b/a")]))) == 3
