"""A program and its dual: weak duality, feasibility, lambda_max, references and refused inputs."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.linalg import block_diag
from scipy.optimize import linprog, minimize, minimize_scalar
from targets_for import outputs_for, targets_for

import bidual as bd

from covering import examples

LOSSES = bd.LOSSES
SMOOTH = [name for name, loss in LOSSES.items() if np.isfinite(loss.curvature)]
some = examples(16)

each_loss = pytest.mark.parametrize("loss", LOSSES)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES)
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])


@st.composite
def targets(draw, loss, shape):
    return targets_for(loss, draw(arrays(float, shape, elements=st.floats(-5, 5, width=16))))


@st.composite
def programs(draw, loss=None, intercept=None, max_outputs=3, penalty=None):
    """Up to 7 rows, 5 atoms and 3 outputs; row weights uneven, some of them 0."""
    loss = draw(st.sampled_from(list(LOSSES))) if loss is None else loss
    penalty = draw(st.sampled_from(list(bd.PENALTIES))) if penalty is None else penalty
    intercept = draw(st.booleans()) if intercept is None else intercept
    n, atoms = draw(st.integers(1, 7)), draw(st.integers(1, 5))
    outputs = outputs_for(loss, draw(st.integers(1, max_outputs)))
    weights = st.just(0.0) | st.floats(0.05, 2.0)
    return bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(draw(arrays(bool, (n, atoms)))),
        draw(targets(loss, (n, outputs))),
        loss,
        draw(st.just(0.0) | st.floats(0.01, 2.0)),
        draw(arrays(float, n, elements=weights).filter(np.any)),
        intercept,
        penalty=penalty,
    )


def signs_for(loss, signs):
    """Targets and the direction of duals that they allow, (N, C), for signs (N, C) of a row each.

    Softmax has two classes, told by the signs of the first column.
    """
    signs = np.asarray(signs, dtype=float)
    if loss != "softmax":
        return signs, signs
    signs = signs[:, :1] * [1.0, -1.0]
    return targets_for(loss, signs), signs


def norms_of(program, weights):
    """What the penalty sums up and the strength bounds: sizes of entries, or lengths of rows."""
    if program.penalty.name == "l1":
        return np.abs(weights)
    return np.sqrt((weights**2).sum(axis=1, keepdims=True))


def draw_primal(data, program):
    shape = program.design.shape[1], program.outputs
    W = data.draw(arrays(float, shape, elements=st.floats(-5, 5)), label="W")
    b = data.draw(arrays(float, program.outputs, elements=st.floats(-5, 5)), label="b")
    return W, b * program.intercept


def draw_feasible(data, program):
    """A feasible V, made by scaling alone: every domain is convex and holds 0."""
    a = program.row_weights[:, None]
    fractions = st.integers(-100, 100).map(lambda k: k / 100)
    shares = data.draw(arrays(float, program.target.shape, elements=fractions), label="V")
    if program.loss.name == "softmax":
        v = exchanges(data, program)
        if not program.intercept:
            given = np.where(program.target > 0, 0.0, a * np.abs(shares) / program.outputs)
            v = np.where(program.target > 0, given.sum(axis=1, keepdims=True), -given)
    else:
        low, high = program.loss.domain(program.target, a)
        low, high = np.where(np.isinf(low), -5 * a, low), np.where(np.isinf(high), 5 * a, high)
        v = np.where(shares > 0, shares * high, -shares * low)
    if program.intercept and program.loss.name != "softmax":
        for c in range(program.outputs):
            up, down = v[v[:, c] > 0, c].sum(), -v[v[:, c] < 0, c].sum()
            level = min(up, down)
            v[v[:, c] > 0, c] *= level / up if up else 0.0
            v[v[:, c] < 0, c] *= level / down if down else 0.0
    largest = norms_of(program, program.design.to_dense().T @ v).max()
    return v * min(1.0, program.strength / largest) if largest else v


def exchanges(data, program):
    """V of softmax whose rows and columns sum to 0: pairs of rows of two classes trade places."""
    v, a, label = np.zeros(program.target.shape), program.row_weights, program.target.argmax(axis=1)
    n = a.size
    fractions = data.draw(arrays(float, (n, n), elements=st.sampled_from([0.0, 0.25, 1.0])))
    for i, j in np.argwhere(fractions):
        c, d = label[i], label[j]
        if c != d:
            traded = fractions[i, j] * min(a[i] - v[i, c], a[j] - v[j, d])
            v[i, [c, d]] += [traded, -traded]
            v[j, [d, c]] += [traded, -traded]
    return v


def objective(program, W, b):
    """The definition, row by row."""
    D, total = program.design.to_dense(), program.strength * norms_of(program, W).sum()
    for i, y in enumerate(program.target):
        z = D[i] @ W + b
        total += program.row_weights[i] * program.loss.value(z[None], y[None]).sum()
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
    program = data.draw(programs(loss, intercept=False, max_outputs=1, penalty="l1"))
    weight = data.draw(st.just(1.0) | st.floats(0.125, 3))
    W = np.zeros((program.design.shape[1], program.outputs))
    V = program.dual_at(program.affine(W, np.zeros(program.outputs)))
    prices = program.design.rmatvec(V)
    j, c = np.unravel_index(int(np.abs(prices).argmax()), prices.shape)
    W[j, c] = weight * np.sign(prices[j, c])
    V = program.dual_at(program.affine(W, np.zeros(program.outputs)))
    if intercept:
        # an intercept of 0 is optimal once the targets are mirrored beside themselves
        D = program.design.to_dense()
        mirrored = (lambda x: x[:, ::-1]) if loss == "softmax" else np.negative
        program = bd.ConvexProgram(
            bd.BinaryMatrix.from_dense(np.block([[D, 0 * D], [0 * D, D]])),
            np.vstack([program.target, mirrored(program.target)]),
            loss,
            program.strength,
            np.tile(program.row_weights, 2),
            intercept=True,
        )
        W, V = np.vstack([W, mirrored(W)]), np.vstack([V, mirrored(V)])
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


@each_intercept
@pytest.mark.parametrize("outputs", [1, 2, 4])
@pytest.mark.parametrize("seed", range(3))
def test_dual_equals_primal_at_a_known_optimum_of_the_group_norm(intercept, outputs, seed):
    # choose V, the row of W along its largest prices, and targets to which both belong
    rng = np.random.default_rng([seed, outputs])
    D = rng.integers(0, 2, (9, 5))
    V, a = rng.normal(size=(9, outputs)), rng.uniform(0.1, 1.0, 9)
    V -= V.mean(axis=0) * intercept
    prices = D.T @ V
    lengths = np.linalg.norm(prices, axis=1)
    j = int(lengths.argmax())
    W = np.zeros((5, outputs))
    W[j] = 1.5 * prices[j] / lengths[j]
    b = rng.normal(size=outputs) * intercept
    y = D @ W + b + V / a[:, None]
    D = bd.BinaryMatrix.from_dense(D)
    program = bd.ConvexProgram(D, y, "squared", lengths[j], a, intercept, penalty="group")
    assert program.dual(V) == pytest.approx(program.primal(W, b), rel=1e-13)
    if outputs > 1:
        # under the l1 norm prices are not long enough to hold those weights
        apart = bd.ConvexProgram(D, y, "squared", lengths[j], a, intercept)
        assert apart.dual(V) < 0.999 * apart.primal(W, b)


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
    D = bd.BinaryMatrix.from_dense([[1], [1], [0]])
    y, signs = signs_for(loss, [[1.0], [-1.0], [1.0]])
    program = bd.ConvexProgram(D, y, loss, 9.0, [1.0, 0.0, 1.0])
    assert np.isfinite(program.dual(signs * [[0.5], [0.0], [0.5]]))
    for v in (-1e-12, 1e-12, -0.5, 0.5):
        assert program.dual(signs * [[0.5], [v], [0.5]]) == -np.inf


@each_loss
@each_penalty
@pytest.mark.parametrize("seed", range(3))
def test_dual_is_minus_infinity_where_a_price_exceeds_the_strength(loss, penalty, seed):
    rng = np.random.default_rng(seed)
    D = bd.BinaryMatrix.from_dense(rng.random((9, 6)) < 0.4)
    y, signs = signs_for(loss, np.where(rng.random((9, 2)) < 0.5, -1.0, 1.0))
    program = bd.ConvexProgram(D, y, loss, penalty=penalty)
    sizes = rng.random((9, 1 if loss == "softmax" else 2)) / 9
    V = signs * sizes
    largest = norms_of(program, D.to_dense().T @ V).max()
    assert np.isfinite(program.with_strength(largest).dual(V))
    # the room for rounding is 1e-12 of sum |V|, which is at most 2
    assert program.with_strength(largest - 1e-11).dual(V) == -np.inf


@each_loss
@each_penalty
def test_every_atom_and_output_is_priced_on_both_sides(loss, penalty):
    D = bd.BinaryMatrix.from_dense(np.eye(3))
    y, signs = signs_for(loss, np.where(np.arange(6).reshape(3, 2) % 2 == 0, 1.0, -1.0))
    assert y.shape == (3, 2)
    strength = 0.2 if penalty == "l1" else 0.2 * np.sqrt(2)
    program = bd.ConvexProgram(D, y, loss, strength, np.ones(3), penalty=penalty)
    assert np.isfinite(program.dual(0.2 * signs))
    for i, c in np.ndindex(3, 2):
        outputs = slice(None) if loss == "softmax" else c  # a row sums to 0
        V = 0.2 * signs
        V[i, outputs] = 0.21 * signs[i, outputs]
        assert program.dual(V) == -np.inf
        V[i, outputs] = 0.19 * signs[i, outputs]
        assert np.isfinite(program.dual(V))


def test_the_group_norm_bounds_rows_of_prices_and_not_entries():
    D, y = bd.BinaryMatrix.from_dense(np.eye(2)), np.ones((2, 2))
    V = np.array([[0.6, 0.8], [0.8, -0.6]])
    for penalty, least in (("l1", 0.8), ("group", 1.0)):
        program = bd.ConvexProgram(D, y, "squared", least, [1.0, 1.0], penalty=penalty)
        assert np.isfinite(program.dual(V))
        assert program.with_strength(least - 1e-9).dual(V) == -np.inf


@each_loss
def test_dual_is_minus_infinity_where_an_intercept_has_a_sum_left(loss):
    D = bd.BinaryMatrix.from_dense([[1], [1], [0]])
    y, signs = signs_for(loss, [[1.0, 1.0], [-1.0, -1.0], [1.0, 1.0]])
    V = signs * [[0.5], [0.75], [0.25]]
    with_intercept = bd.ConvexProgram(D, y, loss, 9.0, np.ones(3), intercept=True)
    without = bd.ConvexProgram(D, y, loss, 9.0, np.ones(3))
    assert with_intercept.dual(V) == without.dual(V) > -np.inf
    # one output's sum must not make up for the other's
    V += [[0.0625, -0.0625], [0.0, 0.0], [0.0, 0.0]]
    assert without.dual(V) > -np.inf
    assert with_intercept.dual(V) == -np.inf


def test_dual_of_softmax_is_minus_infinity_where_a_row_has_a_sum_left():
    D, y = bd.BinaryMatrix.from_dense([[1], [0]]), np.eye(3)[[0, 2]]
    program = bd.ConvexProgram(D, y, "softmax", 9.0, [1.0, 1.0])
    V = np.array([[0.5, -0.25, -0.25], [-0.125, -0.125, 0.25]])
    assert np.isfinite(program.dual(V))
    for i, c in np.ndindex(2, 3):
        for change in (-1e-9, 1e-9):
            moved = V.copy()
            moved[i, c] += change
            assert program.dual(moved) == -np.inf


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_dual_of_numbers_that_are_not_finite_is_refused(loss, bad):
    y, signs = signs_for(loss, [[1.0], [-1.0]])
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense([[1], [0]]), y, loss, 1.0)
    for V in (signs * [[0.1], [bad]], signs * [[bad], [0.1]]):
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
    a = program.row_weights[:, None]
    assert program.loss.contains(moved, program.target, a, 1e-15)
    assert not moved[program.row_weights == 0].any()
    if intercept:
        # rounding is relative to what was moved
        assert np.abs(moved.sum(axis=0)).max() <= 1e-14 * np.abs(V).sum()
    elif program.loss.separable:
        np.testing.assert_array_equal(moved, np.clip(V, *program.loss.domain(program.target, a)))


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
    D = bd.BinaryMatrix.from_dense([[1], [0], [1]])
    y, signs = signs_for(loss, np.ones((3, 1)))
    rng = np.random.default_rng(0)
    for a in rng.uniform(0.05, 1.0, (200, 3)) * [1.0, 1.0, 0.0]:
        program = bd.ConvexProgram(D, y, loss, 1.0, a, intercept=True)
        moved = program.into_domain(0.23 * a[:, None] * signs)
        assert np.abs(moved).max() <= 1e-16
        assert abs(program.dual(moved)) <= 1e-15


@each_loss
@pytest.mark.parametrize("weight", [1e-3, 1e-6, 1e-9])
def test_into_domain_reaches_zero_sums_for_a_class_of_small_weight(loss, weight):
    # of 1e5 rows one is of the rarer class: what is left of the others is 1e-5 of where they began
    D = bd.BinaryMatrix.from_dense([[1], [0], [1], [0]])
    y, signs = signs_for(loss, [[1.0], [1.0], [1.0], [-1.0]])
    a = np.array([0.7, 0.3, 0.1, weight])
    program = bd.ConvexProgram(D, y, loss, 1e6, a, intercept=True)
    moved = program.into_domain(a[:, None] * signs)
    assert np.abs(moved[3]).min() >= 0.5 * weight
    assert (np.abs(moved.sum(axis=0)) <= 1e-12 * np.abs(moved).sum(axis=0)).all()
    assert np.isfinite(program.dual(moved))


@pytest.mark.parametrize("loss", ["logistic", "softmax"])
@pytest.mark.parametrize("weight", [1e-3, 1e-6, 1e-12])
def test_lambda_max_is_known_for_a_class_of_small_weight(loss, weight):
    # at W = 0 and the log odds, rows of the larger class share the pull of the smaller one
    D = bd.BinaryMatrix.from_dense([[1], [0], [1], [0]])
    y, _ = signs_for(loss, [[1.0], [1.0], [1.0], [-1.0]])
    program = bd.ConvexProgram(D, y, loss, 0.0, [0.5, 0.3, 0.2, weight], intercept=True)
    # rounding of log odds up to 28, 4e-15
    assert program.lambda_max == pytest.approx(0.7 * weight / (1 + weight), rel=1e-13)


@each_loss
@each_intercept
@some
@given(data=st.data())
def test_into_domain_leaves_feasible_points_alone(loss, intercept, data):
    program = data.draw(programs(loss, intercept))
    V = draw_feasible(data, program)
    moved = program.into_domain(V)
    if intercept or loss == "softmax":
        # a sum of 7 entries is 0 up to rounding, and so is the move
        np.testing.assert_allclose(moved, V, rtol=0, atol=1e-15 * np.abs(V).sum())
    else:
        np.testing.assert_array_equal(moved, V)


@each_loss
def test_dual_at_is_minus_the_gradient_of_the_weighted_loss(loss):
    rng = np.random.default_rng(1)
    y = targets_for(loss, rng.normal(size=(6, 2)))
    a = rng.random(6)
    D = bd.BinaryMatrix.from_dense(rng.integers(0, 2, (6, 3)))
    program = bd.ConvexProgram(D, y, loss, 1.0, a)
    fit, h = rng.normal(size=(6, 2)), 1e-6
    V = program.dual_at(fit)
    for i, c in np.ndindex(6, 2):
        move = np.zeros((6, 2))
        move[i, c] = h
        change = program.data_loss(fit + move) - program.data_loss(fit - move)
        # h^2 of truncation and 1e-16 / h of rounding
        assert V[i, c] == pytest.approx(-change.sum() / (2 * h), abs=1e-9)


def with_two_sides(program):
    """The program and two rows of unlike targets, an atom each: no intercept alone fits both."""
    ends = np.linspace(-1.0, 1.0, program.outputs)
    y = np.vstack([program.target, targets_for(program.loss.name, np.array([ends, -ends]))])
    D = block_diag(program.design.to_dense(), np.eye(2))
    return bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D.astype(bool)),
        y,
        program.loss.name,
        program.strength,
        np.r_[program.row_weights, 1.0, 1.0],
        program.intercept,
        penalty=program.penalty.name,
    )


def first_order_change(program, direction):
    """How far the objective falls below W = 0, b0 along a direction of W, at best."""
    best = np.inf
    for step in 10.0 ** np.arange(-8, 1):
        W = step * direction
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
    program = with_two_sides(data.draw(programs(loss, intercept)))
    assert program.lambda_max > 0.1
    below = program.with_strength(0.999 * program.lambda_max)
    start = np.broadcast_to(program.null_intercept, program.target.shape)
    prices = below.design.rmatvec(below.dual_at(start))
    norms = norms_of(program, prices)
    assert norms.max() == pytest.approx(program.lambda_max, rel=1e-14)
    # the largest entry, or the longest row along its prices
    direction = np.where(norms == norms.max(), prices, 0.0)
    direction[np.flatnonzero(direction.any(axis=1))[1:]] = 0.0
    if program.penalty.separable:
        direction[:, np.flatnonzero(direction.any(axis=0))[1:]] = 0.0
    direction /= np.linalg.norm(direction)
    # the slope along it is -0.001 lambda_max; the second derivative at most sum a, 16
    fall = (1e-3 * program.lambda_max) ** 2 / (2 * 16)
    assert first_order_change(below, direction) < -0.01 * fall


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
    least, total = best_without_weights(program)
    # a constant is known to a rounding of targets and delta, where a smooth loss is flat
    room = 1e-13 * total + program.row_weights.sum() * 1e-29
    assert program.reference <= least + room


def best_without_weights(program):
    """The least loss over intercepts by search, and the loss without any."""
    y, a = program.target, program.row_weights[:, None]

    def total(b, columns):
        fit = np.broadcast_to(b, y[:, columns].shape)
        return float((a * program.loss.value(fit, y[:, columns])).sum())

    everything = slice(None)
    if not program.loss.separable:

        def slope(b):
            return (a * program.loss.gradient(np.broadcast_to(b, y.shape), y)).sum(axis=0)

        solved = minimize(
            lambda b: total(b, everything),
            np.zeros(program.outputs),
            jac=slope,
            bounds=[(-60, 60)] * program.outputs,
            options={"ftol": 1e-15, "gtol": 1e-11},
        )
        return solved.fun, total(0.0, everything)
    least = 0.0
    for c in range(program.outputs):
        columns = [c]
        tries = np.linspace(-6, 6, 121)  # targets are within 5; whole numbers are among these
        start = tries[int(np.argmin([total(b, columns) for b in tries]))]
        near = (start - 0.1, start + 0.1)
        found = minimize_scalar(total, bounds=near, args=(columns,), method="bounded")
        least += min(found.fun, total(start, columns))
    return least, total(0.0, everything)


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
def test_values_separate_over_blocks(program, data):
    W, b = draw_primal(data, program)
    columns = [list(block) for block in program.blocks]
    parts = [program.select(block).primal(W[:, block], b[block]) for block in columns]
    objectives = program.objectives(W, program.affine(W, b))
    np.testing.assert_allclose(objectives, parts, rtol=1e-13, atol=1e-300)
    assert sum(parts) == pytest.approx(program.primal(W, b), rel=1e-13, abs=1e-300)
    losses = program.data_loss(program.affine(W, b))
    np.testing.assert_allclose(program.with_strength(0).objectives(W, program.affine(W, b)), losses)
    V = draw_feasible(data, program)
    bounds = [program.select(block).dual(V[:, block]) for block in columns]
    room = 1e-13 * (1 + np.abs(bounds).sum())
    assert sum(bounds) == pytest.approx(program.dual(V), rel=0, abs=room)


@each_loss
@each_penalty
@pytest.mark.parametrize("outputs", [1, 2, 3])
def test_blocks_are_single_outputs_where_all_is_a_sum_over_them(loss, penalty, outputs):
    outputs = outputs_for(loss, outputs)
    y = targets_for(loss, np.linspace(-1, 1, 4 * outputs).reshape(4, outputs))
    D = bd.BinaryMatrix.from_dense(np.eye(4))
    program = bd.ConvexProgram(D, y, loss, 0.1, penalty=penalty)
    if loss == "softmax" or penalty == "group":
        assert program.blocks == (tuple(range(outputs)),)
    else:
        assert program.blocks == tuple((c,) for c in range(outputs))
    assert program.norm_width == (outputs if penalty == "group" else 1)
    values = np.arange(1.0, outputs + 1)
    expected = [values.sum()] if len(program.blocks) == 1 else values
    np.testing.assert_array_equal(program.by_block(values), expected)
    whole = np.array([2.5])
    if len(program.blocks) == 1:
        np.testing.assert_array_equal(program.by_block(whole), whole)
    assert program.references.shape == (len(program.blocks),)
    assert program.largest_prices(np.zeros((4, outputs))).shape == (len(program.blocks),)


@some
@given(program=programs(), data=st.data())
def test_select_keeps_all_but_the_other_blocks(program, data):
    numbers = st.integers(0, len(program.blocks) - 1)
    blocks = data.draw(st.lists(numbers, min_size=1, max_size=4, unique=True))
    chosen = [c for k in blocks for c in program.blocks[k]]
    part = program.select(chosen)
    assert part.outputs == len(chosen)
    assert part.design is program.design
    assert part.loss is program.loss
    assert part.penalty is program.penalty
    assert part.strength == program.strength
    assert part.intercept == program.intercept
    np.testing.assert_array_equal(part.target, program.target[:, chosen])
    np.testing.assert_array_equal(part.row_weights, program.row_weights)
    np.testing.assert_allclose(part.references, program.references[blocks], rtol=1e-14)
    singles = [program.select(block).lambda_max for block in program.blocks]
    assert program.lambda_max == pytest.approx(max(singles), rel=1e-13, abs=1e-300)


@pytest.mark.parametrize(("loss", "penalty"), [("squared", "group"), ("softmax", "l1")])
@pytest.mark.parametrize("chosen", [[0], [0, 1], [2], [-1], [-1, 0, 1], [3], [0, 1, 2, 3], []])
def test_select_refuses_to_take_a_block_apart(loss, penalty, chosen):
    y = targets_for(loss, np.arange(12.0).reshape(4, 3) % 5)
    D = bd.BinaryMatrix.from_dense(np.eye(4))
    program = bd.ConvexProgram(D, y, loss, 0.1, penalty=penalty)
    assert program.select([2, 0, 1]).outputs == 3
    if not chosen:
        with pytest.raises(ValueError, match=r"^target: "):
            program.select(chosen)
        return
    with pytest.raises(ValueError, match=r"^outputs: expected whole blocks of \(\(0, 1, 2\),\)"):
        program.select(chosen)


@pytest.mark.parametrize("chosen", [[3], [-1], [0, 7]])
def test_select_refuses_outputs_that_are_not_there(chosen):
    program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(np.eye(4)), np.ones((4, 3)))
    with pytest.raises(ValueError, match=r"^outputs: expected whole blocks"):
        program.select(chosen)


@some
@given(program=programs(), data=st.data())
def test_take_keeps_all_but_the_other_atoms(program, data):
    atoms = program.design.shape[1]
    before = program.lambda_max, program.references
    numbers = st.integers(-atoms, atoms - 1)
    columns = data.draw(st.lists(numbers, min_size=1, max_size=7), label="columns")
    part = program.take(columns)
    np.testing.assert_array_equal(part.design.to_dense(), program.design.to_dense()[:, columns])
    for name in set(vars(program)) - {"design", "lambda_max", "null_dual"}:
        assert getattr(part, name) is getattr(program, name), name
    W = data.draw(arrays(float, (len(columns), program.outputs), elements=st.floats(-5, 5)))
    spread_out = np.zeros((atoms, program.outputs))
    np.add.at(spread_out, np.array(columns) % atoms, W)
    fits = part.affine(W, 0.0), program.affine(spread_out, 0.0)
    # sums in another order, of at most seven numbers up to 5
    np.testing.assert_allclose(*fits, rtol=0, atol=1e-13)
    # the largest price is of the atoms that are there, and that of the whole is still its own
    V = program.dual_at(np.broadcast_to(program.null_intercept, program.target.shape))
    expected = norms_of(program, part.design.to_dense().T @ V).max()
    room = 1e-12 * np.abs(V).sum()
    assert abs(part.lambda_max - expected) <= room
    assert part.lambda_max <= program.lambda_max + room
    assert program.design.shape[1] == atoms
    assert (program.lambda_max, program.references) == before


def test_take_of_a_mask_is_that_of_its_columns():
    D = bd.BinaryMatrix.from_dense(np.eye(4))
    program = bd.ConvexProgram(D, np.arange(4.0), "squared", 0.1)
    mask = np.array([True, False, False, True])
    words = program.take(mask).design.words
    np.testing.assert_array_equal(words, program.take([0, 3]).design.words)
    with pytest.raises(IndexError):
        program.take([4])


@some
@given(program=programs(), points=st.integers(1, 3), data=st.data())
def test_prices_are_those_of_dense_numpy(program, points, data):
    n, C = program.target.shape
    atoms = program.design.shape[1]
    V = data.draw(arrays(float, (n, points * C), elements=st.integers(-1000, 1000)))
    columns = data.draw(st.lists(st.integers(0, atoms - 1), unique=True))
    dense = program.design.to_dense().T @ V
    largest, prices = program.price(V, columns)
    np.testing.assert_array_equal(prices, dense[columns])
    expected = np.array(
        [
            [norms_of(program, dense[:, k * C + np.array(block)]).max() for block in program.blocks]
            for k in range(points)
        ]
    )
    assert largest.shape == ((len(program.blocks),) if points == 1 else expected.shape)
    # whole numbers have exact sums; a root rounds
    np.testing.assert_allclose(np.atleast_2d(largest), expected, rtol=1e-15)
    np.testing.assert_array_equal(program.largest_prices(V), largest)


@each_loss
@each_penalty
@each_intercept
def test_lambda_max_is_the_largest_price_without_weights(loss, penalty, intercept):
    rng = np.random.default_rng(5)
    D = rng.integers(0, 2, (12, 6))
    y, a = targets_for(loss, rng.normal(size=(12, 3))), rng.random(12)
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(D), y, loss, 0.0, a, intercept, penalty=penalty
    )
    V = program.dual_at(np.broadcast_to(program.null_intercept, y.shape))
    prices = D.T @ V
    expected = np.abs(prices).max() if penalty == "l1" else np.linalg.norm(prices, axis=1).max()
    assert program.lambda_max == pytest.approx(expected, rel=1e-14)
    assert program.largest_prices(V).max() == program.lambda_max


@some
@given(program=programs(), strength=st.floats(0, 10))
def test_with_strength_changes_the_strength_alone(program, strength):
    known = program.references, program.null_intercept, program.lambda_max
    before = program.strength
    other = program.with_strength(strength)
    assert other.strength == strength
    assert program.strength == before
    for name in vars(program):
        if name != "strength":
            assert getattr(other, name) is getattr(program, name), name
    # what is known already is not computed again
    assert {"references", "null_intercept", "lambda_max"} <= set(vars(other))
    assert (other.references, other.null_intercept, other.lambda_max) == known
    assert other.reference == program.reference
    W = np.ones((program.design.shape[1], program.outputs))
    change = (strength - program.strength) * norms_of(program, W).sum()
    size = program.primal(W) + other.primal(W)
    assert other.primal(W) - program.primal(W) == pytest.approx(change, abs=1e-13 * size)


@each_loss
@each_penalty
@pytest.mark.parametrize("quadratic", [True, False])
def test_cones_are_those_of_the_lowered_program(loss, penalty, quadratic):
    for outputs in (1, 2):
        if loss == "softmax" and outputs == 1:
            continue
        y = targets_for(loss, np.array([[1.0, -1.0], [-1.0, 1.0], [0.5, -2.0]])[:, :outputs])
        D = bd.BinaryMatrix.from_dense(np.eye(3))
        program = bd.ConvexProgram(D, y, loss, 0.1, penalty=penalty)
        form = program.to_conic(quadratic)
        used = {"second_order"} if form.second_order else set()
        used |= {"exponential"} if form.exponential else set()
        assert program.cones(quadratic) == used
        assert ("second_order" in program.cones()) == (penalty == "group" and outputs == 2)


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
    assert "hinge + l1" in repr(program)
    huber = bd.Huber(0.5)
    assert bd.ConvexProgram(D, [1.0, -1.0], huber).loss is huber


def test_a_penalty_may_be_given_as_itself_and_is_l1_unless_said_otherwise():
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    assert bd.ConvexProgram(D, [1.0, -1.0]).penalty is bd.PENALTIES["l1"]
    program = bd.ConvexProgram(D, [1.0, -1.0], penalty=bd.PENALTIES["group"])
    assert program.penalty is bd.PENALTIES["group"]
    assert "squared + group" in repr(program)


def test_the_delta_of_huber_counts():
    # residuals 2 and 0.25: (2 - 0.25) / 2 and 1 / 32, half of both
    D = bd.BinaryMatrix.from_dense([[1], [0]])
    program = bd.ConvexProgram(D, [2.0, 0.25], bd.Huber(0.5), 0.25)
    assert program.primal([0.0]) == 0.5 * (0.875 + 0.03125)
    assert program.lambda_max == 0.25
    assert program.dual([0.25, 0.125]) == 0.25 * 2 + 0.125 * 0.25 - 0.25**2 - 0.125**2
    assert program.dual([0.25 + 1e-9, 0.125]) == -np.inf


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
    "0/1 target of squared hinge": Bad({"target": [1, 0, 1], "loss": "squared_hinge"}, "target"),
    "signs as target of softmax": Bad({"loss": "softmax"}, "target"),
    "one column of softmax": Bad({"target": [[1.0], [1.0], [1.0]], "loss": "softmax"}, "target"),
    "shares as target of softmax": Bad(
        {"target": [[0.5, 0.5], [1.0, 0.0], [0.0, 1.0]], "loss": "softmax"}, "target"
    ),
    "two labels a row": Bad(
        {"target": [[1.0, 1.0], [1.0, 0.0], [0.0, 1.0]], "loss": "softmax"}, "target"
    ),
    "unknown loss": Bad({"loss": "hing"}, "loss"),
    "unknown penalty": Bad({"penalty": "l2"}, "penalty"),
}


@pytest.mark.parametrize("bad", BAD.values(), ids=BAD)
def test_bad_input_is_refused_by_name(bad):
    bd.ConvexProgram(**GOOD)
    with pytest.raises(ValueError, match=f"^{bad.named}: "):
        bd.ConvexProgram(**{**GOOD, **bad.change})


def test_a_design_that_is_no_binary_matrix_is_refused_by_name():
    with pytest.raises(
        TypeError, match=r"^design: expected a BinaryMatrix or DenseMatrix, got ndarray"
    ):
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
