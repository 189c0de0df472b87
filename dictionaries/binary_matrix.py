"""BinaryMatrix: an immutable 0/1 matrix with packed columns, and its products.

The only place that knows about bits; everything above sees a matrix. One entry
costs one bit (columns are padded to 512 rows), 64 times less than float64.
"""

from collections.abc import Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ..kernels import bits

_ROWS_PER_BLOCK = 512  # one AVX-512 register of bits; columns start on such a boundary


class BinaryMatrix:
    """An (n, P) matrix of zeros and ones, one bit an entry.

    Build it with :meth:`from_dense`, or from packed ``words`` (the layout is
    that of ``kernels/bits.py``, rows padded with zeros to a multiple of 512).

    Parameters
    ----------
    words : (P, 8 * ceil(n / 512)) uint64 array
        The packed columns; made read-only, not copied.
    n_rows : int
        n, at least 1.

    Raises
    ------
    ValueError
        If ``words`` has another shape or dtype than ``n_rows`` asks for, or
        bits set past row n.

    Examples
    --------
    >>> import numpy as np, bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> D.shape, D.density
    ((3, 2), 0.6666666666666666)
    >>> D.matvec(np.array([1.0, 10.0]))
    array([ 1., 11., 10.])
    >>> D.rmatvec(np.array([1.0, 2.0, 3.0]))
    array([3., 5.])
    """

    def __init__(self, words: NDArray[np.uint64], n_rows: int) -> None:
        n_words = -(-n_rows // _ROWS_PER_BLOCK) * (_ROWS_PER_BLOCK // 64)
        if n_rows < 1:
            raise ValueError(f"n_rows: expected at least 1 row, got {n_rows}")
        if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != n_words:
            raise ValueError(
                f"words: expected a uint64 array of shape (P, {n_words}) for {n_rows} rows, "
                f"got {words.dtype} of shape {words.shape}"
            )
        words = np.ascontiguousarray(words)
        last, used = divmod(n_rows, 64)
        partial = words[:, last : last + 1] >> np.uint64(used)
        if partial.any() or words[:, last + 1 :].any():
            raise ValueError(f"words: expected no bits set past row {n_rows}")
        self._words = words
        self._words.flags.writeable = False
        self._n_rows = n_rows

    @classmethod
    def from_dense(cls, dense: ArrayLike) -> Self:
        """Pack a dense (n, P) array of zeros and ones (bool or any number type).

        Raises
        ------
        ValueError
            If it is not two-dimensional, has no rows, or holds another number.
        """
        array = np.asarray(dense)
        if array.ndim != 2 or array.shape[0] == 0:
            raise ValueError(f"dense: expected shape (n, P) with n >= 1, got {array.shape}")
        ones = array != 0
        if not np.array_equal(ones, array):
            raise ValueError("dense: expected zeros and ones only")
        n_rows, n_columns = ones.shape
        padded = -(-n_rows // _ROWS_PER_BLOCK) * _ROWS_PER_BLOCK
        columns = np.zeros((n_columns, padded // 8), dtype=np.uint8)
        columns[:, : -(-n_rows // 8)] = np.packbits(ones.T, axis=1, bitorder="little")
        return cls(columns.view("<u8").astype(np.uint64, copy=False), n_rows)

    @classmethod
    def hstack(cls, matrices: Sequence["BinaryMatrix"]) -> Self:
        """Put matrices of the same number of rows side by side."""
        rows = {matrix.shape[0] for matrix in matrices}
        if len(rows) != 1:
            raise ValueError(f"matrices: expected one number of rows, got {sorted(rows)}")
        return cls(np.concatenate([matrix._words for matrix in matrices]), rows.pop())

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._n_rows, self._words.shape[0]

    @property
    def nbytes(self) -> int:
        """Bytes that the packed columns take."""
        return self._words.nbytes

    @property
    def density(self) -> float:
        """Share of ones among all entries; 0 for a matrix without columns."""
        n_rows, n_columns = self.shape
        return float(self.column_sums().sum() / max(n_rows * n_columns, 1))

    def __repr__(self) -> str:
        n_rows, n_columns = self.shape
        return f"BinaryMatrix({n_rows} x {n_columns}, density {self.density:.3f})"

    def column_sums(self) -> NDArray[np.int64]:
        """Ones in each column, (P,) int64."""
        out = np.empty(self.shape[1], dtype=np.int64)
        bits.column_sums(self._words, out)
        return out

    def take(self, columns: ArrayLike) -> "BinaryMatrix":
        """Return the matrix of the chosen columns (indices or a boolean mask), in that order."""
        chosen = np.asarray(columns)
        if chosen.size == 0:
            chosen = chosen.astype(np.intp)  # an empty list is an array of floats
        return BinaryMatrix(self._words[chosen], self._n_rows)

    def unique(self) -> tuple["BinaryMatrix", NDArray[np.intp]]:
        """Drop all-zero columns and repeats.

        Returns
        -------
        matrix : BinaryMatrix
            The distinct non-zero columns in order of first appearance.
        first : (P',) int array
            For each of them, the column of this matrix that it is.
        """
        _, first = np.unique(self._words, axis=0, return_index=True)
        first = np.sort(first[self._words[first].any(axis=1)])
        return self.take(first), first

    def matvec(self, weights: ArrayLike) -> NDArray[np.float64]:
        """D @ weights for weights of shape (P,) or (P, C); float64."""
        operand = self._operand("weights", weights, self.shape[1])
        out = np.zeros((self._n_rows, operand.shape[1]))
        bits.matvec(self._words, operand, out)
        return out if np.ndim(weights) == 2 else out[:, 0]

    def rmatvec(self, rows: ArrayLike) -> NDArray[np.float64]:
        """D' @ rows for rows of shape (n,) or (n, C); float64."""
        operand = self._operand("rows", rows, self._n_rows)
        out = np.empty((self.shape[1], operand.shape[1]))
        bits.rmatvec(self._words, operand, out)
        return out if np.ndim(rows) == 2 else out[:, 0]

    def price(
        self, duals: ArrayLike, columns: ArrayLike
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Price all columns in one pass, and keep the prices of a few.

        Parameters
        ----------
        duals : (n, K) array
            K dual points side by side.
        columns : (A,) int array
            Columns whose prices are wanted, each once.

        Returns
        -------
        largest : (K,) array
            max_j |d_j' duals[:, k]| over all columns; 0 where there are none.
        prices : (A, K) array
            d_j' duals for the chosen columns.

        Raises
        ------
        ValueError
            If the dual points are not finite or of another length, or the
            columns not distinct whole numbers.
        """
        operand = self._operand("duals", duals, self._n_rows)
        if not np.isfinite(operand).all():
            raise ValueError("duals: expected finite numbers, got NaN or infinity")
        chosen = np.asarray(columns)
        kept = np.full(self.shape[1], -1, dtype=np.int64)
        if chosen.size:
            if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
                raise ValueError(f"columns: expected a list of column numbers, got {columns!r}")
            kept[chosen] = np.arange(chosen.size)
        if np.count_nonzero(kept >= 0) < chosen.size:
            raise ValueError(f"columns: expected each column once, got {columns!r}")
        largest = np.empty(operand.shape[1])
        prices = np.empty((chosen.size, operand.shape[1]))
        bits.price(self._words, operand, kept, largest, prices)
        return largest, prices

    def gram(self) -> NDArray[np.int64]:
        """D' D in exact integers, (P, P)."""
        out = np.empty((self.shape[1], self.shape[1]), dtype=np.int64)
        bits.gram(self._words, out)
        return out

    def to_dense(self, dtype: Any = np.float64) -> NDArray[Any]:
        """Unpack into a Fortran-ordered (n, P) array: 64 times the memory for float64."""
        unpacked = np.unpackbits(
            self._words.astype("<u8", copy=False).view(np.uint8),
            axis=1,
            count=self._n_rows,
            bitorder="little",
        )
        return unpacked.T.astype(dtype, order="F", copy=False)

    def to_csc(self) -> sparse.csc_array:
        """Unpack into a SciPy sparse array of float64 ones."""
        # by way of bytes, one an entry: an eighth of the dense matrix
        rows = np.nonzero(self.to_dense(np.uint8).T)[1]
        pointers = np.concatenate([[0], np.cumsum(self.column_sums())])
        index = sparse.get_index_dtype(maxval=max(rows.size, *self.shape))
        parts = (np.ones(rows.size), rows.astype(index), pointers.astype(index))
        return sparse.csc_array(parts, shape=self.shape)

    def _operand(self, name: str, values: ArrayLike, length: int) -> NDArray[np.float64]:
        """Turn an operand into a C-ordered (length, C) float64 array."""
        array = np.asarray(values, dtype=np.float64)
        if array.ndim not in (1, 2) or array.shape[0] != length:
            raise ValueError(
                f"{name}: expected shape ({length},) or ({length}, C) for a matrix of shape "
                f"{self.shape}, got {array.shape}"
            )
        return np.ascontiguousarray(array[:, None] if array.ndim == 1 else array)
