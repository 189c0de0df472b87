"""Penalties meet their laws: values, Fenchel-Young terms and prox of the l1 and group norms."""

import math
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import bidual as bd
from bidual.formulations.penalties import find_penalty

from covering import examples

L1, GROUP = bd.L1(), bd.Group()
NUMBERS = st.floats(-1e6, 1e6)
STRENGTHS = st.just(0.0) | st.floats(1e-9, 1e6)
SHAPES = array_shapes(min_dims=2, max_dims=2, max_side=5)
MATRICES = arrays(float, SHAPES, elements=NUMBERS)
# squares of these neither overflow nor lose digits to underflow
SIZEABLE = st.just(0.0) | st.floats(1e-3, 1e3) | st.floats(-1e3, -1e-3)
ROWS = arrays(float, SHAPES, elements=SIZEABLE)
COLUMNS = arrays(float, st.tuples(st.integers(1, 5), st.just(1)), elements=SIZEABLE)
EPS = np.finfo(float).eps
some = examples(60)
each_penalty = pytest.mark.parametrize("penalty", bd.PENALTIES.values(), ids=bd.PENALTIES)


@some
@given(W=MATRICES)
def test_value_is_the_sum_of_sizes_of_each_column(W):
    found = L1.value(W)
    assert found.shape == (W.shape[1],)
    for c in range(W.shape[1]):
        exact = float(sum(abs(Fraction(w)) for w in W[:, c]))
        assert found[c] == pytest.approx(exact, rel=1e-15, abs=0)


@some
@given(W=ROWS)
def test_value_of_the_group_norm_is_the_sum_of_lengths_of_rows(W):
    found = GROUP.value(W)
    assert found.shape == (1,)
    exact = sum(math.hypot(*row) for row in W)
    # a square root and its sum of squares, and the sum over 5 rows
    assert found[0] == pytest.approx(exact, rel=10 * EPS, abs=0)


def test_value_of_a_program_without_weights_is_zero():
    assert L1.value(np.zeros((4, 2))).tolist() == [0.0, 0.0]
    assert GROUP.value(np.zeros((4, 2))).tolist() == [0.0]


@some
@given(w=NUMBERS, strength=STRENGTHS, share=st.floats(-1, 1))
def test_fenchel_young_is_never_negative_within_the_strength(w, strength, share):
    price = strength * share
    found = L1.fenchel_young(np.array([[w]]), np.array([[price]]), strength)[0]
    exact = Fraction(strength) * abs(Fraction(w)) - Fraction(w) * Fraction(price)
    assert found >= 0
    # two products and their difference, each rounded once; 1e-300 is underflow
    room = 3e-16 * strength * abs(w) + 1e-300
    assert found == pytest.approx(float(exact), rel=1e-15, abs=room)


@some
@given(w=NUMBERS, strength=STRENGTHS)
def test_fenchel_young_is_zero_at_the_signed_strength(w, strength):
    price = strength * np.sign(w)
    assert L1.fenchel_young(np.array([[w]]), np.array([[price]]), strength)[0] == 0


@some
@given(strength=st.floats(1e-3, 1e3), excess=st.floats(1e-3, 1e3))
def test_the_conjugate_is_infinite_beyond_the_strength(strength, excess):
    price = strength + excess
    for prices in ([[price]], [[-price]], [[0.0], [price]]):
        assert L1.conjugate(np.array(prices), strength).tolist() == [np.inf]
        scaling = L1.scaling(np.array(prices), strength)
        assert scaling[0] == pytest.approx(strength / price, rel=1e-15)
    assert L1.conjugate(np.array([[strength], [-strength]]), strength).tolist() == [0.0]


@some
@given(W=MATRICES, strength=STRENGTHS, data=st.data())
def test_fenchel_young_has_a_term_for_every_weight(W, strength, data):
    shares = data.draw(arrays(float, W.shape, elements=st.floats(-1, 1)))
    sums = L1.fenchel_young(W, strength * shares, strength)
    expected = np.zeros(W.shape[1])
    for (_, c), w in np.ndenumerate(W):
        price = strength * shares[_, c]
        expected[c] += L1.fenchel_young(np.array([[w]]), np.array([[price]]), strength)[0]
    np.testing.assert_allclose(sums, expected, rtol=1e-15 * len(W))


def draw_prices(data, W, strength):
    """Prices (P, C) whose rows are as long as the strength at most, often parallel to W."""
    directions = data.draw(arrays(float, W.shape, elements=st.floats(-1, 1)), label="directions")
    directions = np.where(data.draw(st.booleans()), W + 1e-6 * directions, directions)
    lengths = np.linalg.norm(directions, axis=1, keepdims=True)
    share = data.draw(st.sampled_from([0.0, 0.5, 1 - 1e-9, 1.0]))
    return share * strength * np.divide(directions, lengths, where=lengths > 0, out=0 * directions)


def exact_group_terms(W, prices, strength):
    """Strength |w| - w'p row by row, in long double where squares and products are exact enough."""
    w, p = W.astype(np.longdouble), prices.astype(np.longdouble)
    return strength * np.sqrt((w * w).sum(axis=1)) - (w * p).sum(axis=1)


@some
@given(W=ROWS, strength=st.just(0.0) | st.floats(1e-3, 1e3), data=st.data())
def test_fenchel_young_of_the_group_norm_is_never_negative_within_the_strength(W, strength, data):
    prices = draw_prices(data, W, strength)
    terms = np.array([GROUP.fenchel_young(W[[j]], prices[[j]], strength)[0] for j in range(len(W))])
    lengths = np.linalg.norm(W, axis=1)
    # a length of prices rounds to either side of the strength, and the term is cut at 0
    room = 8 * EPS * strength * lengths
    assert (terms >= 0).all()
    expected = exact_group_terms(W, prices, strength)
    assert (np.abs(terms - expected) <= room).all()
    whole = GROUP.fenchel_young(W, prices, strength)
    np.testing.assert_allclose(whole, terms.sum(keepdims=True), rtol=1e-14, atol=1e-300)


@some
@given(W=ROWS, strength=st.floats(1e-3, 1e3))
def test_fenchel_young_of_the_group_norm_is_zero_at_parallel_prices(W, strength):
    lengths = np.linalg.norm(W, axis=1, keepdims=True)
    prices = strength * np.divide(W, lengths, where=lengths > 0, out=np.zeros_like(W))
    terms = np.array([GROUP.fenchel_young(W[[j]], prices[[j]], strength)[0] for j in range(len(W))])
    assert (np.abs(terms) <= 4 * EPS * strength * lengths[:, 0]).all()
    assert not terms[lengths[:, 0] == 0].any()


@some
@given(strength=st.floats(1e-3, 1e3), excess=st.floats(1e-3, 1e3))
def test_the_conjugate_of_the_group_norm_is_infinite_beyond_the_strength(strength, excess):
    # longer in the norm only: no entry need be above the strength
    price = (strength + excess) * np.array([[0.6, -0.8]])
    assert GROUP.conjugate(price, strength).tolist() == [np.inf]
    scaling = GROUP.scaling(np.vstack([0 * price, price]), strength)
    assert scaling[0] == pytest.approx(strength / (strength + excess), rel=4 * EPS)
    assert GROUP.conjugate((1 - 8 * EPS) * scaling * price, strength).tolist() == [0.0]


@some
@given(W=COLUMNS, strength=STRENGTHS, share=st.floats(-1, 1))
def test_the_group_norm_of_one_output_is_the_l1_norm(W, strength, share):
    prices = np.full_like(W, strength * share)
    np.testing.assert_array_equal(GROUP.value(W), L1.value(W))
    np.testing.assert_array_equal(GROUP.prox(W, strength), L1.prox(W, strength))
    np.testing.assert_allclose(
        GROUP.fenchel_young(W, prices, strength),
        L1.fenchel_young(W, prices, strength),
        rtol=4 * EPS,
        atol=4 * EPS * strength * np.abs(W).max(),
    )


def norms_of(penalty, W):
    """The norms that the strength bounds in prices: of entries, or of rows."""
    return np.abs(W) if penalty.separable else np.linalg.norm(W, axis=1, keepdims=True)


@each_penalty
@some
@given(points=ROWS, step=st.just(0.0) | st.floats(1e-3, 2e3))
def test_prox_and_projection_of_a_point_add_up_to_it(penalty, points, step):
    # Moreau: v = prox(v) + projection of v on the ball of prices, a u with |u| <= step
    # and u'w = step |w|, which is what the terms of Fenchel and Young measure
    found = penalty.prox(points, step)
    rest = points - found
    size = np.abs(points).max() + step
    assert (norms_of(penalty, rest) <= step + 4 * EPS * size).all()
    for j in range(len(points)):
        terms = penalty.fenchel_young(found[[j]], rest[[j]], step)
        assert (np.abs(terms) <= 8 * EPS * size * norms_of(penalty, found[[j]])[0]).all()


@each_penalty
def test_prox_is_no_worse_than_any_other_point(penalty):
    rng = np.random.default_rng(0)
    for step in (0.0, 0.1, 1.0, 3.0):
        points = rng.normal(size=(6, 3))
        found = penalty.prox(points, step)

        def objective(W, points=points, step=step):
            return step * penalty.value(W).sum() + 0.5 * ((W - points) ** 2).sum()

        least = objective(found)
        for size in (1e-6, 1e-3, 0.1, 1.0):
            others = [found + size * rng.normal(size=(6, 3)) for _ in range(50)]
            others += [found * (1 + size), found * (1 - size), found + size * (points - found)]
            # rounding of some 40 terms of size 1
            assert min(map(objective, others)) >= least - 1e-14


@some
@given(points=MATRICES, step=STRENGTHS)
def test_prox_is_exactly_zero_within_the_step(points, step):
    assert not L1.prox(np.clip(points, -step, step), step).any()
    lengths = np.linalg.norm(points, axis=1, keepdims=True)
    shorter = points * np.divide(0.999 * step, lengths, where=lengths > step, out=0 * lengths)
    assert not GROUP.prox(shorter, step).any()


def test_prox_leaves_its_argument_alone():
    points = np.array([[3.0, -0.5], [-4.0, 1.0]])
    found = L1.prox(points, 1.0)
    assert found.tolist() == [[2.0, 0.0], [-3.0, 0.0]]
    assert points.tolist() == [[3.0, -0.5], [-4.0, 1.0]]


def test_prox_of_the_group_norm_shortens_rows():
    points = np.array([[3.0, -4.0], [0.3, 0.4], [0.0, 0.0]])
    found = GROUP.prox(points, 1.0)
    np.testing.assert_allclose(found, [[2.4, -3.2], [0.0, 0.0], [0.0, 0.0]], rtol=4 * EPS)
    assert points.tolist() == [[3.0, -4.0], [0.3, 0.4], [0.0, 0.0]]


def test_penalties_have_the_names_that_users_write():
    assert list(bd.PENALTIES) == ["l1", "group"]
    assert isinstance(bd.PENALTIES["l1"], bd.L1)
    assert isinstance(bd.PENALTIES["group"], bd.Group)
    assert L1.separable
    assert not GROUP.separable


@each_penalty
def test_a_penalty_is_found_by_name_and_as_itself(penalty):
    assert find_penalty(penalty.name) is penalty
    assert find_penalty(penalty) is penalty
    assert penalty.name in repr(penalty)


def test_unknown_penalty_is_told_the_known_names():
    with pytest.raises(ValueError, match=r"^penalty: expected one of .*'group', 'l1'.* got 'l2'"):
        find_penalty("l2")
