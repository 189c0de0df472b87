"""The 1,797 real 8 x 8 handwritten digits that scikit-learn ships, read row by row."""

import numpy as np
from numpy.typing import NDArray

from .arguments import Split, check_split
from .splits import choose


def digits(split: Split = "all") -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return handwritten digits as sequences: 8 rows of an image are 8 steps of 8 inputs.

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
        If ``split`` is another string.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.digits()
    >>> X.shape, y[:5]
    ((1797, 8, 8), array([0, 1, 2, 3, 4]))
    """
    check_split(split)
    # imported here, because scikit-learn takes three times as long to load as bidual
    from sklearn.datasets import load_digits

    pixels, labels = load_digits(return_X_y=True)
    images = pixels.reshape(-1, 8, 8) / 16
    chosen = choose(split, len(labels), labels)
    return images[chosen], labels[chosen]
