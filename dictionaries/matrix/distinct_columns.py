"""DistinctColumns: new packed columns apart from repeats."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray


class DistinctColumns:
    """Set of the columns seen so far, as 128-bit digests; it separates new columns from repeats."""

    def __init__(self) -> None:
        self._seen: set[bytes] = set()

    def keep(self, words: NDArray[np.uint64]) -> NDArray[np.intp]:
        """Return the indices of the new non-zero packed columns (P, n_words), in order."""
        kept = []
        for j in np.flatnonzero(words.any(axis=1)):
            digest = blake2b(words[j].tobytes(), digest_size=16).digest()
            if digest not in self._seen:
                self._seen.add(digest)
                kept.append(j)
        return np.array(kept, dtype=np.intp)
