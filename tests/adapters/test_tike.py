"""tike's adapter, against a small stand-in of the interface that it builds on.

tike needs a GPU; its arrays are CuPy's, the stand-in's where there is none, and NumPy's here.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, WAVELENGTH, complex_array, real_array
from libraries import Library, relative_error

import arraycon
from arraycon.adapters import InterfaceError, tike

only = arraycon.Constraints


@pytest.fixture(params=["numpy", "cupy"])
def library(request):
    found = Library(request.param)
    if reason := found.available():
        pytest.skip(reason)
    return found


class Pool:
    """Copies to each GPU, in tike's way: new arrays for all of them."""

    def __init__(self, gpus):
        self.gpus = gpus

    def bcast(self, arrays):
        (array,) = arrays
        return [array.copy() for _ in range(self.gpus)]


class Reconstruction:
    """What of one that is open the adapter looks at."""

    def __init__(self, library, gpus=1, slices=1, positions=True):
        self.library = library
        self.psi, self.waves = complex_array((slices, 12, 14)), complex_array((1, 1, 2, 8, 8), 3)
        self.places = real_array((6, 2), mean=4)
        option = SimpleNamespace(initial_scan=library.array(self.places))
        self.parameters = SimpleNamespace(
            psi=[library.array(self.psi) for _ in range(gpus)],
            probe=[library.array(self.waves) for _ in range(gpus)],
            scan=[library.array(self.places + np.float32(0.5)) for _ in range(gpus)],
            eigen_probe=None,
            position_options=[option] * gpus if positions else None,
            probe_options=SimpleNamespace(m=None),
            algorithm_options=SimpleNamespace(times=[], costs=[]),
        )
        self.comm = SimpleNamespace(pool=Pool(gpus))
        self.costs = iter([1.0, 0.5, 0.49, 0.48, 0.47])

    def iterate(self, epochs):
        options = self.parameters.algorithm_options
        for _ in range(epochs):
            cost = next(self.costs)
            options.costs.append([cost - 0.1, cost + 0.1])
            options.times.append(0.1)

    def now(self, name, gpu=0):
        return self.library.numpy(getattr(self.parameters, name)[gpu])


@pytest.mark.parametrize("gpus", [1, 2])
def test_tike_changes_its_arrays(library, bindings, gpus):
    context = Reconstruction(library, gpus)
    blocks = {
        "probe_mask_r": {"start_iter": 1, "radius": 0.5},
        "ortho_pmode": {"start_iter": 1},
        "fix_probe_int": {"start_iter": 1},
        "obja_thresh": {"start_iter": 2, "thresh": [0.5, 1.5]},
    }
    if gpus == 1:
        blocks["pos_recenter"] = {"start_iter": 1}
    step = tike.step(context, only(blocks), dx=DX, wavelength=WAVELENGTH)
    first = [context.parameters.psi[0], context.parameters.probe[0]]
    context.iterate(1)
    assert {record.iteration for record in step()} == {1}
    expected = arraycon.probe_mask_r(context.waves[0, 0], dx=DX, wavelength=WAVELENGTH, radius=0.5)
    expected = arraycon.ortho_pmode(expected)
    expected = arraycon.fix_probe_int(expected, intensity=np.sum(abs(context.waves) ** 2))
    for gpu in range(gpus):
        assert context.now("probe", gpu).shape == (1, 1, 2, 8, 8)
        assert relative_error(context.now("probe", gpu)[0, 0], expected) < 1e-5
        assert relative_error(context.now("psi", gpu), context.psi) == 0
    context.iterate(1)
    step()
    clipped = np.clip(abs(context.psi), 0.5, 1.5) * np.exp(1j * np.angle(context.psi))
    for gpu in range(gpus):
        assert relative_error(context.now("psi", gpu), clipped) < 1e-6
    assert len(bindings) == 1
    assert context.parameters.psi[0] is first[0]
    assert context.parameters.probe[0] is first[1]
    drift = (context.now("scan") - context.places).mean(0)
    np.testing.assert_allclose(drift, 0 if gpus == 1 else 0.5, atol=1e-6)


def test_tike_arrays_come_anew(library):
    context = Reconstruction(library)
    step = tike.step(context, only({"obja_thresh": {"start_iter": 1, "thresh": [0.5, 1.5]}}))
    for seed in range(4, 9):
        before = complex_array((1, 12, 14), seed)
        context.parameters.psi = [library.array(before)]
        context.iterate(1)
        step()
        expected = np.clip(abs(before), 0.5, 1.5) * np.exp(1j * np.angle(before))
        assert relative_error(context.now("psi"), expected) < 1e-6


def test_tike_lengths(library):
    context = Reconstruction(library, slices=3)
    filters = only({"obj_z_recenter": {"start_iter": 1}})
    with pytest.raises(arraycon.MissingInputError, match=r"slice_thickness.*\ntike has no object"):
        tike.step(context, filters)
    step = tike.step(context, filters, slice_thickness=8, wavelength=0.02, dx=0.2)
    assert step._fields()["slice_thickness"] == 8
    with pytest.raises(ValueError, match="dx: expected"):
        tike.step(context, filters, dx=0)


def test_tike_a_moment_turns_with_the_modes(library):
    context, moment = Reconstruction(library), complex_array((1, 1, 2, 8, 8), 7)
    _, rotation = arraycon.ortho_pmode(context.waves[0, 0], return_rotation=True)
    context.parameters.probe_options.m = library.array(moment)
    step = tike.step(context, only({"ortho_pmode": {"start_iter": 1}}), probe_intensity=3.0)
    context.iterate(1)
    step()
    found = library.numpy(context.parameters.probe_options.m)
    assert found.shape == moment.shape
    assert relative_error(found[0, 0], np.tensordot(rotation, moment[0, 0], axes=1)) < 1e-5


def test_tike_hands_rules_its_cost(library):
    context, ran = Reconstruction(library), []
    rule = {"start_iter": 1, "start_when": {"error_falls_below": 0.1, "for": 2}}
    step = tike.step(context, only({"obja_thresh": rule}))
    for _ in range(5):
        context.iterate(1)
        ran += [record.iteration for record in step()]
    assert ran == [4, 5]


@pytest.mark.usefixtures("versions")
def test_tike_refuses(library):
    context = Reconstruction(library, positions=False)
    mixing = only({"ortho_pmode": {"start_iter": 1}})
    with pytest.raises(arraycon.MissingInputError, match="only with position_options"):
        tike.step(context, only({"pos_recenter": {"start_iter": 1}}))
    context.parameters.eigen_probe = [library.array(complex_array((1, 1, 2, 8, 8)))]
    with pytest.raises(ValueError, match="ortho_pmode mixes the probe's modes, but the eigen"):
        tike.step(context, mixing)
    context.parameters.eigen_probe = None
    context.parameters.psi = context.psi
    with pytest.raises(ValueError, match="got one that is not open"):
        tike.step(context, mixing)
    context = Reconstruction(library)
    context.parameters.probe = [context.parameters.probe[0][0, 0]]
    message = r"tike 0\.26\.0 has changed: its probe was expected to have 5 axes, and has 3; known"
    with pytest.raises(InterfaceError, match=message):
        tike.step(context, mixing)
    del context.parameters.scan
    with pytest.raises(InterfaceError, match="has no scan"):
        tike.step(context, mixing)
