"""States and schedules for whatever runs the constraints."""

from __future__ import annotations

import warnings

import numpy as np

import arraycon
from arraycon.bench import NAMES as ORDER
from arraycon.constraints import declared
from arraycon.state import ARRAYS

OFF = dict.fromkeys(ORDER)
# on top of others they warn, which the tests of parameters cover
DOUBLE = (
    "obj_zblur",
    "obj_gaussian",
    "obj_smooth",
    "obj_bandpass",
    "obj_wedge",
    "obj_probe_scale",
    "ortho_omode",
)
EVERY = {
    name: None if name in DOUBLE else {"start_iter": 1, **declared()[name].typical}
    for name in ORDER
}
EVERY["obj_rblur"]["obj_type"], EVERY["kr_filter"]["obj_type"] = "amplitude", "phase"

OPTIONS = {
    "obj_zblur": {"kernel_size": 7},
    "complex_ratio": {"alpha2": 0.3},
    "kr_thresh": {"thresh": 0.3},
}
"""Defaults that warn or leave one of the targets as it is are not taken."""
# constraints with which each changes all of its targets, and some of them by other ways
VARIANTS = [(name, OPTIONS.get(name, {})) for name in ORDER] + [
    ("objp_postiv", {"mode": "subtract_min", "relax": 0.2}),
    ("mirrored_amp", {"power": 3, "scale": 0.5}),
    ("mirrored_amp", {"power": 2.5, "scale": 0.5}),
    ("kz_filter", {"boundary": "mirror"}),
    ("kr_thresh", {"thresh": 0.3, "scope": "slice"}),
    ("kr_thresh", {"thresh": 1.0}),
    ("obj_rblur", {"std": 0.0}),
    ("obj_rblur", {"std": 3.0, "kernel_size": 19}),
    ("obj_z_recenter", {"scale": 0.0}),
    ("obj_gaussian", {"sigma_z": 5.0, "relax": 0.2}),
    ("obj_gaussian", {"sigma_z": 5.0, "sigma": 0}),
    ("obj_bandpass", {"dims": "volume"}),
    ("obj_tv", {"obj_type": "both", "axes_weight": (1.0, 1.0, 1.0), "n_iter": 9}),
    ("obj_tv", {"solver": "chambolle", "norm": "anisotropic", "n_iter": 9, "relax": 0.2}),
]
IDS = ["-".join([name, *map(str, options.values())]) for name, options in VARIANTS]


def only(**blocks):
    """Parameters with everything else off."""
    on = {
        name: {"start_iter": 1, **declared()[name].typical, **block}
        for name, block in blocks.items()
    }
    with warnings.catch_warnings():
        # some are to do nothing
        warnings.filterwarnings("ignore", ".*changes nothing", arraycon.ParameterWarning)
        return arraycon.Constraints(OFF | on)


SHAPE = 1, 5, 14, 16


def fitting(name, shape=SHAPE):
    """Shape of an object that a constraint takes: for one that takes no slices these are modes."""
    omode, nz, *plane = shape
    return (omode * nz, 1, *plane) if declared()[name].flat else shape


def make_state(dtype="float32", seed=1, *, shape=SHAPE, **changes):
    rng = np.random.default_rng(seed)
    complex_dtype = {"float32": "complex64", "float64": "complex128"}[dtype]
    probe = rng.normal(size=(3, 12, 12)) + 1j * rng.normal(size=(3, 12, 12))
    fields = {
        "object_amplitude": rng.normal(1, 0.05, shape).astype(dtype),
        "object_phase": rng.normal(0.1, 0.2, shape).astype(dtype),
        "probe": (probe * np.array([1, 0.5, 0.25])[:, None, None]).astype(complex_dtype),
        "probe_intensity": 100.0,
        "position_shifts": rng.normal(0.5, 1, (12, 2)).astype(dtype),
        "tilts": rng.normal(0, 1, (12, 2)).astype(dtype),
        "scan_shape": (3, 4),
        "dx": 0.2,
        "wavelength": 0.0251,
        "slice_thickness": 8.0,
    }
    fields.update(changes)
    held = (fields.get(name) for name in ("object_amplitude", "object_phase", "object"))
    plane = next((array.shape[-2:] for array in held if array is not None), shape[-2:])
    fields.setdefault("illumination", rng.random(plane).astype(dtype))
    fields.setdefault("vacuum_mask", (rng.random(plane) > 0.7).astype(dtype))
    return arraycon.State(**fields)


def snapshot(state):
    return {
        name: np.array(getattr(state, name)) for name in ARRAYS if getattr(state, name) is not None
    }


def assert_equal(before, after):
    assert before.keys() == after.keys()
    for name in before:
        np.testing.assert_array_equal(before[name], after[name], err_msg=name)
