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

    Each coordinate moves to the minimiser of its quadratic upper model with
    curvature ``curvatures[j]``; the intercept (1,), with the last curvature, is
    one more coordinate without a penalty. ``weights``, ``intercept``, ``fit``
    and ``slope`` are updated in place; at most ``epochs`` sweeps. Returns a
    lower bound on what the last sweep took off the objective.
    """
    lowered = 0.0
    for _ in range(epochs):
        lowered = 0.0
        for j in columns:
            curvature = curvatures[j]
            if curvature == 0.0:
                continue
            price = 0.0
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
                i = rows[k]
                fit[i] += change
                slope[i] = _slope(code, fit[i], target[i], row_weights[i])
        if has_intercept:
            total = 0.0
            for i in range(fit.shape[0]):
                total += slope[i]
            change = total / curvatures[-1]
            lowered += 0.5 * curvatures[-1] * change * change
            intercept[0] += change
            for i in range(fit.shape[0]):
                fit[i] += change
                slope[i] = _slope(code, fit[i], target[i], row_weights[i])
        if lowered <= tolerance:
            break
    return lowered
