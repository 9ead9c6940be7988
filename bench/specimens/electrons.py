"""Further specimens for electrons; the potentials are abTEM's (``pip install abtem h5py``).

``python bench/specimens/electrons.py FOLDER [NAME …]`` writes NAME.h5 and NAME_truth.npz in the
layout that ``arraycon demo`` reads.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import abtem
import ase
import h5py
import numpy as np
from abtem.core.energy import energy2sigma, energy2wavelength
from ase.build import bulk
from multislice import Microscope, expected, places

_FINE = 128  # px of the supercell's side
_SLABS, _THIN = 6, 6  # slabs of the truth, thin slices in each


@dataclass(frozen=True)
class Case:
    """A specimen and how it is recorded.

    Parameters
    ----------
    atoms : Atoms
        Supercell, square from above.
    dose : float
        Electrons per Å².
    energy : float
        eV.
    motion : float
        Standard deviation of the atoms' displacements in Å.
    """

    atoms: Any
    dose: float
    energy: float = 200e3
    motion: float = 0.08
    configurations: int = 4


def srtio3(rng: Any) -> Case:
    """SrTiO3 [001], 78 Å: strong; three vacancies and a heavy impurity in columns."""
    a = 3.905
    cell = ase.Atoms(
        "SrTiO3", cell=[a, a, a], pbc=True,
        scaled_positions=[(0, 0, 0), (0.5, 0.5, 0.5), (0.5, 0.5, 0), (0.5, 0, 0.5), (0, 0.5, 0.5)],
    )  # fmt: skip
    return Case(_planted(cell * (4, 4, 20), "Sr", "W", rng), dose=2e5)


def gold(rng: Any) -> Case:
    """Au [001], 24 Å: thin, and strong all the same."""
    return Case(_planted(bulk("Au", cubic=True) * (4, 4, 6), "Au", "Cu", rng), dose=1e5)


def magnesia(rng: Any) -> Case:
    """MgO [001], 50 Å: light, a crystal, of medium strength."""
    cell = bulk("MgO", "rocksalt", a=4.212, cubic=True)
    return Case(_planted(cell * (4, 4, 12), "Mg", "Ba", rng), dose=5e4)


def carbon(rng: Any) -> Case:
    """Amorphous carbon, 48 Å, and twelve Au atoms in it, at a low dose."""
    box = np.array([16.0, 16.0, 48.0])
    sites: list[Any] = []
    while len(sites) < int(0.1 * box.prod()):  # 0.1 atoms per Å3: 2 g/cm3
        site = rng.uniform(0, 1, 3) * box
        if sites:
            apart = np.array(sites) - site
            apart -= np.rint(apart / box) * box
            if np.min(np.sum(apart**2, axis=1)) < 1.2**2:
                continue
        sites.append(site)
    atoms = ase.Atoms(f"C{len(sites)}", positions=sites, cell=box, pbc=True)
    atoms.numbers[rng.choice(len(sites), 12, replace=False)] = 79
    return Case(atoms, dose=2.5e3, motion=0.06)


CASES = {"srtio3": srtio3, "gold": gold, "magnesia": magnesia, "carbon": carbon}


def _planted(atoms: Any, host: str, guest: str, rng: Any) -> Any:
    """Take four atoms away, and replace four."""
    chosen = rng.choice([atom.index for atom in atoms if atom.symbol == host], 8, replace=False)
    for index in chosen[:4]:
        atoms[int(index)].symbol = guest
    del atoms[[int(index) for index in chosen[4:]]]
    return atoms


def make(name: str, folder: Path) -> None:
    """Simulate a specimen."""
    rng = np.random.default_rng([0, *name.encode()])
    case = CASES[name](rng)
    side, _, depth = case.atoms.cell.lengths()
    fine, thin = side / _FINE, depth / (_SLABS * _THIN)
    sigma, wavelength = energy2sigma(case.energy), energy2wavelength(case.energy)
    scope = Microscope(wavelength)
    slabs = np.zeros((_SLABS, _FINE, _FINE))

    def phases() -> Iterator[Any]:
        for _ in range(case.configurations):
            atoms = case.atoms.copy()
            atoms.positions[:, :2] += rng.normal(0, case.motion, (len(atoms), 2))
            atoms.wrap()
            potential = abtem.Potential(atoms, gpts=_FINE, slice_thickness=thin)
            volts = np.asarray(potential.build(lazy=False).array, np.float64)
            assert len(volts) == _SLABS * _THIN
            slabs[:] += volts.reshape(_SLABS, _THIN, _FINE, _FINE).sum(1) / case.configurations
            yield sigma * volts

    patterns = expected(phases(), fine, thin, scope)
    counts = rng.poisson(case.dose * scope.step**2 * patterns).astype(np.uint16)
    half = _cropped(slabs)
    with h5py.File(folder / f"{name}.h5", "w") as file:
        file.create_dataset("data", data=counts, compression="gzip")
        file["scan_positions_A"] = places(scope)
        file.attrs.update(
            dx_A=2 * fine, wavelength_A=wavelength, convergence_mrad=1e3 * scope.semi_angle,
            C10_A=scope.c10, slab_thickness_A=depth / _SLABS, n_slabs=_SLABS,
            source_size_sigma_A=scope.source,
            dose_e_per_A2=case.dose, energy_eV=case.energy,
        )  # fmt: skip
    np.savez_compressed(
        folder / f"{name}_truth.npz", potential_VA=half.astype(np.float32),
        sigma_rad_per_VA=sigma, dx_A=2 * fine,
    )  # fmt: skip
    total = sigma * half.sum(axis=0)
    print(f"{name}: {counts.sum() / counts[..., 0, 0].size:.0f} counts per pattern, "
          f"{depth:.0f} Å, {np.ptp(total):.1f} rad in projection", flush=True)  # fmt: skip


def _cropped(fine: Any) -> Any:
    """Band-limit to half as many pixels; sums over an area stay what they are per area."""
    n = fine.shape[-1] // 2
    spectrum = np.fft.fftshift(np.fft.fft2(fine), axes=(1, 2))
    middle = slice(n // 2, n // 2 + n)
    return np.fft.ifft2(np.fft.ifftshift(spectrum[:, middle, middle], axes=(1, 2))).real / 4


if __name__ == "__main__":
    abtem.config.set({"diagnostics.progress_bar": False})
    target = Path(sys.argv[1])
    target.mkdir(parents=True, exist_ok=True)
    for each in sys.argv[2:] or CASES:
        make(each, target)
