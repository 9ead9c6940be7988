"""A small stand-in of PtyRAD's interface: its model, tensors and solver's parts."""

from __future__ import annotations

import contextlib
from types import ModuleType, SimpleNamespace
from typing import NamedTuple

import numpy as np
from foreign import DX, THICKNESS, WAVELENGTH, complex_array, real_array
from schedules import EVERY as ALL

import arraycon
from arraycon.constraints import declared

# a model of PtyRAD's has no mask of vacuum
EVERY = {
    name: None if "vacuum_mask" in declared()[name].needs(declared()[name].model()) else block
    for name, block in ALL.items()
}


class Device(NamedTuple):
    """What a tensor says about its place."""

    type: str
    index: int | None


class Tensor:
    """As much of a tensor as the adapter asks for, on top of a NumPy array."""

    requires_grad = True

    def __init__(self, array, *, device="cpu", conjugate=False):
        self.array, self.conjugate = array, conjugate
        self.device = Device(device, 0 if device == "cuda" else None)

    def detach(self):
        return Tensor(self.array, device=self.device.type, conjugate=self.conjugate)

    def is_conj(self):
        return self.conjugate

    def is_neg(self):
        return False

    def resolve_conj(self):
        return Tensor(self.array.conj(), device=self.device.type)

    def resolve_neg(self):
        return self

    def copy_(self, other):
        self.array[...] = other.array.conj() if self.conjugate else other.array

    def numpy(self):
        assert self.device.type == "cpu"
        assert not self.conjugate
        return self.array

    def item(self):
        return self.array.item()

    def data_ptr(self):
        return self.array.ctypes.data

    def stride(self):
        return self.array.strides

    @property
    def shape(self):
        return self.array.shape

    @property
    def dtype(self):
        return self.array.dtype


class Model:
    """The attributes of PtyRAD's model that its constraints use."""

    def __init__(self, tensor=Tensor, **changes):
        self.opt_obja = tensor(real_array((1, 4, 10, 12), mean=1))
        self.opt_objp = tensor(real_array((1, 4, 10, 12)))
        self.opt_probe = tensor(complex_array((3, 8, 8)).view("float32").reshape(3, 8, 8, 2))
        self.opt_probe_pos_shifts = tensor(real_array((6, 2), mean=1))
        self.opt_obj_tilts = tensor(real_array((6, 2)))
        numbers = {"dx": DX, "lambd": WAVELENGTH, "opt_slice_thickness": THICKNESS}
        for name, value in {**numbers, "probe_int_sum": 100.0}.items():
            setattr(self, name, tensor(np.array(value, "float32")))
        self.N_scan_slow, self.N_scan_fast = (tensor(np.array(n, "int32")) for n in (2, 3))
        vars(self).update(changes)

    def get_complex_probe_view(self):
        probe = self.opt_probe
        return Tensor(probe.array.view("complex64")[..., 0], device=probe.device.type)


def state_of(model):
    """A state of copies of a stand-in's values."""
    return arraycon.State(
        object_amplitude=model.opt_obja.array.copy(),
        object_phase=model.opt_objp.array.copy(),
        probe=model.opt_probe.array.copy().view("complex64")[..., 0],
        probe_intensity=100.0,
        position_shifts=model.opt_probe_pos_shifts.array.copy(),
        tilts=model.opt_obj_tilts.array.copy(),
        scan_shape=(2, 3),
        dx=np.float32(DX).item(),
        wavelength=np.float32(WAVELENGTH).item(),
        slice_thickness=THICKNESS,
    )


def assert_same(model, state):
    pairs = {
        "opt_obja": state.object_amplitude,
        "opt_objp": state.object_phase,
        "opt_probe": state.probe.view("float32").reshape(3, 8, 8, 2),
        "opt_probe_pos_shifts": state.position_shifts,
        "opt_obj_tilts": state.tilts,
    }
    for name, expected in pairs.items():
        np.testing.assert_array_equal(getattr(model, name).array, expected, err_msg=name)


class Original:
    """PtyRAD's class, as far as it is looked at."""

    def __init__(self, constraint_params, device="cuda"):
        self.constraint_params, self.device = constraint_params, device

    def forward(self, model, niter):
        raise NotImplementedError


class Optimizer:
    """An optimizer that remembers something of parameters, if only that there are any."""

    def __init__(self, parameters):
        self.state = {parameter: {} for parameter in parameters}


def create_optimizer(parameters):
    return Optimizer(parameters)


def pytorch():
    """A module with what lending wants of PyTorch itself."""
    module = ModuleType("torch")
    module.Tensor, module.as_tensor = Tensor, Tensor
    module.no_grad = contextlib.nullcontext
    module.autograd = SimpleNamespace(graph=SimpleNamespace(increment_version=lambda _: None))
    stream = SimpleNamespace(cuda_stream=1234)
    module.cuda = SimpleNamespace(current_stream=lambda _: stream)
    return module
