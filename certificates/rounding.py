"""Bounds on the rounding of objectives and certificates in float64, for any order of summation."""

import numpy as np

from ..dictionaries.validation import Array
from ..formulations import ConvexProgram
from .exact_sums import is_feasible, low_strength

_EPSILON = float(np.finfo(np.float64).eps)  # twice the rounding of one operation
_TINY = float(np.finfo(np.float64).smallest_subnormal)  # the error of an underflow
_OPERATIONS = 16  # roundings of one loss or norm, those of exp and log included
_ENTROPY = 4.0  # most that one rounding of a dual entry moves an entropy of weight 1


def objective_rounding(program: ConvexProgram, W: Array, b: Array) -> tuple[float, float]:
    """Return the objective in float64, and a bound E on its distance from the exact value.

    With s active atoms a fit is a sum of s weights and b. In any order of summation its error
    is at most (s + 1) u r, where r is the sum of their absolute values and u = eps / 2 (Higham
    2002, section 3.1). The objective then changes by at most a_i times the slope of the loss
    times this error. The loss and the norm take up to 16 roundings each; their sums take N + C
    and s + C more. So E = (N + s + C + 16) eps / 2 (objective + sum_i a_i slope_i r). E is
    infinity for a coupled loss whose curvature is unknown.
    """
    value, moved, rate, _ = _evaluated(program, W, b)
    return value, rate * (value + moved)


@np.errstate(over="ignore", invalid="ignore")  # a bound that overflows is infinite
def certificate_rounding(program: ConvexProgram, W: Array, b: Array, V: Array) -> float:
    """Bound the rounding of a certificate's primal, dual and gap at W, b and a shrunk V.

    The parts, with k = N + s + C + 16 and r as in :func:`objective_rounding`:

    - fits and sums: twice E, plus k u (sum_i |V_i| (r + |y_i|) + |conjugates|);
    - prices: V may exceed its constraint by e = (N + 2) eps max|D| sum_i |V_i|, which costs
      e sum_j norm(W_j) <= e primal / strength at these weights and at the optimum; e is 0 where
      ``exact_sums.py`` shows that V is feasible;
    - sums of V: the rounding of these sums times the largest distance from the null intercept
      of an optimal intercept, 2 max|D| primal / strength plus the spread of the targets;
    - underflow: the smallest float64 per operation, times what multiplies it.

    For a penalty of a user's own the bound counts norms at these weights alone.
    """
    value, moved, rate, reach = _evaluated(program, W, b)
    a, y = program.row_weights[:, None], program.target
    n, sizes = len(V), np.abs(V)
    sums = sizes.sum(axis=0)
    entries = float((sizes * (reach + np.abs(y))).sum())
    conjugates = float(np.abs(program.loss.conjugate(V, y, a)).sum())
    if program.loss.labels or not program.loss.separable:
        conjugates += _ENTROPY * float(a.sum()) * program.outputs
    total = rate * (2.0 * (value + moved) + entries + conjugates)
    magnitude = program.design.magnitude
    share = (n + 2) * _EPSILON
    room = np.sqrt(program.outputs) * (share * magnitude * float(sums.max()) + n * _TINY)
    if low_strength(program, V) and is_feasible(program, V):
        share = room = 0.0
    norms = float(np.abs(W).sum())
    if program.penalty.norm is not None:
        norms = value / program.strength if program.strength > 0 else 0.0
    if norms > 0 and sums.any() and room > 0:
        total += room * norms
    excess = np.abs(V.sum(axis=0)) + share * sums
    if program.intercept and excess.any():
        far = np.abs(np.where(a > 0, y - program.null_intercept, 0.0)).max(axis=0)
        far += np.abs(b - program.null_intercept) + 2.0 * magnitude * norms
        total += float((excess * far).sum())
    factors = float(a.sum()) * program.outputs + program.strength + float(sums.sum())
    factors += float(reach.max() + np.abs(y).max()) + 1.0
    total += _TINY * (rate / _EPSILON) * factors
    return float("inf") if np.isnan(total) else float(total)


def _evaluated(program: ConvexProgram, W: Array, b: Array) -> tuple[float, float, float, Array]:
    """Return the objective, how its fits' rounding moves it per rate, the rate, and r (C,)."""
    with np.errstate(over="ignore", invalid="ignore"):
        fit = program.affine(W, b)
        used = np.flatnonzero(W.any(axis=1))
        sizes = program.design.take(used).absolute()
        reach = (sizes.matvec(np.abs(W[used])) + np.abs(b)).max(axis=0)
        rate = 0.5 * (sum(program.target.shape) + used.size + _OPERATIONS) * _EPSILON
        ends = (program.loss.gradient(fit + s * rate * reach, program.target) for s in (-1, 1))
        slopes = np.maximum(*map(np.abs, ends))  # a convex loss is not steeper between the ends
        if not program.loss.separable:  # the bound on the curvature covers moves of other outputs
            slopes += program.loss.curvature * rate * np.linalg.norm(reach)
        moved = float((program.row_weights @ (slopes * reach)).sum())
        value = float(program.objectives(W, fit).sum())
    return value, moved, rate, reach
