"""Checks of callers' arguments before work starts; each error names the argument.

Only this module converts a caller's value to an array. NumPy's own conversion drops masks and
imaginary parts, and turns dates into numbers, without an error.

``Array`` is the package's alias of float64 arrays.
"""

import array as buffers
import os
from datetime import date, time, timedelta
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import sparse

Array = NDArray[np.float64]

MOST_DEFLATED = 1032  # the most bytes that deflate makes of one

_COMPLEX = "a complex number"
_OTHERS = {"c": "complex numbers", "S": "bytes", "U": "strings", "T": "strings"}
_INTERFACES = ("__array__", "__array_interface__", "__array_struct__")
_WHOLE = (str, bytes, bytearray, memoryview, dict, buffers.array)  # NumPy takes them as a whole
_PLAIN = {float, int, bool, str, np.float64}  # entries of lists that need no look inside


def is_number(value: object) -> bool:
    """Tell whether a value is a real number of Python or NumPy, and not a bool."""
    # NumPy counts a time span as a whole number
    return isinstance(value, Real) and not isinstance(value, bool | np.timedelta64)


def check_number(name: str, value: Any, zero: bool = False) -> None:
    """Raise ValueError, which names the argument, unless a number is finite and > 0 (or 0)."""
    above = is_number(value) and (value > 0 or (zero and value == 0))
    if not (above and value < np.inf):
        raise ValueError(
            f"{name}: expected a finite number {'>=' if zero else '>'} 0, got {shown(value)}"
        )


def check_seconds(value: Any) -> None:
    """Raise ValueError unless ``time_limit`` is a number of seconds above 0 or infinity."""
    if not (is_number(value) and value > 0):
        raise ValueError(f"time_limit: expected seconds > 0, got {shown(value)}")


def check_whole(name: str, value: Any, low: int, high: int | None = None) -> None:
    """Raise ValueError, which names the argument, unless it is a whole number within bounds."""
    whole = isinstance(value, int | np.integer) and is_number(value)
    if not whole or value < low or (high is not None and value > high):
        room = f"of at least {low}" if high is None else f"from {low} to {high}"
        raise ValueError(f"{name}: expected a whole number {room}, got {shown(value)}")


def check_flag(name: str, value: Any) -> bool:
    """Return a bool; raise ValueError, which names the argument, for any other value."""
    if not isinstance(value, bool | np.bool_):
        raise ValueError(f"{name}: expected True or False, got {shown(value)}")
    return bool(value)


def file_path(path: Any, name: str = "path") -> str:
    """Return the path of a file as text; raise ValueError, which names the argument, if none."""
    try:
        text = os.fsdecode(path)
    except TypeError:
        text = ""
    if not text or "\0" in text:
        raise ValueError(f"{name}: expected the path of a file, got {path!r:.200}")
    return text


def any_array(name: str, values: Any, expected: str = "numbers") -> NDArray[Any]:
    """Return ``values`` as an array of the dtype that NumPy chooses: themselves, if they are one.

    Raises
    ------
    ValueError
        If an entry is masked or a date, or if ``values`` are sparse or no array.
    """
    if kind := _kind_within(values):
        raise ValueError(f"{name}: expected {expected}, got {kind}")
    try:
        array = np.asarray(values)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(f"{name}: expected {expected}, got {values!r:.80}: {error}") from error
    if array.dtype.kind in "mM":
        kind = "dates" if array.dtype.kind == "M" else "differences of dates"
        raise ValueError(f"{name}: expected {expected}, got {kind} ({array.dtype})")
    if array.dtype == object:
        for entry in array.flat:
            if (kind := _kind(entry)) and kind != _COMPLEX:
                raise ValueError(f"{name}: expected {expected}, got {shown(entry)}")
    return array


def number_array(name: str, values: Any, expected: str = "numbers") -> NDArray[Any]:
    """Return ``values`` as an array of bools, integers, floats, or objects that are such numbers.

    Raises
    ------
    ValueError
        If an entry is not a real number.
    """
    array = any_array(name, values, expected)
    kind = array.dtype.kind
    if kind == "O":
        for entry in array.flat:
            if not isinstance(entry, Real | Decimal | np.bool_):
                raise ValueError(
                    f"{name}: expected {expected}, got {shown(entry)} in an object array"
                )
    elif kind not in "biuf":
        found = f"{_OTHERS.get(kind, 'other entries')} ({array.dtype})"
        raise ValueError(
            f"{name}: expected {expected}, got {found if array.ndim else shown(array.item())}"
        )
    return array


def real_array(name: str, values: Any, expected: str = "numbers") -> Array:
    """Return ``values`` as a float64 array: themselves, if they are one.

    Raises
    ------
    ValueError
        If an entry is not a real number, or a whole number too large for float64.
    """
    array = number_array(name, values, expected)
    try:
        with np.errstate(over="ignore"):  # a wider float may become infinite
            return array.astype(np.float64, copy=False)
    except (ValueError, OverflowError) as error:
        raise ValueError(f"{name}: expected numbers of float64: {error}") from error


def finite_array(name: str, values: ArrayLike, *shape: int) -> Array:
    """Return ``values`` as an array of that shape; a last axis of length 1 may be left out.

    Raises
    ------
    ValueError
        If ``values`` are not real numbers, have another shape, or one is NaN or infinite.
    """
    array = real_array(name, values)
    if array.shape != shape and not (shape[-1] == 1 and array.shape == shape[:-1]):
        turned = array.ndim == len(shape) == 2 and array.shape == shape[::-1]
        # coef_ of scikit-learn has a row per output
        hint = "; transpose it, as in coef_.T" if turned else ""
        raise ValueError(f"{name}: expected shape {shape}, got {array.shape}{hint}")
    if not np.isfinite(array).all():
        raise ValueError(f"{name}: expected finite numbers, got NaN or infinity")
    return array.reshape(shape)


def array_shape(name: str, values: Any) -> tuple[int, ...]:
    """Return the shape of ``values`` without a read of their entries, if they tell their shape.

    Raises
    ------
    ValueError
        If an entry is masked, or if ``values`` are sparse or no array.
    """
    if hasattr(values, "shape") and not _kind_within(values):
        return tuple(values.shape)
    return any_array(name, values).shape


def shown(value: Any) -> str:
    """Describe a value in an error; if no number can be made of it, say why."""
    kind = _kind(value)
    return f"{value!r:.200}" if kind is None else f"{kind}, {value!r:.200}"


def _kind(value: Any) -> str | None:
    """Name what NumPy would turn into other numbers or into an object; None for other values."""
    if isinstance(value, np.ma.MaskedArray):
        masked = int(np.ma.getmaskarray(value).sum())
        return f"{masked} masked entries (fill them or leave them out)" if masked else None
    if sparse.issparse(value):
        kind = f"a sparse {type(value).__name__} of shape {value.shape}"
        return f"{kind} (use toarray(); BinaryMatrix.from_sparse packs a 0/1 design)"
    if isinstance(value, complex | np.complexfloating):
        return _COMPLEX
    if isinstance(value, timedelta | np.timedelta64):
        return "a difference of dates"
    return "a date" if isinstance(value, date | time | np.datetime64) else None


def is_plain_sequence(values: Any) -> bool:
    """Tell whether NumPy reads the values one by one, as those of a list or a deque."""
    kind = type(values)
    whole = isinstance(values, _WHOLE) or sparse.issparse(values)
    if whole or any(hasattr(kind, name) for name in _INTERFACES):
        return False
    return hasattr(kind, "__len__") and hasattr(kind, "__getitem__")


def _kind_within(values: Any) -> str | None:
    """Name the first masked or sparse part of nested lists, whose mask NumPy would drop."""
    if is_plain_sequence(values):
        if set(map(type, values)) <= _PLAIN:
            return None
        return next((kind for kind in map(_kind_within, values) if kind), None)
    whole = isinstance(values, np.ma.MaskedArray) or sparse.issparse(values)
    return _kind(values) if whole else None
