"""py4DSTEM: `Constraints` in the constraint step of its iterative ptychography.

py4DSTEM keeps a complex object or a real potential (nz, nx, ny), probes whose centre is the corner
pixel, and positions in px; x is its first lateral axis and y here. Its object is changed in place.
"""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any, TypeVar

from arraycon.adapters._hooks import Attachment
from arraycon.adapters._py4dstem import PY4DSTEM, STORED, Py4DSTEMStep

if TYPE_CHECKING:
    from arraycon.monitor import Monitor
    from arraycon.pipeline import Constraints

__all__ = ["Py4DSTEMAttachment", "Py4DSTEMStep", "attach", "attach_class", "step"]

_CLASSES = (
    "SingleslicePtychography",
    "MultislicePtychography",
    "MixedstatePtychography",
    "MixedstateMultislicePtychography",
)
_ATTRIBUTES = ("_xp", "_object_type", "_energy", "sampling", "angular_sampling")
_ARGUMENTS = ("current_object", "current_probe", "current_positions", "initial_positions")

T = TypeVar("T", bound=type)


class Py4DSTEMAttachment(Attachment):
    """What `attach` returns."""

    def __init__(self, reconstruction: Any, step: Py4DSTEMStep, *, instead: bool) -> None:
        super().__init__(
            reconstruction, "_constraints", self._within, step.constraints,
            instead=instead, measure=False,
        )  # fmt: skip
        self._step = step

    def _within(self, *given: Any, **options: Any) -> Any:
        try:
            return self._step.within(None if self._instead else self._own, *given, **options)
        finally:
            self.reports = self._step.reports


def step(
    reconstruction: Any,
    constraints: Constraints,
    *,
    centre: bool | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> Py4DSTEMStep:
    """Return the constraints for a loop of one's own, around ``reconstruct(num_iter=1)``.

    Each call works on what the reconstruction has stored. Iterations count as py4DSTEM's
    ``error_iterations``. py4DSTEM's own constraints are switched on and off by its arguments.

    Parameters
    ----------
    reconstruction, constraints, centre, measure, monitor
        As for `attach`.

    Returns
    -------
    Py4DSTEMStep
        To be called after each iteration; its `reports` tell what that did.

    Raises
    ------
    InterfaceError, MissingInputError, TypeError, ValueError
        As `attach`.

    Examples
    --------
    >>> from arraycon.adapters import py4dstem
    >>> step = py4dstem.step(ptycho, constraints)
    >>> for _ in range(16):
    ...     ptycho.reconstruct(num_iter=1, reset=False)
    ...     step()
    """
    _check_class(type(reconstruction))
    PY4DSTEM.note_version()
    PY4DSTEM.check_has(reconstruction, ("_constraints", *_ATTRIBUTES))
    PY4DSTEM.check_takes(type(reconstruction)._constraints, _ARGUMENTS)
    if reconstruction.sampling is None:
        raise ValueError("reconstruction: expected one after preprocess(), got no sampling")
    PY4DSTEM.check_has(reconstruction, STORED)
    made = Py4DSTEMStep(
        reconstruction, constraints, centre=centre, measure=measure, monitor=monitor
    )
    made.check()
    return made


def attach(
    reconstruction: Any,
    constraints: Constraints,
    *,
    instead: bool = False,
    centre: bool | None = None,
    measure: bool = False,
    monitor: Monitor | None = None,
) -> Py4DSTEMAttachment:
    """Run constraints in the constraint step of one of py4DSTEM's reconstructions.

    Iterations count on over several calls of ``reconstruct``, and from 1 after ``reset=True``.
    Constraints that were attached before are replaced.

    Parameters
    ----------
    reconstruction : SingleslicePtychography, MultislicePtychography or their mixed-state kin
        After ``preprocess()``; NumPy on the CPU, CuPy on a GPU.
    constraints : Constraints
        What to run. A complex object counts as amplitude and phase, a potential as phase alone.
        `fix_probe_int` restores the mean intensity of the patterns, which in a mixed state is that
        of each initial mode, and of all modes together afterwards.
    instead : bool, optional
        Run them in place of py4DSTEM's own object, probe and position constraints, rather than
        after those. Among its own is, for complex objects, the amplitude's limit of 1.
    centre : bool, optional
        Whether the probe is shifted to the middle and back, which takes two copies. By default only
        where that makes a difference: for constraints that say so, and for your own on the probe.
    measure : bool, optional
        As for `Constraints.apply`.
    monitor : Monitor, optional
        What watches the constraints; py4DSTEM's own, if they run first, count to the data step. One
        without a misfit of its own is fed by py4DSTEM's forward model and its patterns. Those have
        to be counts (``counts_per_unit`` makes them some), and are smoother than counts where
        py4DSTEM has moved their centres by parts of a pixel. The same patterns give the error for
        rules in `start_when`.

    Returns
    -------
    Py4DSTEMAttachment
        A context manager; its `undo` does the same as leaving the ``with`` block.

    Raises
    ------
    InterfaceError
        This version of py4DSTEM lacks what the adapter builds on.
    MissingInputError
        A constraint needs what the reconstruction does not have.
    TypeError
        Not a reconstruction of these classes (the magnetic and tomographic ones keep several
        probes and call their constraints in each batch).
    ValueError
        It has not been preprocessed.

    Examples
    --------
    >>> from arraycon.adapters import py4dstem
    >>> with py4dstem.attach(ptycho, constraints):
    ...     ptycho.reconstruct(num_iter=16)
    """
    made = step(reconstruction, constraints, centre=centre, measure=measure, monitor=monitor)
    return Py4DSTEMAttachment(reconstruction, made, instead=instead)


def attach_class(reconstruction_class: T, constraints: Constraints, **options: Any) -> T:
    """Return a class whose reconstructions have constraints attached from ``preprocess()`` on.

    For what takes a class and makes the reconstructions itself, as ``PtychographyOptimizer`` does.

    Parameters
    ----------
    reconstruction_class : type
        One of the classes that `attach` takes reconstructions of; it is left as it is.
    constraints : Constraints
        What to run.
    **options
        As for `attach`.

    Returns
    -------
    type
        A subclass of the same name.

    Raises
    ------
    TypeError
        Not one of these classes.

    Examples
    --------
    >>> from arraycon.adapters import py4dstem
    >>> constrained = py4dstem.attach_class(MultislicePtychography, constraints)
    >>> PtychographyOptimizer(constrained, init_args, preprocess_args).optimize()
    """
    _check_class(reconstruction_class)
    own = reconstruction_class.preprocess  # type: ignore[attr-defined]

    @functools.wraps(own)
    def preprocess(self: Any, *arguments: Any, **given: Any) -> Any:
        done = own(self, *arguments, **given)
        attach(self, constraints, **options)
        return done

    name = reconstruction_class.__name__
    told = {"__doc__": reconstruction_class.__doc__, "__module__": reconstruction_class.__module__}
    made: Any = type(name, (reconstruction_class,), {"preprocess": preprocess, **told})
    return made  # type: ignore[no-any-return]


def _check_class(made: type) -> None:
    names = [base.__name__ for base in made.__mro__]
    if not set(names) & set(_CLASSES):
        raise TypeError(f"reconstruction: expected one of {', '.join(_CLASSES)}, got {names[0]}")
