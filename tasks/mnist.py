"""The 10,000 test images of MNIST, row by row, read from a local folder."""

import gzip
import os
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import check_sequences
from .arguments import Split, check_split
from .splits import choose

_SIDE = 28


def mnist(
    split: Split = "all", folder: str | os.PathLike[str] | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return handwritten digits as sequences: 28 rows of an image are 28 steps of 28 inputs.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All images, or one side of a fixed stratified split, four fifths and one fifth.
    folder : path, optional
        Folder of ``images-idx3-ubyte.gz`` and ``labels-idx1-ubyte.gz``, or of the
        published names, which begin with ``t10k-``. By default the folder named by
        the environment variable ``BIDUAL_DATA``. bidual downloads nothing.

    Returns
    -------
    X : (n, 28, 28) float64 array
        Grey levels / 255, in [0, 1], rounded to the rollout's grid of 2**-20.
    y : (n,) int array
        The digit, 0 to 9.

    Raises
    ------
    ValueError
        If ``split`` is another string, no folder is given, or a file in the folder is
        truncated, damaged or not one of MNIST's test files.
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
    images = _read(Path(named), "images-idx3-ubyte.gz", 3)
    labels = _read(Path(named), "labels-idx1-ubyte.gz", 1)
    if images.shape[1:] != (_SIDE, _SIDE) or len(images) == 0:
        raise ValueError(f"folder: expected images of 28 x 28, got shape {images.shape}")
    if len(labels) != len(images) or labels.max() > 9:
        raise ValueError(
            f"folder: expected {len(images)} labels from 0 to 9, one per image, got {len(labels)} "
            f"labels up to {labels.max(initial=0)}"
        )
    digits = labels.astype(np.int64)
    chosen = choose(split, len(digits), digits)
    return check_sequences(images[chosen] / 255), digits[chosen]


def _read(folder: Path, name: str, dimensions: int) -> NDArray[np.uint8]:
    """Read an IDX file: a magic number, one 32-bit size per dimension, then bytes."""
    path = next((p for p in (folder / name, folder / f"t10k-{name}") if p.is_file()), None)
    if path is None:
        raise FileNotFoundError(f"folder: expected {name} in {folder}, found none")
    try:
        content = gzip.decompress(path.read_bytes())
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise ValueError(f"folder: expected a complete gzip file, got {path}: {error}") from error
    start = 4 + 4 * dimensions
    header = np.frombuffer(content[: len(content) // 4 * 4][:start], ">u4").astype(np.int64)
    # 8 is the type code of unsigned bytes
    if len(header) != dimensions + 1 or header[0] != 0x800 + dimensions:
        raise ValueError(f"folder: expected an IDX file of {dimensions} dimensions, got {path}")
    shape = header[1:].tolist()
    if len(content) - start != np.prod(shape, dtype=object):
        raise ValueError(
            f"folder: expected {' x '.join(map(str, shape))} bytes by the file's header, got "
            f"{len(content) - start} in {path}"
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)
