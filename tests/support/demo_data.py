"""Small simulated data and settings for the demo."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import yaml

from arraycon import Constraints
from arraycon.demo import simulate
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.settings import Settings

DX, WAVELENGTH = 0.25, 0.0251
SMALL = Settings(modes=2, slices=2, iterations=3, batch=8, mode_power=0.1)


def made(**changes: Any) -> tuple[Dataset, Truth]:
    experiment = simulate.Experiment(dose=1e5, scan=6, window=24, slices=2, seed=3)
    return simulate.simulate(replace(experiment, **changes))


def preset(text: str) -> Constraints:
    return Constraints(yaml.safe_load(text))


def random_waves(rng: np.random.Generator, *shape: int) -> Any:
    return (rng.normal(size=shape) + 1j * rng.normal(size=shape)).astype(np.complex64)
