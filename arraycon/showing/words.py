"""Numbers and names as they are shown."""

from __future__ import annotations

from collections.abc import Iterable

_UNITS = ("B", "kB", "MB", "GB", "TB", "PB")


def readable(size: int) -> str:
    """Write a number of bytes with its unit."""
    power = min((len(str(max(size, 0))) - 1) // 3, len(_UNITS) - 1)
    return f"{size / 1000**power:.3g} {_UNITS[power]}"


def public(names: Iterable[str]) -> list[str]:
    """Return the names that are offered where somebody completes one."""
    return sorted(name for name in names if not name.startswith("_"))
