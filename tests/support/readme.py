"""README's Python blocks as the one script that they are: ``python readme.py README.md``."""

from __future__ import annotations

import re
import sys
from pathlib import Path

_BLOCK = re.compile(r"^```python\n(.*?)^```$", re.M | re.S)


def blocks(path: Path) -> list[str]:
    """Return what stands between ```python and ```."""
    return _BLOCK.findall(path.read_text(encoding="utf-8"))


def script(path: Path) -> str:
    """Return all blocks, one after the other."""
    return "\n\n".join(blocks(path))


if __name__ == "__main__":
    print(script(Path(sys.argv[1])))
