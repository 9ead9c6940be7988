"""Reading diffraction data and truths; every complaint names the file and the key."""

from __future__ import annotations

import contextlib
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.demo import checks
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.probe import focused_probe
from arraycon.io import hdf5, memory, npz
from arraycon.io.atomic import ReadError, reason

_ATTRIBUTES = {
    "dx_A": ("a pixel size above 0.001 and below 1000 Å", 1e-3, 1e3),
    "wavelength_A": ("electrons: wavelength below 1 Å and above 0.001 Å", 1e-3, 1.0),
    "convergence_mrad": ("a semi-angle above 0 and below 200 mrad", 0.0, 200.0),
    "C10_A": ("a number above -1e7 and below 1e7 Å", -1e7, 1e7),
    "slab_thickness_A": ("a thickness above 0 and below 1e7 Å", 0.0, 1e7),
    "n_slabs": ("a number above 0 and below 1e5", 0.0, 1e5),
}
"""What each attribute must be, and between which numbers; far beyond them, float64 overflows."""
_SOURCE = {"source_size_sigma_A": ("a standard deviation of 0 to below 10 Å", -1e-9, 10.0)}
_MOST = 36  # slices


def load(path: Path, slices: int) -> Dataset:
    """Read diffraction data.

    Parameters
    ----------
    path : Path
        An ``.npz`` with `diffraction` (n, ny, nx), counts with the zero frequency in the corner,
        `positions` (n, 2) in px and `probe` (modes, ny, nx), of which the first is taken; or an
        ``.h5`` with `data` (slow, fast, ny, nx), counts with the zero frequency in the middle,
        `scan_positions_A` (slow, fast, 2), and the attributes `dx_A`, `wavelength_A`,
        `convergence_mrad`, `C10_A`, `slab_thickness_A`, `n_slabs` and, where the size of the
        source is known, `source_size_sigma_A`.
    slices : int
        Object slices; more than one need the second kind, which knows its thickness.

    Raises
    ------
    ReadError
        The file is missing or damaged, or lacks something, or what it holds does not fit.
    """
    suffix = path.suffix.lower()
    if suffix == ".npz":
        data = _from_npz(path)
        if slices > 1:
            raise ReadError(
                f"{path}: holds no pixel size, wavelength or thickness; expected --slices 1"
            )
    elif suffix in (".h5", ".hdf5", ".hdf"):
        data = _from_hdf5(path, slices)
    else:
        raise ReadError(f"{path}: unknown format: expected a suffix .npz, .h5, .hdf5, .hdf")
    checks.dataset(path, data, slices)
    return data


def load_truth(path: Path, data: Dataset, slices: int) -> Truth:
    """Read a truth: ``.npz`` with `potential_VA` (slabs, ny, nx) and `sigma_rad_per_VA`.

    Slabs are summed into `slices` where their number allows it. Where there is `dx_A`, it must be
    the pixel size of the data.

    Parameters
    ----------
    path : Path
        The file.
    data : Dataset
        What it is the truth of.
    slices : int
        Object slices.

    Raises
    ------
    ReadError
        As `load`; or it does not cover the scanned field, or there is nothing in it.
    """
    found = _members(path, ("potential_VA", "sigma_rad_per_VA"), optional=("dx_A",))
    slabs = checks.numbers(path, "potential_VA", found["potential_VA"], np.float64)
    if slabs.ndim != 3:
        raise ReadError(f"{path}: potential_VA: expected real (slabs, ny, nx), got {slabs.shape}")
    sigma = checks.number(
        path, "sigma_rad_per_VA", found["sigma_rad_per_VA"], "one finite number other than 0",
        lambda value: 0 < abs(value) < np.inf,
    )  # fmt: skip
    if "dx_A" in found:
        checks.same_pixel(path, found["dx_A"], data)
    if len(slabs) % slices:
        raise ReadError(f"{path}: potential_VA: {len(slabs)} slabs cannot be {slices} slices")
    with np.errstate(all="ignore"):  # what overflows is refused
        phase = slabs.reshape(slices, -1, *slabs.shape[1:]).sum(axis=1) * sigma
    truth = Truth(phase)
    checks.truth(path, truth, data)
    return truth


def slices_of(path: Path, wanted: int) -> int:
    """Return the number of slices, nearest by ratio to what is wanted, that a truth's slabs allow.

    Of two that are as near, the larger: thicker slices hold less of a thick specimen.

    Raises
    ------
    ReadError
        As `load_truth`.
    """
    slabs = _members(path, ("potential_VA",))["potential_VA"]
    if slabs.ndim != 3 or len(slabs) == 0:
        raise ReadError(f"{path}: potential_VA: expected real (slabs, ny, nx), got {slabs.shape}")
    allowed = (n for n in range(min(len(slabs), _MOST), 0, -1) if len(slabs) % n == 0)
    return min(allowed, key=lambda n: max(n / wanted, wanted / n))


def _from_npz(path: Path) -> Dataset:
    found = _members(path, ("diffraction", "positions", "probe"))
    patterns = found["diffraction"]
    counts = checks.counts(
        path, "diffraction", patterns, "patterns (n, ny, nx) of integer counts",
        fits=patterns.ndim == 3,
    )  # fmt: skip
    positions = checks.numbers(path, "positions", found["positions"], np.float64)
    probe = checks.numbers(path, "probe", found["probe"], np.complex64)
    window = counts.shape[1:]
    if probe.ndim not in (2, 3) or probe.shape[-2:] != window:
        raise ReadError(
            f"{path}: probe: expected {window} as the patterns, or modes of it, got {probe.shape}"
        )
    return Dataset(counts, positions, probe[0] if probe.ndim == 3 else probe)


def _from_hdf5(path: Path, slices: int) -> Dataset:
    _require_file(path)
    with _reading(path), hdf5.opened(path) as file:
        _require(path, ("data", "scan_positions_A"), file, "dataset")
        _require(path, tuple(_ATTRIBUTES), file.attrs, "attribute")
        dx, wavelength, angle, c10, slab, slabs = (
            _attribute(path, file, name) for name in _ATTRIBUTES
        )
        source = [_attribute(path, file, name) for name in _SOURCE if name in file.attrs]
        patterns, places = (_dataset(path, file, name) for name in ("data", "scan_positions_A"))
    counts = checks.counts(
        path, "data", patterns, "(slow, fast, n, n) integer counts",
        fits=patterns.ndim == 4 and patterns.shape[2] == patterns.shape[3],
    )  # fmt: skip
    places = checks.numbers(path, "scan_positions_A", places, np.float64)
    if places.shape != (*counts.shape[:2], 2):
        raise ReadError(
            f"{path}: scan_positions_A: expected {(*counts.shape[:2], 2)} as in data, "
            f"got {places.shape}"
        )
    thickness = slab * slabs / slices
    window = counts.shape[-1]
    checks.aperture(path, angle * 1e-3 / wavelength * window * dx, window)
    with np.errstate(over="ignore"):  # infinite positions are too far apart
        positions = places.reshape(-1, 2) / dx
    return Dataset(
        np.fft.ifftshift(counts.reshape(-1, window, window), axes=(1, 2)),
        positions,
        focused_probe(
            window, dx=dx, wavelength=wavelength, semi_angle=angle * 1e-3,
            c10=c10 + thickness / 2,  # from the entrance surface to the middle of the first slice
        ),
        dx, wavelength, thickness, (counts.shape[0], counts.shape[1]), angle * 1e-3, *source,
    )  # fmt: skip


def _attribute(path: Path, file: Any, name: str) -> float:
    import h5py

    with _reading(f"{path}: {name}"):
        value = file.attrs[name]
    if isinstance(value, h5py.Empty):
        value = np.empty(0, np.float32)
    expected, low, high = (_ATTRIBUTES | _SOURCE)[name]
    return checks.number(path, name, value, expected, lambda number: low < number < high)


def _dataset(path: Path, file: Any, name: str) -> Any:
    with _reading(f"{path}: {name}"):
        item = hdf5.dataset(file, path, name)
        if item is None:
            return np.empty(0, np.float32)
        hdf5.require_written(item, f"{path}: {name}")
        memory.require(item.size * item.dtype.itemsize, f"{path}: {name}")
        return np.asarray(item[()])


def _members(path: Path, names: tuple[str, ...], optional: tuple[str, ...] = ()) -> dict[str, Any]:
    """Arrays of an .npz archive."""
    _require_file(path)
    with _reading(path), zipfile.ZipFile(path) as archive:
        there = [name.removesuffix(".npy") for name in archive.namelist()]
        _require(path, names, there, "array")
        wanted = (*names, *(name for name in optional if name in there))
        return {name: npz.member(archive, path, name) for name in wanted}


@contextlib.contextmanager
def _reading(what: object) -> Iterator[None]:
    """Say of what is being read, a file or a part of it, that it is damaged."""
    try:
        yield
    except ReadError:
        raise
    except zipfile.BadZipFile as error:
        raise ReadError(f"{what}: is not an .npz archive, or is truncated") from error
    except MemoryError as error:
        raise ReadError(f"{what}: does not fit into memory") from error
    except Exception as error:  # h5py, zipfile, zlib and NumPy have a dozen ways to say it
        raise ReadError(f"{what}: cannot be read: {reason(error)}") from error


def _require_file(path: Path) -> None:
    """Refuse what is no ordinary file: a pipe would be waited for."""
    with _reading(path):
        if not path.exists():
            raise ReadError(f"{path}: no such file")
        if not path.is_file():
            kind = "a folder" if path.is_dir() else "not an ordinary file"
            raise ReadError(f"{path}: is {kind}, expected a file")
        path.open("rb").close()  # h5py takes a file that may not be read for a damaged one


def _require(path: Path, names: tuple[str, ...], found: Any, kind: str) -> None:
    missing = [name for name in names if name not in found]
    if missing:
        there = ", ".join(sorted(found)) or "none"
        raise ReadError(f"{path}: no {kind} {', '.join(missing)}; it has {there}")
