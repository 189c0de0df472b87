"""The linear systems of newton: H X = R with H = B + D_J Q D_J' + kappa 11', output by output.

B says how the fits answer to the dual point and Q how the weights in use, J,
do; both are block diagonal. Conjugate gradients solve the system; their
preconditioner is the inverse of the system of each output on its own, by one
Cholesky factor of the smaller of its two Woodbury forms. Of one output that is
H itself, but for weights of rows that are rounded to a few bits where D is 0/1, so
that Gram matrices are popcounts.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ...dictionaries import BinaryMatrix, DenseMatrix, Design
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .tuning import TUNING


class FitResponse:
    """B: how z = prox_{tau f}(z_k - tau v) answers to -v, by entries, or for softmax by rows.

    ``floor`` is added where fits rest at kinks and do not answer at all.
    """

    def __init__(self, program: ConvexProgram, z: Array, tau: float, floor: float) -> None:
        a = program.row_weights[:, None]
        self.separable = program.loss.separable
        self._shares: Array | None = None
        if program.loss.separable:
            second = program.loss.second(z, program.target)
            resting = np.isinf(second)
            self._entries = tau / (1.0 + tau * a * np.where(resting, 0.0, second))
            self._entries = np.where(resting & (a > 0), 0.0, self._entries) + floor
            self.inverse_diagonal: Array = 1.0 / self._entries
            return
        # tau (I + tau a (diag p - p p'))^-1, by Sherman and Morrison
        p = program.loss.second_by_shares(z, program.target)
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
    """Q: how W = prox_{sigma strength}(u) answers to D'v, on the rows ``used`` of u (P, C).

    sigma is a number, or (P, 1).
    """

    def __init__(
        self, program: ConvexProgram, u: Array, weights: Array, sigma: Array | float
    ) -> None:
        self.used = np.flatnonzero(weights.any(axis=1))
        u = u[self.used]
        if not isinstance(sigma, float):
            sigma = sigma[self.used]
        if program.norm_width == 1:
            self.diagonal = sigma * (weights[self.used] != 0.0)
            self._around: Array | None = None
            self.couples = False
            return
        self.couples = True
        lengths = np.linalg.norm(u, axis=1, keepdims=True)
        bent = np.minimum(sigma * program.strength / lengths, 1.0)  # the least may round to more
        bent = np.minimum(bent, 1.0 - TUNING.rounding)  # rows in use do answer, be it little
        self.diagonal = np.repeat(sigma * (1.0 - bent), u.shape[1], axis=1)
        self._along, self._around = u / lengths, sigma * bent

    def apply(self, x: Array) -> Array:
        """Q x for x (A, C)."""
        out: Array = self.diagonal * x
        if self._around is not None:
            out += self._around * self._along * (self._along * x).sum(axis=1, keepdims=True)
        return out


def solve(
    design: Design,
    fits: FitResponse,
    weights: WeightResponse,
    kappa: float,
    right: Array,
) -> Array:
    """X (N, C) with H X = ``right``; kappa is 0 without an intercept."""
    held = design.take(weights.used)

    def apply(x: Array) -> Array:
        image = fits.apply(x) + held.matvec(weights.apply(held.rmatvec(x)))
        image += kappa * x.sum(axis=0)
        return image

    coupled = fits.separable and weights.couples
    systems = OutputSystems(held, fits.inverse_diagonal, weights.diagonal, kappa, coupled)
    if coupled and systems.holds_grams:
        return systems.solve_coupled(right, weights)
    return _conjugate_gradients(apply, systems.solve, right)


class OutputSystems:
    """The systems of each output on its own, diag(1 / inverse) + D diag(q) D' + kappa 11'.

    ``inverse`` (N, C), ``q`` (A, C) >= 0. Outputs that are alike share a factor.
    Where ``coupled``, Gram matrices are held beside the factors for
    :meth:`solve_coupled`, unless there are more columns than rows or they are too large.
    """

    def __init__(
        self, held: Design, inverse: Array, q: Array, kappa: float, coupled: bool = False
    ) -> None:
        self._held, self._inverse, self._kappa = held, inverse.copy(), kappa
        self._q = np.vstack([q, np.full((1, q.shape[1]), kappa)])  # the last is the intercept's
        self._grams: list[Array] = []
        self._holds = (
            coupled and held.shape[1] ** 2 * q.shape[1] <= TUNING.coupled_entries and (q > 0).all()
        )
        self._wide = held.shape[0] < held.shape[1]
        self._factors: list[tuple[NDArray[np.intp], NDArray[np.intp], Any]] = []
        if min(held.shape) > TUNING.factored_columns:
            return  # the diagonal has to do
        alike = (inverse == inverse[:, :1]).all() and (q == q[:, :1]).all()
        outputs = np.arange(q.shape[1])
        groups = [outputs] if alike else np.split(outputs, outputs.size)
        for group in groups:
            own = np.flatnonzero(q[:, group[0]])
            if own.size or kappa > 0:
                system = self._system(group, own, q[own, group[0]])
                # what rounding may take of a matrix of dependent columns
                grown = 1.0 + len(system) * (TUNING.factor_rounding + held.gram_rounding)
                system[np.diag_indices_from(system)] *= grown
                factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
                self._factors.append((group, own, factor))

    def _system(self, group: NDArray[np.intp], own: NDArray[np.intp], q: Array) -> Array:
        """The matrix to factor: of rows, or by Woodbury of the columns in use and the intercept.

        The latter holds for weights of rows as its Gram matrix rounds them, which are kept.
        """
        D, kappa = self._held.take(own), self._kappa
        if self._wide:
            system = rounded_gram(D.transpose(), q)[0] + kappa
            system[np.diag_indices_from(system)] += 1.0 / self._inverse[:, group[0]]
            return system
        if kappa > 0:
            D, q = D.with_ones(), np.append(q, kappa)
        system, kept = rounded_gram(D, self._inverse[:, group[0]])
        self._inverse[:, group] = kept[:, None]
        if self._holds:
            self._grams.append(system.copy())
        system[np.diag_indices_from(system)] += 1.0 / q
        return system

    def solve(self, right: Array) -> Array:
        """The solutions (N, C) for right-hand sides (N, C)."""
        near: Array = self._inverse * right
        if self._wide:
            for group, _, factor in self._factors:
                near[:, group] = cho_solve(factor, right[:, group], check_finite=False)
            return near
        weights = self._solve_weights(self._prices(near))
        near -= self._inverse * (self._held.matvec(weights[:-1]) + weights[-1])
        return near

    @property
    def holds_grams(self) -> bool:
        """Whether there is a Gram matrix for each output, of all columns in use."""
        return bool(self._grams)

    def solve_coupled(self, right: Array, response: WeightResponse) -> Array:
        """Solve for (N, C) right-hand sides with all of Q, of which ``q`` is the diagonal.

        Weights of rows stay as their Gram matrix rounds them.

        Conjugate gradients with :meth:`solve` as their preconditioner: from its
        solution X = (R - D Y) / B on, residuals are D E and directions B^-1 D T,
        so that Gram matrices and their factors do what products with D would.
        """
        q = np.where(self._q > 0, self._q, 1.0)  # without an intercept its row stays 0

        def respond(prices: Array) -> Array:
            return np.vstack([response.apply(prices[:-1]), self._q[-1:] * prices[-1:]])

        near = self._inverse * right
        weights = self._solve_weights(self._prices(near))
        answer = near - self._inverse * (self._held.matvec(weights[:-1]) + weights[-1])
        first = float((right * answer).sum())
        residual = weights - respond(weights / q)
        step_to = self._solve_weights(residual / q)
        image = self._count(step_to)
        rest = float((residual * image).sum())
        for _ in range(TUNING.gradient_steps):
            if not rest > TUNING.gradient_residual**2 * first:
                break
            moved = step_to + respond(image)
            curvature = float((image * moved).sum())
            if not curvature > 0:
                break
            step = rest / curvature
            weights = weights - step * step_to
            residual = residual - step * moved
            new = self._solve_weights(residual / q)
            counted = self._count(new)
            before, rest = rest, float((residual * counted).sum())
            step_to, image = new + rest / before * step_to, counted + rest / before * image
        near -= self._inverse * (self._held.matvec(weights[:-1]) + weights[-1])
        return near

    def _prices(self, rows: Array) -> Array:
        """D' rows, and below it the sums of rows."""
        return np.vstack([self._held.rmatvec(rows), rows.sum(axis=0)])

    def _solve_weights(self, prices: Array) -> Array:
        """The weights (A, C), and below them the intercepts or 0, output by output."""
        found = np.zeros_like(prices)
        for group, own, factor in self._factors:
            at = np.ix_(self._rows(own), group)
            found[at] = cho_solve(factor, prices[at], overwrite_b=True, check_finite=False)
        return found

    def _count(self, weights: Array) -> Array:
        """Gram matrices times weights and intercepts, output by output."""
        out = np.zeros_like(weights)
        for (group, own, _), gram in zip(self._factors, self._grams, strict=True):
            at = np.ix_(self._rows(own), group)
            out[at] = gram @ weights[at]
        return out

    def _rows(self, own: NDArray[np.intp]) -> NDArray[np.intp]:
        """The rows of weights in use, and that of the intercepts."""
        return np.append(own, self._held.shape[1]) if self._kappa > 0 else own


def rounded_gram(D: Design, weights: Array) -> tuple[Array, Array]:
    """D' diag(weights) D for weights >= 0, and the weights that it has: popcounts round them."""
    if isinstance(D, DenseMatrix):
        return D.weighted_gram(weights), weights
    parts = split_weights(weights)
    kept = np.zeros(len(weights))
    for value, rows in parts:
        kept += value * rows
    return weighted_gram(D, parts), kept


def split_weights(weights: Array) -> list[tuple[float, NDArray[np.int64]]]:
    """Weights >= 0 as a sum of a few numbers, each times integers >= 0, but for rounding.

    Few distinct weights are taken as they are; of many, the largest is, which
    may be a kink's, and the others are rounded, the smallest to some bits: flat
    rows count for little in a Gram matrix, but most in its inverse.
    """
    values = np.unique(weights[weights > 0])
    if values.size <= TUNING.distinct_weights:
        return [(value, (weights == value).astype(np.int64)) for value in values]
    heavy = weights == values[-1]
    most = min(TUNING.most_bits, 62 - weights.size.bit_length())  # their sum fits in an int64
    # of subnormal numbers neither the quotient nor the unit need be a number
    bits = min(math.ceil(math.log2(values[-2]) - math.log2(values[0])) + TUNING.least_bits, most)
    unit = max(values[-2] / (2**bits - 1), np.finfo(np.float64).smallest_subnormal)
    light = np.where(heavy, 0.0, weights)
    whole = np.maximum(np.rint(light / unit), light > 0).astype(np.int64)
    return [(values[-1], heavy.astype(np.int64)), (unit, whole)]


def weighted_gram(D: BinaryMatrix, parts: list[tuple[float, NDArray[np.int64]]]) -> Array:
    """D' diag(weights) D in float64 from popcounts, for weights of rows in parts."""
    total = np.zeros((D.shape[1], D.shape[1]))
    for value, rows in parts:
        if rows.max() > 1:
            sums = D.weighted_gram(rows)
        elif rows.all():
            sums = D.gram()
        else:
            sums = D.keep_rows(rows != 0).gram()
        total += value * sums
    return total


def _conjugate_gradients(
    apply: Callable[[Array], Array], precondition: Callable[[Array], Array], right: Array
) -> Array:
    """X with H X = ``right`` to a relative tolerance in the norm of the preconditioner."""
    x = precondition(right)
    residual = right - apply(x)
    if np.linalg.norm(residual) <= TUNING.gradient_residual * np.linalg.norm(right):
        return x
    z = precondition(residual)
    first = float((right * x).sum())
    rest = float((residual * z).sum())
    direction = z
    for _ in range(TUNING.gradient_steps):
        if not rest > TUNING.gradient_residual**2 * first:
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
