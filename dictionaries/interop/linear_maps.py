"""Linear maps of other libraries: the product of several in a row, each entry rounded once."""

from collections.abc import Iterator, Sequence
from functools import reduce
from math import fsum
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..validation import Array, finite_array, real_array

LinearMap = tuple[Array, Array]  # weights (fan-in, m) and bias (m,)


def linear_map(weight: Any, bias: Any = None) -> LinearMap:
    """Return a Linear's weight (m, fan-in) and bias (m,), or None for zeros, as a map.

    Raises
    ------
    ValueError
        If they have other shapes, or are not finite real numbers.
    """
    matrix = real_array("weight", weight)
    if matrix.ndim != 2 or matrix.size == 0:
        raise ValueError(f"weight: expected shape (m, fan-in), got {matrix.shape}")
    if not np.isfinite(matrix).all():
        raise ValueError("weight: expected finite numbers, got NaN or infinity")
    width = len(matrix)
    constants = np.zeros(width) if bias is None else finite_array("bias", bias, width)
    return matrix.T, constants


def product(maps: Sequence[LinearMap]) -> LinearMap:
    """Return the map that applies several maps in turn.

    Each entry is the exact sum of exact products, rounded to float64 once per map after the
    first, except for parts below 1e-300.

    Raises
    ------
    ValueError
        If an entry is infinite.

    Examples
    --------
    >>> from bidual.dictionaries.interop.linear_maps import linear_map, product
    >>> weights, bias = product([linear_map([[1.0, 2.0]], [3.0]), linear_map([[0.5], [4.0]])])
    >>> weights.tolist(), bias.tolist()
    ([[0.5, 4.0], [1.0, 8.0]], [1.5, 12.0])
    """
    weights, bias = reduce(_after, maps)
    if not (np.isfinite(weights).all() and np.isfinite(bias).all()):
        raise ValueError("weight: expected finite numbers, also in the product of linear layers")
    return weights, bias


def _after(first: LinearMap, second: LinearMap) -> LinearMap:
    """Return the product of two maps; the bias is one more row of the first."""
    rows = np.vstack(first)
    weights, bias = second
    if rows.shape[1] != len(weights):
        raise ValueError(
            f"expected {rows.shape[1]} inputs, the outputs of the layer before it, got "
            f"{len(weights)}"
        )
    terms = _terms(rows, weights)
    extra = np.zeros((1, *terms.shape[1:]))
    extra[0, -1] = bias
    sums = [_sum(entry) for entry in np.concatenate([terms, extra]).reshape(len(terms) + 1, -1).T]
    out = np.array(sums).reshape(terms.shape[1:])
    return out[:-1], out[-1]


def _terms(a: Array, b: Array) -> Array:
    """Return matrices (K, n, m) whose sum is the product a b of (n, k) and (k, m), exactly.

    Both are cut into slices of few bits, so that float64 holds the sums of their products (Ozaki
    et al. 2012, doi:10.1007/s11075-011-9478-1).
    """
    bits = (53 - a.shape[1].bit_length()) // 2
    slices = list(_slices(b.T, bits))
    found = [np.zeros((len(a), b.shape[1]))]
    for left, rows in _slices(a, bits):
        for right, columns in slices:
            with np.errstate(over="ignore"):  # infinity is refused later
                found.append(np.ldexp(left @ right.T, rows[:, None] + columns))
    return np.array(found)


def _slices(matrix: Array, bits: int) -> Iterator[tuple[Array, NDArray[np.int32]]]:
    """Yield whole numbers H of that many bits and exponents e; sum of H 2**e is the matrix."""
    rest = matrix
    while rest.any():
        exponents = np.frexp(np.abs(rest).max(axis=1))[1] - bits
        whole = np.rint(np.ldexp(rest, -exponents[:, None]))
        rest = rest - np.ldexp(whole, exponents[:, None])
        yield whole, exponents


def _sum(terms: Array) -> float:
    """Return the sum, rounded once; NaN if it is not finite."""
    try:
        return fsum(terms.tolist())
    except (OverflowError, ValueError):
        return float("nan")
