"""Order statistics by histograms of bits, by each way of counting."""

from __future__ import annotations

import numpy as np
import pytest

from arraycon.kernels.blocks.tools import selection
from arraycon.kernels.common import dispatch
from arraycon.kernels.common.steps import Region

EXTREME = [0.0, -0.0, 1e-42, -1e-42, 1e38, -1e38, np.inf, -np.inf, np.nan, -np.nan, 1.0, 1.0, -1.0]
VALUES = {
    "normal": np.random.default_rng(1).normal(size=1000),
    "close": 1 + np.random.default_rng(2).integers(0, 40, 500) * 1e-7,
    "extreme": np.array(EXTREME * 7),
    "one": np.array([3.0]),
    "equal": np.full(70, -2.5),
}
REGION = Region((1, 1, 1), slice(0, 1), slice(0, 1))


def select(values, ranks, pieces):
    """Run the steps on pieces of an array, and return what they share."""
    shared = {}
    single = values.dtype == np.float32
    for step in selection.steps("x", lambda blocks, _: [blocks["x"]], ranks, single=single):
        parts = [step.part({"x": x}, shared, REGION) for x in np.array_split(values, pieces)]
        total = parts[0]
        for part in parts[1:]:
            total = step.combine(total, part)
        shared.update(step.conclude(total, shared))
    return shared


@pytest.mark.parametrize("agnostic", [False, True])
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("kind", VALUES)
def test_every_place_in_order(kind, dtype, agnostic):
    values = VALUES[kind].astype(dtype)
    size = len(values)
    wanted = sorted({min(each, size - 1) for each in (0, 5, size // 3, size // 3 + 1, size)})
    before = values.tobytes()
    if agnostic:
        with dispatch.use_agnostic():
            shared = select(values, lambda _: wanted, 3)
    else:
        shared = select(values, lambda _: wanted, 3)
    assert shared["count"] == size
    found = np.array(shared["selected"])
    assert found.dtype == dtype
    # NaN is last there too, and neither knows zeros of two kinds
    np.testing.assert_array_equal(found, np.sort(values)[wanted])
    assert values.tobytes() == before


def test_places_follow_from_the_count():
    values = VALUES["normal"].astype("float32")
    shared = select(values, lambda count: [count // 2], 4)
    assert shared["selected"][0] == np.sort(values)[500]


def test_nothing_to_select_from():
    shared = select(np.zeros(0, "float32"), lambda _: pytest.fail("asked for places"), 1)
    assert (shared["count"], shared["selected"]) == (0, ())
