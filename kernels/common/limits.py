"""Largest values that reach a loop or an allocation; parameter files and functions have the same.

Without them 60 bytes in a file take all time or all memory there is.
"""

from __future__ import annotations

TAPS = 4095
"""Taps of a blur."""

PLANES = 100_000
"""Planes of a focus search."""

ORDER = 10**6
"""Order of a super-Gaussian."""

UPDATES = 10_000
"""Updates of the total variation."""
