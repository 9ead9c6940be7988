"""Adapters: the constraints inside the codes that people run, one module per code.

`ptyrad`, `py4dstem` and `ptylab` each put a `Constraints` where that code has its own constraint
step. Nothing of a code is imported before its adapter is used.
"""

from __future__ import annotations

from arraycon.adapters._versions import InterfaceError

__all__ = ["InterfaceError"]
