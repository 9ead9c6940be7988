"""Settings in the environment, which calls look at anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any


def variable(name: str) -> Callable[[], str]:
    """Return what looks up an environment variable; it gives an empty text where none is set.

    ``os.environ.get`` of one that is not set is three interpreted calls and an exception: between
    calls on large arrays, when all that is out of the caches, it takes 12 µs where a clamp of
    6×512² takes 280. What it looks into is not promised; where it is not there, it is asked itself.
    """
    environment: Any = os.environ
    try:
        key, kept = environment.encodekey(name), environment._data
    except AttributeError:
        kept, key = (), name

    def look_up() -> str:
        if os.environ is environment and kept and key not in kept:
            return ""
        return os.environ.get(name, "")

    return look_up
