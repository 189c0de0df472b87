"""Anderson acceleration (type II) of a fixed-point map whose state is a list of arrays."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..dictionaries.validation import Array

_RIDGE = 1e-11  # of the least squares, relative to each square on the diagonal
_PIECE = 2**14  # numbers: 128 KB


class Anderson:
    """Mixture of the last images of a map x -> G(x), of least mixed residual G(x) - x.

    The caller accepts or rejects the mixture (Walker and Ni 2011, section 2). The map may change
    a little from image to image: a method of multipliers updates its multipliers.

    Parameters
    ----------
    depth : int
        Number of residual differences to keep, at least 1.
    allocate : callable
        Returns an array of the given number of floats. It is called with 2 depth + 2 times the
        size of the state.
    """

    def __init__(self, depth: int, allocate: Callable[[int], Array] = np.empty) -> None:
        self._depth, self._allocate = depth, allocate
        # residuals and images: row 0 holds the last, the other rows a ring of differences
        self._store = np.empty((2, depth + 1, 0))
        self._added = 0

    def add(self, start: Sequence[Array], image: Sequence[Array]) -> None:
        """Add a point and its image, each a list of arrays."""
        size = sum(part.size for part in image)
        if self._store.shape[2] != size:
            memory = self._allocate(2 * (self._depth + 1) * size).view(np.ndarray)
            self._store = memory.reshape(2, self._depth + 1, size)
        residuals, images = self._store
        slot = 1 + (self._added - 1) % self._depth
        for x, g, at in _pieces(start, image):
            residual = g - x
            if self._added:
                np.subtract(residual, residuals[0, at], out=residuals[slot, at])
                np.subtract(g, images[0, at], out=images[slot, at])
            residuals[0, at], images[0, at] = residual, g
        self._added += 1

    def mix(self, image: Sequence[Array]) -> bool:
        """Overwrite the last image by the mixture; return False if fewer than two were added."""
        if self._added < 2:
            return False
        residuals, images = self._store[:, : min(self._added, self._depth + 1)]
        products = np.zeros((len(residuals), len(residuals)))
        for _, _, at in _pieces(image, image):
            products += residuals[:, at] @ residuals[:, at].T
        gram, right = products[1:, 1:], products[1:, 0]
        diagonal = np.diag_indices_from(gram)
        # a difference of zeros gets the share 0
        gram[diagonal] = (1.0 + _RIDGE) * gram[diagonal] + np.finfo(np.float64).tiny
        shares = np.linalg.solve(gram, right)
        for _, g, at in _pieces(image, image):
            g -= shares @ images[1:, at]
        return True

    def restore(self, image: Sequence[Array]) -> None:
        """Overwrite a state by the last image that was added."""
        for _, g, at in _pieces(image, image):
            g[:] = self._store[1, 0, at]

    def forget(self) -> None:
        """Discard all images but keep the memory, because the map has changed."""
        self._added = 0


def _pieces(start: Sequence[Array], image: Sequence[Array]) -> Iterator[tuple[Array, Array, slice]]:
    """Yield pieces of two states that fit into the cache, and the slice of each piece."""
    end = 0
    for x, g in zip(start, image, strict=True):
        for first in range(0, g.size, _PIECE):
            piece = slice(first, first + _PIECE)
            begin, end = end, end + g[piece].size
            yield x[piece], g[piece], slice(begin, end)
