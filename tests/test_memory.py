"""A fit takes scans that are several times larger than the memory that it may have."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from mocks.scans import Phantom

LIMIT = 1000 * 2**20  # bytes of private memory, for the fit and for its worker each
SHAPE = (560, 1000, 1000)
SCANS = 2

COMMAND = """
import resource, sys
resource.setrlimit(resource.RLIMIT_DATA, (int(sys.argv[1]), int(sys.argv[1])))
"""
FIT = (
    COMMAND
    + """
from standalone.command import main
sys.exit(main(sys.argv[2:]))
"""
)
READ = (
    COMMAND
    + """
import numpy as np
np.load(sys.argv[2])
"""
)


def sparse(path: Path, dtype: str, slab: np.ndarray) -> Path:
    """A volume of SHAPE: the slab in its middle, zeros elsewhere, which take no place on most disks."""
    volume = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=SHAPE)
    z, y, x = ((whole - part) // 2 for whole, part in zip(SHAPE, slab.shape, strict=True))
    volume[z : z + slab.shape[0], y : y + slab.shape[1], x : x + slab.shape[2]] = slab
    volume.flush()
    return path


def limited(code: str, *words: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, str(LIMIT), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)


@pytest.mark.slow
@pytest.mark.skipif(
    not sys.platform.startswith("linux"), reason="limits private memory by RLIMIT_DATA of Linux"
)
def test_a_fit_over_scans_several_times_larger_than_the_memory(tmp_path):
    words: list[object] = []
    for seed in range(SCANS):
        grey, labels = Phantom(shape=(40, 256, 256), seed=seed).slab(0, 40)
        scan = sparse(tmp_path / f"scan_{seed}.npy", "uint16", grey)
        words += ["--pair", scan, sparse(tmp_path / f"mask_{seed}.npy", "uint8", labels)]
    sizes = [path.stat().st_size for path in tmp_path.iterdir()]
    assert sum(sizes) > 3 * LIMIT

    refused = limited(READ, tmp_path / "scan_0.npy")  # the limit is one: not even one scan could be read
    assert "MemoryError" in refused.stderr

    settings = "--recipe paper --patch-size 32 --patches-per-tile 1 --batch-size 16 --epochs 1"
    settings += " --architecture Plain-U-Net --plain-channels 8 --plain-depth 3"
    found = limited(FIT, "fit", *words, "--output", tmp_path / "run", *settings.split(), "--json")
    assert found.returncode == 0, found.stderr
    told = json.loads(found.stdout)
    assert told["peak_ram_gib"] * 2**30 < LIMIT
    assert Path(told["model"]).is_file()
