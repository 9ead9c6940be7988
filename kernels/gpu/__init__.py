"""CUDA kernels for CuPy arrays: families, functions and names as in `arraycon.kernels.cpu`.

Each function works in place on C-contiguous arrays, on the current stream and the arrays' device,
and never waits for the device. The kernels are in the ``.cu`` file beside each module; `source`
completes and compiles them, `launch` calls them.
"""
