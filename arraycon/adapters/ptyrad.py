"""PtyRAD: a stand-in for its `CombinedConstraint` that works on the model's own tensors.

Between iterations PtyRAD calls ``constraint_fn(model, niter)``. Here the model's parameters become
NumPy or CuPy arrays that share their memory, and `Constraints` changes them in place.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from arraycon.adapters._hooks import Attachment
from arraycon.adapters._ptyrad import PTYRAD, PtyRADStep, check_schedule
from arraycon.adapters._ptyrad_places import Installation, notice_optimizers

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.params import ConstraintParams
    from arraycon.pipeline import Constraints, Report

__all__ = [
    "CombinedConstraint",
    "Installation",
    "PtyRADAttachment",
    "PtyRADStep",
    "attach",
    "install",
    "step",
]


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
    optimizer : torch.optim.Optimizer, optional
        What it remembers of the probe's modes turns with them, where a constraint mixes them.
        `install` and `attach` find the one that PtyRAD makes.

    Attributes
    ----------
    report : Report or None
        What the latest call did.

    Raises
    ------
    ParameterError
        The parameters are not valid.
    MissingInputError
        A constraint needs what no model of PtyRAD's has.

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
        optimizer: Any = None,
    ) -> None:
        self.constraint_params = constraint_params if self._given is None else self._given
        self.device, self.optimizer = device, optimizer
        self.measure = self._measure if measure is None else measure
        self.report: Report | None = None
        self._read: Any = None
        self._parsed: Constraints | None = None
        self._step: PtyRADStep | None = None
        self.monitor = self._watched_by if monitor is None else monitor
        check_schedule(self._parse())  # what is wrong should be found now, not after a night

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
        if self._step is None:
            self._step = PtyRADStep(
                model, self.constraints, measure=self.measure, monitor=self.monitor
            )
        step = self._step
        step.model, step.constraints, step.optimizer = model, self.constraints, self.optimizer
        self.report = step(int(niter))

    def __repr__(self) -> str:
        return f"<CombinedConstraint of arraycon: {self.constraints}>"


def install(
    constraints: Constraints | ConstraintParams | Mapping[str, Any] | None = None,
    *,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> Installation:
    """Put `CombinedConstraint` in the place of PtyRAD's class.

    Solvers that are made from now on use it; one that exists keeps the constraints it has. Where
    constraints mix the probe's modes, what PtyRAD's optimizer remembers of them turns, too: without
    that Adam loses a few percent at each of them.

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
        A context manager; its `undo` does the same as leaving the ``with`` block. Installing again
        takes the place of what was installed before.

    Raises
    ------
    InterfaceError
        PtyRAD is not installed, or has no such class any more, or calls it in another way.
    ParameterError, MissingInputError
        As for `CombinedConstraint`, of the constraints that are given.

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
    if constraints is not None:
        CombinedConstraint(constraints)
    return Installation(original, type("CombinedConstraint", (CombinedConstraint,), namespace))


class PtyRADAttachment(Attachment):
    """What `attach` returns."""

    def __init__(self, solver: Any, constraint: CombinedConstraint) -> None:
        self._constraint = constraint
        super().__init__(
            solver, "constraint_fn", self._constrain, constraint.constraints, instead=True,
            measure=constraint.measure,
        )  # fmt: skip

    def _constrain(self, model: Any, niter: int) -> None:
        self._constraint(model, niter)
        self.reports = () if self._constraint.report is None else (self._constraint.report,)

    def _put(self) -> None:
        super()._put()
        notice_optimizers(id(self._target))

    def _restore(self) -> None:
        super()._restore()
        notice_optimizers(id(self._target), end=True)


def attach(
    solver: Any,
    constraints: Constraints | ConstraintParams | Mapping[str, Any],
    *,
    optimizer: Any = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> PtyRADAttachment:
    """Run constraints in one solver of PtyRAD's, instead of the solver's own.

    Parameters
    ----------
    solver : PtyRADSolver
        One that has been made; its ``run`` may follow.
    constraints : Constraints, ConstraintParams or mapping
        What to run.
    optimizer : torch.optim.Optimizer, optional
        What remembers the probe's modes; by default the one that the solver makes when it runs.
    measure, monitor : optional
        As for `CombinedConstraint`.

    Returns
    -------
    PtyRADAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError
        The solver has no constraint function.
    ParameterError, MissingInputError
        As for `CombinedConstraint`.

    Examples
    --------
    >>> from arraycon.adapters import ptyrad
    >>> with ptyrad.attach(solver, constraints):
    ...     solver.run()
    """
    PTYRAD.note_version()
    PTYRAD.check_has(solver, ("constraint_fn",))
    made = CombinedConstraint(constraints, measure=measure, monitor=monitor, optimizer=optimizer)
    return PtyRADAttachment(solver, made)


def step(
    model: Any,
    constraints: Constraints,
    *,
    optimizer: Any = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> PtyRADStep:
    """Return the constraints for a loop of one's own over PtyRAD's model.

    Parameters
    ----------
    model : PtychoModel
        PtyRAD's model, or one with the same attributes.
    constraints : Constraints
        What runs.
    optimizer, measure, monitor : optional
        As for `CombinedConstraint`.

    Returns
    -------
    PtyRADStep
        To be called after each iteration; its `reports` tell what that did.

    Raises
    ------
    InterfaceError
        The model lacks an attribute that PtyRAD 1.0.0's has.
    MissingInputError
        A constraint needs what the model does not have.

    Examples
    --------
    >>> from arraycon.adapters import ptyrad
    >>> step = ptyrad.step(model, constraints, optimizer=optimizer)
    >>> for _ in range(100):
    ...     recon_step(batches, 1, model, optimizer, ...)
    ...     step()
    """
    PTYRAD.note_version()
    made = PtyRADStep(model, constraints, optimizer=optimizer, measure=measure, monitor=monitor)
    made.check()
    return made
