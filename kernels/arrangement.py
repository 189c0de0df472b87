"""Cells of a central hyperplane arrangement, listed in exact integers, without linear programs.

Rows x_0, x_1, ... of (m, k) int64, no two parallel, cut R^k into open cells. They are
inserted one by one. The cells that x_i cuts correspond one to one to the cells of the
earlier rows restricted to the hyperplane x_i.h = 0. So the kernel restricts these rows,
recurses, lifts each witness h back, finds the cell that holds h, and replaces it by two
cells whose witnesses lie a little above and below x_i. A binary tree of the splits finds
the cell; cells that x_i does not cut cost nothing. Cells come in opposite pairs, so only
those with x_0.h > 0 are listed.

Sums of products are taken in 128 bits. Stored numbers stay within 2**60, so that no sum
of up to 64 products overflows. If the data do not fit, the kernels return False.
"""

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import compiled

LIMIT = 2**60
WIDEST = 64  # products of two stored numbers that 128 bits can add up


@intrinsic
def _multiply_add(typing_context, high, low, a, b):  # type: ignore[no-untyped-def]
    """Add a * b to the 128-bit number (high, low); Numba lacks this type, LLVM has it."""
    word = types.int64

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        wide = ir.IntType(128)
        half = ir.Constant(wide, 64)
        high, low, a, b = arguments
        total = builder.or_(builder.shl(builder.sext(high, wide), half), builder.zext(low, wide))
        product = builder.mul(builder.sext(a, wide), builder.sext(b, wide))
        total = builder.add(total, product)
        parts = [builder.trunc(builder.ashr(total, half), ir.IntType(64))]
        parts.append(builder.trunc(total, ir.IntType(64)))
        return context.make_tuple(builder, signature.return_type, parts)

    pair = types.UniTuple(word, 2)  # type: ignore[no-untyped-call]
    return pair(word, word, word, word), generate


@compiled
def _dot(x, h):  # type: ignore[no-untyped-def]
    """Return x.h as a float: its sign is exact, its relative error at most 2**-51."""
    high, low = 0, 0
    for j in range(x.size):
        high, low = _multiply_add(high, low, x[j], h[j])
    if high >= 0:
        return np.float64(np.uint64(high)) * 2.0**64 + np.float64(np.uint64(low))
    high, low = ~high, -low
    if low == 0:
        high += 1
    return -(np.float64(np.uint64(high)) * 2.0**64 + np.float64(np.uint64(low)))


@compiled
def _combine(a, h, b, u, out):  # type: ignore[no-untyped-def]
    """Write a*h + b*u to ``out``; return False if an entry exceeds LIMIT."""
    for j in range(out.size):
        high, low = 0, 0
        high, low = _multiply_add(high, low, a, h[j])
        high, low = _multiply_add(high, low, b, u[j])
        if high != low >> 63 or not -LIMIT <= low <= LIMIT:
            return False
        out[j] = low
    return True


@compiled
def _product(matrix, h, out):  # type: ignore[no-untyped-def]
    """Write matrix @ h to ``out``; return False if an entry exceeds LIMIT."""
    for j in range(out.size):
        high, low = 0, 0
        for c in range(h.size):
            high, low = _multiply_add(high, low, matrix[j, c], h[c])
        if high != low >> 63 or not -LIMIT <= low <= LIMIT:
            return False
        out[j] = low
    return True


@compiled
def _largest(h):  # type: ignore[no-untyped-def]
    largest = 0
    for j in range(h.size):
        largest = max(largest, abs(h[j]))
    return largest


@compiled
def _round(h, bits):  # type: ignore[no-untyped-def]
    """Divide ``h`` by 2**bits in place, to the nearest whole number."""
    if bits > 0:
        half = 1 << (bits - 1)
        for j in range(h.size):
            h[j] = (h[j] + half) >> bits


@compiled
def _shorten(rows, norms, h):  # type: ignore[no-untyped-def]
    """Drop the low bits of ``h`` that do not affect the sign of any row.

    Rounding to multiples of 2**b moves x.h by at most 2**(b-1) |x|_1.
    """
    room = np.inf
    for i in range(rows.shape[0]):
        room = min(room, abs(_dot(rows[i], h)) / norms[i])
    _round(h, math.frexp(room * (1 - 2.0**-40))[1])


@compiled
def _orthogonal_lattice(x):  # type: ignore[no-untyped-def]
    """Return a short basis (k-1, k), by rows, of the integer vectors orthogonal to ``x``.

    Euclid's algorithm runs on the entries of x and divides the largest by the next
    largest; the same steps act on the rows of the identity. Then each basis vector is
    shortened by each other one.
    """
    k = x.size
    basis = np.zeros((k, k), np.int64)
    for j in range(k):
        basis[j, j] = 1
    left = x.copy()
    while True:
        first = 0
        for j in range(1, k):
            if abs(left[j]) > abs(left[first]):
                first = j
        second = -1
        for j in range(k):
            if j != first and left[j] != 0 and (second < 0 or abs(left[j]) > abs(left[second])):
                second = j
        if second < 0:
            break
        times = left[first] // left[second]
        rest = left[first] - times * left[second]
        if 2 * abs(rest) > abs(left[second]):
            times += 1
            rest -= left[second]
        left[first] = rest
        if not _combine(1, basis[first], -times, basis[second], basis[first]):
            return basis[1:], False
    for j in range(k):
        basis[first, j] = basis[0, j]
    basis = basis[1:]
    shorter = True
    while shorter:
        shorter = False
        for p in range(k - 1):
            for q in range(k - 1):
                if p == q:
                    continue
                inner, length = 0.0, 0.0
                for j in range(k):
                    inner += np.float64(basis[p, j]) * np.float64(basis[q, j])
                    length += np.float64(basis[q, j]) * np.float64(basis[q, j])
                # 0.51, not 0.5: the gain then exceeds rounding errors, so the loop ends
                if abs(inner) > 0.51 * length and abs(inner) < LIMIT * length:
                    times = np.int64(np.rint(inner / length))
                    if not _combine(1, basis[p], -times, basis[q], basis[p]):
                        return basis, False
                    shorter = True
    return basis, True


@compiled
def _make_primitive(row):  # type: ignore[no-untyped-def]
    """Divide by the greatest common divisor and make the lead entry positive; return the sign."""
    divisor, sign = 0, 0
    for j in range(row.size):
        if sign == 0 and row[j] != 0:
            sign = 1 if row[j] > 0 else -1
        a, b = abs(row[j]), divisor
        while b != 0:
            a, b = b, a % b
        divisor = a
        if divisor == 1:
            break
    divisor = max(divisor, 1)
    for j in range(row.size):
        row[j] = sign * (row[j] // divisor)
    return sign


@compiled
def _restrict(rows, basis):  # type: ignore[no-untyped-def]
    """Return rows @ basis.T, parallel rows merged; the first row stays first and keeps its side.

    In the plane rows are neither divided nor merged here: :func:`_sectors` merges them.
    """
    k = basis.shape[0]
    out = np.empty((rows.shape[0], k), np.int64)
    kept = 0
    side = 1
    for i in range(rows.shape[0]):
        if not _product(basis, rows[i], out[kept]):
            return out, False
        if k > 2:
            sign = _make_primitive(out[kept])
            if i == 0:
                side = sign
            known = False
            for r in range(kept):
                same = True
                for j in range(k):
                    if out[r, j] != out[kept, j]:
                        same = False
                        break
                if same:
                    known = True
                    break
            if known:
                continue
        kept += 1
    for j in range(k):
        out[0, j] *= side
    return out[:kept], True


@compiled
def _turn(a, b, c, d):  # type: ignore[no-untyped-def]
    """Return the sign of the cross product: 1 if (c, d) lies counterclockwise of (a, b)."""
    high, low = 0, 0
    high, low = _multiply_add(high, low, a, d)
    high, low = _multiply_add(high, low, -b, c)
    if high < 0:
        return -1
    return 1 if high > 0 or low != 0 else 0


@compiled
def _between(u, v, h):  # type: ignore[no-untyped-def]
    """Write a short integer vector strictly between ``u`` and ``v`` to ``h``; False if too long."""
    length_u = math.hypot(u[0], u[1])
    length_v = math.hypot(v[0], v[1])
    a = u[0] / length_u + v[0] / length_v
    b = u[1] / length_u + v[1] / length_v
    length = max(math.hypot(a, b), 2.0**-60)
    for bits in range(50):
        h[0] = np.int64(np.rint(a / length * 2.0**bits))
        h[1] = np.int64(np.rint(b / length * 2.0**bits))
        if _turn(u[0], u[1], h[0], h[1]) > 0 and _turn(h[0], h[1], v[0], v[1]) > 0:
            return True
    return _combine(1, u, 1, v, h)


@compiled
def _sectors(rows):  # type: ignore[no-untyped-def]
    """List cells in the plane: sort the rays of all lines by angle, take a vector between each."""
    a, b = rows[0]
    rays = np.empty((rows.shape[0] + 1, 2), np.int64)
    rays[0, 0], rays[0, 1] = b, -a
    count = 1
    for i in range(1, rows.shape[0]):
        side = _turn(b, -a, -rows[i, 1], rows[i, 0])
        if side == 0:
            continue
        c, d = -side * rows[i, 1], side * rows[i, 0]
        low, high = 1, count
        while low < high:
            middle = (low + high) // 2
            if _turn(rays[middle, 0], rays[middle, 1], c, d) > 0:
                low = middle + 1
            else:
                high = middle
        if low < count and _turn(rays[low, 0], rays[low, 1], c, d) == 0:
            continue
        for j in range(count, low, -1):
            rays[j, 0], rays[j, 1] = rays[j - 1, 0], rays[j - 1, 1]
        rays[low, 0], rays[low, 1] = c, d
        count += 1
    rays[count, 0], rays[count, 1] = -b, a
    cells = np.empty((count, 2), np.int64)
    if count == 1:
        cells[0, 0], cells[0, 1] = a, b
        return cells, True
    for i in range(count):
        if not _between(rays[i], rays[i + 1], cells[i]):
            return cells, False
    return cells, True


@compiled
def _resized(array, count, rows):  # type: ignore[no-untyped-def]
    """Copy the first ``count`` rows of ``array`` to a new array of ``rows`` rows."""
    out = np.empty((rows, array.shape[1]), np.int64)
    for i in range(count):  # assigning a slice takes 4 s more to compile
        for j in range(array.shape[1]):
            out[i, j] = array[i, j]
    return out


@compiled
def half_of_cells(rows):  # type: ignore[no-untyped-def]
    """Return one short witness h for every open cell with ``rows[0]``.h > 0.

    ``rows`` (m, k) int64 are within LIMIT, with m >= 1 and k <= WIDEST. No row is zero,
    and no two are parallel, except in the plane. Return witnesses (N, k) int64 and True.
    If a number exceeds LIMIT, return False and witnesses without meaning.
    """
    m, k = rows.shape
    if k == 1 or m == 1:
        cells = _resized(rows, 1, 1)
        _round(cells[0], math.frexp(np.float64(_largest(rows[0])))[1] - 8)
        return cells, True
    if k == 2:
        return _sectors(rows)

    # node: the row that splits it and its two sides; or -1 and its cell
    nodes = np.empty((32, 3), np.int64)
    nodes[0, 0], nodes[0, 1] = -1, 0
    cells = _resized(rows, 1, 16)
    n_cells, n_nodes = 1, 1
    values = np.empty(m)
    slopes = np.empty(m)
    h = np.empty(k, np.int64)
    for i in range(1, m):
        basis, fits = _orthogonal_lattice(rows[i])
        if not fits:
            return cells, False
        below, fits = _restrict(rows[:i], basis)
        if not fits:
            return cells, False
        cut, fits = half_of_cells(below)
        if not fits:
            return cells, False
        lift = np.empty((k, k - 1), np.int64)
        up = np.empty(k, np.int64)
        for j in range(k):
            up[j] = rows[i, j]
            for c in range(k - 1):
                lift[j, c] = basis[c, j]
        _round(up, math.frexp(np.float64(_largest(up)))[1] - 10)
        length = np.float64(_largest(up))
        for r in range(i):
            slopes[r] = abs(_dot(rows[r], up))
        if cells.shape[0] < n_cells + cut.shape[0]:
            cells = _resized(cells, n_cells, 2 * (n_cells + cut.shape[0]))
            nodes = _resized(nodes, n_nodes, 4 * (n_cells + cut.shape[0]))
        for c in range(cut.shape[0]):
            if not _product(lift, cut[c], h):
                return cells, False
            # step half the way to the next row, and no further than the length of h
            step = np.float64(_largest(h)) / length
            for r in range(i):
                values[r] = _dot(rows[r], h)
                step = min(step, abs(values[r]) / (2 * slopes[r] + 1e-300))
            node = 0
            while nodes[node, 0] >= 0:
                node = nodes[node, 2 if values[nodes[node, 0]] > 0 else 1]
            if 1 / step >= LIMIT:
                return cells, False
            times = np.int64(np.ceil(1 / step))
            steps = np.int64(max(1.0, step))
            cell = nodes[node, 1]
            if not (
                _combine(times, h, -steps, up, cells[cell])
                and _combine(times, h, steps, up, cells[n_cells])
            ):
                return cells, False
            nodes[node, 0], nodes[node, 1], nodes[node, 2] = i, n_nodes, n_nodes + 1
            nodes[n_nodes, 0], nodes[n_nodes, 1] = -1, cell
            nodes[n_nodes + 1, 0], nodes[n_nodes + 1, 1] = -1, n_cells
            n_nodes += 2
            n_cells += 1

    cells = _resized(cells, n_cells, n_cells)
    norms = np.zeros(m)
    for i in range(m):
        for j in range(k):
            norms[i] += abs(np.float64(rows[i, j]))
    for c in range(n_cells):
        _shorten(rows, norms, cells[c])
    return cells, True


@compiled
def evaluate(limbs, witnesses, words):  # type: ignore[no-untyped-def]
    """Set the bits of the patterns [x_i.h >= 0], exactly, in ``words`` (N, n_words) of zeros.

    Row i is the sum over r of ``limbs[r, i]`` (L, n, d) times 2**(60 r). Limbs and
    witnesses (N, d) lie within LIMIT, and d <= WIDEST. ``bits.py`` describes the layout
    of the words.
    """
    count, n, d = limbs.shape
    for c in range(witnesses.shape[0]):
        for i in range(n):
            high, low = 0, 0
            for r in range(count):
                if r > 0:  # the lower limbs enter as the floor of their sum
                    low = (high << 4) | ((low >> 60) & 15)
                    high >>= 60
                for j in range(d):
                    high, low = _multiply_add(high, low, limbs[r, i, j], witnesses[c, j])
            if high >= 0:
                words[c, i // 64] |= np.uint64(1) << np.uint64(i % 64)
