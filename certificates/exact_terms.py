"""Objectives and conjugates of rows in integers, rounded to the side that weakens a proof.

All arguments are arrays of integers over powers of two (``a`` of rows, ``z`` fits, ``y``
targets, ``v`` dual points); a sum over an output's rows comes back over ``2^bits``,
every row's share rounded up, or down, to an integer first. ``checker.py`` does the
same one row at a time, and shares no line with this file.

Arrays are int64 as long as their entries are below 2^61, so that two or three of them
may be added, and else of Python's own integers. What makes them longer, products and
shifts, finds out which.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np

from ..dictionaries.validation import Array
from .integer_logs import LOG_BITS, Integers, integer_exps, integer_logs

_INT64_BITS = 61  # of what may still be added
_FEW = 1 << 14  # exponentials that int64 adds up


@dataclass(frozen=True)
class Scaled:
    """Integers (C, N) over 2^bits."""

    integers: Integers
    bits: int


def integer_array(values: list[int]) -> Integers:
    """Python's integers as an array."""
    fit = max(map(abs, values)).bit_length() <= _INT64_BITS
    return np.array(values, dtype=np.int64 if fit else object)


def dyadic(value: float) -> tuple[int, int]:
    """A float as an integer and its bits: value = integer / 2^bits."""
    numerator, denominator = float(value).as_integer_ratio()
    return numerator, denominator.bit_length() - 1


def to_integers(values: Array) -> Scaled:
    """Floats (C, N) as integers over the least power of two that takes all of them."""
    different, where = np.unique(values, return_inverse=True)
    ratios = [x.as_integer_ratio() for x in different.tolist()]
    bits = max(d.bit_length() - 1 for _, d in ratios)
    whole = integer_array([m << (bits + 1 - d.bit_length()) for m, d in ratios])
    return Scaled(whole[where].reshape(values.shape), bits)


def _length(x: Integers) -> int:
    """Bits of the largest entry."""
    return int(np.abs(x).max(initial=0)).bit_length()


def _shifted(x: Integers, bits: int) -> Integers:
    """Entries times 2^bits, bits >= 0."""
    wide = x.dtype != object and _length(x) + bits > _INT64_BITS
    return (x.astype(object) if wide else x) << bits


def _product(x: Integers, y: Integers) -> Integers:
    both = x.dtype != object and y.dtype != object
    wide = both and _length(x) + _length(y) > _INT64_BITS
    return (x.astype(object) if wide else x) * y


def _floors(x: Integers, shift: int) -> list[int]:
    """Entries / 2^shift, rounded down."""
    floors: list[int] = (x >> shift if shift >= 0 else _shifted(x, -shift)).tolist()
    return floors


def total_loss(
    loss: str,
    delta: tuple[int, int],
    a: Scaled,
    z: Scaled,
    y: Scaled,
    bits: int,
    upper: bool,
    counts: Sequence[int] | None = None,
) -> int:
    """Sum over rows and outputs of a_i loss(z_i, y_i), over 2^bits, from above or from below.

    ``delta`` is huber's, an integer and its bits; ``counts`` tells how many rows each
    stands for, one unless given.
    """
    weights = -a.integers[0] if upper else a.integers[0]
    total = 0
    for values, scale in _losses(loss, delta, z, y, upper):
        shares = _floors(_product(weights, values), a.bits + scale - bits)
        total += sum(shares if counts is None else map(mul, shares, counts))
    return -total if upper else total


def _losses(
    loss: str, delta: tuple[int, int], z: Scaled, y: Scaled, upper: bool
) -> Iterator[tuple[Integers, int]]:
    """Losses of rows, output by output or all outputs together, and the bits that they are over."""
    if loss == "softmax":
        yield _cross_entropies(z, y, upper)
        return
    for fits, targets in zip(z.integers, y.integers, strict=True):
        if loss == "logistic":
            yield _logistic(fits, targets, z.bits, upper)
            continue
        if loss in ("hinge", "squared_hinge"):
            scale = max(z.bits, 0)
            ones = _shifted(np.ones_like(fits), scale)
            margins = _shifted(_product(targets, fits), scale - z.bits)
            values = np.maximum(ones - margins, 0)
        else:
            scale = max(z.bits, y.bits)
            values = np.abs(_shifted(fits, scale - z.bits) - _shifted(targets, scale - y.bits))
        if loss in ("squared", "squared_hinge"):
            values, scale = _product(values, values), 2 * scale + 1
        elif loss == "huber":
            finer = max(scale, delta[1])
            r = _shifted(values, finer - scale)
            d = _shifted(integer_array([delta[0]]), finer - delta[1])
            values, scale = np.where(r <= d, _product(r, r), _product(d, 2 * r - d)), 2 * finer + 1
        yield values, scale


def _log_sums(exps: Integers, upper: bool) -> Integers:
    """ln(x / 2^LOG_BITS) >= 0 over 2^LOG_BITS."""
    lows, highs = integer_logs(np.append(exps, 1 << LOG_BITS))
    logs: Integers = highs[:-1] - lows[-1] if upper else np.maximum(lows[:-1] - highs[-1], 0)
    return logs


def _logistic(fits: Integers, targets: Integers, bits: int, upper: bool) -> tuple[Integers, int]:
    """ln(1 + exp(-yz)) = ln(1 + exp(-|z|)) + max(0, -yz), and the bits that it is over."""
    exps = integer_exps(np.abs(fits), bits)[upper]
    logs = _log_sums(exps + (1 << LOG_BITS), upper)
    scale = max(LOG_BITS, bits)
    wrong = np.maximum(_product(-targets, fits), 0)
    return _shifted(logs, scale - LOG_BITS) + _shifted(wrong, scale - bits), scale


def _cross_entropies(z: Scaled, y: Scaled, upper: bool) -> tuple[Integers, int]:
    """Logsumexp of each row less the fit of its label, and the bits that it is over."""
    below = z.integers.max(axis=0) - z.integers
    exps = integer_exps(below.ravel(), z.bits)[upper].reshape(below.shape)
    logs = _log_sums(exps.sum(axis=0, dtype=np.int64 if len(exps) < _FEW else object), upper)
    scale = max(LOG_BITS, z.bits)
    of_label = below[y.integers.argmax(axis=0), np.arange(below.shape[1])]
    return _shifted(logs, scale - LOG_BITS) + _shifted(of_label, scale - z.bits), scale


def total_bound(loss: str, a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    """Sum over rows and outputs of -(a_i loss)*(-V_i), over 2^bits, from below."""
    fine = max(v.bits, a.bits)
    up = fine - v.bits
    masses = _shifted(a.integers[0], fine - a.bits)
    if loss == "softmax":
        parts = _product(masses, y.integers) - _shifted(v.integers, up)
        return _entropies(parts, masses, fine, bits)
    total = 0
    for targets, dual in zip(y.integers, v.integers, strict=True):
        if loss == "logistic":
            spikes = _shifted(_product(targets, dual), up)
            total += _entropies([spikes, masses - spikes], masses, fine, bits)
        elif loss in ("hinge", "absolute"):
            total += sum(_floors(_product(targets, dual), v.bits + y.bits - bits))
        else:
            total += _quadratic(masses, targets, dual, up, y.bits, fine, bits)
    return total


def _quadratic(
    masses: Integers,
    targets: Integers,
    dual: Integers,
    up: int,
    target_bits: int,
    fine: int,
    bits: int,
) -> int:
    """Sum of v y - v^2 / 2a; rows of weight 0 have v = 0 and add nothing."""
    coarse = max(target_bits, 0)
    entries = _shifted(dual, up)
    linear = _shifted(_product(masses, targets), coarse - target_bits + 1)
    above = _product(entries, linear - _shifted(entries, coarse))
    shift = 1 + coarse + fine - bits
    # floors of floors are the floors of the whole, of smaller numbers
    above = above >> shift if shift >= 0 else _shifted(above, -shift)
    return sum((above // np.maximum(masses, 1)).tolist())


def _entropies(parts: Iterable[Integers], masses: Integers, fine: int, bits: int) -> int:
    """Sum over rows of sum over parts ln(mass / part), over 2^fine; the parts add up to it."""
    wholes = integer_logs(np.maximum(masses, 1))[0]
    sums = np.zeros(len(masses), dtype=object)
    for part in parts:
        highs = integer_logs(np.maximum(part, 1))[1]
        sums += _product(part, np.maximum(wholes - highs, 0))
    return sum(_floors(sums, fine + LOG_BITS - bits))
