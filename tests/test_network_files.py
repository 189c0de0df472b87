"""A network comes back from its file bit for bit, and no other bytes come back at all."""

import os
import pickle
import struct
from dataclasses import replace
from datetime import date
from functools import cache

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import bidual as bd
from bidual.dictionaries.files.packed_file import open_packed
from bidual.dictionaries.files.packed_writer import write_packed
from bidual.dictionaries.witnesses.records import from_record, to_record
from bidual.networks import RecurrentNetwork, SpikingNetwork, ThresholdNetwork

from covering import examples

CLASSES = (SpikingNetwork, ThresholdNetwork, RecurrentNetwork)
PARTS = ("weights", "leak", "threshold", "reset", "bias", "recurrent")

on_every_class = pytest.mark.parametrize("network_class", CLASSES)

# any float64 but NaN and infinity: -0.0, subnormals and the largest too
floats = st.floats(allow_nan=False, allow_infinity=False)
LABELS = {
    "int64": st.integers(-(2**63), 2**63 - 1),
    "uint8": st.integers(0, 255),
    "bool": st.booleans(),
    "float32": st.floats(allow_nan=False, allow_infinity=False, width=32),
    "str": st.text(max_size=5),
    "bytes": st.binary(max_size=5),
    "T": st.text(max_size=5),
    "object": st.one_of(st.text(max_size=5), st.integers(), st.booleans()),
}


def arrays(shape, elements=floats):
    return hnp.arrays(np.float64, shape, elements=elements)


@st.composite
def networks(draw):
    """Networks of any class, of any numbers that a layer may have."""
    network_class = draw(st.sampled_from(CLASSES))
    inputs, outputs, count = (draw(st.integers(low, 3)) for low in (1, 1, 0))
    hidden = tuple(draw(st.lists(st.integers(1, 3), min_size=1, max_size=3)))
    recurrent = [network_class is not ThresholdNetwork and draw(st.booleans()) for _ in hidden]

    def layer(fan_in, width, fed_back):
        remembers = network_class is SpikingNetwork
        hard = remembers and draw(st.booleans())
        zeros = st.just(np.zeros(width))
        return bd.Layer(
            weights=draw(arrays((fan_in, width))),
            leak=draw(arrays(width, st.floats(0, 1)) if remembers else zeros),
            threshold=draw(arrays(width)),
            reset=draw(arrays(width) if remembers and not hard else zeros),
            bias=draw(arrays(width)),
            recurrent=draw(arrays((width, width))) if fed_back else None,
            hard=hard,
            strict=draw(st.booleans()),
        )

    classes = None
    if draw(st.booleans()):
        dtype = draw(st.sampled_from(list(LABELS)))
        labels = draw(st.lists(LABELS[dtype], min_size=max(outputs, 2), max_size=max(outputs, 2)))
        classes = np.array(labels, dtype=dtype)
    shapes = list(zip((inputs, *hidden), hidden, recurrent, strict=False))
    return network_class(
        subnetworks=[[layer(*shape) for shape in shapes] for _ in range(count)],
        inputs=inputs,
        hidden=hidden,
        readout_weights=draw(arrays((count, hidden[-1], outputs))),
        intercept=draw(arrays(outputs)),
        readout="last" if network_class is ThresholdNetwork else draw(st.sampled_from(READOUTS)),
        classes=classes,
        readout_leak=draw(st.floats(0, 1)),
    )


READOUTS = ("last", "every")


def bits(network):
    """All that a network is, with every array as its dtype, shape and bytes."""

    def array(values):
        if values is None:
            return None
        entries = values.tolist() if values.dtype == object else values.tobytes()
        kinds = [type(label) for label in entries] if values.dtype == object else None
        return values.dtype, values.shape, entries, kinds

    return (
        type(network),
        network.inputs,
        network.hidden,
        network.readout,
        network.readout_leak,
        array(network.classes),
        array(network.readout_weights),
        array(network.intercept),
        [
            [(*(array(getattr(layer, part)) for part in PARTS), layer.hard, layer.strict)]
            for layers in network.subnetworks
            for layer in layers
        ],
    )


@cache
def network_of(network_class, subnetworks=2, inputs=3):
    """A small network that fires, with labels that are strings."""
    neuron = bd.Neuron(0.9, 0.5) if network_class is SpikingNetwork else bd.THRESHOLD_UNIT
    recurrent = network_class is RecurrentNetwork
    bank = bd.SampledWitnesses(inputs, (3, 2), 2, 0, neuron, recurrent=recurrent, bias=True)
    return network_class(
        subnetworks=[bank.layers(k) for k in range(subnetworks)],
        inputs=inputs,
        hidden=(3, 2),
        readout_weights=np.random.default_rng(0).normal(size=(subnetworks, 2, 3)),
        intercept=np.array([0.25, -0.5, -0.0]),
        readout="last",
        classes=np.array(["ant", "bee", "wasp"]),
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "network"


@examples(50)
@given(network=networks())
def test_every_network_comes_back_bit_for_bit(network, tmp_path_factory):
    folder = tmp_path_factory.mktemp("networks")
    network.save(folder / "one")
    loaded = type(network).load(folder / "one")
    assert bits(loaded) == bits(network)
    loaded.save(folder / "two")
    assert (folder / "two").read_bytes() == (folder / "one").read_bytes()
    assert sorted(os.listdir(folder)) == ["one", "two"]


@on_every_class
def test_a_loaded_network_predicts_the_same(network_class, path):
    network = network_of(network_class)
    network.save(path)
    loaded = network_class.load(str(path))
    X = np.random.default_rng(1).normal(size=(50, 1, 3))
    outputs = network.decision_function(X)
    assert np.array_equal(loaded.decision_function(X), outputs)
    assert loaded.predict(X).tolist() == network.predict(X).tolist()
    assert len(np.unique(outputs, axis=0)) > 1


@pytest.mark.parametrize("kind", [SpikingNetwork, RecurrentNetwork])
def test_network_load_reads_any_class_and_a_class_its_own(kind, path):
    network = network_of(kind)
    network.save(path)
    assert bits(bd.Network.load(path)) == bits(network)
    other = RecurrentNetwork if kind is SpikingNetwork else SpikingNetwork
    with pytest.raises(ValueError, match=f"expected a {other.__name__}, got a {kind.__name__}"):
        other.load(path)


def test_a_loaded_network_does_not_change_with_its_file(path):
    network = network_of(SpikingNetwork)
    network.save(path)
    loaded = SpikingNetwork.load(path)
    with path.open("r+b") as file:
        file.write(b"\0" * path.stat().st_size)
    assert bits(loaded) == bits(network)


def refused(network_class, path):
    """Whether a file is refused by name; pytest.raises takes longer, thousands of times."""
    try:
        network_class.load(path)
    except ValueError as error:
        return str(error).startswith(f"{path}: expected")
    return False


@pytest.mark.slow
def test_a_change_of_any_byte_is_refused(path):
    network_of(RecurrentNetwork).save(path)
    whole = path.read_bytes()
    with path.open("r+b", buffering=0) as file:
        for place, byte in enumerate(whole):
            for written in (byte ^ 1 << place % 8, byte):
                file.seek(place)
                file.write(bytes([written]))
                assert refused(RecurrentNetwork, path) == (written != byte), place
    assert bits(RecurrentNetwork.load(path)) == bits(network_of(RecurrentNetwork))


def test_a_file_cut_anywhere_or_longer_is_refused(path):
    network_of(RecurrentNetwork).save(path)
    whole = path.read_bytes()
    lengths = {*range(0, len(whole), 7), *range(100), *range(len(whole) - 200, len(whole))}
    for cut in (*(whole[:length] for length in lengths), whole + b"\0", whole + whole):
        path.write_bytes(cut)
        assert refused(RecurrentNetwork, path), len(cut)


@pytest.mark.parametrize("saved", CLASSES)
@pytest.mark.parametrize("asked", CLASSES)
def test_another_class_of_network_is_refused(saved, asked, path):
    # layers of threshold units would fit into any of the three
    network_of(saved, subnetworks=0).save(path)
    if saved is asked:
        assert bits(asked.load(path)) == bits(network_of(saved, subnetworks=0))
        return
    message = f"^{path}: expected a {asked.__name__}, got a {saved.__name__}"
    with pytest.raises(ValueError, match=message):
        asked.load(path)


def rewritten(path, metadata=None, arrays=None, without=None):
    """Write a network's file with other contents, under right checksums."""
    network_of(SpikingNetwork).save(path)
    found = open_packed(path)
    told = {**found.metadata, **(metadata or {})}
    carried = {**found.arrays, **(arrays or {})}
    told.pop(without, None)
    carried.pop(without, None)
    write_packed(path, np.empty((0, 8), dtype=np.uint64), 0, told, arrays=carried)


@pytest.mark.parametrize("version", [0, 1, 4, 17, "2", None])
def test_another_version_of_networks_is_refused(version, path):
    rewritten(path, {"version": version})
    with pytest.raises(
        ValueError, match=rf"^{path}: expected .* version 2 or 3, got version .*bidual"
    ):
        SpikingNetwork.load(path)


def test_a_newer_version_of_packed_files_is_refused(path):
    network_of(SpikingNetwork).save(path)
    contents = bytearray(path.read_bytes())
    struct.pack_into("<Q", contents, 8, 2)
    path.write_bytes(contents)
    with pytest.raises(ValueError, match=f"^{path}: expected format 1, got 2"):
        SpikingNetwork.load(path)


def test_rewriting_nothing_loads(path):
    # so that the tests around this one refuse what they say, and not the rewriting
    rewritten(path)
    assert bits(SpikingNetwork.load(path)) == bits(network_of(SpikingNetwork))


EVERY_PART = (
    *("contents", "version", "class", "inputs", "hidden", "readout", "readout_leak", "classes"),
    "witnesses",
    *("readout_weights", "intercept", "witnesses.0.weights", "witnesses.1.bias"),
)


@pytest.mark.parametrize("missing", EVERY_PART)
def test_a_file_without_a_part_is_refused(missing, path):
    rewritten(path, without=missing)
    with pytest.raises(ValueError, match=f"^{path}: expected"):
        SpikingNetwork.load(path)


@pytest.mark.parametrize(
    ("metadata", "arrays"),
    [
        ({"inputs": 4}, {}),
        ({"inputs": "3"}, {}),
        ({"hidden": [3, 3]}, {}),
        ({"hidden": 3}, {}),
        ({"readout": "first"}, {}),
        ({"readout_leak": 1.5}, {}),
        ({"readout_leak": "0.5"}, {}),
        ({"readout_leak": None}, {}),
        ({"classes": {"dtype": "<U4", "labels": ["a", "b"]}}, {}),
        ({"classes": {"dtype": "<U1", "labels": ["ant", "bee", "wasp"]}}, {}),
        ({"classes": {"dtype": "<V8", "labels": [1, 2, 3]}}, {}),
        ({"classes": {"dtype": "nothing", "labels": [1, 2, 3]}}, {}),
        ({"classes": {"dtype": "|O", "labels": [None, {}, []]}}, {}),
        ({"classes": {"dtype": "<i8", "labels": [1, 2, 2**70]}}, {}),
        ({"classes": ["a", "b", "c"]}, {}),
        ({"witnesses": None}, {}),
        ({"witnesses": {"kind": "given", "depth": 3}}, {}),
        ({"witnesses": {"kind": "other"}}, {}),
        ({"witnesses": [1]}, {}),
        ({}, {"intercept": np.zeros(2)}),
        ({}, {"readout_weights": np.zeros((2, 2))}),
        ({}, {"readout_weights": np.full((2, 2, 3), np.nan)}),
        ({}, {"witnesses.0.weights": np.zeros((2, 4, 3))}),
        ({}, {"witnesses.0.leak": np.full((2, 3), 2.0)}),
        ({}, {"witnesses.0.leak": np.zeros((2, 3), dtype=np.int64)}),
        ({}, {"witnesses.0.weights": np.zeros(())}),
    ],
)
def test_contents_that_are_no_network_are_refused(metadata, arrays, path):
    rewritten(path, metadata, arrays)
    with pytest.raises(ValueError, match=f"^{path}: expected a SpikingNetwork"):
        SpikingNetwork.load(path)


def test_other_files_are_refused(path):
    X, _ = bd.tasks.digits()
    bd.LIF(hidden=(4,), threshold=0.5).sample(X[:5], 2).save(path)
    with pytest.raises(ValueError, match=f"^{path}: expected a network, got 'spike dictionary'"):
        SpikingNetwork.load(path)
    for contents in (b"", b"BIDUAL\r\n", pickle.dumps([1]), b"PK\x03\x04" + b"\0" * 500):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=f"^{path}: expected"):
            SpikingNetwork.load(path)
    with pytest.raises(FileNotFoundError):
        SpikingNetwork.load(path.with_name("none"))


@pytest.mark.parametrize("broken", ["replace", "fsync", "open"])
def test_a_save_that_fails_leaves_what_was_there(broken, path, monkeypatch):
    old = network_of(SpikingNetwork)
    old.save(path)
    before = path.read_bytes()

    def fail(*_):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, broken, fail)
        with pytest.raises(OSError, match="No space"):
            network_of(SpikingNetwork, subnetworks=1).save(path)
    assert path.read_bytes() == before
    network_of(SpikingNetwork, subnetworks=1).save(path)  # what may be left stands in no way
    assert len(SpikingNetwork.load(path).subnetworks) == 1
    assert os.listdir(path.parent) == [path.name]


@pytest.mark.parametrize("label", [None, ("a", "b"), 1j], ids=repr)
def test_labels_that_a_file_cannot_hold_are_refused_before_it_is_touched(label, path):
    network = network_of(SpikingNetwork)
    network.save(path)
    before = path.read_bytes()
    classes = np.empty(3, dtype=object)
    classes[:] = ["a", label, "c"]
    with pytest.raises(ValueError, match=r"^classes: expected "):
        labelled(classes).save(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (np.array(["2020-01-01", "2021-01-01", "2022-01-01"], "M8[D]"), "dates .datetime64.D.."),
        (np.array([1, 2, 3], "m8[s]"), "differences of dates"),
        ([date(2020, 1, day) for day in (1, 2, 3)], "a date, datetime.date"),
        (np.array([date(2020, 1, 1), "a", 3], dtype=object), "a date, datetime.date"),
        (np.ma.array([1, 2, 3], mask=[0, 0, 1]), "1 masked entries"),
        (np.array([1, 2, 3], np.longdouble), "np.longdouble"),
        (np.array([1, 2, 3j]), "1.0j|0j"),
        (np.array([1, b"a", "b"], dtype=object), "b'a'"),
        (np.array([(1, 2)] * 3, dtype="i4,i4"), ".1, 2."),
        (["a", "b"], ".2,."),
        ([["a"], ["b"], ["c"]], ".3, 1."),
    ],
    ids=str,
)
def test_other_labels_are_refused_when_a_network_or_a_program_is_made(classes, found):
    with pytest.raises(ValueError, match=rf"^classes: expected .*got .*({found})"):
        labelled(classes)
    targets = np.where(np.eye(3) > 0, 1.0, -1.0)
    with pytest.raises(ValueError, match=rf"^classes: expected .*got .*({found})"):
        bd.ConvexProgram(bd.DenseMatrix(np.eye(3)), targets, "hinge", 0.1, classes=classes)


@pytest.mark.parametrize("options", [{}, {"na_object": None}, {"na_object": np.nan}], ids=str)
def test_labels_of_numpy_s_dtype_of_strings_come_back(options, path):
    kind = np.dtypes.StringDType(**options)
    network = labelled(np.array(["ant", "bee", "a rather long name"], dtype=kind))
    assert network.predict(np.zeros((1, 1, 3))).shape == (1,)
    network.save(path)
    again = SpikingNetwork.load(path).classes
    assert again.tolist() == network.classes.tolist() == ["ant", "bee", "a rather long name"]
    assert again.dtype == network.classes.dtype == np.dtypes.StringDType()


@pytest.mark.parametrize("dtype", [np.float64, np.float32, object])
def test_nan_is_no_label_and_infinity_none_for_a_file(dtype, path):
    for value in (np.nan, np.inf, -np.inf):
        with pytest.raises(
            ValueError, match=r"^classes: expected .*finite floats.* got (-?inf|nan)"
        ):
            labelled(np.array([0.0, value, 1.0], dtype=dtype)).save(path)
    assert not path.exists()


def labelled(classes):
    return replace(network_of(SpikingNetwork), classes=classes)


@pytest.mark.parametrize("network_class", [SpikingNetwork, RecurrentNetwork])
@pytest.mark.parametrize("hidden", [(4,), (2, 4)], ids=str)
def test_a_layer_recurrent_in_some_subnetworks_alone_comes_back(network_class, hidden, path):
    rng = np.random.default_rng(1)

    def one(*recurrent):
        layers = [
            bd.Layer.build(
                rng.normal(size=(fan_in, width)),
                *((0.5, 0.5) if network_class is SpikingNetwork else (0.0, 0.5, 0.0)),
                recurrent=rng.normal(size=(width, width)) * share if share is not None else None,
            )
            for fan_in, width, share in zip((3, *hidden), hidden, recurrent, strict=False)
        ]
        readout = rng.normal(size=(1, hidden[-1], 1))
        return network_class([layers], 3, hidden, readout, np.zeros(1), "last", None)

    mixed = one(None, None).merge(one(1.0, None), one(0.0, 1.0), one(None, 1.0), one(None, None))
    mixed.save(path)
    again = bd.Network.load(path)
    assert type(again) is network_class
    X = rng.normal(size=(20, 5, 3))
    assert np.array_equal(again.decision_function(X), mixed.decision_function(X))
    for layers, others in zip(again.subnetworks, mixed.subnetworks, strict=True):
        for layer, other in zip(layers, others, strict=True):
            assert (layer.recurrent is None) == (other.recurrent is None)
            assert layer.recurrent is None or np.array_equal(layer.recurrent, other.recurrent)
    bank = bd.GivenWitnesses(mixed.subnetworks)
    atoms = bd.SpikeDictionary.sample(X, bank)
    atoms.save(path)
    assert np.array_equal(bd.SpikeDictionary.load(path).atoms.words, atoms.atoms.words)


def test_recurrent_weights_that_the_record_denies_are_refused():
    plain, fed = (bd.Layer.build(np.ones((2, 2)), 0.5, 1.0, recurrent=R) for R in (None, np.eye(2)))
    record, arrays = to_record(bd.GivenWitnesses([[plain], [fed]]))
    assert record["recurrent"] == [[False], [True]]
    found = from_record(record, arrays)
    assert [found.layers(k)[0].recurrent is None for k in (0, 1)] == [True, False]
    for flags in (
        [[False], [False]],
        [[1], [True]],
        [[False]],
        [[], [True]],
        True,
        [["no"], [True]],
    ):
        with pytest.raises(ValueError, match=r"^witnesses: expected "):
            from_record(record | {"recurrent": flags}, arrays)
    fewer = {name: array for name, array in arrays.items() if name != "0.recurrent"}
    with pytest.raises(ValueError, match=r"^witnesses: expected "):
        from_record(record, fewer)
