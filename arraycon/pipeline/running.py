"""Running: one constraint on the fields of a state, and the record of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

from arraycon.blocks import Block
from arraycon.constraints import Constraint
from arraycon.kernels import metrics
from arraycon.kernels.common import arrays
from arraycon.kernels.common.changes import Changes
from arraycon.pipeline.fields import Fields
from arraycon.pipeline.record import Measured, Metrics, Record, relative_change
from arraycon.pipeline.signals import Held

logger = logging.getLogger("arraycon")


def run(
    step: Constraint,
    block: Block,
    fields: Fields,
    iteration: int,
    held: Held,
    *,
    measure: bool = False,
    note: str = "",
) -> Record:
    """Run one constraint; where it fails, the fields are as they were before it.

    Signals are held where arrays of the state may be written to, which a user's function does not.
    """
    writes = step.writes(block)
    try:
        outs = fields.writable(writes) if step.in_place else {}
        # what a user's function writes to on its way says nothing about what it returns
        collecting = metrics.measuring() if measure and step.in_place else nullcontext()
        with collecting as changes, nullcontext() if step.in_place else held.let_through():
            outcome = step.run(fields, block, outs)
        updates = outcome.updates
        fields.validate(step.name, updates, writes)
        measured = _measure(fields, updates, changes) if measure else {}
        figures = {**measured, **outcome.figures}
        fields.commit(updates)
    except BaseException:
        logger.error("iteration %d: %s failed", iteration, step.name)
        raise
    held.deliver()
    logger.debug("iteration %d: %s changed %s", iteration, step.name, tuple(updates))
    returned = fields.returned(outcome.returned)
    return Record(step.name, iteration, tuple(updates), Metrics(figures), returned, note)


def _measure(
    fields: Fields, updates: Mapping[str, Any], changes: Changes | None
) -> dict[str, Measured]:
    """Figures of what has been written; the fields still hold what is only to be replaced."""
    figures: dict[str, Measured] = {}
    for field, new in updates.items():
        xp = arrays.namespace(**{field: new})
        sums = changes and changes.of(new)
        sums = sums or metrics.change(new, fields[field], xp=xp)
        figures[f"{field}: relative change"] = relative_change(*sums)
        if field == "probe":
            figures["probe: power per mode"] = metrics.mode_powers(new, xp=xp)
    return figures
