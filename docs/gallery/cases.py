"""What an example of the gallery is made of."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Image = NDArray[np.floating]


@dataclass(frozen=True)
class Case:
    """One use of a constraint on a phantom whose truth is known.

    Parameters
    ----------
    story : str
        What the phantom is and what the constraint does to it, in a sentence.
    truth, before, after : array, shape (ny, nx)
        What is drawn: a slice, or a section (nz, nx) through the depth.
    error : tuple of float
        Before and after: the root mean square difference from the truth, unless `measure` says
        otherwise.
    measure : str
        What the error is.
    aspect : float
        Height of a pixel over its width.
    """

    story: str
    truth: Image
    before: Image
    after: Image
    error: tuple[float, float]
    measure: str = "rms error / rad"
    aspect: float = 1.0


@dataclass(frozen=True)
class Example:
    """What a constraint is for, and when it hurts."""

    helps: Case
    hurts: Case


def rms(difference: NDArray[np.number]) -> float:
    """Return the root mean square."""
    return float(np.sqrt(np.mean(np.abs(difference) ** 2)))


def case(
    story: str,
    truth: Image,
    before: Image,
    after: Image,
    *,
    show: tuple[int | slice, ...] = (0,),
    aspect: float = 1.0,
    measure: str = "rms error / rad",
) -> Case:
    """Return a case whose error is that of whole arrays, of which `show` is drawn."""
    error = rms(before - truth), rms(after - truth)
    shown = truth[show], before[show], after[show]
    return Case(story, *shown, error, measure, aspect)
