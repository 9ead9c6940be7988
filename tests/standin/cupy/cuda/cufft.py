"""cuFFT: a plan writes into given memory and normalises nothing."""

from __future__ import annotations

import numpy as np
import scipy.fft as _fft

from cupy import _theirs
from cupy.cuda import graphs

CUFFT_R2C, CUFFT_C2R, CUFFT_C2C = 0x2A, 0x2C, 0x29
CUFFT_D2Z, CUFFT_Z2D, CUFFT_Z2Z = 0x6A, 0x6C, 0x69
CUFFT_FORWARD, CUFFT_INVERSE = -1, 1

_FROM_REAL, _TO_REAL = (CUFFT_R2C, CUFFT_D2Z), (CUFFT_C2R, CUFFT_Z2D)
_SINGLE = (CUFFT_R2C, CUFFT_C2R, CUFFT_C2C)


class PlanNd:
    """Transforms of `batch` items that lie one after the other, over all axes of an item."""

    def __init__(
        self, shape, inembed, istride, idist, onembed, ostride, odist, fft_type, batch, order,
        last_axis, last_size,
    ):  # fmt: skip
        half = (*shape[:-1], shape[-1] // 2 + 1)
        self.shape, self.batch, self.fft_type = tuple(shape), batch, fft_type
        # real rows in the place of their spectra are as long as these
        padded = (*shape[:-1], 2 * half[-1])
        given = tuple(onembed if fft_type in _TO_REAL else inembed)
        real = padded if given == padded and fft_type not in (CUFFT_C2C, CUFFT_Z2Z) else self.shape
        self.item_in = half if fft_type in _TO_REAL else real
        self.item_out = half if fft_type in _FROM_REAL else real
        # what is transformed here: contiguous items
        assert (tuple(inembed), istride, idist) == (self.item_in, 1, np.prod(self.item_in))
        assert (tuple(onembed), ostride, odist) == (self.item_out, 1, np.prod(self.item_out))
        assert batch >= 1
        assert min(shape) >= 1
        # cuFFT takes them as C's int
        assert all(isinstance(number, int) for number in (*shape, batch, istride, idist, odist))
        assert max(*shape, batch, int(idist), int(odist)) < 2**31
        assert order == "C"
        assert last_axis >= 0
        assert last_size is None or last_size == self.item_out[-1]

    def fft(self, a, out, direction):
        graphs.refuse("a transform")
        source = self._items(a, self.item_in, real=self.fft_type in _FROM_REAL)
        target = self._items(out, self.item_out, real=self.fft_type in _TO_REAL)
        # to real numbers as to complex ones, or it is CUFFT_INVALID_VALUE
        complex_bytes = 8 if self.fft_type in _SINGLE else 16
        assert source.ctypes.data % complex_bytes == target.ctypes.data % complex_bytes == 0
        # one in the place of the other: rows begin together
        in_place = np.may_share_memory(source, target)
        assert not in_place or source.ctypes.data == target.ctypes.data
        assert not in_place or source.nbytes == target.nbytes
        axes = tuple(range(1, source.ndim))
        if self.fft_type in _FROM_REAL:
            result = _fft.rfftn(source[..., : self.shape[-1]], axes=axes)
        elif self.fft_type in _TO_REAL:
            result = _fft.irfftn(source, s=self.shape, axes=axes, norm="forward")
            source[...] = np.nan  # cuFFT overwrites the input of a complex-to-real transform
        elif direction == CUFFT_FORWARD:
            result = _fft.fftn(source, axes=axes)
        else:
            result = _fft.ifftn(source, axes=axes, norm="forward")
        target[..., : result.shape[-1]] = result

    def _items(self, array, item, *, real):
        array = _theirs(array)
        kinds = {(True, True): "f", (True, False): "d", (False, True): "F", (False, False): "D"}
        assert array.dtype.char == kinds[real, self.fft_type in _SINGLE]
        assert array.flags.c_contiguous
        return array.reshape(self.batch, *item)
