"""The linear systems of newton: H X = R with H = B + D_J Q D_J' + kappa 11', output by output.

B says how the fits answer to the dual point and Q how the weights in use, J,
do; both are block diagonal. Conjugate gradients solve the system; their
preconditioner is the inverse of the system of each output on its own, by one
Cholesky factor of the smaller of its two Woodbury forms. Of one output that is
H itself, but for weights of rows that are rounded to a few bits, so that Gram
matrices are popcounts.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ..dictionaries import BinaryMatrix
from ..formulations import ConvexProgram
from .backend import Array

_BITS, _MOST_BITS = 8, 40  # of the smallest weight in a Gram matrix, and of the largest
_DISTINCT = 4  # weights that are few are taken as they are
_ROUNDING = 1e-15  # of a diagonal entry, a row
_FACTORED = 5_000  # columns in use, or rows, up to which systems are factored
_STEPS = 100  # of conjugate gradients
_TOLERANCE = 3e-2  # of a direction, relative; the next Newton step mends what it leaves


class FitResponse:
    """B: how z = prox_{tau f}(z_k - tau v) answers to -v, by entries, or for softmax by rows.

    ``floor`` is added where fits rest at kinks and do not answer at all.
    """

    def __init__(self, program: ConvexProgram, z: Array, tau: float, floor: float) -> None:
        a = program.row_weights[:, None]
        self._shares: Array | None = None
        if program.loss.separable:
            second = program.loss.second(z, program.target)
            resting = np.isinf(second)
            self._entries = tau / (1.0 + tau * a * np.where(resting, 0.0, second))
            self._entries = np.where(resting & (a > 0), 0.0, self._entries) + floor
            self.inverse_diagonal: Array = 1.0 / self._entries
            return
        # tau (I + tau a (diag p - p p'))^-1, by Sherman and Morrison
        p = program.loss.gradient(z, program.target) + program.target
        self._entries = tau / (1.0 + tau * a * p)
        self._shares = p * self._entries
        self._scales = tau * a / self._shares.sum(axis=1, keepdims=True)
        self.inverse_diagonal = 1.0 / tau + a * p * (1.0 - p)

    def apply(self, x: Array) -> Array:
        """B x for x (N, C)."""
        out: Array = self._entries * x
        if self._shares is not None:
            out += self._shares * self._scales * (self._shares * x).sum(axis=1, keepdims=True)
        return out


class WeightResponse:
    """Q: how W = prox_{sigma strength}(u) answers to D'v, on the rows ``used`` of u (P, C)."""

    def __init__(self, program: ConvexProgram, u: Array, weights: Array, sigma: float) -> None:
        self.used = np.flatnonzero(weights.any(axis=1))
        u = u[self.used]
        if program.norm_width == 1:
            self.diagonal = sigma * (weights[self.used] != 0.0)
            self._around: Array | None = None
            return
        lengths = np.linalg.norm(u, axis=1, keepdims=True)
        bent = np.minimum(sigma * program.strength / lengths, 1.0)  # the least may round to more
        self.diagonal = np.repeat(sigma * (1.0 - bent), u.shape[1], axis=1)
        self._along, self._around = u / lengths, sigma * bent

    def apply(self, x: Array) -> Array:
        """Q x for x (A, C)."""
        out: Array = self.diagonal * x
        if self._around is not None:
            out += self._around * self._along * (self._along * x).sum(axis=1, keepdims=True)
        return out


def solve(
    design: BinaryMatrix, fits: FitResponse, weights: WeightResponse, kappa: float, right: Array
) -> Array:
    """X (N, C) with H X = ``right``; kappa is 0 without an intercept."""
    held = design.take(weights.used)

    def apply(x: Array) -> Array:
        image = fits.apply(x) + held.matvec(weights.apply(held.rmatvec(x)))
        image += kappa * x.sum(axis=0)
        return image

    outputs = OutputSystems(held, fits.inverse_diagonal, weights.diagonal, kappa)
    return _conjugate_gradients(apply, outputs.solve, right)


class OutputSystems:
    """The systems of each output on its own, diag(1 / inverse) + D diag(q) D' + kappa 11'.

    ``inverse`` (N, C), ``q`` (A, C) >= 0. Outputs that are alike share a factor.
    """

    def __init__(self, held: BinaryMatrix, inverse: Array, q: Array, kappa: float) -> None:
        self._held, self._inverse, self._kappa = held, inverse.copy(), kappa
        self._wide = held.shape[0] < held.shape[1]
        self._factors: list[tuple[NDArray[np.intp], NDArray[np.intp], Any]] = []
        if min(held.shape) > _FACTORED:
            return  # the diagonal has to do
        alike = (inverse == inverse[:, :1]).all() and (q == q[:, :1]).all()
        outputs = np.arange(q.shape[1])
        groups = [outputs] if alike else np.split(outputs, outputs.size)
        for group in groups:
            own = np.flatnonzero(q[:, group[0]])
            if own.size or kappa > 0:
                system = self._system(group, own, q[own, group[0]])
                # what rounding may take of a matrix of dependent columns
                system[np.diag_indices_from(system)] *= 1.0 + len(system) * _ROUNDING
                factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
                self._factors.append((group, own, factor))

    def _system(self, group: NDArray[np.intp], own: NDArray[np.intp], q: Array) -> Array:
        """The matrix to factor: of rows, or by Woodbury of the columns in use and the intercept.

        The latter holds for weights of rows as its Gram matrix rounds them, which are kept.
        """
        D, kappa = self._held.take(own), self._kappa
        if self._wide:
            across = BinaryMatrix.from_dense(D.to_dense(np.bool_).T)
            system = weighted_gram(across, split_weights(q)) + kappa
            system[np.diag_indices_from(system)] += 1.0 / self._inverse[:, group[0]]
            return system
        if kappa > 0:
            ones = np.ones((D.shape[0], 1), dtype=np.bool_)
            D, q = BinaryMatrix.hstack([D, BinaryMatrix.from_dense(ones)]), np.append(q, kappa)
        parts = split_weights(self._inverse[:, group[0]])
        self._inverse[:, group] = sum(value * rows[:, None] for value, rows in parts)
        system = weighted_gram(D, parts)
        system[np.diag_indices_from(system)] += 1.0 / q
        return system

    def solve(self, right: Array) -> Array:
        """The solutions (N, C) for right-hand sides (N, C)."""
        near: Array = self._inverse * right
        if self._wide:
            for group, _, factor in self._factors:
                near[:, group] = cho_solve(factor, right[:, group], check_finite=False)
            return near
        prices, sums = self._held.rmatvec(near), near.sum(axis=0)
        weights, ones = np.zeros_like(prices), np.zeros_like(sums)
        for group, own, factor in self._factors:
            x = prices[np.ix_(own, group)]
            if self._kappa > 0:
                x = np.vstack([x, sums[group]])
            x = cho_solve(factor, x, overwrite_b=True, check_finite=False)
            weights[np.ix_(own, group)] = x[: own.size]
            if self._kappa > 0:
                ones[group] = x[-1]
        near -= self._inverse * (self._held.matvec(weights) + ones)
        return near


def split_weights(weights: Array) -> list[tuple[float, NDArray[np.bool_]]]:
    """Weights >= 0 as a sum of a few numbers, each times a mask, but for rounding.

    Few distinct weights are taken as they are; of many, the largest is, which
    may be a kink's, and the others are rounded, the smallest to some bits: flat
    rows count for little in a Gram matrix, but most in its inverse.
    """
    values = np.unique(weights[weights > 0])
    if values.size <= _DISTINCT:
        return [(value, weights == value) for value in values]
    heavy = weights == values[-1]
    bits = min(math.ceil(math.log2(values[-2] / values[0])) + _BITS, _MOST_BITS)
    unit = values[-2] / (2**bits - 1)
    rounded = np.maximum(np.rint(weights / unit), weights > 0)
    whole = np.where(heavy, 0.0, rounded).astype(np.int64)
    planes = [(unit * 2**p, (whole >> p) % 2 == 1) for p in range(bits)]
    return [(values[-1], heavy), *planes]


def weighted_gram(D: BinaryMatrix, parts: list[tuple[float, NDArray[np.bool_]]]) -> Array:
    """D' diag(weights) D in float64 from popcounts, for weights of rows in parts."""
    total = np.zeros((D.shape[1], D.shape[1]))
    for value, rows in parts:
        total += value * D.keep_rows(rows).gram()
    return total


def _conjugate_gradients(
    apply: Callable[[Array], Array], precondition: Callable[[Array], Array], right: Array
) -> Array:
    """X with H X = ``right`` to a relative tolerance in the norm of the preconditioner."""
    x = precondition(right)
    residual = right - apply(x)
    z = precondition(residual)
    first = float((right * x).sum())
    rest = float((residual * z).sum())
    direction = z
    for _ in range(_STEPS):
        if not rest > _TOLERANCE**2 * first:
            break
        image = apply(direction)
        curvature = float((direction * image).sum())
        if not curvature > 0:
            break
        step = rest / curvature
        x = x + step * direction
        residual = residual - step * image
        z = precondition(residual)
        before, rest = rest, float((residual * z).sum())
        direction = z + rest / before * direction
    return x
