"""Places in PtyRAD's modules: its class of constraints, and the function that makes optimizers."""

from __future__ import annotations

import functools
import sys
from collections.abc import Hashable
from typing import Any

from arraycon.adapters import _moments
from arraycon.adapters._hooks import Placed
from arraycon.adapters._ptyrad import PTYRAD

_noticing: set[Hashable] = set()


class Installation(Placed):
    """What `install` did; leaving its ``with`` block, or `undo`, puts PtyRAD's class back."""

    def __init__(self, original: Any, replacement: Any) -> None:
        self._replacement = replacement
        replacement._installation = self
        before = getattr(original, "_installation", None)
        self._original = original if before is None else before._original
        self._take_place()

    def _holder(self) -> Installation | None:
        found = PTYRAD.find("ptyrad.core.constraints", "CombinedConstraint")
        return getattr(found, "_installation", None)

    def _put(self) -> None:
        holder = self._holder()
        _replace(self._original if holder is None else holder._replacement, self._replacement)
        notice_optimizers(Installation)

    def _restore(self) -> None:
        _replace(self._replacement, self._original)
        notice_optimizers(Installation, end=True)


def notice_optimizers(for_whom: Hashable, *, end: bool = False) -> None:
    """Let PtyRAD tell of each optimizer that it makes, as long as somebody wants to know."""
    (_noticing.discard if end else _noticing.add)(for_whom)
    maker = PTYRAD.find("ptyrad.solver.reconstruction", "create_optimizer")
    own = getattr(maker, "_own", None)
    if own is None and _noticing:
        _replace(maker, _telling(maker))
    elif own is not None and not _noticing:
        _replace(maker, own)


def _telling(own: Any) -> Any:
    @functools.wraps(own)
    def create_optimizer(*arguments: Any, **options: Any) -> Any:
        made = own(*arguments, **options)
        _moments.notice(made)
        return made

    told: Any = create_optimizer
    told._own = own
    return told


def _replace(old: Any, new: Any) -> None:
    """Let every module of PtyRAD that has `old` under some name have `new`."""
    for name, module in list(sys.modules.items()):
        if name.partition(".")[0] != "ptyrad":
            continue
        for attribute in [key for key, value in vars(module).items() if value is old]:
            setattr(module, attribute, new)
