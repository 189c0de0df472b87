"""Proximal operators of the losses and of the absolute value, and the ADMM step made of them.

Loss codes: 0 squared (z - y)^2 / 2, 1 hinge max(0, 1 - y z), 2 logistic
log(1 + exp(-y z)). The operator of ``step`` times a loss at v is the z that
minimises step * loss(z, y) + (z - v)^2 / 2.
"""

import math

from numba import njit


@njit(cache=True, nogil=True)
def _logistic_prox(v, y, step):  # type: ignore[no-untyped-def]
    """Newton on the optimality condition in the margin m = y z, inside a bracket.

    A Newton step that leaves the bracket, or is not half of the move before,
    is replaced by bisection: between the flat ends Newton alone would cycle.
    """
    start = y * v
    lower = start
    upper = start + step
    margin = start + step / (1.0 + math.exp(min(start, 700.0)))
    before = upper - lower
    for _ in range(200):
        share = 1.0 / (1.0 + math.exp(min(margin, 700.0)))
        residual = margin - start - step * share
        if residual > 0.0:
            upper = margin
        else:
            lower = margin
        moved = margin - residual / (1.0 + step * share * (1.0 - share))
        if not lower <= moved <= upper or abs(moved - margin) > 0.5 * before:
            moved = 0.5 * (lower + upper)
        before = abs(moved - margin)
        margin = moved
        if before <= 1e-15 * (1.0 + abs(margin)):
            break
    return y * margin


@njit(cache=True, nogil=True)
def _loss_prox(code, v, y, step):  # type: ignore[no-untyped-def]
    if code == 0:
        return (v + step * y) / (1.0 + step)
    if code == 1:
        margin = y * v
        if margin >= 1.0:
            return v
        return y * min(margin + step, 1.0)
    return _logistic_prox(v, y, step)


@njit(cache=True, nogil=True)
def loss_prox(code, points, targets, steps, out):  # type: ignore[no-untyped-def]
    """Write the operator at ``points`` (n, C) with ``steps`` (n,) to ``out`` (n, C)."""
    for i in range(points.shape[0]):
        for c in range(points.shape[1]):
            out[i, c] = _loss_prox(code, points[i, c], targets[i, c], steps[i])


@njit(cache=True, nogil=True)
def soft_threshold(points, step, out):  # type: ignore[no-untyped-def]
    """Write the operator of ``step`` times the absolute value at ``points`` (P, C) to ``out``."""
    for j in range(points.shape[0]):
        for c in range(points.shape[1]):
            v = points[j, c]
            out[j, c] = math.copysign(max(abs(v) - step, 0.0), v)


@njit(cache=True, nogil=True)
def split_step(  # type: ignore[no-untyped-def]
    code, targets, row_weights, strength, rho, relaxation, fit, weights, fit_copy, weight_copy,
    fit_dual, weight_dual, norms,
):  # fmt: skip
    """Do one ADMM step on the copies, in place, for the constraints z = fit and u = weights.

    ``fit`` (n, C) and ``weights`` (P, C) are the linear step's D w + b and w;
    ``fit_copy`` z and ``weight_copy`` u are updated by their proximal
    operators, the scaled multipliers by the over-relaxed residuals. ``norms``
    (4,) receives the squared norms of the primal residual, of the change of
    the copies, of the larger side of the constraints and of the multipliers.
    """
    norms[:] = 0.0
    for i in range(fit.shape[0]):
        for c in range(fit.shape[1]):
            old = fit_copy[i, c]
            relaxed = relaxation * fit[i, c] + (1.0 - relaxation) * old
            new = _loss_prox(code, relaxed + fit_dual[i, c], targets[i, c], row_weights[i] / rho)
            fit_dual[i, c] += relaxed - new
            fit_copy[i, c] = new
            norms[0] += (fit[i, c] - new) ** 2
            norms[1] += (new - old) ** 2
            norms[2] += max(fit[i, c] ** 2, new**2)
            norms[3] += fit_dual[i, c] ** 2
    for j in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            old = weight_copy[j, c]
            relaxed = relaxation * weights[j, c] + (1.0 - relaxation) * old
            v = relaxed + weight_dual[j, c]
            new = math.copysign(max(abs(v) - strength / rho, 0.0), v)
            weight_dual[j, c] = v - new
            weight_copy[j, c] = new
            norms[0] += (weights[j, c] - new) ** 2
            norms[1] += (new - old) ** 2
            norms[2] += max(weights[j, c] ** 2, new**2)
            norms[3] += weight_dual[j, c] ** 2
