"""Addition of two numbers, a digit a step, with carries."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..dictionaries import check_sequences
from ..dictionaries.validation import check_whole
from .arguments import Split, check_split
from .splits import choose

Head = Literal["digit", "carry"]

_ENUMERATED = 2**16  # sums up to which all are given


def addition(
    split: Split = "all",
    *,
    base: int = 2,
    digits: int = 5,
    samples: int | None = None,
    head: Head = "digit",
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Sums of two numbers, least significant digit first, with a label at every step.

    Step t reads both digits and the carry that came in; after the last digit
    comes one more step, with the final carry alone. For ``LIF(readout="every")``.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All sums, or one side of a split of the different ones, four fifths and one fifth.
    base : int
        b, 2 to 65,536.
    digits : int
        Digits of either number; there are T = digits + 1 steps.
    samples : int, optional
        How many sums are drawn, uniformly and each on its own, so that one may
        come twice, but never on both sides. All 2 * b**(2 * digits) of them
        unless given, which goes up to 65,536.
    head : {"digit", "carry"}
        What the labels are: digits of the sum, or carries. The inputs are the same.
    seed : int
        Which sums are drawn.

    Returns
    -------
    X : (n, T, 3) float64 array
        (a_t, b_t, c_t) / (b - 1), on the grid of 2**-20 of rollouts, exact for
        b = 2. The first carry is 0 or 1, as all that follow are: Udupi, Yang and
        Zhai (2026) draw it from 0 to b - 1, whose larger values no later step has.
    y : (n, T) int array
        (a_t + b_t + c_t) mod b, or what it carries to the next step, 0 at the last.

    Raises
    ------
    ValueError
        If an argument is out of its range.

    Examples
    --------
    1 + 3 = 4, whose digits are 0, 0, 1:

    >>> import bidual as bd
    >>> X, y = bd.tasks.addition(digits=2)
    >>> X[26].astype(int).tolist(), y[26].tolist()
    ([[1, 1, 0], [0, 1, 1], [0, 0, 1]], [0, 0, 1])
    """
    check_split(split)
    check_whole("base", base, 2, 2**16)
    check_whole("digits", digits, 1)
    check_whole("seed", seed, 0)
    if head not in get_args(Head):
        raise ValueError(f"head: expected 'digit' or 'carry', got {head!r}")
    numbers = 2 * int(base) ** (2 * int(digits))
    if samples is None and numbers > _ENUMERATED:
        raise ValueError(f"samples: expected how many of the {numbers} sums to draw, got None")
    if samples is None:
        # the carry-in, then the digits of both, count fastest
        pairs, carry = np.divmod(np.arange(numbers), 2)
        drawn = pairs[:, None] // base ** np.arange(2 * digits) % base
    else:
        check_whole("samples", samples, 10)
        rng = np.random.default_rng(seed)
        drawn = rng.integers(0, base, (samples, 2 * digits))
        carry = rng.integers(0, 2, samples)
    different, which = np.unique(np.column_stack([drawn, carry]), axis=0, return_inverse=True)
    chosen = np.isin(which, choose(split, len(different)))
    drawn, carry = drawn[chosen], carry[chosen]

    inputs = np.zeros((len(carry), digits + 1, 3))
    inputs[:, :digits, :2] = drawn.reshape(-1, 2, digits).swapaxes(1, 2)
    y = np.empty(inputs.shape[:2], dtype=np.int64)
    for t in range(digits + 1):
        inputs[:, t, 2] = carry
        carry, digit = np.divmod(inputs[:, t].sum(axis=1).astype(np.int64), base)
        y[:, t] = digit if head == "digit" else carry
    return check_sequences(inputs / (base - 1)), y
