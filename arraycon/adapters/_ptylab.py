"""PtyLab's arrays as a `State` for each wavelength, and the states back."""

from __future__ import annotations

import importlib
import warnings
from typing import TYPE_CHECKING, Any

from arraycon.adapters._lengths import ANGSTROM
from arraycon.adapters._loop import Loop, kept
from arraycon.adapters._step import Step, turned

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints, Report

_MOMENTA = ("Buffer", "Momentum")
_HAS = ("probe_intensity", "position_shifts", "dx", "wavelength", "slice_thickness")


class _Wavelength(Step):
    """Constraints on one wavelength.

    PtyLab makes a new probe and new positions at each update, and keeps its object.
    """

    _lacks = "PtyLab has no object tilts, and no slice thickness for a thin object"

    def __init__(self, engine: Any, constraints: Constraints, index: int, *, measure: bool) -> None:
        super().__init__(constraints, measure=measure)
        self._engine, self._index = engine, index
        self._modes: Any = None
        self.shifts: Any = None
        self.intensity = 0.0
        self.moved = False

    def _fields(self) -> dict[str, Any]:
        reconstruction = self._engine.reconstruction
        encoder = self._engine.experimentalData.encoder
        away = (reconstruction.encoder_corrected - encoder) / float(reconstruction.dxo)
        self.shifts = kept(self.shifts, _namespace(reconstruction.probe).asarray(away))
        return {
            "object": reconstruction.object[self._index, :, 0],
            **self._probe(),
            "position_shifts": self.shifts,
            **_lengths(reconstruction, self._index),
        }

    def _probe(self) -> dict[str, Any]:
        self._modes = kept(self._modes, self._incident(self._engine.reconstruction.probe))
        return {"probe": self._modes, "probe_intensity": self.intensity}

    def _incident(self, probe: Any) -> Any:
        # in a thick object the further "slices" of the probe are how it arrives there
        return probe[self._index, 0, :, 0]

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        self.moved = "position_shifts" in changed
        if "probe" in changed:
            self._incident(self._engine.reconstruction.probe)[...] = fields["probe"]

    def _turn(self, rotation: Any) -> None:
        for array in self._remembered("probe"):
            modes = self._incident(array)
            modes[...] = turned(modes, rotation)

    def _turn_object(self, rotation: Any) -> None:
        for array in self._remembered("object"):
            states = array[self._index, :, 0]
            states[...] = turned(states, rotation)

    def _remembered(self, name: str) -> list[Any]:
        """Return what momentum engines remember of an array."""
        reconstruction = self._engine.reconstruction
        if not getattr(self._engine.params, "momentumAcceleration", False):
            return []
        shape = getattr(reconstruction, name).shape
        arrays = [getattr(reconstruction, f"{name}{kind}", None) for kind in _MOMENTA]
        return [array for array in arrays if getattr(array, "shape", None) == shape]

    def _error(self) -> float:
        # which PtyLab appends before its constraints
        return float(self._engine.reconstruction.error[-1])


class _Frames(_Wavelength):
    """Constraints where the engine OPR has modes of their own for each frame.

    It takes them from its stack, one frame after the other, so that nothing but that lasts. All
    frames of a mode side by side are a mode to what looks at sums over pixels: the rotation and the
    factor that come out are the same in each frame, and leave the frames' subspace as it is.
    """

    def check(self) -> None:
        self._refuse()
        super().check()

    def _probe(self) -> dict[str, Any]:
        reconstruction = self._engine.reconstruction
        stack = getattr(reconstruction, "probe_stack", None)
        if stack is None:  # which it makes of the probe when it begins
            return super()._probe()
        modes, (height, width, frames) = stack.shape[2], stack.shape[-3:]
        side_by_side = stack.reshape(modes, height, width * frames)
        return {"probe": side_by_side, "probe_intensity": self.intensity * frames}

    def _apply(self, loop: Loop, fields: dict[str, Any], error: float | None) -> Report:
        with warnings.catch_warnings():  # side by side they are
            warnings.filterwarnings("ignore", message=".*are smaller than the probe")
            return super()._apply(loop, fields, error)

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        self.moved = "position_shifts" in changed
        stack = self._engine.reconstruction.probe_stack
        if "probe" in changed and not stack.flags.c_contiguous:  # side by side it was a copy
            stack[...] = fields["probe"].reshape(stack.shape)

    def _refuse(self) -> None:
        present = frozenset((*_HAS, "object", "object_amplitude", "object_phase", "probe"))
        modes, own = self._engine.reconstruction.npsm, self._engine.OPR_modes
        for constraint, given in self.constraints.steps:
            if not given.enabled:
                continue
            block, _ = constraint.fitted(given, present)
            if "probe" not in (*constraint.needs(block), *constraint.writes(block)):
                continue
            if not constraint.shapeless:
                raise ValueError(
                    f"{constraint.name}: PtyLab's OPR has a probe for each frame, and this works "
                    f"on one; those that work on all frames together are {_listed()}"
                )
            if sorted(own) != list(range(modes)):
                raise ValueError(
                    f"{constraint.name}: expected OPR_modes to name all {modes} modes, got "
                    f"{list(own)}: it would mix modes that have frames with those that have none"
                )


class PtyLabStep:
    """What `step` returns: constraints on what an engine of PtyLab has in its reconstruction.

    Attributes
    ----------
    constraints : Constraints
    reports : tuple of Report
        What the latest call did, one for each wavelength.
    iteration : int
        That of the latest call, 0 before the first.
    """

    def __init__(self, engine: Any, constraints: Constraints, *, measure: bool = False) -> None:
        self.constraints, self.iteration = constraints, 0
        self.reports: tuple[Report, ...] = ()
        self._engine, self._measure = engine, measure
        self._wavelengths: list[_Wavelength] = []

    def __call__(self, iteration: int | None = None, *, error: float | None = None) -> Report:
        """Run what is due, in place.

        Parameters
        ----------
        iteration : int, optional
            Counted from 1; by default the calls are counted.
        error : float, optional
            Error for rules in `start_when`; by default PtyLab's own.

        Returns
        -------
        Report
            Of the first wavelength.

        Raises
        ------
        MissingInputError
            A constraint needs what this reconstruction does not have.
        """
        self.iteration = self.iteration + 1 if iteration is None else iteration
        steps = self._steps()
        self.reports = tuple(step(self.iteration, error=error) for step in steps)
        if steps[0].moved:  # the positions are those of all wavelengths
            reconstruction, data = self._engine.reconstruction, self._engine.experimentalData
            shifts = steps[0].shifts
            host = shifts.get() if hasattr(shifts, "get") else shifts
            reconstruction.encoder_corrected = data.encoder + host * float(reconstruction.dxo)
        return self.reports[0]

    def check(self) -> None:
        """Find out now whether the reconstruction has what this and all later iterations need."""
        for step in self._steps():
            step.check()

    def _steps(self) -> list[_Wavelength]:
        """Return one step per wavelength; at first the intensity is shared out to them."""
        reconstruction = self._engine.reconstruction
        if len(self._wavelengths) != len(reconstruction.object):
            kind = _Frames if hasattr(self._engine, "OPR_modes") else _Wavelength
            self._wavelengths = [
                kind(self._engine, self.constraints, index, measure=self._measure)
                for index in range(len(reconstruction.object))
            ]
            amplitude = float(self._engine.experimentalData.maxProbePower)
            shares = _intensities(reconstruction.probe, amplitude)
            for step, share in zip(self._wavelengths, shares, strict=True):
                step.intensity = share
        return self._wavelengths

    def __repr__(self) -> str:
        return f"<PtyLabStep of arraycon: {self.constraints}>"


def _listed() -> str:
    from arraycon.constraints import declared

    return " and ".join(name for name, each in declared().items() if each.shapeless)


def _lengths(reconstruction: Any, index: int) -> dict[str, Any]:
    wavelengths = getattr(reconstruction, "spectralDensity", None)
    if wavelengths is None or len(wavelengths) <= index:
        wavelengths = [reconstruction.wavelength] * (index + 1)
    metres = {"dx": reconstruction.dxo, "wavelength": wavelengths[index]}
    if reconstruction.object.shape[3] > 1 and getattr(reconstruction, "dz", None):
        metres["slice_thickness"] = reconstruction.dz
    return {name: float(value) * ANGSTROM for name, value in metres.items()}


def _intensities(probe: Any, amplitude: float) -> list[float]:
    """Share PtyLab's intensity out to the wavelengths, as the probe has it now."""
    powers = (abs(probe[:, 0, :, 0]) ** 2).sum(axis=(1, 2, 3), dtype="float64")
    return [float(power) for power in amplitude**2 * powers / powers.sum()]


def _namespace(array: Any) -> Any:
    return importlib.import_module(type(array).__module__.partition(".")[0])
