"""BinaryMatrix: an immutable 0/1 matrix with packed columns, and its products.

Only this folder knows the bits. An entry takes one bit, 64 times less than float64; columns are
padded to 512 rows. The file is long because one class has all the products; the work is done in
packing.py, packed_products.py, packed_columns.py and integer_operands.py.

Three grades of products: float64 (``matvec``, ``rmatvec``, ``price``), exact in
int64 (``matvec_exact``, ``rmatvec_exact``, ``gram``), and D' r within an error bound
that the caller gives (``rmatvec_within``), which needs a few bits of r and is the
fastest. All give the same bits for any number of threads
(``dictionaries/threads/threads.py``).
"""

import math
from collections.abc import Iterable
from functools import cached_property
from typing import Any, Literal, Self, overload

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

from ...kernels import bits
from ..files.packed_file import PackedFile, Source, open_packed
from ..files.packed_head import Path, expect, past_end, words_for
from ..files.packed_writer import write_packed
from ..validation import check_flag, check_whole, number_array
from .aligned import aligned
from .integer_operands import carried, check_sums, halves, integer_operand, widest
from .operands import (
    check_width,
    column_number,
    column_numbers,
    finite_operand,
    is_frozen,
    places,
    read_only,
    real_operand,
)
from .packed_columns import common_ones, take_columns
from .packed_products import (
    add_columns,
    add_rows,
    count_halves,
    count_rows,
    count_within,
    padded,
    price,
    weighted_gram,
)
from .packing import pack, pack_mask, pack_sparse, stack, unpack


class BinaryMatrix:
    """An (n, P) matrix of zeros and ones, one bit per entry.

    It is immutable, also after it was pickled. A matrix of a file is pickled as the file's path
    while the file is there as it was; the copy maps the file again, or raises ValueError if
    another file has taken its place. Otherwise its columns are pickled.

    Build it with :meth:`from_dense`, or from packed ``words`` (the layout is
    that of ``kernels/bits.py``, rows padded with zeros to a multiple of 512).

    Parameters
    ----------
    words : (P, 8 * max(1, ceil(n / 512))) uint64 array
        The packed columns. Copied, unless it is C-ordered and neither the array
        nor anything it is a view of can be written to (a file mapped with mode
        "r", bytes, an array whose ``flags.writeable`` was cleared). If you make
        such memory writeable again, or change the mapped file, the matrix changes.
    n_rows : int
        n, at least 0.

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
    >>> D.gram()
    array([[2, 1],
           [1, 2]])
    """

    _source: Source | None = None  # the file that it is mapped from

    def __init__(self, words: NDArray[np.uint64], n_rows: int) -> None:
        words = number_array("words", words, "a uint64 array")
        check_whole("n_rows", n_rows, 0)
        n_rows = int(n_rows)
        n_words = words_for(n_rows)
        if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != n_words:
            raise ValueError(
                f"words: expected a uint64 array of shape (P, {n_words}) for {n_rows} rows, "
                f"got {words.dtype} of shape {words.shape}"
            )
        if past_end(words, n_rows):
            raise ValueError(f"words: expected no bits set past row {n_rows}")
        if not (is_frozen(words) and words.flags.c_contiguous and words.flags.aligned):
            held = aligned(np.empty, words.shape, np.uint64)
            held[...] = words
            words = held
        self._hold(words, n_rows)

    def __copy__(self) -> Self:
        return self  # nothing of it changes

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> Any:
        if self._source is not None and self._source.is_there():
            return _mapped_again, (type(self), self._source)
        return type(self)._own, (self._words.view(np.ndarray), self._n_rows)

    def _hold(self, words: NDArray[np.uint64], n_rows: int) -> None:
        self._words = read_only(words)
        self._n_rows = n_rows

    @classmethod
    def _own(cls, words: NDArray[np.uint64], n_rows: int) -> Self:
        """Take over words that this file has made: C-ordered, checked, with no other reference."""
        matrix = cls.__new__(cls)
        matrix._hold(words, n_rows)
        return matrix

    @classmethod
    def of_file(cls, found: PackedFile) -> Self:
        """Return the matrix of a packed file, whose columns stay there."""
        matrix = cls(found.words, found.n_rows)
        matrix._source = found.source
        return matrix

    @classmethod
    def from_dense(cls, dense: ArrayLike) -> Self:
        """Pack a dense (n, P) array of zeros and ones (bool or any number type).

        Beside the array and the packed matrix this takes a few times 256 KiB.

        Raises
        ------
        ValueError
            If it is not two-dimensional, or holds another number.
        """
        array = number_array("dense", dense, "zeros and ones")
        if array.ndim != 2:
            raise ValueError(f"dense: expected shape (n, P), got {array.shape}")
        return cls._own(pack(array), len(array))

    @classmethod
    def from_sparse(cls, matrix: Any) -> Self:
        """Pack a SciPy sparse matrix or array (n, P) of zeros and ones, of any format.

        Beside the packed matrix this takes the matrix in CSC format and a few MiB.

        Raises
        ------
        TypeError
            If it is not a sparse matrix of SciPy.
        ValueError
            If it is not two-dimensional, or holds another number.

        Examples
        --------
        >>> import scipy.sparse as sp, bidual as bd
        >>> bd.BinaryMatrix.from_sparse(sp.csr_array([[1, 0], [1, 1]])).to_dense().tolist()
        [[1.0, 0.0], [1.0, 1.0]]
        """
        if not sparse.issparse(matrix):
            raise TypeError(
                f"matrix: expected a sparse matrix of SciPy, got {type(matrix).__name__}; use "
                "from_dense for arrays"
            )
        if matrix.ndim != 2:
            raise ValueError(f"matrix: expected shape (n, P), got {matrix.shape}")
        columns = sparse.csc_array(matrix)
        if not columns.has_canonical_format:  # repeated entries add up
            columns = columns.copy()
            columns.sum_duplicates()
        number_array("matrix", columns.data)
        return cls._own(pack_sparse(columns), matrix.shape[0])

    @classmethod
    def hstack(cls, matrices: Iterable["BinaryMatrix"]) -> Self:
        """Put matrices of the same number of rows side by side."""
        matrices = _matrices(matrices)
        rows = {matrix.shape[0] for matrix in matrices}
        if len(rows) != 1:
            raise ValueError(f"matrices: expected one number of rows, got {sorted(rows)}")
        shape = sum(matrix.shape[1] for matrix in matrices), matrices[0]._words.shape[1]
        words = aligned(np.empty, shape, np.uint64)
        np.concatenate([matrix._words for matrix in matrices], out=words)
        return cls._own(words, rows.pop())

    @classmethod
    def vstack(cls, matrices: Iterable["BinaryMatrix"]) -> Self:
        """Put matrices of the same number of columns on top of each other.

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> bd.BinaryMatrix.vstack([D, D]).shape
        (6, 2)
        """
        matrices = _matrices(matrices)
        columns = {matrix.shape[1] for matrix in matrices}
        if len(columns) != 1:
            raise ValueError(f"matrices: expected one number of columns, got {sorted(columns)}")
        heights = [matrix.shape[0] for matrix in matrices]
        return cls._own(stack([matrix.words for matrix in matrices], heights), sum(heights))

    @property
    def shape(self) -> tuple[int, int]:
        """(rows, columns)."""
        return self._n_rows, self._words.shape[0]

    @property
    def words(self) -> NDArray[np.uint64]:
        """The packed columns, (P, 8 * max(1, ceil(n / 512))) uint64, read-only."""
        return self._words

    def save(self, path: Path) -> None:
        """Write the matrix to a file, in place of what is there; ``packed_file.py`` has its format.

        Raises
        ------
        ValueError
            If an unfinished build waits at the path.
        OSError
            If the file can't be written; what was there stays.
        """
        write_packed(path, self._words, self._n_rows, {"contents": "binary matrix"})

    @classmethod
    def load(cls, path: Path) -> "BinaryMatrix":
        """Map the matrix of a file: its columns stay there, and are read as products need them.

        Takes a file of :meth:`save`, or one of a dictionary. All checksums are verified.

        Raises
        ------
        ValueError
            If the file is truncated or altered, or another kind of file.
        OSError
            If it can't be read.

        Examples
        --------
        >>> import os, tempfile
        >>> import numpy as np, bidual as bd
        >>> path = os.path.join(tempfile.mkdtemp(), "identity")
        >>> bd.BinaryMatrix.from_dense(np.eye(3)).save(path)
        >>> bd.BinaryMatrix.load(path)
        BinaryMatrix(3 x 3, density 0.333)
        """
        found = open_packed(path)
        network = found.metadata.get("contents") == "network"
        expect(not network, path, "a matrix or a dictionary", "a network")
        return cls.of_file(found)

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

    def squared_norms(self) -> NDArray[np.float64]:
        """Squared 2-norms of the columns, (P,); of zeros and ones they are the sums."""
        return self.column_sums().astype(np.float64)

    @property
    def magnitude(self) -> float:
        """A bound on the sizes of entries: 1."""
        return 1.0

    @property
    def gram_rounding(self) -> float:
        """Error of an entry of D' D or D D', relative to the norms: 0, as they are counted."""
        return 0.0

    @cached_property
    def _largest_column_sum(self) -> int:
        return int(self.column_sums().max(initial=0))

    def take(self, columns: ArrayLike) -> "BinaryMatrix":
        """Return the matrix of the chosen columns (indices or a boolean mask), in that order.

        Raises
        ------
        IndexError
            If there is no such column, or the mask has another length.
        ValueError
            If it is not a list.
        """
        chosen = column_numbers(columns, self.shape[1])
        return BinaryMatrix._own(take_columns(self._words, chosen), self._n_rows)

    def with_ones(self) -> "BinaryMatrix":
        """Return the matrix with a column of ones at its end.

        Examples
        --------
        >>> import bidual as bd
        >>> bd.BinaryMatrix.from_dense([[1], [0]]).with_ones().to_dense().tolist()
        [[1.0, 1.0], [0.0, 1.0]]
        """
        ones = BinaryMatrix.from_dense(np.ones((self._n_rows, 1), dtype=np.bool_))
        return BinaryMatrix.hstack([self, ones])

    def transpose(self) -> "BinaryMatrix":
        """Return D', unpacked on the way: one byte an entry."""
        return BinaryMatrix.from_dense(self.to_dense(np.bool_).T)

    def absolute(self) -> "BinaryMatrix":
        """Return the matrix of the sizes of entries: this one."""
        return self

    def keep_rows(self, rows: ArrayLike) -> "BinaryMatrix":
        """Return the matrix with zeros in all rows but those of a boolean mask (n,).

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> D.keep_rows([True, False, True]).to_dense().tolist()
        [[1.0, 0.0], [0.0, 0.0], [0.0, 1.0]]
        """
        mask = number_array("rows", rows, "a boolean mask")
        if mask.dtype != np.bool_ or mask.shape != (self._n_rows,):
            raise ValueError(
                f"rows: expected a boolean mask of shape ({self._n_rows},), got {mask.dtype} of "
                f"shape {mask.shape}"
            )
        return BinaryMatrix._own(self._words & pack_mask(mask, self._words.shape[1]), self._n_rows)

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
        """Return D @ weights in float64, for weights of shape (P,) or (P, C).

        Each row is summed in column order; columns of zero weight cost nothing.
        """
        operand = real_operand("weights", weights, self.shape[1], self.shape)
        out = add_columns(self._words, self._n_rows, operand)
        return out if np.ndim(weights) == 2 else out[:, 0]

    def __matmul__(self, weights: ArrayLike) -> NDArray[np.float64]:
        return self.matvec(weights)

    def rmatvec(self, rows: ArrayLike) -> NDArray[np.float64]:
        """Return D' @ rows in float64, for rows of shape (n,) or (n, C).

        Each column is summed in a fixed order, which ``kernels/bits.py`` describes.
        """
        operand = real_operand("rows", rows, self._n_rows, self.shape)
        out = add_rows(self._words, padded(operand, self._words))
        return out if np.ndim(rows) == 2 else out[:, 0]

    @overload
    def matvec_exact(
        self, weights: ArrayLike, pairs: Literal[False] = False
    ) -> NDArray[np.int64]: ...
    @overload
    def matvec_exact(
        self, weights: ArrayLike, pairs: Literal[True]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

    def matvec_exact(
        self, weights: ArrayLike, pairs: bool = False
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return D @ weights in exact integers, for int64 weights of shape (P,) or (P, C).

        Parameters
        ----------
        weights : (P,) or (P, C) integer array
            Integers that fit in int64.
        pairs : bool
            Return (high, low) with D @ weights = high * 2**32 + low and
            0 <= low < 2**32: exact for any int64 weights, at twice the cost.

        Raises
        ------
        OverflowError
            If the sum of \\|weights\\| reaches 2**63 and ``pairs`` is off, or
            with pairs from 2**30 columns on.
        ValueError
            If the weights are not integers of that shape.

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> D.matvec_exact([2**62, 1 - 2**62])
        array([ 4611686018427387904,                   1, -4611686018427387903])
        >>> high, low = D.matvec_exact([2**63 - 1, 2**63 - 1], pairs=True)
        >>> int(high[1]) * 2**32 + int(low[1]) == 2**64 - 2
        True
        """
        pairs = check_flag("pairs", pairs)
        operand = integer_operand("weights", weights, self.shape[1], self.shape, pairs)
        chosen = slice(None) if np.ndim(weights) == 2 else 0
        parts = halves(operand) if pairs else (operand,)
        sums = [add_columns(self._words, self._n_rows, part) for part in parts]
        if pairs:
            high, low = carried(*sums)
            return high[:, chosen], low[:, chosen]
        return sums[0][:, chosen]

    @overload
    def rmatvec_exact(
        self, rows: ArrayLike, pairs: Literal[False] = False
    ) -> NDArray[np.int64]: ...
    @overload
    def rmatvec_exact(
        self, rows: ArrayLike, pairs: Literal[True]
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]: ...

    def rmatvec_exact(
        self, rows: ArrayLike, pairs: bool = False
    ) -> NDArray[np.int64] | tuple[NDArray[np.int64], NDArray[np.int64]]:
        """Return D' @ rows in exact integers, for int64 rows of shape (n,) or (n, C).

        The time is in proportion to the bits of the largest entry.

        Parameters
        ----------
        rows : (n,) or (n, C) integer array
            Integers that fit in int64.
        pairs : bool
            Return (high, low) with D' @ rows = high * 2**32 + low and
            0 <= low < 2**32: exact for any int64 rows.

        Raises
        ------
        OverflowError
            If the sum of \\|rows\\| reaches 2**63 and ``pairs`` is off, or with
            pairs from 2**30 rows on.
        ValueError
            If the rows are not integers of that shape.

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> D.rmatvec_exact([1, -2, 3])
        array([-1,  1])
        """
        pairs = check_flag("pairs", pairs)
        operand = integer_operand("rows", rows, self._n_rows, self.shape, pairs)
        chosen = slice(None) if np.ndim(rows) == 2 else 0
        held = padded(operand, self._words)
        if pairs:
            high, low = count_halves(self._words, held)
            return high[:, chosen], low[:, chosen]
        return count_rows(self._words, held, widest(held))[:, chosen]

    def rmatvec_within(self, rows: ArrayLike, accuracy: float) -> tuple[NDArray[np.float64], float]:
        """Return D' @ rows within an error bound, from as few bits of the rows as it needs.

        Rounds rows to a multiple of 2**-k and sums them exactly. Rounding moves a
        product by at most the largest column sum times 2**-(k + 1). From 12 to 52
        bits of a row are used.

        Parameters
        ----------
        rows : (n,) or (n, C) array
            Finite.
        accuracy : float
            Largest absolute error allowed in any entry; positive.

        Returns
        -------
        values : (P,) or (P, C) array
        bound : float
            No entry is farther from the exact product; at most ``accuracy``.

        Raises
        ------
        ValueError
            If the rows are not finite, or 52 bits do not give that accuracy
            (:meth:`rmatvec_exact` on integers has no error at all).
        OverflowError
            If a product is past the largest float64.

        Examples
        --------
        >>> import numpy as np, bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> values, bound = D.rmatvec_within([0.1, 0.2, 0.3], 1e-3)
        >>> bool(np.abs(values - [0.3, 0.5]).max() <= bound <= 1e-3)
        True
        """
        operand = real_operand("rows", rows, self._n_rows, self.shape)
        size = float(np.abs(operand).max(initial=0.0))
        if not math.isfinite(size):
            raise ValueError("rows: expected finite numbers, got NaN or infinity")
        kind = number_array("rows", rows).dtype
        if (kind.kind in "iu" and size >= 2**53) or (kind.kind == "f" and kind.itemsize > 8):
            raise ValueError(
                "rows: expected float64, or integers below 2**53, which float64 holds exactly, "
                f"got {kind} up to {size:.6g}; rmatvec_exact takes any int64"
            )
        held = padded(operand, self._words)
        values, bound = count_within(self._words, held, size, self._largest_column_sum, accuracy)
        return (values if np.ndim(rows) == 2 else values[:, 0]), bound

    def finest_accuracy(self, rows: NDArray[np.float64]) -> float:
        """Return an error bound that :meth:`rmatvec_within` reaches for finite rows.

        It is about the rounding of float64.
        """
        rounding = 1e-15 * np.abs(rows).max() * len(rows)
        return max(float(rounding), float(np.finfo(np.float64).tiny))

    def column_dot(self, column: int, rows: ArrayLike) -> float:
        """Return the product of one column with rows of shape (n,): the float of :meth:`rmatvec`.

        Raises
        ------
        IndexError
            If there is no such column.
        """
        operand = real_operand("rows", rows, self._n_rows, self.shape)
        if operand.shape[1] != 1:
            raise ValueError(f"rows: expected shape ({self._n_rows},), got {np.shape(rows)}")
        j = column_number(column, self.shape[1])
        return float(add_rows(self._words[j : j + 1], padded(operand, self._words))[0, 0])

    def add_column(self, column: int, scale: float, out: NDArray[np.float64]) -> None:
        """Add ``scale`` times a column to ``out`` (n,) in place.

        Raises
        ------
        IndexError
            If there is no such column.
        ValueError
            If ``out`` is not a contiguous, writeable float64 array of n entries.
        """
        fits = (
            isinstance(out, np.ndarray)
            and out.dtype == np.float64
            and out.shape == (self._n_rows,)
            and out.flags.carray
        )
        if not fits:
            raise ValueError(
                f"out: expected a contiguous, writeable float64 array of shape ({self._n_rows},), "
                f"got {getattr(out, 'dtype', type(out).__name__)} of shape {np.shape(out)}"
            )
        bits.add_column(self._words[column_number(column, self.shape[1])], float(scale), out)

    def price(
        self, duals: ArrayLike, columns: ArrayLike, width: int = 1
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Price all columns in one pass, and keep the prices of a few.

        Parameters
        ----------
        duals : (n, K) array
            Dual points side by side.
        columns : (A,) int array
            Columns whose prices are wanted, each once.
        width : int
            How many adjacent dual points make a group; it divides K.

        Returns
        -------
        largest : (K / width,) array
            The largest 2-norm over all columns d_j of the prices d_j' duals of a
            group, max_j |d_j' duals[:, k]| for groups of one; 0 without columns.
        prices : (A, K) array
            d_j' duals for the chosen columns.

        Raises
        ------
        ValueError
            If the dual points are not finite or of another length, or the
            columns not distinct whole numbers.
        """
        operand = finite_operand("duals", duals, self._n_rows, self.shape)
        kept = places(columns, self.shape[1])
        check_width(width, operand.shape[1])
        held = padded(operand, self._words)
        return price(self._words, held, kept, width, np.size(columns))

    def gram(
        self, columns: ArrayLike | None = None, others: ArrayLike | None = None
    ) -> NDArray[np.int64]:
        """Count the common ones of pairs of columns: D[:, columns]' D[:, others] in exact integers.

        Parameters
        ----------
        columns : (A,) int or (P,) bool array, optional
            As in :meth:`take`; all columns by default.
        others : (B,) int or (P,) bool array, optional
            The same as ``columns`` by default.

        Returns
        -------
        counts : (A, B) int64 array

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0, 1], [1, 1, 1], [0, 1, 1]])
        >>> D.gram([0, 2])
        array([[2, 2],
               [2, 3]])
        >>> D.gram([0], others=[1, 2])
        array([[1, 2]])
        """
        chosen = None if columns is None else column_numbers(columns, self.shape[1])
        paired = None if others is None else column_numbers(others, self.shape[1], "others")
        return common_ones(self._words, chosen, paired)

    def weighted_gram(self, weights: ArrayLike) -> NDArray[np.int64]:
        """Return D' diag(weights) D in exact integers, for int64 weights (n,) of rows.

        The time is in proportion to the bits of the largest weight.

        Returns
        -------
        sums : (P, P) int64 array

        Raises
        ------
        OverflowError
            If the sum of \\|weights\\| reaches 2**63.
        ValueError
            If the weights are not integers of that shape.

        Examples
        --------
        >>> import bidual as bd
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> D.weighted_gram([10, 1, -5])
        array([[11,  1],
               [ 1, -4]])
        """
        operand = integer_operand("weights", weights, self._n_rows, self.shape, pairs=True)
        if operand.shape[1] != 1:
            raise ValueError(f"weights: expected shape ({self._n_rows},), got {np.shape(weights)}")
        check_sums("weights", operand)
        return weighted_gram(self._words, padded(operand, self._words))

    def as_linear_operator(self) -> Any:
        """Return SciPy's ``LinearOperator`` of this matrix, for iterative methods.

        Examples
        --------
        >>> import bidual as bd
        >>> from scipy.sparse.linalg import lsqr
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> lsqr(D.as_linear_operator(), [1.0, 3.0, 2.0])[0].round(6)
        array([1., 2.])
        """
        from scipy.sparse.linalg import LinearOperator  # 0.1 s that few need

        return LinearOperator(
            self.shape,
            matvec=self.matvec,
            rmatvec=self.rmatvec,
            matmat=self.matvec,
            rmatmat=self.rmatvec,
            dtype=np.float64,
        )

    def to_dense(self, dtype: Any = np.float64) -> NDArray[Any]:
        """Unpack into a Fortran-ordered (n, P) array: 64 times the memory for float64."""
        return unpack(self._words, self._n_rows, dtype)

    def packed_bytes(self, first: int, last: int) -> NDArray[np.uint8]:
        """Return columns ``first`` to ``last`` as bytes (k, ceil(n / 8)).

        Row i is bit i % 8 of byte i // 8.

        Examples
        --------
        >>> import bidual as bd
        >>> bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]]).packed_bytes(0, 2).tolist()
        [[3], [6]]
        """
        words = np.ascontiguousarray(self._words[first:last], dtype="<u8")
        return words.view(np.uint8)[:, : -(-self._n_rows // 8)]

    def to_csc(self) -> sparse.csc_array:
        """Unpack into a SciPy sparse array of float64 ones."""
        pointers = np.concatenate([[0], np.cumsum(self.column_sums())])
        ones = int(pointers[-1])
        index = np.int32 if max(ones, *self.shape) < 2**31 else np.int64  # as SciPy chooses
        rows = np.empty(ones, dtype=index)
        bits.row_numbers(self._words, rows)
        return sparse.csc_array((np.ones(ones), rows, pointers.astype(index)), shape=self.shape)


def _matrices(matrices: Iterable["BinaryMatrix"]) -> list["BinaryMatrix"]:
    """List the matrices to stack; raise ValueError unless there is one, and all are matrices."""
    listed = list(matrices)
    if not listed or not all(isinstance(matrix, BinaryMatrix) for matrix in listed):
        kinds = sorted({type(matrix).__name__ for matrix in listed})
        raise ValueError(f"matrices: expected one or more BinaryMatrix, got {kinds}")
    return listed


def _mapped_again(kind: type[BinaryMatrix], source: Source) -> BinaryMatrix:
    """Make a pickled matrix of a file."""
    return kind.of_file(source.open())
