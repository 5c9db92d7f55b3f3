"""A path that no system can open is refused in words by whatever is to read it."""

from __future__ import annotations

from pathlib import Path

import pytest

from bone_backend.errors import BoneError
from bone_backend.information.describe import describe
from bone_backend.model_files.header import read_header
from bone_backend.volumes.volume import open_volume, peek


@pytest.mark.parametrize("read", [open_volume, peek, read_header, describe])
@pytest.mark.parametrize("path", ["x" * 9999, "folder/" + "y" * 300, "z" * 300 + "/scan.tif"])
def test_names_that_are_too_long_are_refused_in_words(read, path):
    with pytest.raises(BoneError) as told:
        read(Path(path))
    assert 20 < len(str(told.value)) < 1000
