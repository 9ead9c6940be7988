"""Reference cases computed with PtyRAD 1.0.0, run through the pipeline as a user would."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from libraries import FLOAT32, aligned, relative_error

import arraycon

FILES = sorted((Path(__file__).parents[1] / "golden").glob("*.npz"))
FIELDS = {
    "obja": "object_amplitude",
    "objp": "object_phase",
    "probe": "probe",
    "shifts": "position_shifts",
    "tilts": "tilts",
}
CALIBRATION = ("dx", "wavelength", "slice_thickness", "probe_intensity")
OFF = dict.fromkeys(("ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter"))
# PtyRAD's own float32 propagator is that coarse
COARSE = {("obj_z_recenter", "probe"): 1e-4}


def test_there_are_cases_for_all_constraints_but_those_ptyrad_gets_wrong():
    named = {file.stem.partition("__")[0] for file in FILES}
    missing = set(arraycon.ConstraintParams.model_fields) - named
    assert missing == {"kr_thresh", "probe_mask_r"}


@pytest.mark.filterwarnings("ignore::arraycon.ParameterWarning")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
def test_golden(file):
    case = dict(np.load(file))
    meta = json.loads(str(case.pop("meta")))
    name = meta["constraint"]
    given = {FIELDS[key[3:]]: value.copy() for key, value in case.items() if key[:3] == "in_"}
    state = arraycon.State(
        **given,
        **{key: meta[key] for key in CALIBRATION},
        scan_shape=meta["scan_shape"],
    )
    block = {"start_iter": meta["iteration"], **meta["params"]}
    report = arraycon.Constraints({**OFF, name: block}).apply(state, meta["iteration"])
    assert [record.name for record in report] == [name]
    for key, field in FIELDS.items():
        if f"out_{key}" not in case:
            continue
        expected, actual = case[f"out_{key}"], getattr(state, field)
        if key == "probe" and name in ("ortho_pmode", "obj_z_recenter"):
            actual = aligned(actual, expected)
        assert relative_error(actual, expected) <= COARSE.get((name, key), FLOAT32)
