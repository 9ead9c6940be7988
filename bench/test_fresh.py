"""What only fresh processes show: peak extra memory, first call, import.

Times are printed and decide nothing; memory is held to its limits.
"""

from __future__ import annotations

import pytest

from arraycon.bench import NAMES, SIZES, Case, fresh, measure
from arraycon.bench.peers import FAST

SLACK = 0.05  # thread stacks and Python's own heap, about 1 MB of the medium object's 21

LIMITS = {
    **dict.fromkeys(("complex_ratio", "mirrored_amp", "obja_thresh", "objp_postiv"), 0.01),
    **dict.fromkeys(("obj_rblur", "obj_zblur", "kr_filter"), 0.15),
    "kz_filter": 1.1,
    "kr_thresh": 2.1,
    "obj_z_recenter": 2.1,
    "ortho_pmode": 0.1,
    "fix_probe_int": 0.01,
}
"""Peak extra memory as a fraction of one object array (the probe for probe constraints)."""


def test_extra_memory(name: str, form: str, threads: int, lines: list[str]) -> None:
    case = Case(name, SIZES["medium"], form=form)
    allocated = measure(case, rounds=1, threads=threads, names=(FAST,)).allocated
    process = fresh.peak_memory(case, threads=threads)
    risen = "unknown" if process is None else f"{process:.3f}"
    limit = LIMITS.get(name, float("inf"))
    if form == "complex":  # its two parts, and half as much of an array twice as large
        limit = 1 + limit / 2
    lines.append(
        f"{name:15} extra memory at medium size: {allocated:.3f} allocated, process {risen} "
        f"(of {case.unit}); limit {limit:g}"
    )
    assert allocated <= limit
    assert process is None or process <= limit + SLACK


def test_first_call(name: str, form: str, threads: int, lines: list[str]) -> None:
    seconds = fresh.first_call_seconds(Case(name, SIZES["small"], form=form), threads=threads)
    lines.append(f"{name:15} first call at small size, {form}: {seconds:.2f} s")
    assert seconds > 0


def test_import(lines: list[str]) -> None:
    seconds = fresh.import_seconds()
    lines.append(f"import arraycon: {seconds:.2f} s")
    assert seconds > 0


@pytest.mark.parametrize("limited", LIMITS)
def test_limits_name_constraints(limited: str) -> None:
    assert limited in NAMES
