"""How: the constraints as pure functions of arrays and numbers.

Each family is one module of the same name here (a door: validation, and one call of `dispatch`), in
`agnostic` (the array API standard alone, the reference), in `cpu` (NumPy arrays, by Numba) and in
`gpu` (CuPy arrays, by CUDA). Nothing here knows parameters, schedules or files.
"""

from types import FunctionType as _Function

from arraycon.kernels.blur import *
from arraycon.kernels.clamp import *
from arraycon.kernels.common.caches import clear_caches as clear_caches
from arraycon.kernels.common.dispatch import is_door as _is_door
from arraycon.kernels.common.dispatch import use_agnostic as use_agnostic
from arraycon.kernels.common.named import by_name as _by_name
from arraycon.kernels.common.threads import use_threads as use_threads
from arraycon.kernels.coupling import *
from arraycon.kernels.dct import *
from arraycon.kernels.fourier import *
from arraycon.kernels.gauge import *
from arraycon.kernels.linear import *
from arraycon.kernels.modes import *
from arraycon.kernels.probe_masks import *
from arraycon.kernels.recenter import *
from arraycon.kernels.values import *
from arraycon.kernels.variation import *

_functions = {name: value for name, value in globals().items() if isinstance(value, _Function)}
__all__ = [name for name in _functions if not name.startswith("_")]
globals().update(
    {name: _by_name(value, __name__) for name, value in _functions.items() if _is_door(value)}
)
