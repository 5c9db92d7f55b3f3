"""What is wrong with the connections is told in words, before any work."""

import numpy as np
import pytest

from mocks.avizo import BEHAVIOURS, Session

from .steps import (
    ORIGIN,
    VOXEL,
    add_pair,
    connect_pairs,
    open_advanced,
    open_module,
    press_by_script,
    projects_objects,
    settle,
)

ALL = pytest.mark.parametrize("behaviour", BEHAVIOURS.values(), ids=BEHAVIOURS)


def module_with(session, tmp_path, pairs=2, **given):
    module = open_module(session, "BONe_DLFit")
    connect_pairs(session, module, [add_pair(session, n, **given) for n in range(1, pairs + 1)])
    settle(session, module, tmp_path / "run")
    return module


def apply_and_read(session, module, tmp_path):
    """The one message that comes where a script presses Apply on a module that cannot work."""
    before = projects_objects(session)
    assert not module.ports.apply.enabled
    press_by_script(module)
    [message] = session.messages
    assert message.kind == "error"
    assert message.text.split("\n")[0] in module.ports.missing.text
    assert (session.processes, session.progress_log, projects_objects(session)) == ([], [], before)
    assert not (tmp_path / "run").exists()
    assert "Traceback" not in session.console
    return message.text


@ALL
def test_the_next_pair_appears_when_the_last_is_connected(behaviour):
    session = Session(behaviour)
    module = open_module(session, "BONe_DLFit")

    def pairs_shown():
        return [n for n in range(1, 21) if getattr(module.ports, f"scan{n}").visible]

    assert pairs_shown() == [1, 2]
    scan, mask = add_pair(session, 1)
    session.connect(module.ports.scan1, scan)
    assert pairs_shown() == [1, 2]
    session.connect(module.ports.mask1, mask)
    scan, mask = add_pair(session, 2)
    session.connect(module.ports.scan2, scan)
    assert pairs_shown() == [1, 2]
    session.connect(module.ports.mask2, mask)
    assert pairs_shown() == [1, 2, 3]
    session.select(module.ports.detail, "Advanced")
    session.select(module.ports.showAllPairs, "on")
    assert pairs_shown() == list(range(1, 21))


@ALL
def test_everything_in_order_is_told_with_an_estimate(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path, pairs=3)
    assert module.ports.missing.text == "Press Apply."
    assert ": 12 patches in 3 batches an epoch." in module.ports.estimate.text
    assert "Validates on tibia1." in module.ports.estimate.text  # slabs of so few slices teach nothing
    session.type(module.ports.subjects, "a, a, b")
    assert "Fits on tibia1, tibia2: 12 patches" in module.ports.estimate.text
    assert "Validates on tibia3." in module.ports.estimate.text
    assert session.warnings == []


def test_a_split_that_cannot_judge_or_teach_is_told_with_the_estimate(tmp_path):
    session = Session()
    module = open_module(session, "BONe_DLFit")
    scans = [add_pair(session, n)[0] for n in (1, 2)]
    labels = [np.zeros((48, 40, 6), np.uint8) for _ in scans]
    labels[0][10:30, 8:28] = 1
    masks = [
        session.label_field(array, name=f"mask{n}", voxel_size=VOXEL, origin=ORIGIN)
        for n, array in enumerate(labels, start=1)
    ]
    connect_pairs(session, module, zip(scans, masks, strict=True))
    settle(session, module, tmp_path / "run")
    session.type(module.ports.validationPairs, "2")
    assert "No validation scan (tibia2) holds class 1" in module.ports.estimate.text
    session.type(module.ports.validationPairs, "1")
    assert "training scans (tibia2) hold nothing but background" in module.ports.estimate.text
    session.press(module.ports.apply)
    [message] = session.messages
    assert "training scans (tibia2) hold nothing but background" in message.text
    assert not (tmp_path / "run").exists()


@ALL
def test_disconnecting_in_the_middle_is_told(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path, pairs=3)
    session.disconnect(module.ports.scan2)
    assert "Pair 2 has no scan: connect the scan that belongs to tibia2-labels." in module.ports.missing.text
    session.disconnect(module.ports.mask2)
    told = apply_and_read(session, module, tmp_path)
    assert told.startswith("Pair 2 is empty, but pair 3 is connected.")


@ALL
def test_a_field_that_is_deleted_in_the_project_is_told(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path)
    session.remove(session.objects["tibia2"])
    assert "Pair 2 has no scan" in apply_and_read(session, module, tmp_path)


def test_a_scan_without_mask_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.disconnect(module.ports.mask1)
    told = apply_and_read(session, module, tmp_path)
    assert told == "Pair 1 has no mask: connect the mask that belongs to tibia1."


def test_too_few_pairs_are_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path, pairs=0)
    assert apply_and_read(session, module, tmp_path) == "Connect at least one scan with its mask."
    connect_pairs(session, module, [add_pair(session, 1)])
    assert "too few to keep some back for validation" in module.ports.missing.text
    session.select(module.ports.validation, "scans")
    assert "validation on whole scans needs at least two" in module.ports.missing.text


@ALL
def test_swapped_scan_and_mask_are_told(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path)
    scan, mask = session.objects["tibia1"], session.objects["tibia1-labels"]
    if not behaviour.labels_match_scalar:
        pytest.skip("this Avizo does not let a label field be connected as a scan")
    session.connect(module.ports.scan1, mask)
    session.connect(module.ports.mask1, scan)
    told = apply_and_read(session, module, tmp_path)
    assert told == "Pair 1: tibia1-labels is a label field and tibia1 is an image; scan and mask are swapped."


def test_swapped_images_are_told_before_anything_is_fitted(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.connect(module.ports.mask1, session.objects["tibia1"])
    grey = np.random.default_rng(0).integers(0, 2, (48, 40, 6)).astype(np.uint8)
    session.connect(module.ports.scan1, session.scalar_field(grey, name="binary", voxel_size=VOXEL))
    session.press(module.ports.apply)
    [message] = session.messages
    assert "tibia1 holds" in message.text
    assert "which looks like a scan and not like a mask" in message.text
    assert "tibia1 holds" in module.ports.result.text
    assert session.processes == []
    assert not (tmp_path / "run").exists()


@ALL
def test_the_same_field_twice_is_told(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path, pairs=3)
    session.connect(module.ports.scan3, session.objects["tibia1"])
    told = apply_and_read(session, module, tmp_path)
    assert told == "tibia1 is the scan of pairs 1 and 3. Connect every scan once."


def test_a_scan_as_its_own_mask_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.connect(module.ports.mask2, session.objects["tibia2"])
    assert "Pair 2 has the same field as scan and mask: tibia2." in apply_and_read(session, module, tmp_path)


def test_a_mask_twice_is_a_note_and_no_fault(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.connect(module.ports.mask2, session.objects["tibia1-labels"])
    assert module.ports.missing.text == "Press Apply."
    assert "tibia1-labels is the mask of pair 1 and of pair 2." in module.ports.estimate.text


def test_another_lattice_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.connect(module.ports.mask2, add_pair(session, 9, shape=(48, 40, 5))[1])
    told = apply_and_read(session, module, tmp_path)
    assert "Pair 2: mask tibia9-labels is 5 x 40 x 48 but its scan tibia2 is 6 x 40 x 48" in told


def test_another_voxel_size_is_told_though_no_unit_is_known(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    labels = np.zeros((48, 40, 6), np.uint8)
    field = session.label_field(labels, name="other", voxel_size=(0.02, 0.03, 0.06))
    session.connect(module.ports.mask2, field)
    told = apply_and_read(session, module, tmp_path)
    assert "the voxels of other are 0.02 x 0.03 x 0.06 but those of tibia2 are 0.02 x 0.03 x 0.05" in told


def test_a_scan_of_a_type_that_networks_do_not_take_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    grey = np.random.default_rng(0).random((48, 40, 6))
    session.connect(module.ports.scan1, session.scalar_field(grey, name="float", voxel_size=VOXEL))
    told = apply_and_read(session, module, tmp_path)
    assert "Pair 1: scan float has voxels of type float64; a scan is uint8, uint16, int16 or float32" in told


@ALL
def test_masks_with_different_classes_are_told_with_what_mends_them(behaviour, tmp_path):
    session = Session(behaviour)
    module = module_with(session, tmp_path)
    labels = np.zeros((48, 40, 6), np.uint8)
    labels[10:30] = 255
    field = session.label_field(labels, name="binary", voxel_size=VOXEL)
    session.connect(module.ports.mask2, field)
    if behaviour.label_values == "renumbered":
        pytest.skip("this Avizo has made 1 of 255")
    session.press(module.ports.apply)
    [message] = session.messages
    assert "mask labels are 0, 1, 255; they must run 0, 1, 2 ... without gaps" in message.text
    assert "Map labels" in message.text
    assert "binary: 0, 255" in message.text
    assert session.processes == []
    assert not (tmp_path / "run").exists()


def test_a_patch_larger_than_a_scan_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.type(module.ports.patchSize, "96")
    told = apply_and_read(session, module, tmp_path)
    assert "Patch size is 96 but scan tibia1 is 40 x 48 px; the largest that fits is 40." in told


def test_a_scan_that_no_patch_fits_into_is_told_and_auto_chooses_nothing(tmp_path):
    session = Session()
    module = module_with(session, tmp_path, shape=(48, 7, 6))
    session.type(module.ports.patchSize, "auto")
    assert "Patches of" not in module.ports.estimate.text
    told = apply_and_read(session, module, tmp_path)
    assert "scan tibia1 is 7 x 48 px, less than half of the smallest patch of this network (16 px)." in told


def test_a_save_folder_that_is_taken_is_told(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    (tmp_path / "notes").mkdir()
    (tmp_path / "notes" / "thesis.txt").touch()
    session.pick(module.ports.output, tmp_path / "notes")
    told = apply_and_read(session, module, tmp_path)
    assert "is not empty and holds no run of BONe (it has thesis.txt)" in told


@pytest.mark.parametrize(
    ("text", "told"),
    [("a, b, c", "Subjects names 3, but there are 2 pairs"), ("a, a", "")],
)
def test_subjects_are_checked(tmp_path, text, told):
    session = Session()
    module = module_with(session, tmp_path)
    session.type(module.ports.subjects, text)
    message = apply_and_read(session, module, tmp_path)
    assert told in message
    if not told:
        assert "subject" in message


def test_an_empty_field_is_no_field(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    from mocks.avizo.things.fields import HxRegScalarField3

    empty = HxRegScalarField3("HxUniformScalarField3", "empty")
    session.project.add(empty)
    session.connect(module.ports.scan2, empty)
    assert "Pair 2 has no scan" in apply_and_read(session, module, tmp_path)


def test_a_fault_is_told_once_and_the_module_goes_on(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    mask = module.ports.mask1.source()
    session.disconnect(module.ports.mask1)
    press_by_script(module)
    assert len(session.messages) == 1
    session.connect(module.ports.mask1, mask)
    assert module.ports.apply.enabled
    assert module.ports.missing.text == "Press Apply."
    assert len(session.messages) == 1


@pytest.mark.parametrize(
    ("port", "text", "told"),
    [
        ("validationPairs", "5", "Validation pairs names 5, but there are 2 pairs."),
        ("validationPairs", "1, 2", "Validation pairs names all pairs; leave at least one for training."),
        ("scanWeights", "1, 2, 3", "Scan weights has 3 numbers for 2 pairs"),
        ("scanWeights", "0, 0", "Scan weights are all 0; at least one scan must be visited."),
        ("mapLabels", "1:2, 1:3", "Map labels names 1 twice"),
    ],
)
def test_faults_of_options_that_speak_of_pairs_are_told_and_apply_is_not_green(tmp_path, port, text, told):
    session = Session()
    module = module_with(session, tmp_path)
    assert module.ports.apply.enabled
    session.select(module.ports.detail, "Advanced")
    session.type(getattr(module.ports, port), text)
    assert told in module.ports.missing.text.replace("\n", " ")
    assert not module.ports.apply.enabled
    session.type(getattr(module.ports, port), "")
    assert module.ports.missing.text == "Press Apply."
    assert module.ports.apply.enabled


def test_faults_of_the_pairs_are_told_once(tmp_path):
    session = Session()
    module = module_with(session, tmp_path)
    session.connect(module.ports.mask2, session.objects["tibia2"])
    assert module.ports.missing.text.count("tibia2") == 1


@ALL
@pytest.mark.parametrize("name", ["BONe_DLFit", "BONe_DLPred", "BONe_IoU"])
def test_apply_of_an_untouched_module_cannot_be_pressed_and_says_why(behaviour, name):
    session = Session(behaviour)
    module = open_module(session, name)
    module.fire()
    assert not module.ports.apply.enabled
    assert module.ports.apply.visible
    assert "Connect" in module.ports.missing.text
    with pytest.raises(RuntimeError, match="disabled"):
        session.press(module.ports.apply)


def test_more_faults_than_lines_are_counted(tmp_path):
    session = Session()
    module = open_advanced(session, "BONe_DLFit")
    for number in range(1, 12):
        session.select(module.ports.showAllPairs, "on")
        session.connect(getattr(module.ports, f"scan{number}"), add_pair(session, number)[0])
    lines = module.ports.missing.text.split("\n")
    assert len(lines) == 9
    assert lines[-1] == "... and 4 more, told when these are mended."
