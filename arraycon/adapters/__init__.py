"""Adapters: the constraints inside the codes that people run, one module per code.

`ptyrad`, `py4dstem` and `ptylab` each put a `Constraints` where that code has its own constraint
step; `ptychi`, `quantem`, `cdtools` and `tike` make a step to be called in a loop of one's own,
`phaser` one that its plan names, and `ptypy` further engines. Nothing of a code is imported before
its adapter is used.
"""

from __future__ import annotations

from arraycon.adapters._versions import InterfaceError

__all__ = ["InterfaceError"]
