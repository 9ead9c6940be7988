"""SciPy's functions on CuPy arrays."""
