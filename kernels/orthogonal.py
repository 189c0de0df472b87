"""Orthonormal vectors by one fixed order of operations, the same on every machine."""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def orthonormalise(vectors):  # type: ignore[no-untyped-def]
    """Make the rows of ``vectors`` (k, n), k <= n, orthonormal in place, in their order.

    Modified Gram-Schmidt, each vector twice, which brings inner products down to
    rounding. Sums run by rising index: LAPACK's order differs between machines.
    """
    k, n = vectors.shape
    for i in range(k):
        for _ in range(2):
            for j in range(i):
                dot = 0.0
                for c in range(n):
                    dot += vectors[i, c] * vectors[j, c]
                for c in range(n):
                    vectors[i, c] -= dot * vectors[j, c]
        square = 0.0
        for c in range(n):
            square += vectors[i, c] * vectors[i, c]
        length = np.sqrt(square)
        if length > 0.0:  # a zero vector stays one
            for c in range(n):
                vectors[i, c] /= length
