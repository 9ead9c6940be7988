"""Compile everything ahead of the first real call."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.kernels.blur import obj_rblur, obj_zblur, tilt_smooth
from arraycon.kernels.clamp import obja_thresh, objp_postiv
from arraycon.kernels.coupling import complex_ratio, mirrored_amp
from arraycon.kernels.dct import kr_thresh
from arraycon.kernels.fourier import kr_filter, kz_filter
from arraycon.kernels.modes import fix_probe_int, ortho_pmode
from arraycon.kernels.probe_masks import probe_mask_k, probe_mask_r
from arraycon.kernels.recenter import obj_z_recenter, pos_recenter

_OPTICS: dict[str, Any] = {"dx": 0.2, "wavelength": 0.025}


def warmup() -> dict[str, float]:
    """Run every constraint once on small arrays, in both precisions.

    What is compiled is kept on disk, so once per installation is enough; a later process only loads
    it.

    Returns
    -------
    dict of str to float
        Seconds that each constraint took, in the order of execution.
    """
    seconds: dict[str, float] = {}
    for dtype in (np.float32, np.float64):
        for name, call in _calls(dtype).items():
            start = time.perf_counter()
            call()
            seconds[name] = seconds.get(name, 0.0) + time.perf_counter() - start
    return seconds


def _calls(dtype: Any) -> dict[str, Callable[[], Any]]:
    rng = np.random.default_rng(0)
    amplitude = rng.normal(1, 0.02, (1, 4, 16, 16)).astype(dtype)
    # off-centre in depth, so that recentring has something to move
    phase = (rng.random(amplitude.shape) * np.arange(4)[:, None, None]).astype(dtype)
    probe = rng.normal(size=(2, 16, 16)) + 1j * rng.normal(size=(2, 16, 16))
    probe = probe.astype(np.result_type(dtype, np.complex64))
    table = rng.normal(size=(16, 2)).astype(dtype)
    return {
        "probe_mask_k": lambda: probe_mask_k(probe),
        "probe_mask_r": lambda: probe_mask_r(probe, **_OPTICS, z_steps=3),
        "ortho_pmode": lambda: ortho_pmode(probe),
        "fix_probe_int": lambda: fix_probe_int(probe, intensity=1.0),
        "obj_rblur": lambda: obj_rblur(phase),
        "obj_zblur": lambda: obj_zblur(phase),
        "kr_filter": lambda: kr_filter(phase),
        "kz_filter": lambda: [kz_filter(phase, boundary=b) for b in ("periodic", "mirror")],
        "kr_thresh": lambda: [kr_thresh(phase, scope=s) for s in ("global", "slice")],
        "complex_ratio": lambda: complex_ratio(amplitude, phase),
        "mirrored_amp": lambda: mirrored_amp(amplitude, phase),
        "obj_z_recenter": lambda: obj_z_recenter(
            amplitude, phase, probe, **_OPTICS, slice_thickness=8.0
        ),
        "obja_thresh": lambda: obja_thresh(amplitude),
        "objp_postiv": lambda: [objp_postiv(phase, mode=m) for m in ("clip_neg", "subtract_min")],
        "pos_recenter": lambda: pos_recenter(table),
        "tilt_smooth": lambda: tilt_smooth(table, scan_shape=(4, 4)),
    }
