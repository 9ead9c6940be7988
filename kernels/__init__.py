"""How: the sixteen constraints as pure functions of arrays and numbers.

Each family is one module of the same name here (validation and choice of the backend), in
`agnostic` (the array API standard alone, the reference) and in `cpu` (NumPy arrays, by Numba).
Nothing here knows parameters, schedules or files.
"""

from arraycon.kernels.backend import use_agnostic
from arraycon.kernels.blur import obj_rblur, obj_zblur, tilt_smooth
from arraycon.kernels.caches import clear_caches
from arraycon.kernels.clamp import obja_thresh, objp_postiv
from arraycon.kernels.coupling import complex_ratio, mirrored_amp
from arraycon.kernels.dct import kr_thresh
from arraycon.kernels.fourier import kr_filter, kz_filter
from arraycon.kernels.modes import fix_probe_int, ortho_pmode
from arraycon.kernels.probe_masks import probe_mask_k, probe_mask_r
from arraycon.kernels.recenter import obj_z_recenter, pos_recenter
from arraycon.kernels.threads import use_threads
from arraycon.kernels.warmup import warmup

__all__ = [
    "clear_caches",
    "complex_ratio",
    "fix_probe_int",
    "kr_filter",
    "kr_thresh",
    "kz_filter",
    "mirrored_amp",
    "obj_rblur",
    "obj_z_recenter",
    "obj_zblur",
    "obja_thresh",
    "objp_postiv",
    "ortho_pmode",
    "pos_recenter",
    "probe_mask_k",
    "probe_mask_r",
    "tilt_smooth",
    "use_agnostic",
    "use_threads",
    "warmup",
]
