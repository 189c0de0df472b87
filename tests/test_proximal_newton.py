"""Proximal Newton steps: their quadratics against the objective, and where they end."""

import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.solvers.newton import kept_factor, row_steps, working_set
from bidual.solvers.newton.gram_steps import GramSteps
from bidual.solvers.newton.proximal_newton import _Model, descend_by_quadratics, has_quadratics
from bidual.solvers.newton.proximal_steps import Scales, follow
from bidual.solvers.newton.working_set import descend

from covering import examples

few = examples(30)


def never():
    return False


def stated(loss, seed=0, rows=40, columns=15, intercept=False, share=0.1, weights="alike"):
    """A random program with a third of ones; weights of rows are alike, of three values, or all."""
    rng = np.random.default_rng(seed)
    dense = rng.random((rows, columns)) < 0.35
    z = dense @ rng.normal(size=columns) + 0.5 * rng.normal(size=rows)
    y = np.where(z > np.median(z), 1.0, -1.0) if loss == "logistic" else z
    a = {
        "alike": None,
        "three": rng.choice([0.0, 0.5, 2.0], rows, p=[0.1, 0.5, 0.4]),
        "own": rng.uniform(0.1, 3.0, rows),
    }[weights]
    design = bd.BinaryMatrix.from_dense(dense)
    program = bd.ConvexProgram(design, y, loss, 0.0, a, intercept)
    return program.with_strength(share * program.lambda_max)


stated_by = {
    "loss": st.sampled_from(["squared", "logistic"]),
    "seed": st.integers(0, 2**32 - 1),
    "intercept": st.booleans(),
    "weights": st.sampled_from(["alike", "three", "own"]),
}


@few
@given(**stated_by)
def test_the_quadratic_touches_the_objective(loss, seed, intercept, weights):
    program = stated(loss, seed, intercept=intercept, weights=weights)
    rng = np.random.default_rng(seed)
    W, b = 0.3 * rng.normal(size=15), 0.2 * rng.normal(size=1) * intercept
    fit = program.affine(W[:, None], b)
    model = _Model.at(program, W, fit)
    gram, c = model.quadratic.gram, model.quadratic.linear

    def moved(x):
        return 0.5 * (x @ gram @ x - W @ gram @ W) - c @ (x - W)

    def loss_at(x):
        """The loss at weights x and the best intercept beside them for the quadratic."""
        change, shift = model.move(x)
        there = program.affine(x[:, None], b + shift)
        np.testing.assert_allclose(there[:, 0] - fit[:, 0], change, atol=1e-12)
        return float(program.data_loss(there).sum()), float(np.abs(change).max())

    here, shifted = loss_at(W)  # where the best intercept alone may be away
    direction, a = rng.normal(size=15), program.row_weights
    rounded = np.abs(model.curvatures - a * program.loss.second(fit, program.target)[:, 0])
    for step in (1e-2, 1e-1):
        there, away = loss_at(W + step * direction)
        # a sixth of the largest third derivative, 0.097 of the logistic loss
        room = 0.0162 * a.sum() * (away**3 + shifted**3) * (loss == "logistic")
        room += 0.5 * rounded.sum() * (away**2 + shifted**2)
        assert abs(there - here - moved(W + step * direction)) <= room + 1e-12


@few
@given(**stated_by)
def test_the_intercept_beside_a_move_is_the_best_for_the_quadratic(loss, seed, intercept, weights):
    program = stated(loss, seed, intercept=True, weights=weights)
    rng = np.random.default_rng(seed)
    W = 0.3 * rng.normal(size=15)
    model = _Model.at(program, W, program.affine(W[:, None], np.zeros(1)))
    x = rng.normal(size=15)
    change, shift = model.move(x)
    # the derivative in the intercept vanishes: what is left of the slopes adds up to 0
    left = model.slopes - model.curvatures * change
    assert abs(left.sum()) <= 1e-12 * np.abs(model.slopes).sum()
    bare = program.design.matvec(x - W)
    np.testing.assert_allclose(change - bare, shift, atol=1e-12)


@few
@given(**stated_by)
def test_prices_of_the_quadratic_are_those_of_the_dual_point(loss, seed, intercept, weights):
    program = stated(loss, seed, intercept=intercept, weights=weights)
    rng = np.random.default_rng(seed)
    W, x = 0.3 * rng.normal(size=(2, 15))
    model = _Model.at(program, W, program.affine(W[:, None], np.zeros(1)))
    v = model.slopes - model.curvatures * model.move(x)[0]
    expected = program.design.rmatvec(v)
    found = model.quadratic.linear - model.quadratic.gram @ x
    np.testing.assert_allclose(found, expected, atol=1e-11 * np.abs(model.slopes).sum())
    # and the square is that of what the quadratic fits: v'v by the curvatures
    curved = model.curvatures > 0
    square = model.quadratic.square - (model.quadratic.linear + found) @ x
    assert square == pytest.approx((v[curved] ** 2 / model.curvatures[curved]).sum(), rel=1e-9)


def from_zero(program):
    return np.zeros((program.design.shape[1], 1)), program.null_intercept


@few
@given(**stated_by, share=st.floats(0.003, 0.9), gap=st.sampled_from([1e-4, 1e-7, 1e-10]))
def test_steps_end_with_the_goal_certified(loss, seed, intercept, weights, share, gap):
    program = stated(loss, seed, intercept=intercept, weights=weights, share=share)
    goal = gap * program.reference
    answer, _ = descend(
        program, *from_zero(program), np.zeros((40, 1)), Scales.of(program, 1.0), goal, never
    )
    proof = bd.certify(
        program,
        weights=answer.weights,
        intercept=answer.intercept,
        dual_point=answer.certificate.dual_point,
    )
    assert proof.absolute_gap <= goal + 1e-13 * program.reference
    least = bd.solve(program, backend="lasso", gap=1e-11).certificate
    assert proof.primal >= least.dual - 1e-12 * program.reference
    assert proof.dual <= least.primal + 1e-12 * program.reference


def test_one_quadratic_is_all_that_squared_loss_takes(monkeypatch):
    made = []
    real = _Model.at
    monkeypatch.setattr(_Model, "at", lambda *given: made.append(1) or real(*given))
    for weights, least, most in (("alike", 1, 1), ("three", 1, 1), ("own", 2, 5)):
        made.clear()
        program = stated("squared", intercept=True, weights=weights)
        scales = Scales.of(program, 1.0)
        goal = 1e-9 * program.reference
        answer, _ = descend_by_quadratics(program, *from_zero(program), scales, goal, never)
        assert answer.certificate.absolute_gap <= goal
        assert least <= len(made) <= most  # rounded weights of rows take more


def test_a_direction_that_goes_too_far_is_shortened():
    # where fits are wrong by far the quadratic is so flat that its minimum lies beyond the loss's
    program = stated("logistic", share=0.01)
    W = -4.0 * np.sign(program.design.rmatvec(program.target))
    model = _Model.at(program, W[:, 0], program.affine(W, np.zeros(1)))
    steps = GramSteps(model.quadratic, W[:, 0])
    follow(steps, Scales.of(program, 1.0), 1e-6, never)
    assert program.primal(steps.best[0]) > 10.0 * program.primal(W)
    goal = 1e-8 * program.reference
    given = program, W, np.zeros(1), Scales.of(program, 1.0), goal, never
    answer, _ = descend_by_quadratics(*given)
    assert answer.certificate.absolute_gap <= goal


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("loss", ["squared", "logistic"])
@pytest.mark.parametrize("decades", [12, 300])
@pytest.mark.parametrize("seed", range(5))
def test_row_weights_over_many_decades_are_taken(loss, decades, seed):
    rng = np.random.default_rng(seed)
    design = bd.BinaryMatrix.from_dense(rng.random((60, 30)) < 0.4)
    y, a = np.sign(rng.normal(size=60)), 10.0 ** rng.uniform(-decades, 0, 60)
    program = bd.ConvexProgram(design, y, loss, 0.0, a)
    for share in (1e-8, 1e-2):
        bd.solve(program.with_strength(share * program.lambda_max), "newton", gap=1e-6)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("intercept", [False, True])
def test_squares_past_float64_are_no_obstacle(intercept):
    program = stated("squared", intercept=intercept)
    large = bd.ConvexProgram(
        program.design, 1e152 * program.target, "squared", 1e152 * program.strength, None, intercept
    )
    found = [bd.solve(each, "newton", gap=1e-8).certificate.primal for each in (program, large)]
    assert found[1] / 1e304 == pytest.approx(found[0], rel=1e-7)


@pytest.mark.slow
def test_a_block_that_went_to_rows_stays_with_them(monkeypatch):
    ways = ""

    def noted(way, real):
        def call(*given):
            nonlocal ways
            ways += way
            return real(*given)

        return call

    monkeypatch.setattr(working_set, "descend_by_quadratics", noted("q", descend_by_quadratics))
    monkeypatch.setattr(working_set, "descend_by_rows", noted("r", row_steps.descend_by_rows))
    found = []
    for seed in range(6):
        ways = ""
        program = stated("squared", seed, intercept=True, share=1e-15)
        bd.solve(program, "newton", gap=1e-10)
        found.append(ways)
    assert all(re.fullmatch("q+r*", way) for way in found)
    assert any(way.endswith("rr") for way in found)


@pytest.mark.parametrize("loss", ["squared", "logistic"])
def test_rows_take_over_where_a_gram_matrix_has_no_factor(loss, monkeypatch):
    monkeypatch.setattr(kept_factor, "dpotrf", lambda system, **_: (system, 1))
    program = stated(loss, intercept=True)
    scales, goal = Scales.of(program, 1.0), 1e-8 * program.reference
    given = program, *from_zero(program)
    assert descend_by_quadratics(*given, scales, goal, never)[0] is None
    answer, _ = descend(*given, np.zeros((40, 1)), scales, goal, never)
    assert answer.certificate.absolute_gap <= goal


def test_rows_take_over_where_there_is_no_quadratic():
    program = stated("logistic", intercept=True)
    flat = np.full((15, 1), 0.0), np.full(1, 800.0)  # where every curvature is 0 in float64
    assert _Model.at(program, flat[0][:, 0], program.affine(*flat)) is None
    scales, goal = Scales.of(program, 1.0), 1e-8 * program.reference
    assert descend_by_quadratics(program, *flat, scales, goal, never) == (None, 0)
    v = program.dual_at(program.affine(*flat))
    answer, _ = descend(program, *flat, v, scales, goal, never)
    assert answer.certificate.absolute_gap <= goal


def test_rows_take_over_where_a_gram_matrix_rounds_too_much(monkeypatch):
    # prices of a fit of targets that columns fit all but perfectly are next to nothing
    taken = []
    real = row_steps.descend_by_rows
    monkeypatch.setattr(
        working_set, "descend_by_rows", lambda *given: taken.append(1) or real(*given)
    )
    program = stated("squared", intercept=True, share=1e-13)
    given = *from_zero(program), np.zeros((40, 1))
    goal = 1e-10 * program.reference
    answer, _ = descend(program, *given, Scales.of(program, 1.0), goal, never)
    assert taken
    alone, _ = descend_by_quadratics(
        program, *from_zero(program), Scales.of(program, 1.0), goal, never
    )
    assert answer.certificate.absolute_gap < alone.certificate.absolute_gap


@pytest.mark.parametrize("loss", list(bd.LOSSES))
def test_only_one_output_of_a_smooth_loss_on_packed_columns_is_taken(loss, tuned):
    dense = np.random.default_rng(0).random((6, 3)) < 0.5
    signs = [1.0, -1.0, 1.0, 1.0, -1.0, -1.0]
    y = np.eye(3)[[0, 1, 2, 0, 1, 2]] if loss == "softmax" else signs
    packed = bd.ConvexProgram(bd.BinaryMatrix.from_dense(dense), y, loss, 0.1)
    assert has_quadratics(packed) == (loss in ("squared", "logistic"))
    real = bd.ConvexProgram(bd.DenseMatrix(dense.astype(float)), y, loss, 0.1)
    assert not has_quadratics(real)
    if loss in ("squared", "logistic"):
        two = bd.ConvexProgram(packed.design, np.stack([packed.target[:, 0]] * 2, 1), loss, 0.1)
        assert not has_quadratics(two)
        tuned(gram_columns=2)
        assert not has_quadratics(packed)
