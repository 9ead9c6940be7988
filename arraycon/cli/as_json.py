"""What commands say, as JSON for programs: numbers are numbers, and what is not finite is text."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from typing import TYPE_CHECKING, Any

import typer

from arraycon.blocks import describe_schedule

if TYPE_CHECKING:
    from arraycon.cli.doctor import Report
    from arraycon.cli.job import Job, Outcome, Ran
    from arraycon.cli.rehearsing import Rehearsal
    from arraycon.params import ConstraintParams


def give(content: Any) -> None:
    """Print."""
    typer.echo(json.dumps(plain(content), indent=2, ensure_ascii=False, allow_nan=False))


def plain(value: Any) -> Any:
    """Return what JSON can hold of a value."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, (list, tuple, range)):
        return [plain(each) for each in value]
    if value is None or isinstance(value, (bool, int, str)):
        return value
    if hasattr(value, "tolist"):  # arrays and their numbers
        return plain(value.tolist())
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return str(value)


def outcome(todo: Job, done: Outcome) -> dict[str, Any]:
    """Return what a job did."""
    return {
        "source": todo.source,
        "target": todo.target,
        "figure": todo.figure,
        "report": todo.report,
        "iterations": [done.iterations[0], done.iterations[-1]],
        "constraints": {name: _ran(one) for name, one in done.ran.items()},
        "skipped": {skip.name: {"missing": skip.missing} for skip in done.skipped},
        "waiting": done.waiting,
        "changed": done.changed,
        "peak_bytes": done.peak,
        "parameters": parameters(done.constraints.params),
    }


def _ran(one: Ran) -> dict[str, Any]:
    return {
        "runs": one.times,
        "targets": one.last.targets,
        "first": dict(one.first.metrics),
        "last": dict(one.last.metrics),
    }


def rehearsal(todo: Job, plan: Rehearsal) -> dict[str, Any]:
    """Return what a job would do."""
    return {
        "source": todo.source,
        "target": todo.target,
        "iterations": [plan.iterations[0], plan.iterations[-1]],
        "due": plan.due,
        "skipped": {skip.name: {"missing": skip.missing} for skip in plan.skipped},
        "dry_run": True,
    }


def schedule(params: ConstraintParams) -> dict[str, Any]:
    """Return what a parameter file switches on."""
    return {
        name: {
            "active": block.enabled,
            "when": describe_schedule(block) if block.enabled else None,
            "set_by": "file" if name in params.given else "default",
            "parameters": block.model_dump(mode="json"),
        }
        for name, block in params.blocks().items()
    }


def parameters(params: ConstraintParams) -> dict[str, Any]:
    """Return the parameters of what is on."""
    blocks = params.blocks().items()
    return {name: block.model_dump(mode="json") for name, block in blocks if block.enabled}


def doctor(found: Report) -> dict[str, Any]:
    """Return what is installed and what answers."""
    return {
        "versions": found.versions,
        "libraries": [asdict(fact) for fact in found.libraries],
        "fast_paths": [asdict(fact) for fact in found.fast_paths],
    }
