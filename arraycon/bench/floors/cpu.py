"""Floors on the CPU: a copy, or bare transforms.

Buffers are allocated beforehand, nothing is multiplied and nothing selected. Transforms are ducc0's
if it is installed, else SciPy's, with the same threads as everything else; a floor is what these
libraries reach and not a theorem, so a ratio just below 1 is possible.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from arraycon.bench.cases import OBJECT, Case, Fields
from arraycon.bench.floors.common import COPY, masked
from arraycon.bench.places import Run
from arraycon.kernels.common import threads

Array = NDArray[Any]

_LATERAL, _VOLUME, _DEPTH = (-2, -1), (-3, -2, -1), (-3,)
_GRAIN = 1 << 16  # elements; less is not worth a thread


def floor(case: Case, fields: Fields) -> tuple[str, list[Run]]:
    """Say what the floor of a case is, and give the functions that together are it."""
    copy = COPY, _copies
    # whatever is done to a complex object, as much as a copy moves has to be read and written
    kind, make = copy if case.form == "complex" else FLOORS.get(case.name, copy)
    return kind, make(case, fields)


def _copies(case: Case, fields: Fields) -> list[Run]:
    return [_copy(fields[name]) for name in case.arrays]


def _copy(array: Array) -> Run:
    source, target = array.reshape(-1), np.empty(array.size, array.dtype)
    target[...] = source  # so that no page is touched for the first time while the clock runs

    def part(start: int, stop: int) -> None:
        target[start:stop] = source[start:stop]

    return lambda: threads.run(part, source.size, grain=_GRAIN)


def _parts(case: Case, fields: Fields) -> list[Array]:
    return [fields[name] for name in OBJECT if name in case.writes]


def _lateral_pairs(case: Case, fields: Fields) -> list[Run]:
    return _real_pairs(_parts(case, fields), _LATERAL)


def _volume_pairs(case: Case, fields: Fields) -> list[Run]:
    return _real_pairs(_parts(case, fields), _VOLUME)


def _masked_pairs(case: Case, fields: Fields) -> list[Run]:
    return [_complex_pair(_strongest(case, fields), _LATERAL)]


def _depth_pair(case: Case, fields: Fields) -> list[Run]:
    amplitude, phase = _parts(case, fields)
    return [
        _complex_pair(amplitude * np.exp(1j * phase), _DEPTH),
        _complex_pair(fields["probe"], _LATERAL),
    ]


def _focus_search(case: Case, fields: Fields) -> list[Run]:
    """One inverse transform per plane, and to the focus and back with the masked modes."""
    probe = fields["probe"]
    planes = case.parameters["z_steps"]
    pair = _complex_pair(_strongest(case, fields), _LATERAL)
    inverse = _engine().inverse
    width = min(planes, 2 * threads.count())
    stack = np.repeat(probe[:1], width, axis=0)
    target = np.empty_like(stack)

    def search() -> None:
        for start in range(0, planes, width):
            n = min(width, planes - start)
            inverse(stack[:n], target[:n], _LATERAL)

    return [search, pair, pair]


def _strongest(case: Case, fields: Fields) -> Array:
    probe: Array = fields["probe"]
    return probe[: masked(case, probe)]


class _Ducc:
    """`ducc0.fft` into given buffers."""

    def __init__(self) -> None:
        self._fft = importlib.import_module("ducc0").fft

    def forward(self, x: Array, out: Array, axes: tuple[int, ...]) -> None:
        self._fft.c2c(x, axes=axes, out=out, nthreads=threads.count())

    def inverse(self, x: Array, out: Array, axes: tuple[int, ...]) -> None:
        self._fft.c2c(x, axes=axes, forward=False, inorm=2, out=out, nthreads=threads.count())

    def real_forward(self, x: Array, out: Array, axes: tuple[int, ...]) -> None:
        self._fft.r2c(x, axes=axes, out=out, nthreads=threads.count())

    def real_inverse(self, x: Array, out: Array, axes: tuple[int, ...]) -> None:
        n = out.shape[axes[-1]]
        self._fft.c2r(
            x, axes=axes, lastsize=n, forward=False, inorm=2, out=out, nthreads=threads.count(),
            allow_overwriting_input=True,
        )  # fmt: skip

    def cosine(self, x: Array, out: Array, kind: int) -> None:
        self._fft.dct(
            x, type=kind, axes=_LATERAL, inorm=2 * (kind == 3), out=out, nthreads=threads.count()
        )


class _Scipy:
    """`scipy.fft`, which makes its own buffers."""

    def __init__(self) -> None:
        self._fft = importlib.import_module("scipy.fft")

    def forward(self, x: Array, _out: Array, axes: tuple[int, ...]) -> None:
        self._fft.fftn(x, axes=axes, workers=threads.count())

    def inverse(self, x: Array, _out: Array, axes: tuple[int, ...]) -> None:
        self._fft.ifftn(x, axes=axes, workers=threads.count())

    def real_forward(self, x: Array, _out: Array, axes: tuple[int, ...]) -> None:
        self._fft.rfftn(x, axes=axes, workers=threads.count())

    def real_inverse(self, x: Array, out: Array, axes: tuple[int, ...]) -> None:
        sizes = [out.shape[axis] for axis in axes]
        self._fft.irfftn(x, s=sizes, axes=axes, workers=threads.count())

    def cosine(self, x: Array, _out: Array, kind: int) -> None:
        self._fft.dctn(x, type=kind, axes=_LATERAL, workers=threads.count())


def _engine() -> _Ducc | _Scipy:
    return _Ducc() if importlib.util.find_spec("ducc0") else _Scipy()


def _real_pairs(arrays: list[Array], axes: tuple[int, ...]) -> list[Run]:
    """Transform arrays of one shape, by way of the same two buffers."""
    engine, x = _engine(), arrays[0]
    half = (*x.shape[:-1], x.shape[-1] // 2 + 1)
    spectrum, back = np.zeros(half, np.result_type(x, np.complex64)), np.empty_like(x)

    def pair(x: Array) -> None:
        engine.real_forward(x, spectrum, axes)
        engine.real_inverse(spectrum, back, axes)

    return [functools.partial(pair, x) for x in arrays]


def _complex_pair(x: Array, axes: tuple[int, ...]) -> Run:
    engine, spectrum = _engine(), np.empty_like(x)

    def pair() -> None:
        engine.forward(x, spectrum, axes)
        engine.inverse(spectrum, spectrum, axes)

    return pair


def _cosine_pairs(case: Case, fields: Fields) -> list[Run]:
    """Transform the parts, by way of one buffer."""
    parts = _parts(case, fields)
    engine, spectrum = _engine(), np.empty_like(parts[0])

    def pair(x: Array) -> None:
        engine.cosine(x, spectrum, 2)
        engine.cosine(spectrum, spectrum, 3)

    return [functools.partial(pair, x) for x in parts]


FLOORS: dict[str, tuple[str, Callable[[Case, Fields], list[Run]]]] = {
    "probe_mask_k": ("fft2 pair (masked)", _masked_pairs),
    "probe_mask_r": ("ifft2 per plane", _focus_search),
    **dict.fromkeys(("kr_filter", "obj_bandpass", "grid_notch"), ("rfft2 pair", _lateral_pairs)),
    **dict.fromkeys(("kz_filter", "obj_wedge"), ("rfft3 pair", _volume_pairs)),
    **dict.fromkeys(("kr_thresh", "obj_gaussian"), ("DCT pair", _cosine_pairs)),
    "obj_z_recenter": ("depth FFT pair", _depth_pair),
    **dict.fromkeys(
        (
            "ortho_pmode",
            "fix_probe_int",
            "obj_probe_scale",
            "phase_ramp",
            "obj_rblur",
            "obj_zblur",
            "obj_smooth",
            "identical_slices",
            "obj_tv",
            "ortho_omode",
            "obj_baseline",
            "obj_shrink",
            "complex_ratio",
            "mirrored_amp",
            "obj_fill",
            "obja_thresh",
            "objp_thresh",
            "objp_postiv",
            "pos_recenter",
            "tilt_smooth",
        ),
        (COPY, _copies),
    ),
}
"""What a floor is, and what makes its parts; others have a copy until somebody knows better."""
