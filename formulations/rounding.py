"""Bounds on the rounding of sums that must not be negative."""

import numpy as np

from ..dictionaries.validation import Array

_ROUNDING = 8 * float(np.finfo(np.float64).eps)  # relative error of a sum of a few terms

_WRONG = 1e-9  # of the sizes: further below 0 than rounding reaches


def rounded_up(terms: Array, sizes: Array, entries: int = 1) -> Array:
    """Return Fenchel-Young terms plus a bound on their rounding.

    A term is a sum of a few numbers, each summed over ``entries``; ``sizes`` is the sum of their
    absolute values. A term far below 0 comes of a wrong method and proves nothing: it becomes
    infinity.
    """
    possible = np.where(terms < -_WRONG * sizes, np.inf, np.maximum(terms, 0.0))
    bounds: Array = possible + _ROUNDING * entries * sizes
    return bounds
