"""Floors on a GPU: a copy, or bare cuFFT transforms."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from typing import Any

import numpy as np

from arraycon.bench.cases import OBJECT, Case, Fields
from arraycon.bench.floors.common import COPY, masked
from arraycon.bench.places import Run

_TOGETHER = 32 << 20  # bytes of planes that are transformed at a time in the focus search


def floor(case: Case, fields: Fields) -> tuple[str, list[Run]]:
    """Say what the floor of a case is, and give the functions that together are it.

    Everything is written to buffers made beforehand.
    """
    copy = COPY, _copies
    # whatever is done to a complex object, as much as a copy moves has to be read and written
    kind, make = copy if case.form == "complex" else FLOORS.get(case.name, copy)
    return kind, make(case, fields)


def _copies(case: Case, fields: Fields) -> list[Run]:
    pairs = [(fields[name], fields[name].copy()) for name in case.arrays]

    def part(source: Any, target: Any) -> Run:
        return lambda: target.__setitem__(..., source)

    return [part(*pair) for pair in pairs]


def _lateral_pairs(case: Case, fields: Fields) -> list[Run]:
    cupy, transforms = _modules()
    arrays = [fields[name] for name in OBJECT if name in case.writes]
    like = arrays[0]
    half = (*like.shape[:-1], like.shape[-1] // 2 + 1)
    spectrum, back = cupy.empty(half, np.result_type(like.dtype, np.complex64)), like.copy()

    def part(x: Any) -> Run:
        def pair() -> None:
            transforms.rfft(x, spectrum)
            transforms.irfft(spectrum, back)

        return pair

    return [part(x) for x in arrays]


def _masked_pairs(case: Case, fields: Fields) -> list[Run]:
    _, transforms = _modules()
    modes = fields["probe"][: masked(case, case.fields()["probe"])].copy()
    return [lambda: transforms.fft(modes), lambda: transforms.fft(modes, inverse=True)]


def _focus_search(case: Case, fields: Fields) -> list[Run]:
    """One inverse transform per plane, and to the focus and back with the masked modes."""
    cupy, transforms = _modules()
    planes = case.parameters["z_steps"]
    mode = fields["probe"][:1]
    together = min(max(1, _TOGETHER // mode.nbytes), planes)
    stack = cupy.repeat(mode, together, axis=0)

    def search() -> None:
        for start in range(0, planes, together):
            transforms.fft(stack[: min(together, planes - start)], inverse=True)

    return [search, *_masked_pairs(case, fields), *_masked_pairs(case, fields)]


def _modules() -> tuple[Any, Any]:
    names = "cupy", "arraycon.kernels.gpu.tools.transforms"
    cupy, transforms = (importlib.import_module(name) for name in names)
    return cupy, transforms


FLOORS: dict[str, tuple[str, Callable[[Case, Fields], list[Run]]]] = {
    "probe_mask_k": ("fft2 pair (masked)", _masked_pairs),
    "probe_mask_r": ("ifft2 per plane", _focus_search),
    # a cosine transform takes a real one of the same size; what is done in depth may take no pass
    # of its own, as in kz_filter, and obj_wedge is the same filter
    **dict.fromkeys(
        (
            "kr_filter",
            "kz_filter",
            "kr_thresh",
            "obj_gaussian",
            "obj_bandpass",
            "obj_wedge",
            "grid_notch",
        ),
        ("rfft2 pair", _lateral_pairs),
    ),
    # total variation too: updates may be done in tiles that leave their block at the end
    **dict.fromkeys(
        (
            "identical_slices",
            "obj_smooth",
            "obj_tv",
            "obj_shrink",
            "objp_thresh",
            "obj_baseline",
            "obj_fill",
            "phase_ramp",
            "ortho_omode",
            "obj_probe_scale",
        ),
        (COPY, _copies),
    ),
}
"""What a floor is, and what makes its parts; others have a copy until somebody knows better."""
