"""The constraints on NumPy arrays by Numba, and by NumPy and SciPy where Numba brings nothing.

Same names and arguments as in `agnostic`, but in place: the functions take C-contiguous arrays and
change them. Work is divided by `threads.run` into slices or blocks that fit the cache; scratch
memory is a few blocks per thread.
"""
