"""States of tensors, and their values."""

from __future__ import annotations

import numpy as np
from schedules import snapshot

import arraycon
from arraycon.kernels.common import arrays
from arraycon.state import ARRAYS

OTHERS = ("dx", "wavelength", "slice_thickness", "scan_shape", "probe_intensity")
OPTIONS = {"obj_zblur": {"kernel_size": 7}}  # its own is too short for its Gaussian


def made_of(make, state):
    """A state with `make` of copies of another's arrays."""
    values = {name: make(array) for name, array in snapshot(state).items()}
    return arraycon.State(**values, **{name: getattr(state, name) for name in OTHERS})


def as_object(state):
    transmission = state.object_amplitude * np.exp(1j * state.object_phase)
    state.object_amplitude = state.object_phase = None
    state.object = transmission.astype(arrays.complex_dtype(state.probe, xp=np))
    return state


def fields(state):
    return {name: getattr(state, name) for name in ARRAYS if getattr(state, name) is not None}


def values(state):
    """Values of the fields, whatever their library."""
    return {name: value(array) for name, array in fields(state).items()}


def value(array):
    if hasattr(array, "detach"):
        array = array.detach().resolve_conj().resolve_neg().numpy()
    return np.array(array)


def plain(torch, values):
    return torch.from_numpy(values)


def leaf(torch, values):
    return torch.from_numpy(values).requires_grad_()


def inner(torch, values):
    return torch.from_numpy(np.pad(values, 1))[(slice(1, -1),) * values.ndim]


def spaced(torch, values):
    return torch.from_numpy(np.repeat(values, 2, axis=-1))[..., ::2]


def turned(torch, values):
    axes = tuple(reversed(range(values.ndim)))
    return torch.from_numpy(np.ascontiguousarray(values.transpose(axes))).permute(axes)


def conjugate(torch, values):
    """Conjugate views of complex arrays, negative ones of real arrays."""
    if np.iscomplexobj(values):
        return torch.from_numpy(values.conj()).conj()
    return torch.complex(torch.zeros(values.shape), torch.from_numpy(-values)).conj().imag


def inference(torch, values):
    with torch.inference_mode():
        return torch.from_numpy(values).clone()


def parameter(torch, values):
    return torch.nn.Parameter(torch.from_numpy(values))


LAYOUTS = [leaf, inner, spaced, turned, conjugate, inference, parameter]
