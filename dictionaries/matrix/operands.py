"""Operands of matrix products: arrays of the length that a matrix asks for, or an error by name."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Shape = tuple[int, int]


def real_operand(name: str, values: ArrayLike, length: int, shape: Shape) -> NDArray[np.float64]:
    """Turn an operand of a matrix of that shape into a (length, C) float64 array."""
    array = np.asarray(values)
    check_length(name, array, length, shape)
    if array.dtype.kind == "c":
        raise ValueError(f"{name}: expected real numbers, got {array.dtype}")
    return two_dimensional(array.astype(np.float64, copy=False))


def finite_operand(name: str, values: ArrayLike, length: int, shape: Shape) -> NDArray[np.float64]:
    """The same, of finite numbers."""
    operand = real_operand(name, values, length, shape)
    if not np.isfinite(operand).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return operand


def check_length(name: str, array: NDArray[Any], length: int, shape: Shape) -> None:
    """Refuse what is not (length,) or (length, C)."""
    if array.ndim not in (1, 2) or array.shape[0] != length:
        raise ValueError(
            f"{name}: expected shape ({length},) or ({length}, C) for a matrix of shape "
            f"{shape}, got {array.shape}"
        )


def two_dimensional(array: NDArray[Any]) -> NDArray[Any]:
    """Return one column as (n, 1)."""
    return array[:, None] if array.ndim == 1 else array


def column_numbers(columns: ArrayLike, count: int) -> NDArray[np.intp]:
    """Numbers of chosen columns among so many, from 0, of a list or of a mask.

    A list may count from the end. IndexError if there is no such column or the mask
    is of another length, ValueError if it is no list.
    """
    chosen = np.asarray(columns)
    if chosen.ndim != 1:
        raise ValueError(f"columns: expected a list of columns or a mask, got {columns!r}")
    if chosen.dtype == np.bool_ and len(chosen) == count:
        return np.flatnonzero(chosen)
    if len(chosen) == 0:
        return chosen.astype(np.intp)  # an empty list is an array of floats
    # most often none counts from the end: unsigned, such numbers would be large
    if chosen.dtype == np.intp and np.maximum.reduce(chosen.view(np.uintp)) < count:
        return chosen.copy()
    lowest = chosen.min() if chosen.dtype.kind in "iu" else -count - 1
    if lowest < -count or chosen.max() >= count:
        raise IndexError(
            f"columns: expected numbers of {count} columns or a mask of them, got {columns!r}"
        )
    chosen = chosen.astype(np.intp)
    if lowest < 0:
        chosen[chosen < 0] += count
    return chosen


def places(columns: ArrayLike, count: int) -> NDArray[np.int64]:
    """For each of so many columns its place in a list of distinct ones, or -1; (count,)."""
    chosen = np.asarray(columns)
    kept = np.full(count, -1, dtype=np.int64)
    if chosen.size:
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ValueError(f"columns: expected a list of column numbers, got {columns!r}")
        kept[chosen] = np.arange(chosen.size)
    if np.count_nonzero(kept >= 0) < chosen.size:
        raise ValueError(f"columns: expected each column once, got {columns!r}")
    return kept


def check_width(width: int, points: int) -> None:
    """Refuse groups that do not divide so many dual points."""
    if width < 1 or points % width:
        raise ValueError(f"width: expected a divisor of the {points} dual points, got {width}")


def is_frozen(array: NDArray[Any]) -> bool:
    """Tell whether neither an array nor anything that it is a view of can be written to."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    try:
        return owner is None or memoryview(owner).readonly
    except TypeError:  # no buffer: nobody can tell
        return False
