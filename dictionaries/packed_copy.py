"""Packed columns that are in memory, written to a packed file."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .packed_file import PackedWriter, Path

_CHUNK_BYTES = 2**25  # a checksum each


def write_packed(
    path: Path,
    words: NDArray[np.uint64],
    n_rows: int,
    metadata: Mapping[str, Any],
    origins: NDArray[np.int64] | None = None,
    arrays: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write packed columns (P, n_words) to a file, in place of what is there.

    Raises
    ------
    OSError
        If the file can't be written; what was there stays.
    """
    if origins is None:
        origins = np.empty((len(words), 0), dtype=np.int64)
    together = max(1, _CHUNK_BYTES // (8 * words.shape[1]))
    options = {"origin_width": origins.shape[1], "arrays": arrays, "resume": False}
    with PackedWriter(path, n_rows, metadata, **options) as writer:
        for start in range(0, len(words), together):
            chunk = slice(start, start + together)
            writer.append(words[chunk], origins[chunk])
        writer.finish()
