"""Record: what one constraint did, with figures that stay on their device until they are read."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

Figure = float | tuple[float, ...]
"""A metric as it is read."""

Measured = Any | Callable[[], Figure]
"""A metric as it is recorded: a number, an array of at most one axis, or a function to call."""


class Metrics(Mapping[str, Figure]):
    """Figures by name, fetched from their device when they are first read.

    Parameters
    ----------
    measured : mapping of str to number, array or callable
        Arrays have no or one axis. Callables take nothing and return the figure.
    """

    def __init__(self, measured: Mapping[str, Measured]) -> None:
        self._measured = dict(measured)
        self._read: dict[str, Figure] = {}

    def __getitem__(self, name: str) -> Figure:
        if name not in self._read:
            self._read[name] = _figure(self._measured[name])
            # the arrays may hold memory on a device
            self._measured[name] = None
        return self._read[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._measured)

    def __len__(self) -> int:
        return len(self._measured)

    def also(self, measured: Mapping[str, Measured]) -> Metrics:
        """Return these and further ones, none of which is fetched by that."""
        made = Metrics({**self._measured, **measured})
        made._read.update(self._read)
        return made

    def __reduce__(self) -> tuple[type[Metrics], tuple[dict[str, Figure]]]:
        return Metrics, (dict(self),)  # as read: what it holds may be on a device, or a function

    def __repr__(self) -> str:
        return f"Metrics({', '.join(self)})"  # names only: a repr must not wait for a GPU


def relative_change(changed: Any, before: Any) -> Callable[[], float]:
    """Return a function for ‖new - old‖/‖old‖ from both squares, for `Metrics`."""

    def read() -> float:
        if float(changed) == 0:
            return 0.0
        return math.sqrt(float(changed) / float(before)) if float(before) != 0 else math.inf

    return read


def _figure(measured: Measured) -> Figure:
    if isinstance(measured, tuple):
        return measured  # read once already, in another process
    if callable(measured):
        result: Figure = measured()
        return result
    if getattr(measured, "ndim", 0) == 0:
        return float(measured)
    return tuple(float(measured[i]) for i in range(measured.shape[0]))


@dataclass(frozen=True)
class Record:
    """One constraint that ran.

    Parameters
    ----------
    name : str
        Constraint.
    iteration : int
    targets : tuple of str
        Fields of the state that it changed.
    metrics : Metrics
        What it did, such as ``"object_phase: relative change"``.
    returned : mapping of str to array
        By-products of the constraint, such as the ``rotation`` of the probe's modes.
    note : str
        Where less was done than the parameters ask for: what was done.

    Examples
    --------
    >>> import arraycon, numpy
    >>> state = arraycon.State(object_phase=numpy.array([[[[-0.4, 0.3]]]]))
    >>> constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 1}})
    >>> record = constraints.apply(state, 1, measure=True)[0]
    >>> record.name, record.targets, record.metrics["object_phase: relative change"]
    ('objp_postiv', ('object_phase',), 0.8)
    """

    name: str
    iteration: int
    targets: tuple[str, ...]
    metrics: Metrics
    returned: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def __str__(self) -> str:
        figures = ", ".join(f"{name} {_text(figure)}" for name, figure in self.metrics.items())
        note = f"[{self.note}]" if self.note else ""
        shown = (f"{self.iteration}: {self.name}({', '.join(self.targets)})", note, figures)
        return " ".join(filter(None, shown))


class Skipped(NamedTuple):
    """A constraint that is only on by default and that lacks fields of the state."""

    name: str
    missing: tuple[str, ...]


def _text(figure: Figure) -> str:
    if isinstance(figure, tuple):
        return "(" + ", ".join(f"{value:.3g}" for value in figure) + ")"
    return f"{figure:.3g}"
