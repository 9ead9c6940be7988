"""Names of constraints that a schedule holds several times: ``kz_filter``, then ``kz_filter#2``.

Without a space before it the number sign begins no comment in YAML nor in a shell.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import replace

from arraycon.constraints.registry import Constraint, declared

MOST = 99
"""Times that a schedule may hold one constraint."""
PATTERN = "#([2-9]|[1-9][0-9])"
"""What stands behind a name from the second time on."""

_REPEATED = re.compile(rf"(\w+){PATTERN}")


def numbered(name: str, number: int) -> str:
    """Return the name under which a schedule holds a constraint, counted from 1."""
    return name if number == 1 else f"{name}#{number}"


def kind(name: str) -> str:
    """Return the constraint's own name."""
    found = _REPEATED.fullmatch(name)
    return found[1] if found else name


def find(name: str, known: Mapping[str, Constraint]) -> Constraint:
    """Return what is known of a constraint, under the name by which a schedule holds it."""
    one = known[kind(name)]
    return one if one.name == name else replace(one, name=name)


def in_order(names: Iterable[str]) -> list[str]:
    """Return the names of all constraints in order of execution, and the repeated ones of `names`.

    Those of one kind follow each other by number; one that is forgotten is left out.
    """
    held = {name: [name] for name in declared()}
    repeated = [name for name in names if kind(name) != name and kind(name) in held]
    for name in sorted(repeated, key=lambda name: int(name.rpartition("#")[2])):
        held[kind(name)].append(name)
    return [name for some in held.values() for name in some]
