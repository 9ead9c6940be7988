"""Pipeline: which constraints run at an iteration, in which order, and what they did."""

from arraycon.constraints import register, unregister
from arraycon.pipeline.bound import Bound
from arraycon.pipeline.inputs import MissingInputError
from arraycon.pipeline.report import Record, Report, Skipped
from arraycon.pipeline.schedule import Constraints

__all__ = [
    "Bound",
    "Constraints",
    "MissingInputError",
    "Record",
    "Report",
    "Skipped",
    "register",
    "unregister",
]
