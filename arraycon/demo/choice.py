"""Which preset suits data: what one unconstrained pass leaves unexplained says how they scatter."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arraycon.demo import presets
from arraycon.demo.dataset import Dataset
from arraycon.demo.presets import Preset
from arraycon.demo.reconstruct import Reconstruction, patterns
from arraycon.demo.settings import Settings
from arraycon.misfit import misfit_ratio

_UPDATES = 18  # of the object: a pass over 576 positions in batches of 32
_FITS = 1.05  # Q of 0.99 to 1.02 for a few hundred counts a pattern, 1.07 to 2.7 for more
# Share of the counts, free of dose: 0.002 to 0.004 for thin layers, 0.018 to 0.055 for crystals
_STRONG = 0.01


@dataclass(frozen=True)
class Choice:
    """A preset, and why.

    Parameters
    ----------
    preset : Preset
        What was chosen.
    why : str
        One line.
    """

    preset: Preset
    why: str


def choose(data: Dataset, settings: Settings, *, xp: Any = np) -> Choice:
    """Reconstruct without constraints, with a step of 1, for one pass, and look at Q.

    Q tells how far the model is from the counts in units of noise; times the noise, it is the share
    of the counts that the model lacks, which does not depend on the dose.

    Parameters
    ----------
    data : Dataset
        Several slices; small scans are passed as often as makes as many updates.
    settings : Settings
        Its step is not used.
    xp : module
        NumPy or CuPy.

    Raises
    ------
    FloatingPointError
        It diverged.
    """
    # the limits are those of weak modes; with the source's, carbon at 320 counts a pattern has
    # Q 1.05 instead of 1.02, and 3.6 instead of 1.4 % unexplained
    modes = min(settings.modes, presets.ELECTRONS.modes)
    plain = replace(settings, modes=modes, source_size=0.0, object_step=1.0, position_step=0.0)
    going = Reconstruction(data, plain, xp=xp)
    for _ in range(math.ceil(_UPDATES / math.ceil(len(data.counts) / settings.batch))):
        with np.errstate(over="ignore", invalid="ignore"):  # it says itself that it diverged
            going.iterate()
    model = patterns(going.result(), data)
    ratio = float(misfit_ratio(model, data.counts))
    total = float(np.sum((np.sqrt(model) - np.sqrt(data.counts)) ** 2, dtype=np.float64))
    lacking = total * (1 - 1 / ratio) / float(data.counts.sum(dtype=np.float64))
    return decide(ratio, lacking)


def decide(ratio: float, lacking: float) -> Choice:
    """Choose by Q of the first pass and by the share of the counts that the model lacks."""
    found = f"first pass: Q {ratio:.2f}, {100 * max(lacking, 0):.2g} % of the counts unexplained"
    if ratio < _FITS:
        return Choice(presets.LOW_DOSE, f"{found}: it fits to the noise almost, noise limits")
    if lacking > _STRONG:
        return Choice(presets.CRYSTAL, f"{found}: it scatters strongly")
    return Choice(presets.THIN_LAYERS, f"{found}: it scatters weakly")
