"""Recurrent: dictionaries of recurrent threshold layers rolled out by hand, and their networks."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest

import bidual as bd
from bidual.formulations import Recurrent
from bidual.networks import RecurrentNetwork

X = np.random.default_rng(0).normal(size=(9, 4, 3))
Y = np.where(X[:, 0, 0] * X[:, -1, 1] > 0, 1.0, -1.0)


def roll_by_hand(X, layers):
    """Last-layer spikes (n, T, m), sample by sample: S_t = 1[X_t W + S_(t-1) R >= 0], S_0 = 0."""
    signal = np.rint(X * 2**20) / 2**20
    for layer in layers:
        spikes = np.zeros((*signal.shape[:2], layer.width))
        for i in range(len(signal)):
            before = np.zeros(layer.width)
            for t in range(signal.shape[1]):
                before = (signal[i, t] @ layer.weights + before @ layer.recurrent >= 0).astype(
                    float
                )
                spikes[i, t] = before
        signal = spikes
    return signal


def as_rows(spikes, readout):
    """Spikes (n, T) in the order of D's rows."""
    return spikes[:, -1] if readout == "last" else spikes.T.ravel()


def columns(dictionary):
    return {column.tobytes() for column in dictionary.atoms.to_dense(np.uint8).T}


@pytest.mark.parametrize("gauge", ["subnetwork", "neuron"])
@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("hidden", [(5,), (4, 3)])
def test_atoms_are_the_patterns_of_sampled_recurrent_layers(hidden, readout, gauge):
    recurrent = Recurrent(hidden, readout, gauge=gauge)
    dictionary = recurrent.sample(X, subnetworks=6, seed=1)
    dense = dictionary.atoms.to_dense()
    held = set()
    for k in range(6):
        layers = dictionary.witnesses.layers(k)
        spikes = roll_by_hand(X, layers)
        for neuron in range(hidden[-1]):
            atom = as_rows(spikes[:, :, neuron], readout)
            if atom.any():
                held.add(atom.astype(np.uint8).tobytes())
            for j in np.flatnonzero((dictionary.origin == (k, neuron)).all(axis=1)):
                np.testing.assert_array_equal(dense[:, j], atom)
        for layer in layers[:-1]:
            assert np.count_nonzero(layer.recurrent - np.diag(np.diag(layer.recurrent)))
        others = np.count_nonzero(layers[-1].recurrent - np.diag(np.diag(layers[-1].recurrent)))
        assert (others > 0) == (gauge == "neuron")
        assert np.diag(layers[-1].recurrent).all()
    assert held == columns(dictionary)


@pytest.mark.parametrize("gauge", ["subnetwork", "neuron"])
@pytest.mark.parametrize("readout", ["last", "every"])
def test_networks_compute_the_design_times_the_weights(readout, gauge):
    recurrent = Recurrent((4, 3), readout, gauge=gauge)
    dictionary = recurrent.sample(X, subnetworks=8, seed=2)
    rng = np.random.default_rng(0)
    W = rng.normal(size=(dictionary.atoms.shape[1], 2))
    y = rng.normal(size=(9, 2) if readout == "last" else (9, 4, 2))
    program = recurrent.program(dictionary, y, beta=0.1, intercept=True)
    answer = SimpleNamespace(program=program, weights=W, intercept=np.array([0.5, -1.0]))
    network = recurrent.network(dictionary, answer)
    assert isinstance(network, RecurrentNetwork)
    rows = dictionary.atoms.to_dense() @ W + answer.intercept
    expected = rows if readout == "last" else rows.reshape(4, 9, 2).transpose(1, 0, 2)
    np.testing.assert_allclose(network.decision_function(X), expected, rtol=0, atol=1e-12)
    copies = [np.count_nonzero(readout.any(axis=1)) for readout in network.readout_weights]
    assert set(copies) == {3 if gauge == "subnetwork" else 1}
    for layers in network.subnetworks:
        spikes = roll_by_hand(X, layers)  # its layers say the same to anyone
        if gauge == "subnetwork":
            assert (spikes == spikes[:, :, :1]).all()


def test_a_dictionary_of_neurons_that_hear_themselves_is_saved_and_loaded(tmp_path):
    recurrent = Recurrent((4, 3))
    dictionary = recurrent.sample(X, subnetworks=4)
    dictionary.save(tmp_path / "atoms")
    loaded = bd.SpikeDictionary.load(tmp_path / "atoms").verify(X)
    solution = bd.solve(recurrent.program(loaded, Y, "hinge", beta=0.05))
    network = recurrent.network(loaded, solution)
    expected = dictionary.atoms.to_dense() @ solution.weights
    np.testing.assert_allclose(network.decision_function(X), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("gauge", ["subnetwork", "neuron"])
@pytest.mark.parametrize("readout", ["last", "every"])
def test_complete_dictionaries_hold_all_that_is_sampled_and_fire_what_they_say(readout, gauge):
    short = np.random.default_rng(3).integers(-2, 3, (2, 2, 2)) / 2
    recurrent = Recurrent((2,), readout, gauge=gauge)
    complete = recurrent.complete(short)
    sampled = recurrent.sample(short, 300)
    assert columns(sampled) <= columns(complete)
    assert len(columns(sampled)) >= 2
    for j, (k, neuron) in enumerate(complete.origin):
        spikes = roll_by_hand(short, complete.witnesses.layers(int(k)))[:, :, neuron]
        np.testing.assert_array_equal(complete.atoms.to_dense()[:, j], as_rows(spikes, readout))


def test_full_recurrence_of_the_last_layer_is_refused_where_copies_are_counted_on():
    full = Recurrent((3,), gauge="neuron").sample(X, 4)
    with pytest.raises(
        ValueError, match=r"^dictionary: expected final neurons without recurrent input"
    ):
        Recurrent((3,)).program(full, Y, beta=0.1)
    for fine in (Recurrent((3,), p=1.0), Recurrent((3,), gauge="neuron")):
        assert fine.program(full, Y, beta=0.1).strength == 0.1
    # in layers of another width they hear other neurons
    for m in (1, 2, 4):
        with pytest.raises(ValueError, match=rf"^dictionary: expected layers of \({m},\) neurons"):
            Recurrent((m,), gauge="neuron").program(full, Y, beta=0.1)


def test_one_final_neuron_that_hears_others_is_enough_to_have_no_copies():
    bank = bd.SampledWitnesses(3, (3,), 2, 0, bd.THRESHOLD_UNIT, recurrent=True)
    (alone,), together = bank.layers(0), bank.layers(1)
    alone = replace(alone, recurrent=np.diag(np.diag(alone.recurrent)))
    mixed = bd.SpikeDictionary.sample(X, bd.GivenWitnesses([[alone], together]))
    assert set(mixed.origin[:, 0]) == {0, 1}
    with pytest.raises(
        ValueError, match=r"^dictionary: expected final neurons without recurrent input"
    ):
        Recurrent((3,)).program(mixed, Y, beta=0.1)
    neuron = Recurrent((3,), gauge="neuron")
    program = neuron.program(mixed, Y, "hinge", beta=0.01)
    solution = bd.solve(program, gap=1e-9)
    network = neuron.network(mixed, solution)
    fit = mixed.atoms.to_dense() @ solution.weights
    np.testing.assert_allclose(network.decision_function(X), fit, rtol=0, atol=1e-12)
    value = neuron.primal(X, Y, "hinge", beta=0.01).reduced(network)
    assert value == pytest.approx(program.primal(solution.weights), rel=1e-12)


def test_dictionaries_of_other_classes_are_refused_and_of_neurons_that_hear_nobody_are_taken():
    recurrent = Recurrent((4, 3))
    with pytest.raises(ValueError, match=r"^dictionary: expected threshold units .* got leak 0.9"):
        recurrent.program(bd.LIF((4, 3), leak=0.9).sample(X, 4), Y, beta=0.1)
    with pytest.raises(ValueError, match=r"^dictionary: expected layers of \(4, 3\) neurons"):
        recurrent.program(Recurrent((5, 3)).sample(X, 4), Y, beta=0.1)
    deaf = bd.SampledWitnesses(3, (4, 8), 4, 0, bd.THRESHOLD_UNIT)
    dictionary = bd.SpikeDictionary.sample(X, deaf)
    assert recurrent.program(dictionary, Y, beta=0.3).strength == recurrent.strength(0.3)


@pytest.mark.parametrize("p", [1.0, 2.0, 3.0, np.inf])
def test_strength_has_the_width_factor_of_its_gauge(p):
    inverse_q = {1.0: 0.0, 2.0: 1 / 2, 3.0: 2 / 3, np.inf: 1.0}[p]
    recurrent = Recurrent((16, 8), p=p)
    assert recurrent.strength(0.3) == pytest.approx(0.3 / 8**inverse_q, rel=1e-15)
    assert replace(recurrent, gauge="neuron").strength(0.3) == 0.3


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": ()}, "hidden"),
        ({"readout": "first"}, "readout"),
        ({"p": 0.0}, "p"),
        ({"gauge": "all"}, "gauge"),
    ],
)
def test_a_part_out_of_its_range_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        Recurrent(**{"hidden": (4, 2), **change})


@pytest.mark.parametrize("call", ["sample", "complete"])
@pytest.mark.parametrize("bad", [np.zeros((4, 3)), np.zeros((0, 2, 3)), np.full((4, 2, 3), np.nan)])
def test_bad_sequences_are_refused_by_name(call, bad):
    with pytest.raises(ValueError, match=r"^X: expected"):
        getattr(Recurrent((2,)), call)(bad)


@pytest.mark.parametrize("subnetworks", [0, -1, 2.5])
def test_a_number_of_subnetworks_that_is_none_is_refused(subnetworks):
    with pytest.raises(ValueError, match=r"^subnetworks: expected"):
        Recurrent((2,)).sample(X, subnetworks)


def test_a_budget_stops_an_enumeration():
    with pytest.raises(bd.BudgetExceeded):
        Recurrent((2, 2)).complete(X, budget=bd.Budget(patterns=10))
