"""DenseMatrix: an immutable real matrix with BinaryMatrix's products, by BLAS.

It holds designs that are not 0/1: relaxed spikes, or matrices of other origin. An
entry takes 64 bits. The rounding of products is that of BLAS, and may depend on its
number of threads. Proofs in integers need a :class:`BinaryMatrix`.
"""

import math
from functools import cached_property
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike
from scipy import sparse

from ..norms import row_norms
from ..validation import Array, number_array
from .binary_matrix import BinaryMatrix
from .operands import (
    check_width,
    checked_accuracy,
    column_numbers,
    finite_operand,
    is_frozen,
    places,
    read_only,
    real_operand,
)

_EPSILON = float(np.finfo(np.float64).eps)  # twice the rounding of one operation
_SPARSE = 4  # gathering the used columns pays off if there are this many times more columns


class DenseMatrix:
    """Immutable (n, P) matrix of finite float64 numbers.

    Parameters
    ----------
    array : (n, P) array
        Real numbers; the sum of squares of each column is within float64. The matrix
        copies the array, unless it is contiguous float64 and read-only, together with
        every array that it is a view of (``flags.writeable`` cleared, or a file mapped
        with mode "r").

    Raises
    ------
    ValueError
        If the array is not two-dimensional, or holds other entries.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.DenseMatrix([[0.5, -1.0], [2.0, 0.0]])
    >>> D.matvec([1.0, 1.0]).tolist(), D.rmatvec([1.0, 1.0]).tolist()
    ([-0.5, 2.0], [2.5, -1.0])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0], "squared", strength=0.1)
    >>> bd.solve(program, gap=1e-9).weights.round(4).tolist()
    [[0.975], [-0.3125]]
    """

    def __init__(self, array: ArrayLike) -> None:
        given = number_array("array", array, "real numbers of shape (n, P)")
        if given.ndim != 2 or given.dtype.kind not in "biuf":
            raise ValueError(
                f"array: expected real numbers of shape (n, P), got {given.dtype} of shape "
                f"{given.shape}"
            )
        flags = given.flags
        ready = given.dtype == np.float64 and flags.aligned and flags.forc
        if not (ready and is_frozen(given)):
            with np.errstate(over="ignore"):  # wider floats may overflow; refused below
                given = np.array(given, dtype=np.float64, order="F")
        self._hold(given)
        if not np.isfinite(self.squared_norms()).all():
            if not np.isfinite(given).all():
                raise ValueError("array: expected finite numbers, got NaN or infinity")
            raise ValueError(
                f"array: expected columns whose sum of squares is within float64, got entries up "
                f"to {self.magnitude:.6g}; scale them down"
            )

    def __copy__(self) -> Self:
        return self  # nothing of it changes

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        return type(self)._own, (self._array,)

    def _hold(self, array: Array) -> None:
        self._array: Array = read_only(array)

    @classmethod
    def _own(cls, array: Array) -> Self:
        """Wrap an array made in this file, without a copy: finite, contiguous, not shared."""
        matrix = cls.__new__(cls)
        matrix._hold(array)
        return matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        n_rows, n_columns = self._array.shape
        return n_rows, n_columns

    def __repr__(self) -> str:
        n_rows, n_columns = self.shape
        return f"DenseMatrix({n_rows} x {n_columns})"

    @cached_property
    def _squared_norms(self) -> Array:
        with np.errstate(over="ignore"):  # the constructor refuses an overflow
            norms: Array = np.einsum("ij,ij->j", self._array, self._array)
        norms.flags.writeable = False
        return norms

    def squared_norms(self) -> Array:
        """Return the squared 2-norms of the columns, (P,)."""
        return self._squared_norms

    @cached_property
    def magnitude(self) -> float:
        """Largest absolute value of an entry."""
        return float(max(self._array.max(initial=0.0), -self._array.min(initial=0.0)))

    @property
    def gram_rounding(self) -> float:
        """Bound on the error of an entry of D' D or D D', relative to norms of columns or rows."""
        return (max(self.shape) + 4) * _EPSILON

    def take(self, columns: ArrayLike) -> "DenseMatrix":
        """Return the matrix of the chosen columns (indices or a boolean mask), in that order."""
        rows = self._array.T[column_numbers(columns, self.shape[1])]
        return DenseMatrix._own(np.ascontiguousarray(rows).T)

    def with_ones(self) -> "DenseMatrix":
        """Return the matrix with a column of ones at its end.

        Examples
        --------
        >>> import bidual as bd
        >>> bd.DenseMatrix([[0.5], [-1.0]]).with_ones().to_dense().tolist()
        [[0.5, 1.0], [-1.0, 1.0]]
        """
        n_rows, n_columns = self.shape
        wider = np.ones((n_rows, n_columns + 1), order="F")
        wider[:, :-1] = self._array
        return DenseMatrix._own(wider)

    def transpose(self) -> "DenseMatrix":
        """Return D', a view without a copy."""
        return DenseMatrix._own(self._array.T)

    def absolute(self) -> "DenseMatrix":
        """Return the matrix of the absolute values of the entries.

        Examples
        --------
        >>> import bidual as bd
        >>> bd.DenseMatrix([[0.5], [-1.0]]).absolute().to_dense().tolist()
        [[0.5], [1.0]]
        """
        return DenseMatrix._own(np.abs(self._array))

    def matvec(self, weights: ArrayLike) -> Array:
        """Compute D @ weights for weights of shape (P,) or (P, C)."""
        operand = real_operand("weights", weights, self.shape[1], self.shape)
        used = np.flatnonzero(operand.any(axis=1))
        array = self._array
        if _SPARSE * used.size < len(operand):
            array, operand = array.T[used].T, operand[used]
        out: Array = array @ operand
        return out if np.ndim(weights) == 2 else out[:, 0]

    def __matmul__(self, weights: ArrayLike) -> Array:
        return self.matvec(weights)

    def rmatvec(self, rows: ArrayLike) -> Array:
        """Compute D' @ rows for rows of shape (n,) or (n, C)."""
        operand = real_operand("rows", rows, self.shape[0], self.shape)
        out: Array = self._array.T @ operand
        return out if np.ndim(rows) == 2 else out[:, 0]

    def rmatvec_within(self, rows: ArrayLike, accuracy: float) -> tuple[Array, float]:
        """Compute D' @ rows in float64, with an error bound for every order of summation.

        The bound is (n + 2) 2**-52 max|D| sum|rows| plus a term for underflow: twice
        Higham's bound for inner products (2002, section 3.1).

        Parameters
        ----------
        rows : (n,) or (n, C) array
            Finite, float64.
        accuracy : float
            Largest acceptable absolute error of an entry, positive.

        Returns
        -------
        values : (P,) or (P, C) array
        bound : float
            Bound on the error of every entry; at most ``accuracy``.

        Raises
        ------
        ValueError
            If the rows are not finite, or the bound exceeds ``accuracy``.
        OverflowError
            If a product exceeds the largest float64.

        Examples
        --------
        >>> import bidual as bd
        >>> values, bound = bd.DenseMatrix([[0.5, -1.0], [2.0, 0.0]]).rmatvec_within([1, 1], 1e-3)
        >>> values.tolist(), bound < 1e-14
        ([2.5, -1.0], True)
        """
        operand = finite_operand("rows", rows, self.shape[0], self.shape)
        bound = self.finest_accuracy(operand)
        accuracy = checked_accuracy(accuracy)
        if not accuracy >= bound:
            raise ValueError(
                f"accuracy: expected at least {bound:.17g}, the bound of float64, got {accuracy!r}"
            )
        with np.errstate(over="ignore", invalid="ignore"):
            values: Array = self._array.T @ operand
        if not np.isfinite(values).all():
            raise OverflowError(
                "rows: expected products within float64, got an overflow; scale the rows down"
            )
        return (values if np.ndim(rows) == 2 else values[:, 0]), bound

    def finest_accuracy(self, rows: Array) -> float:
        """Return the error bound of :meth:`rmatvec_within` for finite rows."""
        n = len(rows)
        size = float(np.abs(rows).sum(axis=0).max(initial=0.0))
        share = (n + 2) * _EPSILON
        largest = self.magnitude * size
        # multiply first the factors that neither underflow nor overflow
        relative = share * largest if math.isfinite(largest) else share * self.magnitude * size
        return relative + (n + 1) * math.ulp(0.0)

    def price(self, duals: ArrayLike, columns: ArrayLike, width: int = 1) -> tuple[Array, Array]:
        """Price all columns in one pass, and keep the prices of the chosen columns.

        Arguments and result are those of :meth:`BinaryMatrix.price`. Prices that overflow are
        infinite.
        """
        operand = finite_operand("duals", duals, self.shape[0], self.shape)
        places(columns, self.shape[1])
        check_width(width, operand.shape[1])
        with np.errstate(over="ignore", invalid="ignore"):
            found = self._array.T @ operand
            found[np.isnan(found)] = np.inf  # of two infinities
            sizes = np.abs(found)
            if width > 1:
                sizes = row_norms(found.reshape(len(found), -1, width))
        return sizes.max(axis=0, initial=0.0), found[
            number_array("columns", columns).astype(np.intp)
        ]

    def gram(self) -> Array:
        """Compute D' D, (P, P)."""
        return self._array.T @ self._array

    def weighted_gram(self, weights: ArrayLike) -> Array:
        """Compute D' diag(weights) D, (P, P), for weights (n,) >= 0 of rows.

        Raises
        ------
        ValueError
            If the weights have another shape, or a weight is below 0.

        Examples
        --------
        >>> import bidual as bd
        >>> bd.DenseMatrix([[0.5, -1.0], [2.0, 0.0]]).weighted_gram([4.0, 1.0]).tolist()
        [[5.0, -2.0], [-2.0, 4.0]]
        """
        operand = real_operand("weights", weights, self.shape[0], self.shape)
        if operand.shape[1] != 1:
            raise ValueError(f"weights: expected shape ({len(operand)},), got {np.shape(weights)}")
        if not (operand >= 0).all():
            raise ValueError(f"weights: expected numbers >= 0, got {operand.min()}")
        scaled = self._array * np.sqrt(operand)
        out: Array = scaled.T @ scaled
        return out

    def to_dense(self) -> Array:
        """Return a copy as an (n, P) array in Fortran order."""
        return np.array(self._array, order="F")

    def to_csc(self) -> Any:
        """Convert to a SciPy sparse array of the non-zero entries, in float64."""
        return sparse.csc_array(self._array)


Design = BinaryMatrix | DenseMatrix
