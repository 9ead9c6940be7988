"""Pipeline: which constraints run at an iteration, in which order, and what they did."""

from arraycon.constraints import register, unregister
from arraycon.pipeline.report import Record, Report, Skipped
from arraycon.pipeline.schedule import Constraints, MissingInputError

__all__ = [
    "Constraints",
    "MissingInputError",
    "Record",
    "Report",
    "Skipped",
    "register",
    "unregister",
]
