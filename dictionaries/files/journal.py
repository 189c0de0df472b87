"""Journal of a resumable build: the lock of its writer and a line per chunk on the disk.

``packed_file.py`` defines its format. A file at its path that is not a journal keeps its bytes:
it is refused.
"""

import base64
import hashlib
import json
import os
import re
import stat
import sys
from collections.abc import Iterable, Iterator
from typing import Any

from ...kernels.text import printable
from .packed_head import to_json
from .replacing import BINARY, create, is_open_file

_MARK = b"bidual journal 1 "
_FIRST_BYTES = len(_MARK) + 64 + 1
_FIELDS = {"columns", "origins", "sha256", "state"}


class Journal:
    """Journal at a path, open and locked; ``close`` releases it.

    Parameters
    ----------
    path : str
    head_checksum : bytes
        SHA-256 of the build's head.
    target : str
        Path of the finished file, whose permissions the journal takes.

    Attributes
    ----------
    new : bool
        Whether there was no journal before.
    begins : bytes or None
        Checksum of the head that an earlier journal names.

    Raises
    ------
    ValueError
        If another file is at the path.
    BlockingIOError
        If another writer of any process holds the lock.
    """

    def __init__(self, path: str, head_checksum: bytes, target: str) -> None:
        self.path = path
        self._head = head_checksum
        self._descriptor, self.new = _open_locked(path, target)
        try:
            self._lines_at, self.begins = self._found()
            self._rewind()
            if self.new:
                self.restart()
        except BaseException:
            self.close(remove=self.new)
            raise

    def _found(self) -> tuple[int, bytes | None]:
        """Return where lines begin, and the head that the journal names; refuse another file."""
        start = self._read(_FIRST_BYTES)
        if re.fullmatch(re.escape(_MARK) + rb"[0-9a-f]{64}\n", start):
            return _FIRST_BYTES, bytes.fromhex(start[len(_MARK) : -1].decode("ascii"))
        # a kill may cut the first line short, and a power cut may leave zeros
        begun = start.rstrip(b"\0")
        torn = begun[: len(_MARK)] == _MARK[: len(begun)]
        if torn and os.fstat(self._descriptor).st_size <= _FIRST_BYTES:
            return _FIRST_BYTES, None
        if next(self._entries(0), None) is not None:
            return 0, self._head  # a journal of bidual 0.1.0
        raise ValueError(
            f"{printable(self.path)}: expected the journal of a build or no file, got another "
            "file; choose another path for the build, or delete that file"
        )

    @property
    def has_lines(self) -> bool:
        """Whether a chunk was noted."""
        return os.fstat(self._descriptor).st_size > self._lines_at

    def restart(self) -> None:
        """Make it the journal of this build, without a line."""
        self._lines_at, self.begins = _FIRST_BYTES, self._head
        write_synced(self._descriptor, 0, [_MARK + self._head.hex().encode("ascii") + b"\n"])
        self._rewind()

    def _rewind(self) -> None:
        self._end, self._chain = self._lines_at, self._head

    def entries(self, width: int) -> Iterator[tuple[int, bytes, bytes, Any]]:
        """Yield columns, origins (``width`` bytes each), SHA-256 and state of each intact entry.

        The next entry appended follows those that the caller took and went on from.
        """
        self._rewind()
        for entry, length, chain in self._entries(self._lines_at):
            columns, sha256 = entry["columns"], entry["sha256"]
            try:
                origins = base64.b64decode(entry["origins"], validate=True)
                found = columns, origins, bytes.fromhex(sha256), entry["state"]
            except (TypeError, ValueError):
                return
            whole = type(columns) is int and columns >= 0 and len(origins) == columns * width
            if not (whole and len(found[2]) == 32 and isinstance(found[3], dict | None)):
                return
            yield found
            self._end += length
            self._chain = chain

    def append(self, columns: int, origins: bytes, sha256: bytes, state: Any) -> None:
        """Write an entry and sync it."""
        entry = {
            "columns": columns,
            "origins": base64.b64encode(origins).decode("ascii"),
            "sha256": sha256.hex(),
            "state": state,
        }
        body = to_json(entry)
        link = _link(self._chain, body)
        line = link + b" " + body + b"\n"
        write_synced(self._descriptor, self._end, [line])
        self._end += len(line)
        self._chain = link

    def origins(self) -> Iterator[bytes]:
        """Yield the origins of each entry; the memory holds one entry."""
        chain, end = self._head, self._lines_at
        for entry, length, link in self._entries(self._lines_at):
            if end >= self._end:
                break
            yield base64.b64decode(entry["origins"])
            chain, end = link, end + length
        if chain != self._chain:
            raise OSError(
                f"{printable(self.path)}: expected the lines that this writer wrote, got an "
                "altered journal; delete it and start the build again"
            )

    def close(self, remove: bool) -> None:
        """Release the lock, and delete the journal if ``remove``; do nothing if it is closed."""
        if self._descriptor < 0:
            return
        remove = remove and is_open_file(self.path, self._descriptor)
        if remove and sys.platform != "win32":
            os.unlink(self.path)  # before the close, because the lock ends with the descriptor
        os.close(self._descriptor)
        if remove and sys.platform == "win32":
            os.unlink(self.path)  # after the close: Windows does not remove open files
        self._descriptor = -1

    def _read(self, length: int) -> bytes:
        os.lseek(self._descriptor, 0, os.SEEK_SET)
        return os.read(self._descriptor, length)

    def _entries(self, start: int) -> Iterator[tuple[dict[str, Any], int, bytes]]:
        """Yield entry, length in bytes and checksum of each line before the first mismatch."""
        chain = self._head
        with open(self._descriptor, "rb", closefd=False) as journal:
            journal.seek(start)
            for line in journal:
                body = line[65:-1]
                chain = _link(chain, body)
                if line != chain + b" " + body + b"\n":
                    return
                try:
                    entry = json.loads(body)
                except (ValueError, RecursionError):
                    return
                if not isinstance(entry, dict) or entry.keys() != _FIELDS:
                    return
                yield entry, len(line), chain


def write_synced(descriptor: int, start: int, parts: Iterable[Any]) -> None:
    """Truncate a file to ``start`` bytes, append the parts and sync it to the disk."""
    os.ftruncate(descriptor, start)
    os.lseek(descriptor, start, os.SEEK_SET)
    for part in parts:
        left = memoryview(part)
        while len(left):
            left = left[os.write(descriptor, left) :]
    os.fsync(descriptor)


def is_begun(path: str) -> bool:
    """Tell whether a path has the journal of a build with a chunk.

    Raises
    ------
    BlockingIOError
        If a writer works on it.
    """
    try:
        descriptor = open_earlier(path)
        if descriptor is None:
            return False
    except (OSError, ValueError):  # not the journal of a build
        return False
    with open(descriptor, "rb", buffering=0) as journal:
        if journal.read(len(_MARK)) != _MARK:
            return False
        return _locked(descriptor, path) and os.fstat(descriptor).st_size > _FIRST_BYTES


def open_earlier(path: str) -> int | None:
    """Open a file of an earlier build to read and write; return None if there is none.

    Raises
    ------
    ValueError
        If the path is a link, a folder or a device, or the file has another name too: writing
        into it would change what is not the build's.
    """
    try:
        _refuse_shared(path, os.lstat(path))  # before the open, which may act on a device
        flags = os.O_RDWR | BINARY | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
        descriptor = os.open(path, flags)
    except FileNotFoundError:
        return None
    try:
        _refuse_shared(path, os.fstat(descriptor))
    except ValueError:
        os.close(descriptor)
        raise
    return descriptor


def _refuse_shared(path: str, found: os.stat_result) -> None:
    if not stat.S_ISREG(found.st_mode) or found.st_nlink > 1:
        what = "a file of several names" if stat.S_ISREG(found.st_mode) else "a link or a folder"
        raise ValueError(
            f"{printable(path)}: expected a file of an earlier build or none, got {what}; choose "
            "another path for the build, or remove it"
        )


def _link(chain: bytes, body: bytes) -> bytes:
    """Return the checksum of a line of the journal, which also covers the lines before it."""
    return hashlib.sha256(chain + body).hexdigest().encode("ascii")


def _open_locked(path: str, target: str) -> tuple[int, bool]:
    """Open and lock the journal; tell whether it is new.

    The lock lasts until this writer and its forks have closed it.
    """
    while True:
        descriptor, new = open_earlier(path), False
        if descriptor is None:
            try:
                descriptor, new = create(path, target), True
            except FileExistsError:  # another writer was first
                continue
        try:
            if _locked(descriptor, path):
                return descriptor, new
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)


def _locked(descriptor: int, path: str) -> bool:
    """Lock a journal; return False if the file has lost its name, because its writer finished."""
    if sys.platform == "win32":
        return True
    import fcntl

    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return is_open_file(path, descriptor)
    except BlockingIOError:
        raise BlockingIOError(
            f"{printable(path)}: expected to be the only writer, but another writer holds the "
            "lock; wait until it ends"
        ) from None
