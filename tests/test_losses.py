"""Losses meet their laws: values, conjugates, Fenchel-Young terms and cones, each in turn."""

import decimal
import functools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.optimize import minimize, minimize_scalar
from targets_for import outputs_for, targets_for

import bidual as bd
from bidual.formulations.epigraph import stack
from bidual.formulations.losses import Loss, find_loss

from covering import examples

DELTA = 0.375
SOFTMAX = bd.LOSSES["softmax"]


def log1p(x):
    # 1 + x has 80 digits only; the next term of the series is 1e-60 of the value
    return x - x * x / 2 + x**3 / 3 if x < Decimal("1e-20") else (1 + x).ln()


def exact_logistic(z, y):
    margin = y * z
    return max(-margin, Decimal(0)) + log1p((-abs(margin)).exp())


def exact_huber(delta):
    def value(z, y):
        size = abs(z - y)
        return size * size / 2 if size <= delta else delta * (size - Decimal(delta) / 2)

    return value


def exact_softmax(z, y):
    """The row's log-sum less its label's fit, by the label's distance below the others."""
    label = y.index(1)
    others = [fit - z[label] for k, fit in enumerate(z) if k != label]
    top = max(Decimal(0), *others)
    rest = sum((fit - top).exp() for fit in others)
    return log1p(rest) if top == 0 else top + ((-top).exp() + rest).ln()


def entropy(*shares):
    return sum(p * p.ln() for p in shares if p > 0)


def entry(f):
    """A function of numbers as one of rows of one number."""

    def of_row(*rows):
        return f(*(row[0] if isinstance(row, list) else row for row in rows))

    return of_row


@dataclass(frozen=True)
class Case:
    """A loss from its definition, in Decimal; a later loss joins with one of these.

    Rows are lists, of one number where outputs separate. ``domain`` tells the
    least and largest v at a = 1; ``cancelling`` (z, v, y, a) where
    a loss + conjugate + z v is far below its own terms.
    """

    value: Callable  # of z, y
    conjugate: Callable  # of v, y, a
    domain: Callable[[float], tuple[float, float]]  # of y
    kinks: Callable[[float], list[float]]  # of y
    cones: dict[bool, set[str]]  # beyond zero and nonnegative; quadratic or not
    cancelling: list[tuple]
    loss: Loss


def halves(y):
    """The interval between 0 and y."""
    return min(y, 0.0), max(y, 0.0)


def nowhere(y):
    return []


quadratic_conjugate = entry(lambda v, y, a: v**2 / (2 * a) - v * y)
linear_conjugate = entry(lambda v, y, a: -v * y)
CONIC_ONLY = {True: set(), False: {"second_order"}}
LINEAR = {True: set(), False: set()}
EXPONENTIAL = {True: {"exponential"}, False: {"exponential"}}

TABLE = {
    "squared": Case(
        value=entry(lambda z, y: (z - y) ** 2 / 2),
        conjugate=quadratic_conjugate,
        domain=lambda y: (-np.inf, np.inf),
        kinks=nowhere,
        cones=CONIC_ONLY,
        cancelling=[(1e8 - 3.0, 1.5 + 1e-6, 1e8, 0.5), (-3e7, 6e7 - 1e-5, 3e7, 1.0)],
        loss=bd.LOSSES["squared"],
    ),
    "absolute": Case(
        value=entry(lambda z, y: abs(z - y)),
        conjugate=linear_conjugate,
        domain=lambda y: (-1.0, 1.0),
        kinks=lambda y: [y],
        cones=LINEAR,
        cancelling=[(-3e7, 7.0 * (1 - 1e-15), 3e7, 7.0), (1e9, -1.0 + 1e-15, -1e8, 1.0)],
        loss=bd.LOSSES["absolute"],
    ),
    "huber": Case(
        value=entry(exact_huber(1)),
        conjugate=quadratic_conjugate,
        domain=lambda y: (-1.0, 1.0),
        kinks=nowhere,
        cones=CONIC_ONLY,
        cancelling=[(1e8 - 0.5, 0.25 + 1e-6, 1e8, 0.5), (-3e7, 3.0 * (1 - 1e-15), 3e2, 3.0)],
        loss=bd.LOSSES["huber"],
    ),
    "huber of another delta": Case(
        value=entry(exact_huber(Decimal(DELTA))),
        conjugate=quadratic_conjugate,
        domain=lambda y: (-DELTA, DELTA),
        kinks=nowhere,
        cones=CONIC_ONLY,
        cancelling=[(1e8 - 0.25, 0.125 + 1e-6, 1e8, 0.5), (3e7, -DELTA * (1 - 1e-15), 3e2, 1.0)],
        loss=bd.Huber(DELTA),
    ),
    "hinge": Case(
        value=entry(lambda z, y: max(Decimal(0), 1 - y * z)),
        conjugate=linear_conjugate,
        domain=halves,
        kinks=lambda y: [y],
        cones=LINEAR,
        cancelling=[(-1e8, 1.0 - 1e-15, 1.0, 1.0), (-1.0 - 1e-14, -3e7, -1.0, 7e7)],
        loss=bd.LOSSES["hinge"],
    ),
    "squared_hinge": Case(
        value=entry(lambda z, y: max(Decimal(0), 1 - y * z) ** 2 / 2),
        conjugate=quadratic_conjugate,
        domain=lambda y: (0.0, np.inf) if y > 0 else (-np.inf, 0.0),
        kinks=nowhere,
        cones=CONIC_ONLY,
        cancelling=[(-1e8, 5e7 + 0.5 + 1e-6, 1.0, 0.5), (3e7, -3e7 - 1 - 1e-5, -1.0, 1.0)],
        loss=bd.LOSSES["squared_hinge"],
    ),
    "logistic": Case(
        value=entry(exact_logistic),
        conjugate=entry(lambda v, y, a: a * entropy(v * y / a, 1 - v * y / a)),
        domain=halves,
        kinks=nowhere,
        cones=EXPONENTIAL,
        cancelling=[
            (30.0, 9.3576e-14 * (1 + 1e-3), 1.0, 1.0),
            (-0.5, -0.25 * 0.37754066879814546, -1.0, 0.25 * (1 - 1e-9)),
        ],
        loss=bd.LOSSES["logistic"],
    ),
    "softmax": Case(
        value=exact_softmax,
        conjugate=lambda v, y, a: a * entropy(*(one - x / a for x, one in zip(v, y, strict=True))),
        domain=lambda y: (y - 1.0, y),
        kinks=nowhere,
        cones=EXPONENTIAL,
        cancelling=[
            # Loss, conjugate and z v are above 1/4, so that their sum in float64 is a multiple of
            # 2^-54, and the terms are 3 2^-58 and 2^-58: no exp or log can round to within 1e-4.
            # shares 1/2 + 2^-29, 1/4, 1/4 - 2^-29 against the softmax of log 2, 0, 0
            ((np.log(2), 0.0, 0.0), (0.5 - 2**-29, -0.25, -0.25 + 2**-29), (1.0, 0.0, 0.0), 1.0),
            ((1024.0, 1024.0), (-1.0 - 2**-29, 1.0 + 2**-29), (0.0, 1.0), 2.0),
        ],
        loss=SOFTMAX,
    ),
}
SEPARABLE = [name for name, case in TABLE.items() if case.loss.separable]

each_loss = pytest.mark.parametrize("name", TABLE)
each_separable = pytest.mark.parametrize("name", SEPARABLE)
few = examples(25)
FITS = st.floats(-1e3, 1e3)
WEIGHTS = st.floats(1e-6, 1e3)


def precise(test):
    """Run a test in 80 digits: to a float, that is exact."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with decimal.localcontext(prec=80):
            return test(*args, **kwargs)

    return run


def at(method, *rows):
    """A method of arrays at numbers or single rows; the sum where it has an entry each."""
    found = method(*(np.atleast_2d(np.asarray(row, dtype=float)) for row in rows))
    assert found.ndim == 2
    return float(found.sum())


def decimals(row):
    return [Decimal(float(number)) for number in np.atleast_1d(row)]


def draw_target(data, name):
    """A row of targets: of one output, or of two to four where they do not separate."""
    loss = TABLE[name].loss
    outputs = data.draw(st.integers(2, 4), label="outputs") if not loss.separable else 1
    numbers = data.draw(arrays(float, (1, outputs), elements=st.floats(-1e3, 1e3)), label="y")
    return targets_for(loss.name, numbers)[0]


def draw_fit(data, y, numbers=FITS):
    return data.draw(arrays(float, y.shape, elements=numbers), label="z")


def draw_dual(data, name, y, a):
    """A v in the domain of the conjugate, its ends included."""
    if name == "softmax":
        masses = data.draw(arrays(float, y.shape, elements=st.just(0.0) | st.floats(1e-6, 1)))
        total = max(float(masses.sum()), 1e-300)
        return row_of_zero_sum(a * np.minimum(masses / total, 1.0), y, a)
    low, high = TABLE[name].domain(y[0])
    share = data.draw(st.floats(0, 1), label="share")
    if np.isfinite(low) and np.isfinite(high):
        return np.clip(a * (low + share * (high - low)), a * low, a * high) * np.ones(1)
    return np.clip(a * (100 * share - 50), low, high) * np.ones(1)


def row_of_zero_sum(given, y, a):
    """V of a row that gives to other classes what ``given`` tells, but for rounding of its sum."""
    given = np.where(y > 0, 0.0, given)
    return np.where(y > 0, min(given.sum(), a), -given)


def exact_term(name, z, v, y, a):
    """a loss + conjugate + z v in Decimal, and the sum of its parts' sizes."""
    case = TABLE[name]
    z, v, y, (a,) = map(decimals, (z, v, y, a))
    products = [fit * dual for fit, dual in zip(z, v, strict=True)]
    parts = a * case.value(z, y), case.conjugate(v, y, a), *products
    return sum(parts), sum(map(abs, parts))


def test_every_loss_is_in_the_table():
    assert {case.loss for case in TABLE.values()} >= set(bd.LOSSES.values())
    assert sorted(bd.LOSSES) == sorted({case.loss.name for case in TABLE.values()})
    for name, loss in bd.LOSSES.items():
        assert loss.name == name
        assert loss.delta == (1.0 if name == "huber" else 0.0)
    codes = [loss.code for loss in bd.LOSSES.values()]
    assert sorted(codes) == list(range(len(codes)))
    assert {name for name, loss in bd.LOSSES.items() if not loss.separable} == {"softmax"}
    labels = {"hinge", "squared_hinge", "logistic"}
    assert {name for name, loss in bd.LOSSES.items() if loss.labels} == labels


@each_loss
@few
@given(data=st.data())
@precise
def test_value_is_the_definition(name, data):
    case = TABLE[name]
    y = draw_target(data, name)
    z = draw_fit(data, y)
    expected = float(case.value(decimals(z), decimals(y)))
    # 1e-300: where exp underflows, 0 is the right float; fits apart by rounding of 1e3
    assert at(case.loss.value, z, y) == pytest.approx(expected, rel=1e-13, abs=1e-300)


@each_loss
@few
@given(share=st.floats(0, 1), data=st.data())
def test_value_is_convex_and_non_negative(name, share, data):
    y = draw_target(data, name)
    ends = draw_fit(data, y), draw_fit(data, y)
    value = functools.partial(at, TABLE[name].loss.value)
    between = share * ends[0] + (1 - share) * ends[1]
    chord = share * value(ends[0], y) + (1 - share) * value(ends[1], y)
    # the rounding of `between` moves the value by slope * ulp <= 2e3 * 1e-13 at most
    assert value(between, y) <= chord + 1e-9
    assert value(between, y) >= 0


@each_loss
@few
@given(data=st.data())
@precise
def test_gradient_is_the_difference_quotient_away_from_kinks(name, data):
    case, h = TABLE[name], Decimal("1e-30")
    y = draw_target(data, name)
    z = draw_fit(data, y, FITS | st.floats(-3, 3))
    if any(abs(z[0] - kink) < 1e-20 for kink in case.kinks(y[0])):
        return
    center, target = decimals(z), decimals(y)
    found = case.loss.gradient(z[None], y[None])[0]
    for k in range(y.size):
        above, below = center.copy(), center.copy()
        above[k] += h
        below[k] -= h
        slope = (case.value(above, target) - case.value(below, target)) / (2 * h)
        # 1e-40: what 80 digits and h leave of the quotient; the slope of a label is known to
        # the rounding of the share that it is short of 1
        room = 1e-15 if name == "softmax" and y[k] == 1 else 1e-40
        assert found[k] == pytest.approx(float(slope), rel=2e-13, abs=room)


@each_separable
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_gradient_at_a_kink_is_the_subgradient_zero(name, y):
    loss = TABLE[name].loss
    for kink in TABLE[name].kinks(y):
        slope = at(loss.gradient, kink, y)
        assert slope == 0
        for other in np.linspace(kink - 5, kink + 5, 101):
            assert at(loss.value, other, y) >= at(loss.value, kink, y) + slope * (other - kink)


@each_separable
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_every_dual_of_the_domain_belongs_to_a_fit_at_a_kink(name, y):
    loss, kinks = TABLE[name].loss, TABLE[name].kinks(y)
    for kink in kinks:
        low, high = TABLE[name].domain(y)
        for v in np.linspace(low, high, 11):
            assert at(loss.fenchel_young, kink, v, y, 1.0) == 0
    for z in [*kinks, *np.linspace(-2, 2, 40)]:
        assert at(loss.kinks, z, y) == (z in kinks)


def test_softmax_has_no_kinks():
    assert not SOFTMAX.kinks(np.zeros((3, 2)), np.eye(2)[[0, 1, 1]]).any()


@each_separable
@few
@given(a=WEIGHTS, data=st.data())
def test_conjugate_is_the_supremum_over_fits(name, a, data):
    loss = TABLE[name].loss
    y = draw_target(data, name)
    v = draw_dual(data, name, y, a)[0]
    y = y[0]

    def negated(z):
        return v * z + a * loss.value(z, y)

    # the supremum is at |z - y| <= 50 (squared losses), 1 (kinks), or within exp(-60) (logistic)
    grid = np.linspace(y - 60, y + 60, 4001)
    values = negated(grid)
    k = int(values.argmin())
    refined = minimize_scalar(
        negated,
        bounds=(grid[max(k - 1, 0)], grid[min(k + 1, grid.size - 1)]),
        method="bounded",
        options={"xatol": 1e-12},
    )
    supremum = -min(values[k], refined.fun)
    # rounding of v z and a loss, which are at most 50 a * 1060 and 3600 a
    assert at(loss.conjugate, v, y, a) == pytest.approx(supremum, rel=1e-10, abs=1e-10 * a)


@each_loss
@few
@given(a=WEIGHTS, data=st.data())
@precise
def test_conjugate_is_met_at_the_gradient_and_not_exceeded_elsewhere(name, a, data):
    # Fenchel and Young: (a loss)*(-v) >= -v z - a loss(z), and equal where v = -a loss'(z)
    loss = TABLE[name].loss
    y = draw_target(data, name)
    z, other = draw_fit(data, y, st.floats(-20, 20)), draw_fit(data, y, st.floats(-20, 20))
    v = -a * loss.gradient(z[None], y[None])[0]
    if name == "softmax":
        v = row_of_zero_sum(-v, y, a)
    if name == "absolute" or (name == "hinge" and z[0] == y[0]):
        z = np.where(np.abs(z - y) < 1e-9, y, z)  # any v belongs to the kink
    conjugate = at(loss.conjugate, v, y, a)
    lines = [
        -sum(map(float.__mul__, v.tolist(), fit.tolist())) - a * at(loss.value, fit, y)
        for fit in (z, other)
    ]
    size = float(exact_term(name, z, v, y, a)[1]) + a
    assert conjugate == pytest.approx(lines[0], rel=0, abs=1e-14 * size)
    size += float(exact_term(name, other, v, y, a)[1])
    assert conjugate >= lines[1] - 1e-14 * size


def outside_of(name, y, a, excess):
    """Pairs of a v outside the domain and the direction of z in which its supremum is infinite."""
    if name != "softmax":
        low, high = TABLE[name].domain(y[0])
        for end, sign in ((low, -1.0), (high, 1.0)):
            if np.isfinite(end):
                yield np.array([a * end + sign * excess * a]), np.array([-sign])
        return
    ones = np.ones(y.size)
    for other in np.flatnonzero(y == 0):
        towards = np.eye(y.size)[other]
        yield excess * a * (towards - y), -towards
        yield (1 + excess) * a * (y - towards), towards
    yield excess * a * ones, -ones
    yield -excess * a * ones, ones


@each_loss
@few
@given(a=WEIGHTS, excess=st.floats(0.01, 10), data=st.data())
def test_conjugate_is_infinite_outside_the_domain_and_finite_inside(name, a, excess, data):
    loss = TABLE[name].loss
    y = draw_target(data, name)
    ends = np.transpose([TABLE[name].domain(one) for one in y])
    weight = np.array([[a]])
    low, high = loss.domain(y[None], weight)
    np.testing.assert_array_equal(low[0], a * ends[0])
    np.testing.assert_array_equal(high[0], a * ends[1])
    for v, direction in outside_of(name, y, a, excess):
        far = 1e8 * direction
        # grows without end: at 1e8 it has grown by the excess times that, and y is within 1e3
        assert -v @ far - a * at(loss.value, far, y) >= 0.99 * excess * a * 1e8 - 1e4 * a
        assert not loss.contains(v[None], y[None], weight, 1e-12)
    inside = [draw_dual(data, name, y, a)]
    if name != "softmax":
        inside += [np.clip([sign * 1e6 * a], low[0], high[0]) for sign in (-1.0, 1.0)]
    for v in inside:
        assert np.isfinite(at(loss.conjugate, v, y, a))
        assert loss.contains(v[None], y[None], weight, 1e-12)


@each_loss
@few
@given(a=WEIGHTS, data=st.data())
@precise
def test_fenchel_young_is_loss_plus_conjugate_plus_product(name, a, data):
    y = draw_target(data, name)
    z = draw_fit(data, y, FITS | st.floats(-3, 3))
    v = draw_dual(data, name, y, a)
    expected, size = exact_term(name, z, v, y, a)
    found = at(TABLE[name].loss.fenchel_young, z, v, y, a)
    assert found == pytest.approx(float(expected), abs=1e-14 * float(size) + 1e-15 * a)


@each_loss
@examples(60)
@given(a=WEIGHTS, move=st.floats(-1e-6, 1e-6), data=st.data())
def test_fenchel_young_is_never_negative(name, a, move, data):
    loss = TABLE[name].loss
    y = draw_target(data, name)
    z = draw_fit(data, y, FITS | st.floats(-3, 3))
    assert at(loss.fenchel_young, z, draw_dual(data, name, y, a), y, a) >= 0
    near = -a * loss.gradient(z[None], y[None])[0] * (1 + move)
    near = loss.move_inside(near[None], y[None], np.array([[a]]), False)[0]
    assert at(loss.fenchel_young, z, near, y, a) >= 0


@each_loss
def test_fenchel_young_is_never_negative_within_rounding_of_the_gradient(name):
    # where its parts cancel, a term that is 0 in truth may round to either side
    rng = np.random.default_rng(0)
    loss = TABLE[name].loss
    outputs = outputs_for(loss.name, 1)
    z, a = 5 * rng.normal(size=(40000, outputs)), rng.uniform(0.01, 1, (40000, 1))
    y = targets_for(loss.name, rng.normal(size=z.shape))
    ulps = rng.integers(-3, 4, z.shape) * 2.0**-53
    v = np.clip(-a * loss.gradient(z, y) * (1 + ulps), *loss.domain(y, a))
    assert (loss.fenchel_young(z, v, y, a) >= 0).all()


@each_loss
@few
@given(a=WEIGHTS, data=st.data())
def test_fenchel_young_is_zero_at_the_gradient(name, a, data):
    loss = TABLE[name].loss
    y = draw_target(data, name)
    z = draw_fit(data, y)
    v = -a * loss.gradient(z[None], y[None])[0]
    # v / a may be off by 1e-16, which costs that times the margin, or the loss
    assert abs(at(loss.fenchel_young, z, v, y, a)) <= 1e-15 * a * (1 + at(loss.value, z, y))


@each_loss
@few
@given(a=WEIGHTS, data=st.data())
@precise
def test_fenchel_young_is_positive_away_from_the_gradient(name, a, data):
    y = draw_target(data, name)
    z = draw_fit(data, y)
    v = draw_dual(data, name, y, a)
    expected, _ = exact_term(name, z, v, y, a)
    if expected > Decimal("1e-9") * Decimal(a):
        assert at(TABLE[name].loss.fenchel_young, z, v, y, a) > 0


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, case in TABLE.items() for example in case.cancelling],
)
@precise
def test_fenchel_young_keeps_digits_that_the_difference_loses(name, example):
    z, v, y, a = example
    loss = TABLE[name].loss
    expected, _ = exact_term(name, z, v, y, a)
    difference = a * at(loss.value, z, y) + at(loss.conjugate, v, y, a) + float(np.dot(z, v))
    expected = float(expected)
    assert abs(difference - expected) > 1e-4 * expected
    # what is left is the rounding of a (y - z) or of the slope, next to v's distance from it
    assert at(loss.fenchel_young, z, v, y, a) == pytest.approx(expected, rel=1e-5, abs=0)


@each_loss
@pytest.mark.parametrize("z", [-1e3, -1.0, 0.0, 1.0, 1e3])
@pytest.mark.parametrize("sign", [-1.0, 1.0])
def test_rows_of_weight_zero_count_nothing(name, z, sign):
    loss = TABLE[name].loss
    outputs = outputs_for(loss.name, 1)
    y = targets_for(loss.name, sign * np.linspace(1, -1, outputs)[None])
    fit, nothing = z * np.linspace(1, -1, outputs)[None], np.zeros((1, outputs))
    weight = np.zeros((1, 1))
    with np.errstate(all="raise", under="ignore"):
        for end in loss.domain(y, weight):
            assert not end.any()
            assert end.shape == y.shape
        assert at(loss.conjugate, nothing, y, weight) == 0
        assert at(loss.fenchel_young, fit, nothing, y, weight) == 0
        for zero_sums in (False, True):
            assert not loss.move_inside(fit, y, weight, zero_sums).any()
    assert loss.contains(nothing, y, weight, 1e-12)
    assert not loss.contains(nothing + 1e-300 * np.linspace(1, -1, outputs), y, weight, 1e-12)
    np.testing.assert_array_equal(loss.prox(fit, y, np.zeros(1)), fit)


@each_loss
def test_every_entry_of_an_array_stands_alone(name):
    # every row of softmax
    rng = np.random.default_rng(0)
    loss = TABLE[name].loss
    y = targets_for(loss.name, rng.normal(size=(5, 3)))
    z, a = rng.normal(size=(5, 3)), np.array([[0.5], [0.0], [2.0], [1e-3], [7.0]])
    v = -a * loss.gradient(z, y) * 0.75
    parts = {
        "value": (z, y),
        "gradient": (z, y),
        "conjugate": (v, y, a),
        "fenchel_young": (z, v, y, a),
        "move_inside": (3 * v, y, a, False),
    }
    places = [slice(c, c + 1) for c in range(3)] if loss.separable else [slice(0, 3)]
    for method, arguments in parts.items():
        whole = getattr(loss, method)(*arguments)
        for_each = loss.separable or method in ("gradient", "move_inside")
        assert whole.shape == ((5, 3) if for_each else (5, 1))
        for i in range(5):
            for place in places:
                cut = [
                    part if part is False else part[i : i + 1, place if part is not a else slice(1)]
                    for part in arguments
                ]
                alone = getattr(loss, method)(*cut)
                found = whole[i : i + 1, place if for_each else slice(1)]
                np.testing.assert_allclose(found, alone, rtol=1e-14, atol=1e-16, err_msg=method)
    low, high = loss.domain(y, a)
    assert low.shape == high.shape == (5, 3)
    assert (low <= v).all()
    assert (v <= high).all()


@each_loss
@examples(60)
@given(exponent=st.floats(-6, 7), data=st.data())
@precise
def test_prox_minimises_its_objective(name, exponent, data):
    # tests/test_proximal.py has the operators; this is that a loss hands over code and delta
    case, step = TABLE[name], 10.0**exponent
    y = draw_target(data, name)
    points = draw_fit(data, y, FITS | st.floats(-10, 10))
    found = case.loss.prox(points[None], y[None], np.array([step]))[0]
    if name == "softmax":
        # rounding of z, twice in the slope's share and once in the distance
        room = 1e-14 * (1 + np.abs(points).max()) * (1 + step)
        slope = found - points + step * case.loss.gradient(found[None], y[None])[0]
        assert np.abs(slope).max() <= room
        return

    def objective(z):
        step_, (point,) = Decimal(step), decimals(points)
        return step_ * case.value([z], decimals(y)) + (z - point) ** 2 / 2

    # a convex function that is no lower at found - room and found + room has its minimiser
    # between; rounding of points and of the margin, 1e-16 relative, times a handful of operations
    room = Decimal("1e-14") * (1 + abs(decimals(points)[0]) + abs(decimals(y)[0]))
    (found,) = decimals(found)
    assert objective(found) <= objective(found - room)
    assert objective(found) <= objective(found + room)


def total_loss(loss, y, a, constants):
    return float((a * loss.value(np.broadcast_to(constants, y.shape), y)).sum())


def least_total(loss, y, a):
    """The least total over constants, by search, output by output or over all at once."""
    if not loss.separable:
        # L-BFGS-B within the range where exp(-60) of an absent class is nothing
        solved = minimize(
            lambda b: total_loss(loss, y, a, b),
            np.zeros(y.shape[1]),
            jac=lambda b: (a * loss.gradient(np.broadcast_to(b, y.shape), y)).sum(axis=0),
            bounds=[(-60, 60)] * y.shape[1],
            options={"ftol": 1e-15, "gtol": 1e-11},
        )
        return solved.fun
    least = 0.0
    for c in range(y.shape[1]):
        column = y[:, [c]]
        total = functools.partial(total_loss, loss, column, a)
        # targets are within 1e3; kinks are among the targets
        tries = [*np.linspace(-1.1e3, 1.1e3, 201), *np.linspace(-40, 40, 201), *column[:, 0]]
        start = min(tries, key=total)
        refined = minimize_scalar(total, bounds=(start - 12, start + 12), method="bounded")
        least += min(total(start), refined.fun)
    return least


@each_loss
@examples(20)
@given(data=st.data())
def test_best_constant_is_least_of_all_constants(name, data):
    loss = TABLE[name].loss
    n = data.draw(st.integers(1, 6))
    y = targets_for(loss.name, data.draw(arrays(float, (n, 2), elements=st.floats(-1e3, 1e3))))
    weights = st.just(0.0) | st.floats(1e-3, 1e3)
    a = data.draw(arrays(float, (n, 1), elements=weights).filter(np.any))
    found = loss.best_constant(y, a)
    assert found.shape == (2,)
    assert np.isfinite(found).all()
    room = 1e-13 * (total_loss(loss, y, a, 0.0) + total_loss(loss, y, a, found))
    # a constant is known to a rounding of y and delta, and a smooth total is flat there
    room += a.sum() * (1e-15 * (np.abs(y).max() + loss.delta)) ** 2
    assert total_loss(loss, y, a, found) <= least_total(loss, y, a) + room


@each_loss
@pytest.mark.parametrize("target", [-1e3, -0.1, 0.1, 0.3, 1.0])
def test_best_constant_of_a_single_target_has_no_loss_at_all(name, target):
    # a reference of exactly 0: any rounding left would be the unit of relative gaps
    loss = TABLE[name].loss
    numbers = target * np.array([[1.0, -1.0]] * 4)
    numbers[1] *= -5  # of weight 0
    y, a = targets_for(loss.name, numbers), np.array([[0.3], [0.0], [0.1], [0.7]])
    for rows in ([0], [0, 1], [0, 2, 3], [0, 1, 2, 3]):
        assert total_loss(loss, y[rows], a[rows], loss.best_constant(y[rows], a[rows])) == 0


def test_best_constants_are_known_by_their_names():
    a = np.array([[0.5], [0.25], [0.25], [0.0]])
    numbers = np.array([[3.0], [-5.0], [1.0], [99.0]])
    known = {
        "squared": (numbers, 0.5),  # the mean
        "absolute": (np.array([[3.0], [-5.0], [3.5], [99.0]]), 3.0),  # the median
        "huber": (numbers, 2.0),  # slopes: 0.5 (b - 3) + 0.25 + 0.25 (b - 1, but 1 at most)
        "squared_hinge": (np.array([[1.0], [-1.0], [1.0], [-1.0]]), 0.5),  # the mean
        "logistic": (np.array([[1.0], [-1.0], [1.0], [-1.0]]), np.log(3)),  # the log odds
        "hinge": (np.array([[1.0], [-1.0], [1.0], [-1.0]]), 1.0),  # the majority
    }
    for name, (y, constant) in known.items():
        found = bd.LOSSES[name].best_constant(y, a)
        assert found == pytest.approx([constant], rel=1e-15), name
    assert bd.LOSSES["hinge"].best_constant(-known["hinge"][0], a) == -1
    y = np.eye(3)[[0, 1, 1, 2]]
    found = SOFTMAX.best_constant(y, a)  # the log frequencies
    np.testing.assert_allclose(found[:2], np.log([0.5, 0.5]), rtol=1e-15)
    assert np.exp(found[2]) == 0
    assert SOFTMAX.best_constant(np.eye(2)[[0, 1]], np.ones((2, 1)))[0] == -np.log(2)


HOSTILE = {
    "even": (np.ones(6), [0, 1, 2, 0, 1, 2]),
    "weights of zero": (np.array([1.0, 0.0, 0.3, 0.0, 2.0, 0.0]), [0, 1, 2, 0, 1, 2]),
    "a class of tiny weight": (np.array([0.7, 0.3, 0.1, 1e-3, 2e-9, 5e-10]), [0, 0, 1, 1, 2, 2]),
    "tiny weights": (np.array([1e-300, 2e-300, 1e-300, 3e-300, 1e-300, 1e-300]), [0, 1, 2] * 2),
    "all of one class": (np.array([0.2, 0.1, 0.4, 0.1, 0.1, 0.1]), [1] * 6),
    "an absent class": (np.array([0.2, 0.1, 0.4, 0.1, 0.1, 0.1]), [0, 1, 0, 1, 1, 1]),
    "a class of weight zero": (np.array([0.2, 0.1, 0.4, 0.1, 0.1, 0.0]), [0, 1, 0, 1, 1, 2]),
    "one row of many": (np.array([1.0, 1e4, 1e4, 1e4, 1e4, 1e4]), [0, 1, 1, 1, 1, 1]),
}


def hostile_points(loss, y, a):
    """Points to move: none, far out, of one side, aligned with the targets, and as solvers err."""
    rng = np.random.default_rng(3)
    noise = rng.normal(size=y.shape)
    gradient = -a * loss.gradient(3 * noise, y)
    yield np.zeros(y.shape)
    yield from (1e8 * noise, -1e150 * a * np.abs(noise), 1e-300 * noise)
    yield from (a * noise, 3 * a * y, -3 * a * y, gradient, gradient * (1 + 1e-6 * noise))


@each_loss
@pytest.mark.parametrize("a", HOSTILE)
@pytest.mark.parametrize("zero_sums", [False, True], ids=["free", "zero sums"])
def test_move_inside_lands_inside_wherever_it_starts(name, a, zero_sums):
    loss = TABLE[name].loss
    weights, classes = HOSTILE[a]
    weights, y = weights[:, None], targets_for(loss.name, 2.0 * np.eye(3)[classes] - 1.0)
    for start in hostile_points(loss, y, weights):
        before = start.copy()
        with np.errstate(all="raise", under="ignore"):
            moved = loss.move_inside(start, y, weights, zero_sums)
        np.testing.assert_array_equal(start, before)
        assert np.isfinite(moved).all()
        assert loss.contains(moved, y, weights, 1e-15)
        if zero_sums:
            # rounding of what was moved, and of what it is moved to
            size = np.abs(np.clip(start, *loss.domain(y, weights))).sum(axis=0)
            size = size if loss.separable else np.maximum(size, np.abs(moved).sum(axis=0))
            assert (np.abs(moved.sum(axis=0)) <= 1e-14 * size).all()
        if loss.separable and not zero_sums:
            np.testing.assert_array_equal(moved, np.clip(start, *loss.domain(y, weights)))
        # once inside, it stays there
        again = loss.move_inside(moved, y, weights, zero_sums)
        np.testing.assert_allclose(again, moved, rtol=1e-13, atol=1e-15 * np.abs(moved).max())


@pytest.mark.parametrize("a", HOSTILE)
@pytest.mark.parametrize("zero_sums", [False, True], ids=["free", "zero sums"])
def test_move_inside_keeps_the_rows_of_softmax_at_zero(a, zero_sums):
    weights, classes = HOSTILE[a]
    weights, y = weights[:, None], np.eye(3)[classes]
    for start in hostile_points(SOFTMAX, y, weights):
        moved = SOFTMAX.move_inside(start, y, weights, zero_sums)
        # rounding of a row's own entries, not of its weight: small duals keep their digits
        sizes = np.abs(moved).sum(axis=1)
        assert (np.abs(moved.sum(axis=1)) <= 1e-15 * np.maximum(sizes, 1e-300)).all()


@pytest.mark.parametrize("weight", [1e-3, 1e-6, 1e-12])
def test_move_inside_keeps_the_digits_of_softmax_where_fits_are_good(weight):
    # W = 0 and log frequencies: V is exact in fractions, tiny for rows of the large class
    a = np.array([[0.5], [0.25], [0.25], [weight]])
    y = np.eye(2)[[0, 0, 0, 1]]
    fit = np.broadcast_to(SOFTMAX.best_constant(y, a), y.shape)
    moved = SOFTMAX.move_inside(-a * SOFTMAX.gradient(fit, y), y, a, True)
    rare = weight / (1 + weight)
    expected = a * np.where(y[:, :1] > 0, rare, rare - 1) * np.array([1.0, -1.0])
    # ln of the frequencies, at most 28, rounds to 4e-15, and so does the share
    np.testing.assert_allclose(moved, expected, rtol=1e-14)


@each_loss
@few
@given(data=st.data())
def test_move_inside_keeps_what_is_feasible(name, data):
    loss = TABLE[name].loss
    n = data.draw(st.integers(1, 6))
    a = data.draw(arrays(float, (n, 1), elements=st.just(0.0) | st.floats(1e-3, 1e3)))
    y = targets_for(loss.name, data.draw(arrays(float, (n, 2), elements=st.floats(-10, 10))))
    low, high = (np.clip(end, -5 * a, 5 * a) for end in loss.domain(y, a))
    shares = data.draw(arrays(float, (n, 2), elements=st.integers(0, 64).map(lambda k: k / 64)))
    v = low + shares * (high - low)
    if name == "softmax":
        v[y > 0] = -v[y == 0]
    np.testing.assert_array_equal(loss.move_inside(v, y, a, False), v)
    # of zero sums too: as much in all from either side
    for c in range(2):
        up, down = v[v[:, c] > 0, c].sum(), -v[v[:, c] < 0, c].sum()
        level = min(up, down)
        v[v[:, c] > 0, c] *= level / up if up else 0.0
        v[v[:, c] < 0, c] *= level / down if down else 0.0
    if name == "softmax":
        v[:, 1] = -v[:, 0]
    moved = loss.move_inside(v, y, a, True)
    np.testing.assert_allclose(moved, v, rtol=1e-13, atol=1e-15 * np.abs(v).sum())


@each_loss
@precise
def test_curvature_is_the_largest_second_difference(name):
    case, h = TABLE[name], Decimal("1e-10")
    loss = case.loss
    directions = [[1.0]] if loss.separable else [[1.0, 0.0], [1.0, -1.0], [1.0, 1.0]]
    largest = Decimal(0)
    for sign in (-1.0, 1.0):
        numbers = sign * np.linspace(1, -1, len(directions[0]))[None]
        y = targets_for(loss.name, numbers)[0].tolist()
        for z in [*np.linspace(-8, 8, 81), *case.kinks(y[0])]:
            center, target = decimals([z, *[0.0] * (len(y) - 1)]), decimals(y)
            for direction in map(decimals, directions):
                ends = [
                    [one + side * h * move for one, move in zip(center, direction, strict=True)]
                    for side in (-1, 1)
                ]
                second = sum(case.value(end, target) for end in ends)
                second -= 2 * case.value(center, target)
                largest = max(largest, second / h**2 / sum(move**2 for move in direction))
    if np.isinf(loss.curvature):
        # a kink: the second difference grows like 1 / h
        assert largest >= Decimal("0.1") / h
    else:
        assert float(largest) == pytest.approx(loss.curvature, rel=1e-12)


@each_separable
@few
@given(data=st.data())
@precise
def test_second_is_the_difference_quotient_of_the_slope_away_from_corners(name, data):
    case, h = TABLE[name], Decimal("1e-20")
    y = draw_target(data, name)
    z = draw_fit(data, y, FITS | st.floats(-3, 3))
    if any(abs(z[0] - corner) < 1e-15 for corner in corners(name, y[0])):
        return
    (center,), target = decimals(z), decimals(y)
    values = [case.value([center + side * h], target) for side in (-1, 0, 1)]
    quotient = (values[0] - 2 * values[1] + values[2]) / h**2
    # 1e-35: what 80 digits leave of values up to 1e6 over h^2, and h^2 of a fourth derivative
    assert at(case.loss.second, z, y) == pytest.approx(float(quotient), rel=2e-13, abs=1e-35)


def corners(name, y):
    """Fits at which the slope has a kink or a jump."""
    found = {"absolute": [y], "hinge": [y], "squared_hinge": [y]}.get(name, [])
    delta = TABLE[name].loss.delta
    return [y - delta, y + delta] if name.startswith("huber") else found


@each_separable
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_second_is_infinite_at_kinks_and_nowhere_else(name, y):
    case = TABLE[name]
    kinks = case.kinks(y)
    beside = [np.nextafter(kink, end) for kink in kinks for end in (-np.inf, np.inf)]
    for z in [*kinks, *beside, *corners(name, y), *np.linspace(-3, 3, 61)]:
        second = at(case.loss.second, z, y)
        assert np.isinf(second) == (z in kinks)
        assert second >= 0
        if z not in kinks:
            assert second <= case.loss.curvature
    z = np.array([*kinks, *beside, 0.25])[:, None]
    found = case.loss.second(z, np.full_like(z, y))
    assert found.shape == z.shape
    assert found.ravel().tolist() == [at(case.loss.second, each, y) for each in z.ravel()]


def test_softmax_has_no_second_derivative_of_single_entries():
    with pytest.raises(NotImplementedError, match=r"^the softmax loss does not define second"):
        SOFTMAX.second(np.zeros((3, 2)), np.eye(2)[[0, 1, 1]])


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_targets_that_are_not_finite_are_refused(name, bad):
    loss = TABLE[name].loss
    targets = np.eye(2)[[0, 1, 0]] if name == "softmax" else np.array([1.0, -1.0, 1.0])
    loss.check_targets(targets)
    targets[(1,) * targets.ndim] = bad
    with pytest.raises(ValueError, match=r"^y: .*finite"):
        loss.check_targets(targets)
    with pytest.raises(ValueError, match=r"^labels: "):
        loss.check_targets(targets, "labels")


@each_separable
@pytest.mark.parametrize("targets", [[0.0, 1.0], [1.0, 2.0], [-1.0, 0.5], [0.0, 1.0, 2.0]])
def test_losses_of_labels_refuse_other_numbers(name, targets):
    loss = TABLE[name].loss
    if not loss.labels:
        loss.check_targets(np.array(targets))
        return
    with pytest.raises(ValueError, match=rf"^y: the {name} loss") as caught:
        loss.check_targets(np.array(targets))
    others = [number for number in targets if abs(number) != 1]
    assert str(others) in str(caught.value)


@pytest.mark.parametrize(
    "targets",
    [
        pytest.param([1.0, 0.0], id="one dimension"),
        pytest.param([[1.0], [1.0]], id="one column"),
        pytest.param([[1.0, 0.0], [0.0, 0.0]], id="a row without a one"),
        pytest.param([[1.0, 0.0], [1.0, 1.0]], id="a row with two"),
        pytest.param([[0.5, 0.5], [0.0, 1.0]], id="shares"),
        pytest.param([[1.0, -1.0], [-1.0, 1.0]], id="signs"),
        pytest.param([[2.0, -1.0], [0.0, 1.0]], id="other numbers of sum one"),
    ],
)
def test_softmax_refuses_targets_that_are_not_one_hot(targets):
    SOFTMAX.check_targets(np.array([[1.0, 0.0], [0.0, 1.0]]))
    with pytest.raises(ValueError, match=r"^y: the softmax loss takes .* single 1.0"):
        SOFTMAX.check_targets(np.array(targets))


@pytest.mark.parametrize("delta", [0.0, -1.0, np.inf, -np.inf, np.nan])
def test_delta_out_of_its_range_is_refused(delta):
    with pytest.raises(ValueError, match=r"^delta: expected a finite number > 0, got"):
        bd.Huber(delta)


def epigraph_example(name):
    """Targets, weights and fits of five rows and three outputs."""
    rng = np.random.default_rng(7)
    y = targets_for(TABLE[name].loss.name, rng.normal(size=(5, 3)))
    return y, np.array([[0.1], [0.04], [0.02], [0.2], [0.01]]), 2.0 * rng.normal(size=(5, 3))


def epigraph_parts(name, y, z):
    """The targets and fits that one epigraph takes: all, or a column where y is in the matrices."""
    if TABLE[name].loss.one_matrix:
        return [(y, z)]
    return [(y[:, [c]], z[:, [c]]) for c in range(y.shape[1])]


each_form = pytest.mark.parametrize("quadratic", [True, False], ids=["quadratic", "conic"])


@each_loss
@each_form
def test_cones_are_those_of_the_epigraph(name, quadratic):
    y, a, z = epigraph_example(name)
    loss = TABLE[name].loss
    (y, _), *_ = epigraph_parts(name, y, z)
    epigraph = loss.epigraph(y, a, quadratic)
    used = {block.cone for block in epigraph.blocks}
    assert used - {"zero", "nonnegative"} == TABLE[name].cones[quadratic]
    if not quadratic:
        assert not epigraph.fit_squares.any()
        assert not epigraph.squares.any()


@each_loss
@each_form
def test_targets_enter_no_matrix_of_the_epigraph_where_one_serves_all(name, quadratic):
    y, a, _ = epigraph_example(name)
    loss = TABLE[name].loss
    one, other = (loss.epigraph(target, a, quadratic) for target in (y[:, :1], -y[:, :1]))
    if name == "softmax":
        one, other = (loss.epigraph(target, a, quadratic) for target in (y, y[:, ::-1]))
    np.testing.assert_array_equal(one.fit_squares, other.fit_squares)
    np.testing.assert_array_equal(one.squares, other.squares)
    assert len(one.blocks) == len(other.blocks)
    same = True
    for block, twin in zip(one.blocks, other.blocks, strict=True):
        assert block.cone == twin.cone
        for part in ("on_argument", "on_auxiliary"):
            first, second = (getattr(each, part).toarray() for each in (block, twin))
            same = same and np.array_equal(first, second)
    assert same == loss.one_matrix


def least_over_auxiliaries(cp, epigraph, z, c):
    """The least value of column c of an epigraph at stacked fits z, solved by CVXPY."""
    fixed = 0.5 * epigraph.fit_squares @ z**2 + epigraph.linear[:, c] @ z + epigraph.offset[c]
    count = epigraph.squares.size
    if count == 0:
        assert not epigraph.blocks
        return float(fixed)
    x = cp.Variable(count)
    constraints = []
    for block in epigraph.blocks:
        slack = block.bounds[:, c] - block.on_argument @ z - block.on_auxiliary @ x
        if block.cone == "zero":
            constraints.append(slack == 0)
        elif block.cone == "nonnegative":
            constraints.append(slack >= 0)
        elif block.cone == "second_order":
            constraints.append(cp.SOC(slack[0], slack[1:]))
        else:
            constraints.append(cp.ExpCone(slack[0::3], slack[1::3], slack[2::3]))
    objective = epigraph.auxiliary[:, c] @ x
    if epigraph.squares.any():
        objective += 0.5 * cp.sum_squares(cp.multiply(np.sqrt(epigraph.squares), x))
    problem = cp.Problem(cp.Minimize(objective), constraints)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-9, tol_gap_rel=1e-9, tol_feas=1e-9)
    assert problem.status == "optimal"
    return float(fixed + problem.value)


@each_loss
@each_form
def test_epigraph_has_the_weighted_loss_as_its_least_value(name, quadratic):
    cp = pytest.importorskip("cvxpy")
    loss = TABLE[name].loss
    y, a, z = epigraph_example(name)
    for target, fit in epigraph_parts(name, y, z):
        epigraph = loss.epigraph(target, a, quadratic)
        expected = (a * loss.value(fit, target)).sum(axis=0)
        assert epigraph.offset.shape == expected.shape
        fits = fit.T if loss.separable else fit.T.reshape(1, -1)  # stacked output by output
        for c, column in enumerate(fits):
            found = least_over_auxiliaries(cp, epigraph, column, c)
            # a hundred times the solver's tolerance, relative to a value of about 1
            assert found == pytest.approx(expected[c], abs=1e-7)


@each_loss
def test_auxiliaries_reach_the_loss_within_the_cones(name):
    loss = TABLE[name].loss
    y, a, z = epigraph_example(name)
    for target, fit in epigraph_parts(name, y, z):
        epigraph, found = loss.epigraph(target, a, True), loss.auxiliaries(fit, target)
        assert found.shape == epigraph.auxiliary.shape
        fits = fit.T if loss.separable else fit.T.reshape(1, -1)
        expected = (a * loss.value(fit, target)).sum(axis=0)
        for c, (z_c, x) in enumerate(zip(fits, found.T, strict=True)):
            value = 0.5 * epigraph.fit_squares @ z_c**2 + epigraph.linear[:, c] @ z_c
            value += 0.5 * epigraph.squares @ x**2 + epigraph.auxiliary[:, c] @ x
            assert value + epigraph.offset[c] == pytest.approx(expected[c], rel=1e-13, abs=1e-13)
            for block in epigraph.blocks:
                slack = block.bounds[:, c] - block.on_argument @ z_c - block.on_auxiliary @ x
                if block.cone == "exponential":
                    p, q, r = slack.reshape(-1, 3).T
                    slack = r - q * np.exp(p / q)
                assert (slack >= -1e-13).all()
                if block.cone == "zero":
                    assert (slack <= 1e-13).all()


@each_separable
@each_form
def test_stacked_epigraphs_have_the_sum_of_losses_as_their_least_value(name, quadratic):
    cp = pytest.importorskip("cvxpy")
    loss = TABLE[name].loss
    y, a, z = epigraph_example(name)
    whole = stack([loss.epigraph(y[:, [c]], a, quadratic) for c in range(3)])
    assert whole.offset.shape == (1,)
    found = least_over_auxiliaries(cp, whole, z.T.ravel(), 0)
    assert found == pytest.approx((a * loss.value(z, y)).sum(), abs=1e-7)


def test_unknown_loss_is_told_the_known_names():
    with pytest.raises(ValueError, match=r"^loss: ") as caught:
        find_loss("hing")
    assert "'hing'" in str(caught.value)
    for name in bd.LOSSES:
        assert name in str(caught.value)


@each_loss
def test_a_loss_is_found_by_name_and_as_itself(name):
    loss = TABLE[name].loss
    assert find_loss(loss) is loss
    assert find_loss(loss.name) is bd.LOSSES[loss.name]
    assert loss.name in repr(loss)


def test_huber_tells_its_delta():
    assert repr(bd.Huber(0.25)) == "<loss huber, delta 0.25>"
    assert bd.Huber(0.25).delta == 0.25
