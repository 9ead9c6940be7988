"""Physical constraints for ptychography on any array library.

The sixteen constraints are functions on arrays here (``arraycon.kz_filter(phase, beta=0.5)``);
`Constraints` runs them on a `State` as a parameter file says.
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import TYPE_CHECKING, Any

_here = Path(__file__).resolve().parent
if not (_here / "kernels").is_dir():
    # A checkout keeps the kernels beside this folder. Python started there imports this folder
    # rather than an installed package, and has to find them all the same.
    __path__.append(str(_here.parent))

from arraycon.kernels import (
    clear_caches,
    complex_ratio,
    fix_probe_int,
    kr_filter,
    kr_thresh,
    kz_filter,
    mirrored_amp,
    obj_rblur,
    obj_z_recenter,
    obj_zblur,
    obja_thresh,
    objp_postiv,
    ortho_pmode,
    pos_recenter,
    probe_mask_k,
    probe_mask_r,
    tilt_smooth,
    use_agnostic,
    use_threads,
    warmup,
)

if TYPE_CHECKING:
    from arraycon.params import Block, ConstraintParams, ParameterError, ParameterWarning
    from arraycon.pipeline import (
        Constraints,
        MissingInputError,
        Record,
        Report,
        register,
        unregister,
    )
    from arraycon.state import State

__version__ = "0.1.0"

# Whoever only calls the functions should not wait for pydantic.
_LAZY = {
    "Block": "params",
    "ConstraintParams": "params",
    "ParameterError": "params",
    "ParameterWarning": "params",
    "Constraints": "pipeline",
    "MissingInputError": "pipeline",
    "Record": "pipeline",
    "Report": "pipeline",
    "register": "pipeline",
    "unregister": "pipeline",
    "State": "state",
}

__all__ = [
    "Block",
    "ConstraintParams",
    "Constraints",
    "MissingInputError",
    "ParameterError",
    "ParameterWarning",
    "Record",
    "Report",
    "State",
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
    "register",
    "tilt_smooth",
    "unregister",
    "use_agnostic",
    "use_threads",
    "warmup",
]


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'arraycon' has no attribute {name!r}")
    value = getattr(importlib.import_module(f"arraycon.{_LAZY[name]}"), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted(set(globals()) | set(_LAZY))
