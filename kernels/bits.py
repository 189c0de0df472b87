"""Products with a 0/1 matrix whose columns are packed into 64-bit words.

Column j of the (n, P) matrix D is ``words[j]``, a row of ``n_words`` uint64;
entry (i, j) is bit ``i % 64`` (least significant first) of ``words[j, i // 64]``.
``n_words`` is a multiple of 8 and bits past row n are zero. So kernels work on
registers of 8 words or numbers (512 bits) and need not know n: arrays over rows
are padded to ``64 * n_words`` entries.

float64 sums have one order, whatever the chunks, the threads or the machine. Along
a column, row i goes to lane i % 8, each lane is summed in row order, and lanes
are added in halves, ((0+4) + (2+6)) + ((1+5) + (3+7)). Across columns, sums run in
column order. Integer sums are exact while they fit in an int64.

Integers are summed by bit planes: bit p of 512 rows is one register, and each one
that it has in common with a column counts 2^p. Floats are summed by masked
additions: each bit of a column enables one lane. The time of both does not depend
on the density. The register type below is an LLVM vector; LLVM splits it on a
machine with narrower registers.

The file is long because a kernel calls only kernels of its own file.
"""

# mypy: disable-error-code="var-annotated, no-untyped-call"
# (Numba's intrinsics are only partly typed, its other functions not at all)

import math

import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.core.datamodel import models
from numba.extending import intrinsic, register_model

from .compiled import compiled

_INDEX = ir.IntType(32)  # LLVM's type of a lane's index
_SIDE = 32  # columns of a block of a Gram matrix: its two sides stay in the nearest caches


class _Lanes(types.Type):
    """Type of a register: 8 lanes of float64 or of 64-bit integers."""

    def __init__(self, element):  # type: ignore[no-untyped-def]
        self.element = element
        super().__init__(name=f"Lanes({element})")


@register_model(_Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, manager, lanes):  # type: ignore[no-untyped-def]
        element = manager.lookup(lanes.element).get_value_type()
        super().__init__(manager, lanes, ir.VectorType(element, 8))


def _add_lanes(builder, lanes, a, b):  # type: ignore[no-untyped-def]
    is_float = isinstance(lanes.element, types.Float)
    return builder.fadd(a, b) if is_float else builder.add(a, b)


def _spread(builder, value, vector):  # type: ignore[no-untyped-def]
    """Return lanes that all equal a scalar."""
    one = builder.insert_element(ir.Constant(vector, ir.Undefined), value, _INDEX(0))
    return builder.shuffle_vector(one, one, ir.Constant(ir.VectorType(_INDEX, 8), None))


def _address(context, builder, signature, arguments, lanes):  # type: ignore[no-untyped-def]
    """Return the address of 8 entries of a C-ordered array at a flat index."""
    array = context.make_array(signature.args[0])(context, builder, arguments[0])
    entry = builder.gep(array.data, [arguments[1]])
    return builder.bitcast(entry, context.get_value_type(lanes).as_pointer())


@intrinsic
def _zero(typing_context, array):  # type: ignore[no-untyped-def]
    """Return lanes of zeros of the type of an array's entries."""
    lanes = _Lanes(array.dtype)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return ir.Constant(context.get_value_type(lanes), None)

    return lanes(array), generate


@intrinsic
def _load(typing_context, array, start):  # type: ignore[no-untyped-def]
    """Load entries start to start + 8 of a C-ordered array, by flat index, without checks."""
    lanes = _Lanes(array.dtype)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = _address(context, builder, signature, arguments, lanes)
        return builder.load(address, align=8)

    return lanes(array, types.intp), generate


@intrinsic
def _store(typing_context, array, start, value):  # type: ignore[no-untyped-def]
    """Store to entries start to start + 8 of a C-ordered array, by flat index, without checks."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        address = _address(context, builder, signature, arguments, value)
        builder.store(arguments[2], address, align=8)
        return context.get_dummy_value()

    return types.void(array, types.intp, value), generate


@intrinsic
def _prefetch(typing_context, array, start):  # type: ignore[no-untyped-def]
    """Prefetch the entry at flat index ``start`` of a C-ordered array; past its end do nothing."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        data = context.make_array(signature.args[0])(context, builder, arguments[0]).data
        address = builder.bitcast(builder.gep(data, [arguments[1]]), ir.IntType(8).as_pointer())
        kind = ir.FunctionType(ir.VoidType(), [address.type, _INDEX, _INDEX, _INDEX])
        prefetch = builder.module.declare_intrinsic("llvm.prefetch", [address.type], kind)
        builder.call(prefetch, [address, _INDEX(0), _INDEX(3), _INDEX(1)])  # read, keep, data
        return context.get_dummy_value()

    return types.void(array, types.intp), generate


@intrinsic
def _broadcast(typing_context, value):  # type: ignore[no-untyped-def]
    """Return lanes that all equal a scalar."""
    lanes = _Lanes(value)

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return _spread(builder, arguments[0], context.get_value_type(lanes))

    return lanes(value), generate


@intrinsic
def _add_common(typing_context, total, a, b):  # type: ignore[no-untyped-def]
    """Add to ``total`` the number of common ones of two registers, word by word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector = arguments[0].type
        kind = ir.FunctionType(vector, [vector])
        # llvmlite's builder.ctpop takes scalars only
        count = cgutils.get_or_insert_function(builder.module, kind, "llvm.ctpop.v8i64")
        common = builder.call(count, [builder.and_(arguments[1], arguments[2])])
        return builder.add(arguments[0], common)

    return total(total, a, b), generate


@intrinsic
def _append_planes(typing_context, total, high, low, signed):  # type: ignore[no-untyped-def]
    """Return 4 total + 2 high + low, or 4 total - 2 high + low if ``high`` counts sign bits."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, high, low, signed = arguments
        one, two = (ir.Constant(total.type, [shift] * 8) for shift in (1, 2))
        high = builder.shl(high, one)
        high = builder.select(signed, builder.neg(high), high)
        return builder.add(builder.add(builder.shl(total, two), high), low)

    return total(total, high, low, types.boolean), generate


@intrinsic
def _add_where(typing_context, total, word, byte, addend):  # type: ignore[no-untyped-def]
    """Add ``addend`` to ``total`` in the lanes whose bit is set in the given byte of a word."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        total, word, byte, addend = arguments
        shift = builder.shl(byte, byte.type(3))
        bits = builder.trunc(builder.lshr(word, shift), ir.IntType(8))
        switched = builder.bitcast(bits, ir.VectorType(ir.IntType(1), 8))
        added = _add_lanes(builder, signature.return_type, total, addend)
        return builder.select(switched, added, total)

    return total(total, types.uint64, types.int64, addend), generate


@intrinsic
def _sum(typing_context, value):  # type: ignore[no-untyped-def]
    """Sum the lanes in halves."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        vector, width = arguments[0], 8
        while width > 1:
            width //= 2
            lanes = ir.VectorType(_INDEX, width)
            low, high = (
                builder.shuffle_vector(vector, vector, ir.Constant(lanes, list(part)))
                for part in (range(width), range(width, 2 * width))
            )
            vector = _add_lanes(builder, value, low, high)
        return builder.extract_element(vector, _INDEX(0))

    return value.element(value), generate


@intrinsic
def _lowest_bit(typing_context, word):  # type: ignore[no-untyped-def]
    """Return the index of the lowest bit set in a non-zero uint64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.int64(types.uint64), generate


@intrinsic
def _add_shared(typing_context, array, index, addend):  # type: ignore[no-untyped-def]
    """Add to an entry of an int64 array atomically; return its value before."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        array = context.make_array(signature.args[0])(context, builder, arguments[0])
        entry = builder.gep(array.data, [arguments[1]])
        return builder.atomic_rmw("add", entry, arguments[2], "acq_rel")

    return types.int64(array, types.int64, types.int64), generate


@compiled
def pack(ones, words, first_column, k):  # type: ignore[no-untyped-def]
    """Write up to 64 rows, ``ones`` (m, Q) bool, to word k of Q columns of ``words``."""
    packed = np.zeros(ones.shape[1], dtype=np.uint64)  # contiguous, unlike words[:, k]
    for i in range(ones.shape[0]):
        for j in range(ones.shape[1]):
            packed[j] |= np.uint64(ones[i, j]) << np.uint64(i)
    for j in range(ones.shape[1]):
        words[first_column + j, k] = packed[j]


@compiled
def column_sums(words, out):  # type: ignore[no-untyped-def]
    """Write the number of ones of every column: ``words`` (P, n_words) to ``out`` (P,) int64."""
    n_words = words.shape[1]
    for j in range(words.shape[0]):
        total = _zero(words)
        for k in range(0, n_words, 8):
            word = _load(words, j * n_words + k)
            total = _add_common(total, word, word)
        out[j] = _sum(total)


@compiled
def row_numbers(words, out):  # type: ignore[no-untyped-def]
    """Write the row indices of the ones, column after column, to ``out`` (number of ones,)."""
    found = 0
    for j in range(words.shape[0]):
        for k in range(words.shape[1]):
            word = words[j, k]
            while word != np.uint64(0):
                out[found] = 64 * k + _lowest_bit(word)
                found += 1
                word &= word - np.uint64(1)


@compiled
def _add_words(column, addend, first, last, out, start):  # type: ignore[no-untyped-def]
    """Add to the entries of ``out`` whose bits are set in words first to last; bit 0: ``start``."""
    for k in range(first, last):
        word = column[k]
        for byte in range(8):
            at = start + 64 * k + 8 * byte
            _store(out, at, _add_where(_load(out, at), word, byte, addend))


@compiled
def matvec(words, columns, weights, first, last, out):  # type: ignore[no-untyped-def]
    """Add D[:, columns] @ ``weights`` to ``out``, for words ``first`` to ``last`` of the rows.

    ``weights`` (as many as columns, C) and ``out`` (C, 64 (last - first)) are both
    float64 or both int64.
    """
    n_rows, n_words = out.shape[1], words.shape[1]
    fours = columns.shape[0] // 4 * 4
    for t in range(0, fours, 4):
        column0, column1 = words[columns[t]], words[columns[t + 1]]
        column2, column3 = words[columns[t + 2]], words[columns[t + 3]]
        ahead = min(t + 4, fours - 4)
        for c in range(out.shape[0]):
            weight0, weight1 = _broadcast(weights[t, c]), _broadcast(weights[t + 1, c])
            weight2, weight3 = _broadcast(weights[t + 2, c]), _broadcast(weights[t + 3, c])
            for k in range(first, last):
                # prefetch the next four columns (a cache line is 8 words): 20 % faster
                _prefetch(words, columns[ahead + k % 4] * n_words + k)
                word0, word1, word2, word3 = column0[k], column1[k], column2[k], column3[k]
                for byte in range(8):
                    at = c * n_rows + 64 * (k - first) + 8 * byte
                    total = _add_where(_load(out, at), word0, byte, weight0)
                    total = _add_where(total, word1, byte, weight1)
                    total = _add_where(total, word2, byte, weight2)
                    total = _add_where(total, word3, byte, weight3)
                    _store(out, at, total)
    for t in range(fours, columns.shape[0]):
        column = words[columns[t]]
        for c in range(out.shape[0]):
            start = c * n_rows - 64 * first
            _add_words(column, _broadcast(weights[t, c]), first, last, out, start)


@compiled
def add_column(column, scale, out):  # type: ignore[no-untyped-def]
    """Add ``scale`` times a packed column to ``out`` (n,) float64; ``out`` needs no padding."""
    full = out.shape[0] // 64
    _add_words(column, _broadcast(scale), 0, full, out, 0)
    if out.shape[0] > 64 * full:
        word = column[full]
        while word != np.uint64(0):
            out[64 * full + _lowest_bit(word)] += scale
            word &= word - np.uint64(1)


@compiled
def _column_dot(words, j, rows, c):  # type: ignore[no-untyped-def]
    """Sum the entries of ``rows[c]`` where column j has ones."""
    n_words = words.shape[1]
    total = _zero(rows)
    for k in range(n_words):
        word = words[j, k]
        for byte in range(8):
            part = _load(rows, (c * n_words + k) * 64 + 8 * byte)
            total = _add_where(total, word, byte, part)
    return _sum(total)


@compiled
def _four_column_dots(words, j, rows, c):  # type: ignore[no-untyped-def]
    """Compute :func:`_column_dot` of columns j to j + 4, which share the loads of ``rows``."""
    n_words = words.shape[1]
    total0, total1, total2, total3 = _zero(rows), _zero(rows), _zero(rows), _zero(rows)
    for k in range(n_words):
        _prefetch(words, (j + 4 + k % 4) * n_words + k)  # the next four: 5 to 15 % faster
        word0, word1, word2, word3 = words[j, k], words[j + 1, k], words[j + 2, k], words[j + 3, k]
        for byte in range(8):
            part = _load(rows, (c * n_words + k) * 64 + 8 * byte)
            total0 = _add_where(total0, word0, byte, part)
            total1 = _add_where(total1, word1, byte, part)
            total2 = _add_where(total2, word2, byte, part)
            total3 = _add_where(total3, word3, byte, part)
    return _sum(total0), _sum(total1), _sum(total2), _sum(total3)


@compiled
def rmatvec(words, rows, out):  # type: ignore[no-untyped-def]
    """Write D' @ ``rows`` to ``out`` (P, C); ``rows`` (C, 64 n_words) float64."""
    fours = words.shape[0] // 4 * 4
    for j in range(0, fours, 4):
        for c in range(rows.shape[0]):
            dots = _four_column_dots(words, j, rows, c)
            out[j, c], out[j + 1, c], out[j + 2, c], out[j + 3, c] = dots
    for j in range(fours, words.shape[0]):
        for c in range(rows.shape[0]):
            out[j, c] = _column_dot(words, j, rows, c)


@compiled
def price(words, duals, kept, width, largest, prices):  # type: ignore[no-untyped-def]
    """Price every column against several dual points in one pass over D.

    A group is ``width`` consecutive rows of ``duals`` (K, 64 n_words). For each group,
    the kernel writes the largest 2-norm over columns of d_j' duals[k], k in the group,
    to ``largest`` (K / width,). It writes d_j' duals' to row ``kept[j]`` of ``prices``
    for the columns with ``kept[j] >= 0``. So it never needs a (P, K) array.
    """
    largest[:] = 0.0
    fours = words.shape[0] // 4 * 4
    dots = np.empty(4)
    norms = np.zeros(4)
    for j in range(0, words.shape[0], 4):
        columns = min(4, words.shape[0] - j)
        for c in range(duals.shape[0]):
            if j < fours:
                dots[0], dots[1], dots[2], dots[3] = _four_column_dots(words, j, duals, c)
            else:
                for b in range(columns):
                    dots[b] = _column_dot(words, j + b, duals, c)
            for b in range(columns):
                # hypot does not overflow or underflow; of one number it is the absolute value
                norms[b] = math.hypot(norms[b], dots[b]) if c % width else abs(dots[b])
                if c % width == width - 1:
                    largest[c // width] = max(largest[c // width], norms[b])
                if kept[j + b] >= 0:
                    prices[kept[j + b], c] = dots[b]


@compiled
def round_scaled(values, scale, more, out):  # type: ignore[no-untyped-def]
    """Write ``values`` (C, N) float64 times two powers of 2, rounded, to ``out``, int64.

    ``out`` may share the memory of ``values``.
    """
    for c in range(values.shape[0]):
        for i in range(values.shape[1]):
            out[c, i] = np.int64(np.rint(values[c, i] * scale * more))


@compiled
def bit_planes(values, planes):  # type: ignore[no-untyped-def]
    """Split integers into bits: ``values`` (C, 64 n_words) int64 to ``planes``.

    ``planes`` is (C, B / 2, n_words / 8, 2, 8) for B bits in two's complement,
    the sign first. The planes are stored in pairs, in the order in which
    :func:`integer_rmatvec` reads them.
    """
    outputs, pairs, blocks = planes.shape[:3]
    for c in range(outputs):
        for block in range(blocks):
            for plane in range(2 * pairs):
                shift = np.uint64(2 * pairs - 1 - plane)
                for k in range(8):
                    first = block * 512 + k * 64
                    word = np.uint64(0)
                    for i in range(64):
                        bit = (np.uint64(values[c, first + i]) >> shift) & np.uint64(1)
                        word |= bit << np.uint64(i)
                    planes[c, plane // 2, block, plane % 2, k] = word


@compiled
def integer_rmatvec(words, planes, unit, out):  # type: ignore[no-untyped-def]
    """Write D' R ``unit`` to ``out`` (P, C), for int64 R split by :func:`bit_planes`.

    ``unit`` is int64 or float64, and ``out`` has its type. The kernel handles four
    columns by two planes at a time: 8 sums stay in registers, and lanes are added
    only once per column. The last column fills up an incomplete group of four.
    """
    n_columns, n_words = words.shape
    outputs, pairs = planes.shape[:2]
    last = n_columns - 1
    for j0 in range(0, n_columns, 4):
        j1, j2, j3 = min(j0 + 1, last), min(j0 + 2, last), min(j0 + 3, last)
        for c in range(outputs):
            total0, total1, total2, total3 = _zero(words), _zero(words), _zero(words), _zero(words)
            for p in range(pairs):
                high0, high1, high2, high3 = _zero(words), _zero(words), _zero(words), _zero(words)
                low0, low1, low2, low3 = _zero(words), _zero(words), _zero(words), _zero(words)
                start = (c * pairs + p) * 2 * n_words
                # the first four pairs each prefetch one of the next four columns: 10 to 30 % faster
                ahead = (j0 + 4 + p if p < 4 else j0) * n_words
                for k in range(0, n_words, 8):
                    _prefetch(words, ahead + k)
                    high, low = _load(planes, start + 2 * k), _load(planes, start + 2 * k + 8)
                    word = _load(words, j0 * n_words + k)
                    high0, low0 = _add_common(high0, word, high), _add_common(low0, word, low)
                    word = _load(words, j1 * n_words + k)
                    high1, low1 = _add_common(high1, word, high), _add_common(low1, word, low)
                    word = _load(words, j2 * n_words + k)
                    high2, low2 = _add_common(high2, word, high), _add_common(low2, word, low)
                    word = _load(words, j3 * n_words + k)
                    high3, low3 = _add_common(high3, word, high), _add_common(low3, word, low)
                total0 = _append_planes(total0, high0, low0, p == 0)
                total1 = _append_planes(total1, high1, low1, p == 0)
                total2 = _append_planes(total2, high2, low2, p == 0)
                total3 = _append_planes(total3, high3, low3, p == 0)
            out[j0, c], out[j1, c] = np.int64(_sum(total0)) * unit, np.int64(_sum(total1)) * unit
            out[j2, c], out[j3, c] = np.int64(_sum(total2)) * unit, np.int64(_sum(total3)) * unit


@compiled
def _gram_block(left, right, first, last, panel, end, symmetric, out):  # type: ignore[no-untyped-def]
    """Count common ones of columns ``first`` to ``last`` and ``panel`` to ``end``.

    ``first`` is even. The kernel handles two by four columns at a time; the last
    column fills up an incomplete group.
    """
    n_words = left.shape[1]
    final = left.shape[0] - 1
    n_others = right.shape[0]
    for i0 in range(first, last, 2):
        i1 = min(i0 + 1, final)
        for j0 in range(panel, min(end, i1 + 1) if symmetric else end, 4):
            j1, j2 = min(j0 + 1, n_others - 1), min(j0 + 2, n_others - 1)
            j3 = min(j0 + 3, n_others - 1)
            upper0, upper1, upper2, upper3 = _zero(left), _zero(left), _zero(left), _zero(left)
            lower0, lower1, lower2, lower3 = _zero(left), _zero(left), _zero(left), _zero(left)
            for k in range(0, n_words, 8):
                upper, lower = _load(left, i0 * n_words + k), _load(left, i1 * n_words + k)
                word = _load(right, j0 * n_words + k)
                upper0, lower0 = _add_common(upper0, word, upper), _add_common(lower0, word, lower)
                word = _load(right, j1 * n_words + k)
                upper1, lower1 = _add_common(upper1, word, upper), _add_common(lower1, word, lower)
                word = _load(right, j2 * n_words + k)
                upper2, lower2 = _add_common(upper2, word, upper), _add_common(lower2, word, lower)
                word = _load(right, j3 * n_words + k)
                upper3, lower3 = _add_common(upper3, word, upper), _add_common(lower3, word, lower)
            out[i0, j0], out[i0, j1] = _sum(upper0), _sum(upper1)
            out[i0, j2], out[i0, j3] = _sum(upper2), _sum(upper3)
            out[i1, j0], out[i1, j1] = _sum(lower0), _sum(lower1)
            out[i1, j2], out[i1, j3] = _sum(lower2), _sum(lower3)
            if symmetric:
                for j in range(j0, j3 + 1):
                    out[j, i0] = out[i0, j]
                    out[j, i1] = out[i1, j]


@compiled
def gram(left, right, symmetric, state, out):  # type: ignore[no-untyped-def]
    """Count common ones of columns of ``left`` and ``right``, together with the other threads.

    ``out`` is (P, Q) int64. If ``symmetric``, ``left`` and ``right`` are the same array; the
    kernel then counts only j <= i and writes the number to both sides.

    Every thread calls with the same ``state`` and ``out``. The result is complete when all
    threads have returned; no thread waits for another. ``state`` (1 + threads,) int64 starts at
    zero; it counts the threads that have arrived and, per share, the blocks begun. A thread
    begins with a share of its own, because cache lines of ``out`` that another core wrote load
    slowly.
    """
    high, wide = -(-left.shape[0] // _SIDE), -(-right.shape[0] // _SIDE)
    blocks = high * (high + 1) // 2 if symmetric else high * wide
    threads = state.shape[0] - 1
    thread = _add_shared(state, 0, 1)
    for step in range(threads):
        share = (thread + step) % threads
        start, stop = share * blocks // threads, (share + 1) * blocks // threads
        block = start + _add_shared(state, 1 + share, 1)
        while block < stop:
            if symmetric:  # blocks of the triangle, row by row
                i = int(math.sqrt(2 * block + 0.25) - 0.5)
                j = block - i * (i + 1) // 2
            else:
                i, j = block // wide, block % wide
            first, panel = i * _SIDE, j * _SIDE
            last, end = min(first + _SIDE, left.shape[0]), min(panel + _SIDE, right.shape[0])
            _gram_block(left, right, first, last, panel, end, symmetric, out)
            block = start + _add_shared(state, 1 + share, 1)


@compiled
def gathered_gram(words, columns, n_left, symmetric, state, out):  # type: ignore[no-untyped-def]
    """Run :func:`gram` on ``columns`` of ``words``; each thread makes its own copy of them.

    The first ``n_left`` columns are the left ones. The rest are the right ones unless
    ``symmetric``.
    """
    n_words = words.shape[1]
    size = columns.shape[0] * n_words
    held = np.empty(size + 8, dtype=np.uint64)
    start = -(held.ctypes.data // 8) % 8  # aligned: registers across cache lines are slower
    copies = held[start : start + size].reshape(columns.shape[0], n_words)
    for i in range(columns.shape[0]):
        for k in range(0, n_words, 8):
            _store(copies, i * n_words + k, _load(words, columns[i] * n_words + k))
    left = copies[:n_left]
    gram(left, left if symmetric else copies[n_left:], symmetric, state, out)


@compiled
def weighted_gram(words, planes, first, last, out):  # type: ignore[no-untyped-def]
    """Write rows ``first`` to ``last`` of D' diag(r) D, up to the diagonal and mirrored.

    ``planes`` are the :func:`bit_planes` of r, one output. ``out`` is (P, P) int64: row i
    is D' r with r masked by column i.
    """
    n_words = words.shape[1]
    masked = np.empty_like(planes)
    row = np.empty((words.shape[0], 1), dtype=out.dtype)
    for i in range(first, last):
        for pair in range(planes.shape[1]):
            for k in range(n_words):
                for half in range(2):
                    plane = planes[0, pair, k // 8, half, k % 8]
                    masked[0, pair, k // 8, half, k % 8] = plane & words[i, k]
        integer_rmatvec(words[: i + 1], masked, 1, row[: i + 1])
        for j in range(i + 1):
            out[i, j] = row[j, 0]
            out[j, i] = row[j, 0]
