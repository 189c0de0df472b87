"""Complete threshold dictionaries: every pattern [X h >= 0], h in R^d, each with a witness.

H(X) = {1[X h >= 0] : h in R^d} is the set of patterns of a threshold neuron without bias
on the rows of X; for a bias, append a column of ones to X. It is the complete dictionary
of Ergen, Gulluk, Lacotte and Pilanci (ICLR 2023), Theorem 2.2. Each pattern is listed
once, and the patterns are counted by another method. The list is complete if it is as
long as the count, its patterns are distinct, and each pattern follows from its witness
in integer arithmetic.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import ArrayLike

from ..files.packed_head import words_for
from ..matrix.binary_matrix import BinaryMatrix
from .budget import MANY, Budget, BudgetExceeded, Estimate, check_budget
from .cell_counting import (
    ENTRIES_PER_SECOND,
    CellCounter,
    CountStopped,
    counting_work,
    fewest_cells,
    most_cells,
    most_patterns,
)
from .cell_listing import Witnesses, evaluate, list_cells, whole_numbers
from .closed_faces import cyclic_flats, off_the_flat
from .integer_rows import Row, echelon, integer_rows, line, rank_modulo_a_prime

_PRODUCTS_PER_SECOND = 3e8  # rows x inputs x inputs per pattern, on one core; measured
_SLOW = 150  # times as long in Python integers; measured with 60 x 4 and 33 bits
_HOPELESS_RANK = 64  # 2**64 patterns


@dataclass(frozen=True, eq=False)
class CompletePatterns:
    """All patterns of a threshold neuron on n rows, and a witness of each.

    Attributes
    ----------
    patterns : BinaryMatrix
        (n, N), distinct columns, the all-zero one among them where it is realised; in
        increasing order as binary numbers in which row i counts 2**i.
    witnesses : (N, d) array
        Integers h_j with 1[X h_j >= 0] = pattern j; int64, or Python ints if one of
        them is too large.
    """

    patterns: BinaryMatrix
    witnesses: Witnesses


@dataclass(frozen=True)
class _Part:
    """Open cells of the h = basis' z: of the whole space, or orthogonal to a cyclic flat."""

    lines: list[Row]
    basis: list[Row]
    cells: int


def count_threshold_patterns(X: ArrayLike) -> int:
    """Count the patterns 1[X h >= 0] of a matrix X (n, d), exactly, without listing them.

    X holds whole numbers of any size, or floats, which are also read exactly. Let r(A)
    be the number of open cells of an arrangement. The count is the sum of
    r(X on F's complement) over the totally cyclic flats F of the rows. If some h0 has
    x.h0 > 0 for all rows that are not zero, the zero rows are the only such flat.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is empty, or holds an entry that is not a finite number.

    Examples
    --------
    >>> from itertools import product
    >>> from bidual.dictionaries.complete.arrangement import count_threshold_patterns
    >>> count_threshold_patterns([(*bits, 1) for bits in product((0, 1), repeat=4)])
    1882
    """
    return sum(part.cells for part in _parts(integer_rows(X), CellCounter()))


def threshold_patterns(
    X: ArrayLike,
    budget: Budget | None = None,
    report: Callable[[Estimate], None] | None = None,
) -> CompletePatterns:
    """List every pattern 1[X h >= 0] of a matrix X (n, d), each with an integer witness h.

    Parameters
    ----------
    X : (n, d) array
        Whole numbers or floats. Short entries are faster and have shorter witnesses:
        round data to 10 or 20 bits where that is accurate enough.
    budget : Budget, optional
        Limits of the enumeration; ``Budget()`` by default.
    report : callable, optional
        Function to call with the Estimate before the listing starts.

    Raises
    ------
    ValueError
        If X is not two-dimensional, is empty, or holds an entry that is not a finite
        number, or ``budget`` is not a Budget.
    BudgetExceeded
        If listing or counting would exceed the budget.

    Examples
    --------
    >>> from bidual.dictionaries.complete.arrangement import threshold_patterns
    >>> complete = threshold_patterns([[-1, 1], [0, 1], [1, 1]])
    >>> complete.patterns.to_dense(int)
    array([[0, 1, 1, 0, 0, 1],
           [0, 0, 1, 0, 1, 1],
           [0, 0, 0, 1, 1, 1]])
    """
    budget = check_budget(budget)
    rows = integer_rows(X)
    parts = _within_budget(rows, budget, report)
    expected = sum(part.cells for part in parts)
    inputs = len(rows[0])

    def allow_slow() -> None:
        patient = _estimate(expected, len(rows), inputs)
        budget.check(replace(patient, seconds=_SLOW * patient.seconds))

    witnesses = np.concatenate([_witnesses(part, inputs, allow_slow) for part in parts])
    words = evaluate(rows, witnesses, words_for(len(rows)))
    used = -(-len(rows) // 64)
    order = np.lexsort(words[:, :used].T)
    words = words[order]
    distinct = 1 + np.count_nonzero((words[1:, :used] != words[:-1, :used]).any(axis=1))
    if not distinct == len(words) == expected:
        raise RuntimeError(
            f"expected {expected} distinct patterns by the count, listed {len(words)} and "
            f"{distinct} distinct: a bug of bidual, please report it"
        )
    return CompletePatterns(BinaryMatrix(words, len(rows)), witnesses[order])


def _lines(rows: list[Row]) -> list[Row]:
    """Return the distinct lines of the non-zero rows, in order of first appearance."""
    return list(dict.fromkeys(line(row) for row in rows if any(row)))


def _parts(rows: list[Row], counter: CellCounter) -> Iterator[_Part]:
    """Yield the parts of the patterns, one per flat of rows that are 0 on it, with counts."""
    distinct = [row for row in dict.fromkeys(rows) if any(row)]
    inputs = len(rows[0])
    lines = _lines(distinct)
    # h may be 0 outside columns of full rank
    columns, _ = echelon(lines)
    unit = [tuple(int(i == j) for i in range(inputs)) for j in columns]
    lines = [tuple(row[j] for j in columns) for row in lines]
    cells = counter.cells(lines)
    yield _Part(lines, unit, cells)
    if distinct:
        in_general_position = cells == most_cells(len(lines), len(columns))
        for flat in cyclic_flats(distinct, in_general_position, counter.spend):
            seen, basis = off_the_flat(distinct, flat)
            lines = _lines(seen)
            columns, _ = echelon(lines)
            lines = [tuple(row[j] for j in columns) for row in lines]
            yield _Part(lines, [basis[j] for j in columns], counter.cells(lines))


def _within_budget(
    rows: list[Row], budget: Budget, report: Callable[[Estimate], None] | None
) -> list[_Part]:
    """Count the parts; raise BudgetExceeded before work that is too long to count or to list."""
    n, inputs = len(rows), len(rows[0])
    lines = _lines(rows)
    # eliminate long integers only if the lower bound on the patterns is within the budget
    fewest = fewest_cells(len(lines), rank_modulo_a_prime(lines, _HOPELESS_RANK))
    try:
        budget.check(_estimate(fewest, n, inputs))
    except BudgetExceeded:
        most = most_patterns(len(set(rows)), min(n, inputs))
        estimate = _estimate(most, n, inputs, exact=False)
        if report is not None:
            report(estimate)
        budget.check(estimate)
    rank = len(echelon(lines)[0])
    counting = min(counting_work(len(lines), rank), MANY) / ENTRIES_PER_SECOND
    # too long in general position: count half a second, in case X has more structure
    work = ENTRIES_PER_SECOND // 2 if counting > budget.seconds else None
    counter = CellCounter(work, most=budget.patterns)
    parts, count, counted = [], 0, True
    try:
        for part in _parts(rows, counter):
            parts.append(part)
            count += part.cells
            if count > budget.patterns:
                raise CountStopped
    except CountStopped:
        count, counted = most_patterns(len(set(rows)), rank), False
    estimate = _estimate(count, n, inputs, 0.0 if counted else counting, exact=counted)
    if report is not None:
        report(estimate)
    budget.check(estimate)
    return parts


def _estimate(
    count: int, n: int, inputs: int, counting: float = 0.0, exact: bool = True
) -> Estimate:
    """Estimate the listing of a number of patterns, after some seconds of counting."""
    many = min(count, MANY)
    return Estimate(
        patterns=count,
        seconds=many * n * inputs**2 / _PRODUCTS_PER_SECOND + counting,
        nbytes=many * (2 * 8 * words_for(n) + 4 * 8 * inputs + 100),
        exact=exact,
    )


def _witnesses(part: _Part, inputs: int, allow_slow: Callable[[], None]) -> Witnesses:
    """Return a witness of each pattern of a part, in the coordinates of X."""
    if not part.lines:
        return np.zeros((1, inputs), dtype=np.int64)
    cells = list_cells(part.lines, part.cells, allow_slow)
    basis = whole_numbers(part.basis)
    if cells.dtype == basis.dtype == np.int64:
        longest = int(np.abs(cells).max()) * int(np.abs(basis).sum(axis=0).max())
        if longest <= 2**60:
            return cells @ basis
    return whole_numbers(cells.astype(object) @ basis.astype(object))
