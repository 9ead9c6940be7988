"""Files that are either complete or absent."""

from __future__ import annotations

import contextlib
import os
import secrets
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from arraycon.io.errors import OutputError as OutputError
from arraycon.io.errors import ReadError as ReadError
from arraycon.io.errors import WriteError as WriteError
from arraycon.io.errors import reason as reason
from arraycon.io.regular import Identity, kind_of

fcntl: Any
try:
    import fcntl
except ImportError:  # Windows
    fcntl = None

_DRAFTS = ".arraycon-{}.tmp"


def check_output(
    path: Path,
    *,
    keep: Path | None = None,
    use: str = "choose another name",
    replace: bool = True,
) -> None:
    """Refuse an output path that could not be written, or that is a file to keep.

    Parameters
    ----------
    path : Path
        Where a file is going to be written.
    keep : Path, optional
        A file that must survive; symbolic and hard links to it are recognised.
    use : str
        What to do instead, for the message about `keep`.
    replace : bool
        Whether a file that is there already may be replaced.

    Raises
    ------
    OutputError
        The folder is missing or not writable, the path is no ordinary file or read-only, or it is
        `keep`, or is there already.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            raise OutputError(f"{path}: cannot be written: it is {kind_of(target)}")
        if not target.parent.is_dir():
            state = "is not a folder" if target.parent.exists() else "does not exist"
            raise OutputError(f"{path}: cannot be written: the folder {target.parent} {state}")
        if keep is not None and _same(target, keep):
            raise OutputError(f"{path}: is the same file as {keep}; {use}")
        exists = target.exists()
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise OutputError(f"{path}: cannot be written: {reason(error)}") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written: no permission in the folder {target.parent}")
    if exists and not replace:
        raise OutputError(f"{path}: exists already; --force replaces it")
    if exists and not os.access(target, os.W_OK):
        raise OutputError(f"{path}: cannot be written: the file is read-only")


def output_folder(
    folder: Path, names: Iterable[str], *, keep: Iterable[Path] = (), replace: bool = True
) -> None:
    """Make a folder for results, and find out now, not after minutes, whether it can take them.

    Parameters
    ----------
    folder : Path
        Made with its parents if need be.
    names : iterable of str
        Files that are going to be written there.
    keep : iterable of Path
        Files that must survive, such as inputs.
    replace : bool
        Whether files of these names that are there already may be replaced.

    Raises
    ------
    OutputError
        It cannot be made, or one of the files could not be written, or is one to keep, or is there
        already.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {reason(error)}") from error
    _check_files(folder, names, keep, replace)


def check_folder(
    folder: Path, names: Iterable[str], *, keep: Iterable[Path] = (), replace: bool = True
) -> None:
    """Refuse what `output_folder` would, as far as that is seen without making anything.

    For what is known before there is anything to write; arguments and errors as there.
    """
    if folder.is_dir():
        _check_files(folder, names, keep, replace)
        return
    above = next(path for path in (folder, *folder.parents) if path.exists())
    if not above.is_dir():
        raise OutputError(f"{folder}: cannot be made: {above} is no folder")
    if not os.access(above, os.W_OK | os.X_OK):
        raise OutputError(f"{folder}: cannot be made: {above} cannot be written to")


def _check_files(folder: Path, names: Iterable[str], keep: Iterable[Path], replace: bool) -> None:
    for name in names:
        for path in keep:
            check_output(folder / name, keep=path, use="choose another folder")
        check_output(folder / name, replace=replace)


@contextlib.contextmanager
def replacing(
    path: Path,
    *,
    like: Path | None = None,
    replace: bool = True,
    instead_of: Identity | None = None,
) -> Iterator[Path]:
    """Give the path of a new, empty file that takes the place of `path` when the block ends well.

    The file lies in the same folder, so that the final rename is atomic. If the block fails in
    whatever way, Ctrl-C included, the file is removed and `path` is as it was. What a process left
    there that was killed meanwhile is removed by the next one, with a warning.

    Parameters
    ----------
    path : Path
        The file to write; a symbolic link is followed, not replaced.
    like : Path, optional
        File that the content comes from: the new one may be read by nobody who may not read that.
        A file that is replaced hands on its permissions, and where allowed its owner.
    replace : bool
        Whether `path` may be there already, now or at the end.
    instead_of : Identity, optional
        The file that is to be replaced, which must not have changed when the block ends.

    Yields
    ------
    Path
        Write here, and close what was opened before the block ends.

    Raises
    ------
    OutputError
        `path` cannot be written; nothing was begun.
    WriteError
        An `OSError` came up in the block or at the rename, a full disk for example; or another
        program has changed or made the file meanwhile.
    """
    check_output(path, replace=replace)
    target = path.resolve()
    draft = target.parent / _DRAFTS.format(secrets.token_hex(8))
    lock = None
    try:
        _sweep(target.parent)
        lock = _begun(draft)
        yield draft
        _settle(draft, target, like)
        with _alone(target.parent):
            found = Identity.of(target)
            if found is not None and not replace:
                raise WriteError(f"{path}: not written: it exists by now; --force replaces it")
            if instead_of is not None and found != instead_of:
                raise WriteError(
                    f"{path}: not written: another program has changed it since it was read"
                )
            os.replace(draft, target)
    except OSError as error:
        raise WriteError(f"{path}: writing failed, no file was left: {reason(error)}") from error
    finally:
        # after the rename there is nothing left to remove
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)
        if lock is not None:
            os.close(lock)


def write_text(path: Path, text: str, *, replace: bool = True) -> None:
    """Write a whole UTF-8 text file atomically."""
    with replacing(path, replace=replace) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def _same(target: Path, keep: Path) -> bool:
    if target == keep.resolve():
        return True
    return target.exists() and keep.exists() and target.samefile(keep)


def _begun(draft: Path) -> int | None:
    """Make a file that only this user may read, and lock it as long as this process lives."""
    while True:
        file = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600)
        if fcntl is None:
            os.close(file)
            return None
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
        except OSError:  # a file system without locks: nobody takes this for abandoned
            os.close(file)
            return None
        if os.fstat(file).st_nlink:
            return file
        os.close(file)  # another process swept it away before it was locked


def _sweep(folder: Path) -> None:
    """Remove drafts of processes that are gone: the lock of such a one is free."""
    if fcntl is None:
        return
    for draft in folder.glob(_DRAFTS.format("[0-9a-f]" * 16)):
        with contextlib.suppress(OSError):  # not ours, or of a file system without locks
            file = os.open(draft, os.O_WRONLY | os.O_NONBLOCK | os.O_NOFOLLOW)
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                draft.unlink()
            finally:
                os.close(file)
            warnings.warn(
                f"{draft}: removed; a run that was killed had left it half written", stacklevel=4
            )


@contextlib.contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Let one process at a time look at a folder's files and rename: for microseconds."""
    if fcntl is None:
        yield
        return
    opened = os.open(folder, os.O_RDONLY)
    try:
        with contextlib.suppress(OSError):  # a file system without locks
            fcntl.flock(opened, fcntl.LOCK_EX)
        yield
    finally:
        os.close(opened)  # the lock with it


def _settle(draft: Path, target: Path, like: Path | None) -> None:
    """Give a finished draft its permissions, and bring it to the disk."""
    mode = 0o666 & ~_umask()
    if target.exists():
        status = target.stat()
        mode = status.st_mode & 0o777
        if hasattr(os, "chown"):
            # only root may give files away; anybody else keeps their own
            with contextlib.suppress(OSError):
                os.chown(draft, status.st_uid, status.st_gid)
    if like is not None:
        mode &= like.stat().st_mode & 0o777
    with draft.open("rb+") as file:
        # without it a power cut after the rename can leave an empty file under the final name
        os.fsync(file.fileno())
    draft.chmod(mode)


def _umask() -> int:
    """Permissions that new files of this process lack."""
    with contextlib.suppress(OSError, ValueError, IndexError):
        # os.umask can only be asked by setting it, for all threads
        text = Path("/proc/self/status").read_text(encoding="ascii", errors="replace")
        return int(text.partition("Umask:")[2].split()[0], 8)
    mask = os.umask(0o077)
    os.umask(mask)
    return mask
