"""Splits by whole scans and subjects."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bone_backend.dataset.split import split_scans
from bone_backend.errors import OptionError


@given(st.lists(st.integers(1, 50), min_size=2, max_size=9), st.floats(0.05, 0.95), st.integers(0, 1000))
def test_no_split_into_whole_scans_is_closer_to_the_asked_share(sizes, share, seed):
    train, validation = split_scans(sizes, share, seed=seed)
    assert sorted(train + validation) == list(range(len(sizes)))
    assert train
    assert validation
    target = share * sum(sizes)
    reached = abs(sum(sizes[i] for i in train) - target)
    every = (c for n in range(1, len(sizes)) for c in itertools.combinations(range(len(sizes)), n))
    assert reached <= min(abs(sum(sizes[i] for i in chosen) - target) for chosen in every) + 1e-9


def test_scans_of_one_subject_stay_together():
    subjects = ["mouse 1", "mouse 1", "mouse 2", "mouse 3", "mouse 3"]
    for seed in range(20):
        train, _ = split_scans([10] * 5, 0.6, seed=seed, subjects=subjects)
        assert (0 in train) == (1 in train)
        assert (3 in train) == (4 in train)


def test_one_subject_cannot_be_split():
    with pytest.raises(OptionError, match="one subject only"):
        split_scans([10, 10], 0.8, seed=1, subjects=["a", "a"])


def test_the_seed_decides_between_equal_splits():
    found = {split_scans([10] * 5, 0.8, seed=seed)[1] for seed in range(40)}
    assert len(found) == 5


def test_twenty_scans_of_one_size_split_sixteen_to_four():
    train, validation = split_scans([7] * 20, 0.8, seed=3)
    assert (len(train), len(validation)) == (16, 4)


def test_many_scans_of_different_sizes_come_close():
    sizes = [1000 + 37 * i * i for i in range(40)]
    train, _ = split_scans(sizes, 0.8, seed=1)
    assert sum(sizes[i] for i in train) / sum(sizes) == pytest.approx(0.8, abs=1e-3)


def test_scans_that_are_named_validate_whatever_their_sizes():
    assert split_scans([1, 50, 3], 0.8, seed=1, named=(2, 1)) == ((2,), (0, 1))
