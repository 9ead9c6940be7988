"""Compile everything ahead of the first real call."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from typing import Any, Literal, get_args, get_origin

import numpy as np
from numpy.typing import NDArray

from arraycon.blocks import Block
from arraycon.constraints import declared
from arraycon.kernels import polar

_SCALARS: dict[str, Any] = {
    "dx": 0.2,
    "wavelength": 0.025,
    "slice_thickness": 8.0,
    "probe_intensity": 1.0,
    "scan_shape": (4, 4),
}
# 32 px at least: smaller slices are not transformed by what takes longest to compile
_OBJECT, _PROBE, _TABLE = (1, 4, 32, 32), (2, 32, 32), (16, 2)


def warmup() -> dict[str, float]:
    """Run every constraint once on small arrays, in both precisions and with each of its choices.

    A complex object is split and joined too, which is not among the times. What is compiled is kept
    on disk, so once per installation is enough; a later process only loads it.

    Returns
    -------
    dict of str to float
        Seconds that each constraint took, in the order of execution.

    Examples
    --------
    >>> import arraycon
    >>> seconds = arraycon.warmup()
    >>> list(seconds)[:2]
    ['probe_mask_k', 'probe_mask_r']
    """
    own = {name: one for name, one in declared().items() if one.built_in}
    seconds = dict.fromkeys(own, 0.0)
    for dtype in ("float32", "float64"):
        obj = polar.join(_amplitude(dtype), _phase(dtype))
        polar.split(obj)
        polar.with_phase(polar.with_amplitude(obj, polar.amplitude(obj)), polar.phase(obj))
        for name, one in own.items():
            start = time.perf_counter()
            for block in _choices(one.model, one.typical):
                fields = {field: _field(field, dtype) for field in one.needs(block)}
                if one.flat:
                    fields["object"] = fields["object"][:, :1]
                one.run(fields, block, {})
            seconds[name] += time.perf_counter() - start
    return seconds


def _choices(model: type[Block], typical: Mapping[str, Any]) -> Iterator[Block]:
    """Blocks with each value of each field that is a choice, the others as they typically are."""
    yield model(**typical)
    for name, field in model.model_fields.items():
        if get_origin(field.annotation) is Literal:
            others = (value for value in get_args(field.annotation) if value != field.default)
            yield from (model(**{**typical, name: value}) for value in others)


def _field(name: str, dtype: str) -> Any:
    return _SCALARS[name] if name in _SCALARS else _ARRAYS[name](dtype)


def _amplitude(dtype: str) -> NDArray[Any]:
    return np.asarray(1 + 0.02 * _noise(_OBJECT), dtype)


def _phase(dtype: str) -> NDArray[Any]:
    # off-centre in depth, so that recentring has something to move
    depth = np.arange(_OBJECT[1])[:, None, None]
    return np.asarray(np.abs(_noise(_OBJECT)) * depth, dtype)


def _probe(dtype: str) -> NDArray[Any]:
    modes = _noise(_PROBE) + 1j * _noise(_PROBE)[::-1]
    return np.asarray(modes, np.result_type(dtype, np.complex64))


def _object(dtype: str) -> NDArray[Any]:
    return np.asarray(polar.join(_amplitude(dtype), _phase(dtype)))


def _illumination(dtype: str) -> NDArray[Any]:
    return np.asarray(np.abs(_noise(_OBJECT[2:])), dtype)


def _vacuum_mask(dtype: str) -> NDArray[Any]:
    return np.asarray(_noise(_OBJECT[2:]) > 1).astype(dtype)


def _table(dtype: str) -> NDArray[Any]:
    return _noise(_TABLE).astype(dtype)


def _noise(shape: tuple[int, ...]) -> NDArray[Any]:
    return np.random.default_rng(0).normal(size=shape)


_ARRAYS: dict[str, Callable[[str], NDArray[Any]]] = {
    "object_amplitude": _amplitude,
    "object_phase": _phase,
    "object": _object,
    "illumination": _illumination,
    "vacuum_mask": _vacuum_mask,
    "probe": _probe,
    "position_shifts": _table,
    "tilts": _table,
}
