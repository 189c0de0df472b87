"""BinaryMatrix is the 0/1 matrix it was packed from: its products equal NumPy's, exactly."""

import math
import tracemalloc

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse
from scipy.sparse import linalg

import bidual as bd
from bidual.dictionaries.matrix import packing

from covering import examples

SHAPES = [(n, p) for n in (0, 63, 64, 65, 511, 512, 513, 1024) for p in (0, 1, 63, 64, 65)]
# more than one block of what is packed or unpacked at a time, and a last one cut short
LARGE = [(700, 4099), (2**18 + 3, 2), (3, 5000)]


def bernoulli(rows, columns, density, seed=0):
    rng = np.random.default_rng(seed)
    return (rng.random((rows, columns)) < density).astype(np.uint8)


@st.composite
def dense_matrices(draw):
    dense = bernoulli(
        draw(st.integers(0, 200)),
        draw(st.integers(0, 200)),
        draw(st.sampled_from([0.0, 0.03, 0.5, 0.97, 1.0])),
        draw(st.integers(0, 2**32 - 1)),
    )
    columns = st.integers(0, dense.shape[1] - 1)
    if dense.shape[1] and draw(st.booleans()):
        dense[:, draw(columns)] = 0
    if dense.shape[1] and draw(st.booleans()):
        dense[:, draw(columns)] = 1
    if dense.shape[1] and draw(st.booleans()):
        dense[:, draw(columns)] = dense[:, draw(columns)]
    return dense


def on_matrices(test):
    """Run a test on drawn matrices, and on every shape around a word or a register of bits."""
    test = examples(100)(given(dense=dense_matrices())(test))
    for rows, columns in SHAPES:
        test = example(dense=bernoulli(rows, columns, 0.5))(test)
    for value in (0, 1):
        test = example(dense=np.full((513, 3), value))(test)
        test = example(dense=np.full((1, 1), value))(test)
    return test


def integers(*shape):
    """Whole numbers as floats, zeros among them: every sum of them is exact."""
    rng = np.random.default_rng(shape)
    return rng.integers(-1000, 1000, shape) * rng.integers(0, 2, shape).astype(float)


def same(found, expected, dtype=np.float64):
    assert found.dtype == dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


@on_matrices
def test_dense_array_comes_back(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    assert D.shape == dense.shape
    same(D.to_dense(), dense)
    same(D.to_dense(np.uint8), dense, np.uint8)
    same(D.to_dense(bool), dense, bool)
    assert D.to_dense().flags.f_contiguous


@on_matrices
def test_bit_i_mod_64_of_word_i_div_64_is_row_i(dense):
    n, columns = dense.shape
    words = np.zeros((columns, max(8, 8 * math.ceil(n / 512))), dtype=np.uint64)
    for i, j in np.argwhere(dense).tolist():
        words[j, i // 64] |= np.uint64(1 << (i % 64))
    same(bd.BinaryMatrix(words, n).to_dense(), dense)


@on_matrices
def test_an_entry_costs_one_bit(dense):
    n, columns = dense.shape
    padded = max(512, 512 * math.ceil(n / 512))
    assert bd.BinaryMatrix.from_dense(dense).nbytes == columns * padded // 8


@on_matrices
def test_sparse_matrix_is_that_of_scipy(dense):
    found = bd.BinaryMatrix.from_dense(dense).to_csc()
    expected = sparse.csc_array(dense.astype(float))
    assert isinstance(found, sparse.csc_array)
    assert found.shape == dense.shape
    same(found.data, np.ones(int(dense.sum())))
    assert np.array_equal(found.indices, expected.indices)
    assert np.array_equal(found.indptr, expected.indptr)
    assert found.has_canonical_format
    same(found.toarray(), dense)


@on_matrices
def test_column_sums_and_density_count_ones(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    same(D.column_sums(), dense.sum(axis=0, dtype=np.int64), np.int64)
    assert D.density == (dense.mean() if dense.size else 0.0)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("shape", LARGE, ids=str)
def test_large_arrays_come_back_from_any_memory_order(shape, order):
    dense = np.asarray(bernoulli(*shape, 0.5), order=order)
    D = bd.BinaryMatrix.from_dense(dense)
    for found in (D.to_dense(np.uint8), bd.BinaryMatrix.from_dense(dense != 0).to_dense(np.uint8)):
        same(found, dense, np.uint8)
    same(D.to_csc().toarray(), dense)


@pytest.mark.parametrize("order", ["C", "F"])
@pytest.mark.parametrize("where", [(0, 0), (-1, 0), (0, -1), (-1, -1), (64, 4096)])
def test_a_wrong_entry_is_found_in_every_block(order, where):
    dense = np.zeros(LARGE[0], dtype=np.int8, order=order)
    dense[where] = 2
    with pytest.raises(ValueError, match=r"^dense: expected zeros and ones"):
        bd.BinaryMatrix.from_dense(dense)


@pytest.mark.parametrize("order", ["C", "F"])
def test_conversions_take_little_memory_beside_their_results(order):
    dense = np.asarray(bernoulli(3000, 4000, 0.01), order=order)
    D = bd.BinaryMatrix.from_dense(dense)

    def peak(call):
        call()  # compiled before it is measured
        tracemalloc.start()
        result = call()
        size = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return size, result

    size, packed = peak(lambda: bd.BinaryMatrix.from_dense(dense))
    assert size - packed.nbytes < 2**21
    size, unpacked = peak(lambda: D.to_dense(bool))
    assert size - unpacked.nbytes < 2**21
    size, csc = peak(D.to_csc)
    assert size < 3 * (csc.data.nbytes + csc.indices.nbytes) + 2**20


@on_matrices
def test_gram_counts_common_ones(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    wide = dense.astype(np.int64)
    every = wide.T @ wide
    same(D.gram(), every, np.int64)
    columns = dense.shape[1]
    rng = np.random.default_rng(dense.shape)
    chosen = rng.integers(-columns, columns, rng.integers(columns + 1))
    others = rng.random(columns) < 0.3
    same(D.gram(chosen), every[np.ix_(chosen, chosen)], np.int64)
    same(D.gram(others), every[np.ix_(others, others)], np.int64)
    same(D.gram(chosen, others), every[np.ix_(chosen, others)], np.int64)
    same(D.gram(others=chosen), every[:, chosen], np.int64)


@on_matrices
def test_matvec_equals_numpy(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    for shape in [(), (1,), (3,)]:
        weights = integers(dense.shape[1], *shape)
        same(D.matvec(weights), dense @ weights)
        same(D @ weights, dense @ weights)


@on_matrices
def test_rmatvec_equals_numpy(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    for shape in [(), (1,), (3,)]:
        rows = integers(dense.shape[0], *shape)
        same(D.rmatvec(rows), dense.T @ rows)


@on_matrices
def test_rmatvec_is_the_adjoint_of_matvec(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    weights, rows = integers(dense.shape[1]), integers(dense.shape[0])
    assert D.matvec(weights) @ rows == weights @ D.rmatvec(rows)


@on_matrices
def test_single_columns_are_those_of_the_products(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    rows = np.random.default_rng(dense.shape).normal(size=dense.shape[0])
    every = D.rmatvec(rows)
    for j in range(-dense.shape[1], dense.shape[1]):
        assert D.column_dot(j, rows) == every[j]
        out = rows.copy()
        assert D.add_column(j, 0.7, out) is None
        assert np.array_equal(out, np.where(dense[:, j], rows + 0.7, rows))


@on_matrices
def test_linear_operator_has_the_products_of_the_dense_matrix(dense):
    operator = bd.BinaryMatrix.from_dense(dense).as_linear_operator()
    assert isinstance(operator, linalg.LinearOperator)
    assert operator.shape == dense.shape
    assert operator.dtype == np.float64
    n, columns = dense.shape
    same(operator @ integers(columns), dense @ integers(columns))
    same(operator @ integers(columns, 1), dense @ integers(columns, 1))
    same(operator @ integers(columns, 3), dense @ integers(columns, 3))
    same(operator.T @ integers(n), dense.T @ integers(n))
    same(operator.H @ integers(n, 3), dense.T @ integers(n, 3))


@on_matrices
def test_price_is_the_largest_of_all_and_the_prices_of_the_chosen(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    duals = integers(dense.shape[0], 4)
    every = dense.T @ duals
    rng = np.random.default_rng(dense.shape)
    chosen = rng.permutation(dense.shape[1])[: rng.integers(dense.shape[1] + 1)]
    largest, prices = D.price(duals, chosen)
    same(largest, np.abs(every).max(axis=0, initial=0.0))
    same(prices, every[chosen])


@on_matrices
def test_price_of_groups_is_the_longest_row_of_their_prices(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    duals = integers(dense.shape[0], 12)
    every = dense.T @ duals
    columns = np.arange(dense.shape[1])[::2]
    for width in (1, 2, 3, 4, 12):
        largest, prices = D.price(duals, columns, width)
        groups = every.reshape(dense.shape[1], 12 // width, width)
        lengths = np.sqrt((groups**2).sum(axis=2))
        assert largest.shape == (12 // width,)
        # hypot after hypot: two roundings a number
        expected = lengths.max(axis=0, initial=0.0)
        assert np.allclose(largest, expected, rtol=2 * width * 2.0**-53, atol=0)
        same(prices, every[columns])


def test_price_of_groups_neither_overflows_nor_underflows():
    D = bd.BinaryMatrix.from_dense(bernoulli(70, 9, 0.5))
    ones = D.to_dense().sum(axis=0).max()
    for size in (1e300, 1e-300):
        largest, _ = D.price(np.full((70, 4), size), [], 4)
        assert largest == pytest.approx([2 * ones * size], rel=1e-15)


@on_matrices
def test_take_is_numpy_indexing(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    columns = dense.shape[1]
    rng = np.random.default_rng(dense.shape)
    chosen = rng.integers(-columns, columns, 2 * columns)
    same(D.take(chosen).to_dense(), dense[:, chosen])
    mask = rng.random(columns) < 0.5
    same(D.take(mask).to_dense(), dense[:, mask])


@on_matrices
def test_keep_rows_leaves_zeros_in_all_others(dense):
    D = bd.BinaryMatrix.from_dense(dense)
    rows = dense.shape[0]
    rng = np.random.default_rng(dense.shape)
    for mask in (rng.random(rows) < 0.5, np.zeros(rows, dtype=bool), np.ones(rows, dtype=bool)):
        kept = D.keep_rows(mask)
        same(kept.to_dense(), dense * mask[:, None].astype(float))
        same(kept.gram(), (dense.T * mask).astype(np.int64) @ dense, np.int64)
        same(D.keep_rows(mask.tolist() if rows else mask).words, kept.words, np.uint64)
    same(D.to_dense(), dense)


@on_matrices
def test_hstack_joins_what_was_split(dense):
    cuts = sorted(np.random.default_rng(dense.shape).integers(0, dense.shape[1] + 1, 3))
    parts = np.split(dense, cuts, axis=1)
    joined = bd.BinaryMatrix.hstack([bd.BinaryMatrix.from_dense(part) for part in parts])
    same(joined.to_dense(), dense)


@pytest.mark.parametrize("widths", [(0, 0), (1, 1), (0, 1, 1), (1, 1, 0), (0, 3, 1), (2,)])
def test_hstack_takes_empty_and_single_columns(widths):
    # NumPy joins arrays that are both C- and Fortran-ordered into a Fortran-ordered one
    parts = [bernoulli(70, width, 0.5, seed) for seed, width in enumerate(widths)]
    joined = bd.BinaryMatrix.hstack([bd.BinaryMatrix.from_dense(part) for part in parts])
    same(joined.to_dense(), np.hstack(parts))


@on_matrices
def test_vstack_joins_what_was_split(dense):
    rng = np.random.default_rng(dense.shape)
    cuts = sorted(rng.integers(0, dense.shape[0] + 1, 3))
    parts = np.split(dense, cuts)
    joined = bd.BinaryMatrix.vstack([bd.BinaryMatrix.from_dense(part) for part in parts])
    same(joined.to_dense(), dense)


@pytest.mark.parametrize("above", [0, 1, 63, 64, 65, 448, 449, 511, 512, 513])
@pytest.mark.parametrize("below", [0, 1, 63, 64, 65, 511, 512, 513])
def test_vstack_shifts_by_any_number_of_rows(above, below):
    parts = [bernoulli(n, 3, 0.5, seed) for seed, n in enumerate((above, below, 3))]
    joined = bd.BinaryMatrix.vstack([bd.BinaryMatrix.from_dense(part) for part in parts])
    same(joined.to_dense(), np.vstack(parts))
    assert joined.nbytes == bd.BinaryMatrix.from_dense(np.vstack(parts)).nbytes


@on_matrices
def test_unique_keeps_first_appearance(dense):
    seen = {}
    for j in range(dense.shape[1]):
        if dense[:, j].any():
            seen.setdefault(dense[:, j].tobytes(), j)
    distinct, first = bd.BinaryMatrix.from_dense(dense).unique()
    assert first.tolist() == list(seen.values())
    same(distinct.to_dense(), dense[:, list(seen.values())])


def test_unique_tells_columns_apart_that_differ_in_any_single_row():
    n = 1024
    dense = np.ones((n, n + 1))
    dense[np.arange(n), np.arange(n)] = 0  # column j lacks row j; the last column lacks none
    distinct, first = bd.BinaryMatrix.from_dense(np.hstack([dense, dense])).unique()
    assert np.array_equal(first, np.arange(n + 1))
    same(distinct.to_dense(), dense)


def in_order(terms):
    """Sum from the first term to the last."""
    total = 0.0
    for term in terms.tolist():
        total += term
    return total


def in_lanes(terms):
    """Sum by rows: row i in lane i % 8, each lane in row order, then lanes in halves."""
    lanes = [in_order(terms[lane::8]) for lane in range(8)]
    while len(lanes) > 1:
        half = len(lanes) // 2
        lanes = [low + high for low, high in zip(lanes[:half], lanes[half:], strict=True)]
    return lanes[0]


@pytest.mark.parametrize(("rows", "columns"), [(64, 40), (513, 70), (1024, 33), (7, 3)])
def test_sums_of_floats_have_the_documented_order_and_the_accuracy_it_allows(rows, columns):
    rng = np.random.default_rng(rows)
    dense = bernoulli(rows, columns, 0.5)
    D = bd.BinaryMatrix.from_dense(dense)
    for product, matrix, total in (
        (D.rmatvec, dense.T, in_lanes),
        (D.matvec, dense, in_order),
    ):
        operand = rng.normal(size=matrix.shape[1]) * 10.0 ** rng.integers(-8, 9, matrix.shape[1])
        for found, ones in zip(product(operand), matrix, strict=True):
            terms = operand * ones  # a zero changes no sum
            assert found == total(terms)
            # n terms added one by one: at most (n - 1) u sum|x|, u = 2**-53 (Higham 2002, 4.2),
            # to first order; one u more for fsum's own rounding and one for the second order
            size = math.fsum(map(abs, terms))
            assert abs(found - math.fsum(terms)) <= (ones.sum() + 1) * 2.0**-53 * size


def test_prices_are_the_very_floats_of_rmatvec():
    # a price that differs in its last bit would put another dual point on the boundary
    D = bd.BinaryMatrix.from_dense(bernoulli(513, 40, 0.4))
    duals = np.random.default_rng(1).normal(size=(513, 3))
    largest, prices = D.price(duals, np.arange(40))
    assert np.array_equal(prices, D.rmatvec(duals))
    assert np.array_equal(largest, np.abs(prices).max(axis=0))
    grouped, prices = D.price(duals, np.arange(40), 3)
    assert np.array_equal(prices, D.rmatvec(duals))
    assert grouped == pytest.approx([np.linalg.norm(prices, axis=1).max()], rel=1e-15)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_dual_point_that_is_not_finite_is_not_priced(value):
    # max(0, |nan|) is 0 or nan, as the compiler likes; 0 would look feasible
    D = bd.BinaryMatrix.from_dense(np.ones((3, 2)))
    with pytest.raises(ValueError, match=r"^duals: expected finite"):
        D.price([1.0, value, 1.0], [0, 1])


def test_operands_may_have_any_order_and_number_type():
    dense = bernoulli(65, 7, 0.5)
    D = bd.BinaryMatrix.from_dense(dense)
    weights, rows = integers(7, 4), integers(65, 4)
    for change in (np.asfortranarray, lambda a: np.repeat(a, 2, axis=1)[:, ::2], np.ndarray.tolist):
        same(D.matvec(change(weights)), dense @ weights)
        same(D.rmatvec(change(rows)), dense.T @ rows)
        same(D.price(change(rows), [6, 2])[1], dense.T[[6, 2]] @ rows)
    same(D.matvec(weights.astype(np.int32)), dense @ weights)
    same(D.rmatvec(rows.astype(np.float32)), dense.T @ rows)


@pytest.mark.parametrize("dtype", [bool, np.uint8, np.int64, np.float32, np.float64, object])
def test_any_number_type_of_zeros_and_ones_packs(dtype):
    dense = bernoulli(70, 5, 0.5)
    for array in (dense.astype(dtype), np.asfortranarray(dense.astype(dtype))):
        same(bd.BinaryMatrix.from_dense(array).to_dense(), dense)
    same(bd.BinaryMatrix.from_dense(dense.astype(dtype).tolist()).to_dense(), dense)


@pytest.mark.parametrize("columns", [[True, False], [0.0, 1.0], ["0"], np.eye(5) > 0, [[0, 1]], 3])
def test_what_is_no_list_of_columns_is_refused(columns):
    with pytest.raises((IndexError, ValueError), match=r"^columns: expected"):
        bd.BinaryMatrix.from_dense(np.eye(5)).take(columns)


def test_words_begin_on_a_line_of_the_cache(tmp_path):
    D = bd.BinaryMatrix.from_dense(np.eye(600, 7))
    D.save(tmp_path / "matrix")
    given = bd.BinaryMatrix(np.array(D.words), 600)
    made = D.take([2, -1]), given.take(np.arange(7) > 3), bd.BinaryMatrix.load(tmp_path / "matrix")
    for matrix in (D, given, *made, D.with_ones(), bd.BinaryMatrix.vstack([D, D])):
        assert matrix.words.ctypes.data % 64 == 0


def test_words_of_any_memory_order_are_taken():
    words = np.arange(48, dtype=np.uint64).reshape(3, 16)
    expected = bd.BinaryMatrix(words.copy(), 1024).to_dense()
    for layout in (np.asfortranarray(words), np.repeat(words, 2, axis=0)[::2]):
        same(bd.BinaryMatrix(layout, 1024).to_dense(), expected)


def test_packed_words_are_read_only():
    D = bd.BinaryMatrix(np.zeros((3, 8), dtype=np.uint64), 100)
    matrices = (D, D.take([0, 2]), D.unique()[0], bd.BinaryMatrix.hstack([D, D]))
    for matrix in (*matrices, bd.BinaryMatrix.vstack([D, D]), bd.BinaryMatrix.from_dense([[1]])):
        held = [value for value in vars(matrix).values() if isinstance(value, np.ndarray)]
        assert held
        assert not any(array.flags.writeable for array in held)


def frozen(array):
    array.flags.writeable = False
    return array


OWNERS = {
    "an array": (lambda a, _: (a, a), True),
    "a read-only view": (lambda a, _: (frozen(a[:]), a), True),
    "a read-only view of a view": (lambda a, _: (frozen(a[:][:]), a), True),
    "a bytearray": (lambda a, _: over(bytearray(a.tobytes()), a), True),
    "a read-only array over a bytearray": (
        lambda a, _: (frozen(over(bytearray(a.tobytes()), a)[0]), a),
        True,
    ),
    "a file mapped to be written": (lambda a, path: mapped(a, path, "r+"), True),
    "a read-only array over such a file": (
        lambda a, path: (frozen(mapped(a, path, "r+")[0]), a),
        True,
    ),
    "a file mapped to be copied": (lambda a, path: mapped(a, path, "c"), True),
    "a file mapped to be read": (lambda a, path: mapped(a, path, "r"), False),
    "bytes": (lambda a, _: over(a.tobytes(), a), False),
    "bytes that start beside a word": (lambda a, _: over(b" " + a.tobytes(), a, 1), True),
    "a frozen array": (lambda a, _: (frozen(a), a), False),
    "a view of a frozen array": (lambda a, _: (frozen(a)[:], a), False),
}


def over(buffer, array, offset=0):
    return (np.frombuffer(buffer, dtype=array.dtype, offset=offset).reshape(array.shape),) * 2


def mapped(array, path, mode):
    np.save(path, array)
    return (np.load(path, mmap_mode=mode),) * 2


@pytest.mark.parametrize("owner", OWNERS)
def test_words_that_somebody_can_write_are_copied_and_others_are_not(owner, tmp_path):
    make, copied = OWNERS[owner]
    array, writer = make(
        np.arange(48, dtype=np.uint64).reshape(6, 8).copy(), tmp_path / "words.npy"
    )
    expected, flag = array.copy(), array.flags.writeable
    D = bd.BinaryMatrix(array, 512)
    held = next(value for value in vars(D).values() if isinstance(value, np.ndarray))
    assert np.shares_memory(held, array) == (not copied)
    assert array.flags.writeable == flag
    if writer.flags.writeable:
        writer[:] = 0
    same(D.to_dense(), bd.BinaryMatrix(expected, 512).to_dense())
    assert np.array_equal(D.rmatvec_exact(np.ones(512, dtype=int)), D.column_sums())
    assert D.rmatvec(np.ones(512)).sum() == D.column_sums().sum()


@pytest.mark.parametrize("name", ["shape", "nbytes", "density"])
def test_properties_cannot_be_set(name):
    with pytest.raises(AttributeError):
        setattr(bd.BinaryMatrix.from_dense(np.eye(3)), name, 0)


def test_nothing_done_to_operands_or_results_changes_the_matrix():
    dense = bernoulli(70, 6, 0.5)
    given_array = dense.copy()
    D = bd.BinaryMatrix.from_dense(given_array)
    given_array[:] = 1
    weights, rows, chosen = np.ones(6), np.ones((70, 2)), np.arange(6)
    csc, (distinct, first) = D.to_csc(), D.unique()
    results = [D.to_dense(), D.to_dense(np.uint8), D.to_dense(bool), csc.data, csc.indices]
    results += [D.column_sums(), D.gram(), D.matvec(weights), D.rmatvec(rows), first]
    results += [distinct.to_dense(np.uint8), *D.price(rows, chosen), D.gram(chosen, chosen)]
    results += [D.matvec_exact(weights.astype(int)), D.rmatvec_exact(rows.astype(int))]
    results += [*D.rmatvec_exact(rows.astype(int), pairs=True), D.rmatvec_within(rows, 0.1)[0]]
    for result in results:
        result[:] = 1
    assert np.array_equal(weights, np.ones(6))
    assert np.array_equal(rows, np.ones((70, 2)))
    assert np.array_equal(chosen, np.arange(6))
    same(D.to_dense(), dense)
    same(distinct.to_dense(), dense)


def test_repr_tells_shape_and_density():
    D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [1, 0]])
    assert repr(D) == "BinaryMatrix(3 x 2, density 0.667)"


def words(rows, count, dtype=np.uint64):
    return np.zeros((rows, count), dtype=dtype)


@pytest.mark.parametrize(
    ("name", "make"),
    [
        ("n_rows", lambda: bd.BinaryMatrix(words(2, 8), -1)),
        ("words", lambda: bd.BinaryMatrix(words(2, 7), 512)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8), 513)),
        ("words", lambda: bd.BinaryMatrix(words(2, 16), 512)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8)[0], 5)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8)[None], 5)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8, np.int64), 5)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8, np.float64), 5)),
        ("words", lambda: bd.BinaryMatrix(words(2, 64, np.uint8), 5)),
        ("words", lambda: bd.BinaryMatrix(words(2, 8, ">u8"), 5)),
        ("dense", lambda: bd.BinaryMatrix.from_dense([0, 1])),
        ("dense", lambda: bd.BinaryMatrix.from_dense(1)),
        ("dense", lambda: bd.BinaryMatrix.from_dense(np.zeros((2, 2, 2)))),
    ],
)
def test_wrong_shape_or_dtype_is_refused_by_name(name, make):
    with pytest.raises(ValueError, match=f"^{name}: expected"):
        make()


@pytest.mark.parametrize("value", [2, -1, 0.5, 1 + 1e-12, 1e-300, np.nan, np.inf, 1j, "1", None])
def test_one_entry_that_is_neither_zero_nor_one_is_refused(value):
    dense = np.ones((66, 3), dtype=object)
    dense[65, 1] = value
    with pytest.raises(ValueError, match=r"^dense: expected zeros and ones"):
        bd.BinaryMatrix.from_dense(dense)
    if not isinstance(value, str | None):
        with pytest.raises(ValueError, match=r"^dense: expected zeros and ones"):
            bd.BinaryMatrix.from_dense(dense.astype(type(value)))


FORMATS = ("bsr", "coo", "csc", "csr", "dok", "lil")


@examples(100)
@given(dense=dense_matrices(), data=st.data())
def test_a_sparse_matrix_is_packed_as_the_dense_one(dense, data):
    form = data.draw(st.sampled_from([name for name in FORMATS if name != "bsr" or dense.size]))
    kind = data.draw(st.sampled_from([bool, np.uint8, np.int64, np.float32, np.float64]))
    make = data.draw(st.sampled_from([sparse.csr_array, sparse.csr_matrix]))
    given_matrix = make(dense.astype(kind)).asformat(form)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(packing, "_SPARSE_ENTRIES", data.draw(st.sampled_from([1, 7, 64, 2**18])))
        found = bd.BinaryMatrix.from_sparse(given_matrix)
    same(found.words, bd.BinaryMatrix.from_dense(dense).words, np.uint64)


def test_entries_of_a_sparse_matrix_add_up_and_the_matrix_stays():
    data, rows = np.array([0.5, 0.5, 0.0, 1.0]), np.array([3, 3, 1, 0])
    matrix = sparse.csc_array((data, rows, np.array([0, 3, 4])), shape=(5, 2))
    found = bd.BinaryMatrix.from_sparse(matrix)
    assert found.to_dense(int).T.tolist() == [[0, 0, 0, 1, 0], [1, 0, 0, 0, 0]]
    assert matrix.data.tolist() == [0.5, 0.5, 0.0, 1.0]


def test_packing_a_sparse_matrix_takes_little_memory():
    rows = np.arange(60_000) * 3
    matrix = sparse.csc_array((np.ones(60_000), rows, np.arange(301) * 200), shape=(200_000, 300))
    bd.BinaryMatrix.from_sparse(sparse.eye_array(3))  # what it compiles and imports is not counted
    tracemalloc.start()
    packed = bd.BinaryMatrix.from_sparse(matrix)
    size = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert size < packed.nbytes + 2**25  # dense bytes would take 60 MB, floats 480
    assert np.array_equal(packed.column_sums(), matrix.sum(axis=0))


@pytest.mark.parametrize(
    ("matrix", "error", "found"),
    [
        (np.eye(3), TypeError, "^matrix: expected a sparse matrix of SciPy, got ndarray"),
        ([[1]], TypeError, "^matrix: expected a sparse matrix of SciPy, got list"),
        (2 * sparse.eye_array(3), ValueError, "^matrix: expected zeros and ones"),
        (sparse.csr_array([[np.nan]]), ValueError, "^matrix: expected zeros and ones"),
        (sparse.eye_array(3) * 1j, ValueError, "^matrix: expected .* complex"),
        (sparse.coo_array(np.ones(3)), ValueError, "^matrix: expected shape .n, P., got .3,."),
    ],
    ids=str,
)
def test_what_is_no_sparse_matrix_of_zeros_and_ones_is_refused(matrix, error, found):
    with pytest.raises(error, match=found):
        bd.BinaryMatrix.from_sparse(matrix)


@pytest.mark.parametrize("n_rows", [1, 7, 8, 63, 64, 65, 200, 511])
def test_bits_past_the_last_row_are_refused(n_rows):
    last = words(2, 8)
    last[1, (n_rows - 1) // 64] = 1 << ((n_rows - 1) % 64)
    assert bd.BinaryMatrix(last, n_rows).column_sums().tolist() == [0, 1]
    for past in (n_rows, 511):
        beyond = words(2, 8)
        beyond[1, past // 64] = 1 << (past % 64)
        with pytest.raises(ValueError, match=f"^words: expected no bits set past row {n_rows}"):
            bd.BinaryMatrix(beyond, n_rows)


def test_hstack_of_other_numbers_of_rows_or_of_nothing_is_refused():
    low, high = (bd.BinaryMatrix.from_dense(np.ones((n, 2))) for n in (511, 512))
    for matrices in ([low, high], []):
        with pytest.raises(ValueError, match=r"^matrices: expected one (number of rows|or more)"):
            bd.BinaryMatrix.hstack(matrices)


def test_vstack_of_other_numbers_of_columns_or_of_nothing_is_refused():
    narrow, wide = (bd.BinaryMatrix.from_dense(np.ones((2, p))) for p in (3, 4))
    for matrices in ([narrow, wide], []):
        with pytest.raises(
            ValueError, match=r"^matrices: expected one (number of columns|or more)"
        ):
            bd.BinaryMatrix.vstack(matrices)


@pytest.mark.parametrize("shape", [(), (1,), (4,), (6,), (4, 5), (5, 2, 1), (1, 5), (0,)])
def test_operand_of_another_length_is_refused_by_name(shape):
    square = bd.BinaryMatrix.from_dense(np.eye(5))
    operand = np.ones(shape)
    with pytest.raises(ValueError, match=r"^weights: expected shape \(5,\)"):
        square.matvec(operand)
    with pytest.raises(ValueError, match=r"^rows: expected shape \(5,\)"):
        square.rmatvec(operand)
    with pytest.raises(ValueError, match=r"^duals: expected shape \(5,\)"):
        square.price(operand, [0])
    with pytest.raises(ValueError, match=r"^rows: expected shape \(5,\)"):
        square.column_dot(0, operand)
    with pytest.raises(ValueError, match=r"^weights: expected shape \(5,\)"):
        square.matvec_exact(operand.astype(int))
    with pytest.raises(ValueError, match=r"^rows: expected shape \(5,\)"):
        square.rmatvec_exact(operand.astype(int))
    with pytest.raises(ValueError, match=r"^rows: expected shape \(5,\)"):
        square.rmatvec_within(operand, 0.1)


def test_column_dot_takes_one_vector():
    with pytest.raises(ValueError, match=r"^rows: expected shape \(5,\), got \(5, 2\)"):
        bd.BinaryMatrix.from_dense(np.eye(5)).column_dot(0, np.ones((5, 2)))


def test_complex_operands_are_refused():
    D = bd.BinaryMatrix.from_dense(np.eye(2))
    for product in (D.matvec, D.rmatvec, D.as_linear_operator().matvec):
        with pytest.raises(
            ValueError, match=r"expected real numbers, got complex numbers \(complex128\)$"
        ):
            product(np.array([1j, 2.0]))


@pytest.mark.parametrize(
    "out",
    [
        pytest.param(np.zeros(4), id="length"),
        pytest.param(np.zeros((5, 1)), id="dimensions"),
        pytest.param(np.zeros(5, dtype=np.float32), id="dtype"),
        pytest.param(np.zeros(10)[::2], id="stride"),
        pytest.param(frozen(np.zeros(5)), id="read-only"),
        pytest.param([0.0] * 5, id="list"),
    ],
)
def test_add_column_refuses_what_it_cannot_write_to(out):
    with pytest.raises(ValueError, match=r"^out: expected a contiguous, writeable float64 array"):
        bd.BinaryMatrix.from_dense(np.eye(5)).add_column(0, 1.0, out)


def test_operands_are_measured_against_the_right_side():
    D = bd.BinaryMatrix.from_dense(np.ones((5, 2)))
    with pytest.raises(ValueError, match=r"^weights"):
        D.matvec(np.ones(5))
    with pytest.raises(ValueError, match=r"^rows"):
        D.rmatvec(np.ones(2))
    with pytest.raises(ValueError, match=r"^duals"):
        D.price(np.ones(2), [0])


def test_no_columns_may_be_asked_for():
    D = bd.BinaryMatrix.from_dense(np.eye(5))
    for none in ([], np.array([], dtype=int)):
        assert D.take(none).shape == (5, 0)
        largest, prices = D.price(np.full(5, 3.0), none)
        assert largest == 3
        assert prices.shape == (0, 1)
        largest, prices = bd.BinaryMatrix.from_dense(np.zeros((5, 0))).price(np.ones((5, 4)), [], 2)
        assert largest.tolist() == [0.0, 0.0]
        assert prices.shape == (0, 4)


@pytest.mark.parametrize("columns", [[5], [-6], [0, 99]])
def test_columns_that_are_not_there_are_refused(columns):
    D = bd.BinaryMatrix.from_dense(np.eye(5))
    with pytest.raises(IndexError):
        D.take(columns)
    with pytest.raises(IndexError):
        D.price(np.ones(5), columns)
    with pytest.raises(IndexError):
        D.gram(columns)
    with pytest.raises(IndexError):
        D.gram([0], others=columns)
    with pytest.raises(IndexError):
        D.column_dot(columns[-1], np.ones(5))
    with pytest.raises(IndexError):
        D.add_column(columns[-1], 1.0, np.ones(5))


@pytest.mark.parametrize(
    ("rows", "found"),
    [
        (np.ones(4, dtype=bool), r"bool of shape \(4,\)"),
        (np.ones(6, dtype=bool), r"bool of shape \(6,\)"),
        (np.ones((5, 1), dtype=bool), r"bool of shape \(5, 1\)"),
        (True, r"bool of shape \(\)"),
        ([0, 1, 0, 1, 1], r"int64 of shape \(5,\)"),
        (np.ones(5), r"float64 of shape \(5,\)"),
        ([], r"float64 of shape \(0,\)"),
    ],
)
def test_rows_to_keep_that_are_no_mask_of_the_rows_are_refused(rows, found):
    D = bd.BinaryMatrix.from_dense(np.eye(5))
    message = rf"^rows: expected a boolean mask of shape \(5,\), got {found}$"
    with pytest.raises(ValueError, match=message):
        D.keep_rows(rows)


@pytest.mark.parametrize(
    "columns",
    [
        pytest.param([1, 1], id="repeated"),
        pytest.param([4, -1], id="repeated from the end"),
        pytest.param([True, False], id="mask"),
        pytest.param([0.5], id="fraction"),
        pytest.param([[0, 1]], id="two dimensions"),
    ],
)
def test_price_refuses_columns_that_it_would_not_fill(columns):
    # each row of prices is written by one column; a row that none writes is left as memory was
    D = bd.BinaryMatrix.from_dense(np.eye(5))
    with pytest.raises(ValueError, match=r"^columns"):
        D.price(np.ones(5), columns)


@pytest.mark.parametrize("width", [-1, 0, 2, 4, 6])
def test_price_refuses_groups_that_do_not_divide_the_dual_points(width):
    D = bd.BinaryMatrix.from_dense(np.eye(5))
    assert D.price(np.ones((5, 3)), [], 3)[0].shape == (1,)
    with pytest.raises(ValueError, match=r"^width: expected a divisor of the 3 dual points, got"):
        D.price(np.ones((5, 3)), [], width)


@pytest.mark.parametrize("stack", [bd.BinaryMatrix.hstack, bd.BinaryMatrix.vstack])
def test_matrices_are_stacked_from_any_iterable_and_nothing_else_is(stack):
    D = bd.BinaryMatrix.from_dense([[1, 0], [0, 1]])
    assert stack(D for _ in range(2)).to_dense().sum() == 4
    with pytest.raises(ValueError, match=r"^matrices: expected one or more BinaryMatrix"):
        stack([D, D.to_dense()])


@pytest.mark.parametrize("n_rows", [True, 3.0, "3", None, -1])
def test_what_is_no_number_of_rows_is_refused(n_rows):
    with pytest.raises(ValueError, match=r"^n_rows: expected a whole number"):
        bd.BinaryMatrix(np.zeros((2, 8), dtype=np.uint64), n_rows)
