"""Anderson acceleration (type II) of a fixed-point map, over a state kept in parts."""

from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ..dictionaries.validation import Array

_RIDGE = 1e-11  # of the least squares, relative to each square on the diagonal
_PIECE = 2**14  # numbers: 128 KB


class Anderson:
    """Mixes the last images of a map x -> G(x) so that the mixed residuals G(x) - x are least.

    The caller takes or leaves the mixture (Walker and Ni 2011, section 2), also where the
    map changes a little from image to image, as with a multiplier that is renewed.

    Parameters
    ----------
    depth : int
        Differences of residuals that are kept, at least 1.
    allocate : callable
        Memory for an array of as many numbers; the state's size 2 depth + 2 times.
    """

    def __init__(self, depth: int, allocate: Callable[[int], Array] = np.empty) -> None:
        self._depth, self._allocate = depth, allocate
        # residuals and images: the last of each, and below it a ring of differences
        self._store = np.empty((2, depth + 1, 0))
        self._added = 0

    def add(self, start: Sequence[Array], image: Sequence[Array]) -> None:
        """Take a point and its image, part by part."""
        size = sum(part.size for part in image)
        if self._store.shape[2] != size:
            memory = np.asarray(self._allocate(2 * (self._depth + 1) * size))
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
        """Turn the last image into the mixture; False, and no change, before the second."""
        if self._added < 2:
            return False
        residuals, images = self._store[:, : min(self._added, self._depth + 1)]
        products = np.zeros((len(residuals), len(residuals)))
        for _, _, at in _pieces(image, image):
            products += residuals[:, at] @ residuals[:, at].T
        gram, right = products[1:, 1:], products[1:, 0]
        diagonal = np.diag_indices_from(gram)
        # moves of zeros have no say
        gram[diagonal] = (1.0 + _RIDGE) * gram[diagonal] + np.finfo(np.float64).tiny
        shares = np.linalg.solve(gram, right)
        for _, g, at in _pieces(image, image):
            g -= shares @ images[1:, at]
        return True

    def restore(self, image: Sequence[Array]) -> None:
        """Set a state to the last image, as it was added."""
        for _, g, at in _pieces(image, image):
            g[:] = self._store[1, 0, at]

    def forget(self) -> None:
        """Start anew, in the same memory: the map has changed."""
        self._added = 0


def _pieces(start: Sequence[Array], image: Sequence[Array]) -> Iterator[tuple[Array, Array, slice]]:
    """Two states in pieces of which several stay in the cache, and the place of each."""
    end = 0
    for x, g in zip(start, image, strict=True):
        for first in range(0, g.size, _PIECE):
            piece = slice(first, first + _PIECE)
            begin, end = end, end + g[piece].size
            yield x[piece], g[piece], slice(begin, end)
