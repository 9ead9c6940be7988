"""A dry run: what a job would do."""

from __future__ import annotations

from dataclasses import dataclass

from arraycon import io
from arraycon.cli.job import Job, checked, iterations_of
from arraycon.pipeline import Constraints, Skipped


@dataclass(frozen=True)
class Rehearsal:
    """What a job would do.

    Parameters
    ----------
    iterations : range
        Those that it would go through.
    due : dict of str to int
        Constraints that would run, and how often.
    skipped : tuple of Skipped
        Constraints that are on only by default and lack an input.
    """

    iterations: range
    due: dict[str, int]
    skipped: tuple[Skipped, ...]


def rehearse(job: Job, found: io.Reconstruction, constraints: Constraints) -> Rehearsal:
    """Check what `run` would check, and say what it would do.

    Raises
    ------
    MissingInputError
        As `run`.
    """
    iterations = iterations_of(job, found)
    skipped = checked(job, found.state, constraints, iterations)
    missing = {skip.name for skip in skipped}
    due: dict[str, int] = {}
    for iteration in iterations:
        for name in constraints.due(iteration):
            if name not in missing:
                due[name] = due.get(name, 0) + 1
    return Rehearsal(iterations, due, skipped)
