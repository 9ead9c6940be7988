"""A file in PtyRAD's layout for the tests of this folder."""

from __future__ import annotations

from pathlib import Path

import ptyrad_file
import pytest


@pytest.fixture
def hdf5(tmp_path: Path) -> Path:
    return ptyrad_file.build(tmp_path / "model.hdf5")
