"""Ranges of the object's amplitude and phase."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from arraycon.kernels.common import threads
from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel, summing
from arraycon.kernels.cpu.tools.sums import BLOCK, run_ranges

# Fewer elements than this are done before a second thread has started; one thread is almost as fast
# as the memory. With sums it is busy for three times as long, and still two threads took 1.1 times
# as long as one for 6×512×512.
_GRAIN = 1 << 20
# Ranges that one thread takes turns in, and elements of each turn. 5.2 million float32 take 0.40 ms
# in the cache and 0.57 outside, from one end to the other 0.48 and 0.64, by np.clip 0.68 and 0.74.
_STREAMS = 4
_TURN = 256


def obja_thresh(
    amplitude: Array,
    *,
    relax: float,
    thresh: tuple[float, float],
    sums: Array | None = None,
    source: Array | None = None,
) -> None:
    """Relax the amplitude into a range."""
    cast = amplitude.dtype.type
    limits = cast(relax), cast(1 - relax), cast(thresh[0]), cast(thresh[1])
    _change(amplitude, source, sums, _clip, _clip_blocks, limits)


def objp_thresh(
    phase: Array,
    *,
    relax: float,
    thresh: tuple[float, float],
    sums: Array | None = None,
    source: Array | None = None,
) -> None:
    """Relax the phase into a range."""
    obja_thresh(phase, relax=relax, thresh=thresh, sums=sums, source=source)


def objp_postiv(
    phase: Array,
    *,
    relax: float,
    mode: str,
    sums: Array | None = None,
    source: Array | None = None,
) -> None:
    """Relax the phase towards non-negative values."""
    cast = phase.dtype.type
    if mode == "subtract_min":
        flat = (phase if source is None else source).reshape(-1)
        # NumPy's minimum is vectorised and keeps NaN; a Numba loop that keeps NaN is not faster
        lows: list[float] = []
        threads.run(lambda i, j: lows.append(np.min(flat[i:j])), flat.size, grain=_GRAIN)
        offset = cast(relax), cast(1 - relax), cast(np.min(lows))
        _change(phase, source, sums, _lower, _lower_blocks, offset)
        return
    limits = cast(relax), cast(1 - relax), cast(0), cast(np.inf)
    _change(phase, source, sums, _clip, _clip_blocks, limits)


def _change(
    x: Array, source: Array | None, sums: Array | None, plain: Any, measured: Any, numbers: Any
) -> None:
    flat = x.reshape(-1)
    if sums is None:
        given = flat if source is None else source.reshape(-1)
        work = functools.partial(plain, given, flat, source is not None, *numbers)
        threads.run(work, flat.size, grain=_GRAIN)
    else:
        run_ranges(
            lambda parts, i, j: measured(flat, parts, i, j, *numbers),
            flat.size,
            sums[0],
            grain=_GRAIN,
        )


@kernel
def _clip(source, x, apart, relax, keep, low, high, start, stop):
    """Clip a range of an array; or write it to another one, if they are apart.

    That waits for new pages, from one end to the other as well as in turns. A copy that is clipped
    then took 1.7 times as long as `np.clip` does for a new array, this takes 1.0 to 1.15.
    """
    if apart:
        _clip_from(source[start:stop], x[start:stop], relax, keep, low, high)
        return
    size = (stop - start) // _STREAMS
    for first in range(start, start + size, _TURN):
        last = min(first + _TURN, start + size)
        for stream in range(_STREAMS):
            _clip_one(x[stream * size + first : stream * size + last], relax, keep, low, high)
    _clip_one(x[start + _STREAMS * size : stop], relax, keep, low, high)


@kernel
def _clip_one(x, relax, keep, low, high):
    # one array, not input and output: the same memory under two names is not vectorised
    for i in range(x.size):
        value = x[i]
        clipped = low if value < low else value
        clipped = high if clipped > high else clipped
        x[i] = relax * value + keep * clipped


@kernel
def _clip_from(source, x, relax, keep, low, high):
    for i in range(x.size):
        value = source[i]
        clipped = low if value < low else value
        clipped = high if clipped > high else clipped
        x[i] = relax * value + keep * clipped


@kernel
def _lower(source, x, apart, relax, keep, offset, start, stop):
    if apart:
        for i in range(start, stop):
            value = source[i]
            x[i] = relax * value + keep * (value - offset)
    else:
        for i in range(start, stop):
            value = x[i]
            x[i] = relax * value + keep * (value - offset)


# In one loop: in three over what is in the first-level cache, for which old values were kept, this
# took 1.2 times as long.
@summing
def _clip_measured(x, relax, keep, low, high):
    changed = before = 0.0
    for i in range(x.size):
        value = x[i]
        clipped = low if value < low else value
        clipped = high if clipped > high else clipped
        new = relax * value + keep * clipped
        x[i] = new
        old = np.float64(value)
        difference = np.float64(new) - old
        changed += difference * difference
        before += old * old
    return changed, before


@kernel
def _clip_blocks(x, sums, first, last, relax, keep, low, high):
    for i in range(first, last):
        part = x[i * BLOCK : (i + 1) * BLOCK]
        sums[i] = _clip_measured(part, relax, keep, low, high)


@summing
def _lower_measured(x, relax, keep, offset):
    changed = before = 0.0
    for i in range(x.size):
        value = x[i]
        new = relax * value + keep * (value - offset)
        x[i] = new
        old = np.float64(value)
        difference = np.float64(new) - old
        changed += difference * difference
        before += old * old
    return changed, before


@kernel
def _lower_blocks(x, sums, first, last, relax, keep, offset):
    for i in range(first, last):
        part = x[i * BLOCK : (i + 1) * BLOCK]
        sums[i] = _lower_measured(part, relax, keep, offset)
