"""A complete dictionary holds every atom that a neuron can fire, and neurons that fire them."""

import re
from itertools import product

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import THRESHOLD_UNIT
from bidual.dictionaries.spike_dictionary import NOTHING_FIRES

STRINGS = np.array([[[*np.eye(2)[bit]] for bit in bits] for bits in product((0, 1), repeat=4)])
FIRST_LAST_XOR = STRINGS[:, 0, 1] != STRINGS[:, -1, 1]


def columns(matrix):
    return {column.tobytes() for column in matrix.to_dense(np.uint8).T}


@pytest.mark.parametrize(("bits", "functions"), [(2, 14), (3, 104), (4, 1882)])
def test_threshold_functions_of_bits_but_the_zero_are_the_atoms(bits, functions):
    X = [(*string, 1) for string in product((0, 1), repeat=bits)]
    dictionary = bd.complete_thresholds(X)
    assert dictionary.atoms.shape == (2**bits, functions - 1)
    assert (dictionary.samples, dictionary.steps, dictionary.readout) == (2**bits, 1, "last")


@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize(("leak", "reset"), [("1/2", "delayed"), ("9/10", "immediate")])
def test_every_sampled_atom_of_one_layer_is_in_the_complete_dictionary(leak, reset, readout):
    complete = bd.complete_lif(STRINGS, leak, reset, readout)
    neuron = bd.Neuron(float(eval(leak)), (0.25, 2.0), reset)
    bank = bd.SampledWitnesses(2, (40,), 40, 0, neuron)
    sampled = bd.SpikeDictionary.sample(STRINGS, bank, readout)
    assert sampled.atoms.shape[1] > 100
    assert columns(sampled.atoms) < columns(complete.atoms)


def test_every_sampled_threshold_pattern_is_in_the_complete_dictionary():
    X = np.random.default_rng(0).integers(-8, 9, (9, 3))
    sequences = X[:, None].astype(float)
    bank = bd.SampledWitnesses(3, (50,), 40, 0, THRESHOLD_UNIT)
    sampled = bd.SpikeDictionary.sample(sequences, bank)
    complete = bd.complete_thresholds(X)
    assert sampled.atoms.shape[1] > 40
    assert columns(sampled.atoms) < columns(complete.atoms)  # the origin fires all rows too


@pytest.mark.parametrize("readout", ["last", "every"])
def test_rebuilt_networks_fire_the_atoms(readout):
    dictionary = bd.complete_lif(STRINGS, "9/10", readout=readout)
    P = dictionary.atoms.shape[1]
    assert not columns(dictionary.atoms) & {np.zeros(dictionary.atoms.shape[0], "u1").tobytes()}
    weights = np.zeros((P, 1))
    weights[:: P // 30] = np.random.default_rng(0).normal(size=(len(range(0, P, P // 30)), 1))
    network = bd.SpikingNetwork.rebuild(dictionary, weights, np.zeros(1))
    expected = dictionary.atoms.to_dense() @ weights
    if readout == "every":
        expected = expected.reshape(4, 16, 1).transpose(1, 0, 2)
    assert np.abs(network.decision_function(STRINGS) - expected).max() < 1e-12


def test_optimum_over_the_complete_dictionary_bounds_those_over_sampled_ones():
    lif = bd.LIF(hidden=(1,), leak=0.5)
    y = np.where(FIRST_LAST_XOR, 1.0, -1.0)
    options = {"loss": "squared", "strength": 0.02}
    complete = bd.complete_lif(STRINGS, "1/2")
    best = bd.solve(lif.program(complete, y, **options), gap=1e-8).certificate
    for seed in range(3):
        sampled = lif.sample(STRINGS, subnetworks=200, seed=seed)
        found = bd.solve(lif.program(sampled, y, **options), gap=1e-8).certificate
        assert best.primal < found.dual  # strictly: these do not hold the best atoms


def test_dictionary_is_saved_with_its_neurons(tmp_path):
    dictionary = bd.complete_lif(STRINGS, "1/2")
    dictionary.save(tmp_path / "complete")
    loaded = bd.SpikeDictionary.load(tmp_path / "complete")
    assert columns(loaded.atoms) == columns(dictionary.atoms)
    P = dictionary.atoms.shape[1]
    for k in (0, P // 2, P - 1):
        one, other = (bank.witnesses.layers(k)[0] for bank in (dictionary, loaded))
        assert one.weights.tolist() == other.weights.tolist()
        assert one.threshold.tolist() == other.threshold.tolist()


def test_neurons_that_float64_cannot_hold_are_refused():
    # rows that differ at four scales: some neurons must be orthogonal to three directions at
    # once up to 2**-33, and their sums cancel beyond 53 bits
    rng = np.random.default_rng(1)
    first = rng.integers(2**32, 2**33, 5)
    shifts = [rng.integers(2 ** (24 - 8 * k), 2 ** (25 - 8 * k), 5) for k in range(3)]
    last = rng.integers(-3, 4, 5)
    signs = list(product((-1, 1), repeat=3))
    corners = [first + sum(s * u for s, u in zip(S, shifts, strict=True)) for S in signs]
    X = np.array([corner + side * last for corner in corners for side in (0, 1)]) * 2.0**-20
    assert bd.threshold_patterns(X).patterns.shape == (16, 1882)
    with pytest.raises(ValueError, match=r"^X: expected patterns whose .* of 1881 that fire"):
        bd.complete_thresholds(X)


def test_estimates_are_told_and_budgets_kept():
    told = []
    bd.complete_lif(STRINGS, "1/2", report=told.append)
    bd.complete_thresholds(np.eye(3), report=told.append)
    assert [estimate.patterns for estimate in told] == [1156, 8]
    with pytest.raises(bd.BudgetExceeded, match="exceeds the budget of patterns 1,000"):
        bd.complete_lif(STRINGS, "1/2", budget=bd.Budget(patterns=1000))
    with pytest.raises(bd.BudgetExceeded, match="exceeds the budget of patterns 7"):
        bd.complete_thresholds(np.eye(3), budget=bd.Budget(patterns=7))


def test_a_neuron_that_never_fires_has_no_dictionary():
    with pytest.raises(ValueError, match="^" + re.escape(NOTHING_FIRES)):
        bd.complete_lif(np.zeros((2, 2, 2)), "1/2")


def test_wrong_arguments_are_refused_by_name():
    with pytest.raises(ValueError, match=r"^X: expected shape \(n, d\)"):
        bd.complete_thresholds(STRINGS)
    with pytest.raises(ValueError, match=r"^X: expected sequences"):
        bd.complete_lif(STRINGS[0], "1/2")
    with pytest.raises(ValueError, match=r"^readout: expected"):
        bd.complete_lif(STRINGS, "1/2", readout="lats")
    with pytest.raises(ValueError, match=r"^leak: expected"):
        bd.complete_lif(STRINGS, "3/2")
    with pytest.raises(ValueError, match=r"^budget: expected a Budget"):
        bd.complete_lif(STRINGS, "1/2", budget=100)
