"""The 1,797 real 8 x 8 handwritten digits that scikit-learn ships, read row by row."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray


def digits(
    split: Literal["all", "train", "test"] = "all",
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Handwritten digits as sequences: 8 rows of an image are 8 steps of 8 inputs.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All 1,797 images, or one side of a fixed stratified split (1,437 and 360).

    Returns
    -------
    X : (n, 8, 8) float64 array
        Grey levels in [0, 1], multiples of 1/16.
    y : (n,) int array
        The digit, 0 to 9.

    Raises
    ------
    ValueError
        If ``split`` is none of the three.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> X.shape, y[:5]
    ((1797, 8, 8), array([0, 1, 2, 3, 4]))
    """
    if split not in ("all", "train", "test"):
        raise ValueError(f"split: expected 'all', 'train' or 'test', got {split!r}")
    # imported here, since scikit-learn takes three times as long to load as bidual
    from sklearn.datasets import load_digits
    from sklearn.model_selection import train_test_split

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8) / 16
    if split == "all":
        return images, labels
    train, test = train_test_split(
        np.arange(len(labels)), test_size=0.2, stratify=labels, random_state=0
    )
    chosen = np.sort(train if split == "train" else test)
    return images[chosen], labels[chosen]
