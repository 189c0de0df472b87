"""A network fires as its recurrence says, and computes and costs what its program does."""

import collections
import dataclasses
import tracemalloc
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.dictionaries import check_sequences, smallest_margins
from bidual.networks import RecurrentNetwork, ThresholdNetwork

from covering import examples

# Each network class with the formulation that samples its dictionaries. A new class joins here.
NETWORKS = {
    "spiking, two layers": (bd.SpikingNetwork, lambda **kw: bd.LIF(hidden=(12, 6), **kw)),
    "spiking, one layer": (bd.SpikingNetwork, lambda **kw: bd.LIF(hidden=(5,), **kw)),
    "spiking, final width 1": (bd.SpikingNetwork, lambda **kw: bd.LIF(hidden=(9, 1), **kw)),
    "spiking, reset in step": (
        bd.SpikingNetwork,
        lambda **kw: bd.LIF(hidden=(10, 8, 4), leak=0.5, threshold=0.75, reset=0.375, **kw),
    ),
}
READOUTS = ("last", "every")
BLOCK = "bidual.networks.network._SAMPLES_PER_BLOCK"

on_every_network = pytest.mark.parametrize("name", NETWORKS)
on_both_readouts = pytest.mark.parametrize("readout", READOUTS)
X = bd.tasks.digits()[0][:40]


@cache
def case(name, readout):
    """The network class, its formulation, and a dictionary of X."""
    network_class, make = NETWORKS[name]
    lif = make(readout=readout)
    return network_class, lif, lif.sample(X, subnetworks=10, seed=3)


def sparse_weights(atoms, outputs, seed, share=0.5):
    rng = np.random.default_rng(seed)
    return rng.normal(size=(atoms, outputs)) * (rng.random((atoms, outputs)) < share)


def stacked(dictionary, rows):
    """Rows t * n + i of D as (n, T, C), or (n, C) for the last step."""
    if dictionary.readout == "last":
        return rows
    return rows.reshape(dictionary.steps, dictionary.samples, -1).transpose(1, 0, 2)


@on_every_network
@on_both_readouts
def test_each_copy_of_each_subnetwork_fires_its_atom_bit_for_bit(name, readout):
    network_class, lif, dictionary = case(name, readout)
    atoms = dictionary.atoms.to_dense()
    W = np.ones((atoms.shape[1], 2))
    W[1::2], W[::4, 0] = 0, 0  # an atom of one output alone is active too
    active = np.arange(0, atoms.shape[1], 2)
    network = network_class.rebuild(dictionary, W, np.zeros(2))
    simulated = list(network.simulate(X))
    assert len(simulated) == active.size
    for atom, layers in zip(active, simulated, strict=True):
        assert [layer.shape for layer in layers] == [(40, 8, width) for width in lif.hidden]
        final = layers[-1] if readout == "every" else layers[-1][:, -1:]
        expected = stacked(dictionary, atoms[:, atom]).reshape(40, -1)
        for copy in range(lif.hidden[-1]):
            assert np.array_equal(final[:, :, copy], expected)


@on_every_network
@on_both_readouts
@examples(15)
@given(
    outputs=st.sampled_from([1, 2, 10]),
    share=st.sampled_from([0.0, 0.2, 1.0]),
    seed=st.integers(0, 2**32 - 1),
)
def test_decision_function_is_the_design_times_the_weights(name, readout, outputs, share, seed):
    network_class, _, dictionary = case(name, readout)
    W = sparse_weights(dictionary.atoms.shape[1], outputs, seed, share)
    W *= 10.0 ** np.random.default_rng(seed).integers(-6, 7, W.shape)
    b = np.random.default_rng(seed + 1).normal(size=outputs)
    found = network_class.rebuild(dictionary, W, b).decision_function(X)
    assert found.shape == ((40, outputs) if readout == "last" else (40, 8, outputs))
    expected = stacked(dictionary, dictionary.atoms.matvec(W) + b)
    # terms may cancel, so what is relative is to the sum of their sizes
    size = stacked(dictionary, dictionary.atoms.matvec(np.abs(W)) + np.abs(b))
    assert (np.abs(found - expected) <= 1e-12 * size).all()


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
@pytest.mark.parametrize("name", NETWORKS)
def test_readout_norm_of_a_subnetwork_is_what_the_program_charges(name, p):
    # |c| / m**(1/q) with 1/p + 1/q = 1, so weight decay is the program's penalty
    network_class, make = NETWORKS[name]
    lif = make(p=p)
    dictionary = case(name, "last")[2]
    W = sparse_weights(dictionary.atoms.shape[1], 1, 1)
    network = network_class.rebuild(dictionary, W, np.zeros(1))
    norms = np.array([np.linalg.norm(R[:, 0], ord=p) for R in network.readout_weights])
    m = lif.hidden[-1]
    inverse_q = {1.0: 0.0, 2.0: 1 / 2, 3.0: 2 / 3, np.inf: 1.0}[p]
    charged = np.abs(W[W != 0]) / m**inverse_q
    assert norms.shape == charged.shape
    # a power, a root and a quotient of rounding in each norm; then their sum
    assert np.allclose(norms, charged, rtol=1e-14, atol=0)
    assert np.isclose(0.7 * norms.sum(), lif.strength(0.7) * np.abs(W).sum(), rtol=1e-13, atol=0)


@on_every_network
def test_weights_are_shared_evenly_among_the_copies(name):
    network_class, lif, dictionary = case(name, "last")
    W = sparse_weights(dictionary.atoms.shape[1], 3, 2)
    network = network_class.rebuild(dictionary, W, np.zeros(3))
    m = lif.hidden[-1]
    active = W[W.any(axis=1)]
    assert network.readout_weights.shape == (len(active), m, 3)
    assert np.array_equal(network.readout_weights, np.repeat(active[:, None] / m, m, axis=1))


def network_with(intercept, classes, readout="last", weights=None):
    network_class, _, dictionary = case("spiking, two layers", readout)
    b = np.array(intercept, dtype=float)
    W = np.zeros((dictionary.atoms.shape[1], b.size)) if weights is None else weights
    return network_class.rebuild(dictionary, W, b, None if classes is None else np.array(classes))


@on_both_readouts
@pytest.mark.parametrize(
    ("intercept", "classes", "label"),
    [
        pytest.param([-0.5], [3, 8], 3, id="below zero is the first class"),
        pytest.param([0.5], [3, 8], 8, id="above zero is the second"),
        pytest.param([0.0], [3, 8], 8, id="zero is the second"),
        pytest.param([-0.5], ["no", "yes"], "no", id="two strings"),
        pytest.param([0.1, 0.3, 0.2], [2, 5, 7], 5, id="largest of three"),
        pytest.param([-0.3, -0.2, -0.1], [2, 5, 7], 7, id="largest of three below zero"),
        pytest.param([0.3, 0.3, 0.2], [2, 5, 7], 2, id="first of equals"),
        pytest.param([0.1, 0.3, 0.2], ["a", "long name", "c"], "long name", id="three strings"),
        pytest.param([-0.5], [False, True], False, id="booleans"),
    ],
)
def test_a_network_without_weights_predicts_from_its_intercept(readout, intercept, classes, label):
    network = network_with(intercept, classes, readout)
    shape = (40,) if readout == "last" else (40, 8)
    outputs = network.decision_function(X)
    assert np.array_equal(outputs, np.broadcast_to(intercept, (*shape, len(intercept))))
    labels = network.predict(X)
    assert labels.shape == shape
    assert labels.dtype == np.array(classes).dtype
    assert (labels == label).all()
    assert list(network.simulate(X)) == []


@on_both_readouts
def test_labels_follow_the_outputs(readout):
    atoms = case("spiking, two layers", readout)[2].atoms.shape[1]
    names = np.array(["ant", "bee", "cat", "dog"])
    many = network_with(np.zeros(4), names, readout, sparse_weights(atoms, 4, 5))
    outputs = many.decision_function(X)
    assert np.array_equal(many.predict(X), names[outputs.argmax(axis=-1)])
    assert len(set(many.predict(X).ravel())) > 1
    two = network_with([0.1], names[:2], readout, sparse_weights(atoms, 1, 6))
    outputs = two.decision_function(X)[..., 0]
    assert np.array_equal(two.predict(X), np.where(outputs >= 0, "bee", "ant"))
    assert set(two.predict(X).ravel()) == {"ant", "bee"}


@on_both_readouts
@pytest.mark.parametrize("outputs", [1, 3])
def test_regression_predicts_the_outputs_themselves(readout, outputs):
    atoms = case("spiking, two layers", readout)[2].atoms.shape[1]
    network = network_with(np.ones(outputs), None, readout, sparse_weights(atoms, outputs, 7))
    expected = network.decision_function(X)
    # one target a row is one number, as in scikit-learn
    expected = expected[..., 0] if outputs == 1 else expected
    assert np.array_equal(network.predict(X), expected)


@on_every_network
@on_both_readouts
@pytest.mark.parametrize("size", [1, 7, 39, 40])
def test_blocks_of_samples_do_not_matter(name, readout, size, monkeypatch):
    network_class, _, dictionary = case(name, readout)
    W = sparse_weights(dictionary.atoms.shape[1], 3, 8)
    network = network_class.rebuild(dictionary, W, np.array([0.1, 0.2, 0.3]))
    whole = network.decision_function(X)
    monkeypatch.setattr(BLOCK, size)
    assert np.array_equal(network.decision_function(X), whole)


@on_both_readouts
def test_new_sequences_may_be_of_any_number_and_length(readout):
    atoms = case("spiking, two layers", readout)[2].atoms.shape[1]
    network = network_with([0.5], None, readout, sparse_weights(atoms, 1, 9))
    short = network.decision_function(X[:3, :5])
    assert short.shape == ((3, 1) if readout == "last" else (3, 5, 1))
    if readout == "every":  # what comes later has no say in what came before
        assert np.array_equal(short, network.decision_function(X[:3])[:, :5])


@on_both_readouts
def test_formulation_rebuilds_from_a_solution(readout):
    network_class, lif, dictionary = case("spiking, two layers", readout)
    labels = np.array(["even", "odd"])[bd.tasks.digits()[1][:40] % 2]
    program = lif.program(dictionary, labels, "hinge", beta=0.01, intercept=True)
    W, b = sparse_weights(dictionary.atoms.shape[1], 1, 10), np.array([0.25])
    solution = SimpleNamespace(weights=W, intercept=b, program=program)
    network = lif.network(dictionary, solution)
    assert isinstance(network, network_class)
    expected = network_class.rebuild(dictionary, W, b)
    assert np.array_equal(network.decision_function(X), expected.decision_function(X))
    assert network.classes.tolist() == ["even", "odd"]


def test_a_network_does_not_change_with_the_arrays_it_was_made_of():
    _, _, dictionary = case("spiking, two layers", "last")
    W, b = sparse_weights(dictionary.atoms.shape[1], 2, 11), np.array([0.5, -0.5])
    network = bd.SpikingNetwork.rebuild(dictionary, W, b)
    before = network.decision_function(X)
    W[:], b[:] = 0, 0
    assert np.array_equal(network.decision_function(X), before)


@on_every_network
@pytest.mark.parametrize("change", ["one more", "one less", "flat", "three dimensions", "turned"])
def test_weights_of_another_shape_are_refused_by_name(name, change):
    network_class, _, dictionary = case(name, "last")
    atoms = dictionary.atoms.shape[1]
    shape = {
        "one more": (atoms + 1, 2),
        "one less": (atoms - 1, 2),
        "flat": (atoms,),
        "three dimensions": (atoms, 2, 1),
        "turned": (atoms + 3, atoms),
    }[change]
    with pytest.raises(ValueError, match=rf"^weights: expected shape \({atoms}, C\)"):
        network_class.rebuild(dictionary, np.ones(shape), np.zeros(2))


@pytest.mark.parametrize(("outputs", "length"), [(1, 3), (3, 1), (3, 4)])
def test_an_intercept_of_another_length_is_refused_by_name(outputs, length):
    # one output would otherwise be spread over as many as there are intercepts
    atoms = case("spiking, two layers", "last")[2].atoms.shape[1]
    with pytest.raises(ValueError, match=r"^intercept: expected"):
        network_with(np.zeros(length), None, weights=np.ones((atoms, outputs)))


@pytest.mark.parametrize(("outputs", "classes"), [(1, 3), (3, 2), (3, 4)])
def test_classes_that_are_not_those_of_the_outputs_are_refused_by_name(outputs, classes):
    # two labels go with one output, C > 2 with C
    atoms = case("spiking, two layers", "last")[2].atoms.shape[1]
    with pytest.raises(ValueError, match=r"^classes: expected"):
        network_with(np.zeros(outputs), range(classes), weights=np.ones((atoms, outputs)))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X: X[0], "sequences"),
        (lambda X: X[..., None], "sequences"),
        (lambda X: X[:0], "at least one entry"),
        (lambda X: X[:, :, :7], "8 inputs"),
        (lambda X: np.concatenate([X, X], axis=2), "8 inputs"),
        (lambda X: X * np.nan, "finite"),
        (lambda X: X * np.inf, "finite"),
    ],
)
@on_both_readouts
def test_wrong_sequences_are_refused_by_name(change, expected, readout):
    network = network_with([0.0], [0, 1], readout)
    with np.errstate(invalid="ignore"):  # 0 * inf on the way to a wrong X
        wrong = change(X)
    for call in (
        network.decision_function,
        network.predict,
        lambda wrong: list(network.simulate(wrong)),
    ):
        with pytest.raises(ValueError, match=f"^X: expected .*{expected}"):
            call(wrong)


def test_repr_tells_subnetworks_outputs_and_readout():
    network = network_with(np.zeros(3), None, "every")
    assert (
        repr(network) == "SpikingNetwork(0 subnetworks (12, 6), 3 outputs, read at the every step)"
    )


@on_both_readouts
@pytest.mark.parametrize("outputs", [1, 3])
def test_a_network_of_recurrent_layers_computes_the_same_as_its_program(readout, outputs):
    # neurons of a recurrent layer need each other: the final one stays whole
    bank = bd.SampledWitnesses(8, (7, 5), 6, 1, bd.Neuron(0.9, 1.0), recurrent=True)
    dictionary = bd.SpikeDictionary.sample(X, bank, readout)
    weights = sparse_weights(dictionary.atoms.shape[1], outputs, seed=outputs)
    intercept = np.arange(1.0, outputs + 1)
    network = bd.SpikingNetwork.rebuild(dictionary, weights, intercept)
    expected = stacked(dictionary, dictionary.atoms.to_dense() @ weights + intercept)
    assert np.abs(network.decision_function(X) - expected).max() <= 1e-12
    assert np.count_nonzero(network.readout_weights.any(axis=2)) == np.count_nonzero(
        weights.any(axis=1)
    )


# Every kind of network by the layers it takes: class, steps T, constants, whether recurrent.
# A new kind joins here.
SPIKING, THRESHOLD, RECURRENT = (bd.networks.SpikingNetwork, ThresholdNetwork, RecurrentNetwork)
UNIT = bd.THRESHOLD_UNIT
LEAKS, LEVELS = (0.5, 0.99), (0.25, 1.5)
KINDS = {
    "LIF, delayed": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, "delayed"), False),
    "LIF, immediate": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, "immediate"), False),
    "LIF, hard": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, "hard"), False),
    "LIF, reset by a number": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, 0.3), False),
    "LIF, strict": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, strict=True), False),
    "LIF, recurrent": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, "immediate"), True),
    "LIF, recurrent and hard": (SPIKING, 7, bd.Neuron(LEAKS, LEVELS, "hard"), True),
    "threshold": (THRESHOLD, 1, UNIT, False),
    "threshold, strict": (THRESHOLD, 1, bd.Neuron(0.0, LEVELS, 0.0, strict=True), False),
    "recurrent": (RECURRENT, 7, UNIT, True),
    "recurrent, strict": (RECURRENT, 7, bd.Neuron(0.0, LEVELS, 0.0, strict=True), True),
    "recurrent without recurrence": (RECURRENT, 7, UNIT, False),
}
on_every_kind = pytest.mark.parametrize("kind", KINDS)


def readouts_of(kind):
    """Threshold networks have no steps to read at."""
    return ("last",) if KINDS[kind][0] is ThresholdNetwork else READOUTS


on_every_kind_and_readout = pytest.mark.parametrize(
    ("kind", "readout"), [(kind, readout) for kind in KINDS for readout in readouts_of(kind)]
)
MEMBRANE_BLOCK = "bidual.networks.membranes._SAMPLES_PER_BLOCK"


def bank_of(kind, hidden=(9, 6, 4), subnetworks=3, seed=0):
    _, _, neuron, recurrent = KINDS[kind]
    return bd.SampledWitnesses(5, hidden, subnetworks, seed, neuron, "fan-in", recurrent, bias=True)


def inputs_of(kind, n=23, seed=1):
    """Sequences of 5 inputs, a third of which are 0."""
    rng = np.random.default_rng(seed)
    drawn = rng.normal(size=(n, KINDS[kind][1], 5))
    return check_sequences(drawn * (rng.random(drawn.shape) < 2 / 3))


def network_of(kind, readout="last", outputs=2, hidden=(9, 6, 4), seed=0):
    """A network of whole readout weights, so that any sum of them is exact."""
    network_class = KINDS[kind][0]
    bank = bank_of(kind, hidden, seed=seed)
    rng = np.random.default_rng(seed)
    weights = rng.integers(-3, 4, size=(3, hidden[-1], outputs)).astype(float)
    subnetworks = [bank.layers(k) for k in range(3)]
    intercept = np.arange(1.0, outputs + 1)
    return network_class(subnetworks, 5, hidden, weights, intercept, readout, None)


def by_hand(signal, layers):
    """Membranes before reset and spikes of every layer, (n, T, width): a plain loop of steps."""
    membranes, spikes = [], []
    for layer in layers:
        n, steps, _ = signal.shape
        u, fired = np.zeros((2, n, steps, layer.weights.shape[1]))
        kept, spike = np.zeros((2, n, layer.weights.shape[1]))
        for t in range(steps):
            current = signal[:, t] @ layer.weights + layer.bias
            if layer.recurrent is not None:
                current = current + spike @ layer.recurrent
            u[:, t] = layer.leak * kept + current - layer.reset * spike
            above = u[:, t] > layer.threshold if layer.strict else u[:, t] >= layer.threshold
            spike = above.astype(float)
            fired[:, t] = spike
            kept = np.where(above, 0.0, u[:, t]) if layer.hard else u[:, t]
        membranes.append(u)
        spikes.append(fired)
        signal = fired
    return membranes, spikes


def in_steps(array):
    """Spikes or membranes (n, width) of a threshold network as (n, 1, width)."""
    return array if array.ndim == 3 else array[:, None]


@on_every_kind
@examples(10)
@given(
    hidden=st.lists(st.integers(1, 70), min_size=1, max_size=3),
    n=st.integers(1, 5),
    seed=st.integers(0, 2**32 - 1),
)
def test_spikes_and_membranes_are_those_of_a_plain_loop_bit_for_bit(kind, hidden, n, seed):
    # currents on the grids are exact sums, which BLAS can't round either
    network = network_of(kind, hidden=tuple(hidden), seed=seed)
    sequences = inputs_of(kind, n, seed)
    simulated = zip(network.simulate(sequences), network.membranes(sequences), strict=True)
    for layers, (spikes, membranes) in zip(network.subnetworks, simulated, strict=True):
        expected_u, expected_s = by_hand(sequences, layers)
        assert len(spikes) == len(membranes) == len(hidden)
        for found, expected in zip(spikes, expected_s, strict=True):
            assert found.dtype == np.uint8
            assert np.array_equal(in_steps(found), expected)
        for found, expected in zip(membranes, expected_u, strict=True):
            assert found.dtype == np.float64
            assert np.array_equal(in_steps(found), expected)


@on_every_kind
def test_networks_of_every_kind_fire_and_rest_in_every_layer(kind):
    # or the test above would compare silence with silence
    network = network_of(kind)
    for rates in network.rates(inputs_of(kind, 200)):
        assert 0.05 < rates.mean() < 0.95


@on_every_kind
@examples(10)
@given(seed=st.integers(0, 2**32 - 1), scale=st.floats(1e-3, 1e3))
def test_membranes_are_what_the_rollout_compared_off_the_grids_too(kind, seed, scale):
    # there another order of sums would move the smallest margins that the kernel reports
    rng = np.random.default_rng(seed)
    given_layers = bank_of(kind, (17, 6), 1, seed).layers(0)
    layers = []
    for layer in given_layers:
        recurrent = layer.recurrent
        if recurrent is not None:
            recurrent = rng.normal(size=recurrent.shape) * scale
        weights = rng.normal(size=layer.weights.shape) * scale
        layers.append(dataclasses.replace(layer, weights=weights, recurrent=recurrent))
    network = KINDS[kind][0]([layers], 5, (17, 6), np.ones((1, 6, 1)), np.zeros(1), "last", None)
    sequences = inputs_of(kind, 11, seed)
    spikes, membranes = next(network.simulate(sequences)), next(network.membranes(sequences))
    for layer, fired, u in zip(layers, spikes, membranes, strict=True):
        above = u > layer.threshold if layer.strict else u >= layer.threshold
        assert np.array_equal(fired, above)
    margins = [
        np.abs(u - layer.threshold).min() for layer, u in zip(layers, membranes, strict=True)
    ]
    assert np.array_equal(margins, smallest_margins(sequences, layers))


@pytest.mark.parametrize(
    ("series", "leak", "reset", "membranes"),
    [
        pytest.param([2.5, 0, 0, 0], 1.0, "delayed", [2.5, 1.5, 0.5, 0.5], id="threshold taken"),
        pytest.param([2.0, 0.5, 0.5], 0.5, "delayed", [2, 0.5, 0.75], id="at the next step"),
        pytest.param([2.0, 0.5, 0.5], 0.5, "immediate", [2, 1, 0.5], id="within the step"),
        pytest.param([2.5, 0.5, 0.75], 1.0, "hard", [2.5, 0.5, 1.25], id="all of it"),
        pytest.param([2.0, 0.0, 0.0], 1.0, 0.25, [2, 1.75, 1.5], id="a number"),
    ],
)
def test_membranes_are_those_before_the_reset(series, leak, reset, membranes):
    layer = bd.Layer.build([[1.0]], leak, 1.0, reset)
    network = SPIKING([[layer]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None)
    ((found,),) = network.membranes(np.array(series).reshape(1, -1, 1))
    assert found.ravel().tolist() == membranes


@on_every_kind
@pytest.mark.parametrize("size", [1, 7, 22, 23])
def test_blocks_change_neither_membranes_nor_counts(kind, size, monkeypatch):
    network, sequences = network_of(kind), inputs_of(kind)
    whole = list(network.membranes(sequences))
    counted = network.synaptic_operations(sequences)
    monkeypatch.setattr(MEMBRANE_BLOCK, size)
    monkeypatch.setattr(BLOCK, size)
    for found, expected in zip(network.membranes(sequences), whole, strict=True):
        assert all(np.array_equal(a, b) for a, b in zip(found, expected, strict=True))
    assert network.synaptic_operations(sequences) == counted


def test_membranes_take_the_memory_of_one_subnetwork():
    n, steps, width = 2000, 7, 40
    network, sequences = network_of("LIF, hard", hidden=(width,)), inputs_of("LIF, hard", n)
    # compiles, what threads need too, of which more samples ask for more
    collections.deque(network.membranes(sequences), maxlen=0)
    tracemalloc.start()
    collections.deque(network.membranes(sequences), maxlen=0)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    result = 9 * n * steps * width
    # while X is checked nothing else is there: it is the work arrays that come on top
    work = 256 * steps * 8 * (2 * width + 5) + sequences.nbytes
    assert peak < result + work + 2**18  # the constant: packed spikes of a block, and Python


@on_every_kind
def test_rates_are_the_means_of_the_spikes(kind):
    network, sequences = network_of(kind), inputs_of(kind)
    simulated = list(network.simulate(sequences))
    rates = network.rates(sequences)
    assert [rate.shape for rate in rates] == [(3, 9), (3, 6), (3, 4)]
    for depth, rate in enumerate(rates):
        for k, layers in enumerate(simulated):
            spikes = in_steps(layers[depth])
            expected = spikes.sum(axis=(0, 1)) / (spikes.shape[0] * spikes.shape[1])
            assert np.array_equal(rate[k], expected)


@on_every_kind_and_readout
def test_rebuild_computes_the_design_times_the_weights_exactly(kind, readout):
    sequences = inputs_of(kind, 40)
    dictionary = bd.SpikeDictionary.sample(sequences, bank_of(kind, subnetworks=12), readout)
    rng = np.random.default_rng(4)
    W = rng.integers(-8, 9, size=(dictionary.atoms.shape[1], 2)).astype(float)
    W[rng.random(len(W)) < 0.3] = 0
    b = np.array([0.5, -2.0])
    network = KINDS[kind][0].rebuild(dictionary, W, b)
    # W / 4 on four copies, and sums of whole quarters, are exact
    expected = stacked(dictionary, dictionary.atoms.to_dense() @ W + b)
    assert np.array_equal(network.decision_function(sequences), expected)
    assert np.array_equal(network.predict(sequences), expected)
    assert len(network.subnetworks) == np.count_nonzero(W.any(axis=1)) > 0


@on_both_readouts
@pytest.mark.parametrize("kind", ["LIF, recurrent", "recurrent"])
def test_neurons_that_hear_themselves_alone_are_copied(kind, readout):
    sequences, bank = inputs_of(kind, 40), bank_of(kind, subnetworks=12)
    banks = []
    for *below, final in map(bank.layers, range(12)):
        itself = np.diag(final.recurrent.diagonal())
        banks.append([*below, dataclasses.replace(final, recurrent=itself)])
    dictionary = bd.SpikeDictionary.sample(sequences, bd.GivenWitnesses(banks), readout)
    atoms = dictionary.atoms.to_dense()
    W = np.random.default_rng(4).integers(1, 9, size=(atoms.shape[1], 2)).astype(float)
    network = KINDS[kind][0].rebuild(dictionary, W, np.zeros(2))
    assert np.array_equal(network.readout_weights, np.repeat(W[:, None] / 4, 4, axis=1))
    expected = stacked(dictionary, atoms @ W)
    assert np.array_equal(network.decision_function(sequences), expected)
    for atom, layers in enumerate(network.simulate(sequences)):
        final = layers[-1] if readout == "every" else layers[-1][:, -1:]
        fired = stacked(dictionary, atoms[:, [atom]]).reshape(40, -1, 1)
        assert np.array_equal(final, np.repeat(fired, 4, axis=2))
    # to hear itself matters, or copies without it would do
    silent = [[*b, dataclasses.replace(f, recurrent=None)] for *b, f in network.subnetworks]
    deaf = dataclasses.replace(network, subnetworks=silent)
    assert not np.array_equal(deaf.decision_function(sequences), expected)


def test_a_threshold_network_takes_samples_with_and_without_a_step():
    network, sequences = network_of("threshold"), inputs_of("threshold")
    flat = sequences[:, 0]
    assert network.decision_function(flat).shape == (23, 2)
    assert np.array_equal(network.decision_function(flat), network.decision_function(sequences))
    for call in (network.simulate, network.membranes):
        for one, other in zip(call(flat), call(sequences), strict=True):
            assert [layer.shape for layer in one] == [(23, 9), (23, 6), (23, 4)]
            assert all(np.array_equal(a, b) for a, b in zip(one, other, strict=True))


@pytest.mark.parametrize(
    "wrong",
    [np.ones(5), np.ones((4, 2, 5)), np.ones((1, 1, 4, 5)), 3.0],
    ids=["one axis", "two steps", "four axes", "a number"],
)
def test_a_threshold_network_refuses_steps_by_name(wrong):
    with pytest.raises(ValueError, match=r"^X: expected samples of shape \(n, d\) or \(n, 1, d\)"):
        network_of("threshold").predict(wrong)


def test_a_threshold_network_passes_on_what_sequences_must_be():
    network = network_of("threshold")
    for wrong, message in (
        (np.full((4, 5), np.nan), "finite"),
        (np.ones((4, 3)), "5 inputs"),
        ([[1.0, 2.0], [3.0]], "numbers"),
        ([["a"] * 5], "numbers"),
        (np.ma.masked_array(np.ones((4, 5)), np.eye(4, 5)), "mask"),
    ):
        with pytest.raises(ValueError, match=f"^X: expected .*{message}"):
            network.predict(wrong)


def test_a_threshold_network_is_not_rebuilt_from_several_steps():
    bank = bank_of("threshold")
    dictionary = bd.SpikeDictionary.sample(inputs_of("recurrent"), bank)
    W = np.ones((dictionary.atoms.shape[1], 1))
    with pytest.raises(ValueError, match=r"^dictionary: expected .* one step, got 7 steps"):
        ThresholdNetwork.rebuild(dictionary, W, np.zeros(1))


@pytest.mark.parametrize(
    ("network_class", "kind", "message"),
    [
        (ThresholdNetwork, "LIF, delayed", "threshold units .* without recurrence"),
        (ThresholdNetwork, "LIF, hard", "threshold units .* without recurrence"),
        (ThresholdNetwork, "recurrent", "threshold units .* without recurrence"),
        (RecurrentNetwork, "LIF, delayed", "threshold units"),
        (RecurrentNetwork, "LIF, recurrent and hard", "threshold units"),
    ],
)
def test_layers_of_another_kind_are_refused(network_class, kind, message):
    layers = bank_of(kind).layers(0)
    weights = np.ones((1, 4, 1))
    with pytest.raises(ValueError, match=f"^subnetworks: expected {message}.*layer 1 in subn"):
        network_class([layers], 5, (9, 6, 4), weights, np.zeros(1), "last", None)


@pytest.mark.parametrize(
    ("constants", "named"),
    [({"leak": 0.5}, "leak"), ({"reset": 0.5}, "reset"), ({"reset": "hard"}, "reset")],
)
def test_a_unit_with_any_memory_is_no_threshold_unit(constants, named):
    layer = bd.Layer.build([[1.0]], **{"leak": 0.0, "threshold": 0.5, "reset": 0.0} | constants)
    for network_class in (ThresholdNetwork, RecurrentNetwork):
        with pytest.raises(ValueError, match=f"{named}.* 0"):
            network_class([[layer]], 1, (1,), np.ones((1, 1, 1)), np.zeros(1), "last", None)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"inputs": 4}, "subnetworks: expected layers of shapes"),
        ({"inputs": 0}, "inputs: expected"),
        ({"hidden": (9, 4)}, "subnetworks: expected layers of shapes"),
        ({"hidden": ()}, "hidden: expected"),
        ({"readout": "first"}, "readout: expected 'last' or 'every'"),
        ({"readout_leak": -0.1}, r"readout_leak: expected a number in \[0, 1\], got -0.1"),
        ({"readout_leak": 1.1}, r"readout_leak: expected a number in \[0, 1\], got 1.1"),
        ({"readout_leak": np.nan}, "readout_leak: .* got nan"),
        ({"readout_leak": True}, "readout_leak: .* got True"),
        ({"readout_leak": "0.5"}, "readout_leak: .* got '0.5'"),
        ({"readout_weights": np.ones((3, 4, 1))}, r"readout_weights: .* \(3, 4, 2\)"),
        ({"readout_weights": np.ones((2, 4, 2))}, r"readout_weights: .* \(3, 4, 2\)"),
        ({"readout_weights": np.full((3, 4, 2), np.nan)}, "readout_weights: .* NaN"),
        ({"intercept": np.zeros((2, 1))}, r"intercept: expected .* \(2,\)"),
        ({"intercept": np.array([0.0, np.inf])}, "intercept: .* infinity"),
        ({"classes": np.arange(3)}, r"classes: expected shape \(2,\)"),
        ({"subnetworks": [[]] * 3}, "subnetworks: expected layers of shapes"),
    ],
)
def test_parts_that_do_not_fit_are_refused_by_name(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        dataclasses.replace(network_of("LIF, hard"), **change)


def test_a_threshold_network_is_read_at_its_only_step():
    with pytest.raises(ValueError, match=r"^readout: expected 'last'.*'every'"):
        network_of("threshold", "every")
    assert repr(network_of("threshold")) == "ThresholdNetwork(3 subnetworks (9, 6, 4), 2 outputs)"


@on_every_kind
@examples(10)
@given(seeds=st.lists(st.integers(0, 99), min_size=1, max_size=4))
def test_merging_adds_decision_functions_exactly(kind, seeds):
    # readout weights are whole numbers, so that sums are exact in any order
    sequences = inputs_of(kind)
    for readout in readouts_of(kind):
        networks = [network_of(kind, readout, seed=seed) for seed in seeds]
        merged = networks[0].merge(*networks[1:])
        assert type(merged) is KINDS[kind][0]
        expected = sum(network.decision_function(sequences) for network in networks)
        assert np.array_equal(merged.decision_function(sequences), expected)
        simulated = [layers for network in networks for layers in network.simulate(sequences)]
        for found, one in zip(merged.simulate(sequences), simulated, strict=True):
            assert all(np.array_equal(a, b) for a, b in zip(found, one, strict=True))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda n: network_of("recurrent"), "a SpikingNetwork, got a RecurrentNetwork"),
        (lambda n: network_of("LIF, hard", hidden=(9, 4)), r"hidden \(9, 6, 4\), got \(9, 4\)"),
        (lambda n: dataclasses.replace(n, readout="every"), "readout 'last', got 'every'"),
        (lambda n: dataclasses.replace(n, readout_leak=0.5), "readout_leak 0.0, got 0.5"),
        (lambda n: network_of("LIF, hard", outputs=3), "2 outputs, got 3"),
        (lambda n: dataclasses.replace(n, classes=np.array([1, 3])), r"classes \[1, 2\], got \[1"),
        (lambda n: dataclasses.replace(n, classes=None), r"classes \[1, 2\], got None"),
        (
            lambda n: dataclasses.replace(
                n, subnetworks=[], readout_weights=np.zeros((0, 4, 2)), inputs=3
            ),
            "inputs 5, got 3",
        ),
        (lambda n: [n], "a SpikingNetwork, got a list"),
    ],
)
def test_merging_what_has_no_sum_is_refused_with_the_reason(change, message):
    network = dataclasses.replace(network_of("LIF, hard"), classes=np.array([1, 2]))
    with pytest.raises(ValueError, match=f"^others: expected {message}"):
        network.merge(network, change(network))
    assert network.merge(network).classes.tolist() == [1, 2]


def counted_one_by_one(network, sequences):
    """Deliver every input and spike along every synapse that is there, and count."""
    multiplied, added = 0, [0] * len(network.hidden)
    last_step = sequences.shape[1] - 1
    for k, spikes in enumerate(network.simulate(sequences)):
        layers = network.subnetworks[k]
        for i, t, a in np.ndindex(*sequences.shape):
            multiplied += sum(bool(sequences[i, t, a] * w) for w in layers[0].weights[a].tolist())
        for depth, fired in enumerate(map(in_steps, spikes)):
            for _, t, j in zip(*np.nonzero(fired), strict=True):
                reached = []
                if depth + 1 < len(layers):
                    reached += layers[depth + 1].weights[j].tolist()
                elif network.readout == "every" or network.readout_leak > 0 or t == last_step:
                    reached += network.readout_weights[k, j].tolist()
                if layers[depth].recurrent is not None and t < last_step:
                    reached += layers[depth].recurrent[j].tolist()
                added[depth] += sum(w != 0 for w in reached)
    return multiplied, tuple(added)


@pytest.mark.parametrize("readout_leak", [0.0, 0.5])
@on_every_kind_and_readout
def test_synaptic_operations_are_those_counted_one_by_one(kind, readout, readout_leak):
    whole, sequences = network_of(kind, readout), inputs_of(kind)
    whole = dataclasses.replace(whole, readout_leak=readout_leak)
    rng = np.random.default_rng(8)

    def thinned(array):
        return None if array is None else array * (rng.random(array.shape) < 0.7)

    network = dataclasses.replace(
        whole,
        subnetworks=[
            [
                dataclasses.replace(
                    layer, weights=thinned(layer.weights), recurrent=thinned(layer.recurrent)
                )
                for layer in layers
            ]
            for layers in whole.subnetworks
        ],
    )
    counts = network.synaptic_operations(sequences)
    assert (counts.multiply_accumulates, counts.accumulates) == counted_one_by_one(
        network, sequences
    )
    assert min(counts.multiply_accumulates, *counts.accumulates) > 0


def test_synaptic_operations_of_a_network_by_hand():
    # one neuron fires at every step (2 of 3 inputs are not 0), another never does
    layer = bd.Layer.build([[1.0, 0.0], [0.0, -1.0]], 0.0, 0.0, 0.0, recurrent=[[1.0, 0], [1, 1]])
    layer = dataclasses.replace(layer, threshold=np.array([0.0, 1.0]))
    weights = np.array([[[1.0, 2.0, 0.0], [1, 1, 1]]])
    network = RecurrentNetwork([[layer]], 2, (2,), weights, np.zeros(3), "last", None)
    sequences = np.array([[[1.0, 1.0], [0.0, 1.0], [0.0, 0.0]]])
    counts = network.synaptic_operations(sequences)
    # inputs: 1 + 2 synapses of weight; recurrent: 2 spikes that have a next step; readout: 2
    assert counts == bd.networks.SynapticOperations(3, (2 * 1 + 2,))
    every = dataclasses.replace(network, readout="every").synaptic_operations(sequences)
    assert every == bd.networks.SynapticOperations(3, (2 * 1 + 3 * 2,))
    # a readout that leaks is reached by the spikes of every step, whenever it is read
    leaking = dataclasses.replace(network, readout_leak=0.5).synaptic_operations(sequences)
    assert leaking == every


def traced(network, sequences):
    """Traces by a plain loop over steps, (n, T, K m)."""
    spikes = np.concatenate([in_steps(each[-1]) for each in network.simulate(sequences)], axis=2)
    traces = np.zeros(spikes.shape)
    for t in range(spikes.shape[1]):
        traces[:, t] = spikes[:, t]
        if t > 0:
            traces[:, t] += network.readout_leak * traces[:, t - 1]
    return traces


@pytest.mark.parametrize("readout_leak", [0.0, 0.5, 1.0])
@on_every_kind_and_readout
def test_outputs_are_the_traces_times_the_weights(kind, readout, readout_leak, monkeypatch):
    # readout weights are whole numbers and the leak is dyadic: all sums are exact
    network = dataclasses.replace(network_of(kind, readout), readout_leak=readout_leak)
    sequences = inputs_of(kind)
    expected = traced(network, sequences)
    if readout == "last":
        expected = expected[:, -1]
    found = network.traces(sequences)
    assert found.dtype == np.float64
    assert np.array_equal(found, expected)
    weights = network.readout_weights.reshape(-1, 2)
    outputs = network.decision_function(sequences)
    assert np.array_equal(outputs, found @ weights + network.intercept)
    monkeypatch.setattr(BLOCK, 5)
    assert np.array_equal(network.traces(sequences), found)
    assert np.array_equal(network.decision_function(sequences), outputs)


def test_a_readout_without_leak_weighs_last_spikes_alone_and_says_nothing():
    network, sequences = network_of("LIF, hard"), inputs_of("LIF, hard")
    assert set(network.traces(sequences).ravel()) == {0.0, 1.0}
    assert "leaking" not in repr(network)
    leaking = dataclasses.replace(network, readout_leak=0.25)
    assert repr(leaking) == repr(network)[:-1] + ", leaking 0.25)"
    assert len(set(leaking.traces(sequences).ravel())) > 2


def test_a_leaking_readout_integrates_by_hand():
    # a unit that copies its input; two outputs are 1 and -2 times what it brings
    unit = bd.Layer.build([[1.0]], leak=0.0, threshold=1.0, reset=0.0)
    weights, intercept = np.array([[[1.0, -2.0]]]), np.array([0.5, 0.0])
    network = bd.SpikingNetwork([[unit]], 1, (1,), weights, intercept, "every", None, 0.5)
    sequences = [[[1.0], [0.0], [1.0], [1.0]]]
    traces = [1.0, 0.5, 1.25, 1.625]
    assert network.traces(sequences)[0, :, 0].tolist() == traces
    outputs = network.decision_function(sequences)[0]
    assert outputs.tolist() == [[0.5 + x, -2 * x] for x in traces]  # the intercept does not leak
    last = dataclasses.replace(network, readout="last")
    assert last.decision_function(sequences).tolist() == [[2.125, -3.25]]


@pytest.mark.parametrize("readout_leak", [0.0, 0.5])
@on_every_kind_and_readout
def test_another_readout_takes_the_same_traces(kind, readout, readout_leak):
    network = dataclasses.replace(network_of(kind, readout), readout_leak=readout_leak)
    sequences = inputs_of(kind)
    rng = np.random.default_rng(0)
    weights, intercept = rng.integers(-3, 4, size=(12, 3)).astype(float), np.arange(3.0)
    other = network.with_readout(weights, intercept, np.array(["a", "b", "c"]))
    assert type(other) is type(network)
    assert (other.readout, other.readout_leak) == (readout, readout_leak)
    traces = network.traces(sequences)
    assert np.array_equal(other.traces(sequences), traces)
    assert np.array_equal(other.decision_function(sequences), traces @ weights + intercept)
    assert set(other.predict(sequences).ravel()) <= {"a", "b", "c"}
    # as a program's answer: itself again
    same = network.with_readout(network.readout_weights.reshape(-1, 2), network.intercept)
    assert np.array_equal(same.decision_function(sequences), network.decision_function(sequences))
    assert same.classes is None
    weights[:], intercept[:] = 7.0, 7.0  # it does not change with what it was made of
    assert np.array_equal(other.intercept, np.arange(3.0))
    assert np.abs(other.readout_weights).max() <= 3


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ((np.ones((11, 2)), np.ones(2)), r"weights: expected shape \(12, C\), got \(11, 2\)"),
        ((np.ones(12), np.ones(1)), r"weights: expected shape \(12, C\), got \(12,\)"),
        ((np.ones((12, 2)), np.ones(3)), r"readout_weights: expected .* shape \(3, 4, 3\)"),
        ((np.full((12, 2), np.inf), np.ones(2)), "readout_weights: .* infinity"),
        ((np.ones((12, 2)), np.array([0.0, np.nan])), "intercept: .* NaN"),
        ((np.ones((12, 2)), np.ones(2), np.arange(3)), r"classes: expected shape \(2,\)"),
    ],
)
def test_readouts_that_do_not_fit_are_refused_by_name(parts, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        network_of("LIF, hard").with_readout(*parts)
