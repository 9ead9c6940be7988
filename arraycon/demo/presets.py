"""Settings that suit the demo's kinds of data, found by trying; constraints by kind of specimen."""

from __future__ import annotations

from dataclasses import dataclass, replace

from arraycon.demo.dataset import Dataset
from arraycon.demo.settings import Settings


@dataclass(frozen=True)
class Preset:
    """How to reconstruct one kind of specimen.

    Parameters
    ----------
    kind : str
        Of the constraints, see `arraycon.presets`.
    longest : float
        Step of the object, as in `Settings`, for thick specimens; see `step`.
    iterations : int
        As in `Settings`.
    """

    kind: str
    longest: float
    iterations: int

    def step(self, data: Dataset, slices: int) -> float:
        """Step of the object: one for each depth of field, λ/α², in the thickness, up to `longest`.

        Every slice gets the same share of the step. Within a depth of field all slices see the same
        difference, so that their shares add up: 24 Å of gold diverge with a step of 3, and after 8
        iterations correlate with the truth at 0.61 with 2 and 0.70 with 1; MgO of one depth of
        field 0.76 with 3, 0.87 with 1. Farther apart they do not add up: PrScO3 of 2.4 depths of
        field after 8 iterations 0.937 with 2, 0.954 with 3.
        """
        wavelength, angle, thickness = data.wavelength, data.semi_angle, data.slice_thickness
        if wavelength is None or angle is None or thickness is None:
            return min(self.longest, 1.0)
        depths = slices * thickness * angle**2 / wavelength
        return round(min(max(depths, 1.0), self.longest), 2)


_FEW_COUNTS = Settings(
    slices=6, batch=32, object_step=1.0, regularisation=1.0, momentum=0.5, likelihood="poisson"
)
ELECTRONS = replace(_FEW_COUNTS, modes=4)
SIMULATED = replace(_FEW_COUNTS, mode_power=0.15, position_step=1.0)
X_RAYS = Settings()
MODES_OF_SOURCE = 6  # the seventh holds less than 1 % of the intensity

THIN_LAYERS = Preset("thin-layers", 1.0, 24)
CRYSTAL = Preset("crystal", 3.0, 28)
LOW_DOSE = Preset("low-dose", 1.0, 12)
X_RAY = Preset("x-ray", X_RAYS.object_step, X_RAYS.iterations)
