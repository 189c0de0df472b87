"""The two sides of a task: four fifths to train on, one fifth to test on."""

import numpy as np
from numpy.typing import NDArray

from .arguments import Split


def choose(split: Split, count: int, classes: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """Return the indices of one side of a fixed split of ``count`` samples, in increasing order.

    If ``classes`` (count,) are given, each class has the same share on both sides.

    Raises
    ------
    ValueError
        If the samples, or those of a class, are too few for two sides.
    """
    if split == "all":
        return np.arange(count)
    # imported here, because scikit-learn takes three times as long to load as bidual
    from sklearn.model_selection import train_test_split

    try:
        train, test = train_test_split(
            np.arange(count), test_size=0.2, stratify=classes, random_state=0
        )
    except ValueError:
        each = "" if classes is None else f" of {len(np.unique(classes))} classes"
        raise ValueError(
            f"split: expected 'all', since {count} samples{each} are too few for two sides with "
            f"the same share of each class, got {split!r}"
        ) from None
    chosen: NDArray[np.int64] = np.sort(train if split == "train" else test)
    return chosen
