"""Product of a small matrix with many columns, for transforms along a short axis."""

from __future__ import annotations

from arraycon.kernels.common.arrays import Array
from arraycon.kernels.cpu.tools.compiled import kernel


@kernel
def product(matrix: Array, source: Array, target: Array) -> None:
    """Write matrix @ source to `target`; the source may have more rows than the matrix columns.

    Two rows of the result and four of the source at a time, so that sums are seldom loaded and
    stored: 20×20 by 20×512 in float32 on one thread at 64 GFLOP/s, row by row 52; 48×48 at 54 and
    32. BLAS reaches 86, but needs the interpreter for every call, on which threads then wait.
    """
    rows, depth = matrix.shape
    whole = depth // 4 * 4
    target[:] = 0
    for i in range(0, rows - 1, 2):
        for n in range(0, whole, 4):
            a, b, c, d = matrix[i, n], matrix[i, n + 1], matrix[i, n + 2], matrix[i, n + 3]
            e, f = matrix[i + 1, n], matrix[i + 1, n + 1]
            g, h = matrix[i + 1, n + 2], matrix[i + 1, n + 3]
            for j in range(target.shape[1]):
                w, x, y, z = source[n, j], source[n + 1, j], source[n + 2, j], source[n + 3, j]
                target[i, j] += (a * w + b * x) + (c * y + d * z)
                target[i + 1, j] += (e * w + f * x) + (g * y + h * z)
        for n in range(whole, depth):
            _add(target[i], matrix[i, n], source[n])
            _add(target[i + 1], matrix[i + 1, n], source[n])
    if rows % 2:
        for n in range(depth):
            _add(target[rows - 1], matrix[rows - 1, n], source[n])


@kernel
def _add(total: Array, weight: float, values: Array) -> None:
    for j in range(total.size):
        total[j] += weight * values[j]
