"""phaser: `Constraints` as one line among the ``iter_constraints`` of its plan.

phaser keeps the object as (nz, ny, nx) and the probe as (modes, ny, nx) in the middle of its array,
both complex, positions (y, x) and lengths in Å, and tilts in mrad; on NumPy, CuPy, JAX or PyTorch.
It calls what a plan names after each iteration, outside of what JAX compiles.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from arraycon.adapters._lengths import even, square
from arraycon.adapters._loop import kept
from arraycon.adapters._step import Step, intensity
from arraycon.adapters._versions import Code
from arraycon.kernels.common import arrays, check

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints

__all__ = ["PhaserStep", "step"]

PHASER = Code("phaser", "phaserEM", known=("0.3.1",))

_CLOCKS = ("engine_iter", "total_iter")
_PROPERTIES = ("constraints", "params", "clock", "probe_intensity", "measure")
_SIMULATION = ("object", "probe", "scan", "iter", "wavelength")
_OBJECT = ("data", "thicknesses", "sampling")
_SCAN = ("data", "initial", "tilt")


class PhaserStep(Step):
    """What `step` returns: phaser calls its methods once per engine and once per iteration."""

    _lacks = (
        "phaser has tilts where its plan initialises them, and lengths only where pixels are "
        "square and slices equally far from each other"
    )

    def __init__(
        self, constraints: Constraints, *, clock: str, probe_intensity: float | None, measure: bool
    ) -> None:
        super().__init__(constraints, measure=measure)
        self._clock, self._given = clock, probe_intensity
        self._intensity: float | None = None
        self._lengths: dict[str, float] = {}
        self._sim: Any = None
        self._shifts: Any = None
        self._tilts: Any = None

    def init_state(self, sim: Any) -> None:
        """Look at the reconstruction at the beginning of an engine.

        Raises
        ------
        InterfaceError
            This version of phaser lacks what the adapter builds on.
        MissingInputError
            A constraint needs what the reconstruction does not have.
        """
        PHASER.note_version()
        PHASER.check_has(sim, _SIMULATION)
        PHASER.check_has(sim.object, _OBJECT)
        PHASER.check_has(sim.scan, _SCAN)
        PHASER.check_has(sim.iter, _CLOCKS)
        thicknesses = [float(thickness) for thickness in sim.object.thicknesses]
        self._lengths = {
            "wavelength": float(sim.wavelength),
            **square(*(float(width) for width in sim.object.sampling.sampling)),
            **even(thicknesses if len(thicknesses) > 1 else []),
        }
        self._sim, self._intensity = sim, intensity(sim.probe.data)
        self.check()
        # phaser scales the probe to the patterns only after this
        self._sim, self._intensity = None, self._given

    def apply_iter(self, sim: Any, state: None) -> tuple[Any, None]:
        """Run what is due after an iteration."""
        self._sim = sim
        if self._intensity is None:
            self._intensity = intensity(sim.probe.data)
        try:
            self(int(getattr(sim.iter, self._clock)))
        finally:
            self._sim = None  # a plan may be kept for longer than its arrays
        return sim, state

    def _fields(self) -> dict[str, Any]:
        sim, scan = self._sim, self._sim.scan
        self._shifts = kept(
            self._shifts, ((scan.data - scan.initial) / self._pixel()).reshape(-1, 2)
        )
        fields = {
            "object": sim.object.data,
            "probe": sim.probe.data,
            "probe_intensity": self._intensity,
            "position_shifts": self._shifts,
            **self._lengths,
        }
        if scan.data.ndim == 3:
            fields["scan_shape"] = tuple(scan.data.shape[:2])
        if scan.tilt is not None:
            # a copy: one tilt for all positions is kept as a broadcast array
            fields["tilts"] = self._tilts = kept(self._tilts, scan.tilt.reshape(-1, 2))
        return fields

    def _settle(self, fields: dict[str, Any], changed: set[str]) -> None:
        sim, scan = self._sim, self._sim.scan
        # JAX's arrays are new ones
        sim.object.data, sim.probe.data = fields["object"], fields["probe"]
        if "position_shifts" in changed:
            moved = (fields["position_shifts"] * self._pixel()).reshape(scan.data.shape)
            scan.data = scan.initial + moved
        if "tilts" in changed:
            tilts = fields["tilts"].reshape(scan.tilt.shape)
            scan.tilt = kept(None, tilts)

    def _pixel(self) -> Any:
        """Sides (y, x) of a pixel in Å, as positions are."""
        positions = self._sim.scan.data
        xp = arrays.namespace(positions=positions)
        sides = [float(width) for width in self._sim.object.sampling.sampling]
        return xp.asarray(sides, dtype=positions.dtype, device=arrays.device(positions))


def step(args: None = None, props: Mapping[str, Any] | None = None) -> PhaserStep:  # noqa: ARG001
    """Make what phaser calls between iterations; for its plan, by the name of this function.

    Parameters
    ----------
    args : None
        For phaser's sake.
    props : mapping
        The rest of the plan's entry. ``constraints``: blocks by name, as for `Constraints`; or
        ``params``: a parameter file, read with PtyRAD's defaults. ``clock``: which of phaser's
        counts is the iteration, ``engine_iter`` (default) or ``total_iter``. ``probe_intensity``:
        what `fix_probe_int` restores, by default what the probe has after an engine's first
        iteration. ``measure``: as for `Constraints.apply`.

    Returns
    -------
    PhaserStep

    Raises
    ------
    ParameterError, TypeError, ValueError
        The entry is not valid; or a constraint waits for an error (`start_when`), which phaser
        takes only after its constraints.

    Examples
    --------
    In the plan of an engine:

    .. code-block:: yaml

        iter_constraints:
          - {type: "arraycon.adapters.phaser:step", constraints: {kz_filter: {start_iter: 5}}}
    """
    from arraycon.pipeline import Constraints

    given = dict(props or {})
    if unknown := set(given) - set(_PROPERTIES):
        raise ValueError(
            f"{min(unknown)}: expected one of {', '.join(_PROPERTIES)} beside type in the plan"
        )
    if ("constraints" in given) == ("params" in given):
        raise ValueError("expected either constraints or params beside type in the plan")
    if "params" in given:
        constraints = Constraints.from_file(given["params"])
    else:
        constraints = Constraints(given["constraints"])
    for constraint, block in constraints.steps:
        if block.enabled and block.start_when is not None:
            raise ValueError(
                f"{constraint.name}: start_when waits for the error of the reconstruction, which "
                f"phaser takes only after its constraints; say start_iter"
            )
    power = given.get("probe_intensity")
    return PhaserStep(
        constraints,
        clock=check.choice("clock", given.get("clock", _CLOCKS[0]), _CLOCKS),
        probe_intensity=None if power is None else check.number("probe_intensity", power, above=0),
        measure=bool(given.get("measure", False)),
    )
