"""Mixed-state multislice ePIE that calls the constraints once per iteration.

What it knows of the package is `State` and `Constraints.apply`, as any other code would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from array_api_compat import array_namespace

from arraycon import Constraints, State
from arraycon.demo.dataset import Dataset
from arraycon.demo.forward import Multislice, fft2, gather, ifft2, intensity, propagator, scatter

_RIM = 4  # px around the outermost windows, room for positions that move
_LONGEST = 0.3  # px that a position moves in one iteration at most


@dataclass(frozen=True)
class Settings:
    """How to reconstruct.

    Parameters
    ----------
    modes, slices, iterations : int
        Probe modes, object slices, passes over all positions.
    batch : int
        Positions whose updates are added up before they are applied: fewer converge in fewer
        passes, more average more noise and keep a GPU busy.
    object_step, probe_step, position_step : float
        Share of the correction that is applied; 0 keeps the positions as they are.
    position_start : int
        First iteration, counted from 1, in which positions are refined.
    regularisation : float
        Weight of the brightest illumination against the local one in what an update is divided
        by: 1 is ePIE's own rule, less is faster where light is dim, and noisier.
    mode_power : float
        Share of the intensity that each mode beside the first starts with.
    seed : int
        Of the order of the positions.
    """

    modes: int = 3
    slices: int = 1
    iterations: int = 12
    batch: int = 8
    object_step: float = 0.9
    probe_step: float = 0.5
    position_step: float = 0.0
    position_start: int = 3
    regularisation: float = 0.5
    mode_power: float = 0.1
    seed: int = 0


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
        Σ(√model - √counts)² / Σcounts in each iteration, before its updates.
    """

    state: State
    origin: tuple[int, int]
    errors: tuple[float, ...]


def initial(data: Dataset, settings: Settings) -> tuple[State, tuple[int, int]]:
    """First guess: an empty object; the data's probe and weak modes of higher order.

    Returns
    -------
    state : State
        NumPy arrays.
    origin : tuple of int
        As in `Result`.
    """
    half = np.array(data.probe.shape) // 2
    first = np.floor(data.positions.min(axis=0)).astype(int) - half - _RIM
    last = np.ceil(data.positions.max(axis=0)).astype(int) + half + _RIM
    power = float(data.counts.sum(dtype=np.float64)) / len(data.counts)
    state = State(
        object=np.ones((settings.slices, *(last - first + 1).tolist()), np.complex64),
        probe=_initial_modes(data.probe, settings, power),
        probe_intensity=power,
        position_shifts=np.zeros(data.positions.shape, np.float32),
        scan_shape=data.scan_shape,
        dx=data.dx,
        wavelength=data.wavelength,
        slice_thickness=data.slice_thickness,
    )
    return state, (int(first[0]), int(first[1]))


def _initial_modes(probe: Any, settings: Settings, power: float) -> Any:
    """Probe times polynomials in y and x, made orthogonal: what a blurred source needs first."""
    axes = [np.linspace(-1, 1, n) for n in probe.shape]
    orders = sorted(((a, b) for a in range(6) for b in range(6)), key=lambda ab: (sum(ab), ab))
    shapes = [probe * axes[0][:, None] ** a * axes[1] ** b for a, b in orders[: settings.modes]]
    basis, _ = np.linalg.qr(np.stack(shapes).reshape(settings.modes, -1).T)
    shares = np.full(settings.modes, settings.mode_power)
    shares[0] = 1 - shares[1:].sum()
    modes = basis.T.reshape(-1, *probe.shape) * np.sqrt(power * shares)[:, None, None]
    return modes.astype(np.complex64)


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
        self._positions = data.positions - self.origin
        self._amplitudes = xp.asarray(np.sqrt(data.counts.astype(np.float32)))
        self._total = max(float(data.counts.sum(dtype=np.float64)), 1.0)
        self._model = Multislice(data.probe.shape, _between(first), self.state.probe)
        self._rng = np.random.default_rng(settings.seed)

    def iterate(self) -> float:
        """Go over all positions, then constrain; returns the error before the updates."""
        iteration = len(self.errors) + 1
        places = self._positions + _to_numpy(self.state.position_shifts)
        corners, fractions = windows(places, self._model.shape, self.state.object.shape[1:])
        order, batch = self._rng.permutation(len(corners)), self.settings.batch
        error = 0.0
        for first in range(0, len(order), batch):
            chosen = order[first : first + batch]
            error += self._update(chosen, corners[chosen].tolist(), fractions[chosen], iteration)
        if self.constraints is not None:
            self.constraints.apply(self.state, iteration, measure=False)
        self.errors.append(float(error) / self._total)
        return self.errors[-1]

    def result(self) -> Result:
        """Bring what there is back to NumPy."""
        return Result(_converted(self.state, _to_numpy), self.origin, tuple(self.errors))

    def _update(self, chosen: Any, corners: Any, fractions: Any, iteration: int) -> Any:
        """Update object, probe and positions from one batch; returns its squared error."""
        model, settings, probe = self._model, self.settings, self.state.probe
        xp = array_namespace(probe)
        spectrum = fft2(xp.asarray(probe, copy=True))
        ramps = model.ramps(xp.asarray(fractions))
        patches = gather(self.state.object, corners, model.shape)
        far, waves = model(spectrum * ramps, patches)
        measured = self._amplitudes[xp.asarray(chosen)]
        modelled = xp.sqrt(intensity(far))
        # the nearest wave that has the measured intensity, less the one that is there
        far *= (measured / xp.maximum(modelled, 1e-3) - 1)[:, None]
        change, spectra = model.back(far, patches, waves)
        self._update_object(corners, waves[0], change)
        if settings.position_step > 0 and iteration >= settings.position_start:
            self._update_positions(chosen, patches, waves[0], change)
        spectra *= xp.conj(ramps)
        probe += settings.probe_step * ifft2(xp.mean(spectra, axis=0))
        return xp.sum((modelled - measured) ** 2)

    def _update_object(self, corners: Any, incident: Any, change: Any) -> None:
        obj, weight = self.state.object, self.settings.regularisation
        xp = array_namespace(obj)
        light = xp.zeros((1, *obj.shape[1:]), dtype=xp.float32)
        scatter(light, corners, intensity(incident)[:, None])
        light = weight * xp.max(light) + (1 - weight) * light
        # every slice answers for the whole difference, so each takes its share of the step
        step = self.settings.object_step / obj.shape[0]
        scatter(obj, corners, change * (step / gather(light, corners, self._model.shape)))

    def _update_positions(self, chosen: Any, patches: Any, incident: Any, change: Any) -> None:
        """Least-squares step of each position in y and x.

        Moving the probe is moving the object the other way, apart from a phase ramp that no
        detector sees: only the object's slope, summed over slices, tells where the probe is.
        """
        shifts = self.state.position_shifts
        xp = array_namespace(shifts)
        light, thin = intensity(incident), xp.sum(patches - 1, axis=1)
        for axis in (0, 1):
            after, before = (xp.roll(thin, way, axis=axis + 1) for way in (-1, 1))
            slope = (after - before) / 2
            along = xp.sum(xp.real(xp.conj(slope) * xp.mean(change, axis=1)), axis=(1, 2))
            norm = xp.sum(light * (xp.real(slope) ** 2 + xp.imag(slope) ** 2), axis=(1, 2))
            step = self.settings.position_step * along / xp.maximum(norm, 1e-12)
            shifts[xp.asarray(chosen), axis] += xp.clip(step, -_LONGEST, _LONGEST)


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
    state, shape = result.state, data.probe.shape
    model = Multislice(shape, _between(state), state.probe)
    places = data.positions - result.origin + state.position_shifts
    corners, fractions = windows(places, shape, state.object.shape[1:])
    spectrum = fft2(state.probe.copy())
    predicted = np.empty(data.counts.shape, np.float32)
    for first in range(0, len(corners), 16):
        part = slice(first, first + 16)
        patches = gather(state.object, corners[part], shape)
        predicted[part] = intensity(model(spectrum * model.ramps(fractions[part]), patches)[0])
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


def _to_numpy(x: Any) -> Any:
    return x.get() if hasattr(x, "get") else x
