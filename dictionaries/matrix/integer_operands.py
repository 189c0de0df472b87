"""Integer operands of exact products: their sums, their bits and halves, and grids for floats."""

import math
from fractions import Fraction

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validation import number_array
from .operands import Shape, check_length, checked_accuracy, two_dimensional


def integer_operand(
    name: str, values: ArrayLike, length: int, shape: Shape, pairs: bool
) -> NDArray[np.int64]:
    """Turn an operand into a (length, C) int64 array whose sums cannot overflow."""
    array = number_array(name, values, "integers that fit in int64")
    check_length(name, array, length, shape)
    if array.dtype.kind not in "iub" and array.size:  # an empty list is an array of floats
        raise ValueError(f"{name}: expected integers that fit in int64, got {array.dtype}")
    if pairs and length >= 2**30:
        raise OverflowError(f"{name}: expected fewer than 2**30 of them for pairs, got {length}")
    if array.dtype == np.uint64 and int(array.max(initial=0)) >= 2**63:
        raise ValueError(f"{name}: expected integers that fit in int64, got {array.max()}")
    operand = two_dimensional(array.astype(np.int64, copy=False))
    if not pairs:
        check_sums(name, operand, "; pass pairs=True for results in two int64")
    return operand


def check_sums(name: str, values: NDArray[np.int64], advice: str = "") -> None:
    """Refuse (length, C) values if some sum of theirs might not fit in an int64."""
    sizes = np.abs(values).view(np.uint64)  # abs(-2**63) overflows to its own bits, 2**63
    if int(sizes.max(initial=0)) * values.shape[0] < 2**63:
        return
    low, high = ((sizes >> np.uint64(s) & np.uint64(2**32 - 1)).sum(axis=0) for s in (0, 32))
    largest = max(int(h) * 2**32 + int(i) for h, i in zip(high, low, strict=True))
    if largest >= 2**63:
        raise OverflowError(
            f"{name}: expected a sum of |{name}| below 2**63, so that no sum overflows, got "
            f"2**{math.log2(largest):.6g}{advice}"
        )


def widest(values: NDArray[np.int64]) -> int:
    """Return a nonnegative number with as many bits as the widest entry, without its sign."""
    return max(int(values.max(initial=0)), ~int(values.min(initial=0)))


def halves(values: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Split values into high and low with values = high * 2**32 + low and 0 <= low < 2**32."""
    return values >> 32, values & (2**32 - 1)


def carried(
    high: NDArray[np.int64], low: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Return the same high * 2**32 + low with 0 <= low < 2**32."""
    carry, low = halves(low)
    return high + carry, low


def binary_grid(size: float, ones: int, accuracy: float) -> tuple[int, float]:
    """Return the fewest binary digits after the point for an error bound, and the error left.

    ``size`` is that of the largest row, ``ones`` the largest column sum.
    """
    accuracy = checked_accuracy(accuracy)
    if not accuracy > 0.0:
        raise ValueError(f"accuracy: expected a positive number, got {accuracy!r}")
    if size == 0.0 or ones == 0:
        return -min(math.frexp(size)[1], 1023), 0.0
    exponent = math.frexp(size)[1]

    def error(digits: int) -> float | Fraction:
        if ones.bit_length() + exponent + digits <= 52:  # sums that float64 holds
            return ones * 2.0 ** -(digits + 1)  # exact
        half = Fraction(2) ** -(digits + 1)
        largest = ones * (Fraction(size) + half)
        rounding = ones * half if digits < 1074 else Fraction(0)  # 2**-1074 divides every float64
        conversion = largest / 2**53 if largest / half > 2**54 else Fraction(0)
        return rounding + conversion

    coarsest, finest = (min(bits - 1 - exponent, 1074) for bits in (12, 52))
    digits = coarsest
    if math.isfinite(accuracy):  # fewer digits than these leave a larger error
        digits = max(coarsest, ones.bit_length() - 2 - math.frexp(accuracy)[1])
        digits = min(digits, finest)
    while digits < finest and error(digits) > accuracy:
        digits += 1
    left = error(digits)
    bound = float(left)
    if bound < left:
        bound = math.nextafter(bound, math.inf)
    if left > accuracy:
        raise ValueError(
            f"accuracy: expected at least {bound:.17g}, which 52 bits of rows as large as "
            f"{size:.6g} give, got {accuracy!r}"
        )
    return digits, bound
