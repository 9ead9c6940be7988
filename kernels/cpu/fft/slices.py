"""Which transforms take slices of a size, and the division of slices among threads."""

from __future__ import annotations

import functools
import importlib
import logging
from collections.abc import Callable
from typing import Any

from arraycon.kernels.common import settings, threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.fft.contract import SliceTransforms
from arraycon.kernels.cpu.fft.guarded import Guarded
from arraycon.kernels.cpu.fft.library import LIBRARY
from arraycon.kernels.cpu.tools import compiled

logger = logging.getLogger("arraycon")

SWITCH = "ARRAYCON_FFT"
_setting = settings.variable(SWITCH)

_OWN = f"{__package__}.transform"

# Fewer pixels than this are transformed before a second thread has woken up: kr_filter took 1.2 to
# 1.4 times as long with two threads for six slices of 128², and for less.
_GRAIN = 1 << 16


def engine(ny: int, nx: int) -> SliceTransforms:
    """Return what transforms slices of this size: the own transforms where they are faster.

    Raises
    ------
    ValueError
        The environment variable ``ARRAYCON_FFT`` holds something else than ``auto`` or
        ``library``.
    """
    setting = _setting() or "auto"
    if setting not in ("auto", "library"):
        raise ValueError(f"{SWITCH}: expected auto or library, got {setting!r}")
    own = _own() if setting == "auto" else None
    return own[1] if own is not None and own[0](ny, nx) else LIBRARY


def why_library() -> str:
    """Say why the own transforms are not used at all; empty if they are."""
    if _setting() == "library":
        return f"{SWITCH}=library"
    own = _own()
    if own is None:
        return "they cannot be used here"
    return "" if own[0](64, 64) else "this processor has no AVX2"


@functools.cache
def _own() -> tuple[Callable[[int, int], bool], SliceTransforms] | None:
    """Return which sizes suit the own transforms, and these; None where they are no gain."""
    try:
        module = importlib.import_module(_OWN)
        suits, own = module.suits, Guarded(module)
    except Exception as error:  # they build on more of Numba than it promises to keep
        logger.warning("the vector transforms cannot be used, a library transforms: %r", error)
        return None
    if compiled.kept_nowhere():
        # compiling them takes 11 s at the first kr_filter of every process, the rest of it 2
        logger.info("machine code cannot be kept here: a library transforms, not vector kernels")
        return None
    return suits, own


def memory(make: Callable[[SliceTransforms], Any], slices: Array) -> list[Any]:
    """Return scratch memory for `run` on these slices, had before anything is written.

    Parameters
    ----------
    make : callable
        Returns, for an engine, the scratch memory of one thread.
    """
    chosen, together, grain = _division(slices)
    if together:
        return [make(chosen)]
    return threads.memory(lambda: make(chosen), len(slices), grain=grain)


def run(work: Callable[..., None], slices: Array, memory: list[Any] | None = None) -> None:
    """Call ``work(engine, start, stop)`` on ranges that together cover all slices.

    With `memory`, of the function of that name, one of its members is a fourth argument.

    An rfft2 pair of 20×512×512 float32 by ducc0 on two threads took 13 ms slice by slice, one
    thread each, and 22 ms in one call with two threads: a slice stays in the cache. With fewer
    slices than threads, a library divides each of them if they are large.
    """
    chosen, together, grain = _division(slices)
    if together:
        work(chosen, 0, len(slices), *(memory or ()))
        return

    def part(start: int, stop: int, *scratch: Any) -> None:
        work(chosen, start, stop, *scratch)

    threads.run(part, len(slices), grain=grain, memory=memory)


def _division(slices: Array) -> tuple[SliceTransforms, bool, int]:
    """Return the engine, whether it takes all slices in one call, and how few are for a thread."""
    ny, nx = slices.shape[-2:]
    chosen = engine(ny, nx)
    few = len(slices) < threads.count() and ny * nx >= 2 * _GRAIN
    return chosen, chosen is LIBRARY and few, max(1, _GRAIN // (ny * nx))
