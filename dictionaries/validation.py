"""Checks of callers' arguments before work starts; each error names the argument.

``Array`` is the package's alias of float64 arrays.
"""

from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Array = NDArray[np.float64]


def is_number(value: object) -> bool:
    """Tell whether a value is a real number of Python or NumPy, and not a bool."""
    return isinstance(value, Real) and not isinstance(value, bool)


def printable(text: object) -> str:
    r"""Return a text for a terminal: control characters and the like escaped as in Python.

    Names and contents of files may come from strangers; raw escapes could rewrite the screen.

    Examples
    --------
    >>> from bidual.dictionaries.validation import printable
    >>> print(printable("café\x1b[2J\n"))
    café\x1b[2J\n
    """
    return "".join(
        character if character.isprintable() else ascii(character)[1:-1] for character in str(text)
    )


def check_number(name: str, value: Any, zero: bool = False) -> None:
    """Raise ValueError, which names the argument, unless a number is finite and > 0 (or 0)."""
    above = is_number(value) and (value > 0 or (zero and value == 0))
    if not (above and value < np.inf):
        raise ValueError(
            f"{name}: expected a finite number {'>=' if zero else '>'} 0, got {value!r}"
        )


def check_seconds(value: Any) -> None:
    """Raise ValueError unless ``time_limit`` is a number of seconds above 0 or infinity."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"time_limit: expected seconds > 0, got {value!r}")


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ValueError, which names the argument, unless it is a whole number within bounds."""
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < low or (high is not None and value > high):
        room = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected a whole number {room}, got {value!r}")


def finite_array(name: str, values: ArrayLike, *shape: int) -> Array:
    """Return ``values`` as an array of that shape; a last axis of length 1 may be left out.

    Raises
    ------
    ValueError
        If ``values`` have another shape, or an entry is NaN or infinite.
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
