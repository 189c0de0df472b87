"""The best intercept for given weights: a convex function of one number an output, or of C."""

from collections.abc import Callable

import numpy as np
from scipy.optimize import brentq, minimize

from ..dictionaries.validation import Array
from .losses import Loss

_DOUBLINGS = 12  # of a bracket; labels of one class have no best intercept


def best_intercept(loss: Loss, fit: Array, target: Array, row_weights: Array) -> Array:
    """Return b (C,) that about minimises the weighted loss at ``fit`` + b, with ``fit`` (N, C) D W.

    Where there is none, since all labels of an output are the same, it is large.
    """
    a = row_weights[:, None]

    def slopes(b: Array) -> Array:
        total: Array = (a * loss.gradient(fit + b, target)).sum(axis=0)
        return total

    held = row_weights > 0
    away = (target - fit)[held]
    lower, upper = away.min(axis=0) - 1.0, away.max(axis=0) + 1.0
    if not loss.separable:
        # from where each class is about as likely as it is frequent
        start = loss.best_constant(target, a) - fit.mean(axis=0)
        found = minimize(
            lambda b: float((row_weights @ loss.value(fit + b, target)).sum()), start, jac=slopes
        )
        together: Array = found.x
        return together
    outputs = np.eye(target.shape[1])
    for _ in range(_DOUBLINGS):
        short_below, short_above = slopes(lower) > 0, slopes(upper) < 0
        if not (short_below.any() or short_above.any()):
            break
        width = upper - lower
        lower = lower - width * short_below
        upper = upper + width * short_above
    best = np.empty(target.shape[1])
    for c in range(best.size):

        def slope(x: float, output: int = c) -> float:
            return float(slopes(x * outputs[output])[output])

        best[c] = _root(slope, lower[c], upper[c])
    return best


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Where a function that never falls changes its sign, or the end that is nearer to it."""
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high))
