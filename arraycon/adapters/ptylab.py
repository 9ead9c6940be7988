"""PtyLab: `Constraints` in the constraint step of its engines.

PtyLab keeps the object as (nlambda, nosm, 1, nslice, No, No), the probe as (nlambda, 1, npsm,
nslice, Np, Np), both complex, and lengths in m. Each wavelength is one `State` of views.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from arraycon.adapters._hooks import Attachment
from arraycon.adapters._ptylab import PtyLabStep
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints

__all__ = ["PtyLabAttachment", "PtyLabStep", "attach", "step"]

PTYLAB = Code("PtyLab", "ptylab", known=("0.3.7",))

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


class PtyLabAttachment(Attachment):
    """What `attach` returns."""

    def __init__(self, engine: Any, step: PtyLabStep, *, instead: bool) -> None:
        super().__init__(
            engine, "applyConstraints", self._after, step.constraints, instead=instead,
            measure=False,
        )  # fmt: skip
        self._step = step

    def _after(self, loop: int) -> None:
        with _switched_off(self._target.params, _SWITCHES if self._instead else ()):
            self._own(loop)
        try:
            self._step()
        finally:
            self.reports = self._step.reports


def step(engine: Any, constraints: Constraints, *, measure: bool = False) -> PtyLabStep:
    """Return the constraints for a loop of one's own, around ``reconstruct()``.

    PtyLab's own constraints are switched on and off in its ``params``.

    Parameters
    ----------
    engine, constraints, measure
        As for `attach`.

    Returns
    -------
    PtyLabStep
        To be called after each iteration; its `reports` tell what that did.

    Raises
    ------
    InterfaceError, MissingInputError
        As `attach`.
    ValueError
        As `attach`; or the engine is OPR, which makes its probes anew at each call.

    Examples
    --------
    >>> from arraycon.adapters import ptylab
    >>> step, engine.numIterations = ptylab.step(engine, constraints), 1
    >>> for _ in range(50):
    ...     engine.reconstruct()
    ...     step()
    """
    if hasattr(engine, "OPR_modes"):
        raise ValueError("engine: OPR makes its probes anew at each reconstruct(); use attach")
    return _checked(engine, constraints, measure)


def attach(
    engine: Any, constraints: Constraints, *, instead: bool = False, measure: bool = False
) -> PtyLabAttachment:
    """Run constraints in the constraint step of one of PtyLab's engines.

    Iterations count from 1, and on over several calls of ``reconstruct``. Constraints that were
    attached before are replaced.

    Parameters
    ----------
    engine : ePIE, mPIE or another engine
        For conventional ptychography (``operationMode`` CPM); NumPy, or CuPy on a GPU.
    constraints : Constraints
        What to run, for each wavelength by itself. `fix_probe_int` restores PtyLab's
        ``maxProbePower``; wavelengths keep the shares that they have now. The engine OPR has a
        probe for each frame: what works on all frames together runs on its stack (`ortho_pmode`
        turns the modes of all frames alike, `fix_probe_int` restores the mean intensity), and what
        needs a single probe is refused.
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
    MissingInputError
        A constraint needs what the reconstruction does not have.
    ValueError
        The engine is set up for Fourier ptychography, whose object is a spectrum; or is purityPIE,
        which runs engines that it makes itself; or is OPR, and a constraint needs a single probe.

    Examples
    --------
    >>> from arraycon.adapters import ptylab
    >>> with ptylab.attach(engine, constraints):
    ...     engine.reconstruct()
    """
    if hasattr(engine, "_createCandidateReconstruction"):
        raise ValueError(
            f"engine: {type(engine).__name__} makes engines of its own for what it scans, which "
            f"nothing that is attached to it reaches"
        )
    made = _checked(engine, constraints, measure)
    return PtyLabAttachment(engine, made, instead=instead)


def _checked(engine: Any, constraints: Constraints, measure: bool) -> PtyLabStep:
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
    made = PtyLabStep(engine, constraints, measure=measure)
    made.check()
    return made


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
