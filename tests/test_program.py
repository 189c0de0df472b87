"""A program and its dual: weak duality, feasibility, lambda_max, references and refused inputs."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import linprog, minimize_scalar

import bidual as bd

LOSSES = bd.LOSSES
SMOOTH = [name for name, loss in LOSSES.items() if np.isfinite(loss.curvature)]
some = settings(deadline=None, max_examples=30)

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])


@st.composite
def targets(draw, loss, shape):
    numbers = st.sampled_from([-1.0, 1.0]) if LOSSES[loss].labels else st.floats(-5, 5, width=16)
    return draw(arrays(float, shape, elements=numbers))


@st.composite
def programs(draw, loss=None, intercept=None, max_outputs=3):
    """Up to 7 rows, 5 atoms and 3 outputs; row weights uneven, some of them 0."""
    loss = draw(st.sampled_from(list(LOSSES))) if loss is None else loss
    intercept = draw(st.booleans()) if intercept is None else intercept
    n, atoms = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    outputs = draw(st.integers(1, max_outputs))
    weights = st.just(0.0) | st.floats(0.05, 2.0)
    return bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(draw(arrays(bool, (n, atoms)))),
        draw(targets(loss, (n, outputs))),
        loss,
        draw(st.just(0.0) | st.floats(0.01, 2.0)),
        draw(arrays(float, n, elements=weights).filter(np.any)),
        intercept,
    )


def draw_primal(data, program):
    shape = program.design.shape[1], program.outputs
    W = data.draw(arrays(float, shape, elements=st.floats(-5, 5)), label="W")
    b = data.draw(arrays(float, program.outputs, elements=st.floats(-5, 5)), label="b")
    return W, b * program.intercept


def draw_feasible(data, program):
    """A feasible V, made by scaling alone: every domain is convex and holds 0."""
    a = program.row_weights[:, None]
    low, high = program.loss.domain(program.target, a)
    fractions = st.integers(-100, 100).map(lambda k: k / 100)
    shares = data.draw(arrays(float, program.target.shape, elements=fractions), label="V")
    low, high = np.where(np.isinf(low), -5 * a, low), np.where(np.isinf(high), 5 * a, high)
    v = np.where(shares > 0, shares * high, -shares * low)
    if program.intercept:
        for c in range(program.outputs):
            up, down = v[v[:, c] > 0, c].sum(), -v[v[:, c] < 0, c].sum()
            level = min(up, down)
            v[v[:, c] > 0, c] *= level / up if up else 0.0
            v[v[:, c] < 0, c] *= level / down if down else 0.0
    largest = np.abs(program.design.to_dense().T @ v).max()
    return v * min(1.0, program.strength / largest) if largest else v


def objective(program, W, b):
    """The definition, row by row."""
    D, total = program.design.to_dense(), program.strength * np.abs(W).sum()
    for i, c in np.ndindex(program.target.shape):
        z = np.array([[D[i] @ W[:, c] + b[c]]])
        y = np.array([[program.target[i, c]]])
        total += program.row_weights[i] * program.loss.value(z, y)[0, 0]
    return total


@some
@given(program=programs(), data=st.data())
def test_primal_is_the_definition(program, data):
    W, b = draw_primal(data, program)
    assert program.primal(W, b) == pytest.approx(objective(program, W, b), rel=1e-13, abs=1e-13)


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_primal_is_at_least_dual(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    W, b = draw_primal(data, program)
    V = draw_feasible(data, program)
    primal, dual = program.primal(W, b), program.dual(V)
    assert np.isfinite(dual)
    # both are sums of fewer than 30 terms of this size
    assert primal >= dual - 1e-14 * (primal + abs(dual) + 1)


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_dual_equals_primal_at_a_known_optimum(loss, intercept, data):
    # choose Z = D W and V there, then the strength that makes W optimal: no solver needed
    program = data.draw(programs(loss, intercept=False, max_outputs=1))
    weight = data.draw(st.just(1.0) | st.floats(0.125, 3))
    W = np.zeros((program.design.shape[1], 1))
    V = program.dual_at(program.affine(W, np.zeros(1)))
    j = int(np.abs(program.design.rmatvec(V)).argmax())
    W[j] = weight * np.sign(program.design.rmatvec(V)[j])
    fit = program.affine(W, np.zeros(1))
    V = program.dual_at(fit)
    if intercept:
        # an intercept of 0 is optimal once the targets are mirrored beside themselves
        D = program.design.to_dense()
        program = bd.ConvexProgram(
            bd.BinaryMatrix.from_dense(np.block([[D, 0 * D], [0 * D, D]])),
            np.vstack([program.target, -program.target]),
            loss,
            program.strength,
            np.tile(program.row_weights, 2),
            intercept=True,
        )
        W, V = np.vstack([W, -W]), np.vstack([V, -V])
    prices = program.design.rmatvec(V)
    strength = float(np.abs(prices).max())
    touched = np.abs(W) > 0
    assume((np.abs(prices[touched]) >= strength * (1 - 1e-15)).all())
    assume((prices[touched] * W[touched] > 0).all())
    program = program.with_strength(strength)
    primal = program.primal(W)
    assert program.dual(V) == pytest.approx(
        primal, rel=1e-13, abs=1e-13 * program.row_weights.sum()
    )


@each_loss
@some
@given(data=st.data())
def test_dual_is_minus_infinity_outside_the_domain_of_the_loss(loss, data):
    program = data.draw(programs(loss, intercept=False)).with_strength(1e6)
    V = draw_feasible(data, program)
    i = data.draw(st.integers(0, V.shape[0] - 1))
    c = data.draw(st.integers(0, V.shape[1] - 1))
    low, high = program.loss.domain(program.target, program.row_weights[:, None])
    assert np.isfinite(program.dual(V))
    for end, sign in ((low, -1), (high, 1)):
        if np.isfinite(end[i, c]):
            outside = V.copy()
            outside[i, c] = end[i, c] + sign * 1e-9
            assert program.dual(outside) == -np.inf


@each_loss
def test_dual_is_minus_infinity_where_a_row_of_weight_zero_has_a_dual(loss):
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense([[1], [1], [0]]), [1.0, -1.0, 1.0], loss, 9.0, [1.0, 0.0, 1.0]
    )
    assert np.isfinite(program.dual([0.5, 0.0, 0.5]))
    for v in (-1e-12, 1e-12, -0.5, 0.5):
        assert program.dual([0.5, v, 0.5]) == -np.inf


@each_loss
@pytest.mark.parametrize("seed", range(5))
def test_dual_is_minus_infinity_where_a_price_exceeds_the_strength(loss, seed):
    rng = np.random.default_rng(seed)
    D = bd.BinaryMatrix.from_dense(rng.random((9, 6)) < 0.4)
    y = np.where(rng.random((9, 2)) < 0.5, -1.0, 1.0)
    program = bd.ConvexProgram(D, y, loss)
    V = y * rng.random((9, 2)) / 9
    largest = np.abs(D.to_dense().T @ V).max()
    assert np.isfinite(program.with_strength(largest).dual(V))
    # the room for rounding is 1e-12 of sum |V|, which is at most 2
    assert program.with_strength(largest - 1e-11).dual(V) == -np.inf


@each_loss
def test_every_atom_and_output_is_priced_on_both_sides(loss):
    D = bd.BinaryMatrix.from_dense(np.eye(3))
    y = np.where(np.arange(6).reshape(3, 2) % 2 == 0, 1.0, -1.0)
    program = bd.ConvexProgram(D, y, loss, 0.2, np.ones(3))
    assert np.isfinite(program.dual(0.2 * y))
    for i, c in np.ndindex(3, 2):
        V = 0.1 * y
        V[i, c] = 0.21 * y[i, c]
        assert program.dual(V) == -np.inf


@each_loss
def test_dual_is_minus_infinity_where_an_intercept_has_a_sum_left(loss):
    D = bd.BinaryMatrix.from_dense([[1], [1], [0]])
    y = np.array([[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    V = np.array([[0.5, 0.5], [-0.75, -0.75], [0.25, 0.25]])
    with_intercept = bd.ConvexProgram(D, y, loss, 9.0, np.ones(3), intercept=True)
    without = bd.ConvexProgram(D, y, loss, 9.0, np.ones(3))
    assert with_intercept.dual(V) == without.dual(V) > -np.inf
    # one output's sum must not make up for the other's
    V += [[0.0625, -0.0625], [0.0, 0.0], [0.0, 0.0]]
    assert without.dual(V) > -np.inf
    assert with_intercept.dual(V) == -np.inf


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_dual_of_numbers_that_are_not_finite_is_refused(loss, bad):
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense([[1], [0]]), [1.0, -1.0], loss, 1.0)
    for V in ([0.1, bad], [bad, -0.1]):
        with pytest.raises(ValueError, match=r"^V: .*finite"):
            program.dual(V)


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_into_domain_lands_in_the_domain_with_zero_sums_where_asked(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    V = data.draw(arrays(float, program.target.shape, elements=st.floats(-10, 10)))
    before = V.copy()
    moved = program.into_domain(V)
    np.testing.assert_array_equal(V, before)
    low, high = program.loss.domain(program.target, program.row_weights[:, None])
    assert (moved >= low).all()
    assert (moved <= high).all()
    assert not moved[program.row_weights == 0].any()
    if intercept:
        # rounding is relative to what was moved
        assert np.abs(moved.sum(axis=0)).max() <= 1e-14 * np.abs(V).sum()
    else:
        np.testing.assert_array_equal(moved, np.clip(V, low, high))


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_dual_takes_whatever_into_domain_returns(loss, intercept, data):
    program = data.draw(programs(loss, intercept)).with_strength(1e6)
    numbers = st.integers(-1000, 1000).map(lambda k: k / 100)  # no underflow
    V = data.draw(arrays(float, program.target.shape, elements=numbers))
    assert np.isfinite(program.dual(program.into_domain(V)))


@each_loss
def test_dual_takes_what_rounding_leaves_of_a_dual_point_that_is_zero(loss):
    # V in proportion to the row weights, on targets of one side, is all surplus: nothing is left
    D, y = bd.BinaryMatrix.from_dense([[1], [0], [1]]), [1.0, 1.0, 1.0]
    rng = np.random.default_rng(0)
    for a in rng.uniform(0.05, 1.0, (200, 3)) * [1.0, 1.0, 0.0]:
        program = bd.ConvexProgram(D, y, loss, 1.0, a, intercept=True)
        moved = program.into_domain(0.23 * a[:, None])
        assert np.abs(moved).max() <= 1e-16
        assert abs(program.dual(moved)) <= 1e-15


@each_loss
@pytest.mark.parametrize("weight", [1e-3, 1e-6, 1e-9])
def test_into_domain_reaches_zero_sums_for_a_class_of_small_weight(loss, weight):
    # of 1e5 rows one is of the rarer class: what is left of the others is 1e-5 of where they began
    D = bd.BinaryMatrix.from_dense([[1], [0], [1], [0]])
    y = np.array([1.0, 1.0, 1.0, -1.0])
    a = np.array([0.7, 0.3, 0.1, weight])
    program = bd.ConvexProgram(D, y, loss, 1e6, a, intercept=True)
    moved = program.into_domain((a * y)[:, None])
    assert abs(moved.sum()) <= 1e-12 * np.abs(moved).sum()
    assert np.isfinite(program.dual(moved))


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_into_domain_leaves_feasible_points_alone(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    V = draw_feasible(data, program)
    moved = program.into_domain(V)
    if intercept:
        # a sum of 7 entries is 0 up to rounding, and so is the move
        np.testing.assert_allclose(moved, V, rtol=0, atol=1e-15 * np.abs(V).sum())
    else:
        np.testing.assert_array_equal(moved, V)


@each_loss
def test_dual_at_is_minus_the_gradient_of_the_weighted_loss(loss):
    rng = np.random.default_rng(1)
    y = np.where(rng.random((6, 2)) < 0.5, 1.0, -1.0)
    a = rng.random(6)
    D = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (6, 3)))
    program = bd.ConvexProgram(D, y, loss, 1.0, a)
    fit, h = rng.normal(size=(6, 2)), 1e-6
    V = program.dual_at(fit)
    for i, c in np.ndindex(6, 2):
        move = np.zeros((6, 2))
        move[i, c] = h
        slope = (program.data_loss(fit + move) - program.data_loss(fit - move))[c] / (2 * h)
        # h^2 of truncation and 1e-16 / h of rounding
        assert V[i, c] == pytest.approx(-slope, abs=1e-9)


def first_order_change(program, j, c, sign):
    """How far the objective falls below W = 0, b0 along one atom, at best."""
    best = np.inf
    for step in 10.0 ** np.arange(-8, 1):
        W = np.zeros((program.design.shape[1], program.outputs))
        W[j, c] = sign * step
        best = min(best, program.primal(W, program.null_intercept) - program.reference)
    return best


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_zero_is_optimal_from_lambda_max_on(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    for factor in (1.0, 1.001, 10.0):
        at_the_top = program.with_strength(factor * program.lambda_max)
        V = at_the_top.dual_at(np.broadcast_to(program.null_intercept, program.target.shape))
        dual = at_the_top.dual(V)
        room = 1e-12 * program.row_weights.sum() * (1 + np.abs(program.target).max() ** 2)
        assert dual == pytest.approx(program.reference, rel=0, abs=room)


@pytest.mark.parametrize(
    ("loss", "intercept"),
    [*((loss, i) for loss in SMOOTH for i in (False, True)), ("hinge", False)],
)
@some
@given(data=st.data())
def test_zero_is_not_optimal_just_below_lambda_max(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    assume(program.lambda_max > 1e-3)
    below = program.with_strength(0.999 * program.lambda_max)
    start = np.broadcast_to(program.null_intercept, program.target.shape)
    prices = below.design.rmatvec(below.dual_at(start))
    j, c = np.unravel_index(int(np.abs(prices).argmax()), prices.shape)
    # the slope along that atom is -0.001 lambda_max; the second derivative at most sum a, 14
    fall = (1e-3 * program.lambda_max) ** 2 / (2 * 14)
    assert first_order_change(below, j, c, np.sign(prices[j, c])) < -0.01 * fall


def smallest_strength(program):
    """Least r with |D'V| <= r over V = a y u of zero sum that prove the hinge loss at W = 0."""
    n, atoms = program.design.shape
    y, a = program.target[:, 0], program.row_weights
    priced = program.design.to_dense().T * (a * y)
    solved = linprog(
        np.r_[np.zeros(n), 1.0],
        A_ub=np.block([[priced, -np.ones((atoms, 1))], [-priced, -np.ones((atoms, 1))]]),
        b_ub=np.zeros(2 * atoms),
        A_eq=np.vstack([np.r_[a * y, 0.0], np.r_[a, 0.0]]),
        b_eq=[0.0, program.reference],
        bounds=[(0, 1)] * n + [(0, None)],
    )
    assert solved.status == 0
    return solved.fun


def test_lambda_max_of_hinge_with_intercept_bounds_the_smallest_from_above():
    for seed in range(8):
        rng = np.random.default_rng(seed)
        D = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (9, 4)))
        y, a = np.where(rng.random(9) < 0.4, 1.0, -1.0), rng.random(9)
        y[:2] = 1.0, -1.0
        program = bd.ConvexProgram(D, y, "hinge", 0.0, a, intercept=True)
        assert program.lambda_max >= smallest_strength(program) - 1e-9


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_null_intercept_and_reference_are_the_best_without_weights(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    b0 = program.null_intercept
    assert b0.shape == (program.outputs,)
    zero = np.zeros((program.design.shape[1], program.outputs))
    assert program.reference == pytest.approx(program.primal(zero, b0), rel=1e-14, abs=1e-300)
    assert program.references.sum() == pytest.approx(program.reference, rel=1e-14, abs=1e-300)
    if not intercept:
        assert not b0.any()
        return
    for c in range(program.outputs):

        def total(b, c=c):
            fit = np.full((program.target.shape[0], 1), b)
            return program.row_weights @ program.loss.value(fit, program.target[:, [c]])[:, 0]

        tries = np.linspace(-6, 6, 121)  # targets are within 5; whole numbers are among these
        start = tries[int(np.argmin([total(b) for b in tries]))]
        found = minimize_scalar(total, bounds=(start - 0.1, start + 0.1), method="bounded")
        assert program.references[c] <= min(found.fun, total(start)) + 1e-13 * total(0.0)


def test_null_intercept_is_the_mean_the_majority_and_the_log_odds():
    D, a = bd.BinaryMatrix.from_dense([[1], [0], [1]]), [0.5, 0.25, 0.0]
    squared = bd.ConvexProgram(D, [3.0, -3.0, 99.0], "squared", 1.0, a, intercept=True)
    assert squared.null_intercept.tolist() == [1.0]
    hinge = bd.ConvexProgram(D, [-1.0, 1.0, 1.0], "hinge", 1.0, a, intercept=True)
    assert hinge.null_intercept.tolist() == [-1.0]
    logistic = bd.ConvexProgram(D, [1.0, -1.0, -1.0], "logistic", 1.0, a, intercept=True)
    assert logistic.null_intercept == pytest.approx([np.log(2)], rel=1e-15)


def test_relative_gap_is_a_share_of_the_reference():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    program = bd.ConvexProgram(D, [2.0, 4.0], "squared", 1.0)
    assert program.reference == 5.0
    assert program.relative(1.0) == 0.2
    at_zero = bd.ConvexProgram(D, [0.0, 0.0], "squared", 1.0)
    assert at_zero.reference == 0.0
    assert at_zero.relative(0.0) == 0.0
    assert at_zero.relative(1e-9) == np.inf


@some
@given(program=programs(), data=st.data())
def test_primal_separates_over_outputs(program, data):
    W, b = draw_primal(data, program)
    parts = [program.select([c]).primal(W[:, c], b[c]) for c in range(program.outputs)]
    assert sum(parts) == pytest.approx(program.primal(W, b), rel=1e-13, abs=1e-300)
    V = draw_feasible(data, program)
    bounds = [program.select([c]).dual(V[:, c]) for c in range(program.outputs)]
    room = 1e-13 * (1 + np.abs(bounds).sum())
    assert sum(bounds) == pytest.approx(program.dual(V), rel=0, abs=room)


@some
@given(program=programs(), data=st.data())
def test_select_keeps_all_but_the_other_outputs(program, data):
    chosen = data.draw(st.lists(st.integers(0, program.outputs - 1), min_size=1, max_size=4))
    part = program.select(chosen)
    assert part.outputs == len(chosen)
    assert part.design is program.design
    assert part.loss is program.loss
    assert part.strength == program.strength
    assert part.intercept == program.intercept
    np.testing.assert_array_equal(part.target, program.target[:, chosen])
    np.testing.assert_array_equal(part.row_weights, program.row_weights)
    np.testing.assert_allclose(part.references, program.references[chosen], rtol=1e-14)
    singles = [program.select([c]).lambda_max for c in range(program.outputs)]
    assert program.lambda_max == pytest.approx(max(singles), rel=1e-13, abs=1e-300)


@some
@given(program=programs(), strength=st.floats(0, 10))
def test_with_strength_changes_the_strength_alone(program, strength):
    other = program.with_strength(strength)
    assert other.strength == strength
    assert other.design is program.design
    assert other.loss is program.loss
    assert other.intercept == program.intercept
    np.testing.assert_array_equal(other.target, program.target)
    np.testing.assert_array_equal(other.row_weights, program.row_weights)
    assert other.reference == program.reference
    assert other.lambda_max == program.lambda_max
    W = np.ones((program.design.shape[1], program.outputs))
    change = (strength - program.strength) * W.size
    size = program.primal(W) + other.primal(W)
    assert other.primal(W) - program.primal(W) == pytest.approx(change, abs=1e-13 * size)


def test_with_strength_keeps_the_classes():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    program = bd.ConvexProgram(D, [1.0, -1.0], "hinge", 1.0, classes=np.array(["a", "b"]))
    assert program.with_strength(2.0).classes.tolist() == ["a", "b"]


def test_rows_weigh_the_same_unless_said_otherwise():
    D = bd.BinaryMatrix.from_dense([[1], [0], [1], [1]])
    program = bd.ConvexProgram(D, [1.0, 2.0, 3.0, 4.0])
    assert program.row_weights.tolist() == [0.25] * 4
    assert program.strength == 0.0
    assert not program.intercept
    assert program.outputs == 1


def test_a_program_keeps_its_own_copy_of_the_arrays():
    y, a = np.array([1.0, 2.0]), np.array([0.5, 0.5])
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense([[1], [0]]), y, "squared", 1.0, a)
    y[:], a[:] = 9.0, 9.0
    assert program.target.tolist() == [[1.0], [2.0]]
    assert program.row_weights.tolist() == [0.5, 0.5]
    for array in (program.target, program.row_weights):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1.0


def test_a_loss_may_be_given_as_itself():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    program = bd.ConvexProgram(D, [1.0, -1.0], LOSSES["hinge"])
    assert program.loss is LOSSES["hinge"]
    assert "hinge" in repr(program)


@dataclass(frozen=True)
class Bad:
    """What to change in a good program, and the name that the error must begin with."""

    change: dict
    named: str


GOOD = {
    "design": bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]]),
    "target": [1.0, -1.0, 1.0],
    "loss": "squared",
    "strength": 0.5,
    "row_weights": [0.5, 0.0, 0.5],
}
BAD = {
    "empty dictionary": Bad({"design": bd.BinaryMatrix.from_dense(np.zeros((3, 0)))}, "design"),
    "negative strength": Bad({"strength": -1e-9}, "strength"),
    "NaN strength": Bad({"strength": np.nan}, "strength"),
    "infinite strength": Bad({"strength": np.inf}, "strength"),
    "too few row weights": Bad({"row_weights": [0.5, 0.5]}, "row_weights"),
    "too many row weights": Bad({"row_weights": [0.5] * 4}, "row_weights"),
    "a column of row weights": Bad({"row_weights": [[0.5], [0.5], [0.5]]}, "row_weights"),
    "one row weight": Bad({"row_weights": 0.5}, "row_weights"),
    "negative row weight": Bad({"row_weights": [0.5, -1e-9, 0.5]}, "row_weights"),
    "all row weights zero": Bad({"row_weights": [0.0] * 3}, "row_weights"),
    "NaN row weight": Bad({"row_weights": [0.5, np.nan, 0.5]}, "row_weights"),
    "infinite row weight": Bad({"row_weights": [0.5, np.inf, 0.5]}, "row_weights"),
    "short target": Bad({"target": [1.0, -1.0]}, "target"),
    "long target": Bad({"target": [1.0] * 4}, "target"),
    "transposed target": Bad({"target": [[1.0, -1.0, 1.0]]}, "target"),
    "target of three dimensions": Bad({"target": np.ones((3, 1, 1))}, "target"),
    "target without outputs": Bad({"target": np.ones((3, 0))}, "target"),
    "a number as target": Bad({"target": 1.0}, "target"),
    "NaN target": Bad({"target": [1.0, np.nan, 1.0]}, "target"),
    "infinite target": Bad({"target": [1.0, np.inf, 1.0]}, "target"),
    "0/1 target of hinge": Bad({"target": [1.0, 0.0, 1.0], "loss": "hinge"}, "target"),
    "unknown loss": Bad({"loss": "hing"}, "loss"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_is_refused_by_name(bad):
    bd.ConvexProgram(**GOOD)
    with pytest.raises(ValueError, match=f"^{bad.named}: "):
        bd.ConvexProgram(**{**GOOD, **bad.change})


def test_a_design_that_is_no_binary_matrix_is_refused_by_name():
    with pytest.raises(TypeError, match=r"^design: expected a BinaryMatrix, got ndarray"):
        bd.ConvexProgram(np.eye(3), [1.0, 2.0, 3.0], "squared", 1.0)


@pytest.mark.parametrize("shape", [(0, 3), (3, 0)])
def test_a_design_without_rows_or_atoms_is_refused_by_name(shape):
    D = bd.BinaryMatrix.from_dense(np.zeros(shape))
    with pytest.raises(ValueError, match=r"^design: expected at least one row and one atom"):
        bd.ConvexProgram(D, np.zeros(shape[0]), "squared", 1.0)


@pytest.mark.parametrize("strength", [-1.0, np.nan, np.inf])
def test_with_strength_refuses_what_the_program_refuses(strength):
    with pytest.raises(ValueError, match=r"^strength: "):
        bd.ConvexProgram(**GOOD).with_strength(strength)


@pytest.mark.parametrize("weights", [np.ones(3), np.ones((3, 2)), np.ones((2, 3))])
def test_weights_of_another_shape_have_no_primal_value(weights):
    # (2, 3) for three atoms and two outputs is the transposed array: right size, wrong weights
    D = bd.BinaryMatrix.from_dense(np.eye(4)[:, :3])
    program = bd.ConvexProgram(D, np.ones((4, 2)), "squared", 1.0)
    if weights.shape == (3, 2):
        assert program.primal(weights) == 6.25
        return
    with pytest.raises(ValueError, match=r"^weights: "):
        program.primal(weights)


@pytest.mark.parametrize("V", [np.ones(4), np.ones((4, 2)), np.ones((2, 4))])
def test_dual_points_of_another_shape_have_no_dual_value(V):
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(np.eye(4)), np.ones((4, 2)), "squared", 9.0
    )
    if V.shape == (4, 2):
        assert np.isfinite(program.dual(V))
        return
    with pytest.raises(ValueError, match=r"^V: "):
        program.dual(V)
