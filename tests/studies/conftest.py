"""Ten small scans that the tests of studies share."""

from __future__ import annotations

import pytest

from tests.conftest import phantoms, write_pairs


@pytest.fixture(scope="package")
def ten(tmp_path_factory) -> list[tuple[str, str]]:
    """Scans and masks of ten small phantoms; not to be changed."""
    shapes = [(8 + n % 3, 48, 48) for n in range(10)]
    return write_pairs(tmp_path_factory.mktemp("ten"), phantoms(*shapes), voxel_size=(20.0, 20.0, 20.0))
