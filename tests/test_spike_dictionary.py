"""Every atom is the spikes of its witness, each once, the same whatever the chunking."""

import dataclasses
import hashlib

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import Neuron, roll

NEURON = Neuron(leak=0.99, threshold=1.0)
BLOCK = "bidual.dictionaries.rollout._SAMPLES_PER_BLOCK"


def bank_of(hidden, neuron=NEURON, **options):
    return lambda k, seed: bd.SampledWitnesses(8, hidden, k, seed, neuron, **options)


# Banks of witnesses: how to make one of 8 inputs from (subnetworks, seed). A new kind joins here.
WITNESSES = {
    "one narrow layer": bank_of((3,)),
    "final width 1": bank_of((12, 1)),
    "two layers": bank_of((16, 8)),
    "three layers": bank_of((20, 10, 6)),
    "other laws": bank_of((16, 8), law="fan-in", bias=True),
    "orthogonal and mixed": bank_of((16, 8), Neuron((0.2, 0.99), (0.25, 1.5)), law="orthogonal"),
    "hard reset": bank_of((16, 8), Neuron(0.9, 1.0, "hard", strict=True)),
    "recurrent": bank_of((16, 8), Neuron(0.9, 1.0, "immediate"), recurrent=True),
    "threshold units": bank_of((16, 8), bd.THRESHOLD_UNIT, recurrent=True, bias=True),
}
on_every_bank = pytest.mark.parametrize("make", WITNESSES.values(), ids=WITNESSES)
on_both_readouts = pytest.mark.parametrize("readout", ["last", "every"])


@pytest.fixture(scope="module")
def X():
    return bd.tasks.digits()[0][:60]


def sample(X, bank, readout="last"):
    return bd.SpikeDictionary.sample(X, bank, readout)


def columns_of(X, bank, index, readout):
    """Final spikes of one subnetwork in row order t * n + i, entry by entry."""
    spikes = roll(X, bank.layers(index))[-1]
    n, steps, width = spikes.shape
    if readout == "last":
        return spikes[:, steps - 1]
    columns = np.full((steps * n, width), 2, dtype=np.uint8)
    for t in range(steps):
        for i in range(n):
            columns[t * n + i] = spikes[i, t]
    return columns


def same_dictionary(one, other):
    return (
        one.atoms.shape == other.atoms.shape
        and np.array_equal(one.atoms.to_dense(), other.atoms.to_dense())
        and np.array_equal(one.origin, other.origin)
    )


@on_every_bank
@on_both_readouts
def test_origin_of_each_atom_replays_to_it_and_nothing_is_left_out(make, readout, X):
    bank = make(12, 4)
    dictionary = sample(X, bank, readout)
    dense = dictionary.atoms.to_dense(np.uint8)
    assert dense.shape[0] == len(X) * (1 if readout == "last" else X.shape[1])
    fired = {}  # each pattern, and the first neuron that fires it
    for k in range(12):
        columns = columns_of(X, bank, k, readout)
        for i in range(columns.shape[1]):
            if columns[:, i].any():
                fired.setdefault(columns[:, i].tobytes(), (k, i))
    assert [tuple(origin) for origin in dictionary.origin.tolist()] == list(fired.values())
    assert [column.tobytes() for column in dense.T] == list(fired)


@on_every_bank
@on_both_readouts
def test_atoms_are_distinct_and_not_zero(make, readout, X):
    dense = sample(X, make(12, 4), readout).atoms.to_dense(np.uint8)
    assert dense.any(axis=0).all()
    assert np.unique(dense, axis=1).shape == dense.shape


def test_sampling_merges_repeats(X):
    # else the tests of distinct atoms would show nothing
    bank = WITNESSES["one narrow layer"](40, 4)
    fired = sum(columns_of(X, bank, k, "last").any(axis=0).sum() for k in range(40))
    assert 0 < sample(X, bank).atoms.shape[1] < fired


def test_rows_of_every_step_end_with_those_of_the_last(X):
    bank = WITNESSES["two layers"](6, 1)
    every, last = (sample(X, bank, which) for which in ("every", "last"))
    at_end = every.atoms.to_dense()[-len(X) :].T
    patterns = {column.tobytes() for column in at_end if column.any()}
    assert patterns == {column.tobytes() for column in last.atoms.to_dense().T}


@on_every_bank
@on_both_readouts
@pytest.mark.parametrize("size", [1, 7, 30, 59, 60])
def test_blocks_of_samples_do_not_matter(make, readout, size, X, monkeypatch):
    whole = sample(X, make(5, 2), readout)
    monkeypatch.setattr(BLOCK, size)
    assert same_dictionary(sample(X, make(5, 2), readout), whole)


@on_both_readouts
def test_more_samples_only_add_rows_to_the_trajectories(readout, X):
    # a sample's spikes do not depend on the samples beside it
    bank = WITNESSES["two layers"](6, 3)
    whole, part = sample(X, bank, readout), sample(X[:25], bank, readout)
    steps = 1 if readout == "last" else X.shape[1]
    rows = (np.arange(steps)[:, None] * len(X) + np.arange(25)).ravel()
    cut = whole.atoms.to_dense()[rows]
    assert {c.tobytes() for c in cut.T if c.any()} == {c.tobytes() for c in part.atoms.to_dense().T}


@on_every_bank
@on_both_readouts
def test_the_same_seed_gives_the_same_atoms_and_another_does_not(make, readout, X):
    first = sample(X, make(8, 11), readout)
    assert same_dictionary(sample(X.copy(), make(8, 11), readout), first)
    assert not same_dictionary(sample(X, make(8, 12), readout), first)


@on_every_bank
@on_both_readouts
def test_more_subnetworks_only_append_atoms(make, readout, X):
    few, many = sample(X, make(6, 0), readout), sample(X, make(30, 0), readout)
    kept = few.atoms.shape[1]
    assert many.atoms.shape[1] > kept
    assert np.array_equal(many.atoms.to_dense()[:, :kept], few.atoms.to_dense())
    assert np.array_equal(many.origin[:kept], few.origin)
    assert (many.origin[kept:, 0] >= 6).all()


def test_inputs_are_rounded_to_the_grid_before_anything_fires():
    bank = bd.SampledWitnesses(inputs=1, hidden=(1,), subnetworks=1, seed=1, neuron=NEURON)
    weight = float(bank.layers(0)[0].weights[0, 0])
    assert weight > 0
    # an input of 1 fires at the tie, any less does not
    tie = dataclasses.replace(bank, neuron=Neuron(leak=0.5, threshold=weight))
    assert sample([[[1 - 2.0**-38]]], tie).atoms.shape == (1, 1)
    with pytest.raises(ValueError, match=r"fires"):
        sample([[[1 - 2.0**-36]]], tie)


def test_dictionary_tells_what_it_was_made_of(X):
    bank = WITNESSES["three layers"](9, 0)
    dictionary = sample(X, bank, "every")
    assert (dictionary.witnesses, dictionary.readout) == (bank, "every")
    assert (dictionary.samples, dictionary.steps) == (60, 8)
    rows, atoms = dictionary.atoms.shape
    assert dictionary.origin.shape == (atoms, 2)
    shown = f"SpikeDictionary({atoms} atoms on {rows} rows, density "
    assert repr(dictionary).startswith(shown)
    assert repr(dictionary).endswith("from 9 subnetworks (20, 10, 6))")


PINNED = {
    # network class, sequences, subnetworks, seed; shape and SHA-256 of the dense uint8 rows of D
    "train": (
        *(bd.LIF(hidden=(64, 32)), lambda: bd.tasks.digits("train")[0], 16, 0),
        *((1437, 327), "e6ffd60ad36916a0bf165715241584e2ec7fa1e9d98d526999d121849e60438c"),
    ),
    "every step": (
        *(bd.LIF(hidden=(16, 8), readout="every"), lambda: bd.tasks.digits()[0][:200], 4, 7),
        *((1600, 27), "69cd252bf0f775d2186f4e60e11eca9e6f30b308bfc559347cbaf7cb4e9442c1"),
    ),
    "one layer": (
        *(bd.LIF(hidden=(10,), leak=0.5, reset=0.5), lambda: bd.tasks.digits()[0][:100], 3, 123),
        *((100, 20), "d93e0a0014553800f357453ccd943b6a166505b7908d7d8482673ca7dd7801ef"),
    ),
}


@pytest.mark.parametrize("name", PINNED)
def test_dictionary_has_the_pinned_digest(name):
    lif, sequences, subnetworks, seed, shape, digest = PINNED[name]
    dense = lif.sample(sequences(), subnetworks, seed).atoms.to_dense(np.uint8)
    assert dense.shape == shape
    assert hashlib.sha256(np.ascontiguousarray(dense).tobytes()).hexdigest() == digest


def test_a_dictionary_in_which_nothing_fires_is_refused_with_advice(X):
    for silent in (np.zeros((5, 8, 8)), X * 2.0**-12):
        with pytest.raises(ValueError, match=r"^X: .*fires.*number of subnetworks.*threshold"):
            sample(silent, WITNESSES["two layers"](4, 0))


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda X: X[:, :, :7], "expected 8 inputs per step, got 7"),
        (lambda X: np.concatenate([X, X], axis=2), "expected 8 inputs per step, got 16"),
        (lambda X: X[0], "expected sequences"),
        (lambda X: X[:0], "expected at least one entry"),
        (lambda X: X * np.nan, "expected finite"),
        (lambda X: X * 1e160, "scale X down"),
    ],
)
def test_wrong_sequences_are_refused_by_name(change, expected, X):
    with pytest.raises(ValueError, match=f"^X: .*{expected}"):
        sample(change(X), WITNESSES["two layers"](4, 0))


def test_an_unknown_readout_is_refused_by_name(X):
    # it would otherwise be read as "every"
    with pytest.raises(ValueError, match=r"^readout: expected"):
        sample(X, WITNESSES["two layers"](4, 0), "lats")


def test_comparing_dictionaries_answers_yes_or_no(X):
    dictionary = sample(X, WITNESSES["two layers"](4, 0))
    copy = dataclasses.replace(dictionary, origin=dictionary.origin.copy())
    assert dictionary == dictionary
    assert isinstance(dictionary == copy, bool)
