"""Facts about this installation: versions, array libraries that answer, fast paths."""

from __future__ import annotations

import contextlib
import ctypes
import importlib
import importlib.metadata
import importlib.util
import os
import platform
import re
import shutil
import subprocess
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import array_api_compat

from arraycon.kernels.clamp import objp_postiv
from arraycon.kernels.common import dispatch, threads
from arraycon.version import __version__

PACKAGES = (
    "numpy", "scipy", "pydantic", "array-api-compat", "numba", "ducc0", "h5py", "PyYAML",
    "matplotlib", "typer", "rich", "torch", "jax", "dask", "array-api-strict",
)  # fmt: skip
CUPY_PACKAGES = ("cupy", "cupy-cuda11x", "cupy-cuda12x", "cupy-cuda13x")


@dataclass(frozen=True)
class Fact:
    """One line of the doctor's report.

    Parameters
    ----------
    name : str
        What it is about.
    good : bool or None
        Whether it works or is on; None if it is merely not there.
    detail : str
        What was found, or why it is not on.
    remedy : str
        Command that would change it; empty if there is none.
    """

    name: str
    good: bool | None
    detail: str
    remedy: str = ""


@dataclass(frozen=True)
class Report:
    """Everything that `examine` finds out."""

    versions: dict[str, str | None]
    libraries: tuple[Fact, ...]
    fast_paths: tuple[Fact, ...]


def examine() -> Report:
    """Look at this installation; nothing that is broken in it makes this fail."""
    cupy = _cupy()
    libraries = (
        _library("numpy", lambda: importlib.import_module("numpy").asarray([-1.0, 1.0])),
        cupy,
        _library("torch", lambda: importlib.import_module("torch").asarray([-1.0, 1.0])),
        _library("jax", lambda: importlib.import_module("jax.numpy").asarray([-1.0, 1.0])),
    )
    return Report(_versions(), libraries, (_switch(), _threads(), _fft(), _numba(), _cuda(cupy)))


def cuda_version() -> tuple[int, int] | None:
    """CUDA version that the installed NVIDIA driver supports, None without a driver."""
    for name in ("libcuda.so.1", "nvcuda.dll"):
        with contextlib.suppress(OSError, AttributeError):
            number = ctypes.c_int()
            if ctypes.CDLL(name).cuDriverGetVersion(ctypes.byref(number)) == 0 and number.value:
                return number.value // 1000, number.value % 1000 // 10
    command = shutil.which("nvidia-smi")
    if command is None:
        return None
    with contextlib.suppress(OSError, subprocess.SubprocessError):
        shown = subprocess.run([command], capture_output=True, text=True, timeout=10, check=False)
        found = re.search(r"CUDA Version:\s*(\d+)\.(\d+)", shown.stdout)
        if found:
            return int(found[1]), int(found[2])
    return None


def cupy_remedy(cuda: tuple[int, int] | None) -> str:
    """Command that installs the CuPy for a driver; both commands if there is none to ask."""
    commands = {major: f'pip install "arraycon[cuda{major}x]"' for major in (12, 13)}
    if cuda is None:
        return f"{commands[12]} (CUDA 12) or {commands[13]} (CUDA 13)"
    if cuda[0] < 12:
        return f"update the NVIDIA driver (it supports CUDA {cuda[0]}.{cuda[1]}, 12 is needed)"
    return commands[min(cuda[0], 13)]


def _versions() -> dict[str, str | None]:
    versions: dict[str, str | None] = {
        "python": f"{platform.python_version()} ({platform.system()} {platform.machine()})",
        "arraycon": __version__,
    }
    versions |= {name: version(name) for name in PACKAGES}
    installed = {name: version(name) for name in CUPY_PACKAGES}
    versions |= {name: version for name, version in installed.items() if version}
    return versions if any(installed.values()) else versions | {"cupy": None}


def version(distribution: str) -> str | None:
    """Version of an installed distribution; None if it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _present(module: str) -> bool:
    try:
        return importlib.util.find_spec(module) is not None
    except (ImportError, ValueError):
        return False


def _library(name: str, make: Callable[[], Any]) -> Fact:
    """Whether a constraint runs on an array of the library."""
    if not _present(name):
        return Fact(name, None, "not installed (optional)")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = objp_postiv(make())
            values = [float(value) for value in result]
            device = array_api_compat.device(result)
    except Exception as error:  # whatever another package raises when it is broken
        return Fact(name, False, f"fails: {_line(error)}")
    if values != [0.0, 1.0]:
        return Fact(name, False, f"computes wrong numbers: {values}")
    return Fact(name, True, f"computes on {device}")


def _cupy() -> Fact:
    cuda = cuda_version()
    driver = f"the driver supports CUDA {cuda[0]}.{cuda[1]}" if cuda else "no NVIDIA driver found"
    if not _present("cupy"):
        return Fact("cupy", None, f"not installed; {driver}", cupy_remedy(cuda))
    several = [name for name in CUPY_PACKAGES if version(name)]
    if len(several) > 1:
        detail = f"{' and '.join(several)} are installed and overwrite each other"
        return Fact("cupy", False, detail, f"pip uninstall {' '.join(several)}, then install one")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            cupy = importlib.import_module("cupy")
    except Exception as error:  # wrong CUDA, missing libraries, a damaged install
        return Fact("cupy", False, f"import fails: {_line(error)}; {driver}", cupy_remedy(cuda))
    try:
        name = cupy.cuda.runtime.getDeviceProperties(0)["name"]
        free, total = cupy.cuda.runtime.memGetInfo()
    except Exception as error:  # CUDARuntimeError has no base class of its own
        return Fact("cupy", False, f"imports, but no GPU answers: {_line(error)}; {driver}")
    answer = _library("cupy", lambda: cupy.asarray([-1.0, 1.0]))
    shown = name.decode(errors="replace") if isinstance(name, bytes) else str(name)
    memory = f"{free / 2**30:.1f} of {total / 2**30:.1f} GiB free"
    return Fact("cupy", answer.good, f"{answer.detail}: {shown}, {memory}; {driver}")


def _switch() -> Fact:
    setting = os.environ.get(dispatch.SWITCH, "")
    try:
        on = dispatch.accelerated()
    except ValueError as error:
        return Fact("fast paths", False, str(error), f"unset {dispatch.SWITCH}")
    if on:
        return Fact("fast paths", True, f"allowed ({dispatch.SWITCH} is {setting or 'not set'})")
    detail = f"switched off by {dispatch.SWITCH}={setting}: the array-API reference computes"
    return Fact("fast paths", False, detail, f"unset {dispatch.SWITCH}")


def _forced_off() -> bool:
    try:
        return not dispatch.accelerated()
    except ValueError:
        return True


def _fft() -> Fact:
    name = "FFT on NumPy"
    if _forced_off():
        return Fact(name, False, "numpy.fft, one thread: fast paths are off")
    own = _own_fft()
    if _present("ducc0"):
        return Fact(name, True, f"ducc0 {version('ducc0')}; {own}")
    detail = f"scipy.fft; ducc0, which is faster, is not installed; {own}"
    return Fact(name, False, detail, 'pip install "arraycon[fft]"')


def _own_fft() -> str:
    try:
        slices = importlib.import_module("arraycon.kernels.cpu.fft.slices")
        why = slices.why_library()
    except Exception as error:  # no Numba, or one that is damaged: the next line says so
        why = _line(error)
    return f"own vector transforms are off: {why}" if why else "own vector transforms for slices"


def _numba() -> Fact:
    name = "compiled CPU kernels"
    if not _present("arraycon.kernels.cpu"):
        return Fact(name, None, "none in this version: NumPy arrays take the array-API path")
    if _forced_off():
        return Fact(name, False, "fast paths are off")
    if not _present("numba"):
        return Fact(name, False, "Numba is not installed", "pip install numba")
    try:
        importlib.import_module("numba")
    except Exception as error:  # built for another NumPy, or damaged
        detail = f"Numba cannot be imported: {_line(error)}"
        return Fact(name, False, detail, "pip install --upgrade numba")
    return Fact(name, True, f"Numba {version('numba')}; `arraycon warmup` compiles ahead")


def _threads() -> Fact:
    setting = os.environ.get(threads.SETTING)
    try:
        number = threads.count()
    except ValueError as error:
        return Fact("threads", False, str(error), f"unset {threads.SETTING}")
    source = f"{threads.SETTING}={setting}" if setting else f"{threads.SETTING} is not set"
    return Fact("threads", True, f"{number} of {threads.cores()} processors ({source})")


def _cuda(cupy: Fact) -> Fact:
    name = "CUDA kernels"
    if not _present("arraycon.kernels.gpu"):
        return Fact(name, None, "none in this version: CuPy arrays take the array-API path")
    if _forced_off():
        return Fact(name, False, "fast paths are off")
    if not cupy.good:
        return Fact(name, False, f"CuPy: {cupy.detail}", cupy.remedy)
    return Fact(name, True, "used for CuPy arrays")


def _line(error: BaseException) -> str:
    lines = str(error).strip().splitlines()
    return lines[0] if lines else type(error).__name__
