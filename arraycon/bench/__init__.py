"""Measurements of the constraints against what else there is.

The package's fast path runs beside its own array-API reference, a plain NumPy port, PtyRAD when it
is installed, and a floor (the copy or the bare transform that nothing can do without), all in one
process, on arrays of the same values, in turns. ``arraycon bench`` and ``pytest bench`` use this.
"""

from __future__ import annotations

from arraycon.bench.cases import FORMS, NAMES, SIZES, Case, Size, names_for
from arraycon.bench.measuring import Measurement, measure
from arraycon.bench.session import Bench, run

__all__ = [
    "FORMS",
    "NAMES",
    "SIZES",
    "Bench",
    "Case",
    "Measurement",
    "Size",
    "measure",
    "names_for",
    "run",
]
