"""Files of any contents with right checksums are refused by name, or give objects that work.

A mutation changes the parts of a good file (JSON, arrays, columns, origins, chunks), and the file
gets right checksums. What comes out is a ValueError that begins with the path, in little memory,
or an object that works. To add a reader: a line in ``READERS``, and good files in ``good_files``.
"""

import copy
import time
import tracemalloc

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import NeuronWitnesses

from packed_files import put_together, taken_apart

X = (np.arange(20 * 4 * 3).reshape(20, 4, 3) * 7 % 13 - 6) / 4
Y = np.arange(20) % 2
READERS = {
    "matrix": bd.BinaryMatrix.load,
    "dictionary": bd.SpikeDictionary.load,
    "network": bd.Network.load,
}


@pytest.fixture(scope="module")
def good_files(tmp_path_factory):
    """Contents of good files, by the name of their reader."""
    folder = tmp_path_factory.mktemp("good")
    found = {name: [] for name in READERS}

    def keep(name, save):
        save(folder / "file")
        found[name].append(taken_apart((folder / "file").read_bytes()))
        (folder / "file").unlink()

    lif = bd.LIF((4, 3), leak=(0.5, 0.9), readout="every")
    atoms = lif.sample(X, subnetworks=3)
    units = bd.Feedforward((3,), bias=True)
    simple = units.sample(X[:, 0], subnetworks=4)
    one = bd.LIF((4,), leak=0.5)
    listed = one.complete(np.eye(2)[[[0, 1], [1, 1], [1, 0]]])
    given = bd.GivenWitnesses([atoms.witnesses.layers(k) for k in range(3)])
    keep("matrix", atoms.atoms.save)
    keep("matrix", bd.BinaryMatrix.from_dense(np.eye(3)).save)
    for dictionary in (atoms, simple, listed, bd.SpikeDictionary.sample(X, given)):
        keep("dictionary", dictionary.save)
    keep(
        "dictionary",
        lambda path: bd.SpikeDictionary.build(path, X, given, report=lambda *_: None),
    )
    keep("dictionary", lif.sample(X * [1e-3, 1.0, 3e5] / 3, subnetworks=3).save)  # grids
    layer = atoms.witnesses.layers(0)[0]
    keep("dictionary", bd.SpikeDictionary.sample(X, NeuronWitnesses(layer)).save)
    recurrent = bd.Recurrent((3,), readout="every")
    for formulation, labels, inputs in (
        (lif, np.repeat(Y, 4).reshape(4, 20).T, X),
        (units, np.array(["yes", "no", "what"])[np.arange(20) % 3], X[:, 0]),
        (recurrent, np.linspace(0, 1, 80).reshape(20, 4), X),
        (one, np.array([True, False])[Y], X),
        (units, Y, X[:, 0] * [1e-3, 1.0, 3e5] / 3),  # grids
    ):
        dictionary = formulation.sample(inputs, subnetworks=3)
        loss = "squared" if labels.dtype.kind == "f" else "hinge"
        program = formulation.program(dictionary, labels, loss, strength=0.01)
        keep("network", bd.solve(program, gap=1e-2).network().save)
    return found


VALUES = [
    *(-1, 0, 1, 2, 3, 63, 64, 512, 2**22, 2**31, 2**40, 2**53, 2**63 - 1, 2**64, -(2**63), 10**400),
    *(0.5, -0.0, 1.0, 1e308, 5e-324, True, False, None, "", "last", "every", "inf", "x" * 99),
    *("\x1b[2J\r\n", "\ud800", [], {}, [1], [[1.0]], [0.5, 0.9], {"a": 1}, [10**400], [None]),
    *("sampled", "given", "neurons", "LIF", "Feedforward", "Recurrent", "<U1", "|b1", "<i8"),
    *("hard", "immediate", "delayed", "<U99999999", [2**22], [4, 2**22], [[True]], [1, 2, 3]),
]


def places(value, at=()):
    """Paths to all values of a JSON object."""
    yield at
    if isinstance(value, dict | list):
        for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
            yield from places(entry, (*at, key))


def changed_json(value, rng):
    """JSON with one value replaced, left out, repeated or added."""
    value = copy.deepcopy(value)
    found = [at for at in places(value) if at]
    at = found[rng.integers(len(found))] if found else ()
    new = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
    if not at:
        return new
    around = value
    for key in at[:-1]:
        around = around[key]
    kind = rng.integers(5)
    if kind == 0:
        del around[at[-1]]
    elif kind == 1 and isinstance(around, dict):
        around[f"more{rng.integers(9)}"] = new
    elif kind == 1 and isinstance(around, list):
        around.insert(at[-1], around[at[-1]])
    elif kind == 2 and type(around[at[-1]]) in (int, float):
        around[at[-1]] += [1, -1, 0.5, 2**32][rng.integers(4)]
    else:
        around[at[-1]] = new
    return value


def changed_bytes(contents, rng, dtype):
    """Numbers of an array with some replaced."""
    array = np.frombuffer(contents, dtype=dtype).copy()
    if not array.size:
        return contents
    chosen = rng.integers(array.size, size=rng.integers(1, 4))
    if array.dtype.kind == "f":
        array[chosen] = rng.choice([np.nan, np.inf, 1e308, -1.0, 0.0, 5e-324, 1.5, 2**30], 1)
    elif rng.integers(2):
        array[chosen] = array[rng.integers(array.size, size=chosen.size)]
    else:
        values = [-1, 0, 1, 2, 3, 2**40, 2**63 - 1, -(2**63)]
        array[chosen] = np.array(values, dtype=np.int64).astype(array.dtype)[rng.integers(8)]
    return array.tobytes()


def mutated(parts, rng):
    """Contents of a file with one to three changes to its parts."""
    parts = copy.deepcopy(parts)
    for _ in range(rng.integers(1, 4)):
        kind, header = rng.integers(8), parts["header"]
        if kind <= 2 and isinstance(header, dict) and isinstance(header.get("metadata"), dict):
            header["metadata"] = changed_json(header["metadata"], rng)
        elif kind == 3:
            parts["header"] = changed_json(header, rng)
        elif kind == 4 and parts["arrays"]:
            name = sorted(parts["arrays"])[rng.integers(len(parts["arrays"]))]
            parts["arrays"][name] = changed_bytes(parts["arrays"][name], rng, "<f8")
        elif kind == 5 and parts["words"]:
            parts["words"] = changed_bytes(parts["words"], rng, "<u8")
        elif kind == 6 and parts["origins"]:
            parts["origins"] = changed_bytes(parts["origins"], rng, "<i8")
        elif kind == 7:
            table = parts["table"]
            if rng.integers(2) or not table:
                parts["state"] = copy.deepcopy(VALUES[rng.integers(len(VALUES))])
            else:  # the columns move between chunks
                taken = int(rng.integers(table[0] + 1))
                parts["table"] = [table[0] - taken, taken, *table[1:]]
    return put_together(parts)


def damaged(contents, rng):
    """Contents with bytes changed, cut or added, mostly with wrong checksums."""
    contents = bytearray(contents)
    kind = rng.integers(3)
    if kind == 0:
        for at in rng.integers(len(contents), size=rng.integers(1, 9)):
            contents[at] = rng.integers(256)
    elif kind == 1:
        del contents[rng.integers(len(contents)) :]
    else:
        at = rng.integers(len(contents))
        contents[at:at] = rng.bytes(rng.integers(1, 200))
    return bytes(contents)


def keeps_its_word(name, loaded):
    """What a loaded object promises to anybody who uses it."""
    assert repr(loaded).isprintable()
    if name == "matrix":
        assert (loaded.column_sums() <= loaded.shape[0]).all()
    if name == "dictionary":
        atoms, origin = loaded.atoms, loaded.origin
        steps = loaded.steps if loaded.readout == "every" else 1
        assert loaded.readout in ("last", "every")
        assert type(loaded.samples) is type(loaded.steps) is int
        assert atoms.shape[0] == loaded.samples * steps
        assert len(np.unique(atoms.words, axis=0)) == atoms.shape[1]
        assert atoms.column_sums().all()
        for k, j in origin.tolist():
            layers = loaded.witnesses.layers(k)
            assert 0 <= j < layers[-1].width
        with pytest.raises(ValueError, match=r"^(X|dictionary): expected"):
            loaded.verify(X + 0.25).verify(X[:, ::-1])
    if name == "network":
        inputs = X[:2, :, : loaded.inputs]
        if isinstance(loaded, bd.ThresholdNetwork):
            inputs = inputs[:, 0]
        if loaded.inputs <= 3:
            outputs = loaded.decision_function(inputs)
            assert outputs.shape[-1] == loaded.intercept.size
            loaded.predict(inputs)


def tried(name, contents, path):
    """Whether a reader takes contents; anything but a refusal by name fails."""
    path.unlink(missing_ok=True)
    path.write_bytes(contents)
    start = time.monotonic()
    tracemalloc.start()
    try:
        loaded = READERS[name](path)
    except ValueError as error:
        refused = str(error)
    else:
        refused = None
    finally:
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 8 * 2**20
    assert time.monotonic() - start < 10
    if refused is None:
        keeps_its_word(name, loaded)
        return True
    assert refused.startswith(f"{path}: expected")
    assert refused.isprintable()
    assert len(refused) < 3000 + len(str(path))
    return False


@pytest.mark.parametrize("name", READERS)
def test_good_files_are_taken_apart_and_put_together(name, good_files, tmp_path):
    for parts in good_files[name]:
        path = tmp_path / "file"
        path.unlink(missing_ok=True)
        path.write_bytes(put_together(parts))
        READERS[name](path)


def rounds(name, good_files, path, count, seed):
    taken = 0
    for number in range(count):
        rng = np.random.default_rng([seed, number])
        parts = good_files[name][number % len(good_files[name])]
        contents = mutated(parts, rng)
        if number % 5 == 0:
            contents = damaged(contents, rng)
        try:
            taken += tried(name, contents, path)
        except BaseException as error:
            error.add_note(f"seed {[seed, number]} of a {name}")
            raise
    return taken


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")  # huge weights are fine
@pytest.mark.filterwarnings("ignore:X. rounding moves inputs")  # and grids of few steps
@pytest.mark.parametrize("name", READERS)
@pytest.mark.parametrize("count", [60, pytest.param(1500, marks=pytest.mark.slow)])
def test_hostile_files_are_refused_by_name_or_work(
    name, count, good_files, tmp_path, record_property
):
    taken = rounds(name, good_files, tmp_path / "file", count, seed=1)
    record_property("taken", taken)
    print(f"{name}: {count} hostile files, {taken} taken, {count - taken} refused")
    assert 0 < taken < count
