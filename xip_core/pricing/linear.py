"""Small dense linear algebra whose bytes depend neither on the CPU nor on what else is computed beside it.

No BLAS and no LAPACK: their order of additions depends on shapes, threads and the CPU.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]


def product(left: Floats, right: Floats) -> Floats:
    """Matrix product whose sums run in order, on any CPU and for any shape: (a, n), (n, b) -> (a, b)."""
    found = np.zeros((left.shape[0], right.shape[1]))
    for inner in np.flatnonzero(left.any(axis=0)).tolist():
        found += left[:, inner, None] * right[inner]
    return found


def solve(matrix: Floats, right: Floats) -> Floats:
    """Elimination without pivoting, elementwise over the columns of *right*: (n, n), (n, b) -> (n, b).

    Each instrument depends most on its own knot, so pivoting would choose the diagonal.
    """
    matrix, right = matrix.copy(), right.copy()
    count = len(matrix)
    for k in range(count):
        for i in (np.flatnonzero(matrix[k + 1 :, k]) + k + 1).tolist():
            ratio = matrix[i, k] / matrix[k, k]
            matrix[i, k:] -= ratio * matrix[k, k:]
            right[i] -= ratio * right[k]
    for k in range(count - 1, -1, -1):
        for j in (np.flatnonzero(matrix[k, k + 1 :]) + k + 1).tolist():
            right[k] -= matrix[k, j] * right[j]
        right[k] /= matrix[k, k]
    return right
