"""The class travels: dictionaries and files keep it, and solutions rebuild its networks."""

import copy
import hashlib
import json
import pickle
import re
from dataclasses import replace
from fractions import Fraction

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import bidual as bd
from bidual.certificates import completeness as checker
from bidual.dictionaries import ClassRecord, SpikeDictionary
from bidual.dictionaries.files.packed_file import open_packed
from bidual.dictionaries.files.packed_writer import write_packed

from covering import slow

N, T, D = 9, 4, 3
X = (np.arange(N * T * D).reshape(N, T, D) * 5 % 13 - 6) / 4
POINTS = X[:, 0]
LABELS = np.array(["b", "a", "c"])[np.arange(N) % 3]
SHORT = np.eye(2)[np.array(list(np.ndindex(2, 2, 2)))]

CLASSES = {
    "LIF": bd.LIF((5, 3), leak=0.8, threshold=0.5),
    "LIF every step": bd.LIF((4,), leak=(0.5, 0.9), threshold=(0.4, 0.8), readout="every"),
    "LIF hard": bd.LIF((4, 2), leak=0.9, threshold=0.5, reset="hard", gauge="neuron"),
    "LIF number": bd.LIF((4, 2), leak=0.9, threshold=0.5, reset=0.25, p=1.0),
    "Feedforward": bd.Feedforward((4, 3)),
    "Feedforward bias": bd.Feedforward((5,), bias=True, gauge="neuron"),
    "Recurrent": bd.Recurrent((4, 3)),
    "Recurrent every step": bd.Recurrent((3, 2), readout="every", gauge="neuron"),
}
each_class = pytest.mark.parametrize("name", CLASSES)


def inputs_of(formulation):
    return POINTS if isinstance(formulation, bd.Feedforward) else X


def sampled(name):
    formulation = CLASSES[name]
    return formulation, formulation.sample(inputs_of(formulation), 8, seed=3)


def assert_same(one, other, X):
    """The same network: its kind, every number in it, and what it says on X."""
    assert type(one) is type(other)
    assert (one.inputs, one.hidden, one.readout) == (other.inputs, other.hidden, other.readout)
    for mine, theirs in zip(one.subnetworks, other.subnetworks, strict=True):
        for a, b in zip(mine, theirs, strict=True):
            for part in ("weights", "leak", "threshold", "reset", "bias", "hard", "strict"):
                assert np.array_equal(getattr(a, part), getattr(b, part))
            assert (a.recurrent is None) == (b.recurrent is None)
            assert a.recurrent is None or np.array_equal(a.recurrent, b.recurrent)
    assert np.array_equal(one.readout_weights, other.readout_weights)
    assert np.array_equal(one.intercept, other.intercept)
    assert (one.classes is None) == (other.classes is None)
    assert np.array_equal(one.predict(X), other.predict(X))


# records

widths = st.lists(st.integers(1, 20), min_size=1, max_size=3).map(tuple)
norms = st.one_of(st.floats(1, 50), st.just(np.inf), st.integers(1, 5))
gauges = st.sampled_from(["subnetwork", "neuron"])
readouts = st.sampled_from(["last", "every"])
leaks = st.one_of(st.floats(0, 1), st.tuples(st.floats(0, 0.5), st.floats(0.5, 1)))
thresholds = st.one_of(
    st.floats(1e-3, 9), st.tuples(st.floats(0.1, 1), st.floats(1, 5)), st.integers(1, 5)
)
resets = st.one_of(st.sampled_from(["delayed", "immediate", "hard"]), st.floats(0, 9))
any_class = st.one_of(
    st.builds(bd.LIF, widths, leaks, thresholds, resets, readouts, norms, gauges),
    st.builds(bd.Feedforward, widths, st.booleans(), norms, gauges),
    st.builds(bd.Recurrent, widths, readouts, norms, gauges),
)


@given(any_class)
@settings(deadline=None)
def test_a_record_makes_its_class_again_also_through_json(formulation):
    record = formulation.record()
    again = bd.class_of(record)
    assert type(again) is type(formulation)
    assert again == formulation
    assert (
        ClassRecord.from_json(json.loads(json.dumps(record.to_json(), allow_nan=False))) == record
    )


@each_class
def test_files_keep_the_class(name, tmp_path):
    formulation, dictionary = sampled(name)
    assert dictionary.record == formulation.record()
    dictionary.save(tmp_path / "atoms")
    loaded = SpikeDictionary.load(tmp_path / "atoms")
    assert loaded.record == dictionary.record
    assert bd.class_of(loaded.record) == formulation
    sequences = formulation.sequences(inputs_of(formulation))
    built = SpikeDictionary.build(
        tmp_path / "built",
        sequences,
        dictionary.witnesses,
        formulation.readout,
        lambda *_: None,
        formulation.record(),
    )
    assert built.record == dictionary.record
    assert np.array_equal(built.atoms.words, dictionary.atoms.words)


COMPLETE = {
    "LIF": (bd.LIF((3,), leak=1 / 3, reset="immediate"), SHORT),
    "LIF every step": (bd.LIF((1,), leak=0.9, readout="every"), SHORT),
    "Feedforward": (bd.Feedforward((2,), bias=True), SHORT[:, 0]),
    "Feedforward of two layers": (bd.Feedforward((2, 2)), POINTS[:4, :2]),
    "Recurrent": (bd.Recurrent((2,)), SHORT[:2, :2]),
    "Recurrent of full R": (bd.Recurrent((2,), "every", gauge="neuron"), SHORT[:2, :2]),
}


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_dictionaries_say_so_in_files_too(name, tmp_path):
    formulation, inputs = COMPLETE[name]
    dictionary = formulation.complete(inputs)
    dictionary.save(tmp_path / "atoms")
    loaded = SpikeDictionary.load(tmp_path / "atoms")
    for each in (dictionary, loaded):
        assert each.record.complete
        assert bd.class_of(each.record) == formulation
        assert np.array_equal(each.sequences, formulation.sequences(inputs))
        some = each.take([0])
        assert not some.record.complete
        assert some.sequences is None
        assert bd.class_of(some.record) == formulation
    assert loaded.record == dictionary.record
    fraction = dictionary.record.fraction
    assert (None if fraction is None else str(fraction)) == {"LIF": "1/3"}.get(
        name, "9/10" if name == "LIF every step" else None
    )


@pytest.mark.parametrize("leak", ["2/7", 0.9, 1, "0", (3, 8)])
def test_a_listed_dictionary_keeps_the_leak_it_was_listed_with(leak):
    record = bd.complete_lif(SHORT, leak).record
    pair = leak if isinstance(leak, tuple) else (leak,)
    assert record.fraction == Fraction(*pair)
    assert record.leak == float(Fraction(*pair))


def test_dictionaries_made_without_a_class_have_none_and_their_files_are_as_before(tmp_path):
    # digests of the files that commit c92d562, before there were records, writes of these
    X = (np.arange(7 * 4 * 3).reshape(7, 4, 3) * 5 % 11 - 5) / 4
    bank = bd.SampledWitnesses(3, (4, 2), 6, 1, bd.Neuron((0.5, 0.9), 0.75, "immediate"), bias=True)
    listed = bd.GivenWitnesses([bank.layers(k) for k in range(3)])
    SpikeDictionary.sample(X, bank, "every").save(tmp_path / "saved")
    SpikeDictionary.build(tmp_path / "built", X, bank, report=lambda *_: None)
    SpikeDictionary.sample(X, listed).save(tmp_path / "given")
    for name, digest in {
        "saved": "f3974d1ee1847f0a69ab582f1b1533fe480e2b843e194892406b4ba38862aade",
        "built": "f63dda7a05e21dd1ef0e0ea279464bd58c7060bbc49176eccf0eced03db87ee3",
        "given": "d50031e4cfee34ac4a975f04daf67b29a3f179c62c97f13082b8c69d0308d494",
    }.items():
        assert hashlib.sha256((tmp_path / name).read_bytes()).hexdigest() == digest
        assert SpikeDictionary.load(tmp_path / name).record is None


def rewritten(path, change, arrays=None):
    """The file with other metadata and right checksums."""
    found = open_packed(path)
    metadata = json.loads(json.dumps(found.metadata))
    change(metadata)
    write_packed(
        path, found.words.copy(), found.n_rows, metadata, found.origins.copy(),
        {name: array.copy() for name, array in found.arrays.items()} | (arrays or {}),
    )  # fmt: skip


@each_class
def test_files_of_before_there_were_records_load_without_one(name, tmp_path):
    formulation, dictionary = sampled(name)
    path = tmp_path / "atoms"
    dictionary.save(path)
    rewritten(path, lambda metadata: metadata.pop("network_class"))
    loaded = SpikeDictionary.load(path).verify(formulation.sequences(inputs_of(formulation)))
    assert loaded.record is None
    assert np.array_equal(loaded.atoms.words, dictionary.atoms.words)
    program = formulation.program(loaded, LABELS, strength=0.05)  # by its layers
    assert_same(
        bd.solve(program).network(),
        bd.solve(formulation.program(dictionary, LABELS, strength=0.05)).network(),
        inputs_of(formulation),
    )


NONSENSE = {
    "no object": None,
    "a list": [1],
    "empty": {},
    "another kind": {"kind": "Transformer"},
    "kind a list": {"kind": ["LIF"]},
    "a part more": {"depth": 2},
    "no layer": {"hidden": []},
    "a width below 1": {"hidden": [5, 0]},
    "a width of text": {"hidden": ["5", 3]},
    "other layers": {"hidden": [6, 3]},
    "fewer layers": {"hidden": [3]},
    "a leak beyond 1": {"leak": 1.5},
    "a leak of text": {"leak": "0.8"},
    "a leak of three": {"leak": [0.1, 0.2, 0.3]},
    "a leak of an object": {"leak": {}},
    "another leak than its neurons": {"leak": 0.7},
    "a threshold of 0": {"threshold": 0.0},
    "another reset than its neurons": {"reset": "immediate"},
    "an unknown reset": {"reset": "soft"},
    "another readout": {"readout": "every"},
    "an unknown readout": {"readout": "sometimes"},
    "p below 1": {"p": 0.5},
    "p of text": {"p": "two"},
    "p infinite as a number": {"p": 10**400},
    "an unknown gauge": {"gauge": "layer"},
    "a bias": {"bias": True},
    "bias a number": {"bias": 1},
    "threshold units": {"kind": "Feedforward", "leak": 0.0, "threshold": 0.0, "reset": 0.0},
    "leaks of threshold units": {"kind": "Recurrent"},
    "complete of two layers": {"complete": True},
    "complete a number": {"complete": 1},
    "an exact leak": {"exact_leak": [4, 5]},
}


@pytest.mark.parametrize("what", NONSENSE)
def test_a_record_of_nonsense_is_refused_by_the_name_of_the_file(what, tmp_path):
    _, dictionary = sampled("LIF")
    path = tmp_path / "atoms"
    dictionary.save(path)
    change = NONSENSE[what]

    def alter(metadata):
        if isinstance(change, dict) and change:
            metadata["network_class"] |= change
        else:
            metadata["network_class"] = change

    rewritten(path, alter)
    with pytest.raises(
        ValueError, match=rf"^{re.escape(str(path))}: expected a spike dictionary: "
    ):
        SpikeDictionary.load(path)


@pytest.mark.parametrize(
    ("change", "arrays", "said"),
    [
        ({"exact_leak": [8, 10]}, {}, "exact_leak"),
        ({"exact_leak": [9, 0]}, {}, "exact_leak"),
        ({"exact_leak": [-9, -10]}, {}, "exact_leak"),
        ({"exact_leak": [9, 10, 1]}, {}, "exact_leak"),
        ({"exact_leak": ["9", "10"]}, {}, "exact_leak"),
        ({"exact_leak": "9/10"}, {}, "exact_leak"),
        ({"exact_leak": None}, {}, "exact_leak"),
        ({"exact_leak": [9.0, 10.0]}, {}, "exact_leak"),
        ({"complete": False}, {}, "exact_leak"),
        ({"complete": False, "exact_leak": None}, {}, "sequences: expected none"),
        ({}, {"sequences": np.zeros((2, 2))}, "sequences: expected float64 of shape"),
        ({}, {"sequences": np.zeros((8, 3, 2), dtype=np.int64)}, "sequences: expected float64"),
        ({}, {"sequences": np.full((8, 3, 2), np.nan)}, "finite"),
        ({}, {"sequences": np.full((8, 3, 2), 1 / 3)}, "multiples"),
    ],
)
def test_a_complete_file_of_nonsense_is_refused_by_the_name_of_the_file(
    change, arrays, said, tmp_path
):
    path = tmp_path / "atoms"
    bd.complete_lif(SHORT, "9/10").save(path)
    rewritten(path, lambda metadata: metadata["network_class"].update(change), arrays)
    with pytest.raises(ValueError, match=said) as caught:
        SpikeDictionary.load(path)
    assert str(caught.value).startswith(f"{path}: expected a spike dictionary: ")


def test_a_record_and_a_bank_that_contradict_are_refused_before_sampling(tmp_path):
    lif = CLASSES["LIF"]
    other = replace(lif, leak=0.5).witnesses(D, 2)
    for call in (
        lambda: SpikeDictionary.sample(X, other, record=lif.record()),
        lambda: SpikeDictionary.build(tmp_path / "atoms", X, other, record=lif.record()),
    ):
        with pytest.raises(ValueError, match=r"^witnesses: expected neurons of leak 0.8, got"):
            call()
    with pytest.raises(ValueError, match=r"^record: expected the readout 'every', got 'last'"):
        SpikeDictionary.sample(X, lif.witnesses(D, 2), "every", lif.record())
    with pytest.raises(ValueError, match=r"^record: expected layers of \(5, 3\) neurons, got"):
        SpikeDictionary.sample(X, lif.witnesses(D, 2), record=replace(lif, hidden=(3,)).record())
    whole = bd.complete_lif(SHORT, "9/10").record
    with pytest.raises(ValueError, match=r"^record: expected complete=False"):
        SpikeDictionary.sample(X, lif.witnesses(D, 2), record=whole)
    with pytest.raises(ValueError, match=r"^record: expected complete=False"):
        SpikeDictionary.build(tmp_path / "atoms", X, lif.witnesses(D, 2), record=whole)
    assert list(tmp_path.iterdir()) == []
    with pytest.raises(TypeError, match=r"^record: expected the ClassRecord .* got NoneType"):
        bd.class_of(None)


# networks

TARGETS = {
    "numbers": (np.linspace(-1, 1, N), "squared", {}),
    "two classes": (np.arange(N) % 2, "hinge", {"intercept": True}),
    "one output each of three classes": (LABELS, "squared", {"penalty": "l1"}),
    "coupled outputs": (LABELS, "softmax", {"penalty": "l1", "intercept": True}),
}


@each_class
@pytest.mark.parametrize("targets", TARGETS)
def test_a_solution_rebuilds_the_network_that_its_class_does(name, targets, tmp_path):
    formulation, dictionary = sampled(name)
    y, loss, options = TARGETS[targets]
    inputs = inputs_of(formulation)
    program = formulation.program(dictionary, y, loss, strength=0.02, **options)
    assert program.dictionary is dictionary
    assert program.source is formulation
    solution = bd.solve(program, gap=1e-5)
    expected = formulation.network(dictionary, solution)
    assert len(expected.subnetworks) > 0
    assert_same(solution.network(), expected, inputs)
    for other in (
        copy.copy(solution),
        copy.deepcopy(solution),
        pickle.loads(pickle.dumps(solution)),
    ):
        assert_same(other.network(), expected, inputs)
    pruned = solution.prune()
    assert_same(pruned.network(), formulation.network(dictionary, pruned), inputs)
    warm = bd.solve(program.with_strength(0.01), gap=1e-5, warm_start=solution)
    assert_same(warm.network(), formulation.network(dictionary, warm), inputs)
    for each in bd.path(program, [0.05, 0.01], gap=1e-4):
        assert_same(each.network(), formulation.network(dictionary, each), inputs)
    dictionary.save(tmp_path / "atoms")
    loaded = SpikeDictionary.load(tmp_path / "atoms").verify(formulation.sequences(inputs))
    again = bd.class_of(loaded.record).program(loaded, y, loss, strength=0.02, **options)
    assert_same(bd.solve(again, gap=1e-5).network(), expected, inputs)


@pytest.mark.parametrize("name", COMPLETE)
def test_complete_dictionaries_rebuild_the_networks_of_the_class_that_states_the_program(name):
    formulation, inputs = COMPLETE[name]
    dictionary = formulation.complete(inputs)
    y = np.arange(len(inputs)) % 2
    solution = bd.solve(formulation.program(dictionary, y, strength=0.01))
    network = solution.network()
    assert network.hidden == formulation.hidden
    assert_same(network, formulation.network(dictionary, solution), inputs)
    fit = dictionary.atoms.to_dense() @ solution.weights
    found = network.decision_function(inputs)
    found = found if found.ndim == 2 else found.transpose(1, 0, 2).reshape(len(fit), -1)
    assert np.abs(found - fit).max() <= 1e-12


def test_a_wider_class_over_the_dictionary_of_a_narrow_one_rebuilds_its_own_networks():
    narrow, wide = bd.LIF((1,), leak=0.5), bd.LIF((16,), leak=0.5)
    atoms = narrow.complete(SHORT)
    solution = bd.solve(wide.program(atoms, np.arange(8) % 2, "hinge", beta=0.05))
    assert solution.network().hidden == (16,)
    assert solution.program.dictionary.record.complete


def test_given_networks_have_no_record_and_their_solutions_have_networks():
    lif = CLASSES["LIF"]
    bank = lif.witnesses(D, 6, seed=3)
    layers = [bank.layers(k) for k in range(6)]
    dictionary = SpikeDictionary.sample(X, bd.GivenWitnesses(layers))
    assert dictionary.record is None
    solution = bd.solve(lif.program(dictionary, LABELS, strength=0.02))
    assert_same(solution.network(), lif.network(dictionary, solution), X)


def test_heads_rebuild_the_networks_of_their_solutions():
    lif, dictionary = sampled("LIF")
    heads = lif.heads(dictionary, {"labels": LABELS, "odd": np.arange(N) % 2}, strength=0.02)
    solutions = {name: bd.solve(program) for name, program in heads.items()}
    for name, network in heads.networks(solutions).items():
        assert_same(network, lif.network(dictionary, solutions[name]), X)
        assert_same(solutions[name].network(), network, X)


def test_a_readout_program_rebuilds_its_network_with_the_new_readout():
    lif, dictionary = sampled("LIF")
    network = bd.solve(lif.program(dictionary, LABELS, strength=0.02)).network()
    for leaking in (network, replace(network, readout_leak=2.0**-9)):
        program = bd.readout_program(leaking, X, LABELS, "squared", strength=0.01, intercept=True)
        solution = bd.solve(program, gap=1e-8)
        expected = leaking.with_readout(solution.weights, solution.intercept, program.classes)
        assert_same(solution.network(), expected, X)
        fit = program.affine(solution.weights, solution.intercept)
        assert np.abs(solution.network().decision_function(X) - fit).max() <= 1e-12


def test_a_readout_in_other_units_is_rebuilt_in_its_own():
    # leaking sums of a readout whose traces lie far from 1 are solved in a unit of their own
    lif, dictionary = sampled("LIF")
    network = bd.solve(lif.program(dictionary, LABELS, strength=0.02)).network()
    program = bd.readout_program(network, X, LABELS, strength=1e-9)
    far = program.over(bd.DenseMatrix(program.design.to_dense() * 2.0**-20)).stated_by(network)
    solution = bd.solve(far)
    assert solution.program is far
    assert np.array_equal(
        solution.network().readout_weights.reshape(solution.weights.shape), solution.weights
    )


def test_parts_of_a_program_keep_what_is_theirs():
    lif, dictionary = sampled("LIF")
    program = lif.program(dictionary, LABELS, strength=0.02, penalty="l1")
    assert program.select([0]).dictionary is dictionary
    one = bd.solve(program.select([0]))
    assert_same(one.network(), lif.network(dictionary, one), X)
    columns = np.array([4, 0, 2])
    some = program.take(columns)
    assert some.design is some.dictionary.atoms
    assert np.array_equal(some.dictionary.origin, dictionary.origin[columns])
    solution = bd.solve(some)
    fit = some.design.to_dense() @ solution.weights
    assert np.abs(solution.network().decision_function(X) - fit).max() <= 1e-12
    mask = np.arange(program.design.shape[1]) < 2
    assert np.array_equal(program.take(mask).dictionary.origin, dictionary.origin[:2])
    assert program.with_strength(1.0).dictionary is dictionary
    assert program.over(dictionary.atoms).dictionary is None
    assert program.over(dictionary.atoms).source is None


def test_a_program_of_a_design_alone_says_how_to_rebuild():
    lif, dictionary = sampled("LIF")
    bare = bd.ConvexProgram(dictionary.atoms, np.linspace(-1, 1, N), strength=0.02)
    assert (bare.dictionary, bare.source) == (None, None)
    solution = bd.solve(bare)
    with pytest.raises(ValueError, match=r"^program: .* call lif\.network\(atoms, solution\)"):
        solution.network()
    assert len(lif.network(dictionary, solution).subnetworks) > 0


# growing


@pytest.mark.parametrize("atoms", ["sampled", *slow(6, "loaded")])
def test_grown_dictionaries_are_of_the_class_and_their_solutions_have_networks(atoms, tmp_path):
    for name in ("LIF", "Feedforward bias", "Recurrent every step"):
        formulation, dictionary = sampled(name)
        dictionary.save(tmp_path / name)
        start = {"sampled": dictionary, "loaded": SpikeDictionary.load(tmp_path / name)}
        inputs = inputs_of(formulation)
        grown = bd.grow(
            formulation, inputs, np.arange(N) % 2, "hinge", atoms=start.get(atoms, atoms),
            strength=0.01, rounds=2, pricing="search",
        )  # fmt: skip
        assert grown.solution.program is grown.program
        assert grown.program.dictionary is grown.dictionary
        assert grown.dictionary.record == formulation.record()
        assert len(grown.history) == 1 or grown.history[0].added > 0
        expected = formulation.network(grown.dictionary, grown.solution)
        assert_same(grown.solution.network(), expected, inputs)
        grown.dictionary.save(tmp_path / "grown")
        assert SpikeDictionary.load(tmp_path / "grown").record == formulation.record()


def test_growing_from_a_dictionary_samples_no_other(monkeypatch):
    lif, dictionary = sampled("LIF")

    def sample(*arguments, **options):
        raise AssertionError("sampled")

    monkeypatch.setattr(bd.LIF, "sample", sample)
    monkeypatch.setattr(SpikeDictionary, "sample", sample)
    for pricing in ("search", "auto"):
        options = {"strength": 0.01, "rounds": 1, "pricing": pricing}
        grown = bd.grow(lif, X, np.arange(N) % 2, atoms=dictionary, **options)
        assert len(grown.history) == 1


@pytest.mark.slow
@pytest.mark.parametrize("pricing", ["search", "auto"])
@pytest.mark.parametrize("what", ["strict", "biased", "recurrent"])
def test_growing_starts_from_given_networks_that_differ_in_what_a_class_leaves_open(what, pricing):
    rng = np.random.default_rng(0)
    inputs = rng.integers(-8, 9, (30, 5, 2)) / 4
    lif = bd.LIF((4,), leak=0.9, threshold=0.5, gauge="neuron")
    more = {
        "strict": {"strict": True},
        "biased": {"bias": 0.25},
        "recurrent": {"recurrent": rng.integers(-4, 5, (4, 4)) / 8},
    }[what]
    bank = bd.GivenWitnesses(
        [[bd.Layer.build(rng.integers(-8, 9, (2, 4)) / 8, 0.9, 0.5, **more)] for _ in range(5)]
    )
    start = SpikeDictionary.sample(inputs, bank)
    grown = bd.grow(
        lif, inputs, rng.integers(0, 2, 30), "hinge", atoms=start, strength=0.01, rounds=3,
        pricing=pricing,
    )  # fmt: skip
    assert sum(each.added for each in grown.history) > 0
    assert grown.dictionary.record is None  # some of its networks were given
    fit = grown.program.affine(grown.solution.weights, grown.solution.intercept)
    assert np.abs(grown.solution.network().decision_function(inputs) - fit).max() <= 1e-12


def test_growing_refuses_starts_of_other_layers_and_other_inputs():
    lif, dictionary = sampled("LIF")
    wider = replace(lif, hidden=(5, 4)).sample(X, 4)
    with pytest.raises(ValueError, match=r"^atoms: expected layers of \(5, 3\) neurons, got"):
        bd.grow(lif, X, LABELS, atoms=wider, strength=0.1)
    with pytest.raises(ValueError, match=r"^atoms: expected a dictionary of X with \(9, 4, 2\)"):
        bd.grow(lif, X[:, :, :2], LABELS, atoms=dictionary, strength=0.1)


def test_a_class_of_ones_own_is_searched_and_rebuilt(tmp_path):
    class Own(bd.LIF):
        kind = None  # records do not know it

    own = Own((4, 2), leak=0.8, threshold=0.5)
    dictionary = own.sample(X, 6)
    assert own.record() is None
    assert dictionary.record is None
    complete = Own((1,), leak=0.5).complete(SHORT)
    complete.save(tmp_path / "atoms")
    assert SpikeDictionary.load(tmp_path / "atoms").record is None
    grown = bd.grow(own, X, np.arange(N) % 2, "hinge", atoms=6, strength=0.01, rounds=2)
    assert grown.grounds is None
    assert_same(grown.solution.network(), own.network(grown.dictionary, grown.solution), X)


def test_a_class_with_a_bias_refuses_dictionaries_without_ones():
    plain, biased = bd.Feedforward((3,)), bd.Feedforward((3,), bias=True)
    with pytest.raises(
        ValueError, match=r"^dictionary: expected a dictionary of inputs with a column of"
    ):
        biased.program(plain.sample(POINTS, 6), LABELS, strength=0.1)
    with pytest.raises(
        ValueError, match=r"^dictionary: expected a dictionary of inputs with a column of"
    ):
        biased.program(plain.complete(POINTS[:, :2]), LABELS, strength=0.1)
    ones = np.column_stack([POINTS[:, :2], np.ones(N)])
    program = biased.program(bd.complete_thresholds(ones), LABELS, strength=0.1)
    assert program.dictionary.record.complete
    assert bd.solve(program.with_strength(0.01)).network().inputs == 2


# completeness


def proven(certificate, path, **options):
    certificate.save(path, **options)
    return checker.check(str(path))


@pytest.mark.parametrize("name", ["LIF", "LIF every step", "Feedforward"])
@pytest.mark.parametrize("source", ["memory", "file", "listed"])
def test_a_complete_certificate_asks_for_nothing(name, source, tmp_path):
    formulation, inputs = COMPLETE[name]
    dictionary = formulation.complete(inputs)
    if source == "file":
        dictionary.save(tmp_path / "atoms")
        dictionary = SpikeDictionary.load(tmp_path / "atoms")
    if source == "listed" and name != "Feedforward":
        leak = "1/3" if name == "LIF" else "9/10"
        dictionary = bd.complete_lif(inputs, leak, formulation.reset, formulation.readout)
    program = formulation.program(dictionary, np.arange(8) % 2, "hinge", strength=0.02)
    certificate = bd.certify(program, bd.solve(program, gap=1e-8), exact=True)
    said = proven(certificate, tmp_path / "a.cert", complete=True)
    lif = name != "Feedforward"
    given = inputs if lif else np.column_stack([inputs, np.ones(8)])
    bare = bd.ConvexProgram(
        dictionary.atoms, program.target, program.loss, program.strength, program.row_weights
    )
    constants = {}
    if lif:
        constants = {"leak": dictionary.record.fraction, "reset": formulation.reset}
        constants |= {"readout": formulation.readout}
    by_hand = bd.completeness(bare, given, **constants)
    assert by_hand == bd.completeness(program)
    assert said == proven(certificate, tmp_path / "b.cert", complete=by_hand)
    assert (tmp_path / "a.cert").read_bytes() == (tmp_path / "b.cert").read_bytes()
    certificate.save(tmp_path / "c.cert")
    with pytest.raises(checker.Refused):
        checker.check(str(tmp_path / "c.cert"))
    # what the dictionary knows may be said again, and not otherwise
    assert bd.completeness(program, given, **constants) == by_hand
    for change in ({"leak": "1/2"}, {"reset": "hard"}, {"readout": "all"}):
        with pytest.raises(ValueError, match=rf"^{next(iter(change))}: expected .* dictionary"):
            bd.completeness(program, **change)


def test_what_is_not_known_of_a_complete_program_is_asked_for_in_words(tmp_path):
    lif, inputs = COMPLETE["LIF"]
    dictionary = lif.complete(inputs)
    y = np.arange(8) % 2

    def saved(dictionary, formulation=lif, y=y):
        program = formulation.program(dictionary, y, strength=0.02)
        bd.certify(program, bd.solve(program), exact=True).save(tmp_path / "a.cert", complete=True)

    for unknown in (
        replace(dictionary, sequences=None),
        replace(dictionary, record=None),
        dictionary.take(np.arange(5)),
        lif.sample(inputs, 20),
    ):
        with pytest.raises(ValueError, match=r"^X: expected the inputs .* pass X"):
            saved(unknown)
    bare = bd.ConvexProgram(dictionary.atoms, np.where(y, 1.0, -1.0), strength=0.02)
    with pytest.raises(ValueError, match=r"^X: expected the inputs .* pass X"):
        bd.completeness(bare)
    saved(dictionary)
    # X alone is enough where the dictionary knows the rest
    program = lif.program(replace(dictionary, sequences=None), y, strength=0.02)
    assert bd.completeness(program, inputs) == bd.completeness(
        lif.program(dictionary, y, strength=0.02)
    )
    with pytest.raises(ValueError, match=r"^program: expected the \d+ patterns of X"):
        bd.completeness(program, inputs[[1, 0, *range(2, 8)]])
    for name in ("Feedforward of two layers", "Recurrent"):
        formulation, points = COMPLETE[name]
        with pytest.raises(
            ValueError, match=r"^program: expected a dictionary of one hidden layer"
        ):
            saved(formulation.complete(points), formulation, np.arange(len(points)) % 2)
    assert [path.name for path in tmp_path.iterdir()] == ["a.cert"]


def test_a_file_that_lies_about_its_leak_proves_nothing(tmp_path):
    # 1156 trajectories of leak 1/2 under the record of a fraction that rounds to it and has 1176
    strings = np.eye(2)[np.array(list(np.ndindex(2, 2, 2, 2)))]
    path, lie = tmp_path / "atoms", [2**53 + 1, 2**54]
    bd.complete_lif(strings, "1/2", readout="every").save(path)
    rewritten(path, lambda metadata: metadata["network_class"].update(exact_leak=lie))
    loaded = SpikeDictionary.load(path)
    lif = bd.LIF((1,), leak=0.5, readout="every")
    program = lif.program(loaded, np.arange(16) % 2, strength=0.02)
    certificate = bd.certify(program, bd.solve(program), exact=True)
    with pytest.raises(ValueError, match=r"^program: expected the 117\d patterns of X"):
        certificate.save(tmp_path / "a.cert", complete=True)
    assert not (tmp_path / "a.cert").exists()
