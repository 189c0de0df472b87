"""Proximal steps by Gram matrices: their factor, their minimisers, and the gap that they claim."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.solvers.newton import kept_factor
from bidual.solvers.newton.gram_steps import GramSteps, Quadratic
from bidual.solvers.newton.kept_factor import KeptFactor
from bidual.solvers.newton.proximal_steps import Scales, follow

from covering import examples

few = examples(40)


def never():
    return False


@few
@given(
    seed=st.integers(0, 2**32 - 1),
    size=st.sampled_from([40, 150]),  # below and above what is factored anew at once
    changes=st.lists(st.integers(1, 4), min_size=1, max_size=6),
)
def test_a_kept_factor_solves_for_all_that_comes_and_goes(seed, size, changes):
    rng = np.random.default_rng(seed)
    dense = (rng.random((90, size)) < 0.4).astype(float)
    gram, scale = dense.T @ dense, 0.05
    kept, used = KeptFactor(gram), rng.random(size) < 0.8
    for count in (0, *changes):
        flipped = rng.choice(size, count, replace=False)
        used[flipped] = ~used[flipped]
        columns, right = np.flatnonzero(used), rng.normal(size=used.sum())
        system = gram[np.ix_(columns, columns)] + scale * np.eye(columns.size)
        found = kept.inverse(columns, scale)(right)
        # rounding moves a solution by eps times the condition of its system, which is 1e5
        np.testing.assert_allclose(found, np.linalg.solve(system, right), rtol=0, atol=1e-8)


def test_a_factor_is_kept_while_few_columns_change_and_no_longer(monkeypatch, tuned):
    factored = []
    real = kept_factor.dpotrf
    monkeypatch.setattr(
        kept_factor, "dpotrf", lambda a, **rest: factored.append(len(a)) or real(a, **rest)
    )
    tuned(few_columns=20)
    dense = (np.random.default_rng(0).random((90, 40)) < 0.4).astype(float)
    kept = KeptFactor(dense.T @ dense)
    for columns, expected in (
        (np.arange(30), [30]),
        (np.arange(30), [30]),
        (np.arange(1, 32), [30]),  # one went, two came: a tenth
        (np.arange(2, 32), [30, 30]),
        (np.arange(2, 20), [30, 30, 18]),
        (np.arange(2, 21), [30, 30, 18, 19]),  # too few to be worth it
    ):
        kept.inverse(columns, 1.0)
        assert factored == expected
    kept.inverse(columns, 2.0)
    assert factored == [30, 30, 18, 19, 19]


def test_a_gram_matrix_that_is_none_is_no_system():
    with pytest.raises(np.linalg.LinAlgError, match="minor 2"):
        KeptFactor(np.array([[1.0, 3.0], [3.0, 1.0]])).inverse(np.arange(2), 0.1)


def fitted(seed, rows, columns, strength, dependent=False):
    """A Lasso's D (n, P), y (n,), weights of rows (n,), and its quadratic."""
    rng = np.random.default_rng(seed)
    dense = (rng.random((rows, columns)) < 0.4).astype(float)
    if dependent and columns > 3:
        dense[:, 1], dense[:, 2] = dense[:, 0], 0.0
    y, a = rng.normal(size=rows), rng.uniform(0.5, 2.0, rows)
    c = dense.T @ (a * y)
    strength *= np.abs(c).max() or 1.0
    return dense, y, a, Quadratic(dense.T @ (a[:, None] * dense), c, float(a @ y**2), strength)


programs = {
    "seed": st.integers(0, 2**32 - 1),
    "rows": st.integers(1, 30),
    "columns": st.integers(1, 30),
    "share": st.floats(0.003, 1.1),
    "dependent": st.booleans(),
}


@few
@given(**programs, sigma=st.sampled_from([0.01, 1.0, 100.0]))
def test_a_step_minimises_what_it_says(seed, rows, columns, share, dependent, sigma):
    _, _, _, quadratic = fitted(seed, rows, columns, share, dependent)
    start = np.random.default_rng(seed).normal(size=columns)
    steps = GramSteps(quadratic, start)
    steps.minimise(Scales(sigma, 1.0), 1e-13 * quadratic.square, never, False)
    steps.keep()
    W, _ = steps.best
    # 0 has to be among the subgradients of the quadratic, the norm and |W - start|^2 / (2 sigma)
    pull = quadratic.linear - quadratic.gram @ W - (W - start) / sigma
    missing = np.where(
        W == 0,
        np.maximum(np.abs(pull) - quadratic.strength, 0.0),
        np.abs(pull - quadratic.strength * np.sign(W)),
    )
    # what a residual of 1e-13 of the square leaves of prices is its root times a column's length
    longest = np.sqrt(quadratic.gram.diagonal().max(initial=0.0) * quadratic.square)
    assert missing.max() <= 1e-5 * (longest + np.abs(start).max() / sigma)


@few
@given(**programs)
def test_the_gap_is_that_of_the_weights_and_of_a_feasible_dual_point(
    seed, rows, columns, share, dependent
):
    dense, y, a, quadratic = fitted(seed, rows, columns, share, dependent)
    steps = GramSteps(quadratic, np.zeros(columns))
    for sigma in (0.1, 1.0):  # where little is converged, so that no term is next to nothing
        gap, _ = steps.minimise(Scales(sigma, 1.0), quadratic.square, never, False)
        steps.keep()
        W, x = steps.best
        v = a * (y - dense @ x)
        v *= min(1.0, quadratic.strength / max(np.abs(dense.T @ v).max(), 1e-300))
        fit = dense @ W
        primal = 0.5 * a @ (y - fit) ** 2 + quadratic.strength * np.abs(W).sum()
        dual = v @ y - 0.5 * (v**2 / a).sum()
        assert gap == pytest.approx(primal - dual, rel=1e-9, abs=1e-12 * quadratic.square)
        steps.advance()


@few
@given(**programs, gap=st.sampled_from([1e-3, 1e-6, 1e-10]))
def test_steps_end_at_the_optimum_of_the_lasso(seed, rows, columns, share, dependent, gap):
    dense, y, a, quadratic = fitted(seed, rows, columns, share, dependent)
    steps = GramSteps(quadratic, np.zeros(columns))
    left, _ = follow(steps, Scales(1.0, 1.0), gap * quadratic.square, never)
    assert left <= gap * quadratic.square
    program = bd.ConvexProgram(
        bd.BinaryMatrix.from_dense(dense), y, "squared", quadratic.strength, a
    )
    least = bd.solve(program, backend="lasso", gap=1e-11).certificate
    found = program.primal(steps.best[0])
    assert found >= least.dual - 1e-12 * quadratic.square
    assert found <= least.primal + (gap + 1e-12) * quadratic.square
