"""Chunks that nobody asked for are twice as wide as the patches of the fit."""

import pytest

from bone_backend.inference.chunk_size import choose

PLENTY = 1 << 40


@pytest.mark.parametrize(
    ("patch", "multiple", "least", "edge"),
    [
        (32, 4, 32, 64),
        (64, 32, 32, 128),
        (256, 32, 32, 512),  # the published program's
        (0, 32, 32, 512),  # a model file that does not say it
        (16, 16, 64, 64),  # what the network needs at least
        (20, 16, 32, 48),  # rounded up to the multiple
    ],
)
def test_twice_the_patch_as_the_network_takes_it(patch, multiple, least, edge):
    assert choose(patch, multiple=multiple, least=least, depth=1, free_bytes=PLENTY) == edge


def test_scarce_memory_makes_them_smaller_but_never_smaller_than_the_network_takes():
    edges = [choose(256, multiple=32, least=64, depth=64, free_bytes=1 << n) for n in (40, 34, 32, 20)]
    assert edges == [512, 352, 160, 64]
    assert 352**2 * 64 * 1024 <= 2**34 / 2 < 384**2 * 64 * 1024
