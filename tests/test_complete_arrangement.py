"""The closed form for complete arrangements against newton on all 2**n columns, and its network."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from targets_for import targets_for

import bidual as bd
from bidual.formulations.complete_arrangement import complete_arrangement

from covering import slow

GAP = 1e-9
LOSSES = sorted(set(bd.LOSSES) - {"softmax"})


def every_pattern(n):
    """All columns of {0, 1}**n but zeros."""
    codes = np.arange(1, 2**n)
    return bd.BinaryMatrix.from_dense((codes >> np.arange(n)[:, None] & 1).astype(np.uint8))


def maxima(delta):
    return max(delta.max(), 0.0) + max(-delta.min(), 0.0)


def assert_equal_to_all_patterns(target, loss, strength, row_weights=None):
    """The objective is newton's to its gap, and V proves it over all patterns."""
    program = bd.ConvexProgram(every_pattern(len(target)), target, loss, strength, row_weights)
    found = complete_arrangement(target, loss, strength, row_weights)
    solution = bd.solve(program, "newton", gap=GAP)
    room = 1e-13 * program.reference  # rounding
    assert found.objective <= solution.certificate.primal + room
    assert found.objective >= solution.certificate.dual - room
    if strength > 0:  # at 0 the bound 0 is all that a certificate of newton's can prove
        assert solution.certificate.relative_gap <= GAP
    assert program.largest_prices(found.dual_point[:, None]).max() <= strength * (1 + 1e-14)
    assert found.objective - program.dual(found.dual_point) == pytest.approx(
        found.absolute_gap, abs=room
    )
    assert 0 <= found.absolute_gap <= room
    assert_network(found)


def assert_network(found):
    """At most n + 2 neurons that compute delta exactly and cost its two maxima exactly."""
    n = found.delta.size
    assert found.patterns.shape[1] <= n + 2
    # the sums are exact, in whatever order they are made
    assert np.array_equal(found.patterns.matvec(found.weights)[:, 0], found.delta)
    backwards = np.arange(found.weights.size)[::-1]
    turned = found.patterns.take(backwards).matvec(found.weights[backwards])[:, 0]
    assert np.array_equal(turned, found.delta)
    assert np.abs(found.weights).sum() == pytest.approx(maxima(found.delta), rel=1e-15)
    certificate = bd.certify(found.program, weights=found.weights, dual_point=found.dual_point)
    room = 1e-13 * found.program.reference
    assert certificate.primal == pytest.approx(found.objective, abs=room)
    assert certificate.absolute_gap <= found.absolute_gap + room


@pytest.mark.parametrize("loss", LOSSES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.9])
@pytest.mark.parametrize("uneven", [False, True])
def test_ergen_theorem_2_3_the_closed_form_is_the_optimum_over_all_patterns(loss, share, uneven):
    rng = np.random.default_rng(5)
    target = targets_for(loss, rng.normal(size=(7, 1)))[:, 0]
    a = rng.random(7) * (np.arange(7) != 3) if uneven else None
    largest = bd.ConvexProgram(every_pattern(7), target, loss, row_weights=a).lambda_max
    assert_equal_to_all_patterns(target, loss, share * largest, a)


@pytest.mark.parametrize("delta", [0.1, 0.7, 30.0])
def test_ergen_theorem_2_3_whatever_the_bend_of_huber_s_loss(delta):
    target = np.random.default_rng(1).normal(size=8)
    for strength in (0.005, 0.05, 0.2):
        assert_equal_to_all_patterns(target, bd.Huber(delta), strength)


@pytest.mark.parametrize("loss", ["squared", "huber", "hinge"])
def test_ergen_theorem_2_3_with_all_4095_patterns_of_12_rows(loss):
    target = targets_for(loss, np.random.default_rng(2).normal(size=(12, 1)))[:, 0]
    assert_equal_to_all_patterns(target, loss, 0.05)


@given(
    st.sampled_from(LOSSES),
    hnp.arrays(np.float64, 4, elements=st.integers(-3, 3)),  # with ties and zeros
    st.sampled_from((0.01, 0.1, 0.25, 0.5, 2.0)),
    hnp.arrays(np.float64, 4, elements=st.sampled_from((0.0, 0.25, 1.0))),
)
def test_ergen_theorem_2_3_whatever_the_targets_and_weights(loss, numbers, strength, a):
    if not a.any():
        a[0] = 0.5
    target = targets_for(loss, numbers[:, None])[:, 0]
    assert_equal_to_all_patterns(target, loss, strength, a)


def test_ergen_theorem_2_3_two_caps_clip_the_targets_of_the_squared_loss():
    # above 0: (4 - u) + (3 - u) = 1.5; below: 5 - l = 1.5
    found = complete_arrangement([4.0, 1.0, 3.0, 0.0, -2.0, -5.0], "squared", 1.5, np.ones(6))
    assert found.delta.tolist() == [2.75, 1.0, 2.75, 0.0, -2.0, -3.5]
    assert found.dual_point.tolist() == [1.25, 0.0, 0.25, 0.0, 0.0, -1.5]
    assert found.objective == (1.25**2 + 0.25**2 + 1.5**2) / 2 + 1.5 * (2.75 + 3.5)
    assert found.absolute_gap == 0.0
    assert found.patterns.to_dense().T.tolist() == [
        [1, 1, 1, 0, 0, 0],
        [1, 0, 1, 0, 0, 0],
        [0, 0, 0, 0, 1, 1],
        [0, 0, 0, 0, 0, 1],
    ]
    assert found.weights.ravel().tolist() == [1.0, 1.75, -2.0, -1.5]


@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_without_a_penalty_targets_are_met_up_to_those_without_weight(loss):
    found = complete_arrangement([2.0, -1.0, 9.0], loss, 0.0, [1.0, 1.0, 0.0])
    assert found.delta.tolist() == [2.0, -1.0, 2.0]
    assert (found.objective, found.absolute_gap) == (0.0, 0.0)


@pytest.mark.parametrize("loss", LOSSES)
def test_from_the_largest_price_of_all_patterns_on_delta_is_zero(loss):
    target = targets_for(loss, np.array([[2.0], [-1.5], [0.5], [-0.25]]))[:, 0]
    program = bd.ConvexProgram(every_pattern(4), target, loss)
    for strength in (program.lambda_max * (1 + 1e-12), 10.0):
        found = complete_arrangement(target, loss, strength)
        assert not found.delta.any()
        assert found.objective == pytest.approx(program.reference, rel=1e-15)
        assert found.patterns.to_dense().tolist() == [[1.0]] * 4
        assert found.weights.tolist() == [[0.0]]
        assert_network(found)
    below = complete_arrangement(target, loss, program.lambda_max * (1 - 1e-9))
    assert below.delta.any()


def test_ties_share_a_neuron():
    found = complete_arrangement([1.0, 3.0, 3.0, 1.0, -1.0, -1.0], "squared", 0.01)
    assert found.patterns.shape == (6, 3)
    labels = complete_arrangement([1.0, -1.0, 1.0, 1.0], "logistic", 0.1)
    assert labels.patterns.to_dense().T.tolist() == [[1, 0, 1, 1], [0, 1, 0, 0]]


def test_sums_are_exact_where_levels_lie_decades_apart():
    rng = np.random.default_rng(0)
    target = rng.normal(size=200) * 10.0 ** rng.uniform(-20, 3, size=200)
    found = complete_arrangement(target, "absolute", 1e-4)
    assert_network(found)


@pytest.mark.parametrize("loss", ["squared", *slow("absolute", "huber")])
def test_a_million_rows_are_solved_by_sorting(loss):
    # far beyond what a method of quadratic cost would end in the life of a test
    target = np.random.default_rng(0).standard_cauchy(10**6)
    found = complete_arrangement(target, loss, 0.1)
    reference = float(bd.LOSSES[loss].value(np.zeros(10**6), target).mean())
    assert 0 < found.objective < reference
    assert found.absolute_gap <= 1e-12 * reference  # sums of 1e6 terms
    clipped = np.clip(target, found.delta.min(), found.delta.max())
    assert np.abs(found.delta - clipped).max() <= np.spacing(np.abs(found.delta).max())


@pytest.mark.parametrize("exponent", [-400, -40, 0, 40, 480])
@pytest.mark.parametrize("loss", ["squared", "absolute", "huber"])
def test_the_answer_scales_with_the_targets_bit_for_bit(loss, exponent):
    target = np.random.default_rng(4).normal(size=9)
    unit = 2.0**exponent
    shapes = {"squared": ("squared", unit), "absolute": ("absolute", 1.0)}
    made, strengthened = shapes.get(loss, (bd.Huber(0.5 * unit), unit))
    start = bd.Huber(0.5) if loss == "huber" else loss
    one = complete_arrangement(target, start, 0.125)
    other = complete_arrangement(unit * target, made, 0.125 * strengthened)
    assert one.delta.any()
    assert np.array_equal(other.delta, unit * one.delta)
    assert np.array_equal(other.dual_point, strengthened * one.dual_point)
    assert other.objective == unit * strengthened * one.objective
    assert other.absolute_gap == unit * strengthened * one.absolute_gap


@pytest.mark.parametrize(
    ("target", "loss", "weights"),
    [
        ([1e308, -1e308], "squared", None),
        ([1e160, 1.0], "squared", None),
        ([1e308, 1e308], "absolute", [1.0, 1.0]),
        ([1e308, 1e308], "huber", [1.0, 1.0]),
        ([1e308, 5e307], "huber", None),  # residuals of the bend are rounded away
        ([1e18, 5e17], "huber", None),
    ],
)
@pytest.mark.filterwarnings("error")
def test_targets_that_float64_does_not_resolve_are_refused(target, loss, weights):
    with pytest.raises(ValueError, match=r"^target: expected numbers of a size for which float64"):
        complete_arrangement(target, loss, 0.1, weights)


def test_large_targets_that_float64_does_resolve_are_solved():
    for target, loss in [([1e150, -1e149], "squared"), ([1e308, -1e307], "absolute")]:
        found = complete_arrangement(target, loss, 0.1)
        assert found.delta == pytest.approx(target, rel=1e-15)
        assert found.absolute_gap <= 1e-12 * found._one_atom.reference
    assert complete_arrangement([1e308, -1e307], "absolute", 1.0).delta.tolist() == [0.0, 0.0]


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"target": []}, r"target: expected shape \(n,\)"),
        ({"target": 3.0}, r"target: expected shape \(n,\)"),
        ({"target": [1.0, np.nan]}, "target"),
        ({"target": [[1.0, 2.0], [0.0, 1.0]]}, r"target: expected shape \(2,\), got \(2, 2\)"),
        ({"target": [0.5, 1.0], "loss": "hinge"}, "target"),
        ({"target": [[1.0, 0.0], [0.0, 1.0]], "loss": "softmax"}, "loss: .*softmax"),
        ({"target": [1.0, -1.0], "loss": "logistic", "strength": 0.0}, "strength"),
        ({"target": [1.0, -1.0], "strength": -1.0}, "strength"),
        ({"target": [1.0, -1.0], "row_weights": [1.0]}, "row_weights"),
        ({"target": [1.0, -1.0], "loss": "other"}, "loss"),
    ],
)
def test_what_makes_no_sense_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=named):
        complete_arrangement(**change)
