"""Physical constraints for ptychography on any array library.

The constraints are functions on arrays here (``arraycon.kz_filter(phase, beta=0.5)``);
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

from arraycon import kernels
from arraycon.kernels import *
from arraycon.version import __version__ as __version__

if TYPE_CHECKING:
    from arraycon import presets as presets
    from arraycon.blocks import Block as Block
    from arraycon.blocks import ParameterError as ParameterError
    from arraycon.blocks import ParameterWarning as ParameterWarning
    from arraycon.constraints import register as register
    from arraycon.constraints import unregister as unregister
    from arraycon.misfit import misfit_ratio as misfit_ratio
    from arraycon.monitor import Monitor as Monitor
    from arraycon.params import ConstraintParams as ConstraintParams
    from arraycon.pipeline import Constraints as Constraints
    from arraycon.pipeline import MissingInputError as MissingInputError
    from arraycon.pipeline import Record as Record
    from arraycon.pipeline import Report as Report
    from arraycon.pipeline.warmup import warmup as warmup
    from arraycon.state import State as State
    from arraycon.tuning import tune as tune
    from arraycon.tuning import vary as vary

# Whoever only calls the functions should not wait for pydantic.
_LAZY = {
    "Block": "blocks",
    "ConstraintParams": "params",
    "Constraints": "pipeline",
    "MissingInputError": "pipeline",
    "Monitor": "monitor",
    "ParameterError": "blocks",
    "ParameterWarning": "blocks",
    "Record": "pipeline",
    "Report": "pipeline",
    "State": "state",
    "misfit_ratio": "misfit",
    "presets": "presets",
    "register": "pipeline",
    "tune": "tuning",
    "unregister": "pipeline",
    "vary": "tuning",
    "warmup": "pipeline.warmup",
}

__all__ = sorted({*kernels.__all__, *_LAZY})


def __getattr__(name: str) -> Any:
    if name not in _LAZY:
        raise AttributeError(f"module 'arraycon' has no attribute {name!r}")
    module = importlib.import_module(f"arraycon.{_LAZY[name]}")
    value = module if name == _LAZY[name] else getattr(module, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
