"""A dictionary is what it says: its parts fit each other, and its witnesses fire its atoms."""

import copy
import dataclasses
import mmap
import multiprocessing
import os
import pickle
import subprocess
import sys

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import NeuronWitnesses
from bidual.dictionaries.files.packed_writer import write_packed
from bidual.dictionaries.spike_dictionary import _metadata
from bidual.dictionaries.witnesses.records import to_record

X = np.random.default_rng(3).normal(size=(20, 5, 3))
Y = np.arange(20) % 2
LIF = bd.LIF(hidden=(4, 3))
ATOMS = LIF.sample(X, subnetworks=5, seed=1)
EVERY = bd.LIF(hidden=(3,), readout="every").sample(X, subnetworks=3)
ONE = bd.SpikeDictionary.sample(X, NeuronWitnesses(EVERY.witnesses.layers(0)[0]))
GIVEN = bd.SpikeDictionary.sample(
    X, bd.GivenWitnesses([ATOMS.witnesses.layers(k) for k in range(5)])
)
KINDS = {"sampled": ATOMS, "every step": EVERY, "neurons": ONE, "given": GIVEN}
kinds = pytest.mark.parametrize("dictionary", KINDS.values(), ids=KINDS)


def written(dictionary, path, **changes):
    """The file of a dictionary by another program, which checks nothing."""
    parts = {
        field.name: getattr(dictionary, field.name) for field in dataclasses.fields(dictionary)
    }
    parts |= changes
    bank, arrays = to_record(parts["witnesses"])
    names = ("readout", "samples", "steps", "record", "grid")
    told = _metadata(bank, *(parts[name] for name in names))
    atoms = parts["atoms"]
    write_packed(path, atoms.words, atoms.shape[0], told, parts["origin"], arrays)
    return path


def with_columns(dictionary, change):
    dense = dictionary.atoms.to_dense().astype(int)
    change(dense)
    return {"atoms": bd.BinaryMatrix.from_dense(dense)}


def repeat(dense):
    dense[:, 2] = dense[:, 0]


def clear(dense):
    dense[:, 1] = 0


def moved(column, value):
    origin = ATOMS.origin.copy()
    origin[1, column] = value
    return {"origin": origin}


def twice():
    origin = ATOMS.origin.copy()
    origin[3] = origin[0]
    return {"origin": origin}


CONTRADICTIONS = {
    "a column twice": (with_columns(ATOMS, repeat), "column 2, which repeats an earlier one"),
    "a column of zeros": (with_columns(ATOMS, clear), "column 1, which is all zero"),
    "another readout": ({"readout": "sometimes"}, "readout: expected 'last' or 'every', got 'some"),
    "steps of a list": ({"steps": [1, 2]}, "steps: expected a whole number from 1 to"),
    "no steps": ({"steps": 0}, "steps: expected a whole number from 1 to"),
    "half a step": ({"steps": 2.5}, "steps: expected a whole number from 1 to"),
    "a true step": ({"steps": True}, "steps: expected a whole number from 1 to"),
    "too few samples": ({"samples": 7}, "atoms: expected 7 rows by the samples, got 20"),
    "a neuron too many": (moved(1, 3), "origin: expected final neurons 0 to 2, got 3"),
    "a neuron below 0": (moved(1, -7), "origin: expected final neurons 0 to 2, got -7"),
    "a subnetwork too many": (moved(0, 2**40), "origin: expected subnetworks 0 to 4, got 109951"),
    "a subnetwork below 0": (moved(0, -1), "origin: expected subnetworks 0 to 4, got -1"),
    "a neuron of two atoms": (twice(), "origin: expected one neuron per atom"),
    "layers without bytes": (
        {"witnesses": dataclasses.replace(ATOMS.witnesses, hidden=(4, 2**23))},
        "witnesses: expected at most 16777216 weights in a sampled subnetwork",
    ),
    "inputs without bytes": (
        {"witnesses": dataclasses.replace(ATOMS.witnesses, inputs=2**60)},
        "witnesses: expected at most 16777216 weights in a sampled subnetwork",
    ),
}


@pytest.mark.parametrize(("changes", "told"), CONTRADICTIONS.values(), ids=CONTRADICTIONS)
def test_parts_that_contradict_each_other_are_neither_saved_nor_loaded(changes, told, tmp_path):
    path = written(dataclasses.replace(ATOMS, record=None), tmp_path / "atoms", **changes)
    with pytest.raises(ValueError, match="expected a spike dictionary") as refused:
        bd.SpikeDictionary.load(path)
    assert str(refused.value).startswith(f"{path}: expected a spike dictionary: ")
    assert told in str(refused.value)
    path.unlink()
    with pytest.raises(ValueError, match=r"^\w+: expected") as refused:
        dataclasses.replace(ATOMS, **changes).save(path)
    assert told in str(refused.value)
    assert not os.listdir(tmp_path)


@kinds
def test_verify_passes_on_the_sequences_of_the_dictionary_alone(dictionary, tmp_path):
    dictionary.save(tmp_path / "atoms")
    loaded = bd.SpikeDictionary.load(tmp_path / "atoms")
    assert not loaded.checked
    verified = loaded.verify(X)
    assert verified.checked
    assert np.array_equal(verified.atoms.words, dictionary.atoms.words)
    for other in (X[::-1], -X):
        with pytest.raises(ValueError, match=r"^dictionary: expected witnesses that fire .* atom"):
            loaded.verify(other)
    for shape in (X[:-1], X[:, 1:]):
        with pytest.raises(ValueError, match=r"^X: expected 20 sequences of 5 steps"):
            loaded.verify(shape)


@kinds
@pytest.mark.parametrize("part", ["origins", "atoms"])
def test_permuted_parts_are_found_at_the_first_wrong_atom(dictionary, part, tmp_path):
    rng = np.random.default_rng(4)
    count = dictionary.atoms.shape[1]
    for _ in range(10):
        order = rng.permutation(count)
        if (order == np.arange(count)).all():
            continue
        changes = {"origin": dictionary.origin[order]}
        if part == "atoms":
            changes = {"atoms": dictionary.atoms.take(order)}
        loaded = bd.SpikeDictionary.load(written(dictionary, tmp_path / "atoms", **changes))
        first = int(np.flatnonzero(order != np.arange(count))[0])
        with pytest.raises(ValueError, match=f"got atom {first}, which final neuron"):
            loaded.verify(X)


def test_a_flipped_entry_of_an_atom_is_found(tmp_path):
    for i, j in ((0, 0), (19, 2), (7, 1)):

        def flip(dense, i=i, j=j):
            dense[i, j] ^= 1

        path = written(ATOMS, tmp_path / "atoms", **with_columns(ATOMS, flip))
        with pytest.raises(ValueError, match=f"got atom {j}, which final neuron"):
            bd.SpikeDictionary.load(path).verify(X)


@pytest.mark.parametrize("part", ["origins", "atoms", "nothing"])
def test_no_network_is_rebuilt_of_a_file_before_its_witnesses_were_rolled_out(part, tmp_path):
    order = np.arange(ATOMS.atoms.shape[1])[::-1]
    changes = {
        "origins": {"origin": ATOMS.origin[order]},
        "atoms": {"atoms": ATOMS.atoms.take(order)},
    }
    path = written(ATOMS, tmp_path / "atoms", **changes.get(part, {}))
    loaded = bd.SpikeDictionary.load(path)
    solution = bd.solve(LIF.program(loaded, Y, "hinge", beta=0.02), gap=1e-6)
    for network in (
        solution.network,
        lambda: LIF.network(loaded, solution),
        lambda: bd.SpikingNetwork.rebuild(loaded, solution.weights, solution.intercept),
        solution.prune().network,
    ):
        with pytest.raises(
            ValueError, match=r"^dictionary: .*pass the result of dictionary.verify"
        ):
            network()
    if part == "nothing":
        fit = loaded.atoms.to_dense() @ solution.weights + solution.intercept
        outputs = LIF.network(loaded.verify(X), solution).decision_function(X)
        assert np.abs(outputs.reshape(fit.shape) - fit).max() < 1e-9
    none = bd.solve(LIF.program(loaded, Y, "hinge", strength=9.0))
    assert not none.active.size
    assert len(none.network().subnetworks) == 0  # which needs no witness


def test_a_build_that_was_finished_rolls_the_atoms_of_a_network_out(tmp_path):
    bank, path = ATOMS.witnesses, tmp_path / "built"
    first = bd.SpikeDictionary.build(path, X, bank, report=lambda *_: None)
    assert first.checked
    again = bd.SpikeDictionary.build(path, X, bank, report=lambda *_: None)
    assert not again.checked
    for dictionary in (first, again):
        solution = bd.solve(LIF.program(dictionary, Y, "hinge", beta=0.02), gap=1e-4)
        network = solution.network()
        fit = dictionary.atoms.to_dense() @ solution.weights + solution.intercept
        assert np.abs(network.decision_function(X).reshape(fit.shape) - fit).max() < 1e-9
    wrong = dataclasses.replace(again, origin=again.origin[::-1].copy())
    solution = bd.solve(LIF.program(wrong, Y, "hinge", beta=0.02), gap=1e-4)
    with pytest.raises(ValueError, match=r"^dictionary: expected witnesses that fire their atoms"):
        solution.network()


def test_a_complete_dictionary_of_a_file_rolls_its_own_sequences_out(tmp_path):
    short = np.eye(2)[[[0, 1], [1, 1], [1, 0]]]
    one = bd.LIF((2,), leak=0.5)
    one.complete(short).save(tmp_path / "atoms")
    loaded = bd.SpikeDictionary.load(tmp_path / "atoms")
    solution = bd.solve(one.program(loaded, [0, 1, 1], "hinge", beta=0.01))
    fit = loaded.atoms.to_dense() @ solution.weights + solution.intercept
    network = solution.network()
    assert np.abs(network.decision_function(short).reshape(fit.shape) - fit).max() < 1e-9
    wrong = dataclasses.replace(loaded, origin=loaded.origin[::-1].copy())
    with pytest.raises(ValueError, match="witnesses that fire their atoms"):
        bd.solve(one.program(wrong, [0, 1, 1], "hinge", beta=0.01)).network()


# pickles


DENSE = bd.DenseMatrix(np.random.default_rng(0).normal(size=(5, 3)))
COPIES = {
    "pickle": lambda value: pickle.loads(pickle.dumps(value)),
    "pickle 2": lambda value: pickle.loads(pickle.dumps(value, protocol=2)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
    "twice": lambda value: copy.deepcopy(pickle.loads(pickle.dumps(value))),
}


def writeable(matrix):
    return [
        name
        for name, value in vars(matrix).items()
        if isinstance(value, np.ndarray) and is_writeable(value)
    ]


def is_writeable(array):
    """Whether a caller can write into it, also after asking for it."""
    try:
        array.view().setflags(write=True)
    except ValueError:
        return array.flags.writeable
    return True


@pytest.mark.parametrize("copied", COPIES.values(), ids=COPIES)
def test_copies_of_matrices_are_read_only_and_equal(copied, tmp_path):
    ATOMS.save(tmp_path / "atoms")
    DENSE.squared_norms()
    for matrix in (ATOMS.atoms, bd.BinaryMatrix.load(tmp_path / "atoms"), DENSE):
        other = copied(matrix)
        assert type(other) is type(matrix)
        assert not writeable(other)
        assert np.array_equal(other.to_dense(), matrix.to_dense())
        v = np.arange(matrix.shape[0], dtype=float)
        assert np.array_equal(other.rmatvec(v), matrix.rmatvec(v))
    for dictionary in (ATOMS, bd.SpikeDictionary.load(tmp_path / "atoms")):
        other = copied(dictionary)
        assert not is_writeable(other.atoms.words)
        assert other.checked == dictionary.checked
        assert np.array_equal(other.origin, dictionary.origin)
    program = LIF.program(ATOMS, Y, "hinge", beta=0.02)
    assert not is_writeable(copied(program).design.words)


def is_mapped(matrix):
    base = matrix.words
    while isinstance(base.base, np.ndarray):
        base = base.base
    return isinstance(base.base, mmap.mmap)


def test_a_matrix_of_a_file_is_pickled_by_its_path_while_the_file_is_as_it_was(
    tmp_path, monkeypatch
):
    path = tmp_path / "matrix"
    big = bd.BinaryMatrix.from_dense(np.random.default_rng(1).integers(0, 2, (5000, 400)))
    big.save(path)
    monkeypatch.chdir(tmp_path)
    matrix = bd.BinaryMatrix.load("matrix")
    told = pickle.dumps(matrix)
    assert len(told) < 1000
    monkeypatch.chdir("/")  # the path is absolute
    again = pickle.loads(told)
    assert is_mapped(again)
    assert np.array_equal(again.words, big.words)
    assert len(pickle.dumps(again)) < 1000

    other = tmp_path / "moved"
    path.rename(other)
    by_value = pickle.dumps(matrix)  # the map outlives the name
    assert len(by_value) > big.words.nbytes
    assert np.array_equal(pickle.loads(by_value).words, big.words)
    with pytest.raises(FileNotFoundError, match="matrix"):
        pickle.loads(told)

    big.save(path)  # a file of the same bytes is the same matrix
    assert is_mapped(pickle.loads(told))
    assert np.array_equal(pickle.loads(told).words, big.words)
    bd.BinaryMatrix.from_dense(np.eye(3)).save(path)
    with pytest.raises(ValueError, match=r"matrix: expected the file that was mapped before"):
        pickle.loads(told)
    path.write_bytes(other.read_bytes()[:-100] + b"?" * 100)
    with pytest.raises(ValueError, match=r"matrix: expected an intact footer"):
        pickle.loads(told)


def test_a_file_that_was_written_into_is_verified_again(tmp_path):
    path = tmp_path / "matrix"
    ATOMS.atoms.save(path)
    told = pickle.dumps(bd.BinaryMatrix.load(path))
    status = path.stat()
    with open(path, "r+b") as file:
        file.seek(200)
        byte = file.read(1)
        file.seek(200)
        file.write(bytes([byte[0] ^ 1]))
    os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns + 1))
    with pytest.raises(ValueError, match="altered"):
        pickle.loads(told)


def sums(matrix):
    return matrix.column_sums().tolist(), matrix.words.flags.writeable


@pytest.mark.slow
def test_matrices_go_to_other_processes(tmp_path):
    ATOMS.atoms.save(tmp_path / "matrix")
    matrices = [ATOMS.atoms, bd.BinaryMatrix.load(tmp_path / "matrix")]
    with multiprocessing.get_context("spawn").Pool(1) as pool:
        for found in pool.map(sums, matrices):
            assert found == (ATOMS.atoms.column_sums().tolist(), False)


BOMB = """
import resource, sys
import numpy as np, bidual as bd
resource.setrlimit(resource.RLIMIT_AS, (6 << 30, 6 << 30))
start = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    atoms = bd.SpikeDictionary.load(sys.argv[1])
    class_ = bd.LIF(hidden=tuple(atoms.record.hidden))
    solution = bd.solve(class_.program(atoms, np.arange(20) % 2, "hinge", strength=0.02), gap=1e-3)
    solution.network()
except ValueError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024)
"""


@pytest.mark.slow
@pytest.mark.parametrize("width", [2**19, 2**21, 2**22])
def test_a_record_of_a_wide_layer_takes_no_memory(width, tmp_path):
    record = bd.LIF(hidden=(4, width)).record()
    wide = dataclasses.replace(ATOMS.witnesses, hidden=(4, width))
    path = written(ATOMS, tmp_path / "atoms", witnesses=wide, record=record)
    assert path.stat().st_size < 8000
    done = subprocess.run(
        [sys.executable, "-c", BOMB, path], capture_output=True, text=True, check=True
    )
    assert int(done.stdout) < 200, done.stderr
