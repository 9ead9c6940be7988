"""Extra memory of working in place, as a fraction of one array, as NumPy's allocations count it.

Buffers inside a transform library do not show here; the benches measure the whole process.
"""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

import arraycon
from arraycon.kernels.common import threads

pytest.importorskip("numba", reason="numba is not installed")

SHAPE = (1, 20, 512, 512)
OPTICS = {"dx": 0.2, "wavelength": 0.025}

# constraint: largest fraction of one object array (of the probe, for the probe's constraints)
LIMITS = {
    "obja_thresh": 0.01,
    "objp_postiv": 0.01,
    "mirrored_amp": 0.01,
    "complex_ratio": 0.01,
    "obj_rblur": 0.15,
    "obj_zblur": 0.15,
    "kr_filter": 0.15,
    "kz_filter": 1.1,
    "kr_thresh": 2.1,
    "obj_z_recenter": 2.1,
    "ortho_pmode": 0.1,
    "fix_probe_int": 0.01,
}


def calls():
    rng = np.random.default_rng(0)
    amplitude = rng.normal(1, 0.02, SHAPE).astype("float32")
    phase = (rng.random(SHAPE) * np.linspace(1, 2, 20)[:, None, None]).astype("float32")
    probe = rng.normal(size=(8, 256, 256)) + 1j * rng.normal(size=(8, 256, 256))
    probe = probe.astype("complex64")
    a = arraycon
    both = (amplitude, phase)
    return {
        "obja_thresh": lambda: a.obja_thresh(amplitude, out=amplitude),
        "objp_postiv": lambda: a.objp_postiv(phase, out=phase),
        "mirrored_amp": lambda: a.mirrored_amp(amplitude, phase, out=amplitude),
        "complex_ratio": lambda: a.complex_ratio(*both, out=both),
        "obj_rblur": lambda: a.obj_rblur(phase, out=phase),
        "obj_zblur": lambda: a.obj_zblur(phase, out=phase),
        "kr_filter": lambda: a.kr_filter(phase, out=phase),
        "kz_filter": lambda: a.kz_filter(phase, out=phase),
        "kr_thresh": lambda: a.kr_thresh(phase, out=phase),
        "obj_z_recenter": lambda: a.obj_z_recenter(
            *both, probe, **OPTICS, slice_thickness=8.0, out=(*both, probe)
        ),
        "ortho_pmode": lambda: a.ortho_pmode(probe, out=probe),
        "fix_probe_int": lambda: a.fix_probe_int(probe, intensity=5.0, out=probe),
    }, {"object": phase.nbytes, "probe": probe.nbytes}


@pytest.mark.parametrize("name", LIMITS)
def test_extra_memory(name):
    run, sizes = calls()
    with threads.use_threads(2):
        run[name]()  # compiling and caches are not counted
        tracemalloc.start()
        try:
            run[name]()
            _, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()
    size = sizes["probe" if "prob" in name or "pmode" in name else "object"]
    assert peak <= LIMITS[name] * size
