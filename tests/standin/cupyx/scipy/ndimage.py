"""Filters that a plain port uses."""

from __future__ import annotations

import scipy.ndimage as _ndimage
from cupy import wrapped

__all__ = ["correlate", "correlate1d"]

correlate = wrapped(_ndimage.correlate)
correlate1d = wrapped(_ndimage.correlate1d)
