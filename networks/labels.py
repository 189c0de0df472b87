"""Labels: those that callers give, and those of a network's outputs."""

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries.validation import any_array, is_plain_sequence, real_array, shown

_KINDS = {str: "strings", bytes: "bytes", bool: "bools", int: "whole numbers", float: "floats"}
_ALIKE = {np.str_: str, np.bytes_: bytes, np.bool_: bool, np.integer: int, np.floating: float}


def label_array(name: str, values: Any) -> NDArray[Any]:
    """Return labels or numbers as an array; objects of one kind become an array of that kind.

    Whole numbers that no integer type of NumPy holds stay objects.

    Raises
    ------
    ValueError
        If entries are of several kinds, which cannot be sorted, or of another kind than strings,
        bytes, bools and real numbers.
    """
    array = any_array(name, values, "labels or numbers")
    if is_plain_sequence(values):
        # NumPy turns numbers beside strings into strings, and 2**63 beside -1 into a float
        array = np.array(values, dtype=object)
    if array.dtype.kind in "cV":
        kind = "complex numbers" if array.dtype.kind == "c" else "other entries"
        raise ValueError(f"{name}: expected labels or real numbers, got {kind} ({array.dtype})")
    if array.dtype.kind == "T":
        if not all(isinstance(entry, str) for entry in array.ravel().tolist()):
            raise ValueError(f"{name}: expected strings, got a missing one")
        return array.astype(np.dtype("T"))  # without a value for missing strings
    if array.dtype != object:
        return array
    kinds = {_kind(name, entry) for entry in array.flat}
    if float in kinds and kinds <= {bool, int, float}:
        return real_array(name, array)
    if kinds == {int}:
        # NumPy makes floats of its own unsigned integers beside signed ones
        array = np.array([int(entry) for entry in array.flat], dtype=object).reshape(array.shape)
        plain = np.array(array.tolist())
        return plain if plain.dtype.kind in "iu" else array
    if float in kinds and any(entry != entry for entry in array.flat):
        raise ValueError(f"{name}: expected a label for each row, got a missing one (nan)")
    if len(kinds) > 1:
        found = " and ".join(sorted(_KINDS[kind] for kind in kinds))
        raise ValueError(f"{name}: expected labels of one kind, which can be sorted, got {found}")
    plain = np.array(array.tolist(), dtype=next(iter(kinds), float))
    if plain.tolist() != array.tolist():  # NumPy drops zeros at the end of strings
        raise ValueError(f"{name}: expected labels without zero characters at the end")
    return plain


def _kind(name: str, entry: Any) -> type:
    """Return the Python type of a label; raise ValueError for a value of another kind."""
    for kind, plain in (*_ALIKE.items(), *((known, known) for known in _KINDS)):
        if isinstance(entry, kind):
            return plain
    raise ValueError(
        f"{name}: expected strings, bytes, bools or numbers, got {shown(entry)} "
        f"({type(entry).__name__}); convert it"
    )


def checked_labels(classes: ArrayLike, outputs: int) -> NDArray[np.generic]:
    """Return the labels of outputs as an array that a file can hold; they may be of several kinds.

    Raises
    ------
    ValueError
        If their number does not fit that of the outputs, or a file can't describe one of them.
    """
    labels = any_array("classes", classes, "labels")
    alike = labels.dtype.kind == "T" or set(map(type, labels.ravel().tolist())) == {bytes}
    labels = label_array("classes", labels) if alike else labels
    if labels.shape != (max(outputs, 2),):
        raise ValueError(f"classes: expected shape ({max(outputs, 2)},), got {labels.shape}")
    known = {str, bool, int, float, bytes if labels.dtype.kind == "S" else str}
    for label in labels.tolist():
        if type(label) not in known or (isinstance(label, float) and not np.isfinite(label)):
            raise ValueError(
                "classes: expected strings, bytes, bools, whole numbers or finite floats of 64 "
                f"bits, got {label!r}"
            )
    return labels


def chosen_labels(outputs: NDArray[np.float64], labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the label of each output (..., C): by the sign if C = 1, else by the largest."""
    if outputs.shape[-1] == 1:
        chosen = (outputs[..., 0] >= 0).astype(np.intp)
    else:
        chosen = outputs.argmax(axis=-1)
    found: NDArray[np.generic] = labels[chosen]
    return found
