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

import hashlib
import os
import reprlib
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .packed_head import (
    COUNTS,
    ENTRY,
    FOOTER_BYTES,
    Path,
    expect,
    hash_bytes,
    read_bytes,
    read_head,
    read_json,
    refuse_big_endian,
    words_for,
)


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
    refuse_big_endian()
    with open(path, "rb", buffering=0) as file:
        head, head_bytes, head_checksum = read_head(file, path)
        size = os.fstat(file.fileno()).st_size
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
        expect(size == whole, path, f"the {whole} bytes that its footer tells of", f"{size}")

        digest = hashlib.sha256(head_checksum)
        hash_bytes(digest, file, table_start, size - FOOTER_BYTES - table_start)
        expect(digest.digest() == index, path, "an intact table of chunks", "an altered one")
        state = read_json(file, state_start, state_bytes, path)
        expect(state is None or isinstance(state, dict), path, "a state", reprlib.repr(state))

        # views of one map of the file: neither size nor count can make them take memory
        mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
        table = mapped[table_start:state_start].view(ENTRY)
        first = 0
        for number, (columns, expected) in enumerate(table):
            last = first + int(columns)
            digest = hashlib.sha256()
            hash_bytes(
                digest, file, head_bytes + first * column_bytes, (last - first) * column_bytes
            )
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
    return PackedFile(
        head.n_rows,
        mapped[head_bytes:origins_start].view("<u8").reshape(n_columns, column_bytes // 8),
        mapped[origins_start:table_start].view("<i8").reshape(n_columns, head.origin_width),
        head.metadata,
        head.arrays,
        table["columns"].astype(np.int64),
        state,
    )
