"""Random calls against the reference, and damaged files: looks for what nobody has thought of.

    python bench/fuzz.py [--count N] [--seed S] [--only KINDS] [--start N] [--cupy]

Kinds are ``functions``, ``states`` and ``files``. Each case follows from the seed and its number,
so ``--start`` repeats one: every failure is printed with the command that shows it again. The exit
code says whether there was any. ``--cupy`` hands CuPy arrays to the functions.
"""

from __future__ import annotations

import argparse
import collections
import functools
import importlib
import sys
import time
import traceback
import warnings
from collections.abc import Callable

KINDS = ("functions", "states", "files")
EVERY = 20.0  # s between two lines of progress


def main(arguments: list[str] | None = None) -> int:
    """Run the cases; return how many failed, at most 100."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--count", type=int, default=1000, help="cases of each kind")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--start", type=int, default=0, help="number of the first case")
    parser.add_argument("--only", default=",".join(KINDS), help="kinds, with commas")
    parser.add_argument("--cupy", action="store_true", help="functions on CuPy arrays only")
    options = parser.parse_args(arguments)
    if options.cupy:
        options.only, functions = "functions", importlib.import_module("fuzzing.functions")
        functions.case = functools.partial(functions.case, library=importlib.import_module("cupy"))
    failed = 0
    for kind in options.only.split(","):
        if kind not in KINDS:
            parser.error(f"--only: expected {', '.join(KINDS)}, got {kind}")
        failed += run(kind, options.seed, range(options.start, options.start + options.count))
    return min(failed, 100)


def run(kind: str, seed: int, numbers: range) -> int:
    """Run cases of a kind; return how many failed."""
    case = importlib.import_module(f"fuzzing.{kind}").case
    outcomes: collections.Counter[str] = collections.Counter()
    begin = shown = time.monotonic()
    for number in numbers:
        outcome = attempt(case, seed, number)
        outcomes[outcome.partition(":")[0]] += 1
        if outcome.startswith("WRONG"):
            again = f"--only {kind} --seed {seed} --start {number} --count 1"
            print(f"{outcome}\n    python bench/fuzz.py {again}", flush=True)
        if time.monotonic() - shown > EVERY:
            shown = time.monotonic()
            print(f"{kind}: {number - numbers.start + 1} of {len(numbers)}", flush=True)
    counts = ", ".join(f"{count} {name}" for name, count in sorted(outcomes.items()))
    print(f"{kind}: {counts} ({time.monotonic() - begin:.0f} s)", flush=True)
    return outcomes["WRONG"]


def attempt(case: Callable[[int, int], str], seed: int, number: int) -> str:
    """Run one case; what it raises is a failure, and so are warnings about numbers."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            # doubts about parameters and states that nobody chose
            warnings.simplefilter("ignore", UserWarning)
            return case(seed, number)
    except Exception as error:
        where = traceback.extract_tb(error.__traceback__)[-1]
        return f"WRONG: {type(error).__name__}: {error} ({where.name}, line {where.lineno})"


if __name__ == "__main__":
    sys.exit(main())
