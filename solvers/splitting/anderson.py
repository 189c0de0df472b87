"""Anderson acceleration (type II) of a fixed-point map, over a state kept in parts."""

from collections import deque
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from ...dictionaries.validation import Array

_RIDGE = 1e-10  # of the least squares, relative to the mean diagonal
_PIECE = 2**14  # numbers: 128 KB


class Anderson:
    """Mixes the last images of a map x -> G(x) so that the mixed residuals G(x) - x are least.

    The caller takes or leaves what is proposed (Walker and Ni 2011, section 2), also where the
    map changes a little from image to image, as with a multiplier that is renewed.

    Parameters
    ----------
    depth : int
        Differences that are kept, at least 1.
    allocate : callable
        Memory for an array of as many numbers; the state's size 2 depth + 2 times in all.
    """

    def __init__(self, depth: int, allocate: Callable[[int], Array]) -> None:
        self._allocate = allocate
        self._moves: deque[list[Array]] = deque(maxlen=depth)  # differences of residuals
        self._images: deque[list[Array]] = deque(maxlen=depth)
        self._gram = np.zeros((0, 0))  # inner products of the moves
        self._last: tuple[list[Array], list[Array]] | None = None

    @property
    def image(self) -> list[Array]:
        """The last image, as it was given."""
        assert self._last is not None
        return self._last[1]

    def forget(self) -> None:
        """Start anew: the map has changed."""
        self._moves.clear()
        self._images.clear()
        self._gram = np.zeros((0, 0))
        self._last = None

    def mix(self, start: Sequence[Array], image: Sequence[Array]) -> bool:
        """Set an image to the next start, given its own start; no the first time. Part by part."""
        if self._last is None:
            residuals = [self._copy(g) for g in image]
            for r, x in zip(residuals, start, strict=True):
                r -= x
            self._last = residuals, [self._copy(g) for g in image]
            return False
        if len(self._moves) == self._moves.maxlen:  # the oldest make room
            moves, images = self._moves.popleft(), self._images.popleft()
            self._gram = self._gram[1:, 1:]
        else:
            moves = [self._allocate(g.size) for g in image]
            images = [self._allocate(g.size) for g in image]
        self._moves.append(moves)
        self._images.append(images)
        depth = len(self._moves)
        row, right = np.zeros(depth), np.zeros(depth)
        for k, piece in _pieces(image):
            g, residual, last = image[k][piece], self._last[0][k][piece], self._last[1][k][piece]
            move = moves[k][piece]
            np.subtract(g, start[k][piece], out=move)
            move -= residual
            residual += move
            np.subtract(g, last, out=images[k][piece])
            last[:] = g
            for i, other in enumerate(self._moves):
                row[i] += other[k][piece] @ move
                right[i] += other[k][piece] @ residual
        self._gram = np.block([[self._gram, row[:-1, None]], [row[None]]])
        gram = self._gram.copy()
        gram[np.diag_indices_from(gram)] += _RIDGE * max(np.trace(gram) / depth, 1e-300)
        shares = np.linalg.solve(gram, right)
        for k, piece in _pieces(image):
            for share, difference in zip(shares, self._images, strict=True):
                image[k][piece] -= share * difference[k][piece]
        return True

    def _copy(self, array: Array) -> Array:
        out = self._allocate(array.size)
        out[:] = array
        return out


def _pieces(parts: Sequence[Array]) -> Iterator[tuple[int, slice]]:
    """Parts of the state in pieces of which several stay in the cache."""
    for k, part in enumerate(parts):
        for first in range(0, part.size, _PIECE):
            yield k, slice(first, first + _PIECE)
