"""pty-chi: `Constraints` between the epochs of a `PtychographyTask`.

pty-chi keeps the object as (n_slices, ny, nx) and the probe as (n_opr_modes, n_modes, ny, nx), both
with real and imaginary part apart, positions in px about the object's centre, and lengths in m.
Constraints work on views of its tensors; of the probe they see the main modes, OPR mode 0.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING, Any

from arraycon.adapters import _moments
from arraycon.adapters._lengths import ANGSTROM, even, square
from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, StepAttachment, intensity, mixes_modes, turned
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints

__all__ = ["PtyChiStep", "attach", "step"]

logger = logging.getLogger("arraycon")

PTYCHI = Code("pty-chi", "ptychi", known=("2.2.0",))

_TASK = ("object", "probe", "probe_positions", "reconstructor", "data_options", "n_ranks")
_OBJECT = ("tensor", "options", "pixel_size_m", "slice_spacings")
_RECONSTRUCTOR = ("run_post_epoch_hooks", "current_epoch", "loss_tracker")
_UNKNOWN = 1.0  # m, what pty-chi takes for the size of a pixel that nobody has given


class PtyChiStep(Step):
    """What `step` returns: call it after each ``task.run(1)``."""

    _lacks = (
        "pty-chi has no object tilts, and lengths only where pixel_size_m is given, pixels are "
        "square and alike in object and probe, and slices are equally far from each other"
    )

    def __init__(
        self,
        task: Any,
        constraints: Constraints,
        *,
        probe_intensity: float | None,
        measure: bool,
        monitor: Monitor | None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self._task = task
        self._shifts: Any = None
        self._spacings: list[float] | None = None
        if probe_intensity is None:
            probe_intensity = intensity(_complex(task.probe)[0])
        self._intensity = probe_intensity

    def _fields(self) -> dict[str, Any]:
        positions = self._task.probe_positions
        self._shifts = kept(self._shifts, positions.tensor.detach() - positions.initial_positions)
        return {
            "object": _complex(self._task.object),
            "probe": _complex(self._task.probe)[0],
            "probe_intensity": self._intensity,
            "position_shifts": self._shifts,
            **self._lengths(),
        }

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        if "position_shifts" in changed:
            positions = self._task.probe_positions
            positions.tensor.detach()[...] = positions.initial_positions + fields["position_shifts"]

    def _lengths(self) -> dict[str, float]:
        specimen, waves = self._task.object, self._task.probe.options
        width = float(specimen.pixel_size_m)
        lengths = {"wavelength": float(self._task.data_options.wavelength_m) * ANGSTROM}
        alike = waves.pixel_size_m in (None, width) and waves.pixel_size_aspect_ratio in (
            None, specimen.options.pixel_size_aspect_ratio
        )  # fmt: skip
        if alike and width != _UNKNOWN:
            height = width / float(specimen.options.pixel_size_aspect_ratio)
            lengths |= square(height * ANGSTROM, width * ANGSTROM)
        if specimen.tensor.shape[0] > 1:
            # a GPU is waited for, and only those that are optimised change
            if self._spacings is None or specimen.slice_spacings.optimizable:
                self._spacings = specimen.slice_spacings.tensor.detach().tolist()
            lengths |= even([spacing * ANGSTROM for spacing in self._spacings])
        return lengths

    def _turn(self, rotation: Any) -> None:
        probe = self._task.probe
        if probe.optimizer is not None:
            _moments.turn(probe.optimizer, probe.tensor.data, rotation, lambda values: values[0])
        momentum = getattr(self._task.reconstructor, "probe_momentum_params", None)
        if momentum is None or momentum.velocity_map is None:
            return
        momentum.velocity_map = turned(momentum.velocity_map, rotation)
        history = momentum.update_direction_history
        history[:] = [turned(direction, rotation) for direction in history]

    def _count(self) -> int:
        return int(self._task.reconstructor.current_epoch)  # of epochs that are over

    def _error(self) -> float | None:
        tracker = self._task.reconstructor.loss_tracker
        if tracker.accumulated_num_batches:  # the epoch is not over yet
            return float(tracker.epoch_loss / tracker.accumulated_num_batches)
        return float(tracker.table["loss"].iloc[-1]) if len(tracker.table) else None


def step(
    task: Any,
    constraints: Constraints,
    *,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> PtyChiStep:
    """Prepare constraints to be called between the epochs of a task.

    Parameters
    ----------
    task : PtychographyTask
        Planar, in one process; LSQML, ePIE, rPIE, RAAR, DM, BH or automatic differentiation.
    constraints : Constraints
        What to run. Where there are OPR modes, it may not mix the probe's modes, which would change
        what the OPR modes belong to.
    probe_intensity : float, optional
        Σ|P|² of the main modes that `fix_probe_int` restores; by default what they have now.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; one with a misfit of its own.

    Returns
    -------
    PtyChiStep
        Call it after each ``task.run(1)``; iterations are pty-chi's epochs from 1. pty-chi's loss
        decides rules in `start_when`.

    Raises
    ------
    InterfaceError
        This version of pty-chi lacks what the adapter builds on.
    MissingInputError
        A constraint needs what a task does not have.
    ValueError
        The task runs in several processes; its object or probe is made by a network or a
        dictionary; constraints mix modes that have OPR modes.

    Examples
    --------
    >>> from arraycon.adapters import ptychi
    >>> step = ptychi.step(task, constraints)
    >>> for _ in range(100):
    ...     task.run(1)
    ...     step()
    """
    PTYCHI.note_version()
    PTYCHI.check_has(task, _TASK)
    PTYCHI.check_has(task.object, _OBJECT)
    PTYCHI.check_has(task.probe, ("tensor", "options", "optimizer"))
    PTYCHI.check_has(task.probe_positions, ("tensor", "initial_positions"))
    PTYCHI.check_has(task.reconstructor, _RECONSTRUCTOR)
    _refuse(task, constraints)
    _warn(task, constraints)
    made = PtyChiStep(
        task, constraints,
        probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    made.check()
    return made


def attach(
    task: Any,
    constraints: Constraints,
    *,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> StepAttachment:
    """Run constraints after those of pty-chi's own, at the end of each epoch.

    Parameters
    ----------
    task, constraints, probe_intensity, measure, monitor
        As for `step`, which does the same in a loop of one's own.

    Returns
    -------
    StepAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError, MissingInputError, ValueError
        As `step`.

    Examples
    --------
    >>> from arraycon.adapters import ptychi
    >>> with ptychi.attach(task, constraints):
    ...     task.run()
    """
    made = step(
        task, constraints,
        probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    reconstructor = task.reconstructor
    PTYCHI.check_takes(type(reconstructor).run_post_epoch_hooks, ())
    return StepAttachment(
        reconstructor, "run_post_epoch_hooks", made, lambda: int(reconstructor.current_epoch) + 1
    )


def _refuse(task: Any, constraints: Constraints) -> None:
    if task.n_ranks > 1:
        raise ValueError(
            f"task: expected one process, got {task.n_ranks}: each has its own copy of the object "
            f"and its own part of the probe's updates"
        )
    for name in ("object", "probe"):
        if hasattr(getattr(task, name), "generate"):
            raise ValueError(
                f"task: expected {'an' if name == 'object' else 'a'} {name} of pixels, got a "
                f"{type(getattr(task, name)).__name__}, which is generated anew for each batch, so "
                f"that nothing of a constraint would stay"
            )
    modes = task.probe.tensor.data.shape[0]
    if modes > 1 and (mixing := mixes_modes(constraints)):
        raise ValueError(
            f"constraints: {mixing} mixes the probe's modes, but the {modes - 1} further OPR modes "
            f"belong to the first one as it is; leave it to orthogonalize_incoherent_modes"
        )


def _warn(task: Any, constraints: Constraints) -> None:
    ambiguity = getattr(task.object.options, "remove_object_probe_ambiguity", None)
    fixing = [
        step.name
        for step, block in constraints.steps
        if block.enabled and "probe_intensity" in step.needs(block)
    ]
    if fixing and getattr(ambiguity, "enabled", False):
        logger.warning(
            "pty-chi's remove_object_probe_ambiguity scales object and probe against each other, "
            "and %s scales the probe alone: switch one of them off",
            " and ".join(fixing),
        )


def _complex(parameter: Any) -> Any:
    """View a parameter's real and imaginary parts as complex numbers."""
    return sys.modules["torch"].view_as_complex(parameter.tensor.data.detach())
