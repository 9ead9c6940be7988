"""The reconstructions of all candidates, and their scores."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from arraycon.kernels.common import check
from arraycon.misfit import misfit_ratio
from arraycon.pipeline import Constraints
from arraycon.tuning import scoring
from arraycon.tuning.judging import NONE, Trial, Tuning

_HELD_OUT = 0.1
_PARTS = ("kept", "A", "B")


class Found(Protocol):
    """What a reconstruction gives to be judged by; NumPy arrays.

    Attributes
    ----------
    volume : array, shape (nz, ny, nx), real
        Phase (or potential) on the same pixels for all, best without the rim, and without a ramp
        of the phase, which the probe can hide.
    """

    @property
    def volume(self) -> Any:
        """Phase on the same pixels for all."""

    def patterns(self) -> Any:
        """Intensities (n, ky, kx) of the model, in the unit of the counts that it was given."""


Reconstruct = Callable[[Any, "Constraints | None"], Found]
Tell = Callable[[str, int, int], None]


@dataclass(frozen=True, eq=False)
class _Scored:
    """What is kept of a reconstruction: not its patterns."""

    misfit: float = np.inf
    deviances: Any = None
    volume: Any = None


def tune(
    reconstruct: Reconstruct,
    counts: Any,
    candidates: Mapping[str, Constraints | Mapping[str, Any]],
    *,
    seed: int = 0,
    workers: int = 1,
    tell: Tell = lambda *_: None,
) -> Tuning:
    """Reconstruct with each candidate from parts of the counts, and suggest one.

    Three reconstructions each, and of no constraints: from 90 % of the counts, which are to predict
    the other 10 %, and from two halves, whose volumes are to agree. Where noise limits, Q < 1
    without constraints, the likelihood of the held-out counts decides; where the model limits, the
    most reproducible volume among those with Q up to 1.1 times the smallest. The training error
    decides nothing: constraints only ever make it worse.

    Parameters
    ----------
    reconstruct : callable
        ``reconstruct(counts, constraints)`` with constraints None for none; equal arguments should
        give equal results. Returns a `Found`. A FloatingPointError means that it diverged.
    counts : array, shape (n, ky, kx), integer
        Diffraction patterns in counts: a detector's gain has to be divided out before.
    candidates : mapping
        Constraints, or their parameters, by name; see `vary`.
    seed : int
        Of the division of the counts.
    workers : int
        Reconstructions side by side, in threads.
    tell : callable
        Called with the name, the number done and their total after each reconstruction.

    Returns
    -------
    Tuning
        All trials, the suggestion, and the doubts about it.

    Raises
    ------
    TypeError, ValueError
        The counts are no counts, there are no candidates, or `reconstruct` returns other shapes.

    Notes
    -----
    A suggestion, and tested on few kinds of data: both scores can prefer what is too smooth.

    References
    ----------
    Two halves: M. van Heel and M. Schatz, J. Struct. Biol. 151, 250 (2005).

    Examples
    --------
    A model of equal patterns that takes their mean for the object. The truth is flat, so that what
    is blurred predicts the counts that it has not seen better:

    >>> import arraycon, numpy
    >>> class Mean:
    ...     def __init__(self, counts, constraints):
    ...         self.volume, self.number = counts.mean(axis=0, keepdims=True), len(counts)
    ...         if constraints is not None:
    ...             constraints.apply(arraycon.State(object_phase=self.volume), 1)
    ...     def patterns(self):
    ...         return numpy.broadcast_to(self.volume, (self.number, 16, 16))
    >>> counts = numpy.random.default_rng(0).poisson(2.0, (8, 16, 16))
    >>> blurs = arraycon.vary({}, {"obj_rblur.std": [0.3, 0.6]})
    >>> tuning = arraycon.tune(Mean, counts, blurs)
    >>> tuning.judge, tuning.suggested.name
    ('held-out', 'obj_rblur.std=0.6')
    """
    counts = _counts(counts)
    workers = check.integer("workers", workers, low=1)
    known = _candidates(candidates)
    parts = _divided(counts, np.random.default_rng(check.integer("seed", seed, low=0)))
    jobs = [(name, part) for name in known for part in _PARTS]
    scored = {}
    pool = ThreadPoolExecutor(workers)
    try:
        futures = [
            pool.submit(_score, reconstruct, known[name], parts, part) for name, part in jobs
        ]
        for number, (job, future) in enumerate(zip(jobs, futures, strict=True), 1):
            scored[job] = future.result()
            tell(job[0], number, len(jobs))
    finally:
        pool.shutdown(wait=False, cancel_futures=True)  # what runs is its owner's to stop
    return Tuning(tuple(_trial(name, known[name], scored, len(counts)) for name in known))


def _counts(counts: Any) -> Any:
    counts = np.asarray(counts)
    if counts.ndim != 3 or counts.dtype.kind not in "iu":
        raise TypeError(
            f"counts: expected integers of shape (n, ky, kx), got {counts.dtype} of shape "
            f"{counts.shape}"
        )
    if len(counts) < 2 or counts.min() < 0 or not counts.any():
        raise ValueError("counts: expected two patterns or more, of 0 or more counts, not all 0")
    return counts


def _candidates(
    candidates: Mapping[str, Constraints | Mapping[str, Any]],
) -> dict[str, Constraints | None]:
    if not candidates:
        raise ValueError("candidates: expected at least one, got none")
    if NONE in candidates:
        raise ValueError(f"candidates: {NONE!r} is always among them; expected other names")
    found: dict[str, Constraints | None] = {NONE: None}
    for name, one in candidates.items():
        found[name] = one if isinstance(one, Constraints) else Constraints(one)
    return found


def _divided(counts: Any, rng: np.random.Generator) -> dict[str, Any]:
    held, kept = scoring.thinned(counts, _HELD_OUT, rng)
    one, other = scoring.thinned(counts, 0.5, rng)
    return {"held": held, "kept": kept, "A": one, "B": other}


def _score(
    reconstruct: Reconstruct, constraints: Constraints | None, parts: Mapping[str, Any], part: str
) -> _Scored:
    counts = parts[part]
    try:
        found = reconstruct(counts, constraints)
    except FloatingPointError:
        return _Scored()
    volume = np.array(found.volume)  # whoever reconstructs may go on with its arrays
    if volume.ndim != 3 or volume.dtype.kind != "f":
        raise TypeError(f"volume: expected real (nz, ny, nx), got {volume.dtype} {volume.shape}")
    if part != "kept":
        return _Scored(volume=volume)
    model = np.asarray(found.patterns())
    if model.shape != counts.shape:
        raise ValueError(f"patterns(): expected the shape {counts.shape}, got {model.shape}")
    held = scoring.deviance(model * (_HELD_OUT / (1 - _HELD_OUT)), parts["held"])
    return _Scored(float(misfit_ratio(model, counts)), held, volume)


def _trial(
    name: str, constraints: Constraints | None, scored: Mapping[tuple[str, str], _Scored], n: int
) -> Trial:
    kept, one, other = (scored[name, part] for part in _PARTS)
    if any(each.volume is None for each in (kept, one, other)):
        return Trial(name, constraints, np.inf, np.full(n, np.inf), -np.inf, np.full(4, -np.inf))
    return Trial(
        name, constraints, kept.misfit, kept.deviances,
        scoring.agreement(one.volume, other.volume),
        scoring.agreements(one.volume, other.volume),
    )  # fmt: skip
