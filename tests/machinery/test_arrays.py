"""What arrays may be given: one library at a time, and `out` only where it can be written."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import Library

import arraycon
from arraycon.kernels.common import arrays

OBJ = np.ones((3, 6, 6), "float32")


@pytest.mark.parametrize("name", ["torch", "jax"])
def test_mixed_libraries_are_named(name):
    library = Library(name)
    if reason := library.available():
        pytest.skip(reason)
    other = library.array(OBJ)
    with pytest.raises(TypeError, match=f"mix: amplitude is numpy, phase is {name}"):
        arraycon.complex_ratio(OBJ, other)
    with pytest.raises(TypeError, match=f"mix: out is {name}, obj is numpy"):
        arraycon.kr_filter(OBJ, out=other)


def test_jax_has_no_output_arrays():
    jax = pytest.importorskip("jax", reason="jax is not installed")
    obj = jax.numpy.asarray(OBJ)
    with pytest.raises(TypeError, match="out: expected None, because JAX arrays cannot be written"):
        arraycon.kr_filter(obj, out=obj)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 2, 0), (2, 0, 1, 3)])
@pytest.mark.parametrize("shape", [(1, 20, 70, 90), (2, 1, 150, 61), (70, 3, 1, 129), (3, 4, 5, 6)])
def test_copies_from_any_order_of_axes_to_any_other(shape, order):
    source = np.random.default_rng(20).random(tuple(shape[axis] for axis in order))
    source = source.transpose(np.argsort(order))
    assert source.shape == shape
    copied = arrays.contiguous_copy(source)
    assert copied.flags.c_contiguous
    np.testing.assert_array_equal(copied, source)
    target = np.zeros_like(source, order="K")[..., ::-1]
    arrays.assign(target, copied)
    np.testing.assert_array_equal(target, source)
