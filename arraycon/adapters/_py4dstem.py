"""py4DSTEM's arrays as a `State`, and the state back."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from arraycon.adapters._feeding import Feed
from arraycon.adapters._lengths import electron_wavelength, even, square
from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, intensity, turned
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor, Subset
    from arraycon.pipeline import Constraints, Report

PY4DSTEM = Code("py4DSTEM", "py4DSTEM", known=("0.14.18",))

STORED = ("_object", "_probe", "_positions_px", "_positions_px_initial")
"""What a reconstruction keeps between iterations."""
_MODEL = (
    "_amplitudes",
    "_extract_vectorized_patch_indices",
    "_return_shifted_probes",
    "_overlap_projection",
    "_return_farfield_amplitudes",
    "_resample_exit_waves",
)


class Py4DSTEMStep(Step):
    """What `step` returns: constraints on what a reconstruction of py4DSTEM has stored."""

    _lacks = "py4DSTEM has no object tilts, and lengths only where they are uniform"

    def __init__(
        self,
        reconstruction: Any,
        constraints: Constraints,
        *,
        centre: bool | None = None,
        measure: bool = False,
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self._target, self._centre = reconstruction, centre
        self._monitor, self._feed = monitor, Feed(monitor)
        self._intensity: float | None = None
        # in the first one's memory, that of the constraints stays bound to it
        self._shifts: Any = None
        self._modes: Any = None
        self._illumination = _illumination(reconstruction) if self._asks("illumination") else None
        self._take()

    def _take(self, *given: Any, fixed: bool = False) -> None:
        """Take what the constraints are to work on: what is given, or else what is stored."""
        given = given or tuple(getattr(self._target, name) for name in STORED)
        self._object, self._probe, self._positions, self._initial = given
        self._fixed = fixed

    def __call__(self, iteration: int | None = None, *, error: float | None = None) -> Report:
        """Do as `Step`, on what the reconstruction has stored."""
        self._take()
        report = super().__call__(iteration, error=error)
        # what py4DSTEM has stored for its figures, and otherwise stores at the end of a call
        reconstruction = self._target
        reconstruction._positions_px = self._positions
        reconstruction.object = reconstruction._asnumpy(reconstruction._object)
        reconstruction.probe = reconstruction.probe_centered
        return report

    def within(self, own: Callable[..., Any] | None, *given: Any, **options: Any) -> Any:
        """Do what py4DSTEM's own constraint step is for, after that or, without one, instead."""
        initial, given = given[3], given[:3]
        if own is not None:
            given = own(*given, initial, **options)
        self._take(*given, initial, fixed=options.get("fix_positions", False))
        super().__call__(len(self._target.error_iterations) + 1)
        return self._object, self._probe, self._positions

    def _count(self) -> int:
        return max(len(getattr(self._target, "error_iterations", ())), 1)

    def _fields(self) -> dict[str, Any]:
        reconstruction, xp = self._target, self._target._xp
        if self._intensity is None:
            self._intensity = _intensity(reconstruction)
        # positions may be kept in the host's memory
        self._shifts = kept(self._shifts, xp.asarray(self._positions - self._initial))
        self._centred = self._needs_centre()
        modes = self._probe if self._probe.ndim == 3 else self._probe[None]
        if self._centred:
            self._modes = kept(self._modes, xp.fft.fftshift(modes, axes=(-2, -1)))
            modes = self._modes
        slices = self._object if self._object.ndim > 2 else self._object[None]
        potential = reconstruction._object_type == "potential"
        if self._monitor is not None:
            self._patterns()
        return {
            "probe": modes,
            "probe_intensity": self._intensity,
            "position_shifts": self._shifts,
            "object_phase" if potential else "object": slices,
            "illumination": self._illumination,
            "wavelength": electron_wavelength(float(reconstruction._energy)),
            **square(*reconstruction.sampling),
            **even(_thicknesses(reconstruction)),
        }

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:  # noqa: ARG002
        if self._centred:
            self._probe[...] = self._corner()
        if "position_shifts" in changed:
            self._positions = self._places()

    def _turn(self, rotation: Any) -> None:
        """Turn the exit waves that the projection schemes keep of each pattern and mode."""
        waves = getattr(self._target, "_exit_waves", None)
        if waves is not None and waves.ndim == 4:
            modes = waves.swapaxes(0, 1)
            modes[...] = turned(modes, rotation)

    def _told(self, problem: Exception) -> str:
        potential = self._target._object_type == "potential"
        lack = ", and its potential is a phase without amplitude" if potential else ""
        return f"{super()._told(problem)}{lack}"

    def _error(self) -> float:
        return float(self._patterns().error())

    def _needs_centre(self) -> bool:
        """Whether a constraint is due that does not commute with a cyclic shift of the probe."""
        if self._centre is not None:
            return self._centre
        due = self.constraints.due_constraints(max(self.iteration, 1))
        return any(one.centred for one in due)

    def _corner(self) -> Any:
        if not self._centred:
            return self._probe
        shifted = self._target._xp.fft.ifftshift(self._modes, axes=(-2, -1))
        return shifted.reshape(self._probe.shape)

    def _places(self) -> Any:
        if self._fixed:
            return self._positions
        return self._initial + _like(self._shifts, self._initial)

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
        reconstruction, positions = self._target, self._places()[indices]
        window = reconstruction._extract_vectorized_patch_indices(positions)
        probes = reconstruction._return_shifted_probes(
            self._corner(), positions - reconstruction._xp_storage.round(positions)
        )
        _, _, exits = reconstruction._overlap_projection(self._object, *window, probes)
        waves = reconstruction._xp.fft.fft2(exits)
        if reconstruction._resample_exit_waves:
            resample = PY4DSTEM.find("py4DSTEM.process.phase.utils", "bilinear_resample")
            waves = resample(
                waves, output_size=reconstruction._amplitudes_shape, vectorized=True,
                conserve_array_sums=True, xp=reconstruction._xp,
            )  # fmt: skip
        return reconstruction._return_farfield_amplitudes(waves) ** 2


def _intensity(reconstruction: Any) -> float:
    """Σ|P|² that explains the mean intensity of the patterns.

    py4DSTEM scales each initial mode to it, so that together they have too much at first.
    """
    initial = getattr(reconstruction, "_probe_initial", None)
    if initial is not None:
        return intensity(initial if initial.ndim == 2 else initial[0])
    # not stored; its patterns are the squared moduli of transforms without a factor
    pixels: int = math.prod(reconstruction._probe.shape[-2:])
    return float(reconstruction._mean_diffraction_intensity) / pixels


def _illumination(reconstruction: Any) -> Any:
    """Intensity of the probe on the object, smoothed as where py4DSTEM takes its field of view."""
    modes = (
        reconstruction._probe if reconstruction._probe.ndim == 3 else reconstruction._probe[None]
    )
    positions = reconstruction._positions_px
    away = positions - reconstruction._xp_storage.round(positions)
    # a mode at a time, as much as py4DSTEM itself needs for it
    overlap = sum(
        reconstruction._sum_overlapping_patches_bincounts(
            abs(reconstruction._return_shifted_probes(mode, away)) ** 2, positions
        )
        for mode in modes
    )
    blurred = reconstruction._scipy.ndimage.gaussian_filter(overlap, 1.0)
    return blurred.astype("float32")


def _thicknesses(reconstruction: Any) -> list[float]:
    found = getattr(reconstruction, "_slice_thicknesses", None)
    return [] if found is None else [float(each) for each in found]


def _like(array: Any, other: Any) -> Any:
    """Return a CuPy array as NumPy's if the other is one."""
    return array.get() if hasattr(array, "get") and not hasattr(other, "get") else array
