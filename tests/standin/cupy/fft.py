"""Transforms in the input's precision, as cuFFT's are."""

from __future__ import annotations

import scipy.fft as _fft

from cupy import wrapped

__all__ = [
    "fft", "fft2", "fftfreq", "fftn", "fftshift", "hfft", "ifft", "ifft2", "ifftn", "ifftshift",
    "ihfft", "irfft", "irfft2", "irfftn", "rfft", "rfft2", "rfftfreq", "rfftn",
]  # fmt: skip

for _name in __all__:
    globals()[_name] = wrapped(getattr(_fft, _name))
