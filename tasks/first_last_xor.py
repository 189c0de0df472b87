"""FIRST-LAST-XOR: remember the first bit of a string until the last one comes."""

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.validation import check_whole
from .arguments import Split, check_split
from .splits import choose

_ENUMERATED = 16  # up to this number of steps, all strings are returned
_LONGEST = 62  # 64-bit integers can number strings up to this length


def first_last_xor(
    split: Split = "all", *, steps: int = 6, samples: int | None = None, seed: int = 0
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return binary strings with the exclusive or of their first and last bit.

    Both classes have the same number of strings. No string occurs twice, so the
    test side shares no string with the training side. Udupi, Yang and Zhai (2026)
    sample with repetition: with 6 steps every test string is in training.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All strings, or one side of a stratified split, four fifths and one fifth.
    steps : int
        Length T of a string, 3 to 62.
    samples : int, optional
        Number of strings to draw from the 2**T, even and at least 8. By default all
        strings, if T <= 16.
    seed : int
        Seed of the draw.

    Returns
    -------
    X : (n, T, 2) float64 array
        Bits, one-hot: a 1 at index 0 or 1. Strings are in increasing binary order.
    y : (n,) int array
        x_1 xor x_T.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    >>> import bidual as bd
    >>> X, y = bd.tasks.first_last_xor(steps=3)
    >>> X[:, :, 1].astype(int).tolist()[:4], y[:4].tolist()
    ([[0, 0, 0], [0, 0, 1], [0, 1, 0], [0, 1, 1]], [0, 1, 0, 1])
    """
    check_split(split)
    check_whole("steps", steps, 3, _LONGEST)
    check_whole("seed", seed, 0)
    if samples is None and steps > _ENUMERATED:
        raise ValueError(
            f"samples: expected the number of strings to draw, got None; None returns all "
            f"strings, up to {_ENUMERATED} steps"
        )
    each = 2 ** (int(steps) - 1)  # strings per class: one per head, i.e. all bits but the last
    if samples is not None:
        check_whole("samples", samples, 8, 2 * each)
        if samples % 2:
            raise ValueError(f"samples: expected an even number, got {samples}")
    count = each if samples is None else samples // 2
    rng = np.random.default_rng(seed)
    strings = []
    for label in (0, 1):
        heads = rng.choice(each, count, replace=False) if count < each else np.arange(each)
        last = (heads >> (steps - 2)) ^ label
        strings.append(2 * heads + last)
    numbers = np.sort(np.concatenate(strings))
    bits = (numbers[:, None] >> np.arange(steps)[::-1]) & 1
    y = bits[:, 0] ^ bits[:, -1]
    chosen = choose(split, len(y), y)
    return np.stack([1.0 - bits, bits], axis=2)[chosen], y[chosen]
