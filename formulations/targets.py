"""Targets, row weights and strengths as programs take them from callers."""

from typing import Literal

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries.validation import Array, check_number, finite_array
from ..networks.labels import label_array
from .losses import Loss

OVERFLOW = (
    "program: expected a finite objective at W = 0, but it overflows; scale the target or the "
    "row_weights down"
)
StepWeights = ArrayLike | Literal["ramp"]


def encode(
    y: ArrayLike, n_rows: int, loss: Loss
) -> tuple[NDArray[np.float64], NDArray[np.generic] | None]:
    """Turn labels or numbers into targets (N, C), and return the classes of labels.

    One-dimensional integers, booleans, strings and bytes are labels, also as objects (pandas).
    Two classes make one output, +1 for the larger label. C > 2 classes make C outputs, one
    against the rest. For the softmax loss C >= 2 classes make one-hot rows. Floats and arrays
    of two dimensions are targets and are used unchanged.

    Parameters
    ----------
    y : (N,) or (N, C) array
    n_rows : int
        The expected N.
    loss : Loss

    Returns
    -------
    targets : (N, C) float64 array
    classes : (2,) or (C,) array, or None for targets given as numbers

    Raises
    ------
    ValueError
        If y has another length, a single class, or numbers that the loss does not take.
    """
    labels = label_array("y", y)
    if labels.ndim not in (1, 2) or labels.shape[0] != n_rows or labels.size == 0:
        raise ValueError(
            f"y: expected shape ({n_rows},) or ({n_rows}, C), one entry per row, got {labels.shape}"
        )
    if labels.ndim == 1 and labels.dtype.kind != "f":
        classes = np.unique(labels)
        if classes.size < 2:
            raise ValueError(f"y: expected at least two classes, got only {classes.tolist()}")
        if not loss.separable:
            return np.where(labels[:, None] == classes, 1.0, 0.0), classes
        positive = classes[1:] if classes.size == 2 else classes
        return np.where(labels[:, None] == positive, 1.0, -1.0), classes
    if labels.dtype.kind in "SUT" or (labels.dtype.kind in "biu" and labels.shape[1:] == (1,)):
        raise ValueError(
            f"y: expected shape ({n_rows},) for labels, got {labels.dtype} of shape "
            f"{labels.shape}; use y[:, 0] (of a data frame y.iloc[:, 0]), or floats for numbers "
            "to fit"
        )
    targets = labels.astype(np.float64).reshape(n_rows, -1)
    loss.check_targets(targets)
    if loss.labels and labels.ndim == 1 and np.ptp(targets) == 0:
        raise ValueError(f"y: expected at least two classes, got only {targets[0, 0]}")
    return targets, None


def checked_row_weights(row_weights: ArrayLike | None, n: int) -> Array:
    """Return a copy of the row weights (n,), by default 1 / n; ValueError unless they are >= 0."""
    if row_weights is None:
        return np.full(n, 1.0 / n)
    weights: Array = finite_array("row_weights", row_weights, n).copy()
    if weights.min() < 0 or weights.max() == 0:
        raise ValueError(
            "row_weights: expected numbers >= 0, at least one above 0, got "
            f"{weights.min():.6g} to {weights.max():.6g}"
        )
    return weights


def checked_strength(strength: float) -> float:
    """Return the strength as a float; raise ValueError unless it is finite and >= 0."""
    check_number("strength", strength, zero=True)
    return float(strength)


def by_step(samples: int, steps: int, step_weights: StepWeights) -> Array:
    """Return row weights, step by step, from the weights alpha of steps."""
    if isinstance(step_weights, str):
        if step_weights != "ramp":
            raise ValueError(
                f"step_weights: expected 'ramp' or {steps} numbers, got {step_weights!r}"
            )
        alpha = 2.0 * np.arange(1, steps + 1) / (steps + 1)
    else:
        alpha = finite_array("step_weights", step_weights, steps)
    if alpha.min() < 0 or not alpha.any():
        raise ValueError(f"step_weights: expected numbers >= 0, not all 0, got {alpha}")
    repeated: Array = np.repeat(alpha / (samples * alpha.sum()), samples)
    return repeated
