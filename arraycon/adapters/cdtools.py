"""cdtools: `Constraints` in the body of the loop that its models are optimised by.

cdtools keeps the object as a parameter (ny, nx), or with modes before, complex: the transmission T,
or -i·log T; the probe as one of (n, ny, nx), complex; offsets of positions in px, over a scale; and
lengths in m. Its optimisers are generators, whose worker waits while the body of the loop runs.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

from arraycon.adapters import _moments
from arraycon.adapters._lengths import ANGSTROM, square
from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, intensity, mixes_modes
from arraycon.adapters._versions import Code
from arraycon.kernels.common import arrays

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints

__all__ = ["CDToolsStep", "step"]

CDTOOLS = Code("cdtools", "cdtools-py", known=("0.3.2",))

_MODEL = (
    "obj",
    "probe",
    "obj_basis",
    "probe_basis",
    "wavelength",
    "translation_offsets",
    "translation_scale",
    "weights",
    "fourier_probe",
    "exponentiate_obj",
    "phase_only",
    "epoch",
    "loss_history",
)


class CDToolsStep(Step):
    """What `step` returns: call it in the body of the loop over an optimiser of cdtools."""

    _lacks = "cdtools has no object tilts, a FancyPtycho one slice"

    def __init__(
        self,
        model: Any,
        constraints: Constraints,
        *,
        optimizer: Any,
        probe_intensity: float | None,
        measure: bool,
        monitor: Monitor | None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self._model, self._optimizer = model, optimizer
        self._logarithm = bool(model.exponentiate_obj)
        self._fourier, self._phase_only = bool(model.fourier_probe), bool(model.phase_only)
        # a GPU is waited for, and they are constant
        self._scale = float(model.translation_scale)
        self._lengths = _lengths(model)
        self._kept: dict[str, Any] = {}
        if probe_intensity is None:
            probe_intensity = intensity(model.probe.detach())
        self._intensity = probe_intensity

    def _told(self, problem: Exception) -> str:
        lacks = [super()._told(problem)]
        if "dx" not in self._lengths:
            lacks.append("a pixel size only where pixels are square and alike in object and probe")
        if self._fourier:
            lacks.append("this probe is kept in Fourier space")
        if self._model.translation_offsets is None:
            lacks.append("this model no translation_offsets")
        if self._logarithm and self._phase_only:
            lacks.append("this object no amplitude")
        return ", ".join(lacks)

    def _fields(self) -> dict[str, Any]:
        model = self._model
        fields = {**self._object(), **self._lengths}
        if not self._fourier:
            fields |= {"probe": model.probe.detach(), "probe_intensity": self._intensity}
        if model.translation_offsets is not None:
            offsets = model.translation_offsets.detach() * self._scale
            fields["position_shifts"] = self._keep("position_shifts", offsets)
        return fields

    def _object(self) -> dict[str, Any]:
        specimen = self._slices()
        if not self._logarithm:
            return {"object": specimen}
        # the phase is not wrapped like this, and no amplitude is negative
        xp = arrays.namespace(object=specimen)
        parts = {"object_phase": self._keep("object_phase", xp.real(specimen))}
        if not self._phase_only:
            parts["object_amplitude"] = self._keep("object_amplitude", xp.exp(-xp.imag(specimen)))
        return parts

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        if "position_shifts" in changed:
            offsets = self._model.translation_offsets.detach()
            offsets[...] = fields["position_shifts"] / self._scale
        if not self._logarithm:
            return
        specimen = self._slices()
        xp = arrays.namespace(object=specimen)
        if "object_phase" in changed:
            specimen[...] = fields["object_phase"] + 1j * xp.imag(specimen)
        if "object_amplitude" in changed:
            amplitude = fields["object_amplitude"]
            # an opaque pixel has no logarithm
            least = xp.finfo(amplitude.dtype).tiny
            specimen[...] = xp.real(specimen) - 1j * xp.log(xp.clip(amplitude, min=least))

    def _slices(self) -> Any:
        """View the object as modes of one slice each."""
        specimen = self._model.obj.detach()
        return specimen[None] if specimen.ndim == 2 else specimen[:, None]

    def _keep(self, name: str, values: Any) -> Any:
        self._kept[name] = kept(self._kept.get(name), values)
        return self._kept[name]

    def _turn(self, rotation: Any) -> None:
        if self._optimizer is not None:
            _moments.turn(self._optimizer, self._model.probe, rotation)

    def _turn_object(self, rotation: Any) -> None:
        if self._optimizer is not None:
            _moments.turn(self._optimizer, self._model.obj, rotation)

    def _count(self) -> int:
        return int(self._model.epoch)

    def _error(self) -> float | None:
        history = self._model.loss_history
        return float(history[-1]) if len(history) else None


def step(
    model: Any,
    constraints: Constraints,
    *,
    optimizer: Any = None,
    probe_intensity: float | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> CDToolsStep:
    """Prepare constraints to be called in the loop over one of cdtools' optimisers.

    Parameters
    ----------
    model : FancyPtycho
        On whatever device. An object that is exponentiated is amplitude and phase of its
        exponential. A probe that is kept in Fourier space takes no constraints.
    constraints : Constraints
        What to run. Where there is a matrix of weights for each pattern, it may not mix the probe's
        modes, which would change what the weights belong to.
    optimizer : torch.optim.Optimizer, optional
        An `AdamReconstructor` has one of that name: what it remembers of the probe's modes turns
        with them.
    probe_intensity : float, optional
        Σ|P|² that `fix_probe_int` restores, in units of the squared ``probe_norm`` of the model; by
        default what the probe has now.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; one with a misfit of its own.

    Returns
    -------
    CDToolsStep
        Call it in the body of the loop; iterations are the model's epochs. Its loss decides rules
        in `start_when`.

    Raises
    ------
    InterfaceError
        This version of cdtools lacks what the adapter builds on.
    MissingInputError
        A constraint needs what the model does not have.
    TypeError
        Another model than FancyPtycho or a kind of it.
    ValueError
        Constraints mix modes that have weights of their own.

    Examples
    --------
    >>> from arraycon.adapters import cdtools
    >>> step = cdtools.step(model, constraints)
    >>> for loss in model.Adam_optimize(100, dataset):
    ...     step()
    """
    names = [base.__name__ for base in type(model).__mro__]
    if "FancyPtycho" not in names:
        raise TypeError(f"model: expected a FancyPtycho, got a {names[0]}")
    CDTOOLS.note_version()
    CDTOOLS.check_has(model, _MODEL)
    matrices = model.weights is not None and model.weights.ndim > 1
    if matrices and (mixing := mixes_modes(constraints)):
        raise ValueError(
            f"constraints: {mixing} mixes the probe's modes, but each pattern has a matrix of "
            f"weights for them as they are"
        )
    made = CDToolsStep(
        model, constraints,
        optimizer=optimizer, probe_intensity=probe_intensity, measure=measure, monitor=monitor,
    )  # fmt: skip
    made.check()
    return made


def _lengths(model: Any) -> dict[str, float]:
    """Lengths in Å; the basis vectors are the columns, in m per px."""
    object_basis, probe_basis = (
        each.detach().tolist() for each in (model.obj_basis, model.probe_basis)
    )
    lengths = {"wavelength": float(model.wavelength) * ANGSTROM}
    if object_basis == probe_basis:
        row, column = (math.hypot(*side) for side in zip(*object_basis, strict=True))
        lengths |= square(row * ANGSTROM, column * ANGSTROM)
    return lengths
