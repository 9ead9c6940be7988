"""State: the arrays and calibrations that a reconstruction hands over."""

from __future__ import annotations

import itertools
import warnings
from collections.abc import Iterator
from dataclasses import dataclass, fields
from typing import Any

from arraycon.kernels.common import arrays, check, elsewhere
from arraycon.showing import public, state_table

ARRAYS = (
    "object_amplitude",
    "object_phase",
    "object",
    "probe",
    "position_shifts",
    "tilts",
    "illumination",
    "vacuum_mask",
)
READ_ONLY = ("illumination", "vacuum_mask")
"""Arrays that constraints read and none changes."""
LENGTHS = ("dx", "wavelength", "slice_thickness")
NUMBERS = ("scan_shape", *LENGTHS, "probe_intensity")
"""Fields that `State.validate` brings into one form."""
_PARTS = ("object_amplitude", "object_phase")
_OBJECTS = ("object", *_PARTS)
# Å, the least that is likely (electrons of 4 MeV): what is smaller was given in m, or in nm
_LEAST = {"dx": 1e-3, "wavelength": 3e-3, "slice_thickness": 1e-2}


@dataclass(eq=False)
class State:
    """Arrays and calibrations of one reconstruction; every field is optional.

    The arrays are not copied: `Constraints.apply` changes the very arrays given here, in place
    where their library allows it (JAX arrays cannot be written to and are replaced). Zarr arrays,
    HDF5 datasets, memory maps and dask arrays may stand for any of them: nothing is read before
    `Constraints.apply` works on them, block by block, and dask's are replaced by new ones.

    Parameters
    ----------
    object_amplitude, object_phase : array, shape (..., nz, ny, nx), real
        Modulus and phase (rad) of each slice, normally (omode, nz, ny, nx).
    object : array, shape (..., nz, ny, nx), complex
        Instead of the two above. It is split for the object constraints and joined in its own
        memory afterwards. Its phase then is within ±π of the mean of its slice, and the means are
        followed from slice to slice: neither a global phase nor one that drifts with depth changes
        what the constraints do, except those that refer to phase zero. Phases further from their
        slice's mean wrap; hand over amplitude and phase where there are any.
    probe : array, shape (pmode, ny, nx), complex
        Probe modes in real space, centred on pixel (ny//2, nx//2).
    probe_intensity : float
        Total intensity Σ|P|² that `fix_probe_int` restores.
    position_shifts : array, shape (n, 2), real
        Probe position corrections (y, x) in px.
    tilts : array, shape (n, 2) or (1, 2), real
        Object tilts (y, x) in mrad.
    scan_shape : tuple of int
        Numbers of scan positions (slow, fast).
    dx, wavelength, slice_thickness : float
        Pixel size, wavelength and distance between slices in Å.
    illumination : array, shape (ny, nx) of the object, real
        Intensity of the probe, summed over all positions, ≥ 0.
    vacuum_mask : array, shape (ny, nx) or (nz, ny, nx) of the object, real or bool
        1 where there is no sample; values in [0, 1].

    Attributes
    ----------
    errors : dict of int to float
        Errors of the reconstruction by iteration, as they were handed over to `Constraints.apply`
        where a rule in `start_when` asks for them. One that is handed over twice for an iteration
        counts as it was last, and errors of later iterations, which are of another run, are
        forgotten. A new state has none; one that was read from PtyRAD's file has its losses.

    Raises
    ------
    TypeError
        An array has a dtype outside float32/64 (complex64/128 for `object` and `probe`), or the
        arrays come from different libraries.
    ValueError
        A shape or a number is impossible, or two arrays share memory, so that a constraint of one
        would change the other; the message names the field.

    Warns
    -----
    UserWarning
        A length is hardly in Å, or slices of the object are smaller than the probe.

    Examples
    --------
    A phase of one object mode and two slices, changed where it is:

    >>> import arraycon, numpy
    >>> phase = numpy.full((1, 2, 64, 64), -0.1, numpy.float32)
    >>> state = arraycon.State(object_phase=phase, dx=0.2, slice_thickness=8)
    >>> state
    State(object_phase=float32 (1, 2, 64, 64), dx=0.2, slice_thickness=8.0)
    >>> _ = arraycon.Constraints({"objp_postiv": {"start_iter": 1}}).apply(state, 1)
    >>> float(phase.min())
    0.0
    """

    object_amplitude: Any = None
    object_phase: Any = None
    object: Any = None
    probe: Any = None
    probe_intensity: float | None = None
    position_shifts: Any = None
    tilts: Any = None
    scan_shape: tuple[int, int] | None = None
    dx: float | None = None
    wavelength: float | None = None
    slice_thickness: float | None = None
    illumination: Any = None
    vacuum_mask: Any = None

    def __post_init__(self) -> None:
        self.errors: dict[int, float] = {}
        self.validate()
        for note in self._doubts():
            warnings.warn(note, stacklevel=3)

    def validate(self) -> None:
        """Check every field again; `Constraints.apply` calls this before anything runs."""
        held = {name: getattr(self, name) for name in ARRAYS if getattr(self, name) is not None}
        given = {name: elsewhere.outline(name, array) for name, array in held.items()}
        if given:
            arrays.namespace(**given)
            check.apart(given)
            _require_different(held)
        self._validate_object(given)
        self._validate_masks(given)
        if "probe" in given:
            check.modes("probe", given["probe"])
        for name in ("position_shifts", "tilts"):
            if name in given:
                check.pairs(name, given[name])
        if self.scan_shape is not None:
            self.scan_shape = check.scan_shape("scan_shape", self.scan_shape)
        for name in NUMBERS[1:]:
            value = getattr(self, name)
            if value is not None:
                unit = "Å" if name in LENGTHS else ""
                setattr(self, name, check.number(name, value, above=0, unit=unit))

    def _doubts(self) -> Iterator[str]:
        """Name what is possible and hardly meant: another unit than Å, axes in another order."""
        for name, least in _LEAST.items():
            value = getattr(self, name)
            if value is not None and value < least:
                yield f"{name}: {value:g} Å is hardly meant; lengths are in Å (1 nm = 10 Å)"
        if self.probe is None:
            return
        for name in ("object", "object_amplitude", "object_phase"):
            array = getattr(self, name)
            if array is not None and any(
                n < m for n, m in zip(array.shape[-2:], self.probe.shape[-2:], strict=True)
            ):
                yield (
                    f"{name}: slices of {tuple(array.shape[-2:])} are smaller than the probe, "
                    f"{tuple(self.probe.shape[-2:])}; expected (omode, nz, ny, nx)"
                )
                return

    def _validate_object(self, given: dict[str, Any]) -> None:
        parts = [name for name in _PARTS if name in given]
        if "object" in given:
            if parts:
                raise ValueError(
                    f"object: expected either a complex object or object_amplitude and "
                    f"object_phase, got object and {' and '.join(parts)}"
                )
            check.array("object", given["object"], kind="complex", ndim=3)
        for name in parts:
            check.array(name, given[name], kind="real", ndim=3)
        if len(parts) == 2:
            check.same("object_phase", given[_PARTS[1]], "object_amplitude", given[_PARTS[0]])

    def _validate_masks(self, given: dict[str, Any]) -> None:
        """Check kinds and shapes; looking at the values would make the host wait for a GPU."""
        like = next((given[name] for name in _OBJECTS if name in given), None)
        if (illumination := given.get("illumination")) is not None:
            check.array("illumination", illumination, kind="real")
            check.fits("illumination", illumination, like, ndims=(2,))
        if (mask := given.get("vacuum_mask")) is not None:
            check.array("vacuum_mask", mask, kind="mask")
            check.fits("vacuum_mask", mask, like, ndims=(2, 3))

    @property
    def present(self) -> frozenset[str]:
        """Names of the fields that have a value; an object counts as complex and as both parts."""
        contents = self.__dict__
        names = {name for name in FIELDS if contents[name] is not None}
        if "object" in names or names.issuperset(_PARTS):
            names.update(_OBJECTS)
        return frozenset(names)

    def __repr__(self) -> str:
        parts = []
        for field in fields(self):
            value = getattr(self, field.name)
            if value is None:
                continue
            shown = f"{value.dtype} {tuple(value.shape)}" if field.name in ARRAYS else f"{value!r}"
            parts.append(f"{field.name}={shown}")
        return f"State({', '.join(parts)})"

    def _repr_html_(self) -> str:
        return state_table(self)

    def __dir__(self) -> list[str]:
        return public(super().__dir__())


def _require_different(held: dict[str, Any]) -> None:
    """Refuse one dataset under two names, of which a change of one would be one of the other."""
    for (name, x), (other, y) in itertools.combinations(held.items(), 2):
        if elsewhere.same(x, y):
            raise ValueError(f"{name}: expected a dataset of its own, got that of {other}")


FIELDS = tuple(field.name for field in fields(State))
"""Names of all fields."""
