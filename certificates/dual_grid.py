"""Round a dual point to integers that satisfy every constraint exactly.

The steps come in the order that loses the least: shrink V by the amount that rounding may add
to a price; round to multiples of 2^-bits, towards the inside of the loss's domain; where sums
must be 0, restore them in whole units, in rows with room; add up the prices exactly. A block
whose price still exceeds the strength is shrunk further and rounded again.

Integers are int64, or Python integers on a wide grid. On a wide grid V itself is first exact, and
is then shrunk in integers: floats would round it more coarsely than the strength may allow.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formulations import ConvexProgram
from .exact_terms import EXACT_LOSSES

Integers = NDArray[Any]  # int64, or Python integers
Floats = NDArray[np.float64]

_ATTEMPTS = 40  # each attempt doubles the room for rounding
_LIMB = 32  # bits of the int64 parts of Python integers in products
_ENDLESS = 1 << 400  # beyond every integer of a grid


def feasible_integers(
    program: ConvexProgram, dual_point: Floats, bits: int, wide: bool = False
) -> Integers:
    """Return V (N, C) over 2^bits, exactly feasible and close to a nearly feasible dual point.

    A block for which no other V is found becomes V = 0, which proves the bound 0.
    """
    lower, upper = _domain(program, bits)
    v: Any = dual_point.copy()
    if wide:
        lower, upper = to_python_integers(lower, 0), to_python_integers(upper, 0)
        if EXACT_LOSSES[type(program.loss)].spare:  # a rounded product, off by more units here
            lower, upper = lower + (-lower >> 52), upper - (upper >> 52)
        v = to_python_integers(dual_point, bits)
    strength, scale = program.strength.as_integer_ratio()
    # prices are integers, and so is their norm's square
    if bits >= 0:
        strength <<= bits
    else:
        scale <<= -bits
    limit, exact_limit = strength // scale, strength**2 // scale**2
    done = np.zeros_like(v) if wide else np.zeros_like(v, dtype=np.int64)
    left = list(program.blocks)
    typical = 2 * int(np.ceil(np.sqrt(len(v))))  # the usual sum of errors of half a unit
    for attempt in range(_ATTEMPTS):
        room = typical << attempt
        # V without shrinking may fit where the strength is a few units, or 0
        shrunk = not wide and limit > room
        for block in left if shrunk else []:
            v[:, block] *= 1.0 - room / limit
        outputs = [c for block in left for c in block]
        rounded = _rounded(program, v, lower, upper, bits)[:, outputs]
        prices = exact_product(program.design.rmatvec_exact, rounded)
        again = []
        for block in left:
            places = [outputs.index(c) for c in block]
            cost = _most(prices[:, places], program.norm_width)
            if cost <= (exact_limit if program.norm_width > 1 else limit):
                done[:, block] = rounded[:, places]
            else:
                again.append(block)
                if wide:
                    norm = cost if program.norm_width == 1 else math.isqrt(cost) + 1
                    v[:, block] = v[:, block] * max(limit - room, 0) // norm
        left = again
        if not left or limit <= room:
            break
    return done


def to_python_integers(values: Floats, bits: int) -> Integers:
    """Return values times 2^bits as Python integers, rounded to the nearest; infinities as long."""

    def integer(value: float) -> int:
        if math.isinf(value):
            return _ENDLESS if value > 0 else -_ENDLESS
        numerator, denominator = value.as_integer_ratio()
        numerator <<= max(bits, 0)
        denominator <<= max(-bits, 0)
        return (2 * numerator + denominator) // (2 * denominator)

    found = np.empty(values.shape, dtype=object)
    found.ravel()[:] = [integer(value) for value in values.ravel().tolist()]
    return found


def exact_product(product: Callable[[Integers], Integers], operand: Integers) -> Integers:
    """Return an exact product of D or D' with int64 or Python integers, in parts of int64."""
    if operand.dtype != object:
        return product(operand)
    total: Any = 0
    shift, left = 0, operand
    mask = (1 << _LIMB) - 1
    while True:
        last = bool((np.abs(left) >> _LIMB == 0).all())
        part = left if last else left & mask
        total = total + (product(part.astype(np.int64)).astype(object) << shift)
        if last:
            found: Integers = total
            return found
        left, shift = left >> _LIMB, shift + _LIMB


def _most(prices: Integers, width: int) -> int:
    """Return a block's largest price exactly; for the group norm, the largest sum of squares."""
    if width == 1:
        return int(np.abs(prices).max(initial=0))
    squares = (prices.astype(np.float64) ** 2).sum(axis=1)
    # floats find the candidates for the largest, up to rounding
    close = np.flatnonzero(squares >= squares.max() * (1 - 1e-9))
    return max(sum(int(s) ** 2 for s in prices[j]) for j in close)


def _domain(program: ConvexProgram, bits: int) -> tuple[Any, Any]:
    """Return the least and largest integers V (N, C) of the conjugate's domain, exact float64."""
    a = program.row_weights[:, None]
    lower, upper = program.loss.domain(program.target, a)
    spare = EXACT_LOSSES[type(program.loss)].spare
    lower = np.minimum(np.ceil(np.ldexp(lower, bits)) + spare, 0.0)
    upper = np.maximum(np.floor(np.ldexp(upper, bits)) - spare, 0.0)
    shape = program.target.shape
    return np.broadcast_to(lower, shape), np.broadcast_to(upper, shape)


def _rounded(program: ConvexProgram, v: Any, lower: Any, upper: Any, bits: int) -> Integers:
    """Round V to integers over 2^bits inside its domain, with zero sums for intercepts."""
    units: Integers
    if v.dtype == object:
        units = np.minimum(np.maximum(v, lower), upper)
    else:
        units = np.clip(np.rint(np.ldexp(v, bits)), lower, upper).astype(np.int64)
    if not program.loss.separable:
        return _distributions(program, units, upper)
    if program.intercept:
        for c in range(units.shape[1]):
            _restore(units[:, c], lower[:, c], upper[:, c])
    return units


def _restore(units: Integers, lower: Any, upper: Any) -> None:
    """Make a column sum to 0 by whole units in rows with room, or make it 0."""
    excess = int(units.sum())
    room = units - lower if excess > 0 else upper - units
    if units.dtype != object:
        room = np.minimum(room, 2.0**60).astype(np.int64)
    taken = _spread(abs(excess), room)
    if taken is None:
        units[:] = 0
    else:
        units -= taken if excess > 0 else -taken


def _spread(amount: int, room: Integers) -> Integers | None:
    """Spread ``amount`` about evenly over entries up to ``room``; None if the room is too small."""
    taken = np.zeros_like(room)
    while amount > 0:
        free = np.flatnonzero(room > taken)
        if free.size == 0:
            return None
        each = -(-amount // free.size)
        step = np.minimum(room[free] - taken[free], each)
        # the last entries get nothing once the amount is spent
        step = np.clip(amount - (np.cumsum(step) - step), 0, step)
        taken[free] += step
        amount -= int(step.sum())
    return taken


def _distributions(program: ConvexProgram, units: Integers, upper: Any) -> Integers:
    """Make rows valid for softmax: entries <= 0 but the label's, which makes the sum 0.

    The label's entry is at most the row's weight. With an intercept columns sum to 0 too: units
    move between two classes of a row.
    """
    n = np.arange(len(units))
    label = program.target.argmax(axis=1)
    # row weights far above all of V need no int64
    most = np.minimum(upper[n, label], 1 << 62 if units.dtype != object else _ENDLESS)
    most = most.astype(units.dtype)
    units = np.minimum(units, 0)
    units[n, label] = 0
    over = np.maximum(-units.sum(axis=1) - most, 0)
    for c in range(units.shape[1]):
        back = np.minimum(-units[:, c], over)
        units[:, c] += back
        over -= back
    units[n, label] = -units.sum(axis=1)
    if not program.intercept:
        return units
    while (sums := units.sum(axis=0)).any():
        source, sink = int(sums.argmax()), int(sums.argmin())
        room = np.where(label == sink, most, 0) - units[:, sink]
        if most.min() == 0:
            room[most == 0] = 0
        if units.dtype != object:
            room = np.minimum(room, 2**40)  # their sum must fit in int64
        amount = min(int(sums[source]), int(-sums[sink]), int(room.sum()))
        if amount == 0:
            return np.zeros_like(units)
        taken = _spread(amount, room)
        assert taken is not None  # amount <= sum of the room
        units[:, source] -= taken
        units[:, sink] += taken
    return units
