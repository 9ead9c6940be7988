"""What a total variation is made of, in a form in which no strength overflows.

Weights of axes times c are the strength times c, with the same iterates. So the largest weight is 1
here, and the strength is what the array's precision can hold. The dual variable is kept times the
strength: it has the array's unit then, and nothing is divided by what may be next to nothing.
"""

from __future__ import annotations

import math
from typing import NamedTuple

NORMS = ("isotropic", "layered", "anisotropic")
AXES = (-3, -2, -1)


class Gradient(NamedTuple):
    """Differences along some axes, and how they are summed up.

    Parameters
    ----------
    weights : dict of int to float
        By axis, -3 to -1, those along which there is a difference; the largest is about 1.
    groups : tuple of tuple of int
        The axes again: a modulus is that of the differences along the axes of one group.
    strength : float
        Largest modulus of the dual variable, in the unit of the array.
    nothing : float
        Modulus as good as 0, of which there is no derivative.
    """

    weights: dict[int, float]
    groups: tuple[tuple[int, ...], ...]
    strength: float
    nothing: float

    @property
    def square(self) -> float:
        """S, a bound of what the differences do to squares being 4 S."""
        return sum(weight * weight for weight in self.weights.values())


def gradient(
    shape: tuple[int, ...],
    *,
    weight: float,
    axes_weight: tuple[float, float, float],
    norm: str,
    smallest: float,
    largest: float,
) -> Gradient:
    """Return the gradient of arrays of a shape.

    Parameters
    ----------
    shape : tuple of int
    weight, axes_weight, norm : float, tuple of float, str
        As `obj_tv` has them; there is an axis that has a weight and more than one element.
    smallest, largest : float
        Normal numbers of the array's precision.
    """
    given = {
        axis: w
        for axis, w in zip(AXES, axes_weight, strict=True)
        if w > 0 and len(shape) >= -axis and shape[axis] > 1
    }
    top = max(given.values())
    weights = {axis: w / top for axis, w in given.items()}
    # sums of a dozen of the largest are still finite
    strength = min(max(weight * top, smallest), largest / 64)
    nothing = max(1e-20 * strength, smallest)
    return Gradient(weights, _groups(tuple(weights), norm), strength, nothing)


def momenta(n_iter: int) -> tuple[float, ...]:
    """(t_k - 1)/t_{k+1} of each update: how far the next one begins beyond what it found."""
    found, t = [], 1.0
    for _ in range(n_iter):
        following = (1 + math.sqrt(1 + 4 * t * t)) / 2
        found.append((t - 1) / following)
        t = following
    return tuple(found)


def _groups(axes: tuple[int, ...], norm: str) -> tuple[tuple[int, ...], ...]:
    if norm == "isotropic":
        return (axes,)
    if norm == "anisotropic":
        return tuple((axis,) for axis in axes)
    lateral, depth = (tuple(a for a in axes if (a == -3) is deep) for deep in (False, True))
    return tuple(filter(None, (lateral, depth)))
