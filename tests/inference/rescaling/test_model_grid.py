"""A scan is labelled on voxels of the model's size, and the labels lie on the scan again."""

import json
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from bone_backend.errors import Cancelled, OptionError, OutputError
from bone_backend.inference.rescaling.model_grid import model_size
from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.progress import Recorder, silent
from bone_backend.volumes.header import Header, LabelClass
from bone_backend.volumes.views.resampled import ResampledVolume
from bone_backend.volumes.volume import create, open_volume, peek, save
from standalone import command

from ...prediction_models import make_model

TURN = ((0.0, 0.0, 1.0), (0.0, -1.0, 0.0), (1.0, 0.0, 0.0))
CLASSES = [
    {"value": 0, "name": "background", "colour": None},
    {"value": 3, "name": "bone", "colour": "#ff8800"},
    {"value": 9, "name": "pores", "colour": None},
]


@pytest.fixture(autouse=True)
def one_thread(monkeypatch, tmp_path):
    monkeypatch.setenv("BONE_CACHE", str(tmp_path / "cache"))
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    told = {"classes": CLASSES, "voxel_size_um": [[40.0, 40.0, 40.0], None]}
    return make_model(tmp_path_factory.mktemp("model") / "m.pth", is_plain=True, bone=told)


def made_scan(path, shape=(8, 90, 70), size=(0.02, 0.02, 0.02)):
    z, y, x = np.meshgrid(*(np.arange(n) for n in shape), indexing="ij")
    greys = (120 + 80 * np.sin(y / 9 + z / 3) * np.cos(x / 7)).astype(np.uint8)
    header = Header("scan", shape, greys.dtype, size, "mm", (1.0, 2.0, 3.0), direction=TURN)
    with create(path, header) as writer:
        writer.write(greys)
    return path


def labelled(scan, model, output, progress=silent, **more):
    values = {"scan": scan, "model": model, "output": output, "device": "cpu", "confidence_threshold": 0}
    return predict(PredictOptions.parse({**values, "axes": "z", **more}), progress=progress)


def header(size, unit="um"):
    return Header("scan", (9, 9, 9), np.dtype("u1"), size, unit)


def told(sizes, mode):
    return SimpleNamespace(bone={"voxel_size_um": sizes}, mode=mode)


@pytest.mark.parametrize(
    ("sizes", "mode", "own", "wanted"),
    [
        ([(40, 40, 40)], "2D", (20, 20, 20), (40, 40, 40)),
        ([(40, 40, 40)], "2D", (90, 20, 20), (90, 40, 40)),  # no cubes: z stays, the model does not see it
        ([(40, 40, 40)], "2D", (90, 40, 40), None),
        ([(40, 40, 40)], "3D", (90, 40, 40), (40, 40, 40)),
        ([(40, 40, 40), (80, 80, 80)], "3D", (20, 20, 20), (40, 40, 40)),  # the nearest that it knows
        ([(40, 40, 40), (80, 80, 80)], "3D", (50, 50, 50), None),
        ([(40, 40, 40)], "3D", (49, 33, 40), None),  # within a quarter
    ],
)
def test_the_size_is_the_nearest_that_the_model_knows(sizes, mode, own, wanted):
    assert model_size([told(sizes, mode)], header(own)) == wanted


def test_what_is_unknown_is_told():
    with pytest.raises(OptionError, match=r"voxel size of scan is unknown. Give it with voxel_size"):
        model_size([told([(40, 40, 40)], "2D")], header(None))
    with pytest.raises(OptionError, match="model does not say on which voxels"):
        model_size([told([None], "2D")], header((20, 20, 20)))


def test_labels_are_those_of_the_coarse_scan_brought_back(tmp_path, model):
    scan = made_scan(tmp_path / "scan.nii.gz")
    found = labelled(scan, model, tmp_path / "labels.nrrd", resample=True, maps=["confidence"])
    with open_volume(scan) as greys:
        save(tmp_path / "coarse.tif", ResampledVolume(greys, (0.04,) * 3))
    labelled(tmp_path / "coarse.tif", model, tmp_path / "between.tif")
    with open_volume(tmp_path / "between.tif") as between, open_volume(found.output) as labels:
        back = ResampledVolume(between, (0.02,) * 3, labels_by="smooth", shape=(8, 90, 70))
        np.testing.assert_array_equal(labels.read(0, 8), back.read(0, 8))
        assert len(np.unique(labels.read(0, 8))) > 1
        assert {str(value): int((labels.read(0, 8) == value).sum()) for value in (0, 3, 9)} == found.voxels
    held, own = peek(found.output), peek(scan)
    assert (held.shape, held.voxel_size_um) == (own.shape, pytest.approx(own.voxel_size_um))
    assert held.origin == pytest.approx(own.origin, abs=1e-6)
    np.testing.assert_allclose(held.direction, own.direction, atol=1e-6)
    assert LabelClass(3, "bone", "#ff8800") in held.classes
    assert [path.name for path in map(type(scan), found.maps)] == ["labels_confidence.nrrd"]
    assert peek(found.maps[0]).shape == own.shape
    names = {path.name for path in tmp_path.iterdir()}
    assert not any("at-model-size" in name for name in names)
    assert not any((tmp_path / "cache" / "resampled").rglob("*.npy"))


def test_the_record_is_of_the_labels_that_were_brought_back(tmp_path, model, capsys):
    scan = made_scan(tmp_path / "scan.tif")
    labelled(scan, model, tmp_path / "labels.tif", resample=True)
    record = json.loads((tmp_path / "labels.tif.record.json").read_text(encoding="utf-8"))
    assert (record["shape"], record["options"]["resample"]) == ([8, 90, 70], True)
    assert record["options"]["scan"].endswith("scan.tif")
    words = [
        "verify",
        str(tmp_path / "labels.tif"),
        "--scan",
        str(scan),
        "--model",
        str(model),
        "--device",
        "cpu",
    ]
    assert command.main([*words, "--whole", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["labels"], found["scan"], found["share"]) == ("the same", "the same", 1.0)


def test_a_scan_of_the_right_size_is_labelled_as_ever(tmp_path, model):
    scan = made_scan(tmp_path / "scan.tif", size=(0.04, 0.04, 0.045))
    labelled(scan, model, tmp_path / "one.tif", resample=True)
    labelled(scan, model, tmp_path / "two.tif")
    assert (tmp_path / "one.tif").read_bytes() == (tmp_path / "two.tif").read_bytes()


def test_the_voxel_size_that_is_given_counts(tmp_path, model):
    save(tmp_path / "scan.npy", np.zeros((4, 70, 70), np.uint8) + np.arange(70, dtype=np.uint8))
    with pytest.raises(OptionError, match=r"is unknown. Give it with voxel_size"):
        labelled(tmp_path / "scan.npy", model, tmp_path / "a.tif", resample=True)
    labelled(tmp_path / "scan.npy", model, tmp_path / "a.tif", resample=True, voxel_size="0.02mm")
    labelled(tmp_path / "scan.npy", model, tmp_path / "b.tif", voxel_size=[20, 20, 20])
    for name in ("a.tif", "b.tif"):
        assert peek(tmp_path / name).voxel_size_um == pytest.approx((20.0,) * 3)
        assert peek(tmp_path / name).shape == (4, 70, 70)


def test_broken_off_it_goes_on_and_leaves_nothing_at_the_end(tmp_path, model):
    scan = made_scan(tmp_path / "scan.tif", shape=(60, 90, 70))
    whole = labelled(scan, model, tmp_path / "whole.tif", resample=True)

    def stop(step, steps, message, figures=None):
        if message.startswith("Labelling slice") and (tmp_path / "labels.tif.at-model-size").exists():
            raise Cancelled

    with pytest.raises(Cancelled):
        labelled(scan, model, tmp_path / "labels.tif", resample=True, progress=stop)
    assert not (tmp_path / "labels.tif").exists()
    found = labelled(scan, model, tmp_path / "labels.tif", resample=True)
    with open_volume(found.output) as one, open_volume(whole.output) as other:
        np.testing.assert_array_equal(one.read(0, 60), other.read(0, 60))
    assert not (tmp_path / "labels.tif.at-model-size").exists()


def test_a_stop_at_any_time_leaves_no_output(tmp_path, model):
    scan = made_scan(tmp_path / "scan.tif")
    recorder = Recorder()
    labelled(scan, model, tmp_path / "whole.tif", resample=True, progress=recorder)
    for count in {
        1,
        len(recorder.reports) // 4,
        len(recorder.reports) // 2,
    }:  # of which some come by the clock
        with pytest.raises(Cancelled):
            labelled(scan, model, tmp_path / "a.tif", resample=True, progress=Recorder(stop_after=count))
        assert not (tmp_path / "a.tif").exists()


def test_what_is_in_the_way_stays(tmp_path, model):
    scan = made_scan(tmp_path / "scan.tif")
    (tmp_path / "a.tif.at-model-size").mkdir()
    (tmp_path / "a.tif.at-model-size" / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(OutputError, match="is in the way, and not BONe's"):
        labelled(scan, model, tmp_path / "a.tif", resample=True)
    assert (tmp_path / "a.tif.at-model-size" / "mine.txt").exists()
    save(tmp_path / "b_confidence.tif", np.zeros((2, 2, 2), np.uint8))
    with pytest.raises(OutputError, match=r"b_confidence\.tif: is already there"):
        labelled(scan, model, tmp_path / "b.tif", resample=True, maps=["confidence"])


def test_at_the_command_line(tmp_path, model, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    made_scan(tmp_path / "scan.tif")
    words = [
        "predict",
        "scan.tif",
        "--model",
        str(model),
        "--device",
        "cpu",
        "--output",
        "a.tif",
        "--resample",
    ]
    assert command.main(words) == 0
    assert "voxels were brought from 20 um to 40 um" in capsys.readouterr().err
