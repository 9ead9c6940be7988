"""The least that a constraint can cost: a copy of its arrays, or its bare transforms."""

from __future__ import annotations

import importlib

from arraycon.bench.cases import Case, Fields
from arraycon.bench.places import Place, Run


def floor(case: Case, fields: Fields, place: Place) -> tuple[str, Run]:
    """Say what the floor of a case is, and give the function to time.

    The function reads `fields` and writes to buffers of its own.
    """
    kind, parts = importlib.import_module(f"{__name__}.{place.name}").floor(case, fields)

    def run() -> None:
        for part in parts:
            part()

    return kind, run
