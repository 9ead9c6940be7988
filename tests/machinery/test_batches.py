"""Slices, volumes and modes have nothing to do with each other unless the formula says so.

Scratch memory that is kept from one item to the next would carry a NaN along, or the rounding of
large numbers.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from libraries import COMPLEX, REAL

import arraycon

SLICES = ((4, 9, 14), (5, 40, 45), (3, 17, 34), (3, 41, 94))
VOLUMES = ((3, 6, 9, 14), (3, 65, 9, 9), (3, 65, 8, 12), (3, 7, 36, 33), (3, 1, 5, 6))
MODES = ((3, 16, 16), (4, 9, 14), (3, 40, 45))


@dataclass(frozen=True)
class Batch:
    """A constraint, and the shapes of batches whose items lie along the first axis."""

    name: str
    shapes: tuple[tuple[int, ...], ...]
    options: dict[str, Any] = field(default_factory=dict)
    complex: bool = False

    def __str__(self) -> str:
        return "-".join([self.name, *(f"{k}={v}" for k, v in self.options.items())])


BATCHES = [
    Batch("kr_filter", SLICES, {"radius": 0.4, "width": 0.1}),
    Batch("kr_thresh", SLICES, {"thresh": 0.4, "scope": "slice"}),
    Batch("obj_rblur", SLICES, {"std": 1.0}),
    Batch("obj_rblur", SLICES, {"std": 3.0, "kernel_size": 19}, complex=True),
    Batch("obj_zblur", VOLUMES),
    Batch("obj_zblur", VOLUMES, {"kernel_size": 9}, complex=True),
    Batch("kz_filter", VOLUMES),
    Batch("kz_filter", VOLUMES, {"boundary": "mirror"}),
    Batch("kz_filter", VOLUMES, {"obj_type": "amplitude"}),
    Batch("obja_thresh", SLICES, {"relax": 0.3}),
    Batch("objp_postiv", SLICES),
    Batch("objp_thresh", SLICES),
    Batch("obj_shrink", SLICES, {"amount": 0.4}),
    Batch("obj_shrink", SLICES, {"amount": 0.4, "target": 1.0}, complex=True),
    Batch("obj_fill", SLICES, {"value": 0.3, "relax": 0.2}),
    Batch("obj_baseline", SLICES),
    Batch("obj_baseline", VOLUMES, {"statistic": "percentile", "obj_type": "amplitude"}),
]
TRANSFORMED = "kr_filter", "kr_thresh", "kz_filter"


def calls_and_shapes(*, transformed):
    return [
        pytest.param(batch, shape, id=f"{batch}-{'x'.join(map(str, shape))}")
        for batch in BATCHES
        for shape in batch.shapes
        if (batch.name in TRANSFORMED) == transformed
    ]


QUICK = pytest.mark.quick(when=lambda dtype, threads, **_: dtype == "float32" and threads == 1)


def neighbours(values, rng):
    """What may lie beside an item."""
    spotted = values.copy()
    spotted.flat[rng.integers(spotted.size)] = np.nan
    return {
        "NaN": spotted,
        "all NaN": np.full_like(values, np.nan),
        "1e30": values * values.real.dtype.type(1e30),
        "noise": rng.normal(size=values.shape).astype(values.dtype),
    }


def some(shape, dtype, rng):
    values = rng.normal(0.5, 1.0, shape)
    return values.astype(dtype) if dtype in REAL else (values * (1 - 0.5j)).astype(dtype)


@QUICK
@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("batch", "shape"), calls_and_shapes(transformed=False))
def test_each_item_alone_and_in_a_batch(batch, shape, dtype, threads):
    compare_alone_and_in_a_batch(batch, shape, dtype, threads)


@QUICK
@pytest.mark.filterwarnings("ignore:(invalid|overflow):RuntimeWarning")
@pytest.mark.usefixtures("engine", "divided")
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("dtype", REAL)
@pytest.mark.parametrize(("batch", "shape"), calls_and_shapes(transformed=True))
def test_each_transformed_item_alone_and_in_a_batch(batch, shape, dtype, threads):
    compare_alone_and_in_a_batch(batch, shape, dtype, threads)


def compare_alone_and_in_a_batch(batch, shape, dtype, threads):
    rng = np.random.default_rng(20)
    items = some(shape, COMPLEX[dtype] if batch.complex else dtype, rng)
    function = getattr(arraycon, batch.name)
    with arraycon.use_threads(threads):
        alone = [function(item[None], **batch.options)[0] for item in items]
        for kind, other in neighbours(items, rng).items():
            for place, expected in enumerate(alone):
                # all others are replaced, before and behind
                mixed = other.copy()
                mixed[place] = items[place]
                result = function(mixed, **batch.options)[place]
                np.testing.assert_array_equal(result, expected, err_msg=f"{kind}, item {place}")


@pytest.mark.parametrize("kind", ["1e30", "noise"])
@pytest.mark.parametrize("shape", MODES)
def test_each_mode_alone_and_among_others(shape, kind):
    """A mask of all modes treats each alike; they come back sorted by power."""
    rng = np.random.default_rng(20)
    modes = some(shape, "complex128", rng)
    options = {"radius": 0.4, "width": 0.1, "power_thresh": 1.0}
    for place, mode in enumerate(modes):
        alone = arraycon.probe_mask_k(mode[None], **options)[0]
        mixed = neighbours(modes, rng)[kind].copy()
        mixed[place] = mode
        result = arraycon.probe_mask_k(mixed, **options)
        assert any(np.array_equal(one, alone) for one in result)


def test_both_tilts_are_blurred_alone():
    rng = np.random.default_rng(20)
    tilts = rng.normal(size=(42, 2))
    clean = arraycon.tilt_smooth(tilts, scan_shape=(6, 7))
    for column in (0, 1):
        for other in neighbours(tilts, rng).values():
            mixed = other.copy()
            mixed[:, column] = tilts[:, column]
            result = arraycon.tilt_smooth(mixed, scan_shape=(6, 7))
            np.testing.assert_array_equal(result[:, column], clean[:, column])


@pytest.mark.usefixtures("divided")
@pytest.mark.parametrize("number", [1, 2, 3, 7])
@pytest.mark.parametrize("name", ["complex_ratio", "mirrored_amp", "ortho_pmode", "fix_probe_int"])
def test_sums_over_everything_do_not_depend_on_the_number_of_threads(name, number):
    rng = np.random.default_rng(20)
    real = some((3, 300, 301), "float32", rng), some((3, 300, 301), "float32", rng)
    probe = some((3, 160, 161), "complex64", rng)
    # numbers that need the exact functions, which round otherwise, here and there
    real[1].flat[[77_777, 200_001]] = 1e4, 1e-40
    given = {"ortho_pmode": (probe,), "fix_probe_int": (probe,)}.get(name, real)
    options = {"fix_probe_int": {"intensity": 5.0}, "mirrored_amp": {"power": 2.5}}.get(name, {})
    results = []
    for threads in (1, number):
        with arraycon.use_threads(threads):
            results.append(getattr(arraycon, name)(*given, **options))
    np.testing.assert_array_equal(*results)
