"""A rebuilt network computes exactly D W + b of its program, and costs what the program charges."""

from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bidual as bd

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
BLOCK = "bidual.networks.spiking._SAMPLES_PER_BLOCK"

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
@settings(deadline=None, max_examples=15)
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
