"""Total variation of the object, in steps."""

from __future__ import annotations

from typing import Any

from arraycon.kernels import variation as doors
from arraycon.kernels.blocks.tools import whole
from arraycon.kernels.common.steps import Like, Step


def obj_tv(
    obj: Like,
    *,
    axes_weight: tuple[float, float, float] = (0.0, 1.0, 1.0),
    n_iter: int = 50,
    **others: Any,
) -> list[Step]:
    """Solve for slices, or for columns beside as many rows as the updates reach."""
    options = {"axes_weight": axes_weight, "n_iter": n_iter, **others}
    lateral = axes_weight[1] > 0 or axes_weight[2] > 0
    if axes_weight[0] == 0 or obj.shape[-3] == 1:
        return [whole.step(doors.obj_tv, "slices", ("obj",), ("obj",), options, scratch=4.0)]
    # each update looks one row further, and so does what is made of the last one
    halo = n_iter + 1 if lateral and axes_weight[1] > 0 else 0
    return [
        whole.step(doors.obj_tv, "columns", ("obj",), ("obj",), options, halo=halo, scratch=7.0)
    ]
