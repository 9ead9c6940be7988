"""Units that a file states beside its numbers: converted, or refused."""

from __future__ import annotations

_ANGSTROM = {
    "a": 1.0, "å": 1.0, "ang": 1.0, "angstrom": 1.0, "angstroms": 1.0,
    "ångström": 1.0, "ångstrom": 1.0, "pm": 1e-2, "nm": 10.0, "um": 1e4, "µm": 1e4, "μm": 1e4,
    "mm": 1e7, "cm": 1e8, "m": 1e10, "picometer": 1e-2, "nanometer": 10.0, "nanometre": 10.0,
    "micrometer": 1e4, "meter": 1e10, "metre": 1e10,
}  # fmt: skip
_SAME = {
    "object_phase": ("rad", "radian", "radians"),
    "position_shifts": ("px", "pixel", "pixels"),
    "tilts": ("mrad", "milliradian", "milliradians"),
}
_FREE = ("", "1", "none", "__none__", "n/a", "dimensionless", "arb. units", "a.u.")
LENGTHS = ("dx", "wavelength", "slice_thickness")


def factor(field: str, unit: str) -> float:
    """Factor from a unit to the one that a field of `State` has.

    Parameters
    ----------
    field : str
        Field of `State`.
    unit : str
        As the file states it.

    Raises
    ------
    ValueError
        The field's unit is another, and the two are not both lengths.
    """
    plain = unit.strip().lower().replace("\u212b", "å")
    if plain in _FREE or (field not in LENGTHS and field not in _SAME):
        return 1.0
    if field in LENGTHS:
        if plain in _ANGSTROM:
            return _ANGSTROM[plain]
        known = "Å, pm, nm, µm, mm, m"
        raise ValueError(f"is in {unit!r}, expected a length in one of {known}")
    if plain in _SAME[field]:
        return 1.0
    raise ValueError(f"is in {unit!r}, expected {_SAME[field][0]}; convert it first")
