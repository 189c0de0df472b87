"""Products with packed columns: words (P, W), threads, and operands as the kernels read them.

Rows of operands come as :func:`padded` returns them, (C, 64 W).
"""

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import bits
from ..threads.threads import split
from .aligned import aligned
from .integer_operands import binary_grid, carried, halves, widest

Words = NDArray[np.uint64]
Integers = NDArray[np.int64]
Array = NDArray[np.float64]


def padded(rows: NDArray[Any], words: Words) -> NDArray[Any]:
    """Turn (n, C) rows into (C, 64 W), with zeros past row n."""
    out = aligned(np.empty, (rows.shape[1], 64 * words.shape[1]), rows.dtype)
    out[:, : len(rows)] = rows.T
    out[:, len(rows) :] = 0
    return out


def add_columns(words: Words, n_rows: int, weights: NDArray[Any]) -> NDArray[Any]:
    """Return D @ weights for (P, C) weights, float64 or int64."""
    n_words, outputs = words.shape[1], weights.shape[1]
    used = np.flatnonzero(weights.any(axis=1))
    weights = np.take(weights, used, axis=0)  # and contiguous, writeable: one kernel for all
    out = np.empty((n_rows, outputs), dtype=weights.dtype)

    def part(first: int, last: int) -> None:
        # memory of its own: where two threads write side by side, prefetching makes them wait
        sums = aligned(np.zeros, (outputs, 64 * (last - first)), weights.dtype)
        bits.matvec(words, used, weights, first, last, sums)
        rows = out[64 * first : 64 * last]
        rows[...] = sums.T[: len(rows)]

    # of each column a part reads its own words: few of them would not fill lines of a cache
    split(part, n_words, 8 * used.size * n_words * outputs, shortest=16)
    return out


def add_rows(words: Words, rows: Array) -> Array:
    """Return D' @ rows (P, C) for float64 rows."""
    out = np.empty((len(words), len(rows)))

    def part(first: int, last: int) -> None:
        bits.rmatvec(words[first:last], rows, out[first:last])

    split(part, len(words), 8 * words.size * len(rows))
    return out


def price(words: Words, rows: Array, kept: Integers, width: int, count: int) -> tuple[Array, Array]:
    """Return the largest norms (K / width,) of prices, and the ``count`` kept prices (A, K).

    ``kept`` has the place of each column among those, or -1.
    """
    prices = np.empty((count, len(rows)))
    largest: list[Array] = []

    def part(first: int, last: int) -> None:
        found = np.empty(len(rows) // width)
        bits.price(words[first:last], rows, kept[first:last], width, found, prices)
        largest.append(found)

    split(part, len(words), 8 * words.size * len(rows))
    return np.max(largest, axis=0), prices


def count_rows(words: Words, rows: Integers, largest: int, unit: float = 1) -> NDArray[Any]:
    """Return D' @ rows for int64 rows, modulo 2**64, by bit planes; ``largest`` is their widest.

    With a float ``unit``, a power of 2, the products times ``unit`` are float64, rounded once.
    """
    planes = _bit_planes(rows, largest)
    outputs, pairs = planes.shape[:2]
    out = np.empty((len(words), outputs), dtype=type(unit))

    def part(first: int, last: int) -> None:
        bits.integer_rmatvec(words[first:last], planes, unit, out[first:last])

    split(part, len(words), words.size * outputs * pairs // 4)
    return out


def count_halves(words: Words, rows: Integers) -> tuple[Integers, Integers]:
    """Return D' @ rows as high and low, for any int64 rows."""
    return carried(*(count_rows(words, half, widest(half)) for half in halves(rows)))


def count_within(
    words: Words, rows: Array, size: float, ones: int, accuracy: float
) -> tuple[Array, float]:
    """Return D' @ rows within an error bound, and the bound; overwrite rows.

    ``size`` is that of the largest row, ``ones`` the largest column sum.
    """
    digits, bound = binary_grid(size, ones, accuracy)
    scale, more = 2.0 ** (digits // 2), 2.0 ** (digits - digits // 2)  # 2**digits may be none
    grid = rows.view(np.int64)  # in place: more memory would push the columns out of caches
    bits.round_scaled(rows, scale, more, grid)
    unit = 2.0**-digits  # subnormal at the least
    largest = int(np.rint(size * scale * more))
    if ones * largest < 2**63:
        values = count_rows(words, grid, largest, unit)
    else:
        high, low = count_halves(words, grid)
        values = high.astype(np.float64) * 2.0**32 + low  # rounded once: 53 bits hold either
        with np.errstate(over="ignore"):
            values *= unit
    if not (math.isfinite(float(ones * largest) * unit) or np.isfinite(values).all()):
        raise OverflowError("rows: expected products within float64, got a larger one")
    return values, bound


def weighted_gram(words: Words, weights: Integers) -> Integers:
    """Return D' diag(weights) D (P, P) for int64 weights of rows, padded to (1, 64 W)."""
    planes = _bit_planes(weights, widest(weights))
    columns = len(words)
    out = np.empty((columns, columns), dtype=np.int64)

    def part(first: int, last: int) -> None:
        # a triangle: equal areas
        ends = math.isqrt(first * columns), math.isqrt(last * columns)
        bits.weighted_gram(words, planes, *ends, out)

    split(part, columns, words.size * columns * planes.shape[1] // 8)
    return out


def _bit_planes(rows: Integers, largest: int) -> NDArray[np.uint64]:
    """Split int64 rows into pairs of bit planes; ``largest`` has as many bits as any of them."""
    pairs = (largest.bit_length() + 2) // 2  # one of the planes is the sign
    planes = aligned(np.empty, (len(rows), pairs, rows.shape[1] // 512, 2, 8), np.uint64)
    bits.bit_planes(rows, planes)
    return planes
