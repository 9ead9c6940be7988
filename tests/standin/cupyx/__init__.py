"""CuPy's additions, as far as the package uses them."""
