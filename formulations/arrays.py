"""Arrays that callers hand in: float64, finite, of the expected shape, or an error by name."""

from numbers import Real

import numpy as np
from numpy.typing import ArrayLike, NDArray


def is_number(value: object) -> bool:
    """Tell whether a value is a single real number, Python's or NumPy's; a truth value is none."""
    return isinstance(value, Real) and not isinstance(value, bool)


def finite_array(name: str, values: ArrayLike, *shape: int) -> NDArray[np.float64]:
    """Return ``values`` as an array of that shape; a last axis of length 1 may be left out.

    Raises
    ------
    ValueError
        If the shape is another one or an entry is NaN or infinite.
    """
    try:
        array = np.asarray(values, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{name}: expected numbers of shape {shape}: {error}") from error
    if array.shape != shape and not (shape[-1] == 1 and array.shape == shape[:-1]):
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array.reshape(shape)
