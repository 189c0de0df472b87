"""Enclose logarithms and exponentials of many integers between integers.

The results are the floor and the ceiling of the true value, 2^LOG_BITS times the logarithm or
exponential; they are equal only if it is an integer. Extended precision computes most of them.
Where it cannot decide on which side of an integer a value lies, the correctly rounded functions
of ``decimal`` do.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal
from functools import cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

Integers = NDArray[Any]  # int64, or Python integers if longer
Int64s = NDArray[np.int64]

LOG_BITS = 48  # fixed by the format, docs/certificate_format.md

_UNIT = 2.0**LOG_BITS
_ULPS = 2  # largest error of libm's logarithms and exponentials
_DIGITS = Context(prec=60)
_FEWER = Context(prec=40)  # enough for logarithms, which stay farther from integers
_FAR = 64  # exp(-64) < 2^-92


def integer_logs(values: Integers) -> tuple[Int64s, Int64s]:
    """Return floors and ceilings of 2^LOG_BITS ln(x), for integers x >= 1."""
    if values.dtype == object:
        return _apart(values, _log)
    fractions, exponents = np.frexp(values.astype(np.longdouble))
    # a table holds the logarithms of powers of two: the rest is small, and so is its error
    wholes, parts = _powers_of_two()
    powers = exponents - 1
    lows, unsure = _floors(np.log(2 * fractions) * _UNIT + parts[powers])
    lows += wholes[powers]
    return _settled(lows, unsure, values, _log)


def integer_exps(values: Integers, bits: int) -> tuple[Int64s, Int64s]:
    """Return floors and ceilings of 2^LOG_BITS exp(-x / 2^bits), for integers x >= 0."""

    def exactly(x: int) -> Decimal:
        power = _DIGITS.divide(Decimal(x), Decimal(1 << bits)) if bits >= 0 else Decimal(x << -bits)
        return _DIGITS.multiply(_DIGITS.exp(power.copy_negate()), Decimal(1 << LOG_BITS))

    far = values >= (_FAR << bits if bits >= 0 else -(-_FAR >> -bits))
    # less than half a unit below 1, which 60 digits may round to 1
    close = values <= ((1 << bits) >> (LOG_BITS + 1) if bits >= 0 else 0)
    others = np.where(far | close, 0, values)
    if values.dtype == object:
        lows, highs = _apart(others, exactly)
    else:
        powers = np.ldexp(others.astype(np.longdouble), -bits)
        lows, unsure = _floors(np.exp(-powers) * _UNIT)
        lows, highs = _settled(lows, unsure, others, exactly)
    lows[far], highs[far] = 0, 1
    lows[close & (values > 0)] -= 1
    return lows, highs


def _log(x: int) -> Decimal:
    return _DIGITS.multiply(_FEWER.ln(Decimal(x)), Decimal(1 << LOG_BITS))


@cache
def _powers_of_two() -> tuple[Int64s, NDArray[np.float64]]:
    """Return the floors and fractions of 2^LOG_BITS ln(2^k), for k from 0 to 63."""
    logs = [_DIGITS.multiply(_log(2), Decimal(k)) for k in range(64)]
    wholes = [int(x) for x in logs]
    parts = [float(_DIGITS.subtract(x, Decimal(w))) for x, w in zip(logs, wholes, strict=True)]
    return np.array(wholes, dtype=np.int64), np.array(parts)


def _floors(found: NDArray[np.floating[Any]]) -> tuple[Int64s, NDArray[np.intp]]:
    """Return floors of numbers from 0 to about 2^LOG_BITS, and the uncertain places."""
    floors = found.astype(np.int64)
    parts = found - floors
    # the function's error, plus at most one ulp for the rounding before and after it
    room = (_ULPS + 1) * np.finfo(np.longdouble).eps * _UNIT
    return floors, np.flatnonzero((parts <= room) | (parts >= 1 - room))


def _settled(
    lows: Int64s, unsure: NDArray[np.intp], values: Integers, exactly: Callable[[int], Decimal]
) -> tuple[Int64s, Int64s]:
    """Return floors and ceilings of values, computed by ``exactly`` where they are unsure."""
    highs = lows + 1
    if unsure.size:
        lows[unsure], highs[unsure] = _apart(values[unsure], exactly)
    return lows, highs


def _apart(values: Integers, exactly: Callable[[int], Decimal]) -> tuple[Int64s, Int64s]:
    """Return floors and ceilings one by one, equal for integers."""
    different, where = np.unique(values, return_inverse=True)
    found = [exactly(x) for x in different.tolist()]
    lows, highs = (
        np.array([int(x.to_integral_value(side)) for x in found], dtype=np.int64)
        for side in (ROUND_FLOOR, ROUND_CEILING)
    )
    return lows[where], highs[where]
