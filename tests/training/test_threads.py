"""The number of threads is the fastest that was measured; where a result hangs on it, it stays."""

from __future__ import annotations

import pytest
import torch

from bone_backend.training import threads

from ..test_fitting_in_time import options


@pytest.fixture(autouse=True)
def two_threads():
    with threads.given_back():
        torch.set_num_threads(2)
        yield


@pytest.mark.parametrize(
    ("seconds", "most", "chosen", "tried"),
    [
        ({4: 0.1, 2: 0.2, 1: 0.4}, 4, 4, [4, 2, 1]),
        ({4: 0.8, 2: 0.4, 1: 0.1}, 4, 1, [4, 2, 1]),
        ({2: 0.097, 1: 0.1}, 2, 1, [2, 1]),  # hardly faster: the other core is left to others
        ({6: 0.3, 3: 0.2, 1: 0.25}, 6, 3, [6, 3, 1]),
        ({4: 3.0, 2: 0.1, 1: 0.1}, 4, 4, [4]),  # a long step is not done again and again
    ],
)
def test_the_fastest_number_is_chosen_and_fewer_where_it_is_all_the_same(seconds, most, chosen, tried):
    seen = []

    def step_s():
        seen.append(torch.get_num_threads())
        return seconds[seen[-1]]

    assert threads.fastest(step_s, most=most) == chosen
    assert list(dict.fromkeys(seen)) == tried


@pytest.mark.slow
def test_a_fit_measures_at_its_start_keeps_the_number_where_it_must_and_gives_torch_its_own_back(
    pairs, tmp_path, monkeypatch
):
    from bone_backend.fitting import ready
    from bone_backend.training.distributed import World

    measured = []
    monkeypatch.setattr(threads, "fastest", lambda _, most: measured.append(most) or 1)
    for changes, stored, used, calls in (
        ({"reproducible": True}, 1, 1, 1),
        ({"reproducible": True, "minutes": None}, None, 2, 0),
        ({"threads": 3}, 3, 3, 0),
    ):
        measured.clear()
        chosen = options(pairs, tmp_path / "run", **({"minutes": 5} | changes))
        with ready(chosen, World()) as state:
            assert (state.options.threads, torch.get_num_threads()) == (stored, used), changes
            told = "\n".join(state.told())
            assert f"{used} thread" in told
        assert measured == [2] * calls
        assert torch.get_num_threads() == 2
