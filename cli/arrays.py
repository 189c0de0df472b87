"""Read the arrays that the command line names; a damaged file is refused in one line."""

import io
import math
import os
import warnings
import zipfile
from typing import IO, Any

import numpy as np
from numpy.lib import format as npy
from numpy.typing import NDArray

from .. import BinaryMatrix
from ..dictionaries.validation import MOST_DEFLATED
from ..kernels.text import printable

_NUMBERS = "biuf"  # kinds of dtypes
_MOST_HEAD = 10_000  # bytes; NumPy's own limit
_PACKED = b"BIDUAL"
_WANTED = "an .npy file of real numbers, or an .npz file of one such array"


def read_array(path: str, kinds: str = _NUMBERS) -> NDArray[Any]:
    """Read an array of at most two dimensions from an .npy file, or an .npz file of one array.

    The head's size is compared with the file's before memory is taken.

    Raises
    ------
    ValueError
        If the file is missing, damaged or of another kind; the message begins with the path.
    """
    if not os.path.isfile(path):
        raise ValueError(f"{printable(path)}: expected {_WANTED}, found no file")
    with open(path, "rb") as file:
        size = os.fstat(file.fileno()).st_size
        zipped = file.read(4) == b"PK\3\4"
        file.seek(0)
        try:
            return _only_member(file, size, kinds) if zipped else _array(file, size, kinds)
        except Exception as error:  # what NumPy's and Python's parsers raise of damaged files
            reason = "more than memory holds" if isinstance(error, MemoryError) else str(error)
            raise ValueError(
                f"{printable(path)}: expected {_WANTED}, got {printable(reason):.100}"
            ) from error


def read_design(path: str) -> BinaryMatrix:
    """Read a 0/1 matrix from an .npy or .npz file, or from a packed file of bidual.

    Raises
    ------
    ValueError
        As :func:`read_array`, and for entries other than 0 and 1.
    """
    if is_packed(path):
        return BinaryMatrix.load(path)
    try:
        return BinaryMatrix.from_dense(read_array(path))
    except ValueError as error:
        reason = str(error).removeprefix("dense: ").removeprefix(f"{printable(path)}: ")
        raise ValueError(f"{printable(path)}: {reason}") from error


def read_numbers(path: str) -> BinaryMatrix | NDArray[Any]:
    """Read a matrix as :func:`read_design`, but leave other numbers than 0 and 1 as they are."""
    return BinaryMatrix.load(path) if is_packed(path) else read_array(path)


def read_targets(path: str) -> NDArray[Any]:
    """Read targets, or class labels, which may be strings."""
    return read_array(path, _NUMBERS + "U")


def is_packed(path: str) -> bool:
    """Tell whether a file begins as a packed file of bidual."""
    if not os.path.isfile(path):
        return False
    with open(path, "rb") as file:
        return file.read(len(_PACKED)) == _PACKED


def _only_member(file: IO[bytes], size: int, kinds: str) -> NDArray[Any]:
    with zipfile.ZipFile(file) as archive:
        members = archive.infolist()
        if len(members) != 1:
            raise ValueError(f"{len(members)} arrays")
        info = members[0]
        most = {
            zipfile.ZIP_STORED: info.compress_size,
            zipfile.ZIP_DEFLATED: MOST_DEFLATED * (info.compress_size + 1),
        }.get(info.compress_type, -1)
        if info.compress_size > size or info.file_size > most:
            raise ValueError(f"a member of {info.file_size} bytes in a file of {size}")
        with archive.open(info) as member:
            return _array(member, info.file_size, kinds)


def _array(file: IO[bytes], size: int, kinds: str) -> NDArray[Any]:
    version = npy.read_magic(file)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of the format")
    told = file.read(2 if version == (1, 0) else 4)
    length = int.from_bytes(told, "little")
    if length > _MOST_HEAD:
        raise ValueError(f"a head of {length} bytes")
    head = io.BytesIO(told + file.read(length))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of Python's parser, about the head
        # versions 2 and 3 differ in the names of fields, which no array here has
        read = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, by_column, dtype = read(head)
    if dtype.kind not in kinds:
        raise ValueError(f"entries of type {dtype}")
    if len(shape) > 2 or not all(type(n) is int and n >= 0 for n in shape):
        raise ValueError(f"shape {shape}")
    left = size - npy.MAGIC_LEN - len(told) - length
    wanted = dtype.itemsize * math.prod(shape)
    if left != wanted:
        raise ValueError(f"{left} bytes of entries for shape {shape} and type {dtype}")
    content = file.read(wanted)
    if len(content) != wanted or file.read(1):  # the latter checks the sum of an .npz
        raise ValueError(f"{len(content)} of {wanted} bytes")
    order: Any = "F" if by_column else "C"
    return np.ndarray(shape, dtype, content, order=order)
