"""Settings and constraints that suit the demo's kinds of data, found by trying on them."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arraycon.demo.settings import Settings


@dataclass(frozen=True)
class Preset:
    """How to reconstruct one kind of data.

    Parameters
    ----------
    settings : Settings
        Of both reconstructions.
    constraints : str
        Parameter file of the constraints, YAML.
    """

    settings: Settings
    constraints: str


_ATOMS = """\
# Atoms in vacuum, fast electrons: a multislice reconstruction of a few thin layers.
# The first three are always right; the rest says what such a specimen can and cannot be.

ortho_pmode: {start_iter: 1}
fix_probe_int: {start_iter: 1}
pos_recenter: {start_iter: 1}

# Blurs are on unless they are switched off; these atoms are as sharp as the pixels.
obj_rblur: null
obj_zblur: null

# Atoms only advance the phase, and absorb next to nothing.
objp_postiv: {start_iter: 1}
obja_thresh: {start_iter: 1, thresh: [0.999, 1.0]}

# Few cosines make a crystal; noise needs them all.
kr_thresh: {start_iter: 3, obj_type: phase, thresh: 0.1}

# The data say little about the depth of what is coarse sideways; there depth is a guess.
kz_filter: {start_iter: 3, obj_type: phase, beta: 0.1, alpha: 0}
"""

_TEST_PATTERN = """\
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

_FEW_COUNTS = Settings(
    slices=6, batch=32, object_step=1.0, regularisation=1.0, momentum=0.5, likelihood="poisson"
)

ELECTRONS = Preset(replace(_FEW_COUNTS, modes=4), _ATOMS)
SIMULATED = Preset(replace(_FEW_COUNTS, mode_power=0.15, position_step=1.0), _ATOMS)
X_RAYS = Preset(Settings(), _TEST_PATTERN)
