"""Count of the open cells of a central arrangement, without listing cells.

Let r(A) be the number of cells of the hyperplanes of the rows A. Then

    r(A) = r(A without its last row) + r(the rest, restricted to that row's hyperplane),

with parallel rows merged at every level (Zaslavsky, Facing up to arrangements, 1975).
The first rows are unit vectors in suitable coordinates, and stay so under restriction.
k unit vectors alone have 2**k cells; the recursion starts there and remembers its
counts. It uses Python integers, and no code of the listing.
"""

from collections.abc import Collection, Iterable
from math import comb

from .integer_rows import Row, echelon, line, pivot, restrict

ENTRIES_PER_SECOND = 1_000_000  # of restricted rows; measured, on one core


class CountStopped(Exception):
    """Signal that a count stopped: it exceeded its limit on work or on cells."""


class CellCounter:
    """Counter of the open cells of arrangements; it counts shared parts once.

    Parameters
    ----------
    work : int, optional
        Number of entries of restricted rows that all counts together may compute.
    most : int, optional
        Number of cells of an arrangement above which a count may stop.
    """

    def __init__(self, work: int | None = None, most: int | None = None) -> None:
        self._work = work
        self._most = most
        self._known: dict[tuple[int, frozenset[Row]], int] = {}

    def spend(self, entries: int) -> None:
        """Subtract ``entries`` from the remaining work; raise CountStopped if less is left."""
        if self._work is not None:
            self._work -= entries
            if self._work < 0:
                raise CountStopped

    def cells(self, rows: Collection[Row]) -> int:
        """Count the open cells of the hyperplanes x.h = 0 of the rows; zero rows are ignored.

        Raises
        ------
        CountStopped
            If the count needs more work than is left, or finds more than ``most`` cells.
        """
        columns = list(zip(*sorted(set(map(line, rows))), strict=True))
        pivots, reduced = echelon(columns)
        coordinates = zip(*reduced, strict=True)
        return self._count(_others(coordinates), len(pivots))

    def _count(self, rows: frozenset[Row], k: int) -> int:
        """Count the cells of k unit vectors and ``rows``, which are lines but not unit vectors."""
        if not rows:
            return 1 << k
        if k == 2:
            return 2 * (2 + len(rows))
        if (k, rows) not in self._known:
            total = 1 << k
            before: list[Row] = []
            for x in sorted(rows):
                self.spend(k * (len(before) + 1))
                if self._most is not None and total > self._most:
                    raise CountStopped  # a part of an arrangement has at most as many cells
                at = pivot(x)
                # the eliminated coordinate's unit vector becomes the rest of x
                restricted = [restrict(row, x, at) for row in before]
                restricted.append(list(x[:at] + x[at + 1 :]))
                total += self._count(_others(restricted), k - 1)
                before.append(x)
            self._known[k, rows] = total
        return self._known[k, rows]


def _others(rows: Iterable[Iterable[int]]) -> frozenset[Row]:
    """Return the distinct lines with at least two non-zero entries: no unit vectors."""
    return frozenset(line(row) for row in map(tuple, rows) if len(row) - row.count(0) > 1)


def most_cells(n: int, rank: int) -> int:
    """Return Cover's bound on the open cells of n lines of that rank; general position meets it."""
    return 2 * sum(comb(n - 1, k) for k in range(rank)) if n else 1


def fewest_cells(n: int, rank: int) -> int:
    """Return a lower bound on the open cells of n distinct lines of at least that rank.

    ``rank`` independent lines have 2**rank cells. Each other line adds the cells of a
    restriction of rank at least rank - 1, so at least 2**(rank - 1).
    """
    return (1 << rank) + (n - rank << rank >> 1)


def most_patterns(n: int, rank: int) -> int:
    """Return a bound on the closed patterns of n rows: the cells of the affine x.h = -1/2."""
    return sum(comb(n, k) for k in range(rank + 1))


def counting_work(n: int, rank: int) -> int:
    """Bound the entries that a count of n lines computes, which general position meets."""
    most = [0] * (max(n - rank, 0) + 1)  # index: the number of rows besides the unit vectors
    for k in range(3, rank + 1):
        total, below = 0, [0]
        for rows in range(len(most) - 1):
            total += k * (rows + 1) + most[rows + 1]
            below.append(total)
        most = below
    return most[-1]
