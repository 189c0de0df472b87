"""Chosen columns of a packed matrix: a copy, and the ones that they have in common."""

import numpy as np
from numpy.typing import NDArray

from ...kernels import bits
from ..threads.threads import split, together, worthwhile
from .aligned import aligned

_UNCACHED = 48  # registers that a kernel handles while one comes from memory, in 16 to 24 ns
# Bytes of columns that each thread copies for itself: were they copied once, threads that meet
# before they count would take a tenth longer. Beside counting more of them, that is little.
_COPIED = 2**20


def take_columns(words: NDArray[np.uint64], chosen: NDArray[np.intp]) -> NDArray[np.uint64]:
    """Copy (P, W) packed columns, by their numbers from 0; read-only."""
    taken = aligned(np.empty, (len(chosen), words.shape[1]), np.uint64)

    def part(first: int, last: int) -> None:  # mode "raise" would take them twice
        np.take(words, chosen[first:last], axis=0, out=taken[first:last], mode="clip")

    split(part, len(chosen), _UNCACHED * taken.size // 8)
    taken.flags.writeable = False
    return taken


def common_ones(
    words: NDArray[np.uint64], chosen: NDArray[np.intp] | None, paired: NDArray[np.intp] | None
) -> NDArray[np.int64]:
    """Count the ones that each of the chosen columns has in common with each of the paired.

    Beside the result it takes a copy of these columns, or one of 1 MiB at most for each thread.

    Parameters
    ----------
    words : (P, W) uint64 array
        Packed columns, read-only.
    chosen : (A,) array or None
        Numbers of columns, from 0; all without a copy for None.
    paired : (B,) array or None
        The same as ``chosen`` for None.

    Returns
    -------
    counts : (A, B) int64 array
    """
    symmetric = paired is None
    rows = len(words) if chosen is None else len(chosen)
    out = np.empty((rows, rows if paired is None else len(paired)), dtype=np.int64)
    count = worthwhile(out.size * words.shape[1] // (16 if symmetric else 8))
    state = np.zeros(1 + count, dtype=np.int64)
    # gathered: columns that lie scattered take longer to read than to gather and read
    copied = (rows if symmetric else sum(out.shape)) * words.shape[1] * words.itemsize
    if chosen is not None and copied <= _COPIED:
        numbers = chosen if paired is None else np.concatenate([chosen, paired])
        together(lambda: bits.gathered_gram(words, numbers, rows, symmetric, state, out), count)
    else:
        left = words if chosen is None else take_columns(words, chosen)
        right = left if paired is None else take_columns(words, paired)
        together(lambda: bits.gram(left, right, symmetric, state, out), count)
    return out
