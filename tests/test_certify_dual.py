"""certify: dual points of weights on kinks, and of a solve; answers of any shape and size."""

import re
import warnings
from time import perf_counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from sklearn.linear_model import LogisticRegression

import bidual as bd

from covering import examples
from exact_values import exact_dual, exact_primal
from programs import random_program

each_kinked = pytest.mark.parametrize("loss", ["hinge", "absolute"])
each_intercept = pytest.mark.parametrize("intercept", [False, True], ids=["plain", "intercept"])


def optimum_by_simplex(program):
    """W and b of one output, optimal by HiGHS: |W| and the losses are variables above two rows."""
    D, y, a = program.design.to_dense().astype(float), program.target[:, 0], program.row_weights
    (n, P), ones = D.shape, np.ones((len(y), 1)) * program.intercept
    X = np.hstack([D, -D, ones, -ones])
    if program.loss.name == "hinge":  # 1 - y z <= t
        above, bounds = [np.hstack([-y[:, None] * X, -np.eye(n)])], [-np.ones(n)]
    else:
        above = [np.hstack([sign * X, -np.eye(n)]) for sign in (1, -1)]
        bounds = [y, -y]
    cost = np.concatenate([np.full(2 * P, program.strength), [0.0, 0.0], a])
    found = linprog(cost, np.vstack(above), np.concatenate(bounds), method="highs-ds")
    assert found.status == 0
    return found.x[:P] - found.x[P : 2 * P], found.x[2 * P] - found.x[2 * P + 1]


@each_kinked
@each_intercept
@pytest.mark.parametrize("rows", [12, pytest.param(60, marks=pytest.mark.slow)])
@pytest.mark.parametrize("off", [0.0, 1e-12, 1e-8])
def test_optimal_weights_of_a_linear_program_are_certified_from_the_weights_alone(
    loss, intercept, rows, off
):
    for seed in range(3):
        program = random_program(loss, intercept, 1, seed, rows=rows, atoms=rows // 2, share=0.1)
        W, b = optimum_by_simplex(program)
        W = W * (1 + off * np.random.default_rng(seed).normal(size=W.shape))
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            found = bd.certify(program, weights=W, intercept=b)
        assert found.kinks > 0
        assert found.dual_source == "weights"
        assert found.relative_gap <= 1e-11 + 1e2 * off
        # the proof is one: V is feasible, and its exact value is the dual
        exact = exact_dual(program, found.dual_point)
        assert float(exact) == pytest.approx(found.dual, rel=0, abs=1e-12)


@each_kinked
def test_rows_on_kinks_are_told_where_the_gap_may_come_of_them(loss):
    # W = 0 leaves all rows of targets 0 on a kink; for hinge b = 1 does so for one class
    program = random_program(loss, True, 2, 3, penalty="group", share=0.05)
    y = np.where(np.abs(program.target) > 0.4, program.target, 0.0)
    if loss == "hinge":
        y = program.target
    program = bd.ConvexProgram(program.design, y, loss, program.strength, intercept=True)
    zero = np.zeros((15, 2))
    with pytest.warns(UserWarning, match=r"^weights: \d+ rows lie on kinks of .*dual='solve'"):
        found = bd.certify(program, weights=zero, intercept=program.null_intercept)
    assert "kinks" in str(found)
    assert "that of the weights" in str(found)
    assert not np.isnan(found.rounding)


@pytest.mark.parametrize("exact", [False, True], ids=["float", "exact"])
@pytest.mark.parametrize("penalty", bd.PENALTIES)
@pytest.mark.parametrize("loss", bd.LOSSES)
def test_the_gap_by_a_solve_is_what_the_objective_is_above_the_optimum(loss, penalty, exact):
    program = random_program(loss, True, 2, 1, penalty=penalty)
    best = bd.solve(program, gap=1e-9)
    rng = np.random.default_rng(0)
    W = best.weights * (1 + 0.05 * rng.normal(size=best.weights.shape))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bd.certify(program, weights=W, intercept=best.intercept, dual="solve", exact=exact)
    above = float(exact_primal(program, W, best.intercept)) - best.certificate.primal
    room = 4e-9 * program.reference
    most = 1.05 * above if exact else above  # integers need not be finer than the gap
    assert above - room <= found.absolute_gap <= most + room
    if not exact:
        assert found.dual_source == "solve"
        assert "that of a solve" in str(found)


def test_weights_of_a_loose_solver_are_certified_by_a_solve():
    program = random_program("logistic", False, 1, 0, rows=60)
    a = np.full(60, 1 / 60)
    program = bd.ConvexProgram(program.design, program.target, "logistic", 0.01, a)
    fitted = LogisticRegression(
        l1_ratio=1.0, solver="saga", C=1 / 0.6, tol=1e-2, fit_intercept=False, random_state=0
    ).fit(program.design.to_dense(), program.target[:, 0])
    W = fitted.coef_[0]
    optimum = bd.solve(program, gap=1e-10).certificate
    plain = bd.certify(program, weights=W)
    solved = bd.certify(program, weights=W, dual="solve")
    above = plain.primal - optimum.primal
    assert 1e-9 < above < solved.absolute_gap + 1e-12
    assert solved.absolute_gap <= above + 2e-9 * program.reference
    assert plain.absolute_gap > 2 * solved.absolute_gap


def test_a_dual_of_another_name_is_refused():
    program = random_program("squared")
    with pytest.raises(ValueError, match=r"^dual: expected 'weights' or 'solve', got 'newton'"):
        bd.certify(program, weights=np.zeros((15, 2)), dual="newton")


def test_sources_of_dual_points_are_named():
    program = random_program("squared")
    solution = bd.solve(program)
    assert solution.certificate.dual_source == "solve"
    assert bd.certify(program, solution).dual_source == "given"
    assert bd.certify(program, weights=solution.weights).dual_source == "weights"


@pytest.mark.parametrize("outputs", [1, 3])
def test_an_intercept_may_be_a_row(outputs):
    # as the variables of to_cvxpy()
    program = random_program("squared", True, outputs)
    best = bd.solve(program)
    row = best.intercept[None, :]
    found = bd.certify(program, weights=best.weights, intercept=row, dual_point=best.dual_point)
    assert found.absolute_gap == best.certificate.absolute_gap
    assert program.primal(best.weights, row) == program.primal(best.weights, best.intercept)
    with pytest.raises(ValueError, match=r"^intercept: expected shape"):
        bd.certify(program, weights=best.weights, intercept=row.T[:, :, None])


@pytest.mark.parametrize("loss", bd.LOSSES)
@pytest.mark.parametrize("real", [False, True], ids=["binary", "real"])
def test_fits_that_overflow_name_the_weights(loss, real):
    program = random_program(loss, True)
    if real:
        program = program.over(bd.DenseMatrix(3.0 * program.design.to_dense()))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for dual in ("weights", "solve"):
            with pytest.raises(ValueError, match=r"^weights: expected a finite D W"):
                bd.certify(program, weights=np.full((15, 2), 1.7e308), dual=dual)


@given(
    st.integers(0, 2**32),
    st.sampled_from(["hinge", "absolute", "huber", "logistic"]),
    st.sampled_from(sorted(bd.PENALTIES)),
    st.booleans(),
    st.sampled_from([1e-9, 0.002, np.inf]),
)
@examples(40)
def test_a_solve_or_a_given_point_never_makes_the_certificate_worse(
    seed, loss, penalty, intercept, seconds
):
    rng = np.random.default_rng(seed)
    program = random_program(loss, intercept, int(rng.integers(1, 3)), seed % 97, penalty=penalty)
    best = bd.solve(program, gap=1e-7)
    W = np.round(best.weights, int(rng.integers(0, 4)))
    if rng.random() < 0.3:  # optimal weights, on kinks
        W = best.weights
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*lie on kinks")
        plain = bd.certify(program, weights=W)
        solved = bd.certify(program, weights=W, dual="solve", time_limit=seconds)
        poor = rng.normal(size=program.target.shape)
        given_point = bd.certify(program, weights=W, dual_point=poor)
    room = 1e-12 * program.reference
    assert solved.absolute_gap <= plain.absolute_gap + room
    # a given point stands for those on kinks only where it proves the gap of a solve
    assert given_point.relative_gap <= max(plain.relative_gap, 1e-6) + 1e-12
    assert ("kinks" in str(plain)) == (plain.kinks > 0 and plain.relative_gap > 1e-6)


def test_ctrl_c_in_the_solve_of_a_certificate_reaches_the_caller(monkeypatch):
    program = random_program("hinge", True, 1, 0, rows=40)
    offers = []

    def interrupted(self, *arguments):
        offers.append(arguments)
        raise KeyboardInterrupt

    monkeypatch.setattr("bidual.solvers.monitor.Monitor.settle", interrupted)
    W = np.zeros((15, 1))
    # the interrupt came after the gap was reached, and ends a path all the same
    assert bd.solve(program).status is bd.Status.CERTIFIED
    assert len(bd.path(program, [program.strength] * 3)) == 1
    with pytest.raises(KeyboardInterrupt):
        bd.certify(program, weights=W, dual="solve")
    assert len(offers) == 3


def test_a_time_limit_bounds_the_solve_of_a_certificate():
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.random((400, 300)) < 0.5)
    y = np.where(rng.random(400) < 0.5, 1.0, -1.0)
    program = bd.ConvexProgram(D, y, "hinge", 1e-5, intercept=True)
    W = 1e-2 * rng.normal(size=300)
    bd.certify(program, weights=W, dual="solve", time_limit=0.1)  # compiles
    start = perf_counter()
    found = bd.certify(program, weights=W, dual="solve", time_limit=0.1)
    assert perf_counter() - start < 3.0
    assert found.dual_source == "solve"
    for wrong in (0.0, -1.0, np.nan, "1"):
        with pytest.raises(ValueError, match=r"^time_limit: expected seconds > 0"):
            bd.certify(program, weights=W, dual="solve", time_limit=wrong)
    with pytest.raises(ValueError, match=r"^time_limit: .*only together with dual='solve'"):
        bd.certify(program, weights=W, time_limit=1.0)


def extreme(seed):
    """A program of a loss with kinks, with numbers of all sizes; ValueError if it overflows."""
    rng = np.random.default_rng(seed)
    n, atoms, outputs = (int(rng.integers(low, high)) for low, high in ((2, 9), (1, 7), (1, 3)))
    loss = ["hinge", "absolute"][seed % 2]
    D = (rng.random((n, atoms)) < 0.5).astype(float)
    design = bd.BinaryMatrix.from_dense(D)
    if rng.random() < 0.5:
        design = bd.DenseMatrix(D * rng.normal(size=(n, atoms)) * 10.0 ** rng.uniform(-150, 150))
    y = np.where(rng.random((n, outputs)) < 0.5, 1.0, -1.0)
    if loss == "absolute":
        y = np.round(rng.normal(size=(n, outputs))) * 10.0 ** rng.uniform(-308, 307)
    a = rng.random(n) * 10.0 ** rng.uniform(-300, 300) + 1e-320
    penalty = str(rng.choice(["l1", "group"]))
    program = bd.ConvexProgram(design, y, loss, 0.0, a, bool(rng.random() < 0.5), penalty=penalty)
    return program.with_strength(program.lambda_max * 10.0 ** rng.uniform(-9, 0))


@given(st.integers(0, 2**32))
@examples(300)
def test_no_arithmetic_at_kinks_warns_however_extreme_the_numbers(seed):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warnings.filterwarnings("ignore", ".*lie on kinks")
        try:
            program = extreme(seed)
            found = bd.solve(program, time_limit=0.005)
            assert np.isfinite(found.weights).all()
            for W in (found.weights, np.zeros_like(found.weights)):
                plain = bd.certify(program, weights=W)
                assert np.isfinite(plain.dual_point).all()
                if isinstance(program.design, bd.BinaryMatrix):
                    bd.certify(program, weights=W, exact=True)
        except ValueError as error:
            if not re.match("program: |strength: .*got inf|weights: .*best intercept", str(error)):
                raise


def test_least_squares_at_many_kinks_take_seconds():
    # factors of 3,000 rows would take 10 seconds per call
    rng = np.random.default_rng(0)
    D = bd.BinaryMatrix.from_dense(rng.random((3000, 40)) < 0.5)
    W = np.round(rng.normal(size=(40, 1)), 2)
    y = D.matvec(W)
    program = bd.ConvexProgram(D, y, "absolute", 1e-3)
    start = perf_counter()
    found = bd.certify(program, weights=W)
    assert perf_counter() - start < 5.0
    assert found.kinks == 3000
    assert found.dual >= 0
