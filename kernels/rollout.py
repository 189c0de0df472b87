"""Rollout of one layer of spiking neurons over a block of samples; spikes are stored as bits.

Spikes of (b, T, m) are (b, T, ceil(m / 64)) uint64: neuron j at bit ``j % 64`` (least
significant first) of word ``j // 64``. Every current is summed in one order: the bias,
then inputs, then recurrent spikes, each by rising index. So a current is the same
number for every block size, thread count and machine, whatever the weights.
"""

import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic

from .compiled import compiled

# the product with a word of eight bytes 0 or 1 has these as bits in its top byte, first lowest
_GATHER_BITS = np.uint64(0x0102040810204080)


@intrinsic
def _lowest_bit(typing_context, word):  # type: ignore[no-untyped-def]
    """Return the index of the lowest bit set in a non-zero uint64."""

    def generate(context, builder, signature, arguments):  # type: ignore[no-untyped-def]
        return builder.cttz(arguments[0], ir.Constant(ir.IntType(1), 1))

    return types.uint64(types.uint64), generate


@compiled
def _add_fired(packed, i, t, weights, active, current):  # type: ignore[no-untyped-def]
    """Add to ``current`` (m,) the rows of ``weights`` (k, m) whose bits are set in ``packed``.

    The arguments are whole arrays and indices: a view of a row costs as much as adding it.
    """
    count = 0
    for k in range(packed.shape[2]):
        word = packed[i, t, k]
        while word != np.uint64(0):
            active[count] = np.uint64(64 * k) + _lowest_bit(word)
            count += 1
            word &= word - np.uint64(1)
    whole = count - count % 4  # four rows per pass: sums stay in registers, in the same order
    for k in range(0, whole, 4):
        a, b, c, d = active[k], active[k + 1], active[k + 2], active[k + 3]
        for j in range(weights.shape[1]):
            part = current[j] + weights[a, j] + weights[b, j]
            current[j] = part + weights[c, j] + weights[d, j]
    for k in range(whole, count):
        a = active[k]
        for j in range(weights.shape[1]):
            current[j] += weights[a, j]


@compiled
def _add_values(values, i, t, weights, current):  # type: ignore[no-untyped-def]
    """Add ``values[i, t]`` (k,) @ ``weights`` (k, m) to ``current`` (m,)."""
    count = values.shape[2]
    whole = count - count % 4
    for k in range(0, whole, 4):
        a, b, c, d = values[i, t, k], values[i, t, k + 1], values[i, t, k + 2], values[i, t, k + 3]
        if a == 0.0 and b == 0.0 and c == 0.0 and d == 0.0:
            continue
        for j in range(weights.shape[1]):
            part = current[j] + a * weights[k, j] + b * weights[k + 1, j]
            current[j] = part + c * weights[k + 2, j] + d * weights[k + 3, j]
    for k in range(whole, count):
        a = values[i, t, k]
        for j in range(weights.shape[1]):
            current[j] += a * weights[k, j]


@compiled
def _step(current, leak, threshold, reset, hard, membrane, spike, fired):  # type: ignore[no-untyped-def]
    """Advance ``membrane`` and ``spike`` by one step; ``fired`` receives the spikes as bytes.

    The order of the three operations in u is part of the definition.
    """
    for j in range(current.shape[0]):
        u = leak[j] * membrane[j] + current[j] - reset[j] * spike[j]
        fires = u >= threshold[j]
        spike[j] = 1.0 if fires else 0.0
        fired[j] = 1 if fires else 0
        membrane[j] = 0.0 if hard and fires else u


@compiled
def _smallest_margin(current, leak, threshold, reset, membrane, spike, smallest):  # type: ignore[no-untyped-def]
    """Return the smaller of ``smallest`` and |u - threshold| over the neurons of the next step."""
    for j in range(current.shape[0]):
        u = leak[j] * membrane[j] + current[j] - reset[j] * spike[j]
        smallest = min(smallest, abs(u - threshold[j]))
    return smallest


@compiled
def _roll(  # type: ignore[no-untyped-def]
    values, inputs, weights, recurrent, bias, leak, threshold, reset, hard, level, margin, spikes
):
    """Roll a layer out over ``values`` (b, T, k) floats, or, if k = 0, over ``inputs`` as bits."""
    m = weights.shape[1]
    words = spikes.shape[2]
    current = np.empty(m, dtype=weights.dtype)
    membrane, spike = np.empty(m), np.empty(m)
    fired = np.zeros(m, dtype=np.uint8)
    eights = fired.view(np.uint64)
    active = np.empty(64 * max(words, inputs.shape[2]), dtype=np.uint64)
    smallest = np.inf
    for i in range(spikes.shape[0]):
        membrane[:] = 0.0
        spike[:] = 0.0
        for t in range(spikes.shape[1]):
            for j in range(m):
                current[j] = bias[j]
            if values.shape[2] > 0:
                _add_values(values, i, t, weights, current)
            else:
                _add_fired(inputs, i, t, weights, active, current)
            if recurrent.shape[0] > 0 and t > 0:
                _add_fired(spikes, i, t - 1, recurrent, active, current)
            if margin.shape[0] > 0:
                smallest = _smallest_margin(current, leak, level, reset, membrane, spike, smallest)
            _step(current, leak, threshold, reset, hard, membrane, spike, fired)
            for k in range(words):
                word = np.uint64(0)
                for e in range(min(8, m // 8 - 8 * k)):
                    byte = (eights[8 * k + e] * _GATHER_BITS) >> np.uint64(56)
                    word |= byte << np.uint64(8 * e)
                spikes[i, t, k] = word
    for k in range(margin.shape[0]):
        margin[k] = min(margin[k], smallest)


@compiled
def roll_values(  # type: ignore[no-untyped-def]
    values, weights, recurrent, bias, leak, threshold, reset, hard, level, margin, spikes
):
    """Roll a layer out over ``values`` (b, T, k) float64 into ``spikes`` (b, T, words) uint64.

    m, the width of the arrays, is a multiple of 8: the kernel packs 8 spikes at a time.
    ``recurrent`` is (m, m), or (0, m) in a layer without recurrence. ``margin`` (1,) is
    lowered to the smallest |u - level| met; with shape (0,) it is not computed.
    """
    none = np.empty((0, 0, 0), dtype=np.uint64)
    _roll(
        values, none, weights, recurrent, bias, leak, threshold, reset, hard, level, margin, spikes
    )


@compiled
def roll_spikes(  # type: ignore[no-untyped-def]
    inputs, weights, recurrent, bias, leak, threshold, reset, hard, level, margin, spikes
):
    """Roll a layer out over packed ``inputs`` (b, T, words of k); see :func:`roll_values`."""
    none = np.empty((0, 0, 0))
    _roll(
        none, inputs, weights, recurrent, bias, leak, threshold, reset, hard, level, margin, spikes
    )


@compiled
def _transpose(tile):  # type: ignore[no-untyped-def]
    """Transpose a 64 x 64 tile of bits in place: swap bit j of word i with bit i of word j."""
    mask = np.uint64(0x00000000FFFFFFFF)
    step = 32
    while step > 0:
        shift = np.uint64(step)
        i = 0
        while i < 64:
            swap = ((tile[i] >> shift) ^ tile[i + step]) & mask
            tile[i + step] ^= swap
            tile[i] ^= swap << shift
            i = (i + step + 1) & ~step
        step >>= 1
        mask ^= mask << np.uint64(step)


@compiled
def set_rows(spikes, t, first_row, columns):  # type: ignore[no-untyped-def]
    """Set the rows of packed ``columns`` (m, n_words) from ``first_row`` to the spikes at step t.

    ``spikes`` is (b, T, words). The rows are zero before the call. Neighbouring blocks
    share the words at their ends: two threads may not set rows at the same time.
    """
    tile = np.empty(64, dtype=np.uint64)
    width = columns.shape[0]
    offset = np.uint64(first_row % 64)
    for start in range(0, spikes.shape[0], 64):
        rows = min(64, spikes.shape[0] - start)
        place = (first_row + start) // 64
        for k in range(spikes.shape[2]):
            tile[:] = np.uint64(0)
            for i in range(rows):
                tile[i] = spikes[start + i, t, k]
            _transpose(tile)
            for j in range(min(64, width - 64 * k)):
                column = columns[64 * k + j]
                column[place] |= tile[j] << offset
                if offset and place + 1 < column.shape[0]:
                    column[place + 1] |= tile[j] >> (np.uint64(64) - offset)
