"""Running: one constraint on the fields of a state, and the record of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import Any

from arraycon.blocks import Block
from arraycon.constraints import Constraint
from arraycon.kernels import metrics
from arraycon.kernels.common import arrays
from arraycon.pipeline.fields import Fields
from arraycon.pipeline.report import Measured, Metrics, Record, relative_change

logger = logging.getLogger("arraycon")


def run(
    step: Constraint,
    block: Block,
    fields: Fields,
    iteration: int,
    *,
    measure: bool = False,
    note: str = "",
) -> Record:
    """Run one constraint; where it fails, the fields are as they were before it."""
    try:
        # Measuring a change takes the old values beside the new ones; without it the kernels work
        # in place, and check everything before they write.
        outs = {} if measure or not step.in_place else fields.writable(step.writes(block))
        outcome = step.run(fields, block, outs)
        updates = outcome.updates
        fields.validate(step.name, updates, step.writes(block))
        figures = {**(_measure(fields, updates) if measure else {}), **outcome.figures}
        fields.commit(updates)
    except BaseException:
        logger.error("iteration %d: %s failed", iteration, step.name)
        raise
    logger.debug("iteration %d: %s changed %s", iteration, step.name, tuple(updates))
    returned = fields.returned(outcome.returned)
    return Record(step.name, iteration, tuple(updates), Metrics(figures), returned, note)


def _measure(fields: Fields, updates: Mapping[str, Any]) -> dict[str, Measured]:
    figures: dict[str, Measured] = {}
    for field, new in updates.items():
        xp = arrays.namespace(**{field: new})
        figures[f"{field}: relative change"] = relative_change(
            *metrics.change(new, fields[field], xp=xp)
        )
        if field == "probe":
            figures["probe: power per mode"] = metrics.mode_powers(new, xp=xp)
    return figures
