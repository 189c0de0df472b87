"""Compute an exact certificate: bounds in integers, which no rounding can make false.

Weights and dual point are rounded to integers over powers of two. D is 0/1, so that fits and
prices are exact sums of integers, computed by bit planes. The remaining steps of the objective
and the conjugate are rounded to the side that weakens the proof.
"""

import math
from dataclasses import replace
from fractions import Fraction
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..formulations import LOSSES, PENALTIES, ConvexProgram, Loss, Penalty
from .certificate import ROUNDING, Certificate
from .dual_grid import exact_product, feasible_integers, to_python_integers
from .exact_certificate import ExactCertificate, Integers
from .exact_terms import EXACT_LOSSES, Scaled, dyadic, to_integers, total_bound, total_loss

_WEIGHT_BITS = 52  # bits of the largest possible fit
_DUAL_BITS = 52  # bits of the largest entry of V; fewer if its int64 sums need the room
_SHARE = 20  # rounding V may cost at most 1 / _SHARE of the gap
_WIDE_BITS = 118  # bits of a wide grid: the checker takes 128, and sums of weights need a few
_CLOSE = 2.0  # times the float gap that the exact gap may be, before a wide grid is tried
_SMALL = 1e-12  # share of the reference that it may be besides
_DEAREST = 1e300  # cost of rounding V, beyond which it gets all bits
_LEAST_BITS, _MOST_BITS = -1000, 2000


def check_provable(program: ConvexProgram) -> None:
    """Raise ValueError for a user-defined loss or penalty, which has no integer arithmetic."""
    losses = {type(loss): name for name, loss in LOSSES.items() if type(loss) in EXACT_LOSSES}
    penalties = {type(penalty): name for name, penalty in PENALTIES.items()}
    part: Loss | Penalty
    for part, known in ((program.loss, losses), (program.penalty, penalties)):
        if type(part) not in known:
            raise ValueError(
                f"program: expected one of {sorted(known.values())}, got {part!r}, which has no "
                "integer arithmetic; certify it with exact=False"
            )


@np.errstate(over="ignore", invalid="ignore")  # of bounds on costs
def exact_certificate(
    program: ConvexProgram, certificate: Certificate, weights: Any, intercept: Any
) -> ExactCertificate:
    """Prove in integers the bounds of a float certificate of weights.

    Grids have the bits of int64 if these suffice for a gap of about the float one. If not, a
    grid of Python integers follows, and the certificate keeps the better proof. If the gap is
    still larger, ``looser`` of the certificate names the number that stopped it.

    Raises
    ------
    ValueError
        If sums of weights exceed the largest float64, or a number is too large or too small
        for integers over powers of two of a few thousand bits.
    """
    close = _CLOSE * certificate.absolute_gap + _SMALL * program.reference
    found = _proof(program, certificate, weights, intercept, False)
    if found.absolute_gap > close:
        finer = _proof(program, certificate, weights, intercept, True)
        found = min(found, finer, key=lambda proof: proof.absolute_gap)
    found = replace(found, float_gap=certificate.absolute_gap, dual_source=certificate.dual_source)
    if found.absolute_gap > close:
        found = replace(found, looser=_cause(program, certificate, found))
    return found


def _proof(
    program: ConvexProgram, certificate: Certificate, weights: Any, intercept: Any, wide: bool
) -> ExactCertificate:
    """Prove the bounds on grids of int64, or of Python integers."""
    n = program.design.shape[0]
    reference = program.reference
    target = certificate.absolute_gap
    if reference > 0:  # a bad answer's gap may exceed the reference
        target = min(max(target, ROUNDING * reference), reference)
    null = program.null_intercept
    largest = float(np.max(np.abs(weights).sum(axis=0) + np.abs(intercept) + np.abs(null)))
    if not math.isfinite(largest):
        raise ValueError(f"weights: expected finite sums of absolute values, got {largest}")
    V = certificate.dual_point
    if wide:
        weight_bits = _checked(_WIDE_BITS - math.frexp(largest)[1])
        W, b, b0 = (to_python_integers(x, weight_bits) for x in (weights, intercept, null))
        dual_bits = _checked(_WIDE_BITS - math.frexp(float(np.abs(V).max()))[1])
    else:
        weight_bits = _checked(_WEIGHT_BITS - math.frexp(largest)[1])
        W, b, b0 = (
            np.rint(np.ldexp(x, weight_bits)).astype(np.int64) for x in (weights, intercept, null)
        )
        dual_bits = _dual_bits(program, V, certificate.dual, target)
    v = feasible_integers(program, V, dual_bits, wide)
    # rounding each row's share costs less than a hundredth of the gap
    smallest = target if target > 0 else 1.0
    shares = 400.0 * n * program.outputs
    bound_bits = _checked(math.frexp(shares)[1] - math.frexp(smallest)[1] + 1)

    a, y = to_integers(program.row_weights[None]), to_integers(program.target.T)
    fits = exact_product(program.design.matvec_exact, W) + b
    loss = program.loss
    primal = total_loss(loss, a, Scaled(fits.T, weight_bits), y, bound_bits, True)
    primal += _penalty(program, W, weight_bits, bound_bits)
    dual = total_bound(loss, a, Scaled(v.T, dual_bits), y, bound_bits)
    # one row of each kind: rows often share target and weight
    rows, counts = _different(np.vstack([program.row_weights, program.target.T]))
    z0 = Scaled(np.repeat(b0[:, None], rows.size, axis=1), weight_bits)
    a, y = (Scaled(x.integers[:, rows], x.bits) for x in (a, y))
    least = total_loss(loss, a, z0, y, bound_bits, False, counts)
    unit = Fraction(1, 1 << bound_bits) if bound_bits >= 0 else Fraction(1 << -bound_bits)
    return ExactCertificate(
        primal=primal * unit,
        dual=dual * unit,
        absolute_gap=(primal - dual) * unit,
        reference=least * unit,
        relative_gap=_relative(primal - dual, least),
        program=program,
        weights=W,
        intercept=b,
        null_intercept=b0,
        dual_point=v,
        weight_bits=weight_bits,
        dual_bits=dual_bits,
        bound_bits=bound_bits,
    )


def _cause(program: ConvexProgram, certificate: Certificate, found: ExactCertificate) -> str:
    """Name the number that keeps the exact gap above the float one."""
    V, a = certificate.dual_point, program.row_weights
    top = float(np.abs(V).max())
    if certificate.rounding > certificate.absolute_gap:
        largest = abs(found.weights).max() * Fraction(2) ** -found.weight_bits
        of = f"dual entries up to {top:.2g}" if top else f"weights up to {float(largest):.2g}"
        rounded = (
            f"the float gap is below its own rounding, {certificate.rounding:.2g} ({of}, strength "
            f"{program.strength:.2g})"
        )
    else:
        rounded = ""
    if not found.dual_point.any() and V.any():
        row = int(np.abs(V).max(axis=1).argmax())
        return (
            f"no V but 0 fits the grid: the strength {program.strength:.2g} is too small for the "
            f"dual entry {top:.2g} of row {row}" + (f"; {rounded}" if rounded else "")
        )
    if rounded:
        return rounded
    row = int(np.where(a > 0, a, np.inf).argmin())
    unit = math.ldexp(1.0, -found.dual_bits)
    if a[row] < 2.0**20 * unit:
        return f"row weight {a[row]:.2g} of row {row} needs a finer grid of V than {unit:.2g}"
    if program.loss.name in ("logistic", "softmax"):
        return "logarithms are enclosed between multiples of 2^-48"
    place = int(np.abs(certificate.dual_point).max(axis=1).argmax())
    return f"rounding of the dual entry {top:.2g} of row {place} to multiples of {unit:.2g}"


def _different(columns: NDArray[np.float64]) -> tuple[NDArray[np.intp], list[int]]:
    """Return the place of one column of each kind, and the number of columns of that kind."""
    order = np.lexsort(columns)
    ordered = columns[:, order]
    new = (ordered[:, 1:] != ordered[:, :-1]).any(axis=0)
    starts = np.flatnonzero(np.append(True, new))
    return order[starts], np.diff(starts, append=order.size).tolist()


def _dual_bits(program: ConvexProgram, V: NDArray[np.float64], dual: float, target: float) -> int:
    """Choose the bits of V: enough for the gap, and few enough for sums in int64."""
    n = len(V)
    top = float(np.abs(V).max())
    if top == 0.0:
        return 0
    exponent = math.frexp(top)[1]
    most = min(_DUAL_BITS, 61 - n.bit_length()) - exponent
    # half a unit per row in V y, and shrinking by prices of up to n units
    cost = np.abs(program.target).sum() + 4.0 * n
    if program.strength > 0:
        cost += 8.0 * math.sqrt(n) * min(abs(dual) / program.strength, _DEAREST)
    if not cost < _DEAREST:
        return _checked(most)
    return _checked(min(most, math.frexp(_SHARE * cost / target)[1] if target > 0 else most))


def _checked(bits: int) -> int:
    if not _LEAST_BITS <= bits <= _MOST_BITS:
        raise ValueError(
            f"program: expected numbers that integers over 2^{_LEAST_BITS} to 2^{_MOST_BITS} "
            f"hold, got one that needs 2^{bits}; rescale the targets"
        )
    return bits


def _penalty(program: ConvexProgram, W: Integers, weight_bits: int, bound_bits: int) -> int:
    """Return strength times the norm of W, rounded up."""
    used = W[W.any(axis=1)].tolist()
    if program.norm_width > 1:
        squares = (sum(x * x for x in row) for row in used)
        norm = sum(math.isqrt(s - 1) + 1 for s in squares)
    else:
        norm = sum(abs(x) for row in used for x in row)
    strength, bits = dyadic(program.strength)
    shift = bits + weight_bits - bound_bits
    return -((-strength * norm) >> shift) if shift >= 0 else strength * norm << -shift


def _relative(gap: int, reference: int) -> float:
    """Return gap / reference, rounded up."""
    if reference == 0:
        return math.inf if gap > 0 else 0.0
    try:
        found = gap / reference
    except OverflowError:
        return math.inf
    return found if Fraction(found) >= Fraction(gap, reference) else math.nextafter(found, math.inf)
