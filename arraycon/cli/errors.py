"""How the command reports: errors in one line with an exit code, warnings, consoles."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
import warnings
from collections.abc import Iterator

import typer
from rich.console import Console
from rich.text import Text

from arraycon.adapters import InterfaceError
from arraycon.blocks import ParameterError
from arraycon.cli.backends import BackendError
from arraycon.io.atomic import OutputError, ReadError, WriteError, reason
from arraycon.pipeline import MissingInputError

FAILED, REFUSED, INTERRUPTED = 1, 2, 130
_CLI_PACKAGES = ("h5py", "yaml", "tomli", "matplotlib")


def console(*, stderr: bool = False) -> Console:
    """Return a console that takes all text literally and fits where it prints."""
    stream = sys.stderr if stderr else sys.stdout
    # rich assumes 80 columns where there is no terminal; tables in a log file need not be folded
    piped = (stream is None or not stream.isatty()) and "COLUMNS" not in os.environ
    return Console(
        stderr=stderr, markup=False, highlight=False, emoji=False, width=110 if piped else None
    )


class Spoken(logging.Handler):
    """Shows log lines that people wait for, on stderr."""

    def emit(self, record: logging.LogRecord) -> None:
        """Show one line."""
        console(stderr=True).print(Text(record.getMessage(), style="dim"), soft_wrap=True)


@contextlib.contextmanager
def reported(*, debug: bool = False) -> Iterator[None]:
    """Turn whatever goes wrong in the block into one line and an exit code.

    Exit codes are 2 for input and usage that cannot be, 1 for failures on the way, 130 for Ctrl-C.

    Parameters
    ----------
    debug : bool
        Let exceptions through instead, with their traceback.
    """
    try:
        yield
    except (typer.Exit, typer.Abort, BrokenPipeError):
        raise
    except KeyboardInterrupt:
        raise stop("interrupted", INTERRUPTED) from None
    except Exception as error:
        if debug:
            raise
        raise stop(*_explain(error)) from None


def stopped(end: typer.Exit) -> bool:
    """Whether somebody wants all to end, rather than one file to fail."""
    return end.exit_code >= 128


@contextlib.contextmanager
def shown_warnings() -> Iterator[None]:
    """Collect warnings in the block and show each as one yellow line on stderr, errors or not."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            yield
        finally:
            for text in dict.fromkeys(str(warning.message) for warning in caught):
                warn(text)


def warn(text: str) -> None:
    """Print a short yellow line on stderr."""
    line = Text.assemble(("warning: ", "bold yellow"), (" ".join(text.split()), "yellow"))
    console(stderr=True).print(line, soft_wrap=True)


def stop(text: str, code: int) -> typer.Exit:
    """Print an error in one line; return what ends the command."""
    console(stderr=True).print(Text.assemble(("error: ", "bold red"), text), soft_wrap=True)
    return typer.Exit(code)


def _explain(error: Exception) -> tuple[str, int]:
    if isinstance(error, ParameterError):
        return str(error), REFUSED  # one line per field
    package = (getattr(error, "name", None) or "").partition(".")[0]
    if isinstance(error, ModuleNotFoundError) and package in _CLI_PACKAGES:
        return (
            f'{package} is not installed; the command needs pip install "arraycon[cli]"',
            FAILED,
        )
    line = " ".join(str(error).split())
    if isinstance(error, WriteError):
        return line, FAILED
    if isinstance(error, (ReadError, OutputError, MissingInputError, BackendError)):
        return line, REFUSED
    if isinstance(error, OSError):
        where = f"{error.filename}: " if error.filename else ""
        named = isinstance(error, (FileNotFoundError, PermissionError, NotADirectoryError))
        return f"{where}{reason(error)}", REFUSED if named else FAILED
    if isinstance(error, (ValueError, TypeError)):
        return line, REFUSED
    if isinstance(error, (FloatingPointError, InterfaceError)):
        return line, FAILED
    if isinstance(error, MemoryError):
        return "out of memory; nothing was written", FAILED
    return f"{type(error).__name__}: {line} (--debug shows where)", FAILED
