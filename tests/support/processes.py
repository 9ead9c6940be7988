"""Child processes that always end, and that take signals alike wherever the suite was started.

A suite that runs in the background of a shell, or under nohup, was started with SIGINT ignored,
and what is ignored is inherited: a child that waits to be interrupted would wait for ever.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

LIMIT = 120.0  # s
PIPE, STDOUT = subprocess.PIPE, subprocess.STDOUT


def run(
    command: Sequence[str | Path],
    *,
    limit: float = LIMIT,
    check: bool = False,
    capture_output: bool = False,
    **options: Any,
) -> subprocess.CompletedProcess[Any]:
    """`subprocess.run` with a limit; the command's own children end with it.

    Raises
    ------
    TimeoutError
        The command took longer than `limit` seconds; what it wrote is in the message.
    """
    if capture_output:
        options |= {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with start(command, limit=2 * limit, **options) as child:
        output, errors = finished(child, limit=limit)
    done = subprocess.CompletedProcess(child.args, child.returncode, output, errors)
    if check and done.returncode:
        raise AssertionError(f"exit code {done.returncode} of {command}:\n{output}\n{errors}")
    return done


@contextlib.contextmanager
def start(
    command: Sequence[str | Path], *, limit: float = LIMIT, **options: Any
) -> Iterator[subprocess.Popen[Any]]:
    """Start a process that is killed at the end of the block, or after `limit` seconds."""
    with _signals_as_in_a_terminal():
        # a session of its own, so that whatever it starts itself can be killed along with it
        child = subprocess.Popen(list(map(str, command)), start_new_session=True, **options)
    # who reads from a child that hangs waits with it, so that another thread has to end it
    watch = threading.Timer(limit, _kill, [child])
    watch.daemon = True
    watch.start()
    try:
        yield child
    finally:
        watch.cancel()
        _kill(child)
        for pipe in (child.stdin, child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()
        child.wait()


def finished(child: subprocess.Popen[Any], *, limit: float = LIMIT) -> tuple[Any, Any]:
    """Wait for the end of a child; return its output and its errors, as `communicate` does."""
    try:
        return child.communicate(timeout=limit)
    except subprocess.TimeoutExpired:
        _kill(child)
        output, errors = child.communicate()
        raise TimeoutError(
            f"killed after {limit} s: {child.args}\n{output or ''}\n{errors or ''}"
        ) from None


def _kill(child: subprocess.Popen[Any]) -> None:
    """Kill a child that runs, and what is left of its group."""
    if not hasattr(os, "killpg"):
        child.kill()
        return
    # until the child has been waited for, its number belongs to nobody else
    if child.returncode is None:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(child.pid, signal.SIGKILL)


@contextlib.contextmanager
def _signals_as_in_a_terminal() -> Iterator[None]:
    """Let a child that starts within the block find the default handling of signals.

    A handler of ours is reset in the child, where "ignore" is not. The other way, a function to be
    called in the child before the command (``preexec_fn``), may hang in a process with threads.
    """
    ignored = []
    if threading.current_thread() is threading.main_thread():  # no other may set handlers
        ignored = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) is signal.SIG_IGN
        ]
    for number in ignored:
        signal.signal(number, lambda *_: None)
    try:
        yield
    finally:
        for number in ignored:
            signal.signal(number, signal.SIG_IGN)
