"""Gram-Schmidt in a fixed order of operations, so that the result is the same on every machine."""

import numpy as np

from .compiled import compiled


@compiled
def orthonormalise(vectors):  # type: ignore[no-untyped-def]
    """Orthonormalise the rows of ``vectors`` (k, n), k <= n, in place and in their order.

    The method is modified Gram-Schmidt. Each vector is orthogonalised twice, which
    reduces inner products to rounding errors. Sums run by rising index: LAPACK's
    order of summation differs between machines.
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
