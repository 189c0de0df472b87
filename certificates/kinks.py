"""Dual points at weights whose fits lie on kinks of the loss, where a row has many subgradients.

At a kink the weights alone do not determine V: any subgradient of the row may be the optimal one.
With V of all other rows fixed, the best V of these rows solves a small linear program: the largest
sum of V'(D W) whose prices keep the strength. For the group norm, and for programs too large for
the linear program, V nearly attains the prices of the active atoms in least squares.
"""

from contextlib import suppress

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import linprog, lsq_linear

from ..dictionaries.norms import row_norms
from ..dictionaries.validation import Array
from ..formulations import ConvexProgram

_NEAR = (1e-10, 1e-6)  # distances from a kink, in units of targets, that count as rounding
_MOST_DENSE = 10**7  # entries of D that may be unpacked
_MOST_LINEAR = 10**5  # entries of the matrix of the linear program; takes about a second
_MOST_SQUARES = 10**6  # entries of the matrix of the least squares; 100 x 10,000 takes 2 seconds
_MOST_FACTORED = 300  # rows up to which factors take 0.1 seconds; 3,000 take 13, without them 0.2


@np.errstate(over="ignore", invalid="ignore", divide="ignore")  # only finite points are tried
def points_at_kinks(program: ConvexProgram, W: Array, b: Array) -> tuple[list[Array], int]:
    """Return dual points V (N, C) to try at W and b, and the number of rows on kinks.

    Smooth losses have no kinks and no such points.
    """
    loss = program.loss
    kinked = np.isinf(loss.curvature) and loss.separable
    if not kinked or program.penalty.norm is None or program.strength == 0:
        return [], 0
    fit, y, a = program.affine(W, b), program.target, program.row_weights[:, None]
    sizes = float(np.median(np.abs(y[y != 0]))) if y.any() else 1.0
    points, count, before = [], 0, None
    for share in _NEAR:
        lower, upper = (-a * loss.gradient(fit + s * share * sizes, y) for s in (1, -1))
        free = lower < upper
        if not free.any() or (before is not None and np.array_equal(free, before)):
            continue
        count, before = count or int(free.any(axis=1).sum()), free
        if program.design.shape[0] * program.design.shape[1] <= _MOST_DENSE:
            points.append(_chosen(program, W, lower, upper, free))
    return points, count


def _chosen(
    program: ConvexProgram, W: Array, lower: Array, upper: Array, free: NDArray[np.bool_]
) -> Array:
    """Choose V between bounds in the free entries; elsewhere both bounds are V."""
    D = program.design.to_dense().astype(np.float64)
    norms = np.abs(W) if program.norm_width == 1 else row_norms(W)[:, None]
    wanted = np.divide(program.strength * W, norms, out=np.zeros_like(W), where=norms > 0)
    v = np.where(free, 0.5 * (lower + upper), lower)
    for c in range(program.outputs):
        rows = free[:, c]
        if not rows.any():
            continue
        held = np.where(rows, 0.0, lower[:, c])
        matrix, ends = D[rows].T, (lower[rows, c], upper[rows, c])
        fixed, total = D.T @ held, held.sum()
        if not np.isfinite(np.concatenate([fixed, [total], *ends])).all():
            continue
        found = None
        if program.norm_width == 1 and matrix.size <= _MOST_LINEAR:
            fits = D[rows] @ W[:, c]
            found = _by_program(matrix, fixed, total, program, fits, ends)
        active = np.flatnonzero(W[:, c])
        if found is None and active.size and active.size * rows.sum() <= _MOST_SQUARES:
            equations, right = matrix[active], wanted[active, c] - fixed[active]
            if program.intercept:
                equations = np.vstack([equations, np.ones(rows.sum())])
                right = np.append(right, -total)
            way = "exact" if rows.sum() <= _MOST_FACTORED else "lsmr"
            with suppress(ValueError, np.linalg.LinAlgError):  # numbers near the ends of float64
                found = lsq_linear(equations, right, ends, lsq_solver=way).x
        if found is not None and np.isfinite(found).all():
            v[rows, c] = np.clip(found, *ends)
    return v


def _by_program(
    matrix: Array,
    fixed: Array,
    total: float,
    program: ConvexProgram,
    fits: Array,
    ends: tuple[Array, Array],
) -> Array | None:
    """Solve the linear program of one output; None if no V keeps the strength."""
    unit = float(np.maximum(-ends[0], ends[1]).max())  # HiGHS has absolute tolerances
    sums = {}
    if program.intercept:
        sums = {"A_eq": np.ones((1, len(fits))), "b_eq": [-total / unit]}
    most = program.strength / unit
    bounds = np.concatenate([most - fixed / unit, most + fixed / unit, [total / unit]])
    if not np.isfinite(bounds).all():
        return None
    found = linprog(
        -fits / max(np.abs(fits).max(initial=0.0), np.finfo(np.float64).tiny),
        A_ub=np.vstack([matrix, -matrix]),
        b_ub=bounds[:-1],
        bounds=np.column_stack(ends) / unit,
        method="highs",
        **sums,
    )
    return unit * found.x if found.status == 0 else None
