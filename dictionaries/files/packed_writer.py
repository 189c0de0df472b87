"""Writer of packed files, chunk by chunk; ``packed_file.py`` defines the format."""

import hashlib
import itertools
import os
from collections.abc import Mapping
from io import FileIO
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...kernels.text import printable
from ..validation import any_array, file_path
from .journal import Journal, is_begun, open_earlier, write_synced
from .packed_file import read_packed
from .packed_head import (
    COUNTS,
    Head,
    Path,
    checked_head,
    checked_object,
    hash_bytes,
    past_end,
    read_bytes,
    read_head,
    refuse_big_endian,
    to_json,
    words_for,
)
from .replacing import check_target, create, is_open_file, replacing, sync_folder, take_permissions

_CHUNK_BYTES = 2**25  # size of a chunk when a matrix in memory is written


class PackedWriter:
    """Writer of a packed file, chunk by chunk; a context manager.

    A writer may be killed at any moment. Started again with the same arguments, it
    continues after the last chunk that is synced to the disk, and the finished file has
    the same bytes as without the kill. :meth:`finish` makes PATH appear atomically.
    Until then, or if the block ends without it, PATH.partial and PATH.journal stay
    beside it, unless no chunk is done. If the finished file is there, the writer has nothing
    left to do. The memory holds one chunk.

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

    Raises
    ------
    ValueError
        If an argument is out of its range, or if the existing build is another one (the
        message lists the differences) or damaged. If PATH.partial or PATH.journal is a file of
        another kind, a link or a file of several names: it keeps its bytes.
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
    ) -> None:
        refuse_big_endian()
        self._head = checked_head(n_rows, origin_width, metadata, arrays or {})
        self._packed_head = self._head.packed()
        self._path = file_path(path)
        self._partial = self._path + ".partial"
        self._column_bytes = 8 * words_for(self._head.n_rows)
        self._finished = self._created = False
        self._chunks: list[tuple[int, bytes]] = []  # columns and SHA-256 of each
        self._n_columns = 0
        self._state: dict[str, Any] | None = None
        self._data_end = len(self._packed_head)
        self._data: FileIO | None = None
        check_target(self._path)
        journal = self._path + ".journal"
        if os.path.lexists(self._partial) and not os.path.lexists(journal):
            raise ValueError(
                f"{printable(self._partial)}: expected the journal of this build beside it, got "
                "none; choose another path for the build, or delete that file"
            )
        self._journal = Journal(journal, self._packed_head[-32:], self._path)
        try:
            self._start()
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
        file: Any = self._path if self._data is None else self._data
        mapped = np.memmap(file, "<u8", "r", offset=len(self._packed_head), shape=shape)
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
        data = self._open_data()
        chunk = _checked_words(words, self._head.n_rows).reshape(-1).view(np.uint8)
        tied = _checked_origins(origins, len(words), self._head.origin_width)
        noted = None if state is None else checked_object("state", state)
        digest = hashlib.sha256(chunk.data)
        digest.update(tied)
        write_synced(data.fileno(), self._data_end, [chunk])
        self._journal.append(len(words), tied, digest.digest(), noted)
        self._count(len(words), digest.digest(), noted)

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
        descriptor = self._open_data().fileno()
        ending = _ending(self._packed_head[-32:], self._chunks, self._state)
        take_permissions(descriptor, self._path)
        write_synced(descriptor, self._data_end, itertools.chain(self._journal.origins(), [ending]))
        if not is_open_file(self._partial, descriptor):
            raise OSError(
                f"{printable(self._partial)}: expected the file that this writer wrote, got "
                "another one or none; move it away and start the build again"
            )
        self._close_data()
        os.replace(self._partial, self._path)
        sync_folder(self._path)
        self._finished = True
        self._journal.close(remove=True)

    def discard(self) -> None:
        """Delete the partial build; a finished file stays."""
        if self._data is not None:
            self._remove_partial()
        self._journal.close(remove=True)

    def close(self) -> None:
        """Release the path; the partial build stays if it has a chunk."""
        if self._created and not self._chunks and self._data is not None:
            self.discard()
        self._close_data()
        self._journal.close(remove=self._finished or (self._journal.new and not self._created))

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def _start(self) -> None:
        """Inspect the files at the path, and resume their build or start one."""
        if self._open_partial():
            self._recover()
            return
        if os.path.exists(self._path):
            self._take_finished()
        if self._data is not None:
            self._remove_partial()  # it has no chunk
        if self._finished:
            return
        self._journal.restart()
        sync_folder(self._path)  # a partial build is never without its journal
        self._data = FileIO(create(self._partial, self._path), "r+b")
        self._created = True
        write_synced(self._data.fileno(), 0, [self._packed_head])
        sync_folder(self._path)

    def _open_partial(self) -> bool:
        """Open the partial build if there is one, and tell whether it has a chunk of this build.

        Raise ValueError if it is another build with a chunk, or no build.
        """
        descriptor = open_earlier(self._partial)
        if descriptor is None:
            return False
        self._data = FileIO(descriptor, "r+b")
        journal, own = self._journal, self._packed_head[-32:]
        found = read_bytes(self._data, 0, len(self._packed_head))
        if found == self._packed_head and journal.begins in (own, None):
            return journal.has_lines
        if not journal.has_lines and journal.begins == own:
            # a kill may cut the head short, and a power cut may leave zeros
            size = os.fstat(descriptor).st_size
            if size <= len(found) and self._packed_head.startswith(found.rstrip(b"\0")):
                return False
        there, _, checksum = read_head(self._data, self._partial)
        if journal.has_lines or checksum != journal.begins:
            self._refuse_another(self._partial, there)
        return False

    def _take_finished(self) -> None:
        """Take over the finished file; raise ValueError if it is another build."""
        with open(self._path, "rb", buffering=0) as file:
            if read_bytes(file, 0, len(self._packed_head)) != self._packed_head:
                self._refuse_another(self._path, read_head(file, self._path)[0])
            found = read_packed(file, self._path)
        self._chunks = [(columns, b"") for columns in found.chunks.tolist()]
        self._n_columns, self._state = len(found.words), found.state
        self._finished = True

    def _refuse_another(self, path: str, there: Head) -> None:
        differences = there.differences(self._head) or ["its journal is another build's"]
        raise ValueError(
            f"{printable(path)}: expected the same build, got another one: "
            f"{'; '.join(differences)}; choose another path, or delete the file"
        )

    def _recover(self) -> None:
        """Count the intact chunks of a partial build; later chunks overwrite the rest."""
        data = self._open_data()
        for columns, origins, sha256, state in self._journal.entries(8 * self._head.origin_width):
            digest = hashlib.sha256()
            hash_bytes(digest, data, self._data_end, columns * self._column_bytes)
            digest.update(origins)
            if digest.digest() != sha256:
                break
            self._count(columns, sha256, state)

    def _count(self, columns: int, sha256: bytes, state: dict[str, Any] | None) -> None:
        """Count a chunk on the disk as done."""
        self._chunks.append((columns, sha256))
        self._n_columns += columns
        self._data_end += columns * self._column_bytes
        self._state = state

    def _open_data(self) -> FileIO:
        if self._data is None:
            raise ValueError(
                f"writer: expected an open writer of {printable(self._path)}, got a finished or "
                "closed one; make a new one"
            )
        return self._data

    def _close_data(self) -> None:
        if self._data is not None:
            self._data.close()
            self._data = None

    def _remove_partial(self) -> None:
        own = self._data is not None and is_open_file(self._partial, self._data.fileno())
        self._close_data()
        if own:
            os.unlink(self._partial)
        sync_folder(self._path)  # before the journal changes or goes


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
    _refuse_unfinished(file_path(path))
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


def _refuse_unfinished(path: str) -> None:
    """Raise ValueError if ``path`` has a partial build, BlockingIOError if it has a writer."""
    partial, journal = path + ".partial", path + ".journal"
    if is_begun(journal) and os.path.exists(partial):
        raise ValueError(
            f"{printable(path)}: expected no unfinished build there, got {printable(partial)}; "
            "delete that file, or choose another path"
        )


def _checked_words(words: NDArray[np.uint64], n_rows: int) -> NDArray[np.uint64]:
    n_words = words_for(n_rows)
    if words.dtype != np.uint64 or words.ndim != 2 or words.shape[1] != n_words:
        raise ValueError(
            f"words: expected a uint64 array of shape (p, {n_words}) for {n_rows} rows, "
            f"got {words.dtype} of shape {words.shape}"
        )
    if past_end(words, n_rows):
        raise ValueError(f"words: expected no bits set past row {n_rows}")
    return np.ascontiguousarray(words)


def _checked_origins(origins: ArrayLike | None, columns: int, width: int) -> bytes:
    array = np.empty((columns, 0)) if origins is None else any_array("origins", origins)
    if array.shape != (columns, width):
        # an empty list has one dimension
        if array.size or columns * width:
            raise ValueError(f"origins: expected shape ({columns}, {width}), got {array.shape}")
        return b""
    whole = array.astype("<i8")
    if array.size and (array.dtype.kind not in "iu" or not np.array_equal(whole, array)):
        raise ValueError(f"origins: expected integers of 64 bits, got {array.dtype}")
    return whole.tobytes()
