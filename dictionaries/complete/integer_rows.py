"""Rows of integers of any size: reading, elimination and reduction, all exact."""

from collections.abc import Sequence
from math import gcd, lcm

import numpy as np
from numpy.typing import ArrayLike

from ..validation import number_array

Row = tuple[int, ...]


def integer_rows(X: ArrayLike) -> list[Row]:
    """Read a matrix (n, d) as primitive integer rows, each a positive multiple of its row.

    Floats are integers divided by a power of two, so the rows are exact.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is empty, or holds an entry that is not a finite number.
    """
    array = number_array("X", X)
    if array.ndim != 2 or array.size == 0:
        raise ValueError(
            f"X: expected numbers of shape (n, d), no axis empty, got shape {array.shape}"
        )
    if array.dtype.kind == "f":
        if array.dtype.itemsize > 8:
            raise ValueError(f"X: expected floats of at most 64 bits, got {array.dtype}")
        if not np.isfinite(array).all():
            raise ValueError("X: expected finite numbers, got NaN or infinity")
        ratios = [[value.as_integer_ratio() for value in row] for row in array.tolist()]
        common = [lcm(*(bottom for _, bottom in row)) for row in ratios]
        return [
            primitive([top * (scale // bottom) for top, bottom in row])
            for row, scale in zip(ratios, common, strict=True)
        ]
    entries = array.tolist()
    whole = all(isinstance(x, int) for row in entries for x in row)
    if array.dtype.kind not in "biuO" or not whole:
        raise ValueError(f"X: expected whole numbers or floats, got {array.dtype}")
    return [primitive([int(x) for x in row]) for row in entries]


def primitive(row: Sequence[int]) -> Row:
    """Divide a row by the greatest common divisor of its entries; a zero row stays zero."""
    divisor = gcd(*row)
    return tuple(x // divisor for x in row) if divisor > 1 else tuple(row)


def line(row: Sequence[int]) -> Row:
    """Return the primitive row whose first non-zero entry is positive: unique for each line."""
    direction = primitive(row)
    leading = next((x for x in direction if x), 0)
    return tuple(-x for x in direction) if leading < 0 else direction


def pivot(row: Row) -> int:
    """Return the index of the smallest non-zero entry: dividing by it adds the fewest digits."""
    return min((abs(x), j) for j, x in enumerate(row) if x)[1]


def restrict(row: Row, normal: Row, at: int) -> list[int]:
    """Return the coefficients of ``row`` on the hyperplane normal.h = 0, times |normal[at]|.

    The function eliminates coordinate ``at``; the others are coordinates of the hyperplane.
    """
    size, taken = abs(normal[at]), row[at] if normal[at] > 0 else -row[at]
    if taken == 0:
        return [size * x for x in row[:at] + row[at + 1 :]]
    out = [size * x - taken * y for x, y in zip(row, normal, strict=True)]
    del out[at]
    return out


def lift(h: Sequence[int], normal: Row, at: int) -> Row:
    """Return a positive multiple of the hyperplane's point with the coordinates ``h``."""
    size, sign = abs(normal[at]), 1 if normal[at] > 0 else -1
    others = normal[:at] + normal[at + 1 :]
    taken = -sign * sum(x * y for x, y in zip(others, h, strict=True))
    return primitive([size * x for x in h[:at]] + [taken] + [size * x for x in h[at:]])


def echelon(rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
    """Compute the reduced row echelon form up to a common factor, fraction-free.

    Returns
    -------
    pivots : list of int
        The pivot columns; their number is the rank.
    reduced : list of rows
        One row per pivot; every pivot column is the same positive multiple of a unit vector.
    """
    work = [list(row) for row in rows]
    pivots: list[int] = []
    scale = 1
    for column in range(len(work[0]) if work else 0):
        rank = len(pivots)
        if rank == len(work):
            break
        found = next((i for i in range(rank, len(work)) if work[i][column]), None)
        if found is None:
            continue
        work[rank], work[found] = work[found], work[rank]
        if work[rank][column] < 0:
            work[rank] = [-x for x in work[rank]]
        top = work[rank]
        for i, row in enumerate(work):
            if i != rank:
                taken = row[column]
                # Bareiss: the division by the previous pivot has no remainder
                work[i] = [(top[column] * x - taken * y) // scale for x, y in zip(row, top)]  # noqa: B905
        scale = top[column]
        pivots.append(column)
    return pivots, work[: len(pivots)]


def rank_modulo_a_prime(rows: Sequence[Row], most: int) -> int:
    """Return a lower bound on the rank of the rows, at most ``most``, without long integers.

    A minor that is not 0 modulo 2**31 - 1 is not 0, so the rank modulo this prime is a
    lower bound.
    """
    prime = 2**31 - 1
    work = (np.array(rows, dtype=object) % prime).astype(np.int64) if rows else np.empty((0, 0))
    rank = 0
    for column in range(work.shape[1]):
        if rank == most:
            break
        found = np.flatnonzero(work[rank:, column])
        if not found.size:
            continue
        work[[rank, rank + found[0]]] = work[[rank + found[0], rank]]
        top = work[rank] * pow(int(work[rank, column]), -1, prime) % prime
        below = work[rank + 1 :]
        below[:] = (below - below[:, [column]] * top % prime) % prime
        rank += 1
    return rank


def orthogonal_basis(rows: Sequence[Row], inputs: int) -> list[Row]:
    """Return primitive vectors that span all h in R^inputs orthogonal to every row."""
    pivots, reduced = echelon(rows)
    basis = []
    for free in (j for j in range(inputs) if j not in pivots):
        vector = [0] * inputs
        vector[free] = reduced[0][pivots[0]] if pivots else 1
        for row, column in zip(reduced, pivots, strict=True):
            vector[column] = -row[free]
        basis.append(primitive(vector))
    return basis
