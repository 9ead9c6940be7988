"""Looking: the figures of one monitored iteration, wherever they are."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any, TypeAlias

from arraycon.monitor import steps
from arraycon.monitor.arriving import Arriving
from arraycon.monitor.history import Effect, Monitored
from arraycon.monitor.steps import DataStep, Objects

Misfit: TypeAlias = Callable[[], Any]


class Looks:
    """What is seen before the first constraint of an iteration and after each of them.

    Parameters
    ----------
    iteration : int
    misfit : callable
        Returns Q of the state as it is.
    step : DataStep
        With the copy of the object after the last constraints before, if there is one.
    objects : mapping
        The object before the constraints.
    """

    def __init__(self, iteration: int, misfit: Misfit, step: DataStep, objects: Objects) -> None:
        self._iteration, self._misfit, self._step = iteration, misfit, step
        self._names: list[str] = []
        norms = step.take(objects)
        self._compares = bool(norms)
        self._norms = Arriving(norms)
        self._misfits, self._sums = [self._taken()], [Arriving(step.sums(objects))]
        self._moves: list[bool] = []

    def after(self, name: str, objects: Objects | None) -> dict[str, Callable[[], float]]:
        """Look after a constraint; without objects it has left the object alone.

        Returns
        -------
        dict of str to callable
            Figures for the constraint's record.
        """
        self._names.append(name)
        self._misfits.append(self._taken())
        self._moves.append(self._compares and objects is not None)
        before, last = self._misfits[-2:]
        figures: dict[str, Callable[[], float]] = {
            "misfit": lambda: last.read()[0],
            "misfit change": lambda: last.read()[0] - before.read()[0],
        }
        if objects is None or not self._compares:
            self._sums.append(self._sums[-1])
            return figures
        norms, one, other = self._norms, self._sums[-1], Arriving(self._step.sums(objects))
        self._sums.append(other)
        figures["share of the data step taken back"] = lambda: steps.share(
            norms.read(), one.read(), other.read()
        )
        return figures

    def ready(self) -> bool:
        """Whether all figures are on the host."""
        return all(each.ready() for each in (self._norms, *self._misfits, *self._sums))

    def read(self) -> Monitored:
        """Return the figures, waiting for those that are not there yet."""
        misfits, sums = ([each.read() for each in all_] for all_ in (self._misfits, self._sums))
        norms = self._norms.read()
        effects = tuple(
            Effect(
                name,
                misfits[i + 1][0],
                misfits[i + 1][0] - misfits[i][0],
                steps.share(norms, sums[i], sums[i + 1]) if self._moves[i] else None,
            )
            for i, name in enumerate(self._names)
        )
        return Monitored(self._iteration, misfits[0][0], effects)

    def _taken(self) -> Arriving:
        with _without_gradients():
            misfit = self._misfit()
        if getattr(misfit, "shape", ()) != () or not hasattr(misfit, "__float__"):
            raise TypeError(
                f"misfit: expected it to return a number, or an array without axes, got "
                f"{type(misfit).__name__} {tuple(getattr(misfit, 'shape', ()))}"
            )
        return Arriving([misfit])


def _without_gradients() -> AbstractContextManager[Any]:
    """Context in which a model of PyTorch remembers nothing for a backward pass."""
    torch = sys.modules.get("torch")
    return contextlib.nullcontext() if torch is None else torch.no_grad()
