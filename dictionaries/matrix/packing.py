"""Packing dense 0/1 arrays into words, a bit per entry, and unpacking them."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...kernels import bits
from ..files.packed_head import words_for
from .aligned import aligned

_SPARSE_ENTRIES = 2**18  # entries of a sparse matrix at a time
_UNPACKED_BYTES = 2**18  # at a time, one byte per entry, in conversions: what a cache holds


def pack(array: NDArray[Any]) -> NDArray[np.uint64]:
    """Pack an (n, P) array into words (P, W); ValueError unless it holds zeros and ones only."""
    n_rows, n_columns = array.shape
    words = aligned(np.zeros, (n_columns, words_for(n_rows)), np.uint64)
    by_column = array.flags.f_contiguous  # and else 64 rows at a time, a word of each column
    height = max(1, n_rows) if by_column else 64
    for first in range(0, n_rows, height):
        for columns in _column_blocks(height, n_columns):
            tile = array[first : first + height, columns]
            ones = tile != 0
            if array.dtype != np.bool_ and not np.array_equal(ones, tile):
                raise ValueError("dense: expected zeros and ones only")
            if by_column:
                packed = np.zeros((ones.shape[1], 8 * words.shape[1]), dtype=np.uint8)
                packed[:, : -(-n_rows // 8)] = np.packbits(ones.T, axis=1, bitorder="little")
                words[columns] = packed.view("<u8")
            else:
                bits.pack(np.ascontiguousarray(ones), words, columns.start, first // 64)
    return words


def pack_sparse(matrix: Any) -> NDArray[np.uint64]:
    """Pack a SciPy CSC matrix (n, P), of sorted rows without repeats, into words (P, W).

    Raises
    ------
    ValueError
        If it has an entry besides zeros and ones.
    """
    n_rows, n_columns = matrix.shape
    words = aligned(np.zeros, (n_columns, words_for(n_rows)), np.uint64)
    width = words.shape[1]
    flat = words.reshape(-1)
    for first in range(0, matrix.nnz, _SPARSE_ENTRIES):
        part = slice(first, first + _SPARSE_ENTRIES)
        values = matrix.data[part]
        ones = values != 0
        if not np.array_equal(ones, values):
            raise ValueError("matrix: expected zeros and ones only")
        entries = np.arange(first, first + len(values))[ones]
        rows = matrix.indices[part][ones].astype(np.int64)
        columns = np.searchsorted(matrix.indptr, entries, side="right") - 1
        where = columns * width + rows // 64
        starts = np.flatnonzero(np.diff(where, prepend=-1))  # entries of a word are neighbours
        if starts.size:
            bit = np.uint64(1) << (rows % 64).astype(np.uint64)
            flat[where[starts]] |= np.bitwise_or.reduceat(bit, starts)
    return words


def unpack(words: NDArray[np.uint64], n_rows: int, dtype: Any) -> NDArray[Any]:
    """Unpack words (P, W) into a Fortran-ordered (n, P) array."""
    out = np.empty((n_rows, len(words)), dtype=dtype, order="F")
    packed = words.astype("<u8", copy=False).view(np.uint8)
    for block in _column_blocks(*out.shape):
        out[:, block] = np.unpackbits(packed[block], axis=1, count=n_rows, bitorder="little").T
    return out


def pack_mask(mask: NDArray[np.bool_], n_words: int) -> NDArray[np.uint64]:
    """Pack a mask of rows (n,) into the words (W,) of one column."""
    padded = np.zeros(64 * n_words, dtype=np.bool_)
    padded[: len(mask)] = mask
    return np.packbits(padded, bitorder="little").view("<u8").astype(np.uint64)


def stack(parts: Sequence[NDArray[np.uint64]], heights: Sequence[int]) -> NDArray[np.uint64]:
    """Put packed columns (P, W_k) of ``heights`` rows on top of each other."""
    words = aligned(np.zeros, (len(parts[0]), words_for(sum(heights))), np.uint64)
    above = 0
    for whole, height in zip(parts, heights, strict=True):
        start, shift = divmod(above, 64)
        part = whole[:, : -(-height // 64)]
        words[:, start : start + part.shape[1]] |= part << np.uint64(shift)
        if shift:
            after = words[:, start + 1 : start + 1 + part.shape[1]]
            # narrower than the part only where nothing is left to carry
            after |= (part >> np.uint64(64 - shift))[:, : after.shape[1]]
        above += height
    return words


def _column_blocks(n_rows: int, n_columns: int) -> Iterator[slice]:
    """Slices over all columns, each of a bounded number of entries."""
    size = max(1, _UNPACKED_BYTES // max(1, n_rows))
    return (slice(first, first + size) for first in range(0, n_columns, size))
