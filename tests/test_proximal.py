"""Proximal operators against their definition, in 60 digits, and the ADMM step made of them."""

import math
from decimal import Decimal, localcontext

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from numba.core.dispatcher import Dispatcher
from scipy.optimize import minimize, minimize_scalar
from scipy.special import logsumexp

from bidual.kernels import proximal

from covering import examples

DELTA = 0.75  # of the Huber loss
CODES = {
    "squared": 0,
    "hinge": 1,
    "logistic": 2,
    "absolute": 3,
    "huber": 4,
    "squared_hinge": 5,
    "softmax": 6,
}
SCALAR = [name for name in CODES if name != "softmax"]
LABELLED = ("hinge", "logistic", "squared_hinge")

each_loss = pytest.mark.parametrize("name", CODES)
each_scalar_loss = pytest.mark.parametrize("name", SCALAR)
some = examples(150)
STEPS = st.just(0.0) | st.floats(-8, 8).map(lambda exponent: 10.0**exponent)
POINTS = st.floats(-1e6, 1e6) | st.floats(-10, 10)
EPS = np.finfo(float).eps


def loss_prox(name, points, targets, steps):
    out = np.full_like(points, np.nan)
    proximal.loss_prox(CODES[name], DELTA, points, targets, np.asarray(steps, float), out)
    return out


def exact_loss(name, z, y):
    """The losses that separate, from their definition, in Decimal."""
    r, margin = z - y, y * z
    if name == "squared":
        return r * r / 2
    if name == "absolute":
        return abs(r)
    if name == "huber":
        delta = Decimal(DELTA)
        return r * r / 2 if abs(r) <= delta else delta * abs(r) - delta * delta / 2
    short = max(Decimal(0), 1 - margin)
    if name == "hinge":
        return short
    if name == "squared_hinge":
        return short * short / 2
    # where exp(-|margin|) is below 1e-30, so is its difference from log1p, relative to itself
    small = (-abs(margin)).exp()
    return max(-margin, Decimal(0)) + ((1 + small).ln() if small > Decimal("1e-30") else small)


def targets_of(name):
    return st.sampled_from([-1.0, 1.0]) if name in LABELLED else POINTS


def one_hot(rng, n, outputs):
    return np.eye(outputs)[rng.integers(0, outputs, n)]


def random_targets(name, rng, n, outputs):
    if name == "softmax":
        return one_hot(rng, n, outputs)
    if name in LABELLED:
        return np.where(rng.random((n, outputs)) < 0.5, -1.0, 1.0)
    return rng.normal(size=(n, outputs))


def assert_scalar_minimum(name, found, v, y, step):
    """A convex function that is no lower at found - room and found + room is least between."""
    v, y, step, found = map(Decimal, (v, y, step, found))
    # rounding of v, y and the margin 1, 1e-16 relative, times the handful of operations
    room = Decimal("1e-14") * (1 + abs(v) + abs(y))

    def objective(z):
        return step * exact_loss(name, z, y) + (z - v) ** 2 / 2

    assert objective(found) <= objective(found - room)
    assert objective(found) <= objective(found + room)


@each_scalar_loss
@some
@given(data=st.data(), v=POINTS, step=STEPS)
def test_every_scalar_operator_minimises(name, data, v, step):
    y = data.draw(targets_of(name))
    found = loss_prox(name, np.array([[v]]), np.array([[y]]), [step])[0, 0]
    with localcontext(prec=60):
        assert_scalar_minimum(name, found, v, y, step)


@each_scalar_loss
def test_scalar_operators_minimise_around_their_kinks(name):
    y = 1.0
    kinks = [y, y - DELTA, y + DELTA]
    for step in (0.0, 1e-8, 0.5, 1.0, 3.0, 1e8):
        ends = [k + s * DELTA * step for k in kinks for s in (-1, 0, 1)]
        ends += [k + s * step for k in kinks for s in (-1, 1)]
        points = np.array(
            sorted({np.nextafter(e, to) for e in ends for to in (-np.inf, e, np.inf)})
        )
        found = loss_prox(name, points[:, None], np.full((points.size, 1), y), [step] * points.size)
        with localcontext(prec=60):
            for v, z in zip(points, found[:, 0], strict=True):
                assert_scalar_minimum(name, z, v, y, step)


@each_scalar_loss
def test_scalar_operators_agree_with_a_search(name):
    rng = np.random.default_rng(0)
    for v, y, step in zip(
        3 * rng.normal(size=30),
        random_targets(name, rng, 30, 1)[:, 0],
        10 ** rng.uniform(-2, 2, 30),
        strict=True,
    ):

        def objective(z, v=v, y=y, step=step):
            return step * float(exact_loss(name, Decimal(float(z)), Decimal(y))) + (z - v) ** 2 / 2

        reach = 10 + abs(v) + abs(y)
        best = minimize_scalar(objective, bounds=(-reach, reach), options={"xatol": 1e-9})
        found = loss_prox(name, np.array([[v]]), np.array([[y]]), [step])[0, 0]
        # values of floats are within eps of their size: by strong convexity the search's own error
        room = math.sqrt(8 * EPS * (1 + best.fun)) + 1e-8
        assert objective(found) <= best.fun + 4 * EPS * (1 + best.fun)
        assert abs(found - best.x) <= room


def test_absolute_and_hinge_stop_exactly_at_their_kink():
    assert loss_prox("absolute", np.array([[0.25]]), np.array([[0.1]]), [0.2])[0, 0] == 0.1
    assert loss_prox("hinge", np.array([[-0.9]]), np.array([[-1.0]]), [0.2])[0, 0] == -1.0


def exact_softmax_minimum(start, v, label, step):
    """Refine a start by Newton's method in Decimal, and prove that the result is the minimiser.

    The objective is 1-strongly convex, so the minimiser is within the size of the gradient.
    """
    v, step, z = [Decimal(x) for x in v], Decimal(step), [Decimal(float(x)) for x in start]
    scale = 1 + max(map(abs, v))
    for _ in range(60):
        top = max(z)
        shares = [(x - top).exp() for x in z]
        total = sum(shares)
        shares = [share / total for share in shares]
        gradient = [x - u + step * share for x, u, share in zip(z, v, shares, strict=True)]
        gradient[label] -= step
        if sum(g * g for g in gradient) <= (Decimal("1e-30") * scale) ** 2:
            return z
        # the Hessian I + step (diag(p) - p p'), inverted as a diagonal and a rank one
        scales = [1 + step * share for share in shares]
        solved = [g / s for g, s in zip(gradient, scales, strict=True)]
        along = [share / s for share, s in zip(shares, scales, strict=True)]
        inner = sum(share * x for share, x in zip(shares, solved, strict=True))
        left = 1 - step * sum(share * a for share, a in zip(shares, along, strict=True))
        moves = [s + step * a * inner / left for s, a in zip(solved, along, strict=True)]
        z = [x - move for x, move in zip(z, moves, strict=True)]
    raise AssertionError(f"no minimiser near {start} for {v}, label {label}, step {step}")


def assert_softmax_minimum(v, label, step):
    y = np.eye(v.size)[label]
    found = loss_prox("softmax", v[None], y[None], [step])[0]
    with localcontext(prec=80):
        exact = exact_softmax_minimum(found, v, label, step)
        error = max(abs(Decimal(float(x)) - z) for x, z in zip(found, exact, strict=True))
    # nonexpansive: rounding the point and the answer, a few times over, costs no more than this
    size = max(np.abs(v).max(), np.abs(found).max())
    assert error <= Decimal("1e-14") * (1 + Decimal(size))


@some
@given(
    v=arrays(float, st.integers(2, 7), elements=POINTS), data=st.data(), exponent=st.floats(-8, 8)
)
def test_softmax_operator_minimises(v, data, exponent):
    assert_softmax_minimum(v, data.draw(st.integers(0, v.size - 1)), 10.0**exponent)


@pytest.mark.parametrize("step", [1e-8, 1e-3, 1.0, 1e3, 1e8])
@pytest.mark.parametrize(
    "v",
    [
        [0.0, 0.0],
        [1e6, 1e6, 1e6],
        [-1e6, 1e6],
        [0.0, 1e6, -1e6, 1e6 - 1e-3],
        [1.0] + [0.0] * 999,
        [2.0**k for k in range(20)],
        list(np.linspace(-1e6, 1e6, 50)),
    ],
    ids=["equal", "large equal", "far apart", "mixed", "a thousand", "geometric", "even"],
)
def test_softmax_operator_minimises_at_extremes(v, step):
    v = np.array(v)
    for label in {0, v.size // 2, v.size - 1}:
        assert_softmax_minimum(v, label, step)


def test_softmax_operator_agrees_with_a_search():
    rng = np.random.default_rng(1)
    for _ in range(10):
        v, label, step = 2 * rng.normal(size=4), rng.integers(4), 10 ** rng.uniform(-1, 1)

        def objective(z, v=v, label=label, step=step):
            return step * (logsumexp(z) - z[label]) + ((z - v) ** 2).sum() / 2

        best = minimize(objective, v, method="BFGS", options={"gtol": 1e-8})
        found = loss_prox("softmax", v[None], np.eye(4)[label][None], [step])[0]
        assert objective(found) <= best.fun + 8 * EPS * (1 + best.fun)
        # the search's derivatives are differences, good to half of the digits
        np.testing.assert_allclose(found, best.x, atol=1e-6)


@some
@given(v=st.tuples(POINTS, POINTS), exponent=st.floats(-8, 7))
def test_softmax_of_two_classes_is_logistic_in_the_difference(v, exponent):
    # z = (m + d / 2, m - d / 2): the squares are d^2 / 4, so the step doubles
    step = 10.0**exponent
    points = np.array([v])
    found = loss_prox("softmax", points, np.array([[1.0, 0.0]]), [step])[0]
    apart = loss_prox("logistic", np.array([[v[0] - v[1]]]), np.ones((1, 1)), [2 * step])[0, 0]
    size = 1 + np.abs(points).max()
    assert found[0] - found[1] == pytest.approx(apart, abs=4e-14 * size)
    assert found.sum() == pytest.approx(points.sum(), abs=4e-14 * size)


@each_loss
@some
@given(data=st.data(), shape=array_shapes(min_dims=2, max_dims=2, min_side=2, max_side=4))
def test_a_step_of_zero_gives_the_point_itself(name, data, shape):
    points = data.draw(arrays(float, shape, elements=POINTS))
    targets = random_targets(name, np.random.default_rng(0), *shape)
    assert (loss_prox(name, points, targets, np.zeros(shape[0])) == points).all()


@each_loss
@some
@given(data=st.data(), step=STEPS)
def test_every_operator_is_nonexpansive(name, data, step):
    shape = (1, data.draw(st.integers(2, 4)))
    points = [data.draw(arrays(float, shape, elements=POINTS)) for _ in range(2)]
    targets = random_targets(name, np.random.default_rng(data.draw(st.integers(0, 9))), *shape)
    found = [loss_prox(name, v, targets, [step]) for v in points]
    # firmly: |x' - x|^2 <= (x' - x)'(v' - v); the room is that of the accuracy proven above
    moved, apart = (found[1] - found[0]).ravel(), (points[1] - points[0]).ravel()
    room = 1e-13 * (1 + max(np.abs(v).max() for v in points))
    room *= np.abs(moved).sum() + np.abs(apart).sum() + room
    assert moved @ moved <= moved @ apart + room


@each_loss
@pytest.mark.parametrize("outputs", [1, 3])
def test_rows_and_steps_stand_alone(name, outputs):
    outputs += name == "softmax"
    rng = np.random.default_rng(2)
    points, targets = rng.normal(size=(6, outputs)), random_targets(name, rng, 6, outputs)
    steps = 10 ** rng.uniform(-3, 3, 6)
    kept = points.copy()
    found = loss_prox(name, points, targets, steps)
    assert (points == kept).all()
    for i in range(6):
        alone = loss_prox(name, points[i : i + 1], targets[i : i + 1], steps[i : i + 1])
        assert (found[i] == alone[0]).all()


@pytest.mark.parametrize("step", [1e-300, 5e-324, 1e300])
@pytest.mark.parametrize("size", [0.0, 1e-300, 1.0, 1e150, 1e300])
@each_loss
def test_operators_stay_finite_far_out(name, size, step):
    rng = np.random.default_rng(3)
    points, targets = size * rng.normal(size=(20, 3)), random_targets(name, rng, 20, 3)
    assert np.isfinite(loss_prox(name, points, targets, np.full(20, step))).all()


@each_loss
def test_not_a_number_comes_back_and_the_operator_returns(name):
    points = np.array([[0.5, np.nan, 1.0]])
    found = loss_prox(name, points, np.array([[1.0, 0.0, 0.0]]), [1.0])
    assert np.isnan(found).any()


# --- penalties

MATRICES = arrays(float, array_shapes(min_dims=2, max_dims=2, max_side=5), elements=POINTS)


def soft_threshold(points, step):
    out = np.full_like(points, np.nan)
    proximal.soft_threshold(points, step, out)
    return out


def group_threshold(points, step):
    out = np.full_like(points, np.nan)
    proximal.group_threshold(points, step, out)
    return out


@some
@given(points=MATRICES, step=STEPS)
@example(points=np.array([[3.0, -4.0], [0.3, 0.4]]), step=0.5)
def test_thresholds_meet_their_optimality_conditions(points, step):
    # v - u must be step times a subgradient of the norm at u
    soft, group = soft_threshold(points, step), group_threshold(points, step)
    room = 8 * EPS * (1 + np.abs(points) + step)
    used = soft != 0
    assert (np.abs(points[~used]) <= step).all()
    np.testing.assert_array_less(
        np.abs(points - soft - step * np.sign(soft))[used], room[used], strict=True
    )
    for v, u in zip(points, group, strict=True):
        norm = math.hypot(*v)
        if not u.any():
            assert norm <= step * (1 + 8 * EPS)
            continue
        assert norm >= step * (1 - 8 * EPS)
        # along v itself, so that v - u has the size of the step
        assert math.hypot(*(v - u)) == pytest.approx(step, abs=16 * EPS * (1 + norm))
        np.testing.assert_allclose(u / math.hypot(*u), v / norm, atol=16 * EPS)


@some
@given(points=arrays(float, (4, 1), elements=POINTS), step=STEPS)
def test_groups_of_one_are_soft_thresholds(points, step):
    # norm and quotient of one number are exact
    assert (group_threshold(points, step) == soft_threshold(points, step)).all()


def test_group_threshold_agrees_with_a_search():
    rng = np.random.default_rng(4)
    for _ in range(10):
        v, step = 2 * rng.normal(size=3), rng.uniform(0.1, 2)

        def objective(u, v=v, step=step):
            return step * np.linalg.norm(u) + ((u - v) ** 2).sum() / 2

        best = min(
            (minimize(objective, start, method="BFGS").fun for start in (v, v / 2)),
            default=np.inf,
        )
        assert objective(group_threshold(v[None], step)[0]) <= min(best, objective(0 * v)) + 1e-12


@pytest.mark.parametrize("threshold", [soft_threshold, group_threshold])
@some
@given(data=st.data(), step=STEPS)
def test_thresholds_are_nonexpansive(threshold, data, step):
    points = [data.draw(arrays(float, (1, 3), elements=POINTS)) for _ in range(2)]
    moved = (threshold(points[1], step) - threshold(points[0], step)).ravel()
    apart = (points[1] - points[0]).ravel()
    room = 1e-14 * (1 + max(np.abs(v).max() for v in points))
    room *= np.abs(moved).sum() + np.abs(apart).sum() + room
    assert moved @ moved <= moved @ apart + room


def test_group_threshold_neither_overflows_nor_underflows():
    # the squares of these are infinite, and 0
    np.testing.assert_allclose(
        group_threshold(np.array([[3e200, 4e200]]), 1e200), [[2.4e200, 3.2e200]], rtol=1e-15
    )
    np.testing.assert_allclose(
        group_threshold(np.array([[3e-200, 4e-200]]), 1e-200), [[2.4e-200, 3.2e-200]], rtol=1e-15
    )


# --- the ADMM step


def step_arguments(name, group):
    rng = np.random.default_rng(5)
    n, atoms, outputs = 7, 5, 3
    return [
        CODES[name],
        DELTA,
        group,
        random_targets(name, rng, n, outputs),
        rng.random(n) * (rng.random(n) < 0.8),
        0.3,
        0.7,
        1.6,
        rng.normal(size=(n, outputs)),
        rng.normal(size=(atoms, outputs)),
        rng.normal(size=(n, outputs)),
        rng.normal(size=(atoms, outputs)),
        rng.normal(size=(n, outputs)),
        rng.normal(size=(atoms, outputs)),
        np.full(4, np.nan),
    ]


@pytest.mark.parametrize("group", [False, True])
@each_loss
def test_split_step_is_its_definition(name, group):
    given_ = step_arguments(name, group)
    _, _, _, y, a, strength, rho, relaxation, fit, weights, z, u, p, q, _ = map(np.copy, given_)
    proximal.split_step(*given_)
    z_found, u_found, p_found, q_found, norms = given_[-5:]
    relaxed = relaxation * fit + (1 - relaxation) * z
    z_new = loss_prox(name, relaxed + p, y, a / rho)
    p_new = p + relaxed - z_new
    relaxed = relaxation * weights + (1 - relaxation) * u
    threshold = group_threshold if group else soft_threshold
    u_new = threshold(relaxed + q, strength / rho)
    q_new = q + relaxed - u_new
    for found, wanted in ((z_found, z_new), (u_found, u_new), (p_found, p_new), (q_found, q_new)):
        # the same sums in another order
        np.testing.assert_allclose(found, wanted, atol=1e-14)
    np.testing.assert_allclose(
        norms,
        [
            ((fit - z_new) ** 2).sum() + ((weights - u_new) ** 2).sum(),
            ((z_new - z) ** 2).sum() + ((u_new - u) ** 2).sum(),
            np.maximum(fit**2, z_new**2).sum() + np.maximum(weights**2, u_new**2).sum(),
            (p_new**2).sum() + (q_new**2).sum(),
        ],
        rtol=1e-12,
    )


@pytest.mark.parametrize("group", [False, True])
@each_loss
def test_kernels_are_the_same_in_plain_python(name, group, monkeypatch):
    compiled, plain = step_arguments(name, group), step_arguments(name, group)
    proximal.split_step(*compiled)
    for kernel, function in vars(proximal).copy().items():
        if isinstance(function, Dispatcher):
            monkeypatch.setattr(proximal, kernel, function.py_func)
    proximal.split_step(*plain)
    for one, other in zip(compiled[-5:], plain[-5:], strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-13, atol=1e-14)
    points = np.array([[0.3, -2.0, 40.0], [1e3, 0.0, -1e3]])
    for kernel in (proximal.soft_threshold, proximal.group_threshold):
        kernel(points, 1.0, found := np.full_like(points, np.nan))
        threshold = group_threshold if kernel is proximal.group_threshold else soft_threshold
        assert (found == threshold(points, 1.0)).all()
