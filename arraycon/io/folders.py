"""Folders for what is needed for a while: removed at the end, or by the next run after a kill."""

from __future__ import annotations

import contextlib
import os
import shutil
import tempfile
import warnings
from pathlib import Path
from typing import Any

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_PREFIX = ".arraycon-blocks-"


class Passing:
    """A folder that is locked as long as this process has it.

    Parameters
    ----------
    above : Path, optional
        Where it is made, and where those of processes that were killed are removed; by default
        where temporary files are.

    Attributes
    ----------
    path : Path
    """

    def __init__(self, above: Path | None = None) -> None:
        if above is not None:
            _sweep(above)
        while True:
            self.path = Path(tempfile.mkdtemp(prefix=_PREFIX, dir=above))
            self._lock = _locked(self.path)
            if self.path.is_dir():
                return
            self.remove()  # another process swept it away before it was locked

    def remove(self) -> None:
        """Remove it with all that is in it; once more does no harm."""
        shutil.rmtree(self.path, ignore_errors=True)
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def _locked(path: Path) -> int | None:
    if fcntl is None:
        return None
    try:
        opened = os.open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # a file system without locks: nobody takes this for abandoned
        os.close(opened)
        return None
    return opened


def _sweep(above: Path) -> None:
    """Remove folders of processes that are gone: the lock of such a one is free."""
    if fcntl is None:
        return
    for path in above.glob(f"{_PREFIX}*"):
        with contextlib.suppress(OSError):  # not ours, or of a file system without locks
            opened = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
            try:
                fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(path)
            finally:
                os.close(opened)
            warnings.warn(
                f"{path}: removed; a run that was killed had left its blocks there", stacklevel=5
            )
