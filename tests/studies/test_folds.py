"""Parting scans: whole subjects, no fold empty, as even as can be; leaks, and how they are mended."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.errors import OptionError
from bone_backend.studies import folds
from bone_backend.studies.scans import StudyScan


def scan(name, subject=None, fold="", pool=""):
    return StudyScan(name, Path(f"{name}.tif"), Path(f"{name}_mask.tif"), subject, fold, pool)


@given(
    st.lists(st.tuples(st.integers(1, 5), st.integers(1, 500)), min_size=2, max_size=30),
    st.integers(2, 6),
    st.integers(0, 99),
)
def test_each_scan_is_tested_once_and_no_subject_is_in_two_folds(drawn, count, seed):
    scans = [scan(f"s{i}", f"animal {animal}") for i, (animal, _) in enumerate(drawn)]
    sizes = [size for _, size in drawn]
    subjects = len({animal for animal, _ in drawn})
    if subjects < count:
        with pytest.raises(OptionError, match=rf"there are {subjects} subjects"):
            folds.part(scans, count, sizes=sizes, seed=seed)
        return
    found = folds.part(scans, count, sizes=sizes, seed=seed)
    assert len(found) == count
    assert sorted(name for fold in found for name in fold.test) == sorted(one.name for one in scans)
    assert all(sorted((*fold.test, *fold.fitted)) == sorted(one.name for one in scans) for fold in found)
    assert folds.leaks(scans, found) == {}


def test_folds_are_even_in_patches_and_the_seed_draws_them():
    scans = [scan(f"s{i}") for i in range(10)]
    sizes = [100, 100, 100, 100, 100, 50, 50, 50, 50, 50]
    made = {seed: folds.deal(scans, 5, sizes=sizes, seed=seed) for seed in range(4)}
    for numbers in made.values():
        totals = [
            sum(s for one, s in zip(scans, sizes, strict=True) if numbers[one.name] == f) for f in range(5)
        ]
        assert totals == [150] * 5
    assert made[0] == folds.deal(scans, 5, sizes=sizes, seed=0)
    assert len({tuple(numbers.values()) for numbers in made.values()}) > 1


def test_a_subject_in_two_folds_is_seen_and_mended():
    scans = [scan("a", "rat", "1"), scan("b", "rat", "2"), scan("c", None, "2"), scan("d", "cat", "3")]
    found = folds.part(scans, "given", sizes=[1] * 4, seed=0)
    assert folds.leaks(scans, found) == {"rat": ("a", "b")}
    mended = folds.mended(scans, found)
    assert [(fold.name, fold.test) for fold in mended] == [
        ("by subject 1", ("a", "b")),
        ("by subject 2", ("c",)),
    ]
    assert folds.leaks(scans, mended) == {}


def test_fewer_training_scans_are_among_the_more():
    scans = [scan(f"s{i}") for i in range(9)]
    fold = folds.Fold("1", ("s0",), tuple(f"s{i}" for i in range(1, 9)))
    drawn = [set(folds.limited(fold, scans, count, seed=4)) for count in (1, 2, 4, 8)]
    assert [len(one) for one in drawn] == [1, 2, 4, 8]
    assert drawn[0] < drawn[1] < drawn[2] < drawn[3]


def test_pools_are_one_fold():
    scans = [scan("a", pool="training"), scan("b", pool="validation"), scan("c", pool="test")]
    (found,) = folds.part(scans, None, sizes=[1] * 3, seed=0)
    assert (found.fitted, found.validation, found.test) == (("a", "b"), ("b",), ("c",))
