"""A certificate's gap is primal minus dual, its V feasible, and nothing makes it promise more."""

import functools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog, minimize
from targets_for import outputs_for, targets_for

import bidual as bd
from bidual.certificates.certify import certify_priced

from covering import examples
from exact_values import exact_dual, exact_primal

some = examples(20)
each_loss = pytest.mark.parametrize("loss", bd.LOSSES)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])

# half a unit in the last place of a sum of some 50 terms; far below what any test may miss
ROUNDING = 1e-14


def small_program(loss, intercept, outputs=1, seed=0, rows=8, atoms=3, share=0.4, penalty="l1"):
    outputs = outputs_for(loss, outputs)
    rng = np.random.default_rng([seed, rows, atoms])
    D = bd.BinaryMatrix.from_dense(rng.random((rows, atoms)) < 0.5)
    y = rng.normal(size=(rows, outputs)) + 0.5
    if bd.LOSSES[loss].labels:
        y[:2] = [[1.0], [-1.0]]
    a = rng.uniform(0.1, 1.0, rows)
    a[-1] = 0.0
    program = bd.ConvexProgram(D, targets_for(loss, y), loss, 0.0, a, intercept, penalty=penalty)
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


SEEDS, OUTPUTS = st.integers(0, 9), st.integers(1, 3)


@each_loss
@each_penalty
@each_intercept
@examples(12)
@given(seed=SEEDS, outputs=OUTPUTS, data=st.data())
def test_gap_is_primal_minus_dual_in_exact_arithmetic(
    loss, penalty, intercept, seed, outputs, data
):
    program = small_program(loss, intercept, outputs, seed, penalty=penalty)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    primals, duals = [], []
    for k, block in enumerate(map(list, program.blocks)):
        part = program.select(block)
        primals.append(exact_primal(part, W[:, block], b[block]))
        # the dual is moved by its rounding to where it is feasible to the last digit
        duals.append(exact_dual(part, certificate.dual_point[:, block]))
        assert certificate.primals[k] == pytest.approx(float(primals[k]), rel=1e-12)
        gap = float(primals[k] - duals[k])
        assert certificate.absolute_gaps[k] == pytest.approx(gap, rel=0, abs=1e-12)
    assert certificate.primal == pytest.approx(float(sum(primals)), rel=1e-12)
    assert certificate.dual == pytest.approx(float(sum(duals)), rel=0, abs=1e-12)
    assert certificate.absolute_gap == pytest.approx(
        float(sum(primals) - sum(duals)), rel=0, abs=1e-12
    )


@each_loss
@each_penalty
@each_intercept
@some
@given(seed=SEEDS, outputs=OUTPUTS, data=st.data())
def test_dual_point_is_feasible_and_its_value_is_the_dual(
    loss, penalty, intercept, seed, outputs, data
):
    program = small_program(loss, intercept, outputs, seed, penalty=penalty)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    value = program.dual(certificate.dual_point)
    assert np.isfinite(value)
    room = ROUNDING * (1 + certificate.primal)
    assert certificate.dual == pytest.approx(value, rel=0, abs=room)
    assert certificate.primal == pytest.approx(program.primal(W, b), rel=ROUNDING)
    assert certificate.primal - certificate.dual == pytest.approx(
        certificate.absolute_gap, abs=room
    )
    assert certificate.primals.shape == certificate.absolute_gaps.shape == (len(program.blocks),)
    assert certificate.primals.sum() == pytest.approx(certificate.primal, rel=ROUNDING)
    assert certificate.absolute_gaps.sum() == pytest.approx(
        certificate.absolute_gap, rel=ROUNDING, abs=1e-300
    )
    assert certificate.dual_point.shape == program.target.shape


@pytest.mark.parametrize(("loss", "penalty"), [("squared", "group"), ("softmax", "l1")])
def test_a_coupled_program_is_one_block(loss, penalty):
    program = small_program(loss, True, 3, penalty=penalty)
    rng = np.random.default_rng(0)
    certificate = bd.certify(program, weights=rng.normal(size=(3, 3)), intercept=rng.normal(size=3))
    assert certificate.absolute_gaps.tolist() == [certificate.absolute_gap]
    assert certificate.primals.tolist() == [certificate.primal]
    # V is shrunk as a whole: prices are at the strength in their largest norm only
    prices = program.design.to_dense().T @ certificate.dual_point
    norms = np.abs(prices) if penalty == "l1" else np.linalg.norm(prices, axis=1)
    assert norms.max() == pytest.approx(program.strength, rel=1e-12)
    assert certificate.absolute_gap < certificate.primal


@each_loss
@each_penalty
@each_intercept
@some
@given(seed=SEEDS, data=st.data())
def test_gap_is_never_negative(loss, penalty, intercept, seed, data):
    program = small_program(loss, intercept, 2, seed, penalty=penalty)
    program = program.with_strength(data.draw(st.sampled_from([0.0, 0.1, 1.0, 2.0])))
    W, b = draw_answer(data, program)
    certificate = bd.certify(program, weights=W, intercept=b)
    assert (certificate.absolute_gaps >= 0).all()
    assert certificate.relative_gap >= 0
    assert (certificate.absolute_gaps <= certificate.primals).all()


@each_loss
def test_gap_of_an_optimum_is_zero_and_not_below(loss):
    # W = 0 and b0 are optimal where the one atom is what the intercept does for nothing
    D = bd.BinaryMatrix.from_dense(np.ones((6, 1)))
    for seed in range(40):
        rng = np.random.default_rng(seed)
        numbers = np.where(rng.random(6) < 0.5, 1.0, -1.0)
        numbers[:2] = 1.0, -1.0
        y = targets_for(loss, numbers[:, None] * np.linspace(1, -1, outputs_for(loss, 1)))
        program = bd.ConvexProgram(D, y, loss, 0.1, rng.random(6), intercept=True)
        W = np.zeros((1, program.outputs))
        certificate = bd.certify(program, weights=W, intercept=program.null_intercept)
        assert 0 <= certificate.absolute_gap <= ROUNDING * program.reference


def soft(values, step, penalty):
    sizes = np.abs(values) if penalty == "l1" else np.linalg.norm(values, axis=1, keepdims=True)
    return values * np.maximum(1 - step / sizes, 0.0)


@each_penalty
@pytest.mark.parametrize("share", [0.0, 0.01, 0.3, 0.9, 1.0, 2.0])
def test_soft_thresholding_of_orthogonal_columns_is_certified_optimal(penalty, share):
    # columns with disjoint rows: w_j = soft(sum a_i y_i, strength) / sum a_i over the rows of j
    rng = np.random.default_rng(4)
    groups = np.repeat(np.arange(5), [1, 4, 2, 6, 3])
    D = (groups[:, None] == np.arange(5)).astype(float)
    y, a = rng.normal(size=(16, 3)), rng.uniform(0.1, 1.0, 16)
    D_packed = bd.BinaryMatrix.from_dense(D)
    program = bd.ConvexProgram(D_packed, y, "squared", 0.0, a, penalty=penalty)
    program = program.with_strength(share * program.lambda_max)
    W = soft(D.T @ (a[:, None] * y), program.strength, penalty) / (D.T @ a)[:, None]
    certificate = bd.certify(program, weights=W)
    # at strength 0, rounding of prices next to 0 shrinks V by any factor: V = 0 is all there is
    if share > 0:
        assert certificate.absolute_gap <= 1e-12 * program.reference
        assert (certificate.absolute_gaps <= 1e-12 * program.reference).all()
    else:
        assert 0 <= certificate.absolute_gap <= certificate.primal


@pytest.mark.parametrize("strength", [0.02, 0.2])
@each_penalty
def test_log_frequencies_of_one_column_are_certified_optimal(penalty, strength):
    # a column of ones and an intercept that does its work: frequencies need no weights
    a, y = np.array([0.4, 0.3, 0.2, 0.1]), np.eye(3)[[0, 1, 0, 2]]
    D = bd.BinaryMatrix.from_dense(np.ones((4, 1)))
    program = bd.ConvexProgram(D, y, "softmax", strength, a, intercept=True, penalty=penalty)
    frequencies = np.array([0.6, 0.3, 0.1])
    W, b = np.zeros((1, 3)), np.log(frequencies)
    certificate = bd.certify(program, weights=W, intercept=b)
    assert certificate.absolute_gap <= ROUNDING * program.reference
    assert certificate.primal == pytest.approx(-(frequencies * b).sum(), rel=1e-14)
    # without it: two classes, 0.6 against 0.4, and w the log odds that the strength leaves;
    # (w / 2, -w / 2) costs w under the l1 norm and w / sqrt 2 under the group norm
    y = np.eye(2)[[0, 1, 0, 1]]
    cost = strength * (1.0 if penalty == "l1" else np.sqrt(0.5))
    w = np.log((0.6 - cost) / (0.4 + cost)) if cost < 0.1 else 0.0
    program = bd.ConvexProgram(D, y, "softmax", strength, a, penalty=penalty)
    certificate = bd.certify(program, weights=[[w / 2, -w / 2]])
    assert certificate.absolute_gap <= ROUNDING * program.reference
    expected = 0.6 * np.log1p(np.exp(-w)) + 0.4 * np.log1p(np.exp(w)) + cost * w
    assert certificate.primal == pytest.approx(expected, rel=1e-14)


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
    assert certificate.absolute_gap <= ROUNDING * program.reference
    expected = P * np.log1p(np.exp(-w)) + N * np.log1p(np.exp(w)) + strength * w
    assert certificate.primal == pytest.approx(expected, rel=1e-14)
    # and an intercept does the same work without the penalty: w = 0 then
    freed = bd.ConvexProgram(D, y, "logistic", strength, a, intercept=True)
    certificate = bd.certify(freed, weights=[0.0], intercept=np.log(P / N))
    assert certificate.absolute_gap <= ROUNDING * freed.reference


@pytest.mark.parametrize("strength", [0.01, 0.3, 0.59])
def test_hinge_of_one_column_is_certified_optimal_by_its_own_dual_point(strength):
    # w = 1 puts all of class +1 on the kink, where only a given V can tell the right slopes
    y, a = np.array([1.0, 1.0, -1.0, 1.0]), np.array([0.4, 0.3, 0.2, 0.1])
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(np.ones((4, 1))), y, "hinge", strength, a)
    V = np.where(y > 0, a * (strength + 0.2) / 0.8, -a)
    certificate = bd.certify(program, weights=[1.0], dual_point=V)
    assert certificate.primal == pytest.approx(0.4 + strength, rel=1e-14)
    assert 0 <= certificate.absolute_gap <= ROUNDING
    np.testing.assert_allclose(certificate.dual_point[:, 0], V, rtol=1e-12)
    # without it the residual knows no slope at the kink, but a linear program finds it
    alone = bd.certify(program, weights=[1.0])
    assert 0 <= alone.absolute_gap <= ROUNDING
    assert (alone.dual_source, alone.kinks) == ("weights", 3)


def best_bound(program, block, candidate):
    """Dual value of one block at a candidate, shrunk to feasibility; computed apart."""
    part = program.select(block)
    v = part.into_domain(candidate[:, block])
    prices = program.design.to_dense().T @ v
    norms = np.abs(prices) if part.penalty.name == "l1" else np.linalg.norm(prices, axis=1)
    v = v * min(1.0, part.strength / norms.max()) if norms.max() > 0 else v
    return part.dual(v * (1 - 1e-15))


@each_loss
@each_penalty
@each_intercept
@examples(12)
@given(seed=SEEDS, outputs=OUTPUTS, data=st.data())
def test_the_best_of_three_bounds_counts_for_every_block(
    loss, penalty, intercept, seed, outputs, data
):
    program = small_program(loss, intercept, outputs, seed, penalty=penalty)
    W, b = draw_answer(data, program)
    V = draw_dual(data, program)
    certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
    residual = program.dual_at(program.affine(W, b))
    for k, block in enumerate(map(list, program.blocks)):
        bounds = [0.0, best_bound(program, block, residual)]
        if V is not None:
            bounds.append(best_bound(program, block, V))
        found = certificate.primals[k] - certificate.absolute_gaps[k]
        assert found == pytest.approx(max(bounds), rel=0, abs=1e-12 * (1 + certificate.primals[k]))


@pytest.mark.parametrize(("loss", "penalty"), [("squared", "group"), ("softmax", "l1")])
def test_a_coupled_program_takes_the_candidate_that_suits_it_as_a_whole(loss, penalty):
    program = small_program(loss, False, 3, seed=2, penalty=penalty)
    solution = bd.solve(program, "clarabel", gap=1e-8)
    W, V = solution.weights, solution.dual_point
    off = bd.certify(program, weights=W + 0.1, dual_point=V)  # the given V is the better
    np.testing.assert_allclose(off.dual_point, V, rtol=1e-12, atol=1e-15)
    spoilt = bd.certify(program, weights=W, dual_point=-50.0 * V)  # that of the weights is
    np.testing.assert_allclose(spoilt.dual_point, V, atol=1e-3)


@each_loss
@each_penalty
@each_intercept
@examples(8)
@given(seed=SEEDS, outputs=OUTPUTS, more=st.floats(0, 1), data=st.data())
def test_prices_that_are_known_prove_what_a_pass_over_the_columns_does(
    loss, penalty, intercept, seed, outputs, more, data
):
    program = small_program(loss, intercept, outputs, seed, penalty=penalty)
    W, b = draw_answer(data, program)
    given_v = draw_dual(data, program)
    v = program.into_domain(np.zeros(program.target.shape) if given_v is None else given_v)
    known = certify_priced(program, W, b, v, program.largest_prices(v) * (1 + more))
    passed = bd.certify(program, weights=W, intercept=b, dual_point=v)
    np.testing.assert_allclose(known.primals, passed.primals, rtol=1e-14)
    assert (program.largest_prices(known.dual_point) <= program.strength * (1 + ROUNDING)).all()
    alone = certify_priced(program, W, b, v, program.largest_prices(v))
    # which has two more candidates; of a V shrunk too much the bound may be better or worse
    room = ROUNDING * (program.reference + passed.primals + np.abs(v).sum())
    assert (passed.absolute_gaps <= alone.absolute_gaps + room).all()
    if not np.array_equal(alone.dual_point, passed.dual_point):
        return
    np.testing.assert_allclose(alone.absolute_gaps, passed.absolute_gaps, atol=room.max())


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
    assert certificate.absolute_gaps[2] == certificate.primals[2]
    assert certificate.absolute_gaps[0] <= 1e-9 * program.reference


WRONG = {
    "sign flipped": np.negative,
    "scaled by sqrt 2": lambda W: np.sqrt(2) * W,
    "transposed": np.transpose,
    "atoms shifted by one": lambda W: np.roll(W, 1, axis=0),
    "one entry lost": lambda W: np.where(np.abs(W) == np.abs(W).max(), 0.0, W),
    "outputs reversed": lambda W: W[:, ::-1],
}


@functools.cache
def explained(loss, penalty, intercept):
    """As many outputs as atoms, so that a transposed answer fits; targets that atoms explain."""
    rng = np.random.default_rng(5)
    D = rng.integers(0, 2, (40, 4))
    y = D @ rng.normal(size=(4, 4)) + 0.3 * rng.normal(size=(40, 4))
    y = targets_for(loss, y if loss in ("squared", "absolute", "huber") else y - np.median(y, 0))
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D), y, loss, 0.02, intercept=intercept, penalty=penalty
    )
    return program, bd.solve(program, "clarabel", gap=1e-7)


@each_loss
@each_penalty
@each_intercept
@pytest.mark.parametrize("wrong", WRONG.values(), ids=WRONG)
def test_wrong_weights_have_a_large_gap_even_with_the_right_dual_point(
    loss, penalty, intercept, wrong
):
    program, solution = explained(loss, penalty, intercept)
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
    assert certificate.absolute_gap == pytest.approx(excess, rel=1e-4)


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


def linear_optimum(program):
    """A linear program in w+, w-, b+, b- and the losses, for one output."""
    n, atoms = program.design.shape
    D, y = program.design.to_dense(), program.target
    shift = np.ones((n, 1)) * program.intercept
    signs, bounds = (-y, -np.ones(n)) if program.loss.labels else (np.ones((n, 1)), y[:, 0])
    fits = signs * np.hstack([D, -D, shift, -shift])
    losses = np.hstack([fits, -np.eye(n)])
    if not program.loss.labels:  # a residual counts on both sides
        losses, bounds = np.vstack([losses, np.hstack([-fits, -np.eye(n)])]), np.r_[bounds, -bounds]
    cost = np.r_[np.full(2 * atoms, program.strength), 0.0, 0.0, program.row_weights]
    solved = linprog(cost, A_ub=losses, b_ub=bounds)
    assert solved.status == 0
    return solved.fun


def smooth_optimum(program):
    """L-BFGS-B on w+, w- >= 0 and b: an upper bound on the optimum, a close one."""
    shape = program.design.shape[1], program.outputs
    size = shape[0] * shape[1]

    def parts(x):
        return (x[:size] - x[size : 2 * size]).reshape(shape), x[2 * size :] * program.intercept

    def slope(x):
        fit = program.affine(*parts(x))
        g = program.row_weights[:, None] * program.loss.gradient(fit, program.target)
        prices = program.design.rmatvec(g).ravel()
        downhill = np.r_[prices + program.strength, -prices + program.strength]
        return np.r_[downhill, g.sum(axis=0) * program.intercept]

    solved = minimize(
        lambda x: program.primal(*parts(x)),
        np.zeros(2 * size + program.outputs),
        jac=slope,
        bounds=[(0, None)] * 2 * size + [(None, None)] * program.outputs,
        options={"ftol": 1e-15, "gtol": 1e-10},
    )
    return program.primal(*parts(solved.x))


def modelled_optimum(program):
    """The primal at CVXPY's answer to its own statement: an upper bound on the optimum too."""
    pytest.importorskip("cvxpy")
    problem = program.to_cvxpy()
    problem.solve(solver="CLARABEL")
    found = problem.var_dict
    return program.primal(
        found["weights"].value, found["intercept"].value.ravel() if program.intercept else 0.0
    )


OPTIMA = {
    ("squared", "l1"): lasso_optimum,
    ("hinge", "l1"): linear_optimum,
    ("absolute", "l1"): linear_optimum,
    **{(name, "l1"): smooth_optimum for name in ("huber", "squared_hinge", "logistic", "softmax")},
    **{(name, "group"): modelled_optimum for name in bd.LOSSES},
}


@functools.cache
def solved_programs(loss, penalty, intercept):
    """Three programs, each with its optimum by another method and its certified solution."""
    outputs = 1 if penalty == "l1" else 2
    programs = [small_program(loss, intercept, outputs, s, penalty=penalty) for s in range(3)]
    find = OPTIMA[loss, penalty]
    return [(p, find(p), bd.solve(p, "clarabel", gap=1e-8)) for p in programs]


@each_loss
@each_penalty
@each_intercept
def test_a_certified_optimum_is_the_optimum_of_another_method(loss, penalty, intercept):
    for program, optimum, solution in solved_programs(loss, penalty, intercept):
        room = solution.certificate.absolute_gap + 1e-12 * program.reference
        # what L-BFGS-B and CVXPY leave is within their own tolerance, not within ours
        exact = OPTIMA[loss, penalty] in (lasso_optimum, linear_optimum)
        slack = 0.0 if exact else 1e-7 * program.reference
        assert solution.certificate.primal <= optimum + room
        assert solution.certificate.dual >= optimum - room - slack


@each_loss
@each_penalty
@each_intercept
@some
@given(data=st.data())
def test_no_dual_point_proves_more_than_the_truth(loss, penalty, intercept, data):
    program, optimum, solution = data.draw(
        st.sampled_from(solved_programs(loss, penalty, intercept))
    )
    W, b = draw_answer(data, program)
    near = data.draw(st.floats(0.25, 4.0)) * solution.dual_point
    noise = draw_dual(data, program)
    for V in (near, noise, near if noise is None else near + 0.01 * noise):
        certificate = bd.certify(program, weights=W, intercept=b, dual_point=V)
        assert certificate.dual <= optimum + 1e-12 * program.reference
        assert certificate.absolute_gap >= certificate.primal - optimum - 1e-12 * program.reference


@each_loss
@each_penalty
@each_intercept
def test_a_dual_point_that_is_too_long_is_shrunk_to_the_same_proof(loss, penalty, intercept):
    for program, _, solution in solved_programs(loss, penalty, intercept):
        W, b = np.zeros((program.design.shape[1], program.outputs)), np.zeros(program.outputs)
        right = bd.certify(program, weights=W, intercept=b, dual_point=solution.dual_point)
        assert right.dual >= solution.certificate.dual - 1e-12 * program.reference


@each_loss
@each_penalty
@each_intercept
def test_strength_zero_is_bounded_below_by_zero_or_better(loss, penalty, intercept):
    program = small_program(loss, intercept, 2, seed=1, penalty=penalty).with_strength(0.0)
    rng = np.random.default_rng(0)
    for W in (np.zeros((3, 2)), rng.normal(size=(3, 2))):
        with np.errstate(all="raise", under="ignore"):
            certificate = bd.certify(program, weights=W)
        assert 0 <= certificate.dual <= certificate.primal
        assert np.isfinite(certificate.relative_gap)
        assert np.isfinite(program.dual(certificate.dual_point))


@pytest.mark.parametrize("size", [1e-200, 1e-300])
@pytest.mark.parametrize("loss", ["squared", "absolute", "huber", "hinge"])
def test_prices_that_underflow_prove_nothing_at_strength_zero(loss, size):
    y = np.ones(2) if loss == "hinge" else np.full(2, 1e-150)
    program = bd.ConvexProgram(bd.DenseMatrix(np.full((2, 1), size)), y, loss, 0.0)
    better = program.primal([[min(y[0] / size, 1e300)]])
    assert better < program.reference
    found = bd.certify(program, weights=[0.0])
    assert found.dual <= better
    assert found.relative_gap > 1e-6


def test_strength_zero_can_be_certified_where_prices_vanish_exactly():
    # V = (1, -1) / 2 has price 0 on the one atom: the residual proves the least squares fit
    D = bd.BinaryMatrix.from_dense([[1], [1]])
    program = bd.ConvexProgram(D, [3.0, 1.0], "squared", 0.0)
    certificate = bd.certify(program, weights=[2.0])
    assert certificate.primal == certificate.dual == 0.5
    assert certificate.absolute_gap == 0.0


@each_loss
@each_penalty
@each_intercept
@pytest.mark.parametrize("factor", [1.0, 1.5, 1e6])
def test_zero_is_certified_from_lambda_max_on(loss, penalty, intercept, factor):
    for seed in range(5):
        program = small_program(loss, intercept, 2, seed, share=factor, penalty=penalty)
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
@each_penalty
@each_intercept
@pytest.mark.parametrize("factor", [2.0**-20, 3.7, 1e6])
def test_relative_gap_does_not_depend_on_the_unit_of_the_objective(
    loss, penalty, intercept, factor
):
    rng = np.random.default_rng(1)
    program = small_program(loss, intercept, 2, seed=3, penalty=penalty)
    scaled = bd.ConvexProgram(
        program.design,
        program.target,
        loss,
        factor * program.strength,
        factor * program.row_weights,
        intercept,
        penalty=penalty,
    )
    W, b = rng.normal(size=(3, 2)), rng.normal(size=2) * intercept
    V = program.dual_at(rng.normal(size=program.target.shape))
    one = bd.certify(program, weights=W, intercept=b, dual_point=V)
    other = bd.certify(scaled, weights=W, intercept=b, dual_point=factor * V)
    assert other.relative_gap == pytest.approx(one.relative_gap, rel=1e-13, abs=0)
    assert other.absolute_gap == pytest.approx(factor * one.absolute_gap, rel=1e-13, abs=0)
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
    primal, dual = exact_primal(program, W), exact_dual(program, certificate.dual_point)
    exact = float(primal - dual)
    assert 1e-4 < exact < 1e-2
    assert primal > 10**6
    assert certificate.absolute_gap == pytest.approx(exact, rel=1e-10, abs=0)
    difference = program.primal(W) - program.dual(certificate.dual_point)
    assert abs(difference - exact) > 1e-9 * exact


@each_loss
@each_penalty
@each_intercept
def test_a_solution_is_certified_as_its_parts_are(loss, penalty, intercept):
    program = small_program(loss, intercept, 2, seed=6, penalty=penalty)
    solution = bd.solve(program, gap=1e-6)
    whole = bd.certify(program, solution)
    parts = bd.certify(
        program,
        weights=solution.weights,
        intercept=solution.intercept,
        dual_point=solution.dual_point,
    )
    assert (whole.primal, whole.absolute_gap, whole.relative_gap) == (
        parts.primal,
        parts.absolute_gap,
        parts.relative_gap,
    )
    np.testing.assert_array_equal(whole.dual_point, parts.dual_point)
    assert whole.relative_gap == whole.absolute_gap / program.reference


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


@each_loss
@each_penalty
def test_an_objective_beyond_the_largest_float_leaves_a_bound_that_is_a_number(loss, penalty):
    program = small_program(loss, False, 2, penalty=penalty)
    W = np.array([[1e200, -1e200], [0.0, 0.0], [1e308, 1e308]])
    with np.errstate(over="ignore", invalid="ignore"):
        certificate = bd.certify(program, weights=W)
    assert certificate.primal > 1e100
    assert certificate.absolute_gap > 1e100
    assert not np.isnan([certificate.primal, certificate.absolute_gap, certificate.dual]).any()


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
    assert solution.certificate.relative_gap <= 1e-6
    # fits near 1e8 round by more than this gap, and the status says so
    assert 1e-6 < far.relative(solution.certificate.rounding) < 1e-5
    assert solution.status is bd.Status.INACCURATE
    assert "rounding up to" in str(solution)
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
        with pytest.raises(
            ValueError, match=r"^intercept, dual_point: can be given only together with weights="
        ):
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
    with pytest.raises(
        ValueError, match=r"^intercept: expected 0, as the program has no intercept, got"
    ):
        bd.certify(program, weights=np.zeros((3, 2)), intercept=intercept)
