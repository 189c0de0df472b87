"""least_strength: the strength from which on W = 0 attains a penalty's conjugate."""

import numpy as np

from ..dictionaries.validation import Array
from .penalties import Penalty

_PRECISION = 1e-12  # relative precision of the strength
_ENDLESS = 2.0**60  # strengths above this multiple of the largest price count as infinite


def least_strength(penalty: Penalty, prices: Array) -> float:
    """Return the strength from which on the conjugate is 0 at ``prices``, rounded up.

    At such strengths W = 0 attains the supremum that defines the conjugate.
    """

    def attained(strength: float) -> bool:
        return bool((penalty.conjugate(prices, strength) <= 0).all())

    if not prices.any():
        return 0.0
    high = float(np.abs(prices).max())
    while not attained(high) and high < _ENDLESS * float(np.abs(prices).max()):
        high *= 2.0
    if not attained(high):
        return np.inf  # as with a square alone, whose slope at 0 is 0
    low = 0.0
    while high - low > _PRECISION * high:
        middle = 0.5 * (low + high)
        low, high = (low, middle) if attained(middle) else (middle, high)
    return high
