"""A certificate's gap is primal minus dual, its V feasible, and nothing makes it promise more."""

import functools
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog, minimize

import bidual as bd

some = settings(deadline=None, max_examples=40)
each_loss = pytest.mark.parametrize("loss", bd.LOSSES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])

# conjugates of the losses that rational numbers can tell: a loss and (a loss)*(-v)
EXACT = {
    "squared": (
        lambda z, y: (z - y) ** 2 / 2,
        lambda v, y, a: v**2 / (2 * a) - v * y if a else Fraction(0),
    ),
    "hinge": (lambda z, y: max(Fraction(0), 1 - y * z), lambda v, y, a: -v * y),
}
# half a unit in the last place of a sum of some 50 terms; far below what any test may miss
ROUNDING = 1e-14


def exact_values(program, W, b, V):
    """Primal and dual of each output in exact arithmetic, from the definition."""
    loss, conjugate = EXACT[program.loss.name]
    D = program.design.to_dense().astype(bool)
    primals, duals = [], []
    for c in range(program.outputs):
        w = [Fraction(number) for number in W[:, c]]
        primal = Fraction(program.strength) * sum(map(abs, w))
        dual = Fraction(0)
        for i, row in enumerate(D):
            z = sum((w[j] for j in np.flatnonzero(row)), Fraction(b[c]))
            y, a = Fraction(program.target[i, c]), Fraction(program.row_weights[i])
            primal += a * loss(z, y)
            dual -= conjugate(Fraction(V[i, c]), y, a)
        primals.append(primal)
        duals.append(dual)
    return primals, duals


def small_program(loss, intercept, outputs=1, seed=0, rows=8, atoms=3, share=0.4):
    rng = np.random.default_rng([seed, rows, atoms])
    D = bd.BinaryMatrix.from_dense(rng.random((rows, atoms)) < 0.5)
    y = rng.normal(size=(rows, outputs)) + 0.5
    if bd.LOSSES[loss].labels:
        y = np.where(y > 0, 1.0, -1.0)
        y[:2] = [[1.0], [-1.0]]
    a = rng.uniform(0.1, 1.0, rows)
    a[-1] = 0.0
    program = bd.ConvexProgram(D, y, loss, 0.0, a, intercept)
    return program.with_strength(share * program.lambda_max)


def draw_answer(data, program, size=3.0):
    numbers = st.floats(-size, size, width=16)
    shape = program.design.shape[1], program.outputs
    W = data.draw(arrays(float, shape, elements=numbers | st.just(0.0)), label="W")
    b = data.draw(arrays(float, program.outputs, elements=numbers), label="b")
    return W, b * program.intercept


def draw_dual(data, program, size=10.0):
    numbers = st.floats(-size, size, width=16)
    return data.draw(st.none() | arrays(float, program.target.shape, elements=numbers), label="V")


@pytest.mark.parametrize("loss", EXACT)
@each_intercept
@some
@given(seed=st.integers(0, 9), outputs=st.integers(1, 3), data=st.data())
def test_gap_is_primal_minus_dual_in_exact_arithmetic(loss, intercept, seed, outputs, data):
    program = small_program(loss, intercept, outputs, seed)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    primals, duals = exact_values(program, W, b, certificate.dual_point)
    for c in range(outputs):
        assert certificate.primals[c] == pytest.approx(float(primals[c]), rel=1e-12)
        assert certificate.gaps[c] == pytest.approx(float(primals[c] - duals[c]), rel=0, abs=1e-12)
    assert certificate.primal == pytest.approx(float(sum(primals)), rel=1e-12)
    assert certificate.dual == pytest.approx(float(sum(duals)), rel=0, abs=1e-12)


@each_loss
@each_intercept
@some
@given(seed=st.integers(0, 9), outputs=st.integers(1, 3), data=st.data())
def test_dual_point_is_feasible_and_its_value_is_the_dual(loss, intercept, seed, outputs, data):
    program = small_program(loss, intercept, outputs, seed)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    value = program.dual(certificate.dual_point)
    assert np.isfinite(value)
    room = ROUNDING * (1 + certificate.primal)
    assert certificate.dual == pytest.approx(value, rel=0, abs=room)
    assert certificate.primal == pytest.approx(program.primal(W, b), rel=ROUNDING)
    assert certificate.primal - certificate.dual == pytest.approx(certificate.gap, abs=room)
    assert certificate.primals.sum() == pytest.approx(certificate.primal, rel=ROUNDING)
    assert certificate.gaps.sum() == pytest.approx(certificate.gap, rel=ROUNDING, abs=1e-300)
    assert certificate.dual_point.shape == program.target.shape


@each_loss
@each_intercept
@settings(deadline=None, max_examples=80)
@given(seed=st.integers(0, 9), data=st.data())
def test_gap_is_never_negative(loss, intercept, seed, data):
    program = small_program(loss, intercept, 1, seed)
    program = program.with_strength(data.draw(st.sampled_from([0.0, 0.1, 1.0, 2.0])))
    W, b = draw_answer(data, program)
    certificate = bd.certify(program, weights=W, intercept=b)
    assert certificate.gap >= 0
    assert certificate.relative_gap >= 0
    assert certificate.gap <= certificate.primal


@each_loss
def test_gap_of_an_optimum_is_zero_and_not_below(loss):
    # W = 0 and b0 are optimal where the one atom is what the intercept does for nothing
    D = bd.BinaryMatrix.from_dense(np.ones((6, 1)))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        y = np.where(rng.random(6) < 0.5, 1.0, -1.0)
        y[:2] = 1.0, -1.0
        program = bd.ConvexProgram(D, y, loss, 0.1, rng.random(6), intercept=True)
        certificate = bd.certify(program, weights=[0.0], intercept=program.null_intercept)
        assert 0 <= certificate.gap <= ROUNDING * program.reference


def soft(values, step):
    return np.sign(values) * np.maximum(np.abs(values) - step, 0.0)


@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 1.0, 2.0])
def test_soft_thresholding_of_orthogonal_columns_is_certified_optimal(share):
    # columns with disjoint rows: w_j = soft(sum a_i y_i, strength) / sum a_i over the rows of j
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(5), [1, 4, 2, 6, 3])
    D = (groups[:, None] == np.arange(5)).astype(float)
    y, a = rng.normal(size=(16, 3)), rng.uniform(0.1, 1.0, 16)
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(D), y, "squared", 0.0, a)
    program = program.with_strength(share * program.lambda_max)
    W = soft(D.T @ (a[:, None] * y), program.strength) / (D.T @ a)[:, None]
    certificate = bd.certify(program, weights=W)
    # at strength 0, rounding of prices next to 0 shrinks V by any factor: V = 0 is all there is
    if share > 0:
        assert certificate.gap <= 1e-12 * program.reference
        for c in range(3):
            assert certificate.gaps[c] <= 1e-12 * program.reference
    else:
        assert 0 <= certificate.gap <= certificate.primal


@pytest.mark.parametrize("strength", [0.01, 0.1, 0.3])
def test_log_odds_of_one_column_are_certified_optimal(strength):
    # all-ones column: P sigmoid(-w) - N sigmoid(w) = strength, for weights P > N of the classes
    y, a = np.array([1.0, 1.0, -1.0, 1.0]), np.array([0.4, 0.3, 0.2, 0.1])
    P, N = 0.8, 0.2
    share = (strength + N) / (P + N)
    w = np.log((1 - share) / share)
    D = bd.BinaryMatrix.from_dense(np.ones((4, 1)))
    program = bd.ConvexProgram(D, y, "logistic", strength, a)
    certificate = bd.certify(program, weights=[w])
    assert certificate.gap <= ROUNDING * program.reference
    expected = P * np.log1p(np.exp(-w)) + N * np.log1p(np.exp(w)) + strength * w
    assert certificate.primal == pytest.approx(expected, rel=1e-14)
    # and an intercept does the same work without the penalty: w = 0 then
    freed = bd.ConvexProgram(D, y, "logistic", strength, a, intercept=True)
    certificate = bd.certify(freed, weights=[0.0], intercept=np.log(P / N))
    assert certificate.gap <= ROUNDING * freed.reference


@pytest.mark.parametrize("strength", [0.01, 0.3, 0.59])
def test_hinge_of_one_column_is_certified_optimal_by_its_own_dual_point(strength):
    # w = 1 puts all of class +1 on the kink, where only a given V can tell the right slopes
    y, a = np.array([1.0, 1.0, -1.0, 1.0]), np.array([0.4, 0.3, 0.2, 0.1])
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(np.ones((4, 1))), y, "hinge", strength, a)
    V = np.where(y > 0, a * (strength + 0.2) / 0.8, -a)
    certificate = bd.certify(program, weights=[1.0], dual_point=V)
    assert certificate.primal == pytest.approx(0.4 + strength, rel=1e-14)
    assert 0 <= certificate.gap <= ROUNDING
    np.testing.assert_allclose(certificate.dual_point[:, 0], V, rtol=1e-12)
    # without it the residual knows no slope at the kink, and proves next to nothing
    assert bd.certify(program, weights=[1.0]).gap > 0.1


def best_bound(program, c, candidate):
    """Dual value of one output at a candidate, shrunk to feasibility; computed apart."""
    part = program.select([c])
    v = part.into_domain(candidate[:, [c]])
    largest = np.abs(program.design.to_dense().T @ v).max()
    v = v * min(1.0, part.strength / largest) if largest > 0 else v
    return part.dual(v * (1 - 1e-15))


@each_loss
@each_intercept
@some
@given(seed=st.integers(0, 9), outputs=st.integers(1, 3), data=st.data())
def test_the_best_of_three_bounds_counts_for_every_output(loss, intercept, seed, outputs, data):
    program = small_program(loss, intercept, outputs, seed)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    residual = program.dual_at(program.affine(W, b))
    for c in range(outputs):
        bounds = [0.0, best_bound(program, c, residual)]
        if V is not None:
            bounds.append(best_bound(program, c, V))
        found = certificate.primals[c] - certificate.gaps[c]
        assert found == pytest.approx(max(bounds), rel=0, abs=1e-12 * (1 + certificate.primals[c]))


def test_each_output_takes_the_candidate_that_suits_it():
    program = small_program("squared", False, 3, seed=2)
    # duals are within the square root of the gap of each other
    solution = bd.solve(program, "lasso", gap=1e-13)
    W, V = solution.weights.copy(), solution.dual_point.copy()
    garbage = -50.0 * V
    W[:, 1] += 1e-3  # off the optimum: the given V is better than the residual
    W[:, 2] = 100.0 * np.sign(V[:, 2].sum())  # so far past the targets that V = 0 is best
    offered = np.column_stack([garbage[:, 0], V[:, 1], garbage[:, 2]])
    certificate = bd.certify(program, weights=W, dual_point=offered)
    np.testing.assert_allclose(certificate.dual_point[:, 0], V[:, 0], atol=1e-6)
    np.testing.assert_allclose(certificate.dual_point[:, 1], V[:, 1], rtol=1e-12)
    assert not certificate.dual_point[:, 2].any()
    assert certificate.gaps[2] == certificate.primals[2]
    assert certificate.gaps[0] <= 1e-9 * program.reference


WRONG = {
    "sign flipped": np.negative,
    "scaled by sqrt 2": lambda W: np.sqrt(2) * W,
    "transposed": np.transpose,
    "atoms shifted by one": lambda W: np.roll(W, 1, axis=0),
    "one entry lost": lambda W: np.where(np.abs(W) == np.abs(W).max(), 0.0, W),
    "outputs reversed": lambda W: W[:, ::-1],
}


@each_loss
@each_intercept
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_weights_have_a_large_gap_even_with_the_right_dual_point(loss, intercept, wrong):
    # as many outputs as atoms, so that a transposed answer fits; targets that atoms do explain
    rng = np.random.default_rng(5)
    D = rng.integers(0, 2, (40, 4))
    y = D @ rng.normal(size=(4, 4)) + 0.3 * rng.normal(size=(40, 4))
    y = np.where(y > np.median(y, axis=0), 1.0, -1.0) if bd.LOSSES[loss].labels else y
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(D), y, loss, 0.02, intercept=intercept)
    solution = bd.solve(program, gap=1e-7)
    assert solution.status is bd.Status.CERTIFIED
    certificate = bd.certify(
        program,
        weights=wrong(solution.weights),
        intercept=solution.intercept,
        dual_point=solution.dual_point,
    )
    assert certificate.relative_gap > 1e-3
    # and it is the truth, not pessimism: the objective is that much higher
    excess = certificate.primal - solution.certificate.primal
    assert certificate.gap == pytest.approx(excess, rel=1e-4)


def lasso_optimum(program):
    """Over all sign patterns: each pattern's stationary point is some W, and one is the best."""
    n, atoms = program.design.shape
    D = np.column_stack([program.design.to_dense(), np.ones(n)[:, None]])
    A = program.row_weights[:, None] * D
    best = np.inf
    for code in range(3**atoms):
        signs = np.array([code // 3**j % 3 - 1.0 for j in range(atoms)])
        support = np.flatnonzero(np.append(signs, program.intercept))
        x = np.zeros(atoms + 1)
        pull = A.T @ program.target[:, 0] - program.strength * np.append(signs, 0.0)
        gram = (A.T @ D)[np.ix_(support, support)]
        x[support] = np.linalg.lstsq(gram, pull[support], rcond=None)[0]
        best = min(best, program.primal(x[:-1], x[-1]))
    return best


def hinge_optimum(program):
    """A linear program in w+, w-, b+, b- and the losses."""
    n, atoms = program.design.shape
    D, y = program.design.to_dense(), program.target
    shift = np.ones((n, 1)) * program.intercept
    margins = -y * np.hstack([D, -D, shift, -shift])
    cost = np.r_[np.full(2 * atoms, program.strength), 0.0, 0.0, program.row_weights]
    solved = linprog(cost, A_ub=np.hstack([margins, -np.eye(n)]), b_ub=-np.ones(n))
    assert solved.status == 0
    return solved.fun


def smooth_optimum(program):
    """L-BFGS-B on w+, w- >= 0 and b: an upper bound on the optimum, a close one."""
    atoms = program.design.shape[1]

    def parts(x):
        return x[:atoms] - x[atoms : 2 * atoms], x[-1] * program.intercept

    def slope(x):
        w, b = parts(x)
        fit = program.affine(w[:, None], np.array([b]))
        g = program.row_weights[:, None] * program.loss.gradient(fit, program.target)
        prices = program.design.rmatvec(g)[:, 0]
        downhill = np.r_[prices + program.strength, -prices + program.strength]
        return np.r_[downhill, g.sum() * program.intercept]

    solved = minimize(
        lambda x: program.primal(*parts(x)),
        np.zeros(2 * atoms + 1),
        jac=slope,
        bounds=[(0, None)] * 2 * atoms + [(None, None)],
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    return program.primal(*parts(solved.x))


OPTIMA = {"squared": lasso_optimum, "hinge": hinge_optimum, "logistic": smooth_optimum}


@functools.cache
def solved_programs(loss, intercept):
    """Three programs, each with its optimum by another method and its certified solution."""
    programs = [small_program(loss, intercept, 1, seed) for seed in range(3)]
    return [(p, OPTIMA[loss](p), bd.solve(p, gap=1e-9)) for p in programs]


@each_loss
@each_intercept
def test_a_certified_optimum_is_the_optimum_of_another_method(loss, intercept):
    for program, optimum, solution in solved_programs(loss, intercept):
        room = solution.certificate.gap + 1e-12 * program.reference
        # what L-BFGS-B leaves is within its own tolerance, not within ours
        slack = 1e-7 * program.reference if OPTIMA[loss] is smooth_optimum else 0.0
        assert solution.certificate.primal <= optimum + room
        assert solution.certificate.dual >= optimum - room - slack


@each_loss
@each_intercept
@settings(deadline=None, max_examples=80)
@given(data=st.data())
def test_no_dual_point_proves_more_than_the_truth(loss, intercept, data):
    program, optimum, solution = data.draw(st.sampled_from(solved_programs(loss, intercept)))
    W, b = draw_answer(data, program)
    near = data.draw(st.floats(0.25, 4.0)) * solution.dual_point
    noise = draw_dual(data, program)
    for V in (near, noise, near if noise is None else near + 0.01 * noise):
        certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
        assert certificate.dual <= optimum + 1e-12 * program.reference
        assert certificate.gap >= certificate.primal - optimum - 1e-12 * program.reference


@each_loss
@each_intercept
def test_a_dual_point_that_is_too_long_is_shrunk_to_the_same_proof(loss, intercept):
    for program, _, solution in solved_programs(loss, intercept):
        W, b = np.zeros(program.design.shape[1]), np.zeros(1)
        right = bd.certify(program, weights=W, intercept=b, dual_point=solution.dual_point)
        assert right.dual >= solution.certificate.dual - 1e-12 * program.reference


@each_loss
@each_intercept
def test_strength_zero_is_bounded_below_by_zero_or_better(loss, intercept):
    program = small_program(loss, intercept, 2, seed=1).with_strength(0.0)
    rng = np.random.default_rng(0)
    for W in (np.zeros((3, 2)), rng.normal(size=(3, 2))):
        with np.errstate(all="raise", under="ignore"):
            certificate = bd.certify(program, weights=W)
        assert 0 <= certificate.dual <= certificate.primal
        assert np.isfinite(certificate.relative_gap)
        assert np.isfinite(program.dual(certificate.dual_point))


def test_strength_zero_can_be_certified_where_prices_vanish_exactly():
    # V = (1, -1) / 2 has price 0 on the one atom: the residual proves the least squares fit
    D = bd.BinaryMatrix.from_dense([[1], [1]])
    program = bd.ConvexProgram(D, [3.0, 1.0], "squared", 0.0)
    certificate = bd.certify(program, weights=[2.0])
    assert certificate.primal == certificate.dual == 0.5
    assert certificate.gap == 0.0


@each_loss
@each_intercept
@pytest.mark.parametrize("factor", [1.0, 1.5, 1e6])
def test_zero_is_certified_from_lambda_max_on(loss, intercept, factor):
    for seed in range(5):
        program = small_program(loss, intercept, 2, seed, share=factor)
        certificate = bd.certify(
            program, weights=np.zeros((3, 2)), intercept=program.null_intercept
        )
        assert certificate.relative_gap <= 1e-12


def test_relative_gap_where_the_reference_is_zero():
    D = bd.BinaryMatrix.from_dense([[1], [1]])
    squared = bd.ConvexProgram(D, [0.0, 0.0], "squared", 0.5)
    assert squared.reference == 0
    assert bd.certify(squared, weights=[0.0]).relative_gap == 0.0
    assert bd.certify(squared, weights=[1e-3]).relative_gap == np.inf
    hinge = bd.ConvexProgram(D, [-1.0, -1.0], "hinge", 0.5, intercept=True)
    assert hinge.reference == 0
    assert bd.certify(hinge, weights=[0.0], intercept=-1.0).relative_gap == 0.0
    assert bd.certify(hinge, weights=[0.0], intercept=-0.5).relative_gap == np.inf


@each_loss
@each_intercept
@pytest.mark.parametrize("factor", [2.0**-20, 3.7, 1e6])
def test_relative_gap_does_not_depend_on_the_unit_of_the_objective(loss, intercept, factor):
    rng = np.random.default_rng(1)
    program = small_program(loss, intercept, 2, seed=3)
    scaled = bd.ConvexProgram(
        program.design,
        program.target,
        loss,
        factor * program.strength,
        factor * program.row_weights,
        intercept,
    )
    W, b = rng.normal(size=(3, 2)), rng.normal(size=2) * intercept
    V = program.dual_at(rng.normal(size=program.target.shape))
    one = bd.certify(program, weights=W, intercept=b, dual_point=V)
    other = bd.certify(scaled, weights=W, intercept=b, dual_point=factor * V)
    assert other.relative_gap == pytest.approx(one.relative_gap, rel=1e-13, abs=0)
    assert other.gap == pytest.approx(factor * one.gap, rel=1e-13, abs=0)
    assert other.primal == pytest.approx(factor * one.primal, rel=1e-13, abs=0)
    np.testing.assert_allclose(other.dual_point, factor * one.dual_point, rtol=1e-12, atol=1e-300)


def test_gap_keeps_digits_that_primal_minus_dual_loses():
    # |y|^2 = 3e6, almost all of it on rows that no atom holds, and a gap of 1e-3: each of
    # primal and dual is 1.5e6, whose last bit alone is 2e-10
    rng = np.random.default_rng(0)
    held, n, atoms = 60, 200, 20
    D = np.zeros((n, atoms))
    D[:held] = rng.random((held, atoms)) < 0.3
    y = rng.normal(size=n)
    y[held:] *= np.sqrt(3e6 / (y[held:] @ y[held:]))
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(D), y, "squared", 0.0, np.ones(n))
    program = program.with_strength(0.05 * program.lambda_max)
    solution = bd.solve(program, gap=1e-15)
    W = np.round(solution.weights, 2)
    certificate = bd.certify(program, weights=W, dual_point=solution.dual_point)
    (primal,), (dual,) = exact_values(program, W, [0.0], certificate.dual_point)
    exact = float(primal - dual)
    assert 1e-4 < exact < 1e-2
    assert primal > 10**6
    assert certificate.gap == pytest.approx(exact, rel=1e-10, abs=0)
    difference = program.primal(W) - program.dual(certificate.dual_point)
    assert abs(difference - exact) > 1e-9 * exact


@each_loss
@each_intercept
def test_a_solution_is_certified_as_its_parts_are(loss, intercept):
    program = small_program(loss, intercept, 2, seed=6)
    solution = bd.solve(program, gap=1e-6)
    whole = bd.certify(program, solution)
    parts = bd.certify(
        program,
        weights=solution.weights,
        intercept=solution.intercept,
        dual_point=solution.dual_point,
    )
    assert (whole.primal, whole.gap, whole.relative_gap) == (
        parts.primal,
        parts.gap,
        parts.relative_gap,
    )
    np.testing.assert_array_equal(whole.dual_point, parts.dual_point)
    assert whole.relative_gap == whole.gap / program.reference


def test_one_number_is_the_intercept_of_every_output():
    program = small_program("squared", True, 3)
    W = np.ones((3, 3))
    one = bd.certify(program, weights=W, intercept=0.25)
    all_three = bd.certify(program, weights=W, intercept=[0.25, 0.25, 0.25])
    assert one.primal == all_three.primal == pytest.approx(program.primal(W, 0.25), rel=1e-14)


def test_arguments_are_left_alone():
    program = small_program("squared", True, 2)
    W, b, V = np.ones((3, 2)), np.ones(2), np.full((8, 2), 9.0)
    bd.certify(program, weights=W, intercept=b, dual_point=V)
    assert (W == 1.0).all()
    assert (b == 1.0).all()
    assert (V == 9.0).all()


def test_an_objective_beyond_the_largest_float_leaves_a_bound_that_is_a_number():
    program = small_program("squared", False)
    with np.errstate(over="ignore", invalid="ignore"):
        certificate = bd.certify(program, weights=[1e200, 0.0, 0.0])
    assert certificate.primal == np.inf
    assert certificate.gap == np.inf
    assert not np.isnan(certificate.dual)


def test_bad_weights_do_not_swallow_the_digits_of_a_good_bound():
    program = small_program("squared", False)
    solution = bd.solve(program, gap=1e-10)
    best = solution.certificate.dual
    for size in (1e4, 1e6):
        worse = bd.certify(program, weights=solution.weights + size, dual_point=solution.dual_point)
        assert worse.dual == pytest.approx(best, rel=1e-12)


def test_bound_stands_where_targets_are_far_from_zero():
    # sums of V vanish but for rounding, which an offset of 1e8 must not multiply
    program = small_program("squared", True)
    far = bd.ConvexProgram(
        program.design, program.target + 1e8, "squared", program.strength, program.row_weights, True
    )
    optimum = bd.solve(program, gap=1e-12).certificate.primal
    solution = bd.solve(far, gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED
    assert solution.certificate.dual <= optimum + 1e-7
    assert solution.certificate.dual == pytest.approx(optimum, abs=1e-6)


def test_weights_in_the_place_of_a_solution_are_refused_with_the_way_out():
    program = small_program("squared", False)
    with pytest.raises(ValueError, match=r"^solution: .*weights=\.\.\."):
        bd.certify(program, np.zeros((3, 1)))


def test_parts_beside_a_solution_are_refused():
    program = small_program("squared", True)
    solution = bd.solve(program)
    for part in ({"intercept": 0.0}, {"dual_point": solution.dual_point}):
        with pytest.raises(ValueError, match=r"^intercept, dual_point: expected beside weights"):
            bd.certify(program, solution, **part)


def test_neither_and_both_of_solution_and_weights_are_refused():
    program = small_program("squared", False)
    solution = bd.solve(program)
    for arguments in ({}, {"dual_point": np.zeros(8)}):
        with pytest.raises(ValueError, match=r"^solution, weights: expected exactly one"):
            bd.certify(program, **arguments)
    with pytest.raises(ValueError, match=r"^solution, weights: expected exactly one"):
        bd.certify(program, solution, weights=solution.weights)


@pytest.mark.parametrize(
    ("named", "value"),
    [
        ("weights", np.zeros(3)),
        ("weights", np.zeros((2, 3))),
        ("weights", np.zeros((4, 2))),
        ("weights", np.zeros((3, 1))),
        ("weights", 0.0),
        ("weights", np.array([[0.0, 0.0], [0.0, np.nan], [0.0, 0.0]])),
        ("weights", np.array([[0.0, 0.0], [0.0, -np.inf], [0.0, 0.0]])),
        ("intercept", np.zeros(3)),
        ("intercept", np.zeros((2, 1))),
        ("intercept", np.nan),
        ("intercept", [0.0, np.inf]),
        ("dual_point", np.zeros(8)),
        ("dual_point", np.zeros((2, 8))),
        ("dual_point", np.zeros((7, 2))),
        ("dual_point", np.full((8, 2), np.nan)),
        ("dual_point", np.full((8, 2), np.inf)),
    ],
)
def test_bad_parts_are_refused_by_name(named, value):
    program = small_program("squared", True, 2)
    good = {"weights": np.zeros((3, 2)), "intercept": np.zeros(2), "dual_point": np.zeros((8, 2))}
    bd.certify(program, **good)
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        bd.certify(program, **{**good, named: value})


@pytest.mark.parametrize("intercept", [1e-300, [0.0, 0.5], -1.0])
def test_an_intercept_is_refused_where_the_program_has_none(intercept):
    program = small_program("squared", False, 2)
    bd.certify(program, weights=np.zeros((3, 2)), intercept=[0.0, 0.0])
    with pytest.raises(ValueError, match=r"^intercept: expected none"):
        bd.certify(program, weights=np.zeros((3, 2)), intercept=intercept)
