"""One sweep of cyclic block coordinate descent, for smooth losses and the norm of each weight row.

A block is a row of weights, one weight per output; with one output the penalty
is the l1 norm. A column is given by the indices of its ones (compressed, as in
CSC without values; ``rows`` is unsigned, which spares Numba a test of the sign).
``target`` and ``fit`` are (C, n), so that an output is contiguous; ``weights``
is (P, C) and ``intercept`` (C,). Loss codes: 0 squared, 2 logistic, 4 huber with
``delta``, 5 squared hinge.
"""

import math

import numpy as np

from .compiled import compiled


@compiled
def _slope(code, delta, z, y, a):  # type: ignore[no-untyped-def]
    """Return minus the derivative of the weighted loss."""
    if code == 0:
        return a * (y - z)
    if code == 2:
        return a * y / (1.0 + math.exp(min(y * z, 700.0)))
    if code == 4:
        return a * min(max(y - z, -delta), delta)
    if code != 5:
        raise ValueError("code: expected the code of a built-in smooth loss, 0, 2, 4 or 5")
    return a * y * max(1.0 - y * z, 0.0)


@compiled
def _sum(v, rows, first, last):  # type: ignore[no-untyped-def]
    """Sum v over rows[first:last]; four independent partial sums double the speed."""
    s0 = s1 = s2 = s3 = 0.0
    whole = last - (last - first) % 4
    for k in range(first, whole, 4):
        s0 += v[rows[k]]
        s1 += v[rows[k + 1]]
        s2 += v[rows[k + 2]]
        s3 += v[rows[k + 3]]
    for k in range(whole, last):
        s0 += v[rows[k]]
    return (s0 + s1) + (s2 + s3)


@compiled
def _shift(code, delta, y, a, shift, z, v):  # type: ignore[no-untyped-def]
    """Add ``shift`` to an output's fit z (n,), update its slope v (n,) and return the sum of v."""
    n = z.shape[0]
    for i in range(n):
        z[i] += shift
        v[i] = _slope(code, delta, z[i], y[i], a[i])
    s0 = s1 = s2 = s3 = 0.0
    whole = n - n % 4
    for i in range(0, whole, 4):
        s0 += v[i]
        s1 += v[i + 1]
        s2 += v[i + 2]
        s3 += v[i + 3]
    for i in range(whole, n):
        s0 += v[i]
    return (s0 + s1) + (s2 + s3)


@compiled
def sweep(  # type: ignore[no-untyped-def]
    code, delta, pointers, rows, curvatures, target, row_weights, strength, has_intercept, weights,
    intercept, fit,
):  # fmt: skip
    """Step once along each column; update ``weights``, ``intercept`` and ``fit`` in place.

    Each step minimises a quadratic upper model. Its curvature along column j is
    ``curvatures[j]``; the last entry belongs to the intercept. A weight and its
    intercept move together: 0/1 columns are far from centred, and moving them in
    turn takes ten times as many sweeps. The caller leaves out columns of zeros,
    and columns of ones beside an intercept: they have no curvature left.
    Return a lower bound on the decrease of the objective in this sweep.
    """
    outputs, n = fit.shape
    slope = np.empty((outputs, n))
    totals = np.empty(outputs)  # of the slopes: the prices of the intercepts
    moves = np.empty(outputs)
    lowered = 0.0
    for c in range(outputs):
        totals[c] = _shift(code, delta, target[c], row_weights, 0.0, fit[c], slope[c])
    for j in range(weights.shape[0]):
        first, last = pointers[j], pointers[j + 1]
        share = curvatures[j] / curvatures[-1] if has_intercept else 0.0
        curvature = curvatures[j] * (1.0 - share)
        square = 0.0
        for c in range(outputs):
            price = _sum(slope[c], rows, first, last) - share * totals[c]
            moves[c] = weights[j, c] + price / curvature
            square += moves[c] * moves[c]
        size = curvature * math.sqrt(square)
        kept = 1.0 - strength / size if size > strength else 0.0
        square = 0.0
        for c in range(outputs):
            moves[c] = kept * moves[c] - weights[j, c]
            square += moves[c] * moves[c]
        if square == 0.0:
            continue
        lowered += 0.5 * curvature * square
        for c in range(outputs):
            y, z, v = target[c], fit[c], slope[c]
            weights[j, c] += moves[c]
            for k in range(first, last):
                z[rows[k]] += moves[c]
            if has_intercept:
                shift = totals[c] / curvatures[-1] - share * moves[c]
                lowered += 0.5 * totals[c] * totals[c] / curvatures[-1]
                intercept[c] += shift
                totals[c] = _shift(code, delta, y, row_weights, shift, z, v)
            else:
                for k in range(first, last):
                    i = rows[k]
                    v[i] = _slope(code, delta, z[i], y[i], row_weights[i])
    if has_intercept:
        for c in range(outputs):
            shift = totals[c] / curvatures[-1]
            lowered += 0.5 * totals[c] * shift
            intercept[c] += shift
            for i in range(n):
                fit[c, i] += shift
    return lowered
