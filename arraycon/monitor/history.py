"""History: what was found in the iterations that were monitored."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Effect:
    """What one constraint did to the misfit.

    Parameters
    ----------
    constraint : str
        Name.
    misfit : float
        Q after it.
    change : float
        Q after it minus Q before it.
    share : float or None
        Share of the data step that it has taken back; None where there is no data step to compare
        with, or it leaves the object alone.
    """

    constraint: str
    misfit: float
    change: float
    share: float | None


@dataclass(frozen=True)
class Monitored:
    """One iteration that was monitored.

    Parameters
    ----------
    iteration : int
    misfit : float
        Q before the constraints.
    effects : tuple of Effect
        In the order in which they ran.
    """

    iteration: int
    misfit: float
    effects: tuple[Effect, ...]

    @property
    def taken_back(self) -> float | None:
        """Share of the data step that all constraints together have taken back."""
        shares = [effect.share for effect in self.effects if effect.share is not None]
        return sum(shares) if shares else None

    def of(self, constraint: str) -> Effect | None:
        """Return what a constraint did, if it ran."""
        return next((each for each in self.effects if each.constraint == constraint), None)
