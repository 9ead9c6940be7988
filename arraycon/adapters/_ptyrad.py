"""PtyRAD's model as a `State`, and what its optimizer remembers of it."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from arraycon.adapters import _moments
from arraycon.adapters._feeding import Feed
from arraycon.adapters._step import Step, mixes_modes
from arraycon.adapters._versions import Code

if TYPE_CHECKING:
    from arraycon.monitor import Monitor, Subset
    from arraycon.pipeline import Constraints, Report
    from arraycon.pipeline.lending import Loan

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


class PtyRADStep(Step):
    """What `step` returns: constraints on the parameters of a model of PtyRAD's."""

    _lacks = "A model of PtyRAD's has no mask of vacuum and no illumination"

    def __init__(
        self,
        model: Any,
        constraints: Constraints,
        *,
        optimizer: Any = None,
        measure: bool = False,
        monitor: Monitor | None = None,
    ) -> None:
        super().__init__(constraints, measure=measure, monitor=monitor)
        self.model, self.optimizer = model, optimizer
        self._monitor, self._feed = monitor, Feed(monitor)
        self._loan: Loan | None = None
        self._tensors: dict[str, Any] = {}
        self._memory: list[Any] = []
        self._told_of_turning = False

    def __call__(self, iteration: int | None = None, *, error: float | None = None) -> Report:
        """Do as `Step`, on the model's own tensors."""
        with self._lent():
            return super().__call__(iteration, error=error)

    def check(self) -> None:
        """Do as `Step`."""
        with self._lent():
            super().check()

    def _fields(self) -> dict[str, Any]:
        assert self._loan is not None
        model = self.model
        # all of them: which ones have changed before an error is not known here
        self._loan.changed.update(self._tensors)
        numbers = {name: _number(getattr(model, attribute)) for name, attribute in _NUMBERS.items()}
        scan = [int(_number(getattr(model, attribute))) for attribute in _SCAN]
        if self._monitor is not None:
            self._patterns()
        return {**self._loan.arrays, **numbers, "scan_shape": (scan[0], scan[1])}

    def _turn(self, rotation: Any) -> None:
        parameter = self.model.opt_probe
        optimizer = self.optimizer or _moments.of(parameter)
        if optimizer is not None:
            turned = _moments.turn(optimizer, parameter, rotation)
            text = f"with the probe's modes turns what the optimizer has of them: {turned}"
        else:
            text = "the probe's modes turn, and there is no optimizer known that remembers them"
        if not self._told_of_turning:
            logger.info("%s: %s", mixes_modes(self.constraints), text)
            self._told_of_turning = True

    def _error(self) -> float:
        return float(self._patterns().error())

    def _patterns(self) -> Subset:
        """Return some of the measurements, beside what the model makes of them."""
        model = self.model
        PTYRAD.check_has(model, _MODEL)

        def forward(indices: Any) -> Any:
            with sys.modules["torch"].no_grad():
                intensities = model(indices)
            model.clear_cache()  # of the object's patches, which its losses look at
            return intensities

        def measured(indices: Any) -> Any:
            patterns = model.get_measurements(indices)
            scale = 1.0 if self._monitor is None else self._monitor.counts_per_unit
            if self._monitor is not None and not _are_counts(patterns * scale):
                logger.warning(
                    "PtyRAD's measurements are no counts; for the misfit, give the monitor as "
                    "counts_per_unit what its log says that they are normalized by"
                )
            return patterns

        return self._feed.subset(model, measured, forward, lambda: len(model.get_measurements()))

    @contextlib.contextmanager
    def _lent(self) -> Iterator[None]:
        """Lend the model's tensors, or go on with the loan of the iteration before."""
        from arraycon.pipeline.lending import Loan, memory_of

        tensors = _tensors(self.model)
        memory = [memory_of(tensor) for tensor in tensors.values()]
        if self._loan is not None and self._loan.shared and memory == self._memory:
            self._tensors.update(tensors)
            with self._loan.again():
                yield
            return
        self._tensors, self._memory = tensors, memory
        with Loan(self._tensors, needed=tensors, written=tensors) as self._loan:
            yield


def check_schedule(constraints: Constraints) -> None:
    """Find out whether any model of PtyRAD's has what constraints need, before there is one.

    Raises
    ------
    MissingInputError
        It has not.
    """
    import numpy as np

    from arraycon.pipeline import MissingInputError
    from arraycon.state import State

    # all that a model has, in the smallest arrays that there are
    real, pairs = np.zeros((1, 1, 1, 1), np.float32), np.zeros((1, 2), np.float32)
    state = State(
        object_amplitude=real, object_phase=real.copy(), probe=np.zeros((1, 1, 1), np.complex64),
        position_shifts=pairs, tilts=pairs.copy(), scan_shape=(1, 1),
        **dict.fromkeys(_NUMBERS, 1.0),
    )  # fmt: skip
    try:
        constraints.check_state(state)
    except MissingInputError as error:
        raise MissingInputError(f"{error}\n{PtyRADStep._lacks}") from None


def _tensors(model: Any) -> dict[str, Any]:
    PTYRAD.check_has(model, (*_TENSORS.values(), *_NUMBERS.values(), *_SCAN, *_PROBE))
    tensors = {name: getattr(model, attribute) for name, attribute in _TENSORS.items()}
    tensors["probe"] = model.get_complex_probe_view()
    if tensors["probe"].data_ptr() != model.opt_probe.data_ptr():
        raise PTYRAD.error("has changed: get_complex_probe_view() copies the probe")
    return tensors


def _are_counts(patterns: Any) -> bool:
    """Whether patterns are whole numbers, but for what single precision makes of them."""
    away = abs(patterns - patterns.round())
    return bool((away <= 1e-4 * patterns.clip(1, None)).all())


def _number(value: Any) -> float:
    # on a GPU this waits, but PtyRAD has just fetched its losses, so there is nothing to wait for
    return float(value.detach().item() if hasattr(value, "detach") else value)
