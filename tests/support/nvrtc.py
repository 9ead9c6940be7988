"""NVRTC out of its wheel: compiles CUDA sources where there is neither a driver nor a toolkit."""

from __future__ import annotations

import ctypes
import functools
import importlib.metadata
import re
from collections.abc import Sequence

WHEEL = "nvidia-cuda-nvrtc"


class CompileError(Exception):
    """NVRTC refuses a source; the message is its log."""


@functools.cache
def library() -> ctypes.CDLL | None:
    """Return the library of the installed wheel, or None without one."""
    try:
        files = importlib.metadata.files(WHEEL) or []
    except importlib.metadata.PackageNotFoundError:
        return None
    found = [file for file in files if re.fullmatch(r"libnvrtc\.so\.\d+", file.name)]
    return ctypes.CDLL(str(found[0].locate())) if found else None


def compiled(source: str, architecture: str, options: Sequence[str] = ()) -> tuple[bytes, str]:
    """Compile a source, as far as PTX for ``compute_90``, to a binary for ``sm_90``.

    Returns
    -------
    code : bytes
        PTX or binary.
    log : str
        Warnings.
    """
    nvrtc, program = library(), ctypes.c_void_p()
    assert nvrtc is not None
    text = source.encode()
    _check(nvrtc.nvrtcCreateProgram(ctypes.byref(program), text, b"kernels.cu", 0, None, None))
    try:
        given = [option.encode() for option in (f"--gpu-architecture={architecture}", *options)]
        array = (ctypes.c_char_p * len(given))(*given)
        status = nvrtc.nvrtcCompileProgram(program, len(given), array)
        log = _content(nvrtc, program, "ProgramLog").rstrip(b"\0").decode().strip()
        if status:
            raise CompileError(log or f"status {status} of NVRTC")
        return _content(nvrtc, program, "CUBIN" if architecture.startswith("sm_") else "PTX"), log
    finally:
        nvrtc.nvrtcDestroyProgram(ctypes.byref(program))


def _content(nvrtc: ctypes.CDLL, program: ctypes.c_void_p, name: str) -> bytes:
    size = ctypes.c_size_t()
    _check(getattr(nvrtc, f"nvrtcGet{name}Size")(program, ctypes.byref(size)))
    buffer = ctypes.create_string_buffer(size.value)
    _check(getattr(nvrtc, f"nvrtcGet{name}")(program, buffer))
    return buffer.raw


def _check(status: int) -> None:
    if status:
        raise CompileError(f"status {status} of NVRTC")
