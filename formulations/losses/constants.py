"""Minimise a weighted loss over constants: one number per output, or C numbers together."""

from collections.abc import Callable
from typing import Protocol

import numpy as np
from scipy.optimize import brentq, minimize

from ...dictionaries.validation import Array

_HALVINGS = 2200  # from the largest float64 to the smallest
_DOUBLINGS = 12  # of a bracket; needed since labels of one class have no best constant


class Differentiable(Protocol):
    """A loss with the methods that the minimiser calls."""

    @property
    def separable(self) -> bool:
        """Whether the loss is a sum over outputs."""

    def value(self, z: Array, y: Array) -> Array:
        """Return loss(z, y)."""

    def gradient(self, z: Array, y: Array) -> Array:
        """Return a subgradient in z."""


def minimising_constants(
    loss: Differentiable, fit: Array, y: Array, a: Array, near: Array
) -> Array:
    """Return b (C,) that nearly minimises sum_i a_i loss(fit_i + b, y_i); ``a`` is (N, 1).

    For coupled outputs the search begins at ``near`` (C,). If no finite constant is best, for
    example if all labels of an output are equal, b is large.
    """

    def slopes(b: Array) -> Array:
        total: Array = (a * loss.gradient(fit + b, y)).sum(axis=0)
        return total

    if not loss.separable:
        found = minimize(lambda b: float((a * loss.value(fit + b, y)).sum()), near, jac=slopes)
        together: Array = found.x
        return together
    a = np.ldexp(a, -np.frexp(a.max())[1])  # sums of large row weights overflow
    away = (y - fit)[a[:, 0] > 0]
    lower, upper = away.min(axis=0) - 1.0, away.max(axis=0) + 1.0
    outputs = np.eye(y.shape[1])
    for _ in range(_DOUBLINGS):
        short_below, short_above = slopes(lower) > 0, slopes(upper) < 0
        if not (short_below.any() or short_above.any()):
            break
        width = upper - lower
        lower = lower - width * short_below
        upper = upper + width * short_above
    best = np.empty(y.shape[1])
    for c in range(best.size):

        def slope(x: float, output: int = c) -> float:
            return float(slopes(x * outputs[output])[output])

        best[c] = _root(slope, lower[c], upper[c])
    return best


def _root(slope: Callable[[float], float], low: float, high: float) -> float:
    """Return the root of a nondecreasing function, or the end of the interval nearest to it.

    Return NaN if the interval is longer than the largest float64.
    """
    if not np.isfinite(high - low):
        return np.nan
    if slope(low) >= 0:
        return low
    if slope(high) <= 0:
        return high
    return float(brentq(slope, low, high, maxiter=_HALVINGS))
