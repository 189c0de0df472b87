"""Bounds on the rounding of sums that must not be negative."""

import numpy as np

from ..dictionaries.validation import Array

_ROUNDING = 8 * float(np.finfo(np.float64).eps)  # relative error of a sum of a few terms

_WRONG = 1e-9  # share of the sizes, further below 0 than the rounding of a few numbers


def rounded_up(terms: Array, sizes: Array, entries: int = 1) -> Array:
    """Return Fenchel-Young terms plus a bound on their rounding.

    A term is a sum of a few numbers, each summed over ``entries``; ``sizes`` is the sum of their
    absolute values. A term far below 0 comes of a wrong method and proves nothing: it becomes
    infinity.
    """
    rounding = _ROUNDING * entries
    possible = np.where(terms < -max(_WRONG, rounding) * sizes, np.inf, np.maximum(terms, 0.0))
    bounds: Array = possible + rounding * sizes
    return bounds
