"""Files that are either complete or absent."""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Iterable, Iterator
from pathlib import Path


class ReadError(ValueError):
    """A file that cannot be read, or that does not hold what it should."""


class OutputError(ValueError):
    """An output path that cannot be used, found before anything is computed or written."""


class WriteError(RuntimeError):
    """Writing failed midway; no partial file is left."""


def check_output(path: Path, *, keep: Path | None = None, use: str = "choose another name") -> None:
    """Refuse an output path that could not be written, or that is a file to keep.

    Parameters
    ----------
    path : Path
        Where a file is going to be written.
    keep : Path, optional
        A file that must survive; symbolic and hard links to it are recognised.
    use : str
        What to do instead, for the message about `keep`.

    Raises
    ------
    OutputError
        The folder is missing or not writable, the path is no ordinary file, or it is `keep`.
    """
    try:
        target = path.resolve()
        if target.exists() and not target.is_file():
            kind = "a folder" if target.is_dir() else "not an ordinary file"
            raise OutputError(f"{path}: cannot be written: it is {kind}")
        if not target.parent.is_dir():
            state = "is not a folder" if target.parent.exists() else "does not exist"
            raise OutputError(f"{path}: cannot be written: the folder {target.parent} {state}")
        if keep is not None and target.exists() and keep.exists() and target.samefile(keep):
            raise OutputError(f"{path}: is the same file as {keep}; {use}")
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, before Python 3.13
        raise OutputError(f"{path}: cannot be written: {reason(error)}") from error
    if not os.access(target.parent, os.W_OK | os.X_OK):
        raise OutputError(f"{path}: cannot be written: no permission in the folder {target.parent}")


def output_folder(folder: Path, names: Iterable[str], *, keep: Iterable[Path] = ()) -> None:
    """Make a folder for results, and find out now, not after minutes, whether it can take them.

    Parameters
    ----------
    folder : Path
        Made with its parents if need be.
    names : iterable of str
        Files that are going to be written there.
    keep : iterable of Path
        Files that must survive, such as inputs.

    Raises
    ------
    OutputError
        It cannot be made, or one of the files could not be written, or is one to keep.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise OutputError(f"{folder}: cannot be made: {reason(error)}") from error
    for name in names:
        check_output(folder / name)
        for path in keep:
            check_output(folder / name, keep=path, use="choose another folder")


@contextlib.contextmanager
def replacing(path: Path, *, like: Path | None = None) -> Iterator[Path]:
    """Give the path of a new, empty file that takes the place of `path` when the block ends well.

    The file lies in the same folder, so that the final rename is atomic. If the block fails in
    whatever way, Ctrl-C included, the file is removed and `path` is as it was.

    Parameters
    ----------
    path : Path
        The file to write; a symbolic link is followed, not replaced.
    like : Path, optional
        Take over the permissions, and where allowed the owner, of this file. Otherwise they are
        those of any new file of this user.

    Yields
    ------
    Path
        Write here, and close what was opened before the block ends.

    Raises
    ------
    OutputError
        `path` cannot be written; nothing was begun.
    WriteError
        An `OSError` came up in the block or at the rename, a full disk for example.
    """
    check_output(path)
    target = path.resolve()
    draft = target.parent / f".arraycon-{secrets.token_hex(8)}.tmp"
    try:
        # not tempfile.mkstemp: its files are private to the user whatever the umask says
        os.close(os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o666))
        yield draft
        _settle(draft, like)
        os.replace(draft, target)
    except OSError as error:
        raise WriteError(f"{path}: writing failed, no file was left: {reason(error)}") from error
    finally:
        # after the rename there is nothing left to remove
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a whole UTF-8 text file atomically."""
    with replacing(path) as draft:
        draft.write_text(text, encoding="utf-8", newline="\n")


def reason(error: BaseException) -> str:
    """One line saying what went wrong, without the path or number that Python adds."""
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__


def _settle(draft: Path, like: Path | None) -> None:
    if like is not None:
        status = like.stat()
        if hasattr(os, "chown"):
            # only root may give files away; anybody else keeps their own
            with contextlib.suppress(OSError):
                os.chown(draft, status.st_uid, status.st_gid)
        draft.chmod(status.st_mode & 0o777)
    with draft.open("rb+") as file:
        # without it a power cut after the rename can leave an empty file under the final name
        os.fsync(file.fileno())
