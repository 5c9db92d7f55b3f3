"""What is wrong with a study is told in words before any work begins, all of it at once."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from bone_backend.errors import BoneError, OptionError
from bone_backend.progress import silent
from bone_backend.studies.options import StudyOptions
from bone_backend.studies.plan import make_plan
from bone_backend.study import study
from bone_backend.volumes.volume import save

from .studies import BASE, WORK, options, table, write_study

GOOD = "folds = 2"


def told(path, output):
    with pytest.raises(BoneError) as fault:
        make_plan(options(path, output), known={}, progress=silent)
    assert not output.exists()
    return str(fault.value)


@pytest.mark.parametrize(
    ("top", "base", "more", "wanted"),
    [
        ("folds = 2\nseed = 3", BASE, "", "there is no seed in a study. Did you mean seeds?"),
        ("folds = 1", BASE, "", "folds is 1: input should be greater than or equal to 2"),
        ("folds = 11", BASE, "", "folds is 11, but there are 10 scans, so that a fold would have no scans"),
        ("", BASE, "", "folds is missing: say how many"),
        ("folds = 2\nseeds = []", BASE, "", "seeds is []"),
        (GOOD, BASE + "epoch = 3", "", "base: epoch is no option of a fit. Did you mean epochs?"),
        (GOOD, BASE + 'output = "x"', "", "base: output is given by the study itself; leave it out."),
        (GOOD, "patch_size = 33", "", "patch_size is 33"),
        (GOOD, BASE, "[vary]\nlearning_rate = [0.1, -1]", "learning rate -1: learning_rate is -1"),
        (GOOD, BASE, "[vary]\nlearning_rate = []", "vary.learning_rate has no values"),
        (GOOD, BASE, '[[rows]]\nname = "a"\n[[rows]]\nname = "A"', "A and a"),
        (GOOD, BASE, '[[rows]]\nname = "a"\n[[rows]]\nname = "a"', "two rows are named a"),
        (GOOD, BASE, "[[rows]]\nepochs = 3", "rows, row 1 has no name"),
        (GOOD, BASE, "[vary]\ntraining_scans = [9]", "training_scans is 9, but fold 1 leaves 5"),
        (GOOD, BASE, "[predict]\nchunk = 3", "predict: chunk is no option of a prediction"),
        (GOOD, BASE, "[predict]\nchunk_size = 3", "chunk_size"),
        (GOOD, "architecture = \"Swin\"", "", "base: architecture 'Swin' is not known"),
        (GOOD, "class_weights = 1 = 2", "", "is no valid TOML"),
    ],
)  # fmt: skip
def test_a_faulty_study_file_is_told(tmp_path, ten, top, base, more, wanted):
    path = write_study(tmp_path / "study.toml", table(ten), top=top, base=base, more=more)
    assert wanted in told(path, tmp_path / "out").replace("a and A", "A and a")


@pytest.mark.parametrize(
    ("columns", "top", "wanted"),
    [
        ({"fold": ["1"] * 10}, "", "all scans are in fold 1"),
        ({"fold": ["1", "2"] * 4 + ["", "2"]}, "", "scan_8 has no fold."),
        ({"fold": ["1", "2"] * 5}, "folds = 3", "but the scans tell their folds"),
        ({"pool": ["training"] * 10}, "", "no scan is in the pool test"),
        ({"pool": ["training"] * 9 + ["tests"]}, "", "scans.csv, row 10: pool is tests"),
        ({"colour": ["red"] * 10}, GOOD, "there is no column colour"),
        ({"name": ["a"] * 2 + list("bcdefghi")}, GOOD, "two rows are named a"),
    ],
)
def test_a_faulty_table_of_scans_is_told(tmp_path, ten, columns, top, wanted):
    path = write_study(tmp_path / "study.toml", table(ten, columns), top=top)
    assert wanted in told(path, tmp_path / "out")


def test_a_scan_in_two_folds_a_missing_one_and_a_missing_mask_are_told_together(tmp_path, ten):
    pairs = [*ten[:4], (str(tmp_path / "lost"), ten[4][1]), (ten[0][0], ten[0][1])]
    columns = {"fold": list("112212"), "name": list("abcdef")}
    path = write_study(tmp_path / "study.toml", table(pairs, columns), top="")
    found = told(path, tmp_path / "out")
    assert "scans.csv, row 5: the scan" in found
    assert "a and f are the same scan (folds 1 and 2)" in found
    assert "Give every scan once." in found


def test_faults_of_folds_options_and_rows_are_told_together(tmp_path, ten):
    more = '[[rows]]\nname = "a"\nbackbon = "resnet18"'
    path = write_study(tmp_path / "s.toml", table(ten), top="folds = 11", base="minuts = 3", more=more)
    found = told(path, tmp_path / "out")
    assert "folds is 11" in found
    assert "base: minuts is no option of a fit. Did you mean minutes?" in found
    assert "a: backbon is no option of a fit. Did you mean backbone?" in found


def test_a_mask_of_another_shape_and_a_class_that_no_training_scan_has_are_told(tmp_path, ten):
    other = tmp_path / "mask_other"
    save(other, np.ones((3, 48, 48), np.uint8))
    path = write_study(tmp_path / "study.toml", table([*ten[:3], (ten[3][0], str(other))]))
    assert "pair 4: mask" in told(path, tmp_path / "out")
    rare = np.ones((8, 48, 48), np.uint8)
    rare[0, 0, 0], rare[0, 0, 1], rare[0, 0, 2] = 0, 2, 3
    save(tmp_path / "mask_rare", rare)
    pairs = [*ten[:3], (ten[3][0], str(tmp_path / "mask_rare"))]
    text = table([(s, m) for s, m in pairs], {"fold": list("1212")})
    path = write_study(tmp_path / "study.toml", text, top="", base=BASE + 'class_names = ["3:screw"]')
    shape = told(path, tmp_path / "out")
    assert "holds label 3 screw, which the tested scan_3 does" in shape or "pair 4" in shape


def test_a_folder_of_another_study_or_of_anything_else_is_refused(tmp_path, ten):
    path = write_study(tmp_path / "study.toml", table(ten))
    study(options(path, tmp_path / "out"), work=WORK)
    shutil.copy(path, tmp_path / "other.toml")
    with pytest.raises(BoneError, match="holds another study, 'study'; this one is 'other'"):
        study(options(tmp_path / "other.toml", tmp_path / "out"), work=WORK)
    with pytest.raises(BoneError, match="holds this study itself; --quick needs a folder of its own"):
        study(options(path, tmp_path / "out", quick=True), work=WORK)
    study(options(path, tmp_path / "quick", quick=True), work=WORK)
    with pytest.raises(
        BoneError, match=r"holds the quick trial of this study \(--quick\). Name a new folder"
    ):
        study(options(path, tmp_path / "quick"), work=WORK)
    with pytest.raises(BoneError, match="lies inside the scan scan_0"):
        study(options(path, Path(ten[0][0]) / "out"), work=WORK)
    (tmp_path / "letters").mkdir()
    (tmp_path / "letters" / "dear.txt").write_text("Dear", encoding="utf-8")
    with pytest.raises(BoneError, match=r"holds no study of BONe \(it has dear.txt\)"):
        study(options(path, tmp_path / "letters"), work=WORK)


@pytest.mark.parametrize(
    ("changes", "wanted"),
    [
        ({"cluster": "somewhere"}, "HOST:PORT"),
        ({"cluster": "local:0"}, "HOST:PORT"),
        ({"cluster": "local:2", "at_once": 2}, "a cluster has as many runs at once as workers"),
        ({"at_once": 2}, "needs a process for each run"),
        ({"output": "study.csv"}, "a study is written"),
    ],
)
def test_faults_of_the_options_are_told(tmp_path, changes, wanted):
    values = {"study": "study.toml", "output": str(tmp_path / "out"), "one_process": True, **changes}
    with pytest.raises(OptionError, match=wanted):
        StudyOptions.parse(values)
