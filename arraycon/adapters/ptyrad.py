"""PtyRAD: a stand-in for its `CombinedConstraint` that works on the model's own tensors.

Between iterations PtyRAD calls ``constraint_fn(model, niter)``. Here the model's parameters become
NumPy or CuPy arrays that share their memory, and `Constraints` changes them in place.
"""

from __future__ import annotations

import contextlib
import copy
import logging
import sys
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from arraycon.adapters._feeding import Feed
from arraycon.adapters._hooks import Undoable
from arraycon.adapters._loop import Loop
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor, Subset
    from arraycon.params import ConstraintParams
    from arraycon.pipeline import Constraints, Report
    from arraycon.pipeline.lending import Loan

__all__ = ["CombinedConstraint", "Installation", "install"]

logger = logging.getLogger("arraycon")

PTYRAD = Code("PtyRAD", "ptyrad", known=("1.0.0",))

_TENSORS = {
    "object_amplitude": "opt_obja",
    "object_phase": "opt_objp",
    "position_shifts": "opt_probe_pos_shifts",
    "tilts": "opt_obj_tilts",
}
_NUMBERS = {
    "dx": "dx",
    "wavelength": "lambd",
    "slice_thickness": "opt_slice_thickness",
    "probe_intensity": "probe_int_sum",
}
_SCAN = ("N_scan_slow", "N_scan_fast")
_PROBE = ("opt_probe", "get_complex_probe_view")
_MODEL = ("get_measurements", "clear_cache")


class CombinedConstraint:
    """A stand-in for PtyRAD 1.0.0's class of that name.

    Tensors on the CPU are seen as NumPy arrays and those on a CUDA device as CuPy arrays, on
    PyTorch's current stream; neither is copied. Without CuPy, and on other devices, the tensors
    themselves take the slower array-API path. As long as the model keeps its tensors in the same
    memory nothing is checked again; see `Constraints.bind`.

    Parameters
    ----------
    constraint_params : mapping, ConstraintParams or Constraints
        The blocks of PtyRAD's parameter file, by name. Blocks that are left out take their
        defaults, as they do when PtyRAD reads its file. A mapping is read again if it changes.
    device : str, optional
        For PtyRAD's sake; the tensors tell where they are.
    measure : bool, optional
        Whether `report` tells how much each constraint changed, at the price of a temporary copy of
        each array. See `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints. One without a misfit of its own is fed by the model's forward
        pass and PtyRAD's measurements. Those are divided by a constant that its log names, unless
        ``meas_normalization`` is ``{mode: divide_const, value: 1}``: hand that to the monitor as
        ``counts_per_unit``. The same patterns give the error for rules in `start_when`.

    Attributes
    ----------
    report : Report or None
        What the latest call did.

    Raises
    ------
    ParameterError
        The parameters are not valid.

    Examples
    --------
    >>> from arraycon.adapters import ptyrad
    >>> constraint = ptyrad.CombinedConstraint(constraint_params, device="cuda")
    >>> constraint(model, niter)
    """

    # set by `install`, where PtyRAD gives the parameters but the user wants others
    _given: Constraints | ConstraintParams | Mapping[str, Any] | None = None
    _measure = False
    _watched_by: Monitor | None = None

    def __init__(
        self,
        constraint_params: Constraints | ConstraintParams | Mapping[str, Any],
        device: Any = "cuda",
        *,
        measure: bool | None = None,
        monitor: Monitor | None = None,
    ) -> None:
        self.constraint_params = constraint_params if self._given is None else self._given
        self.device = device
        self.measure = self._measure if measure is None else measure
        self.report: Report | None = None
        self._read: Any = None
        self._parsed: Constraints | None = None
        self.monitor = self._watched_by if monitor is None else monitor
        self._loop, self._feed = Loop(self.monitor), Feed(self.monitor)
        self._loan: Loan | None = None
        self._tensors: dict[str, Any] = {}
        self._memory: list[Any] = []
        self._parse()  # a wrong parameter should be found now, not after a night

    @property
    def constraints(self) -> Constraints:
        """The constraints that run, from the parameters as they are now."""
        return self._parse()

    def _parse(self) -> Constraints:
        from arraycon.pipeline import Constraints

        if isinstance(self.constraint_params, Constraints):
            return self.constraint_params
        if self._parsed is None or self.constraint_params != self._read:
            self._parsed = Constraints(self.constraint_params, defaults="ptyrad")
            self._read = copy.deepcopy(self.constraint_params)
        return self._parsed

    def __call__(self, model: Any, niter: int) -> None:
        """Apply what is due to the model's parameters, in place.

        Parameters
        ----------
        model : PtychoModel
            PtyRAD's model, or one with the same attributes.
        niter : int
            Iteration, counted from 1.

        Raises
        ------
        InterfaceError
            The model lacks an attribute that PtyRAD 1.0.0's has.
        """
        PTYRAD.check_has(model, (*_TENSORS.values(), *_NUMBERS.values(), *_SCAN, *_PROBE))
        tensors = {name: getattr(model, attribute) for name, attribute in _TENSORS.items()}
        tensors["probe"] = model.get_complex_probe_view()
        if tensors["probe"].data_ptr() != model.opt_probe.data_ptr():
            raise PTYRAD.error("has changed: get_complex_probe_view() copies the probe")
        numbers = {name: _number(getattr(model, attribute)) for name, attribute in _NUMBERS.items()}
        scan = [int(_number(getattr(model, attribute))) for attribute in _SCAN]
        constraints, error = self.constraints, None
        waits = self._loop.waits(constraints, int(niter))
        if self.monitor is not None or waits:
            subset = self._patterns(model)
            error = subset.error() if waits else None
        with self._lent(tensors) as loan:
            # all of them: which ones have changed before an error is not known here
            loan.changed.update(tensors)
            fields = {**loan.arrays, **numbers, "scan_shape": (scan[0], scan[1])}
            self.report = self._loop.apply(
                constraints, fields, int(niter), measure=self.measure, error=error
            )

    def _patterns(self, model: Any) -> Subset:
        """Return some of the measurements, beside what the model makes of them."""
        PTYRAD.check_has(model, _MODEL)

        def forward(indices: Any) -> Any:
            with sys.modules["torch"].no_grad():
                intensities = model(indices)
            model.clear_cache()  # of the object's patches, which its losses look at
            return intensities

        def measured(indices: Any) -> Any:
            patterns = model.get_measurements(indices)
            scale = 1.0 if self.monitor is None else self.monitor.counts_per_unit
            if self.monitor is not None and not _are_counts(patterns * scale):
                logger.warning(
                    "PtyRAD's measurements are no counts; for the misfit, give the monitor as "
                    "counts_per_unit what its log says that they are normalized by"
                )
            return patterns

        return self._feed.subset(model, measured, forward, lambda: len(model.get_measurements()))

    @contextlib.contextmanager
    def _lent(self, tensors: dict[str, Any]) -> Iterator[Loan]:
        """Lend the tensors, or go on with the loan of the iteration before."""
        from arraycon.pipeline.lending import Loan, memory_of

        memory = [memory_of(tensor) for tensor in tensors.values()]
        if self._loan is not None and self._loan.shared and memory == self._memory:
            self._tensors.update(tensors)
            with self._loan.again():
                yield self._loan
            return
        self._tensors, self._memory = tensors, memory
        with Loan(self._tensors, needed=tensors, written=tensors) as self._loan:
            yield self._loan

    def __repr__(self) -> str:
        return f"<CombinedConstraint of arraycon: {self.constraints}>"


class Installation(Undoable):
    """What `install` did; leaving its ``with`` block, or `undo`, puts PtyRAD's class back."""

    def __init__(self, original: type, replacement: type) -> None:
        self._original, self._replacement = original, replacement
        _replace(original, replacement)

    def undo(self) -> None:
        """Put back what was there before."""
        _replace(self._replacement, self._original)


def install(
    constraints: Constraints | ConstraintParams | Mapping[str, Any] | None = None,
    *,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> Installation:
    """Put `CombinedConstraint` in the place of PtyRAD's class.

    Solvers that are made from now on use it; one that exists keeps the constraints it has.

    Parameters
    ----------
    constraints : Constraints, ConstraintParams or mapping, optional
        What to run instead of the parameters that PtyRAD hands over, whose models do not know this
        package's further options (``boundary``, ``scope``) or constraints of your own.
    measure, monitor : optional
        As for `CombinedConstraint`.

    Returns
    -------
    Installation
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError
        PtyRAD is not installed, or has no such class any more, or calls it in another way.

    Examples
    --------
    >>> from arraycon.adapters import ptyrad
    >>> with ptyrad.install():
    ...     PtyRADSolver(params, device="cuda").run()
    """
    original = PTYRAD.find("ptyrad.core.constraints", "CombinedConstraint")
    PTYRAD.note_version()
    if not issubclass(original, CombinedConstraint):
        PTYRAD.check_takes(original.__init__, ("constraint_params", "device"))
        PTYRAD.check_has(original, ("forward",))
        PTYRAD.check_takes(original.forward, ("model", "niter"))
    namespace = {
        "_given": constraints, "_measure": measure, "_watched_by": monitor,
        "__doc__": CombinedConstraint.__doc__,
    }  # fmt: skip
    return Installation(original, type("CombinedConstraint", (CombinedConstraint,), namespace))


def _replace(old: type, new: type) -> None:
    """Let every module of PtyRAD that has `old` under some name have `new`."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "ptyrad":
            continue
        for attribute in [key for key, value in vars(module).items() if value is old]:
            setattr(module, attribute, new)


def _are_counts(patterns: Any) -> bool:
    """Whether patterns are whole numbers, but for what single precision makes of them."""
    away = abs(patterns - patterns.round())
    return bool((away <= 1e-4 * patterns.clip(1, None)).all())


def _number(value: Any) -> float:
    # on a GPU this waits, but PtyRAD has just fetched its losses, so there is nothing to wait for
    return float(value.detach().item() if hasattr(value, "detach") else value)
