"""Addition of two numbers, one digit per step, with carries."""

from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..dictionaries.validation import check_whole
from .arguments import Split, check_split
from .splits import choose

Head = Literal["digit", "carry"]

_ENUMERATED = 2**16  # up to this number of sums, all are returned


def addition(
    split: Split = "all",
    *,
    base: int = 2,
    digits: int = 5,
    samples: int | None = None,
    head: Head = "digit",
    seed: int = 0,
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Return sums of two numbers, least significant digit first, with a label at every step.

    Step t reads both digits and the incoming carry. One more step follows the last
    digit, with the final carry alone. Use it with ``LIF(readout="every")``.

    Parameters
    ----------
    split : {"all", "train", "test"}
        All sums, or one side of a split of the distinct sums, four fifths and one fifth.
    base : int
        b, 2 to 65,536.
    digits : int
        Number of digits of either number; a sequence has T = digits + 1 steps.
    samples : int, optional
        Number of sums to draw, uniformly and independently. A sum may be drawn twice,
        but is never on both sides. By default all 2 * b**(2 * digits) sums, if these
        are at most 65,536.
    head : {"digit", "carry"}
        Labels: digits of the sum, or carries. The inputs are the same.
    seed : int
        Seed of the draw.

    Returns
    -------
    X : (n, T, 3) float64 array
        (a_t, b_t, c_t) / (b - 1), rounded to multiples of 2**-20, exact for
        b = 2. The first carry is 0 or 1, like all later carries. Udupi, Yang and Zhai
        (2026) draw it from 0 to b - 1, and no later step has the larger values.
    y : (n, T) int array
        (a_t + b_t + c_t) mod b, or the carry to the next step, 0 at the last.

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
        raise ValueError(
            f"samples: expected the number of sums to draw out of {numbers}, got None; "
            f"None returns all sums, up to {_ENUMERATED}"
        )
    if samples is None:
        # the carry-in varies fastest, then the digits of both numbers
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
    return np.rint(inputs / (base - 1) * 2**20) / 2**20, y
