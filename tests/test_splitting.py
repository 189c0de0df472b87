"""Each block of ADMM splitting is set to the best for the others: plain loops and solvers agree."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import osqp
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import sparse
from sklearn.linear_model import Lasso

import bidual as bd
from bidual.formulations.losses import find_loss
from bidual.formulations.splitting import (
    Equations,
    Fit,
    SplitSamples,
    output_error,
    relax_membranes,
    relax_spikes,
    time_major,
    violations,
)

from covering import examples

EPSILON = float(np.finfo(float).eps)
LOSSES = ("squared", "hinge", "softmax")

some = examples(40)
seeds = st.integers(0, 2**32 - 1)
leaks = st.sampled_from([0.0, 0.3, 0.95, 1.0])
thresholds = st.sampled_from([1.0, 0.3])


def problem(
    seed=0,
    hidden=(4, 3),
    outputs=2,
    n=3,
    steps=4,
    inputs=3,
    leak=0.7,
    threshold=1.0,
    loss="squared",
    **decay,
):
    """Random blocks of a whole network, with penalties of their own in each layer."""
    rng = np.random.default_rng(seed)
    widths = (*hidden, outputs)
    X = rng.normal(size=(n, steps, inputs))
    if loss == "softmax":
        targets = np.eye(outputs)[rng.integers(outputs, size=n)]
    else:
        targets = rng.choice([-1.0, 1.0], size=(n, outputs))
    rows = time_major(X)
    samples = SplitSamples(
        lambda: rows, targets, widths, steps, np.empty(SplitSamples.size(n, steps, widths))
    )
    equations = Equations(
        leak,
        threshold,
        10.0 ** rng.uniform(-1, 1, len(widths)),
        10.0 ** rng.uniform(-1, 1, len(hidden)),
        **decay,
    )
    for z in samples.membranes:
        z[:] = threshold * rng.normal(0.5, 1.0, size=z.shape)
    for z in samples.membranes[:-1]:  # some just where the branches meet
        at = rng.random(z.shape)
        z[at < 0.1] = threshold
        z[at > 0.9] = threshold + equations.step
    for a in samples.spikes:
        a[:] = np.clip(rng.uniform(-0.5, 1.5, size=a.shape), 0.0, 1.0)  # half of them 0 or 1
    samples.multiplier[:] = rng.normal(size=targets.shape)
    weights = [rng.normal(size=pair) for pair in zip((inputs, *hidden), widths, strict=True)]
    return SimpleNamespace(
        samples=samples, weights=weights, equations=equations, loss=find_loss(loss), X=X
    )


def errors(p, layer, t):
    """e_l[t], (n, m): what a layer's equation lacks."""
    z, a, W = p.samples.membranes, p.samples.spikes, p.weights[layer]
    error = z[layer][t] - (p.X[:, t] if layer == 0 else a[layer - 1][t]) @ W
    if t > 0:
        error = error - p.equations.leak * z[layer][t - 1]
        if layer < len(a):
            error = error + p.equations.threshold * a[layer][t - 1]
    return error


def plain_lagrangian(p):
    """The augmented Lagrangian, term by term as it is written down."""
    samples, equations = p.samples, p.equations
    z, a = samples.membranes, samples.spikes
    last, steps = len(z) - 1, z[0].shape[0]
    total = p.loss.value(z[last][steps - 1], samples.targets).sum()
    total += (samples.multiplier * errors(p, last, steps - 1)).sum()
    for layer, rho in enumerate(equations.rho):
        for t in range(steps):
            total += rho / 2 * (errors(p, layer, t) ** 2).sum()
            if layer < last:
                apart = a[layer][t] - np.where(z[layer][t] > equations.threshold, 1.0, 0.0)
                total += equations.spike_rho[layer] / 2 * (apart**2).sum()
    for W in p.weights:
        costs = np.abs(W) if equations.l1 else W**2 / 2
        total += equations.decay * costs.sum()
    return float(total)


def currents(p, layer):
    return p.samples.currents(layer, p.weights[layer])


def fit_weights(p, layer):
    """Set the weights of a layer as a sweep does."""
    fit = Fit(p.samples.gram(layer), p.samples.cross(layer, p.equations))
    share = p.equations.decay / p.equations.rho[layer]
    if p.equations.l1:
        p.weights[layer][:] = bd.solve(fit.lasso(share, fit.factor), gap=1e-10).weights
    else:
        p.weights[layer][:] = fit.ridge(share, fit.factor)


def fit_spikes(p, layer, exact):
    relax_spikes(
        p.samples, layer, currents(p, layer), p.weights[layer + 1], p.equations, exact=exact
    )


def fit_membranes(p, layer, jacobi=False):
    return relax_membranes(p.samples, layer, currents(p, layer), p.equations, p.loss, jacobi)


def stacked(p, layer):
    """What a layer reads (T n, fan-in), and the currents that its weights are fitted to."""
    steps = p.samples.steps
    reads = p.X.transpose(1, 0, 2) if layer == 0 else p.samples.spikes[layer - 1]
    wanted = np.stack([errors(p, layer, t) for t in range(steps)]) + reads @ p.weights[layer]
    if layer == len(p.weights) - 1:
        wanted[-1] += p.samples.multiplier / p.equations.rho[layer]
    return reads.reshape(-1, reads.shape[2]), wanted.reshape(-1, wanted.shape[2])


# The Lagrangian


@some
@given(seed=seeds, leak=leaks, threshold=thresholds, l1=st.booleans(), steps=st.integers(1, 5))
def test_what_is_measured_adds_up_to_the_lagrangian(seed, leak, threshold, l1, steps):
    p = problem(seed, leak=leak, threshold=threshold, steps=steps, decay=0.3, l1=l1)
    last = len(p.weights) - 1
    found = [violations(p.samples, k, currents(p, k), p.equations) for k in range(last + 1)]
    held = p.samples.multiplier * output_error(p.samples, currents(p, last), leak)
    total = p.loss.value(p.samples.membranes[-1][-1], p.samples.targets).sum() + held.sum()
    total += sum(rho / 2 * v.dynamics for rho, v in zip(p.equations.rho, found, strict=True))
    total += sum(b / 2 * v.spikes for b, v in zip(p.equations.spike_rho, found[:-1], strict=True))
    total += p.equations.weight_decay(p.weights)
    # sums of at most some hundred terms, of which only the multiplier's has both signs
    size = plain_lagrangian(p) + 2 * np.abs(held).sum()
    assert total == pytest.approx(plain_lagrangian(p), abs=1e3 * EPSILON * size)


def test_disagreement_is_the_sum_of_what_spikes_are_apart():
    p = problem(3)
    for layer, (z, a) in enumerate(zip(p.samples.membranes, p.samples.spikes, strict=False)):
        found = violations(p.samples, layer, currents(p, layer), p.equations)
        assert found.apart == pytest.approx(np.abs(a - (z > 1.0)).sum(), rel=1e-13)
        assert found.count == z.size


# Membranes of hidden layers


def membrane_cost(p, layer, t, before, after):
    """The cost of one membrane as a function of it, and of its parabola alone; (n, m) or more."""
    equations, c = p.equations, currents(p, layer)
    leak, threshold, a = equations.leak, equations.threshold, p.samples.spikes[layer]
    rho, beta = equations.rho[layer], equations.spike_rho[layer]

    def parabola(z):
        error = z - c[t]
        if t > 0:
            error = error - leak * before + threshold * a[t - 1]
        cost = rho / 2 * error**2
        if after is not None:
            cost = cost + rho / 2 * (after - leak * z - c[t + 1] + threshold * a[t]) ** 2
        return cost

    return lambda z: parabola(z) + beta / 2 * (a[t] - (z > threshold)) ** 2, parabola


def lowest(parabola, shape):
    """Where a parabola is lowest, by its values at three points."""
    left, mid, right = (parabola(np.full(shape, float(x))) for x in (-1, 0, 1))
    return (left - right) / (2 * (left + right - 2 * mid))


@some
@given(
    seed=seeds,
    leak=leaks,
    threshold=thresholds,
    steps=st.integers(1, 5),
    layer=st.integers(0, 1),
    jacobi=st.booleans(),
)
def test_each_membrane_is_the_best_on_a_grid_and_on_both_branches(
    seed, leak, threshold, steps, layer, jacobi
):
    p = problem(seed, leak=leak, threshold=threshold, steps=steps)
    old = p.samples.membranes[layer].copy()
    fit_membranes(p, layer, jacobi)
    new, step = p.samples.membranes[layer], p.equations.step
    for t in range(steps):
        before = None if t == 0 else (old if jacobi else new)[t - 1]
        after = None if t + 1 == steps else old[t + 1]
        cost, parabola = membrane_cost(p, layer, t, before, after)
        point = lowest(parabola, new[t].shape)
        branches = np.stack(
            [np.minimum(point, threshold), np.where(point > threshold, point, threshold + step)]
        )
        costs = np.stack([cost(branch) for branch in branches])
        # costs of a few terms, each a square of a sum of a few numbers of size 10 or less
        rounding = 1e-12 * (1 + np.abs(costs).max())
        assert (cost(new[t]) <= costs.min(axis=0) + rounding).all()
        # where branches are apart it is the better one itself; its place is known to 1e-12
        clear = np.abs(costs[0] - costs[1]) > 2 * rounding
        best = np.where(costs[0] < costs[1], branches[0], branches[1])
        assert (np.abs(new[t] - best) <= 1e-12 * (1 + np.abs(point)))[clear].all()
        # and no number is better, but those nearer to the threshold than the step, by its cost
        grid = np.linspace(-12 * threshold, 12 * threshold, 1201)[:, None, None]
        curvature = p.equations.rho[layer] * (1 + (after is not None) * leak**2)
        near = np.maximum(threshold - point, 0.0)
        step_costs = curvature / 2 * step * (2 * near + step)
        on_grid = cost(np.broadcast_to(grid, (1201, *new[t].shape))).min(axis=0)
        assert (cost(new[t]) <= on_grid + step_costs + rounding).all()


def test_membranes_between_the_threshold_and_the_step_stay_where_they_are_best():
    p = problem(hidden=(1,), n=1, steps=1)
    p.samples.spikes[0][:] = 1.0
    c = np.full((1, 1, 1), 1.0 + 0.5 * p.equations.step)
    relax_membranes(p.samples, 0, c, p.equations, p.loss, False)
    assert p.samples.membranes[0].item() == c.item()


def test_a_membrane_below_fires_by_the_step_and_one_above_rests_at_the_threshold():
    p = problem(hidden=(2,), n=1, steps=1, threshold=0.5)
    p.samples.spikes[0][:] = [[[1.0, 0.0]]]
    c = np.array([[[0.5 - 1e-3, 0.5 + 1e-3]]])
    relax_membranes(p.samples, 0, c, p.equations, p.loss, False)
    assert p.samples.membranes[0].ravel().tolist() == [0.5 + 0.5e-5, 0.5]


def test_moves_and_flips_are_counted():
    p = problem(1, n=40)
    for layer in range(3):
        old = p.samples.membranes[layer].copy()
        squares, flips = fit_membranes(p, layer)
        new = p.samples.membranes[layer]
        assert squares == pytest.approx(((new - old) ** 2).sum(), rel=1e-12)
        expected = ((new > 1.0) != (old > 1.0)).sum() if layer < 2 else 0
        assert flips == expected
        assert layer == 2 or expected > 0


# Two errors of the first implementation


def first_rule(q, a, rho, beta, threshold, extra):
    """Its if-else at the last step; there D2 had rho once more within."""
    d2 = rho * (0.0 - (rho if extra else 1.0) * (threshold - q) ** 2)
    d1 = beta * (1 - 2 * a)
    if q > threshold and d1 + d2 > 0:
        return threshold
    if q <= threshold and d2 - d1 > 0:
        return threshold * (1 + 1e-5)
    return q


@pytest.mark.parametrize("rho", [0.25, 4.0])
@pytest.mark.parametrize(("side", "a"), [(+1, 0.0), (-1, 1.0)])
def test_at_the_last_step_rho_weighs_the_equation_once(rho, side, a):
    # halfway between the distances at which rho d**2, and rho**2 d**2, are beta
    d = (np.sqrt(1 / rho) + np.sqrt(1 / rho**2)) / 2
    q = 1.0 + side * d
    assert first_rule(q, a, rho, 1.0, 1.0, True) != first_rule(q, a, rho, 1.0, 1.0, False)
    p = problem(hidden=(1,), n=1, steps=1)
    equations = replace(p.equations, rho=np.array([rho, 1.0]), spike_rho=np.array([1.0]))
    p.samples.spikes[0][:] = a
    relax_membranes(p.samples, 0, np.full((1, 1, 1), q), equations, p.loss, False)
    assert p.samples.membranes[0].item() == first_rule(q, a, rho, 1.0, 1.0, False)


def test_a_membrane_reads_the_one_before_as_it_was_just_set():
    # z[1] moves from 5 to (0.2 + 0.5 * 0.3) / 1.25 = 0.28; then z[2] is 0.1 + 0.5 * 0.28
    p = problem(hidden=(1,), n=1, steps=2, leak=0.5)
    p.samples.spikes[0][:] = 0.0
    c = np.array([0.2, 0.1]).reshape(2, 1, 1)
    start = np.array([5.0, 0.4]).reshape(2, 1, 1)
    p.samples.membranes[0][:] = start
    relax_membranes(p.samples, 0, c, p.equations, p.loss, False)
    fresh = p.samples.membranes[0].ravel().copy()
    assert fresh == pytest.approx([0.28, 0.24], rel=1e-15)
    p.samples.membranes[0][:] = start
    relax_membranes(p.samples, 0, c, p.equations, p.loss, True)
    stale = p.samples.membranes[0].ravel()
    assert stale[0] == pytest.approx(0.28, rel=1e-15)
    assert stale[1] != fresh[1]  # by the 5 of before, 1 or above: it would tell


def test_spikes_read_membranes_as_they_are_and_not_as_they_were():
    p = problem(5)
    fit_spikes(p, 0, exact=True)
    stale = p.samples.spikes[0].copy()
    fit_membranes(p, 0)
    fit_spikes(p, 0, exact=True)
    fresh = p.samples.spikes[0]
    for t in range(p.samples.steps):
        A, b = spike_rows(p, 0, t)
        for a, rows in zip(fresh[t], b, strict=True):
            slope = A.T @ (A @ a - rows)
            assert box_violation(a, slope) < 1e-8  # to the 1e-10 in moves that descent asks
    assert np.abs(fresh - stale).max() > 0.1


# Membranes of the output


@some
@given(
    seed=seeds,
    leak=leaks,
    steps=st.integers(1, 5),
    loss=st.sampled_from(LOSSES),
    jacobi=st.booleans(),
)
def test_outputs_solve_their_normal_equations(seed, leak, steps, loss, jacobi):
    p = problem(seed, leak=leak, steps=steps, loss=loss)
    old, c = p.samples.membranes[-1].copy(), currents(p, 2)
    fit_membranes(p, 2, jacobi)
    new, rho = p.samples.membranes[-1], p.equations.rho[-1]
    for t in range(steps - 1):
        before = np.zeros_like(c[t]) if t == 0 else (old if jacobi else new)[t - 1]
        # least squares of |z - c - leak before| and |after - leak z - c'|, as one column
        ahead = old[t + 1] - c[t + 1]
        if t + 2 == steps:  # <multiplier, e> + rho/2 |e|**2 is rho/2 |e + multiplier / rho|**2
            ahead = ahead + p.samples.multiplier / rho
        column = np.array([[1.0], [leak]])
        rows = np.stack([(c[t] + leak * before).ravel(), ahead.ravel()])
        expected = np.linalg.lstsq(column, rows)[0].reshape(new[t].shape)
        np.testing.assert_allclose(new[t], expected, rtol=0, atol=1e-13 * np.abs(rows).max())


@some
@given(seed=seeds, leak=leaks, steps=st.integers(1, 3), loss=st.sampled_from(LOSSES))
def test_last_outputs_are_the_best_on_a_grid(seed, leak, steps, loss):
    p = problem(seed, leak=leak, steps=steps, loss=loss)
    fit_membranes(p, 2)
    z, c = p.samples.membranes[-1], currents(p, 2)
    rho, multiplier, y = p.equations.rho[-1], p.samples.multiplier, p.samples.targets
    predicted = c[-1] + (leak * z[-2] if steps > 1 else 0.0)

    def cost(points):
        """Of the pair of outputs of each sample, (n,)."""
        apart = points - predicted
        own = (multiplier * apart + rho / 2 * apart**2).sum(axis=1)
        return p.loss.value(points, y).sum(axis=1) + own

    best, around = cost(z[-1]), np.linspace(-1.0, 1.0, 9)
    # grids about what was found, and a coarse one of all that may be
    for width, centre in ((0.001, z[-1]), (0.1, z[-1]), (20.0, np.zeros_like(y))):
        for first in width * around:
            for second in width * around:
                moved = cost(centre + np.array([first, second]))
                assert (best <= moved + 1e-12 * (1 + np.abs(moved))).all()


# Spikes


def spike_rows(p, layer, t):
    """Least squares |A a - b|**2 / 2 of a layer's spikes at step t: A, and b (n, rows)."""
    equations = p.equations
    above, m = p.weights[layer + 1], p.weights[layer].shape[1]
    a = p.samples.spikes[layer]
    rho_above, beta = np.sqrt(equations.rho[layer + 1]), np.sqrt(equations.spike_rho[layer])
    wanted = errors(p, layer + 1, t) + a[t] @ above
    if layer + 2 == len(p.weights) and t + 1 == p.samples.steps:
        wanted = wanted + p.samples.multiplier / equations.rho[layer + 1]
    fires = p.samples.membranes[layer][t] > equations.threshold
    A, b = [rho_above * above.T, beta * np.eye(m)], [rho_above * wanted, beta * fires]
    if t + 1 < p.samples.steps:
        reset = np.sqrt(equations.rho[layer]) * equations.threshold
        without = errors(p, layer, t + 1) - equations.threshold * a[t]
        A.append(reset * np.eye(m))
        b.append(-reset / equations.threshold * without)
    return np.vstack(A), np.hstack(b)


def box_violation(a, slope):
    """How far a is from optimal over [0, 1]."""
    return np.abs(a - np.clip(a - slope, 0.0, 1.0)).max()


# narrowing and widening: the matrix of spikes is solved as it is, or by Woodbury's identity
SHAPES = [((4, 3), 2), ((3, 5), 4), ((6, 2), 1), ((5, 1), 7)]


@pytest.mark.parametrize(("hidden", "outputs"), SHAPES)
@pytest.mark.parametrize("layer", [0, 1])
@pytest.mark.parametrize("leak", [0.0, 0.95])
def test_exact_spikes_are_those_of_osqp(hidden, outputs, layer, leak):
    p = problem(7, hidden=hidden, outputs=outputs, leak=leak)
    start = p.samples.spikes[layer].copy()
    references = [spike_rows(p, layer, t) for t in range(p.samples.steps)]
    fit_spikes(p, layer, exact=True)
    spikes, m = p.samples.spikes[layer], hidden[layer]
    for t, (A, b) in enumerate(references):
        for i, rows in enumerate(b):
            solver = osqp.OSQP()
            solver.setup(
                sparse.csc_matrix(np.triu(A.T @ A)),
                -A.T @ rows,
                sparse.eye(m, format="csc"),
                np.zeros(m),
                np.ones(m),
                eps_abs=1e-10,
                eps_rel=1e-10,
                max_iter=100_000,
                polishing=True,
                verbose=False,
            )
            # residuals of 1e-10, times a condition of these matrices below 1e4
            expected = solver.solve(raise_error=True).x
            np.testing.assert_allclose(spikes[t, i], expected, rtol=0, atol=1e-6)
            assert box_violation(spikes[t, i], A.T @ (A @ spikes[t, i] - rows)) < 1e-8
    assert (spikes != start).any()
    assert ((spikes > 0) & (spikes < 1)).any()
    assert ((spikes == 0) | (spikes == 1)).any()
    assert spikes.min() >= 0
    assert spikes.max() <= 1


@some
@given(
    seed=seeds,
    shape=st.sampled_from(SHAPES),
    layer=st.integers(0, 1),
    leak=leaks,
    threshold=thresholds,
    steps=st.integers(1, 4),
)
def test_clipped_spikes_are_the_ridge_solution_clipped(seed, shape, layer, leak, threshold, steps):
    hidden, outputs = shape
    p = problem(seed, hidden, outputs, leak=leak, threshold=threshold, steps=steps)
    references = [spike_rows(p, layer, t) for t in range(steps)]
    fit_spikes(p, layer, exact=False)
    for t, (A, b) in enumerate(references):
        free = np.linalg.solve(A.T @ A, A.T @ b.T).T
        # both solve to rounding times the condition; Woodbury's subtraction costs as much again
        accuracy = 100 * EPSILON * np.linalg.cond(A.T @ A) * (1 + np.abs(free).max())
        np.testing.assert_allclose(
            p.samples.spikes[layer][t], np.clip(free, 0, 1), rtol=0, atol=accuracy
        )


@pytest.mark.parametrize(("hidden", "outputs"), SHAPES)
@pytest.mark.parametrize("layer", [0, 1])
def test_the_lagrangian_is_flat_in_spikes_within_the_box(hidden, outputs, layer):
    p = problem(7, hidden=hidden, outputs=outputs, n=8)
    fit_spikes(p, layer, exact=True)
    spikes = p.samples.spikes[layer]
    inside = np.argwhere((spikes > 0.01) & (spikes < 0.99))
    assert len(inside) > 5
    h = 1e-3
    for place in map(tuple, inside):
        kept = spikes[place]
        values = []
        for moved in (kept + h, kept - h):
            spikes[place] = moved
            values.append(plain_lagrangian(p))
        spikes[place] = kept
        # the Lagrangian is quadratic in it, and the difference exact but for rounding; the
        # slope left is the curvature, below 1e3, times 1e-10 in moves
        rounding = 1e3 * EPSILON * abs(values[0]) / h
        assert abs(values[0] - values[1]) / (2 * h) <= 1e-7 + rounding


# Weights


@some
@given(seed=seeds, layer=st.integers(0, 2), leak=leaks, n=st.integers(1, 8))
@example(seed=0, layer=0, leak=0.5, n=1)
def test_weights_without_decay_are_least_squares_of_the_smallest_norm(seed, layer, leak, n):
    p = problem(seed, hidden=(6, 6), n=n, steps=3, inputs=6, leak=leak)
    rows, wanted = stacked(p, layer)
    expected = np.linalg.lstsq(rows, wanted, rcond=1e-6)[0]  # the root of eigenvalues that count
    values = np.linalg.svd(rows, compute_uv=False)
    kept = values[values > 1e-6 * values[0]]
    fit_weights(p, layer)
    # the Gram matrix squares the condition
    accuracy = 100 * EPSILON * (kept[0] / kept[-1]) ** 2 * (1 + np.abs(wanted).max() / kept[-1])
    np.testing.assert_allclose(
        p.weights[layer], expected, rtol=0, atol=accuracy * (1 + np.abs(expected).max())
    )


def test_columns_that_repeat_share_their_weight():
    # of rank 3 among 6
    p = problem(2, n=10, inputs=6)
    p.X[:, :, 3:] = p.X[:, :, :3]
    rows = time_major(p.X)
    p.samples.inputs = lambda: rows
    expected = np.linalg.lstsq(*stacked(p, 0), rcond=1e-6)[0]
    fit_weights(p, 0)
    np.testing.assert_allclose(p.weights[0], expected, rtol=0, atol=1e-12)  # well conditioned
    np.testing.assert_allclose(p.weights[0][:3], p.weights[0][3:], rtol=0, atol=1e-12)


@some
@given(
    seed=seeds,
    layer=st.integers(0, 2),
    n=st.integers(1, 8),
    decay=st.sampled_from([1e-2, 1.0, 30.0]),
)
def test_weights_with_decay_are_ridge_regression(seed, layer, n, decay):
    p = problem(seed, hidden=(6, 6), n=n, steps=3, inputs=6, decay=decay)
    rows, wanted = stacked(p, layer)
    share = decay / p.equations.rho[layer]
    rows = np.vstack([rows, np.sqrt(share) * np.eye(rows.shape[1])])
    wanted = np.vstack([wanted, np.zeros((rows.shape[1], wanted.shape[1]))])
    expected = np.linalg.lstsq(rows, wanted)[0]
    fit_weights(p, layer)
    # the Gram matrix squares the condition
    accuracy = 100 * EPSILON * np.linalg.cond(rows) ** 2 * (1 + np.abs(expected).max())
    np.testing.assert_allclose(p.weights[layer], expected, rtol=0, atol=accuracy)


@pytest.mark.parametrize("layer", [0, 1, 2])
@pytest.mark.parametrize("n", [1, 12])
def test_weights_with_an_l1_norm_are_the_lasso_s(layer, n):
    p = problem(layer, hidden=(6, 6), n=n, inputs=6, decay=0.5, l1=True)
    rows, wanted = stacked(p, layer)
    share = p.equations.decay / p.equations.rho[layer]

    def cost(W):
        return 0.5 * ((wanted - rows @ W) ** 2).sum() + share * np.abs(W).sum()

    lasso = Lasso(share / len(rows), fit_intercept=False, tol=1e-14, max_iter=1_000_000)
    reference = lasso.fit(rows, wanted).coef_.T.reshape(p.weights[layer].shape)
    fit = Fit(p.samples.gram(layer), p.samples.cross(layer, p.equations))
    program = fit.lasso(share, fit.factor)
    other = bd.solve(program, "admm", gap=1e-9).weights
    clarabel = bd.solve(program, "clarabel", gap=1e-9).weights
    fit_weights(p, layer)
    found = p.weights[layer]
    size = 0.5 * (wanted**2).sum()  # at W = 0, of which gaps are shares
    for W in (reference, other, clarabel):
        assert abs(cost(found) - cost(W)) <= 3e-9 * size
    assert (np.abs(found) > 1e-2).any()
    assert n > 1 or (np.abs(found) < 1e-6).any()  # 4 rows explain 6 inputs with some of them


def test_a_program_of_no_inputs_is_refused():
    fit = Fit(np.zeros((3, 3)), np.zeros((3, 2)))
    with pytest.raises(ValueError, match=r"^X: expected inputs that are not all 0"):
        fit.lasso(0.1, fit.factor)
    assert not fit.ridge(0.0, fit.factor).any()
    assert not fit.ridge(0.5, fit.factor).any()


def test_sparse_inputs_are_kept_so_and_are_no_matter():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(20, 5, 40)) * (rng.random((20, 5, 40)) < 0.05)
    kept = time_major(X)
    assert sparse.issparse(kept)
    assert not sparse.issparse(time_major(rng.normal(size=(2, 3, 4))))
    found = kept.toarray()
    for i, t in np.ndindex(20, 5):
        assert np.array_equal(found[t * 20 + i], X[i, t])
    p = problem(n=20, steps=5, inputs=40)
    p.samples.inputs = lambda: found
    dense = p.samples.gram(0), p.samples.cross(0, p.equations), currents(p, 0)
    p.samples.inputs = lambda: kept
    thin = p.samples.gram(0), p.samples.cross(0, p.equations), currents(p, 0)
    for a, b in zip(dense, thin, strict=True):
        assert type(a) is type(b) is np.ndarray
        # sums of 100 products at most, in another order
        np.testing.assert_allclose(a, b, rtol=0, atol=100 * EPSILON * np.abs(a).max())


# Descent


def blocks_of(p, exact=True, jacobi=False):
    """The updates of a sweep one by one, in its order."""
    for layer in range(len(p.weights)):
        yield f"weights {layer}", lambda layer=layer: fit_weights(p, layer)
        if layer + 1 < len(p.weights):
            yield f"spikes {layer}", lambda layer=layer: fit_spikes(p, layer, exact)
        yield f"membranes {layer}", lambda layer=layer: fit_membranes(p, layer, jacobi)


def cost_of_step(p, layer):
    """What the step may raise the Lagrangian by, of the membranes of a hidden layer.

    Only membranes that were nearer above the threshold than the step can lose by it. With
    k = rho (1 + leak**2) that is k/2 ((d + step)**2 - d**2), d the way from the lowest point to
    the threshold; and where k d**2 > beta it is better not to fire at all.
    """
    equations, z = p.equations, p.samples.membranes[layer]
    between = (z > equations.threshold) & (z < equations.threshold + equations.step)
    k = equations.rho[layer] * (1 + equations.leak**2)
    one = k / 2 * equations.step * (2 * np.sqrt(equations.spike_rho[layer] / k) + equations.step)
    return between.sum() * one


@some
@given(
    seed=seeds,
    shape=st.sampled_from(SHAPES),
    n=st.integers(1, 6),
    steps=st.integers(1, 5),
    leak=leaks,
    threshold=thresholds,
    loss=st.sampled_from(LOSSES),
    decay=st.sampled_from([0.0, 0.2]),
)
def test_no_exact_block_raises_the_lagrangian(seed, shape, n, steps, leak, threshold, loss, decay):
    hidden, outputs = shape
    outputs = max(outputs, 2) if loss == "softmax" else outputs
    p = problem(seed, hidden, outputs, n, steps, 3, leak, threshold, loss, decay=decay)
    rng = np.random.default_rng(seed)
    for z in p.samples.membranes[:-1]:
        at = rng.random(z.shape) < 0.05
        z[at] = threshold + p.equations.step * rng.random(at.sum())
    before = plain_lagrangian(p)
    for sweep in range(3):
        for name, update in blocks_of(p):
            allowed = 0.0
            if name.startswith("membranes") and int(name[-1]) < len(hidden):
                allowed = cost_of_step(p, int(name[-1]))
            update()
            after = plain_lagrangian(p)
            # spikes are optimal to moves of 1e-10, and sums of some hundred terms, those of
            # either sign in multiplier and equations, are rounded
            rounding = 1e-10 * (1 + abs(before))
            assert after <= before + allowed + rounding, (name, sweep, after - before)
            before = after


def test_clipped_spikes_can_raise_the_lagrangian():
    p = problem(0)
    fit_spikes(p, 0, exact=True)
    before = plain_lagrangian(p)
    fit_spikes(p, 0, exact=False)
    assert plain_lagrangian(p) > before + 0.1
    fit_spikes(p, 0, exact=True)
    assert plain_lagrangian(p) == pytest.approx(before, rel=1e-12)


def test_membranes_all_at_once_can_raise_the_lagrangian():
    for jacobi in (False, True):
        p = problem(600, hidden=(1,), n=1, steps=3, leak=1.0)
        before = plain_lagrangian(p)
        fit_membranes(p, 0, jacobi)
        after = plain_lagrangian(p)
        assert (after > before + 1) == jacobi


# What the weights make of the inputs


@some
@given(seed=seeds, leak=leaks, threshold=thresholds, steps=st.integers(1, 5))
def test_a_layer_that_obeys_has_no_violations(seed, leak, threshold, steps):
    p = problem(seed, leak=leak, threshold=threshold, steps=steps)
    for layer, weights in enumerate(p.weights):
        p.samples.obey(layer, weights, p.equations)
        found = violations(p.samples, layer, currents(p, layer), p.equations)
        size = max(1.0, float(np.abs(p.samples.membranes[layer]).max()))
        # each equation sums four numbers of that size, as it was summed to be obeyed
        assert found.dynamics <= (10 * EPSILON * size) ** 2 * found.count
        if layer < len(p.weights) - 1:
            assert found.spikes == found.apart == 0
    outputs = p.samples.simulate(p.weights, p.equations)
    expected = p.samples.membranes[-1][-1]
    np.testing.assert_allclose(outputs, expected, rtol=0, atol=1e-13 * (1 + np.abs(expected).max()))


@pytest.mark.parametrize("leak", [0.0, 0.5, 0.9, 0.95, 0.999, 1.0])
@pytest.mark.parametrize("threshold", [1.0, 0.3])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.7, 1.0])
def test_copying_weights_copy_every_spike(leak, threshold, share):
    n, steps, m = 20, 400, 3
    p = problem(hidden=(m, m), n=n, steps=steps, leak=leak, threshold=threshold)
    rng = np.random.default_rng(0)
    below, copy = p.samples.spikes
    below[:] = rng.random(below.shape) < share
    p.samples.obey(1, np.eye(m) * p.equations.copying, p.equations)
    assert np.array_equal(copy, below)
