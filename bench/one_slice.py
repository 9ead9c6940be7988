"""Extra memory of every object constraint on an object of one slice, by one and by two threads.

    python bench/one_slice.py [--width 1024]

In place, by a schedule, as a fraction of one object array: what NumPy, Python and Numba allocate.
Many slices share scratch memory, one slice has it by itself.
"""

from __future__ import annotations

import argparse
import warnings

from arraycon import State, use_threads
from arraycon.bench import places
from arraycon.bench.cases import NAMES, OBJECT, Case, Size

THREADS = (1, 2)


def extra(case: Case, threads: int) -> float:
    """Return the peak of the second call, as a fraction of one array."""
    with use_threads(threads), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        constraints = case.constraints
        for _ in range(2):  # compiling and tables of the first one are not counted
            state = State(**case.fields())
            held = places.cpu().allocated(lambda state=state: constraints.apply(state, 1))
    return held / case.unit_bytes


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--width", type=int, default=1024, help="pixels along both axes")
    width = parser.parse_args().width
    size = Size("one slice", (1, 1, width, width), (4, 256, 256), (32, 32))
    print("| constraint | one thread | two |\n|---|---|---|")
    for name in NAMES:
        case = Case(name, size)
        if not set(OBJECT).isdisjoint(case.writes):
            figures = (f"{extra(case, threads):.2f}" for threads in THREADS)
            print(f"| `{name}` | {' | '.join(figures)} |", flush=True)


if __name__ == "__main__":
    main()
