"""Arrays that begin at a cache line.

512-bit registers that cross cache lines make a Gram matrix 15 % slower. A cache line
that two threads write to makes a product up to 60 % slower.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

_LINE = 64  # bytes


def aligned(make: Callable[..., Any], shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Make a C-ordered array with ``make`` (np.empty or np.zeros) that begins at a cache line.

    Examples
    --------
    >>> import numpy as np
    >>> from bidual.dictionaries.matrix.aligned import aligned
    >>> aligned(np.zeros, (3, 2), np.int64).ctypes.data % 64
    0
    """
    size = math.prod(shape) * np.dtype(dtype).itemsize
    held = make(size + _LINE, dtype=np.uint8)
    return np.ndarray(shape, dtype, held, offset=-held.ctypes.data % _LINE)
