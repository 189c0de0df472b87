"""Faces of an arrangement whose patterns [x.h >= 0] differ from those of all open cells.

Take h in the relative interior of a pattern's set, and let F be the rows with x.h = 0.
If some g made x.g >= 0 on F, not all zero, then h + eps g would have the same pattern and
fewer zeros, which contradicts the choice of h. So no such g exists, and by Gordan and
Stiemke lambda > 0 exists on F with sum_F lambda_i x_i = 0: F is *totally cyclic*.
Conversely, take the rows outside such an F, restricted to the h orthogonal to F. Their
open cells have distinct patterns. Hence

    patterns = sum over totally cyclic flats F of (open cells of X on F's complement).

The zero rows are the smallest such flat. They are the only one if some h0 has x.h0 > 0
for every other row, for example on nonnegative data with a bias. A simplex method in
integers decides between the alternatives and returns a certificate: lambda or h.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import combinations

from .integer_rows import Row, echelon, line, orthogonal_basis, pivot, primitive, restrict

Classes = dict[Row, tuple[int, int]]  # a line: the rows along and against it, as bits

_ENTRIES_PER_SIMPLEX = 1000  # cost of deciding a flat, in computed entries of rows


def gordan(rows: Sequence[Row]) -> tuple[list[int], None] | tuple[None, Row]:
    """Decide Gordan's alternative exactly: either ``relation`` or ``h`` exists, never both.

    Returns
    -------
    relation : list of int, or None
        Integers lambda >= 0, not all zero, with sum lambda_i x_i = 0.
    h : tuple of int, or None
        Integers with x.h > 0 for every row.
    """
    inputs = len(rows[0])
    # minimise the sum of artificial a >= 0:  X' lambda + a' = 0,  1' lambda + a'' = 1,  by
    # integer pivots; the last row is minus the reduced costs; all entries are times ``scale``
    table = [[row[j] for row in rows] for j in range(inputs)] + [[1] * len(rows)]
    for j, entries in enumerate(table):
        entries += [int(i == j) for i in range(inputs + 1)] + [int(j == inputs)]
    table.append([sum(column) for column in zip(*table, strict=True)])
    basis = list(range(len(rows), len(rows) + inputs + 1))
    scale = 1
    while True:
        costs = table[-1]
        # Bland's rule (the first column that gains, the first row in ties) can't cycle
        entering = next((j for j in range(len(rows)) if costs[j] > 0), None)
        if entering is None:
            break
        leaving = None
        for i in range(inputs + 1):
            below = table[i][entering]
            if below > 0:
                if leaving is not None:
                    gain = table[i][-1] * table[leaving][entering] - table[leaving][-1] * below
                    if gain > 0 or (gain == 0 and basis[i] > basis[leaving]):
                        continue
                leaving = i
        assert leaving is not None  # the sum of lambda is bounded by 1
        top = table[leaving]
        size = top[entering]
        for i, entries in enumerate(table):
            if i != leaving:
                taken = entries[entering]
                table[i] = [
                    (size * x - taken * y) // scale for x, y in zip(entries, top, strict=True)
                ]
        scale = size
        basis[leaving] = entering
    if table[-1][-1] == 0:
        relation = [0] * len(rows)
        for i, j in enumerate(basis):
            if j < len(rows):
                relation[j] = table[i][-1]
        cancels = not any(_combination(rows, relation, inputs))
        _confirm(min(relation) >= 0 < max(relation) and cancels)
        return relation, None
    # the artificial columns hold the prices: x.price + p <= 0 for all rows, and p > 0
    h = primitive([-costs[len(rows) + j] for j in range(inputs)])
    _confirm(all(x > 0 for x in _products(rows, h)))
    return None, h


def cyclic_part(rows: Sequence[Row]) -> tuple[list[int], Row]:
    """Split rows into the largest totally cyclic set and rows that some h makes positive.

    A totally cyclic set spans its span positively, so a row in that span belongs to the
    set. The function finds a relation, divides out its span, and repeats with the rest.

    Returns
    -------
    members : list of int
        Rows of the largest totally cyclic set, in order.
    h : tuple of int
        x.h = 0 for the members and x.h > 0 for all others, which proves that no larger
        set exists.
    """
    inputs = len(rows[0])
    space = [tuple(int(i == j) for i in range(inputs)) for j in range(inputs)]
    while True:
        seen = [_products(space, row) for row in rows]
        outside = [i for i, row in enumerate(seen) if any(row)]
        h: Row | None = (0,) * len(space)
        if outside:
            relation, h = gordan([seen[i] for i in outside])
        if h is not None:
            members = [i for i, row in enumerate(seen) if not any(row)]
            return members, primitive(_combination(space, h, inputs))
        chosen = [seen[i] for i, times in zip(outside, relation or (), strict=True) if times]
        basis = orthogonal_basis(chosen, len(space))
        space = [primitive(_combination(space, vector, inputs)) for vector in basis]


def cyclic_flats(
    rows: Sequence[Row], in_general_position: bool, spend: Callable[[int], None]
) -> Iterator[list[int]]:
    """Yield every non-empty totally cyclic flat, as a list of rows, each flat once.

    ``rows`` are distinct, primitive and not zero. If their lines are in general position,
    a flat other than the whole has independent lines, so each line must have rows in both
    directions. Otherwise the search reaches a flat by the rows that span it; each is the
    first row outside the span of the rows before. The last step adds a class of rows that
    are parallel in the quotient by the flat before. They must point in both directions, and
    gordan() decides the rest. The function calls ``spend`` with the number of entries that
    it computes; ``spend`` may raise.
    """
    members, _ = cyclic_part(rows)
    if not members:
        return
    # coordinates in which the members span the space
    columns, _ = echelon([rows[i] for i in members])
    classes: Classes = {}
    for i in members:
        _add(classes, tuple(rows[i][j] for j in columns), 1 << i, 0)
    everything = sum(1 << i for i in members)

    def descend(classes: Classes, inside: int, last: int, rank: int) -> Iterator[int]:
        for direction, (same, opposite) in classes.items():
            joined = same | opposite
            first = joined & -joined
            if first <= last or inside | joined == everything:
                continue
            if same and opposite:
                yield inside | joined
            if rank > 2:
                at = pivot(direction)
                below: Classes = {}
                spend(rank * len(classes))
                for other, (along, against) in classes.items():
                    if other != direction:
                        _add(below, restrict(other, direction, at), along, against)
                yield from descend(below, inside | joined, first, rank - 1)

    def spanned(classes: Classes, rank: int) -> Iterator[int]:
        both_ways = [same | opposite for same, opposite in classes.values() if same and opposite]
        for size in range(1, rank):
            for lines in combinations(both_ways, size):
                yield sum(lines)

    rank = len(columns)
    for flat in spanned(classes, rank) if in_general_position else descend(classes, 0, 0, rank):
        chosen = [i for i in members if flat >> i & 1]
        spend(_ENTRIES_PER_SIMPLEX)
        if len(cyclic_part([rows[i] for i in chosen])[0]) == len(chosen):
            yield chosen
    yield members


def _add(classes: Classes, row: Sequence[int], same: int, opposite: int) -> None:
    """Add the rows of either direction of ``row`` to the class of its line."""
    direction = line(row)
    if next(x for x in row if x) < 0:
        same, opposite = opposite, same
    along, against = classes.get(direction, (0, 0))
    classes[direction] = (along | same, against | opposite)


def off_the_flat(rows: Sequence[Row], flat: Sequence[int]) -> tuple[list[Row], list[Row]]:
    """Return the rows restricted to the h orthogonal to a flat, and a basis of these h."""
    basis = orthogonal_basis([rows[i] for i in flat], len(rows[0]))
    return [_products(basis, row) for row in rows], basis


def _products(vectors: Sequence[Row], row: Row) -> Row:
    return tuple(sum(x * y for x, y in zip(vector, row, strict=True)) for vector in vectors)


def _combination(vectors: Sequence[Row], weights: Sequence[int], inputs: int) -> list[int]:
    out = [0] * inputs
    for weight, vector in zip(weights, vectors, strict=True):
        if weight:
            out = [total + weight * x for total, x in zip(out, vector, strict=True)]
    return out


def _confirm(proven: bool) -> None:
    if not proven:
        raise RuntimeError(
            "the simplex method returned a wrong certificate: a bug of bidual, please report it"
        )
