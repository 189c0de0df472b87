"""Bounds on the rounding of objectives and certificates in float64, for any order of summation."""

import math
from dataclasses import dataclass

import numpy as np

from ..dictionaries import BinaryMatrix
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram
from .exact_sums import is_feasible, low_strength, price_excess

_EPSILON = float(np.finfo(np.float64).eps)  # twice the rounding of one operation
_TINY = float(np.finfo(np.float64).smallest_subnormal)  # the error of an underflow
_OPERATIONS = 16  # roundings of one loss or norm, those of exp and log included
_ENTROPY = 4.0  # most that one rounding of a dual entry moves an entropy of weight 1


def objective_rounding(program: ConvexProgram, W: Array, b: Array) -> tuple[float, float]:
    """Return the objective in float64, and a bound E on its distance from the exact value.

    With s active atoms a fit is a sum of s weights and b. In any order of summation its error
    is at most e = (s + 2) u r, where r is the sum of their absolute values and u = eps / 2 (Higham
    2002, section 3.1). The objective then changes by at most a_i times the slope of the loss
    times this error. The loss and the norm take up to 16 roundings each; their sums take N + C
    and s + C more. So E = (N + s + C + 16) u objective + sum_i a_i slope_i e. E is infinity for a
    coupled loss whose curvature is unknown.
    """
    found = _evaluated(program, W, b)
    return found.value, found.rate * found.value + found.moved


@np.errstate(over="ignore", invalid="ignore")  # a bound that overflows is infinite
def certificate_rounding(program: ConvexProgram, W: Array, b: Array, V: Array) -> float:
    """Bound the rounding of a certificate's primal, dual and gap at W, b and a shrunk V.

    The parts, with k = N + s + C + 16 and e as in :func:`objective_rounding`:

    - fits and sums: twice E, plus sum_i |V_i| e + k u (sum_i |V_i| (|fit_i| + |y_i|) +
      |conjugates|);
    - prices: V may exceed its constraint by p = (N + 2) u max|D| sum_i |V_i|, which costs
      p sum_j norm(W_j) <= p primal / strength at these weights and at the optimum; at low
      strengths ``exact_sums.py`` finds a smaller p;
    - sums of V, each rounded once, times the largest distance from the null intercept of an
      optimal intercept, 2 max|D| primal / strength plus the spread of the targets;
    - underflow: the smallest float64 per operation, times what multiplies it.

    For a penalty of a user's own the bound counts norms at these weights alone.
    """
    found = _evaluated(program, W, b)
    value, rate = found.value, found.rate
    a, y = program.row_weights[:, None], program.target
    n, sizes = len(V), np.abs(V)
    sums = sizes.sum(axis=0)
    entries = float((sizes * (np.abs(found.fit) + np.abs(y))).sum())
    conjugates = float(np.abs(program.loss.conjugate(V, y, a)).sum())
    if program.loss.labels or not program.loss.separable:
        conjugates += _ENTROPY * float(a.sum()) * program.outputs
    total = 2.0 * found.moved + float((sizes * found.apart).sum())
    total += rate * (2.0 * value + entries + conjugates)
    magnitude = program.design.magnitude
    share = 0.5 * (n + 2) * _EPSILON
    room = np.sqrt(program.outputs) * (share * magnitude * float(sums.max()) + n * _TINY)
    if low_strength(program, V) and is_feasible(program, V):
        room = 0.0
    elif room > 0 and isinstance(program.design, BinaryMatrix) and low_strength(program, V):
        room = min(room, price_excess(program, V)) if program.penalty.norm else room
    norms = float(np.abs(W).sum())
    if program.penalty.norm is not None:
        norms = value / program.strength if program.strength > 0 else 0.0
    if norms > 0 and sums.any() and room > 0:
        total += room * norms
    excess = (1.0 + _EPSILON) * np.array([_sum(v) for v in V.T])
    if program.intercept and excess.any():
        far = np.abs(np.where(a > 0, y - program.null_intercept, 0.0)).max(axis=0)
        far += np.abs(b - program.null_intercept) + 2.0 * magnitude * norms
        total += float((excess * far).sum())
    factors = float(a.sum()) * program.outputs + program.strength + float(sums.sum())
    factors += float(found.reach.max() + np.abs(y).max()) + 1.0
    total += _TINY * (rate / _EPSILON) * factors
    return float("inf") if np.isnan(total) else float(total)


def _sum(values: Array) -> float:
    """Return the size of a sum, rounded once; infinity if a part of it overflows."""
    try:
        return abs(math.fsum(values))
    except OverflowError:
        return math.inf


@dataclass(frozen=True)
class _Evaluated:
    """Objective at W and b, with bounds on rounding.

    ``fit`` (N, C) is off by at most ``apart`` (C,), which moves the objective by at most ``moved``.
    ``rate`` bounds the rounding of all sums, relative to their terms. ``reach`` (C,) are the
    largest sums of absolute values in a fit.
    """

    value: float
    fit: Array
    reach: Array
    apart: Array
    moved: float
    rate: float


@np.errstate(over="ignore", invalid="ignore")
def _evaluated(program: ConvexProgram, W: Array, b: Array) -> _Evaluated:
    fit = program.affine(W, b)
    used = np.flatnonzero(W.any(axis=1))
    sizes = program.design.take(used).absolute()
    reach = (sizes.matvec(np.abs(W[used])) + np.abs(b)).max(axis=0)
    rate = 0.5 * (sum(program.target.shape) + used.size + _OPERATIONS) * _EPSILON
    apart = 0.5 * (used.size + 2) * _EPSILON * reach
    ends = (program.loss.gradient(fit + s * apart, program.target) for s in (-1, 1))
    slopes = np.maximum(*map(np.abs, ends))  # a convex loss is not steeper between the ends
    if not program.loss.separable:  # the bound on the curvature covers moves of other outputs
        slopes += program.loss.curvature * np.linalg.norm(apart)
    moved = float((program.row_weights @ (slopes * apart)).sum())
    value = float(program.objectives(W, fit).sum())
    return _Evaluated(value, fit, reach, apart, moved, rate)
