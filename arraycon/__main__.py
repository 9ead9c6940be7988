"""Entry point of the ``arraycon`` command, also ``python -m arraycon``."""

from __future__ import annotations

import sys


def main() -> None:
    """Run the command; without its packages, say in one line how to get them."""
    try:
        from arraycon.cli import app
    except KeyboardInterrupt:
        print("error: interrupted", file=sys.stderr)
        raise SystemExit(130) from None
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in ("typer", "click", "rich"):
            raise
        print('error: the command needs pip install "arraycon[cli]"', file=sys.stderr)
        raise SystemExit(1) from None
    app.main()


if __name__ == "__main__":
    main()
