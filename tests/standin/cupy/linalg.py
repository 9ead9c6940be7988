"""Linear algebra; an eigensolver that gives NaN for zeros, as some of cuSOLVER's do."""

from __future__ import annotations

import numpy as np

from cupy import wrapped

__all__ = [name for name in np.linalg.__all__ if name != "LinAlgError"]

for _name in __all__:
    globals()[_name] = wrapped(getattr(np.linalg, _name))
