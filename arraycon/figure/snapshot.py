"""What the figure shows of a state."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.kernels import polar
from arraycon.state import State

MODES_SHOWN = 6


@dataclass(frozen=True)
class Snapshot:
    """What the figure shows of one state; None where the state has no such field.

    Parameters
    ----------
    phase, amplitude : array, shape (ny, nx)
        Phase summed over depth (rad) and amplitude averaged over depth, mean of the object modes.
    section : array, shape (nz, nx)
        Phase (rad) along `row`.
    profile : array, shape (nz,)
        Mean phase of each slice (rad).
    row : int
        Row of the section.
    modes : array, shape (at most 6, py, px)
        The first probe modes.
    powers : array, shape (pmode,)
        Fraction of the intensity in each mode.
    dx, slice_thickness : float
        Pixel size and slice distance in Å.
    """

    phase: Any = None
    amplitude: Any = None
    section: Any = None
    profile: Any = None
    row: int = 0
    modes: Any = None
    powers: Any = None
    dx: float | None = None
    slice_thickness: float | None = None


def snapshot(state: State, *, row: int | None = None) -> Snapshot:
    """Reduce a state of NumPy arrays to what the figure shows.

    Parameters
    ----------
    state : State
        Its arrays are not kept.
    row : int, optional
        Row of the depth section; by default the one with most phase in the middle half, because
        the rim of a scan is often badly reconstructed and bright.
    """
    shown: dict[str, Any] = {"dx": state.dx, "slice_thickness": state.slice_thickness}
    amplitude, phase = _parts(state)
    if phase is not None and phase.size:
        phase = _merge_modes(phase)
        shown["phase"] = phase.sum(axis=0, dtype=np.float64)
        shown["row"] = _row_of_most_phase(shown["phase"]) if row is None else row
        shown["section"] = phase[:, shown["row"]].astype(np.float64)
        shown["profile"] = phase.mean(axis=(1, 2), dtype=np.float64)
    if amplitude is not None and amplitude.size:
        shown["amplitude"] = _merge_modes(amplitude).mean(axis=0, dtype=np.float64)
    if state.probe is not None and state.probe.size:
        power = np.sum(np.abs(state.probe) ** 2, axis=(1, 2), dtype=np.float64)
        shown["powers"] = power / max(float(power.sum()), np.finfo(float).tiny)
        shown["modes"] = state.probe[:MODES_SHOWN].copy()
    return Snapshot(**shown)


def _parts(state: State) -> tuple[Any, Any]:
    if state.object is not None:
        return polar.split(state.object)  # the phase that the constraints see
    return state.object_amplitude, state.object_phase


def _merge_modes(x: Any) -> Any:
    """Mean over all axes before the depth axis: (..., nz, ny, nx) to (nz, ny, nx)."""
    if x.ndim == 3:
        return x
    return x.reshape(-1, *x.shape[-3:]).mean(axis=0, dtype=np.float64)


def _row_of_most_phase(phase: Any) -> int:
    margin = int(phase.shape[0]) // 4
    rows = phase[margin : phase.shape[0] - margin].sum(axis=1)
    return margin + int(rows.argmax())
