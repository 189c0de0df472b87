"""Objectives and conjugates of rows in integers, rounded to the side that weakens a proof.

All arguments are arrays of integers over powers of two: row weights ``a``, fits ``z``, targets
``y``, dual points ``v``. A sum over an output's rows is an integer over ``2^bits``; the share
of every row is first rounded up, or down, to an integer. ``checker.py`` computes the same one
row at a time. It shares no code with this file on purpose: each tests the other.

Arrays are int64 while their entries are below 2^61, so that two or three of them can be added;
longer entries are Python integers. Products and shifts, which lengthen entries, choose the
type. ``EXACT_LOSSES`` lists the losses that can be proven in integers.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from operator import mul

import numpy as np

from ..dictionaries.validation import Array
from ..formulations.losses import (
    Absolute,
    Hinge,
    Huber,
    Logistic,
    Loss,
    Softmax,
    Squared,
    SquaredHinge,
)
from .integer_logs import LOG_BITS, Integers, integer_exps, integer_logs

_INT64_BITS = 61  # longest entries that int64 can still add
_FEW = 1 << 14  # int64 can add fewer exponentials than this


@dataclass(frozen=True)
class Scaled:
    """Integers (C, N) over 2^bits."""

    integers: Integers
    bits: int


def integer_array(values: list[int]) -> Integers:
    """Make an array of Python integers, int64 if they fit."""
    fit = max(map(abs, values)).bit_length() <= _INT64_BITS
    return np.array(values, dtype=np.int64 if fit else object)


def dyadic(value: float) -> tuple[int, int]:
    """Write a float as an integer and its bits: value = integer / 2^bits."""
    numerator, denominator = float(value).as_integer_ratio()
    return numerator, denominator.bit_length() - 1


def to_integers(values: Array) -> Scaled:
    """Write floats (C, N) as integers over the smallest power of two that holds them all."""
    different, where = np.unique(values, return_inverse=True)
    ratios = [x.as_integer_ratio() for x in different.tolist()]
    bits = max(d.bit_length() - 1 for _, d in ratios)
    whole = integer_array([m << (bits + 1 - d.bit_length()) for m, d in ratios])
    return Scaled(whole[where].reshape(values.shape), bits)


def _length(x: Integers) -> int:
    """Return the bits of the largest entry."""
    return int(np.abs(x).max(initial=0)).bit_length()


def _shifted(x: Integers, bits: int) -> Integers:
    """Multiply entries by 2^bits, bits >= 0."""
    wide = x.dtype != object and _length(x) + bits > _INT64_BITS
    return (x.astype(object) if wide else x) << bits


def _product(x: Integers, y: Integers) -> Integers:
    both = x.dtype != object and y.dtype != object
    wide = both and _length(x) + _length(y) > _INT64_BITS
    return (x.astype(object) if wide else x) * y


def _floors(x: Integers, shift: int) -> list[int]:
    """Divide entries by 2^shift, rounded down."""
    floors: list[int] = (x >> shift if shift >= 0 else _shifted(x, -shift)).tolist()
    return floors


def total_loss(
    loss: Loss,
    a: Scaled,
    z: Scaled,
    y: Scaled,
    bits: int,
    upper: bool,
    counts: Sequence[int] | None = None,
) -> int:
    """Bound the sum over rows and outputs of a_i loss(z_i, y_i), over 2^bits.

    The bound is above the sum if ``upper``, else below it. Row i counts ``counts[i]`` times,
    by default once.
    """
    weights = -a.integers[0] if upper else a.integers[0]
    values_of, total = EXACT_LOSSES[type(loss)].values, 0
    # output by output, or all outputs of a row together
    rows = (
        zip(z.integers, y.integers, strict=True) if loss.separable else [(z.integers, y.integers)]
    )
    for fits, targets in rows:
        values, scale = values_of(Scaled(fits, z.bits), Scaled(targets, y.bits), loss.delta, upper)
        shares = _floors(_product(weights, values), a.bits + scale - bits)
        total += sum(shares if counts is None else map(mul, shares, counts))
    return -total if upper else total


def total_bound(loss: Loss, a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    """Bound the sum over rows and outputs of -(a_i loss)*(-V_i), over 2^bits, from below."""
    bound_of, total = EXACT_LOSSES[type(loss)].bound, 0
    rows = (
        zip(v.integers, y.integers, strict=True) if loss.separable else [(v.integers, y.integers)]
    )
    for dual, targets in rows:
        total += bound_of(
            Scaled(a.integers[0], a.bits), Scaled(dual, v.bits), Scaled(targets, y.bits), bits
        )
    return total


def _residuals(z: Scaled, y: Scaled) -> Scaled:
    """Return |z - y|."""
    bits = max(z.bits, y.bits)
    apart = _shifted(z.integers, bits - z.bits) - _shifted(y.integers, bits - y.bits)
    return Scaled(np.abs(apart), bits)


def _hinges(z: Scaled, y: Scaled) -> Scaled:
    """Return max(0, 1 - y z); labels have bits 0."""
    bits = max(z.bits, 0)
    ones = _shifted(np.ones_like(z.integers), bits)
    margins = _shifted(_product(y.integers, z.integers), bits - z.bits)
    return Scaled(np.maximum(ones - margins, 0), bits)


def _half_square(x: Scaled) -> tuple[Integers, int]:
    return _product(x.integers, x.integers), 2 * x.bits + 1


def _squared_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    return _half_square(_residuals(z, y))


def _absolute_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    apart = _residuals(z, y)
    return apart.integers, apart.bits


def _huber_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    apart, (whole, bits) = _residuals(z, y), dyadic(delta)
    finer = max(apart.bits, bits)
    r = _shifted(apart.integers, finer - apart.bits)
    d = _shifted(integer_array([whole]), finer - bits)
    return np.where(r <= d, _product(r, r), _product(d, 2 * r - d)), 2 * finer + 1


def _hinge_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    short = _hinges(z, y)
    return short.integers, short.bits


def _squared_hinge_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    return _half_square(_hinges(z, y))


def _log_sums(exps: Integers, upper: bool) -> Integers:
    """Bound ln(x / 2^LOG_BITS) >= 0, over 2^LOG_BITS, from above if ``upper`` or below."""
    lows, highs = integer_logs(np.append(exps, 1 << LOG_BITS))
    logs: Integers = highs[:-1] - lows[-1] if upper else np.maximum(lows[:-1] - highs[-1], 0)
    return logs


def _logistic_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    """Return ln(1 + exp(-yz)) = ln(1 + exp(-|z|)) + max(0, -yz), and its bits."""
    exps = integer_exps(np.abs(z.integers), z.bits)[upper]
    logs = _log_sums(exps + (1 << LOG_BITS), upper)
    scale = max(LOG_BITS, z.bits)
    wrong = np.maximum(_product(-y.integers, z.integers), 0)
    return _shifted(logs, scale - LOG_BITS) + _shifted(wrong, scale - z.bits), scale


def _softmax_values(z: Scaled, y: Scaled, delta: float, upper: bool) -> tuple[Integers, int]:
    """Return the logsumexp of each row minus the fit of its label, and its bits."""
    below = z.integers.max(axis=0) - z.integers
    exps = integer_exps(below.ravel(), z.bits)[upper].reshape(below.shape)
    logs = _log_sums(exps.sum(axis=0, dtype=np.int64 if len(exps) < _FEW else object), upper)
    scale = max(LOG_BITS, z.bits)
    of_label = below[y.integers.argmax(axis=0), np.arange(below.shape[1])]
    return _shifted(logs, scale - LOG_BITS) + _shifted(of_label, scale - z.bits), scale


def _linear_bound(a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    """Return the sum of v y, for hinge and absolute loss."""
    return sum(_floors(_product(y.integers, v.integers), v.bits + y.bits - bits))


def _quadratic_bound(a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    """Return the sum of v y - v^2 / 2a; rows of weight 0 have v = 0 and add nothing."""
    fine, masses = _finer(a, v)
    coarse = max(y.bits, 0)
    entries = _shifted(v.integers, fine - v.bits)
    linear = _shifted(_product(masses, y.integers), coarse - y.bits + 1)
    above = _product(entries, linear - _shifted(entries, coarse))
    shift = 1 + coarse + fine - bits
    # the floor of a floor is the floor of the quotient, with smaller numbers
    above = above >> shift if shift >= 0 else _shifted(above, -shift)
    return sum((above // np.maximum(masses, 1)).tolist())


def _logistic_bound(a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    fine, masses = _finer(a, v)
    spikes = _shifted(_product(y.integers, v.integers), fine - v.bits)
    return _entropies([spikes, masses - spikes], masses, fine, bits)


def _softmax_bound(a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    fine, masses = _finer(a, v)
    parts = _product(masses, y.integers) - _shifted(v.integers, fine - v.bits)
    return _entropies(parts, masses, fine, bits)


def _finer(a: Scaled, v: Scaled) -> tuple[int, Integers]:
    """Return bits that hold row weights and dual points alike, and the weights over them."""
    fine = max(v.bits, a.bits)
    return fine, _shifted(a.integers, fine - a.bits)


def _entropies(parts: Iterable[Integers], masses: Integers, fine: int, bits: int) -> int:
    """Bound the sum over rows and parts of part ln(mass / part); parts sum to their mass."""
    wholes = integer_logs(np.maximum(masses, 1))[0]
    sums = np.zeros(len(masses), dtype=object)
    for part in parts:
        highs = integer_logs(np.maximum(part, 1))[1]
        sums += _product(part, np.maximum(wholes - highs, 0))
    return sum(_floors(sums, fine + LOG_BITS - bits))


@dataclass(frozen=True)
class ExactLoss:
    """The integer arithmetic of a loss.

    ``values`` returns the losses of rows at fits z, of one output or of all together, and their
    bits. ``bound`` returns a lower bound on the sum of -(a loss)*(-v). ``spare`` units are cut
    off both ends of the domain, if the ends may lie off the grid.
    """

    values: Callable[[Scaled, Scaled, float, bool], tuple[Integers, int]]
    bound: Callable[[Scaled, Scaled, Scaled, int], int]
    spare: int = 0


EXACT_LOSSES: dict[type[Loss], ExactLoss] = {
    Squared: ExactLoss(_squared_values, _quadratic_bound),
    Absolute: ExactLoss(_absolute_values, _linear_bound),
    # rounding may move weight times delta outward: one unit less is inside
    Huber: ExactLoss(_huber_values, _quadratic_bound, spare=1),
    Hinge: ExactLoss(_hinge_values, _linear_bound),
    SquaredHinge: ExactLoss(_squared_hinge_values, _quadratic_bound),
    Logistic: ExactLoss(_logistic_values, _logistic_bound),
    Softmax: ExactLoss(_softmax_values, _softmax_bound),
}
