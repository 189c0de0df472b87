"""List of the open cells of an arrangement of integer rows of any size.

The kernel works in 64 bits. Rows that are too long for it are first rounded, which
changes cells that are small. Then floats find the cells around every ray in which
hyperplanes meet. Either list is proven complete if its witnesses lie in as many distinct
cells of the true rows as the count requires. Otherwise the kernel's recursion runs in
Python integers, which takes some hundred times as long.
"""

from collections.abc import Callable, Sequence
from itertools import combinations, product
from math import comb

import numpy as np
from numpy.typing import NDArray

from ...kernels import arrangement
from ..validation import Array
from .integer_rows import Row, lift, line, pivot, primitive, restrict

Witnesses = NDArray[np.int64] | NDArray[np.object_]

_LIMB = 60  # bits; 2**60 is the kernel's limit
_MOST_CORNERS = 2**23  # pairs of a cell and a ray that are held in memory
_MIX = np.uint64(0x9E3779B97F4A7C15)  # odd: Knuth's multiplicative hash
_POINT_BITS = 52  # bits of a witness that floats have found


def list_cells(
    rows: Sequence[Row], expected: int, allow_slow: Callable[[], None] = lambda: None
) -> Witnesses:
    """Return one witness h (x.h != 0 for every row) for each of the ``expected`` open cells.

    ``rows`` are distinct non-zero lines. The result is an (expected, d) array, of int64
    if the entries fit; its order depends only on the rows. The function calls ``allow_slow``,
    which may raise, before a recursion in Python integers.
    """
    half = _in_int64(rows)
    if half is None:
        half = _by_rounding(rows, expected)
    if half is None:
        half = _by_rays(rows, expected)
    if half is None:
        allow_slow()
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


def _by_rays(rows: Sequence[Row], expected: int) -> NDArray[np.int64] | None:
    """Return half of the cells by their rays in floats, or None if ``rows`` have others.

    Each cell has rays in which k - 1 hyperplanes meet. If no other hyperplane meets there, the
    ray borders on the 2**(k - 1) cells that differ in the signs of these rows. The sum of a
    cell's unit rays lies inside it.
    """
    m, k = len(rows), len(rows[0])
    if not 3 <= k <= m or comb(m, k - 1) << (k - 1) > _MOST_CORNERS:
        return None
    scales = [max(max(map(abs, row)), 1) for row in rows]
    directions = np.array([[x / s for x in row] for row, s in zip(rows, scales, strict=True)])
    met = np.array(list(combinations(range(m), k - 1)))
    rays = _orthogonal(directions[met])
    lengths = np.sqrt((rays * rays).sum(axis=1))
    if not lengths.all():
        return None
    rays /= lengths[:, None]
    # the side of the first row that the half lies on; on its hyperplane, both directions
    at_first = met[:, 0] == 0
    rays *= np.where(_products(rays, directions[:1])[:, 0] < 0, -1.0, 1.0)[:, None]
    rays, met = np.concatenate([rays, -rays[at_first]]), np.concatenate([met, met[at_first]])
    sides = _products(rays, directions) > 0
    corners, patterns = [], []
    every = np.arange(len(rays))
    for signs in product((True, False), repeat=k - 1):
        chosen = every if signs[0] else every[met[:, 0] != 0]
        cells = sides[chosen]
        np.put_along_axis(cells, met[chosen], np.array(signs), axis=1)
        corners.append(chosen)
        patterns.append(_names(cells))
    names, cell = np.unique(np.concatenate(patterns), return_inverse=True)
    if 2 * len(names) != expected:
        return None
    at = np.concatenate(corners)
    inside = np.stack([np.bincount(cell, ray[at], len(names)) for ray in rays.T], axis=1)
    inside *= 2.0**_POINT_BITS / np.abs(inside).max(axis=1, keepdims=True)
    half = _rounded_off(np.rint(inside), directions)
    return half if _one_in_each_cell(rows, half, expected) else None


def _names(cells: NDArray[np.bool_]) -> NDArray[np.uint64]:
    """Return a number for each pattern (N, m); other patterns rarely have the same one."""
    words = np.zeros((len(cells), -(-cells.shape[1] // 64) * 8), dtype=np.uint8)
    packed = np.packbits(cells, axis=1)
    words[:, : packed.shape[1]] = packed
    total = np.zeros(len(cells), dtype=np.uint64)
    for word in words.view(np.uint64).T:
        total = total * _MIX + word
    return total


def _orthogonal(vectors: Array) -> Array:
    """Return a vector (M, k) orthogonal to the k - 1 vectors of each (M, k - 1, k): minors."""
    k = vectors.shape[2]
    columns = [[j for j in range(k) if j != c] for c in range(k)]
    minors = [_determinant(vectors[:, :, each]) for each in columns]
    return np.stack([minor if c % 2 == 0 else -minor for c, minor in enumerate(minors)], axis=1)


def _determinant(matrices: Array) -> Array:
    """Return determinants (M,) by Laplace's rule, with the same bits on every machine."""
    k = matrices.shape[1]
    if k == 1:
        return matrices[:, 0, 0]
    total = np.zeros(len(matrices))
    for c in range(k):
        below = matrices[:, 1:, [j for j in range(k) if j != c]]
        total += (-1.0) ** c * matrices[:, 0, c] * _determinant(below)
    return total


def _products(points: Array, directions: Array) -> Array:
    """Return points @ directions.T, summed in order, with the same bits on every machine."""
    total = np.zeros((len(points), len(directions)))
    for j in range(directions.shape[1]):
        total += points[:, j, None] * directions[:, j]
    return total


def _rounded_off(points: Array, directions: Array) -> NDArray[np.int64]:
    """Drop low bits of whole numbers (N, k) that affect the sign of no product."""
    room = np.abs(_products(points, directions) / np.abs(directions).sum(axis=1)).min(axis=1)
    bits = np.maximum(np.frexp(room * (1 - 2.0**-40))[1], 0)[:, None]
    half = np.left_shift(np.int64(1), bits) >> 1
    found: NDArray[np.int64] = (points.astype(np.int64) + half) >> bits
    return found


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
