"""What each constraint is for, shown by small experiments with numbers.

Each experiment makes a situation from a seed, applies one constraint by its public function, and
measures one quantity without and with it: where it helps, and where it hurts or does nothing.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from study import coupling, drifts, filters, linear, probes, values
from study.finding import Finding, Measure, Trial
from study.report import FILES, as_json, markdown, table, write

__all__ = [
    "EXPERIMENTS",
    "FILES",
    "Finding",
    "Measure",
    "Trial",
    "as_json",
    "markdown",
    "run",
    "table",
    "write",
]

EXPERIMENTS: tuple[Callable[[Any], Finding], ...] = (
    probes.probe_mask_k,
    probes.probe_mask_r,
    probes.ortho_pmode,
    values.obj_probe_scale,
    probes.fix_probe_int,
    values.phase_ramp,
    filters.obj_rblur,
    filters.obj_zblur,
    linear.obj_gaussian,
    linear.obj_smooth,
    filters.kr_filter,
    linear.obj_bandpass,
    linear.grid_notch,
    filters.kz_filter,
    filters.kz_filter_boundary,
    linear.obj_wedge,
    linear.identical_slices,
    filters.kr_thresh,
    filters.kr_thresh_scope,
    values.obj_tv,
    values.ortho_omode,
    values.obj_baseline,
    values.obj_shrink,
    coupling.complex_ratio,
    coupling.mirrored_amp,
    drifts.obj_z_recenter,
    values.obj_fill,
    coupling.obja_thresh,
    values.objp_thresh,
    coupling.objp_postiv,
    drifts.pos_recenter,
    drifts.tilt_smooth,
)
"""The experiments in the constraints' order of execution; each takes a random generator."""


def run(seed: int = 0) -> tuple[Finding, ...]:
    """Run all experiments; equal seeds give equal numbers.

    Parameters
    ----------
    seed : int
        Of all random numbers.

    Returns
    -------
    tuple of Finding
        In the order of `EXPERIMENTS`: each constraint once or twice.
    """
    # a generator of its own for each, so that a new experiment does not change the others' numbers
    return tuple(
        experiment(np.random.default_rng([seed, *experiment.__name__.encode()]))
        for experiment in EXPERIMENTS
    )
