"""Bad arguments: the error names the argument, what was expected and what came."""

from __future__ import annotations

import numpy as np
import pytest
from cases import FIRST, OPTICS, RECENTER
from libraries import Library

import arraycon

OBJ = np.ones((3, 6, 6), "float32")
PROBE = np.ones((2, 6, 6), "complex64")
TILTS = np.ones((6, 2), "float32")

BAD = [
    ("ortho_pmode", (OBJ,), {}, TypeError, "probe: expected complex64 or complex128, got float32"),
    ("ortho_pmode", (PROBE[0],), {}, ValueError, r"probe: .*\(6, 6\); a single mode is probe\[N"),
    ("ortho_pmode", ([[1j]],), {}, TypeError, "probe: expected an array .* got list"),
    ("ortho_pmode", (None,), {}, TypeError, "probe: expected an array .* got NoneType"),
    ("fix_probe_int", (PROBE,), {"intensity": 0}, ValueError, "intensity: expected a number > 0"),
    ("fix_probe_int", (PROBE,), {"intensity": "5"}, TypeError, "intensity: .* got '5'"),
    ("fix_probe_int", (PROBE,), {"intensity": True}, TypeError, "intensity: .* got True"),
    ("probe_mask_k", (PROBE,), {"radius": -1}, ValueError, "radius: expected a number ≥ 0, got -1"),
    ("probe_mask_k", (PROBE,), {"width": np.nan}, ValueError, "width: .* got nan"),
    ("probe_mask_k", (PROBE,), {"power_thresh": 95}, ValueError, r"in \[0, 1\], got 95.0"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "order": 1.5}, TypeError, "order: expected an integer"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "z_range": (5, -5)}, ValueError, "z_range: .*ascending"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "z_range": 5}, TypeError, "z_range: .* got 5"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "z_steps": 0}, ValueError, "z_steps: .* ≥ 1, got 0"),
    ("probe_mask_r", (PROBE,), {**OPTICS, "dx": 0}, ValueError, "dx: expected a number > 0"),
    ("obj_rblur", (OBJ,), {"kernel_size": 4}, ValueError, "kernel_size: expected an odd integer"),
    ("obj_rblur", (OBJ[0, 0],), {}, ValueError, r"obj: expected at least 2 axes \(..., ny, nx\)"),
    ("obj_zblur", (OBJ[0],), {}, ValueError, r"obj: .* \(..., nz, ny, nx\), got shape \(6, 6\)"),
    ("obj_zblur", (OBJ,), {"std": np.inf}, ValueError, "std: .* got inf"),
    ("obj_zblur", (OBJ.astype(int),), {}, TypeError, "obj: expected float32, float64, .* got int"),
    ("kr_filter", (PROBE,), {}, TypeError, "obj: expected float32 or float64, got complex64"),
    ("kz_filter", (OBJ,), {"boundary": "mirrored"}, ValueError, "boundary: .* got 'mirrored'"),
    ("kz_filter", (OBJ,), {"obj_type": "both"}, ValueError, "obj_type: .* got 'both'"),
    ("kr_thresh", (OBJ,), {"thresh": 0}, ValueError, r"thresh: expected a number in \(0, 1\], got"),
    ("kr_thresh", (OBJ,), {"scope": "all"}, ValueError, "scope: expected global or slice, got"),
    ("complex_ratio", (OBJ, OBJ[:2]), {}, ValueError, "phase: expected the shape of amplitude"),
    ("complex_ratio", (OBJ, OBJ.astype(float)), {}, TypeError, "phase: expected the dtype of am"),
    ("mirrored_amp", (OBJ, OBJ), {"relax": 2}, ValueError, r"relax: .* in \[0, 1\], got 2"),
    ("obj_z_recenter", (OBJ, OBJ, PROBE), {**RECENTER, "scale": -1}, ValueError, "scale: "),
    ("obj_z_recenter", (OBJ, OBJ, PROBE), {**RECENTER, "thresh": 101}, ValueError, "thresh: "),
    ("obj_z_recenter", (OBJ, OBJ, OBJ), RECENTER, TypeError, "probe: expected complex64"),
    ("obja_thresh", (OBJ,), {"thresh": (1, 1)}, ValueError, "thresh: expected an ascending pair"),
    ("obja_thresh", (OBJ,), {"thresh": (1,)}, TypeError, "thresh: expected an ascending pair"),
    ("objp_postiv", (OBJ,), {"mode": "clip"}, ValueError, "mode: expected clip_neg or subtract_m"),
    ("pos_recenter", (TILTS.T,), {}, ValueError, r"shifts: expected shape \(n, 2\)"),
    ("tilt_smooth", (TILTS,), {"scan_shape": (2, 2)}, ValueError, "tilts: expected 2·2 = 4 rows"),
    ("tilt_smooth", (TILTS,), {"scan_shape": 6}, TypeError, "scan_shape: expected a pair of int"),
    ("tilt_smooth", (TILTS,), {"scan_shape": (0, 6)}, ValueError, r"scan_shape\[0\]: .* ≥ 1, got"),
]


@pytest.mark.parametrize(("name", "arrays", "options", "error", "message"), BAD)
def test_bad_arguments(name, arrays, options, error, message):
    with pytest.raises(error, match=message):
        getattr(arraycon, name)(*arrays, **options)


@pytest.mark.parametrize("case", list(FIRST.values()), ids=lambda case: case.name)
def test_bad_output_arrays(case):
    arrays = case.make("float32")
    outs = {"obj_z_recenter": 3, "complex_ratio": 2}.get(case.name, 1)

    def call(first):
        out = first if outs == 1 else (first, *arrays[1:outs])
        case.function(*arrays, **case.options, out=out)

    with pytest.raises(ValueError, match=r"out.*: expected the shape of"):
        call(arrays[0][:, :-1])
    with pytest.raises(TypeError, match=r"out.*: expected the dtype of"):
        call(arrays[0].astype("complex128" if arrays[0].dtype.kind == "c" else "float64"))
    fixed = arrays[0].copy()
    fixed.flags.writeable = False
    with pytest.raises(ValueError, match=r"out.*: expected a writable array, got a read-only one"):
        call(fixed)
    with pytest.raises(TypeError, match=r"out.*: expected an array"):
        call(arrays[0].tolist())


def test_out_of_two_results_is_a_pair():
    with pytest.raises(TypeError, match=r"out: expected a tuple of 2 arrays \(amplitude, phase\)"):
        arraycon.complex_ratio(OBJ, OBJ, out=OBJ.copy())


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_mixed_libraries_are_named(name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    other = library.array(OBJ)
    with pytest.raises(TypeError, match=f"mix: amplitude is numpy, phase is {name}"):
        arraycon.complex_ratio(OBJ, other)
    with pytest.raises(TypeError, match=f"mix: out is {name}, obj is numpy"):
        arraycon.kr_filter(OBJ, out=other)


def test_jax_has_no_output_arrays():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    obj = jax.numpy.asarray(OBJ)
    with pytest.raises(TypeError, match="out: expected None, because JAX arrays cannot be written"):
        arraycon.kr_filter(obj, out=obj)
