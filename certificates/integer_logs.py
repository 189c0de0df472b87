"""Integers around logarithms and exponentials of many integers at once.

Both are defined by the true values: the integer below and the one above 2^LOG_BITS
times the logarithm or exponential, equal only where that is an integer. Extended
precision finds most; where it cannot tell on which side of an integer a value is,
``decimal``'s correctly rounded functions do.
"""

from collections.abc import Callable
from decimal import ROUND_CEILING, ROUND_FLOOR, Context, Decimal

import numpy as np
from numpy.typing import NDArray

LOG_BITS = 48  # of the format, docs/certificate_format.md

_ULPS = 2  # that libm's logarithms and exponentials may be off
_DIGITS = Context(prec=60)
_FEWER = Context(prec=40)  # for logarithms, none of which comes as close to an integer
_FAR = 64  # exp(-64) < 2^-92


def integer_logs(values: list[int]) -> tuple[list[int], list[int]]:
    """Integers below and above 2^LOG_BITS ln(x), for integers x >= 1."""

    def exactly(x: int) -> Decimal:
        return _DIGITS.multiply(_FEWER.ln(Decimal(x)), Decimal(1 << LOG_BITS))

    if max(values) >= 2**63:
        return _apart(values, exactly, [x == 1 for x in values])
    # rows have few weights between them, and few fits where only the intercept is left
    held, where = np.unique(np.array(values, dtype=np.int64), return_inverse=True)
    found = np.log(held.astype(np.longdouble)) * np.longdouble(2.0**LOG_BITS)
    return _around(found, held, exactly, held == 1, where)


def integer_exps(values: list[int], bits: int) -> tuple[list[int], list[int]]:
    """Integers below and above 2^LOG_BITS exp(-x / 2^bits), for integers x >= 0."""
    far = [(x >> bits if bits >= 0 else x << -bits) >= _FAR for x in values]

    def exactly(x: int) -> Decimal:
        power = _DIGITS.divide(Decimal(x), Decimal(1 << bits)) if bits >= 0 else Decimal(x << -bits)
        return _DIGITS.multiply(_DIGITS.exp(power.copy_negate()), Decimal(1 << LOG_BITS))

    # less than half a unit below 1, which digits may not tell from 1
    least = (1 << bits) >> (LOG_BITS + 1) if bits >= 0 else 0
    near = [0 if beyond or x <= least else x for x, beyond in zip(values, far, strict=True)]
    if max(near) < 2**63 and abs(bits) < 1000:
        held, where = np.unique(np.array(near, dtype=np.int64), return_inverse=True)
        powers = np.ldexp(held.astype(np.longdouble), -bits)
        found = np.exp(-powers) * np.longdouble(2.0**LOG_BITS)
        lows, highs = _around(found, held, exactly, held == 0, where)
    else:
        lows, highs = _apart(near, exactly, [x == 0 for x in near])
    for i, x in enumerate(values):
        if far[i]:
            lows[i], highs[i] = 0, 1
        elif 0 < x <= least:
            lows[i] -= 1
    return lows, highs


def _around(
    found: NDArray[np.longdouble],
    values: NDArray[np.int64],
    exactly: Callable[[int], Decimal],
    whole: NDArray[np.bool_],
    where: NDArray[np.intp],
) -> tuple[list[int], list[int]]:
    """Floors and ceilings of what was found, by ``exactly`` where that is not certain."""
    floors = np.floor(found)
    room = _ULPS * np.finfo(np.longdouble).eps * np.maximum(np.abs(found), 1.0)
    unsure = (found - floors <= room) | (floors + 1 - found <= room)
    lows = floors.astype(np.int64)
    highs = lows + 1
    for i in np.flatnonzero(unsure & ~whole):
        (lows[i],), (highs[i],) = _apart([int(values[i])], exactly, [False])
    lows[whole] = highs[whole] = found[whole]  # ln(1) and exp(0)
    return lows[where].tolist(), highs[where].tolist()


def _apart(
    values: list[int], exactly: Callable[[int], Decimal], whole: list[bool]
) -> tuple[list[int], list[int]]:
    """Floors and ceilings one by one."""
    lows, highs = [], []
    for x, is_whole in zip(values, whole, strict=True):
        value = exactly(x)
        lows.append(int(value.to_integral_value(ROUND_FLOOR)))
        highs.append(lows[-1] if is_whole else int(value.to_integral_value(ROUND_CEILING)))
    return lows, highs
