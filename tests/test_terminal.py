"""Names and contents of files reach a terminal escaped: no message rewrites the screen."""

import contextlib
import io
import json
import os
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.cli.main import main
from bidual.dictionaries.files.packed_writer import PackedWriter
from bidual.dictionaries.live_line import LiveLine
from bidual.kernels.text import printable

from covering import examples
from packed_files import put_together, taken_apart

HOSTILE = "a\x1b[2J\rproven\n\x07\x9b\u202e\u2028\x7fz"
X = np.random.default_rng(7).normal(size=(20, 4, 3))
LIF = bd.LIF(hidden=(4,))
ATOMS = LIF.sample(X, subnetworks=3)
SOLUTION = bd.solve(LIF.program(ATOMS, np.arange(20) % 2, "hinge", strength=0.05))


@examples(200)
@given(text=st.text() | st.characters())
def test_texts_are_printable_and_escaped_as_in_python(text):
    shown = printable(text)
    assert shown.isprintable()
    shown.encode()  # no half of a surrogate pair
    if text.isprintable():
        assert shown == text
    elif "\\" not in text:
        assert shown.encode("latin-1", "backslashreplace").decode("unicode_escape") == text


def heard(*arguments):
    """All that a command prints, and its exit code."""
    out = io.StringIO()
    with contextlib.redirect_stderr(out), contextlib.redirect_stdout(out):
        try:
            code = main(list(arguments))
        except SystemExit as left:
            code = left.code
    return out.getvalue(), code


def lines_of(text):
    assert text.endswith("\n")
    lines = text[:-1].split("\n")
    assert all(line.isprintable() for line in lines)
    return lines


def test_commands_escape_the_names_of_their_files(tmp_path):
    folder = tmp_path / HOSTILE
    folder.mkdir()
    D, y, absent = (str(folder / name) for name in ("D.npy", "y.npy", "absent.npy"))
    np.save(D, np.eye(2))
    np.save(y, np.ones(2))
    out = str(folder / f"{HOSTILE}.cert")
    text, code = heard("certify", D, y, y, "--strength", "1", "--out", out)
    assert code == 0
    assert f"written to {printable(out)}; check it" in lines_of(text)[-1]
    text, code = heard("verify", out, absent, y)
    assert code == 1
    assert [line.split()[0] for line in lines_of(text)] == ["proven", "refused", "refused"]
    for arguments in (
        ("certify", D, absent, y, "--strength", "1"),
        ("certify", str(folder), y, y, "--strength", "1"),
        ("certify", y, y, y, "--strength", "1"),
        ("certify", D, D + HOSTILE, y, "--strength", "1"),
        ("certify", D, y, y, "--strength", "1", "--loss", HOSTILE),
        ("certify", D, y, y, "--strength", "1", "--out", str(folder / "no" / "a.cert")),
        ("compare", "--task", HOSTILE),
        ("compare", "--backends", f"newton,{HOSTILE}"),
        ("compare", "--out", y),
    ):
        text, code = heard(*arguments)
        assert code == 2
        (line,) = lines_of(text)
        assert line.startswith("bidual: error: ")
    for arguments in (
        ("certify", D, "--strength", HOSTILE),
        ("verify", "--x" + HOSTILE, y),
        (HOSTILE,),
    ):
        text, code = heard(*arguments)
        assert code == 2
        lines_of(text)


def test_readers_and_writers_escape_names(tmp_path):
    path = tmp_path / HOSTILE
    folder = tmp_path / "folder"
    folder.mkdir()
    path.write_bytes(b"BIDUAL\r\nnothing")
    named = printable(path)
    for read in (bd.BinaryMatrix.load, bd.SpikeDictionary.load, bd.Network.load):
        with pytest.raises(ValueError, match="expected") as refused:
            read(path)
        assert str(refused.value).startswith(f"{named}: expected")
        assert str(refused.value).isprintable()
        with pytest.raises(OSError, match="absent") as failed:
            read(path.with_name(HOSTILE + "absent"))
        assert str(failed.value).isprintable()
    for save in (ATOMS.save, ATOMS.atoms.save, SOLUTION.network().save):
        with pytest.raises(OSError, match="expected a folder") as failed:
            save(path / "a")
        assert str(failed.value).isprintable()
    os.rename(path, f"{path}.partial")
    for name in (f"{path}.journal", None):
        with pytest.raises(ValueError, match="expected") as refused:
            PackedWriter(path, 70, {})
        assert str(refused.value).isprintable()
        if name:
            with open(name, "w") as file:
                file.write("dear diary")
    (folder / "train-images-idx3-ubyte").write_bytes(b"")
    hostile = tmp_path / f"{HOSTILE}mnist"
    folder.rename(hostile)
    with pytest.raises((ValueError, OSError), match="expected") as refused:
        bd.tasks.mnist(hostile)
    assert str(refused.value).isprintable()


def replaced(value, by):
    """All JSON objects that differ from ``value`` by one entry."""
    for key, entry in value.items() if isinstance(value, dict) else enumerate(value):
        for other in [by, *(replaced(entry, by) if isinstance(entry, dict | list) else [])]:
            copy = json.loads(json.dumps(value))
            copy[key] = other
            yield copy
    if isinstance(value, dict):
        yield value | {by: 1}


@pytest.mark.parametrize("kind", ["dictionary", "network", "given"])
def test_messages_escape_what_a_file_says(kind, tmp_path):
    path = tmp_path / "file"
    given = bd.GivenWitnesses([ATOMS.witnesses.layers(0)])
    saved, read = {
        "dictionary": (ATOMS, bd.SpikeDictionary.load),
        "network": (SOLUTION.network(), bd.Network.load),
        "given": (bd.SpikeDictionary.sample(X, given), bd.SpikeDictionary.load),
    }[kind]
    saved.save(path)
    parts = taken_apart(path.read_bytes())
    refused = 0
    for header in replaced(parts["header"], HOSTILE):
        path.unlink()
        path.write_bytes(put_together(parts | {"header": header}))
        told = ""
        try:
            read(path)
        except ValueError as error:
            told = str(error)
        assert told.isprintable()
        assert told.startswith(f"{path}: expected") or not told
        refused += bool(told)
    assert refused > 15


def test_heads_and_lines_escape_names(monkeypatch):
    targets = {HOSTILE: np.arange(20) % 2}
    assert repr(LIF.heads(ATOMS, targets, "hinge", strength=0.1)).isprintable()
    terminal = io.StringIO()
    terminal.isatty = lambda: True
    monkeypatch.setattr(sys, "stderr", terminal)
    LiveLine().show(HOSTILE)
    assert terminal.getvalue() == f"\r\033[K{printable(HOSTILE)}"
