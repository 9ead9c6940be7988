"""What ``measure=True`` costs: ``python bench/measured.py``, on a machine that does nothing else.

Prints a table of `Constraints.apply` with and without figures, for every constraint of the object
and of the probe: the ratio of their times in the same round, and the memory that measuring adds.
"""

from __future__ import annotations

import time
import tracemalloc
from collections.abc import Callable
from typing import Annotated

import numpy as np
import typer
from rich.table import Table

from arraycon import Report, State
from arraycon.bench.cases import NAMES, Case, Size
from arraycon.bench.measuring import Spread
from arraycon.cli.errors import console, reported
from arraycon.kernels.common import threads

SIZE = Size("medium, 6 slices", (1, 6, 512, 512), (8, 256, 256), (64, 64))
WARM = 3  # calls of each kind before the first round

app = typer.Typer(add_completion=False, pretty_exceptions_enable=False)


class Calls:
    """Calls of one constraint, whose inputs are restored before each of them.

    Parameters
    ----------
    case : Case
        Constraint and inputs.
    """

    def __init__(self, case: Case) -> None:
        self._fields, self._constraints = case.fields(), case.constraints
        self._state = State(**case.fields())
        self.unit = case.unit_bytes

    def run(self, *, measure: bool) -> Report:
        """Apply it once."""
        return self._constraints.apply(self._state, 1, measure=measure)

    def seconds(self, *, measure: bool) -> float:
        """Return the time of one call on fresh values."""
        self._restore()
        start = time.perf_counter()
        self.run(measure=measure)
        return time.perf_counter() - start

    def peak(self, *, measure: bool) -> int:
        """Return the most memory that one call holds at a time, in bytes."""
        self._restore()
        tracemalloc.start()
        try:
            self.run(measure=measure)
            return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    def _restore(self) -> None:
        for name, value in self._fields.items():
            if isinstance(value, np.ndarray):
                getattr(self._state, name)[...] = value


def ratios(seconds: Callable[..., float], rounds: int) -> Spread:
    """Time of measured calls as a multiple of that of others, round by round, in turns."""
    for _ in range(WARM):
        for measure in (False, True):
            seconds(measure=measure)
    found = []
    for i in range(rounds):
        order = (False, True) if i % 2 else (True, False)
        times = {measure: seconds(measure=measure) for measure in order}
        found.append(times[True] / times[False])
    return Spread.of(found)


def row(name: str, rounds: int) -> tuple[str, ...]:
    """One line of the table."""
    calls = Calls(Case(name, SIZE))
    ratio = ratios(calls.seconds, rounds)
    more = calls.peak(measure=True) - calls.peak(measure=False)
    spread = f"{ratio.p25:.2f} to {ratio.p75:.2f}"
    return name, f"{ratio.median:.2f}", spread, f"{max(more, 0) / calls.unit:.3f}"


@app.command()
def main(
    rounds: Annotated[int, typer.Option(min=3, help="Pairs of calls, in turns.")] = 31,
    number: Annotated[int, typer.Option("--threads", min=1, help="Threads.")] = 2,
) -> None:
    """Compare measured calls with others."""
    with reported(), threads.use_threads(number):
        table = Table("constraint", "measured ÷ not", "quartiles", "more memory ÷ array")
        shown = console()
        for name in NAMES:
            table.add_row(*row(name, rounds))
        shown.print(f"{'×'.join(map(str, SIZE.object))} float32, {number} threads")
        shown.print(table)


if __name__ == "__main__":
    app()
