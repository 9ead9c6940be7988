"""What every field of every block takes and refuses."""

from __future__ import annotations

import math

import numpy as np

# block, field: the wording, values that are accepted, values that are not
ALLOWED = {
    ("kz_filter", "start_iter"): ("an integer ≥ 1 or null", [1, 9, None, 5.0], [0, -1, 1.5, True]),
    ("kz_filter", "step"): ("an integer ≥ 1", [1, "1e1", np.int64(3)], [0, None, "x", False]),
    ("kz_filter", "end_iter"): ("an integer ≥ 1 or null", [2, None], [0, 2.5, [], math.inf]),
    ("kz_filter", "start_when"): (
        "{error_falls_below: a number in (0, 1), for: an integer ≥ 1} or null",
        [None],  # rules are taken in test_starting
        [0.1, True, {"for": 3}, {"error_falls_below": 1}],
    ),
    ("mirrored_amp", "ramp"): ("an integer ≥ 1 or null", [1, None], [0, 1.5, True]),
    ("obja_thresh", "ramp"): ("an integer ≥ 1 or null", [1, None], [0, 1.5, True]),
    ("objp_postiv", "ramp"): ("an integer ≥ 1 or null", [1, None], [0, 1.5, True]),
    ("pos_recenter", "ramp"): ("an integer ≥ 1 or null", [1, None], [0, 1.5, True]),
    ("probe_mask_k", "radius"): ("a number ≥ 0", [0, 2, "5e-1", np.float32(2)], [-1e-9, "", None]),
    ("probe_mask_k", "width"): ("a number ≥ 0", [0, 1], [-0.1, True, math.nan, math.inf]),
    ("probe_mask_k", "power_thresh"): ("a number in [0, 1]", [0, 1], [-0.1, 1.1, "nan"]),
    ("probe_mask_r", "radius"): ("a number ≥ 0", [0], [-1]),
    ("probe_mask_r", "order"): (
        "an integer in [1, 1000000]",
        [1, 2.0, 10**6],
        [0, 1.5, 10**6 + 1, "1e999"],
    ),
    ("probe_mask_r", "power_thresh"): ("a number in [0, 1]", [0, 1], [-0.1, 1.1]),
    ("probe_mask_r", "z_range"): (
        "an ascending pair of numbers",
        [(-1, 1), ["-5e1", 2]],
        [(1, -1), (1, 1), [1], [1, 2, 3], 5, {1, 2}, [True, 2], [0, math.inf], [[0], 1]],
    ),
    ("probe_mask_r", "z_steps"): ("an integer in [1, 100000]", [1, 1e3], [0, 100_001, 10**400]),
    ("obj_rblur", "obj_type"): ("amplitude, phase or both", ["phase"], ["Phase", None, 1, ["x"]]),
    ("obj_rblur", "kernel_size"): (
        "an odd integer in [1, 4095]",
        [5, 7.0, 4095],
        [0, 4, -1, 5.5, True, 4097, 10**8 + 1],
    ),
    ("obj_rblur", "std"): ("a number ≥ 0", [0, 0.1], [-0.1, 10**400]),
    ("obj_zblur", "kernel_size"): ("an odd integer in [1, 4095]", [7], [2, 4097]),
    ("obj_zblur", "std"): ("a number ≥ 0", [0], [-1]),
    ("kr_filter", "radius"): ("a number ≥ 0", [0], [-1]),
    ("kr_filter", "width"): ("a number ≥ 0", [0], [-1]),
    ("kz_filter", "beta"): ("a number ≥ 0", [0, 10], [-1, b"5"]),
    ("kz_filter", "alpha"): ("a number ≥ 0", [0], [-1]),
    ("kz_filter", "boundary"): ("periodic or mirror", ["mirror"], ["reflect"]),
    ("kr_thresh", "thresh"): ("a number in (0, 1]", [1e-9, 1], [0, 1.1]),
    ("kr_thresh", "scope"): ("global or slice", ["slice"], ["all"]),
    ("complex_ratio", "alpha1"): ("a number", [-3, 0, 3], [True, "a", None, math.nan]),
    ("complex_ratio", "alpha2"): ("a number", [-3], [math.inf]),
    ("mirrored_amp", "relax"): ("a number in [0, 1]", [0, 1], [-0.1, 1.1]),
    ("mirrored_amp", "scale"): ("a number ≥ 0", [0], [-1]),
    ("mirrored_amp", "power"): ("a number ≥ 0", [0], [-1]),
    ("obj_z_recenter", "thresh"): ("a number in [0, 100] or null", [0, 100, None], [-1, 101]),
    ("obj_z_recenter", "scale"): ("a number in [0, 1]", [0, 1], [-0.1, 1.1]),
    ("obj_z_recenter", "max_shift"): ("a number ≥ 0 or null", [0, None], [-1, False]),
    ("obja_thresh", "relax"): ("a number in [0, 1]", [0, 1], [2]),
    ("obja_thresh", "thresh"): ("an ascending pair of numbers", [[0, 1]], [[1, 1], [2, 1]]),
    ("objp_postiv", "relax"): ("a number in [0, 1]", [0, 1], [2]),
    ("objp_postiv", "mode"): ("clip_neg or subtract_min", ["subtract_min"], ["clip"]),
    ("pos_recenter", "relax"): ("a number in [0, 1]", [0, 1], [-1]),
    ("tilt_smooth", "std"): ("a number ≥ 0", [0], [-1]),
}
