"""The images of MNIST, row by row, read from a local folder."""

import gzip
import math
import os
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.validation import MOST_DEFLATED
from ..kernels.text import printable
from .arguments import Split, check_split
from .splits import choose

_SIDE = 28
_PREFIXES = ("", "t10k-", "train-")
_KINDS = ("images-idx3-ubyte", "labels-idx1-ubyte")


def mnist(
    split: Split = "all", folder: str | os.PathLike[str] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return handwritten digits as sequences: 28 rows of an image are 28 steps of 28 inputs.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All images, or one side of a fixed stratified split, four fifths and one fifth.
    folder : path, optional
        Folder of ``images-idx3-ubyte.gz`` and ``labels-idx1-ubyte.gz``. Both names may begin
        with ``t10k-`` or ``train-``; of several pairs the first in this order is read. Names
        may have a dot before ``idx`` and no ``.gz``, for unpacked files. By default the folder
        named by the environment variable ``BIDUAL_DATA``. bidual downloads nothing.

    Returns
    -------
    X : (n, 28, 28) float64 array
        Grey levels / 255, in [0, 1], rounded to multiples of 2**-20.
    y : (n,) int array
        The digit, 0 to 9.

    Raises
    ------
    ValueError
        If ``split`` is another string, no folder is given, the images are too few for two
        sides, or a file in the folder is truncated, damaged or not one of MNIST's files.
    FileNotFoundError
        If a file is missing.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.mnist(folder="mnist")  # doctest: +SKIP
    >>> X.shape  # doctest: +SKIP
    (10000, 28, 28)
    """
    check_split(split)
    named = os.environ.get("BIDUAL_DATA") if folder is None else folder
    if not named:
        raise ValueError(
            "folder: expected the folder of MNIST's files, as folder= or in the environment "
            "variable BIDUAL_DATA, got none"
        )
    image_path, label_path = _pair(Path(named))
    with _opened(image_path, 3) as (image_file, shape), _opened(label_path, 1) as (file, (count,)):
        if shape[1:] != (_SIDE, _SIDE) or shape[0] == 0:
            raise ValueError(f"folder: expected images of 28 x 28, got shape {shape}")
        if count != shape[0]:
            raise ValueError(f"folder: expected {shape[0]} labels, one per image, got {count}")
        labels = _values(file, label_path, (count,))
        if labels.max() > 9:
            raise ValueError(f"folder: expected labels from 0 to 9, got {labels.max()}")
        images = _values(image_file, image_path, shape)
    digits = labels.astype(np.int64)
    chosen = choose(split, len(digits), digits)
    return np.rint(images[chosen] / 255 * 2**20) / 2**20, digits[chosen]


def _pair(folder: Path) -> list[Path]:
    """Return the files of images and labels; both names begin alike."""
    for prefix in _PREFIXES:
        found = [path for kind in _KINDS for path in _files(folder, prefix, kind)[:1]]
        if len(found) == 2:
            return found
    missing = [k for k in _KINDS if not any(_files(folder, prefix, k) for prefix in _PREFIXES)]
    raise FileNotFoundError(
        f"folder: expected {' and '.join(f'{kind}.gz' for kind in missing or _KINDS)} in "
        f"{printable(folder)}, found none; both names may begin with t10k- or with train-, "
        "have a dot before idx, or lack .gz"
    )


def _files(folder: Path, prefix: str, kind: str) -> list[Path]:
    """List the existing files of a kind under any spelling."""
    names = (
        prefix + name + end for end in (".gz", "") for name in (kind, kind.replace("-", ".", 1))
    )
    return [path for name in names if (path := folder / name).is_file()]


@contextmanager
def _opened(path: Path, dimensions: int) -> Iterator[tuple[IO[Any], tuple[int, ...]]]:
    """Open an IDX file: a magic number, one 32-bit size per dimension, then bytes."""
    try:
        with open(path, "rb") as plain:
            file: Any = gzip.GzipFile(fileobj=plain) if path.suffix == ".gz" else plain
            head = file.read(4 + 4 * dimensions)
            # 8 is the type code of unsigned bytes
            if len(head) < 4 + 4 * dimensions or head[:4] != bytes((0, 0, 8, dimensions)):
                raise ValueError(
                    f"folder: expected an IDX file of {dimensions} dimensions, got "
                    f"{printable(path)}"
                )
            yield file, tuple(np.frombuffer(head, ">u4", offset=4).tolist())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(
            f"folder: expected a complete gzip file, got {printable(path)}: {error}"
        ) from error


def _values(file: IO[Any], path: Path, shape: tuple[int, ...]) -> NDArray[np.uint8]:
    """Read the bytes after the head, and no more than the head announces."""
    size, stored = math.prod(shape), os.fstat(file.fileno()).st_size
    content = b""
    if size <= stored * (MOST_DEFLATED if path.suffix == ".gz" else 1):
        content = file.read(size)
    if len(content) < size or file.read(1):
        raise ValueError(
            f"folder: expected {' x '.join(map(str, shape))} bytes by the file's head, got "
            f"{'more' if len(content) == size else 'fewer'} in {printable(path)}"
        )
    return np.frombuffer(content, np.uint8).reshape(shape)
