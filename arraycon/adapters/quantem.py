"""quantem: `Constraints` between the iterations of its iterative ptychography.

quantem keeps the object as a parameter (nz, ny, nx), complex, or real for potentials and pure
phases, and the probe as one of (n, ny, nx), complex, whose centre is the corner pixel; lengths in
Å, positions in px. Hard constraints of its own act on what is read; ours change the parameters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arraycon.adapters import _moments
from arraycon.adapters._centring import Centring
from arraycon.adapters._lengths import electron_wavelength, even, square
from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, StepAttachment, intensity
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints

__all__ = ["QuantemStep", "attach", "step"]

QUANTEM = Code("quantem", "quantem", known=("0.1.10",))

_RECONSTRUCTION = ("obj_model", "probe_model", "dset", "num_iters", "iter_losses", "optimizers")
_OBJECT = ("params", "mask", "sampling", "slice_thicknesses")
_PROBE = ("params", "probe_params")
_POSITIONS = ("scan_positions_px", "initial_scan_positions_px")


class QuantemStep(Step):
    """What `step` returns: call it after each ``reconstruct(num_iters=1)``."""

    _lacks = "quantem has no object tilts, and lengths only where they are uniform"

    def __init__(
        self,
        reconstruction: Any,
        constraints: Constraints,
        *,
        probe_intensity: float | None,
        measure: bool,
        monitor: Monitor | None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self._reconstruction, self._centring = reconstruction, Centring()
        self._pixels = _is(reconstruction.probe_model, "ProbePixelated")
        self._shifts: Any = None
        if probe_intensity is None and self._pixels:
            probe_intensity = intensity(reconstruction.probe_model.initial_probe)
        self._intensity = probe_intensity

    def _told(self, problem: Exception) -> str:
        told = super()._told(problem)
        if not self._reconstruction.obj_model.params[0].is_complex():
            told += ", and its potentials and pure phases are phases without amplitude"
        if not self._pixels:
            told += ", and this probe is no array but made of parameters"
        return told

    def _fields(self) -> dict[str, Any]:
        specimen, positions = self._reconstruction.obj_model, self._reconstruction.dset
        parameter = specimen.params[0]
        array = parameter.detach()
        self._shifts = kept(
            self._shifts,
            positions.scan_positions_px.detach()
            - positions.initial_scan_positions_px.to(positions.scan_positions_px.device),
        )
        fields = {
            "object" if parameter.is_complex() else "object_phase": array,
            "position_shifts": self._shifts,
            **self._lengths(),
        }
        mask = specimen.mask
        if mask.shape == array.shape:  # an empty one otherwise
            fields["illumination"] = mask[0].real
        if self._pixels:
            modes = self._parameter().detach()
            fields["probe"] = self._centring.centred(modes, self.constraints, self.iteration)
            fields["probe_intensity"] = self._intensity
        return fields

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        if "probe" in changed:
            self._centring.give_back(self._parameter().detach())
        if "position_shifts" in changed:
            positions = self._reconstruction.dset
            stored = positions.scan_positions_px.detach()
            stored[...] = (
                positions.initial_scan_positions_px.to(stored.device) + fields["position_shifts"]
            )

    def _parameter(self) -> Any:
        """Return the probe's modes, which come after a tilt that may be learnt."""
        return self._reconstruction.probe_model.params[-1]

    def _lengths(self) -> dict[str, float]:
        specimen = self._reconstruction.obj_model
        lengths = square(*(float(side) for side in specimen.sampling))
        energy = self._reconstruction.probe_model.probe_params.get("energy")
        if energy is not None:
            lengths["wavelength"] = electron_wavelength(float(energy))
        if specimen.slice_thicknesses is not None and specimen.params[0].shape[0] > 1:
            lengths |= even([float(each) for each in specimen.slice_thicknesses])
        return lengths

    def _turn(self, rotation: Any) -> None:
        optimizer = self._reconstruction.optimizers.get("probe")
        if optimizer is not None:
            _moments.turn(optimizer, self._parameter(), rotation)

    def _count(self) -> int:
        return int(self._reconstruction.num_iters)

    def _error(self) -> float | None:
        losses = self._reconstruction.iter_losses
        return float(losses[-1]) if len(losses) else None


def step(
    reconstruction: Any,
    constraints: Constraints,
    *,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> QuantemStep:
    """Prepare constraints to be called between the iterations of one of quantem's reconstructions.

    Parameters
    ----------
    reconstruction : Ptychography, PtychoLite
        Preprocessed, with an object of pixels. Where the probe is made of parameters or by a
        network, there are no constraints of the probe.
    constraints : Constraints
        What to run. Potentials and pure phases are phases without amplitude. quantem's mask of
        the field of view is the illumination.
    probe_intensity : float, optional
        Σ|P|² that `fix_probe_int` restores; by default that of quantem's initial probe, which it
        scales to the patterns.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; one with a misfit of its own.

    Returns
    -------
    QuantemStep
        Call it after each ``reconstruct(num_iters=1)``; iterations are quantem's, until it is
        reset. quantem's loss decides rules in `start_when`.

    Raises
    ------
    InterfaceError
        This version of quantem lacks what the adapter builds on.
    MissingInputError
        A constraint needs what a reconstruction does not have.
    ValueError
        The object is made by a network.

    Examples
    --------
    >>> from arraycon.adapters import quantem
    >>> step = quantem.step(ptycho, constraints)
    >>> for _ in range(100):
    ...     ptycho.reconstruct(num_iters=1)
    ...     step()
    """
    QUANTEM.note_version()
    QUANTEM.check_has(reconstruction, _RECONSTRUCTION)
    specimen = reconstruction.obj_model
    if not _is(specimen, "ObjectPixelated"):
        raise ValueError(
            f"reconstruction: expected an object of pixels, ObjectPixelated, got "
            f"{type(specimen).__name__}, which is generated anew for each batch, so that nothing "
            f"of a constraint would stay"
        )
    QUANTEM.check_has(specimen, _OBJECT)
    QUANTEM.check_has(reconstruction.probe_model, _PROBE)
    QUANTEM.check_has(reconstruction.dset, _POSITIONS)
    made = QuantemStep(
        reconstruction, constraints,
        probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    made.check()
    return made


def attach(
    reconstruction: Any,
    constraints: Constraints,
    *,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> StepAttachment:
    """Run constraints at the end of each of quantem's iterations.

    Parameters
    ----------
    reconstruction, constraints, probe_intensity, measure, monitor
        As for `step`, which does the same in a loop of one's own.

    Returns
    -------
    StepAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError, MissingInputError, ValueError
        As `step`; or the reconstruction runs in several processes, of which each has its own
        arrays (a `step` between calls of ``reconstruct`` reaches them).

    Examples
    --------
    >>> from arraycon.adapters import quantem
    >>> with quantem.attach(ptycho, constraints):
    ...     ptycho.reconstruct(num_iters=100)
    """
    device = getattr(reconstruction, "device", None)
    if isinstance(device, list):
        raise ValueError(
            f"reconstruction: expected one device, got {device}: each has a process and arrays of "
            f"its own; call step between reconstruct(num_iters=1)"
        )
    made = step(
        reconstruction, constraints,
        probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    QUANTEM.check_has(reconstruction, ("step_schedulers",))
    QUANTEM.check_takes(type(reconstruction).step_schedulers, ("loss",))
    # what quantem does last in an iteration
    return StepAttachment(reconstruction, "step_schedulers", made)


def _is(model: Any, name: str) -> bool:
    return any(base.__name__ == name for base in type(model).__mro__)
