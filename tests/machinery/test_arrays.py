"""What arrays may be given: one library at a time, and `out` only where it can be written."""

from __future__ import annotations

import numpy as np
import pytest
from libraries import Library

import arraycon

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
