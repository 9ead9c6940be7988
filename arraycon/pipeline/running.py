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
    writes = step.writes(block)
    try:
        outs = fields.writable(writes) if step.in_place else {}
        old = {name: _copy(array) for name, array in outs.items()} if measure else {}
        try:
            outcome = step.run(fields, block, outs)
        except BaseException:
            for name, array in old.items():
                outs[name][...] = array
            raise
        updates = outcome.updates
        fields.validate(step.name, updates, writes)
        figures = {**(_measure(fields, updates, old) if measure else {}), **outcome.figures}
        fields.commit(updates)
    except BaseException:
        logger.error("iteration %d: %s failed", iteration, step.name)
        raise
    logger.debug("iteration %d: %s changed %s", iteration, step.name, tuple(updates))
    returned = fields.returned(outcome.returned)
    return Record(step.name, iteration, tuple(updates), Metrics(figures), returned, note)


def _copy(array: Any) -> Any:
    return arrays.copy(array, xp=arrays.namespace(array=array))


def _measure(
    fields: Fields, updates: Mapping[str, Any], old: Mapping[str, Any]
) -> dict[str, Measured]:
    """Compare with the old arrays; the fields still hold those that are not in `old`."""
    figures: dict[str, Measured] = {}
    for field, new in updates.items():
        xp = arrays.namespace(**{field: new})
        before = old[field] if field in old else fields[field]
        change = metrics.change(new, before, xp=xp)
        figures[f"{field}: relative change"] = relative_change(*change)
        if field == "probe":
            figures["probe: power per mode"] = metrics.mode_powers(new, xp=xp)
    return figures
