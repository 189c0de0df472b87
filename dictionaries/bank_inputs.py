"""Inputs in the form that the subnetworks of a bank take, and their grid."""

from typing import get_args

import numpy as np
from numpy.typing import ArrayLike

from .class_record import ClassRecord, Readout
from .input_grid import InputGrid, as_sequences
from .validation import Array, array_shape, real_array
from .witnesses.sampled import SampledWitnesses, Witnesses


def taken(
    X: ArrayLike, witnesses: Witnesses, readout: Readout, record: ClassRecord | None = None
) -> tuple[Array, InputGrid | None]:
    """Return X as a bank takes it, and its grid; raise ValueError for an unknown readout.

    Inputs of given weights are not rounded: weights of any size may multiply them.
    """
    if readout not in get_args(Readout):
        raise ValueError(f"readout: expected 'last' or 'every', got {readout!r}")
    if not callable(getattr(witnesses, "layers", None)):
        raise ValueError(
            "witnesses: expected SampledWitnesses or GivenWitnesses, got "
            f"{type(witnesses).__name__}"
        )
    sequences = as_sequences(completed(X, record), witnesses.inputs)
    if isinstance(witnesses, SampledWitnesses) and record and record.kind == "Feedforward":
        own = witnesses.inputs - record.bias
        grid = InputGrid.fit(sequences[..., :own], scaled=True, centred=record.bias)
        return grid.take_first(sequences, fitted=True), grid
    grid = InputGrid.fit(sequences)
    if not (isinstance(witnesses, SampledWitnesses) or grid.is_default):
        return sequences, None
    return grid.take(sequences, fitted=True), grid


def completed(X: ArrayLike, record: ClassRecord | None) -> ArrayLike:
    """Return points (n, d) of threshold units as sequences of one step, with the ones of a bias."""
    if record is None or record.kind != "Feedforward" or len(array_shape("X", X)) != 2:
        return X
    points = real_array("X", X)[:, None]
    return (
        np.concatenate([points, np.ones_like(points[..., :1])], axis=2) if record.bias else points
    )
