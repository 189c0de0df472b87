"""Targets from labels: numbers stay as they are, classes become -1 and +1, or one-hot rows."""

import numpy as np
from numpy.typing import ArrayLike, NDArray

from .losses import Loss


def encode(
    y: ArrayLike, n_rows: int, loss: Loss
) -> tuple[NDArray[np.float64], NDArray[np.generic] | None]:
    """Turn labels or numbers into targets (N, C), and tell the classes of labels.

    One-dimensional integers, booleans and strings are labels: two classes make
    one output, +1 for the larger; C > 2 classes make C outputs, one against
    the rest. For the softmax loss C >= 2 classes make one-hot rows. Floats,
    and anything of two dimensions, are targets as they stand.

    Parameters
    ----------
    y : (N,) or (N, C) array
    n_rows : int
        The N that is expected.
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
    labels = np.asarray(y)
    if labels.dtype == object and all(isinstance(label, str) for label in labels.flat):
        labels = labels.astype(str)  # as pandas keeps them
    if labels.ndim not in (1, 2) or labels.shape[0] != n_rows or labels.size == 0:
        raise ValueError(
            f"y: expected shape ({n_rows},) or ({n_rows}, C), one entry a row, got {labels.shape}"
        )
    if labels.dtype.kind not in "biufUS":
        raise ValueError(f"y: expected numbers or strings, got dtype {labels.dtype}")
    if labels.ndim == 1 and labels.dtype.kind != "f":
        classes = np.unique(labels)
        if classes.size < 2:
            raise ValueError(f"y: expected at least two classes, got only {classes.tolist()}")
        if not loss.separable:
            return np.where(labels[:, None] == classes, 1.0, 0.0), classes
        positive = classes[1:] if classes.size == 2 else classes
        return np.where(labels[:, None] == positive, 1.0, -1.0), classes
    if labels.dtype.kind in "US":
        raise ValueError("y: strings are labels and need shape (N,), got two dimensions")
    targets = labels.astype(np.float64).reshape(n_rows, -1)
    loss.check_targets(targets)
    if loss.labels and labels.ndim == 1 and np.ptp(targets) == 0:
        raise ValueError(f"y: expected at least two classes, got only {targets[0, 0]}")
    return targets, None
