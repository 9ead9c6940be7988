"""Files of data and of truths that the demo reads, each with one thing changed."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from arraycon.demo import loading
from arraycon.demo.dataset import Truth
from arraycon.io.atomic import ReadError

N, SIDE, DX = 16, 4, 0.25  # pixels of a pattern, positions per side, Å
NUMBERS = {
    "dx_A": DX, "wavelength_A": 0.025, "convergence_mrad": 22.0, "C10_A": -120.0,
    "slab_thickness_A": 10.0, "n_slabs": 4,
}  # fmt: skip


def grid(step: float = 2.0) -> Any:
    axis = 30 + step * np.arange(SIDE)
    return np.stack(np.meshgrid(axis, axis, indexing="ij"), axis=-1).reshape(-1, 2)


def patterns(n: int = SIDE**2, window: int = N) -> Any:
    return np.random.default_rng(0).poisson(3.0, (n, window, window)).astype(np.uint16)


def probe() -> Any:
    axis = np.arange(N) - N // 2
    return np.exp(-(axis[:, None] ** 2 + axis**2) / 8).astype(np.complex64)


def npz(folder: Path, **changes: Any) -> Path:
    path = folder / "data.npz"
    np.savez(path, **{"diffraction": patterns(), "positions": grid(), "probe": probe(), **changes})
    return path


def hdf5(folder: Path, **changes: Any) -> Path:
    """Write data; what is called as an attribute replaces it."""
    path = folder / "data.h5"
    values = {
        "data": patterns().reshape(SIDE, SIDE, N, N),
        "scan_positions_A": DX * grid().reshape(SIDE, SIDE, 2),
        **NUMBERS, **changes,
    }  # fmt: skip
    with h5py.File(path, "w") as file:
        for name, value in values.items():
            if name in NUMBERS:
                file.attrs[name] = value
            elif value is None:
                file.create_group(name)
            else:
                file[name] = value
    return path


def potential(nz: int = 4, n: int = 64) -> Any:
    return np.random.default_rng(1).normal(0, 100, (nz, n, n)).astype(np.float32)


def truth(folder: Path, **changes: Any) -> Path:
    path = folder / "truth.npz"
    np.savez(path, **{"potential_VA": potential(), "sigma_rad_per_VA": 7e-4, **changes})
    return path


def read_truth(folder: Path, *, data: Path | None = None, **changes: Any) -> Truth:
    path = hdf5(folder) if data is None else data
    slices = 2 if data is None else 1
    return loading.load_truth(truth(folder, **changes), loading.load(path, slices), slices)


def refused(message: str) -> Any:
    return pytest.raises(ReadError, match=rf"\A[^\n]*{re.escape(message)}[^\n]*\Z")
