"""How long the total variation takes here, in scikit-image and in py4DSTEM, by as many updates.

    python bench/variation.py [--rounds N] [--threads N] [--updates N] [--size 512]

Prints a table of ratios: the others' time over ours, both solvers, float32 and in place. Whoever is
not installed is left out. The others have Chambolle's fixed point, without its stopping rule (eps =
0), and first compute the same: a difference of more than 10⁻⁴ ends the run. All that is compared
takes turns, in an order drawn anew; ratios are formed round by round, and their median is shown.
"""

from __future__ import annotations

import argparse
import random
import statistics
import time
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any

import numpy as np

import arraycon

WEIGHT = 0.1
DEPTH = 20
LATERAL, VOLUME, ALONG_Z = (0, 1, 1), (1, 1, 1), (1, 0, 0)

Calls = dict[str, Callable[[], Any]]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--updates", type=int, default=50)
    parser.add_argument("--size", type=int, default=512)
    options = parser.parse_args()
    print("| object | axes (z, y, x) | against | chambolle | fgp |\n|---|---|---|--:|--:|")
    with arraycon.use_threads(options.threads):
        for shape, axes in scenes(options.size):
            for line in rows(shape, axes, options.updates, options.rounds):
                print(line, flush=True)


def scenes(size: int) -> list[tuple[tuple[int, int, int], tuple[int, int, int]]]:
    """Return shapes and the axes along which they are denoised."""
    volume = DEPTH, size, size
    return [((1, size, size), LATERAL), (volume, LATERAL), (volume, VOLUME), (volume, ALONG_Z)]


def rows(
    shape: tuple[int, int, int], axes: tuple[int, int, int], updates: int, rounds: int
) -> Iterator[str]:
    """Lines of one object."""
    noisy = np.random.default_rng(0).normal(0.1, 0.2, shape).astype("float32")
    out = noisy.copy()
    given = {"weight": WEIGHT, "axes_weight": axes, "n_iter": updates}
    ours: Calls = {
        solver: lambda solver=solver: arraycon.obj_tv(noisy, solver=solver, out=out, **given)
        for solver in ("chambolle", "fgp")
    }
    others = {**scikit_image(noisy, axes, updates), **py4dstem(noisy, axes, updates)}
    for name, call in others.items():
        difference = np.linalg.norm(call() - ours["chambolle"]()) / np.linalg.norm(noisy)
        if not difference < 1e-4:
            raise SystemExit(f"{name} computes something else: {difference:.1e}")
    found = measured(ours | others, rounds)
    for name in others:
        ratios = [
            statistics.median(a / b for a, b in zip(found[name], found[solver], strict=True))
            for solver in ours
        ]
        cells = "×".join(map(str, shape)), str(axes), name, *(f"{ratio:.1f}" for ratio in ratios)
        yield f"| {' | '.join(cells)} |"


def scikit_image(noisy: Any, axes: tuple[int, int, int], updates: int) -> Calls:
    """Slice by slice, or the volume."""
    try:
        from skimage.restoration import denoise_tv_chambolle
    except ImportError:
        return {}
    options = {"weight": WEIGHT, "eps": 0, "max_num_iter": updates + 1}
    if axes == ALONG_Z:  # it has no such choice
        return {}
    parts = noisy if axes == LATERAL else noisy[None]
    return {
        "scikit-image": lambda: np.stack(
            [denoise_tv_chambolle(part, **options) for part in parts]
        ).reshape(noisy.shape)
    }


def py4dstem(noisy: Any, axes: tuple[int, int, int], updates: int) -> Calls:
    """Its method, which wants no more of a reconstruction than these two attributes."""
    try:
        from py4DSTEM.process.phase import ptychographic_constraints as module
    except ImportError:
        return {}
    method = module.ObjectNDConstraintsMixin._object_denoise_tv_chambolle
    if axes == LATERAL:  # it has its own way for slices, by another package
        return {}
    reconstruction = SimpleNamespace(_xp=np, _object_type="potential")
    axis = 0 if axes == ALONG_Z else None
    options = {"padding": None, "eps": 0, "max_num_iter": updates + 1}
    return {"py4DSTEM": lambda: method(reconstruction, noisy, WEIGHT, axis, **options)}


def measured(calls: Calls, rounds: int) -> dict[str, list[float]]:
    """Return seconds per call in each round; all have been called before."""
    found: dict[str, list[float]] = {name: [] for name in calls}
    shuffled = random.Random(0)
    for _ in range(rounds):
        for name in shuffled.sample(list(calls), len(calls)):
            start = time.perf_counter()
            calls[name]()
            found[name].append(time.perf_counter() - start)
    return found


if __name__ == "__main__":
    main()
