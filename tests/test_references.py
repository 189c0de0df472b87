"""References are what they claim, and exact values are bounds: proven in exact arithmetic."""

import decimal
import itertools
import re
from collections import Counter
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import bidual as bd

import exact_values
from covering import examples, parameters
from exact_values import exact_dual, exact_primal, feasible, root_above
from programs import KNOWN, RANDOM
from references import REFERENCES

PROGRAMS = {name: bd.ConvexProgram(**reference.parts) for name, reference in REFERENCES.items()}
# values and weights here are below 100, and sums of at most 100 terms
ROUNDING = 1e-12
on_every_reference = pytest.mark.parametrize("name", REFERENCES)
CERTIFIED = [name for name, reference in REFERENCES.items() if reference.dual_point is not None]
GRID = [
    (loss, penalty, intercept, outputs)
    for loss in bd.LOSSES
    for penalty in ("l1", "group")
    for intercept in (False, True)
    for outputs in (1, 3)
    if outputs > 1 or loss != "softmax"
]


def small_program(loss, penalty, intercept, outputs, seed, strength=None):
    """Up to 6 rows and 4 atoms, with columns of zeros and rows of weight 0 among them."""
    rng = np.random.default_rng(seed)
    n, atoms = rng.integers(1, 7), rng.integers(1, 5)
    D = bd.BinaryMatrix.from_dense(rng.random((n, atoms)) < 0.5)
    if loss == "softmax":
        y = np.eye(outputs)[rng.integers(0, outputs, n)]
    elif bd.LOSSES[loss].labels:
        y = rng.choice([-1.0, 1.0], (n, outputs))
    else:
        y = 2 * rng.normal(size=(n, outputs))
    a = rng.random(n) * (rng.random(n) < 0.8)
    a[0] += 0.1
    if strength is None:
        strength = rng.choice([0.0, 0.01, 0.1, 1.0])
    return bd.ConvexProgram(D, y, loss, strength, a, intercept, penalty=penalty)


small_programs = st.builds(
    lambda cell, seed: small_program(*cell, seed), st.sampled_from(GRID), st.integers(0, 2**32)
)


# references


@on_every_reference
def test_value_is_attained(name):
    reference = REFERENCES[name]
    primal = exact_primal(PROGRAMS[name], reference.weights, reference.intercept)
    assert abs(float(primal - Fraction(reference.value))) <= ROUNDING


@pytest.mark.parametrize("name", CERTIFIED)
def test_value_is_certified_by_the_dual_point(name):
    reference, program = REFERENCES[name], PROGRAMS[name]
    dual = exact_dual(program, reference.dual_point)
    assert abs(float(dual - Fraction(reference.value))) <= ROUNDING
    assert dual <= exact_primal(program, reference.weights, reference.intercept)
    # and it is that very point, not one that it was moved to
    moved = feasible(program, reference.dual_point).astype(float)
    assert np.abs(moved - reference.dual_point).max() <= 1e-15


def test_only_strength_0_goes_without_a_dual_point():
    without = set(REFERENCES) - set(CERTIFIED)
    assert without == {name for name, program in PROGRAMS.items() if program.strength == 0}
    assert without == {name for name in REFERENCES if "strength 0" in name}
    for name in without - {"least squares at strength 0"}:
        assert REFERENCES[name].value == 0  # so that the bound 0, of V = 0, is the certificate
    # prices of these floats are exactly 0
    residuals = np.array([[-2.0], [2.0], [-2.0]]) / 9
    least_squares = REFERENCES["least squares at strength 0"]
    dual = exact_dual(PROGRAMS["least squares at strength 0"], residuals)
    assert float(dual) == pytest.approx(least_squares.value, rel=ROUNDING)


def steps(shape):
    """Single entries, pairs in a row or a column, and all at once, in both directions, to 1."""
    entries = [np.eye(1, np.prod(shape), k).reshape(shape) for k in range(np.prod(shape))]
    found = [*entries, *np.random.default_rng(0).normal(size=(50, *shape))]
    for one, other in itertools.combinations(entries, 2):
        if 1 in ((one + other).any(axis=0).sum(), (one + other).any(axis=1).sum()):
            found += [one + other, one - other]
    return [sign * step / np.abs(step).max() for step in found for sign in (1, -1)]


@pytest.mark.parametrize(
    "name", parameters({name: PROGRAMS[name] for name in REFERENCES if REFERENCES[name].unique})
)
def test_unique_weights_are_a_sharp_minimum(name):
    reference, program = REFERENCES[name], PROGRAMS[name]
    for step, size in itertools.product(steps(reference.weights.shape), (0.01, 1.0)):
        weights = reference.weights + size * step
        # an intercept may make up for the step of a row
        shifts = [0.0, *(-size * step)] if program.intercept else [0.0]
        found = min(program.primal(weights, reference.intercept + shift) for shift in shifts)
        assert found - reference.value >= 0.01 * min(size, size**2)


def test_weights_that_are_not_unique_have_equals():
    others = {name: reference for name, reference in REFERENCES.items() if not reference.unique}
    for name, reference in others.items():
        if "duplicate" in name:
            half = np.split(reference.weights, 2)[0]
            other = np.vstack([2 * half, 0 * half])
        elif "interpolation" in name:
            other = 2 * reference.weights
        else:
            assert name == "separable softmax"
            other = reference.weights - reference.weights[0, 0]
        assert np.abs(other - reference.weights).max() > 0.01
        assert abs(float(exact_primal(PROGRAMS[name], other)) - reference.value) <= ROUNDING


def test_every_kind_is_met_with_every_loss_and_penalty():
    met = Counter((p.loss.name, p.penalty.name) for p in PROGRAMS.values())
    assert set(met) == set(itertools.product(bd.LOSSES, bd.PENALTIES))
    assert min(met.values()) >= 5
    for loss in bd.LOSSES:
        programs = [p for p in PROGRAMS.values() if p.loss.name == loss]
        dense = [p.design.to_dense() for p in programs]
        assert any(p.design.shape[0] == 1 for p in programs)
        assert any(p.design.shape[1] == 1 for p in programs)
        assert any(p.outputs == 10 for p in programs)
        assert any(p.intercept for p in programs)
        assert any((p.row_weights == 0).any() for p in programs)
        assert any(p.strength > p.lambda_max for p in programs)
        assert any(not D.any(axis=0).all() for D in dense)
        assert any(np.unique(D, axis=1).shape[1] < D.shape[1] for D in dense)
    for name, reference in REFERENCES.items():
        assert reference.reason
        loss = reference.parts["loss"]
        assert re.search(rf"\b{loss}(,|$)", name) or loss == "squared"
        assert ("group" in name) == (reference.parts["penalty"] == "group")


def test_known_programs_are_the_references():
    assert list(KNOWN) == list(REFERENCES)
    for name, known in KNOWN.items():
        assert known.value == REFERENCES[name].value
        assert (known.weights is None) == (not REFERENCES[name].unique)
        assert known.dual is REFERENCES[name].dual_point


# exact values


@pytest.mark.parametrize("name", parameters(RANDOM))
def test_exact_values_are_those_of_the_program(name):
    # float64 against fractions: two implementations of each loss, conjugate and norm
    program, rng = RANDOM[name], np.random.default_rng(1)
    W = rng.normal(size=(program.design.shape[1], program.outputs))
    b = rng.normal(size=program.outputs) * program.intercept
    assert float(exact_primal(program, W, b)) == pytest.approx(program.primal(W, b), rel=1e-13)
    v = program.dual_at(program.affine(W, b))
    v *= program.strength / max(program.strength, program.largest_prices(v).max())
    assert float(exact_dual(program, v)) == pytest.approx(program.dual(v), rel=1e-11)


@pytest.mark.parametrize(("loss", "penalty", "intercept", "outputs"), GRID)
def test_exact_dual_is_the_least_lagrangian(loss, penalty, intercept, outputs):
    # min over Z of sum_i a_i loss(Z_i) + Z_i V_i, found by descent from many sides
    program = small_program(loss, penalty, intercept, outputs, 8, strength=0.2)
    V = feasible(program, np.random.default_rng(2).normal(size=program.target.shape))
    v = V.astype(float)

    def lagrangian(z):
        Z = z.reshape(v.shape)
        return float((program.row_weights @ program.loss.value(Z, program.target)).sum()) + float(
            (Z * v).sum()
        )

    starts = [program.target.ravel(), np.zeros(v.size)]
    found = min(
        minimize(lagrangian, z, method="Powell", options={"xtol": 1e-10, "ftol": 1e-14}).fun
        for z in starts
    )
    # a search ends within about the root of float64 of the least point, quadratically close
    assert float(exact_dual(program, v)) == pytest.approx(found, abs=1e-7)
    assert found >= float(exact_dual(program, v)) - ROUNDING


@examples(150)
@given(small_programs, st.integers(0, 2**32), st.sampled_from([1e-3, 1.0, 1e3]))
def test_exact_dual_is_never_above_an_exact_primal(program, seed, size):
    rng = np.random.default_rng(seed)
    W = size * rng.normal(size=(program.design.shape[1], program.outputs))
    W *= rng.random(W.shape) < 0.5
    b = size * rng.normal(size=program.outputs) * program.intercept
    primal = exact_primal(program, W, b)
    points = [size * rng.normal(size=program.target.shape), np.zeros(program.target.shape)]
    points += [program.dual_at(program.affine(W, b))]
    for V in points:
        assert exact_dual(program, V) <= primal


@examples(150)
@given(small_programs, st.integers(0, 2**32), st.sampled_from([1e-3, 1.0, 1e3]))
def test_moved_dual_points_are_exactly_feasible(program, seed, size):
    v = feasible(program, size * np.random.default_rng(seed).normal(size=program.target.shape))
    a, y = program.row_weights[:, None], program.target
    D, strength = program.design.to_dense().astype(int), Fraction(program.strength)
    prices = [[sum(v[D[:, j] > 0, c]) for c in range(y.shape[1])] for j in range(D.shape[1])]
    if program.penalty.name == "l1":
        assert all(abs(price) <= strength for row in prices for price in row)
    else:
        assert all(sum(price**2 for price in row) <= strength**2 for row in prices)
    if program.intercept:
        assert not any(v.sum(axis=0))
    if program.loss.name == "softmax":
        assert not any(v.sum(axis=1))
        # what is left of the one-hot target is a distribution, times a
        assert all(Fraction(a[i, 0]) * Fraction(y[i, c]) >= x for (i, c), x in np.ndenumerate(v))
    else:
        lower, upper = program.loss.domain(y, a)
        assert (v >= lower).all()
        assert (v <= upper).all()


@examples(100)
@given(st.sampled_from(CERTIFIED), st.integers(0, 2**32))
def test_a_dual_point_off_by_rounding_loses_no_more_than_rounding(name, seed):
    program, reference = PROGRAMS[name], REFERENCES[name]
    noise = 1e-15 * np.random.default_rng(seed).normal(size=reference.dual_point.shape)
    dual = exact_dual(program, reference.dual_point + noise)
    assert dual <= exact_primal(program, reference.weights, reference.intercept)
    # entropies have endless slopes: x log x moves by 4e-14 for x = 1e-15, for 100 entries
    assert abs(float(dual - Fraction(reference.value))) <= 1e-11


@given(st.fractions(min_value=0, max_value=10**6))
def test_roots_are_bounded_from_above(x):
    root = root_above(x)
    assert x <= root**2 <= x * (1 + Fraction(1, 2**190))
    assert root_above(x * x) == x


@pytest.mark.parametrize(
    ("loss", "size"), [*itertools.product(["logistic", "softmax"], [1.0, 1e4])]
)
def test_the_margin_covers_what_decimals_round(monkeypatch, loss, size):
    program = small_program(loss, "l1", False, 3, 5, strength=0.1)
    rng = np.random.default_rng(0)
    W = size * rng.normal(size=(program.design.shape[1], 3))
    V = size * rng.normal(size=program.target.shape)
    coarse = exact_primal(program, W), exact_dual(program, V)
    context = decimal.Context(prec=160, Emax=decimal.MAX_EMAX, Emin=decimal.MIN_EMIN)
    monkeypatch.setattr(exact_values, "CONTEXT", context)
    fine = exact_primal(program, W), exact_dual(program, V)
    assert coarse != fine
    for one, other in zip(coarse, fine, strict=True):
        assert abs(one - other) < exact_values.MARGIN / 10**20
