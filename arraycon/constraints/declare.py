"""The one way to declare a constraint, this package's own and the users': `register`.

What anybody else needs to know of a constraint is in its `Constraint`; nobody asks for it by name.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, TypeAlias, TypeVar, overload

from arraycon.blocks import Block
from arraycon.constraints.registry import Advice, Constraint, Layout, Layouts, Smooths, add
from arraycon.constraints.wiring import (
    NOT_OPTIONS,
    Apart,
    Extra,
    Inputs,
    Kernel,
    Memory,
    Outcome,
    Scalars,
    Updates,
    Wired,
    wire,
    wire_parts,
)
from arraycon.kernels.common import dispatch
from arraycon.state import ARRAYS, FIELDS, READ_ONLY

Run: TypeAlias = Callable[..., "Updates | tuple[Updates, Mapping[str, Any]]"]
"""A user's constraint: inputs and parameters in, new arrays (and metrics, if there are any) out."""

Given: TypeAlias = "Mapping[str, str] | Sequence[str]"
"""Fields by argument, or fields that arguments are named after."""

Cut: TypeAlias = "Layout | Sequence[Layout]"
"""How one pass may cut the object, or each of several."""

M = TypeVar("M", bound=type[Block])


@overload
def register(
    what: Kernel,
    *,
    on: str | Sequence[str] | Mapping[str, str],
    reads: Sequence[str] = ...,
    scalars: Given | Callable[[Any], Given] = ...,
    after: str | None = ...,
    centred: bool = ...,
    memory: bool = ...,
    returns: Sequence[str] = ...,
    figures: Mapping[str, str] | None = ...,
    layout: Cut | Callable[[Any], Cut] = ...,
    reduces: bool | Callable[[Any], bool] = ...,
    advice: Advice | None = ...,
    typical: Mapping[str, Any] | None = ...,
    smooths: Smooths | None = ...,
    idle: Callable[[Any], bool] | None = ...,
    uses: Sequence[str] = ...,
    region: str = ...,
    given: Extra | None = ...,
    spares: Callable[[Any], Collection[str]] | None = ...,
    without: Mapping[str, Mapping[str, Any]] | None = ...,
    flat: bool = ...,
) -> Callable[[M], M]: ...
@overload
def register(
    what: str,
    *,
    model: type[Block],
    needs: Sequence[str],
    writes: Sequence[str] | None = ...,
    after: str | None = ...,
    centred: bool = ...,
    memory: bool = ...,
    advice: Advice | None = ...,
) -> Callable[[Run], Run]: ...
def register(
    what: Kernel | str,
    *,
    model: type[Block] | None = None,
    needs: Sequence[str] = (),
    writes: Sequence[str] | None = None,
    on: str | Sequence[str] | Mapping[str, str] = (),
    reads: Sequence[str] = (),
    scalars: Given | Callable[[Any], Given] = (),
    after: str | None = None,
    centred: bool | None = None,
    memory: bool = False,
    returns: Sequence[str] = (),
    figures: Mapping[str, str] | None = None,
    layout: Cut | Callable[[Any], Cut] = (),
    reduces: bool | Callable[[Any], bool] = False,
    advice: Advice | None = None,
    typical: Mapping[str, Any] | None = None,
    smooths: Smooths | None = None,
    idle: Callable[[Any], bool] | None = None,
    uses: Sequence[str] = (),
    region: str = "",
    given: Extra | None = None,
    spares: Callable[[Any], Collection[str]] | None = None,
    without: Mapping[str, Mapping[str, Any]] | None = None,
    flat: bool = False,
) -> Any:
    """Declare a constraint that parameter files can switch on.

    There are two forms. With a kernel, a function of arrays, it decorates the model of its
    parameters, and the constraint has the kernel's name. With a name it decorates a function that
    gets the fields it needs as a mapping, and its parameters as an instance of `model`, and returns
    a mapping of new arrays, or a pair of that and a mapping of metrics. Such a function must not
    write to its inputs: that is what makes a failing constraint leave the state untouched. For the
    same reason a kernel that is not this package's own gets no ``out``.
    PyTorch's tensors and JAX's arrays come as NumPy or CuPy arrays, where those can see them.
    Declaring a name again replaces it, as re-running a notebook's cell does.

    Parameters
    ----------
    what : callable or str
        Kernel, which takes the arrays `on` and `reads` in this order, then named numbers and `out`;
        or the key in parameter files, a Python identifier that is not taken.
    model : type of Block
        Parameters of a function; each field has a default. It inherits `start_iter`, `step` and
        `end_iter`, and is off without `start_iter` unless the model gives it another default.
    needs : sequence of str
        Fields of `State` without which a function cannot run.
    writes : sequence of str, optional
        Array fields that a function may change; by default all in `needs` that any constraint may.
    on : str, sequence of str, or mapping of str to str
        Array fields that a kernel changes; ``"object"`` stands for amplitude and phase, each in a
        call of its own, as the block's `obj_type` chooses. A mapping has them by the arguments that
        take them, where they are not the first ones.
    reads : sequence of str
        Further array fields that a kernel takes.
    scalars : mapping of str to str, sequence of str, or function
        Fields that a kernel takes as named arguments, by argument; a sequence where both have the
        same name; or a function from a block to what that block needs.
    after : str, optional
        Constraint that it runs after; by default after all others.
    centred : bool
        Whether it needs the probe in the middle of its array; by default what a user's constraint
        does is not known, so that one which takes the probe does.
    memory : bool
        Whether it keeps something from one iteration to the next. It then gets a dict to keep it
        in, as the argument `memory` of a kernel or the third one of a function. A schedule that is
        bound to a state (`Constraints.bind`) gives it the same dict at each iteration, until it is
        `reset`; `Constraints.apply` an empty one each time.
    returns : sequence of str
        By-products that a kernel returns behind its arrays. One that has an argument
        ``return_NAME`` is asked for it.
    figures : mapping of str to str, optional
        By-products that are numbers and belong among the record's figures, with their titles.
    layout : {"any", "slices", "columns", "whole"}, a sequence of them, or function
        How each pass of a kernel may cut the object, weights of its pixels along with it; or a
        function from a block to that.
    reduces : bool or function
        Whether it needs something of the whole object first, a minimum or a sum, however the object
        is cut; or a function from a block to that.
    advice : callable, optional
        Gets the name, all blocks by name, and the names of those that were given; returns warnings.
    typical : mapping, optional
        Values of parameters without which it does nothing or cannot run, for warm-up and benches.
    smooths : callable, optional
        From a block to where it is a low-pass, ``"laterally"``, ``"z"`` or both in a tuple.
    idle : callable, optional
        From a block to whether its parameters make it change nothing.
    uses : sequence of str
        Fields of the block that the kernel has no arguments for.
    region : str, optional
        Argument of the kernel that takes the weights of the block's `region` (and `threshold`).
    given : callable, optional
        From a block and ``"amplitude"``, ``"phase"`` or ``"object"`` to arguments that take the
        place of the block's fields.
    spares : callable, optional
        From a block to those of the fields `on` that it leaves alone; the kernel gets None.
    without : mapping, optional
        By a field of the state that it can do without: what the block's fields are then.
    flat : bool
        Whether it takes objects of one slice only.

    Returns
    -------
    callable
        The decorator, which returns what it decorates.

    Raises
    ------
    TypeError
        A model is not a subclass of `Block`, or has a field that the kernel does not take.
    ValueError
        The name is taken or impossible, a field does not exist, or has no default.

    Examples
    --------
    >>> import arraycon
    >>> class PhaseCap(arraycon.Block):
    ...     limit: float = 1.0
    >>> @arraycon.register("phase_cap", model=PhaseCap, needs=["object_phase"])
    ... def phase_cap(inputs, params):
    ...     return {"object_phase": inputs["object_phase"].clip(max=params.limit)}
    >>> arraycon.unregister("phase_cap")
    """
    told: dict[str, Any] = {"after": after, "centre": centred, "memory": memory, "advice": advice}
    if not callable(what):
        needed = _fields("needs", needs, FIELDS)
        written = tuple(filter(_changeable, needed)) if writes is None else writes
        return _of_function(what, model, needed, _fields("writes", written, ARRAYS), told)
    arguments = _scalars(scalars)
    apart = _apart(uses, region, given, spares)
    if on == "object":
        wired = wire_parts(what, scalars=arguments, memory=memory, apart=apart)
    else:
        wired = wire(
            what,
            on=_changed(on),
            reads=_fields("reads", reads, ARRAYS),
            scalars=arguments,
            returns=tuple(returns),
            figures=figures or {},
            memory=memory,
            apart=apart,
        )
    told.update(without=without or {}, flat=flat)
    told["by_parts"] = on == "object"
    told.update(typical=typical or {}, smooths=smooths, idle=idle)
    told.update(layout=_layouts(layout, idle), reduces=_reduces(reduces, idle))
    return _of_kernel(what, wired, apart.uses, {**told, "returns": tuple(returns)})


def _layouts(cut: Cut | Callable[[Any], Cut], idle: Callable[[Any], bool] | None) -> Layouts:
    def layouts(block: Any) -> tuple[Layout, ...]:
        found = cut(block) if callable(cut) else cut
        found = (found,) if isinstance(found, str) else tuple(found)
        # what changes nothing may be cut anywhere
        return ("any",) if found and idle is not None and idle(block) else found

    return layouts


def _reduces(
    needed: bool | Callable[[Any], bool], idle: Callable[[Any], bool] | None
) -> Callable[[Any], bool]:
    def reduces(block: Any) -> bool:
        found = needed(block) if callable(needed) else needed
        return bool(found) and not (idle is not None and idle(block))

    return reduces


def _apart(
    uses: Sequence[str],
    region: str,
    given: Extra | None,
    spares: Callable[[Any], Collection[str]] | None,
) -> Apart:
    own = frozenset((*uses, *(("region", "threshold") if region else ())))
    return Apart(own, region, given or Apart.given, spares or Apart.spares)


def _changed(on: str | Sequence[str] | Mapping[str, str]) -> Sequence[str] | Mapping[str, str]:
    if isinstance(on, Mapping):
        _fields("on", tuple(on.values()), ARRAYS)
        return on
    return _fields("on", on, ARRAYS)


def _scalars(told: Given | Callable[[Any], Given]) -> Scalars:
    if callable(told):
        return lambda block: _by_argument(told(block))
    fixed = _by_argument(told)
    return lambda _: fixed


def _by_argument(given: Given) -> Mapping[str, str]:
    named = dict(given) if isinstance(given, Mapping) else {name: name for name in given}
    _fields("scalars", tuple(named.values()), FIELDS)
    return named


def _of_kernel(
    kernel: Kernel, wired: Wired, uses: frozenset[str], told: dict[str, Any]
) -> Callable[[M], M]:
    def decorate(model: M) -> M:
        _check_model(model)
        parameters = inspect.signature(kernel).parameters
        own: type[Block] = model
        if told["memory"] and "memory" not in parameters:
            raise TypeError(f"{kernel.__name__}: expected an argument memory, which it declares")
        foreign = [key for key in own.model_fields if key not in {*NOT_OPTIONS, *uses, *parameters}]
        if foreign:
            raise TypeError(
                f"{model.__name__}: expected fields that {kernel.__name__} takes, got {foreign[0]}"
            )
        # what somebody else's kernel has written when it fails cannot be taken back
        in_place = dispatch.is_door(kernel)
        one = Constraint(
            kernel.__name__, model, **vars(wired), kernel=kernel, in_place=in_place, **told
        )
        add(one)
        return model

    return decorate


def _of_function(
    name: str, model: Any, needs: tuple[str, ...], writes: tuple[str, ...], told: dict[str, Any]
) -> Callable[[Run], Run]:
    def decorate(function: Run) -> Run:
        def run(
            inputs: Inputs, block: Block, _: Updates, *, memory: Memory | None = None
        ) -> Outcome:
            kept = ({} if memory is None else memory,) if told["memory"] else ()
            answer = function(inputs, block, *kept)
            if not isinstance(answer, (tuple, Mapping)):
                raise TypeError(
                    f"{name}: expected a mapping of new arrays by field, got "
                    f"{type(answer).__name__}; is there a return?"
                )
            return Outcome(*answer) if isinstance(answer, tuple) else Outcome(answer)

        _check_model(model)
        wired = Wired(run, lambda _: needs, lambda _: writes)
        add(Constraint(name, model, **vars(wired), in_place=False, **told))
        return function

    return decorate


def _check_model(model: Any) -> None:
    if not (isinstance(model, type) and issubclass(model, Block)):
        raise TypeError(f"model must be a subclass of Block, got {model!r}")
    if required := [key for key, field in model.model_fields.items() if field.is_required()]:
        raise ValueError(f"every field needs a default, {required[0]} of {model.__name__} has none")


def _changeable(name: str) -> bool:
    return name in ARRAYS and name not in READ_ONLY


def _fields(argument: str, names: str | Sequence[str], valid: tuple[str, ...]) -> tuple[str, ...]:
    names = (names,) if isinstance(names, str) else tuple(names)
    for name in names:
        if name not in valid:
            raise ValueError(f"{argument}: expected names out of {', '.join(valid)}, got {name!r}")
    return names
