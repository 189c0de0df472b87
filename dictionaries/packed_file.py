"""Packed files: a 0/1 matrix on disk, built in chunks that outlive a kill, mapped to be read.

Format 1. Integers are little-endian, uint64 unless said; SHA-256 is 32 raw bytes
(with the CPU's instructions for it twice as fast as BLAKE2b); JSON is ASCII with
sorted keys and no spaces. A file is, without gaps,

    head     64 h bytes:
             8 bytes "BIDUAL\\r\\n", the version 1, 64 h, the length of the JSON,
             the JSON {"arrays": {name: {"dtype", "shape"}}, "metadata": {...},
                       "n_rows": n, "origin_width": k},
             the arrays in the order of the JSON (C order, dtype as NumPy writes it),
             each beginning at a multiple of 64 bytes,
             zeros, and the SHA-256 of all that, which ends the head
    words    (P, n_words) uint64, n_words = 8 ceil(n / 512): the columns,
             in the layout of ``kernels/bits.py``; their bits past row n are zero
    origins  (P, k) int64: k integers that belong to each column
    table    for each of C chunks, in order: how many columns it has (0 is fine), and
             the SHA-256 of its words followed by its origins
    state    JSON that came with the last chunk; null without one
    footer   P, C, the length of the state, the SHA-256 of (the head's SHA-256,
             table, state), and the SHA-256 of these 56 bytes

with 1 <= n <= 2**40, 0 <= k <= 1024 and at most 2**24 bytes in either JSON. P = 0 and
C = 0 are fine. So every byte is under a checksum and the length follows from the
contents. The bytes depend on nothing but what was given to the writer.

While PATH is being built, PATH.partial holds head and words, and PATH.journal a line for
each chunk: the SHA-256 in hex of (the one before it, in hex; at first the head's, raw)
followed by the JSON of this chunk, a space, that JSON with "columns", "origins" (base64),
"sha256" and "state". A chunk is done once its words, then its line are synced. Going on
keeps the chunks up to the first whose line or words do not match their checksum (torn,
or damaged on the disk) and drops the rest; they will be built again.

Not here: deduplication, progress, and what the columns mean. Big-endian machines are
refused. Windows has no lock against a second writer, and cannot replace a file that is
mapped.
"""

import base64
import hashlib
import itertools
import json
import math
import os
import reprlib
import struct
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

_MAGIC = b"BIDUAL\r\n"  # a transfer as text changes it
_VERSION = 1
_PREFIX = struct.Struct("<8s3Q")  # magic, version, bytes of the head, bytes of its JSON
_COUNTS = struct.Struct("<3Q")  # columns, chunks, bytes of the state
_ENTRY = np.dtype([("columns", "<u8"), ("sha256", "V32")])
_FOOTER_BYTES = _COUNTS.size + 2 * 32
_ALIGNMENT = 64  # one AVX-512 register, one cache line
_ARRAY_DTYPES = {np.dtype(code).newbyteorder("<").str for code in "bBhHiIqQefd"}
_MOST_ROWS = 2**40
_MOST_ORIGINS = 1024
_MOST_JSON = 2**24
_BUFFER_BYTES = 2**20
_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)

Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class PackedFile:
    """What a packed file holds; the arrays are read-only maps of the file, not copies.

    Attributes
    ----------
    n_rows : int
        Rows n of the matrix.
    words : (P, 8 * ceil(n / 512)) uint64 array
        The packed columns.
    origins : (P, k) int64 array
        k integers that belong to each column.
    metadata : dict
        What was built, as given to the writer.
    arrays : dict
        Named arrays given to the writer.
    chunks : (C,) int64 array
        Columns in each chunk; they add up to P.
    state : dict or None
        What came with the last chunk.
    """

    n_rows: int
    words: NDArray[np.uint64]
    origins: NDArray[np.int64]
    metadata: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    chunks: NDArray[np.int64]
    state: dict[str, Any] | None


def open_packed(path: Path) -> PackedFile:
    """Verify every byte of a packed file and map it.

    It reads the file once, through a buffer of 1 MiB. Replacing the file later is
    safe (the map keeps the old one); writing into it is not.

    Raises
    ------
    ValueError
        If the file is not one of these, or truncated, appended to or altered.
    OSError
        If it can't be read.
    RuntimeError
        On a big-endian machine.
    """
    _refuse_big_endian()
    with open(path, "rb", buffering=0) as file:
        head, head_bytes, head_checksum = _read_head(file, path)
        size = os.fstat(file.fileno()).st_size
        footer = _read(file, size - _FOOTER_BYTES, _FOOTER_BYTES)
        counts, index, checksum = footer[:-64], footer[-64:-32], footer[-32:]
        intact = checksum == hashlib.sha256(counts + index).digest()
        damaged = "other bytes: truncated, appended to or altered"
        _expect(intact, path, "an intact footer at the end", damaged)

        n_columns, n_chunks, state_bytes = _COUNTS.unpack(counts)
        column_bytes = 8 * _n_words(head.n_rows)
        origins_start = head_bytes + n_columns * column_bytes
        table_start = origins_start + n_columns * head.origin_width * 8
        state_start = table_start + n_chunks * _ENTRY.itemsize
        whole = state_start + state_bytes + _FOOTER_BYTES
        _expect(size == whole, path, f"the {whole} bytes that its footer tells of", f"{size}")

        digest = hashlib.sha256(head_checksum)
        _hash(digest, file, table_start, size - _FOOTER_BYTES - table_start)
        _expect(digest.digest() == index, path, "an intact table of chunks", "an altered one")
        state = _read_json(file, state_start, state_bytes, path)
        _expect(state is None or isinstance(state, dict), path, "a state", reprlib.repr(state))

        # views of one map of the file: neither size nor count can make them take memory
        mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
        table = mapped[table_start:state_start].view(_ENTRY)
        first = 0
        for number, (columns, expected) in enumerate(table):
            last = first + int(columns)
            digest = hashlib.sha256()
            _hash(digest, file, head_bytes + first * column_bytes, (last - first) * column_bytes)
            width = head.origin_width * 8
            _hash(digest, file, origins_start + first * width, (last - first) * width)
            _expect(
                digest.digest() == expected.tobytes(),
                path,
                f"chunk {number} (columns {first} to {last - 1}) with SHA-256 "
                f"{expected.tobytes().hex()[:16]}...",
                f"{digest.hexdigest()[:16]}...: its words or origins are altered",
            )
            first = last
        _expect(first == n_columns, path, f"{n_columns} columns", f"{first} in chunks")
    return PackedFile(
        head.n_rows,
        mapped[head_bytes:origins_start].view("<u8").reshape(n_columns, column_bytes // 8),
        mapped[origins_start:table_start].view("<i8").reshape(n_columns, head.origin_width),
        head.metadata,
        head.arrays,
        table["columns"].astype(np.int64),
        state,
    )


class PackedWriter:
    """A packed file in the making, chunk by chunk; a context manager.

    Killed at any moment and started again with the same arguments, it goes on after
    the last chunk that is safely on the disk, and ends with the same bytes as if
    nothing had happened. PATH itself appears whole, in :meth:`finish`; until then,
    and where the block ends otherwise, PATH.partial and PATH.journal wait beside it.
    Memory is that of one chunk.

    Parameters
    ----------
    path : path
        Where the finished file goes.
    n_rows : int
        Rows n of the matrix, 1 to 2**40.
    metadata : mapping
        JSON object that says what is being built: all that the chunks depend on, their
        size and order too, for it decides whether a partial build may go on.
    origin_width : int
        How many integers k belong to each column.
    arrays : mapping of arrays, optional
        Named arrays of integers or floats that the file carries too, such as weights.
    resume : bool
        Whether to go on from a build that is there: a partial one, or else a finished
        one, at which nothing is left to do. If not, a partial build is thrown away, and
        :meth:`finish` replaces what is at the path.

    Raises
    ------
    ValueError
        If an argument is out of its range; with ``resume``, if what is there is another
        build (the message tells what differs) or damaged.
    BlockingIOError
        If another writer is at work on the path, in any process.
    RuntimeError
        On a big-endian machine.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from bidual.dictionaries.packed_file import PackedWriter, open_packed
    >>> folder = tempfile.TemporaryDirectory()
    >>> path = os.path.join(folder.name, "squares.packed")
    >>> with PackedWriter(path, 64, {"power": 2}, origin_width=1) as writer:
    ...     for chunk in range(writer.chunks_done, 3):
    ...         words = np.zeros((2, 8), dtype=np.uint64)
    ...         words[:, 0] = chunk**2
    ...         writer.append(words, [[chunk], [chunk]])
    ...     writer.finish()
    >>> squares = open_packed(path)
    >>> squares.words.shape, squares.origins[:, 0].tolist(), squares.metadata
    ((6, 8), [0, 0, 1, 1, 2, 2], {'power': 2})
    >>> folder.cleanup()
    """

    def __init__(
        self,
        path: Path,
        n_rows: int,
        metadata: Mapping[str, Any],
        *,
        origin_width: int = 0,
        arrays: Mapping[str, ArrayLike] | None = None,
        resume: bool = True,
    ) -> None:
        _refuse_big_endian()
        self._head = _checked_head(n_rows, origin_width, metadata, arrays or {})
        self._packed_head = self._head.packed()
        self._path = os.fspath(path)
        self._partial = self._path + ".partial"
        self._journal = self._path + ".journal"
        self._column_bytes = 8 * _n_words(self._head.n_rows)
        self._finished = False
        self._chunks: list[tuple[int, bytes]] = []  # columns and SHA-256 of each
        self._n_columns = 0
        self._state: dict[str, Any] | None = None
        self._chain = self._packed_head[-32:]
        self._data_end, self._journal_end = len(self._packed_head), 0
        self._data_file = -1
        self._journal_file = _open_locked(self._journal)
        try:
            self._start(resume)
        except BaseException:
            self.close()
            raise

    @property
    def chunks_done(self) -> int:
        """Chunks that are safely on the disk."""
        return len(self._chunks)

    @property
    def n_columns(self) -> int:
        """Columns in these chunks."""
        return self._n_columns

    @property
    def state(self) -> dict[str, Any] | None:
        """What came with the last of these chunks."""
        return self._state

    @property
    def finished(self) -> bool:
        """Whether the finished file is at the path."""
        return self._finished

    def written(self) -> NDArray[np.uint64]:
        """Columns in these chunks, mapped read-only: (n_columns, n_words) uint64."""
        shape = (self._n_columns, self._column_bytes // 8)
        if self._n_columns == 0:
            return np.empty(shape, dtype=np.uint64)
        path = self._path if self._finished else self._partial
        mapped = np.memmap(path, "<u8", "r", offset=len(self._packed_head), shape=shape)
        return mapped.view(np.ndarray)

    def append(
        self,
        words: NDArray[np.uint64],
        origins: ArrayLike | None = None,
        state: Mapping[str, Any] | None = None,
    ) -> None:
        """Put a chunk of columns on the disk; when this returns, a power cut leaves it there.

        Parameters
        ----------
        words : (p, n_words) uint64 array
            The columns, none is fine.
        origins : (p, k) int array
            May be left out where k = 0.
        state : mapping, optional
            JSON object to go on with: :attr:`state` of a writer that resumes.

        Raises
        ------
        ValueError
            If an array has another shape or dtype, words have bits past row n, or the
            writer is finished or closed.
        OSError
            If the disk is full, say. The chunks before stay; this one may be tried again.
        """
        self._check_open()
        chunk = _checked_words(words, self._head.n_rows).reshape(-1).view(np.uint8)
        tied = _checked_origins(origins, len(words), self._head.origin_width)
        noted = None if state is None else _checked_object("state", state)
        digest = hashlib.sha256(chunk.data)
        digest.update(tied)
        entry = {
            "columns": len(words),
            "origins": base64.b64encode(tied).decode("ascii"),
            "sha256": digest.hexdigest(),
            "state": noted,
        }
        body = _json(entry)
        link = _link(self._chain, body)
        line = link + b" " + body + b"\n"
        _write(self._data_file, self._data_end, [chunk])
        _write(self._journal_file, self._journal_end, [line])
        self._count(entry, len(line), link)

    def finish(self) -> None:
        """Complete the file and put it at its path; nothing happens where it is there already.

        Raises
        ------
        ValueError
            If the writer is closed.
        OSError
            If the disk is full, say. The partial build stays.
        """
        if self._finished:
            return
        self._check_open()
        table = b"".join(columns.to_bytes(8, "little") + sha256 for columns, sha256 in self._chunks)
        state = _json(self._state)
        counts = _COUNTS.pack(self._n_columns, len(self._chunks), len(state))
        footer = counts + hashlib.sha256(self._packed_head[-32:] + table + state).digest()
        footer += hashlib.sha256(footer).digest()
        parts = itertools.chain(self._origins(), [table, state, footer])
        _write(self._data_file, self._data_end, parts)
        self._close_data()
        os.replace(self._partial, self._path)
        _sync_folder(self._path)
        self._finished = True
        self._close_journal(remove=True)

    def close(self) -> None:
        """Give the path free; without :meth:`finish` before, the partial build stays."""
        self._close_data()
        # refused before a partial build began: leave nothing behind
        self._close_journal(remove=not os.path.exists(self._partial))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self, resume: bool) -> None:
        """Find out what is there, and go on from it or begin."""
        # the head is synced before the journal gets its first line
        begun = os.path.exists(self._partial) and os.path.getsize(self._journal) > 0
        if resume and begun:
            self._refuse_another(self._partial)
        elif resume and os.path.exists(self._path):
            self._refuse_another(self._path)
            found = open_packed(self._path)
            self._chunks = [(columns, b"") for columns in found.chunks.tolist()]
            self._n_columns, self._state = len(found.words), found.state
            self._finished = True
            if os.path.exists(self._partial):
                os.unlink(self._partial)  # one without a chunk
            return
        self._data_file = os.open(self._partial, _OPEN_FLAGS, 0o666)
        if resume and begun:
            self._recover()
        else:
            _write(self._journal_file, 0, [])
            _write(self._data_file, 0, [self._packed_head])
        _sync_folder(self._path)

    def _refuse_another(self, path: str) -> None:
        """Raise ValueError unless the file at ``path`` begins with the head of this build."""
        with open(path, "rb", buffering=0) as file:
            if _read(file, 0, len(self._packed_head)) == self._packed_head:
                return
            there, wanted = _read_head(file, path)[0].told(), self._head.told()
        differences = "; ".join(
            f"{name} is {there.get(name, 'absent'):.80}, not {wanted.get(name, 'absent'):.80}"
            for name in sorted(there.keys() | wanted.keys())
            if there.get(name) != wanted.get(name)
        )
        raise ValueError(
            f"{path}: expected the same build, got another one: {differences}; "
            "choose another path, or resume=False to build in its place"
        )

    def _recover(self) -> None:
        """Count the chunks of a partial build that are intact; the next ones overwrite the rest."""
        with open(self._partial, "rb", buffering=0) as data:
            for entry, length, link in _journal_entries(self._journal, self._chain):
                digest = hashlib.sha256()
                _hash(digest, data, self._data_end, entry["columns"] * self._column_bytes)
                digest.update(base64.b64decode(entry["origins"]))
                if digest.hexdigest() != entry["sha256"]:
                    break
                self._count(entry, length, link)

    def _count(self, entry: dict[str, Any], line_bytes: int, link: bytes) -> None:
        """Take a chunk that is on the disk as done."""
        self._chunks.append((entry["columns"], bytes.fromhex(entry["sha256"])))
        self._n_columns += entry["columns"]
        self._data_end += entry["columns"] * self._column_bytes
        self._journal_end += line_bytes
        self._chain = link
        self._state = entry["state"]

    def _origins(self) -> Iterator[bytes]:
        """Origins of each chunk, from the journal: memory is that of one chunk."""
        chain = self._packed_head[-32:]
        entries = _journal_entries(self._journal, chain)
        for entry, _, link in itertools.islice(entries, len(self._chunks)):
            yield base64.b64decode(entry["origins"])
            chain = link
        if chain != self._chain:
            raise OSError(f"{self._journal}: expected what was written, got an altered journal")

    def _check_open(self) -> None:
        if self._finished or self._data_file < 0:
            raise ValueError(f"writer: expected one at work on {self._path}, got one that is over")

    def _close_data(self) -> None:
        if self._data_file >= 0:
            os.close(self._data_file)
            self._data_file = -1

    def _close_journal(self, remove: bool) -> None:
        if self._journal_file < 0:
            return
        if remove and sys.platform != "win32":
            os.unlink(self._journal)  # first, for the lock ends with the descriptor
        os.close(self._journal_file)
        if remove and sys.platform == "win32":
            os.unlink(self._journal)  # last, for Windows removes no open file
        self._journal_file = -1


@dataclass(frozen=True, eq=False)
class _Head:
    """What the head of a file tells."""

    n_rows: int
    origin_width: int
    metadata: dict[str, Any]
    arrays: dict[str, NDArray[Any]]

    def packed(self) -> bytes:
        """Return the bytes of the head."""
        described = {
            name: {"dtype": array.dtype.str, "shape": array.shape}
            for name, array in self.arrays.items()
        }
        header = _json(
            {
                "arrays": described,
                "metadata": self.metadata,
                "n_rows": self.n_rows,
                "origin_width": self.origin_width,
            }
        )
        contents = bytearray(_PREFIX.size) + header
        for name in sorted(self.arrays):
            contents += bytes(-len(contents) % _ALIGNMENT) + self.arrays[name].tobytes()
        contents += bytes(-(len(contents) + 32) % _ALIGNMENT)
        _PREFIX.pack_into(contents, 0, _MAGIC, _VERSION, len(contents) + 32, len(header))
        return bytes(contents) + hashlib.sha256(contents).digest()

    def told(self) -> dict[str, str]:
        """Put what the head tells into words, by name."""
        words = {"n_rows": str(self.n_rows), "origin_width": str(self.origin_width)}
        for name, value in self.metadata.items():
            words[f"metadata[{name!r}]"] = _json(value).decode("ascii")
        for name, array in self.arrays.items():
            checksum = hashlib.sha256(array.tobytes()).hexdigest()[:16]
            words[f"arrays[{name!r}]"] = f"{array.dtype} {array.shape} with SHA-256 {checksum}..."
        return words


def _read_head(file: FileIO, path: Path) -> tuple[_Head, int, bytes]:
    """Verify the head of a file: what it tells, its length in bytes, its SHA-256."""
    size = os.fstat(file.fileno()).st_size
    prefix = _read(file, 0, _PREFIX.size)
    _expect(
        prefix[:8] == _MAGIC, path, "a packed file of bidual", f"one that begins {prefix[:8]!r}"
    )
    _expect(len(prefix) == _PREFIX.size, path, "a head", f"{size} bytes")
    _, version, nbytes, json_bytes = _PREFIX.unpack(prefix)
    _expect(version == _VERSION, path, f"format {_VERSION}", f"{version}")
    _expect(
        _PREFIX.size + json_bytes + 32 <= nbytes <= size,
        path,
        f"a head within the {size} bytes of the file",
        f"one of {nbytes} bytes with {json_bytes} of JSON",
    )
    digest = hashlib.sha256()
    _hash(digest, file, 0, nbytes - 32)
    checksum = _read(file, nbytes - 32, 32)
    _expect(digest.digest() == checksum, path, "an intact head", "an altered one")
    header = _read_json(file, _PREFIX.size, json_bytes, path)
    fields = {"arrays", "metadata", "n_rows", "origin_width"}
    known = isinstance(header, dict) and header.keys() == fields
    _expect(known, path, f"a header with {sorted(fields)}", reprlib.repr(header))
    for name, least, most in (("n_rows", 1, _MOST_ROWS), ("origin_width", 0, _MOST_ORIGINS)):
        value = header[name]
        whole = type(value) is int and least <= value <= most
        _expect(whole, path, f"{name} from {least} to {most}", reprlib.repr(value))
    for name in ("arrays", "metadata"):
        value = header[name]
        _expect(isinstance(value, dict), path, f"{name} by name", reprlib.repr(value))

    arrays = {}
    mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
    end = _PREFIX.size + json_bytes
    for name, described in sorted(header["arrays"].items()):
        try:
            arrays[name], end = _map_array(mapped[: nbytes - 32], end, described)
        except (KeyError, TypeError, ValueError, OverflowError):
            _expect(False, path, f"an array {name!r} within the head", reprlib.repr(described))
    padded = end + -(end + 32) % _ALIGNMENT + 32
    _expect(padded == nbytes, path, f"a head of {padded} bytes", f"{nbytes}")
    head = _Head(header["n_rows"], header["origin_width"], header["metadata"], arrays)
    return head, nbytes, checksum


def _map_array(
    within: NDArray[np.uint8], start: int, described: dict[str, Any]
) -> tuple[NDArray[Any], int]:
    """View an array that begins at the next multiple of 64 bytes; tell where it ends."""
    dtype, shape = described["dtype"], tuple(described["shape"])
    if dtype not in _ARRAY_DTYPES:
        raise ValueError
    start += -start % _ALIGNMENT
    end = start + math.prod(shape) * np.dtype(dtype).itemsize
    array = within[start:end].view(dtype).reshape(shape)
    if _json(described) != _json({"dtype": dtype, "shape": array.shape}):  # [true] is no shape
        raise ValueError
    return array, end


def _n_words(n_rows: int) -> int:
    """Words of a column: rows are padded to 512."""
    return -(-n_rows // 512) * 8


def _refuse_big_endian() -> None:
    if sys.byteorder != "little":
        raise RuntimeError("packed files: expected a little-endian machine, got a big-endian one")


def _expect(fine: bool, path: Path, expected: str, got: str) -> None:
    """Raise ValueError unless a file is as expected."""
    if not fine:
        raise ValueError(f"{os.fspath(path)}: expected {expected}, got {got}")


def _checked_head(
    n_rows: int, origin_width: int, metadata: Mapping[str, Any], arrays: Mapping[str, ArrayLike]
) -> _Head:
    """Turn the arguments of a writer into a head."""
    for name, value, least, most in (
        ("n_rows", n_rows, 1, _MOST_ROWS),
        ("origin_width", origin_width, 0, _MOST_ORIGINS),
    ):
        if not least <= value <= most or value != int(value):
            raise ValueError(f"{name}: expected {least} to {most}, got {value!r}")
    little = {}
    for name, given in arrays.items():
        array = np.asarray(given)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if not isinstance(name, str) or array.dtype.str not in _ARRAY_DTYPES:
            raise ValueError(
                f"arrays: expected integers or floats of at most 64 bits by name, "
                f"got {name!r} with {array.dtype}"
            )
        little[name] = array
    return _Head(int(n_rows), int(origin_width), _checked_object("metadata", metadata), little)


def _checked_object(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a file will give back for a JSON object."""
    try:
        text = _json(dict(value))
        parsed: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: expected a JSON object, got {reprlib.repr(value)}") from error
    if len(text) > _MOST_JSON // 2:  # the head has more to say than the metadata
        raise ValueError(f"{name}: expected at most {_MOST_JSON // 2} bytes, got {len(text)}")
    return parsed


def _checked_words(words: NDArray[np.uint64], n_rows: int) -> NDArray[np.uint64]:
    n_words = _n_words(n_rows)
    if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != n_words:
        raise ValueError(
            f"words: expected a uint64 array of shape (p, {n_words}) for {n_rows} rows, "
            f"got {words.dtype} of shape {words.shape}"
        )
    last, used = divmod(n_rows, 64)
    if (words[:, last : last + 1] >> np.uint64(used)).any() or words[:, last + 1 :].any():
        raise ValueError(f"words: expected no bits set past row {n_rows}")
    return np.ascontiguousarray(words)


def _checked_origins(origins: ArrayLike | None, columns: int, width: int) -> bytes:
    array = np.empty((columns, 0)) if origins is None else np.asarray(origins)
    if array.shape != (columns, width):
        # an empty list has one dimension
        if array.size or columns * width:
            raise ValueError(f"origins: expected shape ({columns}, {width}), got {array.shape}")
        return b""
    whole = array.astype("<i8")
    if array.size and (array.dtype.kind not in "iu" or not np.array_equal(whole, array)):
        raise ValueError(f"origins: expected integers of 64 bits, got {array.dtype}")
    return whole.tobytes()


def _json(value: Any) -> bytes:
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def _read_json(file: FileIO, start: int, length: int, path: Path) -> Any:
    _expect(length <= _MOST_JSON, path, f"JSON of at most {_MOST_JSON} bytes", f"{length}")
    text = _read(file, start, length)
    try:
        return json.loads(text.decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{os.fspath(path)}: expected JSON, got {reprlib.repr(text)}") from error


def _refuse_constant(name: str) -> None:
    raise ValueError(f"{name} is no JSON")


def _read(file: FileIO, start: int, length: int) -> bytes:
    """Read ``length`` bytes, fewer where the file ends."""
    file.seek(start)
    return file.read(length)


def _hash(digest: Any, file: FileIO, start: int, length: int) -> None:
    """Feed ``length`` bytes of a file to a digest, fewer where the file ends."""
    file.seek(start)
    buffer = memoryview(bytearray(min(length, _BUFFER_BYTES)))
    while length and (count := file.readinto(buffer[:length])):
        digest.update(buffer[:count])
        length -= count


def _write(descriptor: int, start: int, parts: Iterable[Any]) -> None:
    """Cut a file to ``start`` bytes, append the parts and force all of it to the disk."""
    os.ftruncate(descriptor, start)
    os.lseek(descriptor, start, os.SEEK_SET)
    for part in parts:
        left = memoryview(part)
        while len(left):
            left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _sync_folder(path: str) -> None:
    """Force the names in the folder of a file to the disk."""
    if sys.platform == "win32":  # it opens no folders
        return
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(chain: bytes, body: bytes) -> bytes:
    """Checksum of a line of the journal: it covers the lines before it too."""
    return hashlib.sha256(chain + body).hexdigest().encode("ascii")


def _journal_entries(path: str, chain: bytes) -> Iterator[tuple[dict[str, Any], int, bytes]]:
    """Entry, length in bytes and checksum of each line, up to the first that does not fit."""
    with open(path, "rb") as journal:
        for line in journal:
            body = line[65:-1]
            chain = _link(chain, body)
            if line != chain + b" " + body + b"\n":
                return
            yield json.loads(body), len(line), chain


def _open_locked(journal: str) -> int:
    """Open the journal for one writer alone; the lock ends with it and processes it forked."""
    while True:
        descriptor = os.open(journal, _OPEN_FLAGS, 0o666)
        if sys.platform == "win32":
            return descriptor
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # the writer before may have removed it between our two steps
            if os.path.exists(journal) and os.path.samestat(os.fstat(descriptor), os.stat(journal)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise BlockingIOError(
                f"{journal}: expected to be the only writer, got a lock that another one holds"
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
