"""Chosen columns of a packed matrix: copies, and counts of their common ones."""

import numpy as np
from numpy.typing import NDArray

from ...kernels import bits
from ..threads.threads import split, together, worthwhile
from .aligned import aligned

_UNCACHED = 48  # registers that a kernel handles while memory loads one, in 16 to 24 ns
# Up to this many bytes, each thread makes its own copy of the columns. With one shared copy, the
# threads would wait for it, and the whole takes a tenth longer. For more bytes the wait is
# negligible beside the counting.
_COPIED = 2**20


def take_columns(words: NDArray[np.uint64], chosen: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Copy the packed columns (P, W) with the given numbers; the copy is read-only."""
    taken = aligned(np.empty, (len(chosen), words.shape[1]), np.uint64)

    def part(first: int, last: int) -> None:  # mode "raise" would take them twice
        np.take(words, chosen[first:last], axis=0, out=taken[first:last], mode="clip")

    split(part, len(chosen), _UNCACHED * taken.size // 8)
    taken.flags.writeable = False
    return taken


def common_ones(
    words: NDArray[np.uint64], chosen: NDArray[np.intp] | None, paired: NDArray[np.intp] | None
) -> NDArray[np.int64]:
    """Count the common ones of each chosen column and each paired column.

    Besides the result, the memory holds one copy of these columns, or up to 1 MiB per thread.

    Parameters
    ----------
    words : (P, W) uint64 array
        Packed columns, read-only.
    chosen : (A,) array or None
        Numbers of columns, from 0; None means all columns, without a copy.
    paired : (B,) array or None
        Numbers of columns, from 0; None means ``chosen``.

    Returns
    -------
    counts : (A, B) int64 array
    """
    symmetric = paired is None
    rows = len(words) if chosen is None else len(chosen)
    out = np.empty((rows, rows if paired is None else len(paired)), dtype=np.int64)
    count = worthwhile(out.size * words.shape[1] // (16 if symmetric else 8))
    state = np.zeros(1 + count, dtype=np.int64)
    # gather first: reading scattered columns takes longer than gathering and reading them
    copied = (rows if symmetric else sum(out.shape)) * words.shape[1] * words.itemsize
    if chosen is not None and copied <= _COPIED:
        numbers = chosen if paired is None else np.concatenate([chosen, paired])
        together(lambda: bits.gathered_gram(words, numbers, rows, symmetric, state, out), count)
    else:
        left = words if chosen is None else take_columns(words, chosen)
        right = left if paired is None else take_columns(words, paired)
        together(lambda: bits.gram(left, right, symmetric, state, out), count)
    return out
