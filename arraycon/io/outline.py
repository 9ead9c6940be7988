"""What is known of an array before it is read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.io.errors import ReadError


@dataclass(frozen=True)
class Outline:
    """Shape and dtype of an array in a file."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes that it takes in memory."""
        return math.prod(self.shape) * self.dtype.itemsize


def require_order(path: Path, found: Mapping[str, Outline]) -> None:
    """Refuse an object smaller than the probe which with its axes reversed would be large enough.

    A program that counts axes the other way round wrote it.
    """
    names = [name for name in ("object_amplitude", "object_phase", "object") if name in found]
    if not names or "probe" not in found:
        return
    shape, probe = found[names[0]].shape, found["probe"].shape
    if len(shape) < 3 or len(probe) != 3 or _covers(shape[-2:], probe[-2:]):
        return
    text = f"{path}: {names[0]} {shape} has slices smaller than the probe {probe}"
    if _covers(shape[:2], probe[-2:]):
        raise ReadError(
            f"{text}: its axes are in reverse order, as MATLAB writes them; expected "
            f"(omode, nz, ny, nx) as NumPy and h5py see them"
        )


def _covers(lateral: tuple[int, ...], window: tuple[int, ...]) -> bool:
    return all(n >= m for n, m in zip(lateral, window, strict=True))
