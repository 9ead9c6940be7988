"""Mixed-state multislice ePIE that calls the constraints once per iteration.

What it knows of the package is `State` and `Constraints.apply`, as any other code would.

Sources: Maiden and Rodenburg, Ultramicroscopy 109, 1256 (2009), ePIE; Maiden, Humphry and
Rodenburg, J. Opt. Soc. Am. A 29, 1606 (2012), several slices; Thibault and Menzel, Nature 494, 68
(2013), mixed states; Thibault and Guizar-Sicairos, New J. Phys. 14, 063004 (2012), the likelihood
of counts; Maiden, Johnson and Li, Optica 4, 736 (2017), regularisation and momentum.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from arraycon.demo.dataset import Dataset
from arraycon.demo.forward import Multislice, fft2, gather, ifft2, intensity, propagator, scatter
from arraycon.demo.settings import Settings, initial
from arraycon.misfit import misfit_ratio
from arraycon.monitor import Monitor
from arraycon.pipeline import Constraints
from arraycon.state import State

_FIXED = 48  # patterns on which the misfit is followed
_LONGEST = 0.3  # px that a position moves in one iteration at most
_BACKGROUND = 0.05  # counts that no model is without: what is divided by is never 0


@dataclass(frozen=True, eq=False)
class Result:
    """What a reconstruction ended with.

    Parameters
    ----------
    state : State
        Complex object (nz, ny, nx), probe and position shifts: NumPy arrays.
    origin : tuple of int
        Pixel of the scan's coordinates at which the object's pixel (0, 0) lies.
    errors : tuple of float
        Σ(√model - √counts)² / Σcounts in each iteration, each pattern before its own update.
    misfits : tuple of float
        Misfit over its expectation, `misfit_ratio`, after each iteration: of `_FIXED` patterns.
    warnings : tuple of str
        What a monitor of the constraints said.
    """

    state: State
    origin: tuple[int, int]
    errors: tuple[float, ...]
    misfits: tuple[float, ...] = ()
    warnings: tuple[str, ...] = ()


class Reconstruction:
    """A reconstruction on its way.

    Parameters
    ----------
    data : Dataset
        Its arrays are copied to the library that computes.
    settings : Settings
        How to reconstruct.
    constraints : Constraints, optional
        Applied at the end of each iteration.
    xp : module
        NumPy or CuPy.
    """

    def __init__(
        self,
        data: Dataset,
        settings: Settings,
        constraints: Constraints | None = None,
        *,
        xp: Any = np,
    ) -> None:
        self.settings, self.constraints = settings, constraints
        first, self.origin = initial(data, settings)
        self.state = _converted(first, xp.asarray)
        self.errors: list[float] = []
        self.misfits: list[float] = []
        self._positions = data.positions - self.origin
        self._counts = xp.asarray(data.counts.astype(np.float32))
        self._total = max(float(data.counts.sum(dtype=np.float64)), 1.0)
        self._model = Multislice(data.probe.shape, _between(first), self.state.probe)
        self._rng = np.random.default_rng(settings.seed)
        self._fixed = np.random.default_rng(settings.seed).permutation(len(data.counts))[:_FIXED]
        self._pace: Any = 0.0
        self._bound = None if constraints is None else constraints.bind(self.state)
        self._monitor: Monitor | None = None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a monitor of the constraints has said so far."""
        return () if self._monitor is None else self._monitor.warnings

    def watch(self, monitor: Monitor) -> None:
        """Let a monitor look at what the constraints do, where there are any."""
        if self.constraints is not None:
            self._monitor = monitor
            self._bound = self.constraints.bind(self.state, monitor=monitor)

    def iterate(self) -> float:
        """Go over all positions, then constrain; returns the error, see `Result`.

        Raises
        ------
        FloatingPointError
            Numbers became infinite: the steps are too long for these data or constraints.
        """
        iteration = len(self.errors) + 1
        places = self._positions + _to_numpy(self.state.position_shifts)
        corners, fractions = windows(places, self._model.shape, self.state.object.shape[1:])
        order, batch = self._rng.permutation(len(corners)), self.settings.batch
        before, error = _copy(self.state.object), 0.0
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            error += self._update(chosen, corners[chosen].tolist(), fractions[chosen], iteration)
        self._pace = self.settings.momentum * (self._pace + self.state.object - before)
        self.state.object += self._pace
        self.errors.append(float(error) / self._total)
        if self._bound is not None and np.isfinite(self.errors[-1]):
            self._bound.apply(iteration, error=self.errors[-1])
        self.misfits.append(self._misfit())
        if not np.isfinite(self.errors[-1] + self.misfits[-1]):
            raise FloatingPointError(
                f"the reconstruction diverged in iteration {iteration}: its error is "
                f"{self.errors[-1]}; expected shorter steps, or other constraints"
            )
        return self.errors[-1]

    def result(self) -> Result:
        """Copy what there is to NumPy; later iterations do not change it."""
        kept = _converted(self.state, lambda x: _to_numpy(_copy(x)))
        numbers = tuple(self.errors), tuple(self.misfits)
        return Result(kept, self.origin, *numbers, self.warnings)

    def _misfit(self) -> float:
        """Q of the fixed patterns."""
        chosen, xp = self._fixed, array_namespace(self.state.probe)
        places = self._positions[chosen] + _to_numpy(self.state.position_shifts[chosen])
        model = _predicted(self._model, self.state, places)
        return float(misfit_ratio(model, self._counts[xp.asarray(chosen)]))

    def _update(self, chosen: Any, corners: Any, fractions: Any, iteration: int) -> Any:
        """Update object, probe and positions from one batch; returns its squared error."""
        model, settings, probe = self._model, self.settings, self.state.probe
        xp = array_namespace(probe)
        spectrum = fft2(_copy(probe))
        ramps = model.ramps(xp.asarray(fractions))
        patches = gather(self.state.object, corners, model.shape)
        far, waves = model(spectrum * ramps, patches)
        counts, expected = self._counts[xp.asarray(chosen)], intensity(far)
        far *= correction(expected, counts, settings.likelihood)[:, None]
        change, spectra = model.back(far, patches, waves)
        self._update_object(corners, waves[0], change)
        if settings.position_step > 0 and iteration >= settings.position_start:
            self._update_positions(chosen, patches, waves[0], change)
        spectra *= xp.conj(ramps)
        probe += settings.probe_step * ifft2(xp.mean(spectra, axis=0))
        return xp.sum((xp.sqrt(expected) - xp.sqrt(counts)) ** 2)

    def _update_object(self, corners: Any, incident: Any, change: Any) -> None:
        """Add the changes of all windows, divided by the light on the first slice."""
        obj, weight = self.state.object, self.settings.regularisation
        xp = array_namespace(obj)
        light = xp.zeros((1, *obj.shape[1:]), dtype=xp.float32)
        scatter(light, corners, intensity(incident)[:, None])
        light = weight * xp.max(light) + (1 - weight) * light
        # every slice answers for the whole difference, so each takes its share of the step
        step = self.settings.object_step / obj.shape[0]
        scatter(obj, corners, change * (step / gather(light, corners, self._model.shape)))

    def _update_positions(self, chosen: Any, patches: Any, incident: Any, change: Any) -> None:
        """Gradient step of each position in y and x, scaled by the object's slope.

        Moving the probe is moving the object the other way, apart from a phase ramp that no
        detector sees: the object's slope tells where the probe is.
        """
        shifts = self.state.position_shifts
        xp = array_namespace(shifts)
        light = intensity(incident)[:, None]
        for axis in (0, 1):
            after, before = (xp.roll(patches, way, axis=axis + 2) for way in (-1, 1))
            slope = (after - before) / 2
            along = xp.sum(xp.real(xp.conj(slope) * change), axis=(1, 2, 3))
            norm = xp.sum(light * (xp.real(slope) ** 2 + xp.imag(slope) ** 2), axis=(1, 2, 3))
            step = self.settings.position_step * along / xp.maximum(norm, 1e-12)
            shifts[xp.asarray(chosen), axis] += xp.clip(step, -_LONGEST, _LONGEST)


def correction(expected: Any, counts: Any, likelihood: str) -> Any:
    r"""Relative change of the far field that the counts ask for.

    ``'amplitude'`` goes to the nearest wave of the measured intensity, :math:`\sqrt{n/I} - 1`: good
    for many counts, and lenient with what no model explains. In a pixel with less than one count
    on average it is wrong: the mean of :math:`\sqrt n` falls far short of the root of the mean,
    and what scatters to high angles is lost. ``'poisson'`` climbs the likelihood of the counts,
    :math:`(n/I - 1)/2`, which is right for few counts.

    Parameters
    ----------
    expected, counts : array, shape (n, ny, nx), float32
        Intensity of the model, and what was measured.
    likelihood : {'amplitude', 'poisson'}
        What is made likely.
    """
    xp = array_namespace(expected)
    if likelihood == "amplitude":
        return xp.sqrt(counts) / xp.maximum(xp.sqrt(expected), 1e-3) - 1
    ratio = (counts + _BACKGROUND) / (expected + _BACKGROUND)
    return 0.5 * (ratio - 1)


def windows(places: Any, window: tuple[int, int], size: tuple[int, int]) -> tuple[Any, Any]:
    """Put a window around each place.

    Parameters
    ----------
    places : array, shape (n, 2)
        Where pixel (ny//2, nx//2) of the probe lies in the object, px.
    window, size : tuple of int
        Shape of the probe and of the object.

    Returns
    -------
    corners : array, shape (n, 2), int
        First pixel of each window; all windows are within the object.
    fractions : array, shape (n, 2), float32
        How far the probe has to be moved within its window, px.
    """
    half = np.array(window) // 2
    corners = np.clip(np.rint(places).astype(int) - half, 0, np.array(size) - window)
    return corners, (places - corners - half).astype(np.float32)


def patterns(result: Result, data: Dataset) -> Any:
    """Diffraction patterns that a result predicts: float32, shape (n, ny, nx)."""
    state = result.state
    model = Multislice(data.probe.shape, _between(state), state.probe)
    return _predicted(model, state, data.positions - result.origin + state.position_shifts)


def _predicted(model: Multislice, state: State, places: Any) -> Any:
    """Patterns at places of the object, in the library of the state."""
    xp = array_namespace(state.probe)
    corners, fractions = windows(places, model.shape, state.object.shape[1:])
    spectrum = fft2(_copy(state.probe))
    predicted = xp.empty((len(corners), *model.shape), dtype=xp.float32)
    for first in range(0, len(corners), 16):
        part = slice(first, first + 16)
        patches = gather(state.object, corners[part].tolist(), model.shape)
        ramps = model.ramps(xp.asarray(fractions[part]))
        predicted[part] = intensity(model(spectrum * ramps, patches)[0])
    return predicted


def _between(state: State) -> Any:
    """Propagator from one slice to the next, if there is more than one."""
    if state.object.shape[0] == 1:
        return None
    dx, wavelength, distance = state.dx, state.wavelength, state.slice_thickness
    if dx is None or wavelength is None or distance is None:
        raise ValueError("slices: several need dx, wavelength and slice_thickness of the data")
    return propagator(state.probe.shape[1:], dx=dx, wavelength=wavelength, distance=distance)


def _converted(state: State, convert: Any) -> State:
    names = ("object", "probe", "position_shifts")
    return replace(state, **{name: convert(getattr(state, name)) for name in names})


def _copy(x: Any) -> Any:
    return array_namespace(x).asarray(x, copy=True)


def _to_numpy(x: Any) -> Any:
    return x.get() if hasattr(x, "get") else x
