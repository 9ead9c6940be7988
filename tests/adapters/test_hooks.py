"""What all adapters share: nothing foreign is imported before it is needed."""

from __future__ import annotations

import sys

import processes


def test_nothing_foreign_is_imported_before_it_is_needed():
    code = (
        "import sys; from arraycon.adapters import py4dstem, ptylab, ptyrad;"
        "foreign = {'torch', 'cupy', 'ptyrad', 'py4DSTEM', 'PtyLab', 'numba', 'pydantic'};"
        "sys.exit(', '.join(foreign & set(sys.modules)) or None)"
    )
    processes.run([sys.executable, "-c", code], check=True)
