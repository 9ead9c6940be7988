"""What is asked of the CUDA runtime."""

from __future__ import annotations


def getDeviceCount() -> int:
    return 1


def getDevice() -> int:
    return 0


def getDeviceProperties(_) -> dict:
    return {"name": b"No card: CUDA on the CPU", "totalGlobalMem": 0}


def memGetInfo() -> tuple[int, int]:
    return 10**9, 2 * 10**9


def runtimeGetVersion() -> int:
    return 13000


def driverGetVersion() -> int:
    return 13000
