"""A real design: DenseMatrix is NumPy's array, and programs over it are solved and certified."""

from dataclasses import replace
from fractions import Fraction
from functools import cache

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import sparse
from targets_for import targets_for

import bidual as bd
from bidual.certificates.rounding import objective_rounding
from bidual.solvers import choose
from bidual.solvers.backends.admm_ import least_squares
from bidual.solvers.newton.linear_system import OutputSystems
from bidual.solvers.units import Units

from covering import examples, marked, parameters, slow
from exact_values import exact_dual, exact_primal
from programs import RANDOM
from tolerances import GAPS, gap_for

READY = [name for name, backend in bd.BACKENDS.items() if backend.available() is None]
some = examples(40)

eighths = st.integers(-64, 64).map(lambda k: k / 8)  # sums of products of a few are exact


@st.composite
def matrices(draw, elements=eighths, least=0):
    shape = draw(st.integers(least, 9)), draw(st.integers(least, 9))
    dense = draw(arrays(float, shape, elements=elements))
    return np.asfortranarray(dense) if draw(st.booleans()) else dense


def frozen(array):
    array.flags.writeable = False
    return array


# DenseMatrix


@some
@given(dense=matrices(), data=st.data())
@example(dense=np.zeros((0, 3)), data=None)
@example(dense=np.zeros((3, 0)), data=None)
def test_products_are_those_of_the_array(dense, data):
    n, columns = dense.shape
    D = bd.DenseMatrix(dense)
    assert D.shape == dense.shape
    draw = (lambda shape: np.ones(shape)) if data is None else (lambda s: data.draw(numbers(s)))
    for tail in ((), (1,), (3,)):
        weights, rows = draw((columns, *tail)), draw((n, *tail))
        np.testing.assert_array_equal(D.matvec(weights), dense @ weights)
        np.testing.assert_array_equal(D.rmatvec(rows), dense.T @ rows)
        values, bound = D.rmatvec_within(rows, 1e-3)
        np.testing.assert_array_equal(values, dense.T @ rows)
        assert 0 <= bound <= 1e-3
    np.testing.assert_array_equal(D.gram(), dense.T @ dense)
    roots = np.abs(draw((n,)))
    np.testing.assert_array_equal(D.weighted_gram(roots**2), (dense.T * roots**2) @ dense)
    np.testing.assert_array_equal(D.squared_norms(), (dense**2).sum(axis=0))
    assert D.magnitude == np.abs(dense).max(initial=0.0)
    np.testing.assert_array_equal(D.to_dense(), dense)
    assert D.to_dense().flags.f_contiguous
    np.testing.assert_array_equal(D.to_csc().toarray(), dense)
    assert D.to_csc().nnz == np.count_nonzero(dense)


def numbers(shape):
    return arrays(float, shape, elements=st.just(0.0) | eighths)


def test_a_product_with_few_weights_is_that_of_their_columns():
    rng = np.random.default_rng(0)
    dense = rng.integers(-9, 9, (20, 50)).astype(float)
    for order in "CF":
        D = bd.DenseMatrix(np.array(dense, order=order))
        weights = np.zeros((50, 2))
        for j in rng.permutation(50):
            weights[j, j % 2] = j + 1.0
            np.testing.assert_array_equal(D.matvec(weights), dense @ weights)


@some
@given(dense=matrices(least=1), data=st.data())
def test_other_matrices_are_those_of_the_array(dense, data):
    n, columns = dense.shape
    D = bd.DenseMatrix(dense)
    chosen = data.draw(st.lists(st.integers(0, columns - 1)), label="columns")
    mask = data.draw(arrays(bool, columns), label="mask")
    for made, expected in (
        (D.take(chosen), dense[:, chosen] if chosen else dense[:, :0]),
        (D.take(mask), dense[:, mask]),
        (D.with_ones(), np.hstack([dense, np.ones((n, 1))])),
        (D.transpose(), dense.T),
        (D.absolute(), np.abs(dense)),
        (D.transpose().take([0]).with_ones(), np.hstack([dense[:1].T, np.ones((columns, 1))])),
    ):
        assert isinstance(made, bd.DenseMatrix)
        np.testing.assert_array_equal(made.to_dense(), expected)
        # and what it remembers is its own
        np.testing.assert_array_equal(made.squared_norms(), (expected**2).sum(axis=0))
        assert made.magnitude == np.abs(expected).max(initial=0.0)


@some
@given(dense=matrices(least=1), data=st.data())
def test_prices_are_those_of_the_array(dense, data):
    width = data.draw(st.integers(1, 3), label="width")
    duals = data.draw(numbers((len(dense), 2 * width)), label="duals")
    columns = data.draw(st.lists(st.integers(0, dense.shape[1] - 1), unique=True))
    largest, prices = bd.DenseMatrix(dense).price(duals, columns, width)
    expected = dense.T @ duals
    np.testing.assert_array_equal(prices, expected[columns] if columns else expected[:0])
    lengths = np.sqrt((expected.reshape(-1, 2, width) ** 2).sum(axis=2))
    np.testing.assert_allclose(largest, lengths.max(axis=0), rtol=1e-15)  # of a root


@some
@given(dense=matrices(), ones=st.booleans())
def test_a_binary_matrix_answers_the_same_questions(dense, ones):
    dense = np.ones_like(dense) if ones else (dense > 0).astype(float)
    D, packed = bd.DenseMatrix(dense), bd.BinaryMatrix.from_dense(dense)
    np.testing.assert_array_equal(packed.squared_norms(), D.squared_norms())
    assert packed.squared_norms().dtype == np.float64
    assert packed.magnitude >= D.magnitude
    assert packed.gram_rounding == 0
    for name in ("with_ones", "transpose", "absolute"):
        made, expected = (getattr(each, name)() for each in (packed, D))
        assert isinstance(made, bd.BinaryMatrix)
        np.testing.assert_array_equal(made.to_dense(), expected.to_dense())


anything = st.floats(-1e100, 1e100) | st.floats(-1e-150, 1e-150)


def test_a_bound_does_not_underflow_before_its_product():
    D, rows = np.array([[2.22507386e-313]]), np.array([1297030.0])
    values, bound = bd.DenseMatrix(D).rmatvec_within(rows, 1.0)
    assert abs(Fraction(values[0]) - Fraction(D[0, 0]) * Fraction(rows[0])) <= Fraction(bound)


@examples(100)
@given(dense=matrices(anything, least=1), data=st.data())
def test_no_product_is_farther_from_the_exact_one_than_its_bound(dense, data):
    rows = data.draw(arrays(float, len(dense), elements=anything), label="rows")
    values, bound = bd.DenseMatrix(dense).rmatvec_within(rows, 1e300)
    for column, value in zip(dense.T.tolist(), values.tolist(), strict=True):
        terms = zip(column, rows.tolist(), strict=True)
        exact = sum(Fraction(d) * Fraction(r) for d, r in terms)
        assert abs(Fraction(value) - exact) <= Fraction(bound)


@some
@given(dense=matrices(st.floats(-10, 10), least=1), data=st.data())
def test_no_entry_of_a_gram_matrix_is_farther_off_than_its_bound(dense, data):
    weights = data.draw(arrays(float, len(dense), elements=st.floats(0, 10)), label="weights")
    D = bd.DenseMatrix(dense)
    exact = np.vectorize(Fraction)(dense)
    across = exact.T @ exact
    weighted = (exact.T * np.vectorize(Fraction)(weights)) @ exact
    for found, wanted in ((D.gram(), across), (D.weighted_gram(weights), weighted)):
        for i, j in np.ndindex(*found.shape):
            # the square of the bound, and what underflows of numbers that are not much below 1
            room = Fraction(D.gram_rounding) ** 2 * wanted[i, i] * wanted[j, j]
            assert (Fraction(found[i, j]) - wanted[i, j]) ** 2 <= room + Fraction(1e-300)


def test_an_accuracy_past_float64_is_refused_and_the_finest_is_not():
    rng = np.random.default_rng(0)
    dense, rows = rng.normal(size=(50, 7)), rng.normal(size=(50, 2))
    for D in (bd.DenseMatrix(dense), bd.BinaryMatrix.from_dense(dense > 0)):
        finest = D.finest_accuracy(rows)
        assert 0 < finest < 1e-10
        assert D.rmatvec_within(rows, finest)[1] <= finest
        with pytest.raises(ValueError, match=r"^accuracy: expected at least .*, got "):
            D.rmatvec_within(rows, 1e-4 * finest)


def test_an_array_that_nobody_can_write_to_is_not_copied_and_any_other_is():
    given = np.arange(6.0).reshape(2, 3)
    D = bd.DenseMatrix(given)
    given[:] = np.nan
    assert D.to_dense().tolist() == [[0, 1, 2], [3, 4, 5]]
    with pytest.raises(ValueError, match="read-only"):
        D._array[0, 0] = 1.0
    D.to_dense()[0, 0] = 9.0
    assert D.magnitude == 5.0
    for order in "CF":
        array = frozen(np.ones((4, 3), order=order))
        assert np.shares_memory(bd.DenseMatrix(array)._array, array)
        assert np.shares_memory(bd.DenseMatrix(array).transpose()._array, array)
    view = np.ones((4, 3))[:]
    view.flags.writeable = False  # of what another may write to
    for array in (view, frozen(np.ones((4, 6)))[:, ::2], frozen(np.ones((4, 3), dtype=np.float32))):
        held = bd.DenseMatrix(array)._array
        assert not np.shares_memory(held, array)
        assert held.flags.f_contiguous
        assert held.dtype == np.float64


@pytest.mark.parametrize(
    ("array", "said"),
    [
        ([[1.0, np.nan]], "finite numbers, got NaN or infinity"),
        ([[1.0], [np.inf]], "finite numbers, got NaN or infinity"),
        ([[np.longdouble("1e4000")]], "finite numbers, got NaN or infinity"),
        ([1.0, 2.0], r"real numbers of shape \(n, P\), got float64 of shape \(2,\)"),
        (1.0, r"real numbers of shape \(n, P\), got float64 of shape \(\)"),
        (np.ones((2, 2, 2)), r"real numbers of shape \(n, P\), got float64 of shape \(2, 2, 2\)"),
        ([["a", "b"]], r"real numbers of shape \(n, P\), got strings \(<U1\)"),
        ([[1j]], r"real numbers of shape \(n, P\), got complex numbers"),
        ([[None]], r"real numbers of shape \(n, P\), got None in an object array"),
        (sparse.eye_array(3), r"real numbers of shape \(n, P\), got a sparse dia_array"),
        ([[1.0], [1.0, 2.0]], r"real numbers of shape \(n, P\), got .*inhomogeneous"),
        ([[1e160]], "columns whose sum of squares is within float64, got entries up to 1e[+]160"),
        ([[1e154], [1e154]], "columns whose sum of squares is within float64"),
    ],
)
@pytest.mark.filterwarnings("error")
def test_what_is_no_real_matrix_is_refused(array, said):
    with pytest.raises(ValueError, match=f"^array: expected {said}"):
        bd.DenseMatrix(array)


D = bd.DenseMatrix([[0.5, -1.0], [2.0, 0.0], [1.0, 1.0]])
MISTAKES = {
    "short weights": (lambda: D.matvec([1.0]), "weights: expected shape"),
    "complex weights": (lambda: D.matvec([1j, 1.0]), "weights: expected real numbers"),
    "long rows": (lambda: D.rmatvec(np.ones(4)), "rows: expected shape"),
    "NaN rows": (lambda: D.rmatvec_within([1, 2, np.nan], 1.0), "rows: expected finite"),
    "accuracy 0": (lambda: D.rmatvec_within(np.ones(3), 0.0), "accuracy: expected at least"),
    "accuracy NaN": (lambda: D.rmatvec_within(np.ones(3), np.nan), "accuracy: expected at least"),
    "infinite duals": (lambda: D.price(np.full((3, 1), np.inf), []), "duals: expected finite"),
    "a column twice": (lambda: D.price(np.ones((3, 1)), [1, 1]), "columns: expected each"),
    "half a column": (lambda: D.price(np.ones((3, 1)), [0.5]), "columns: expected a list"),
    "groups that do not fit": (lambda: D.price(np.ones((3, 3)), [], 2), "width: expected"),
    "one column by number": (lambda: D.take(0), "columns: expected a list"),
    "negative weights": (lambda: D.weighted_gram([1.0, -1.0, 0.0]), "weights: expected numbers >="),
    "two weights a row": (lambda: D.weighted_gram(np.ones((3, 2))), "weights: expected shape"),
}


@pytest.mark.parametrize(("mistake", "said"), MISTAKES.values(), ids=MISTAKES)
def test_operands_that_do_not_fit_are_refused_by_name(mistake, said):
    with pytest.raises(ValueError, match=f"^{said}"):
        mistake()


def test_a_product_past_float64_has_no_bound():
    with pytest.raises(OverflowError, match=r"^rows: expected products within float64"):
        bd.DenseMatrix([[1e154]]).rmatvec_within([1e160], 1e308)


# programs over 0/1 numbers, packed and not


def unpacked(program):
    """The same program over a DenseMatrix."""
    return bd.ConvexProgram(
        bd.DenseMatrix(program.design.to_dense()),
        program.target,
        program.loss,
        program.strength,
        program.row_weights,
        program.intercept,
        penalty=program.penalty,
    )


@pytest.mark.parametrize("name", parameters(RANDOM))
def test_a_program_is_the_same_over_a_packed_and_a_plain_matrix(name):
    packed = RANDOM[name]
    plain = unpacked(packed)
    assert plain.lambda_max == pytest.approx(packed.lambda_max, rel=1e-13)
    assert plain.reference == packed.reference
    rng = np.random.default_rng(0)
    W = rng.normal(size=(packed.design.shape[1], packed.outputs))
    b = rng.normal(size=packed.outputs) * packed.intercept
    assert plain.primal(W, b) == pytest.approx(packed.primal(W, b), rel=1e-13)
    V = packed.dual_at(packed.affine(W, b))
    np.testing.assert_allclose(plain.largest_prices(V), packed.largest_prices(V), rtol=1e-13)
    assert plain.dual(V) == packed.dual(V)
    for quadratic in (True, False):
        ours, theirs = plain.to_conic(quadratic), packed.to_conic(quadratic)
        assert (ours.matrix != theirs.matrix).nnz == 0
        np.testing.assert_array_equal(ours.bounds, theirs.bounds)
        np.testing.assert_array_equal(ours.linear, theirs.linear)
    certificates = [bd.certify(each, weights=W, intercept=b) for each in (plain, packed)]
    gaps = [each.absolute_gap for each in certificates]
    assert gaps[0] == pytest.approx(gaps[1], rel=1e-12)


ALIKE = [f"{loss}, l1, 3 outputs, intercept" for loss in bd.LOSSES]
ALIKE += [f"{loss}, group, 3 outputs" for loss in bd.LOSSES]


def pairs(names, program_of):
    """Every backend that is there with every program over a real design that it takes."""
    found = []
    for backend in READY:
        programs = {name: program_of(name) for name in names}
        taken = {n: p for n, p in programs.items() if bd.BACKENDS[backend].accepts(p) is None}
        for name, marks in marked(taken).items():
            found.append(pytest.param(backend, name, marks=marks, id=f"{backend}-{name}"))
    return found


@cache
def packed_answer(name):
    return bd.solve(RANDOM[name], "clarabel", gap=1e-8)


@pytest.mark.slow
@pytest.mark.parametrize(("backend", "name"), pairs(ALIKE, lambda name: unpacked(RANDOM[name])))
def test_the_optimum_is_the_same_over_a_packed_and_a_plain_matrix(backend, name):
    solution = bd.solve(unpacked(RANDOM[name]), backend, gap=gap_for(backend, name))
    packed = packed_answer(name)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    # each optimum lies between the primal of one and the dual of the other
    rounding = 1e-12 * RANDOM[name].reference
    assert solution.certificate.dual <= packed.certificate.primal + rounding
    assert packed.certificate.dual <= solution.certificate.primal + rounding
    W, b = solution.weights, solution.intercept
    again = RANDOM[name].primal(W, b)
    assert solution.certificate.primal == pytest.approx(again, rel=1e-12)


# real designs


def units(dense):
    """Weights (P, 1) of about the same effect."""
    return 1 / np.maximum(np.abs(dense).max(axis=0), 1e-9)[:, None]


def real_program(loss, penalty, intercept, dense, outputs=2, share=0.2, seed=0):
    """Uneven row weights, some of them 0, at a share of lambda_max, above 0 in any case."""
    rng = np.random.default_rng(seed)
    n, atoms = dense.shape
    z = dense @ (units(dense) * rng.normal(size=(atoms, outputs)))
    y = targets_for(loss, z - np.median(z, axis=0) + 0.3 * rng.normal(size=z.shape))
    a = rng.random(n) * (rng.random(n) < 0.9)
    design = bd.DenseMatrix(dense)
    program = bd.ConvexProgram(design, y, loss, 0.0, a / a.sum(), intercept, penalty=penalty)
    # where all rows with weight share a class, an intercept says all and lambda_max is 0
    return program.with_strength(share * program.lambda_max or share)


@cache
def whole(name):
    """A program over whole numbers of both signs, whose products exact_values.py knows."""
    loss, penalty, intercept = name.split(", ")
    dense = np.random.default_rng(6).integers(-3, 4, (20, 9)).astype(float)
    return real_program(loss, penalty, intercept == "intercept", dense)


@cache
def answer(backend, name):
    """One solution of each program by each backend serves all tests."""
    return bd.solve(whole(name), backend, gap=GAPS[backend])


SIZES = 10.0 ** np.arange(-4, 5)  # of the columns
WHOLE = [
    f"{loss}, {penalty}, {intercept}"
    for loss in bd.LOSSES
    for penalty in bd.PENALTIES
    for intercept in ("plain", "intercept")
]


@pytest.mark.parametrize(("backend", "name"), pairs(WHOLE, whole))
def test_every_backend_reaches_its_gap_over_a_real_design(backend, name):
    solution = answer(backend, name)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    assert solution.certificate.relative_gap <= solution.asked_gap


@pytest.mark.parametrize("name", [*WHOLE[::3], *slow(*WHOLE[1::3], *WHOLE[2::3])])
def test_every_primal_over_a_real_design_is_at_least_every_dual_exactly(name):
    program = whole(name)
    solutions = [answer(each, name) for each in READY if bd.BACKENDS[each].accepts(program) is None]
    assert len(solutions) >= 4
    primals = [exact_primal(program, each.weights, each.intercept) for each in solutions]
    duals = [exact_dual(program, each.dual_point) for each in solutions]
    assert min(primals) >= max(duals)
    for each, primal, dual in zip(solutions, primals, duals, strict=True):
        # and the float certificate is that of exact arithmetic, but for rounding
        rounding = 1e-12 * max(program.reference, float(primal))
        assert abs(each.certificate.primal - float(primal)) <= rounding
        assert each.certificate.absolute_gap >= float(primal - dual) - rounding


@pytest.mark.parametrize("loss", bd.LOSSES)
@pytest.mark.parametrize("penalty", bd.PENALTIES)
@pytest.mark.parametrize("wide", [False, True], ids=["tall", "wide"])
@pytest.mark.parametrize("backend", ["newton", "admm"])
def test_own_solvers_find_cvxpys_optimum_over_columns_of_all_sizes(loss, penalty, wide, backend):
    rng = np.random.default_rng(2)
    shape = (12, 40) if wide else (40, 12)
    dense = rng.normal(size=shape) * 10.0 ** rng.uniform(-1, 1, shape[1])
    dense[:, 3], dense[:, 4] = dense[:, 2], 0.0
    program = real_program(loss, penalty, True, dense)
    solution = bd.solve(program, backend, gap=GAPS[backend])
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    value = program.to_cvxpy().solve(solver="CLARABEL")
    room = 1e-7 * program.reference  # CLARABEL's own tolerance is 1e-8
    assert solution.certificate.dual <= value + room
    assert abs(solution.certificate.primal - value) <= solution.certificate.absolute_gap + room


@pytest.mark.parametrize("size", [1e-6, 1e6])
@pytest.mark.parametrize("backend", [name for name in READY if name != "lasso"])
def test_a_design_may_be_in_other_units(backend, size):
    dense = np.random.default_rng(3).normal(size=(30, 10))
    program = real_program("squared", "l1", True, size * dense)
    other = real_program("squared", "l1", True, dense)
    assert program.lambda_max == pytest.approx(size * other.lambda_max, rel=1e-12)
    solution = bd.solve(program, backend, gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    known = bd.solve(other, "newton", gap=1e-8).certificate
    assert solution.certificate.primal >= known.dual
    assert solution.certificate.primal <= known.primal + 1.1e-6 * other.reference


@pytest.mark.parametrize("penalty", bd.PENALTIES)
@some
@given(data=st.data())
def test_certified_dual_points_are_feasible_and_bound_the_optimum(penalty, data):
    loss = data.draw(st.sampled_from(list(bd.LOSSES)))
    seed, intercept = data.draw(st.integers(0, 99)), data.draw(st.booleans())
    rng = np.random.default_rng(seed)
    dense = rng.normal(size=(8, 5)) * 10.0 ** rng.uniform(-4, 4, 5)
    program = real_program(loss, penalty, intercept, dense, seed=seed)
    W = units(dense) * data.draw(arrays(float, (5, 2), elements=st.floats(-2, 2)), label="W")
    V = program.row_weights[:, None] * data.draw(arrays(float, (8, 2), elements=st.floats(-9, 9)))
    certificate = bd.certify(program, weights=W, dual_point=V)
    v = certificate.dual_point
    prices = dense.T @ v
    sizes = np.abs(prices) if penalty == "l1" else np.linalg.norm(prices, axis=1)
    # as float64 knows them, column by column
    room = 1e-14 * (np.abs(dense).T @ np.abs(v)).max()
    assert sizes.max() <= program.strength * (1 + 1e-14) + room
    assert program.dual(v) == pytest.approx(certificate.dual, rel=1e-9, abs=1e-12)
    assert certificate.absolute_gap >= 0
    best = bd.solve(program, "newton", gap=1e-6).certificate
    assert certificate.dual <= best.primal + 1e-12 * program.reference
    assert certificate.primal >= best.dual - 1e-12 * program.reference


@pytest.mark.parametrize("kappa", [0.0, 0.7])
@pytest.mark.parametrize("shape", [(30, 8), (8, 30), (9, 9), (6, 1), (6, 0)])
@pytest.mark.parametrize("coupled", [False, True])
def test_systems_of_outputs_are_inverted_in_both_forms(shape, kappa, coupled):
    # no weight of a row is rounded here, however many different ones there are
    rng = np.random.default_rng(6)
    n, columns = shape
    dense = rng.normal(size=shape)
    inverse, q = rng.uniform(0.5, 3.0, (n, 3)), rng.uniform(0.5, 3.0, (columns, 3))
    right = rng.normal(size=(n, 3))
    found = OutputSystems(bd.DenseMatrix(dense), inverse, q, kappa, coupled).solve(right)
    for c in range(3):
        system = np.diag(1 / inverse[:, c]) + (dense * q[:, c]) @ dense.T + kappa
        np.testing.assert_allclose(found[:, c], np.linalg.solve(system, right[:, c]), rtol=1e-10)


@pytest.mark.parametrize("sigma", [1e2, 1e8, 1e14])
@pytest.mark.parametrize("wide", [False, True])
@pytest.mark.parametrize("seed", range(3))
def test_dependent_columns_leave_every_factor_positive(seed, sigma, wide):
    rng = np.random.default_rng(seed)
    n, columns = (20, 60) if wide else (60, 20)
    dense = rng.normal(size=(n, 3)) @ rng.normal(size=(3, columns))  # of rank 3
    dense *= 10.0 ** rng.uniform(-4, 4, columns)
    D, right = bd.DenseMatrix(dense), rng.normal(size=(n, 1))
    inverse, q = 10.0 ** rng.uniform(-6, 0, (n, 1)), np.full((columns, 1), sigma)
    assert np.isfinite(OutputSystems(D, inverse, q, sigma).solve(right)).all()
    for each in (False, True):
        squares = least_squares(D, each)
        W, fit = squares.solve(right, np.zeros((columns, 1)))
        # what kappa leaves of the fit; columns are of 8 orders of magnitude, and squares of 16
        np.testing.assert_allclose(dense @ W, fit, rtol=0, atol=1e-3 * np.abs(right).max())


def test_auto_takes_newton_where_outputs_separate_and_admm_where_they_do_not():
    for name in WHOLE:
        apart = len(whole(name).blocks) == 2
        assert bd.solve(whole(name), gap=1e-4).backend == ("newton" if apart else "admm")
        # one scale of all weights will not do for columns this different
        uneven = whole(name).over(bd.DenseMatrix(whole(name).design.to_dense() * SIZES))
        assert choose("auto", uneven).name == "newton"


def awkward(kind):
    """Columns that are hard on a first guess of scales, n x P."""
    rng = np.random.default_rng(8)
    dense = rng.normal(size=(25, 60))
    return {
        "far from 0": dense + 10.0,
        "of all sizes": dense * 10.0 ** rng.uniform(-3, 3, 60),
        "dependent": rng.normal(size=(25, 4)) @ rng.normal(size=(4, 60)),
        "with gross entries": rng.standard_t(1.5, size=(25, 60)),
    }[kind]


@pytest.mark.parametrize("loss", bd.LOSSES)
@pytest.mark.parametrize("penalty", bd.PENALTIES)
@pytest.mark.parametrize("kind", ["far from 0", "of all sizes", "dependent", "with gross entries"])
def test_newton_takes_columns_as_other_people_have_them(kind, loss, penalty):
    program = real_program(loss, penalty, kind in ("far from 0", "of all sizes"), awkward(kind))
    solution = bd.solve(program, "newton", gap=1e-8)
    assert solution.status is bd.Status.CERTIFIED, str(solution)


@pytest.mark.parametrize("seed", [2, 8])
def test_fits_do_not_drift_from_weights_where_losses_are_flat(seed):
    # long steps that cost nothing once led newton away from both of these for good
    rng = np.random.default_rng(seed)
    rng.normal(size=(25, 60))
    dense = rng.normal(size=(25, 4)) @ rng.normal(size=(4, 60))
    program = real_program("hinge", "l1", seed == 2, dense, share=0.02, seed=seed)
    solution = bd.solve(program, "newton", gap=1e-8)
    assert solution.status is bd.Status.CERTIFIED, str(solution)


@pytest.mark.parametrize("size", [1e-8, 1.0, 1e8])
def test_a_constant_column_beside_an_intercept_leaves_lambda_max_at_0(size):
    y = np.random.default_rng(0).normal(size=50)
    for value in (size, size / 3, -size / 7):
        D = bd.DenseMatrix(np.full((50, 1), value))
        assert bd.ConvexProgram(D, y, "squared", 0.0, intercept=True).lambda_max == 0
        # and without one it is what it is
        program = bd.ConvexProgram(D, y, "squared", 0.0)
        assert program.lambda_max == pytest.approx(abs(value * y.sum()) / 50, rel=1e-13)


def test_units_change_no_bit_of_an_answer():
    dense = np.random.default_rng(3).normal(size=(30, 10))
    program = real_program("squared", "l1", True, 300.0 * dense)
    units = Units.of(program)
    assert units.size == 256
    np.testing.assert_array_equal(units.program.design.to_dense(), 300.0 * dense / 256)
    solution = bd.solve(program)
    assert solution.program is program
    again = bd.certify(program, solution)
    assert (again.primal, again.dual, again.absolute_gap) == (
        solution.certificate.primal,
        solution.certificate.dual,
        solution.certificate.absolute_gap,
    )
    # and what needs none is not copied for one
    for near in (RANDOM["hinge, l1, 1 outputs"], real_program("squared", "l1", True, 3.0 * dense)):
        assert Units.of(near).program is near
    empty = bd.ConvexProgram(bd.DenseMatrix(np.zeros((3, 2))), [1.0, 2.0, 4.0])
    assert Units.of(empty).program is empty
    tiny = Units.of(empty.over(bd.DenseMatrix(np.full((3, 2), 2.0**-600))))
    assert tiny.size == 2.0**-600


@pytest.mark.parametrize("backend", ["newton", "admm", "clarabel"])
def test_paths_and_warm_starts_go_over_a_real_design(backend):
    program = whole("squared, l1, intercept")
    strengths = np.array([0.9, 0.3, 0.1]) * program.lambda_max
    for solution, strength in zip(bd.path(program, strengths, backend), strengths, strict=True):
        assert solution.status is bd.Status.CERTIFIED
        fresh = bd.solve(program.with_strength(strength), gap=1e-8).certificate
        assert abs(solution.certificate.primal - fresh.primal) <= 1.1e-6 * program.reference
    again = bd.solve(solution.program, backend, warm_start=solution)
    assert again.message == "the warm start meets the asked gap"


def test_a_wide_answer_is_pruned_to_the_rank_of_its_atoms():
    rng = np.random.default_rng(4)
    dense = rng.normal(size=(4, 12)) * 10.0 ** rng.uniform(-2, 2, 12)
    program = real_program("squared", "l1", False, dense, outputs=1, share=0.01)
    W = units(dense) * rng.normal(size=(12, 1))
    solution = bd.solve(program, gap=1e-6)
    pruned = replace(solution, weights=W).prune()
    assert pruned.active.size == 4 == pruned.support_rank
    assert program.primal(pruned.weights) <= program.primal(W) * (1 + 1e-12)
    np.testing.assert_allclose(dense @ pruned.weights, dense @ W, rtol=0, atol=1e-12)


def test_what_rounding_may_add_to_an_objective_knows_no_signs():
    rng = np.random.default_rng(5)
    dense, W, b = np.abs(rng.normal(size=(6, 9))), np.abs(rng.normal(size=(9, 1))), np.zeros(1)
    program = real_program("squared", "l1", False, dense, outputs=1)
    mirrored = program.over(bd.DenseMatrix(-dense))
    value, error = objective_rounding(program, W, b)
    assert objective_rounding(mirrored, -W, b) == (value, error)
    assert error > 0


# refusals


def test_lasso_says_that_it_wants_zeros_and_ones():
    program = whole("squared, l1, plain")
    with pytest.raises(bd.ProgramNotAccepted, match=r"^backend lasso: takes 0/1 designs only"):
        bd.solve(program, "lasso")


def test_exact_certificates_want_a_0_1_design():
    solution = answer("newton", "squared, l1, plain")
    said = r"^program: expected a 0/1 design.*for an exact certificate, got DenseMatrix\(20 x 9\)"
    with pytest.raises(ValueError, match=said):
        bd.certify(whole("squared, l1, plain"), solution, exact=True)


@pytest.mark.parametrize("design", [np.eye(3), np.eye(3).tolist(), "design", None])
def test_a_design_is_a_matrix_of_ours(design):
    with pytest.raises(
        TypeError,
        match=r"^design: expected a BinaryMatrix or DenseMatrix, got .*DenseMatrix for others$",
    ):
        bd.ConvexProgram(design, [1.0, 2.0, 3.0])


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_a_real_design_without_rows_or_atoms_is_refused_by_name(shape):
    D = bd.DenseMatrix(np.zeros(shape))
    with pytest.raises(ValueError, match=r"^design: expected at least one row and one atom, got D"):
        bd.ConvexProgram(D, np.zeros(shape[0]))
