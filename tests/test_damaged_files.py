"""Readers of files from strangers end in a value or in their own error, in one line.

The rounds are structure-aware: checksums and digests of altered files are mended, so that what
is altered is what the reader meets. ``make test`` runs a short round of each, ``make test-all``
the full one.
"""

import gzip
import io
import json
import random
import struct
import zipfile
from contextlib import suppress
from functools import cache

import numpy as np
import pytest
from cert_files import PROGRAMS, good
from damage import Watch, altered, damaged
from test_completeness import good as complete

import bidual as bd
from bidual.certificates import checker
from bidual.certificates import completeness as completeness_checker
from bidual.cli.arrays import read_array, read_design
from bidual.cli.main import main

from covering import slow

pytestmark = pytest.mark.filterwarnings("ignore:Duplicate name")


def rounds(short, full):
    """The number of files of a round, in ``make test`` and in ``make test-all``."""
    return pytest.mark.parametrize("count", [short, pytest.param(full, marks=pytest.mark.slow)])


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("good")


# certificates


def text_of(tree, rng):
    """JSON of a tree, sometimes with a key twice or another text of a number."""
    text = json.dumps(tree, separators=(",", ":"))
    match rng.randrange(12):
        case 0:
            return text.replace('"bits":', '"bits":0,"bits":', 1)
        case 1:
            return text.replace(":1,", rng.choice((":1.0,", ":01,", ":1e9,", ":- 1,", ":NaN,")), 1)
        case 2:
            return damaged(text.encode(), rng).decode("latin1")
    return text


def mended(parts, rng):
    """The bytes of a file whose digest and, mostly, claims are those of its statement."""
    # of what has another form nothing can be computed, or in a long time
    with suppress(checker.Refused, IndexError):
        if checker.work(checker.Program(parts.statement)) < 1 << 20:
            parts.mend_claims()
    parts.text = text_of(parts.statement, rng)
    return parts.archive()


@rounds(12, 2000)
def test_altered_statements_and_columns(count, folder, tmp_path):
    rng, path = random.Random(11), tmp_path / "a.cert"
    watch = Watch(checker.check, checker.Refused, "")
    names = sorted(PROGRAMS)
    for k in range(count):
        parts = good(names[k % len(names)], folder)
        if rng.random() < 0.8:
            parts.statement = altered(parts.statement, rng)
        else:
            parts.columns = damaged(parts.columns, rng)
        path.write_bytes(mended(parts, rng))
        proven = watch(str(path))
        if proven is not None:
            assert proven.claims["primal"] - proven.claims["dual"] == proven.claims["gap"] >= 0
            assert checker.statement(proven).isascii()
    assert watch.taken + watch.refused == count
    assert watch.refused > count / 2
    assert watch.taken > count / 100 - 1


@rounds(80, 4000)
def test_damaged_archives(count, folder, tmp_path):
    rng, path = random.Random(12), tmp_path / "a.cert"
    watch = Watch(checker.check, checker.Refused, "")
    file = good("logistic, group", folder).archive(extra=[("completeness.json", "{}")])
    path.write_bytes(file)
    stated = vars(checker.check(str(path)))
    for _ in range(count):
        path.write_bytes(damaged(file, rng))
        proven = watch(str(path))
        assert proven is None or vars(proven) == stated
    assert watch.taken + watch.refused == count
    assert watch.refused > 0.8 * count


@cache
def whole_class(base):
    """A good certificate about a whole class: its parts, and the proof that it is complete."""
    program, shown = complete(base)
    made = bd.certify(program, weights=np.zeros(program.design.shape[1]), exact=True)
    return made, shown


@rounds(10, 1000)
def test_altered_proofs_of_completeness(count, tmp_path):
    rng, path = random.Random(13), tmp_path / "a.cert"
    watch = Watch(completeness_checker.check, checker.Refused, "", memory=1 << 26)
    bases = ("mixed", "cube", "biased", "last", "every")
    archives = {}
    for base in bases:
        made, shown = whole_class(base)
        made.save(path, shown)
        with zipfile.ZipFile(path) as archive:
            archives[base] = {name: archive.read(name) for name in archive.namelist()}
    for k in range(count):
        base = bases[k % len(bases)]
        _, shown = whole_class(base)
        text = text_of(altered(shown, rng), rng)
        contents = archives[base] | {checker.EXTRA_NAME: text.encode("latin1", "replace")}
        with zipfile.ZipFile(path, "w") as archive:
            for name, content in contents.items():
                archive.writestr(name, content)
        proven = watch(str(path))
        assert proven is None or f"all {shown['listed']} patterns" in proven
    assert watch.taken + watch.refused == count
    assert watch.refused > count / 2


# arrays of the command line

DESCRIPTIONS = (
    *("'<f8'", "'<f8'", "'>f8'", "'|b1'", "'|u1'", "'<i8'", "'<f2'", "'|O'", "'O'", "'<q9'"),
    *("17", "None", "[('a', '<f8')]", "[['<f8']]", "('<f8', (2,))", "'<U999999999'", "'<U2'"),
    *("'<c16'", "'<M8[s]'", "'|V8'", "'<f8", "'<f16'", "{}", "'\\ud800'", "'f8,f8'", "b'<f8'"),
)
SHAPES = (
    *("(6,)", "(6,)", "(2, 3)", "(3, 2)", "(6, 1)", "()", "(0,)", "(0, 5)", "[6]", "('6',)", "6"),
    *("(6.0,)", "(-6,)", "(-2, -3)", "(9223372036854775808,)", "(4294967296, 4294967296)"),
    *("(0, 18446744073709551616)", "(" + "1," * 70 + ")", "(" * 90 + ")" * 90, "(True,)"),
    *("(1099511627776,)", "(6L,)", "None", "(6, None)", "(1, 2, 3)", "(2\0,)", "(1 if 1 else 2,)"),
)
ORDERS = ("False", "False", "True", "True", "0", "None", "'F'")


def npy_file(rng):
    """An .npy file whose head is one of many, most of them odd."""
    pick = (lambda options: options[rng.randrange(3)]) if rng.random() < 0.3 else rng.choice
    fields = {"descr": pick(DESCRIPTIONS), "fortran_order": pick(ORDERS), "shape": pick(SHAPES)}
    order = list(fields)
    rng.shuffle(order)
    head = "{" + ", ".join(f"'{name}': {fields[name]}" for name in order) + ", }"
    match rng.randrange(16):
        case 0:
            head = head.replace("'descr'", "'desc'")
        case 1:
            head = head[:-3] + ", 'more': 1}"
        case 2:
            head = "\n  " + head
        case 3:
            head = head.replace("}", "")
        case 4:
            head = "[" * 3000
    version = rng.choice(((1, 0), (1, 0), (2, 0), (3, 0), (0, 0), (4, 0), (255, 255)))
    content = head.encode("latin1") + b"\n"
    length = len(content) + rng.choice((0, 0, 0, 0, 0, 0, 1, -1, 10**4, 2**16 - 1 - len(content)))
    size = 2 if version == (1, 0) else 4
    if rng.random() < 0.03:
        length = 2 ** (8 * size) - 1
    told = length.to_bytes(size, "little")
    data = rng.randbytes(rng.choice((6, 12, 48, 48, 48, 47, 49, 0, 96)))
    return b"\x93NUMPY" + bytes(version) + told + content + data


def npz_file(rng):
    """An .npz file of some .npy files, stored or compressed, with sizes that may lie."""
    file = io.BytesIO()
    method = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2))
    with zipfile.ZipFile(file, "w", method) as archive:
        for k in range(rng.choice((1, 1, 1, 1, 0, 2))):
            archive.writestr(f"{k}.npy", npy_file(rng))
    content = bytearray(file.getvalue())
    if rng.random() < 0.3 and b"PK\1\2" in content:
        place = content.index(b"PK\1\2") + rng.choice((20, 24))  # a size in the directory
        struct.pack_into("<L", content, place, rng.choice((0, 1, 10**6, 2**31, 2**32 - 2)))
    return bytes(content)


@rounds(60, 4000)
def test_odd_arrays(count, tmp_path):
    rng, path = random.Random(14), tmp_path / "w.npy"
    watch = Watch(read_array, ValueError, f"{path}: expected an .npy file of real numbers, ")
    for k in range(count):
        content = npz_file(rng) if k % 4 == 0 else npy_file(rng)
        path.write_bytes(damaged(content, rng) if k % 5 == 0 else content)
        found = watch(str(path))
        if found is not None:
            loaded = np.load(path, allow_pickle=False)
            loaded = loaded if isinstance(loaded, np.ndarray) else loaded[loaded.files[0]]
            assert loaded.dtype == found.dtype
            assert loaded.shape == found.shape
            assert loaded.tobytes() == found.tobytes()
    assert watch.taken + watch.refused == count
    assert watch.taken > count / 200
    assert len(watch.words) > 12


BOMB_HEAD = "{'descr': '|u1', 'fortran_order': False, 'shape': (%d, 4), }\n"


@pytest.mark.parametrize("told", [2**20, *slow(2**24, 2**40)])
def test_an_npz_bomb_is_not_unpacked_beyond_what_its_head_says(told, tmp_path):
    head = (BOMB_HEAD % told).encode()
    start = b"\x93NUMPY\1\0" + len(head).to_bytes(2, "little") + head
    path = tmp_path / "D.npz"
    with (
        zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive,
        archive.open("D.npy", "w") as member,
    ):
        member.write(start)
        for _ in range(6):
            member.write(bytes(1 << 22))
    watch = Watch(read_design, ValueError, f"{path}: expected", memory=1 << 20)
    assert watch(str(path)) is None
    assert watch.refused == 1


def test_an_array_too_large_for_the_memory_is_told(tmp_path, monkeypatch):
    path = tmp_path / "D.npy"
    np.save(path, np.eye(3))

    def full(*arguments, **options):
        raise MemoryError

    monkeypatch.setattr("bidual.cli.arrays.np.ndarray", full)
    with pytest.raises(ValueError, match=r"D\.npy: expected .*, got more than memory holds$"):
        read_array(str(path))


def test_what_read_array_refuses_ends_the_command_in_one_line(tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save("D.npy", np.eye(2))
    np.save("y.npy", np.ones(2))
    rng = random.Random(15)
    ends = []
    for _ in range(40):
        with open("w.npy", "wb") as file:
            file.write(npy_file(rng))
        ends.append(main(["certify", "D.npy", "y.npy", "w.npy", "--strength", "1"]))
        told = capsys.readouterr().err
        if ends[-1]:
            assert told.count("\n") == 1
            assert "w.npy: expected" in told or "weights: expected" in told
    assert set(ends) <= {0, 2}
    assert ends.count(2) > 20


# IDX files of MNIST


def idx_file(rng, dimensions):
    """An IDX file whose head is one of many, most of them odd."""
    count = rng.choice((10, 10, 10, 10, 0, 1, 11, 2**16, 2**31, 2**32 - 1))
    sides = [rng.choice((28, 28, 28, 28, 28, 14, 56, 0, 2**32 - 1)) for _ in range(dimensions - 1)]
    magic = rng.choice(
        ((0, 0, 8), (0, 0, 8), (0, 0, 8), (0, 0, 8), (0, 0, 13), (0, 8, 0), (1, 0, 8))
    )
    told = rng.choice((dimensions,) * 6 + (0, 1, 2, 3, 255))
    head = bytes((*magic, told)) + struct.pack(f">{dimensions}I", count, *sides)
    size = rng.choice((0, 0, 0, 0, 0, 1, -1, 10**6)) + 10 * (784 if dimensions == 3 else 1)
    return head + bytes(k % 10 for k in range(max(size, 0)))


@rounds(24, 1000)
def test_odd_files_of_mnist(count, tmp_path):
    rng = random.Random(16)
    names = ("images-idx3-ubyte", "labels-idx1-ubyte")
    plain = [bytes((0, 0, 8, 3)) + struct.pack(">3I", 10, 28, 28) + rng.randbytes(7840)]
    plain.append(bytes((0, 0, 8, 1)) + struct.pack(">I", 10) + bytes(range(10)))
    watch = Watch(lambda: bd.tasks.mnist(folder=tmp_path), ValueError, "folder: expected ")
    for k in range(count):
        contents = list(plain)
        which = rng.randrange(2)
        contents[which] = idx_file(rng, 3 - 2 * which) if k % 3 else damaged(plain[which], rng)
        ends = [rng.choice(("", ".gz")) for _ in names]
        for name, end, content in zip(names, ends, contents, strict=True):
            for each in tmp_path.glob(name + "*"):
                each.unlink()
            stored = content
            if end:
                parts = [content] if rng.random() < 0.8 else [content[:50], content[50:]]
                stored = b"".join(gzip.compress(part, 1) for part in parts)
                if rng.random() < 0.2:
                    stored = damaged(stored, rng)
            (tmp_path / (name + end)).write_bytes(stored)
        found = watch()
        if found is not None:
            assert found[0].shape[1:] == (28, 28)
            assert len(found[0]) == len(found[1]) > 0
            assert 0 <= found[0].min() <= found[0].max() <= 1
            assert set(found[1].tolist()) <= set(range(10))
    assert watch.taken + watch.refused == count
    assert watch.taken > count / 50
