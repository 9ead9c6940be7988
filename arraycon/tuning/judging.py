"""Which candidate is suggested, by which score, and when there is no ground for it."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from arraycon.pipeline import Constraints

NONE = "no constraints"
"""Name of the unconstrained reconstruction, whose Q decides which score is believed."""

Judge = Literal["held-out", "halves"]
_WITHIN = 1.1  # of the smallest Q: a candidate beyond it has left the data
_UNEXPLAINED = 2.0  # Q: whatever is reproducible then may be an error of the model
_SURE = 2.0  # standard errors


@dataclass(frozen=True, eq=False)
class Trial:
    """A candidate and its scores.

    Parameters
    ----------
    name : str
        Of the candidate.
    constraints : Constraints or None
        What it is; None for the unconstrained one.
    misfit : float
        Q on the counts that it was made from, see `arraycon.misfit_ratio`; infinite where the
        reconstruction diverged.
    deviances : array, shape (n,)
        Poisson deviance of the held-out counts, pattern by pattern; less is better.
    agreement : float
        Correlation of the volumes of two halves; more is better.
    agreements : array, shape (4,)
        The same in each quarter of the field.
    """

    name: str
    constraints: Constraints | None
    misfit: float
    deviances: Any
    agreement: float
    agreements: Any

    @property
    def held_out(self) -> float:
        """Mean deviance per pattern of the held-out counts."""
        return float(np.mean(self.deviances))


@dataclass(frozen=True, eq=False)
class Tuning:
    """All trials and the suggestion.

    Parameters
    ----------
    trials : tuple of Trial
        The unconstrained one first.
    """

    trials: tuple[Trial, ...]

    @property
    def judge(self) -> Judge:
        """Score that is believed: held-out counts where noise limits, or the halves."""
        return "held-out" if self.trials[0].misfit < 1 else "halves"

    @property
    def within(self) -> tuple[Trial, ...]:
        """Trials that explain the data about as well as the best of them."""
        limit = _WITHIN * min(trial.misfit for trial in self.trials)
        return tuple(trial for trial in self.trials if trial.misfit <= limit < math.inf)

    @property
    def ranked(self) -> tuple[Trial, ...]:
        """Trials that may be suggested, the best first, by the score that is believed."""
        if self.judge == "held-out":
            finite = (trial for trial in self.trials if math.isfinite(trial.held_out))
            return tuple(sorted(finite, key=lambda trial: trial.held_out))
        return tuple(sorted(self.within, key=lambda trial: -trial.agreement))

    @property
    def suggested(self) -> Trial | None:
        """The first of `ranked`; None where all have diverged."""
        return self.ranked[0] if self.ranked else None

    @property
    def doubts(self) -> tuple[str, ...]:
        """Why the suggestion may have no ground; empty where nothing speaks against it."""
        ranked = self.ranked
        if not ranked:
            return ("every reconstruction diverged: nothing can be suggested",)
        found = []
        least = min(trial.misfit for trial in self.trials)
        if least > _UNEXPLAINED:
            found.append(
                f"no candidate explains the data (Q {least:.3g} at best): what two halves have in "
                f"common may be an error of the model; look for probe modes, positions and slices"
            )
        if len(ranked) == 1:
            found.append(f"{ranked[0].name} is the only candidate whose misfit is within limits")
        elif near := self._not_told_apart(ranked):
            found.append(f"{ranked[0].name} cannot be told from {', '.join(near)}: "
                         f"their scores differ by less than {_SURE:g} standard errors")  # fmt: skip
        return tuple(found)

    def rank(self, trial: Trial, judge: Judge) -> int:
        """Place of a trial, counted from 1, by one of the scores."""

        def score(one: Trial) -> float:
            return one.held_out if judge == "held-out" else -one.agreement

        return 1 + sum(score(other) < score(trial) for other in self.trials)

    def _not_told_apart(self, ranked: tuple[Trial, ...]) -> list[str]:
        return [t.name for t in ranked[1:] if not self._differ(ranked[0], t)]

    def _differ(self, best: Trial, other: Trial) -> bool:
        """Whether two trials differ by more than chance, pattern by pattern or place by place."""
        if self.judge == "held-out":
            differences = other.deviances - best.deviances
        else:
            differences = best.agreements - other.agreements
        error = float(np.std(differences, ddof=1)) / math.sqrt(len(differences))
        return float(np.mean(differences)) > _SURE * error
