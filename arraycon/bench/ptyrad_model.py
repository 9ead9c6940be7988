"""PtyRAD's own constraints on the least model that they accept.

Nothing here is imported with the package: PyTorch and PtyRAD are asked for when a benchmark starts,
and the reason is kept where they cannot be had.
"""

from __future__ import annotations

import functools
import importlib
import importlib.util
import os
import warnings
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from arraycon.bench.cases import Fields, Size

CONSTRAINTS = (
    "ortho_pmode", "probe_mask_k", "probe_mask_r", "fix_probe_int", "obj_rblur", "obj_zblur",
    "kr_filter", "kz_filter", "kr_thresh", "complex_ratio", "mirrored_amp", "obj_z_recenter",
    "obja_thresh", "objp_postiv", "pos_recenter", "tilt_smooth",
)  # fmt: skip
"""What PtyRAD 1.0.0 has."""

_OPERATORS = ("nms", "qnms")
_PARAMETERS = {
    "object_amplitude": "opt_obja",
    "object_phase": "opt_objp",
    "probe": "opt_probe",
    "position_shifts": "opt_probe_pos_shifts",
    "tilts": "opt_obj_tilts",
}
_BUFFERS = {"dx": "dx", "wavelength": "lambd", "probe_intensity": "probe_int_sum"}

_SPINS = "1000"  # about 5 µs

_declared: list[Any] = []  # a library of operators lasts as long as its object


def unavailable(place: str = "cpu") -> str:
    """Say why PtyRAD cannot take part, on the CPU or the GPU; empty if it can."""
    reason: str = _constraint_class()[1]
    if not reason and place == "gpu" and not importlib.import_module("torch").cuda.is_available():
        return "PyTorch finds no CUDA device"
    return reason


def versions() -> dict[str, str]:
    """Versions of PtyRAD and of what it computes with, if it takes part."""
    if unavailable():
        return {}
    modules = {name: importlib.import_module(name) for name in ("torch", "ptyrad")}
    return {name: str(module.__version__) for name, module in modules.items()}


@functools.cache
def _constraint_class() -> tuple[Any, str]:
    for package in ("ptyrad", "torch", "torchvision"):
        if importlib.util.find_spec(package) is None:
            return None, f"{package} is not installed"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            _let_threads_sleep()
            _declare_operators()
            module = importlib.import_module("ptyrad.core.constraints")
        return module.CombinedConstraint, ""
    except Exception as error:  # whatever an incomplete installation raises
        line = (str(error).strip().splitlines() or [""])[0]
        return None, f"import of PtyRAD fails: {type(error).__name__}: {line}"


def _let_threads_sleep() -> None:
    """Keep PyTorch's idle threads from spinning, unless the user has decided about that.

    By default GNU's OpenMP spins for milliseconds. As soon as another process wants a core, each
    parallel region then takes a time slice of the scheduler: with one busy process beside it, on
    two cores, PtyRAD took 400 ms instead of 15 for `probe_mask_k`, and 30 with this setting. It is
    read when the library is loaded, so it does nothing if PyTorch is imported already.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = _SPINS


def _declare_operators() -> None:
    """Declare torchvision's compiled operators if it cannot load them.

    Its wheel on PyPI is built for CUDA, and its import fails beside a CPU PyTorch for want of
    operators that it wants to describe. PtyRAD uses its Gaussian blur only, which needs none.
    """
    spec = importlib.util.find_spec("torchvision")
    folders = spec.submodule_search_locations if spec else None
    torch = importlib.import_module("torch")
    for library in Path(next(iter(folders or ["."]))).glob("_C*.so"):
        try:
            torch.ops.load_library(str(library))
        except OSError:
            continue
        return
    if not _declared:
        declared = torch.library.Library("torchvision", "DEF")
        for name in _OPERATORS:
            declared.define(f"{name}(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _declared.append(declared)


class Work(Protocol):
    """What PtyRAD is to do, as a `Case` says it: one constraint, or several in its own order."""

    @property
    def blocks(self) -> dict[str, dict[str, Any]]:
        """Parameters by constraint."""

    @property
    def arrays(self) -> tuple[str, ...]:
        """Arrays that are read."""

    @property
    def writes(self) -> tuple[str, ...]:
        """Arrays that are changed."""

    @property
    def size(self) -> Size:
        """Shapes."""


class StandIn:
    """Model attributes that PtyRAD's constraints read, with parameters that stay in place.

    Parameters
    ----------
    case : Work
        What runs.
    pristine : dict
        Inputs, which are not changed.
    threads : int
        Threads of PyTorch, in this whole process.
    place : str
        ``cpu`` or ``gpu``.
    """

    def __init__(self, case: Work, pristine: Fields, *, threads: int, place: str = "cpu") -> None:
        self._torch = torch = importlib.import_module("torch")
        torch.set_num_threads(threads)
        self._case, self._pristine = case, pristine
        self.device = torch.device("cuda" if place == "gpu" else "cpu")
        self._constraint = _constraint_class()[0](_blocks(case), device=self.device.type)
        self.length_unit = "Ang"
        for name, attribute in _PARAMETERS.items():
            if name in pristine:
                parameter = torch.nn.Parameter(self._tensor(name).to(self.device, copy=True))
                setattr(self, attribute, parameter)
        for name, attribute in _BUFFERS.items():
            if name in pristine:
                setattr(self, attribute, self._number(pristine[name]))
        if "slice_thickness" in pristine:
            thickness = self._number(pristine["slice_thickness"])
            self.opt_slice_thickness = torch.nn.Parameter(thickness)
        self.N_scan_slow, self.N_scan_fast = (
            torch.tensor(n, dtype=torch.int32) for n in case.size.scan
        )

    def get_complex_probe_view(self) -> Any:
        """Modes as a complex view of the real parameter."""
        return self._torch.view_as_complex(self.opt_probe)  # type: ignore[attr-defined]

    def restore(self) -> None:
        """Put the inputs back into the parameters."""
        with self._torch.no_grad():
            for name in self._case.arrays:
                getattr(self, _PARAMETERS[name]).copy_(self._tensor(name))

    def run(self) -> None:
        """Let PtyRAD apply what is due, as its reconstruction loop does."""
        with self._torch.no_grad():
            self._constraint(self, 1)

    def result(self) -> dict[str, Any]:
        """Return the changed parameters as NumPy arrays, which share their memory on the CPU."""
        found = {}
        for name in self._case.writes:
            array = getattr(self, _PARAMETERS[name]).detach().cpu().numpy()
            found[name] = array.view(np.complex64)[..., 0] if name == "probe" else array
        return found

    def _number(self, value: float) -> Any:
        return self._torch.tensor(value, dtype=self._torch.float32, device=self.device)

    def _tensor(self, name: str) -> Any:
        tensor = self._torch.from_numpy(self._pristine[name])
        return self._torch.view_as_real(tensor) if tensor.is_complex() else tensor


def _blocks(case: Work) -> dict[str, dict[str, Any]]:
    schedule = {"start_iter": None, "step": 1, "end_iter": None}
    blocks: dict[str, dict[str, Any]] = {name: dict(schedule) for name in CONSTRAINTS}
    for name, parameters in case.blocks.items():
        blocks[name] |= {"start_iter": 1, **parameters}
    return blocks
