"""tike: `Constraints` between the epochs of a `Reconstruction` that is open.

tike keeps lists of CuPy arrays, one for each GPU: the object as (nz, ny, nx) and the probe as
(1, 1, n, ny, nx), both complex, and in px the positions that are this GPU's. It knows no lengths.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, intensity, mixes_modes, turned
from arraycon.adapters._versions import Code
from arraycon.kernels.common import check

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints

__all__ = ["TikeStep", "step"]

TIKE = Code("tike", "tike", known=("0.26.0",))

_PARAMETERS = (
    "psi",
    "probe",
    "scan",
    "eigen_probe",
    "position_options",
    "probe_options",
    "algorithm_options",
)


class TikeStep(Step):
    """What `step` returns: call it after each ``context.iterate(1)``."""

    _lacks = (
        "tike has no object tilts, lengths only where step is given dx, wavelength and "
        "slice_thickness, and positions to change only with position_options and on one GPU"
    )

    def __init__(
        self,
        context: Any,
        constraints: Constraints,
        *,
        lengths: dict[str, float],
        probe_intensity: float | None,
        measure: bool,
        monitor: Monitor | None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self._context, self._lengths = context, lengths
        self._shifts: Any = None
        if probe_intensity is None:
            probe_intensity = intensity(context.parameters.probe[0])
        self._intensity = probe_intensity

    def _fields(self) -> dict[str, Any]:
        parameters = self._context.parameters
        fields = {
            "object": parameters.psi[0],
            "probe": parameters.probe[0][0, 0],
            "probe_intensity": self._intensity,
            **self._lengths,
        }
        options = parameters.position_options
        if options is not None and len(options) == 1:
            shifts = parameters.scan[0] - options[0].initial_scan
            fields["position_shifts"] = self._shifts = kept(self._shifts, shifts)
        return fields

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        parameters = self._context.parameters
        if "position_shifts" in changed:
            initial = parameters.position_options[0].initial_scan
            parameters.scan[0][...] = initial + fields["position_shifts"]
        for name in ("psi", "probe"):
            arrays = getattr(parameters, name)
            if len(arrays) > 1 and changed:  # the first GPU's is that of all
                copies = self._context.comm.pool.bcast(arrays[:1])
                setattr(parameters, name, [arrays[0], *copies[1:]])

    def _turn(self, rotation: Any) -> None:
        """Turn what an adaptive moment remembers; its squares are one number for all modes."""
        options = self._context.parameters.probe_options
        moment = getattr(options, "m", None)
        modes = self._context.parameters.probe[0].shape[-3:]
        if moment is not None and moment.shape[-3:] == modes:
            remembered = moment.reshape(modes)
            remembered[...] = turned(remembered, rotation)

    def _count(self) -> int:
        return len(self._context.parameters.algorithm_options.times)

    def _error(self) -> float | None:
        costs = self._context.parameters.algorithm_options.costs
        if not len(costs):
            return None
        latest = [float(cost) for cost in costs[-1]]  # one for each batch
        return sum(latest) / len(latest)


def step(
    context: Any,
    constraints: Constraints,
    *,
    dx: float | None = None,
    wavelength: float | None = None,
    slice_thickness: float | None = None,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> TikeStep:
    """Prepare constraints to be called between the epochs of one of tike's reconstructions.

    Parameters
    ----------
    context : tike.ptycho.Reconstruction
        Within its ``with`` block. On several GPUs the first one's object and probe are constrained
        and copied to the others, and positions are left as they are.
    constraints : Constraints
        What to run. Where there are eigen probes, it may not mix the probe's modes, which would
        change what those belong to.
    dx, wavelength, slice_thickness : float, optional
        In Å, for constraints that need them: tike does not know them.
    probe_intensity : float, optional
        Σ|P|² that `fix_probe_int` restores; by default what the probe has now.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; one with a misfit of its own.

    Returns
    -------
    TikeStep
        Call it after each ``context.iterate(1)``; iterations are tike's epochs. The mean of its
        costs decides rules in `start_when`.

    Raises
    ------
    InterfaceError
        This version of tike lacks what the adapter builds on.
    MissingInputError
        A constraint needs what the reconstruction does not have.
    ValueError
        The reconstruction is not open, or constraints mix modes that have eigen probes.

    Examples
    --------
    >>> from arraycon.adapters import tike as adapter
    >>> with tike.ptycho.Reconstruction(data, parameters) as context:
    ...     step = adapter.step(context, constraints)
    ...     for _ in range(100):
    ...         context.iterate(1)
    ...         step()
    """
    TIKE.note_version()
    TIKE.check_has(context, ("parameters", "comm", "iterate"))
    parameters = context.parameters
    TIKE.check_has(parameters, _PARAMETERS)
    TIKE.check_has(parameters.algorithm_options, ("times", "costs"))
    if not isinstance(parameters.psi, list):
        raise ValueError(
            "context: expected a Reconstruction within its with block, got one that is not open"
        )
    if parameters.probe[0].ndim != 5:
        raise TIKE.error(
            f"has changed: its probe was expected to have 5 axes, and has "
            f"{parameters.probe[0].ndim}"
        )
    if parameters.eigen_probe is not None and (mixing := mixes_modes(constraints)):
        raise ValueError(
            f"constraints: {mixing} mixes the probe's modes, but the eigen probes belong to them "
            f"as they are; leave it to force_orthogonality"
        )
    given = {"dx": dx, "wavelength": wavelength, "slice_thickness": slice_thickness}
    made = TikeStep(
        context, constraints,
        lengths={
            name: check.number(name, value, above=0, unit="Å")
            for name, value in given.items() if value is not None
        },
        probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    made.check()
    return made
