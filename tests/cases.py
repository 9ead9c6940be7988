"""Calls of all sixteen constraints: arguments, options, and how the reference answers them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import reference

import arraycon

OPTICS = {"dx": 0.2, "wavelength": 0.0251}
RECENTER = {**OPTICS, "slice_thickness": 8.0, "thresh": 95.0, "scale": 1.0, "max_shift": 10.0}
MASK_R = {
    **OPTICS,
    "radius": 0.8,
    "order": 6,
    "power_thresh": 0.95,
    "z_range": (-60.0, 90.0),
    "z_steps": 7,
}


def phase(rng, shape):
    """Phase with positive and negative values, stronger in the upper slices."""
    values = rng.normal(0.1, 0.2, shape)
    if len(shape) > 2:
        values *= np.linspace(1.5, 0.5, shape[-3])[:, None, None]
    return values


def amplitude(rng, shape):
    return 1 + rng.normal(0, 0.05, shape)


def probe(rng, shape):
    """Non-orthogonal modes of clearly different powers, in arbitrary order."""
    modes = rng.normal(size=shape) + 1j * rng.normal(size=shape)
    strength = rng.permutation(0.5 ** np.arange(shape[0])) if shape[0] else np.ones(0)
    modes = modes * strength[:, None, None]
    return modes + 0.3 * modes.mean(axis=0) if shape[0] else modes


def table(rng, shape):
    return rng.normal(0.3, 1.0, shape)


@dataclass(frozen=True)
class Case:
    """One call: the constraint, its inputs in order, and its options."""

    name: str
    inputs: tuple[tuple[Callable[..., np.ndarray], tuple[int, ...]], ...]
    options: dict[str, Any] = field(default_factory=dict)

    @property
    def id(self) -> str:
        shape = "x".join(map(str, self.inputs[0][1]))
        changed = ",".join(f"{k}={v}" for k, v in self.options.items() if k not in OPTICS)
        return f"{self.name}-{shape}-{changed}".replace(" ", "")

    @property
    def function(self) -> Callable[..., Any]:
        return getattr(arraycon, self.name)

    def make(self, dtype: str, seed: int = 0) -> list[np.ndarray]:
        """Inputs as NumPy arrays of the precision of `dtype`."""
        rng = np.random.default_rng(seed)
        arrays = [maker(rng, shape) for maker, shape in self.inputs]
        narrow = {"float32": np.complex64, "float64": np.complex128}[dtype]
        return [x.astype(narrow if np.iscomplexobj(x) else dtype) for x in arrays]

    def expected(self, arrays: list[np.ndarray]) -> tuple[np.ndarray, ...]:
        answer = getattr(reference, self.name)(*arrays, **self.options)
        return answer if isinstance(answer, tuple) else (answer,)


def results(answer: Any) -> tuple[Any, ...]:
    return answer if isinstance(answer, tuple) else (answer,)


OBJECTS = ((1, 6, 20, 20), (2, 5, 9, 14), (7, 1, 13))
PROBES = ((4, 16, 16), (3, 9, 14), (1, 8, 8))


def _objects(maker, name, *options, shapes=OBJECTS):
    return [Case(name, ((maker, shape),), option) for shape in shapes for option in options]


def _probes(name, *options, shapes=PROBES):
    return [Case(name, ((probe, shape),), option) for shape in shapes for option in options]


def _coupled(name, *options):
    return [
        Case(name, ((amplitude, shape), (phase, shape)), option)
        for shape in OBJECTS
        for option in options
    ]


CASES = [
    *_probes("ortho_pmode", {}),
    *_probes(
        "probe_mask_k",
        {"radius": 0.22, "width": 0.05, "power_thresh": 0.95},
        {"radius": 0.5, "width": 0.0, "power_thresh": 0.3},
        {"radius": 0.4, "width": 1e-3, "power_thresh": 1.0},
        {"radius": 0.0, "width": 0.2, "power_thresh": 0.0},
    ),
    *_probes("probe_mask_r", MASK_R, {**MASK_R, "order": 1, "power_thresh": 0.4}),
    *_probes("probe_mask_r", {**MASK_R, "z_steps": 1, "radius": 0.3}, shapes=PROBES[:1]),
    *_probes("fix_probe_int", {"intensity": 1234.5}, {"intensity": 1e-3}),
    *_objects(
        phase,
        "obj_rblur",
        {"kernel_size": 5, "std": 0.4},
        {"kernel_size": 9, "std": 2.5},
        {"kernel_size": 1, "std": 3.0},
        {"kernel_size": 5, "std": 0.0},
    ),
    *_objects(
        amplitude,
        "obj_zblur",
        {"kernel_size": 5, "std": 1.0},
        {"kernel_size": 21, "std": 4.0},
        {"kernel_size": 3, "std": 0.0},
    ),
    *_probes("obj_rblur", {"kernel_size": 5, "std": 1.0}, shapes=((5, 9, 11),)),
    *_probes("obj_zblur", {"kernel_size": 5, "std": 1.0}, shapes=((5, 9, 11),)),
    *_objects(
        phase,
        "kr_filter",
        {"radius": 0.15, "width": 0.05},
        {"radius": 0.6, "width": 0.0},
        {"radius": 5.0, "width": 0.3},
    ),
    *_objects(
        phase,
        "kz_filter",
        {"beta": 1.0, "alpha": 1.0},
        {"beta": 0.5, "alpha": 0.0, "boundary": "mirror"},
        {"beta": 0.0, "alpha": 2.0},
    ),
    *_objects(
        amplitude,
        "kz_filter",
        {"beta": 0.3, "alpha": 1.0, "obj_type": "amplitude"},
        {"beta": 0.3, "alpha": 1.0, "obj_type": "amplitude", "boundary": "mirror"},
    ),
    *_objects(
        phase,
        "kr_thresh",
        {"thresh": 0.05},
        {"thresh": 0.3, "scope": "slice"},
        {"thresh": 1.0},
        {"thresh": 1e-9},
    ),
    *_coupled("complex_ratio", {"alpha1": 1.0, "alpha2": 0.0}, {"alpha1": 0.4, "alpha2": 0.3}),
    *_coupled(
        "mirrored_amp",
        {"relax": 0.1, "scale": 0.03, "power": 4.0},
        {"relax": 0.0, "scale": 9.0, "power": 0.5},
    ),
    *[
        Case("obj_z_recenter", ((amplitude, shape), (phase, shape), (probe, (3, 8, 10))), option)
        for shape in OBJECTS
        for option in (
            RECENTER,
            {**RECENTER, "thresh": None, "scale": 0.3},
            {**RECENTER, "thresh": 37.5, "max_shift": None},
            {**RECENTER, "max_shift": 0.25},
            {**RECENTER, "scale": 0.0},
        )
    ],
    *_objects(
        amplitude,
        "obja_thresh",
        {"relax": 0.0, "thresh": (0.96, 1.04)},
        {"relax": 0.3, "thresh": (0.9, 1.0)},
    ),
    *_objects(
        phase,
        "objp_postiv",
        {"relax": 0.0, "mode": "clip_neg"},
        {"relax": 0.25, "mode": "subtract_min"},
    ),
    *_objects(table, "pos_recenter", {"relax": 0.0}, {"relax": 0.4}, shapes=((72, 2), (1, 2))),
    *[
        Case("tilt_smooth", ((table, (scan[0] * scan[1], 2)),), {"scan_shape": scan, "std": std})
        for scan, std in (((8, 9), 2.0), ((5, 12), 0.7), ((1, 7), 1.0), ((2, 3), 0.0))
    ],
    Case("tilt_smooth", ((table, (1, 2)),), {"scan_shape": (5, 12), "std": 1.0}),
]

FIRST = {case.name: case for case in reversed(CASES)}
"""One case of each constraint."""
