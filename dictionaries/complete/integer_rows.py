"""Rows of whole numbers, exact at any size: reading them, eliminating, dividing out."""

from collections.abc import Sequence
from math import gcd, lcm

import numpy as np
from numpy.typing import ArrayLike

Row = tuple[int, ...]


def integer_rows(X: ArrayLike) -> list[Row]:
    """Read a matrix (n, d) as primitive integer rows, each a positive multiple of the one given.

    Floats are whole numbers divided by a power of two, so nothing is rounded.

    Raises
    ------
    ValueError
        If X is not two-dimensional, empty, not of numbers, or holds NaN or infinity.
    """
    try:
        array = np.asarray(X)
    except ValueError as error:
        raise ValueError(f"X: expected numbers of shape (n, d): {error}") from error
    if array.ndim != 2 or array.size == 0:
        raise ValueError(f"X: expected numbers of shape (n, d), none 0, got {array.shape}")
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
    """Divide a row by the greatest common divisor of its entries; a zero row stays."""
    divisor = gcd(*row)
    return tuple(x // divisor for x in row) if divisor > 1 else tuple(row)


def line(row: Sequence[int]) -> Row:
    """The primitive row whose first entry that is not 0 is positive: one for each line."""
    direction = primitive(row)
    leading = next((x for x in direction if x), 0)
    return tuple(-x for x in direction) if leading < 0 else direction


def pivot(row: Row) -> int:
    """Where the entry smallest in size, but not 0, is: dividing by it costs the fewest digits."""
    return min((abs(x), j) for j, x in enumerate(row) if x)[1]


def restrict(row: Row, normal: Row, at: int) -> list[int]:
    """Coefficients of ``row`` on the hyperplane normal.h = 0, times |normal[at]|.

    The coordinate ``at`` is eliminated; the others are those of the hyperplane.
    """
    size, taken = abs(normal[at]), row[at] if normal[at] > 0 else -row[at]
    if taken == 0:
        return [size * x for x in row[:at] + row[at + 1 :]]
    out = [size * x - taken * y for x, y in zip(row, normal, strict=True)]
    del out[at]
    return out


def lift(h: Sequence[int], normal: Row, at: int) -> Row:
    """A positive multiple of the point of the hyperplane that has the coordinates ``h``."""
    size, sign = abs(normal[at]), 1 if normal[at] > 0 else -1
    others = normal[:at] + normal[at + 1 :]
    taken = -sign * sum(x * y for x, y in zip(others, h, strict=True))
    return primitive([size * x for x in h[:at]] + [taken] + [size * x for x in h[at:]])


def echelon(rows: Sequence[Row]) -> tuple[list[int], list[list[int]]]:
    """Reduced row echelon form up to a common factor, fraction-free.

    Returns
    -------
    pivots : list of int
        The pivot columns; their number is the rank.
    reduced : list of rows
        One a pivot; every pivot column is the same positive multiple of a unit vector.
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
                # Bareiss: the division by the pivot before comes out even
                work[i] = [(top[column] * x - taken * y) // scale for x, y in zip(row, top)]  # noqa: B905
        scale = top[column]
        pivots.append(column)
    return pivots, work[: len(pivots)]


def rank_modulo_a_prime(rows: Sequence[Row], most: int) -> int:
    """A lower bound on the rank of the rows, at most ``most``, that takes no long integers.

    Minors that are not 0 modulo 2**31 - 1 are not 0, so that the rank is no smaller.
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
    """Primitive vectors that span all h in R^inputs orthogonal to every row."""
    pivots, reduced = echelon(rows)
    basis = []
    for free in (j for j in range(inputs) if j not in pivots):
        vector = [0] * inputs
        vector[free] = reduced[0][pivots[0]] if pivots else 1
        for row, column in zip(reduced, pivots, strict=True):
            vector[column] = -row[free]
        basis.append(primitive(vector))
    return basis
