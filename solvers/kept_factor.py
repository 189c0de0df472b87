"""A Cholesky factor of the Gram matrix of columns in use, kept while few of them come and go."""

from collections.abc import Callable
from functools import cached_property

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve, lu_factor, lu_solve

from ..dictionaries import BinaryMatrix
from .backend import Array

_CHANGED = 0.1  # share of the columns up to which a change is cheaper than a new factor
_ROUNDING = 1e-15  # of a diagonal entry, a row


class KeptFactor:
    """Inverses of G + scale I for subsets of the columns of a design, G their Gram matrix.

    The Gram matrix of all columns is counted once, at the first use: 8 bytes a
    pair. A subset that differs in few columns from the one that was factored is
    solved for by way of that factor and a small system with a row for each
    column that came or went (the Schur complement of the bordered system).
    """

    def __init__(self, design: BinaryMatrix, intercept: bool) -> None:
        if intercept:  # a column of ones, always in use
            design = design.with_ones()
        self._design, self._intercept, self._last = design, intercept, design.shape[1] - 1
        self._base = np.zeros(0, dtype=np.intp)
        self._scale = -1.0
        self._factor: tuple[Array, bool]

    def woodbury(self, used: NDArray[np.intp], value: float, q: float) -> Callable[[Array], Array]:
        """Return the function that solves (I / value + q D D') X = R, D the columns in use."""
        columns = np.append(used, self._last) if self._intercept else used
        inverse, D = self.inverse(columns, 1.0 / (value * q)), self._design.take(columns)
        return lambda right: value * (right - D.matvec(inverse(D.rmatvec(right))))

    @cached_property
    def _gram(self) -> Array:
        return self._design.gram().astype(np.float64)

    def inverse(self, columns: NDArray[np.intp], scale: float) -> Callable[[Array], Array]:
        """Return the function that solves (G + scale I) x = b for b (A, C), columns ascending."""
        added = np.setdiff1d(columns, self._base, assume_unique=True)
        stayed = np.isin(self._base, columns, assume_unique=True)
        removed = np.flatnonzero(~stayed)
        if scale != self._scale or added.size + removed.size > _CHANGED * self._base.size:
            system = self._gram[np.ix_(columns, columns)]
            # what rounding may take of a matrix of dependent columns
            grown = 1.0 + len(system) * _ROUNDING
            diagonal = np.diag_indices_from(system)
            system[diagonal] = (system[diagonal] + scale) * grown
            self._factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
            self._base, self._scale = columns, scale
            added, removed, stayed = columns[:0], removed[:0], np.ones(columns.size, dtype=bool)
        if not added.size + removed.size:
            return self._solve
        # [K U; U' C]: a column that went is held at 0, one that came has its own row
        border = np.zeros((self._base.size, added.size + removed.size))
        border[:, : added.size] = self._gram[np.ix_(self._base, added)]
        border[removed, added.size + np.arange(removed.size)] = 1.0
        corner = np.zeros((border.shape[1], border.shape[1]))
        corner[: added.size, : added.size] = self._gram[np.ix_(added, added)]
        corner[: added.size, : added.size] += scale * np.eye(added.size)
        across = self._solve(border)
        small = lu_factor(corner - border.T @ across, overwrite_a=True, check_finite=False)
        held, new = np.isin(columns, self._base, assume_unique=True), np.isin(columns, added)

        def solve(right: Array) -> Array:
            first = np.zeros((self._base.size, right.shape[1]))
            first[stayed] = right[held]
            last = np.zeros((border.shape[1], right.shape[1]))
            last[: added.size] = right[new]
            first = self._solve(first)
            last = lu_solve(small, last - border.T @ first, overwrite_b=True, check_finite=False)
            first -= across @ last
            out = np.empty_like(right)
            out[held], out[new] = first[stayed], last[: added.size]
            return out

        return solve

    def _solve(self, right: Array) -> Array:
        found: Array = cho_solve(self._factor, right, check_finite=False)
        return found
