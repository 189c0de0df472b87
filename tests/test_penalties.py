"""Penalties meet their laws: value, Fenchel-Young terms and prox of the l1 norm."""

from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import bidual as bd
from bidual.kernels import proximal

L1 = bd.L1()
NUMBERS = st.floats(-1e6, 1e6)
STRENGTHS = st.just(0.0) | st.floats(1e-9, 1e6)
MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=NUMBERS)
some = settings(deadline=None, max_examples=100)


@some
@given(W=MATRICES)
def test_value_is_the_sum_of_sizes_of_each_column(W):
    found = L1.value(W)
    assert found.shape == (W.shape[1],)
    for c in range(W.shape[1]):
        exact = float(sum(abs(Fraction(w)) for w in W[:, c]))
        assert found[c] == pytest.approx(exact, rel=1e-15, abs=0)


def test_value_of_a_program_without_weights_is_zero():
    assert L1.value(np.zeros((4, 2))).tolist() == [0.0, 0.0]


@some
@given(w=NUMBERS, strength=STRENGTHS, share=st.floats(-1, 1))
def test_fenchel_young_is_never_negative_within_the_strength(w, strength, share):
    price = strength * share
    found = L1.fenchel_young(np.array([[w]]), np.array([[price]]), strength)[0, 0]
    exact = Fraction(strength) * abs(Fraction(w)) - Fraction(w) * Fraction(price)
    assert found >= 0
    # two products and their difference, each rounded once; 1e-300 is underflow
    room = 3e-16 * strength * abs(w) + 1e-300
    assert found == pytest.approx(float(exact), rel=1e-15, abs=room)


@some
@given(w=NUMBERS, strength=STRENGTHS)
def test_fenchel_young_is_zero_at_the_signed_strength(w, strength):
    price = strength * np.sign(w)
    assert L1.fenchel_young(np.array([[w]]), np.array([[price]]), strength)[0, 0] == 0


@some
@given(strength=st.floats(1e-3, 1e3), excess=st.floats(1e-3, 1e3))
def test_fenchel_young_is_negative_beyond_the_strength(strength, excess):
    # what certify() must never meet: such a price belongs to no dual point
    price = strength + excess
    assert L1.fenchel_young(np.ones((1, 1)), np.array([[price]]), strength)[0, 0] < 0
    assert L1.fenchel_young(-np.ones((1, 1)), np.array([[-price]]), strength)[0, 0] < 0


@some
@given(W=MATRICES, strength=STRENGTHS, data=st.data())
def test_fenchel_young_has_a_term_for_every_weight(W, strength, data):
    shares = data.draw(arrays(float, W.shape, elements=st.floats(-1, 1)))
    terms = L1.fenchel_young(W, strength * shares, strength)
    assert terms.shape == W.shape
    for index, w in np.ndenumerate(W):
        alone = L1.fenchel_young(np.array([[w]]), np.array([[strength * shares[index]]]), strength)
        assert terms[index] == alone[0, 0]


@pytest.mark.parametrize("python", [False, True], ids=["compiled", "plain"])
@some
@given(points=MATRICES, step=STRENGTHS)
def test_prox_minimises_its_objective(python, points, step):
    if python:
        found = np.full_like(points, np.nan)
        proximal.soft_threshold.py_func(points, step, found)
    else:
        found = L1.prox(points, step)
    assert found.shape == points.shape

    def objective(w, v):
        return Fraction(step) * abs(w) + (w - Fraction(v)) ** 2 / 2

    for w, v in zip(found.ravel(), points.ravel(), strict=True):
        least, size = objective(Fraction(w), v), Fraction(abs(v) + step)
        # a convex function that is no lower at w - d and w + d has its minimiser between;
        # d is the rounding of |v| - step
        for d in (size * Fraction(1e-15), size / 1000, size / 3, 3 * size):
            assert least <= objective(Fraction(w) - d, v)
            assert least <= objective(Fraction(w) + d, v)


@some
@given(points=MATRICES, step=STRENGTHS)
def test_prox_is_exactly_zero_within_the_step(points, step):
    assert not L1.prox(np.clip(points, -step, step), step).any()


def test_prox_leaves_its_argument_alone():
    points = np.array([[3.0, -0.5], [-4.0, 1.0]])
    found = L1.prox(points, 1.0)
    assert found.tolist() == [[2.0, 0.0], [-3.0, 0.0]]
    assert points.tolist() == [[3.0, -0.5], [-4.0, 1.0]]


def test_the_penalty_has_the_name_that_backends_read():
    assert L1.name == "l1"
    assert "l1" in repr(L1)
