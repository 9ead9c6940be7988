"""Compilation by Numba, with a cache on disk wherever there is a place for one."""

from __future__ import annotations

import contextlib
import functools
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("arraycon")

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
# contract: a·b + c in one rounding. Nothing that assumes finite numbers: NaN must stay visible.
_STRICT = {"contract"}


def kernel(function: F) -> F:
    """Compile a function for each combination of dtypes it is called with.

    The result is cached beside the source, or in the user's cache folder where that is read-only;
    without either it is compiled in each process.
    """
    return _compile(function, _STRICT)


def summing(function: F) -> F:
    """Compile as `kernel`, allowing sums in any order, which lets them be vectorised."""
    return _compile(function, _STRICT | {"reassoc"})


def _compile(function: F, fastmath: set[str]) -> F:
    try:
        compiled = numba.njit(cache=True, fastmath=fastmath, **_OPTIONS)(function)
    except RuntimeError:  # "no locator available": there is no writable folder
        compiled = numba.njit(fastmath=fastmath, **_OPTIONS)(function)
    else:
        _guard(compiled)
    result: F = compiled
    return result


def _guard(compiled: Any) -> None:
    """Let a damaged cache or a full disk cost time only: Numba fails on either.

    And let a change in any file of this folder make it compile anew: Numba looks at the kernel's
    own file only, although it compiles what that calls in others along with it.
    """
    cache = compiled._cache
    cache._cache_file._source_stamp = _stamp()
    load, save = cache.load_overload, cache.save_overload

    def load_if_sound(*arguments: Any) -> Any:
        try:
            return load(*arguments)
        except Exception as error:  # unpickling garbage can raise anything
            logger.warning("compiling anew, the cache %s is damaged: %s", cache.cache_path, error)
            return None

    def save_if_possible(*arguments: Any) -> None:
        try:
            save(*arguments)
        except Exception as error:  # a full disk, or the same damage
            logger.warning("not cached in %s: %s", cache.cache_path, error)
            with contextlib.suppress(OSError):
                cache.flush()

    cache.load_overload, cache.save_overload = load_if_sound, save_if_possible


@functools.cache
def _stamp() -> tuple[int, int]:
    found = [path.stat() for path in Path(__file__).parent.glob("*.py")]
    return max(one.st_mtime_ns for one in found), sum(one.st_size for one in found)
