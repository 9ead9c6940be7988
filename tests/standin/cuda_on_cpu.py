"""Compiles CUDA sources for the CPU and launches their kernels; see ``cuda_on_cpu.cpp``."""

from __future__ import annotations

import ctypes
import functools
import hashlib
import os
import re
import tempfile
import threading
from pathlib import Path

import numpy as np
import processes

HERE = Path(__file__).parent
HEADER, RUNNER = HERE / "cuda_on_cpu.h", HERE / "cuda_on_cpu.cpp"
SANITIZERS = ("-fsanitize=address,undefined", "-fsanitize-sections=shared_memory")
FLAGS = (
    "-std=c++17", "-O1", "-g1", "-fPIC", "-fvisibility=hidden", "-w",
    "-ffp-contract=off", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer",
)  # fmt: skip
KERNEL = re.compile(r'extern "C" __global__ void(?:\s+__launch_bounds__\([^)]*\))?\s+(\w+)\(')


class LaunchError(RuntimeError):
    """A launch that a device would reject, misread or hang on."""


class Argument(ctypes.Structure):
    _fields_ = (("kind", ctypes.c_char), ("bytes", ctypes.c_int), ("value", ctypes.c_void_p))


def sanitized() -> bool:
    """Whether this process was started with the sanitizers' runtime."""
    return "libasan" in os.environ.get("LD_PRELOAD", "")


def environment() -> dict[str, str]:
    """Environment variables for a process that runs kernels under the sanitizers."""
    command = ["g++", "-print-file-name=libasan.so"]
    runtime = processes.run(command, capture_output=True, text=True, check=True).stdout.strip()
    return {
        "LD_PRELOAD": runtime,
        # where memory was allocated says little here, and to note it took a third of Python's time
        "ASAN_OPTIONS": "detect_leaks=0,detect_stack_use_after_return=0,handle_segv=0,"
        "malloc_context_size=1",
        "UBSAN_OPTIONS": "print_stacktrace=1",
    }


@functools.cache
def compiled(code: str) -> ctypes.CDLL:
    """Compile a complete source for this process and load it."""
    return ctypes.CDLL(str(built(code, sanitize=sanitized())))


def built(code: str, *, sanitize: bool) -> Path:
    """Compile a complete source; kept in the system's folder for temporary files."""
    launchers = "".join(f"LAUNCHER({name})\n" for name in KERNEL.findall(code))
    # the namespace keeps the shared arrays of inline functions in the section of the others
    text = f'#include "cuda_on_cpu.h"\nnamespace {{\n#line 1 "kernels"\n{code}\n}}\n{launchers}'
    runner = _made(RUNNER.read_text(), ".o", "-c")
    return _made(text, ".so", "-shared", *(SANITIZERS if sanitize else ()), objects=(runner,))


def _made(text: str, suffix: str, *flags: str, objects: tuple[Path, ...] = ()) -> Path:
    """Compile a text to a file whose name says of what it is made."""
    flags = (*FLAGS, *flags)
    parts = (HEADER.read_text(), text, *flags, *(one.stem for one in objects))
    key = hashlib.sha256("\0".join(parts).encode()).hexdigest()[:24]
    folder = Path(tempfile.gettempdir()) / f"arraycon-cuda-on-cpu-{os.getuid()}"
    folder.mkdir(exist_ok=True)
    made = folder / f"{key}{suffix}"
    if not made.exists():
        # threads of one process may want the same
        own = f"{key}.{os.getpid()}.{threading.get_ident()}"
        source, unfinished = folder / f"{own}.cpp", folder / f"{own}{suffix}"
        source.write_text(text)
        command = ["g++", *flags, "-I", HERE, "-o", unfinished, source, *objects]
        plain = {k: v for k, v in os.environ.items() if k != "LD_PRELOAD"}
        done = processes.run(command, capture_output=True, text=True, env=plain)
        source.unlink()
        if done.returncode:
            raise LaunchError(f"the source does not compile:\n{done.stderr[:4000]}")
        unfinished.replace(made)
    return made


def launch(code: str, name: str, grid, block, args, *, shared: int = 0, order: int = 0) -> None:
    """Launch a kernel as a device would, and check what a device does not."""
    if name not in KERNEL.findall(code):
        raise LaunchError(f"there is no kernel {name}")
    dims = [*grid, *[1] * (3 - len(grid)), *block, *[1] * (3 - len(block))]
    if min(dims) < 1:
        raise LaunchError(f"{name}: grid {grid} and block {block} are to be positive")
    if dims[3] * dims[4] * dims[5] > 1024:
        raise LaunchError(f"{name}: a block of {block} has more than 1024 threads")
    if dims[1] > 65535 or dims[2] > 65535:
        raise LaunchError(f"{name}: only the first dimension of a grid may exceed 65535: {grid}")
    arguments, kept = (Argument * max(1, len(args)))(), []
    for i, value in enumerate(args):
        arguments[i] = _argument(value, kept, f"{name}: argument {i}")
    status = getattr(compiled(code), f"launch_{name}")(
        arguments, len(args), (ctypes.c_uint * 6)(*dims), ctypes.c_size_t(shared), order
    )
    if status == -1:
        raise LaunchError(f"{name}: some threads of a block wait for what others never reach")
    if status >= 1000:
        raise LaunchError(f"{name}: expected {status - 1000} arguments, got {len(args)}")
    if status:
        value = args[status - 1]
        raise LaunchError(
            f"{name}: argument {status - 1} has another type than the kernel's: "
            f"{type(value).__name__} {getattr(value, 'dtype', '')}"
        )


def _argument(value, kept: list, what: str) -> Argument:
    if isinstance(value, np.ndarray):
        if not value.flags.c_contiguous:
            raise LaunchError(f"{what}: expected a contiguous array, kernels ignore strides")
        return Argument(b"p", value.itemsize, value.ctypes.data)
    if not isinstance(value, np.generic):
        raise LaunchError(f"{what}: expected a NumPy scalar, got {type(value).__name__}")
    cell = np.array(value)
    kept.append(cell)
    return Argument(b"f" if cell.dtype.kind == "f" else b"i", cell.itemsize, cell.ctypes.data)
