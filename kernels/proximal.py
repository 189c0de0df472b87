"""Proximal operators of the losses and the penalties, and the ADMM step made of them.

Loss codes: 0 squared (z - y)^2 / 2, 1 hinge max(0, 1 - y z), 2 logistic
log(1 + exp(-y z)), 3 absolute |z - y|, 4 huber (r^2 / 2 up to |r| = delta,
then delta |r| - delta^2 / 2, r = z - y), 5 squared hinge max(0, 1 - y z)^2 / 2,
6 softmax log(sum_k exp(z_k)) - z_label by rows; its target is a one-hot row.
The operator of ``step`` times a loss at v is the z that minimises
step * loss(z, y) + |z - v|^2 / 2.
"""

import math

import numpy as np

from .compiled import compiled


@compiled
def _logistic_prox(v, y, step):  # type: ignore[no-untyped-def]
    """Apply the operator of the logistic loss to one entry, by Newton's method.

    The unknown is x = step p, with p = 1 / (1 + exp(m)) and the margin m = y z, so
    that m = y v + step p. As -m solves the same equation for -y v - step, p <= 1/2
    may be assumed. The equation is x + log(x) - log(1 - x / step) = log(step) - y v.
    Its left side is then concave, and Newton's method rises from any point below.
    """
    if not step > 0.0:
        return v
    start, side = y * v, y
    if start < -0.5 * step:
        start, side = -start - step, -y
    d = math.log(step) - start
    below = d - 0.6931471805599454  # log(1 - x / step) is at least -log(2), a little more
    if below >= 1.0:
        x = below - math.log(below)
    elif below > -40.0:
        x = math.exp(below) / (1.0 + math.exp(below))
    else:
        return side * (start + step / (1.0 + math.exp(min(start, 700.0))))  # x does not change m
    x = min(x, 0.5 * step)
    for _ in range(50):  # six suffice
        left = x + math.log(x) - math.log1p(-x / step) - d
        change = -left / (1.0 + 1.0 / x + 1.0 / (step - x))
        x += change
        if change <= 1e-8 * x:  # convergence is quadratic
            break
    if x > 1.0:  # the sum would cancel
        return side * math.log((step - x) / x)
    return side * (start + x)


@compiled
def _loss_prox(code, delta, v, y, step):  # type: ignore[no-untyped-def]
    """Apply the operator of a loss that is a sum over entries to one entry."""
    if code == 0:
        return (v + step * y) / (1.0 + step)
    if code == 1:
        if y * v >= 1.0:
            return v
        return y * min(y * v + step, 1.0)
    if code == 2:
        return _logistic_prox(v, y, step)
    if code == 3:
        if abs(v - y) <= step:
            return y
        return v - math.copysign(step, v - y)
    if code == 4:
        if abs(v - y) <= delta * (1.0 + step):
            return (v + step * y) / (1.0 + step)
        return v - math.copysign(step * delta, v - y)
    if code != 5:
        raise ValueError("code: expected the code of a built-in loss, 0 to 6")
    if y * v >= 1.0:
        return v
    return y * ((y * v + step) / (1.0 + step))


@compiled
def _wright_omega(d):  # type: ignore[no-untyped-def]
    """Solve x + log(x) = d for x > 0 by Newton's method from below: the left side is concave."""
    if d < -40.0:
        return math.exp(d)  # to the last digit: x itself is 4e-18
    x = d - math.log(d) if d >= 1.0 else math.exp(d) / (1.0 + math.exp(d))
    for _ in range(20):  # four suffice
        moved = x * ((1.0 + d - math.log(x)) / (1.0 + x))
        change = abs(moved - x)
        x = moved
        if change <= 1e-8 * x:  # convergence is quadratic
            break
    return x


@compiled
def _label_move(c, step):  # type: ignore[no-untyped-def]
    """Solve log(1 - g / step) - g = c <= 0 for g in [0, step], accurately for small g too."""
    if c + 0.5 * step <= -0.7:  # where 1 - g / step is a half at most
        return step - _wright_omega(c + step + math.log(step))
    g = -c * (step / (1.0 + step))
    for _ in range(20):  # Newton from above: minus the left side is convex in g; five suffice
        moved = g - (g - math.log1p(-g / step) + c) / (1.0 + 1.0 / (step - g))
        change = abs(moved - g)
        g = moved
        if change <= 1e-8 * g:
            break
    return g


@compiled
def _softmax_prox(v, y, step, out):  # type: ignore[no-untyped-def]
    """Apply the operator of the softmax loss to one row.

    Let p be the softmax of z and tau its log-sum-exp. For the other classes
    z_k = v_k - x_k with x_k = step p_k, so x_k + log(x_k) = v_k - tau + log(step).
    For the label z = v + g with g = step (1 - p), so log(1 - g / step) - g = v - tau.
    The equation left is sum_k x_k = g. The sum is decreasing and convex in tau, so
    Newton's method from the left only moves right.
    """
    if not step > 1e-300:  # no more than a rounding of any z; its logarithm has no digits left
        out[:] = v
        return
    label = np.argmax(y)
    tau = v[label]  # from here on no share is above 1, and at the solution all are below
    for k in range(v.size):
        tau = max(tau, v[k] - step)
    log_step = math.log(step)
    change = math.inf
    while True:
        g = _label_move(v[label] - tau, step)
        out[label] = v[label] + g
        surplus = -g
        slope = (step - g) / (1.0 + (step - g))
        for k in range(v.size):
            if k != label:
                x = _wright_omega(v[k] - tau + log_step)
                out[k] = v[k] - x
                surplus += x
                slope += x / (1.0 + x)
        # the second derivative is below the first: what a change leaves is less than its square
        if change <= 1e-8 or not surplus > 0.0:
            return
        change = surplus / slope
        if not tau + change > tau:
            return
        tau += change


@compiled
def _row_prox(code, delta, v, y, step, out):  # type: ignore[no-untyped-def]
    if code == 6:
        _softmax_prox(v, y, step, out)
    else:
        for c in range(v.size):
            out[c] = _loss_prox(code, delta, v[c], y[c], step)


@compiled
def _norm(v):  # type: ignore[no-untyped-def]
    largest = 0.0
    for c in range(v.size):
        largest = max(largest, abs(v[c]))
    if largest == 0.0:
        return 0.0
    total = 0.0
    for c in range(v.size):
        total += (v[c] / largest) ** 2  # unscaled squares could overflow or underflow
    return math.sqrt(total) * largest


@compiled
def _row_threshold(group, v, step, out):  # type: ignore[no-untyped-def]
    """Apply the operator of ``step`` times the 2-norm (``group``) or the l1 norm to one row."""
    norm = _norm(v) if group else 0.0
    for c in range(v.size):
        if not group:
            out[c] = math.copysign(max(abs(v[c]) - step, 0.0), v[c])
        elif norm > step:
            out[c] = (norm - step) * (v[c] / norm)
        else:
            out[c] = 0.0


@compiled
def loss_prox(code, delta, points, targets, steps, out):  # type: ignore[no-untyped-def]
    """Write the operator at ``points`` (n, C) with ``steps`` (n,) >= 0 to ``out`` (n, C)."""
    if code == 6:
        for i in range(points.shape[0]):
            _softmax_prox(points[i], targets[i], steps[i], out[i])
        return
    for i in range(points.shape[0]):  # scalars take a third of the time of row views
        for c in range(points.shape[1]):
            out[i, c] = _loss_prox(code, delta, points[i, c], targets[i, c], steps[i])


@compiled
def soft_threshold(points, step, out):  # type: ignore[no-untyped-def]
    """Write the operator of ``step`` times the absolute value at ``points`` (P, C) to ``out``."""
    for j in range(points.shape[0]):
        for c in range(points.shape[1]):
            out[j, c] = math.copysign(max(abs(points[j, c]) - step, 0.0), points[j, c])


@compiled
def group_threshold(points, step, out):  # type: ignore[no-untyped-def]
    """Write the operator of ``step`` times the 2-norm of rows at ``points`` (P, C) to ``out``."""
    for j in range(points.shape[0]):
        _row_threshold(True, points[j], step, out[j])


@compiled
def split_step(  # type: ignore[no-untyped-def]
    code, delta, group, targets, row_weights, strength, rho, relaxation, fit, weights, fit_copy,
    weight_copy, fit_dual, weight_dual, norms,
):  # fmt: skip
    """Do one ADMM step on the copies, in place, for the constraints z = fit and u = weights.

    ``fit`` (n, C) and ``weights`` (P, C) are D w + b and w of the linear step. The
    proximal operators update the copies: z is ``fit_copy``, u is ``weight_copy``. The
    over-relaxed residuals update the scaled multipliers. ``norms`` (4,) receives the
    squared norms of the primal residual, of the change of the copies, of the larger
    side of the constraints and of the multipliers.
    """
    norms[:] = 0.0
    new = np.empty(fit.shape[1])
    for i in range(fit.shape[0]):
        for c in range(fit.shape[1]):
            fit_dual[i, c] += relaxation * fit[i, c] + (1.0 - relaxation) * fit_copy[i, c]
        _row_prox(code, delta, fit_dual[i], targets[i], row_weights[i] / rho, new)
        _move(fit[i], new, fit_copy[i], fit_dual[i], norms)
    for j in range(weights.shape[0]):
        for c in range(weights.shape[1]):
            weight_dual[j, c] += relaxation * weights[j, c] + (1.0 - relaxation) * weight_copy[j, c]
        _row_threshold(group, weight_dual[j], strength / rho, new)
        _move(weights[j], new, weight_copy[j], weight_dual[j], norms)


@compiled
def _move(linear, new, copy, dual, norms):  # type: ignore[no-untyped-def]
    """Replace one row of a copy; ``dual`` holds the point of the proximal operator on entry."""
    for c in range(new.size):
        dual[c] -= new[c]
        norms[0] += (linear[c] - new[c]) ** 2
        norms[1] += (new[c] - copy[c]) ** 2
        norms[2] += max(linear[c] ** 2, new[c] ** 2)
        norms[3] += dual[c] ** 2
        copy[c] = new[c]
