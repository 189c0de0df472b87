"""newton: its parts against dense algebra and differences, the whole on hard programs."""

import itertools
import threading
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from targets_for import outputs_for, targets_for

import bidual as bd
from bidual.solvers import monitor, solve
from bidual.solvers.newton import linear_system, newton_, row_steps
from bidual.solvers.newton.linear_system import (
    FitResponse,
    OutputSystems,
    WeightResponse,
    split_weights,
    weighted_gram,
)
from bidual.solvers.newton.proximal_steps import Scales
from bidual.solvers.newton.tuning import TUNING
from bidual.solvers.newton.working_set import descend

from covering import examples, slow

GAP = 1e-10
LOSSES = list(bd.LOSSES)
KINKED = [name for name, loss in bd.LOSSES.items() if np.isinf(loss.curvature)]
SMOOTH = [name for name in LOSSES if name not in KINKED]
few = examples(25)


def never():
    return False


def hard_program(
    loss="squared",
    shape=(40, 15),
    outputs=1,
    intercept=False,
    penalty="l1",
    share=0.1,
    seed=0,
    change=None,
    weights=None,
    scale=1.0,
):
    """A random program whose columns ``change`` may spoil, at a share of lambda_max."""
    rng = np.random.default_rng(seed)
    outputs = outputs_for(loss, outputs)
    dense = rng.random(shape) < 0.3
    if change is not None:
        change(dense)
    z = dense @ rng.normal(size=(shape[1], outputs)) + 0.3 * rng.normal(size=(shape[0], outputs))
    y = targets_for(loss, scale * (z - np.median(z)))
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(dense),
        y,
        bd.Huber(scale) if loss == "huber" else loss,
        0.0,
        weights,
        intercept,
        penalty=penalty,
    )
    return program.with_strength(share * program.lambda_max)


def certified(program, gap=GAP, **arguments):
    """The solution, certified anew."""
    solution = solve(program, "newton", gap=gap, time_limit=600.0, **arguments)
    assert solution.status is bd.Status.CERTIFIED, str(solution)
    found = bd.certify(
        program,
        weights=solution.weights,
        intercept=solution.intercept,
        dual_point=solution.dual_point,
    )
    assert found.relative_gap <= gap * (1 + 1e-3) + 1e-15
    return solution


# the Gram matrices


def grams(dense, weights):
    """The Gram matrix found, and the exact one."""
    D = bd.BinaryMatrix.from_dense(dense)
    return weighted_gram(D, split_weights(weights)), (dense.T * weights) @ dense


@st.composite
def weighted_rows(draw):
    """0/1 rows and weights of them: few or many values, over few or many powers of 2, some 0."""
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    rows, columns = draw(st.integers(1, 150)), draw(st.integers(0, 12))
    dense = (rng.random((rows, columns)) < 0.4).astype(float)
    # 30 powers of 2, and the smallest keeps 8 bits: 40 are enough
    weights = 2.0 ** (draw(st.sampled_from([0.1, 3, 15])) * rng.uniform(-1, 1, rows))
    if draw(st.booleans()):
        weights = rng.choice([0.3, 1.7, 2.0**-20, 11.0][: draw(st.integers(1, 4))], rows)
    if draw(st.booleans()):
        weights[rng.random(rows) < 0.3] = 2.0**50
    if draw(st.booleans()):
        weights[rng.random(rows) < 0.3] = 0.0
    return dense, weights * draw(st.sampled_from([1e-12, 1.0, 1e9]))


@few
@given(weighted_rows())
def test_weights_of_rows_keep_eight_bits_and_the_largest_all(drawn):
    _, weights = drawn
    parts = split_weights(weights)
    found = sum((value * rows for value, rows in parts), np.zeros_like(weights))
    assert all(value > 0 for value, _ in parts)
    # to half a unit, of which the smallest has 2^8, or one less of all that the bits count
    np.testing.assert_allclose(found, weights, rtol=2.0**-8 * 0.51)
    assert (found == 0).tolist() == (weights == 0).tolist()
    largest = weights == weights.max()
    np.testing.assert_array_equal(found[largest], weights[largest])
    if np.unique(weights[weights > 0]).size <= 4:
        np.testing.assert_array_equal(found, weights)


@few
@given(weighted_rows())
def test_weighted_gram_is_the_dense_product(drawn):
    dense, weights = drawn
    found, expected = grams(dense, weights)
    assert found.shape == expected.shape
    # each entry is a sum of positive weights, each within the rounding of split_weights
    np.testing.assert_allclose(found, expected, rtol=2.0**-8 * 0.51)
    # and no more than sums round to of what the weights are rounded to
    parts = split_weights(weights)
    held = sum((value * rows for value, rows in parts), np.zeros_like(weights))
    np.testing.assert_allclose(found, (dense.T * held) @ dense, rtol=1e-13)
    if np.unique(weights[weights > 0]).size <= 4:
        np.testing.assert_allclose(found, expected, rtol=1e-13)


@pytest.mark.filterwarnings("error")
def test_subnormal_weights_of_rows_are_split_like_any():
    for weights in (
        np.array([1.0, 5e-324, 1e-310, 3e-308, 1e-300, 1e-9, 0.0]),
        np.array([1.0, 5e-324, 1e-323, 1.5e-323, 2e-323, 2.5e-323]),
    ):
        parts = split_weights(weights)
        kept = sum(value * rows for value, rows in parts)
        assert kept[0] == 1.0
        assert ((kept > 0) == (weights > 0)).all()
        assert np.abs(kept - weights).max() <= 2.0**-38 * np.sort(weights)[-2] + 5e-324


def test_weights_over_more_powers_than_there_are_bits_leave_no_row_out():
    weights = 2.0 ** -np.arange(60.0)
    dense = np.eye(60)
    found, _ = grams(dense, weights)
    assert (np.diag(found) > 0).all()
    np.testing.assert_allclose(np.diag(found)[:30], weights[:30], rtol=2.0**-8)


# the responses


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("tau", [0.1, 40.0])
def test_fits_answer_as_the_derivative_of_their_operator(loss, tau):
    program = hard_program(loss, outputs=3, weights=np.linspace(0.0, 2.0, 40))
    rng = np.random.default_rng(1)
    a, h = program.row_weights, 1e-6
    # corners of the operator lie within tau a, or some units, of the target
    points = program.target + (1.0 + tau) * rng.normal(size=program.target.shape)
    direction = rng.normal(size=points.shape)

    def prox(side):
        return program.loss.prox(points + side * h * direction, program.target, tau * a)

    found = FitResponse(program, prox(0), tau, 0.0 if loss in SMOOTH else 1e-300).apply(direction)
    # z answers to -v through points - tau v
    expected = tau * (prox(1) - prox(-1)) / (2 * h)
    smooth = np.ones(points.shape, dtype=bool)
    if program.loss.separable and loss != "logistic":
        # there is no derivative where the difference crosses a corner of the operator
        second = [program.loss.second(prox(side), program.target) for side in (-1, 1)]
        smooth = second[0] == second[1]
        assert smooth.sum() >= points.size - 2
    if loss in KINKED:
        resting = found == 1e-300 * direction
        assert min(resting.sum(), (~resting).sum()) > 3
    # h^2 of a third derivative of some units, and the rounding of prox over h
    room = tau * (10 * h**2 + 1e-15 * np.abs(points).max() / h)
    np.testing.assert_allclose(found[smooth], expected[smooth], rtol=1e-9, atol=room)


@pytest.mark.parametrize("tau", [0.1, 40.0, 1e6])
def test_softmax_rows_answer_by_the_inverse_of_their_matrix(tau):
    program = hard_program("softmax", outputs=4, weights=np.linspace(0.0, 2.0, 40))
    rng = np.random.default_rng(3)
    z, x = rng.normal(size=(2, 40, 4))
    response = FitResponse(program, z, tau, 0.0)
    found = response.apply(x)
    for i in range(40):
        p = np.exp(z[i]) / np.exp(z[i]).sum()
        matrix = np.eye(4) / tau + program.row_weights[i] * (np.diag(p) - np.outer(p, p))
        # the condition of a row's matrix is 1 + tau a / 2, at most 1e6
        np.testing.assert_allclose(
            found[i], np.linalg.solve(matrix, x[i]), rtol=1e-9, atol=1e-9 * tau
        )
        np.testing.assert_allclose(response.inverse_diagonal[i], np.diag(matrix), rtol=1e-12)


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "softmax"])
def test_fits_at_kinks_and_without_weight_answer_by_the_floor_alone_or_freely(loss):
    program = hard_program(loss, shape=(4, 2), weights=[0.0, 1.0, 1.0, 2.0])
    tau, floor = 7.0, 0.01
    response = FitResponse(program, program.target.copy(), tau, floor)
    entries = response.apply(np.ones((4, 1)))
    np.testing.assert_allclose(entries * response.inverse_diagonal, 1.0, rtol=1e-15)
    assert entries[0, 0] == tau + floor  # a row that counts nothing follows v freely
    if loss in KINKED:
        assert entries[1:, 0].tolist() == [floor] * 3


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("outputs", [1, 3])
def test_weights_answer_as_the_derivative_of_their_operator(penalty, outputs):
    program = hard_program(outputs=outputs, penalty=penalty)
    sigma, h = 3.0, 1e-6
    rng = np.random.default_rng(4)
    step = sigma * program.strength
    u = 2.0 * step * rng.normal(size=(15, outputs))
    weights = program.penalty.prox(u, step)
    response = WeightResponse(program, u, weights, sigma)
    assert 0 < response.used.size < 15 or outputs == 3
    direction = rng.normal(size=u.shape)
    ends = [program.penalty.prox(u + side * h * step * direction, step) for side in (-1, 1)]
    # u moves by sigma times the price
    expected = sigma * (ends[1] - ends[0]) / (2 * h * step)
    unused = np.setdiff1d(np.arange(15), response.used)
    assert not expected[unused].any()
    # h^2 of a third derivative in units of the step, and rounding over h
    np.testing.assert_allclose(
        response.apply(direction[response.used]), expected[response.used], rtol=0, atol=1e-8 * sigma
    )
    assert (response.diagonal >= 0).all()


def test_a_row_at_the_very_threshold_answers_by_no_negative_number():
    program = hard_program(outputs=3, penalty="group")
    rng = np.random.default_rng(5)
    u = rng.normal(size=(15, 3))
    u *= program.strength / np.linalg.norm(u, axis=1, keepdims=True)  # but for rounding
    assert (np.linalg.norm(u, axis=1) <= program.strength).any()
    response = WeightResponse(program, u, np.ones((15, 3)), 1.0)
    assert (response.diagonal >= 0).all()


# the systems


def dense_system(dense, inverse, q, kappa):
    """The matrix of one output."""
    n = dense.shape[0]
    return np.diag(1.0 / inverse) + (dense * q) @ dense.T + kappa * np.ones((n, n))


@pytest.mark.parametrize("shape", [(30, 12), (12, 30), (20, 20), (9, 0), (1, 1), (1, 5), (5, 1)])
@pytest.mark.parametrize("kappa", [0.0, 2.5])
@pytest.mark.parametrize("alike", [True, False])
@pytest.mark.parametrize("distinct", [2, 100])
def test_systems_of_outputs_are_inverted_in_both_forms(shape, kappa, alike, distinct):
    rng = np.random.default_rng(6)
    n, columns = shape
    dense = (rng.random(shape) < 0.4).astype(float)
    values = rng.uniform(0.5, 3.0, distinct)
    inverse, q = rng.choice(values, (n, 3)), rng.choice(values, (columns, 3))
    if alike:
        inverse, q = (np.tile(part[:, :1], 3) for part in (inverse, q))
    elif columns:
        q[rng.random(q.shape) < 0.5] = 0.0
        q[:, 1] = 0.0
    given = inverse.copy()
    right = rng.normal(size=(n, 3))
    systems = OutputSystems(bd.BinaryMatrix.from_dense(dense), inverse, q, kappa)
    found = systems.solve(right)
    np.testing.assert_array_equal(inverse, given)
    for c in range(3):
        exact = dense_system(dense, inverse[:, c], q[:, c], kappa)
        # many distinct weights are kept to 8 bits, which changes the matrix by as large a share
        room = 1e-10 if distinct == 2 else 2.0**-8
        expected = np.linalg.solve(exact, right[:, c])
        lengths = [np.sqrt(x @ exact @ x) for x in (found[:, c] - expected, expected)]
        assert lengths[0] <= room * 1.01 * lengths[1]


def test_systems_past_the_limit_are_left_to_their_diagonal(tuned):
    tuned(factored_columns=2)
    rng = np.random.default_rng(7)
    for shape in ((5, 3), (3, 5)):
        inverse, q, right = rng.random((shape[0], 2)), rng.random((shape[1], 2)), rng.random(2)
        D = bd.BinaryMatrix.from_dense(rng.random(shape) < 0.5)
        found = OutputSystems(D, inverse, q, 1.0).solve(np.tile(right, (shape[0], 1)))
        np.testing.assert_allclose(found, inverse * right, rtol=1e-15)


@pytest.mark.parametrize("spread", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("sigma", [1e2, 1e6, 1e12])
@pytest.mark.parametrize("seed", range(4))
def test_dependent_columns_leave_a_preconditioner_positive(seed, sigma, spread):
    rng = np.random.default_rng(seed)
    rows, columns = int(rng.integers(20, 120)), int(rng.integers(5, 15))
    dense = rng.random((rows, columns)) < 0.3
    dense[:, 1], dense[:, 2], dense[:, 3] = ~dense[:, 0], True, dense[:, 4]
    inverse = spread ** rng.uniform(-1, 0, (rows, 1))
    q = np.full((columns, 1), sigma)
    systems = OutputSystems(bd.BinaryMatrix.from_dense(dense), inverse, q, sigma)
    matrix = np.hstack([systems.solve(unit[:, None]) for unit in np.eye(rows)])
    roots = 1.0 / np.sqrt(inverse)
    scaled = roots * matrix * roots.T
    # rounding alone of eigenvalues that are 1 at most; all but 15 directions have a 1
    assert np.linalg.eigvalsh(0.5 * (scaled + scaled.T)).min() >= -1e-9


@pytest.mark.parametrize("limit", [5000, 5])
@pytest.mark.parametrize(
    ("loss", "penalty"),
    [
        ("squared", "group"),
        ("logistic", "group"),
        ("softmax", "l1"),
        ("softmax", "group"),
        ("huber", "group"),
    ],
)
@pytest.mark.parametrize("shape", [(40, 15), (15, 40)])
@pytest.mark.parametrize("kappa", [0.0, 20.0])
def test_coupled_systems_are_solved_to_their_tolerance(loss, penalty, shape, kappa, limit, tuned):
    tuned(factored_columns=limit)
    program = hard_program(loss, shape, outputs=3, penalty=penalty, intercept=kappa > 0)
    rng = np.random.default_rng(8)
    tau, sigma = 30.0, 20.0
    z, right = rng.normal(size=(2, *program.target.shape))
    u = 1.5 * sigma * program.strength * rng.normal(size=(shape[1], 3))
    weights = program.penalty.prox(u, sigma * program.strength)
    fits = FitResponse(program, z, tau, 0.0)
    answer = WeightResponse(program, u, weights, sigma)
    found = linear_system.solve(program.design, fits, answer, kappa, right)
    n, C = right.shape
    held = program.design.to_dense()[:, answer.used]
    H = np.empty((n * C, n * C))
    for k, unit in enumerate(np.eye(n * C)):
        x = unit.reshape(n, C)
        H[:, k] = (fits.apply(x) + held @ answer.apply(held.T @ x) + kappa * x.sum(axis=0)).ravel()
    np.testing.assert_allclose(H, H.T, atol=1e-12 * np.abs(H).max())
    assert np.linalg.eigvalsh(H).min() > 0
    expected = np.linalg.solve(H, right.ravel())
    lengths = [np.sqrt(x @ H @ x) for x in (found.ravel() - expected, expected)]
    # the tolerance is one of residuals in the preconditioner's norm, which H's is close to
    assert lengths[0] <= 3 * TUNING.gradient_residual * lengths[1]


# a proximal step


def anchored(loss="logistic", seed=0, **arguments):
    """Where a step starts, and the first point of it."""
    program = hard_program(loss, outputs=2, intercept=True, **arguments)
    scales = Scales.of(program, 1.0)
    W, b = np.zeros((program.design.shape[1], 2)), program.null_intercept
    anchor = row_steps.Anchor(program, W, b, program.affine(W, b), scales)
    v = program.row_weights[:, None] * np.random.default_rng(seed).normal(size=(40, 2))
    return anchor, anchor.at(v, program.design.rmatvec(v))


def dual_value(anchor, v):
    """The dual function of a proximal step from its definition, as minus the least Lagrangian."""
    program, sigma, tau = anchor.program, anchor.scales.sigma, anchor.scales.tau
    point = anchor.at(v, program.design.rmatvec(v))
    W, b, z = point.weights, point.intercept, point.fit
    value = program.objectives(W, z).sum() + (v * (z - program.affine(W, b))).sum()
    value += ((z - anchor.fit) ** 2).sum() / (2 * tau) + ((W - anchor.weights) ** 2).sum() / (
        2 * sigma
    )
    return -(value + ((b - anchor.intercept) ** 2).sum() / (2 * sigma))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("penalty", ["l1", "group"])
def test_the_slope_is_that_of_the_dual_function(loss, penalty):
    anchor, point = anchored(loss, penalty=penalty)
    direction = 0.01 * np.random.default_rng(9).normal(size=point.v.shape)
    prices = anchor.program.design.rmatvec(direction)
    h = 1e-5
    ends = [dual_value(anchor, point.v + side * h * direction) for side in (-1, 1)]
    slope = (ends[1] - ends[0]) / (2 * h)
    # its derivative is a piecewise smooth function: the step's share of it, and rounding over h
    change = anchor.at(point.v + h * direction, point.prices + h * prices).slope(
        direction, prices
    ) - anchor.at(point.v - h * direction, point.prices - h * prices).slope(direction, prices)
    assert change >= 0  # convex
    room = change + 1e-14 * max(map(abs, ends)) / h
    assert abs(point.slope(direction, prices) - slope) <= room
    assert room < 0.05 * abs(slope)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("length", [1e-3, 1.0, 1e3])
def test_a_search_ends_where_the_slope_is_a_small_share(loss, length):
    anchor, point = anchored(loss)
    design = anchor.program.design
    gradient = design.matvec(point.weights) + point.intercept - point.fit
    direction = -length * 1e-4 * gradient
    prices = design.rmatvec(direction)
    start = point.slope(direction, prices)
    assert start < 0
    found = row_steps.descent(anchor, point, direction)
    end = found.slope(direction, prices)
    # 1e-3 of the step that the root lies at
    assert abs(end) <= TUNING.slope * abs(start)
    assert dual_value(anchor, found.v) < dual_value(anchor, point.v)
    np.testing.assert_allclose(found.prices, design.rmatvec(found.v), atol=1e-12)


def test_a_search_finds_nothing_where_there_is_no_descent():
    anchor, point = anchored()
    design = anchor.program.design
    gradient = design.matvec(point.weights) + point.intercept - point.fit
    assert row_steps.descent(anchor, point, gradient) is None
    assert row_steps.descent(anchor, point, np.zeros_like(gradient)) is None
    assert row_steps.descent(anchor, point, np.full_like(gradient, np.nan)) is None


def from_zero(program, goal, late=never):
    """Proximal steps from W = 0."""
    W, b = np.zeros((program.design.shape[1], program.outputs)), program.null_intercept
    v = program.dual_at(program.affine(W, b))
    return descend(program, W, b, v, Scales.of(program, 1.0), goal, late)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("seed", range(2))
def test_steps_end_with_the_goal_certified(loss, intercept, seed):
    program = hard_program(loss, seed=seed, intercept=intercept)
    answer, steps = from_zero(program, 1e-9 * program.reference)
    assert answer.certificate.absolute_gap <= 1e-9 * program.reference
    assert not answer.stuck
    assert steps > 0
    again = bd.certify(program, weights=answer.weights, intercept=answer.intercept)
    assert again.primal == answer.certificate.primal


def test_steps_tell_that_a_goal_is_out_of_reach():
    program = hard_program()
    answer, _ = from_zero(program, -1.0)  # which no gap is
    assert answer.stuck
    assert answer.certificate.relative_gap < 1e-12  # and it was given up at no less than rounding


def test_steps_that_run_late_are_not_told_to_be_stuck():
    calls = []

    def late():
        calls.append(None)
        return len(calls) > 3

    program = hard_program("logistic")
    answer, _ = from_zero(program, -1.0, late)
    assert not answer.stuck
    assert answer.certificate.relative_gap < 1.0


# the whole


@pytest.mark.parametrize("shape", [(40, 15), (15, 40), (60, 200)], ids=str)
@pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])
@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("loss", LOSSES)
def test_random_programs_are_certified(loss, penalty, intercept, shape):
    certified(hard_program(loss, shape, 2, intercept, penalty))


@pytest.mark.parametrize("loss", [name for name in LOSSES if name != "softmax"])
def test_outputs_alone_have_the_values_that_they_have_together(loss):
    program = hard_program(loss, (40, 15), 3, True)
    together = certified(program).certificate
    for c in range(3):
        alone = certified(program.select([c])).certificate
        apart = abs(alone.primal - together.primals[c])
        assert apart <= alone.absolute_gap + together.absolute_gap + 1e-15 * program.reference


def repeat(dense):
    dense[:, 1:] = dense[:, [0, 0, *range(1, dense.shape[1] - 2)]]


def empty(dense):
    dense[:, 0] = False


def full(dense):
    dense[:, 0] = True


def complement(dense):
    dense[:, 1], dense[:, 3] = ~dense[:, 0], ~dense[:, 2]


@pytest.mark.parametrize("change", [repeat, empty, full, complement])
@pytest.mark.parametrize("loss", LOSSES)
def test_columns_that_depend_on_each_other_or_are_nothing_are_certified(loss, change):
    for penalty, shape in (("l1", (15, 40)), ("group", (40, 15))):
        program = hard_program(loss, shape, 2, True, penalty, share=0.02, change=change)
        solution = certified(program)
        if change is empty:
            assert not solution.weights[0].any()


@pytest.mark.parametrize("loss", ["hinge", *slow(*[loss for loss in LOSSES if loss != "hinge"])])
def test_a_linear_program_of_many_kinks_is_certified(loss):
    # little strength and more columns than rows: almost every row ends at its kink
    certified(hard_program(loss, (60, 200), 3, share=1e-3))


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_single_rows_and_single_atoms_are_certified(loss, intercept):
    for shape in ((1, 7), (12, 1), (1, 1)):
        for penalty in ("l1", "group"):
            dense = np.ones(shape, dtype=bool)
            dense[::2, ::3] = shape[0] == 1
            y = targets_for(loss, np.linspace(-2, 3, 2 * shape[0]).reshape(-1, 2))
            program = bd.ConvexProgram(
                bd.BinaryMatrix.from_dense(dense), y, loss, 0.01, None, intercept, penalty=penalty
            )
            certified(program)


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("intercept", [False, True])
def test_uneven_row_weights_are_certified(loss, intercept):
    rng = np.random.default_rng(11)
    weights = 10.0 ** rng.uniform(-6, 0, 40)
    weights[:5] = 0.0
    program = hard_program(loss, outputs=2, intercept=intercept, share=0.05, weights=weights)
    solution = certified(program)
    assert not solution.dual_point[:5].any()


@pytest.mark.parametrize("loss", KINKED)
def test_rows_that_rest_at_kinks_together_are_no_obstacle(loss):
    # far more rows than atoms, many of them alike, and labels that few atoms tell apart
    X, labels = bd.tasks.digits()
    lif = bd.LIF(hidden=(64, 32))
    atoms = lif.sample(X, subnetworks=5, seed=0)
    y = np.where(labels == 3, 1.0, -1.0)
    program = lif.program(atoms, y, loss=loss, strength=0.0, intercept=True)
    certified(program.with_strength(0.1 * program.lambda_max), gap=1e-9)


def test_a_strength_next_to_the_smallest_float_is_answered():
    dense = np.random.default_rng(0).random((40, 60)) < 0.3
    y = dense @ np.arange(60.0)
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(dense), y, strength=1e-300)
    solution = bd.solve(program, "newton", gap=1e-30, time_limit=600.0)
    assert solution.certificate.relative_gap <= 1e-9  # to what float64 holds


def test_steps_end_where_nothing_is_left_to_gain():
    # half of the labels each: weights barely move, and a share of that is out of reach
    X, labels = bd.tasks.digits()
    lif = bd.LIF(hidden=(16, 8))
    atoms = lif.sample(X[:400], subnetworks=20, seed=0)
    y = np.where(labels[:400] == 3, 1.0, -1.0)
    program = lif.program(atoms, y, loss="absolute", strength=0.0, intercept=True)
    solution = certified(program.with_strength(0.1 * program.lambda_max), gap=1e-6)
    assert solution.iterations <= 40  # 91 by the share alone


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("intercept", [False, True])
def test_targets_of_any_scale_are_certified(loss, penalty, intercept):
    one, *others = (
        certified(hard_program(loss, (40, 15), 2, intercept, penalty, scale=scale))
        for scale in (1.0, 2.0**-20, 2.0**10, 2.0**20)
    )
    for other, scale in zip(others, (2.0**-20, 2.0**10, 2.0**20), strict=True):
        # the value grows with the scale, or its square, and steps do not depend on it
        factor = scale if loss == "absolute" else scale**2
        apart = abs(other.certificate.primal / factor - one.certificate.primal)
        assert apart <= 2 * GAP * one.program.reference
        assert other.iterations == one.iterations


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_targets_far_from_zero_are_certified_beside_an_intercept(loss):
    near = hard_program(loss, outputs=2, intercept=True)
    far = bd.ConvexProgram(near.design, near.target + 1e3, loss, near.strength, None, True)
    assert certified(far).iterations <= 1.1 * certified(near).iterations + 1


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("total", [1e-6, 1e6])
def test_row_weights_of_any_sum_are_certified(loss, total):
    program = hard_program(loss, outputs=2, intercept=True, weights=np.full(40, total / 40))
    assert certified(program).certificate.primal < program.reference


@pytest.mark.slow
@pytest.mark.parametrize("loss", ["squared", "softmax", *slow("hinge", "logistic")])
def test_ten_outputs_are_certified(loss):
    for penalty, shape in (("l1", (40, 15)), ("group", (15, 40))):
        certified(hard_program(loss, shape, 10, True, penalty))


def test_an_output_without_weights_beside_more_columns_than_rows_is_certified():
    # all the rows of one class are told by an intercept; the others use more columns than rows
    rng = np.random.default_rng(12)
    dense = rng.random((6, 60)) < 0.4
    y = np.eye(4)[[0, 1, 2, 0, 1, 2]]  # and of class 3 there is none
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(dense), y, "softmax", 0.0, None, True)
    program = program.with_strength(1e-3 * program.lambda_max)
    solution = certified(program)
    assert not solution.weights[:, 3].any()


@pytest.mark.parametrize("strength", [1e-6, 1e-9, 1e-12])
@pytest.mark.parametrize("loss", ["squared", "hinge", "logistic", "softmax"])
def test_strengths_next_to_nothing_are_taken(loss, strength):
    # fits of squares keep V, whose sum rounds: 1 / strength of this is in the certificate
    gap = 1e-6 if (loss, strength) == ("squared", 1e-12) else 1e-9
    certified(hard_program(loss, outputs=2, intercept=True, share=strength), gap=gap)


@pytest.mark.slow
def test_a_strength_below_what_prices_round_to_is_answered_as_well_as_float64_can():
    # prices of a least squares fit are 0 but for rounding, which no V survives undiminished
    program = hard_program(outputs=2, intercept=True, share=1e-15)
    solution = solve(program, "newton", gap=GAP)
    assert solution.status is bd.Status.INACCURATE
    assert "no further progress in float64" in solution.message
    assert solution.certificate.relative_gap < 1e-4
    D = np.hstack([program.design.to_dense(), np.ones((40, 1))])
    least = 0.5 / 40 * np.linalg.lstsq(D, program.target, rcond=None)[1].sum()
    assert solution.certificate.primal == pytest.approx(least, rel=1e-9)


def test_strengths_from_lambda_max_on_need_no_weights():
    for loss in SMOOTH:
        solution = certified(hard_program(loss, outputs=2, intercept=True, share=1.0))
        assert not solution.weights.any()
        assert solution.iterations == 0


def test_working_sets_grow_round_by_round(monkeypatch, tuned):
    tuned(columns_added=2)
    sizes = []
    original = newton_.descend

    def listen(program, *arguments):
        sizes.append(program.design.shape[1])
        return original(program, *arguments)

    monkeypatch.setattr(newton_, "descend", listen)
    program = hard_program(shape=(60, 200), share=0.02)
    solution = certified(program)
    assert sizes[0] == 2
    assert len(sizes) >= 4
    assert sizes[-1] >= np.count_nonzero(solution.weights) > 10
    assert max(sizes) < 200
    assert max(after - before for before, after in itertools.pairwise(sizes)) > 2


@pytest.mark.parametrize(
    "loss", ["squared", *slow("logistic", "huber", "squared_hinge", "softmax")]
)
def test_supports_too_large_to_factor_are_left_to_conjugate_gradients(loss, monkeypatch, tuned):
    tuned(factored_columns=5)
    monkeypatch.setattr(linear_system, "cho_factor", lambda *_, **__: pytest.fail("factored"))
    program = hard_program(loss, (60, 30), 2, False, "group", share=0.02)
    solution = certified(program)
    assert solution.active.size > 5


@pytest.mark.parametrize("loss", SMOOTH)
@pytest.mark.parametrize("penalty", ["l1", "group"])
def test_warm_starts_take_fewer_steps(loss, penalty):
    program = hard_program(loss, (40, 15), 2, True, penalty)
    near = certified(program.with_strength(1.02 * program.strength))
    cold, warm = certified(program, gap=1e-8), certified(program, gap=1e-8, warm_start=near)
    assert 0 < warm.iterations < cold.iterations


def test_the_time_limit_keeps_the_best(monkeypatch):
    # a clock that a Newton step moves by a second: it is looked at between them
    clock = SimpleNamespace(now=0.0)
    response = linear_system.FitResponse

    def takes_a_second(*arguments):
        clock.now += 1.0
        return response(*arguments)

    monkeypatch.setattr(linear_system, "FitResponse", takes_a_second)
    monkeypatch.setattr(monitor, "now", lambda: clock.now)
    program = hard_program("absolute", (400, 1500), 3, True, "group", share=0.001)
    solution = solve(program, "newton", gap=GAP, time_limit=20.0)
    assert clock.now == 20.0
    assert solution.status is bd.Status.TIME_LIMIT
    assert solution.message == "time limit"
    assert 0 < solution.certificate.relative_gap < 1.0
    assert solution.certificate.absolute_gap == min(each.absolute_gap for each in solution.history)


def test_options_are_refused_and_so_is_no_strength():
    program = hard_program()
    with pytest.raises(ValueError, match=r"^options: newton takes none, got \['rho', 'sigma'\]"):
        solve(program, "newton", sigma=1.0, rho=2.0)
    with pytest.raises(bd.ProgramNotAccepted, match=r"newton: needs a strength above 0"):
        solve(program.with_strength(0.0), "newton")


@pytest.mark.parametrize("shape", [(40, 15), (15, 40)], ids=str)
def test_the_dictionary_is_never_unpacked_to_floats(shape, monkeypatch):
    original = bd.BinaryMatrix.to_dense

    def bits_only(self, dtype=np.float64):
        assert np.dtype(dtype) == np.bool_
        return original(self, dtype)

    program = hard_program("logistic", shape, 2, True, share=0.02)
    monkeypatch.setattr(bd.BinaryMatrix, "to_dense", bits_only)
    monkeypatch.setattr(bd.BinaryMatrix, "to_csc", lambda *_: pytest.fail("unpacked"))
    certified(program)


def test_threads_solve_at_once_what_each_would_alone():
    programs = [hard_program("logistic", seed=seed, outputs=2) for seed in range(3)]
    alone = [certified(program) for program in programs]
    found = {}
    threads = [
        threading.Thread(target=lambda k=k: found.update({k: certified(programs[k])}))
        for k in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for k, each in enumerate(alone):
        np.testing.assert_array_equal(found[k].weights, each.weights)
