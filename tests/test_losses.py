"""Losses meet their laws: values, conjugates, Fenchel-Young terms, prox and cones, each in turn."""

import decimal
import functools
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import minimize_scalar

import bidual as bd
from bidual.formulations.losses import find_loss
from bidual.kernels import proximal

LABELS = st.sampled_from([-1.0, 1.0])


def log1p(x):
    # 1 + x has 80 digits only; the next term of the series is 1e-60 of the value
    return x - x * x / 2 + x**3 / 3 if x < Decimal("1e-20") else (1 + x).ln()


def exact_logistic(z, y):
    margin = y * z
    return max(-margin, Decimal(0)) + log1p((-abs(margin)).exp())


def exact_entropy(share):
    return sum(p * p.ln() for p in (share, 1 - share) if p > 0)


@dataclass(frozen=True)
class Case:
    """A loss from its definition, in Decimal; a later loss joins with one of these.

    ``domain`` tells the slopes -v / a of all supporting lines; ``cancelling``
    (z, v, y, a) where a loss + conjugate + z v is far below its own terms.
    """

    value: Callable[[Decimal, Decimal], Decimal]  # of z, y
    conjugate: Callable[[Decimal, Decimal, Decimal], Decimal]  # of v, y, a
    domain: Callable[[float], tuple[float, float]]  # of y: least and largest v at a = 1
    kinks: Callable[[float], list[float]]  # of y
    targets: st.SearchStrategy
    cones: dict[bool, set[str]]  # beyond zero and nonnegative; quadratic or not
    cancelling: list[tuple[float, float, float, float]]


def halves(y):
    """The interval between 0 and y."""
    return min(y, 0.0), max(y, 0.0)


TABLE = {
    "squared": Case(
        value=lambda z, y: (z - y) ** 2 / 2,
        conjugate=lambda v, y, a: v**2 / (2 * a) - v * y,
        domain=lambda y: (-np.inf, np.inf),
        kinks=lambda y: [],
        targets=st.floats(-1e3, 1e3),
        cones={True: set(), False: {"second_order"}},
        cancelling=[(1e8 - 3.0, 1.5 + 1e-6, 1e8, 0.5), (-3e7, 6e7 - 1e-5, 3e7, 1.0)],
    ),
    "hinge": Case(
        value=lambda z, y: max(Decimal(0), 1 - y * z),
        conjugate=lambda v, y, a: -v * y,
        domain=halves,
        kinks=lambda y: [y],
        targets=LABELS,
        cones={True: set(), False: set()},
        cancelling=[(-1e8, 1.0 - 1e-15, 1.0, 1.0), (-1.0 - 1e-14, -3e7, -1.0, 7e7)],
    ),
    "logistic": Case(
        value=exact_logistic,
        conjugate=lambda v, y, a: a * exact_entropy(v * y / a),
        domain=halves,
        kinks=lambda y: [],
        targets=LABELS,
        cones={True: {"exponential"}, False: {"exponential"}},
        cancelling=[
            (30.0, 9.3576e-14 * (1 + 1e-3), 1.0, 1.0),
            (-0.5, -0.25 * 0.37754066879814546, -1.0, 0.25 * (1 - 1e-9)),
        ],
    ),
}

each_loss = pytest.mark.parametrize("name", TABLE)
few = settings(deadline=None, max_examples=60)
FITS = st.floats(-1e3, 1e3)
WEIGHTS = st.floats(1e-6, 1e3)


def precise(test):
    """Run a test in 80 digits: to a float, that is exact."""

    @functools.wraps(test)
    def run(*args, **kwargs):
        with decimal.localcontext(prec=80):
            return test(*args, **kwargs)

    return run


def at(method, *numbers):
    """A method of arrays at plain numbers."""
    return float(method(*(np.array([[float(number)]]) for number in numbers))[0, 0])


def draw_dual(data, name, y, a):
    """A v in the domain of the conjugate, its ends included."""
    low, high = TABLE[name].domain(y)
    share = data.draw(st.floats(0, 1), label="share")
    if np.isfinite(low) and np.isfinite(high):
        return float(np.clip(a * (low + share * (high - low)), a * low, a * high))
    return a * (100 * share - 50)


def exact_term(name, z, v, y, a):
    """a loss + conjugate + z v in Decimal, and the sum of its parts' sizes."""
    case = TABLE[name]
    z, v, y, a = map(Decimal, (z, v, y, a))
    parts = a * case.value(z, y), case.conjugate(v, y, a), z * v
    return sum(parts), sum(map(abs, parts))


def test_every_loss_is_in_the_table():
    assert list(TABLE) == list(bd.LOSSES)
    for name, loss in bd.LOSSES.items():
        assert loss.name == name
        assert loss.labels == (TABLE[name].targets is LABELS)
    codes = [loss.code for loss in bd.LOSSES.values()]
    assert len(set(codes)) == len(codes)


@each_loss
@few
@given(z=FITS, data=st.data())
@precise
def test_value_is_the_definition(name, z, data):
    y = data.draw(TABLE[name].targets)
    expected = float(TABLE[name].value(Decimal(z), Decimal(y)))
    # 1e-300: where exp underflows, 0 is the right float
    assert at(bd.LOSSES[name].value, z, y) == pytest.approx(expected, rel=1e-13, abs=1e-300)


@each_loss
@few
@given(ends=st.tuples(FITS, FITS), share=st.floats(0, 1), data=st.data())
def test_value_is_convex_and_non_negative(name, ends, share, data):
    y = data.draw(TABLE[name].targets)
    value = functools.partial(at, bd.LOSSES[name].value)
    between = share * ends[0] + (1 - share) * ends[1]
    chord = share * value(ends[0], y) + (1 - share) * value(ends[1], y)
    # the rounding of `between` moves the value by slope * ulp <= 2e3 * 1e-13 at most
    assert value(between, y) <= chord + 1e-9
    assert value(between, y) >= 0


@each_loss
@few
@given(z=FITS, data=st.data())
@precise
def test_gradient_is_the_difference_quotient_away_from_kinks(name, z, data):
    case, h = TABLE[name], Decimal("1e-30")
    y = data.draw(case.targets)
    if z in case.kinks(y):
        return
    center, target = Decimal(z), Decimal(y)
    slope = (case.value(center + h, target) - case.value(center - h, target)) / (2 * h)
    found = at(bd.LOSSES[name].gradient, z, y)
    # 1e-40: what 80 digits and h leave of the quotient
    assert found == pytest.approx(float(slope), rel=1e-13, abs=1e-40)


@each_loss
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_gradient_at_a_kink_is_the_subgradient_zero(name, y):
    loss = bd.LOSSES[name]
    for kink in TABLE[name].kinks(y):
        slope = at(loss.gradient, kink, y)
        assert slope == 0
        for other in np.linspace(kink - 5, kink + 5, 101):
            assert at(loss.value, other, y) >= at(loss.value, kink, y) + slope * (other - kink)


@each_loss
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_every_dual_of_the_domain_belongs_to_a_fit_at_a_kink(name, y):
    loss, kinks = bd.LOSSES[name], TABLE[name].kinks(y)
    for kink in kinks:
        low, high = TABLE[name].domain(y)
        for v in np.linspace(low, high, 11):
            assert at(loss.fenchel_young, kink, v, y, 1.0) == 0
    for z in [*kinks, *np.linspace(-2, 2, 40)]:
        assert at(loss.kinks, z, y) == (z in kinks)


@each_loss
@few
@given(a=WEIGHTS, data=st.data())
def test_conjugate_is_the_supremum_over_fits(name, a, data):
    loss = bd.LOSSES[name]
    y = data.draw(TABLE[name].targets)
    v = draw_dual(data, name, y, a)

    def negated(z):
        return v * z + a * loss.value(z, y)

    # the supremum is at |z - y| <= 50 (squared), 1 (hinge), or within exp(-60) of it (logistic)
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
@given(a=WEIGHTS, excess=st.floats(0.01, 10), data=st.data())
def test_conjugate_is_infinite_outside_the_domain_and_finite_inside(name, a, excess, data):
    loss = bd.LOSSES[name]
    y = data.draw(TABLE[name].targets)
    ends = TABLE[name].domain(y)
    low, high = (at(lambda y, a, k=k: loss.domain(y, a)[k], y, a) for k in (0, 1))
    assert (low, high) == (a * ends[0], a * ends[1])
    for end, sign in ((low, -1.0), (high, 1.0)):
        if np.isfinite(end):
            v = end + sign * excess * a
            far = np.array([-1e8, 1e8])
            # grows without end: at |z| = 1e8 it has grown by the excess times that
            assert (-v * far - a * loss.value(far, y)).max() >= 0.99 * excess * a * 1e8
            assert np.isfinite(at(loss.conjugate, end, y, a))
        else:
            assert np.isfinite(at(loss.conjugate, sign * 1e6 * a, y, a))


@each_loss
@few
@given(z=FITS, a=WEIGHTS, data=st.data())
@precise
def test_fenchel_young_is_loss_plus_conjugate_plus_product(name, z, a, data):
    y = data.draw(TABLE[name].targets)
    v = draw_dual(data, name, y, a)
    expected, size = exact_term(name, z, v, y, a)
    found = at(bd.LOSSES[name].fenchel_young, z, v, y, a)
    assert found == pytest.approx(float(expected), abs=1e-14 * float(size) + 1e-15 * a)


@each_loss
@settings(deadline=None, max_examples=300)
@given(z=FITS | st.floats(-3, 3), a=WEIGHTS, move=st.floats(-1e-6, 1e-6), data=st.data())
def test_fenchel_young_is_never_negative(name, z, a, move, data):
    loss = bd.LOSSES[name]
    y = data.draw(TABLE[name].targets)
    low, high = (a * end for end in TABLE[name].domain(y))
    assert at(loss.fenchel_young, z, draw_dual(data, name, y, a), y, a) >= 0
    near = np.clip(-a * at(loss.gradient, z, y) * (1 + move), low, high)
    assert at(loss.fenchel_young, z, near, y, a) >= 0


@each_loss
def test_fenchel_young_is_never_negative_within_rounding_of_the_gradient(name):
    # where its parts cancel, a term that is 0 in truth may round to either side
    rng = np.random.default_rng(0)
    loss = bd.LOSSES[name]
    z, a = 5 * rng.normal(size=(40000, 1)), rng.uniform(0.01, 1, (40000, 1))
    y = np.where(rng.random(z.shape) < 0.5, -1.0, 1.0)
    ulps = rng.integers(-3, 4, z.shape) * 2.0**-53
    v = np.clip(-a * loss.gradient(z, y) * (1 + ulps), *loss.domain(y, a))
    assert (loss.fenchel_young(z, v, y, a) >= 0).all()


@each_loss
@few
@given(z=FITS, a=WEIGHTS, data=st.data())
def test_fenchel_young_is_zero_at_the_gradient(name, z, a, data):
    loss = bd.LOSSES[name]
    y = data.draw(TABLE[name].targets)
    v = -a * at(loss.gradient, z, y)
    # v / a may be off by 1e-16, which costs that times the margin, or the loss
    assert abs(at(loss.fenchel_young, z, v, y, a)) <= 1e-15 * a * (1 + at(loss.value, z, y))


@each_loss
@few
@given(z=FITS, a=WEIGHTS, data=st.data())
@precise
def test_fenchel_young_is_positive_away_from_the_gradient(name, z, a, data):
    y = data.draw(TABLE[name].targets)
    v = draw_dual(data, name, y, a)
    expected, _ = exact_term(name, z, v, y, a)
    if expected > Decimal("1e-9") * Decimal(a):
        assert at(bd.LOSSES[name].fenchel_young, z, v, y, a) > 0


@pytest.mark.parametrize(
    ("name", "example"),
    [(name, example) for name, case in TABLE.items() for example in case.cancelling],
)
@precise
def test_fenchel_young_keeps_digits_that_the_difference_loses(name, example):
    z, v, y, a = example
    loss = bd.LOSSES[name]
    expected, _ = exact_term(name, z, v, y, a)
    difference = a * at(loss.value, z, y) + at(loss.conjugate, v, y, a) + z * v
    expected = float(expected)
    assert abs(difference - expected) > 1e-4 * expected
    # what is left is the rounding of a (y - z) or of the slope, next to v's distance from it
    assert at(loss.fenchel_young, z, v, y, a) == pytest.approx(expected, rel=1e-5, abs=0)


@each_loss
@pytest.mark.parametrize("z", [-1e3, -1.0, 0.0, 1.0, 1e3])
@pytest.mark.parametrize("y", [-1.0, 1.0])
def test_rows_of_weight_zero_count_nothing(name, z, y):
    loss = bd.LOSSES[name]
    with np.errstate(all="raise", under="ignore"):
        assert at(lambda y, a: loss.domain(y, a)[0], y, 0.0) == 0
        assert at(lambda y, a: loss.domain(y, a)[1], y, 0.0) == 0
        assert at(loss.conjugate, 0.0, y, 0.0) == 0
        assert at(loss.fenchel_young, z, 0.0, y, 0.0) == 0
    assert loss.prox(np.array([[z]]), np.array([[y]]), np.zeros(1)) == z


@each_loss
def test_every_entry_of_an_array_stands_alone(name):
    rng = np.random.default_rng(0)
    loss = bd.LOSSES[name]
    y = np.where(rng.random((5, 3)) < 0.5, -1.0, 1.0)
    z, a = rng.normal(size=(5, 3)), np.array([[0.5], [0.0], [2.0], [1e-3], [7.0]])
    v = -a * loss.gradient(z, y) * 0.75
    parts = {
        "value": (z, y),
        "gradient": (z, y),
        "conjugate": (v, y, a),
        "fenchel_young": (z, v, y, a),
    }
    for method, arrays in parts.items():
        whole = getattr(loss, method)(*arrays)
        assert whole.shape == (5, 3)
        spread = [np.broadcast_to(array, (5, 3)) for array in arrays]
        for i, c in np.ndindex(5, 3):
            alone = at(getattr(loss, method), *(array[i, c] for array in spread))
            assert whole[i, c] == pytest.approx(alone, rel=1e-14, abs=1e-16), method
    low, high = loss.domain(y, a)
    assert low.shape == high.shape == (5, 3)
    assert (low <= v).all()
    assert (v <= high).all()
    found = loss.prox(z, y, a[:, 0])
    for i, c in np.ndindex(5, 3):
        assert found[i, c] == loss.prox(z[i : i + 1, c : c + 1], y[i : i + 1, c : c + 1], a[i])


def assert_prox_is_least(name, found, v, y, step):
    """A convex function that is no lower at found - d and found + d has its minimiser between."""
    value = TABLE[name].value
    v, y, step = map(Decimal, (v, y, step))

    def objective(z):
        return step * value(z, y) + (z - v) ** 2 / 2

    # rounding of v and of the margin, 1e-16 relative, times the handful of operations
    room = Decimal("1e-14") * (1 + abs(v) + abs(y))
    found = Decimal(found)
    assert objective(found) <= objective(found - room)
    assert objective(found) <= objective(found + room)


STEPS = st.floats(-6, 7).map(lambda exponent: 10.0**exponent)


@each_loss
@settings(deadline=None, max_examples=200)
@given(v=st.floats(-1e3, 1e3) | st.floats(-10, 10), step=STEPS, data=st.data())
@precise
def test_prox_minimises_its_objective(name, v, step, data):
    y = data.draw(TABLE[name].targets)
    found = bd.LOSSES[name].prox(np.array([[v]]), np.array([[y]]), np.array([step]))
    assert_prox_is_least(name, found[0, 0], v, y, step)


@precise
def test_prox_of_logistic_does_not_cycle_between_flat_ends():
    # Newton alone jumped between the two flat ends of the sigmoid here, for ever
    found = bd.LOSSES["logistic"].prox(np.array([[-10.0]]), np.array([[1.0]]), np.array([16.0]))
    assert_prox_is_least("logistic", found[0, 0], -10.0, 1.0, 16.0)


@each_loss
@precise
def test_prox_of_the_kernel_is_the_same_in_plain_python(name, monkeypatch):
    points, steps = np.meshgrid([-1e3, -10.0, -0.3, 0.0, 1.0, 2.0, 1e3], 10.0 ** np.arange(-6, 8))
    points, steps = points.reshape(-1, 1), steps.ravel()
    y = np.where(np.arange(steps.size) % 2 == 0, 1.0, -1.0)[:, None]
    compiled = bd.LOSSES[name].prox(points, y, steps)
    for kernel in ("_logistic_prox", "_loss_prox"):
        monkeypatch.setattr(proximal, kernel, getattr(proximal, kernel).py_func)
    plain = np.full_like(points, np.nan)
    proximal.loss_prox.py_func(bd.LOSSES[name].code, points, y, steps, plain)
    np.testing.assert_allclose(plain, compiled, rtol=1e-14, atol=1e-14)
    for i in range(steps.size):
        assert_prox_is_least(name, plain[i, 0], points[i, 0], y[i, 0], steps[i])


@st.composite
def weighted_targets(draw, name):
    n = draw(st.integers(1, 8))
    y = draw(st.lists(st.tuples(*[TABLE[name].targets] * 2), min_size=n, max_size=n))
    a = draw(st.lists(st.just(0.0) | st.floats(1e-3, 1e3), min_size=n, max_size=n).filter(any))
    return np.array(y), np.array(a)[:, None]


@each_loss
@few
@given(data=st.data())
def test_best_constant_is_least_of_all_constants(name, data):
    y, a = data.draw(weighted_targets(name))
    loss = bd.LOSSES[name]
    found = loss.best_constant(y, a)
    assert found.shape == (2,)
    assert np.isfinite(found).all()
    for c in range(2):

        def total(b, c=c):
            return float((a[:, 0] * loss.value(np.full(y.shape[0], b), y[:, c])).sum())

        # targets are within 1e3; kinks are among the targets
        tries = [*np.linspace(-1.1e3, 1.1e3, 201), *np.linspace(-40, 40, 201), *y[:, c]]
        start = min(tries, key=total)
        refined = minimize_scalar(total, bounds=(start - 12, start + 12), method="bounded")
        room = 1e-13 * (total(0.0) + total(start))
        assert total(found[c]) <= min(total(start), refined.fun) + room


@each_loss
@precise
def test_curvature_is_the_largest_second_difference(name):
    case, h = TABLE[name], Decimal("1e-10")
    loss = bd.LOSSES[name]
    largest = Decimal(0)
    for y in (-1.0, 1.0):
        for z in [*np.linspace(-8, 8, 161), *case.kinks(y)]:
            z, target = Decimal(float(z)), Decimal(y)
            second = case.value(z + h, target) - 2 * case.value(z, target)
            second = (second + case.value(z - h, target)) / h**2
            largest = max(largest, second)
    if np.isinf(loss.curvature):
        # a kink: the second difference grows like 1 / h
        assert largest >= Decimal("0.1") / h
    else:
        assert float(largest) == pytest.approx(loss.curvature, rel=1e-12)


@each_loss
@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_targets_that_are_not_finite_are_refused(name, bad):
    bd.LOSSES[name].check_targets(np.array([1.0, -1.0]))
    with pytest.raises(ValueError, match=r"^y: .*finite"):
        bd.LOSSES[name].check_targets(np.array([1.0, bad, -1.0]))


@each_loss
@pytest.mark.parametrize("targets", [[0.0, 1.0], [1.0, 2.0], [-1.0, 0.5], [0.0, 1.0, 2.0]])
def test_losses_of_labels_refuse_other_numbers(name, targets):
    loss = bd.LOSSES[name]
    if not loss.labels:
        loss.check_targets(np.array(targets))
        return
    with pytest.raises(ValueError, match=rf"^y: the {name} loss") as caught:
        loss.check_targets(np.array(targets))
    others = [number for number in targets if abs(number) != 1]
    assert str(others) in str(caught.value)


def epigraph_example(name):
    """Targets, weights (one of them 0) and fits of five rows and two outputs."""
    rng = np.random.default_rng(7)
    y = rng.normal(size=(5, 2))
    if bd.LOSSES[name].labels:
        y = np.where(y > 0, 1.0, -1.0)
    return y, np.array([[0.5], [0.2], [0.0], [1.0], [0.05]]), 2.0 * rng.normal(size=(5, 2))


each_form = pytest.mark.parametrize("quadratic", [True, False])


@each_loss
@each_form
def test_cones_are_those_of_the_epigraph(name, quadratic):
    y, a, _ = epigraph_example(name)
    used = {block.cone for block in bd.LOSSES[name].epigraph(y, a, quadratic).blocks}
    listed = bd.LOSSES[name].cones(quadratic)
    assert used - {"zero", "nonnegative"} == listed == TABLE[name].cones[quadratic]


@each_loss
@each_form
def test_targets_enter_no_matrix_of_the_epigraph(name, quadratic):
    y, a, _ = epigraph_example(name)
    one, other = (bd.LOSSES[name].epigraph(target, a, quadratic) for target in (y, -y[:, :1]))
    np.testing.assert_array_equal(one.quadratic, other.quadratic)
    assert len(one.blocks) == len(other.blocks)
    for block, twin in zip(one.blocks, other.blocks, strict=True):
        assert block.cone == twin.cone
        for part in ("on_fit", "on_auxiliary"):
            first, second = (getattr(each, part).toarray() for each in (block, twin))
            np.testing.assert_array_equal(first, second)


def least_over_auxiliaries(cp, epigraph, z, c):
    """The least value of an epigraph at fits z (n,) of output c, solved by CVXPY."""
    fixed = 0.5 * epigraph.quadratic @ z**2 + epigraph.linear[:, c] @ z + epigraph.offset[c]
    count = epigraph.auxiliary.shape[0]
    if count == 0:
        assert not epigraph.blocks
        return float(fixed)
    x = cp.Variable(count)
    constraints = []
    for block in epigraph.blocks:
        slack = block.bounds[:, c] - block.on_fit @ z - block.on_auxiliary @ x
        if block.cone == "zero":
            constraints.append(slack == 0)
        elif block.cone == "nonnegative":
            constraints.append(slack >= 0)
        elif block.cone == "second_order":
            constraints.append(cp.SOC(slack[0], slack[1:]))
        else:
            constraints.append(cp.ExpCone(slack[0::3], slack[1::3], slack[2::3]))
    problem = cp.Problem(cp.Minimize(epigraph.auxiliary[:, c] @ x), constraints)
    problem.solve(solver="CLARABEL", tol_gap_abs=1e-10, tol_gap_rel=1e-10, tol_feas=1e-10)
    assert problem.status == "optimal"
    return float(fixed + problem.value)


@each_loss
@each_form
def test_epigraph_has_the_weighted_loss_as_its_least_value(name, quadratic):
    cp = pytest.importorskip("cvxpy")
    loss = bd.LOSSES[name]
    y, a, z = epigraph_example(name)
    epigraph = loss.epigraph(y, a, quadratic)
    if not quadratic:
        assert not epigraph.quadratic.any()
    for c in range(2):
        expected = float((a * loss.value(z, y))[:, c].sum())
        # ten times the solver's tolerance, relative to a value of about 1
        assert least_over_auxiliaries(cp, epigraph, z[:, c], c) == pytest.approx(expected, abs=1e-8)


def test_unknown_loss_is_told_the_known_names():
    with pytest.raises(ValueError, match=r"^loss: ") as caught:
        find_loss("hing")
    assert "'hing'" in str(caught.value)
    for name in bd.LOSSES:
        assert name in str(caught.value)


@each_loss
def test_a_loss_is_found_by_name_and_as_itself(name):
    assert find_loss(name) is bd.LOSSES[name]
    assert find_loss(bd.LOSSES[name]) is bd.LOSSES[name]
    assert name in repr(bd.LOSSES[name])
