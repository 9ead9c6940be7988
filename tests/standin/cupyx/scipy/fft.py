"""Plans and transforms; a plan writes into given memory and normalises nothing, as cuFFT does."""

from __future__ import annotations

import numpy as np
import scipy.fft as _fft
from cupy import _theirs, ndarray, wrapped

__all__ = ["dctn", "fft", "fft2", "fftn", "idctn", "ifft", "ifft2", "ifftn", "irfft2", "rfft2"]

for _name in __all__:
    globals()[_name] = wrapped(getattr(_fft, _name))


class Plan:
    """One transform of one shape."""

    def __init__(self, shape, lengths, dtype, axes, kind):
        self.shape, self.lengths, self.dtype = shape, lengths, dtype
        self.axes, self.kind = axes, kind

    def fft(self, a, out, direction):
        source, target = _theirs(a), _theirs(out)
        assert source.shape == self.shape
        assert source.dtype == self.dtype
        assert source.flags.c_contiguous
        assert target.flags.c_contiguous
        # to real numbers as to complex ones, or it is CUFFT_INVALID_VALUE
        complex_bytes = max(source.itemsize, target.itemsize)
        assert source.ctypes.data % complex_bytes == target.ctypes.data % complex_bytes == 0
        if self.kind == "R2C":
            result = _fft.rfftn(source, axes=self.axes)
        elif self.kind == "C2R":
            result = _fft.irfftn(source, s=self.lengths, axes=self.axes, norm="forward")
            source[...] = np.nan  # cuFFT overwrites the input of a complex-to-real transform
        elif direction < 0:
            result = _fft.fftn(source, axes=self.axes)
        else:
            result = _fft.ifftn(source, axes=self.axes, norm="forward")
        assert result.shape == target.shape
        assert result.dtype == target.dtype
        target[...] = result


def get_fft_plan(a, shape=None, axes=None, value_type="C2C"):
    assert isinstance(a, ndarray)
    assert value_type in ("C2C", "R2C", "C2R")
    assert (a.dtype.kind == "c") == (value_type != "R2C")
    # what CuPy can plan: the last axis alone, or several adjacent ones that end with it
    assert sorted(axis % a.ndim for axis in axes) == list(range(a.ndim - len(axes), a.ndim))
    return Plan(tuple(a.shape), tuple(shape), a.dtype, tuple(axes), value_type)
