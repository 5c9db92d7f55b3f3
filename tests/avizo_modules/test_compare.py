"""BONe IoU: scores of two fields in the panel, in the console, and in a table."""

import csv
from types import SimpleNamespace

import numpy as np
import pytest
from sklearn.metrics import jaccard_score

from bone_backend.avizo.labels import _of_models, material_names, remember_names
from mocks.avizo import BEHAVIOURS, Behaviour, Session

from .steps import open_module, press_by_script

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)
VOXEL = (0.5, 0.25, 1.0)


@pytest.fixture(autouse=True)
def a_new_avizo():
    """No prediction was made in it yet."""
    _of_models.clear()


def two(session, *, classes=3, shape=(9, 8, 7), voxel=VOXEL, seed=0):
    random = np.random.default_rng(seed)
    reference = random.integers(0, classes, shape).astype(np.uint8)
    prediction = np.where(random.random(shape) < 0.7, reference, random.integers(0, classes, shape))
    arrays = reference, prediction.astype(np.uint8)
    fields = [
        session.label_field(array, name=name, voxel_size=voxel)
        for name, array in zip(("reference", "prediction"), arrays, strict=True)
    ]
    return arrays, fields


def connected(session, fields):
    module = open_module(session, "BONe_IoU")
    session.connect(module.ports.reference, fields[0])
    session.connect(module.ports.prediction, fields[1])
    return module


@ALL
def test_scores_are_those_of_scikit_learn(behaviour, tmp_path):
    session = Session(behaviour)
    (reference, prediction), fields = two(session)
    module = connected(session, fields)
    session.pick(module.ports.output, tmp_path / "scores.csv")
    session.pick(module.ports.slices, tmp_path / "slices.csv")
    session.pick(module.ports.page, tmp_path / "scores.html")
    session.press(module.ports.apply)
    expected = jaccard_score(reference.ravel(), prediction.ravel(), average=None)
    for value, iou in enumerate(expected):
        line = getattr(module.ports, f"class{value}")
        assert line.visible
        assert line.label == ["Exterior (0)", "Label 1", "Label 2"][value]
        assert line.text.startswith(f"IoU {iou:.4f}, Dice {2 * iou / (1 + iou):.4f} (")
        assert f"{line.label}: IoU {iou:.4f}" in session.console
    assert module.ports.mean.text.startswith(f"IoU {expected.mean():.4f}, Dice ")
    assert not module.ports.class3.visible
    assert "written: " in module.ports.result.text
    with (tmp_path / "scores.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["class"] for row in rows] == ["0", "1", "2", "mean"]
    with (tmp_path / "slices.csv").open(encoding="utf-8", newline="") as file:
        slices = list(csv.DictReader(file))
    last = jaccard_score(reference[..., -1].ravel(), prediction[..., -1].ravel(), average=None)  # along z
    assert len(slices) == reference.shape[2]
    assert [
        float(slices[-1][f"iou_{name}"]) for name in ("background", "class_1", "class_2")
    ] == pytest.approx(last)
    assert "The worst slices" in (tmp_path / "scores.html").read_text(encoding="utf-8")
    assert float(rows[-1]["iou"]) == pytest.approx(expected.mean())
    assert (session.messages, session.warnings, session.processes) == ([], [], [])


def test_the_same_field_scores_one():
    session = Session()
    _, fields = two(session)
    module = connected(session, [fields[0], fields[0]])
    session.press(module.ports.apply)
    assert module.ports.mean.text == "IoU 1.0000, Dice 1.0000"


def test_scores_of_other_fields_do_not_stay():
    session = Session()
    _, fields = two(session)
    module = connected(session, fields)
    session.press(module.ports.apply)
    session.disconnect(module.ports.prediction)
    assert (module.ports.mean.text, module.ports.class0.text, module.ports.result.text) == ("", "", "")


def test_more_labels_than_lines_are_in_the_console():
    session = Session()
    _, fields = two(session, classes=12)
    module = connected(session, fields)
    session.press(module.ports.apply)
    assert "4 more labels in the console" in module.ports.result.text
    assert "Label 11: IoU" in session.console


def other_field(session, behaviour, **change):
    """The reference of this project, and a prediction that is unlike it, brought into it."""
    from mocks.avizo import current

    _, [reference, _] = two(session)
    _, [_, prediction] = two(Session(behaviour), **change)
    session.project.add(prediction)
    current.register(session)
    prediction._mock_session = session
    return [reference, prediction]


@ALL
def test_a_voxel_size_and_names_that_are_given_count_for_both(behaviour):
    session = Session(behaviour)
    module = connected(session, other_field(session, behaviour, voxel=(0.5, 0.25, 2.0)))
    assert not module.ports.apply.enabled
    session.type(module.ports.voxelSize, "1,0.25,0.5")
    session.type(module.ports.classNames, "1:cortex 2:pores")
    assert module.ports.missing.text == "Press Apply."
    session.press(module.ports.apply)
    assert session.messages == []
    labels = [getattr(module.ports, f"class{n}").label for n in range(3)]
    assert labels[1:] == ["cortex (1)", "pores (2)"]


@ALL
@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"shape": (9, 8, 6)}, "prediction has 9 x 8 x 6 voxels, but reference has 9 x 8 x 7 (x, y, z)."),
        ({"voxel": (0.5, 0.25, 2.0)}, "The voxels of prediction are 0.5 x 0.25 x 2 but those of reference"),
    ],
)
def test_another_geometry_is_told(behaviour, change, told):
    session = Session(behaviour)
    module = connected(session, other_field(session, behaviour, **change))
    assert told in module.ports.missing.text
    assert not module.ports.apply.enabled
    press_by_script(module)
    assert len(session.messages) == 1
    assert told in session.messages[0].text


def test_an_image_is_no_prediction():
    session = Session()
    _, fields = two(session)
    image = session.scalar_field(
        np.random.default_rng(0).random((9, 8, 7)).astype(np.float32), voxel_size=VOXEL
    )
    module = connected(session, [fields[0], image])
    assert "scan has voxels of type float32; labels are whole numbers." in module.ports.missing.text


def test_a_table_that_cannot_be_written_is_one_message(tmp_path):
    session = Session()
    _, fields = two(session)
    module = connected(session, fields)
    module.ports.output.filenames = str(tmp_path / "nowhere" / "scores.csv")
    session.press(module.ports.apply)
    [message] = session.messages
    assert "scores.csv: cannot be written" in message.text
    module.ports.output.filenames = str(tmp_path)
    module.fire()
    assert f"Table is {tmp_path}, which is a folder. Name a file ending in .csv." in module.ports.missing.text


def of_values(session, arrays):
    """As images of whole numbers: Avizo may renumber a label field that has gaps."""
    return [
        session.scalar_field(np.asarray(array, np.uint8), name=name, voxel_size=VOXEL)
        for name, array in zip(("reference", "prediction"), arrays, strict=True)
    ]


BONE = np.random.default_rng(5).integers(0, 2, (9, 8, 7))


@ALL
def test_mapped_and_ignored_labels_are_scored_as_in_the_fit(behaviour):
    session = Session(behaviour)
    mask = np.where(np.arange(7) < 2, 254, BONE * 255)
    module = connected(session, of_values(session, (mask, BONE)))
    session.type(module.ports.mapLabels, "255:1")
    session.type(module.ports.ignoreLabel, "254")
    session.press(module.ports.apply)
    assert module.ports.mean.text == "IoU 1.0000, Dice 1.0000"
    assert not module.ports.class2.visible
    assert "504 voxels in" in module.ports.result.text
    assert "144 of them ignored" in module.ports.result.text
    assert session.messages == []


def test_a_model_file_gives_the_mapping_and_the_names_of_the_classes(tmp_path):
    from mocks.model_files import NETWORK, published

    classes = [{"value": 0, "name": "background"}, {"value": 1, "name": "bone"}]
    told = {"options": {"map_labels": [[255, 1]]}, "classes": classes}
    model = published(tmp_path / "m.pth", **NETWORK, bone=told)
    session = Session()
    module = connected(session, of_values(session, (BONE * 255, BONE)))
    module.ports.model.filenames = str(tmp_path / "nowhere.pth")
    module.fire()
    assert "nowhere.pth, which is no file." in module.ports.missing.text
    session.pick(module.ports.model, model)
    session.press(module.ports.apply)
    assert module.ports.mean.text == "IoU 1.0000, Dice 1.0000"
    assert module.ports.class1.label == "bone (1)"
    assert "map_labels 255:1: taken from the model file m.pth." in session.console


def test_masks_that_share_no_label_get_a_word_in_the_panel():
    session = Session()
    module = connected(session, of_values(session, (BONE * 255, BONE)))
    session.press(module.ports.apply)
    assert "no label in common but background" in module.ports.result.text
    assert "use Map labels 255:1." in module.ports.result.text


def test_labels_have_the_names_of_the_materials_where_it_is_certain_which_is_which():
    session = Session(Behaviour(materials="assignable"))
    _, fields = two(session)
    named = {"Exterior": {"Id": 1}, "Bone": {"Id": 2}, "Pores": {"Id": 3}}
    fields[0].parameters["Materials"] = named
    module = connected(session, fields)
    session.press(module.ports.apply)
    labels = [getattr(module.ports, f"class{n}").label for n in range(3)]
    assert labels == ["Exterior (0)", "Bone (1)", "Pores (2)"]
    assert "Bone (1): IoU 0." in session.console


@pytest.mark.parametrize(
    ("values", "ids"), [((0, 3, 7), (1, 2, 3)), ((0, 1, 2), (1, 2)), ((0, 1), (1, 2, 3)), ((0, 2), (1, 3))]
)
def test_labels_keep_their_numbers_where_materials_could_mean_another(values, ids):
    materials = {f"name{number}": {"Id": number} for number in ids}
    field = SimpleNamespace(parameters={"Materials": materials})
    assert material_names(field, values) == {}
    assert material_names(SimpleNamespace(parameters={}), values) == {}
    assert material_names(SimpleNamespace(), values) == {}


def test_labels_of_a_prediction_have_the_names_of_its_model():
    session = Session()
    _, fields = two(session)
    classes = [
        {"value": 0, "name": "background"},
        {"value": 1, "name": "bone"},
        {"value": 7, "name": "pores"},
    ]
    remember_names(fields[1], classes, {7: 2})  # Avizo has made 2 of 7
    module = connected(session, fields)
    session.press(module.ports.apply)
    labels = [getattr(module.ports, f"class{n}").label for n in range(3)]
    assert labels == ["Exterior (0)", "bone (1)", "pores (2)"]
