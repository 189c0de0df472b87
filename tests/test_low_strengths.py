"""Strengths near the rounding of prices, and 0: what W = 0 proves there, in rational arithmetic."""

import warnings
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.certificates.exact_sums import exact_sums, is_feasible, price_excess, sums_are_exact

from covering import examples
from exact_values import exact_dual, exact_primal

LOW = (0.0, 5e-324, 1e-300, 1e-18, 1e-12, 1e-10)


def free_columns(kind, rng, n):
    """A design that cannot beat an intercept: its columns are constant or 0."""
    columns = {"ones": [1.0], "zeros": [0.0, 0.0], "both": [0.0, 1.0, 1.0]}[kind]
    D = np.tile(columns, (n, 1))
    if rng.random() < 0.5:
        return bd.BinaryMatrix.from_dense(D)
    return bd.DenseMatrix(D * rng.choice([-1.7, 0.3, 1.0, 1e-120, 1e80], len(columns)))


def targets_for(loss, rng, n, outputs):
    """Targets of both or more classes, or numbers."""
    if loss == "softmax":
        return np.eye(outputs + 1)[np.arange(n) % (outputs + 1)]
    if bd.LOSSES[loss].labels:
        y = np.where(rng.random((n, outputs)) < 0.5, 1.0, -1.0)
        y[0], y[1] = 1.0, -1.0
        return y
    return rng.normal(size=(n, outputs)) * rng.choice([1e-3, 1.0, 1e6])


def assert_settled(program, gap=1e-6):
    """W = 0 is certified before any backend, and rational arithmetic agrees."""
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = bd.solve(program, gap=gap)
    proof = found.certificate
    assert found.status is bd.Status.CERTIFIED, (found, program, proof)
    assert not found.weights.any()
    assert found.iterations == 0
    dual = exact_dual(program, proof.dual_point)
    primal = exact_primal(program, found.weights, found.intercept)
    assert primal - dual <= Fraction(proof.absolute_gap) + Fraction(proof.rounding)
    assert primal - dual <= Fraction(gap) * Fraction(program.reference)


@given(
    st.integers(0, 2**32),
    st.sampled_from(sorted(bd.LOSSES)),
    st.sampled_from(sorted(bd.PENALTIES)),
    st.sampled_from(["ones", "zeros", "both"]),
    st.sampled_from(LOW),
)
@examples(150)
def test_where_an_intercept_leaves_nothing_to_columns_zero_is_certified(
    seed, loss, penalty, kind, strength
):
    rng = np.random.default_rng(seed)
    n, outputs = int(rng.integers(2, 40)), int(rng.integers(1, 3))
    n = max(n, outputs + 1)
    a = rng.random(n) + 0.01 if rng.random() < 0.5 else None
    y = targets_for(loss, rng, n, outputs)
    program = bd.ConvexProgram(
        free_columns(kind, rng, n), y, loss, strength, a, True, penalty=penalty
    )
    assert program.lambda_max == 0
    assert_settled(program)


@pytest.mark.parametrize("strength", LOW)
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic", "absolute", "squared"])
def test_a_column_of_ones_that_balanced_targets_cannot_use_is_left_alone(loss, strength):
    # sums of 1 / n in order round; an odd number of pairs
    for n in (6, 14, 22):
        y = np.repeat([1.0, -1.0], n // 2)
        D = bd.BinaryMatrix.from_dense(np.ones((n, 1)))
        assert_settled(bd.ConvexProgram(D, y, loss, strength))
        assert_settled(bd.ConvexProgram(D.take([0, 0]), y, loss, strength, intercept=True))


@pytest.mark.parametrize("strength", LOW)
@pytest.mark.parametrize("loss", ["hinge", "squared_hinge", "logistic", "softmax"])
def test_one_class_with_an_intercept_needs_no_weights(loss, strength):
    D = bd.BinaryMatrix.from_dense(np.random.default_rng(2).random((9, 4)) < 0.5)
    y = np.eye(3)[np.zeros(9, dtype=int)] if loss == "softmax" else np.ones(9)
    found = bd.solve(bd.ConvexProgram(D, y, loss, strength, intercept=True))
    assert found.status is bd.Status.CERTIFIED
    assert not found.weights.any()
    assert found.certificate.primal == 0
    # exp(-b) is above 0 for every b, max(0, 1 - b) is not
    assert ("is not attained" in found.message) == (loss in ("logistic", "softmax"))


@pytest.mark.parametrize("strength", [0.0, 1e-300, 1e-18])
def test_a_column_that_helps_is_not_settled_at_zero(strength):
    # the columns can fit the targets: no dual point but 0 is feasible
    D = bd.BinaryMatrix.from_dense([[1, 1], [1, 0], [1, 0], [1, 1]])
    program = bd.ConvexProgram(D, [1.0, -1.0, -1.0, 1.0], "squared", strength, intercept=True)
    assert program.lambda_max == 0.5
    found = bd.solve(program, gap=1e-6)
    assert found.weights.any()
    assert found.certificate.primal < 1e-6 * program.reference


@given(st.integers(0, 2**32))
@examples(100)
def test_certified_counts_the_rounding(seed):
    # targets far from 0: fits round by more than small gaps
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 30))
    y = rng.normal(size=n) + 10.0 ** rng.uniform(0, 12)
    D = bd.BinaryMatrix.from_dense(rng.random((n, 6)) < 0.5)
    loss = str(rng.choice(["squared", "absolute", "huber"]))
    program = bd.ConvexProgram(D, y, loss, 0.0, intercept=True)
    program = program.with_strength(program.lambda_max * 10.0 ** rng.uniform(-14, 0.1))
    gap = 10.0 ** rng.uniform(-14, -2)
    found = bd.solve(program, gap=gap, time_limit=0.05)
    proof, reference = found.certificate, Fraction(program.reference)
    both = Fraction(proof.absolute_gap) + Fraction(float(np.nan_to_num(proof.rounding)))
    near = abs(float(both / reference) - gap) < 1e-12 * gap
    certified = found.status is bd.Status.CERTIFIED
    assert near or certified == (both <= Fraction(gap) * reference)
    if certified:
        primal = exact_primal(program, found.weights, found.intercept)
        assert primal - exact_dual(program, proof.dual_point) <= Fraction(gap) * reference * (
            1 + Fraction(1, 10**12)
        )
    elif proof.relative_gap <= gap:
        assert "rounding up to" in str(found)


@given(st.integers(0, 2**32))
@examples(300)
def test_a_point_that_counts_as_feasible_is_so_in_rational_arithmetic(seed):
    # entries that nearly cancel, shrunk by a rounded factor
    rng = np.random.default_rng(seed)
    n = int(rng.integers(2, 6))
    D = rng.integers(0, 2, (n, 3)).astype(float)
    D[:, 0] = 1.0
    design = bd.BinaryMatrix.from_dense(D)
    if rng.random() < 0.5:
        design = bd.DenseMatrix(D * rng.choice([1.0, -1.0, 0.7], 3))
    base = rng.normal(size=(n, 1)) * 10.0 ** rng.uniform(-8, 0)
    V = base - base.mean() + rng.choice([0.0, 1e-17, 1e-9]) * rng.normal(size=(n, 1))
    largest = np.abs(design.rmatvec(V)).max()
    V = V * 10.0 ** rng.uniform(-3, 0)
    strength = float(largest * rng.choice([0.0, 0.5, 1.0, 1.0 + 1e-15]))
    program = bd.ConvexProgram(
        design, np.ones(n), "squared", strength, intercept=bool(rng.random() < 0.5)
    )
    if np.random.default_rng(seed).random() < 0.5:
        found = exact_sums(program, V)
        assert found is None or sums_are_exact(found)
        V = V if found is None else found
    if is_feasible(program, V):
        v = [Fraction(float(x)) for x in V[:, 0]]
        assert not (program.intercept and sum(v))
        for column in design.to_dense().T.astype(float):
            price = sum(Fraction(x) * y for x, y in zip(column.tolist(), v, strict=True))
            assert abs(price) <= Fraction(strength)


def test_exact_certificates_prove_the_same_at_low_strengths():
    rng = np.random.default_rng(4)
    for strength in LOW:
        for loss in sorted(bd.LOSSES):
            y = targets_for(loss, rng, 9, 2)
            D = bd.BinaryMatrix.from_dense(np.ones((9, 2)))
            program = bd.ConvexProgram(D, y, loss, strength, intercept=True)
            found = bd.solve(program)
            assert bd.certify(program, found, exact=True).relative_gap <= 1e-11, program


class Squares(bd.Penalty):
    """Half the sum of squares, which is no norm."""

    name = "squares"
    separable = True

    def value(self, W):
        return 0.5 * (W**2).sum(axis=0)

    def prox(self, points, step):
        return points / (1 + step)

    def conjugate(self, prices, strength):
        return (prices**2).sum(axis=0) / (2 * strength)

    def scaling(self, prices, strength):
        return np.ones(prices.shape[1])


@pytest.mark.parametrize("strength", LOW)
@pytest.mark.parametrize("loss", ["hinge", "logistic", "squared"])
@pytest.mark.parametrize("kind", ["ones", "zeros", "both"])
def test_penalties_that_are_no_norms_leave_weights_at_zero_too(kind, loss, strength):
    rng = np.random.default_rng(5)
    for n in (4, 7, 12):
        design = free_columns(kind, rng, n)
        y = targets_for(loss, rng, n, 2)
        program = bd.ConvexProgram(design, y, loss, strength, None, True, penalty=Squares())
        found = bd.solve(program)
        assert found.certificate.relative_gap <= 1e-6, found
        assert not found.weights.any()
        # other weights are charged for their own penalty
        W = np.full((design.shape[1], 2), 1e3)
        far = bd.certify(program, weights=W, intercept=found.intercept)
        most = found.certificate.primal + found.certificate.rounding
        assert far.primal - far.absolute_gap <= most + 1e-9 * far.primal


def test_references_of_many_outputs_that_overflow_are_refused_without_a_warning():
    y = np.full((3, 2), 1.3e154)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        program = bd.ConvexProgram(bd.BinaryMatrix.from_dense(np.eye(3)), y, row_weights=[0.6] * 3)
        assert np.isfinite(program.references).all()
        assert program.reference == np.inf
        with pytest.raises(ValueError, match=r"^program: .*overflows"):
            bd.solve(program)


@pytest.mark.parametrize("penalty", ["l1", "group"])
@pytest.mark.parametrize("size", [1e-300, 1e-9, 1.0, 1e200])
def test_the_excess_of_prices_is_bounded_by_integers(penalty, size):
    for seed in range(20):
        rng = np.random.default_rng(seed)
        n, atoms, outputs = rng.integers(1, 90), rng.integers(1, 9), rng.integers(1, 4)
        D = rng.integers(0, 2, (n, atoms))
        design = bd.BinaryMatrix.from_dense(D)
        V = size * rng.normal(size=(n, outputs)) * 10.0 ** rng.uniform(-9, 0, (n, 1))
        program = bd.ConvexProgram(design, np.zeros((n, outputs)), penalty=penalty)
        exact = [
            [sum((Fraction(v) for v in V[D[:, j] == 1, c]), Fraction(0)) for c in range(outputs)]
            for j in range(atoms)
        ]
        squares = [
            x * x if penalty == "l1" else sum(y * y for y in row) for row in exact for x in row
        ]
        for share in (0.0, 0.999, 1.0, 1.001):
            strength = share * float(program.largest_prices(V).max())
            bound = price_excess(program.with_strength(strength), V)
            above = Fraction(strength) + Fraction(bound)
            assert all(square <= above * above for square in squares)
            if share >= 1.0:  # a hundredth of what sums in any order may round
                assert bound <= 1e-14 * strength + 1e-17 * n * np.abs(V).max()
