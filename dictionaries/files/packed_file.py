"""Packed files: a 0/1 matrix on disk, written in chunks that survive a kill, read by mapping.

This is format 1. Integers are little-endian uint64 unless stated otherwise. SHA-256 is
32 raw bytes (with the CPU's instructions twice as fast as BLAKE2b). JSON is ASCII with
sorted keys and without spaces. A file contains, without gaps,

    head     64 h bytes:
             8 bytes "BIDUAL\\r\\n", the version 1, 64 h, the length of the JSON,
             the JSON {"arrays": {name: {"dtype", "shape"}}, "metadata": {...},
                       "n_rows": n, "origin_width": k},
             the arrays in the order of the JSON (C order, dtype as NumPy writes it),
             each beginning at a multiple of 64 bytes,
             zeros, and the SHA-256 of all these bytes, which ends the head
    words    (P, n_words) uint64, n_words = 8 ceil(n / 512): the columns,
             in the layout of ``kernels/bits.py``; their bits past row n are zero
    origins  (P, k) int64: k integers per column
    table    for each of C chunks, in order: its number of columns (0 is allowed), and
             the SHA-256 of its words followed by its origins
    state    JSON given with the last chunk, or null
    footer   P, C, the length of the state, the SHA-256 of (the head's SHA-256,
             table, state), and the SHA-256 of these 56 bytes

with 1 <= n <= 2**40, 0 <= k <= 1024 and at most 2**24 bytes in either JSON. P = 0 and
C = 0 are allowed. So a checksum covers every byte, and the length follows from the
contents. The bytes depend only on the arguments of the writer.

During a build, PATH.partial holds the head and the words. PATH.journal is there before it. It
begins with the line "bidual journal 1 " and the head's SHA-256 in hex, and has one line per
chunk. A line is a checksum, a space, and the JSON of the chunk with "columns", "origins"
(base64), "sha256" and "state". The checksum is the SHA-256, in hex, of the checksum before
it (in hex; for a chunk's first line the head's, raw) followed by this JSON. A chunk is done once
its words and then its line are synced. A writer that resumes keeps the chunks before the
first one whose line or words do not match their checksum (torn, or damaged on the disk).
It drops the rest and builds them again. Files of other contents under these names are refused.

This module does not handle deduplication, progress or the meaning of the columns. It
refuses big-endian machines. Windows has no lock against a second writer, and a
mapped file cannot be replaced.
"""

import hashlib
import os
import reprlib
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..validation import file_path
from .packed_head import (
    COUNTS,
    ENTRY,
    FOOTER_BYTES,
    Path,
    expect,
    from_json,
    hash_bytes,
    open_to_read,
    past_end,
    read_bytes,
    read_head,
    read_text,
    refuse_big_endian,
    words_for,
)


@dataclass(frozen=True)
class Source:
    """Identity of a file that was verified: its absolute path, the file itself, its checksum."""

    path: str
    status: tuple[int, ...]
    checksum: bytes

    def is_there(self) -> bool:
        """Tell whether the path still has this file, and nothing wrote into it."""
        try:
            return _status(os.stat(self.path)) == self.status
        except OSError:
            return False

    def open(self) -> "PackedFile":
        """Map the file again; verify all bytes unless it is the same file of the same machine.

        Raises
        ------
        ValueError
            If the path has another packed file, or none.
        """
        with open_to_read(self.path) as file:
            found = read_packed(file, self.path, self)
        same = found.source.checksum == self.checksum
        expect(same, self.path, "the file that was mapped before", "another one; save it again")
        return found


def _status(found: os.stat_result) -> tuple[int, ...]:
    return found.st_dev, found.st_ino, found.st_size, found.st_mtime_ns


@dataclass(frozen=True, eq=False)
class PackedFile:
    """Contents of a packed file; the arrays are read-only maps of the file, not copies.

    Attributes
    ----------
    n_rows : int
        Number n of rows of the matrix.
    words : (P, 8 * ceil(n / 512)) uint64 array
        The packed columns.
    origins : (P, k) int64 array
        k integers per column.
    metadata : dict
        Description of the build, as given to the writer.
    arrays : dict
        Named arrays given to the writer.
    chunks : (C,) int64 array
        Number of columns in each chunk; the sum is P.
    state : dict or None
        State given with the last chunk.
    source : Source
        The file.
    """

    n_rows: int
    words: NDArray[np.uint64]
    origins: NDArray[np.int64]
    metadata: dict[str, Any]
    arrays: dict[str, NDArray[Any]]
    chunks: NDArray[np.int64]
    state: dict[str, Any] | None
    source: Source


def open_packed(path: Path) -> PackedFile:
    """Verify every byte of a packed file and map it.

    The function reads the file once, through a buffer of 1 MiB. Replacing the file
    later is safe (the map keeps the old file); writing into it is not.

    Raises
    ------
    ValueError
        If the file is not a packed file, or is truncated, appended to or altered.
    OSError
        If the file can't be read.
    RuntimeError
        On a big-endian machine.
    """
    with open_to_read(path) as file:
        return read_packed(file, path)


def read_packed(file: FileIO, path: Path, known: Source | None = None) -> PackedFile:
    """Verify every byte of an open packed file and map it; ``path`` is for messages.

    The columns are not verified again if the file is the ``known`` one.
    """
    refuse_big_endian()
    head, head_bytes, head_checksum = read_head(file, path)
    status = os.fstat(file.fileno())
    size = status.st_size
    footer = read_bytes(file, size - FOOTER_BYTES, FOOTER_BYTES)
    counts, index, checksum = footer[:-64], footer[-64:-32], footer[-32:]
    intact = checksum == hashlib.sha256(counts + index).digest()
    damaged = "other bytes: truncated, appended to or altered"
    expect(intact, path, "an intact footer at the end", damaged)

    n_columns, n_chunks, state_bytes = COUNTS.unpack(counts)
    column_bytes = 8 * words_for(head.n_rows)
    origins_start = head_bytes + n_columns * column_bytes
    table_start = origins_start + n_columns * head.origin_width * 8
    state_start = table_start + n_chunks * ENTRY.itemsize
    whole = state_start + state_bytes + FOOTER_BYTES
    expect(size == whole, path, f"{whole} bytes by the file's footer", f"{size}")

    digest = hashlib.sha256(head_checksum)
    hash_bytes(digest, file, table_start, state_start - table_start)
    told = read_text(file, state_start, state_bytes, path)
    digest.update(told)
    expect(digest.digest() == index, path, "an intact table of chunks", "an altered one")
    state = from_json(told, path)
    expect(state is None or isinstance(state, dict), path, "a state", reprlib.repr(state))

    # views of one map of the file take no memory, whatever their sizes and number
    mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
    table = mapped[table_start:state_start].view(ENTRY)
    source = Source(os.path.abspath(file_path(path)), _status(status), checksum)
    first = 0
    for number, (columns, expected) in enumerate(table):
        last = first + int(columns)
        if source == known:
            first = last
            continue
        digest = hashlib.sha256()
        hash_bytes(digest, file, head_bytes + first * column_bytes, (last - first) * column_bytes)
        width = head.origin_width * 8
        hash_bytes(digest, file, origins_start + first * width, (last - first) * width)
        expect(
            digest.digest() == expected.tobytes(),
            path,
            f"chunk {number} (columns {first} to {last - 1}) with SHA-256 "
            f"{expected.tobytes().hex()[:16]}...",
            f"{digest.hexdigest()[:16]}...: its words or origins are altered",
        )
        first = last
    expect(first == n_columns, path, f"{n_columns} columns", f"{first} in chunks")
    words = mapped[head_bytes:origins_start].view("<u8").reshape(n_columns, column_bytes // 8)
    expect(not past_end(words, head.n_rows), path, f"no bits past row {head.n_rows}", "some")
    return PackedFile(
        head.n_rows,
        words,
        mapped[origins_start:table_start].view("<i8").reshape(n_columns, head.origin_width),
        head.metadata,
        head.arrays,
        table["columns"].astype(np.int64),
        state,
        source,
    )
