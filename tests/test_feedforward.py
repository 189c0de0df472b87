"""Feedforward: dictionaries of threshold units evaluated by hand, and networks of X itself."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.formulations import Feedforward
from bidual.networks import ThresholdNetwork

from covering import examples

X = np.random.default_rng(0).normal(size=(12, 3))
Y = np.where(X[:, 0] * X[:, 1] > 0, 1.0, -1.0)


def evaluate(X, layers):
    """Last-layer patterns, entry by entry: 1[x w >= 0] layer after layer."""
    signal = np.rint(X * 2**20) / 2**20
    for layer in layers:
        signal = (signal @ layer.weights >= 0).astype(float)
    return signal


def columns(matrix):
    return {column.tobytes() for column in np.asarray(matrix, np.uint8).T if column.any()}


@pytest.mark.parametrize("bias", [False, True])
@pytest.mark.parametrize("hidden", [(5,), (4, 3), (4, 3, 2)])
def test_atoms_are_the_patterns_of_sampled_threshold_units(hidden, bias):
    dictionary = Feedforward(hidden, bias=bias).sample(X, subnetworks=6, seed=1)
    inputs = np.c_[X, np.ones(12)] if bias else X
    assert dictionary.witnesses.inputs == inputs.shape[1]
    seen = set()
    for k in range(6):
        seen |= columns(evaluate(inputs, dictionary.witnesses.layers(k)))
    assert columns(dictionary.atoms.to_dense()) == seen
    for atom, (k, neuron) in enumerate(dictionary.origin):
        pattern = evaluate(inputs, dictionary.witnesses.layers(int(k)))[:, neuron]
        np.testing.assert_array_equal(dictionary.atoms.to_dense()[:, atom], pattern)


@examples(30)
@given(
    bias=st.booleans(),
    hidden=st.sampled_from([(1,), (5,), (4, 3)]),
    outputs=st.sampled_from([1, 3]),
    seed=st.integers(0, 2**32 - 1),
)
def test_networks_compute_the_design_times_the_weights_on_x_itself(bias, hidden, outputs, seed):
    ergen = Feedforward(hidden, bias=bias)
    dictionary = ergen.sample(X, subnetworks=8, seed=seed)
    y = np.random.default_rng(seed).normal(size=(12, outputs))
    program = ergen.program(dictionary, y, beta=0.01, intercept=True)
    solution = bd.solve(program, gap=1e-4)
    network = ergen.network(dictionary, solution)
    assert isinstance(network, ThresholdNetwork)
    assert network.inputs == 3
    expected = dictionary.atoms.to_dense() @ solution.weights + solution.intercept
    size = dictionary.atoms.to_dense() @ np.abs(solution.weights) + np.abs(solution.intercept)
    assert (np.abs(network.decision_function(X) - expected) <= 1e-13 * size).all()
    assert all(len(layers[-1].leak) == hidden[-1] for layers in network.subnetworks)


def test_the_bias_of_a_network_is_the_weight_of_the_column_of_ones():
    ergen = Feedforward((2,), bias=True)
    dictionary = ergen.complete(X[:5, :2])
    program = ergen.program(dictionary, Y[:5], strength=0.05)
    network = ergen.network(dictionary, bd.solve(program))
    assert any(layers[0].bias.any() for layers in network.subnetworks)
    with_ones = Feedforward((2,))
    same = with_ones.complete(np.c_[X[:5, :2], np.ones(5)])
    assert np.array_equal(same.atoms.to_dense(), dictionary.atoms.to_dense())


@pytest.mark.parametrize("hidden", [(3,), (2, 3)])
@pytest.mark.parametrize("bias", [False, True])
def test_complete_dictionaries_hold_all_that_is_sampled(hidden, bias):
    points = np.random.default_rng(2).integers(-4, 5, (5, 2)) / 4
    ergen = Feedforward(hidden, bias=bias)
    complete = columns(ergen.complete(points).atoms.to_dense())
    sampled = columns(ergen.sample(points, 300).atoms.to_dense())
    assert len(sampled) > 8
    assert sampled <= complete


def test_a_complete_dictionary_of_two_layers_is_evaluated_by_its_own_networks():
    points = [[-1, 1], [0, 1], [1, 1]]
    dictionary = Feedforward((2, 1)).complete(points)
    for atom, (k, neuron) in enumerate(dictionary.origin):
        pattern = evaluate(np.array(points), dictionary.witnesses.layers(int(k)))[:, neuron]
        np.testing.assert_array_equal(dictionary.atoms.to_dense()[:, atom], pattern)


def test_a_global_optimum_is_no_worse_than_any_sampled_one():
    points = np.random.default_rng(3).integers(-8, 9, (8, 2)) / 8
    y = np.where(points[:, 0] * points[:, 1] > 0, 1.0, -1.0)
    ergen = Feedforward((4,), bias=True)
    best = bd.solve(ergen.program(ergen.complete(points), y, beta=0.02), gap=1e-9).certificate
    for seed in range(5):
        sampled = ergen.sample(points, 3, seed)
        found = bd.solve(ergen.program(sampled, y, beta=0.02), gap=1e-9).certificate
        assert best.primal < found.dual


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"hidden": ()}, "hidden"),
        ({"hidden": (2, 0)}, "hidden"),
        ({"bias": 1}, "bias"),
        ({"bias": None}, "bias"),
        ({"p": 0.5}, "p"),
        ({"p": np.nan}, "p"),
        ({"gauge": "layer"}, "gauge"),
    ],
)
def test_a_part_out_of_its_range_is_refused_by_name(change, named):
    with pytest.raises(ValueError, match=f"^{named}: expected"):
        Feedforward(**{"hidden": (4, 2), **change})


@pytest.mark.parametrize("call", ["sample", "complete"])
@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (np.zeros((4, 1, 3)), r"\(n, d\)"),
        (np.zeros(4), r"\(n, d\)"),
        (1.0, r"\(n, d\)"),
        (np.zeros((0, 3)), "at least one"),
        (np.full((4, 3), np.nan), "finite"),
        (np.full((4, 3), 1e160), "scale X down"),
        ([["a", "b"]], "numbers"),
    ],
)
@pytest.mark.parametrize("bias", [False, True])
def test_bad_points_are_refused_by_name(call, bad, message, bias):
    with pytest.raises(ValueError, match=f"^X: .*{message}"):
        getattr(Feedforward((2,), bias=bias), call)(bad)


def test_a_dictionary_of_steps_or_targets_that_do_not_fit_are_refused_by_name():
    ergen = Feedforward((2,))
    dictionary = ergen.sample(X, 4)
    steps = bd.LIF((2,), readout="every").sample(np.ones((12, 2, 3)), 20)
    with pytest.raises(ValueError, match=r"^dictionary: expected a dictionary of readout 'last'"):
        ergen.program(steps, Y, beta=0.1)
    with pytest.raises(ValueError, match=r"^y: expected one entry for each of 12"):
        ergen.program(dictionary, Y[:5], beta=0.1)
    with pytest.raises(ValueError, match=r"^step_weights: expected readout 'every'"):
        ergen.program(dictionary, Y, beta=0.1, step_weights="ramp")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"X": Y}, r"X: expected shape \(n, d\), got \(12,\)"),
        ({"X": X[:, None, :, None]}, r"X: expected shape \(n, d\)"),
        ({"X": [[1.0], [1.0, 2.0]]}, r"X: expected numbers of shape \(n, d\).*inhomogeneous"),
        ({"X": np.where(X > 1, np.nan, X)}, "X: expected finite"),
        ({"row_weights": np.full(12, np.nan)}, "row_weights: expected finite"),
        ({"row_weights": np.ones(11)}, r"row_weights: expected shape \(12,\)"),
    ],
)
def test_bad_input_of_the_problem_itself_is_refused_by_name(change, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Feedforward((2,), bias=True).primal(**{"X": X, "y": Y, "beta": 0.1, **change})


def test_dictionaries_of_other_classes_are_refused_and_its_own_are_taken():
    ergen = Feedforward((4, 3))
    one_step = np.ones((12, 1, 3)) * X[:, None]
    for formulation, reason in [
        (bd.LIF((4, 3), leak=0.0), "threshold units .* got leak 0, threshold 1, reset 1"),
        (bd.Recurrent((4, 3)), "threshold units .* without recurrence, got .* recurrent weights"),
        (Feedforward((3,)), r"layers of \(4, 3\) neurons, got \(3,\)"),
        (Feedforward((5, 3)), r"layers of \(4, 3\) neurons, got \(5, 3\)"),
    ]:
        points = X if isinstance(formulation, Feedforward) else one_step
        with pytest.raises(ValueError, match=f"^dictionary: expected {reason}"):
            ergen.program(formulation.sample(points, 5), Y, beta=0.1)
    units = bd.SampledWitnesses(3, (4, 3), 5, 0, bd.THRESHOLD_UNIT)
    with pytest.raises(
        ValueError, match=r"^dictionary: expected a dictionary of inputs .n, d., got sequences"
    ):
        ergen.program(bd.SpikeDictionary.sample(np.ones((12, 2, 3)), units), Y, beta=0.1)
    trained = bd.GivenWitnesses(
        [[bd.Layer.build(layer.weights, 0.0, 0.5, 0.0, 0.25) for layer in units.layers(0)]]
    )
    for dictionary in (
        ergen.sample(X, 5),
        Feedforward((4, 7)).sample(X, 5),
        bd.SpikeDictionary.sample(one_step, trained),
    ):
        program = ergen.program(dictionary, Y, "hinge", beta=0.01)
        solution = bd.solve(program, gap=1e-6)
        network = ergen.network(dictionary, solution)
        fit = dictionary.atoms.to_dense() @ solution.weights
        assert np.abs(network.decision_function(X) - fit).max() <= 1e-12
        assert network.hidden == (4, 3)


def test_the_bidual_is_the_program_of_a_class_that_states_its_own():
    class Stronger(Feedforward):
        def program(self, *arguments, **options):
            program = super().program(*arguments, **options)
            return program.with_strength(2 * program.strength)

    stronger = Stronger((2,))
    dictionary = stronger.sample(X, 4)
    assert stronger.bidual(dictionary, Y, strength=0.1).strength == 0.2
    assert stronger.dual(dictionary, Y, strength=0.1).program.strength == 0.2


def test_a_budget_stops_an_enumeration_before_it_starts():
    with pytest.raises(bd.BudgetExceeded):
        Feedforward((2,)).complete(X, budget=bd.Budget(patterns=10))
    with pytest.raises(bd.BudgetExceeded):
        Feedforward((2, 2)).complete(X, budget=bd.Budget(patterns=10))
