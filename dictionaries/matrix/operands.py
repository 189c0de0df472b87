"""Checks of the operands of matrix products; each error names the argument."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..validation import check_whole, is_number, number_array, real_array, shown

Shape = tuple[int, int]


def real_operand(name: str, values: ArrayLike, length: int, shape: Shape) -> NDArray[np.float64]:
    """Convert an operand of a matrix of that shape to a (length, C) float64 array."""
    array = real_array(name, values, "real numbers")
    check_length(name, array, length, shape)
    return two_dimensional(array)


def finite_operand(name: str, values: ArrayLike, length: int, shape: Shape) -> NDArray[np.float64]:
    """Convert as :func:`real_operand`; raise ValueError also for NaN or infinity."""
    operand = real_operand(name, values, length, shape)
    if not np.isfinite(operand).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return operand


def check_length(name: str, array: NDArray[Any], length: int, shape: Shape) -> None:
    """Raise ValueError unless the shape is (length,) or (length, C)."""
    if array.ndim not in (1, 2) or array.shape[0] != length:
        raise ValueError(
            f"{name}: expected shape ({length},) or ({length}, C) for a matrix of shape "
            f"{shape}, got {array.shape}"
        )


def two_dimensional(array: NDArray[Any]) -> NDArray[Any]:
    """Reshape a vector (n,) to (n, 1)."""
    return array[:, None] if array.ndim == 1 else array


def checked_accuracy(accuracy: Any) -> float:
    """Return an accuracy as a float; raise ValueError unless it is a number."""
    if not is_number(accuracy):
        raise ValueError(f"accuracy: expected a number, got {shown(accuracy)}")
    return float(accuracy)


def column_number(column: Any, count: int) -> int:
    """Return the number of a column, which may count from the end.

    Raises
    ------
    IndexError
        If the column does not exist.
    ValueError
        If ``column`` is not a whole number.
    """
    check_whole("column", column, -(2**63))
    if not -count <= column < count:
        raise IndexError(f"column: expected a number of {count} columns, got {column}")
    return int(column) % count


def column_numbers(columns: ArrayLike, count: int, name: str = "columns") -> NDArray[np.intp]:
    """Convert a list or a mask of columns to their numbers, 0 to ``count`` - 1.

    A list may count from the end. The function raises IndexError if a column does not
    exist or the mask has another length, and ValueError if ``columns`` is not a list.
    """
    chosen = number_array(name, columns)
    if chosen.ndim != 1:
        raise ValueError(f"{name}: expected a list of columns or a mask, got {columns!r}")
    if chosen.dtype == np.bool_ and len(chosen) == count:
        return np.flatnonzero(chosen)
    if len(chosen) == 0:
        return chosen.astype(np.intp)  # an empty list is an array of floats
    # usually no number counts from the end; a negative number is large when seen as unsigned
    if chosen.dtype == np.intp and np.maximum.reduce(chosen.view(np.uintp)) < count:
        return chosen.copy()
    lowest = chosen.min() if chosen.dtype.kind in "iu" else -count - 1
    if lowest < -count or chosen.max() >= count:
        raise IndexError(f"{name}: expected numbers or a mask of {count} columns, got {columns!r}")
    chosen = chosen.astype(np.intp)
    if lowest < 0:
        chosen[chosen < 0] += count
    return chosen


def places(columns: ArrayLike, count: int) -> NDArray[np.int64]:
    """Return for each of ``count`` columns its index in a list of distinct columns, or -1."""
    chosen = number_array("columns", columns)
    kept = np.full(count, -1, dtype=np.int64)
    if chosen.size:
        if chosen.ndim != 1 or chosen.dtype.kind not in "iu":
            raise ValueError(f"columns: expected a list of column numbers, got {columns!r}")
        kept[chosen] = np.arange(chosen.size)
    if np.count_nonzero(kept >= 0) < chosen.size:
        raise ValueError(f"columns: expected each column once, got {columns!r}")
    return kept


def check_width(width: int, points: int) -> None:
    """Raise ValueError unless ``width`` divides the number of dual points."""
    if not is_number(width) or width < 1 or points % width:
        raise ValueError(
            f"width: expected a divisor of the {points} dual points, got {shown(width)}"
        )


def read_only(array: NDArray[Any]) -> NDArray[Any]:
    """Return a view of an array that no caller can make writeable again."""
    view: Any = array.view()
    try:
        view.setflags(write=True)
    except ValueError:  # the memory is read-only, for example a mapped file
        return array.view()
    return np.array(memoryview(view).toreadonly(), copy=False)


def is_frozen(array: NDArray[Any]) -> bool:
    """Tell whether an array, and every array that it is a view of, is read-only."""
    owner: Any = array
    while isinstance(owner, np.ndarray):
        if owner.flags.writeable:
            return False
        owner = owner.base
    try:
        return owner is None or memoryview(owner).readonly
    except TypeError:  # the base has no buffer, so it can't be checked
        return False
