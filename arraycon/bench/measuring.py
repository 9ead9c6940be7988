"""Timing in turns."""

from __future__ import annotations

import contextlib
import importlib
import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.bench import places
from arraycon.bench.agreement import compare
from arraycon.bench.cases import Case
from arraycon.bench.peers import CONTENDERS, FAST, FLOOR, Contender, gather
from arraycon.bench.places import Place, Run
from arraycon.kernels.common import threads as pool

ROUNDS = 7
_MOST = 10  # times as many rounds for what takes next to no time
_BUDGET = 0.5  # s of rounds at least, as far as `_MOST` allows
_PAUSE = 2e-3  # s; OpenMP's idle threads spin that long after a parallel region and hold a core


@dataclass(frozen=True)
class Spread:
    """Median and quartiles of a sample."""

    median: float
    p25: float
    p75: float

    @classmethod
    def of(cls, sample: Sequence[float]) -> Spread:
        """Summarise a sample."""
        p25, median, p75 = np.percentile(sample, (25, 50, 75))
        return cls(float(median), float(p25), float(p75))


@dataclass(frozen=True)
class Measurement:
    """What came of one case.

    Parameters
    ----------
    case : Case
        What was measured.
    floor : str
        What the floor is.
    rounds : int
        Timed calls of each contender.
    seconds : dict of str to Spread
        Time of one call, by contender.
    ratios : dict of str to Spread
        Time of each peer divided by the fast path's of the same round; for the floor it is the fast
        path's divided by the floor's.
    differences : dict of str to float
        Relative difference of each peer's result from the fast path's.
    change : float
        Relative change that the fast path made to its inputs: 0 would be no work at all.
    allocated : float
        Peak of what was allocated in the fast path, as a fraction of `Case.unit`: by NumPy and
        Python, or by CuPy's pool.
    absent : dict of str to str
        Why a contender did not take part.
    """

    case: Case
    floor: str
    rounds: int
    seconds: dict[str, Spread]
    ratios: dict[str, Spread]
    differences: dict[str, float]
    change: float
    allocated: float
    absent: dict[str, str]


def measure(
    case: Case,
    *,
    rounds: int = ROUNDS,
    threads: int | None = None,
    names: tuple[str, ...] = CONTENDERS,
    place: Place | None = None,
) -> Measurement:
    """Measure one case.

    Parameters
    ----------
    case : Case
        What to measure.
    rounds : int
        Least number of timed calls of each contender.
    threads : int, optional
        Threads of every contender that can use several; by default the package's own number.
    names : tuple of str
        Contenders to ask, the fast path among them; those that cannot take part are left out, with
        the reason.
    place : Place, optional
        Where the arrays are; by default in NumPy's.

    Raises
    ------
    ValueError
        The fast path is not among `names`.
    """
    if FAST not in names:
        raise ValueError(f"names: expected {FAST!r} among them, got {names}")
    number, place = threads or pool.count(), place or places.cpu()
    with pool.use_threads(number), limited_blas(number):
        field = gather(case, threads=number, names=names, place=place)
        agreed = compare(case, field.contenders)
        times = alternate(agreed.contenders, rounds, seconds=place.seconds)
        fast = agreed.contenders[0]
        fast.restore()
        allocated = place.allocated(fast.run) / case.unit_bytes
    return Measurement(
        case=case,
        floor=field.floor,
        rounds=len(next(iter(times.values()))),
        seconds={name: Spread.of(sample) for name, sample in times.items()},
        ratios=ratios(times),
        differences=agreed.differences,
        change=agreed.change,
        allocated=allocated,
        absent=field.absent | agreed.absent,
    )


def alternate(
    contenders: Sequence[Contender],
    rounds: int,
    *,
    seconds: Callable[[Run], float],
    pause: float = _PAUSE,
) -> dict[str, list[float]]:
    """Time the contenders in turns, so that a drift of the machine hits all alike.

    Each round starts with another contender, because who comes next finds the caches as the last
    one left them. The first round warms up and is not counted.

    Returns
    -------
    dict of str to list of float
        Seconds of each contender, one figure per round.
    """
    warm = [timed(one, seconds=seconds, pause=pause) for one in contenders]
    several = math.ceil(_BUDGET / max(sum(warm), 1e-9))
    times: dict[str, list[float]] = {one.name: [] for one in contenders}
    for index in range(min(max(rounds, several), _MOST * rounds)):
        first = index % len(contenders)
        for one in (*contenders[first:], *contenders[:first]):
            times[one.name].append(timed(one, seconds=seconds, pause=pause))
    return times


def timed(one: Contender, *, seconds: Callable[[Run], float], pause: float = 0) -> float:
    """Time of one call on restored inputs."""
    time.sleep(pause)
    one.restore()
    return seconds(one.run)


def ratios(times: dict[str, list[float]]) -> dict[str, Spread]:
    """Ratios round by round, which a drift over the rounds does not touch."""
    fast = times[FAST]
    found = {}
    for name, sample in times.items():
        if name != FAST:
            pairs = zip(fast, sample, strict=True)
            up = name == FLOOR
            found[name] = Spread.of([f / other if up else other / f for f, other in pairs])
    return found


def geometric_mean(values: Sequence[float]) -> float:
    """Geometric mean, NaN of nothing."""
    return math.exp(math.fsum(map(math.log, values)) / len(values)) if values else math.nan


def limited_blas(number: int) -> Any:
    """Context in which NumPy's BLAS keeps to a number of threads, if threadpoolctl is there."""
    try:
        control = importlib.import_module("threadpoolctl")
    except ImportError:
        return contextlib.nullcontext()
    return control.threadpool_limits(number)
