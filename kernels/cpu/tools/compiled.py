"""Compilation by Numba, with a cache on disk wherever there is a place for one."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import numba

F = TypeVar("F", bound=Callable[..., Any])

logger = logging.getLogger("arraycon")
# by itself, so that a program can show these lines and no others
spoken = logging.getLogger("arraycon.compiling")

_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "boundscheck": False}
# contract: a·b + c in one rounding. Nothing that assumes finite numbers: NaN must stay visible.
_STRICT = {"contract"}
_LAYER = Path(__file__).parents[1]
_PACKAGE = __name__.partition(".")[0]
_PATIENCE = 1.0  # s of compiling that pass without a word

_reasons: list[str] = []


def kernel(function: F) -> F:
    """Compile a function for each combination of dtypes it is called with.

    The result is cached beside the source, or in the user's cache folder where that is read-only;
    without either it is compiled in each process.
    """
    return _compile(function, _STRICT)


def summing(function: F) -> F:
    """Compile as `kernel`, allowing sums in any order, which lets them be vectorised."""
    return _compile(function, _STRICT | {"reassoc"})


def kept_nowhere() -> str:
    """Say why machine code is not kept on disk; empty if it is."""
    return _reasons[0] if _reasons else ""


def _compile(function: F, fastmath: set[str]) -> F:
    compiled = None
    if not _reasons:
        try:
            compiled = numba.njit(cache=True, fastmath=fastmath, **_OPTIONS)(function)
            _guard(compiled)
        except (RuntimeError, AttributeError) as error:
            # "no locator available": there is no writable folder; or Numba's inside has changed
            compiled = None
            _reasons.append(str(error))
            logger.info("machine code is not kept on disk, but made in each process: %s", error)
    result: F = compiled or numba.njit(fastmath=fastmath, **_OPTIONS)(function)
    return result


def _guard(compiled: Any) -> None:
    """Let a damaged cache or a full disk cost time only: Numba fails on either.

    And let a change in any file of this layer make it compile anew: Numba looks at the kernel's own
    file only, although it compiles what that calls in others along with it. The cache's insides are
    not promised; without them there would be stale machine code, so that there is no cache then.
    """
    cache = compiled._cache
    if not hasattr(cache._cache_file, "_source_stamp"):
        raise AttributeError("Numba's cache has no _source_stamp any more")
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
    """Newest change and total size of all sources of the layer."""
    found = [path.stat() for path in _LAYER.rglob("*.py")]
    return max(one.st_mtime_ns for one in found), sum(one.st_size for one in found)


class _Announcer:
    """Says once in a process that the time goes into compiling."""

    def __init__(self) -> None:
        self._said = False
        self._depth = 0
        self._since = 0.0
        self._before = 0.0

    def notify(self, event: Any) -> None:
        """Take note of the start or the end of one function's compilation."""
        function = getattr(event.data.get("dispatcher"), "py_func", None)
        if self._said or not str(getattr(function, "__module__", "")).startswith(f"{_PACKAGE}."):
            return
        now = time.perf_counter()
        if event.is_start:
            self._since = self._since if self._depth else now
            self._depth += 1
        else:
            self._depth = max(0, self._depth - 1)
        spent = self._before + now - self._since
        if not self._depth:
            self._before = spent
        if spent > _PATIENCE:
            self._said = True
            kept = "in this process only" if _reasons else "once for this installation"
            spoken.warning(
                "compiling kernels for this processor, %s; `arraycon warmup` does it ahead", kept
            )


def _announce() -> None:
    try:
        from numba.core import event

        event.Listener.register(_Announcer)
        event.register("numba:compile", _Announcer())
    except (ImportError, AttributeError) as error:  # it only says what takes so long
        logger.debug("compilation will not be announced: %s", error)


_announce()
