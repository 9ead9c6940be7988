"""What is kept between calls, and how to let go of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

F = TypeVar("F", bound=Callable[[], None])

_releases: list[Callable[[], None]] = []


def released(release: F) -> F:
    """Let `clear_caches` call a function, which forgets what its module keeps."""
    _releases.append(release)
    return release


def clear_caches() -> None:
    """Release what is kept for CuPy arrays between calls.

    These are the cuFFT plans of the calling thread, whose work memory is about as large as what
    they transform, and the compiled kernels; the next call makes them anew. For other arrays
    nothing of any size is kept. The memory goes back to CuPy's pool, and from there to the device
    by ``cupy.get_default_memory_pool().free_all_blocks()``.

    Needs no CuPy, and does not import it.

    Examples
    --------
    >>> import arraycon
    >>> arraycon.clear_caches()
    """
    for release in _releases:
        release()
