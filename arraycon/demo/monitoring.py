"""What a monitor needs of the demo's reconstruction: intensities of some patterns as it is now."""

from __future__ import annotations

from typing import Any

from array_api_compat import array_namespace

from arraycon.demo.dataset import Dataset
from arraycon.demo.forward import Multislice, fft2, gather, intensity, propagator
from arraycon.demo.reconstruct import Reconstruction, windows
from arraycon.monitor import Monitor

_BATCH = 16  # patterns at a time, whose waves stay in the cache


class Patterns:
    """The forward model of a reconstruction, for the numbers of some patterns.

    Parameters
    ----------
    going : Reconstruction
    data : Dataset
        What it reconstructs.
    """

    def __init__(self, going: Reconstruction, data: Dataset) -> None:
        state, shape = going.state, data.probe.shape
        self._state, self._positions = state, data.positions - going.origin
        between = None
        if state.object.shape[0] > 1:
            if state.dx is None or state.wavelength is None or state.slice_thickness is None:
                raise ValueError("data: several slices need dx, wavelength and slice_thickness")
            between = propagator(
                shape, dx=state.dx, wavelength=state.wavelength, distance=state.slice_thickness
            )
        self._model = Multislice(shape, between, state.probe)

    def __call__(self, indices: Any) -> Any:
        """Return intensities, shape (len(indices), ny, nx), in counts."""
        state, model = self._state, self._model
        xp = array_namespace(state.probe)
        shifts = state.position_shifts[xp.asarray(indices)]
        # the only wait on a GPU, of some hundred bytes: corners are the host's to cut at
        shifts = shifts.get() if hasattr(shifts, "get") else shifts
        size = state.object.shape[1:]
        corners, fractions = windows(self._positions[indices] + shifts, model.shape, size)
        spectrum, found = fft2(xp.asarray(state.probe, copy=True)), []
        for first in range(0, len(corners), _BATCH):
            part = slice(first, first + _BATCH)
            patches = gather(state.object, corners[part].tolist(), model.shape)
            ramps = model.ramps(xp.asarray(fractions[part]))
            found.append(intensity(model(spectrum * ramps, patches)[0]))
        return xp.concat(found)


def monitor(going: Reconstruction, data: Dataset, *, number: int = 48, every: int = 2) -> Monitor:
    """Return a monitor of a reconstruction, for whoever applies constraints to its state."""
    return Monitor(counts=data.counts, forward=Patterns(going, data), number=number, every=every)
