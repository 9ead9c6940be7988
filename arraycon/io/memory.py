"""How much memory there is, asked before a file's own numbers make us take it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from arraycon.io.errors import ReadError
from arraycon.showing import readable

resource: Any
try:
    import resource
except ImportError:  # Windows
    resource = None

_CGROUPS = (
    (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory.current")),
    (
        Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
        Path("/sys/fs/cgroup/memory/memory.usage_in_bytes"),
    ),
)


def require(needed: int, what: str, *, mapped: int = 0) -> None:
    """Refuse to begin what cannot fit.

    Parameters
    ----------
    needed : int
        Bytes.
    what : str
        What they are for; the message begins with it.
    mapped : int
        Bytes of addresses beside them that are taken and hardly used, which only a limit on
        addresses (``ulimit -v``) counts.

    Raises
    ------
    ReadError
        Fewer are available.
    """
    for there, asked in ((free(), needed), (_addresses(), needed + mapped)):
        if there is not None and asked > there:
            raise ReadError(
                f"{what}: takes {readable(asked)} of memory, {readable(there)} are free"
            )


def free() -> int | None:
    """Return the bytes that are free in the machine or this process's share; None if unknown."""
    return min(_system(), default=None)


def _system() -> Iterator[int]:
    """Bytes that are free in the machine, and in this process's share of it."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        found = dict(line.split(":", 1) for line in lines)
        yield 1024 * int(found["MemAvailable"].split()[0])
    for limit, used in _CGROUPS:
        with contextlib.suppress(OSError, ValueError):  # "max" is no number: there is no limit
            yield max(0, int(limit.read_text()) - int(used.read_text()))


def _addresses() -> int | None:
    """Bytes of addresses that this process may still map; None if that is not limited."""
    if resource is None:
        return None
    with contextlib.suppress(OSError, ValueError):
        most, _ = resource.getrlimit(resource.RLIMIT_AS)
        if most != resource.RLIM_INFINITY:
            pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
            free: int = max(0, most - pages * resource.getpagesize())
            return free
    return None
