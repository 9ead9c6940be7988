"""ptypy: `Constraints` after the iterations of its engines, registered as engines of their own.

ptypy keeps object and probe as storages, whose data are (layers, ny, nx), complex, on the host or,
in its engines for CuPy, on the device; and lengths in m.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import array_api_compat

from arraycon.adapters._lengths import ANGSTROM, square
from arraycon.adapters._step import Step, intensity, turned
from arraycon.adapters._versions import Code
from arraycon.kernels.common import arrays

if TYPE_CHECKING:
    from arraycon.pipeline import Constraints, Report

__all__ = ["Constrained", "PtypyStep", "register"]

PTYPY = Code("ptypy", "ptypy", known=("0.9.0",))

_ENGINE = ("ob", "pr", "di", "ptycho", "curiter")

_DOC = """{base} with the constraints of arraycon after each iteration.

Defaults:

[name]
default = {name}
type = str
help =
doc =
"""


class PtypyStep(Step):
    """What a `Constrained` engine calls after its iterations."""

    _lacks = (
        "ptypy has one slice, no tilts, and a pixel size only where pixels are square and alike in "
        "object and probe; its positions are left to it"
    )

    def __init__(
        self,
        engine: Any,
        constraints: Constraints,
        *,
        probe_intensity: float | None,
        measure: bool,
    ) -> None:
        super().__init__(constraints, measure=measure)
        self._engine = engine
        self._latest: Any = None
        if probe_intensity is None:
            probe_intensity = intensity(_data(self._storage("pr")))
        self._intensity = probe_intensity

    def follow(self, error: Any) -> None:
        """Run what is due after an iteration that had this error."""
        self._latest = error
        self()

    def _storage(self, name: str) -> Any:
        """Return the one storage of object or probe."""
        storages = list(getattr(self._engine, name).storages.values())
        if len(storages) != 1:
            raise ValueError(
                f"engine: expected one storage of the {'object' if name == 'ob' else 'probe'}, "
                f"got {len(storages)}"
            )
        return storages[0]

    def _fields(self) -> dict[str, Any]:
        specimen, probe = self._storage("ob"), self._storage("pr")
        energies = {
            float(geometry.lam)
            for scan in self._engine.ptycho.model.scans.values()
            for geometry in scan.geometries
        }
        fields = {
            "object": _data(specimen)[:, None],  # layers are modes
            "probe": _data(probe),
            "probe_intensity": self._intensity,
        }
        if len(energies) == 1:
            fields["wavelength"] = energies.pop() * ANGSTROM
        sides = [float(side) * ANGSTROM for side in specimen.psize]
        if sides == [float(side) * ANGSTROM for side in probe.psize]:
            fields |= square(*sides)
        return fields

    def _turn(self, rotation: Any) -> None:
        """Turn the exit waves that difference maps keep of each view and mode."""
        if array_api_compat.is_cupy_array(getattr(self._storage("pr"), "gpu", None)):
            return  # they are streamed through the device, where nobody shows them
        for view in self._engine.di.views.values():
            by_layer: dict[int, dict[int, Any]] = {}
            for pod in view.pods.values():
                by_layer.setdefault(pod.ob_view.layer, {})[pod.pr_view.layer] = pod
            for pods in by_layer.values():
                modes = [pods[layer] for layer in sorted(pods)]
                if len(modes) == len(rotation):
                    for pod, wave in zip(modes, turned(_stacked(modes), rotation), strict=True):
                        pod.exit = wave

    def _count(self) -> int:
        return int(self._engine.curiter)

    def _error(self) -> float | None:
        """Return the mean over the views of what ptypy calls the photon error."""
        if isinstance(self._latest, dict):
            errors = [float(each[1]) for each in self._latest.values()]
            return sum(errors) / len(errors) if errors else None
        return None if self._latest is None else float(self._latest[1])


class Constrained:
    """A mixin: an engine of ptypy's that runs constraints after its iterations.

    Attributes
    ----------
    constraints : Constraints
        What runs; for all reconstructions with this engine.
    probe_intensity : float or None
        Σ|P|² that `fix_probe_int` restores; None: what the probe has when the engine begins.
    measure : bool
        As for `Constraints.apply`.
    reports : tuple of Report
        What the latest iteration did.

    Raises
    ------
    InterfaceError
        This version of ptypy lacks what the adapter builds on.
    MissingInputError
        A constraint needs what the reconstruction does not have.
    ValueError
        ptypy runs in several processes, or there are several storages.

    Examples
    --------
    >>> from arraycon.adapters.ptypy import Constrained
    >>> @ptypy.engines.register()
    ... class MyDM(Constrained, ptypy.engines.projectional.DM):
    ...     '''DM with constraints
    ...
    ...     Defaults:
    ...
    ...     [name]
    ...     default = MyDM
    ...     type = str
    ...     help =
    ...     '''
    ...     constraints = arraycon.Constraints({"ortho_pmode": {"start_iter": 1}})
    """

    constraints: Constraints
    probe_intensity: float | None = None
    measure = False
    _step: PtypyStep | None = None

    @property
    def reports(self) -> tuple[Report, ...]:
        """What the latest iteration did."""
        return () if self._step is None else self._step.reports

    def engine_prepare(self) -> None:
        """Prepare as the engine does, and see whether constraints have what they need."""
        super().engine_prepare()  # type: ignore[misc]
        if self._step is not None:
            return  # more data have come in
        PTYPY.note_version()
        PTYPY.check_has(self, _ENGINE)
        processes = PTYPY.find("ptypy.utils", "parallel").size
        if processes > 1:
            raise ValueError(f"engine: expected one process, got {processes}")
        self._step = PtypyStep(
            self, self.constraints, probe_intensity=self.probe_intensity, measure=self.measure
        )
        self._step.check()

    def engine_iterate(self, num: int = 1) -> Any:
        """Iterate as the engine does, and run what is due."""
        error = super().engine_iterate(num)  # type: ignore[misc]
        assert self._step is not None
        self._step.follow(error)
        return error


def register(
    engine: str | type,
    constraints: Constraints,
    *,
    name: str | None = None,
    probe_intensity: float | None = None,
    measure: bool = False,
) -> type:
    """Register an engine of ptypy's with constraints as a further one.

    Parameters
    ----------
    engine : str or type
        An engine, or the name of one that is registered, such as ``DM``, ``RAAR``, ``EPIE``, ``ML``
        or ``DM_cupy``. `ThreePIE` keeps its slices to itself and is refused.
    constraints : Constraints
        What runs after each call of the engine, that is after every ``numiter_contiguous``
        iterations; layers of the object are its modes.
    name : str, optional
        By default the engine's with ``_arraycon`` behind. It takes the place of one of that name.
    probe_intensity : float, optional
        Σ|P|² that `fix_probe_int` restores; by default what the probe has when the engine begins.
    measure : bool, optional
        As for `Constraints.apply`.

    Returns
    -------
    type
        The engine; its parameters are those of the one that it is made of.

    Raises
    ------
    InterfaceError
        ptypy is not installed, or lacks what the adapter builds on.
    ValueError
        The engine keeps its object where constraints do not reach it.

    Examples
    --------
    >>> from arraycon.adapters import ptypy as adapter
    >>> adapter.register("DM", constraints)
    >>> p.engines.engine00.name = "DM_arraycon"
    """
    by_name = PTYPY.find("ptypy.engines", "by_name")
    base = by_name(engine) if isinstance(engine, str) else engine
    for attribute in ("engine_prepare", "engine_iterate"):
        if not hasattr(base, attribute):
            raise PTYPY.error(f"has changed: {base.__name__} has no {attribute}")
    if "ThreePIE" in (each.__name__ for each in base.__mro__):
        raise ValueError(
            f"engine: expected one that keeps the object in its storages, got {base.__name__}, "
            f"which keeps its slices to itself and shows their product"
        )
    name = f"{base.__name__}_arraycon" if name is None else name
    contents = {
        "constraints": constraints,
        "probe_intensity": probe_intensity,
        "measure": measure,
        "__doc__": _DOC.format(base=base.__name__, name=name),
        "__module__": base.__module__,
    }
    made = type(name, (Constrained, base), contents)
    registered: type = PTYPY.find("ptypy.engines", "register")(name)(made)
    return registered


def _stacked(pods: list[Any]) -> Any:
    waves = [pod.exit for pod in pods]
    return arrays.namespace(exit=waves[0]).stack(waves)


def _data(storage: Any) -> Any:
    """Return a storage's data where the engine has them now."""
    on_device = getattr(storage, "gpu", None)
    return on_device if array_api_compat.is_cupy_array(on_device) else storage.data
