"""What the files hold that the tests of formats write."""

from __future__ import annotations

from pathlib import Path

import ptyrad_file

from arraycon.state import State

NUMBERS = {"probe_intensity": 500.0, "dx": 0.25, "wavelength": 0.025, "slice_thickness": 12.0}


def npz_state() -> State:
    return State(**ptyrad_file.arrays(), **NUMBERS, scan_shape=(2, 3))


def names_in(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())
