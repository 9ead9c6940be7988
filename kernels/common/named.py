"""The functions as users call them: numbers without their names are told which names there are."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any


def by_name(function: Callable[..., Any], module: str) -> Callable[..., Any]:
    """Return a function that says more than how many arguments it takes.

    Parameters
    ----------
    function : callable
        Arrays, then numbers by name; everything about it is kept, but that it is found, and pickled
        by its name, in `module`.
    module : str
        Where the result is kept.
    """
    number: int = inspect.unwrap(function).__code__.co_argcount

    @functools.wraps(function)
    def call(*given: Any, **named: Any) -> Any:
        if len(given) > number:
            raise _unnamed(function, len(given))
        return function(*given, **named)

    call.__module__ = module
    return call


def _unnamed(function: Callable[..., Any], given: int) -> TypeError:
    parameters = inspect.signature(function).parameters.values()
    arrays = [each.name for each in parameters if each.kind is each.POSITIONAL_OR_KEYWORD]
    numbers = [f"{each.name}=" for each in parameters if each.kind is each.KEYWORD_ONLY]
    return TypeError(
        f"{function.__name__}: expected {', '.join(arrays)} and everything else by name "
        f"({', '.join(numbers)}), got {given} arguments without one"
    )
