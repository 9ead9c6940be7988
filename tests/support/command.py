"""The command in this process, and what a real process of it needs."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from typer.testing import CliRunner

import arraycon
from arraycon.cli import app

OFF: dict[str, Any] = dict.fromkeys(
    ("ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter")
)
PARAMS: dict[str, Any] = OFF | {
    "ortho_pmode": {"start_iter": 1},
    "fix_probe_int": {"start_iter": 1},
    "objp_postiv": {"start_iter": 1},
    "kz_filter": {"start_iter": 5, "step": 5, "beta": 0.5},
    "obja_thresh": {"start_iter": 3, "end_iter": 6},
}

ESCAPE = "\x1b"


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(app.app, list(arguments), prog_name="arraycon")
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def apply(*arguments: str) -> tuple[int, str]:
    return run("apply", "model.hdf5", "--params", "params.yaml", *arguments)


def environment(**more: str) -> dict[str, str]:
    path = os.pathsep.join(
        [*more.pop("first", "").split(), str(Path(arraycon.__file__).parents[1])]
    )
    left = "COLUMNS", "FORCE_COLOR", "OPENBLAS_NUM_THREADS"
    kept = {k: v for k, v in os.environ.items() if k not in left}
    return kept | {"PYTHONPATH": path, "PYTHONIOENCODING": "utf-8"} | more


def names() -> list[str]:
    return sorted(path.name for path in Path().iterdir())


def words(text: str) -> str:
    return " ".join(text.split())
