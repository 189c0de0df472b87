"""Arrays that callers hand in: float64, finite, of the expected shape, or an error by name."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def finite_array(name: str, values: ArrayLike, rows: int, outputs: int) -> NDArray[np.float64]:
    """Return ``values`` as a (rows, outputs) array; (rows,) will do for one output.

    Raises
    ------
    ValueError
        If the shape is another one or an entry is NaN or infinite.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.shape != (rows, outputs) and not (outputs == 1 and array.shape == (rows,)):
        raise ValueError(f"{name}: expected shape ({rows}, {outputs}), got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array.reshape(rows, outputs)


def finite_intercept(values: ArrayLike, outputs: int) -> NDArray[np.float64]:
    """Return an intercept as an array (outputs,); one number serves all outputs."""
    array = np.asarray(values, dtype=np.float64)
    if array.size == 1:
        array = np.full(outputs, array.item())
    return finite_array("intercept", array[None] if array.ndim == 1 else array, 1, outputs)[0]
