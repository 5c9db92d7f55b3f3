"""DLPred: a label field with the scan's geometry, made when it is whole."""

import numpy as np
import pytest

from bone_backend.options.programs import PredictOptions
from bone_backend.prediction import predict
from bone_backend.volumes.lattice import volume_of
from bone_backend.volumes.volume import open_volume, save
from mocks.avizo import BEHAVIOURS, Behaviour, Session
from tests.inference.backends.conftest import forgotten, stand_in, without_nncf  # noqa: F401
from tests.prediction_models import make_model

from .steps import (
    ORIGIN,
    VOXEL,
    add_pair,
    grey_and_labels,
    predict_module,
    press_by_script,
    projects_objects,
    workers_only,
)

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
CLASSES = [
    {"value": 0, "name": "background", "colour": "#000000"},
    {"value": 1, "name": "bone", "colour": "#ff8000"},
    {"value": 2, "name": "small pores", "colour": None},
]


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "femur.pth"
    return make_model(path, classes=3, bone={"classes": CLASSES}, best_val_score=0.9123)


@pytest.fixture(scope="module")
def by_command(tmp_path_factory, model):
    """Labels (x, y, z) of the same scan by way of files."""
    folder = tmp_path_factory.mktemp("files")
    grey, _ = grey_and_labels(1)
    save(folder / "tibia1.tif", grey.transpose(2, 1, 0).copy(), voxel_size=VOXEL[::-1], unit="mm")
    import os

    before = os.environ.get("BONE_CACHE")
    os.environ["BONE_CACHE"] = str(folder / "cache")
    options = {"scan": folder / "tibia1.tif", "model": model, "output": folder / "labels.tif"}
    predict(PredictOptions.parse({**options, "chunk_size": 32, "device": "cpu", "precision": "fp32"}))
    if before is not None:
        os.environ["BONE_CACHE"] = before
    with open_volume(folder / "labels.tif") as labels:
        return labels.read(0, 6).transpose(2, 1, 0)


@ALL
def test_labels_are_those_of_the_command_with_the_scans_box_and_name(behaviour, model, by_command):
    session = Session(behaviour)
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    assert module.ports.missing.text == "Press Apply."
    told = (
        "2D Plain U-Net (8 channels, 3 stages, batch normalisation); 0 background, 1 bone, 2 small pores; "
        "validation IoU 0.912"
    )
    assert module.ports.card.text == told
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    result = module.results[0]
    assert result is session.objects["tibia1.labels"]
    assert result._cpp_classname == "HxUniformLabelField3"
    assert result.bounding_box == scan.bounding_box
    assert result.bounding_box[0] == ORIGIN
    labels = result.get_array()
    assert labels.dtype == np.uint8
    np.testing.assert_array_equal(labels, by_command)
    assert len(np.unique(labels)) > 1
    assert module.ports.result.text.startswith("tibia1.labels: 6 slices in ")
    assert module.ports.classes.text.startswith("0 background ")
    assert "1 bone" in module.ports.classes.text
    assert "BONe DLPred: classes 0 background" in session.console
    assert workers_only(session) == []
    assert len(session.processes) == 1


CLEAN = ("bone:median", "small pores:islands=9", "bone:largest")


@pytest.fixture(scope="module")
def cleaned(tmp_path_factory, model):
    """Labels and confidence (x, y, z) of the same scan by way of files, averaged and cleaned."""
    folder = tmp_path_factory.mktemp("cleaned")
    grey, _ = grey_and_labels(1)
    save(folder / "tibia1.tif", grey.transpose(2, 1, 0).copy(), voxel_size=VOXEL[::-1], unit="mm")
    options = {"scan": folder / "tibia1.tif", "model": model, "output": folder / "by_command.tif"}
    options |= {"chunk_size": 32, "device": "cpu", "precision": "fp32"}
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("BONE_CACHE", str(folder / "cache"))
        more = {"maps": ["confidence"], "average": "flips", "clean": CLEAN}
        predict(PredictOptions.parse({**options, **more}))
    found = []
    for name in ("by_command.tif", "by_command_confidence.tif"):
        with open_volume(folder / name) as volume:
            found.append(volume.read(0, 6).transpose(2, 1, 0))
    return found


@pytest.mark.parametrize(
    "behaviour", [BEHAVIOURS[name] for name in ("plain", "shared memory", "boxes errors")]
)
def test_averaging_and_cleaning_are_those_of_the_command_and_confidence_is_a_second_field(
    behaviour, model, cleaned
):
    labels, sure = cleaned
    session = Session(behaviour)
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    session.select(module.ports.average, "flips")
    session.type(module.ports.clean, ", ".join(CLEAN))
    session.select(module.ports.confidence, "on")
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    made, beside = module.results
    np.testing.assert_array_equal(made.get_array(), labels)
    np.testing.assert_array_equal(beside.get_array(), sure)
    assert beside is session.objects["tibia1.confidence"]
    assert beside._cpp_classname == "HxUniformScalarField3"
    assert (beside.bounding_box, beside.get_array().dtype) == (scan.bounding_box, np.uint8)
    assert len(np.unique(sure)) > 5
    assert "tibia1.confidence: how sure it was of each voxel" in module.ports.result.text
    assert "Cleaned bone:median: " in module.ports.result.text

    session.press(module.ports.apply)  # both in place
    assert list(module.results) == [made, beside]
    session.select(module.ports.confidence, "off")
    session.press(module.ports.apply)
    assert list(module.results) == [made]  # that of before belongs to other labels now
    assert session.objects["tibia1.confidence"] is beside
    assert "confidence:" not in module.ports.result.text
    assert session.messages == []


def test_a_wrong_step_of_cleaning_is_told_in_the_panel(model):
    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.type(module.ports.clean, "bone:larges")
    assert "what is done must be one of" in module.ports.missing.text
    assert not module.ports.apply.enabled
    session.type(module.ports.clean, "bonne:largest")
    session.press(module.ports.apply)
    assert "the model knows no class bonne" in session.messages[-1].text


def test_int8_is_chosen_in_the_panel_and_its_result_says_that_it_is_approximate(model, stand_in):  # noqa: F811
    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.select(module.ports.precision, "int8")
    session.select(module.ports.backend, "torch")
    told = (
        "Precision is int8, which OpenVINO computes, but Backend is torch. Use Backend auto, or Precision "
        "auto."
    )
    assert module.ports.missing.text == told
    session.select(module.ports.backend, "auto")
    session.press(module.ports.apply)
    assert session.messages == []
    assert module.results[0].get_array().any()
    assert "tibia1: INT8 is approximate: in " in module.ports.result.text


def test_without_nncf_the_panel_says_what_installs_it(model, without_nncf):  # noqa: F811
    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.select(module.ports.precision, "int8")
    session.press(module.ports.apply)
    assert "Precision is int8, but the Python package nncf is not installed" in session.messages[-1].text
    assert "bootstrap.py worker --int8" in session.messages[-1].text
    assert module.results == [] or module.results[0] is None


def test_the_result_is_made_anew_in_place_and_kept_for_another_scan(model):
    session = Session()
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    session.press(module.ports.apply)
    first = module.results[0]
    session.type(module.ports.confidenceThreshold, 1.0)
    session.press(module.ports.apply)
    assert module.results[0] is first
    assert (first.get_array() == 0).all()
    other, _ = add_pair(session, 2)
    session.connect(module.ports.scan, other)
    session.press(module.ports.apply)
    assert module.results[0].name == "tibia2.labels"
    assert session.objects["tibia1.labels"] is first
    assert len(projects_objects(session)) == 6
    assert (session.messages, session.warnings) == ([], [])


@ALL
def test_materials_have_names_and_colours_by_way_of_an_amira_mesh(behaviour, model, tmp_path, by_command):
    session = Session(behaviour)
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    session.pick(module.ports.amiraMesh, tmp_path / "tibia")
    session.press(module.ports.apply)
    assert (session.messages, session.warnings) == ([], [])
    result = module.results[0]
    assert result is session.objects["tibia.am"]
    np.testing.assert_array_equal(result.get_array(), by_command)
    assert np.allclose(result.bounding_box, scan.bounding_box)
    materials = result._mock_material_dict()
    assert {name: entry["Id"] for name, entry in materials.items()} == {
        "Exterior": 1,
        "bone": 2,
        "small_pores": 3,
    }
    assert materials["bone"]["Color"] == pytest.approx([1, 0.502, 0], abs=1e-3)
    assert (tmp_path / "tibia.am").is_file()


def test_an_amira_mesh_is_replaced_only_when_allowed(model, tmp_path):
    session = Session()
    (tmp_path / "old.am").write_text("mine")
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.pick(module.ports.amiraMesh, tmp_path / "old.am")
    told = "old.am: is already there. Choose another name, or allow it with Overwrite."
    assert told in module.ports.missing.text
    assert not module.ports.apply.enabled
    session.select(module.ports.overwrite, "on")
    session.press(module.ports.apply)
    assert session.messages == []
    assert module.results[0].name == "old.am"


def test_labels_that_avizo_renumbers_are_told(tmp_path):
    classes = [
        {"value": value, "name": name} for value, name in ((0, "background"), (3, "bone"), (7, "pores"))
    ]
    model = make_model(tmp_path / "m.pth", classes=3, bone={"classes": classes})
    session = Session(Behaviour(label_values="renumbered"))
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    session.press(module.ports.apply)
    assert sorted(np.unique(module.results[0].get_array())) == [0, 1, 2]
    assert "3 bone" in module.ports.classes.text
    assert "(Avizo has renumbered it 1)" in module.ports.classes.text
    assert "(Avizo has renumbered it 2)" in module.ports.classes.text
    plain = Session()
    module = predict_module(plain, add_pair(plain, 1)[0], model)
    plain.press(module.ports.apply)
    assert sorted(np.unique(module.results[0].get_array())) == [0, 3, 7]
    assert "renumbered" not in module.ports.classes.text


@pytest.mark.parametrize("dtype", ["uint8", "uint16", "int16", "float32"])
def test_scans_of_every_type_are_labelled(dtype, model):
    session = Session()
    grey, _ = grey_and_labels(1, dtype=dtype)
    scan = session.scalar_field(grey, name="scan", voxel_size=VOXEL)
    module = predict_module(session, scan, model)
    session.press(module.ports.apply)
    assert session.messages == []
    assert module.results[0].get_array().shape == grey.shape


def test_chunk_depth_appears_for_a_3d_model(tmp_path, model):
    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    assert not module.ports.chunkDepth.visible
    solid = make_model(tmp_path / "solid.pth", classes=2, is_3d=True, is_plain=False)
    session.pick(module.ports.model, solid)
    assert module.ports.chunkDepth.visible
    assert module.ports.card.text.startswith("3D U-Net, resnet18; 0 ")


@ALL
def test_what_is_missing_is_told(behaviour, tmp_path, model):
    session = Session(behaviour)
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.disconnect(module.ports.scan)
    assert module.ports.missing.text == "Connect the scan to be labelled."
    press_by_script(module)
    assert session.messages == [("error", "Connect the scan to be labelled.")]
    float64 = session.scalar_field(np.zeros((4, 4, 4)), name="double")
    session.connect(module.ports.scan, float64)
    assert "double has voxels of type float64; BONe takes uint8" in module.ports.missing.text


@pytest.mark.parametrize("content", [b"", b"no model at all", None])
def test_a_file_that_is_no_model_is_told_in_the_panel_and_in_one_message(tmp_path, content, model):
    session = Session()
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    path = tmp_path / "wrong.pth"
    if content is None:
        module.ports.model.filenames = str(path)
        module.fire()
    else:
        path.write_bytes(content)
        session.pick(module.ports.model, path)
    assert "wrong.pth" in module.ports.missing.text
    press_by_script(module)
    assert len(session.messages) == 1
    assert module.results[0] is None
    assert "Traceback" not in session.console
    session.pick(module.ports.model, model)
    session.press(module.ports.apply)
    assert len(session.messages) == 1
    assert module.results[0].name == "tibia1.labels"


@ALL
def test_stop_leaves_the_project_as_it_was(behaviour, model):
    session = Session(behaviour)
    module = predict_module(session, add_pair(session, 1)[0], model)
    before = projects_objects(session)
    session.interrupt_after(2)
    session.press(module.ports.apply)
    assert module.results[0] is None
    assert projects_objects(session) == before
    assert module.ports.result.text == "Stopped; the project is as it was."
    assert session.messages == []
    session.interrupt_after()
    session.press(module.ports.apply)
    assert module.results[0].name == "tibia1.labels"


def test_a_field_that_avizo_does_not_take_leaves_nothing_half_made(model, monkeypatch):
    from bone_backend.avizo.host import Host

    class Broken:
        name = ""
        _cpp_classname = "HxUniformLabelField3"

        def set_array(self, labels):
            raise TypeError("no memory for labels")

    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    monkeypatch.setattr(Host, "new_label_field", lambda self: Broken())
    session.press(module.ports.apply)
    [message] = session.messages
    assert "BONe has met a fault of its own: TypeError: no memory for labels" in message.text
    assert "Traceback" in session.console
    assert module.results[0] is None
    assert projects_objects(session) == ["tibia1", "tibia1-labels"]


@pytest.mark.slow
def test_the_worker_gives_the_same_labels(model, by_command):
    session = Session()
    module = predict_module(session, add_pair(session, 1)[0], model)
    session.select(module.ports.runInWorker, "on")
    session.press(module.ports.apply)
    assert session.messages == []
    np.testing.assert_array_equal(module.results[0].get_array(), by_command)
    assert workers_only(session) == []


@pytest.mark.parametrize(
    ("unit", "chosen", "expected"),
    [("mm", "from Avizo", 20.0), ("", "from Avizo", None), ("", "mm", 20.0), ("mm", "unknown", None)],
)
def test_the_unit_is_avizos_or_the_users_or_unknown(unit, chosen, expected, model):
    session = Session(Behaviour(unit=unit))
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    session.select(module.ports.detail, "Advanced")
    session.select(module.ports.unit, chosen)
    with session.running():
        found, factor = module.door.unit()
    header = volume_of(scan.get_array(), scan.bounding_box, name="x", unit=found, scale=factor).header
    size = header.voxel_size_um
    assert (None if size is None else pytest.approx(size[2])) == expected


def test_a_scan_of_another_voxel_size_is_told_before_and_after(tmp_path):
    sizes = [(50.0, 60.0, 40.0)]  # z, y, x in um, twice that of the scan in its plane
    model = make_model(tmp_path / "coarse.pth", bone={"classes": CLASSES, "voxel_size_um": sizes})
    session = Session(next(b for b in BEHAVIOURS.values() if b.unit == "mm"))
    scan, _ = add_pair(session, 1)
    module = predict_module(session, scan, model)
    told = "the model was fitted on voxels of 60 x 40 um (y, x), this scan has 30 x 20 um (y, x)"
    assert told in module.ports.card.text
    session.press(module.ports.apply)
    assert told in module.ports.result.text
    assert session.messages == []
