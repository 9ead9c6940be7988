"""Block: the schedule of one constraint, and how its values are read and refused."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from types import NoneType, UnionType
from typing import TYPE_CHECKING, Annotated, Any, Union, get_args, get_origin

import numpy as np
import pydantic
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import InitErrorDetails, PydanticCustomError

from arraycon.blocks import hints, shown
from arraycon.blocks.starting import StartWhen
from arraycon.blocks.wording import (
    HINTS,
    DeprecatedParameterWarning,
    allowed,
    detail,
    not_text,
    show,
    unknown,
    warn,
)
from arraycon.kernels.common import meaning
from arraycon.showing import Markup, public

if TYPE_CHECKING:
    from typing_extensions import Self


def _leaves(annotation: Any) -> Iterator[Any]:
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin not in (Annotated, Union, UnionType, tuple, list):
        yield annotation
        return
    for part in arguments[:1] if origin is Annotated else arguments:
        yield from _leaves(part)


def _number(value: object) -> object:
    """Read NumPy's numbers and the text that YAML 1.1 makes of 5e-1; refuse bool and the rest."""
    try:
        number = meaning.scalar(value)
    except meaning.LostMeaningError as error:
        raise PydanticCustomError("lost", "{lost}", {"lost": str(error)}) from None
    if getattr(number, "shape", None) == ():  # a tensor
        number = number.item()
    try:
        if isinstance(number, str) and not hints.is_ambiguous(number):
            number = float(number)
        if isinstance(number, bool) or not isinstance(number, Real | NoneType):
            raise ValueError
        # an integer that no float holds is out of range, as 1e999 is
        size = None if number is None else float(number)
    except (ValueError, OverflowError):
        raise PydanticCustomError("not_a_number", "not a number") from None
    return int(number) if isinstance(number, Integral) else size


def _is_item(value: object) -> bool:
    """Whether NumPy has packed text or a bool."""
    return isinstance(value, np.ndarray | np.generic) and not value.shape


def _several(value: object) -> object:
    """Read a pair given as a list, a tuple or an array of one axis."""
    if isinstance(value, list | tuple):
        return tuple(map(_number, value))
    if len(getattr(value, "shape", ())) == 1 and meaning.unit_of(value) is None:
        return tuple(map(_number, value))  # type: ignore[call-overload]
    return _number(value)


StartIter = Annotated[
    int | None, Field(ge=1, description="first iteration (they count from 1); null: off")
]


@dataclass(frozen=True)
class Place:
    """Where a block stands, for messages; validation takes it as its context.

    Parameters
    ----------
    name : str
        Key of the block.
    others : frozenset of str
        Keys that may stand beside it.
    """

    name: str
    others: frozenset[str] = frozenset()


class Block(BaseModel):
    """Schedule of one constraint, and the base of every constraint's own parameters.

    Examples
    --------
    Parameters of a constraint of your own, with the schedule that all have; see `register`:

    >>> import arraycon
    >>> class PhaseCap(arraycon.Block):
    ...     limit: float = 1.0
    >>> block = PhaseCap(start_iter=10, step=5, limit=0.5)
    >>> [iteration for iteration in range(1, 25) if block.is_due(iteration)], block.limit
    ([10, 15, 20], 0.5)
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    start_iter: StartIter = None
    step: int = Field(1, ge=1, description="run at every step-th iteration")
    end_iter: int | None = Field(None, ge=1, description="run only before this one; null: no end")
    start_when: StartWhen | None = Field(
        None,
        description="wait, from start_iter on, until the error has all but stopped falling",
        json_schema_extra={
            "$comment": "{error_falls_below: a number in (0, 1), for: an integer ≥ 1} or null"
        },
    )

    def __setattr__(self, name: str, value: Any) -> None:
        if name in type(self).model_fields:
            raise AttributeError(
                f"{name}: a block does not change; params.replace(NAME={{{name!r}: ...}}) returns "
                f"other parameters"
            )
        super().__setattr__(name, value)

    @property
    def enabled(self) -> bool:
        """Whether it is switched on, even if it never comes to run."""
        return self.start_iter is not None

    def is_due(self, iteration: int, began: int | None = None) -> bool:
        """Whether it runs at this iteration (counted from 1).

        Parameters
        ----------
        iteration : int
        began : int, optional
            Iteration in which it began, from which `step` counts; by default `start_iter`, as if a
            rule in `start_when` were fulfilled by then.
        """
        start = self.start_iter if began is None else began
        if self.start_iter is None or start is None or iteration < start:
            return False
        before_end = self.end_iter is None or iteration < self.end_iter
        return before_end and (iteration - start) % self.step == 0

    def runs_from(self, iteration: int) -> bool:
        """Whether it runs, or may run, at this iteration or any later one."""
        if self.start_iter is None:
            return False
        if self.start_when is not None:  # it may begin at any of them
            return self.end_iter is None or max(iteration, self.start_iter) < self.end_iter
        late = max(0, iteration - self.start_iter)
        return self.is_due(self.start_iter + -(-late // self.step) * self.step)

    def at(self, iteration: int, errors: Mapping[int, float]) -> Self | None:
        """Return what runs at an iteration: the block, one that is less relaxed, or nothing.

        Parameters
        ----------
        iteration : int
            Counted from 1.
        errors : mapping of int to float
            Errors of iterations up to this one, for `start_when`.
        """
        began = self.start_iter
        if self.start_when is not None and began is not None:
            began = self.start_when.began(errors, began)
        if began is None or not self.is_due(iteration, began):
            return None
        return self._ramped(iteration - began)

    def _ramped(self, _: int) -> Self:
        return self

    def waits(self, iteration: int, errors: Mapping[int, float]) -> bool:
        """Whether a rule in `start_when` needs the error of this iteration."""
        if self.start_when is None or not self.runs_from(iteration):
            return False
        earlier = {i: error for i, error in errors.items() if i < iteration}
        return self.start_when.began(earlier, self.start_iter or 1) is None

    def _repr_html_(self) -> str:
        return shown.block_table(self, describe_schedule(self))

    def __dir__(self) -> list[str]:
        return public({*super().__dir__()} - {*dir(BaseModel)} | {"model_dump"})

    @pydantic.field_validator("*", mode="before")
    @classmethod
    def _read_numbers(cls, value: Any, info: pydantic.ValidationInfo) -> Any:
        # for every field of every model, so that a user's own model keeps the rules as well
        annotation = cls.model_fields[info.field_name or ""].annotation
        if not set(_leaves(annotation)) <= {int, float, NoneType, ...}:
            return value.item() if _is_item(value) else value
        return _several(value)

    @pydantic.model_validator(mode="wrap")
    @classmethod
    def _read(
        cls,
        data: Any,
        handler: pydantic.ModelWrapValidatorHandler[Self],
        info: pydantic.ValidationInfo,
    ) -> Self:
        place = info.context if isinstance(info.context, Place) else Place(cls.__name__)
        if data is None or data is False:
            data = {"start_iter": None}
        if not isinstance(data, Mapping | cls):
            text = f"got {show(data)}, allowed: a block of settings, null or false"
            raise ValidationError.from_exception_data(cls.__name__, [detail((), text, data)])
        if type(data) is cls:  # model_copy and model_construct validate nothing
            data = {key: getattr(data, key, None) for key in data.model_fields_set}
        values, problems = data, []
        if isinstance(data, Mapping):
            problems = [detail((name,), text, data) for name, text in _other_keys(data)]
            data = values = {key: data[key] for key in data if isinstance(key, str)}
            if "freq" in data and "freq" not in cls.model_fields:
                values, clash = _without_freq(data)
                problems += clash
        try:
            block = handler(values)
        except ValidationError as error:
            problems += cls._explain(error, data, place)
        if problems:
            raise ValidationError.from_exception_data(cls.__name__, problems)
        if values is not data and "start_iter" not in data:
            new = f"start_iter: 1, step: {block.step}" if block.enabled else "start_iter: null"
            warn(f"{place.name}: freq is deprecated, write {new}", DeprecatedParameterWarning)
        return block

    @classmethod
    def _explain(cls, error: ValidationError, data: Any, place: Place) -> list[InitErrorDetails]:
        """Say for each field, once, what was given and what is allowed."""
        found: dict[int | str, InitErrorDetails] = {}
        for item in error.errors(include_url=False):
            key = item["loc"][0] if item["loc"] else ""
            own = item.get("ctx", {}).get("error")  # raised by a validator in a user's model
            if key not in cls.model_fields:
                text = str(own or item["msg"])
                if item["type"] == "extra_forbidden":
                    near = len(found) < HINTS
                    text = cls._unknown(str(key), place) if near else "unknown key"
            else:
                accepted = allowed(cls, str(key))
                if key == "step" and "step" not in data:  # translated from freq
                    key, accepted = "freq", f"{accepted} or null"
                value = data.get(key)
                came = item.get("ctx", {}).get("lost") or f"{show(value)}{hints.about(value)}"
                text = f"got {came}, {own or f'allowed: {accepted}'}"
            found.setdefault(key, detail(item["loc"] and (key,), text, item["input"]))
        return list(found.values())

    @classmethod
    def _unknown(cls, key: str, place: Place) -> str:
        if key in place.others:
            return "a constraint of its own: it belongs beside the others, not inside one"
        return unknown(key, cls.model_fields)


def _other_keys(data: Mapping[Any, Any]) -> Iterator[tuple[str, str]]:
    """Find keys that are no text, and say what they may come from."""
    before: object = None
    for key, value in data.items():
        if not isinstance(key, str):
            name, text = not_text(key)
            yield name, text + (hints.comma(before, key) if value is None else "")
        before = value


def _without_freq(data: dict[str, Any]) -> tuple[dict[str, Any], list[InitErrorDetails]]:
    """Translate the legacy `freq: n`."""
    freq, values = data["freq"], {key: data[key] for key in data if key != "freq"}
    if freq is None and "start_iter" in data:  # as in PtyRAD, which looks at freq last
        return values, []
    if freq is not None and (beside := [key for key in ("start_iter", "step") if key in data]):
        text = f"the old spelling of start_iter: 1, step: n cannot stand beside {beside[0]}"
        return values, [detail(("freq",), text, freq)]
    if freq is None:
        return values | {"start_iter": None}, []
    return values | {"start_iter": 1, "step": freq}, []


class OnBlock(Block):
    """Schedule of a constraint that is on by default."""

    start_iter: StartIter = 1


class RampedBlock(Block):
    """Base of constraints that can be relaxed: with a field `relax`, they also have `ramp`."""

    ramp: int | None = Field(
        None, ge=1, description="iterations over which relax goes from 1 to its value; null: none"
    )

    def _ramped(self, late: int) -> Self:
        ramp: int | None = self.ramp
        if ramp is None or late + 1 >= ramp:
            return self
        relax = 1 - (late + 1) / ramp * (1 - self.__dict__["relax"])
        return self.model_copy(update={"relax": relax})


SCHEDULE = frozenset(RampedBlock.model_fields)
"""Fields that say when and how gradually, as opposed to what."""


def describe_schedule(block: Block) -> str:
    """Say when a constraint runs, such as 'every 5th from 10 until 50 (exclusive)'."""
    ramp = block.__dict__.get("ramp")
    gradually = f", gradually over {ramp} iterations" if ramp else ""
    return _when(block) + (gradually if block.enabled else "")


def schedule_table(title: str, blocks: Mapping[str, Block], given: Collection[str]) -> Markup:
    """Make a table of what is on, when, whether it was asked for, and with which parameters."""
    timed = {
        name: (block, describe_schedule(block)) for name, block in blocks.items() if block.enabled
    }
    return shown.schedule_table(title, timed, given, SCHEDULE)


def _when(block: Block) -> str:
    if block.start_iter is None:
        return "off"
    if block.end_iter is not None and block.end_iter <= block.start_iter:
        return "never (end_iter <= start_iter)"
    until = "" if block.end_iter is None else f" until {block.end_iter} (exclusive)"
    if block.start_when is not None:
        every = f"every {_ordinal(block.step)} from " if block.step > 1 else ""
        earliest = f", not before {block.start_iter}" if block.start_iter > 1 else ""
        return f"{every}{block.start_when}{earliest}{until and ',' + until}"
    if block.step > 1:
        return f"every {_ordinal(block.step)} from {block.start_iter}{until}"
    if until:
        return f"from {block.start_iter}{until}"
    return (
        "every iteration" if block.start_iter == 1 else f"every iteration from {block.start_iter}"
    )


def _ordinal(n: int) -> str:
    ending = "th" if n % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(n % 10, "th")
    return f"{n}{ending}"
