"""ADMM splitting trains by the blocks it says, tells what it did, and goes on where it was."""

import gc
import tempfile
import tracemalloc
from dataclasses import replace
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest
from test_splitting import plain_lagrangian

import bidual as bd
from bidual.formulations.losses import find_loss
from bidual.formulations.splitting import SplitSamples
from bidual.formulations.targets import encode
from bidual.solvers.anderson import Anderson
from bidual.solvers.splitting import sweeps as sweeps_module
from bidual.solvers.splitting.sweeps import Training, _balanced

from covering import slow

EPSILON = float(np.finfo(float).eps)
STOPPED = bd.SplittingStopReason


def digits(n=60):
    X, y = bd.tasks.digits()
    return X[:n], y[:n]


def training(settings, X, targets, loss="squared", batch=None, seed=0):
    return Training(settings, X, np.asarray(targets), find_loss(loss), None, batch, seed)


def lagrangian(held):
    """The Lagrangian of a training in one batch, by plain loops over what it holds."""
    (batch,) = held._batches
    inputs = batch.inputs()
    rows = inputs if isinstance(inputs, np.ndarray) else inputs.toarray()
    X = rows.reshape(batch.steps, -1, rows.shape[1]).transpose(1, 0, 2)
    return plain_lagrangian(
        SimpleNamespace(
            samples=batch, weights=held.weights, equations=held._equations, loss=held._loss, X=X
        )
    )


def small(seed=0, n=6, steps=5, inputs=3, outputs=2):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(n, steps, inputs)), rng.choice([-1.0, 1.0], size=(n, outputs))


def told(history):
    """Everything in a history but the time."""
    return [replace(sweep, seconds=0.0) for sweep in history]


def arrays_of(held):
    """Copies of all that a training sets."""
    state = [part.copy() for part in held._state]
    return [*state, *(batch.multiplier.copy() for batch in held._batches)]


# What a sweep tells


@pytest.mark.parametrize("loss", ["squared", "hinge", "softmax"])
@pytest.mark.parametrize("spikes", ["clipped", "exact"])
@pytest.mark.parametrize("decay", [("l2", 0.0), ("l2", 0.3), ("l1", 0.3)])
def test_the_history_has_the_lagrangian_and_its_terms(loss, spikes, decay):
    X, y = small()
    y = np.eye(2)[(y[:, 0] > 0).astype(int)] if loss == "softmax" else y
    settings = bd.ADMMSplitting(
        hidden=(4, 3), weight_norm=decay[0], weight_decay=decay[1], spikes=spikes, adaptive=True
    )
    held = training(settings, X, y, loss)
    held._equations = replace(
        held._equations, rho=np.array([0.5, 3.0, 2.0]), spike_rho=np.array([0.7, 0.2])
    )
    for k in range(6):
        before, penalties = lagrangian(held), held._equations
        multiplier = held._batches[0].multiplier.copy()
        sweep = held.sweep(True, "auto")
        # the Lagrangian at the penalties and multiplier of the sweep
        renewed = held._batches[0].multiplier.copy()
        held._batches[0].multiplier[:] = multiplier
        after = lagrangian(SimpleNamespace(**{**vars(held), "_equations": penalties}))
        held._batches[0].multiplier[:] = renewed
        # what the next one is measured from is of the renewed ones
        now = held._sums.lagrangian(held._equations)
        assert now == pytest.approx(lagrangian(held), rel=1e3 * EPSILON)
        # sums of some hundred terms, of both signs in the multiplier's
        accuracy = 1e3 * EPSILON * (abs(after) + abs(before) + 2 * abs(sweep.multiplier))
        assert sweep.lagrangian == pytest.approx(after, abs=accuracy)
        parts = sweep.loss, sweep.multiplier, *sweep.dynamics, *sweep.spikes, sweep.decay
        assert sweep.lagrangian == pytest.approx(sum(parts), abs=accuracy)
        assert sweep.rise == pytest.approx(max(after - before, 0.0), abs=2 * accuracy)
        assert (sweep.rho, sweep.spike_rho) == (tuple(penalties.rho), tuple(penalties.spike_rho))
        assert k == 0 or (multiplier != 0).any()
        assert (sweep.decay > 0) == (decay[1] > 0)
    assert sweep.spike_rho != (0.7, 0.2)  # they adapt
    assert sweep.accuracy is None  # targets are numbers


def test_the_history_has_residuals_and_disagreement():
    X, y = small()
    held = training(bd.ADMMSplitting(hidden=(4, 3), initial="uniform"), X, y)
    sweep = held.sweep(False, "auto")
    (batch,) = held._batches
    leak, threshold = 0.95, 1.0
    reads = [np.asarray(X).transpose(1, 0, 2), *batch.spikes]
    for layer, (z, W) in enumerate(zip(batch.membranes, held.weights, strict=True)):
        error = z - reads[layer] @ W
        error[1:] -= leak * z[:-1]
        if layer < 2:
            a = batch.spikes[layer]
            error[1:] += threshold * a[:-1]
            apart = np.abs(a - (z > threshold)).mean()
            assert sweep.disagreement[layer] == pytest.approx(apart, rel=1e-12)
        # inputs are rounded to 2**-20, of which a current has a share by each weight
        room = 2.0**-21 * np.abs(W).sum(axis=0).max() if layer == 0 else 0.0
        size = np.sqrt((error**2).mean())
        assert sweep.residuals[layer] == pytest.approx(size, rel=1e-12, abs=room)
    last = np.sqrt((error[-1] ** 2).mean())
    assert sweep.output_residual == pytest.approx(last, rel=1e-12)


RAISING = {
    "clipped": {"rho": 0.5, "spike_rho": 2.0, "initial": "uniform"},
    "jacobi": {"rho": 0.25, "spike_rho": 0.1, "spikes": "exact", "order": "jacobi"},
}


@pytest.mark.parametrize("kind", RAISING)
def test_what_raises_the_lagrangian_is_told_exactly(kind):
    # both are rare, jacobi the more so: of quadratics alone, whose matrix has three diagonals,
    # it is never a rise. So seeds are tried, and rounding may choose another one elsewhere
    def begun(seed):
        rng = np.random.default_rng(seed)
        X, y = rng.normal(size=(2, 3, 2)), rng.normal(size=(2, 1))
        settings = bd.ADMMSplitting(hidden=(3,), leak=1.0, **RAISING[kind])
        return training(settings, X, y, seed=seed)

    def rises(held):
        return max(held.sweep(False, "auto").rise for _ in range(12)) > 0.01

    held = begun(next(seed for seed in range(1000) if rises(begun(seed))))
    told = []
    for _ in range(12):
        before = lagrangian(held)
        told.append(held.sweep(False, "auto").rise)
        rise = lagrangian(held) - before
        assert told[-1] == pytest.approx(max(rise, 0.0), abs=1e-12 * (1 + before))
    assert max(told) > 0.01


@pytest.mark.parametrize("loss", ["squared", "hinge", "softmax"])
@pytest.mark.parametrize("initial", ["simulated", "uniform"])
def test_exact_blocks_in_order_never_raise_it(loss, initial):
    X, y = digits()
    trained = bd.ADMMSplitting(hidden=(12, 8), spikes="exact", initial=initial).fit(
        X, y, loss, sweeps=15, warm_up=15
    )
    values = [sweep.lagrangian for sweep in trained.history]
    # rounding; membranes within the step, which may lose by it, are none of those that it sets
    assert max(sweep.rise for sweep in trained.history) <= 1e-10 * values[0]
    assert values[-1] < 0.9 * values[0]


def test_the_multiplier_waits_for_the_end_of_warming_up():
    X, y = digits()
    settings = bd.ADMMSplitting(hidden=(12,))
    trained = settings.fit(X, y, sweeps=3, warm_up=3)
    assert not trained._training._batches[0].multiplier.any()
    held = settings.fit(X, y, sweeps=1, start=trained, warm_up=3)._training
    (batch,) = held._batches
    z, W = batch.membranes[-1], held.weights[-1]
    error = z[-1] - 0.95 * z[-2] - batch.spikes[-1][-1] @ W
    np.testing.assert_allclose(batch.multiplier, error, rtol=1e-9, atol=1e-12)  # rho is 1
    assert all(sweep.multiplier == 0 for sweep in trained.history)


# The network that comes out


@pytest.mark.parametrize("loss", ["squared", "hinge", "softmax"])
@pytest.mark.parametrize("classes", [2, 10])
def test_accuracy_and_loss_are_those_of_the_network(loss, classes):
    # inputs are on the grid already and weights generic: no membrane is at its threshold, and
    # sums in another order fire alike
    X, y = digits(150)
    X = np.rint(X * 2**20) / 2**20
    y = y if classes == 10 else y % 2
    names = np.array([f"digit {k}" for k in range(10)])[y]
    trained = bd.ADMMSplitting(hidden=(16, 12)).fit(X, names, loss, sweeps=6, warm_up=3)
    last, network = trained.history[-1], trained.network
    assert last.accuracy == (network.predict(X) == names).mean()
    assert 0.3 < last.accuracy <= 1
    found = find_loss(loss)
    targets, _ = encode(names, len(X), found)
    outputs = network.decision_function(X)
    expected = found.value(outputs, targets).sum() / len(X)
    assert last.simulated_loss == pytest.approx(expected, rel=1e-9)
    assert f"{last.accuracy:.1%}" in str(trained)


def test_regression_has_no_accuracy():
    X, y = digits()
    trained = bd.ADMMSplitting(hidden=(12,)).fit(X, y / 9.0, "huber", sweeps=2)
    assert trained.history[-1].accuracy is None
    assert trained.network.classes is None
    assert "right" not in str(trained)
    assert trained.network.predict(X).shape == (60,)


def test_layers_fire_above_the_threshold_and_reset_a_step_later():
    X, y = digits()
    settings = bd.ADMMSplitting(hidden=(12, 8), leak=0.5, threshold=0.3)
    trained = settings.fit(X, y, sweeps=2)
    (layers,) = trained.network.subnetworks
    for layer, weights in zip(layers, trained._training.weights, strict=False):
        assert layer.strict
        assert not layer.hard
        assert np.array_equal(layer.weights, weights)
        for part, value in ((layer.leak, 0.5), (layer.threshold, 0.3), (layer.reset, 0.3)):
            assert (part == value).all()
    assert trained.network.readout_leak == 0.5
    assert trained.network.readout == "last"


def test_a_network_of_one_step_and_one_sample_is_trained():
    rng = np.random.default_rng(0)
    trained = bd.ADMMSplitting(hidden=(3,)).fit(rng.normal(size=(1, 1, 2)), [0.5], sweeps=3)
    assert np.isfinite(trained.network.predict(np.ones((1, 1, 2)))).all()


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
@pytest.mark.parametrize("weight_norm", ["l2", "l1"])
@pytest.mark.parametrize("initial", ["simulated", "uniform"])
def test_inputs_of_zeros_get_no_weights(weight_decay, weight_norm, initial):
    if weight_norm == "l1" and weight_decay == 0:
        with pytest.raises(ValueError, match=r"^weight_decay: .* weight_norm 'l1'"):
            bd.ADMMSplitting(hidden=(3,), weight_norm="l1")
        return
    settings = bd.ADMMSplitting(
        hidden=(3, 2), weight_decay=weight_decay, weight_norm=weight_norm, initial=initial
    )
    trained = settings.fit(np.zeros((4, 3, 2)), [1.0, 2.0, 3.0, 4.0], sweeps=2)
    assert not trained._training.weights[0].any()


# Beginnings


@pytest.mark.parametrize("hidden", [(7,), (7, 7, 7), (4, 9), (9, 4)])
@pytest.mark.parametrize("threshold", [1.0, 0.3])
def test_a_simulated_beginning_obeys_all_equations(hidden, threshold):
    X, y = digits()
    settings = bd.ADMMSplitting(hidden=hidden, threshold=threshold)
    held = training(settings, X, np.eye(10)[y])
    for found, z in zip(held._sums.layers, held._batches[0].membranes, strict=True):
        # each equation is summed as it was obeyed, of four numbers
        assert found.dynamics <= (10 * EPSILON * np.abs(z).max()) ** 2 * found.count
        assert found.spikes == found.apart == 0
    spikes = held._batches[0].spikes
    assert 0.02 < spikes[0].mean() < 0.9
    for below, above in pairwise(spikes):
        alike = min(below.shape[2], above.shape[2])
        assert np.array_equal(below[:, :, :alike], above[:, :, :alike])


def test_a_simulated_beginning_fits_its_readout():
    X, y = digits()
    targets = np.where(np.eye(10)[y] > 0, 1.0, -1.0)
    held = training(bd.ADMMSplitting(hidden=(20, 9)), X, targets)
    traces = held.network().traces(X)
    rows = np.vstack([traces, np.sqrt(1e-3) * np.eye(9)])
    expected = np.linalg.lstsq(rows, np.vstack([targets, np.zeros((9, 10))]))[0]
    # by the Gram matrix, which squares the condition
    accuracy = 100 * EPSILON * np.linalg.cond(rows) ** 2
    np.testing.assert_allclose(held.weights[-1], expected, rtol=0, atol=accuracy)


def test_a_uniform_beginning_is_without_weights():
    X, y = small()
    held = training(bd.ADMMSplitting(hidden=(40, 30), initial="uniform"), X, y)
    assert not any(W.any() for W in held.weights)
    (batch,) = held._batches
    for array in (*batch.membranes, *batch.spikes):
        assert array.min() >= 0
        assert array.max() < 1
    # means of 900 numbers of variance 1/12, within five deviations
    assert np.mean(batch.spikes[1]) == pytest.approx(0.5, abs=5 * np.sqrt(1 / 12 / 900))


@pytest.mark.parametrize("initial", [*slow("simulated"), "uniform"])
def test_a_seed_gives_one_network_whatever_the_threads(initial, monkeypatch):
    monkeypatch.setattr("bidual.dictionaries.threads.threads._REGISTERS_PER_THREAD", 1)
    X, y = digits(150)
    settings = bd.ADMMSplitting(hidden=(64,), initial=initial, spikes="exact", acceleration=2)

    def fitted(threads, seed=0):
        with bd.use_threads(threads):
            return settings.fit(X, y, sweeps=3, warm_up=1, seed=seed)

    alone, other = fitted(1), fitted(1, seed=1)
    for threads in (1, 3, 8):
        again = fitted(threads)
        assert told(again.history) == told(alone.history)
        assert np.array_equal(again.network.readout_weights, alone.network.readout_weights)
    assert not np.array_equal(other.network.readout_weights, alone.network.readout_weights)


# Penalties


@pytest.mark.parametrize("initial", ["simulated", "uniform"])
def test_penalties_are_balanced_by_the_rule(initial):
    X, y = small()
    settings = bd.ADMMSplitting(
        hidden=(4, 3), rho=2.0, spike_rho=0.5, adaptive=True, initial=initial
    )
    held = training(settings, X, y)
    (batch,) = held._batches
    changes = 0
    for k in range(12):
        z_before = [z.copy() for z in batch.membranes]
        sweep = held.sweep(k > 5, "auto")
        rho, beta = list(sweep.rho), list(sweep.spike_rho)
        for layer, z in enumerate(batch.membranes):
            primal = sweep.residuals[layer] * np.sqrt(z.size)
            dual = rho[layer] * np.linalg.norm(z - z_before[layer])
            if primal > 10 * dual:
                rho[layer] *= 2
            elif dual > 10 * primal:
                rho[layer] /= 2
            if layer < 2:
                fired, firing = z_before[layer] > 1.0, z > 1.0
                primal = np.linalg.norm(batch.spikes[layer] - firing)
                dual = beta[layer] * np.sqrt((fired != firing).sum())
                if primal > 10 * dual:
                    beta[layer] = min(2 * beta[layer], 500.0)
                elif dual > 10 * primal:
                    beta[layer] /= 2
        assert held._equations.rho.tolist() == rho
        assert held._equations.spike_rho.tolist() == beta
        changes += (rho, beta) != (list(sweep.rho), list(sweep.spike_rho))
    assert changes > 2


def test_balancing_changes_penalties_and_not_the_multiplier():
    X, y = small()
    options = {"hidden": (4,), "initial": "uniform"}
    held = training(bd.ADMMSplitting(**options, adaptive=True), X, y)
    (batch,) = held._batches
    batch.multiplier[:] = np.arange(12.0).reshape(6, 2)
    for _ in range(5):
        held.sweep(False, "auto")
    assert (held._equations.rho != 1.0).any()
    assert np.array_equal(batch.multiplier, np.arange(12.0).reshape(6, 2))
    fixed = training(bd.ADMMSplitting(**options), X, y)
    for _ in range(5):
        fixed.sweep(False, "auto")
    assert (fixed._equations.rho == 1.0).all()


def test_penalties_stay_within_a_thousand_of_where_they_began():
    up = down = 3.0
    for _ in range(40):
        up, down = _balanced(up, 3.0, 1.0, 0.0), _balanced(down, 3.0, 0.0, 1.0)
    assert (up, down) == (3e3, 3e-3)
    # just at ten times nothing happens; both arguments are squares
    assert _balanced(3.0, 3.0, 100.0 * 9.0, 1.0) == 3.0
    assert _balanced(3.0, 3.0, 101.0 * 9.0, 1.0) == 6.0
    assert _balanced(3.0, 3.0, 9.0, 101.0) == 1.5
    assert _balanced(3.0, 3.0, 0.0, 0.0) == 3.0


# Anderson acceleration


def restored(training):
    """The last image, in arrays of its own."""
    image = [np.zeros_like(part) for part in training._state]
    training._anderson.restore(image)
    return image


def test_a_step_is_taken_only_where_it_does_not_raise_the_lagrangian(monkeypatch):
    X, y = digits()
    judged = []
    judge = Training._take_or_leave

    def watched(self, sums):
        before = sums.lagrangian(self._equations)
        image = restored(self)
        found, taken = judge(self, sums)
        kept = all(map(np.array_equal, self._state, image))
        judged.append((taken, before, lagrangian(self), kept))
        for spikes in self._batches[0].spikes:
            assert spikes.min() >= 0
            assert spikes.max() <= 1
        return found, taken

    monkeypatch.setattr(Training, "_take_or_leave", watched)
    settings = bd.ADMMSplitting(hidden=(12,), leak=0.9, spikes="exact", acceleration=3)
    trained = settings.fit(X, y, sweeps=25, warm_up=8)
    assert len(judged) == 24
    assert [sweep.accelerated for sweep in trained.history[1:]] == [row[0] for row in judged]
    assert {row[0] for row in judged} == {True, False}
    for taken, before, after, kept in judged:
        if taken:
            assert after <= before + 1e-12 * abs(before)
        else:
            assert kept
            assert after == pytest.approx(before, rel=1e-12)
    assert max(sweep.rise for sweep in trained.history[:8]) <= 1e-10 * before


def test_a_step_that_is_left_leaves_no_trace(monkeypatch):
    def worse(self, image):
        if not mix(self, image):
            return False
        for part in image:
            part += 100.0
        return True

    mix = Anderson.mix
    monkeypatch.setattr(Anderson, "mix", worse)
    X, y = small()
    with_it = training(bd.ADMMSplitting(hidden=(4, 3), acceleration=2), X, y)
    without = training(bd.ADMMSplitting(hidden=(4, 3)), X, y)
    for k in range(6):
        one, other = with_it.sweep(k > 2, "auto"), without.sweep(k > 2, "auto")
        assert one == other
        assert not one.accelerated
        assert all(map(np.array_equal, arrays_of(with_it), arrays_of(without)))


def test_other_penalties_make_acceleration_start_anew():
    X, y = small()
    settings = bd.ADMMSplitting(hidden=(4,), acceleration=2, adaptive=True, initial="uniform")
    held = training(settings, X, y)
    changed = 0
    for _ in range(8):
        before = held._equations
        held.sweep(False, "auto")
        if held._equations is not before:
            changed += 1
            assert not held._anderson.mix(held._state)
    assert changed


# Batches


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"spikes": "exact", "adaptive": True},
        {"acceleration": 2},
        {"initial": "uniform", "order": "jacobi"},
        *slow({"weight_decay": 0.1, "weight_norm": "l1"}),
    ],
)
def test_sweeps_over_batches_are_those_over_all(options):
    X, y = digits(50)
    y = y % 3
    settings = bd.ADMMSplitting(hidden=(12, 8), **options)
    whole = settings.fit(X, y, sweeps=4, warm_up=2)
    # sums in another order, and where lasso solves, two answers within a gap of 1e-6
    accuracy = 1e-4 if "weight_norm" in options else 1e-8
    for batch, count in ((20, 3), (49, 2), (1000, 1)):
        parts = settings.fit(X, y, sweeps=4, warm_up=2, batch=batch)
        assert len(parts._training._batches) == count
        for one, other in zip(whole.history, parts.history, strict=True):
            assert other.lagrangian == pytest.approx(one.lagrangian, rel=accuracy)
            assert other.residuals == pytest.approx(one.residuals, rel=accuracy, abs=1e-12)
            assert other.accuracy == pytest.approx(one.accuracy, abs=0.021)  # one sample
            assert other.accelerated == one.accelerated
        size = np.abs(whole.network.readout_weights).max()
        np.testing.assert_allclose(
            parts.network.readout_weights,
            whole.network.readout_weights,
            rtol=0,
            atol=10 * accuracy * size,
        )


@pytest.mark.parametrize("acceleration", [0, 2])
def test_files_of_batches_are_gone_with_the_result(acceleration, tmp_path, monkeypatch, recwarn):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    X, y = digits(30)
    settings = bd.ADMMSplitting(hidden=(5,), acceleration=acceleration)
    trained = settings.fit(X, y, sweeps=2, batch=10)
    # three batches, and with acceleration as often the weights: starts, and Anderson's of them
    state = sum(part.size for part in trained._training._state)
    batches = sum(SplitSamples.size(10, X.shape[1], (5, 10)) for _ in range(3))
    wanted = 8 * (batches + (acceleration and (2 * acceleration + 3) * state))
    for sweeps in (0, 6):
        if sweeps:
            settings.fit(X, y, sweeps=sweeps, batch=10, start=trained)
        files = [path for path in tmp_path.rglob("*") if path.is_file()]
        assert len(files) == (3 + 4 + 1 if acceleration else 3)
        assert sum(path.stat().st_size for path in files) == wanted
    network = trained.network
    del trained
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert network.predict(X).shape == (30,)
    with pytest.raises(ValueError, match=r"^X: expected finite"):
        settings.fit(np.where(np.arange(30)[:, None, None] == 29, np.nan, X), y, batch=10)
    gc.collect()
    assert list(tmp_path.iterdir()) == []
    assert not [warning for warning in recwarn if warning.category is ResourceWarning]


@pytest.mark.parametrize("acceleration", [0, 3])
@pytest.mark.slow
def test_memory_is_that_of_a_batch(acceleration):
    rng = np.random.default_rng(0)
    n, steps, batch = 400, 10, 20
    X, y = rng.normal(size=(n, steps, 8)), rng.integers(3, size=n)
    settings = bd.ADMMSplitting(hidden=(20, 20), acceleration=acceleration)

    def peak(**options):
        gc.collect()
        tracemalloc.start()
        settings.fit(X, y, sweeps=4, **options)
        found = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        return found

    peak(batch=n)  # compiles
    state = 8 * n * steps * (2 * (20 + 20) + 3)
    whole, parts = peak(), peak(batch=batch)
    # the state alone, and with acceleration five of them or more, against a few times that of a
    # batch, a twentieth, and what is there for each sample: targets, multiplier, labels
    assert whole > state * (1 + acceleration)
    assert parts < state / 2


# Going on, and stopping


OPTIONS = (
    {},
    {"adaptive": True, "acceleration": 2, "spikes": "exact"},
    {"weight_decay": 0.05, "weight_norm": "l1", "initial": "uniform"},
)


@pytest.mark.parametrize("options", [*OPTIONS[:2], *slow(OPTIONS[2])])
@pytest.mark.parametrize("batch", [None, 25])
def test_going_on_is_the_same_as_never_having_stopped(options, batch):
    X, y = digits(50)
    y = y % 3
    settings = bd.ADMMSplitting(hidden=(10,), **options)
    whole = settings.fit(X, y, sweeps=6, warm_up=3, batch=batch)
    first = settings.fit(X, y, sweeps=2, warm_up=3, batch=batch)
    weights = first.network.readout_weights.copy()
    layer = first.network.subnetworks[0][0].weights.copy()
    second = settings.fit(X, y, sweeps=4, warm_up=3, start=first)
    assert told(second.history) == told(whole.history)
    assert np.array_equal(second.network.readout_weights, whole.network.readout_weights)
    one, other = second.network.subnetworks[0][0], whole.network.subnetworks[0][0]
    assert np.array_equal(one.weights, other.weights)
    seconds = [sweep.seconds for sweep in second.history]
    assert seconds == sorted(seconds)
    # what was there stays as it was
    assert len(first.history) == 2
    assert np.array_equal(first.network.readout_weights, weights)
    assert np.array_equal(first.network.subnetworks[0][0].weights, layer)


def test_a_start_is_gone_on_from_once():
    X, y = digits(30)
    settings = bd.ADMMSplitting(hidden=(5,))
    first = settings.fit(X, y, sweeps=2)
    settings.fit(X, y, sweeps=3, start=first)
    with pytest.raises(ValueError, match=r"^start: .* already been continued by 3 sweeps"):
        settings.fit(X, y, sweeps=1, start=first)


def test_a_callback_sees_every_sweep_and_can_interrupt():
    X, y = digits(30)
    seen = []

    def third_time(sweep):
        seen.append(sweep)
        if len(seen) == 3:
            raise KeyboardInterrupt

    settings = bd.ADMMSplitting(hidden=(5,))
    trained = settings.fit(X, y, sweeps=9, callback=third_time)
    assert trained.stopped is STOPPED.INTERRUPTED
    assert trained.history == seen
    whole = settings.fit(X, y, sweeps=3, callback=None)
    assert whole.stopped is STOPPED.SWEEPS
    assert told(whole.history) == told(seen)
    assert np.array_equal(whole.network.readout_weights, trained.network.readout_weights)
    assert "interrupted" in str(trained)


@pytest.mark.parametrize("acceleration", [0, 2])
def test_an_interrupt_within_a_sweep_leaves_what_can_be_gone_on_from(acceleration, monkeypatch):
    X, y = digits(30)
    calls, relax = [], sweeps_module.relax_membranes

    def interrupted(*args):
        calls.append(args[1])
        if len(calls) == 8:  # three layers: the second one of the third sweep
            raise KeyboardInterrupt
        return relax(*args)

    monkeypatch.setattr(sweeps_module, "relax_membranes", interrupted)
    settings = bd.ADMMSplitting(hidden=(5, 4), spikes="exact", acceleration=acceleration)
    trained = settings.fit(X, y, sweeps=9)
    assert trained.stopped is STOPPED.INTERRUPTED
    assert len(trained.history) == 2
    before = lagrangian(trained._training)
    assert before != pytest.approx(trained.history[-1].lagrangian, rel=1e-6)
    further = settings.fit(X, y, sweeps=2, start=trained)
    assert len(further.history) == 4
    # the first after it is measured from where the interrupt had left
    assert further.history[2].lagrangian <= before
    assert further.history[2].rise == 0


def test_an_interrupt_before_the_first_sweep_is_passed_on(monkeypatch):
    def interrupted(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps_module, "relax_membranes", interrupted)
    X, y = digits(30)
    with pytest.raises(KeyboardInterrupt):
        bd.ADMMSplitting(hidden=(5,)).fit(X, y)


def test_an_interrupt_while_weights_are_solved_for_ends_training(monkeypatch):
    # solve() ends with its best answer then, and would let training go on
    X, y = digits(30)
    calls, solve = [], sweeps_module.solve

    def interrupted(*args, **options):
        solution = solve(*args, **options)
        calls.append(None)
        return replace(solution, status=bd.Status.INTERRUPTED) if len(calls) == 5 else solution

    monkeypatch.setattr(sweeps_module, "solve", interrupted)
    settings = bd.ADMMSplitting(hidden=(5,), weight_decay=0.1, weight_norm="l1")
    trained = settings.fit(X, y, sweeps=9)
    assert trained.stopped is STOPPED.INTERRUPTED
    assert len(trained.history) == 2


def test_time_ends_training_after_a_sweep():
    X, y = digits(30)
    trained = bd.ADMMSplitting(hidden=(5,)).fit(X, y, sweeps=50, time_limit=0.0)
    assert trained.stopped is STOPPED.TIME
    assert len(trained.history) == 1
    assert "out of time" in str(trained)


def test_any_backend_solves_for_weights():
    X, y = digits(30)
    settings = bd.ADMMSplitting(hidden=(5,), weight_decay=0.1, weight_norm="l1")
    values = [
        settings.fit(X, y, sweeps=1, backend=name).history[-1].lagrangian
        for name in ("auto", "newton", "clarabel", "admm")
    ]
    # each weight matrix within a gap of 1e-6 of its reference; membranes then follow it
    assert values == pytest.approx([values[0]] * 4, rel=1e-3)
    with pytest.raises(bd.ProgramNotAccepted, match="takes 0/1 designs only"):
        settings.fit(X, y, sweeps=1, backend="lasso")


# Readout programs


@pytest.mark.parametrize("readout_leak", [0.0, 0.95])
@pytest.mark.parametrize("loss", ["squared", "hinge", "softmax"])
def test_the_readout_is_solved_to_its_optimum(readout_leak, loss):
    X, y = digits(100)
    names = np.array([f"digit {k}" for k in range(10)])[y]
    network = bd.ADMMSplitting(hidden=(16, 12)).fit(X, names, sweeps=4).network
    network = replace(network, readout_leak=readout_leak)
    program = bd.readout_program(network, X, names, loss, strength=0.5, intercept=True)
    solution = bd.solve(program, gap=1e-6)
    assert solution.status is bd.Status.CERTIFIED
    traces = network.traces(X)
    spikes = next(network.simulate(X))[-1]
    back = readout_leak ** np.arange(7, -1, -1.0)
    expected = np.einsum("t,ntm->nm", back, spikes)
    np.testing.assert_allclose(traces, expected, rtol=8 * EPSILON)  # eight steps
    better = network.with_readout(solution.weights, solution.intercept, program.classes)
    outputs = traces @ solution.weights + solution.intercept
    size = np.abs(traces) @ np.abs(solution.weights) + np.abs(solution.intercept)
    assert (np.abs(better.decision_function(X) - outputs) <= 1e-12 * size).all()
    assert set(better.predict(X)) <= set(names)
    # no readout of the network is better: its own among them
    own = program.primal(network.readout_weights[0], network.intercept)
    assert solution.certificate.primal <= own + 1e-9 * program.reference
    kind = bd.BinaryMatrix if readout_leak == 0 else bd.DenseMatrix
    assert isinstance(program.design, kind)
    assert np.array_equal(np.asarray(program.design.matvec(np.eye(12))), traces)


def test_the_readout_of_last_spikes_has_an_exact_certificate():
    X, y = digits(40)
    trained = bd.ADMMSplitting(hidden=(8,)).fit(X, y % 2, sweeps=3)
    network = replace(trained.network, readout_leak=0.0)
    program = bd.readout_program(network, X, y % 2, "squared", strength=0.5)
    solution = bd.solve(program, gap=1e-6)
    exact = bd.certify(program, solution, exact=True)
    assert exact.absolute_gap <= 2e-6 * program.reference
    leaking = bd.readout_program(trained.network, X, y % 2, "squared", strength=0.5)
    solution = bd.solve(leaking, gap=1e-6)
    with pytest.raises(
        ValueError, match=r"^program: expected a 0/1 design .BinaryMatrix. for an exact"
    ):
        bd.certify(leaking, solution, exact=True)


def test_a_readout_of_all_subnetworks_is_stated_side_by_side():
    X, y = digits(40)
    networks = [
        bd.ADMMSplitting(hidden=(6,)).fit(X, y, sweeps=2, seed=seed).network for seed in (0, 1)
    ]
    merged = networks[0].merge(networks[1])
    program = bd.readout_program(merged, X, y, strength=0.1, row_weights=np.arange(1.0, 41.0))
    assert program.design.shape == (40, 12)
    both = np.hstack([network.traces(X) for network in networks])
    assert np.array_equal(merged.traces(X), both)
    assert np.array_equal(program.row_weights.ravel(), np.arange(1.0, 41.0))


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"network": "every"}, "network: expected one with readout 'last'"),
        ({"X": np.zeros((40, 8, 3))}, "X: expected 8 inputs"),
        ({"X": np.full((40, 8, 8), np.nan)}, "X: expected finite"),
        ({"y": np.arange(39)}, "y: expected shape"),
        ({"y": np.zeros(40, dtype=int)}, "y: expected at least two classes"),
        ({"loss": "cubic"}, "loss: expected"),
        ({"strength": -1.0}, "strength: expected"),
        ({"row_weights": np.ones(3)}, "row_weights: expected"),
        ({"penalty": "l7"}, "penalty: expected"),
    ],
)
def test_programs_of_no_readout_are_refused_by_name(change, named):
    X, y = digits(40)
    network = bd.ADMMSplitting(hidden=(6,)).fit(X, y, sweeps=1).network
    options = {"network": network, "X": X, "y": y, **change}
    if isinstance(options["network"], str):
        options["network"] = replace(network, readout=options["network"])
    with pytest.raises(ValueError, match=f"^{named}"):
        bd.readout_program(**options)


# Bad input


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("hidden", [(), (0,), (2.5,), 3, None, (True,)]),
        ("leak", [-0.1, 1.1, np.nan, "0.9", True, None]),
        ("threshold", [0.0, -1.0, np.inf, np.nan, "1"]),
        ("rho", [0.0, -1.0, np.inf, np.nan, True]),
        ("spike_rho", [0.0, -1.0, np.inf, np.nan, [0.1]]),
        ("weight_decay", [-1e-9, np.inf, np.nan, None]),
        ("weight_norm", ["l3", None, 1, ["l2"]]),
        ("initial", ["zeros", None, True]),
        ("order", ["random", None]),
        ("spikes", ["binary", None]),
        ("adaptive", [1, None, "yes"]),
        ("acceleration", [-1, 1.0, True, None, "2"]),
    ],
)
def test_settings_out_of_range_are_refused_by_name(name, values):
    for value in values:
        with pytest.raises(ValueError, match=rf"^{name}: expected .*got"):
            bd.ADMMSplitting(**{"hidden": (3,), name: value})
    assert bd.ADMMSplitting(hidden=[np.int64(3)], leak=np.float32(1), rho=2).hidden == (3,)


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("X", [np.zeros((30, 8)), np.zeros(3), None, [[[0.0]], [[0.0, 1.0]]], "X"]),
        ("X", [np.zeros((30, 0, 8)), np.zeros((30, 8, 0))]),
        ("X", [np.full((30, 8, 8), v) for v in (np.nan, np.inf, 1e200, 1j)]),
        ("X", [np.full((30, 8, 8), "a")]),
        ("y", [np.arange(29), np.zeros(30, dtype=int), None, np.full(30, np.nan), [["a"]] * 30]),
        ("loss", ["cubic", None, 3]),
        ("sweeps", [0, -1, 2.0, True, None]),
        ("warm_up", [-1, 2.0, True, None]),
        ("batch", [0, -1, 2.0, True, "5"]),
        ("seed", [-1, 0.0, True, None, 2**64]),
        ("backend", ["best", None, 3, ["auto"]]),
        ("time_limit", [-1.0, np.nan, None, "1"]),
        ("start", ["before", 3, {}]),
        ("callback", [3, "print"]),
    ],
)
def test_arguments_out_of_range_are_refused_before_any_work(name, values, monkeypatch):
    def work(*args):
        raise AssertionError("worked")

    monkeypatch.setattr(Training, "sweep", work)
    X, y = digits(30)
    for value in values:
        for batch in (None, 7):
            options = {"X": X, "y": y, "batch": batch, name: value}
            with pytest.raises(ValueError, match=rf"^{name}: .*expected|^{name}: "):
                bd.ADMMSplitting(hidden=(3,)).fit(**options)


def test_targets_that_a_loss_does_not_take_are_refused():
    X, _ = digits(30)
    for loss, y in (("hinge", np.arange(30.0)), ("softmax", np.ones((30, 2)))):
        with pytest.raises(ValueError, match=r"^y: "):
            bd.ADMMSplitting(hidden=(3,)).fit(X, y, loss)


def test_a_start_of_other_data_or_settings_is_refused():
    X, y = digits(30)
    settings = bd.ADMMSplitting(hidden=(3,))
    first = settings.fit(X, y, sweeps=1)
    for changed, arguments, what in (
        (bd.ADMMSplitting(hidden=(4,)), (X, y), "settings"),
        (bd.ADMMSplitting(hidden=(3,), rho=2.0), (X, y), "settings"),
        (settings, (X[:, :5], y), "shape of X"),
        (settings, (X[:20], y[:20]), "shape of X"),
        (settings, (X[::-1], y), "X"),
        (settings, (X, y[::-1]), "y"),
        (settings, (X, np.array(list("abcdefghij"))[y]), "y"),
        (settings, (X, y, "hinge"), "loss"),
    ):
        with pytest.raises(
            ValueError, match=rf"^start: expected a result with the same {what}, got"
        ):
            changed.fit(*arguments, sweeps=1, start=first)
    assert len(settings.fit(X, y, sweeps=1, start=first).history) == 2


def test_the_simulated_start_fires_alike_whatever_the_scale_of_the_inputs():
    X, y = digits(30)
    rates = [
        bd.ADMMSplitting(hidden=(8,)).fit(X * scale, y, sweeps=1).network.rates(X * scale)[0]
        for scale in (1.0, 2.0**-7)
    ]
    assert rates[0].mean() > 0.01
    # the first weights are fitted anew in that sweep, to what explains the membranes exactly
    np.testing.assert_allclose(rates[1], rates[0], rtol=0, atol=0.01)


def test_a_mixture_that_is_not_judged_does_not_stay(monkeypatch):
    X, y = digits(30)
    settings = bd.ADMMSplitting(hidden=(5,), acceleration=2)
    calls, real = [], Training._measured

    def interrupted(training):
        calls.append(1)
        if len(calls) == 3:  # the first is at the start, then a sweep each from the second on
            raise KeyboardInterrupt
        return real(training)

    monkeypatch.setattr(Training, "_measured", interrupted)
    stopped = settings.fit(X, y, sweeps=9)
    monkeypatch.undo()
    assert stopped.stopped is bd.SplittingStopReason.INTERRUPTED
    training = stopped._training
    assert all(map(np.array_equal, training._state, restored(training)))


def test_readout_programs_are_of_networks():
    X, y = digits(10)
    with pytest.raises(TypeError, match=r"^network: expected a Network, got NoneType"):
        bd.readout_program(None, X, y)


def test_no_samples_are_refused_by_the_name_of_x():
    X, y = digits(10)
    with pytest.raises(ValueError, match=r"^X: expected at least one entry, got shape \(0, 8, 8\)"):
        bd.ADMMSplitting(hidden=(3,)).fit(X[:0], y[:0])
