"""Watching: the figures of each monitored iteration, and the warnings that follow from them."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from typing import Any, TypeAlias

from arraycon.kernels.common import check
from arraycon.monitor import judging
from arraycon.monitor.history import Monitored
from arraycon.monitor.looking import Looks, Misfit
from arraycon.monitor.steps import DataStep, Objects
from arraycon.monitor.subset import Forward, Subset

Array: TypeAlias = Any

logger = logging.getLogger("arraycon")

_FIRST = 3  # runs of a constraint that are all watched: what ruins a reconstruction does it early


class Monitor:
    r"""Watches what each constraint does to the misfit, and warns of what does not fit the data.

    For one reconstruction. `Constraints.apply` and `Constraints.bind` take it. In a monitored
    iteration it takes the misfit Q (`misfit_ratio`) before the constraints and after each of them,
    on the same patterns each time, and of each the share of the data step that it takes back,
    :math:`\rho = -\langle d, u\rangle / \langle d, d\rangle`: u is the constraint's change of the
    object, d the object's change from the end of the last constraints to the beginning of these.

    The log (logger ``arraycon``, WARNING) is told, once until it changes,

    - where a constraint raises Q by more than 0.08 two times running, from iteration 2 on: it does
      not agree with the data yet;
    - where all together take back more than 0.9 of the data step three times running, and Q stays
      above 1.2: the reconstruction has stalled.

    Parameters
    ----------
    misfit : callable, optional
        ``misfit()`` returns Q of the state as it is now: a number, or an array without axes, which
        is not waited for.
    counts : array, shape (n, ky, kx), optional
        Measured patterns, of which a fixed random choice is kept; with `forward` instead of
        `misfit`. Adapters of codes that show their model give both where neither is given here.
    forward : callable, optional
        ``forward(indices)`` returns the intensities (len(indices), ky, kx) of the model as it is
        now, in the unit of `counts`, for the numbers of some patterns (NumPy, ascending).
    number : int
        Patterns that are chosen.
    seed : int
        Of the choice.
    every : int
        How many of a constraint's runs go by for one that is watched. The first three runs of each
        are watched, and one that is due watches all that are due with it. With 2 and constraints
        from the first iteration on these are the iterations 1, 2, 3, 5, 7 and so on.
    counts_per_unit : float
        Counts per unit of `counts` and of the intensities: Q needs counts, and some codes divide
        them by something.

    Attributes
    ----------
    history : tuple of Monitored
        What was found, in the order of the iterations. One that comes again, as after a restart,
        forgets itself and those after it.
    warnings : tuple of str
        What the log was told, in order; each text begins with its iteration.

    Raises
    ------
    TypeError, ValueError
        An argument has the wrong kind or range, or both a misfit and patterns are given.

    Notes
    -----
    Q of 48 patterns takes 2 to 3 % of an iteration of the demo's reconstruction (576 to 1024
    patterns, six slices, and 5.5 % with 516 patterns and one slice), so that seven constraints make
    a monitored iteration 21 % longer, 10 % on average with `every` 2, on a CPU.

    Memory besides what `forward` takes: one copy of the object, from the end of an iteration that
    comes before a monitored one to the end of that. A complex object is joined after each
    constraint. Monitored iterations are not replayed from CUDA graphs. Figures on a GPU are read
    when they have arrived, at the latest in the next monitored iteration, so that a warning is late
    by one or two iterations there and nothing waits.

    A rise of Q also tells of constraints that help in the end, and need time: a late clip of the
    amplitude of a thick crystal raised it by 0.57 at first and by 0.07 in the end; on a measured
    test pattern a warning in iteration 3 was over in iteration 5. The thresholds were found on
    simulated data.

    References
    ----------
    Q: M. S. Bartlett, Suppl. J. R. Stat. Soc. 3, 68 (1936); see `misfit_ratio`. The shares and the
    thresholds are this package's own.

    Examples
    --------
    >>> import arraycon, numpy
    >>> state = arraycon.State(object_phase=numpy.full((1, 1, 8, 8), -0.1))
    >>> monitor = arraycon.Monitor(misfit=lambda: 1 + numpy.abs(state.object_phase + 0.1).max())
    >>> constraints = arraycon.Constraints({"objp_postiv": {"start_iter": 1}})
    >>> print(constraints.apply(state, 1, monitor=monitor))
    1: objp_postiv(object_phase) misfit 1.1, misfit change 0.1
    >>> monitor.history[0].misfit
    1.0
    """

    def __init__(
        self,
        misfit: Misfit | None = None,
        *,
        counts: Array = None,
        forward: Forward | None = None,
        number: int = 48,
        seed: int = 0,
        every: int = 2,
        counts_per_unit: float = 1.0,
    ) -> None:
        if misfit is not None and not callable(misfit):
            raise TypeError(f"misfit: expected a callable, got {type(misfit).__name__}")
        if (counts is None) != (forward is None) or (misfit is not None and counts is not None):
            raise ValueError("expected either misfit, or both counts and forward, or none of them")
        self.every = check.integer("every", every, low=1)
        self._number = check.integer("number", number, low=1)
        self._seed = check.integer("seed", seed, low=0)
        self.counts_per_unit = check.number("counts_per_unit", counts_per_unit, above=0)
        self._misfit, self._given = misfit, misfit is not None or counts is not None
        if counts is not None and forward is not None:
            self._misfit = self.subset(counts, forward).misfit
        self._step = DataStep()
        self._last: int | None = None
        self._stride = 1
        self._current: Looks | None = None
        self._pending: list[Looks] = []
        self._entries: list[Monitored] = []
        self._warnings: list[tuple[int, str]] = []
        self._said: frozenset[str] = frozenset()
        # runs of each constraint: those that were watched, and those since
        self._seen: dict[str, int] = {}
        self._unseen: dict[str, int] = {}

    def subset(self, counts: Any, forward: Forward, total: int | None = None) -> Subset:
        """Return patterns as this monitor would choose them; see `Subset`."""
        return Subset(
            counts, forward, total=total,
            number=self._number, seed=self._seed, counts_per_unit=self.counts_per_unit,
        )  # fmt: skip

    def feed(self, subset: Subset) -> None:
        """Take Q from a code's own patterns and model, unless something else was given."""
        if not self._given:
            self._misfit = subset.misfit

    @property
    def history(self) -> tuple[Monitored, ...]:
        """What was found; figures that are still on a device are waited for."""
        self._settle(wait=True)
        return tuple(self._entries)

    @property
    def warnings(self) -> tuple[str, ...]:
        """What was said; figures that are still on a device are waited for."""
        self._settle(wait=True)
        return tuple(text for _, text in self._warnings)

    def figure(self, path: str | os.PathLike[str], *, title: str = "") -> None:
        """Draw misfit, changes and shares over the iterations into an image file.

        Parameters
        ----------
        path : path
            Its suffix says the format, as in ``monitor.png``. Needs matplotlib.
        title : str
            Heading.

        Raises
        ------
        ValueError
            Nothing has been monitored yet.
        """
        from arraycon.monitor import figures

        figures.draw(self.history, title=title).savefig(path, dpi=150)

    def begin(self, iteration: int, names: Iterable[str]) -> bool:
        """Take note of an iteration, and say whether it is monitored.

        Parameters
        ----------
        iteration : int
        names : iterable of str
            Constraints that are going to run.
        """
        if self._misfit is None:
            raise ValueError(
                "monitor: expected one with a misfit, or with counts and forward; an adapter gives "
                "them where its code shows the model, and nothing has here"
            )
        if self._last is not None and iteration <= self._last:
            self._settle(wait=True)
            self._restart(iteration)
        self._stride = 1 if self._last is None else iteration - self._last
        self._last, self._current = iteration, None  # one that failed halfway is forgotten
        names = tuple(names)
        watched = self._wants(names)
        for name in names:
            self._seen[name] = self._seen.get(name, 0) + watched
            self._unseen[name] = 0 if watched else self._unseen.get(name, 0) + 1
        self._settle(wait=watched)
        return watched

    def start(self, objects: Objects) -> None:
        """Take the figures before the first constraint of a monitored iteration."""
        assert self._misfit is not None
        assert self._last is not None
        self._current = Looks(self._last, self._misfit, self._step, objects)

    def after(self, name: str, objects: Objects | None) -> dict[str, Callable[[], float]]:
        """Take the figures after a constraint; without objects it has left the object alone."""
        assert self._current is not None
        return self._current.after(name, objects)

    def end(self, objects: Objects, due: Callable[[int], Iterable[str]]) -> None:
        """Take note that the constraints of an iteration have run.

        Parameters
        ----------
        objects : mapping
        due : callable
            From an iteration to the names of what runs then, as far as can be told.
        """
        assert self._last is not None
        if self._wants(due(self._last + self._stride)):
            self._step.keep(objects)
        else:
            self._step.forget()
        if self._current is not None:
            self._pending.append(self._current)
            self._current = None
        self._settle(wait=False)

    def _wants(self, names: Iterable[str]) -> bool:
        # by each constraint's own runs: with a step of 2 every second iteration might miss them all
        return any(
            self._seen.get(name, 0) < _FIRST or self._unseen.get(name, 0) >= self.every - 1
            for name in names
        )

    def _restart(self, iteration: int) -> None:
        """Forget what is of another run."""
        self._seen, self._unseen, self._said = {}, {}, frozenset()
        self._entries = [entry for entry in self._entries if entry.iteration < iteration]
        self._warnings = [(at, text) for at, text in self._warnings if at < iteration]
        self._last = None
        self._step.forget()

    def _settle(self, *, wait: bool) -> None:
        """Read what has arrived, and say what it means."""
        while self._pending and (wait or self._pending[0].ready()):
            self._entries.append(self._pending.pop(0).read())
            found = judging.findings(self._entries)
            for about, text in found.items():
                if about not in self._said:
                    self._warnings.append((self._entries[-1].iteration, text))
                    logger.warning("%s", text)
            self._said = frozenset(found)

    def __repr__(self) -> str:
        return f"<Monitor: {len(self._entries) + len(self._pending)} iterations>"
