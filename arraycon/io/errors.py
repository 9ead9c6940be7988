"""What can be wrong with files."""

from __future__ import annotations

_LONGEST = 300  # characters: NumPy quotes the whole header of a damaged array


class ReadError(ValueError):
    """A file that cannot be read, or that does not hold what it should."""


class OutputError(ValueError):
    """An output path that cannot be used, found before anything is computed or written."""


class WriteError(RuntimeError):
    """Writing failed midway; no partial file is left."""


def reason(error: BaseException) -> str:
    """One line saying what went wrong, without the path or number that Python adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    if not lines:
        return type(error).__name__
    return lines[0] if len(lines[0]) <= _LONGEST else f"{lines[0][:_LONGEST]} …"
