"""CUDA sources: completed by a preamble, compiled once for each device and kept by CuPy.

One text is all that CUDA gets: no include, no template. Its parts keep their file's name and line
numbers, so that what a compiler or a profiler says leads there. Tests compile the same text with
NVRTC for several architectures, and run it on the CPU.
"""

from __future__ import annotations

import functools
import re
from importlib import resources
from typing import TypeAlias

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.caches import released

Defines: TypeAlias = tuple[tuple[str, int | str], ...]

OPTIONS = ("--std=c++17",)
THREADS = 256
"""Threads of a block, unless a family says otherwise."""

# Elements from which on an index needs 64 bits: a grid's stride is added before the comparison.
_LARGEST_SPAN = 2**31 - 2**24
# What a parameter's type asks for; arrays go as they are.
_SCALARS = {
    dtype: {"long long": np.int64, "double": np.float64, "real": getattr(np, dtype)}
    for dtype in ("float32", "float64")
}
# What a family has in common with another one.
_SHARED = {
    "circulant": ("wedge.cuh",),
    "dct": ("cosines.cuh",),
    "fourier": ("wedge.cuh",),
    "gauge": ("planes.cuh",),
    "levels": ("planes.cuh",),
    "transfer": ("cosines.cuh",),
    "values": ("planes.cuh",),
}
# Families lie in the layer's own folder, what they share beside this file.
_FOLDERS = (__package__.rpartition(".")[0], __package__)

_kernels: dict[tuple[str, str, str, bool, Defines], Kernel] = {}


def families() -> tuple[str, ...]:
    """Return the names of the ``.cu`` files, shared ones included."""
    names = (path.name for folder in _FOLDERS for path in resources.files(folder).iterdir())
    return tuple(sorted(name.removesuffix(".cu") for name in names if name.endswith(".cu")))


@functools.cache
def program(family: str, dtype: str, index: str = "int", defines: Defines = ()) -> str:
    """Return the complete source of a family.

    Parameters
    ----------
    family : str
        Name of its ``.cu`` file.
    dtype : str
        ``float32`` or ``float64``.
    index : str
        C type of indices, ``int`` or ``long long``.
    defines : tuple of (str, int or str)
        Macros, for what is to be known when the family is compiled.
    """
    preamble = (
        f"typedef {'float' if dtype == 'float32' else 'double'} real;\n"
        f"typedef {index} index_t;\n"
        f"#define SINGLE {int(dtype == 'float32')}\n"
        f"#define THREADS {THREADS}\n"
    ) + "".join(f"#define {name} {value}\n" for name, value in defines)
    parts = "common.cuh", *_SHARED.get(family, ()), f"{family}.cu"
    return preamble + "".join(map(_part, parts))


class Kernel:
    """One kernel in one variant, with what all its launches share.

    Attributes
    ----------
    call : cupy.RawKernel
        Compiled at the first call on each device; CuPy keeps the binary in its cache on disk.
    converters : tuple
        What makes each argument as wide as the kernel's own text has it, None for arrays. A Python
        number would reach the kernel as 8 bytes whatever it expects.
    """

    __slots__ = ("_granted", "call", "converters")

    def __init__(self, family: str, name: str, dtype: str, index: str, defines: Defines) -> None:
        import cupy

        self.call = cupy.RawKernel(program(family, dtype, index, defines), name, options=OPTIONS)
        self.converters = tuple(map(_SCALARS[dtype].get, parameters(family, name)))
        self._granted: dict[int, int] = {}

    def grant(self, device: int, shared: int) -> None:
        """Let the kernel have as much shared memory on a device, which is current."""
        if shared > self._granted.get(device, 0):
            self.call.max_dynamic_shared_size_bytes = self._granted[device] = shared


def kernel(family: str, name: str, like: Array, defines: Defines = ()) -> Kernel:
    """Return the kernel for arrays of the precision and the length of `like`."""
    # a third of a launch's host time was `dtype.name`, when it was part of the key
    key = family, name, like.dtype.char, like.size < _LARGEST_SPAN, defines
    found = _kernels.get(key)
    if found is None:
        dtype = "float32" if key[2] in "fF" else "float64"
        index = "int" if key[3] else "long long"
        found = _kernels[key] = Kernel(family, name, dtype, index, defines)
    return found


@functools.cache
def parameters(family: str, name: str) -> tuple[str, ...]:
    """Return the types of a kernel's parameters, in its own words: ``real``, ``const real *``."""
    text = _part(f"{family}.cu")
    found = re.search(rf'extern "C" __global__ void[^;{{]*?\b{name}\(([^)]*)\)', text)
    if found is None:
        raise KeyError(f"{family}.cu has no kernel {name}")
    return tuple(re.sub(r"\s*\w+$", "", one.strip()) for one in found[1].split(","))


@released
def clear() -> None:
    """Forget the compiled kernels."""
    _kernels.clear()


@functools.cache
def _part(name: str) -> str:
    """Return a file's text behind a directive that says where it is from."""
    found = (resources.files(folder).joinpath(name) for folder in _FOLDERS)
    text = next(path for path in found if path.is_file()).read_text(encoding="utf-8")
    return f'#line 1 "{name}"\n{text}'
