"""A whole benchmark: some constraints at one size, and what only fresh processes show."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field, replace

from arraycon.bench import fresh, machine, places
from arraycon.bench.cases import SIZES, Case, Size, names_for
from arraycon.bench.measuring import ROUNDS, Measurement, measure
from arraycon.bench.peers import CONTENDERS
from arraycon.kernels.common import threads as pool

Progress = Callable[[Sequence[Case]], Iterable[Case]]
"""Goes through cases and shows how far it has come."""


@dataclass
class Bench:
    """Results of a benchmark.

    Parameters
    ----------
    size : Size
        Shapes of the inputs.
    dtype : str
        Their precision.
    machine : dict
        What it ran on.
    measurements : dict of str to Measurement
        By constraint.
    peak_memory : dict of str to float or None
        Rise of a fresh process's peak memory, by constraint, as a fraction of one array; None where
        the system does not tell. Empty if it was not asked for.
    first_calls : dict of str to float
        Seconds of the first call in a fresh process at the smallest size, by constraint.
    import_seconds : float, optional
        Time of ``import arraycon``.
    others : float, optional
        Cores that other processes kept busy meanwhile, on average, as far as the system tells.
    form : str
        How the object was held, one of `FORMS`.
    """

    size: Size
    dtype: str
    machine: dict[str, object]
    measurements: dict[str, Measurement] = field(default_factory=dict)
    peak_memory: dict[str, float | None] = field(default_factory=dict)
    first_calls: dict[str, float] = field(default_factory=dict)
    import_seconds: float | None = None
    others: float | None = None
    form: str = "parts"

    @property
    def absent(self) -> dict[str, str]:
        """Why contenders did not take part, by contender, where that holds for all constraints."""
        found = [one.absent for one in self.measurements.values()]
        first = found[0] if found else {}
        return {
            name: reason
            for name, reason in first.items()
            if all(other.get(name) == reason for other in found)
        }


def run(
    size: Size,
    *,
    names: Sequence[str] | None = None,
    dtype: str = "float32",
    form: str = "parts",
    rounds: int = ROUNDS,
    threads: int | None = None,
    contenders: tuple[str, ...] = CONTENDERS,
    full: bool = False,
    progress: Progress | None = None,
    on: str = "cpu",
) -> Bench:
    """Measure constraints at one size.

    Parameters
    ----------
    size : Size
        Shapes of the inputs.
    names : sequence of str, optional
        Constraints to measure; by default all that there are for the form.
    dtype : str
        ``float32`` or ``float64``.
    form : str
        How the object is held: ``parts`` or ``complex``.
    rounds : int
        Least number of timed calls of each contender.
    threads : int, optional
        Threads of every contender that can use several.
    contenders : tuple of str
        Who takes part.
    full : bool
        Whether to measure import time, first calls and the process's peak memory as well, all in
        fresh processes.
    progress : callable, optional
        Wraps the constraints to go through, to show how far it has come.
    on : str
        ``cpu`` or ``gpu``.

    Raises
    ------
    ValueError
        What only processes on the CPU tell (`full`) is asked for on a GPU, or a complex object of a
        constraint that takes none.
    ImportError
        There is no CuPy.
    """
    if full and on != "cpu":
        raise ValueError("full: first calls and peak memory of fresh processes are for the CPU")
    number, place = threads or pool.count(), places.PLACES[on]()
    chosen = names_for(form) if names is None else names
    cases = [Case(name, size, dtype, form) for name in chosen]
    done, others = Bench(size, dtype, machine.describe(number, on=on), form=form), machine.Others()
    if full:
        done.import_seconds = fresh.import_seconds()
    for case in progress(cases) if progress else cases:
        done.measurements[case.name] = measure(
            case, rounds=rounds, threads=number, names=contenders, place=place
        )
        if full:
            done.peak_memory[case.name] = fresh.peak_memory(case, threads=number)
            small = replace(case, size=SIZES["small"])
            done.first_calls[case.name] = fresh.first_call_seconds(small, threads=number)
    done.others = others.cores()
    return done
