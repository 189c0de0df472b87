"""Head of a packed file: rows, metadata and arrays; ``packed_file.py`` defines the format."""

import errno
import hashlib
import itertools
import json
import math
import os
import reprlib
import stat
import struct
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import FileIO
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ...kernels.text import printable
from ..validation import any_array, file_path

MAGIC = b"BIDUAL\r\n"  # a transfer in text mode changes it, which the reader detects
_VERSION = 1
_PREFIX = struct.Struct("<8s3Q")  # magic, version, bytes of the head, bytes of its JSON
COUNTS = struct.Struct("<3Q")  # columns, chunks, bytes of the state
ENTRY = np.dtype([("columns", "<u8"), ("sha256", "V32")])
FOOTER_BYTES = COUNTS.size + 2 * 32
ALIGNMENT = 64  # one AVX-512 register, one cache line
_ARRAY_DTYPES = {np.dtype(code).newbyteorder("<").str for code in "bBhHiIqQefd"}
_MOST_ROWS = 2**40
_MOST_ORIGINS = 1024
_MOST_JSON = 2**24
_BUFFER_BYTES = 2**20

Path = str | os.PathLike[str]


@dataclass(frozen=True, eq=False)
class Head:
    """Contents of the head of a file."""

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
        header = to_json(
            {
                "arrays": described,
                "metadata": self.metadata,
                "n_rows": self.n_rows,
                "origin_width": self.origin_width,
            }
        )
        contents = bytearray(_PREFIX.size) + header
        for name in sorted(self.arrays):
            contents += bytes(-len(contents) % ALIGNMENT) + self.arrays[name].tobytes()
        contents += bytes(-(len(contents) + 32) % ALIGNMENT)
        _PREFIX.pack_into(contents, 0, MAGIC, _VERSION, len(contents) + 32, len(header))
        return bytes(contents) + hashlib.sha256(contents).digest()

    def differences(self, wanted: "Head") -> list[str]:
        """List the entries, also of nested objects, that differ in ``wanted``."""
        there, other = self._told(), wanted._told()
        return [
            "{} is {}, not {}".format(name, *_where_they_part(there[name], other[name]))
            if name in there and name in other
            else f"{name} is {there.get(name, 'absent'):.80}, not {other.get(name, 'absent'):.80}"
            for name in sorted(there.keys() | other.keys())
            if there.get(name) != other.get(name)
        ]

    def _told(self) -> dict[str, str]:
        """Return a text for each entry of the head, by name."""
        words = {"n_rows": str(self.n_rows), "origin_width": str(self.origin_width)}
        words.update(_entries("metadata", self.metadata))
        for name, array in self.arrays.items():
            checksum = hashlib.sha256(array.tobytes()).hexdigest()[:16]
            words[f"arrays[{name!r}]"] = f"{array.dtype} {array.shape} with SHA-256 {checksum}..."
        return words


def _entries(name: str, value: Any) -> Iterator[tuple[str, str]]:
    """Yield name and JSON of each entry of an object, or of ``value`` if it is another type."""
    waiting = [(name, value)]
    while waiting:
        name, value = waiting.pop()
        if isinstance(value, dict) and value:
            waiting += [(f"{name}[{key!r}]", entry) for key, entry in value.items()]
        else:
            yield name, to_json(value).decode("ascii")


def _where_they_part(one: str, other: str) -> tuple[str, str]:
    """Shorten two texts to 80 characters that include their first difference."""
    start = 0
    if max(len(one), len(other)) > 80:
        same = itertools.takewhile(lambda pair: pair[0] == pair[1], zip(one, other, strict=False))
        start = max(0, sum(1 for _ in same) - 20)
    mark = "..." if start else ""
    return mark + one[start : start + 80], mark + other[start : start + 80]


def read_head(file: FileIO, path: Path) -> tuple[Head, int, bytes]:
    """Verify the head of a file; return its contents, its length in bytes and its SHA-256."""
    size = os.fstat(file.fileno()).st_size
    prefix = read_bytes(file, 0, _PREFIX.size)
    expect(prefix[:8] == MAGIC, path, "a packed file of bidual", f"one that begins {prefix[:8]!r}")
    expect(len(prefix) == _PREFIX.size, path, "a head", f"{size} bytes")
    _, version, nbytes, json_bytes = _PREFIX.unpack(prefix)
    expect(version == _VERSION, path, f"format {_VERSION}", f"{version}")
    expect(
        _PREFIX.size + json_bytes + 32 <= nbytes <= size,
        path,
        f"a head within the {size} bytes of the file",
        f"one of {nbytes} bytes with {json_bytes} of JSON",
    )
    text = read_text(file, _PREFIX.size, json_bytes, path)
    digest = hashlib.sha256(prefix + text)
    hash_bytes(digest, file, len(prefix + text), nbytes - 32 - len(prefix + text))
    checksum = read_bytes(file, nbytes - 32, 32)
    expect(digest.digest() == checksum, path, "an intact head", "an altered one")
    header = from_json(text, path)
    fields = {"arrays", "metadata", "n_rows", "origin_width"}
    known = isinstance(header, dict) and header.keys() == fields
    expect(known, path, f"a header with {sorted(fields)}", reprlib.repr(header))
    for name, least, most in (("n_rows", 0, _MOST_ROWS), ("origin_width", 0, _MOST_ORIGINS)):
        value = header[name]
        whole = type(value) is int and least <= value <= most
        expect(whole, path, f"{name} from {least} to {most}", reprlib.repr(value))
    for name in ("arrays", "metadata"):
        value = header[name]
        expect(isinstance(value, dict), path, f"{name} by name", reprlib.repr(value))

    arrays = {}
    mapped = np.memmap(file, np.uint8, "r").view(np.ndarray)
    end = _PREFIX.size + json_bytes
    for name, described in sorted(header["arrays"].items()):
        try:
            arrays[name], end = _map_array(mapped[: nbytes - 32], end, described)
        except (KeyError, TypeError, ValueError, OverflowError):
            expect(False, path, f"an array {name!r} within the head", reprlib.repr(described))
    padded = end + -(end + 32) % ALIGNMENT + 32
    expect(padded == nbytes, path, f"a head of {padded} bytes", f"{nbytes}")
    head = Head(header["n_rows"], header["origin_width"], header["metadata"], arrays)
    return head, nbytes, checksum


def _map_array(
    within: NDArray[np.uint8], start: int, described: dict[str, Any]
) -> tuple[NDArray[Any], int]:
    """Return a view of the array at the next multiple of 64 bytes, and the index of its end."""
    dtype, shape = described["dtype"], tuple(described["shape"])
    if dtype not in _ARRAY_DTYPES:
        raise ValueError
    start += -start % ALIGNMENT
    end = start + math.prod(shape) * np.dtype(dtype).itemsize
    array = within[start:end].view(dtype).reshape(shape)
    if to_json(described) != to_json({"dtype": dtype, "shape": array.shape}):  # not [true]
        raise ValueError
    return array, end


def open_to_read(path: Path) -> FileIO:
    """Open a file; raise ValueError for a pipe or a device, which may have no end."""
    flags = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
    descriptor = os.open(file_path(path), flags)  # a pipe would wait for its writer
    mode = os.fstat(descriptor).st_mode
    if stat.S_ISREG(mode):
        return FileIO(descriptor)
    os.close(descriptor)
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), file_path(path))
    raise ValueError(
        f"{printable(file_path(path))}: expected a packed file of bidual, got a pipe or a device"
    )


def words_for(n_rows: int) -> int:
    """Return the number of words of a column: rows are padded to a positive multiple of 512."""
    return max(8, -(-n_rows // 512) * 8)


def past_end(words: NDArray[np.uint64], n_rows: int) -> bool:
    """Tell whether packed columns (P, n_words) have bits past row n."""
    last, used = divmod(n_rows, 64)
    partial = words[:, last : last + 1] >> np.uint64(used)
    return bool(partial.any() or words[:, last + 1 :].any())


def refuse_big_endian() -> None:
    """Raise RuntimeError on a machine whose byte order differs from the file's."""
    if sys.byteorder != "little":
        raise RuntimeError("packed files: expected a little-endian machine, got a big-endian one")


def expect(fine: bool, path: Path, expected: str, got: str) -> None:
    """Raise ValueError, with the file's path, unless ``fine``."""
    if not fine:
        raise ValueError(f"{printable(file_path(path))}: expected {expected}, got {got}")


def checked_head(
    n_rows: int, origin_width: int, metadata: Mapping[str, Any], arrays: Mapping[str, ArrayLike]
) -> Head:
    """Make a head from the arguments of a writer, after checking them."""
    for name, value, least, most in (
        ("n_rows", n_rows, 0, _MOST_ROWS),
        ("origin_width", origin_width, 0, _MOST_ORIGINS),
    ):
        if not least <= value <= most or value != int(value):
            raise ValueError(f"{name}: expected {least} to {most}, got {value!r}")
    little = {}
    for name, given in arrays.items():
        array = any_array(f"arrays[{name!r}]", given)
        array = array.astype(array.dtype.newbyteorder("<"), copy=False)
        if not isinstance(name, str) or array.dtype.str not in _ARRAY_DTYPES:
            raise ValueError(
                f"arrays: expected integers or floats of at most 64 bits by name, "
                f"got {name!r} with {array.dtype}"
            )
        little[name] = array
    return Head(int(n_rows), int(origin_width), checked_object("metadata", metadata), little)


def checked_object(name: str, value: Mapping[str, Any]) -> dict[str, Any]:
    """Return a JSON object as a file will return it; raise ValueError if it can't be stored."""
    try:
        text = to_json(dict(value))
        parsed: dict[str, Any] = json.loads(text)
    except (TypeError, ValueError, RecursionError) as error:
        raise ValueError(f"{name}: expected a JSON object, got {reprlib.repr(value)}") from error
    if len(text) > _MOST_JSON // 2:  # the head stores more than the metadata
        raise ValueError(f"{name}: expected at most {_MOST_JSON // 2} bytes, got {len(text)}")
    return parsed


def to_json(value: Any) -> bytes:
    """Write JSON in a unique form, which checksums require."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return text.encode("ascii")


def read_text(file: FileIO, start: int, length: int, path: Path) -> bytes:
    """Read the bytes of JSON from a file, once they are known to be few."""
    expect(length <= _MOST_JSON, path, f"JSON of at most {_MOST_JSON} bytes", f"{length}")
    return read_bytes(file, start, length)


def from_json(text: bytes, path: Path) -> Any:
    """Read JSON; raise ValueError unless :func:`to_json` could have written it."""
    try:
        return json.loads(text.decode("ascii"), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        expect(False, path, "JSON", reprlib.repr(text))


def _refuse_constant(name: str) -> None:
    raise ValueError(f"expected JSON, got {name}")


def read_bytes(file: FileIO, start: int, length: int) -> bytes:
    """Read ``length`` bytes, or fewer if the file ends before."""
    file.seek(start)
    return file.read(length)


def hash_bytes(digest: Any, file: FileIO, start: int, length: int) -> None:
    """Feed ``length`` bytes of a file to a digest, or fewer if the file ends before."""
    file.seek(start)
    buffer = memoryview(bytearray(min(length, _BUFFER_BYTES)))
    while length and (count := file.readinto(buffer[:length])):
        digest.update(buffer[:count])
        length -= count
