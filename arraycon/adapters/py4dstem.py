"""py4DSTEM: `Constraints` in the constraint step of its iterative ptychography.

py4DSTEM keeps a complex object or a real potential (nz, nx, ny), probes whose centre is the corner
pixel, and positions in px; x is its first lateral axis and y here. Its object is changed in place.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arraycon.adapters._feeding import Feed
from arraycon.adapters._hooks import Attachment
from arraycon.adapters._loop import Loop, kept
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor, Subset
    from arraycon.pipeline import Constraints

__all__ = ["Py4DSTEMAttachment", "attach"]

PY4DSTEM = Code("py4DSTEM", "py4DSTEM", known=("0.14.18",))

_CLASSES = (
    "SingleslicePtychography",
    "MultislicePtychography",
    "MixedstatePtychography",
    "MixedstateMultislicePtychography",
)
_ATTRIBUTES = ("_xp", "_object_type", "_energy", "sampling", "angular_sampling")
_MODEL = (
    "_amplitudes",
    "_extract_vectorized_patch_indices",
    "_return_shifted_probes",
    "_overlap_projection",
    "_return_farfield_amplitudes",
    "_resample_exit_waves",
)
_ARGUMENTS = ("current_object", "current_probe", "current_positions", "initial_positions")


class Py4DSTEMAttachment(Attachment):
    """What `attach` returns."""

    def __init__(
        self,
        reconstruction: Any,
        constraints: Constraints,
        *,
        instead: bool,
        centre: bool | None,
        measure: bool,
        monitor: Monitor | None,
    ) -> None:
        super().__init__(
            reconstruction,
            "_constraints",
            self._step,
            constraints,
            instead=instead,
            measure=measure,
        )
        self._centre = centre
        self._intensity: float | None = None
        self._monitor = monitor
        self._loop, self._feed = Loop(monitor), Feed(monitor)
        self._shifts: Any = None
        self._modes: Any = None
        # what the model is asked with, as the constraints change it
        self._model: tuple[Any, Callable[[], Any], Callable[[], Any]] | None = None

    def _step(
        self,
        current_object: Any,
        current_probe: Any,
        current_positions: Any,
        initial_positions: Any,
        **options: Any,
    ) -> tuple[Any, Any, Any]:
        given = current_object, current_probe, current_positions
        if not self._instead:
            given = self._own(*given, initial_positions, **options)
        specimen, probe, positions = given
        reconstruction = self._target
        iteration = len(reconstruction.error_iterations) + 1
        # of the first probe, which py4DSTEM scales to the mean intensity of the patterns
        if self._intensity is None:
            first = getattr(reconstruction, "_probe_initial", None)
            self._intensity = _intensity(current_probe if first is None else first)

        xp = reconstruction._xp
        # they may be kept in the host's memory
        shifts = self._shifts = kept(self._shifts, xp.asarray(positions - initial_positions))
        modes = probe if probe.ndim == 3 else probe[None]
        centred = self._needs_centre(iteration)
        if centred:
            modes = kept(self._modes, xp.fft.fftshift(modes, axes=(-2, -1)))
            self._modes = modes
        fixed = options.get("fix_positions", False)

        def corner() -> Any:
            return xp.fft.ifftshift(modes, axes=(-2, -1)).reshape(probe.shape) if centred else probe

        def places() -> Any:
            return positions if fixed else initial_positions + _like(shifts, initial_positions)

        self._model = specimen, corner, places
        self._apply(specimen, modes, shifts, iteration)
        if centred:
            probe[...] = corner()
        if not fixed and any("position_shifts" in record.targets for record in self.reports[0]):
            positions = places()
        return specimen, probe, positions

    def _apply(self, specimen: Any, modes: Any, shifts: Any, iteration: int) -> None:
        from arraycon.pipeline import MissingInputError

        slices = specimen if specimen.ndim > 2 else specimen[None]
        potential = self._target._object_type == "potential"
        fields = {
            "probe": modes,
            "probe_intensity": self._intensity,
            "position_shifts": shifts,
            "object_phase" if potential else "object": slices,
            **_lengths(self._target),
        }
        waits, error = self._loop.waits(self.constraints, iteration), None
        if self._monitor is not None or waits:
            subset = self._patterns()
            error = subset.error() if waits else None
        try:
            report = self._loop.apply(
                self.constraints, fields, iteration, measure=self._measure, error=error
            )
        except MissingInputError as error:
            lacks = ["py4DSTEM has no object tilts, and lengths only where they are uniform"]
            if potential:
                lacks.append("its potential is a phase without amplitude")
            raise MissingInputError(f"{error}\n{', and '.join(lacks)}") from None
        self.reports = (report,)

    def _patterns(self) -> Subset:
        """Return some of the patterns, beside what py4DSTEM's model makes of them."""
        reconstruction = self._target
        PY4DSTEM.check_has(reconstruction, _MODEL)

        def counts(indices: Any) -> Any:
            return reconstruction._xp.asarray(reconstruction._amplitudes[indices]) ** 2

        return self._feed.subset(
            reconstruction, counts, self._intensities, lambda: len(reconstruction._amplitudes)
        )

    def _intensities(self, indices: Any) -> Any:
        """Intensities of the model as the constraints have left it."""
        assert self._model is not None
        reconstruction, (specimen, probe, places) = self._target, self._model
        positions = places()[indices]
        window = reconstruction._extract_vectorized_patch_indices(positions)
        probes = reconstruction._return_shifted_probes(
            probe(), positions - reconstruction._xp_storage.round(positions)
        )
        _, _, exits = reconstruction._overlap_projection(specimen, *window, probes)
        waves = reconstruction._xp.fft.fft2(exits)
        if reconstruction._resample_exit_waves:
            resample = PY4DSTEM.find("py4DSTEM.process.phase.utils", "bilinear_resample")
            waves = resample(
                waves, output_size=reconstruction._amplitudes_shape, vectorized=True,
                conserve_array_sums=True, xp=reconstruction._xp,
            )  # fmt: skip
        return reconstruction._return_farfield_amplitudes(waves) ** 2

    def _needs_centre(self, iteration: int) -> bool:
        """Whether a constraint is due that does not commute with a cyclic shift of the probe."""
        if self._centre is not None:
            return self._centre
        return any(one.centred for one in self.constraints.due_constraints(iteration))


def attach(
    reconstruction: Any,
    constraints: Constraints,
    *,
    instead: bool = False,
    centre: bool | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> Py4DSTEMAttachment:
    """Run constraints in the constraint step of one of py4DSTEM's reconstructions.

    Iterations count on over several calls of ``reconstruct``, and from 1 after ``reset=True``.

    Parameters
    ----------
    reconstruction : SingleslicePtychography, MultislicePtychography or their mixed-state kin
        After ``preprocess()``; NumPy on the CPU, CuPy on a GPU.
    constraints : Constraints
        What to run. A complex object counts as amplitude and phase, a potential as phase alone.
    instead : bool, optional
        Run them in place of py4DSTEM's own object, probe and position constraints, rather than
        after those. Among its own is, for complex objects, the amplitude's limit of 1.
    centre : bool, optional
        Whether the probe is shifted to the middle and back, which takes two copies. By default only
        where that makes a difference: for constraints that say so, and for your own on the probe.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; py4DSTEM's own, if they run first, count to the data step. One
        without a misfit of its own is fed by py4DSTEM's forward model and its patterns. Those have
        to be counts (``counts_per_unit`` makes them some), and are smoother than counts where
        py4DSTEM has moved their centres by parts of a pixel. The same patterns give the error for
        rules in `start_when`.

    Returns
    -------
    Py4DSTEMAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError
        This version of py4DSTEM lacks what the adapter builds on.
    TypeError
        Not a reconstruction of these classes (the magnetic and tomographic ones keep several
        probes and call their constraints in each batch).

    Examples
    --------
    >>> from arraycon.adapters import py4dstem
    >>> with py4dstem.attach(ptycho, constraints):
    ...     ptycho.reconstruct(num_iter=16)
    """
    names = [base.__name__ for base in type(reconstruction).__mro__]
    if not set(names) & set(_CLASSES):
        raise TypeError(f"reconstruction: expected one of {', '.join(_CLASSES)}, got {names[0]}")
    PY4DSTEM.note_version()
    PY4DSTEM.check_has(reconstruction, ("_constraints", *_ATTRIBUTES))
    PY4DSTEM.check_takes(type(reconstruction)._constraints, _ARGUMENTS)
    if reconstruction.sampling is None:
        raise ValueError("reconstruction: expected one after preprocess(), got no sampling")
    return Py4DSTEMAttachment(
        reconstruction, constraints,
        instead=instead, centre=centre, measure=measure, monitor=monitor,
    )  # fmt: skip


def _lengths(reconstruction: Any) -> dict[str, Any]:
    """Lengths in Å; a pixel that is not square or slices that differ have none."""
    row, column = reconstruction.sampling
    lengths: dict[str, Any] = {"wavelength": _wavelength(float(reconstruction._energy))}
    if math.isclose(row, column, rel_tol=1e-3):
        lengths["dx"] = float(row)
    thicknesses = getattr(reconstruction, "_slice_thicknesses", None)
    if thicknesses is not None and len(thicknesses):
        thinnest, thickest = float(min(thicknesses)), float(max(thicknesses))
        if thinnest > 0 and math.isclose(thinnest, thickest, rel_tol=1e-3):
            lengths["slice_thickness"] = thinnest
    return lengths


def _wavelength(energy: float) -> float:
    """Relativistic wavelength in Å of electrons of an energy in eV."""
    momentum = math.sqrt(energy * (energy + 2 * 510_998.95))  # eV/c, from the rest energy
    return 12_398.419_84 / momentum  # hc in eV·Å


def _intensity(probe: Any) -> float:
    return float((abs(probe) ** 2).sum(dtype="float64"))


def _like(array: Any, other: Any) -> Any:
    """Return a CuPy array as NumPy's if the other is one."""
    return array.get() if hasattr(array, "get") and not hasattr(other, "get") else array
