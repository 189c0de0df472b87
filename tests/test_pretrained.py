"""Given witnesses hand back the layers they were given, and say what does not fit."""

import subprocess
import sys

import numpy as np
import pytest

from bidual.dictionaries import Layer
from bidual.dictionaries.witnesses.given import GivenWitnesses


def weights(*shape, seed=0):
    return np.random.default_rng(seed).normal(size=shape)


def layer(fan_in, width, seed=0):
    return Layer.build(weights(fan_in, width, seed=seed), leak=0.9, threshold=1.0)


def same_layers(one, other):
    parts = ("weights", "leak", "threshold", "reset", "bias", "recurrent")
    return len(one) == len(other) and all(
        all(np.array_equal(getattr(a, part), getattr(b, part)) for part in parts)
        and (a.hard, a.strict) == (b.hard, b.strict)
        for a, b in zip(one, other, strict=True)
    )


def test_bank_hands_back_the_layers_it_was_given():
    chains = [[layer(3, 5, seed), layer(5, 2, seed)] for seed in range(4)]
    bank = GivenWitnesses(chains)
    assert (bank.inputs, bank.hidden, bank.subnetworks) == (3, (5, 2), 4)
    for index, chain in enumerate(chains):
        assert all(a is b for a, b in zip(bank.layers(index), chain, strict=True))


def test_layers_handed_out_are_a_list_of_ones_own():
    bank = GivenWitnesses([[layer(3, 5), layer(5, 2)]])
    bank.layers(0).pop()
    assert len(bank.layers(0)) == 2
    assert GivenWitnesses([bank.layers(0)[:1]]).hidden == (5,)


@pytest.mark.parametrize("index", [-1, 2])
def test_no_subnetwork_but_0_to_K_minus_1(index):
    bank = GivenWitnesses([[layer(3, 5)], [layer(3, 5)]])
    with pytest.raises(IndexError, match=f"index: expected 0 to 1, got {index}"):
        bank.layers(index)


@pytest.mark.parametrize(
    ("subnetworks", "message"),
    [
        ([], "at least one"),
        ([[]], "at least one layer"),
        ([[layer(3, 5), layer(4, 2)]], r"\[\(3, 5\), \(5, 2\)\] in subnetwork 0, got .*\(4, 2\)"),
        ([[layer(3, 5)], [layer(2, 5)]], r"subnetwork 1, got \[\(2, 5\)\]"),
        ([[layer(3, 5)], [layer(3, 4)]], r"subnetwork 1, got \[\(3, 4\)\]"),
        ([[layer(3, 5)], [layer(3, 5), layer(5, 5)]], "in subnetwork 1"),
        ([[layer(3, 5)], []], r"subnetwork 1, got \[\]"),
    ],
    ids=["none", "empty", "chain", "inputs", "widths", "longer", "one empty"],
)
def test_layers_that_do_not_fit_are_refused(subnetworks, message):
    with pytest.raises(ValueError, match=message):
        GivenWitnesses(subnetworks)


def test_arrays_of_one_subnetwork_keep_every_bit():
    first, second = weights(3, 4).astype(np.float32), weights(4, 2)
    leaks = np.array([0.1, 0.2, 0.3, 0.4])
    bank = GivenWitnesses.from_arrays(
        [first, second],
        leak=[leaks, 0.5],
        threshold=1.0,
        reset=["hard", 0.25],
        bias=[leaks, 0.0],
        recurrent=[None, weights(2, 2)],
        strict=(True, False),
    )
    expected = [
        Layer.build(first.astype(np.float64), leaks, 1.0, "hard", leaks, None, True),
        Layer.build(second, 0.5, 1.0, 0.25, 0.0, weights(2, 2), False),
    ]
    assert bank.subnetworks == 1
    assert same_layers(bank.layers(0), expected)


def test_stacked_arrays_are_one_subnetwork_each_and_the_rest_is_shared():
    first, second = weights(5, 3, 4), weights(4, 2)
    bias, recurrent = weights(5, 4, seed=1), weights(5, 4, 4, seed=2)
    thresholds = np.array([1.0, 2.0])
    bank = GivenWitnesses.from_arrays(
        [first, second],
        leak=0.5,
        threshold=[1.0, thresholds],
        reset="immediate",
        bias=[bias, 0.0],
        recurrent=[recurrent, None],
    )
    assert bank.subnetworks == 5
    for k in range(5):
        expected = [
            Layer.build(first[k], 0.5, 1.0, "immediate", bias[k], recurrent[k]),
            Layer.build(second, 0.5, thresholds, "immediate"),
        ]
        assert same_layers(bank.layers(k), expected)


def test_an_array_of_constants_outside_a_list_holds_for_every_layer():
    leaks = np.array([0.25, 0.5])
    bank = GivenWitnesses.from_arrays([weights(2, 2)] * 3, leak=leaks, threshold=1.0)
    assert all(np.array_equal(each.leak, leaks) for each in bank.layers(0))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"weights": weights(2, 3, 4)},
            "weights: expected a non-empty list of arrays, one per layer",
        ),
        ({"weights": []}, "weights: expected a non-empty list of arrays, one per layer"),
        ({"weights": [weights(3)]}, "weights: expected shape"),
        (
            {"weights": [weights(2, 3, 4), weights(3, 4, 2)]},
            "weights: expected 3 entries, one per subnetwork",
        ),
        ({"leak": [0.5]}, "leak: expected 2 entries, one per layer, got 1"),
        ({"leak": 1.5}, "leak"),
        ({"reset": "soft"}, "reset: expected"),
        ({"bias": [weights(2, 4), 0.0]}, "bias: expected 1 entries, one per subnetwork, got 2"),
        ({"threshold": [weights(3), 1.0]}, "threshold: expected"),
        ({"recurrent": [weights(2, 3), None]}, "recurrent: expected"),
    ],
    ids=lambda value: "_".join(value) if isinstance(value, dict) else "",
)
def test_arrays_that_do_not_fit_are_refused(changes, message):
    parts = {"weights": [weights(3, 4), weights(4, 2)], "leak": 0.5, "threshold": 1.0}
    with pytest.raises(ValueError, match=message):
        GivenWitnesses.from_arrays(**{**parts, **changes})


def test_importing_the_readers_imports_none_of_their_libraries():
    code = (
        "import sys, bidual.dictionaries.witnesses.given\n"
        "print([name for name in ('torch', 'snntorch', 'spikingjelly', 'nir', 'h5py')"
        " if name in sys.modules])"
    )
    shown = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert shown.stdout.strip() == "[]"
