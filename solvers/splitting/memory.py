"""Memory of training: the arrays of batches, which may lie in temporary files."""

import tempfile
import weakref
from itertools import count
from pathlib import Path

import numpy as np

from ...dictionaries.validation import Array


class Memory:
    """Allocator of arrays, in memory or in temporary files that are deleted with it."""

    def __init__(self, in_files: bool) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="bidual-") if in_files else None
        self._names = count()
        if self._folder is not None:
            weakref.finalize(self, self._folder.cleanup)

    def allocate(self, size: int) -> Array:
        """Return an array of ``size`` floats."""
        if self._folder is None:
            return np.empty(size)
        path = Path(self._folder.name) / str(next(self._names))
        return np.memmap(path, dtype=np.float64, mode="w+", shape=(size,))
