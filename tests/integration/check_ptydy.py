"""ptydy from PyPI: its loader opens what ``arraycon apply`` writes, without a screen."""

from __future__ import annotations

import importlib.metadata
import sys

import h5py
import numpy as np
import pytest
from processes import run
from ptydy.recon import open_model, synthetic

OFF = ("ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter")
LIMITS = """
obja_thresh: {start_iter: 1, thresh: [0.97, 0.98]}
objp_postiv: {start_iter: 1}
""" + "".join(f"{name}: null\n" for name in OFF)
KEPT = ("crop_pos", "pos_shifts", "obj_tilts", "indices", "omode_occu")
NUMBERS = ("format", "niter", "dx", "lambd", "slice_thickness", "kv", "n_scan_slow", "n_scan_fast")


@pytest.fixture
def reconstruction(tmp_path):
    """A file of PtyRAD's layout, as ptydy itself writes it for its tests."""
    path = tmp_path / "model_iter0010.hdf5"
    synthetic.write_v1_model(path)
    return path


@pytest.mark.parametrize("in_place", [False, True])
def test_opens_what_is_written(reconstruction, tmp_path, in_place):
    before = open_model(reconstruction)
    (tmp_path / "params.yaml").write_text(LIMITS)
    target = reconstruction if in_place else tmp_path / "constrained_iter0010.hdf5"
    where = ["--in-place"] if in_place else ["--out", target]
    run(
        [sys.executable, "-m", "arraycon", "apply", reconstruction, "-p", tmp_path / "params.yaml",
         *where], check=True, cwd=tmp_path,
    )  # fmt: skip
    after = open_model(target)
    assert after.loaded
    assert after.warnings == []
    assert 0.97 <= after.obj_amp.min() < after.obj_amp.max() <= 0.98 + 1e-6
    assert after.obj_phase.min() >= 0
    assert after.obj_phase.shape == before.obj_phase.shape
    for name in KEPT:
        np.testing.assert_array_equal(getattr(after, name), getattr(before, name))
    for name in NUMBERS:
        assert getattr(after, name) == getattr(before, name)
    np.testing.assert_array_equal(after.history["loss_iters"], before.history["loss_iters"])
    assert after.probe.shape == before.probe.shape
    with h5py.File(target) as file:
        assert "optimizable_tensors" in file


def test_the_package_that_ran():
    assert importlib.metadata.version("ptydy") == "0.5.2"
