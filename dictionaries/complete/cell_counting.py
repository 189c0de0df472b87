"""How many open cells a central arrangement has, counted without listing any.

With r(A) the number of cells of the hyperplanes of the rows A,

    r(A) = r(A without its last row) + r(the rest, restricted to that row's hyperplane),

with parallel rows merged at every level (Zaslavsky, Facing up to arrangements, 1975).
In coordinates in which the first rows are unit vectors, and stay so under restriction,
k of them alone have 2**k cells: the recursion starts there, and what has been counted
once is remembered. Python integers throughout; nothing is shared with the listing.
"""

from collections.abc import Collection, Iterable
from math import comb

from .integer_rows import Row, echelon, line, pivot, restrict

ENTRIES_PER_SECOND = 1_000_000  # of restricted rows; measured, on one core


class CountStopped(Exception):
    """The count was given up: it went past the work or the number allowed."""


class CellCounter:
    """Counts the open cells of arrangements; what they share is counted once.

    Parameters
    ----------
    work : int, optional
        Entries of restricted rows that it may compute, in its whole life.
    most : int, optional
        Cells of one arrangement at which it may stop.
    """

    def __init__(self, work: int | None = None, most: int | None = None) -> None:
        self._work = work
        self._most = most
        self._known: dict[tuple[int, frozenset[Row]], int] = {}

    def spend(self, entries: int) -> None:
        """Take so much of the work allowed; CountStopped where less is left."""
        if self._work is not None:
            self._work -= entries
            if self._work < 0:
                raise CountStopped

    def cells(self, rows: Collection[Row]) -> int:
        """Open cells of the hyperplanes x.h = 0 of the rows; zero rows cut nothing.

        Raises
        ------
        CountStopped
            If it takes more work than is left, or finds more than ``most``.
        """
        columns = list(zip(*sorted(set(map(line, rows))), strict=True))
        pivots, reduced = echelon(columns)
        coordinates = zip(*reduced, strict=True)
        return self._count(_others(coordinates), len(pivots))

    def _count(self, rows: frozenset[Row], k: int) -> int:
        """Cells of the k unit vectors and ``rows``, each a line and none a unit vector."""
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
                    raise CountStopped  # a part of the arrangement has no more cells than it
                at = pivot(x)
                # the unit vector of the coordinate eliminated becomes the rest of x
                restricted = [restrict(row, x, at) for row in before]
                restricted.append(list(x[:at] + x[at + 1 :]))
                total += self._count(_others(restricted), k - 1)
                before.append(x)
            self._known[k, rows] = total
        return self._known[k, rows]


def _others(rows: Iterable[Iterable[int]]) -> frozenset[Row]:
    """The distinct lines with at least two entries, hence no multiples of unit vectors."""
    return frozenset(line(row) for row in map(tuple, rows) if len(row) - row.count(0) > 1)


def most_cells(n: int, rank: int) -> int:
    """Cover's bound on the open cells of n lines of that rank, met in general position."""
    return 2 * sum(comb(n - 1, k) for k in range(rank)) if n else 1


def fewest_cells(n: int, rank: int) -> int:
    """Bound from below on the open cells of n distinct lines of at least that rank.

    As many independent ones have 2**rank; each other adds the cells of a restriction, of
    rank - 1, so at least 2**(rank - 1).
    """
    return (1 << rank) + (n - rank << rank >> 1)


def most_patterns(n: int, rank: int) -> int:
    """Bound on the closed patterns of n rows: an affine arrangement x.h = -1/2 tells all apart."""
    return sum(comb(n, k) for k in range(rank + 1))


def counting_work(n: int, rank: int) -> int:
    """Entries that counting n lines in general position computes: the most there can be."""
    most = [0] * (max(n - rank, 0) + 1)  # by the number of rows beside the unit vectors
    for k in range(3, rank + 1):
        total, below = 0, [0]
        for rows in range(len(most) - 1):
            total += k * (rows + 1) + most[rows + 1]
            below.append(total)
        most = below
    return most[-1]
