"""The demo's reconstruction as `arraycon.tune` wants it."""

from __future__ import annotations

import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from arraycon.demo import scores, with_truth
from arraycon.demo.dataset import Dataset, Truth
from arraycon.demo.reconstruct import Reconstruction, Result, patterns
from arraycon.demo.settings import Settings
from arraycon.demo.without_truth import scanned
from arraycon.pipeline import Constraints


@dataclass(frozen=True, eq=False)
class Seen:
    """A result to be judged; see `arraycon.tuning.Found`."""

    result: Result
    data: Dataset

    @property
    def volume(self) -> Any:
        """Phase within the scanned field, without a plane in each slice."""
        (y, x), (rows, columns) = scanned(self.data, self.result.origin)
        phase = np.angle(self.result.state.object[:, y:rows, x:columns]).astype(np.float64)
        return scores.without_plane(phase)

    def patterns(self) -> Any:
        """Patterns that the result predicts."""
        return patterns(self.result, self.data)


class Reconstructions:
    """Reconstruct parts of one data set's counts.

    Parameters
    ----------
    data : Dataset
        Everything but the counts.
    settings : Settings
        Of all.
    tell : callable
        Called after each iteration, from any thread.
    """

    def __init__(
        self, data: Dataset, settings: Settings, tell: Callable[[], None] = lambda: None
    ) -> None:
        self._data, self._settings, self._tell = data, settings, tell
        self._stop = threading.Event()

    def __call__(self, counts: Any, constraints: Constraints | None) -> Seen:
        """Reconstruct; a stopped one ends after its iteration."""
        data = replace(self._data, counts=counts)
        going = Reconstruction(data, self._settings, constraints)
        for _ in range(self._settings.iterations):
            if self._stop.is_set():
                break
            with np.errstate(over="ignore", invalid="ignore"):  # it says itself that it diverged
                going.iterate()
            self._tell()
        return Seen(going.result(), data)

    def stop(self) -> None:
        """Let all that run end soon: whoever was interrupted need not wait for the last one."""
        self._stop.set()

    def correlation(self, constraints: Constraints | None, truth: Truth) -> tuple[float, float]:
        """Correlation with a truth, of all counts: summed over depth, and of all voxels."""
        try:
            found = self(self._data.counts, constraints)
        except FloatingPointError:
            return 0.0, 0.0
        aligned = with_truth.align({"one": found.result}, self._data, truth)
        one = aligned.found["one"]
        projection = scores.correlation(one.sum(axis=0), aligned.truth.sum(axis=0))
        return projection, scores.correlation(one, aligned.truth)
