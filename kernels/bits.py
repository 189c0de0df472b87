"""Products with a 0/1 matrix whose columns are packed into 64-bit words.

Column j of the (n, P) matrix D is ``words[j]``, a row of ``n_words`` uint64;
entry (i, j) is bit ``i % 64`` (least significant first) of ``words[j, i // 64]``.
Bits past row n are zero, so no kernel needs to know n. Sums run in row order,
whatever the caller's chunking, so that a product is the same on every run.
"""

import numpy as np
from llvmlite import ir
from numba import njit, types
from numba.extending import intrinsic


@intrinsic
def _population_count(typing_context, word):  # type: ignore[no-untyped-def]
    """Bits set in a uint64; Numba has no name for LLVM's instruction."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.ctpop(arguments[0])

    return types.int64(types.uint64), generate


@intrinsic
def _lowest_bit(typing_context, word):  # type: ignore[no-untyped-def]
    """Index of the lowest bit set in a non-zero uint64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@njit(cache=True, nogil=True)
def column_sums(words, out):  # type: ignore[no-untyped-def]
    """Write the number of ones of every column: ``words`` (P, n_words) to ``out`` (P,) int64."""
    for j in range(words.shape[0]):
        total = 0
        for k in range(words.shape[1]):
            total += _population_count(words[j, k])
        out[j] = total


@njit(cache=True, nogil=True)
def matvec(words, weights, out):  # type: ignore[no-untyped-def]
    """Add D @ ``weights`` (P, C) to ``out`` (n, C); columns of zero weight cost nothing."""
    n_outputs = weights.shape[1]
    for j in range(words.shape[0]):
        used = False
        for c in range(n_outputs):
            used = used or weights[j, c] != 0.0
        if not used:
            continue
        for k in range(words.shape[1]):
            word = words[j, k]
            while word != np.uint64(0):
                i = 64 * k + _lowest_bit(word)
                for c in range(n_outputs):
                    out[i, c] += weights[j, c]
                word &= word - np.uint64(1)


@njit(cache=True, nogil=True)
def _column_dot(column, rows, out):  # type: ignore[no-untyped-def]
    """Write the sum of those ``rows`` (n, C) that the packed ``column`` holds to ``out`` (C,)."""
    out[:] = 0.0
    for k in range(column.shape[0]):
        word = column[k]
        while word != np.uint64(0):
            i = 64 * k + _lowest_bit(word)
            for c in range(out.shape[0]):
                out[c] += rows[i, c]
            word &= word - np.uint64(1)


@njit(cache=True, nogil=True)
def rmatvec(words, rows, out):  # type: ignore[no-untyped-def]
    """Write D' @ ``rows`` (n, C) to ``out`` (P, C)."""
    for j in range(words.shape[0]):
        _column_dot(words[j], rows, out[j])


@njit(cache=True, nogil=True)
def price(words, duals, kept, largest, prices):  # type: ignore[no-untyped-def]
    """Price every column against several dual points in one pass over D.

    Writes max_j |d_j' duals[:, k]| to ``largest`` (K,), and d_j' duals to row
    ``kept[j]`` of ``prices`` for the columns with ``kept[j] >= 0``: no (P, K)
    array is needed, however many columns there are.
    """
    largest[:] = 0.0
    row = np.empty(duals.shape[1])
    for j in range(words.shape[0]):
        _column_dot(words[j], duals, row)
        for k in range(row.shape[0]):
            largest[k] = max(largest[k], abs(row[k]))
        if kept[j] >= 0:
            prices[kept[j], :] = row


@njit(cache=True, nogil=True)
def gram(words, out):  # type: ignore[no-untyped-def]
    """Write D' D, which counts common ones, to ``out`` (P, P) int64."""
    for i in range(words.shape[0]):
        for j in range(i + 1):
            total = 0
            for k in range(words.shape[1]):
                total += _population_count(words[i, k] & words[j, k])
            out[i, j] = total
            out[j, i] = total
