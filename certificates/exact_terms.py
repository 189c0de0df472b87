"""Objectives and conjugates of rows in integers, rounded to the side that weakens a proof.

All arguments are Python integers over powers of two (``a`` of rows, ``z`` fits, ``y``
targets, ``v`` dual points); a sum over an output's rows comes back over ``2^bits``,
every row's share rounded up, or down, to an integer first. ``checker.py`` does the
same one row at a time, and shares no line with this file.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import repeat
from operator import floordiv, mul, neg, rshift, sub

from .integer_logs import LOG_BITS, integer_exps, integer_logs

Integers = Sequence[int]


@dataclass(frozen=True)
class Scaled:
    """Integers over 2^bits, a row of them for each output."""

    integers: list[list[int]]
    bits: int


def _sum_of_floors(values: Iterable[int], shift: int) -> int:
    """Sum of values / 2^shift, each rounded down."""
    return sum(map(rshift, values, repeat(shift)) if shift >= 0 else (x << -shift for x in values))


def _weighted(weights: Integers, values: Integers, shift: int, upper: bool) -> int:
    """Sum of products / 2^shift, each rounded up, or down."""
    products = map(mul, weights, values)
    return -_sum_of_floors(map(neg, products), shift) if upper else _sum_of_floors(products, shift)


def total_loss(
    loss: str, delta: tuple[int, int], a: Scaled, z: Scaled, y: Scaled, bits: int, upper: bool
) -> int:
    """Sum over rows and outputs of a_i loss(z_i, y_i), over 2^bits, from above or from below.

    ``delta`` is huber's, an integer and its bits.
    """
    weights = a.integers[0]
    if loss == "softmax":
        values, scale = _cross_entropies(z, y, upper)
        return _weighted(weights, values, a.bits + scale - bits, upper)
    total = 0
    for fits, targets in zip(z.integers, y.integers, strict=True):
        if loss == "logistic":
            values, scale = _logistic(fits, targets, z.bits, upper)
        elif loss in ("hinge", "squared_hinge"):
            scale = max(z.bits, 0)
            one, more = 1 << scale, scale - z.bits
            values = [max(one - (t * f << more), 0) for f, t in zip(fits, targets, strict=True)]
        else:
            scale = max(z.bits, y.bits)
            p, q = scale - z.bits, scale - y.bits
            values = [abs((f << p) - (t << q)) for f, t in zip(fits, targets, strict=True)]
        if loss in ("squared", "squared_hinge"):
            values, scale = list(map(mul, values, values)), 2 * scale + 1
        elif loss == "huber":
            finer = max(scale, delta[1])
            p, d = finer - scale, delta[0] << (finer - delta[1])
            values = [(r * r if r <= d else d * (2 * r - d)) for r in (x << p for x in values)]
            scale = 2 * finer + 1
        total += _weighted(weights, values, a.bits + scale - bits, upper)
    return total


def _log_sums(exps: list[int], upper: bool) -> list[int]:
    """ln(x / 2^LOG_BITS) >= 0 over 2^LOG_BITS."""
    lows, highs = integer_logs([1 << LOG_BITS, *exps])
    if upper:
        return [x - lows[0] for x in highs[1:]]
    return [x - highs[0] if x > highs[0] else 0 for x in lows[1:]]


def _logistic(fits: Integers, targets: Integers, bits: int, upper: bool) -> tuple[list[int], int]:
    """ln(1 + exp(-yz)) = ln(1 + exp(-|z|)) + max(0, -yz), and the bits that it is over."""
    one = 1 << LOG_BITS
    exps = integer_exps([abs(f) for f in fits], bits)[upper]
    logs = _log_sums([one + x for x in exps], upper)
    scale = max(LOG_BITS, bits)
    p, q = scale - LOG_BITS, scale - bits
    values = [
        (log << p) + (-t * f << q if t * f < 0 else 0)
        for log, f, t in zip(logs, fits, targets, strict=True)
    ]
    return values, scale


def _cross_entropies(z: Scaled, y: Scaled, upper: bool) -> tuple[list[int], int]:
    """Logsumexp of each row less the fit of its label, and the bits that it is over."""
    largest = [max(row) for row in zip(*z.integers, strict=True)]
    sums = [0] * len(largest)
    for fits in z.integers:
        below = [m - f for m, f in zip(largest, fits, strict=True)]
        exps = integer_exps(below, z.bits)[upper]
        sums = [s + x for s, x in zip(sums, exps, strict=True)]
    labels = [
        sum(f * t for f, t in zip(fits, targets, strict=True))
        for fits, targets in zip(
            zip(*z.integers, strict=True), zip(*y.integers, strict=True), strict=True
        )
    ]
    scale = max(LOG_BITS, z.bits)
    p, q = scale - LOG_BITS, scale - z.bits
    logs = _log_sums(sums, upper)
    return [
        (log << p) + ((m - f) << q) for log, m, f in zip(logs, largest, labels, strict=True)
    ], scale


def total_bound(loss: str, a: Scaled, v: Scaled, y: Scaled, bits: int) -> int:
    """Sum over rows and outputs of -(a_i loss)*(-V_i), over 2^bits, from below."""
    fine = max(v.bits, a.bits)
    up = fine - v.bits
    masses = [w << (fine - a.bits) for w in a.integers[0]]
    if loss == "softmax":
        parts = [
            [m * t - (x << up) for m, t, x in zip(masses, targets, dual, strict=True)]
            for targets, dual in zip(y.integers, v.integers, strict=True)
        ]
        return _entropies(parts, masses, fine, bits)
    total = 0
    for targets, dual in zip(y.integers, v.integers, strict=True):
        if loss == "logistic":
            spikes = [t * x << up for t, x in zip(targets, dual, strict=True)]
            rest = [m - s for m, s in zip(masses, spikes, strict=True)]
            total += _entropies([spikes, rest], masses, fine, bits)
        elif loss in ("hinge", "absolute"):
            total += _weighted(targets, dual, v.bits + y.bits - bits, False)
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
    p, shift = coarse - target_bits + 1, 1 + coarse + fine - bits
    entries = [v << up for v in dual]
    linear = [x << p for x in map(mul, masses, targets)]
    above = map(mul, entries, map(sub, linear, [v << coarse for v in entries]))
    below = [mass or 1 for mass in masses]
    if shift >= 0:  # floors of floors are the floors of the whole, of smaller numbers
        return sum(map(floordiv, map(rshift, above, repeat(shift)), below))
    return sum(map(floordiv, [x << -shift for x in above], below))


def _entropies(parts: list[list[int]], masses: Integers, fine: int, bits: int) -> int:
    """Sum over rows of sum over parts ln(mass / part), over 2^fine; the parts add up to it."""
    used = [mass or 1 for mass in masses]
    wholes = integer_logs(used)[0]
    sums = [0] * len(used)
    for part in parts:
        highs = integer_logs([x or 1 for x in part])[1]
        sums = [
            s + x * (whole - high) if whole > high else s
            for s, x, whole, high in zip(sums, part, wholes, highs, strict=True)
        ]
    return _sum_of_floors(sums, fine + LOG_BITS - bits)
