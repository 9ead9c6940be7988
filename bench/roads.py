"""How much of the time is on the road to the kernels: ways to call, tensors, and awkward widths.

    python bench/roads.py [--rounds N] [--only ways,tensors,widths] [--sizes tiny,small,medium]
                          [--widths 500,509,512]

Prints three tables: function, `apply` and a bound schedule against each other; PyTorch's tensors on
the CPU against NumPy's arrays, where PyTorch is installed; and filters at widths near 512. All that
is compared takes turns, ratios are formed round by round, and their median is shown. Idle threads
of OpenMP are told not to spin, as in `arraycon bench`.
"""

from __future__ import annotations

import argparse
import os
import random
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Any

os.environ.setdefault("GOMP_SPINCOUNT", "0")

import numpy as np

import arraycon

SIZES = {"tiny": (1, 1, 16, 16), "small": (1, 6, 64, 64), "medium": (1, 6, 512, 512)}
CONSTRAINTS = {
    "obja_thresh": "object_amplitude",
    "objp_postiv": "object_phase",
    "mirrored_amp": "object_amplitude",
    "obj_rblur": "object_phase",
    "kr_filter": "object_phase",
    "kz_filter": "object_phase",
}
"""What each is called on; where a block has a choice, on this part alone."""
WIDTHS = (
    *(500, 503, 504, 506, 507, 509, 510, 512, 514, 520, 521, 525, 539, 540, 541, 550, 560, 572),
    *(576, 587, 594, 600, 605, 607, 614),
)
FILTERS = ("kr_filter", "kz_filter")
LEAST = 2e-3  # s of calls in one round; shorter ones are repeated

PAUSE = 2e-3  # s, after which OpenMP's threads have gone to sleep

Ways = dict[str, Callable[[], Any]]


def main() -> None:
    """Print the tables that were asked for."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--only", default="ways,tensors,widths")
    parser.add_argument("--sizes", default=",".join(SIZES))
    parser.add_argument("--widths", default=",".join(map(str, WIDTHS)))
    options = parser.parse_args()
    tables = {
        "ways": lambda: ways(options.sizes.split(","), options.rounds),
        "tensors": lambda: tensors(options.sizes.split(","), options.rounds),
        "widths": lambda: widths([int(n) for n in options.widths.split(",")], options.rounds),
    }
    for name in options.only.split(","):
        print("\n".join(tables[name]()), end="\n\n", flush=True)


def ways(sizes: list[str], rounds: int) -> list[str]:
    """Compare function, `apply` and bound schedule on NumPy arrays."""
    lines = ["| size | constraint | function µs | apply | bound | apply ÷ bound |"]
    lines += ["|---|---|--:|--:|--:|--:|"]
    for size in sizes:
        for name in CONSTRAINTS:
            fields = made(SIZES[size])
            found = measured(ways_to_call(name, fields), fields, rounds)
            micro = [f"{1e6 * statistics.median(found[way]):.1f}" for way in found]
            cells = size, name, *micro, f"{ratio(found, 'apply', 'bound'):.2f}"
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def tensors(sizes: list[str], rounds: int) -> list[str]:
    """Compare tensors with arrays of the same values."""
    try:
        import torch
    except ImportError:
        return ["PyTorch is not installed: no table of tensors"]
    lines = [
        "| size | constraint | torch ÷ NumPy: function | apply | bound |",
        "|---|---|--:|--:|--:|",
    ]
    for size in sizes:
        for name in CONSTRAINTS:
            fields = made(SIZES[size])
            # the same memory: where it lies makes more of a difference than who calls
            lent = {key: torch.from_numpy(array) for key, array in fields.items()}
            both = ways_to_call(name, fields)
            both |= {f"torch {way}": call for way, call in ways_to_call(name, lent).items()}
            found = measured(both, fields, rounds)
            ratios = [f"{ratio(found, f'torch {way}', way):.2f}" for way in found if " " not in way]
            lines.append(f"| {' | '.join((size, name, *ratios))} |")
    return lines


def widths(sizes: list[int], rounds: int) -> list[str]:
    """Compare filters of six slices at several widths with 512, pixel by pixel."""
    lines = [f"| width | {' | '.join(FILTERS)} |", "|--:|" + "--:|" * len(FILTERS)]
    reference = made((1, 6, 512, 512))
    for width in sizes:
        fields, row = made((1, 6, width, width)), []
        for name in FILTERS:
            calls = {
                "here": ways_to_call(name, fields)["bound"],
                "512": ways_to_call(name, reference)["bound"],
            }
            both = {**fields, **{f"512 {key}": array for key, array in reference.items()}}
            found = measured(calls, both, rounds)
            row.append(f"{ratio(found, 'here', '512') * (512 / width) ** 2:.2f}")
        lines.append(f"| {' | '.join((str(width), *row))} |")
    return lines


def made(shape: tuple[int, ...]) -> dict[str, Any]:
    """Return an amplitude and a phase of random numbers."""
    rng = np.random.default_rng(0)
    amplitude, phase = rng.normal(1, 0.05, shape), rng.normal(0.1, 0.2, shape)
    return {"object_amplitude": np.float32(amplitude), "object_phase": np.float32(phase)}


def ways_to_call(name: str, fields: Mapping[str, Any]) -> Ways:
    """Return the ways to call a constraint in place, at its default parameters."""
    target = CONSTRAINTS[name]
    block: dict[str, Any] = {"start_iter": 1}
    model = type(arraycon.Constraints({name: block})[name])
    if "obj_type" in model.model_fields:
        block["obj_type"] = target.removeprefix("object_")
    constraints = arraycon.Constraints({name: block})
    state = arraycon.State(**fields)
    bound, function = constraints.bind(state), getattr(arraycon, name)
    arrays = [fields[target]]
    if name == "mirrored_amp":
        arrays.append(fields["object_phase"])
    return {
        "function": lambda: function(*arrays, out=arrays[0]),
        "apply": lambda: constraints.apply(state, 1),
        "bound": lambda: bound.apply(1),
    }


def measured(calls: Ways, memory: Mapping[str, Any], rounds: int) -> dict[str, list[float]]:
    """Return seconds per call in each round, on the same values each time."""
    values = {name: array.copy() for name, array in memory.items()}
    for call in calls.values():
        call()
    # as many of each: one call in a round finds nothing in the caches, the second of two does
    repeats = max(1, round(LEAST / min(timed(call, 1) for call in calls.values())))
    found: dict[str, list[float]] = {way: [] for way in calls}
    shuffled = random.Random(0)
    for _ in range(rounds):
        # in any order: what comes after a function of PyTorch finds its threads and memory about
        for way in shuffled.sample(list(calls), len(calls)):
            time.sleep(PAUSE)
            for name, array in memory.items():
                array[...] = values[name]
            found[way].append(timed(calls[way], repeats))
    return found


def timed(call: Callable[[], Any], repeats: int) -> float:
    """Return seconds of one of several calls."""
    start = time.perf_counter()
    for _ in range(repeats):
        call()
    return (time.perf_counter() - start) / repeats


def ratio(found: Mapping[str, list[float]], one: str, other: str) -> float:
    """Return the median ratio of two that were measured in turns."""
    return statistics.median(a / b for a, b in zip(found[one], found[other], strict=True))


if __name__ == "__main__":
    main()
