"""CUDA sources: completed by a preamble, compiled once for each device and kept by CuPy.

One text is all that CUDA gets: no include, no template. Its parts keep their file's name and line
numbers, so that what a compiler or a profiler says leads there. Tests compile the same text with
NVRTC for several architectures, and run it on the CPU.
"""

from __future__ import annotations

import functools
from importlib import resources
from typing import Any

import numpy as np

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.common.caches import released

OPTIONS = ("--std=c++17",)
THREADS = 256
"""Threads of a block, unless a family says otherwise."""

# Elements from which on an index needs 64 bits: a grid's stride is added before the comparison.
_LARGEST_SPAN = 2**31 - 2**24
# Families lie in the layer's own folder, what they share beside this file.
_FOLDERS = (__package__.rpartition(".")[0], __package__)


def families() -> tuple[str, ...]:
    """Return the names of the ``.cu`` files, shared ones included."""
    names = (path.name for folder in _FOLDERS for path in resources.files(folder).iterdir())
    return tuple(sorted(name.removesuffix(".cu") for name in names if name.endswith(".cu")))


@functools.cache
def program(family: str, dtype: str, index: str = "int") -> str:
    """Return the complete source of a family.

    Parameters
    ----------
    family : str
        Name of its ``.cu`` file.
    dtype : str
        ``float32`` or ``float64``.
    index : str
        C type of indices, ``int`` or ``long long``.
    """
    preamble = (
        f"typedef {'float' if dtype == 'float32' else 'double'} real;\n"
        f"typedef {index} index_t;\n"
        f"#define SINGLE {int(dtype == 'float32')}\n"
        f"#define THREADS {THREADS}\n"
    )
    return preamble + _part("common.cuh") + _part(f"{family}.cu")


def kernel(family: str, name: str, like: Array) -> Any:
    """Return the kernel for arrays of the precision and the length of `like`."""
    index = "int" if like.size < _LARGEST_SPAN else "long long"
    precision = np.dtype(like.real.dtype if like.dtype.kind == "c" else like.dtype).name
    return _compiled(family, name, precision, index)


@released
def clear() -> None:
    """Forget the compiled kernels."""
    _compiled.cache_clear()


@functools.cache
def _compiled(family: str, name: str, dtype: str, index: str) -> Any:
    import cupy

    # CuPy compiles at the first call on each device, and keeps the binary in its cache on disk
    return cupy.RawKernel(program(family, dtype, index), name, options=OPTIONS)


@functools.cache
def _part(name: str) -> str:
    """Return a file's text behind a directive that says where it is from."""
    found = (resources.files(folder).joinpath(name) for folder in _FOLDERS)
    text = next(path for path in found if path.is_file()).read_text(encoding="utf-8")
    return f'#line 1 "{name}"\n{text}'
