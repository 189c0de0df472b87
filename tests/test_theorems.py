"""The theorems of the papers, each on networks and programs that are small enough to hold it to.

Ergen, Gulluk, Lacotte and Pilanci (ICLR 2023) have threshold networks; Udupi, Yang and Zhai
(2026) recurrent and LIF ones. Tests are named after what they hold; Ergen's Theorem 2.3, the closed
form, is held in ``test_complete_arrangement.py``, and widths (Caratheodory) in ``test_prune.py``.
"""

from dataclasses import replace
from functools import cache
from itertools import combinations_with_replacement, product
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import linprog
from scipy.spatial import ConvexHull

import bidual as bd
from bidual.formulations import Feedforward, Recurrent
from bidual.formulations.classes.primal import scale_hidden, scale_layer
from bidual.networks import RecurrentNetwork, SpikingNetwork, ThresholdNetwork

from covering import examples

GRID = 64  # weights of random networks are multiples of 1/64, so that all sums are exact
POINTS = np.array([[-3, 1], [-1, -2], [0, 2], [2, 2], [3, -1]]) / 2
STRINGS = bd.tasks.first_last_xor(steps=3)[0]
SHORT = np.array([[[1, 0], [0, 1]], [[1, 1], [-1, 0]], [[-1, 1], [1, 1]]]) / 1.0

# each class: the network it rebuilds, its inputs, a formulation of final width m, and whether
# it can be read at every step. A new class joins here.
CASES = {
    "feedforward": (
        ThresholdNetwork,
        POINTS,
        lambda m, **kw: Feedforward((m,), bias=True, **kw),
        False,
    ),
    "feedforward, two layers": (
        ThresholdNetwork,
        POINTS[:4],
        lambda m, **kw: Feedforward((2, m), **kw),
        False,
    ),
    "recurrent": (RecurrentNetwork, SHORT, lambda m, **kw: Recurrent((m,), **kw), True),
    "recurrent, two layers": (
        RecurrentNetwork,
        SHORT[:2],
        lambda m, **kw: Recurrent((1, m), **kw),
        True,
    ),
    "lif": (SpikingNetwork, STRINGS, lambda m, **kw: bd.LIF((m,), leak=0.5, **kw), True),
    "lif, reset in step": (
        SpikingNetwork,
        STRINGS,
        lambda m, **kw: bd.LIF((m,), leak=0.75, reset="immediate", **kw),
        True,
    ),
}
ALL = [(name, "last") for name in CASES] + [(name, "every") for name in CASES if CASES[name][3]]
GAUGES = ("subnetwork", "neuron")
NORMS = (1.0, 1.5, 2.0, np.inf)

on_every_class = pytest.mark.parametrize(("name", "readout"), ALL)
on_both_gauges = pytest.mark.parametrize("gauge", GAUGES)


def formulation(name, m=3, p=2.0, gauge="subnetwork", readout="last"):
    make = CASES[name][2]
    return make(m, p=p, gauge=gauge, **({"readout": readout} if CASES[name][3] else {}))


@cache
def complete(name, m=3, gauge="subnetwork", readout="last"):
    return formulation(name, m, 2.0, gauge, readout).complete(CASES[name][1])


def rows(dictionary):
    return dictionary.atoms.shape[0]


def targets(loss, n, outputs, seed):
    """Targets that the loss takes, in the order of y: samples first."""
    z = np.random.default_rng(seed).normal(size=(*n, outputs))
    if loss == "softmax":
        return np.eye(outputs)[z.argmax(axis=-1)]
    if bd.LOSSES[loss].labels:
        y = np.where(z > 0, 1.0, -1.0)
        y[0], y[-1] = 1.0, -1.0
        return y
    return z


def y_of(name, readout, loss, outputs, seed=0):
    X = CASES[name][1]
    return targets(loss, X.shape[:1] if readout == "last" else X.shape[:2], outputs, seed)


def on_grid(values):
    return np.rint(values * GRID) / GRID


def random_network(name, m, gauge, readout, outputs, seed, subnetworks=3, size=0.3):
    """A network of the class whose hidden weights come from nowhere near the dictionary."""
    network_class, X, _, _ = CASES[name]
    lif = formulation(name, m, 2.0, gauge, readout)
    rng = np.random.default_rng(seed)

    def layer(fan_in, width, depth):
        weights = on_grid(rng.normal(size=(fan_in, width)))
        if network_class is SpikingNetwork:
            return bd.Layer.build(2 * weights, lif.leak, lif.threshold, lif.reset)
        bias = on_grid(rng.normal(size=width)) if depth == 0 and lif.__dict__.get("bias") else 0.0
        recurrent = None
        if network_class is RecurrentNetwork:
            recurrent = on_grid(rng.normal(size=(width, width)))
            if gauge == "subnetwork" and depth == len(lif.hidden) - 1:
                recurrent = np.diag(np.diag(recurrent))
        return bd.Layer.build(weights, 0.0, 0.0, 0.0, bias, recurrent)

    fan_ins = (X.shape[-1], *lif.hidden[:-1])
    return network_class(
        [
            [layer(*shape, k) for k, shape in enumerate(zip(fan_ins, lif.hidden, strict=True))]
            for _ in range(subnetworks)
        ],
        X.shape[-1],
        lif.hidden,
        size * rng.normal(size=(subnetworks, m, outputs)),
        np.zeros(outputs),
        readout,
        None,
    )


def columns(dictionary):
    return {column.tobytes() for column in dictionary.atoms.to_dense(np.uint8).T}


@on_every_class
@on_both_gauges
def test_the_dictionary_is_complete_no_network_of_the_class_fires_another_pattern(
    name, readout, gauge
):
    held = columns(complete(name, 2, gauge, readout))
    X = CASES[name][1]
    fired = set()
    for seed in range(100):
        network = random_network(name, 2, gauge, readout, 1, seed)
        for *_, spikes in network.simulate(X):
            final = spikes.reshape(len(X), -1, 2)  # threshold networks have no steps
            final = final if readout == "every" else final[:, -1:]
            stacked = final.transpose(2, 1, 0).reshape(2, -1)
            fired |= {neuron.tobytes() for neuron in stacked if neuron.any()}
    assert fired <= held
    assert len(fired) > 2


def test_ergen_lemma_3_3_two_units_below_reach_all_patterns_of_their_example():
    X = [[-1, 1], [0, 1], [1, 1]]
    assert Feedforward((1,)).complete(X).atoms.shape == (3, 5)  # 6 with the zero
    assert Feedforward((2, 1)).complete(X).atoms.shape == (3, 7)  # 8: all of {0, 1}^3


# rows of POINTS, and how wide a first layer has to be for a second one to reach every pattern
WIDE = {(3, False): 2, (4, False): 3, (5, False): 3, (3, True): 1, (4, True): 2, (5, True): 2}
on_wide_layers = pytest.mark.parametrize(("n", "bias"), WIDE)


@on_wide_layers
def test_ergen_lemma_3_3_layers_of_about_the_root_of_n_units_reach_all_patterns(n, bias):
    width = WIDE[n, bias]
    assert width <= 1.5 * np.sqrt(n)
    for m in range(1, 4):
        found = Feedforward((m, 1), bias=bias).complete(POINTS[:n]).atoms.shape[1]
        assert (found == 2**n - 1) == (m >= width)


@on_wide_layers
@pytest.mark.parametrize("loss", ["squared", "absolute", "hinge", "logistic"])
def test_ergen_corollary_3_4_depth_that_reaches_all_patterns_trains_by_the_closed_form(
    n, bias, loss
):
    X, deep = POINTS[:n], Feedforward((WIDE[n, bias], 1), bias=bias, gauge="neuron")
    atoms = deep.complete(X)
    y = targets(loss, (n,), 1, seed=n)[:, 0]
    for share in (0.05, 0.4):
        strength = share * deep.program(atoms, y, loss, strength=0.0).lambda_max
        program = deep.program(atoms, y, loss, beta=strength)
        closed = bd.complete_arrangement(y, loss, strength)
        solution = bd.solve(program, gap=1e-10)
        room = 1e-10 * program.reference
        assert abs(solution.certificate.primal - closed.objective) <= room
        # its network of at most n + 2 neurons is one of the class, with that objective
        place = {column.tobytes(): j for j, column in enumerate(atoms.atoms.words)}
        W = np.zeros((len(place), 1))
        W[[place[column.tobytes()] for column in closed.patterns.words]] = closed.weights
        network = deep.network(atoms, Answer(program, W, np.zeros(1)))
        assert len(network.subnetworks) <= n + 2
        found = deep.primal(X, y, loss, beta=strength).reduced(network)
        assert found == pytest.approx(closed.objective, abs=1e-13 * program.reference)


def cover(n, rank):
    """Most patterns of n rows of a rank, where no two of them have to be 0 together."""
    return 2 * sum(comb(n - 1, k) for k in range(rank))


@pytest.mark.parametrize("n", [3, 4, 5])
@pytest.mark.parametrize("m", [1, 2, 3])
def test_ergen_lemma_3_5_no_more_patterns_than_subsets_of_patterns_allow(n, m):
    with_ones = np.c_[POINTS[:n], np.ones(n)]
    first = bd.count_threshold_patterns(with_ones)
    assert first <= cover(n, np.linalg.matrix_rank(with_ones)) <= 2 * (np.e * (n - 1) / 2) ** 3
    second = Feedforward((m, 1), bias=True).complete(POINTS[:n]).atoms.shape[1] + 1
    # a second layer sees m columns of the first, each of which it can do without
    assert second <= min(comb(first, m) * cover(n, m), 2**n)


@pytest.mark.parametrize("seed", range(5))
def test_ergen_proposition_2_4_the_least_weights_that_interpolate_are_a_gauge_of_the_patterns(seed):
    atoms = complete("feedforward", gauge="neuron")
    D = atoms.atoms.to_dense()
    n, P = D.shape
    y = np.random.default_rng(seed).normal(size=n)
    # the least t with y in t Conv{+-d_j}: the facets of the hull, u x <= 1, are found by geometry
    hull = ConvexHull(np.c_[D, -D].T)
    facets = hull.equations[:, :-1] / -hull.equations[:, -1:]
    largest_price = facets[(facets @ y).argmax()]
    gauge = largest_price @ y
    assert np.abs(D.T @ facets.T).max() == pytest.approx(1.0, rel=1e-12)  # they do enclose it
    least = linprog(np.ones(2 * P), A_eq=np.c_[D, -D], b_eq=y)  # min |w|_1 with D w = y
    assert least.fun == pytest.approx(gauge, rel=1e-9)
    # the programs come to it as beta falls: at V = beta u the dual is beta gauge - |beta u|^2 / 2,
    # and the least weights that interpolate cost beta gauge
    ergen = formulation("feedforward", gauge="neuron")
    for beta in (1e-1, 1e-2, 1e-3):
        program = ergen.program(atoms, y, beta=beta, row_weights=np.ones(n))
        solution = bd.solve(program, gap=1e-12)
        room = 1e-12 * program.reference
        below = beta * gauge - 0.5 * beta**2 * (largest_price @ largest_price)
        assert below - room <= solution.certificate.primal <= beta * gauge + room
        network = ergen.network(atoms, solution)
        left = network.predict(POINTS) - y
        # the residual V is best in y V - |V|^2 / 2, and in y V alone beta u is: V is no longer
        assert np.linalg.norm(left) <= beta * np.linalg.norm(largest_price) + np.sqrt(2 * room)
        assert abs(network.readout_weights).sum() <= gauge * (1 + 1e-9) + room / beta


def dual_norm(p):
    return {1.0: np.inf, 1.5: 3.0, 2.0: 2.0, np.inf: 1.0}[p]


@pytest.mark.parametrize(("p", "outputs"), [*((p, 1) for p in NORMS), (1.0, 2), (2.0, 2)])
@pytest.mark.parametrize("m", [1, 2, 3])
@on_both_gauges
def test_udupi_theorem_3_4_the_supremum_over_subnetworks_has_the_best_column_m_times(
    p, m, gauge, outputs
):
    name, q = "feedforward, two layers", dual_norm(p)
    atoms = complete(name)
    dense = np.c_[np.zeros(rows(atoms)), atoms.atoms.to_dense()].T
    dual = formulation(name, m, p, gauge).dual(
        atoms, y_of(name, "last", "squared", outputs), beta=0.1
    )
    for seed in range(3):
        V = np.random.default_rng(seed).normal(size=(rows(atoms), outputs))
        sup = 0.0
        for chosen in combinations_with_replacement(range(len(dense)), m):
            price = dense[list(chosen)] @ V  # Phi'V, of m final neurons
            if gauge == "subnetwork":
                sup = max(sup, np.linalg.norm(price.ravel(), ord=q))
            else:
                sup = max(sup, np.linalg.norm(price, ord=q, axis=1).max())
        assert dual.at(V).price == pytest.approx(sup, rel=1e-13)
    assert dual.beta == pytest.approx(0.1, rel=1e-15)


@on_every_class
@on_both_gauges
@examples(25)
@given(
    p=st.sampled_from(NORMS),
    m=st.sampled_from([1, 2, 3]),
    outputs=st.sampled_from([1, 2]),
    loss=st.sampled_from(list(bd.LOSSES)),
    intercept=st.booleans(),
    apart=st.booleans(),
    beta=st.sampled_from([0.0, 0.01, 0.1, 1.0]),
    size=st.sampled_from([0.01, 0.3, 3.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_weak_duality_of_any_network_and_any_feasible_dual_point(
    name, readout, gauge, p, m, outputs, loss, intercept, apart, beta, size, seed
):
    outputs = 2 if loss == "softmax" else outputs
    # p = 1 and 2 have a norm of several outputs; all have subnetworks of each output's own
    options = {"penalty": "l1"} if apart or p not in (1.0, 2.0) else {}
    y = y_of(name, readout, loss, outputs, seed)
    lif = formulation(name, m, p, gauge, readout)
    options |= {"beta": beta, "intercept": intercept}
    training = lif.primal(CASES[name][1], y, loss, **options)
    dual = lif.dual(complete(name, m, gauge, readout), y, loss, **options)
    rng = np.random.default_rng(seed)
    network = random_network(name, m, gauge, readout, outputs, seed, size=size)
    if intercept:
        network = replace(network, intercept=rng.normal(size=outputs))
    # dual points of fits, which may be near the best, and others
    fit = size * rng.normal(size=dual.program.target.shape)
    for V in (dual.program.dual_at(fit), rng.normal(size=fit.shape)):
        point = dual.at(dual.make_feasible(V))
        assert point.feasible
        assert point.price <= beta * (1 + 1e-12)
        value = training.reduced(network)
        # rounding is relative to the terms, which are no larger than value and point together
        assert value >= point.value - 1e-12 * (abs(value) + abs(point.value))
        assert training.full(network, 0.25) >= value


@pytest.mark.parametrize("loss", ["squared", "hinge", "softmax"])
@pytest.mark.parametrize("p", NORMS)
@on_both_gauges
@on_every_class
def test_the_reduced_objective_of_the_rebuild_is_the_primal_value(name, readout, gauge, p, loss):
    X = CASES[name][1]
    for m, outputs, penalty in product((1, 4), (1, 3), (None, "l1")):
        if outputs == 1 and (loss == "softmax" or penalty):
            continue
        if outputs > 1 and penalty is None and p not in (1.0, 2.0):
            continue
        lif = formulation(name, m, p, gauge, readout)
        y = y_of(name, readout, loss, outputs)
        options = {"beta": 0.3, "intercept": True, "penalty": penalty}
        for dictionary in (lif.sample(X, 6, seed=1), complete(name, m, gauge, readout)):
            program = lif.program(dictionary, y, loss, **options)
            rng = np.random.default_rng(m)
            shape = (dictionary.atoms.shape[1], outputs)
            W = rng.normal(size=shape) * (rng.random(shape) < min(1.0, 20 / shape[0]))
            b = rng.normal(size=outputs)
            network = lif.network(dictionary, Answer(program, W, b))
            assert network.hidden == lif.hidden
            assert isinstance(network, CASES[name][0])
            found = lif.primal(X, y, loss, **options).reduced(network)
            assert found == pytest.approx(program.primal(W, b), rel=1e-12, abs=0)


class Answer:
    """What a network is rebuilt of."""

    def __init__(self, program, weights, intercept):
        self.program, self.weights, self.intercept = program, weights, intercept


def hidden_decay(network, p):
    """Sum over hidden neurons of ||all that comes in and bears its scale||_p squared."""
    total = 0.0
    for layers in network.subnetworks:
        for layer in layers:
            for i in range(layer.width):
                parts = [*layer.weights[:, i], layer.bias[i], layer.threshold[i], layer.reset[i]]
                parts += [] if layer.recurrent is None else [*layer.recurrent[:, i]]
                sizes = np.abs(parts)
                total += (sizes.max() if np.isinf(p) else (sizes**p).sum() ** (1 / p)) ** 2
    return total


@pytest.mark.parametrize("p", NORMS)
@on_both_gauges
@on_every_class
def test_ergen_lemma_2_1_weight_decay_tends_to_the_reduced_objective(name, readout, gauge, p):
    lif = formulation(name, 3, p, gauge, readout)
    y, beta = y_of(name, readout, "logistic", 1), 0.7
    training = lif.primal(CASES[name][1], y, "logistic", beta=beta)
    network = random_network(name, 3, gauge, readout, 1, seed=5)
    reduced, hidden = training.reduced(network), hidden_decay(network, p)
    for scale in (1.0, 2.0**-4, 2.0**-8):
        excess = training.full(network, scale) - reduced
        # the difference loses what rounding of the values takes
        expected = 0.5 * beta * scale**2 * hidden
        assert excess == pytest.approx(expected, rel=1e-12, abs=1e-14 * reduced)
    assert training.full(network, 2.0**-30) == pytest.approx(reduced, rel=1e-15)


@pytest.mark.parametrize("p", NORMS)
@on_both_gauges
def test_ergen_lemma_2_1_no_split_into_weights_and_amplitudes_costs_less(p, gauge):
    name = "lif"
    training = formulation(name, 3, p, gauge).primal(
        STRINGS, y_of(name, "last", "squared", 1), beta=1.0
    )
    network = random_network(name, 3, gauge, "last", 1, seed=6)
    readout = network.readout_weights[..., 0]
    reduced = training.reduced(network) - training.data_loss(network)
    best = np.inf
    for amplitude in np.geomspace(1e-2, 1e2, 2001):
        weights = readout / amplitude
        if gauge == "subnetwork":
            each = np.linalg.norm(weights, ord=p, axis=1) ** 2 + amplitude**2
        else:
            each = weights**2 + amplitude**2
        best = np.minimum(best, 0.5 * each)
    assert (best >= training.norms(network).reshape(best.shape) * (1 - 1e-14)).all()
    # a grid of ratio 1.0046 misses the least of x + 1/x by 1e-5 relative at most
    assert best.sum() == pytest.approx(reduced, rel=1e-5)


class Deep:
    """Subnetworks of Ergen's (10) with two hidden layers and one neuron in the last, by hand.

    Neurons are amplitude times 1[. >= 0]: f = sum_k s2_k 1[(s1_k 1[X W1_k >= 0]) w2_k >= 0] w3_k.
    """

    def __init__(self, W1, s1, w2, s2, w3):
        self.W1, self.s1, self.w2, self.s2, self.w3 = W1, s1, w2, s2, w3

    def outputs(self, X):
        total = np.zeros(len(X))
        for W1, s1, w2, s2, w3 in zip(self.W1, self.s1, self.w2, self.s2, self.w3, strict=True):
            inner = s1 * (X @ W1 >= 0)
            total += s2 * (inner @ w2 >= 0) * w3
        return total

    def hidden_decay(self):
        return 0.5 * sum((part**2).sum() for part in (self.W1, self.s1, self.w2))

    def decay(self):
        return self.hidden_decay() + 0.5 * (self.s2**2 + self.w3**2).sum()

    def rescaled(self, scale):
        """Hidden parameters times a scale, and outer ones of the same size."""
        c = self.s2 * self.w3
        root = np.sqrt(np.abs(c))
        hidden = (scale * part for part in (self.W1, self.s1, self.w2))
        return Deep(*hidden, root, np.sign(c) * root)

    def network(self):
        """The same as a network, whose amplitudes are in the weights behind them."""
        units = [
            [
                bd.Layer.build(W1, 0.0, 0.0, 0.0),
                bd.Layer.build((s1 * w2)[:, None], 0.0, 0.0, 0.0),
            ]
            for W1, s1, w2 in zip(self.W1, self.s1, self.w2, strict=True)
        ]
        c = (self.s2 * self.w3)[:, None, None]
        return ThresholdNetwork(units, 2, (2, 1), c, np.zeros(1), "last", None)


@cache
def deep_training(beta):
    """A class, points, targets, the problem and the optimum of its program."""
    X, deep = CASES["feedforward, two layers"][1], Feedforward((2, 1), gauge="neuron")
    y = y_of("feedforward, two layers", "last", "squared", 1)[:, 0]
    atoms = deep.complete(X)
    solution = bd.solve(deep.program(atoms, y, beta=beta), gap=1e-12)
    return X, y, deep.primal(X, y, beta=beta), deep.network(atoms, solution), solution.certificate


@examples(50)
@given(
    beta=st.sampled_from([0.01, 0.1]),
    size=st.sampled_from([0.1, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_ergen_lemma_3_1_weight_decay_of_several_layers_comes_to_the_last_weights(beta, size, seed):
    X, y, training, _, optimum = deep_training(beta)
    rng = np.random.default_rng(seed)
    hidden = (on_grid(rng.normal(size=shape)) for shape in ((3, 2, 2), (3, 2), (3, 2)))
    deep = Deep(*hidden, *(size * rng.normal(size=(2, 3))))

    def loss(network):
        return 0.5 * np.mean((network.outputs(X) - y) ** 2)

    c = deep.s2 * deep.w3
    reduced = loss(deep) + beta * np.abs(c).sum()
    assert training.reduced(deep.network()) == pytest.approx(reduced, rel=1e-13)
    # (s^2 + w^2) / 2 >= |s w|: no network has a full objective below its reduced one, nor below
    # the optimum of the program
    assert loss(deep) + beta * deep.decay() >= reduced
    assert reduced >= optimum.dual * (1 - 1e-12)
    for scale in (1.0, 2.0**-4, 2.0**-8):
        scaled = deep.rescaled(scale)
        assert np.allclose(scaled.outputs(X), deep.outputs(X), rtol=0, atol=1e-14 * np.abs(c).sum())
        # what is left above the reduced objective is the decay of hidden parameters, as scale^2
        assert scaled.decay() == pytest.approx(
            np.abs(c).sum() + scale**2 * deep.hidden_decay(), rel=1e-13
        )


@pytest.mark.parametrize("beta", [0.01, 0.1])
def test_ergen_lemma_3_1_the_infimum_of_weight_decay_of_several_layers_is_the_program_s(beta):
    X, y, _, network, optimum = deep_training(beta)
    W1, w2 = (np.array([layers[k].weights for layers in network.subnetworks]) for k in range(2))
    c = network.readout_weights[:, 0, 0]
    best = Deep(W1, np.ones(w2.shape[:2]), w2[:, :, 0], np.ones(len(c)), c)
    assert len(c) > 0
    for scale in (2.0**-10, 2.0**-30):
        scaled = best.rescaled(scale)
        value = 0.5 * np.mean((scaled.outputs(X) - y) ** 2) + beta * scaled.decay()
        above = beta * scale**2 * best.hidden_decay()
        assert value == pytest.approx(optimum.primal + above, rel=1e-12)
    assert optimum.relative_gap <= 1e-12


@pytest.mark.parametrize("reset", ["delayed", "immediate", "hard", 0.25])
@examples(20)
@given(seed=st.integers(0, 2**32 - 1), exponents=st.lists(st.integers(-8, 8), min_size=6))
def test_udupi_lemma_3_5_membrane_rescaling_leaves_spikes_as_they_were(reset, seed, exponents):
    lif = bd.LIF((5, 6), leak=(0.3, 0.99), threshold=(0.5, 1.5), reset=reset)
    X = bd.tasks.digits()[0][:20]
    bank = bd.SampledWitnesses(8, lif.hidden, 1, seed, lif.neuron)
    layers = bank.layers(0)
    scales = [2.0 ** np.resize(exponents, layer.width) for layer in layers]
    scaled = [scale_layer(layer, a) for layer, a in zip(layers, scales, strict=True)]
    networks = [
        SpikingNetwork([each], 8, lif.hidden, np.ones((1, 6, 1)), np.zeros(1), "every", None)
        for each in (layers, scaled)
    ]
    before, after = (next(network.simulate(X)) for network in networks)
    for spikes, same in zip(before, after, strict=True):
        assert np.array_equal(spikes, same)
    before, after = (next(network.membranes(X)) for network in networks)
    for u, v, a in zip(before, after, scales, strict=True):
        assert np.array_equal(u * a, v)  # V A, bit for bit
    for layer, other in zip(layers, scaled, strict=True):
        assert np.array_equal(layer.leak, other.leak)  # not scale-bearing


@on_every_class
@on_both_gauges
def test_spikes_of_scaled_hidden_neurons_are_the_same(name, readout, gauge):
    network = random_network(name, 3, gauge, readout, 1, seed=9)
    X = CASES[name][1]
    for scale in (0.5, 2.0**-20):
        for before, after in zip(
            network.simulate(X), scale_hidden(network, scale).simulate(X), strict=True
        ):
            for spikes, same in zip(before, after, strict=True):
                assert np.array_equal(spikes, same)


def check_strong_duality(name, readout, gauge, p, loss, outputs, share=0.2, m=3, **options):
    """The rebuilt network's objective and the dual's value at a feasible V are the same."""
    lif = formulation(name, m, p, gauge, readout)
    dictionary = complete(name, m, gauge, readout)
    y = y_of(name, readout, loss, outputs, seed=2)
    start = lif.program(dictionary, y, loss, strength=0.0, **options)
    beta = share * start.lambda_max / lif.strength(1.0)
    program = lif.program(dictionary, y, loss, beta=beta, **options)
    solution = bd.solve(program, gap=1e-9, time_limit=600)
    training = lif.primal(CASES[name][1], y, loss, beta=beta, **options)
    point = lif.dual(dictionary, y, loss, beta=beta, **options).at(solution.dual_point)
    best = training.reduced(lif.network(dictionary, solution))
    assert point.feasible
    assert solution.active.size > 0
    assert abs(best - point.value) <= 1e-9 * program.reference
    for seed in range(20):
        network = random_network(name, m, gauge, readout, outputs, seed)
        assert training.reduced(network) > point.value


@pytest.mark.parametrize("p", NORMS)
@on_both_gauges
def test_ergen_theorem_2_2_one_hidden_layer(p, gauge):
    check_strong_duality("feedforward", "last", gauge, p, "squared", 1)


@pytest.mark.parametrize("p", NORMS)
@on_both_gauges
def test_ergen_theorem_3_2_several_hidden_layers(p, gauge):
    check_strong_duality("feedforward, two layers", "last", gauge, p, "squared", 1)


@pytest.mark.parametrize("loss", bd.LOSSES)
def test_ergen_corollary_4_1_any_convex_loss(loss):
    check_strong_duality("feedforward", "last", "neuron", 2.0, loss, 2, penalty="l1")


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("name", ["recurrent", "recurrent, two layers"])
@on_both_gauges
def test_udupi_theorem_3_4_recurrent_networks(name, p, gauge):
    check_strong_duality(name, "last", gauge, p, "squared", 1)


@pytest.mark.parametrize("p", NORMS)
@pytest.mark.parametrize("name", ["lif", "lif, reset in step"])
@on_both_gauges
def test_udupi_theorem_3_6_lif_networks(name, p, gauge):
    check_strong_duality(name, "last", gauge, p, "hinge", 1)


@pytest.mark.parametrize("name", [name for name, readout in ALL if readout == "every"])
@on_both_gauges
def test_udupi_per_timestep_supervision(name, gauge):
    check_strong_duality(name, "every", gauge, 2.0, "squared", 1, step_weights="ramp")


@pytest.mark.parametrize(("p", "penalty"), [(1.0, "l1"), (2.0, "group")])
@pytest.mark.parametrize("name", ["feedforward", "recurrent", "lif"])
@on_both_gauges
def test_udupi_several_outputs(name, p, penalty, gauge):
    lif = formulation(name, 3, p, gauge)
    assert lif.penalty(2).name == penalty
    check_strong_duality(name, "last", gauge, p, "squared", 2)


def test_udupi_theorem_3_4_with_a_full_last_recurrence_has_neurons_without_copies():
    # Two final neurons with the same trajectory each hear it twice, that is once with the sum
    # of both weights: each fires what a neuron that hears itself alone can fire. So a trajectory
    # that no such neuron has, has no copies; strength beta / m**(1/q) would charge it too little.
    alone = columns(complete("recurrent", 2, "subnetwork", "every"))
    together = columns(complete("recurrent", 2, "neuron", "every"))
    assert alone < together
