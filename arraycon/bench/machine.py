"""What a benchmark ran on, without names of hosts, users or folders."""

from __future__ import annotations

import datetime
import importlib
import importlib.metadata
import os
import platform
import time
from pathlib import Path

from arraycon.bench import ptyrad_model
from arraycon.kernels.common import threads as pool
from arraycon.version import __version__

_PACKAGES = ("numpy", "scipy", "numba", "ducc0")


def describe(threads: int, *, on: str = "cpu") -> dict[str, object]:
    """Processor, cores, threads used, the card if it is what computes, versions, and the day."""
    versions = {"python": platform.python_version(), "arraycon": __version__}
    versions |= {name: found for name in _PACKAGES if (found := _version(name))}
    card = _card(versions) if on == "gpu" else {}
    return {
        **card,
        "cpu": _cpu(),
        "cores": pool.cores(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}",
        "versions": versions | ptyrad_model.versions(),
        "date": datetime.datetime.now(datetime.timezone.utc).date().isoformat(),
    }


class Others:
    """Cores that other processes keep busy from now on."""

    def __init__(self) -> None:
        self._wall, self._since = time.perf_counter(), _elsewhere()

    def cores(self) -> float | None:
        """Average number of cores until now; None where the system does not tell."""
        now, wall = _elsewhere(), time.perf_counter() - self._wall
        if now is None or self._since is None or wall <= 0:
            return None
        return max(0.0, (now - self._since) / wall)


def _elsewhere() -> float | None:
    """CPU seconds since the system's start that neither this process nor its children took."""
    try:
        fields = Path("/proc/stat").read_text(encoding="ascii").splitlines()[0].split()[1:]
        busy = sum(map(int, (*fields[:3], *fields[5:8]))) / os.sysconf("SC_CLK_TCK")
    except (OSError, ValueError, IndexError):
        return None  # no Linux
    return busy - sum(os.times()[:4])


def _card(versions: dict[str, str]) -> dict[str, object]:
    """Name and memory of the current device; adds versions."""
    cupy = importlib.import_module("cupy")
    runtime = cupy.cuda.runtime
    facts = runtime.getDeviceProperties(cupy.cuda.Device().id)
    versions |= {
        "cupy": cupy.__version__,
        "CUDA runtime": _dotted(runtime.runtimeGetVersion()),
        "CUDA driver": _dotted(runtime.driverGetVersion()),
    }
    return {"gpu": facts["name"].decode(), "gpu_memory": int(facts["totalGlobalMem"])}


def _dotted(version: int) -> str:
    return f"{version // 1000}.{version % 1000 // 10}"


def _version(distribution: str) -> str | None:
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return None


def _cpu() -> str:
    try:
        for line in Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines():
            key, _, value = line.partition(":")
            if key.strip() == "model name":
                return value.strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()
