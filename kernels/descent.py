"""Cyclic coordinate descent for smooth losses and the l1 norm.

Columns come as the rows they hold (compressed, as in CSC without values). Loss
codes: 0 squared, 2 logistic. ``slope`` (n,) is kept equal to minus the
gradient of the weighted loss at ``fit``, so that the price of a column is a
sum of entries of it.
"""

import math

from numba import njit


@njit(cache=True, nogil=True)
def _slope(code, z, y, a):  # type: ignore[no-untyped-def]
    if code == 0:
        return a * (y - z)
    return a * y / (1.0 + math.exp(min(y * z, 700.0)))


@njit(cache=True, nogil=True)
def set_slope(code, target, row_weights, fit, slope):  # type: ignore[no-untyped-def]
    """Write minus the gradient of the weighted loss at ``fit`` to ``slope``."""
    for i in range(fit.shape[0]):
        slope[i] = _slope(code, fit[i], target[i], row_weights[i])


@njit(cache=True, nogil=True)
def descend(  # type: ignore[no-untyped-def]
    code, pointers, rows, columns, curvatures, target, row_weights, strength, has_intercept,
    epochs, tolerance, weights, intercept, fit, slope,
):  # fmt: skip
    """Sweep over ``columns`` until a sweep lowers the objective by less than ``tolerance``.

    Each step minimises a quadratic upper model, with curvature
    ``curvatures[j]`` along column j and the last one along the intercept (1,).
    With an intercept the two move together: 0/1 columns are far from centred,
    and moving in turn takes ten times as many sweeps. ``weights``,
    ``intercept``, ``fit`` and ``slope`` are updated in place; at most
    ``epochs`` sweeps. Returns a lower bound on what the last sweep took off
    the objective.
    """
    n = fit.shape[0]
    total = 0.0  # of the slopes: the price of the intercept
    if has_intercept:
        for i in range(n):
            total += slope[i]
    lowered = 0.0
    for _ in range(epochs):
        lowered = 0.0
        for j in columns:
            share = curvatures[j] / curvatures[-1] if has_intercept else 0.0
            curvature = curvatures[j] * (1.0 - share)
            if curvature <= 1e-12 * curvatures[j]:
                continue  # a column of zeros, or of ones beside an intercept
            price = -share * total
            for k in range(pointers[j], pointers[j + 1]):
                price += slope[rows[k]]
            old = weights[j]
            moved = old + price / curvature
            new = math.copysign(max(abs(moved) - strength / curvature, 0.0), moved)
            change = new - old
            if change == 0.0:
                continue
            lowered += 0.5 * curvature * change * change
            weights[j] = new
            for k in range(pointers[j], pointers[j + 1]):
                fit[rows[k]] += change
            if not has_intercept:
                for k in range(pointers[j], pointers[j + 1]):
                    i = rows[k]
                    slope[i] = _slope(code, fit[i], target[i], row_weights[i])
                continue
            shift = total / curvatures[-1] - share * change
            lowered += 0.5 * total * total / curvatures[-1]
            intercept[0] += shift
            total = 0.0
            for i in range(n):
                fit[i] += shift
                slope[i] = _slope(code, fit[i], target[i], row_weights[i])
                total += slope[i]
        if has_intercept:
            shift = total / curvatures[-1]
            lowered += 0.5 * total * shift
            intercept[0] += shift
            total = 0.0
            for i in range(n):
                fit[i] += shift
                slope[i] = _slope(code, fit[i], target[i], row_weights[i])
                total += slope[i]
        if lowered <= tolerance:
            break
    return lowered
