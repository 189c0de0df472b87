"""KeptFactor: Cholesky factor of the active columns' Gram matrix, kept while few of them change."""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import lu_factor, lu_solve
from scipy.linalg.lapack import dpotrf, dpotrs

from ...dictionaries.validation import Array
from .tuning import TUNING


class KeptFactor:
    """Inverses of G_JJ + scale I for sets of columns J of a Gram matrix G (P, P).

    For a set that differs in few columns from the factored one, the class uses the old factor
    and a small system. That system, the Schur complement of the bordered system, has a row per
    added or removed column.
    """

    def __init__(self, gram: Array) -> None:
        self._gram = gram
        self._base = np.zeros(0, dtype=np.intp)
        self._scale = -1.0
        self._factor: Array

    def inverse(self, columns: NDArray[np.intp], scale: float) -> Callable[[Array], Array]:
        """Return the function that solves (G_JJ + scale I) x = b for b (A,), J ascending."""
        new = ~self._members(self._base)[columns]
        stayed = self._members(columns)[self._base]
        added, removed = columns[new], np.flatnonzero(~stayed)
        changes = added.size + removed.size
        if scale != self._scale or (
            changes
            and (
                columns.size <= TUNING.few_columns
                or changes > TUNING.changed_columns * self._base.size
            )
        ):
            self._renew(columns, scale)
            return self._solve
        if not changes:
            return self._solve
        # [K U; U' C]: a row fixes a removed column at 0, or is that of an added column
        border = np.zeros((self._base.size, changes))
        border[:, : added.size] = self._gram[np.ix_(self._base, added)]
        border[removed, added.size + np.arange(removed.size)] = 1.0
        corner = np.zeros((changes, changes))
        corner[: added.size, : added.size] = self._gram[np.ix_(added, added)]
        corner[: added.size, : added.size] += scale * np.eye(added.size)
        across = self._solve(border)
        small = lu_factor(corner - border.T @ across, overwrite_a=True, check_finite=False)

        def solve(right: Array) -> Array:
            first = np.zeros(self._base.size)
            first[stayed] = right[~new]
            last = np.zeros(changes)
            last[: added.size] = right[new]
            first = self._solve(first)
            last = lu_solve(small, last - border.T @ first, overwrite_b=True, check_finite=False)
            first -= across @ last
            out = np.empty_like(right)
            out[~new], out[new] = first[stayed], last[: added.size]
            return out

        return solve

    def _members(self, columns: NDArray[np.intp]) -> NDArray[np.bool_]:
        inside = np.zeros(len(self._gram), dtype=np.bool_)
        inside[columns] = True
        return inside

    def _renew(self, columns: NDArray[np.intp], scale: float) -> None:
        system = self._gram[np.ix_(columns, columns)]
        # against rounding, which can make the matrix of dependent columns indefinite
        diagonal = system.reshape(-1)[:: len(system) + 1]
        diagonal += scale
        diagonal *= 1.0 + len(system) * TUNING.factor_rounding
        # LAPACK directly: for a small system SciPy's checks take ten times as long as the factor
        self._factor, failed = dpotrf(system.T, lower=True, overwrite_a=True)
        if failed:
            raise np.linalg.LinAlgError(
                f"gram: expected a positive definite matrix, got one with minor {failed} <= 0"
            )
        self._base, self._scale = columns, scale

    def _solve(self, right: Array) -> Array:
        found: Array = dpotrs(self._factor, right, lower=True)[0]
        return found
