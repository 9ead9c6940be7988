"""Judging: what the figures of a monitor mean, in words.

The thresholds were found on two layers of atoms, two thick crystals and three simulations, with one
seed each: a clip of the amplitude that ruins a thick crystal raises Q by 0.10 to 0.59, iteration
after iteration; no constraint on the others by more than 0.054.
"""

from __future__ import annotations

from collections.abc import Sequence

from arraycon.monitor.history import Effect, Monitored

RISE = 0.08
"""Change of Q by a constraint, two times running, that is too much."""
_TAKEN, _TIMES, _MISFIT = 0.9, 3, 1.2


def findings(history: Sequence[Monitored]) -> dict[str, str]:
    """Return what is to be said after the latest monitored iteration, by what it is about.

    Parameters
    ----------
    history : sequence of Monitored
        In the order of the iterations.

    Returns
    -------
    dict of str to str
        Text by constraint, and one by ``""`` on all of them together.
    """
    if not history:
        return {}
    # the first iteration starts from nothing, where whatever is done to the object raises Q
    later = [entry for entry in history if entry.iteration > 1]
    names = dict.fromkeys(effect.constraint for entry in later for effect in entry.effects)
    found = {name: _disagreement(name, later) for name in names}
    found[""] = _stalled(history)
    return {name: text for name, text in found.items() if text}


def _disagreement(name: str, history: Sequence[Monitored]) -> str:
    ran = [(entry.iteration, effect) for entry in history if (effect := entry.of(name))]
    if len(ran) < 2 or not all(effect.change > RISE for _, effect in ran[-2:]):
        return ""
    iteration, last = ran[-1]
    return (
        f"iteration {iteration}: {name} does not agree with the data yet: misfit "
        f"{last.misfit - last.change:.2f} → {last.misfit:.2f}; start it later or loosen it"
    )


def _stalled(history: Sequence[Monitored]) -> str:
    """Constraints take back what each iteration gains, and the data are not explained."""
    last, taken = history[-1], [entry.taken_back for entry in history[-_TIMES:]]
    shares = [share for share in taken if share is not None and share > _TAKEN]
    if len(shares) < _TIMES or not last.misfit > _MISFIT:
        return ""
    hardest = max(last.effects, key=_share).constraint
    return (
        f"iteration {last.iteration}: the constraints take back {100 * shares[-1]:.0f} % of what "
        f"the data ask for, and the misfit stays at {last.misfit:.2f}: loosen them, {hardest} first"
    )


def _share(effect: Effect) -> float:
    return -1.0 if effect.share is None else effect.share
