"""Only regular files are opened, and a file is known again when it is met later."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from pathlib import Path

from arraycon.io.errors import ReadError, reason

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)


@dataclass(frozen=True)
class Identity:
    """What tells whether a name still stands for the same file with the same content.

    Not the time at which its status changed: whoever makes a link to it or changes its permissions
    leaves the content as it is.
    """

    device: int
    inode: int
    size: int
    modified: int

    @classmethod
    def of(cls, file: Path | int) -> Identity | None:
        """Of a path or descriptor; None where there is no such file."""
        try:
            found = os.stat(file)
        except (FileNotFoundError, NotADirectoryError):
            return None
        return cls(found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns)


def kind_of(path: Path) -> str:
    """Say what a path is if it is no regular file, such as 'a pipe'; empty if it is one."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return ""
    return next((name for test, name in _KINDS if test(mode)), "not an ordinary file")


def require_regular(path: Path, expected: str = "a file") -> Path:
    """Refuse what cannot be read before it is opened: a pipe or a terminal would wait for good.

    Parameters
    ----------
    path : Path
        An input; symbolic links are followed.
    expected : str
        What is expected there, for the message.

    Raises
    ------
    ReadError
        It is missing, no regular file, or may not be read.
    """
    try:
        kind = kind_of(path)
        # h5py takes a file that may not be read for a damaged one
        if not kind:
            with path.open("rb"):
                pass
    except (FileNotFoundError, NotADirectoryError):
        gone = " (it is a link whose target is gone)" if path.is_symlink() else ""
        raise ReadError(f"{path}: no such file{gone}") from None
    except (OSError, RuntimeError, ValueError) as error:  # a loop of links, a name with \0
        raise ReadError(f"{path}: cannot be read: {reason(error)}") from error
    if kind:
        raise ReadError(f"{path}: is {kind}, expected {expected}")
    return path
