"""Advice on parameters that are valid but probably do not do what was meant."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from arraycon.params.block import Block
from arraycon.params.models import ObjRblur, ObjZblur
from arraycon.params.registry import MODELS


def about(blocks: Mapping[str, Block], given: frozenset[str]) -> list[str]:
    """Go through all blocks; `given` names those that the user wrote down."""
    found = []
    for name, block in blocks.items():
        if name in given and "start_iter" not in block.model_fields_set:
            found.append(_note_start(name, block))
        if block.start_iter and block.end_iter and block.end_iter <= block.start_iter:
            found.append(
                f"{name}: never runs, as end_iter {block.end_iter} is not after "
                f"start_iter {block.start_iter}"
            )
        if name in given and block.enabled and isinstance(block, ObjRblur | ObjZblur):
            found += _note_truncation(name, block)
    return found + _note_z_twice(blocks["kz_filter"], blocks["obj_zblur"], given)


def _note_z_twice(one: Any, other: Any, given: frozenset[str]) -> list[str]:
    same_part = one.obj_type == other.obj_type or "both" in (one.obj_type, other.obj_type)
    if not (same_part and _overlap(one, other)):
        return []
    by_default = "" if "obj_zblur" in given else ", the latter only by default"
    return [f"kz_filter and obj_zblur both smooth z{by_default}; obj_zblur: null switches it off"]


def _note_start(name: str, block: Block) -> str:
    if not block.enabled:
        return f"{name}: stays off, for no start_iter is given; start_iter: 1 switches it on"
    runs = f"{name}: runs from iteration {block.start_iter}, though no start_iter is given"
    return f"{runs}; PtyRAD's own loader would leave it off" if name in MODELS else runs


def _note_truncation(name: str, block: ObjRblur | ObjZblur) -> list[str]:
    size, std = block.kernel_size, block.std
    if size >= 6 * std + 1:
        return []
    reach = min(size // 2, 9999)  # an absurd size must not take seconds to describe
    taps = [(j * j, math.exp(-((j / std) ** 2) / 2)) for j in range(-reach, reach + 1)]
    actual = math.sqrt(sum(jj * tap for jj, tap in taps) / sum(tap for _, tap in taps))
    whole = f"{2 * math.ceil(3 * std) + 1}" if std < 1e6 else f"{6 * std + 1:.3g}"
    return [
        f"{name}: kernel_size {size} cuts off the Gaussian of std {std:g}, which acts as "
        f"std {actual:.3g}; all of it needs kernel_size {whole}"
    ]


def _overlap(one: Block, other: Block) -> bool:
    if one.start_iter is None or other.start_iter is None:
        return False
    ends = [block.end_iter for block in (one, other) if block.end_iter is not None]
    return max(one.start_iter, other.start_iter) < min(ends, default=math.inf)
