"""Entry point of the ``arraycon`` command.

Outside of the package, because importing that takes 0.2 s, most of it NumPy's: a signal that comes
meanwhile ends the process in one line, where Python's own way is a traceback of the imports.
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable


def main() -> None:
    """Run the command and exit."""
    for name, word in (("SIGINT", b"interrupted"), ("SIGTERM", b"terminated")):
        number = getattr(signal, name)
        if signal.getsignal(number) != signal.SIG_IGN:
            signal.signal(number, _leave(128 + number, b"error: " + word + b"\n"))
    from arraycon.__main__ import main as command

    command()


def _leave(code: int, line: bytes) -> Callable[..., None]:
    """Make a handler that ends at once: while modules are imported there is nothing to clean up."""

    def leave(*_: object) -> None:
        os.write(2, line)
        os._exit(code)

    return leave
