"""What both kinds of floors share."""

from __future__ import annotations

from typing import Any

import numpy as np

from arraycon.bench.cases import Case

COPY = "copy"
"""The floor of whatever has none of its own."""


def masked(case: Case, probe: Any) -> int:
    """Count the strongest modes, those that a probe mask applies to; others need no transform."""
    power = np.sort(np.sum(np.abs(probe) ** 2, axis=(1, 2)))[::-1]
    above = np.cumsum(power) / power.sum() > case.parameters["power_thresh"]
    return int(np.argmax(above)) + 1 if above.any() else len(probe)
