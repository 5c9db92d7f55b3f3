"""What learns: an epoch whose batches are too small to normalise over is refused before anything is made."""

from __future__ import annotations

import pytest

from bone_backend.errors import OptionError
from bone_backend.jobs.ranks import Rank
from bone_backend.options.programs import FitOptions
from bone_backend.training.distributed import World
from bone_backend.training.learner import check_batches


@pytest.mark.parametrize(
    ("patches", "size", "words"),
    [
        (7, 4, "batches of an epoch are smaller than the number of processes, 4"),  # 3 and 4 patches
        # one patch for each process
        (12, 6, "12 patches in 2 batches, each shared by 6 processes: batch_size is 1"),
    ],
)
def test_shares_that_are_too_small_are_refused(patches, size, words):
    values = {"pairs": [["a", "b"], ["c", "d"]], "output": "run", "patch_size": 32, "batch_size": 6}
    options = FitOptions.parse({**values, "architecture": "DeepLabV3+", "backbone": "mobilenet_v2"})
    with pytest.raises(OptionError, match=words):
        check_batches(options, patches=patches, batches=2, world=World(Rank(0, size)))
    check_batches(options, patches=12, batches=2, world=World())
