"""Choosing the strength of constraints from the data, without a truth.

`candidates` makes the trials, `scoring` has the two scores, `judging` ranks by the one that fits
the data and doubts its own choice, `running` reconstructs; `figures` and `report` show it.
"""

from __future__ import annotations

from arraycon.tuning.candidates import vary
from arraycon.tuning.judging import Trial, Tuning
from arraycon.tuning.running import Found, tune

__all__ = ["Found", "Trial", "Tuning", "tune", "vary"]
