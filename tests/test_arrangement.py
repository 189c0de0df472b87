"""Threshold dictionaries are complete: equal to one LP a pattern, to theory, and exact."""

import itertools
import math
import os
import subprocess
import sys
import time

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog

from bidual.dictionaries.complete import arrangement, cell_listing
from bidual.dictionaries.complete.arrangement import count_threshold_patterns, threshold_patterns
from bidual.dictionaries.complete.budget import Budget, BudgetExceeded, Estimate, in_digits
from bidual.dictionaries.complete.cell_counting import (
    CellCounter,
    CountStopped,
    fewest_cells,
    most_cells,
    most_patterns,
)
from bidual.dictionaries.complete.closed_faces import cyclic_part, gordan
from bidual.dictionaries.complete.integer_rows import (
    echelon,
    integer_rows,
    lift,
    line,
    orthogonal_basis,
    rank_modulo_a_prime,
    restrict,
)
from bidual.kernels import arrangement as kernels

from covering import examples, slow


def lp_patterns(X):
    """Patterns by one LP each: {X_S h >= 0, X_rest h <= -1} is exact, since h may be scaled."""
    X = np.asarray(X, dtype=float)
    found = set()
    for bits in itertools.product((0, 1), repeat=len(X)):
        on = np.array(bits, dtype=bool)
        rows = np.vstack([-X[on], X[~on]])
        bounds = np.concatenate([np.zeros(on.sum()), -np.ones((~on).sum())])
        if linprog(np.zeros(X.shape[1]), rows, bounds, bounds=(None, None)).status == 0:
            found.add(bits)
    return found


def exact(X):
    """X times a power of two, as Python ints."""
    X = np.asarray(X)
    if X.dtype.kind != "f":
        return X.astype(object)
    ratios = [[value.as_integer_ratio() for value in row] for row in X.tolist()]
    scale = max(bottom for row in ratios for _, bottom in row)
    return np.array([[top * (scale // bottom) for top, bottom in row] for row in ratios], object)


def listed(X, **options):
    """Patterns as a set of tuples, once the count, the order and every witness are right."""
    complete = threshold_patterns(X, **options)
    dense = complete.patterns.to_dense(np.uint8)
    assert complete.witnesses.shape == (dense.shape[1], np.shape(X)[1])
    replayed = exact(X) @ complete.witnesses.T.astype(object) >= 0
    assert np.array_equal(replayed, dense)
    values = [int("".join(map(str, column[::-1])), 2) for column in dense.T.tolist()]
    assert values == sorted(set(values))
    assert len(values) == count_threshold_patterns(X)
    return set(map(tuple, dense.T.tolist()))


def cancel(X):
    """Whether lambda > 0 exists with X' lambda = 0, by one LP in floats."""
    X = np.asarray(X, dtype=float)
    lower = [(1, None)] * len(X)
    return linprog(np.zeros(len(X)), A_eq=X.T, b_eq=np.zeros(X.shape[1]), bounds=lower).status == 0


def gaussian(n, d, seed=0):
    """Whole numbers of about 11 bits in general position."""
    return np.rint(512 * np.random.default_rng(seed).standard_normal((n, d))).astype(int)


def strings(bits, values=(0, 1)):
    return np.array(list(itertools.product(values, repeat=bits)))


def with_bias(X):
    return np.hstack([X, np.ones((len(X), 1), dtype=int)])


def one_hot(X):
    return np.stack([X == 0, X == 1], axis=2).reshape(len(X), -1).astype(int)


KINDS = {
    "small": lambda rng, n, d: rng.integers(-3, 4, (n, d)),
    "signs": lambda rng, n, d: rng.choice([-1, 1], (n, d)),
    "ternary": lambda rng, n, d: rng.choice([-1, 0, 1], (n, d)),
    "binary": lambda rng, n, d: rng.integers(0, 2, (n, d)),
    "rank 1": lambda rng, n, d: rng.integers(-2, 3, (n, 1)) * rng.integers(-2, 3, (1, d)),
    "rank 2": lambda rng, n, d: rng.integers(-2, 3, (n, 2)) @ rng.integers(-2, 3, (2, d)),
    "opposite": lambda rng, n, d: (lambda a: np.vstack([a, -a, 3 * a])[:n])(
        rng.integers(-9, 10, (max(n // 2, 1), d))
    ),
}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("seed", [0, 1, 2, *slow(*range(3, 10))])
def test_patterns_are_those_of_one_lp_each(kind, seed):
    rng = np.random.default_rng(seed)
    X = KINDS[kind](rng, rng.integers(1, 8), rng.integers(1, 5))
    assert listed(X) == lp_patterns(X)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.slow
def test_ten_rows_by_lp(seed):
    X = KINDS["ternary"](np.random.default_rng(seed), 10, 4)
    assert listed(X) == lp_patterns(X)


@pytest.mark.parametrize("code", [with_bias, one_hot, lambda X: with_bias(2 * X - 1)])
@pytest.mark.parametrize(("bits", "functions"), [(1, 4), (2, 14), (3, 104), (4, 1882), (5, 94572)])
def test_threshold_functions_are_as_many_as_is_known(code, bits, functions):
    # Muroga (1971), and OEIS A000609
    X = code(strings(bits))
    assert count_threshold_patterns(X) == functions
    if bits < 5 or code is with_bias:
        assert threshold_patterns(X).patterns.shape == (2**bits, functions)


@pytest.mark.parametrize(("n", "d"), [(7, 1), (40, 2), (30, 3), (20, 4), (12, 5), (9, 8), (6, 9)])
def test_general_position_has_the_cells_of_cover(n, d):
    X = gaussian(n, d)
    origin = cancel(X)  # then the pattern of h = 0 is of no open cell
    most = 2 * sum(math.comb(n - 1, k) for k in range(d))
    if d > 1:
        assert len(listed(X)) == most + origin
        assert origin == (n > 2 * d)  # as drawn
    assert len(listed(np.abs(X) + 1)) == most


@pytest.mark.parametrize(("pairs", "d"), [(4, 3), (5, 4), (6, 2)])
def test_opposite_pairs_in_general_position(pairs, d):
    # j pairs may be 0 at once; the others are in general position in d - j dimensions
    X = gaussian(pairs, d)
    expected = 1 + sum(math.comb(pairs, j) * most_cells(pairs - j, d - j) for j in range(d))
    assert len(listed(np.vstack([X, -X]))) == expected


def test_faces_of_sign_vectors_outnumber_their_cells():
    X = strings(4, (-1, 1))
    assert CellCounter().cells(integer_rows(X)) == 104
    assert len(listed(X)) == 593  # by one LP for each of the 2**16 patterns
    assert len(listed(strings(3, (-1, 0, 1)))) == 291


@examples(60)
@given(st.integers(1, 9), st.integers(1, 5), st.sampled_from(sorted(KINDS)), st.integers(0, 10**6))
def test_open_cells_are_counted_as_by_whitney_and_zaslavsky(n, d, kind, seed):
    rows = integer_rows(KINDS[kind](np.random.default_rng(seed), n, d))
    rows = [row for row in rows if any(row)]
    chi = sum(
        (-1) ** (size - len(echelon(chosen)[0]))
        for size in range(len(rows) + 1)
        for chosen in itertools.combinations(rows, size)
    )
    assert CellCounter().cells(rows) == chi


@pytest.mark.parametrize("n", [9, 65, 129, 513])
def test_rows_past_a_word_and_their_repeats(n):
    base = with_bias(gaussian(9, 2))
    rows = np.arange(n) % 9
    found = listed(base[rows] * (1 + np.arange(n) % 5)[:, None])
    assert found == {tuple(np.array(column)[rows]) for column in listed(base)}


def test_zero_rows_always_fire():
    assert listed([[0, 0]]) == {(1,)}
    assert listed([[0], [5], [-5]]) == {(1, 1, 1), (1, 1, 0), (1, 0, 1)}


# A change of coordinates by a matrix of determinant 1 keeps every pattern.
WIDE = np.array([[1, 2**70 + 12345, 3**50], [0, 1, 7**30 + 2], [0, 0, 1]], dtype=object)


@pytest.mark.parametrize("kind", ["small", "ternary", "opposite"])
def test_entries_past_64_bits_change_nothing(kind):
    X = KINDS[kind](np.random.default_rng(5), 16, 3)
    assert listed(X.astype(object) @ WIDE) == listed(X)


def test_floats_are_exact(monkeypatch):
    X = np.random.default_rng(0).standard_normal((20, 4))
    found = listed(X)
    assert len(found) == most_cells(20, 4) + 1
    monkeypatch.setattr(cell_listing, "_one_in_each_cell", lambda *_: False)
    assert listed(X) == found  # in Python integers, not by way of rounded rows


@pytest.mark.parametrize("shape", [(14, 1), (20, 2), (15, 3), (12, 4), (9, 6)])
def test_python_integers_list_what_the_kernel_lists(shape, monkeypatch):
    X = gaussian(*shape) // 64
    found = listed(X)
    monkeypatch.setattr(cell_listing, "_in_int64", lambda rows: None)
    assert listed(X) == found


def lines_of(X):
    return list(dict.fromkeys(line(row) for row in integer_rows(X)))


@pytest.mark.parametrize("shape", [(12, 3), (10, 4), (9, 5), (70, 3), *slow((24, 4), (11, 6))])
@pytest.mark.parametrize("scale", [1.0, 1e-200, 1e200])
def test_rays_in_floats_list_what_python_integers_list(shape, scale):
    lines = lines_of(np.random.default_rng(3).standard_normal(shape) * scale)
    expected = most_cells(*shape)
    half = cell_listing._by_rays(lines, expected)
    words = -(-shape[0] // 64)
    found = cell_listing.evaluate(lines, np.concatenate([half, -half]), words)
    assert half.dtype == np.int64
    assert len(np.unique(found, axis=0)) == len(found) == expected
    assert cell_listing._by_rays(lines, expected + 2) is None
    if shape[0] < 20:
        slow_half = cell_listing.whole_numbers(cell_listing._half_of_cells(lines))
        wanted = cell_listing.evaluate(lines, slow_half, words)
        assert {tuple(row) for row in found[: len(half)]} == {tuple(row) for row in wanted}


def test_rays_where_more_hyperplanes_meet_are_left_to_others():
    bits = [(*bits, 1) for bits in itertools.product((0, 1), repeat=3)]
    lines = lines_of(np.array(bits))
    assert cell_listing._by_rays(lines, CellCounter().cells(lines)) is None


def test_a_recursion_in_python_integers_is_refused_beyond_the_budget(monkeypatch):
    monkeypatch.setattr(cell_listing, "_by_rays", lambda *_: None)
    monkeypatch.setattr(cell_listing, "_by_rounding", lambda *_: None)
    X = with_bias(np.random.default_rng(0).standard_normal((60, 3)))
    start = time.perf_counter()
    with pytest.raises(BudgetExceeded, match="seconds 5"):
        threshold_patterns(X, Budget(seconds=5))
    assert time.perf_counter() - start < 5


def test_rounding_that_moves_cells_is_noticed():
    # three lines that all but meet; rounded to 56 bits they do
    tiny = 2**-80
    X = np.array([[1.0, 0, 1], [0, 1, 1], [1, 1, 2 + 2**-51], [1, -1, tiny], [1, 2, 3 - 2**-50]])
    assert listed(X) == {
        tuple((exact(X) @ h >= 0).astype(int))
        for h in threshold_patterns(exact(X)).witnesses.astype(object)
    }
    assert len(listed(X)) == most_cells(5, 3) + (len(cyclic_part(integer_rows(X))[0]) > 0)


def test_witnesses_are_short():
    complete = threshold_patterns(gaussian(40, 4))
    bits = np.log2(np.abs(complete.witnesses).max(axis=1) + 1)
    assert complete.witnesses.dtype == np.int64
    assert np.median(bits) < 16
    assert bits.max() < 40  # with the 11 of the data, exact as float64


@pytest.mark.slow
def test_order_does_not_depend_on_hash_seeds():
    code = (
        "import hashlib, numpy as np\n"
        "from bidual.dictionaries.complete.arrangement import threshold_patterns\n"
        "X = np.random.default_rng(0).choice([-1, 1], (12, 4))\n"
        "done = threshold_patterns(X)\n"
        "print(hashlib.sha256(done.patterns.to_dense().tobytes() + done.witnesses.tobytes())\n"
        "      .hexdigest())\n"
    )
    shown = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            check=True,
        ).stdout
        for seed in ("0", "1")
    }
    assert len(shown) == 1


@pytest.mark.parametrize(
    "X", [[1, 2], [[[1]]], [], [[]], [[np.nan, 1]], [[np.inf, 1]], [["a"]], [[1], [1, 2]], [[1j]]]
)
def test_matrices_that_are_none_are_refused(X):
    for function in (threshold_patterns, count_threshold_patterns):
        with pytest.raises(ValueError, match=r"^X: expected .*"):
            function(X)
    with pytest.raises(ValueError, match=r"^budget: expected a Budget, got 100"):
        threshold_patterns([[1]], budget=100)


def test_estimate_comes_first_and_is_the_count():
    told = []
    complete = threshold_patterns(gaussian(12, 3), report=told.append)
    assert [estimate.patterns for estimate in told] == [complete.patterns.shape[1]]
    assert told[0].exact
    assert told[0].nbytes > complete.patterns.nbytes + complete.witnesses.nbytes


@pytest.mark.parametrize("X", [np.ones((300, 1)), gaussian(9, 4), strings(4, (-1, 1))])
def test_budget_is_refused_exactly_below_the_count(X):
    count = count_threshold_patterns(X)
    assert threshold_patterns(X, Budget(patterns=count)).patterns.shape[1] == count
    told = []
    with pytest.raises(BudgetExceeded, match="patterns"):
        threshold_patterns(X, Budget(patterns=count - 1), report=told.append)
    assert told[0].patterns >= count
    for tight in (Budget(seconds=1e-9), Budget(nbytes=10)):
        with pytest.raises(BudgetExceeded):
            threshold_patterns(X, tight)


@pytest.mark.parametrize("shape", [(60, 40), *slow((300, 12), (300, 6))])
def test_hopeless_sizes_are_refused_at_once(shape):
    X = np.random.default_rng(0).standard_normal(shape)
    started = time.process_time()
    with pytest.raises(BudgetExceeded, match="up to"):
        threshold_patterns(X)
    assert time.process_time() - started < 10  # under 3 s where measured


@pytest.mark.parametrize("shape", [(2000, 64), (300, 40), (400, 150)])
def test_hopeless_ranks_are_refused_without_elimination_in_long_integers(shape, monkeypatch):
    monkeypatch.setattr(arrangement, "echelon", None)
    X = np.random.default_rng(0).standard_normal(shape)
    told = []
    started = time.process_time()
    with pytest.raises(
        BudgetExceeded, match=r"up to \d\.\d\de\+\d+ patterns, .* patterns 2,000,000"
    ):
        threshold_patterns(X, report=told.append)
    assert time.process_time() - started < 10  # under 1 s where measured
    assert not told[0].exact
    assert told[0].patterns == most_patterns(*shape)


@examples(40)
@given(st.integers(1, 8), st.integers(1, 4), st.integers(0, 2**32))
def test_rank_modulo_a_prime_and_fewest_cells_are_lower_bounds(n, d, seed):
    rng = np.random.default_rng(seed)
    distinct = {line(row) for row in integer_rows(rng.integers(-1, 2, (n, d))) if any(row)}
    rows = sorted(distinct)
    rank = np.linalg.matrix_rank(np.array(rows)) if rows else 0
    for most in range(d + 1):
        assert rank_modulo_a_prime(rows, most) == min(rank, most)
        assert fewest_cells(len(rows), min(rank, most)) <= CellCounter().cells(rows)
    multiples = [tuple((2**31 - 1) * x for x in row) for row in rows]
    assert rank_modulo_a_prime(multiples, d) == 0


@pytest.mark.parametrize(("n", "rank"), [(2, 2), (7, 2), (4, 4), (7, 4)])
def test_pencils_have_the_fewest_cells(n, rank):
    pencil = [(1, k) + (0,) * (rank - 2) for k in range(n - rank + 2)]
    rows = pencil + [tuple(row) for row in np.eye(rank, dtype=int)[2:].tolist()]
    assert CellCounter().cells(rows) == fewest_cells(n, rank)
    # what fits a budget exactly is not refused for its bound
    count = count_threshold_patterns(rows)
    assert threshold_patterns(rows, Budget(patterns=count)).patterns.shape[1] == count


def test_large_numbers_are_told_by_three_digits():
    assert in_digits(10**15 - 1) == "999,999,999,999,999"
    assert in_digits(10**15) == "1.00e+15"
    assert in_digits(12345 * 10**600) == "1.23e+604"
    assert in_digits(np.int64(2**62)) == "4.61e+18"
    assert in_digits(0.5) == "0.5"
    told = str(Estimate(10**400, seconds=1.0, nbytes=10**6, exact=False))
    assert told == "up to 1.00e+400 patterns, about 1 s and 1 MB"
    with pytest.raises(BudgetExceeded, match=r"exceeds the budget of patterns 1\.00e\+30;"):
        Budget(patterns=10**30).check(Estimate(10**31, 1.0, 1))


@pytest.mark.parametrize("name", ["patterns", "seconds", "nbytes"])
@pytest.mark.parametrize("value", [0, -1, float("nan"), "2", None])
def test_limits_are_numbers_above_zero(name, value):
    with pytest.raises(ValueError, match=f"^{name}: expected a number above 0, got"):
        Budget(**{name: value})


def test_bound_on_patterns_holds_where_covers_does_not():
    assert len(listed([[1], [-1]])) == 3 == most_patterns(2, 1) > most_cells(2, 1)


def test_work_of_a_count_is_bounded():
    rows = integer_rows(gaussian(40, 5))
    with pytest.raises(CountStopped):
        CellCounter(work=1000).cells(rows)
    with pytest.raises(CountStopped):
        CellCounter(most=1000).cells(rows)
    assert CellCounter(most=most_cells(40, 5)).cells(rows) == most_cells(40, 5)


@pytest.mark.parametrize("lost", ["one left out", "one twice", "a wrong one"])
def test_an_incomplete_list_is_a_bug(lost, monkeypatch):
    def spoiled(rows, expected, allow_slow):
        cells = cell_listing.list_cells(rows, expected, allow_slow)
        if lost == "one left out":
            return cells[1:]
        cells[0] = cells[1] if lost == "one twice" else 0
        return cells

    monkeypatch.setattr(arrangement, "list_cells", spoiled)
    X = gaussian(9, 3)
    if lost == "a wrong one":
        X = np.vstack([X, -X])  # h = 0 is listed already
    with pytest.raises(RuntimeError, match="bug"):
        threshold_patterns(X)


@examples(60)
@given(st.integers(1, 9), st.integers(1, 4), st.sampled_from(sorted(KINDS)), st.integers(0, 10**6))
def test_cyclic_part_is_where_one_lp_cancels(n, d, kind, seed):
    X = KINDS[kind](np.random.default_rng(seed), n, d)
    rows = integer_rows(X)
    members, h = cyclic_part(rows)
    signs = np.array(rows) @ np.array(h)
    assert (signs[members] == 0).all()
    assert (np.delete(signs, members) > 0).all()
    assert not members or cancel(np.array(rows)[members])


@examples(60)
@given(st.integers(1, 12), st.integers(1, 5), st.integers(0, 10**6))
def test_gordan_gives_one_certificate(n, d, seed):
    X = np.random.default_rng(seed).integers(-4, 5, (n, d))
    relation, h = gordan(integer_rows(X))
    assert (relation is None) != (h is None)
    if h is None:
        assert min(relation) >= 0 < max(relation)
        assert not (np.array(integer_rows(X)).T @ relation).any()
    else:
        assert (X @ h > 0).all()


@examples(100)
@given(st.lists(st.integers(-50, 50), min_size=2, max_size=6).filter(any), st.integers(0, 10**6))
def test_lattice_of_the_kernel_is_all_of_the_hyperplane(x, seed):
    x = np.array(x) // np.gcd.reduce(x)
    basis, fits = kernels._orthogonal_lattice(x)
    assert fits
    assert not (basis @ x).any()
    # Cauchy-Binet: the maximal minors of a lattice basis are the entries of x, up to sign
    k = len(x)
    minors = [abs(round(np.linalg.det(np.delete(basis, j, axis=1)))) for j in range(k)]
    assert minors == np.abs(x).tolist()


@examples(100)
@given(st.integers(2, 5), st.integers(0, 10**6))
def test_restricting_and_lifting_belong_together(d, seed):
    rng = np.random.default_rng(seed)
    normal, row = (tuple(x) for x in rng.integers(-9, 10, (2, d)).tolist())
    if not any(normal):
        return
    at = next(j for j, x in enumerate(normal) if x)
    h = rng.integers(-9, 10, d - 1).tolist()
    lifted = lift(h, normal, at)
    assert np.dot(normal, lifted) == 0
    # positive multiples of each other, so of one sign
    assert np.sign(np.dot(restrict(row, normal, at), h)) == np.sign(np.dot(row, lifted))


@examples(60)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 10**6))
def test_orthogonal_basis_spans_what_is_orthogonal(n, d, seed):
    rows = integer_rows(np.random.default_rng(seed).integers(-3, 4, (n, d)))
    basis = orthogonal_basis(rows, d)
    rank = np.linalg.matrix_rank(np.array(rows))
    assert len(basis) == d - rank == len(echelon(basis)[0] if basis else [])
    assert not any(np.dot(x, h) for x in rows for h in basis)


ENDS = [0, 1, -1, 2**60, -(2**60), 2**60 - 1, 2**31, -(2**59) - 1]


@examples(200)
@given(st.integers(1, 3), st.data())
def test_kernel_evaluates_sums_of_any_length_exactly(limbs, data):
    entries = st.sampled_from(ENDS) | st.integers(-(2**60), 2**60)
    d = data.draw(st.sampled_from([1, 2, 7, 64]))
    h = data.draw(st.lists(entries, min_size=d, max_size=d))
    x = data.draw(
        st.lists(
            st.integers(-(2 ** (60 * limbs)) + 1, 2 ** (60 * limbs) - 1), min_size=d, max_size=d
        )
    )
    # and one row that is all but orthogonal
    total = sum(a * b for a, b in zip(x, h, strict=True))
    rows = [tuple(x), tuple(-a for a in x), (0,) * d]
    words = cell_listing.evaluate(rows, np.array([h]), 1)
    assert int(words[0, 0]) == (total >= 0) + 2 * (total <= 0) + 4
    value = kernels._dot(np.array([a % 2**60 for a in x]), np.array(h))
    expected = sum((a % 2**60) * b for a, b in zip(x, h, strict=True))
    assert math.isclose(value, expected, rel_tol=2.0**-50)
    assert np.sign(value) == (expected > 0) - (expected < 0)


@pytest.mark.parametrize("power", [4, 30, 60])
def test_kernel_carries_between_its_two_words(power):
    x, h = np.array([2**60, 1]), np.array([-(2**power), 0])
    for last in (-1, 0, 1):
        h[1] = last
        assert kernels._dot(x, h) == float(-(2 ** (60 + power)) + last)


def test_kernel_tells_when_numbers_do_not_fit():
    rng = np.random.default_rng(0)
    rows = rng.integers(-(2**59), 2**59, (12, 4))
    assert not kernels.half_of_cells(rows)[1]
    assert len(listed(rows)) == count_threshold_patterns(rows)
