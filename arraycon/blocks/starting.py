"""Start rules: from which iteration a constraint runs, where errors decide it."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from typing import Annotated, Any

import pydantic
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from pydantic_core import PydanticCustomError


def _no_bool(value: object) -> object:
    if isinstance(value, bool):  # pydantic would read 1 from it
        raise PydanticCustomError("not_a_number", "not a number")
    return value


class StartWhen(BaseModel):
    """Begin when the error has all but stopped falling.

    Parameters
    ----------
    error_falls_below : float
        Share of itself, in (0, 1), by which the error of an iteration is below the one before. An
        error that rises has fallen by less than any share.
    for : int
        How many times running it has to fall by less.
    """

    model_config = ConfigDict(
        frozen=True, extra="forbid", allow_inf_nan=False, populate_by_name=True
    )

    error_falls_below: Annotated[float, BeforeValidator(_no_bool)] = Field(
        gt=0, lt=1, description="share of itself by which the error falls in an iteration"
    )
    times: Annotated[int, BeforeValidator(_no_bool)] = Field(
        3, ge=1, alias="for", description="how many times running it falls by less"
    )

    @pydantic.model_serializer
    def _dump(self) -> dict[str, Any]:
        # under the names that load again, whatever a caller says about aliases
        return {"error_falls_below": self.error_falls_below, "for": self.times}

    def began(self, errors: Mapping[int, float], earliest: int) -> int | None:
        """First iteration, `earliest` or later, at which the errors up to then fulfil the rule.

        Parameters
        ----------
        errors : mapping of int to float
            Errors by iteration. Where iterations are missing, the fall between two is shared out.
        earliest : int
            Counted from 1.

        Returns
        -------
        int or None
            It does not change when errors of later iterations are added: begun once, begun for all.
        """
        iterations, running = sorted(errors), 0
        for before, now in itertools.pairwise(iterations):
            fall = errors[before] - errors[now]
            slow = fall < self.error_falls_below * errors[before] * (now - before)
            # an error of 0 cannot fall any more
            running = running + 1 if slow or errors[before] == 0 else 0
            if running >= self.times and now >= earliest:
                return now
        return None

    def __str__(self) -> str:
        times = f", {self.times} times running" if self.times > 1 else ""
        return f"when the error falls by less than {100 * self.error_falls_below:g} %" + (
            f" an iteration{times}"
        )
