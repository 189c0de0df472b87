"""A packed file is what its documented format says, after every kill, and refused after any change.

``packed_bytes`` writes the format as its documentation tells it, with nothing of the package:
files are compared with it byte for byte, and hostile ones get right checksums from it.
"""

import base64
import errno
import itertools
import json
import os
import resource
import signal
import struct
import subprocess
import sys
import time
import tracemalloc
from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import bidual as bd
from bidual.dictionaries.files.packed_file import open_packed
from bidual.dictionaries.files.packed_writer import PackedWriter, write_packed

from covering import examples
from packed_files import as_json, head_bytes, sha256, tail_bytes

METADATA = {"seed": 7, "chunk": 4, "what": "spikes", "share": 0.1}


def packed_bytes(n_rows, chunks, metadata=METADATA, origin_width=2, arrays=None, state=None):
    described = {
        name: {"dtype": array.dtype.str, "shape": list(array.shape)}
        for name, array in (arrays or {}).items()
    }
    header = {
        "arrays": described,
        "metadata": metadata,
        "n_rows": n_rows,
        "origin_width": origin_width,
    }
    head = head_bytes(header, [arrays[name].tobytes() for name in sorted(described)])
    parts = [(words.astype("<u8").tobytes(), o.astype("<i8").tobytes()) for words, o in chunks]
    entries = [
        (len(words), sha256(w + o)) for (words, _), (w, o) in zip(chunks, parts, strict=True)
    ]
    words, origins = (b"".join(part[side] for part in parts) for side in (0, 1))
    return head + tail_bytes(head, words, origins, entries, state)


def random_chunk(n_rows, columns, origin_width=2, seed=0):
    rng = np.random.default_rng([seed, n_rows, columns])
    dense = np.zeros((columns, max(512, -(-n_rows // 512) * 512)), dtype=np.uint8)
    dense[:, :n_rows] = rng.integers(0, 2, (columns, n_rows))
    words = np.packbits(dense, axis=1, bitorder="little").view(np.uint64)
    return words, rng.integers(-(2**63), 2**63 - 1, (columns, origin_width), endpoint=True)


# sizes of the chunks of a small build: an empty one first, within and last
SIZES = (0, 3, 0, 1, 2, 0)
CHUNKS = [random_chunk(70, columns, seed=i) for i, columns in enumerate(SIZES)]
EXPECTED = packed_bytes(70, CHUNKS, state={"chunk": 5})


def build(path, done=lambda count: None, **options):
    """Make the small build, going on where it is; ``done`` hears of each chunk."""
    with PackedWriter(path, 70, METADATA, origin_width=2, **options) as writer:
        for i in range(writer.chunks_done, len(CHUNKS)):
            assert writer.state == ({"chunk": i - 1} if i else None)
            assert_equal(writer.written(), joined(CHUNKS[:i], 0))
            writer.append(*CHUNKS[i], {"chunk": i})
            done(i + 1)
        writer.finish()


def put(path, contents):
    """Write a new file: some file systems wait for the disk where an old one is overwritten."""
    path.unlink(missing_ok=True)
    path.write_bytes(contents)


def clear(path):
    """Delete the files of earlier builds, as their messages say."""
    for file in path.parent.glob(f"{path.name}*"):
        file.unlink()


def joined(chunks, side):
    return np.concatenate([chunk[side] for chunk in chunks] or [random_chunk(70, 0)[side]])


def assert_equal(found, expected):
    assert found.dtype == expected.dtype
    assert found.shape == expected.shape
    assert np.array_equal(found, expected)


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def path(tmp_path):
    return tmp_path / "spikes.packed"


@pytest.fixture(autouse=True)
def quick(monkeypatch):
    """Leave out fsync in this process: what it wrote outlives its kill without."""
    monkeypatch.setattr(os, "fsync", lambda descriptor: None)


# what is written is read


@st.composite
def builds(draw):
    n_rows = draw(st.sampled_from([0, 1, 63, 64, 65, 511, 512, 513, 1100]))
    width = draw(st.integers(0, 3))
    sizes = draw(st.lists(st.integers(0, 5), max_size=6))
    chunks = [random_chunk(n_rows, size, width, seed) for seed, size in enumerate(sizes)]
    dtypes = st.sampled_from(["<f8", "<f4", "<f2", "<i8", "<u2", "|i1"])
    arrays = {
        name: np.arange(np.prod(shape)).reshape(shape).astype(draw(dtypes))
        for name, shape in draw(
            st.dictionaries(st.text(max_size=3), st.lists(st.integers(0, 4), max_size=3))
        ).items()
    }
    plain = st.none() | st.booleans() | st.integers() | st.text() | st.floats(allow_nan=False)
    plain = plain.filter(lambda value: value not in (np.inf, -np.inf))
    values = st.recursive(plain, lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner))
    objects = st.dictionaries(st.text(max_size=5), values, max_size=3)
    return n_rows, width, chunks, arrays, draw(objects), draw(st.none() | objects)


@examples(80)
@given(built=builds(), stops=st.sets(st.integers(0, 6)))
def test_a_file_holds_what_was_written_in_the_documented_format(built, stops, tmp_path_factory):
    n_rows, width, chunks, arrays, metadata, state = built
    path = tmp_path_factory.mktemp("packed") / "file"
    finished = False
    while not finished:  # the stops end the block early, and it goes on
        options = {"origin_width": width, "arrays": arrays}
        with PackedWriter(str(path), n_rows, metadata, **options) as writer:
            for i in range(writer.chunks_done, len(chunks)):
                if i in stops:
                    stops = stops - {i}
                    break
                writer.append(*chunks[i], state if i == len(chunks) - 1 else {"i": i})
            else:
                writer.finish()
                finished = True
    kept = state if chunks else None
    assert path.read_bytes() == packed_bytes(n_rows, chunks, metadata, width, arrays, kept)
    assert names(path.parent) == ["file"]

    opened = open_packed(path)
    assert opened.n_rows == n_rows
    words = [words for words, _ in chunks] or [random_chunk(n_rows, 0)[0]]
    assert_equal(opened.words, np.concatenate(words))
    origins = [origins for _, origins in chunks] or [np.empty((0, width), dtype=np.int64)]
    assert_equal(opened.origins, np.concatenate(origins))
    assert_equal(opened.chunks, np.array([len(words) for words, _ in chunks], dtype=np.int64))
    assert opened.metadata == metadata
    assert opened.state == kept
    assert opened.arrays.keys() == arrays.keys()
    for name, array in arrays.items():
        assert_equal(opened.arrays[name], array)


def test_arrays_are_read_only_maps_of_the_file(path):
    weights = np.linspace(0, 1, 11)
    build(path, arrays={"weights": weights, "sizes": [1, 2]})
    opened = open_packed(path)
    for array in (opened.words, opened.origins, *opened.arrays.values()):
        assert type(array) is np.ndarray
        assert not array.flags.writeable
        base = array
        while isinstance(base.base, np.ndarray):
            base = base.base
        assert type(base.base).__name__ == "mmap"
    assert opened.words.ctypes.data % 64 == 0
    assert opened.arrays["weights"].ctypes.data % 64 == 0
    matrix = bd.BinaryMatrix(opened.words, opened.n_rows)
    assert np.shares_memory(matrix._words, opened.words)
    assert matrix.shape == (70, 6)


def test_a_map_outlives_the_file_being_replaced(path):
    build(path)
    opened = open_packed(path)
    write_packed(path, random_chunk(70, 9, seed=9)[0], 70, {})
    assert_equal(opened.words, joined(CHUNKS, 0))
    assert len(open_packed(path).words) == 9


@pytest.mark.parametrize("chunks", [(), (0,), (0, 0)])
def test_a_matrix_without_columns_is_fine(path, chunks):
    with PackedWriter(path, 513, {}) as writer:
        for _ in chunks:
            writer.append(np.empty((0, 16), dtype=np.uint64), [])
        assert writer.chunks_done == len(chunks)
        writer.finish()
    opened = open_packed(path)
    assert opened.words.shape == (0, 16)
    assert opened.origins.shape == (0, 0)
    assert opened.chunks.tolist() == list(chunks)


def test_writing_and_opening_take_the_memory_of_a_chunk(path):
    words, origins = random_chunk(512 * 16, 1024)  # 1 MiB a chunk, 64 chunks
    tracemalloc.start()
    with PackedWriter(path, 512 * 16, {}, origin_width=2) as writer:
        for _ in range(64):
            writer.append(words, origins)
        writer.finish()
    writing = tracemalloc.get_traced_memory()[1]
    tracemalloc.reset_peak()
    opened = open_packed(path)
    opening = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert opened.words.nbytes == 2**26
    assert writing < 2 * 2**20
    assert opening < 2 * 2**20

    large = np.zeros((2**14, 128), dtype=np.uint64)  # 16 MiB in one chunk take no more
    tracemalloc.start()
    with PackedWriter(path.with_name("large"), 512 * 16, {}) as writer:
        writer.append(large)
        writer.finish()
    assert open_packed(path.with_name("large")).words.nbytes == large.nbytes
    assert tracemalloc.get_traced_memory()[1] < 2 * 2**20
    tracemalloc.stop()


# a build goes on


def test_every_stop_between_chunks_goes_on_from_there(path):
    for stop in range(len(CHUNKS)):
        with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
            assert writer.chunks_done == stop
            assert writer.n_columns == sum(SIZES[:stop])
            assert not writer.finished
            writer.append(*CHUNKS[stop], {"chunk": stop})
        assert names(path.parent) == ["spikes.packed.journal", "spikes.packed.partial"]
    build(path)
    assert path.read_bytes() == EXPECTED


def test_nothing_is_left_to_do_at_a_finished_build(path):
    build(path)
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        assert writer.finished
        assert writer.chunks_done == len(CHUNKS)
        assert writer.n_columns == sum(SIZES)
        assert writer.state == {"chunk": 5}
        assert_equal(writer.written(), joined(CHUNKS, 0))
        with pytest.raises(
            ValueError, match=r"^writer: .*spikes\.packed, got a finished or closed"
        ):
            writer.append(*CHUNKS[1])
        writer.finish()
    assert names(path.parent) == [path.name]
    assert path.read_bytes() == EXPECTED


class Sunk(Exception):
    pass


def test_an_exception_leaves_a_build_that_goes_on(path):
    def sink(count):
        if count == 4:
            raise Sunk

    with pytest.raises(Sunk):
        build(path, done=sink)
    assert not path.exists()
    counts = []
    build(path, done=counts.append)
    assert counts == [5, 6]
    assert path.read_bytes() == EXPECTED


ANOTHER = [
    ({"n_rows": 71}, "n_rows is 70, not 71"),
    ({"origin_width": 1}, "origin_width is 2, not 1"),
    ({"metadata": METADATA | {"seed": 8}}, r"metadata\['seed'\] is 7, not 8;"),
    ({"metadata": METADATA | {"seed": 7.0}}, r"metadata\['seed'\] is 7, not 7.0;"),
    ({"metadata": METADATA | {"new": None}}, r"metadata\['new'\] is absent, not null;"),
    ({"metadata": {**METADATA, "what": "x" * 99}}, r"metadata\['what'\] is \"spikes\", not \"xxx"),
    ({"arrays": {}}, r"arrays\['w'\] is float64 \(2,\) with SHA-256 .*, not absent;"),
    ({"arrays": {"w": np.array([0.0, -0.0])}}, r"arrays\['w'\] is float64 .*, not float64 "),
    ({"arrays": {"w": np.zeros(2, "f4")}}, r"arrays\['w'\] is float64 .*, not float32 "),
]


@pytest.mark.parametrize("finished", [True, False])
@pytest.mark.parametrize(("change", "told"), ANOTHER, ids=range(len(ANOTHER)))
def test_another_build_is_refused_and_the_difference_told(path, finished, change, told):
    given = {"n_rows": 70, "metadata": METADATA, "origin_width": 2, "arrays": {"w": np.zeros(2)}}
    with PackedWriter(path, **given) as writer:
        writer.append(*CHUNKS[1])
        if finished:
            writer.finish()
    before = {file.name: file.read_bytes() for file in path.parent.iterdir()}
    with pytest.raises(ValueError, match=f"expected the same build, got another one: {told}"):
        PackedWriter(path, **(given | change))
    assert {file.name: file.read_bytes() for file in path.parent.iterdir()} == before
    clear(path)
    with PackedWriter(path, **(given | change)) as writer:
        assert writer.chunks_done == 0
        writer.finish()
    assert len(open_packed(path).words) == 0
    assert names(path.parent) == [path.name]


NESTED = {"witnesses": {"neuron": {"leak": [0.5, 0.9], "bias": False}, "seed": 0, "hidden": [4]}}
LONG = [0] * 100


@pytest.mark.parametrize(
    ("there", "wanted", "told"),
    [
        (NESTED, {"seed": 1}, "metadata['witnesses']['seed'] is 0, not 1"),
        (
            NESTED,
            {"neuron": {"leak": [0.5, 0.8], "bias": False}, "hidden": [5]},
            "metadata['witnesses']['hidden'] is [4], not [5]; "
            "metadata['witnesses']['neuron']['leak'] is [0.5,0.9], not [0.5,0.8]",
        ),
        (
            NESTED,
            {"seed": {"a": 1}},
            "metadata['witnesses']['seed'] is 0, not absent; "
            "metadata['witnesses']['seed']['a'] is absent, not 1",
        ),
        (NESTED, {"more": {}}, "metadata['witnesses']['more'] is absent, not {}"),
        (
            {"witnesses": {"long": [*LONG, 1]}},
            {"long": [*LONG, 2, 3]},
            "metadata['witnesses']['long'] is ...0,0,0,0,0,0,0,0,0,0,1], "
            "not ...0,0,0,0,0,0,0,0,0,0,2,3]",
        ),
    ],
    ids=["seed", "two", "kind", "new", "long"],
)
def test_of_another_build_only_what_differs_is_told(path, there, wanted, told):
    with PackedWriter(path, 70, there) as writer:
        writer.append(CHUNKS[1][0])
    wanted = {"witnesses": there["witnesses"] | wanted}
    for finished in (False, True):
        named = path if finished else path.with_name(path.name + ".partial")
        with pytest.raises(ValueError, match="another one") as refused:
            PackedWriter(path, 70, wanted)
        assert str(refused.value) == (
            f"{named}: expected the same build, got another one: {told}; "
            "choose another path, or delete the file"
        )
        with PackedWriter(path, 70, there) as writer:
            writer.finish()
    path.unlink()  # as it says
    with PackedWriter(path, 70, wanted) as writer:
        assert writer.chunks_done == 0
        writer.append(CHUNKS[1][0])
    path.with_name(path.name + ".partial").unlink()
    with PackedWriter(path, 70, there) as writer:
        assert writer.chunks_done == 0


def test_a_matrix_is_not_written_over_an_unfinished_build(path):
    partial, journal = partial_build(path)
    before = partial.read_bytes(), journal.read_bytes()
    with pytest.raises(ValueError, match=r"no unfinished build there, got .*\.partial; delete"):
        write_packed(path, CHUNKS[1][0], 70, {})
    assert (partial.read_bytes(), journal.read_bytes()) == before
    build(path)  # goes on, and what is finished may be replaced
    write_packed(path, CHUNKS[1][0], 70, {})
    assert_equal(open_packed(path).words, CHUNKS[1][0])
    partial_build(path)
    partial.unlink()  # as it says
    write_packed(path, CHUNKS[4][0], 70, {})
    assert_equal(open_packed(path).words, CHUNKS[4][0])
    assert names(path.parent) == [path.name, journal.name]  # which the next build takes up


def test_a_matrix_is_not_written_over_a_build_at_work(path):
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        for i in range(2):
            with pytest.raises(BlockingIOError, match="only writer"):
                write_packed(path, CHUNKS[1][0], 70, {})
            writer.append(*CHUNKS[i], {"chunk": i})
    build(path)
    assert path.read_bytes() == EXPECTED


def test_a_matrix_that_could_not_be_written_leaves_nothing_in_the_way(path, monkeypatch):
    build(path)

    def sink(*arguments):
        raise OSError("the disk is full")

    with monkeypatch.context() as full:
        full.setattr(os, "replace", sink)
        with pytest.raises(OSError, match="full"):
            write_packed(path, CHUNKS[1][0], 70, {})
    assert names(path.parent) == [path.name]
    assert path.read_bytes() == EXPECTED
    write_packed(path, CHUNKS[1][0], 70, {})


def killed_before_a_chunk(path, metadata):
    with PackedWriter(path, 70, metadata):
        left = {file: file.read_bytes() for file in path.parent.glob(f"{path.name}*")}
    assert len(left) == 2
    for file, contents in left.items():
        file.write_bytes(contents)


def test_a_build_without_a_chunk_leaves_nothing(path):
    with PackedWriter(path, 70, {"wrong": 1}):
        pass
    with pytest.raises(Sunk), PackedWriter(path, 70, {"wrong": 1}):
        raise Sunk
    assert names(path.parent) == []


def test_a_build_without_a_chunk_gives_way(path):
    killed_before_a_chunk(path, {"wrong": 1})
    build(path)
    assert path.read_bytes() == EXPECTED
    # but what is finished at the path does not
    with pytest.raises(ValueError, match="same build"):
        PackedWriter(path, 70, {"other": 1})
    build(path)
    assert names(path.parent) == [path.name]


# killed anywhere


class Disk:
    """Counts the steps that change the disk, in this process, and dies before the chosen one.

    It knows what a power cut may leave: of each file what it held at its last fsync, what
    it holds now, or zeros for what was not synced; of the changes of names since the last
    fsync of the folder, any.
    """

    STEPS = ("open", "write", "ftruncate", "fsync", "replace", "unlink")

    def __init__(self, folder, step, torn=False, images=None):
        self.folder, self.left, self.torn, self.images = folder, step, torn, images
        self.real = {name: getattr(os, name) for name in self.STEPS}
        self.synced = {}  # contents by inode
        self.gone = {}  # the same of files without a name
        self.names = {}  # inode by name, as the folder was last synced
        self.changes = []  # (old name, new name, inode) since
        for name in self.STEPS:
            setattr(os, name, getattr(self, name))

    def step(self):
        if self.left == 0:
            self.die()
        self.left -= 1

    def open(self, path, flags, *mode):
        if flags & os.O_CREAT and not os.path.exists(path):
            self.step()
            descriptor = self.real["open"](path, flags, *mode)
            inode = os.fstat(descriptor).st_ino
            self.synced.pop(inode, None)
            self.changes.append((None, os.path.basename(path), inode))
            return descriptor
        return self.real["open"](path, flags, *mode)

    def write(self, descriptor, data):
        if self.torn and self.left == 0:
            self.real["write"](descriptor, data[: len(data) // 2])
        self.step()
        return self.real["write"](descriptor, data)

    def ftruncate(self, descriptor, size):
        self.step()
        self.real["ftruncate"](descriptor, size)

    def fsync(self, descriptor):
        self.step()
        inode = os.fstat(descriptor).st_ino
        if inode == self.folder.stat().st_ino:
            self.names, self.changes = apply(self.names, self.changes), []
        else:
            self.synced[inode] = self.contents()[inode]

    def replace(self, old, new):
        self.step()
        inode = os.stat(old).st_ino
        self.real["replace"](old, new)
        self.changes.append((os.path.basename(old), os.path.basename(new), inode))

    def unlink(self, path):
        self.step()
        inode = os.stat(path).st_ino
        self.gone[inode] = self.contents()[inode]
        self.real["unlink"](path)
        self.changes.append((os.path.basename(path), None, inode))

    def contents(self):
        return {
            path.stat().st_ino: path.read_bytes()
            for path in self.folder.iterdir()
            if path.is_file()
        }

    def die(self):
        for name in self.STEPS:
            setattr(os, name, self.real[name])
        if self.images is not None:
            for number, image in enumerate(self.left_by_a_power_cut()):
                (self.images / str(number)).mkdir(parents=True)
                for name, held in image:
                    (self.images / str(number) / name).write_bytes(held)
        os.kill(os.getpid(), signal.SIGKILL)

    def left_by_a_power_cut(self):
        now = self.gone | self.contents()
        found = set()
        for kept in itertools.product([False, True], repeat=len(self.changes)):
            left = apply(self.names, itertools.compress(self.changes, kept))
            held = []
            for inode in left.values():
                synced = self.synced.get(inode, b"")
                zeros = synced[: len(now[inode])].ljust(len(now[inode]), b"\0")
                held.append((synced, now[inode], zeros))
            for chosen in itertools.product(*held):
                found.add(frozenset(zip(left, chosen, strict=True)))
        return found


def apply(named, changes):
    named = dict(named)
    for old, new, inode in changes:
        named.pop(old, None)
        if new is not None:
            named[new] = inode
    return named


def fork(action):
    """Run it in a process of its own, which exits with 0 unless it fails."""
    child = os.fork()
    if child == 0:
        with suppress(BaseException):
            action()
            os._exit(0)
        os._exit(1)
    return child


def is_killed(child):
    """Wait for the process; True where SIGKILL ended it."""
    _, status = os.waitpid(child, 0)
    if os.WIFSIGNALED(status):
        assert os.WTERMSIG(status) == signal.SIGKILL
        return True
    assert os.WEXITSTATUS(status) == 0
    return False


def in_child(action):
    return is_killed(fork(action))


# a fork of a process with idle threads is fine where the child only handles files
pytestmark = pytest.mark.filterwarnings("ignore:.*fork:DeprecationWarning")
forks = pytest.mark.skipif(not hasattr(os, "fork"), reason="kills forked processes")


def assert_absent_or_whole(path):
    if path.exists():
        assert path.read_bytes() == EXPECTED
        open_packed(path)


@forks
@pytest.mark.slow
@pytest.mark.parametrize("torn", [False, True])
def test_a_kill_at_any_step_leaves_a_build_that_ends_with_the_same_bytes(tmp_path, torn):
    killed = 0
    for step in itertools.count():
        path = tmp_path / str(step) / "spikes.packed"
        path.parent.mkdir()

        def run(path=path, step=step):
            Disk(path.parent, step, torn)
            build(path)

        if not in_child(run):
            break
        killed += 1
        assert_absent_or_whole(path)
        build(path)
        assert path.read_bytes() == EXPECTED
        assert names(path.parent) == [path.name]
    assert killed > 6 * len(CHUNKS)  # two files are cut, written and synced for a chunk


@forks
@pytest.mark.slow
def test_kills_over_and_over_end_with_the_same_bytes(tmp_path):
    rng = np.random.default_rng(5)
    for run in range(20):
        path = tmp_path / str(run) / "spikes.packed"
        path.parent.mkdir()

        def go_on(path=path):
            Disk(path.parent, int(rng.integers(0, 30)), torn=bool(rng.integers(2)))
            build(path)

        while in_child(go_on):
            rng.integers(2)  # the child drew from its own copy
            assert_absent_or_whole(path)
        assert path.read_bytes() == EXPECTED
        assert names(path.parent) == [path.name]


@forks
@pytest.mark.slow
def test_a_kill_while_a_build_without_a_chunk_gives_way_leaves_none_of_it(tmp_path):
    for step in itertools.count():
        path = tmp_path / str(step) / "spikes.packed"
        path.parent.mkdir()
        killed_before_a_chunk(path, {"another": 1})

        def run(path=path, step=step):
            Disk(path.parent, step, torn=True)
            build(path)

        if not in_child(run):
            break
        build(path)
        assert path.read_bytes() == EXPECTED
        assert names(path.parent) == [path.name]
    assert step > 20


@forks
@pytest.mark.slow
def test_a_power_cut_at_any_step_takes_no_chunk_that_was_done(tmp_path):
    images = 0
    for step in itertools.count():
        folder = tmp_path / str(step)
        path = folder / "disk" / "spikes.packed"
        path.parent.mkdir(parents=True)

        def run(folder=folder, path=path, step=step):
            disk = Disk(path.parent, step, torn=True, images=folder / "images")
            build(path, done=lambda done: (folder / "done").write_text(str(done)))
            (folder / "finished").write_text("")
            disk.die()

        assert in_child(run)
        count = int((folder / "done").read_text()) if (folder / "done").exists() else 0
        for image in (folder / "images").iterdir():
            images += 1
            path = image / "spikes.packed"
            assert_absent_or_whole(path)
            assert path.exists() or not (folder / "finished").exists()
            journal = image / "spikes.packed.journal"
            lines = journal.read_bytes().count(b"\n") - 1 if journal.exists() else 0
            with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
                # a line is there only with its words, which were synced before
                assert writer.chunks_done >= max(count, lines)
            build(path)
            assert path.read_bytes() == EXPECTED
            assert names(image) == [path.name]
        if (folder / "finished").exists():
            break
    assert images > 2 * step


def longer_build(path):
    with PackedWriter(path, 4000, {"chunks": 40}, origin_width=1) as writer:
        for i in range(writer.chunks_done, 40):
            writer.append(*random_chunk(4000, 50, 1, seed=i), {"i": i})
        writer.finish()


@forks
@pytest.mark.slow
def test_kills_from_outside_at_random_moments_end_with_the_same_bytes(tmp_path):
    longer_build(tmp_path / "undisturbed")
    expected = (tmp_path / "undisturbed").read_bytes()
    path = tmp_path / "killed"
    rng = np.random.default_rng(3)
    for longest in itertools.count(1):  # milliseconds
        child = fork(lambda: longer_build(path))
        time.sleep(rng.uniform(0, longest / 1000))
        os.kill(child, signal.SIGKILL)
        killed = is_killed(child)
        if path.exists():
            assert path.read_bytes() == expected
        if not killed:
            break
    assert names(tmp_path) == ["killed", "undisturbed"]


# a partial build that was damaged


def partial_build(path, chunks=5):
    clear(path)
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        for i in range(chunks):
            writer.append(*CHUNKS[i], {"chunk": i})
    return path.with_name("spikes.packed.partial"), path.with_name("spikes.packed.journal")


def kept_of(path):
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        return writer.chunks_done


def test_the_journal_is_what_its_documentation_says(path):
    partial, journal = partial_build(path, 2)
    head = len(packed_bytes(70, [], state=None)) - 88 - 4
    link, lines = partial.read_bytes()[:head][-32:], b""
    first = b"bidual journal 1 " + link.hex().encode() + b"\n"
    for i, (words, origins) in enumerate(CHUNKS[:2]):
        entry = {
            "columns": len(words),
            "origins": base64.b64encode(origins.tobytes()).decode(),
            "sha256": sha256(words.tobytes() + origins.tobytes()).hex(),
            "state": {"chunk": i},
        }
        link = sha256(link + as_json(entry)).hex().encode()
        lines += link + b" " + as_json(entry) + b"\n"
    assert journal.read_bytes() == first + lines
    assert partial.read_bytes() == EXPECTED[: head + 3 * 64]


def test_a_journal_torn_at_any_byte_keeps_its_whole_lines(path):
    partial, journal = partial_build(path)
    whole = journal.read_bytes()
    words = partial.read_bytes()
    for length in range(0, len(whole), 2):
        put(partial, words)
        put(journal, whole[:length])
        assert kept_of(path) == max(whole[:length].count(b"\n") - 1, 0)
        if length % 8 == 0:
            build(path)
            assert path.read_bytes() == EXPECTED
            path.unlink()


def test_a_flipped_byte_of_the_journal_drops_its_line_and_the_later_ones(path):
    _, journal = partial_build(path)
    whole = journal.read_bytes()
    for position in range(whole.index(b"\n") + 1, len(whole), 3):
        put(journal, flipped(whole, position, 0x20))
        assert kept_of(path) == whole[:position].count(b"\n") - 1
    journal.write_bytes(flipped(whole, len(whole) // 2, 0x01))
    build(path)
    assert path.read_bytes() == EXPECTED


def test_lines_of_the_journal_left_out_or_exchanged_count_for_nothing(path):
    _, journal = partial_build(path)
    lines = journal.read_bytes().splitlines(keepends=True)
    journal.write_bytes(b"".join(lines[:2] + lines[3:]))
    assert kept_of(path) == 1
    journal.write_bytes(b"".join([lines[0], lines[2], lines[1], *lines[3:]]))
    assert kept_of(path) == 0
    build(path)
    assert path.read_bytes() == EXPECTED


def test_flipped_or_lost_words_are_built_again(path):
    partial, _ = partial_build(path)
    whole = partial.read_bytes()
    words = len(whole) - 6 * 64
    ends = np.cumsum(SIZES)
    for position in range(words, len(whole), 5):
        column = (position - words) // 64
        chunk = int(np.searchsorted(ends, column, side="right"))
        for damaged in (flipped(whole, position, 0x80), whole[:position]):
            put(partial, damaged)
            assert kept_of(path) == chunk
    build(path)
    assert path.read_bytes() == EXPECTED


def test_what_the_journal_does_not_know_is_overwritten(path):
    partial, journal = partial_build(path)
    partial.write_bytes(partial.read_bytes() + b"torn" * 1000)
    journal.write_bytes(journal.read_bytes() + b"torn" * 1000)
    assert kept_of(path) == 5
    build(path)
    assert path.read_bytes() == EXPECTED


def test_a_damaged_head_of_a_partial_build_is_refused_not_overwritten(path):
    partial, _ = partial_build(path)
    whole = partial.read_bytes()
    for damaged in (flipped(whole, 50, 1), whole[:40], b""):
        partial.write_bytes(damaged)
        with pytest.raises(ValueError, match=r"spikes\.packed\.partial: expected"):
            PackedWriter(path, 70, METADATA, origin_width=2)
        assert partial.read_bytes() == damaged
    clear(path)
    build(path)
    assert path.read_bytes() == EXPECTED


def test_a_journal_alone_is_stale(path):
    partial, journal = partial_build(path)
    stale = journal.read_bytes()
    partial.unlink()
    build(path)
    assert path.read_bytes() == EXPECTED
    # killed between the last two steps: the file is there and its journal too
    journal.write_bytes(stale)
    assert kept_of(path) == len(CHUNKS)
    assert names(path.parent) == [path.name]


def test_a_build_that_an_earlier_version_began_goes_on(path):
    _, journal = partial_build(path)
    journal.write_bytes(journal.read_bytes().partition(b"\n")[2])  # without its first line
    assert kept_of(path) == 5
    build(path)
    assert path.read_bytes() == EXPECTED
    assert names(path.parent) == [path.name]


def everything_in(folder):
    return {
        each.name: (each.lstat().st_ino, each.lstat().st_nlink, each.lstat().st_mtime_ns)
        for each in folder.iterdir()
    }


def strange_partials(partial):
    """Put another's file in the place of a partial build; each step puts another kind."""
    whole = partial.read_bytes()
    for contents in (b"precious", b"", b"BIDUAL\r\n", EXPECTED[:150] + bytes(999)):
        partial.unlink()
        partial.write_bytes(contents)
        yield
    partial.unlink()
    partial.mkdir()
    yield
    partial.rmdir()
    thesis = partial.with_name("thesis")
    thesis.write_bytes(whole)
    os.link(thesis, partial)
    yield
    partial.unlink()
    partial.symlink_to(thesis)
    yield
    partial.unlink()
    partial.symlink_to(partial.with_name("nowhere"))
    yield
    partial.unlink()
    os.mkfifo(partial)
    yield


@pytest.mark.parametrize("beside", ["no journal", "a journal", "a finished file"])
def test_a_strange_file_in_the_place_of_a_partial_build_is_refused_and_kept(path, beside):
    partial, journal = partial_build(path)
    if beside == "no journal":
        journal.unlink()
    elif beside == "a finished file":
        path.write_bytes(EXPECTED)
    count = 0
    for _ in strange_partials(partial):
        before = everything_in(path.parent)
        with pytest.raises((ValueError, OSError), match=r"spikes\.packed\.partial"):
            build(path)
        assert everything_in(path.parent) == before
        count += 1
    assert count == 9


@pytest.mark.parametrize("beside", ["nothing", "a partial build", "a finished file"])
def test_a_strange_file_in_the_place_of_a_journal_is_refused_and_kept(path, beside):
    partial, journal = partial_build(path)
    if beside != "a partial build":
        partial.unlink()
    if beside == "a finished file":
        path.write_bytes(EXPECTED)
    whole = journal.read_bytes()

    def put_in_place():
        for contents in (b"dear diary", b"dear diary\n" * 99, b"bidual journal 2 ", b"\0" * 99):
            journal.unlink()
            journal.write_bytes(contents)
            yield
        for position in range(0, whole.index(b"\n") + 1, 7):
            journal.write_bytes(flipped(whole, position, 0x80))
            yield
        journal.unlink()
        os.link(path.with_name("thesis"), journal)
        yield
        journal.unlink()
        journal.symlink_to(path.with_name("thesis"))
        yield
        journal.unlink()
        journal.symlink_to(path.with_name("nowhere"))
        yield
        journal.unlink()
        os.mkfifo(journal)
        yield

    path.with_name("thesis").write_bytes(whole)
    count = 0
    for _ in put_in_place():
        before = everything_in(path.parent)
        with pytest.raises((ValueError, OSError), match=r"spikes\.packed\.journal: expected"):
            build(path)
        if beside != "a partial build":
            write_packed(path.with_name("spikes"), CHUNKS[1][0], 70, {})
            path.with_name("spikes").unlink()
        assert everything_in(path.parent) == before
        count += 1
    assert count == 20


@examples(200)
@given(
    changes=st.lists(st.tuples(st.integers(0, 2000), st.binary(max_size=3)), max_size=3),
    entry=st.fixed_dictionaries(
        {},
        optional={
            "columns": st.integers() | st.none() | st.text(max_size=2) | st.just(2**200),
            "origins": st.text(max_size=9) | st.integers() | st.just("A" * 64),
            "sha256": st.text("0123456789abcdef", min_size=64, max_size=64) | st.none(),
            "state": st.text(max_size=2) | st.integers() | st.lists(st.integers(), max_size=2),
        },
    ),
)
def test_any_journal_is_refused_or_gives_the_same_file(changes, entry, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "spikes.packed"
    _, journal = partial_build(path)
    lines = journal.read_bytes().splitlines(keepends=True)
    if entry:  # right checksums of wrong entries
        told = as_json(json.loads(lines[2][65:]) | entry)
        lines[2] = sha256(lines[1][:64] + told).hex().encode() + b" " + told + b"\n"
    contents = bytearray(b"".join(lines))
    for position, some in changes:
        contents[position : position + len(some)] = some
    journal.write_bytes(contents)
    before = everything_in(path.parent)
    refused = ""
    try:
        build(path)
    except ValueError as error:
        refused = str(error)
    if refused:
        assert refused.startswith(f"{journal}: expected")
        assert everything_in(path.parent) == before
    else:
        assert path.read_bytes() == EXPECTED


def test_a_journal_altered_while_at_work_stops_the_finish(path):
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        writer.append(*CHUNKS[1])
        path.with_name("spikes.packed.journal").write_bytes(b"")
        with pytest.raises(OSError, match="altered journal"):
            writer.finish()
    assert not path.exists()


@pytest.mark.parametrize("ends", ["close", "discard", "finish"])
@pytest.mark.parametrize("which", ["partial", "journal"])
@pytest.mark.parametrize("chunks", [0, 2])
def test_a_file_that_others_put_in_place_of_the_writer_s_own_stays(path, which, ends, chunks):
    stranger = path.with_name(f"{path.name}.{which}")
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        for chunk in CHUNKS[:chunks]:
            writer.append(*chunk)
        put(stranger, b"of somebody else")
        if ends == "finish" and which == "partial":
            with pytest.raises(
                OSError, match=r"\.partial: expected the file that this writer wrote"
            ):
                writer.finish()
        elif ends != "close":
            getattr(writer, ends)()
    assert stranger.read_bytes() == b"of somebody else"


# a disk that is full


@pytest.mark.parametrize("fails", ["write", "ftruncate", "fsync", "replace"])
def test_a_failure_of_any_step_leaves_a_build_that_goes_on(tmp_path, monkeypatch, fails):
    for failing in itertools.count():
        path = tmp_path / f"{fails}{failing}" / "spikes.packed"
        path.parent.mkdir()
        calls = itertools.count()
        real = getattr(os, fails)

        def step(first, second=None, real=real, calls=calls, failing=failing):
            if next(calls) == failing:
                if fails == "write":
                    real(first, second[: len(second) // 2])
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
            return real(first) if second is None else real(first, second)

        counts = [0]
        with monkeypatch.context() as patch:
            patch.setattr(os, fails, step)
            with suppress(OSError):
                build(path, done=counts.append)
        if next(calls) <= failing:
            break
        assert_absent_or_whole(path)
        if not path.exists():
            assert kept_of(path) >= counts[-1]
        build(path)
        assert path.read_bytes() == EXPECTED
        assert names(path.parent) == [path.name]
    assert failing >= {"replace": 1}.get(fails, 10)


@pytest.mark.parametrize("failing", range(3))
def test_a_chunk_may_be_tried_again(path, monkeypatch, failing):
    real, calls = os.write, itertools.count()

    def full(descriptor, data):
        if next(calls) == failing:
            real(descriptor, data[: len(data) // 2])
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return real(descriptor, data[:7])  # a disk may take less than it was given, too

    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        monkeypatch.setattr(os, "write", full)
        for i, chunk in enumerate(CHUNKS):
            if i in (0, 1):
                with suppress(OSError):
                    writer.append(*chunk, {"chunk": i})
            if writer.chunks_done == i:
                writer.append(*chunk, {"chunk": i})
        writer.finish()
    assert next(calls) > failing
    assert path.read_bytes() == EXPECTED


def test_a_chunk_that_failed_is_not_in_the_file(path, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    calls = iter([lambda descriptor: None, full])  # its line is written, but not synced
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        writer.append(*CHUNKS[1])
        with monkeypatch.context() as patch:
            patch.setattr(os, "fsync", lambda descriptor: next(calls)(descriptor))
            with pytest.raises(OSError, match="No space left"):
                writer.append(*CHUNKS[3])
        assert writer.chunks_done == 1
        writer.finish()
    assert path.read_bytes() == packed_bytes(70, CHUNKS[1:2])


@forks
def test_a_limit_on_the_size_of_files_is_met_like_a_full_disk(path):
    def run():
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (700, 700))
        with pytest.raises(OSError, match="too large"):
            build(path)

    assert not in_child(run)
    assert names(path.parent) == ["spikes.packed.journal", "spikes.packed.partial"]
    build(path)
    assert path.read_bytes() == EXPECTED


# one writer


def test_a_second_writer_is_refused_by_name(path):
    locked = r"spikes\.packed\.journal: expected to be the only writer"
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        with pytest.raises(BlockingIOError, match=locked):
            PackedWriter(path, 70, METADATA, origin_width=2)
        writer.append(*CHUNKS[0], {"chunk": 0})
        with pytest.raises(BlockingIOError, match=locked):
            PackedWriter(path, 70, {"other": 1})
    build(path)  # the lock is gone with the writer
    assert path.read_bytes() == EXPECTED


def test_a_writer_in_another_process_is_refused_until_the_first_is_killed(path):
    code = (
        "import sys\n"
        "from bidual.dictionaries.files.packed_writer import PackedWriter\n"
        "with PackedWriter(sys.argv[1], 4000, {'chunks': 40}, origin_width=1):\n"
        "    print(flush=True)\n"
        "    sys.stdin.read()\n"
    )
    command = [sys.executable, "-c", code, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout.readline() == b"\n"
        with pytest.raises(BlockingIOError, match="only writer"):
            longer_build(path)
        process.kill()
    longer_build(path)
    assert len(open_packed(path).words) == 40 * 50


def test_a_journal_removed_while_waiting_for_its_lock_is_not_locked(path, monkeypatch):
    # the first writer finishes between the second's opening the journal and locking it
    fcntl = pytest.importorskip("fcntl")
    first = PackedWriter(path, 70, METADATA, origin_width=2)
    real = fcntl.flock

    def flock(descriptor, operation):
        monkeypatch.setattr(fcntl, "flock", real)
        first.discard()
        real(descriptor, operation)

    monkeypatch.setattr(fcntl, "flock", flock)
    with PackedWriter(path, 70, {"other": 1}) as second:
        with pytest.raises(BlockingIOError):
            PackedWriter(path, 70, {"other": 1})
        second.append(*(random_chunk(70, 2, 0)))
        second.finish()
    assert len(open_packed(path).words) == 2


def test_the_lock_holds_until_the_journal_is_gone(path, monkeypatch):
    real = os.unlink

    def unlink(journal):
        with pytest.raises(BlockingIOError):
            PackedWriter(path, 70, {"other": 1})
        real(journal)

    with PackedWriter(path, 70, {}) as writer:
        monkeypatch.setattr(os, "unlink", unlink)
        writer.finish()
    assert names(path.parent) == [path.name]


def test_a_refused_build_leaves_no_file(path):
    build(path)
    with pytest.raises(ValueError, match="same build"):
        PackedWriter(path, 71, METADATA)
    assert names(path.parent) == [path.name]


def test_a_folder_that_is_not_there_is_named(path):
    folder = path.parent / "nowhere"
    for call in (
        lambda: PackedWriter(folder / "file", 1, {}),
        lambda: write_packed(folder / "file", CHUNKS[1][0], 70, {}),
    ):
        with pytest.raises(FileNotFoundError) as refused:
            call()
        assert str(refused.value) == (
            f"{folder / 'file'}: expected a folder {folder}, got none; create it"
        )
    path.write_bytes(b"")
    with pytest.raises(FileNotFoundError, match=r"expected a folder .*spikes\.packed, got none"):
        PackedWriter(path / "file", 1, {})


def test_a_name_alone_is_in_the_working_folder(path, monkeypatch):
    monkeypatch.chdir(path.parent)
    write_packed(path.name, CHUNKS[1][0], 70, {})
    assert_equal(open_packed(path).words, CHUNKS[1][0])


def test_a_closed_writer_takes_nothing(path):
    writer = PackedWriter(path, 70, METADATA, origin_width=2)
    writer.close()
    writer.close()
    for call in (lambda: writer.append(*CHUNKS[0]), writer.finish):
        with pytest.raises(ValueError, match=r"^writer: expected an open writer"):
            call()


# a finished file that was damaged


def flipped(contents, position, mask):
    changed = bytearray(contents)
    changed[position] ^= mask
    return bytes(changed)


def parts_of(contents):
    """End of each part of the small file with one array, and what is told of damage in it."""
    head = struct.unpack("<Q", contents[16:24])[0]
    ends = np.cumsum([8, 8, 16, head - 32, 6 * 64, 6 * 16, 6 * 40 + len('{"chunk":5}'), 88])
    told = [
        "expected a packed file of bidual",
        "expected format 1, got ",
        "head",
        "expected an intact head",
        "expected chunk ",
        "expected chunk ",
        "expected an intact table of chunks",
        "expected an intact footer",
    ]
    assert ends[-1] == len(contents)
    return ends, told


def test_every_flipped_byte_is_refused_and_told(path):
    build(path, arrays={"weights": np.arange(9.0)})
    whole = path.read_bytes()
    ends, told = parts_of(whole)
    columns = np.repeat(np.arange(len(SIZES)), SIZES)
    for position in range(len(whole)):
        put(path, flipped(whole, position, 1 << position % 8))
        part = int(np.searchsorted(ends, position, side="right"))
        with pytest.raises(ValueError, match=rf"spikes\.packed: .*{told[part]}") as refused:
            open_packed(path)
        if told[part] == "expected chunk ":
            column = (position - ends[part - 1]) // (64 if part == 4 else 16)
            assert f"expected chunk {columns[column]} (" in str(refused.value)
    path.write_bytes(whole)
    assert len(open_packed(path).words) == 6


def test_every_truncation_and_appendix_is_refused(path):
    build(path)
    whole = path.read_bytes()
    for length in range(len(whole)):
        put(path, whole[:length])
        with pytest.raises(ValueError, match=r"spikes\.packed: expected .*, got "):
            open_packed(path)
    for more in (b"\0", b"\0" * 64, whole[-88:], whole):
        path.write_bytes(whole + more)
        with pytest.raises(ValueError, match=r"spikes\.packed: expected .*, got "):
            open_packed(path)
    for cut in (64, 400, len(whole) - 100):  # from the middle
        path.write_bytes(whole[:cut] + whole[cut + 8 :])
        with pytest.raises(ValueError, match=r"spikes\.packed: expected .*, got "):
            open_packed(path)


def test_flipped_bytes_of_a_large_file_are_refused(path):
    words, origins = random_chunk(512 * 8, 2000)
    with PackedWriter(path, 512 * 8, {}, origin_width=2) as writer:
        for start in range(0, 2000, 250):
            writer.append(words[start : start + 250], origins[start : start + 250])
        writer.finish()
    size = path.stat().st_size
    rng = np.random.default_rng(0)
    with open(path, "r+b") as file:
        for position in rng.integers(0, size, 60).tolist():
            file.seek(position)
            byte = file.read(1)
            for written in (bytes([byte[0] ^ 1 << int(rng.integers(8))]), byte):
                file.seek(position)
                file.write(written)
                file.flush()
                if written != byte:
                    with pytest.raises(ValueError, match="expected"):
                        open_packed(path)
    assert_equal(open_packed(path).words, words)


def test_parts_of_two_files_do_not_go_together(path):
    build(path)
    one = path.read_bytes()
    clear(path)
    with PackedWriter(path, 70, METADATA | {"seed": 8}, origin_width=2) as writer:
        for i, chunk in enumerate(CHUNKS):
            writer.append(*chunk, {"chunk": i})
        writer.finish()
    other = path.read_bytes()
    head = struct.unpack("<Q", one[16:24])[0]
    assert one[head:-88] == other[head:-88]
    path.write_bytes(one[:head] + other[head:])
    with pytest.raises(ValueError, match="an intact table"):
        open_packed(path)


# files with right checksums and wrong contents

HEADER = {"arrays": {}, "metadata": {}, "n_rows": 70, "origin_width": 0}
HUGE = [2**31, 2**40 + 1, 2**62, 2**63, 2**64, 2**200, 10**400]
WRONG = [-1, -(2**63), 1.0, 1e300, True, None, "1", [], {}, float("nan"), float("inf")]


def hostile_headers():
    for name in ("n_rows", "origin_width"):
        for value in [*HUGE[1:], *WRONG]:
            yield HEADER | {name: value}
    yield HEADER | {"n_rows": -1}
    yield HEADER | {"more": 1}
    for name in HEADER:
        yield {key: value for key, value in HEADER.items() if key != name}
    for value in [0, None, [], "", [1, 2]]:
        yield HEADER | {"metadata": value}
        yield HEADER | {"arrays": value}
        yield value
    yield HEADER | {"metadata": {"nan": float("nan")}}
    for value in [*HUGE, *WRONG]:
        yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": [value]}}}
        if value != []:  # a scalar
            yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": value}}}
        if not (type(value) is int and 0 < value < 2**62):  # no values, whatever the other side
            yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": [0, value]}}}
    yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": [-1, -1]}}}
    yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": [2**32, 2**32]}}}
    for dtype in [
        "(",
        "f8,",
        "(2,)f8",
        "|O",
        "O",
        "<U9",
        "|V8",
        ">f8",
        "f8",
        "<M8[s]",
        "",
        "<f99",
        None,
        8,
        [],
        {},
    ]:
        yield HEADER | {"arrays": {"w": {"dtype": dtype, "shape": [1]}}}
    yield HEADER | {"arrays": {"w": {"dtype": "<f8"}}}
    yield HEADER | {"arrays": {"w": {"shape": [1]}}}
    yield HEADER | {"arrays": {"w": [1]}}
    yield HEADER | {"arrays": {"w": {"dtype": "<f8", "shape": [1] * 100}}}
    yield b""
    yield b"{"
    yield b"\xff\xfe"
    yield b"[" * 200_000 + b"]" * 200_000
    yield b'{"arrays":{},"metadata":{"a":' + b"9" * 5000 + b'},"n_rows":70,"origin_width":0}'


def refused(path, contents):
    path.write_bytes(contents)
    tracemalloc.start()
    with pytest.raises(ValueError, match=r"spikes\.packed: expected .*, got "):
        open_packed(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 16 * 2**20


def test_the_plain_header_of_the_hostile_ones_is_fine(path):
    head = head_bytes(HEADER)
    path.write_bytes(head + tail_bytes(head, b"", b"", []))
    assert open_packed(path).words.shape == (0, 16 // 2)
    for n_rows in (0, 2**40):  # the limits; no column takes any memory
        head = head_bytes(HEADER | {"n_rows": n_rows, "origin_width": 1024})
        path.write_bytes(head + tail_bytes(head, b"", b"", []))
        assert open_packed(path).n_rows == n_rows


@pytest.mark.parametrize("header", list(hostile_headers()), ids=lambda header: repr(header)[:60])
def test_a_hostile_header_is_refused(path, header):
    described = header.get("arrays") if isinstance(header, dict) else None
    head = head_bytes(header, [b"\0" * 8] if isinstance(described, dict) and described else [])
    refused(path, head + tail_bytes(head, b"", b"", []))


@pytest.mark.parametrize("extra", [-64, -1, 1, 8, 64, 128])
def test_a_head_of_another_length_is_refused(path, extra):
    head = head_bytes(HEADER, extra=extra)
    refused(path, head + tail_bytes(head, b"", b"", []))


@pytest.mark.parametrize("huge", [*HUGE[:-3], 2**64 - 1, 0, 1, 33])
@pytest.mark.parametrize("which", range(3))
def test_hostile_counts_are_refused(path, which, huge):
    head = head_bytes(HEADER)
    counts = [0, 0, 4]
    counts[which] = huge + (which == 2 and huge == 0) + (which < 2 and huge == 0)
    refused(path, head + tail_bytes(head, b"", b"", [], counts=counts))
    sizes = [len(head), len(as_json(HEADER))]
    if which < 2 and huge != sizes[which]:
        sizes[which] = huge
        head = head_bytes(HEADER, sizes=sizes)
        refused(path, head + tail_bytes(head, b"", b"", []))


def test_a_table_that_does_not_fit_its_columns_is_refused(path):
    head = head_bytes(HEADER)
    words = random_chunk(70, 2)[0].tobytes()
    whole, none = (2, sha256(words)), (0, sha256(b""))
    path.write_bytes(head + tail_bytes(head, words, b"", [none, whole, none]))
    assert open_packed(path).chunks.tolist() == [0, 2, 0]
    for entries in (
        [none],
        [],
        [(1, sha256(words[:64]))],
        [(3, sha256(words))],
        [(2**64 - 1, sha256(words))],
        [(2**64 - 2, sha256(b"")), (4, sha256(b""))],  # they add up to 2 in 64 bits
        [whole, whole],
        [whole, (1, sha256(b""))],
        [none, (2, sha256(b""))],
    ):
        counts = (2, len(entries), 4)
        refused(path, head + tail_bytes(head, words, b"", entries, counts=counts))


@pytest.mark.parametrize("state", [b"", b"nul", b"NaN", b"1", b"[]", b"[" * 10**5, b"\xff"])
def test_a_hostile_state_is_refused(path, state):
    head = head_bytes(HEADER)
    refused(path, head + tail_bytes(head, b"", b"", [], state=state))


def test_bytes_between_the_state_and_the_footer_are_refused(path):
    head = head_bytes(HEADER)
    refused(path, head + tail_bytes(head, b"", b"", [], state=b"null!", counts=(0, 0, 4)))


def test_json_of_more_than_16_mib_is_refused(path):
    huge = as_json(HEADER | {"metadata": {"a": "a" * 2**24}})
    head = head_bytes(huge)
    path.write_bytes(head + tail_bytes(head, b"", b"", []))
    with pytest.raises(ValueError, match="JSON of at most 16777216 bytes"):
        open_packed(path)
    head = head_bytes(HEADER)
    path.write_bytes(head + tail_bytes(head, b"", b"", [], state=b" " * (2**24 + 1)))
    with pytest.raises(ValueError, match="JSON of at most 16777216 bytes"):
        open_packed(path)


@examples(150)
@given(contents=st.binary(max_size=300), prefix=st.integers(0, len(EXPECTED)))
def test_any_bytes_are_refused(contents, prefix, tmp_path_factory):
    path = tmp_path_factory.mktemp("packed") / "file"
    path.write_bytes(EXPECTED[:prefix] + contents)
    if EXPECTED[:prefix] + contents != EXPECTED:
        with pytest.raises(ValueError, match=r"file: expected .*, got "):
            open_packed(path)


def test_files_of_another_kind_and_folders_are_refused(path):
    for contents in (b"", b"PK\x03\x04", b"\x93NUMPY", b"BIDUAL\n\n"):
        path.write_bytes(contents)
        with pytest.raises(ValueError, match=r"spikes\.packed: expected a packed file of bidual"):
            open_packed(path)
    path.write_bytes(head_bytes(HEADER, version=2))
    with pytest.raises(ValueError, match=r"spikes\.packed: expected format 1, got 2"):
        open_packed(path)
    with pytest.raises(FileNotFoundError):
        open_packed(path.with_name("absent"))
    with pytest.raises(IsADirectoryError):
        open_packed(path.parent)


# arguments


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"n_rows": -5}, "^n_rows: expected 0 to"),
        ({"n_rows": 2**40 + 1}, "^n_rows: expected 0 to"),
        ({"n_rows": 2.5}, "^n_rows: expected 0 to"),
        ({"n_rows": float("nan")}, "^n_rows: expected 0 to"),
        ({"origin_width": -1}, "^origin_width: expected 0 to 1024"),
        ({"origin_width": 1025}, "^origin_width: expected 0 to 1024"),
        ({"metadata": {"a": float("nan")}}, "^metadata: expected a JSON object"),
        ({"metadata": {"a": float("inf")}}, "^metadata: expected a JSON object"),
        ({"metadata": {"a": object()}}, "^metadata: expected a JSON object"),
        ({"metadata": {"a": np.arange(2)}}, "^metadata: expected a JSON object"),
        ({"metadata": 3}, "^metadata: expected a JSON object"),
        ({"metadata": None}, "^metadata: expected a JSON object"),
        ({"metadata": {"a": "a" * 2**24}}, "^metadata: expected at most"),
        ({"arrays": {"a": np.array([None])}}, "^arrays: expected integers or floats"),
        ({"arrays": {"a": ["text"]}}, "^arrays: expected integers or floats"),
        ({"arrays": {"a": [1j]}}, "^arrays: expected integers or floats"),
        ({"arrays": {3: [1.0]}}, "^arrays: expected integers or floats"),
    ],
)
def test_an_argument_out_of_its_range_is_refused_before_anything_is_written(path, change, told):
    with pytest.raises(ValueError, match=told):
        PackedWriter(path, **({"n_rows": 70, "metadata": {}} | change))
    assert names(path.parent) == []


WORDS, ORIGINS = CHUNKS[1]
BITS = np.packbits(np.eye(512, dtype=np.uint8), axis=1, bitorder="little").view(np.uint64)


@pytest.mark.parametrize(
    ("words", "origins", "told"),
    [
        (WORDS.view(np.int64), ORIGINS, r"^words: expected a uint64 array of shape \(p, 8\)"),
        (WORDS[:, :7], ORIGINS, r"^words: expected a uint64 array of shape \(p, 8\)"),
        (WORDS[0], ORIGINS, r"^words: expected a uint64 array of shape \(p, 8\)"),
        (WORDS | BITS[70], ORIGINS, "^words: expected no bits set past row 70"),
        (WORDS | BITS[128], ORIGINS, "^words: expected no bits set past row 70"),
        (WORDS | BITS[511], ORIGINS, "^words: expected no bits set past row 70"),
        (WORDS, ORIGINS[:2], r"^origins: expected shape \(3, 2\), got \(2, 2\)"),
        (WORDS, ORIGINS.T, r"^origins: expected shape \(3, 2\), got \(2, 3\)"),
        (WORDS, ORIGINS[:, 0], r"^origins: expected shape \(3, 2\), got \(3,\)"),
        (WORDS, None, r"^origins: expected shape \(3, 2\), got \(3, 0\)"),
        (WORDS, [], r"^origins: expected shape \(3, 2\), got \(0,\)"),
        (WORDS[:0], ORIGINS, r"^origins: expected shape \(0, 2\), got \(3, 2\)"),
        (WORDS, ORIGINS.astype(float), "^origins: expected integers of 64 bits, got float64"),
        (WORDS, np.full((3, 2), 2**63, np.uint64), "^origins: expected integers of 64 bits"),
    ],
)
def test_a_chunk_that_does_not_fit_is_refused_and_the_build_goes_on(path, words, origins, told):
    with PackedWriter(path, 70, METADATA, origin_width=2) as writer:
        writer.append(*CHUNKS[0], {"chunk": 0})
        with pytest.raises(ValueError, match=told):
            writer.append(words, origins)
        with pytest.raises(ValueError, match=r"^state: expected a JSON object"):
            writer.append(*CHUNKS[1], {"a": float("nan")})
        assert writer.chunks_done == 1
    build(path)
    assert path.read_bytes() == EXPECTED


def test_arrays_may_be_of_any_order_and_layout(path):
    words, origins = random_chunk(70, 6)
    weights = np.arange(6.0).reshape(2, 3)
    given = {"weights": np.asfortranarray(weights).astype(">f8")}
    with PackedWriter(path, 70, METADATA, origin_width=2, arrays=given) as writer:
        writer.append(np.asfortranarray(words)[::2], np.asfortranarray(origins)[::2])
        writer.append(words[:0], [])
        writer.finish()
    chunks = [(words[::2], origins[::2]), (words[:0], origins[:0])]
    assert path.read_bytes() == packed_bytes(70, chunks, arrays={"weights": weights})


def test_big_endian_machines_are_refused(path, monkeypatch):
    build(path)
    monkeypatch.setattr(sys, "byteorder", "big")
    with pytest.raises(RuntimeError, match="little-endian"):
        open_packed(path)
    with pytest.raises(RuntimeError, match="little-endian"):
        PackedWriter(path, 70, METADATA)
