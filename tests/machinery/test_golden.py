"""Reference cases computed with other packages, run through the pipeline as a user would.

`tests/golden` is PtyRAD 1.0.0's; each case in `tests/golden2` says whose it is.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from libraries import FLOAT32, aligned, relative_error

import arraycon
from arraycon.constraints import declared

FILES, FILES2 = (
    sorted((Path(__file__).parents[1] / folder).glob("*.npz")) for folder in ("golden", "golden2")
)
FIELDS = {
    "obj": "object",
    "obja": "object_amplitude",
    "objp": "object_phase",
    "probe": "probe",
    "shifts": "position_shifts",
    "tilts": "tilts",
    "mask": "vacuum_mask",
    "weight": "illumination",
}
CALIBRATION = ("dx", "wavelength", "slice_thickness", "probe_intensity")
OFF = dict.fromkeys(("ortho_pmode", "fix_probe_int", "obj_rblur", "obj_zblur", "pos_recenter"))
# PtyRAD's own float32 propagator is that coarse
COARSE = {("obj_z_recenter", "probe"): 1e-4}


def test_there_are_cases_for_all_constraints_but_those_that_others_get_wrong():
    named = {json.loads(str(np.load(file)["meta"]))["constraint"] for file in FILES + FILES2}
    missing = set(arraycon.ConstraintParams.model_fields) - named
    assert missing == {
        "kr_thresh", "probe_mask_r", "obj_smooth", "grid_notch", "obj_fill",
    }  # fmt: skip


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


@pytest.mark.parametrize("file", FILES2, ids=lambda file: file.stem)
def test_golden_of_the_second_family(file):
    case = dict(np.load(file))
    meta = json.loads(str(case.pop("meta")))
    name = meta["constraint"]
    given = {FIELDS[key[3:]]: value.copy() for key, value in case.items() if key[:3] == "in_"}
    state = arraycon.State(**given, **meta["state"])
    block = {"start_iter": meta["iteration"], **meta["params"]}
    if "in_obj" in case and "obj_type" in declared()[name].model.model_fields:
        block["obj_type"] = "complex"
    if name == "obj_baseline" and "in_mask" not in case:
        block["region"] = "all"
    report = arraycon.Constraints({name: block}).apply(state, meta["iteration"])
    assert [record.name for record in report] == [name]
    for key in meta["outs"]:
        expected, actual = case[f"out_{key}"], getattr(state, FIELDS[key])
        compare = meta.get("compare", {}).get(key)
        if isinstance(
            compare, list
        ):  # only these slices does the package compute as SPEC2 has them
            expected, actual = (x[:, slice(*compare)] for x in (expected, actual))
        elif compare is not None:
            actual = aligned(actual, expected)
        assert relative_error(actual, expected) <= FLOAT32
