"""PtyLab: `Constraints` in the constraint step of its engines.

PtyLab keeps the object as (nlambda, nosm, 1, nslice, No, No), the probe as (nlambda, 1, npsm,
nslice, Np, Np), both complex, and lengths in m. Each wavelength is one `State` of views.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from arraycon.adapters._hooks import Attachment
from arraycon.adapters._loop import Loop, kept
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints

__all__ = ["PtyLabAttachment", "attach"]

PTYLAB = Code("PtyLab", "ptylab", known=("0.3.7",))

_ANGSTROM = 1e10  # per metre

# PtyLab's own constraints, each with a switch in `Params`; position correction and autofocus, which
# its constraint step also does, are none
_SWITCHES = (
    "l2reg",
    "modulusEnforcedProbeSwitch",
    "orthogonalizationSwitch",
    "probePowerCorrectionSwitch",
    "probeSpectralPowerCorrectionSwitch",
    "comStabilizationSwitch",
    "probeBoundary",
    "absorbingProbeBoundary",
    "probeSmoothenessSwitch",
    "objectSmoothenessSwitch",
    "absObjectSwitch",
    "absProbeSwitch",
    "objectContrastSwitch",
    "couplingSwitch",
    "binaryProbeSwitch",
)
_ENGINE = ("applyConstraints", "reconstruction", "experimentalData", "params")
_RECONSTRUCTION = ("object", "probe", "dxo", "wavelength", "encoder_corrected")
_DATA = ("encoder", "maxProbePower", "operationMode")
_MOMENTA = ("probeBuffer", "probeMomentum")
_ROTATION = "rotation"  # by-product of constraints that mix the modes


class _Wavelength:
    """What stays from one iteration to the next, for one wavelength.

    PtyLab makes a new probe and new positions at each update, and keeps its object.
    """

    def __init__(self) -> None:
        self.loop = Loop()
        self.modes: Any = None
        self.shifts: Any = None


class PtyLabAttachment(Attachment):
    """What `attach` returns."""

    def __init__(
        self, engine: Any, constraints: Constraints, *, instead: bool, measure: bool
    ) -> None:
        super().__init__(
            engine,
            "applyConstraints",
            self._step,
            constraints,
            instead=instead,
            measure=measure,
        )
        self._intensities: list[float] = []
        self._iteration = 0
        self._wavelengths: list[_Wavelength] = []

    def _step(self, loop: int) -> None:
        with _switched_off(self._target.params, _SWITCHES if self._instead else ()):
            self._own(loop)
        reconstruction, data = self._target.reconstruction, self._target.experimentalData
        self._iteration += 1
        if not self._intensities:
            self._intensities = _intensities(reconstruction.probe, float(data.maxProbePower))

        pixel = float(reconstruction.dxo)
        xp = _namespace(reconstruction.probe)
        shifts = xp.asarray((reconstruction.encoder_corrected - data.encoder) / pixel)
        missing = len(reconstruction.object) - len(self._wavelengths)
        self._wavelengths += [_Wavelength() for _ in range(missing)]
        self.reports = tuple(
            self._apply(index, shifts) for index in range(len(reconstruction.object))
        )
        self._turn_momenta()
        moved = any("position_shifts" in record.targets for record in self.reports[0])
        if moved:
            shifts = self._wavelengths[0].shifts  # the positions are those of all wavelengths
            host = shifts.get() if hasattr(shifts, "get") else shifts
            reconstruction.encoder_corrected = data.encoder + host * pixel

    def _apply(self, index: int, shifts: Any) -> Any:
        from arraycon.pipeline import MissingInputError

        reconstruction, own = self._target.reconstruction, self._wavelengths[index]
        # in a thick object the further "slices" of the probe are how it arrives there
        modes = reconstruction.probe[index, 0, :, 0]
        own.modes, own.shifts = kept(own.modes, modes), kept(own.shifts, shifts)
        fields = {
            "object": reconstruction.object[index],
            "probe": own.modes,
            "probe_intensity": self._intensities[index],
            "position_shifts": own.shifts,
            **_lengths(reconstruction, index),
        }
        error = None
        if own.loop.waits(self.constraints, self._iteration):
            error = float(reconstruction.error[-1])  # which PtyLab appends before its constraints
        try:
            return own.loop.apply(
                self.constraints, fields, self._iteration, measure=self._measure, error=error
            )
        except MissingInputError as error:
            reason = "PtyLab has no object tilts, and no slice thickness for a thin object"
            raise MissingInputError(f"{error}\n{reason}") from None
        finally:  # what ran before an error stays
            modes[...] = own.modes

    def _turn_momenta(self) -> None:
        """Turn what momentum engines remember of the modes together with the modes."""
        reconstruction = self._target.reconstruction
        if not getattr(self._target.params, "momentumAcceleration", False):
            return
        shape = reconstruction.probe.shape
        remembered = [getattr(reconstruction, name, None) for name in _MOMENTA]
        arrays: list[Any] = [a for a in remembered if getattr(a, "shape", None) == shape]
        for index, report in enumerate(self.reports):
            for record in report:
                if _ROTATION in record.returned:
                    for array in arrays:
                        modes = array[index, 0, :, 0]
                        modes[...] = _turned(modes, record.returned[_ROTATION])


def attach(
    engine: Any, constraints: Constraints, *, instead: bool = False, measure: bool = False
) -> PtyLabAttachment:
    """Run constraints in the constraint step of one of PtyLab's engines.

    Iterations count from 1, and on over several calls of ``reconstruct``.

    Parameters
    ----------
    engine : ePIE, mPIE or another engine
        For conventional ptychography (``operationMode`` CPM); NumPy, or CuPy on a GPU.
    constraints : Constraints
        What to run, for each wavelength by itself. `fix_probe_int` restores PtyLab's
        ``maxProbePower``; wavelengths keep their shares of the first iteration.
    instead : bool, optional
        Switch PtyLab's own object and probe constraints off, rather than run after them. Position
        correction and autofocus are left on.
    measure : bool, optional
        As for `Constraints.apply`.

    Returns
    -------
    PtyLabAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError
        This version of PtyLab lacks what the adapter builds on.
    ValueError
        The engine is set up for Fourier ptychography, whose object is a spectrum.

    Examples
    --------
    >>> from arraycon.adapters import ptylab
    >>> with ptylab.attach(engine, constraints):
    ...     engine.reconstruct()
    """
    PTYLAB.note_version()
    PTYLAB.check_has(engine, _ENGINE)
    PTYLAB.check_takes(type(engine).applyConstraints, ("loop",))
    PTYLAB.check_has(engine.reconstruction, _RECONSTRUCTION)
    PTYLAB.check_has(engine.experimentalData, _DATA)
    PTYLAB.check_has(engine.params, _SWITCHES)
    if engine.experimentalData.operationMode != "CPM":
        mode = engine.experimentalData.operationMode
        raise ValueError(f"engine: expected operationMode CPM, got {mode}")
    for name in ("object", "probe"):
        found = getattr(engine.reconstruction, name).ndim
        if found != 6:
            raise PTYLAB.error(
                f"has changed: its {name} was expected to have 6 axes, and has {found}"
            )
    return PtyLabAttachment(engine, constraints, instead=instead, measure=measure)


def _turned(modes: Any, rotation: Any) -> Any:
    return _namespace(modes).tensordot(rotation, modes, axes=1)


@contextmanager
def _switched_off(params: Any, switches: tuple[str, ...]) -> Iterator[None]:
    before = {name: getattr(params, name) for name in switches}
    try:
        for name in switches:
            setattr(params, name, False)
        yield
    finally:
        for name, value in before.items():
            setattr(params, name, value)


def _lengths(reconstruction: Any, index: int) -> dict[str, Any]:
    wavelengths = getattr(reconstruction, "spectralDensity", None)
    if wavelengths is None or len(wavelengths) <= index:
        wavelengths = [reconstruction.wavelength] * (index + 1)
    metres = {"dx": reconstruction.dxo, "wavelength": wavelengths[index]}
    if reconstruction.object.shape[3] > 1 and getattr(reconstruction, "dz", None):
        metres["slice_thickness"] = reconstruction.dz
    return {name: float(value) * _ANGSTROM for name, value in metres.items()}


def _intensities(probe: Any, amplitude: float) -> list[float]:
    """Share PtyLab's intensity out to the wavelengths, as the probe has it now."""
    powers = (abs(probe[:, 0, :, 0]) ** 2).sum(axis=(1, 2, 3), dtype="float64")
    return [float(power) for power in amplitude**2 * powers / powers.sum()]


def _namespace(array: Any) -> Any:
    return importlib.import_module(type(array).__module__.partition(".")[0])
