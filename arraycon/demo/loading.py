"""Reading diffraction data and truths; every complaint names the file and the key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.simulate import focused_probe
from arraycon.io.atomic import ReadError, reason


def load(path: Path, slices: int) -> Dataset:
    """Read diffraction data.

    Parameters
    ----------
    path : Path
        An ``.npz`` with `diffraction` (n, ny, nx), counts with the zero frequency in the corner,
        `positions` (n, 2) in px and `probe` (modes, ny, nx), of which the first is taken; or an
        ``.h5`` with `data` (slow, fast, ny, nx), counts with the zero frequency in the middle,
        `scan_positions_A` (slow, fast, 2), and the attributes `dx_A`, `wavelength_A`,
        `convergence_mrad`, `C10_A`, `slab_thickness_A` and `n_slabs`.
    slices : int
        Object slices; more than one need the second kind, which knows its thickness.

    Raises
    ------
    ReadError
        The file is missing or damaged, or lacks something, or shapes do not fit.
    """
    if path.suffix == ".npz":
        data = _from_npz(path)
        if slices > 1:
            raise ReadError(
                f"{path}: holds no pixel size, wavelength or thickness; expected --slices 1"
            )
    elif path.suffix in (".h5", ".hdf5", ".hdf"):
        data = _from_hdf5(path, slices)
    else:
        raise ReadError(f"{path}: unknown format: expected a suffix .npz, .h5, .hdf5, .hdf")
    _check(path, data)
    return data


def load_truth(path: Path, slices: int) -> Truth:
    """Read a truth: ``.npz`` with `potential_VA` (slabs, ny, nx) and `sigma_rad_per_VA`.

    Slabs are summed into `slices` where their number allows it.

    Raises
    ------
    ReadError
        As `load`.
    """
    found = _members(path, ("potential_VA", "sigma_rad_per_VA"))
    slabs, sigma = found["potential_VA"], found["sigma_rad_per_VA"]
    if slabs.ndim != 3 or slabs.dtype.kind != "f" or sigma.size != 1:
        raise ReadError(
            f"{path}: potential_VA: expected real (slabs, ny, nx) and one number for "
            f"sigma_rad_per_VA, got {slabs.dtype} {slabs.shape} and {sigma.shape}"
        )
    if len(slabs) % slices:
        raise ReadError(f"{path}: potential_VA: {len(slabs)} slabs cannot be {slices} slices")
    phase = slabs.reshape(slices, -1, *slabs.shape[1:]).sum(axis=1) * float(sigma.item())
    return Truth(phase)


def _from_npz(path: Path) -> Dataset:
    found = _members(path, ("diffraction", "positions", "probe"))
    probe = found["probe"]
    return Dataset(
        found["diffraction"],
        found["positions"].astype(np.float64),
        (probe[0] if probe.ndim == 3 else probe).astype(np.complex64),
    )


def _from_hdf5(path: Path, slices: int) -> Dataset:
    import h5py

    numbers = ("dx_A", "wavelength_A", "convergence_mrad", "C10_A", "slab_thickness_A", "n_slabs")
    try:
        with _existing(path) as _, h5py.File(path) as file:
            _require(path, ("data", "scan_positions_A"), file, "dataset")
            _require(path, numbers, file.attrs, "attribute")
            counts, places = file["data"][()], file["scan_positions_A"][()]
            dx, wavelength, angle, c10, slab, slabs = (float(file.attrs[name]) for name in numbers)
    except OSError as error:
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error
    if counts.ndim != 4 or counts.shape[2] != counts.shape[3]:
        raise ReadError(f"{path}: data: expected (slow, fast, n, n), got {counts.shape}")
    if places.shape != (*counts.shape[:2], 2):
        raise ReadError(
            f"{path}: scan_positions_A: expected {(*counts.shape[:2], 2)} as in data, "
            f"got {places.shape}"
        )
    thickness = slab * slabs / slices
    window = counts.shape[-1]
    return Dataset(
        np.fft.ifftshift(counts.reshape(-1, window, window), axes=(1, 2)),
        places.reshape(-1, 2).astype(np.float64) / dx,
        focused_probe(
            window, dx=dx, wavelength=wavelength, semi_angle=angle * 1e-3,
            c10=c10 + thickness / 2,  # from the entrance surface to the middle of the first slice
        ),
        dx, wavelength, thickness, (counts.shape[0], counts.shape[1]),
    )  # fmt: skip


def _members(path: Path, names: tuple[str, ...]) -> dict[str, Any]:
    """Arrays of an .npz archive."""
    try:
        with _existing(path), np.load(path, allow_pickle=False) as archive:
            _require(path, names, archive, "array")
            return {name: archive[name] for name in names}
    except ReadError:
        raise
    except Exception as error:  # zipfile, zlib and NumPy have a dozen ways to say it
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error


def _existing(path: Path) -> Any:
    if not path.exists():
        raise ReadError(f"{path}: no such file")
    if path.is_dir():
        raise ReadError(f"{path}: is a folder, expected a file")
    return path.open("rb")


def _require(path: Path, names: tuple[str, ...], found: Any, kind: str) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        there = ", ".join(sorted(found)) or "none"
        raise ReadError(f"{path}: no {kind} {', '.join(missing)}; it has {there}")


def _check(path: Path, data: Dataset) -> None:
    counts, n = data.counts, len(data.counts)
    if counts.ndim != 3 or counts.dtype.kind not in "iu" or n == 0:
        raise ReadError(
            f"{path}: expected patterns (n, ny, nx) of integer counts, "
            f"got {counts.dtype} {counts.shape}"
        )
    if data.positions.shape != (n, 2):
        raise ReadError(f"{path}: positions: expected {(n, 2)}, got {data.positions.shape}")
    if data.probe.shape != counts.shape[1:]:
        raise ReadError(
            f"{path}: probe: expected {counts.shape[1:]} as the patterns, got {data.probe.shape}"
        )
    for name in ("positions", "probe"):
        if not np.all(np.isfinite(getattr(data, name))):
            raise ReadError(f"{path}: {name}: holds NaN or infinite values")
    if counts.min() < 0 or not counts.any() or not data.probe.any():
        raise ReadError(f"{path}: expected counts of 0 or more, and a probe, that are not all 0")
