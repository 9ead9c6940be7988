"""Constraints and settings that suit the demo's kinds of data, found by trying on them."""

from __future__ import annotations

ELECTRONS = """\
# Atoms in vacuum, fast electrons: a multislice reconstruction of a few thin layers.
# The first three are always right; the rest says what such a specimen can and cannot be.

ortho_pmode: {start_iter: 1}
fix_probe_int: {start_iter: 1}
pos_recenter: {start_iter: 1}

# Not needed beside the two below, which resolve depth better than smoothing does.
obj_rblur: null
obj_zblur: null

# Atoms only advance the phase, and absorb next to nothing.
objp_postiv: {start_iter: 1}
obja_thresh: {start_iter: 1, thresh: [0.999, 1.0]}

# Few cosines make a crystal; noise needs them all.
kr_thresh: {start_iter: 3, obj_type: phase, thresh: 0.1}
"""

X_RAYS = """\
# A thin test pattern of one material, hard X-rays, one slice.

ortho_pmode: {start_iter: 1}
fix_probe_int: {start_iter: 1}
pos_recenter: {start_iter: 1}

# Blurs are on unless they are switched off.
obj_rblur: null
obj_zblur: null

# It absorbs little: an amplitude that strays far from 1 is noise.
obja_thresh: {start_iter: 1, thresh: [0.95, 1.05]}
"""
