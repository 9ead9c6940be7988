"""Every constraint by every contender: one group per constraint, size, dtype and form.

pytest-benchmark times one contender after the other. For ratios take `arraycon bench`, which times
them in turns.
"""

from __future__ import annotations

import dataclasses

import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from arraycon.bench import Case
from arraycon.bench.agreement import compare
from arraycon.bench.measuring import limited_blas
from arraycon.bench.peers import AGNOSTIC, CONTENDERS, FAST, gather

AGREEMENT = {"float32": 1e-5, "float64": 1e-11}
"""Nobody shall time wrong numbers; what is right is decided by the tests."""

ONE_COEFFICIENT = 1e-2
"""Difference of `kr_thresh` when rounding puts one coefficient on the other side of the limit."""


@pytest.mark.parametrize("contender", CONTENDERS)
def test_constraint(
    benchmark: BenchmarkFixture, case: Case, contender: str, rounds: int, threads: int
) -> None:
    benchmark.group = f"{case.name}, {case.size.name}, {case.dtype}, {case.form}"
    with limited_blas(threads):
        field = gather(case, threads=threads, names=tuple(dict.fromkeys((FAST, contender))))
        agreed = compare(case, field.contenders)
        reason = (field.absent | agreed.absent).get(contender)
        if reason:
            pytest.skip(reason)
        one = next(one for one in agreed.contenders if one.name == contender)
        benchmark.extra_info |= {
            "case": dataclasses.asdict(case),
            "threads": threads,
            "floor": field.floor,
            "difference": agreed.differences.get(contender),
            "change": agreed.change,
        }
        benchmark.pedantic(one.run, setup=one.restore, rounds=rounds, warmup_rounds=1)
    if contender == AGNOSTIC:
        allowed = ONE_COEFFICIENT if case.name == "kr_thresh" else AGREEMENT[case.dtype]
        assert agreed.differences[contender] <= allowed
