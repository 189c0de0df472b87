"""Labels of a network's outputs: two for one output, else one per output."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def checked_labels(classes: ArrayLike, outputs: int) -> NDArray[np.generic]:
    """Return the labels as an array; raise ValueError unless they fit the number of outputs."""
    labels = np.asarray(classes)
    if labels.shape != (max(outputs, 2),):
        raise ValueError(f"classes: expected shape ({max(outputs, 2)},), got {labels.shape}")
    if any(isinstance(label, float) and np.isnan(label) for label in labels.tolist()):
        raise ValueError("classes: expected labels, got NaN")
    return labels


def chosen_labels(outputs: NDArray[np.float64], labels: NDArray[np.generic]) -> NDArray[np.generic]:
    """Return the label of each output (..., C): by the sign if C = 1, else by the largest."""
    if outputs.shape[-1] == 1:
        chosen = (outputs[..., 0] >= 0).astype(np.intp)
    else:
        chosen = outputs.argmax(axis=-1)
    found: NDArray[np.generic] = labels[chosen]
    return found
