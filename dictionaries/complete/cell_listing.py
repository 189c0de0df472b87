"""List of the open cells of an arrangement of integer rows of any size.

The kernel works in 64 bits. Rows that are too long for it are first rounded, which
rarely changes a cell. The list is proven complete if its witnesses lie in as many
distinct cells of the true rows as the count requires. Otherwise the same recursion
runs in Python integers, about a hundred times slower.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ...kernels import arrangement
from .integer_rows import Row, lift, line, pivot, primitive, restrict

Witnesses = NDArray[np.int64] | NDArray[np.object_]

_LIMB = 60  # bits; 2**60 is the kernel's limit


def list_cells(rows: Sequence[Row], expected: int) -> Witnesses:
    """Return one witness h (x.h != 0 for every row) for each of the ``expected`` open cells.

    ``rows`` are distinct non-zero lines. The result is an (expected, d) array, of int64
    if the entries fit; its order depends only on the rows.
    """
    half = _in_int64(rows)
    if half is None:
        half = _by_rounding(rows, expected)
    found = whole_numbers(_half_of_cells(rows)) if half is None else half
    return np.concatenate([found, -found])


def whole_numbers(entries: Sequence[Sequence[int]] | Witnesses) -> Witnesses:
    """Return a matrix as int64 if its entries are within the kernel's limit, else Python ints."""
    exact = np.array(entries, dtype=object)
    small = np.abs(exact).max(initial=0) <= arrangement.LIMIT
    return exact.astype(np.int64) if small else exact


def evaluate(rows: Sequence[Row], witnesses: Witnesses, n_words: int) -> NDArray[np.uint64]:
    """Compute the exact patterns [x_i.h >= 0] of all witnesses, packed: (N, n_words) uint64."""
    words = np.zeros((len(witnesses), n_words), dtype=np.uint64)
    if witnesses.dtype == np.int64 and witnesses.shape[1] <= arrangement.WIDEST:
        arrangement.evaluate(_limbs(rows), witnesses, words)
        return words
    columns = witnesses.T.astype(object)
    for i, row in enumerate(rows):
        fires = (np.array(row, dtype=object) @ columns >= 0).astype(np.uint64)
        words[:, i // 64] |= fires << np.uint64(i % 64)
    return words


def _limbs(rows: Sequence[Row]) -> NDArray[np.int64]:
    """Split rows into digits of 60 bits, least first: (L, n, d), the last digit signed."""
    longest = max(abs(x) for row in rows for x in row).bit_length()
    exact = np.array(rows, dtype=object)
    below = [exact >> shift & (1 << _LIMB) - 1 for shift in range(0, longest - _LIMB, _LIMB)]
    return np.stack([*below, exact >> _LIMB * len(below)]).astype(np.int64)


def _in_int64(rows: Sequence[Row]) -> NDArray[np.int64] | None:
    """Return the kernel's half of the cells, or None if a number does not fit."""
    if len(rows[0]) > arrangement.WIDEST or max(max(map(abs, x)) for x in rows) > arrangement.LIMIT:
        return None
    cells, fits = arrangement.half_of_cells(np.array(rows, dtype=np.int64))
    return cells if fits else None


def _by_rounding(rows: Sequence[Row], expected: int) -> NDArray[np.int64] | None:
    """Return half of the cells of minimally rounded rows, or None if ``rows`` have others."""
    for bits in range(_LIMB - 4, 11, -4):
        half = _in_int64(_rounded(rows, bits))
        if half is not None:
            return half if _one_in_each_cell(rows, half, expected) else None
    return None


def _rounded(rows: Sequence[Row], bits: int) -> list[Row]:
    """Round rows to at most ``bits`` bits, nearly in the same direction; merge parallel rows."""
    out: dict[Row, None] = {}
    for row in rows:
        excess = max(max(map(abs, row)).bit_length() - bits, 0)
        out[line([(x + (1 << excess >> 1)) >> excess for x in row])] = None
    return list(out)


def _one_in_each_cell(rows: Sequence[Row], half: NDArray[np.int64], expected: int) -> bool:
    """Tell whether the witnesses and their opposites lie in ``expected`` distinct open cells."""
    n_words = -(-len(rows) // 64)
    above, below = evaluate(rows, half, n_words), evaluate(rows, -half, n_words)
    on_a_hyperplane = (above & below).any()
    distinct = np.unique(np.concatenate([above, below]), axis=0)
    return not on_a_hyperplane and len(distinct) == expected


def _half_of_cells(rows: Sequence[Row]) -> list[list[int]]:
    """Run the kernel's recursion in Python integers: a witness per cell with rows[0].h > 0."""
    first = rows[0]
    if len(rows) == 1 or len(first) == 1:
        return [list(first)]
    cells = [list(first)]
    # node: the row that splits it and its two sides, or its cell
    nodes: list[tuple[int, int, int] | int] = [0]
    for i, x in enumerate(rows[1:], start=1):
        at = pivot(x)
        before = rows[:i]
        restricted = [restrict(row, x, at) for row in before]
        lines = dict.fromkeys(line(row) for row in restricted)
        # the first row keeps its side
        below = [primitive(restricted[0]), *(r for r in lines if r != line(restricted[0]))]
        slopes = [abs(sum(a * b for a, b in zip(row, x, strict=True))) for row in before]
        for cut in _half_of_cells(below):
            h = lift(cut, x, at)
            values = [sum(a * b for a, b in zip(row, h, strict=True)) for row in before]
            node = 0
            while not isinstance(split := nodes[node], int):
                node = split[1 + (values[split[0]] > 0)]
            # scale h so that a step of x moves it at most half the way to another row
            times = 1 + max(2 * s // abs(v) for s, v in zip(slopes, values, strict=True))
            cells[split] = [times * a - b for a, b in zip(h, x, strict=True)]
            cells.append([times * a + b for a, b in zip(h, x, strict=True)])
            nodes[node] = (i, len(nodes), len(nodes) + 1)
            nodes += [split, len(cells) - 1]
    return [_shortened(rows, h) for h in cells]


def _shortened(rows: Sequence[Row], h: list[int]) -> list[int]:
    """Drop low bits of ``h`` that affect no sign: b bits change x.h by at most 2**(b-1) |x|_1."""
    room = min(
        abs(sum(a * b for a, b in zip(row, h, strict=True))) // sum(map(abs, row)) for row in rows
    )
    bits = (room - 1).bit_length() if room > 1 else 0
    return [(x + (1 << bits >> 1)) >> bits for x in h]
