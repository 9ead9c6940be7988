"""What an experiment returns: numbers without and with a constraint, and how to read them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Verdict = Literal["better", "worse", "same"]

_NOTICEABLE = 0.03
"""Relative difference below which two numbers count as equal."""


@dataclass(frozen=True)
class Measure:
    """A quantity and its direction.

    Parameters
    ----------
    name : str
        What is measured.
    unit : str
        Its unit; empty for a pure number.
    better : {"lower", "higher"}
        Which direction is better.
    """

    name: str
    unit: str
    better: Literal["lower", "higher"] = "lower"


@dataclass(frozen=True)
class Trial:
    """One constraint, or one of its options, on one situation.

    Parameters
    ----------
    when : str
        The situation.
    measure : Measure
        What was measured.
    before, after : float
        Its value without and with the constraint; where two settings are compared (`against`),
        with the one and with the other.
    options : mapping of str to object
        Arguments of the constraint that are not its defaults.
    against : str
        What `before` stands for if that is not "nothing was applied".
    """

    when: str
    measure: Measure
    before: float
    after: float
    options: Mapping[str, Any] = field(default_factory=dict)
    against: str = ""

    @property
    def verdict(self) -> Verdict:
        """Better or worse with the constraint; below 3 % of the larger value: same."""
        gain = self.after - self.before
        if abs(gain) <= _NOTICEABLE * max(abs(self.before), abs(self.after)):
            return "same"
        return "better" if (gain > 0) == (self.measure.better == "higher") else "worse"

    @property
    def settings(self) -> str:
        """The options in words, and what they are compared with."""
        options = ", ".join(f"{key} {_plain(value)}" for key, value in self.options.items())
        against = f"; without: {self.against}" if self.against else ""
        return f"{options or 'defaults'}{against}"


@dataclass(frozen=True)
class Finding:
    """What one constraint is for, where that is seen, and where it does harm or nothing.

    Parameters
    ----------
    constraint : str
        A constraint.
    shows : str
        What is shown.
    helps : Trial
        The situation it is made for.
    limits : tuple of Trial
        Situations in which it hurts or does nothing.
    """

    constraint: str
    shows: str
    helps: Trial
    limits: tuple[Trial, ...]


def _plain(value: object) -> str:
    if isinstance(value, tuple):
        return " to ".join(_plain(item) for item in value)
    return f"{value:g}" if isinstance(value, float) else str(value)
