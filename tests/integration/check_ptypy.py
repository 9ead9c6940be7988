"""ptypy from its source tree: its own engines, and the same with ours, on simulated X-ray data."""

from __future__ import annotations

import importlib.metadata
import warnings

import numpy as np
import pytest

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    import ptypy
    import ptypy.utils as u
    from ptypy.core import Ptycho
    from ptypy.custom import WASP  # noqa: F401

import arraycon
from arraycon.adapters import ptypy as adapter

pytestmark = pytest.mark.filterwarnings("ignore")

ITERATIONS = 8
only = arraycon.Constraints


def start(**block):
    return {"start_iter": 1, **block}


@pytest.fixture
def run(tmp_path, monkeypatch):
    own = np.random.default_rng
    # the order of the views is not seeded
    monkeypatch.setattr(
        np.random, "default_rng", lambda seed=None: own(5 if seed is None else seed)
    )

    def reconstruct(engine, modes=2, **options):
        np.random.seed(1)  # noqa: NPY002
        p = u.Param()
        p.verbose_level = "error"
        p.io = u.Param(home=str(tmp_path), rfile=None)
        for part in ("autosave", "autoplot", "interaction"):
            p.io[part] = u.Param(active=False)
        p.scans = u.Param()
        p.scans.scan = u.Param(name="Full")
        p.scans.scan.data = u.Param(
            name="MoonFlowerScan", shape=64, num_frames=60, save=None, density=0.2, photons=1e8,
            psf=0.0,
        )  # fmt: skip
        p.scans.scan.illumination = u.Param(model=None, aperture=u.Param(form="circ", size=1e-3))
        p.scans.scan.coherence = u.Param(num_probe_modes=modes)
        p.engines = u.Param()
        p.engines.only = u.Param(name=engine, **{"numiter": ITERATIONS, **options})
        return Ptycho(p, level=5)

    return reconstruct


def storage(made, name):
    (found,) = getattr(made, name).storages.values()
    return found


def arrays(made):
    return [storage(made, name).data.copy() for name in ("obj", "probe")]


def errors(made):
    return [float(info["error"][1]) for info in made.runtime.iter_info]


def overlap(made):
    rows = storage(made, "probe").data.reshape(len(storage(made, "probe").data), -1)
    gram = rows @ rows.conj().T
    return abs(gram - np.diag(np.diag(gram))).max() / abs(gram).max()


@pytest.mark.parametrize("engine", ["DM", "RAAR", "EPIE", "SDR", "ML"])
def test_nothing_due_changes_nothing(run, engine):
    own = run(engine)
    made = adapter.register(engine, only({"objp_postiv": {"start_iter": ITERATIONS + 1}}))
    assert made.__name__ == f"{engine}_arraycon"
    for found, expected in zip(arrays(run(made.__name__)), arrays(own), strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("engine", ["DM", "RAAR", "EPIE", "ML"])
def test_the_error_of_the_run(run, engine, record_figure):
    own = run(engine)
    adapter.register(engine, only({"ortho_pmode": start()}))
    ours = run(f"{engine}_arraycon")
    record_figure(f"{engine}: error of the last iteration, own", errors(own)[-1])
    record_figure(f"{engine}: error of the last iteration, ours", errors(ours)[-1])
    record_figure(f"{engine}: overlap of modes, own", overlap(own))
    record_figure(f"{engine}: overlap of modes, ours", overlap(ours))
    assert overlap(ours) < 1e-5
    if engine in ("DM", "RAAR"):  # their exit waves turn with the modes: nothing else changes
        np.testing.assert_allclose(errors(ours), errors(own), rtol=1e-3)
    assert errors(ours)[-1] < 1.01 * errors(own)[-1]


def test_the_same_as_the_functions_on_its_arrays(run):
    own = run("EPIE")
    last = {"start_iter": ITERATIONS}
    adapter.register("EPIE", only({
        "probe_mask_r": {"radius": 0.8, "z_range": [-1.0, 1.0], "z_steps": 1, **last},
        "ortho_pmode": last, "obj_rblur": {"std": 0.5, **last},
    }))  # fmt: skip
    ours = run("EPIE_arraycon")
    specimen, probe = arrays(own)
    dx = float(storage(own, "obj").psize[0]) * 1e10
    wavelength = float(next(iter(own.model.scans.values())).geometries[0].lam) * 1e10
    probe = arraycon.probe_mask_r(
        probe, dx=dx, wavelength=wavelength, radius=0.8, z_range=(-1.0, 1.0), z_steps=1
    )
    probe = arraycon.ortho_pmode(probe)
    found = arrays(ours)
    np.testing.assert_allclose(found[1], probe, rtol=0, atol=1e-5 * abs(probe).max())
    state = arraycon.State(object=specimen[:, None])
    only({"obj_rblur": start(std=0.5)}).apply(state, 1)
    np.testing.assert_allclose(found[0], state.object[:, 0], rtol=0, atol=1e-5)


def test_what_maps_to_what(run, record_figure):
    """Its own limits of the amplitude, or ours in their place: the same run."""
    # WASP divides by little in dark pixels: from the third iteration on it tells a rounding
    options = {"modes": 1, "numiter": 2}
    plain, own = run("WASP", **options), run("WASP", **options, clip_object=(0.5, 1.0))
    adapter.register("WASP", only({"obja_thresh": start(thresh=[0.5, 1.0])}))
    ours = run("WASP_arraycon", **options)
    effect = np.linalg.norm(arrays(own)[0] - arrays(plain)[0])
    apart = np.linalg.norm(arrays(own)[0] - arrays(ours)[0]) / effect
    record_figure("WASP, limits of the amplitude: difference to its effect", apart)
    assert apart < 1e-3
    np.testing.assert_allclose(errors(ours), errors(own), rtol=1e-4)


def test_the_probes_intensity(run):
    adapter.register("EPIE", only({"fix_probe_int": start()}), name="fixed", probe_intensity=1e8)
    made = run("fixed")
    assert np.sum(abs(arrays(made)[1]) ** 2) == pytest.approx(1e8, rel=1e-5)


def test_what_is_refused(run):
    from ptypy.custom.threepie import ThreePIE

    with pytest.raises(ValueError, match="got ThreePIE, which keeps its slices to itself"):
        adapter.register(ThreePIE, only({"objp_postiv": start()}))
    adapter.register("DM", only({"tilt_smooth": start()}))
    with pytest.raises(arraycon.MissingInputError, match="ptypy has one slice, no tilts"):
        run("DM_arraycon")


def test_the_package_that_ran():
    assert importlib.metadata.version("ptypy").startswith(adapter.PTYPY.known)
    assert ptypy.__file__
