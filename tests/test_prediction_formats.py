"""A prediction from a data set inside a file, into an OME-Zarr, as a person does it on the command line."""

from pathlib import Path

import numpy as np
import pytest

from bone_backend.files.inside import file_of
from bone_backend.options.programs import PredictOptions
from bone_backend.pairing.names import is_mask
from bone_backend.prediction import predict
from bone_backend.volumes.volume import open_volume, peek, save
from standalone import command

from .prediction_models import make_model

CLASSES = [
    {"value": 0, "name": "background"},
    {"value": 1, "name": "bone", "colour": "#e69f00"},
    {"value": 2, "name": "marrow", "colour": "#56b4e9"},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    return make_model(folder / "model.pth", is_plain=True, bone={"classes": CLASSES})


def labels(scan, model, output):
    told = {"scan": str(scan), "model": str(model), "output": str(output), "device": "cpu"}
    predict(PredictOptions.parse(told))
    with open_volume(output) as volume:
        return volume.read(0, volume.header.shape[0]), volume.header


def test_labels_of_a_data_set_are_those_of_the_same_voxels_in_a_tiff(tmp_path, model, capsys):
    h5py = pytest.importorskip("h5py")
    grey = np.random.default_rng(0).integers(0, 9000, (5, 70, 90)).astype(np.uint16)
    save(tmp_path / "a.tif", grey, voxel_size=(3, 2, 2))
    with h5py.File(tmp_path / "a.h5", "w") as file:
        for name, array in (("scan", grey), ("other", grey[:, ::-1])):
            data = file.create_dataset(name, data=array, chunks=(2, 30, 40), compression="gzip")
            data.attrs["element_size_um"] = (3, 2, 2)
    right, _ = labels(tmp_path / "a.tif", model, tmp_path / "right.tif")
    words = ["predict", f"{tmp_path / 'a.h5'}#scan", "--model", str(model), "--device", "cpu"]
    status = command.main([*words, "--output", str(tmp_path / "out.ome.zarr")])
    assert status == 0, capsys.readouterr().err
    with open_volume(tmp_path / "out.ome.zarr") as volume:
        np.testing.assert_array_equal(volume.read(0, 5), right)
        assert volume.header.voxel_size_um == pytest.approx((3, 2, 2))
        assert [(item.value, item.name) for item in volume.header.classes][1:] == [(1, "bone"), (2, "marrow")]
    assert len(np.unique(right)) > 1
    assert peek(tmp_path / "out.ome.zarr#labels/segmentation").classes[1].colour == "#e69f00"


def test_info_tells_of_what_is_chosen_inside_a_file(tmp_path, capsys):
    np.zeros((4, 5, 6), np.uint16).tofile(tmp_path / "a.raw")
    assert command.main(["info", f"{tmp_path / 'a.raw'}#6x5x4,uint16,10um"]) == 0
    told = capsys.readouterr().out
    assert "4 slices x 5 high x 6 wide" in told
    assert "10 um" in told or "10 µm" in told
    assert command.main(["info", str(tmp_path / "a.raw")]) == 1
    assert "a.raw#512x512x300,uint16" in "".join(capsys.readouterr())


def test_a_mask_inside_a_file_is_known_by_its_name(tmp_path):
    path = tmp_path / "femora" / "a.h5"
    path.parent.mkdir()
    path.write_bytes(b"x")
    assert is_mask(Path(f"{path}#/exchange/mask"))
    assert not is_mask(Path(f"{path}#/exchange/data"))
    assert file_of(f"{path}#/exchange/data") == path
