"""ptypy's adapter, against a small stand-in of the engines and the registry that it builds on.

`tests/integration` runs it inside the code itself.
"""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace

import numpy as np
import pytest
from foreign import DX, WAVELENGTH, complex_array
from libraries import Library, relative_error

import arraycon
from arraycon.adapters import InterfaceError, ptypy

METRE = 1e-10
only = arraycon.Constraints


class Engine:
    """ptypy's interplay of base class and engine, on storages of (layers, ny, nx)."""

    def __init__(self, layers=1, **changes):
        sides = np.array([DX, DX]) * METRE
        self.specimen, self.waves = complex_array((layers, 12, 14)), complex_array((2, 8, 8), 3)
        objects = {"S0": SimpleNamespace(data=self.specimen.copy(), psize=sides)}
        probes = {"S0": SimpleNamespace(data=self.waves.copy(), psize=sides.copy())}
        self.ob, self.pr = SimpleNamespace(storages=objects), SimpleNamespace(storages=probes)
        geometry = SimpleNamespace(lam=WAVELENGTH * METRE)
        scans = {"scan": SimpleNamespace(geometries=[geometry, geometry])}
        self.ptycho = SimpleNamespace(model=SimpleNamespace(scans=scans))
        self.waves_kept = complex_array((3, layers, 2, 8, 8), 6)
        views = {f"V{n}": self.view(n) for n in range(3)}
        self.di = SimpleNamespace(views=views)
        self.curiter, self.prepared = 0, 0
        self.errors = iter([1.0, 0.5, 0.49, 0.48, 0.47])
        vars(self).update(changes)

    def view(self, number):
        """One position: a pod for each pair of layers, in an order of ptypy's own."""
        kept = self.waves_kept[number]
        pods = {
            f"P{m}{n}": SimpleNamespace(
                ob_view=SimpleNamespace(layer=m),
                pr_view=SimpleNamespace(layer=n),
                exit=kept[m, n].copy(),
            )
            for n in (1, 0)
            for m in range(len(kept))
        }
        return SimpleNamespace(pods=pods)

    def engine_prepare(self):
        self.prepared += 1

    def engine_iterate(self, num=1):
        self.curiter += num
        error = next(self.errors)
        return {
            name: np.array([9.0, error + shift, 9.0]) for name, shift in (("a", -0.1), ("b", 0.1))
        }

    def iterate(self, number=1):
        for _ in range(number):
            self.error = self.engine_iterate()

    def now(self, name):
        return getattr(self, name).storages["S0"].data


class ThreePIE(Engine):
    pass


@pytest.fixture
def registry(monkeypatch):
    """Let ptypy seem to be installed, with a registry of engines."""
    known = {"DM": type("DM", (Engine,), {})}
    engines, utils = ModuleType("ptypy.engines"), ModuleType("ptypy.utils")
    engines.by_name = known.__getitem__
    engines.register = lambda name: lambda made: known.setdefault(name, made)
    utils.parallel = SimpleNamespace(size=1)
    for name, module in (
        ("ptypy", ModuleType("ptypy")), ("ptypy.engines", engines), ("ptypy.utils", utils)
    ):  # fmt: skip
        monkeypatch.setitem(sys.modules, name, module)
    return SimpleNamespace(known=known, parallel=utils.parallel, engines=engines)


@pytest.mark.parametrize("layers", [1, 3])
def test_ptypy_registers_an_engine(registry, layers):
    constraints = only(
        {
            "probe_mask_r": {"start_iter": 1, "radius": 0.5},
            "ortho_pmode": {"start_iter": 1},
            "fix_probe_int": {"start_iter": 1},
            "obja_thresh": {"start_iter": 2, "thresh": [0.5, 1.5]},
        }
    )
    made = ptypy.register("DM", constraints)
    assert registry.known["DM_arraycon"] is made
    assert issubclass(made, (ptypy.Constrained, registry.known["DM"]))
    assert "\n[name]\ndefault = DM_arraycon\n" in made.__doc__
    engine = made(layers)
    assert engine.reports == ()
    engine.engine_prepare()
    engine.iterate()
    assert [record.iteration for record in engine.reports[0]] == [1, 1, 1]
    np.testing.assert_array_equal(engine.now("ob"), engine.specimen)
    expected = arraycon.probe_mask_r(engine.waves, dx=DX, wavelength=WAVELENGTH, radius=0.5)
    expected = arraycon.ortho_pmode(expected)
    expected = arraycon.fix_probe_int(expected, intensity=np.sum(abs(engine.waves) ** 2))
    assert relative_error(engine.now("pr"), expected) < 1e-5
    assert set(engine.error) == {"a", "b"}
    engine.engine_prepare()  # new data
    assert engine.prepared == 2
    engine.iterate()
    clipped = np.clip(abs(engine.specimen), 0.5, 1.5) * np.exp(1j * np.angle(engine.specimen))
    assert relative_error(engine.now("ob"), clipped) < 1e-6


def test_ptypy_a_mixin_and_a_power(registry):  # noqa: ARG001
    class Mine(ptypy.Constrained, Engine):
        constraints = only({"fix_probe_int": {"start_iter": 1}})
        probe_intensity = 7.0
        measure = True

    engine = Mine()
    engine.engine_prepare()
    engine.iterate()
    assert np.sum(abs(engine.now("pr")) ** 2) == pytest.approx(7, rel=1e-6)
    assert engine.reports[0][0].metrics["probe: relative change"] > 0


def test_ptypy_storages_that_come_anew(registry):
    engine = ptypy.register(
        registry.known["DM"], only({"obja_thresh": {"start_iter": 1, "thresh": [0.5, 1.5]}}),
        name="limited",
    )()  # fmt: skip
    engine.engine_prepare()
    for seed in range(4, 9):
        before = complex_array((1, 12 + seed, 14), seed)
        engine.ob.storages["S0"].data = before.copy()
        engine.iterate()
        expected = np.clip(abs(before), 0.5, 1.5) * np.exp(1j * np.angle(before))
        assert relative_error(engine.now("ob"), expected) < 1e-6


@pytest.mark.parametrize("layers", [1, 2])
def test_ptypy_exit_waves_turn_with_the_modes(registry, layers):
    made = ptypy.register(registry.known["DM"], only({"ortho_pmode": {"start_iter": 1}}))
    engine = made(layers)
    _, rotation = arraycon.ortho_pmode(engine.waves, return_rotation=True)
    engine.engine_prepare()
    engine.iterate()
    for number, view in enumerate(engine.di.views.values()):
        for layer in range(layers):
            expected = np.tensordot(rotation, engine.waves_kept[number, layer], axes=1)
            for mode in range(2):
                found = view.pods[f"P{layer}{mode}"].exit
                assert relative_error(found, expected[mode]) < 1e-5


@pytest.mark.parametrize("library", ["cupy"])
def test_ptypy_engines_on_the_device(registry, library):
    found = Library(library)
    if reason := found.available():
        pytest.skip(reason)
    made = ptypy.register(registry.known["DM"], only({"ortho_pmode": {"start_iter": 1}}))
    engine = made()
    for name in ("ob", "pr"):
        storage = getattr(engine, name).storages["S0"]
        storage.gpu = found.array(storage.data)
    engine.engine_prepare()
    engine.iterate()
    np.testing.assert_array_equal(engine.now("pr"), engine.waves)
    on_device = found.numpy(engine.pr.storages["S0"].gpu)
    assert relative_error(on_device, arraycon.ortho_pmode(engine.waves)) < 1e-5


@pytest.mark.parametrize("total", [False, True])
def test_ptypy_hands_rules_its_error(registry, total):
    rule = {"start_iter": 1, "start_when": {"error_falls_below": 0.1, "for": 2}}
    base = registry.known["DM"]
    if total:  # as ML does

        class ML(base):
            def engine_iterate(self, num=1):
                return np.mean(list(super().engine_iterate(num).values()), axis=0)

        base = ML
    engine, ran = ptypy.register(base, only({"obja_thresh": rule}))(), []
    engine.engine_prepare()
    for _ in range(5):
        engine.iterate()
        ran += [record.iteration for record in engine.reports[0]]
    assert ran == [4, 5]


@pytest.mark.usefixtures("versions")
def test_ptypy_refuses(registry):
    masks = only({"probe_mask_r": {"start_iter": 1}})
    with pytest.raises(ValueError, match="got ThreePIE, which keeps its slices to itself"):
        ptypy.register(ThreePIE, masks)
    made = ptypy.register("DM", masks)
    for change in (
        {"pr": {"S0": np.array([DX, DX])}},
        {"pr": {"S0": 2 * np.array([DX, DX])}, "ob": {"S0": np.array([DX, 2 * DX])}},
    ):
        engine = made()
        for name, sides in change.items():
            getattr(engine, name).storages["S0"].psize = sides["S0"] * METRE * 2
        with pytest.raises(arraycon.MissingInputError, match=r"needs dx.*\nptypy has one slice"):
            engine.engine_prepare()
    engine = made()
    engine.ptycho.model.scans["other"] = SimpleNamespace(geometries=[SimpleNamespace(lam=1e-10)])
    with pytest.raises(arraycon.MissingInputError, match="needs wavelength"):
        engine.engine_prepare()
    engine = made()
    engine.ob.storages["S1"] = engine.ob.storages["S0"]
    with pytest.raises(ValueError, match="expected one storage of the object, got 2"):
        engine.engine_prepare()
    registry.parallel.size = 2
    with pytest.raises(ValueError, match="expected one process, got 2"):
        made().engine_prepare()
    registry.parallel.size = 1
    engine = made()
    del engine.ptycho
    message = r"ptypy 0\.9\.0 has changed: DM_arraycon has no ptycho; known to work: 0\.9\.0"
    with pytest.raises(InterfaceError, match=message):
        engine.engine_prepare()
    with pytest.raises(InterfaceError, match="has changed: dict has no engine_prepare"):
        ptypy.register(dict, masks)
    del registry.engines.register
    with pytest.raises(InterfaceError, match=r"has no ptypy\.engines\.register"):
        ptypy.register("DM", masks)


def test_ptypy_is_not_installed(monkeypatch):
    monkeypatch.delitem(sys.modules, "ptypy", raising=False)
    monkeypatch.setattr("importlib.util.find_spec", lambda _: None)
    with pytest.raises(InterfaceError, match=r"ptypy is not installed \(there is no module ptypy"):
        ptypy.register("DM", only({"ortho_pmode": {"start_iter": 1}}))
