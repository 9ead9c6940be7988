"""Settings that suit the demo's kinds of data, found by trying; constraints by kind of specimen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arraycon.demo.settings import Settings


@dataclass(frozen=True)
class Preset:
    """How to reconstruct one kind of specimen.

    Parameters
    ----------
    kind : str
        Of the constraints, see `arraycon.presets`.
    object_step : float
        As in `Settings`.
    iterations : int
        As in `Settings`.
    """

    kind: str
    object_step: float
    iterations: int


_FEW_COUNTS = Settings(
    slices=6, batch=32, object_step=1.0, regularisation=1.0, momentum=0.5, likelihood="poisson"
)
ELECTRONS = replace(_FEW_COUNTS, modes=4)
SIMULATED = replace(_FEW_COUNTS, mode_power=0.15, position_step=1.0)
X_RAYS = Settings()
MODES_OF_SOURCE = 6  # the seventh holds less than 1 % of the intensity

THIN_LAYERS = Preset("thin-layers", 1.0, 24)
# at iteration 16 step 3 gives what step 2 gives at 20 to 24, of two crystals
CRYSTAL = Preset("crystal", 3.0, 24)
LOW_DOSE = Preset("low-dose", 1.0, 12)
X_RAY = Preset("x-ray", X_RAYS.object_step, X_RAYS.iterations)
