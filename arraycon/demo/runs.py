"""Running several reconstructions side by side."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np

from arraycon.demo import monitoring
from arraycon.demo.dataset import Dataset
from arraycon.demo.reconstruct import Reconstruction, Result
from arraycon.demo.settings import Settings
from arraycon.pipeline import Constraints

Tell = Callable[[str, Reconstruction], None]
"""Is told the name of a reconstruction that has done an iteration, and shown the reconstruction."""


@dataclass(frozen=True, eq=False)
class Task:
    """One reconstruction; the fields are those of `Reconstruction`.

    Parameters
    ----------
    watched : bool
        Whether a monitor says which constraints do not agree with the data.
    """

    data: Dataset
    settings: Settings
    constraints: Constraints | None = None
    watched: bool = False


def run(
    tasks: Mapping[str, Task], *, xp: Any = np, tell: Tell = lambda *_: None
) -> dict[str, Result]:
    """Do all tasks.

    On NumPy as many at a time as there are processors, which keeps them busier than threads within
    one reconstruction could, and gives the same numbers; on CuPy one after the other.

    Parameters
    ----------
    tasks : mapping
        By name.
    xp : module
        NumPy or CuPy.
    tell : callable
        Called after each iteration, from any thread.
    """
    stop = threading.Event()

    def work(name: str) -> Result:
        task = tasks[name]
        going = Reconstruction(task.data, task.settings, task.constraints, xp=xp)
        if task.watched:
            going.watch(monitoring.monitor(going, task.data))
        for _ in range(task.settings.iterations):
            if stop.is_set():
                break
            with np.errstate(over="ignore", invalid="ignore"):  # it says itself that it diverged
                going.iterate()
            tell(name, going)
        return going.result()

    side_by_side = min(len(tasks), os.cpu_count() or 1, 4) if xp is np else 1
    with ThreadPoolExecutor(side_by_side) as pool:
        try:
            return dict(zip(tasks, pool.map(work, tasks), strict=True))
        except BaseException:
            stop.set()  # Ctrl-C need not wait for the last iteration
            pool.shutdown(cancel_futures=True)
            raise
