"""phaser's adapter, against a small stand-in of what phaser hands to its plug-ins.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
import pytest
from foreign import DX, THICKNESS, WAVELENGTH, complex_array, real_array
from libraries import relative_error

import arraycon
from arraycon.adapters import InterfaceError, phaser
from arraycon.blocks.wording import ParameterError


def simulation(slices=3, tilt=True, as_array=np.array):
    """State of phaser's between iterations, which is counted up by `iterate`."""
    start = real_array((2, 3, 2), mean=4)
    return SimpleNamespace(
        object=SimpleNamespace(
            data=as_array(complex_array((slices, 12, 14))),
            thicknesses=np.full(slices, THICKNESS) if slices > 1 else np.array([]),
            sampling=SimpleNamespace(sampling=np.array([DX, DX])),
        ),
        probe=SimpleNamespace(data=as_array(complex_array((2, 8, 8), seed=3))),
        scan=SimpleNamespace(
            data=as_array(start + np.float32(0.5 * DX)),
            initial=as_array(start),
            tilt=as_array(np.broadcast_to(np.float32([1, 2]), (2, 3, 2))) if tilt else None,
        ),
        iter=SimpleNamespace(engine_iter=0, total_iter=10),
        wavelength=np.float64(WAVELENGTH),
    )


def iterate(sim, made):
    """One iteration of an engine, as phaser ends it."""
    sim.iter.engine_iter += 1
    sim.iter.total_iter += 1
    found, state = made.apply_iter(sim, None)
    assert found is sim
    assert state is None


ALL = {
    "ortho_pmode": {"start_iter": 1},
    "fix_probe_int": {"start_iter": 1},
    "obja_thresh": {"start_iter": 2, "thresh": [0.5, 1.5]},
    "pos_recenter": {"start_iter": 1},
}


RULE = {"error_falls_below": 0.1, "for": 2}


@pytest.fixture(params=["numpy", "jax", "torch"])
def library(request):
    if request.param == "numpy":
        return np.array
    module = pytest.importorskip(request.param)
    return module.numpy.asarray if request.param == "jax" else module.tensor


def test_phaser_calls_a_plug_in(library):
    sim = simulation(as_array=library)
    made = phaser.step(None, props={"constraints": ALL})
    specimen, waves = (np.asarray(each.data) for each in (sim.object, sim.probe))
    specimen, waves = specimen.copy(), waves.copy()
    start = np.asarray(sim.scan.initial).copy()
    kind = type(sim.object.data)
    assert made.init_state(sim) is None
    np.testing.assert_array_equal(sim.object.data, specimen)
    sim.probe.data = sim.probe.data * 2  # phaser scales it to the patterns
    iterate(sim, made)
    assert [record.name for record in made.reports[0]] == [*list(ALL)[:2], "pos_recenter"]
    np.testing.assert_array_equal(sim.object.data, specimen)
    iterate(sim, made)
    expected = arraycon.ortho_pmode(2 * waves)
    expected = arraycon.fix_probe_int(expected, intensity=4 * np.sum(abs(waves) ** 2))
    assert relative_error(np.asarray(sim.probe.data), expected) < 1e-5
    clipped = np.clip(abs(specimen), 0.5, 1.5) * np.exp(1j * np.angle(specimen))
    assert relative_error(np.asarray(sim.object.data), clipped) < 1e-6
    assert type(sim.object.data) is kind
    assert type(sim.scan.data) is kind
    assert sim.scan.data.shape == (2, 3, 2)
    drift = np.asarray(sim.scan.data) - start
    np.testing.assert_allclose(drift.reshape(-1, 2).mean(0), 0, atol=1e-6)


def test_phaser_arrays_come_anew():
    """As after each of JAX's compiled iterations, and after an engine has padded the object."""
    sim, made = simulation(), phaser.step(props={"constraints": ALL})
    made.init_state(sim)
    for seed in range(4, 9):
        sim.object.data = complex_array((3, 12, 14 + seed), seed=seed)
        before = sim.object.data.copy()
        iterate(sim, made)
        low, high = (0, np.inf) if sim.iter.engine_iter == 1 else (0.5, 1.5)
        expected = np.clip(abs(before), low, high) * np.exp(1j * np.angle(before))
        assert relative_error(sim.object.data, expected) < 1e-6


@pytest.mark.parametrize("clock", ["engine_iter", "total_iter"])
def test_phaser_counts(clock):
    block = {"obja_thresh": {"start_iter": 11}}
    sim, made = simulation(), phaser.step(props={"constraints": block, "clock": clock})
    made.init_state(sim)
    iterate(sim, made)
    found = [record.iteration for record in made.reports[0]]
    assert found == ([11] if clock == "total_iter" else [])


def test_phaser_tilts_that_are_one_for_all():
    sim, made = simulation(), phaser.step(props={"constraints": {"tilt_smooth": {"start_iter": 1}}})
    made.init_state(sim)
    tilt = sim.scan.tilt + np.arange(12, dtype="float32").reshape(2, 3, 2)
    for value in (np.broadcast_to(np.float32([1, 2]), (2, 3, 2)), tilt):
        sim.scan.tilt = value
        expected = arraycon.tilt_smooth(value.reshape(-1, 2).copy(), scan_shape=(2, 3))
        iterate(sim, made)
        np.testing.assert_allclose(sim.scan.tilt.reshape(-1, 2), expected, rtol=1e-6)
        assert sim.scan.tilt.shape == (2, 3, 2)
    assert not np.array_equal(sim.scan.tilt, tilt)


def test_phaser_lengths_and_what_is_missing():
    for changes, constraint in (
        ({"thicknesses": np.array([1.0, 2.0, 3.0])}, "obj_z_recenter"),
        ({"sampling": SimpleNamespace(sampling=np.array([0.1, 0.2]))}, "probe_mask_r"),
        ({}, "tilt_smooth"),
    ):
        sim = simulation(tilt=False)
        vars(sim.object).update(changes)
        made = phaser.step(props={"constraints": {constraint: {"start_iter": 3}}})
        with pytest.raises(arraycon.MissingInputError, match=f"{constraint}.*needs.*\nphaser has"):
            made.init_state(sim)
    sim = simulation(slices=1)
    made = phaser.step(props={"constraints": {"probe_mask_r": {"start_iter": 1, "radius": 0.5}}})
    made.init_state(sim)
    expected = arraycon.probe_mask_r(sim.probe.data, dx=DX, wavelength=WAVELENGTH, radius=0.5)
    iterate(sim, made)
    assert relative_error(sim.probe.data, expected) < 1e-6


def test_phaser_takes_a_file_and_a_power(tmp_path):
    path = tmp_path / "params.yaml"
    path.write_text("constraint_params:\n  fix_probe_int: {start_iter: 1}\n  ortho_pmode: null\n"
                    "  kz_filter: {start_iter: 1}\n  objp_postiv: null\n  obj_zblur: null\n"
                    "  obj_rblur: null\n  pos_recenter: null\n  obja_thresh: null\n"
                    "  tilt_smooth: null\n")  # fmt: skip
    made = phaser.step(props={"params": path, "probe_intensity": 7, "measure": True})
    assert list(made.constraints) == ["fix_probe_int", "kz_filter"]
    sim = simulation()
    made.init_state(sim)
    iterate(sim, made)
    assert np.sum(abs(sim.probe.data) ** 2) == pytest.approx(7, rel=1e-6)
    assert made.reports[0][0].metrics["probe: relative change"] > 0


@pytest.mark.usefixtures("versions")
def test_phaser_refuses():
    constraints = {"obja_thresh": {"start_iter": 1}}
    for props, error, message in (
        ({"constraints": {"kz_filter": {"beta": -1}}}, ParameterError, "kz_filter.beta"),
        ({"constraints": constraints, "when": 1}, ValueError, "when: expected one of constraints"),
        ({"constraints": constraints, "params": "x"}, ValueError, "either constraints or params"),
        ({}, ValueError, "either constraints or params"),
        ({"constraints": constraints, "clock": "iter"}, ValueError, "clock: expected engine_iter"),
        ({"constraints": constraints, "probe_intensity": 0}, ValueError, "probe_intensity: exp"),
        (
            {"constraints": {"obja_thresh": {"start_iter": 1, "start_when": RULE}}},
            ValueError,
            "obja_thresh: start_when waits for the error",
        ),
    ):
        with pytest.raises(error, match=message):
            phaser.step(None, props=props)
    sim = simulation()
    del sim.scan.initial
    message = r"phaser 0\.3\.1 has changed: S\w+ has no initial; known to work: 0\.3\.1"
    with pytest.raises(InterfaceError, match=message):
        phaser.step(props={"constraints": constraints}).init_state(sim)
