"""The constraints on NumPy arrays by Numba, and by NumPy and SciPy where Numba brings nothing.

Same names and arguments as in `agnostic`, but in place: the functions take C-contiguous arrays and
change them. Work is divided by `threads.run` into slices or blocks that fit the cache; scratch
memory is a few blocks per thread, and had before anything is written. A function that yields has it
by then: of the two parts of an object, neither is changed before both have got so far. One that has
an argument `sums` is asked for how much each array changes; see `tools.sums`.
"""
