"""A dictionary built into a file is the sampled one, bit for bit, however often it was killed."""

import dataclasses
import hashlib
import mmap
import os
import signal
import subprocess
import sys
import textwrap

import numpy as np
import pytest

import bidual as bd
from bidual.dictionaries import Layer, NeuronWitnesses

NEURON = bd.Neuron(leak=(0.5, 0.99), threshold=1.0)
CHUNK = "bidual.dictionaries.spike_dictionary._CHUNK_BYTES"

GIVEN = bd.GivenWitnesses(
    [bd.SampledWitnesses(8, (9, 5), 7, 2, NEURON, recurrent=True).layers(k) for k in range(7)]
)
BIG = bd.SampledWitnesses(8, (30,), 1, 3, bd.Neuron(0.7, (0.5, 2.0)), bias=True)
BANKS = {
    "sampled": bd.SampledWitnesses(8, (16, 8), 12, 4, NEURON),
    "of every option": bd.SampledWitnesses(
        *(8, (12, 6), 9, 2**64 - 1),
        *(bd.Neuron((0.1, 0.9), (0.5, 1.5), "hard", strict=True), "orthogonal"),
        **{"recurrent": True, "bias": True},
    ),
    "given": GIVEN,
    "neurons": NeuronWitnesses(BIG.layers(0)[0]),
}


@pytest.fixture(scope="module")
def X():
    return bd.tasks.digits()[0][:60]


def same(one, other):
    assert (one.readout, one.samples, one.steps) == (other.readout, other.samples, other.steps)
    assert one.atoms.shape == other.atoms.shape
    assert np.array_equal(one.atoms.words, other.atoms.words)
    assert np.array_equal(one.origin, other.origin)
    mine, others = one.witnesses, other.witnesses
    assert (mine.inputs, mine.hidden) == (others.inputs, others.hidden)
    assert mine.subnetworks == others.subnetworks
    for k in range(mine.subnetworks):
        for a, b in zip(mine.layers(k), others.layers(k), strict=True):
            for field in dataclasses.fields(Layer):
                assert np.array_equal(getattr(a, field.name), getattr(b, field.name)), field.name


@pytest.mark.parametrize("bank", BANKS.values(), ids=BANKS)
@pytest.mark.parametrize("readout", ["last", "every"])
@pytest.mark.parametrize("chunk", [1, 3000, 2**25])
def test_built_saved_and_sampled_dictionaries_are_the_same(
    bank, readout, chunk, X, tmp_path, monkeypatch
):
    monkeypatch.setattr(CHUNK, chunk)
    sampled = bd.SpikeDictionary.sample(X, bank, readout)
    same(bd.SpikeDictionary.build(tmp_path / "built", X, bank, readout), sampled)
    sampled.save(tmp_path / "saved")
    same(bd.SpikeDictionary.load(tmp_path / "saved"), sampled)
    same(bd.SpikeDictionary.load(tmp_path / "built"), sampled)
    assert sorted(os.listdir(tmp_path)) == ["built", "saved"]


def test_loaded_atoms_are_mapped_and_multiply(X, tmp_path):
    sampled = bd.SpikeDictionary.sample(X, BANKS["sampled"])
    sampled.save(tmp_path / "saved")
    loaded = bd.SpikeDictionary.load(tmp_path / "saved").atoms
    owner = loaded.words
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    assert isinstance(owner.base, mmap.mmap)
    rows = np.random.default_rng(0).normal(size=60)
    assert np.array_equal(loaded.rmatvec(rows), sampled.atoms.rmatvec(rows))


def test_report_tells_each_chunk(X, tmp_path, monkeypatch):
    monkeypatch.setattr(CHUNK, 2 * 8 * 64)
    told = []
    built = bd.SpikeDictionary.build(
        tmp_path / "built", X, BANKS["sampled"], report=lambda *done: told.append(done)
    )
    assert [done for done, _, _ in told] == [2, 4, 6, 8, 10, 12]
    assert {total for _, total, _ in told} == {12}
    assert told[-1][2] == built.atoms.shape[1]


class Interrupted(Exception):
    pass


def test_an_interrupted_build_goes_on_where_it_was(X, tmp_path, monkeypatch):
    monkeypatch.setattr(CHUNK, 1)
    bank = BANKS["sampled"]
    bd.SpikeDictionary.build(tmp_path / "whole", X, bank)
    path, told = tmp_path / "built", []

    def stop_after_two(done, *_):
        told.append(done)
        if len(told) % 2 == 0:
            raise Interrupted

    for _ in range(6):
        with pytest.raises(Interrupted):
            bd.SpikeDictionary.build(path, X, bank, report=stop_after_two)
        assert not path.exists()
    bd.SpikeDictionary.build(path, X, bank, report=stop_after_two)
    assert told == list(range(1, 13))  # nothing was done twice
    assert path.read_bytes() == (tmp_path / "whole").read_bytes()
    bd.SpikeDictionary.build(path, X, bank, report=stop_after_two)  # loads what is there
    assert len(told) == 12


KILLED = """
    import os, signal, sys
    import bidual as bd
    from bidual.dictionaries import spike_dictionary
    spike_dictionary._CHUNK_BYTES = 1
    calls = 0
    def kill_at(name, function):
        def run(*arguments, **options):
            global calls
            calls += 1
            if calls == int(sys.argv[2]):
                os.kill(os.getpid(), signal.SIGKILL)
            return function(*arguments, **options)
        setattr(os, name, run)
    for name in ("write", "fsync", "replace", "ftruncate", "unlink"):
        kill_at(name, getattr(os, name))
    bank = bd.SampledWitnesses(8, (6, 3), 3, 4, bd.Neuron(0.9, 1.0))
    bd.SpikeDictionary.build(sys.argv[1], bd.tasks.digits()[0][:40], bank)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no SIGKILL")
@pytest.mark.slow
def test_a_build_killed_at_any_of_its_writes_ends_with_the_same_bytes(tmp_path):
    # every moment of the file itself is in test_packed_file; this is the way through sampling
    def build(path, kill_at):
        command = [sys.executable, "-c", textwrap.dedent(KILLED), str(path), str(kill_at)]
        return subprocess.run(command, check=False).returncode

    assert build(tmp_path / "whole", 0) == 0
    whole = hashlib.sha256((tmp_path / "whole").read_bytes()).digest()
    path = tmp_path / "built"
    for kill_at in (9, 5, 14):  # into the third chunk, a repeat of the second, the end
        code = build(path, kill_at)
        assert code == -signal.SIGKILL
    assert build(path, 0) == 0
    assert hashlib.sha256(path.read_bytes()).digest() == whole


def test_another_build_at_the_path_is_refused(X, tmp_path, monkeypatch):
    monkeypatch.setattr(CHUNK, 1)
    bank = BANKS["sampled"]
    path = tmp_path / "built"
    bd.SpikeDictionary.build(path, X, bank)
    before = path.read_bytes()
    changed = X.copy()
    changed[0, 0, 0] += 1
    for other in (
        lambda: bd.SpikeDictionary.build(path, changed, bank),
        lambda: bd.SpikeDictionary.build(path, X, dataclasses.replace(bank, seed=5)),
        lambda: bd.SpikeDictionary.build(path, X, bank, "every"),
        lambda: bd.SpikeDictionary.build(path, X, GIVEN),
    ):
        with pytest.raises(ValueError, match="expected the same build"):
            other()
    assert path.read_bytes() == before
    assert os.listdir(tmp_path) == ["built"]


def test_silent_banks_leave_no_file(tmp_path):
    with pytest.raises(ValueError, match="fires on any sequence"):
        bd.SpikeDictionary.build(tmp_path / "built", np.zeros((5, 3, 8)), BANKS["sampled"])
    assert not os.listdir(tmp_path)


def test_wrong_files_are_refused(X, tmp_path):
    path = tmp_path / "saved"
    bd.SpikeDictionary.sample(X, BANKS["sampled"]).save(path)
    whole = path.read_bytes()
    for damaged in (whole[:-1], whole + b"0", whole[:5000] + b"?" + whole[5001:], b""):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"saved: expected"):
            bd.SpikeDictionary.load(path)
    bd.SpikeDictionary.sample(X, BANKS["sampled"]).atoms.save(path)
    with pytest.raises(ValueError, match="expected a spike dictionary"):
        bd.SpikeDictionary.load(path)
    with pytest.raises(OSError, match="absent"):
        bd.SpikeDictionary.load(tmp_path / "absent")


def test_a_bank_of_another_kind_is_not_written(X, tmp_path):
    class Own:
        inputs, hidden, subnetworks = 8, (16, 8), 12
        layers = staticmethod(BANKS["sampled"].layers)

    dictionary = bd.SpikeDictionary.sample(X, Own())
    with pytest.raises(TypeError, match=r"^witnesses: expected a bank of bidual's"):
        dictionary.save(tmp_path / "saved")
    with pytest.raises(TypeError, match="Own"):
        bd.SpikeDictionary.build(tmp_path / "saved", X, Own())
    assert not os.listdir(tmp_path)
