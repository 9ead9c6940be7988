"""Parameter files by kind of specimen, to start from.

What each is for was measured on simulated and measured data (bench/demo.md); `arraycon demo` uses
them, and ``arraycon params template --for KIND`` prints them. Those for electrons differ in what
they say of the reconstruction, not in the constraints. Stronger ones at low dose, thresh 0.05 and
beta 0.3, took carbon with gold atoms from 0.667 to 0.719 in projection, but carbon with gold
clusters from 0.587 to 0.516 in voxels.
"""

from __future__ import annotations

import yaml

from arraycon.params import ConstraintParams
from arraycon.params.files import from_mapping

_ALWAYS = """\

# These three are always right: they only take away what the data cannot know.
ortho_pmode: {start_iter: 1}
fix_probe_int: {start_iter: 1}
pos_recenter: {start_iter: 1}

# Blurs are on unless they are switched off; atoms are as sharp as the pixels.
obj_rblur: null
obj_zblur: null
"""

_POSITIVE = """\

# Atoms only advance the phase of fast electrons.
objp_postiv: {start_iter: 1}
"""

_WARNING = """\

# A hard amplitude clip that begins while the phase is still small ruins strong crystals: what they
# take out of the aperture is explained as absorption first, and the phase grows on that scaffold;
# clipped away, the phase stays at a few per cent, in a lattice that looks plausible.
"""

_CLIP = """\
# So it begins when the error has fallen by less than 0.5 % an iteration, three times running; the
# program that reconstructs has to hand the error over: apply(state, iteration, error=...). PtyRAD's
# files have their losses. Without an error: start_when: null, and for start_iter an iteration at
# which the error hardly falls.
obja_thresh:
  start_iter: 1
  start_when: {error_falls_below: 0.005, for: 3}
  thresh: [0.999, 1.0]
"""

_SMOOTH = """\

# Few cosines make a crystal; noise needs them all. Raise thresh where defects fade.
kr_thresh: {start_iter: 1, obj_type: phase, thresh: 0.1}

# The data say little about the depth of what is coarse sideways; there depth is a guess.
kz_filter: {start_iter: 1, obj_type: phase, beta: 0.1, alpha: 0}
"""


_ATOMS = _ALWAYS + _POSITIVE + _WARNING + _CLIP + _SMOOTH

_TEXTS = {
    "thin-layers": "# A few thin layers in vacuum, fast electrons: they scatter weakly.\n" + _ATOMS,
    "crystal": "# A thick or strong crystal, fast electrons: several rad in projection.\n"
    "# Thicker than a depth of field, λ/α², it needs longer steps of the object than thin layers,\n"
    "# 2 to 3 times as long; within one, longer steps diverge.\n" + _ATOMS,
    "low-dose": "# Few counts a pattern (hundreds), fast electrons: carbon with particles, say.\n"
    "# Noise limits here: more iterations fit noise, and constraints matter most.\n" + _ATOMS,
    "x-ray": "# A thin object of one material, hard X-rays, one slice.\n"
    + _ALWAYS.replace("atoms are as sharp as the pixels", "edges are as sharp as the pixels")
    + _WARNING
    + "# This one is wide: such an object absorbs little, and what strays far from 1 is noise.\n"
    "obja_thresh: {start_iter: 1, thresh: [0.95, 1.05]}\n",
}  # fmt: skip

KINDS = tuple(_TEXTS)
"""Names of the kinds of specimen."""


def text(kind: str) -> str:
    """Return the commented parameter file for a kind of specimen.

    Parameters
    ----------
    kind : {'thin-layers', 'crystal', 'low-dose', 'x-ray'}
        Few layers in vacuum; a strong crystal; few counts; one slice of one material.

    Returns
    -------
    str
        YAML that loads without a warning.

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> import arraycon
    >>> print(arraycon.presets.text("x-ray").splitlines()[0])
    # A thin object of one material, hard X-rays, one slice.
    """
    if kind not in _TEXTS:
        raise ValueError(f"kind: expected one of {', '.join(KINDS)}, got {kind!r}")
    return _TEXTS[kind]


def params(kind: str) -> ConstraintParams:
    """Return the parameters for a kind of specimen, validated.

    Raises
    ------
    ValueError
        There is no such kind.

    Examples
    --------
    >>> import arraycon
    >>> constraints = arraycon.Constraints(arraycon.presets.params("crystal"))
    >>> print(constraints["obja_thresh"].start_when is not None)
    True
    """
    return from_mapping(yaml.safe_load(text(kind)))
