"""Loop: a schedule bound to what a foreign code keeps between its iterations."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

import array_api_compat

from arraycon.kernels.common import arrays

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Bound, Constraints, Report
    from arraycon.state import State

# Iterations in a row that come with arrays elsewhere: to bind to arrays that do not come again
# costs time, and keeps the ones before from being freed.
_PATIENCE = 3


class Loop:
    """`Constraints.bind` for a code whose arrays are looked up anew at each iteration.

    Where they are elsewhere each time it is `Constraints.apply` from some iterations on.

    Parameters
    ----------
    monitor : Monitor, optional
        What watches it.
    """

    def __init__(self, monitor: Monitor | None = None) -> None:
        self._monitor = monitor
        self._bound: Bound | None = None
        self._moves = 0
        self._errors: dict[int, float] = {}

    def waits(self, constraints: Constraints, iteration: int) -> bool:
        """Whether a rule in `start_when` needs the error of an iteration."""
        blocks = (block for _, block in constraints.steps if block.start_when is not None)
        return any(block.waits(iteration, self._errors) for block in blocks)

    def apply(
        self,
        constraints: Constraints,
        fields: dict[str, Any],
        iteration: int,
        *,
        measure: bool,
        error: float | None = None,
    ) -> Report:
        """Run what is due at an iteration on a state of these fields, in place.

        Arrays that cannot be written to, as JAX's, are replaced in `fields`.
        """
        run: Callable[..., Report]
        if measure or self._moves >= _PATIENCE:
            self._bound, state = None, self._state(fields)
            run = partial(constraints.apply, state, measure=measure, monitor=self._monitor)
        else:
            bound = self._bind(constraints, fields)
            state, run = bound.state, bound.apply
        try:
            return run(iteration=iteration, error=error)
        finally:
            fields.update({name: getattr(state, name) for name in fields})

    def _bind(self, constraints: Constraints, fields: dict[str, Any]) -> Bound:
        from arraycon.state import FIELDS

        if self._bound is None or self._bound.constraints is not constraints:
            self._bound = constraints.bind(self._state(fields), monitor=self._monitor)
            return self._bound
        vars(self._bound.state).update({**dict.fromkeys(FIELDS), **fields})
        self._moves = 0 if self._bound.is_current() else self._moves + 1
        return self._bound

    def _state(self, fields: dict[str, Any]) -> State:
        from arraycon.state import State

        state = State(**fields)
        state.errors = self._errors  # of one reconstruction, however often its arrays move
        return state


def kept(memory: Any, values: Any) -> Any:
    """Return a copy of an array, in the memory of the iteration before where that will do."""
    fits = type(memory) is type(values) and memory.shape == values.shape
    if not fits or memory.dtype != values.dtype or array_api_compat.is_jax_array(memory):
        return arrays.copy(values, xp=arrays.namespace(array=values))
    memory[...] = values
    return memory
