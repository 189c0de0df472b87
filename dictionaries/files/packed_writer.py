"""Writer of packed files, chunk by chunk; ``packed_file.py`` defines the format."""

import base64
import hashlib
import itertools
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .packed_file import open_packed
from .packed_head import (
    COUNTS,
    MAGIC,
    Path,
    checked_head,
    checked_object,
    hash_bytes,
    read_bytes,
    read_head,
    refuse_big_endian,
    to_json,
    words_for,
)
from .replacing import replacing

_OPEN_FLAGS = os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0)
_CHUNK_BYTES = 2**25  # size of a chunk when a matrix in memory is written


class PackedWriter:
    """Writer of a packed file, chunk by chunk; a context manager.

    A writer may be killed at any moment. Started again with the same arguments, it
    continues after the last chunk that is synced to the disk, and the finished file has
    the same bytes as without the kill. :meth:`finish` makes PATH appear atomically.
    Until then, or if the block ends without it, PATH.partial and PATH.journal stay
    beside it. The memory holds one chunk.

    Parameters
    ----------
    path : path
        Path of the finished file.
    n_rows : int
        Number n of rows of the matrix, 1 to 2**40.
    metadata : mapping
        JSON object that describes the build: everything that the chunks depend on,
        including their size and order. A writer resumes a partial build only if its
        metadata are equal.
    origin_width : int
        Number k of integers per column.
    arrays : mapping of arrays, optional
        Named arrays of integers or floats to store in the file, for example weights.
    resume : bool
        Whether to resume an existing build. If it is finished, the writer has nothing
        left to do. If False, the writer deletes a partial build, and :meth:`finish`
        replaces a file at the path.

    Raises
    ------
    ValueError
        If an argument is out of its range; with ``resume``, if the existing build is
        another one (the message lists the differences) or damaged.
    BlockingIOError
        If another writer of any process works on the path.
    FileNotFoundError
        If the folder does not exist.
    RuntimeError
        On a big-endian machine.

    Examples
    --------
    >>> import os, tempfile
    >>> import numpy as np
    >>> from bidual.dictionaries.files.packed_file import open_packed
    >>> from bidual.dictionaries.files.packed_writer import PackedWriter
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
        refuse_big_endian()
        self._head = checked_head(n_rows, origin_width, metadata, arrays or {})
        self._packed_head = self._head.packed()
        self._path = os.fspath(path)
        self._partial = self._path + ".partial"
        self._journal = self._path + ".journal"
        self._column_bytes = 8 * words_for(self._head.n_rows)
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
        """Number of chunks that are synced to the disk."""
        return len(self._chunks)

    @property
    def n_columns(self) -> int:
        """Number of columns in these chunks."""
        return self._n_columns

    @property
    def state(self) -> dict[str, Any] | None:
        """State given with the last of these chunks."""
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
        """Write a chunk of columns and sync it to the disk, so that it survives a power cut.

        Parameters
        ----------
        words : (p, n_words) uint64 array
            The columns; p = 0 is allowed.
        origins : (p, k) int array
            May be left out if k = 0.
        state : mapping, optional
            JSON object that a resuming writer returns as :attr:`state`.

        Raises
        ------
        ValueError
            If an array has another shape or dtype, words have bits past row n, or the
            writer is finished or closed.
        OSError
            If the disk fails or is full. The earlier chunks stay; the caller may append
            this chunk again.
        """
        self._check_open()
        chunk = _checked_words(words, self._head.n_rows).reshape(-1).view(np.uint8)
        tied = _checked_origins(origins, len(words), self._head.origin_width)
        noted = None if state is None else checked_object("state", state)
        digest = hashlib.sha256(chunk.data)
        digest.update(tied)
        entry = {
            "columns": len(words),
            "origins": base64.b64encode(tied).decode("ascii"),
            "sha256": digest.hexdigest(),
            "state": noted,
        }
        body = to_json(entry)
        link = _link(self._chain, body)
        line = link + b" " + body + b"\n"
        _write(self._data_file, self._data_end, [chunk])
        _write(self._journal_file, self._journal_end, [line])
        self._count(entry, len(line), link)

    def finish(self) -> None:
        """Complete the file and move it to its path; do nothing if it is finished already.

        Raises
        ------
        ValueError
            If the writer is closed.
        OSError
            If the disk fails or is full. The partial build stays.
        """
        if self._finished:
            return
        self._check_open()
        ending = _ending(self._packed_head[-32:], self._chunks, self._state)
        _write(self._data_file, self._data_end, itertools.chain(self._origins(), [ending]))
        self._close_data()
        os.replace(self._partial, self._path)
        _sync_folder(self._path)
        self._finished = True
        self._close_journal(remove=True)

    def discard(self) -> None:
        """Delete the partial build; a finished file stays."""
        self._close_data()
        if os.path.exists(self._partial):
            os.unlink(self._partial)
        self._close_journal(remove=True)

    def close(self) -> None:
        """Release the path; unless :meth:`finish` was called before, the partial build stays."""
        self._close_data()
        # if the constructor failed before the build began: leave no files behind
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
        """Inspect the files at the path, and resume their build or start one."""
        begun = _has_begun(self._partial, self._journal)
        if resume and begun:
            self._refuse_another(self._partial)
        elif resume and os.path.exists(self._path):
            self._refuse_another(self._path)
            found = open_packed(self._path)
            self._chunks = [(columns, b"") for columns in found.chunks.tolist()]
            self._n_columns, self._state = len(found.words), found.state
            self._finished = True
            if os.path.exists(self._partial):
                os.unlink(self._partial)  # it has no chunk
            return
        self._data_file = os.open(self._partial, _OPEN_FLAGS, 0o666)
        if resume and begun:
            self._recover()
        else:
            _write(self._journal_file, 0, [])
            _write(self._data_file, 0, [self._packed_head])
        _sync_folder(self._path)

    def _refuse_another(self, path: str) -> None:
        """Raise ValueError unless the file at ``path`` has the head of this build."""
        with open(path, "rb", buffering=0) as file:
            if read_bytes(file, 0, len(self._packed_head)) == self._packed_head:
                return
            differences = read_head(file, path)[0].differences(self._head)
        raise ValueError(
            f"{path}: expected the same build, got another one: {'; '.join(differences)}; "
            "choose another path, or delete the file"
        )

    def _recover(self) -> None:
        """Count the intact chunks of a partial build; later chunks overwrite the rest."""
        with open(self._partial, "rb", buffering=0) as data:
            for entry, length, link in _journal_entries(self._journal, self._chain):
                digest = hashlib.sha256()
                hash_bytes(digest, data, self._data_end, entry["columns"] * self._column_bytes)
                digest.update(base64.b64decode(entry["origins"]))
                if digest.hexdigest() != entry["sha256"]:
                    break
                self._count(entry, length, link)

    def _count(self, entry: dict[str, Any], line_bytes: int, link: bytes) -> None:
        """Count a chunk on the disk as done."""
        self._chunks.append((entry["columns"], bytes.fromhex(entry["sha256"])))
        self._n_columns += entry["columns"]
        self._data_end += entry["columns"] * self._column_bytes
        self._journal_end += line_bytes
        self._chain = link
        self._state = entry["state"]

    def _origins(self) -> Iterator[bytes]:
        """Yield the origins of each chunk from the journal; the memory holds one chunk."""
        chain = self._packed_head[-32:]
        entries = _journal_entries(self._journal, chain)
        for entry, _, link in itertools.islice(entries, len(self._chunks)):
            yield base64.b64decode(entry["origins"])
            chain = link
        if chain != self._chain:
            raise OSError(
                f"{self._journal}: expected the lines that this writer wrote, got an altered "
                "journal; delete it and start the build again"
            )

    def _check_open(self) -> None:
        if self._finished or self._data_file < 0:
            raise ValueError(
                f"writer: expected an open writer of {self._path}, got a finished or closed one; "
                "make a new one"
            )

    def _close_data(self) -> None:
        if self._data_file >= 0:
            os.close(self._data_file)
            self._data_file = -1

    def _close_journal(self, remove: bool) -> None:
        if self._journal_file < 0:
            return
        if remove and sys.platform != "win32":
            os.unlink(self._journal)  # before the close, because the lock ends with the descriptor
        os.close(self._journal_file)
        if remove and sys.platform == "win32":
            os.unlink(self._journal)  # after the close: Windows does not remove open files
        self._journal_file = -1


def write_packed(
    path: Path,
    words: NDArray[np.uint64],
    n_rows: int,
    metadata: Mapping[str, Any],
    origins: NDArray[np.int64] | None = None,
    arrays: Mapping[str, ArrayLike] | None = None,
) -> None:
    """Write packed columns (P, n_words) to a file; replace an existing finished file.

    Raises
    ------
    ValueError
        If the path has an unfinished build; it stays.
    BlockingIOError
        If another writer of any process works on the path.
    OSError
        If the file can't be written; an existing file stays.
    """
    refuse_big_endian()
    _refuse_unfinished(os.fspath(path))
    if origins is None:
        origins = np.empty((len(words), 0), dtype=np.int64)
    head = checked_head(n_rows, origins.shape[1], metadata, arrays or {})
    packed_head = head.packed()
    together = max(1, _CHUNK_BYTES // (8 * words.shape[1]))
    parts = [slice(start, start + together) for start in range(0, len(words), together)]
    chunks = []
    with replacing(path) as file:
        file.write(packed_head)
        for part in parts:
            chunk = _checked_words(words[part], head.n_rows).reshape(-1).view(np.uint8)
            digest = hashlib.sha256(chunk.data)
            digest.update(_checked_origins(origins[part], len(words[part]), head.origin_width))
            chunks.append((len(words[part]), digest.digest()))
            file.write(chunk.data)
        for part in parts:
            file.write(_checked_origins(origins[part], len(words[part]), head.origin_width))
        file.write(_ending(packed_head[-32:], chunks, None))


def _ending(head_checksum: bytes, chunks: list[tuple[int, bytes]], state: Any) -> bytes:
    """Return what follows the origins: table, state and footer."""
    table = b"".join(columns.to_bytes(8, "little") + sha256 for columns, sha256 in chunks)
    told = to_json(state)
    counts = COUNTS.pack(sum(columns for columns, _ in chunks), len(chunks), len(told))
    footer = counts + hashlib.sha256(head_checksum + table + told).digest()
    return table + told + footer + hashlib.sha256(footer).digest()


def _has_begun(partial: str, journal: str) -> bool:
    """Tell whether a partial build has a chunk: the journal's first line follows a synced head."""
    return os.path.exists(partial) and os.path.exists(journal) and os.path.getsize(journal) > 0


def _refuse_unfinished(path: str) -> None:
    """Raise ValueError if ``path`` has a partial build, BlockingIOError if it has a writer."""
    partial, journal = path + ".partial", path + ".journal"
    if not (os.path.exists(partial) and os.path.exists(journal)):
        return
    with open(partial, "rb") as file:
        if file.read(len(MAGIC)) != MAGIC:  # another's
            return
    os.close(_open_locked(journal))
    if _has_begun(partial, journal):  # an earlier writer may have finished in the meantime
        raise ValueError(
            f"{path}: expected no unfinished build there, got {partial}; "
            "delete that file, or choose another path"
        )


def _checked_words(words: NDArray[np.uint64], n_rows: int) -> NDArray[np.uint64]:
    n_words = words_for(n_rows)
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


def _write(descriptor: int, start: int, parts: Iterable[Any]) -> None:
    """Truncate a file to ``start`` bytes, append the parts and sync it to the disk."""
    os.ftruncate(descriptor, start)
    os.lseek(descriptor, start, os.SEEK_SET)
    for part in parts:
        left = memoryview(part)
        while len(left):
            left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def _sync_folder(path: str) -> None:
    """Sync the folder of a file to the disk."""
    if sys.platform == "win32":  # Windows does not open folders
        return
    descriptor = os.open(os.path.dirname(path) or ".", os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _link(chain: bytes, body: bytes) -> bytes:
    """Return the checksum of a line of the journal, which also covers the lines before it."""
    return hashlib.sha256(chain + body).hexdigest().encode("ascii")


def _journal_entries(path: str, chain: bytes) -> Iterator[tuple[dict[str, Any], int, bytes]]:
    """Yield entry, length in bytes and checksum of each line before the first mismatch."""
    with open(path, "rb") as journal:
        for line in journal:
            body = line[65:-1]
            chain = _link(chain, body)
            if line != chain + b" " + body + b"\n":
                return
            yield json.loads(body), len(line), chain


def _open_locked(journal: str) -> int:
    """Open and lock the journal; the lock lasts until this writer and its forks have closed it."""
    folder = os.path.dirname(journal) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(
            f"{journal.removesuffix('.journal')}: expected a folder {folder}, got none; create it"
        )
    while True:
        descriptor = os.open(journal, _OPEN_FLAGS, 0o666)
        if sys.platform == "win32":
            return descriptor
        import fcntl

        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            # an earlier writer may remove the journal between the open and the lock
            if os.path.exists(journal) and os.path.samestat(os.fstat(descriptor), os.stat(journal)):
                return descriptor
        except BlockingIOError:
            os.close(descriptor)
            raise BlockingIOError(
                f"{journal}: expected to be the only writer, but another writer holds the lock; "
                "wait until it ends"
            ) from None
        except OSError:
            os.close(descriptor)
            raise
        os.close(descriptor)
