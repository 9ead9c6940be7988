"""What ``arraycon apply`` does with objects that do not fit into memory."""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from arraycon.blockwise import executors, regions, tasks
from arraycon.blockwise.stores import Stored, source
from arraycon.io import ptyrad
from arraycon.io.errors import ReadError, reason
from arraycon.io.folders import Passing
from arraycon.kernels.common.threads import cores
from arraycon.state import State

OBJECTS = ("object_amplitude", "object_phase", "object")
_DRAWN = 16
Progress = Callable[[int, int, int, int], None]


@dataclass(frozen=True)
class Blocks:
    """How an object is worked on block by block.

    Parameters
    ----------
    memory : str, optional
        For the blocks of this process, or of each worker of a cluster.
    executor : {'serial', 'threads', 'dask'}, optional
    scheduler : str, optional
        Address of a running cluster of dask's; without it one is started on this machine.
    workers : int, optional
        Threads, or processes of the cluster that is started.
    scratch : Path, optional
        Folder for what is written on the way.
    resident : bool
        Whether arrays stay in the workers' memory between passes.
    measure : bool
        Whether to tell what each constraint has changed, at the cost of passes of its own.
    """

    memory: str | None = None
    executor: str | None = None
    scheduler: str | None = None
    workers: int | None = None
    scratch: Path | None = None
    resident: bool = False
    measure: bool = False

    @property
    def given(self) -> bool:
        """Whether any of it was asked for."""
        settings = (value for name, value in vars(self).items() if name != "measure")
        return any(value not in (None, False) for value in settings)

    def check(self) -> None:
        """Refuse options that do not go together.

        Raises
        ------
        ReadError
            A scheduler or resident arrays without dask, or workers where there is a scheduler.
        TypeError, ValueError
            The memory is no number of bytes.
        """
        if self.memory is not None:
            regions.parse_memory(self.memory)
        if self.scheduler is not None and self.executor not in (None, "dask"):
            raise ReadError(f"--scheduler: expected --executor dask, got {self.executor}")
        if self.resident and self.executor != "dask" and self.scheduler is None:
            raise ReadError("--resident: expected --executor dask, whose workers keep the arrays")
        if self.workers is not None and (self.scheduler or self.executor in (None, "serial")):
            raise ReadError("--workers: expected --executor threads, or dask without --scheduler")


def stored(path: Path, fields: Collection[str]) -> dict[str, Stored]:
    """Return arrays of a reconstruction as they lie in its file; nothing is read.

    Raises
    ------
    ReadError
        The file is no HDF5 file.
    """
    if not ptyrad.recognises(path):
        raise ReadError(
            f"{path}: expected PtyRAD's HDF5 file, to be worked on block by block; what is in an "
            f".npz archive has to fit into memory"
        )
    with ptyrad.datasets(path, fields) as found:
        sources = {field: source(item, travels=True) for field, item in found.items()}
    return {field: Stored(each) for field, each in sources.items() if each is not None}


@contextlib.contextmanager
def scratch(target: Path, blocks: Blocks) -> Iterator[Path]:
    """Give a folder for what is written on the way and between iterations, removed at the end.

    Raises
    ------
    ReadError
        It cannot be made where it is to be.
    """
    above = blocks.scratch or target.resolve().parent
    try:
        folder = Passing(above)
    except OSError as error:
        raise ReadError(
            f"--scratch {above}: expected a folder that can be written to: {reason(error)}"
        ) from None
    try:
        yield folder.path
    finally:
        folder.remove()


@contextlib.contextmanager
def executor(blocks: Blocks, backend: str) -> Iterator[Any]:
    """Give who works on blocks; a cluster that was started ends with the ``with`` block.

    Raises
    ------
    ReadError
        Dask is not installed, or no scheduler answers.
    """
    if blocks.executor != "dask" and blocks.scheduler is None:
        threads = blocks.executor == "threads"
        yield executors.Threads(blocks.workers) if threads else executors.Serial()
        return
    if importlib.util.find_spec("distributed") is None:
        raise ReadError('--executor dask: Dask is not installed: pip install "arraycon[dask]"')
    connected: Any = importlib.import_module("distributed").Client
    with contextlib.ExitStack() as stack:
        place = blocks.scheduler or stack.enter_context(_local(blocks.workers, backend))
        try:
            client = stack.enter_context(connected(place))
        except OSError as error:
            raise ReadError(f"--scheduler {place}: no scheduler answers: {error}") from None
        yield client


def _local(workers: int | None, backend: str) -> Any:
    """Start a cluster on this machine: a process for each processor, or each GPU."""
    if backend == "cupy" and importlib.util.find_spec("dask_cuda") is not None:
        return importlib.import_module("dask_cuda").LocalCUDACluster(n_workers=workers)
    made: Any = importlib.import_module("distributed").LocalCluster
    count = workers or cores()
    return made(n_workers=count, threads_per_worker=1, dashboard_address=":0")


def thinned(state: State) -> tuple[State, str]:
    """Return a state with a few slices of the object, to be drawn, and which these are.

    What is in memory is returned as it is.
    """
    held = {name: getattr(state, name) for name in OBJECTS}
    large = {name: array for name, array in held.items() if isinstance(array, Stored)}
    if not large:
        return state, ""
    nz = next(iter(large.values())).shape[-3]
    chosen = np.unique(np.linspace(0, nz - 1, min(nz, _DRAWN)).round().astype(int))
    few: dict[str, Any] = {
        name: np.stack([array[..., z, :, :] for z in map(int, chosen)], axis=-3)
        for name, array in large.items()
    }
    thickness = state.slice_thickness
    wide = thickness and thickness * nz / len(chosen)
    note = f"{len(chosen)} of {nz} slices" if len(chosen) < nz else ""
    return replace(state, **few, slice_thickness=wide), note


def peak(executor: Any) -> int:
    """Return the most bytes that this process or one of a cluster's has had."""
    found = [tasks.peak()]
    if hasattr(executor, "run"):
        found += executor.run(tasks.peak).values()
    return max(found)
