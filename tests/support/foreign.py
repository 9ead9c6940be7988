"""Arrays, numbers and schedules for stand-ins of foreign codes."""

from __future__ import annotations

import numpy as np

import arraycon
from arraycon.bench import NAMES as ORDER

OFF = dict.fromkeys(ORDER)
DX, WAVELENGTH, THICKNESS = 0.2, 0.0251, 8.0


def only(**blocks):
    given = {name: {"start_iter": 1, **block} for name, block in blocks.items()}
    return arraycon.Constraints({**OFF, **given})


def complex_array(shape, seed=1, dtype="complex64"):
    rng = np.random.default_rng(seed)
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(dtype)


def real_array(shape, mean=0.1, seed=2, dtype="float32"):
    return np.random.default_rng(seed).normal(mean, 0.1, shape).astype(dtype)
