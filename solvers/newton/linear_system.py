"""Linear systems of newton: H X = R with H = B + D_J Q D_J' + kappa 11', per output.

B is the response of the fits to the dual point, Q that of the active weights J. Both are block
diagonal. Conjugate gradients solve the system. Their preconditioner is the inverse of each
output's own system, by a Cholesky factor of the smaller of its two Woodbury forms. For one output
this is the inverse of H itself, except for the weights of rows: for a 0/1 D they are rounded to a
few bits, so that Gram matrices are popcounts.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.linalg import cho_factor, cho_solve

from ...dictionaries import BinaryMatrix, DenseMatrix, Design
from ...dictionaries.norms import row_norms
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .tuning import TUNING


class FitResponse:
    """Response B of z = prox_{tau f}(z_k - tau v) to -v, by entries or for softmax by rows.

    Fits at kinks do not respond; ``floor`` is added to their entries.
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
        """Return B x for x (N, C)."""
        out: Array = self._entries * x
        if self._shares is not None:
            out += self._shares * self._scales * (self._shares * x).sum(axis=1, keepdims=True)
        return out


class WeightResponse:
    """Response Q of W = prox_{sigma strength}(u) to D'v, on the rows ``used`` of u (P, C).

    sigma is a number or (P, 1).
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
        lengths = row_norms(u)[:, None]
        bent = np.minimum(sigma * program.strength / lengths, 1.0)  # rounding can exceed 1
        bent = np.minimum(bent, 1.0 - TUNING.rounding)  # keep active rows slightly responsive
        self.diagonal = np.repeat(sigma * (1.0 - bent), u.shape[1], axis=1)
        self._along, self._around = u / lengths, sigma * bent

    def apply(self, x: Array) -> Array:
        """Return Q x for x (A, C)."""
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
    """Return X (N, C) with H X = ``right``; kappa is 0 without an intercept."""
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
    """Systems of the separate outputs, diag(1 / inverse) + D diag(q) D' + kappa 11'.

    ``inverse`` is (N, C), ``q`` (A, C) >= 0. Outputs with equal systems share a factor. If
    ``coupled``, the class also keeps Gram matrices for :meth:`solve_coupled`, unless they are too
    large or D has more columns than rows.
    """

    def __init__(
        self, held: Design, inverse: Array, q: Array, kappa: float, coupled: bool = False
    ) -> None:
        self._held, self._inverse, self._kappa = held, inverse.copy(), kappa
        self._q = np.vstack([q, np.full((1, q.shape[1]), kappa)])  # last row: the intercept
        self._grams: list[Array] = []
        self._holds = (
            coupled and held.shape[1] ** 2 * q.shape[1] <= TUNING.coupled_entries and (q > 0).all()
        )
        self._wide = held.shape[0] < held.shape[1]
        self._factors: list[tuple[NDArray[np.intp], NDArray[np.intp], Any]] = []
        if min(held.shape) > TUNING.factored_columns:
            return  # too large to factor: only the diagonal preconditions
        alike = (inverse == inverse[:, :1]).all() and (q == q[:, :1]).all()
        outputs = np.arange(q.shape[1])
        groups = [outputs] if alike else np.split(outputs, outputs.size)
        for group in groups:
            own = np.flatnonzero(q[:, group[0]])
            if own.size or kappa > 0:
                system = self._system(group, own, q[own, group[0]])
                # against rounding, which can make the matrix of dependent columns indefinite
                grown = 1.0 + len(system) * (TUNING.factor_rounding + held.gram_rounding)
                system[np.diag_indices_from(system)] *= grown
                factor = cho_factor(system, lower=True, overwrite_a=True, check_finite=False)
                self._factors.append((group, own, factor))

    def _system(self, group: NDArray[np.intp], own: NDArray[np.intp], q: Array) -> Array:
        """Return the matrix to factor: of the rows, or of active columns and intercept (Woodbury).

        The second form uses the weights of rows as the Gram matrix rounds them, and stores them.
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
        """Return the solutions (N, C) for right-hand sides (N, C)."""
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
        """Whether each output has a Gram matrix of all active columns."""
        return bool(self._grams)

    def solve_coupled(self, right: Array, response: WeightResponse) -> Array:
        """Solve for right-hand sides (N, C) with the full Q, whose diagonal is ``q``.

        The weights of rows are those of the rounded Gram matrix. The method is conjugate
        gradients with :meth:`solve` as preconditioner. From its solution X = (R - D Y) / B,
        residuals have the form D E and directions B^-1 D T. So Gram matrices and their factors
        replace products with D.
        """
        q = np.where(self._q > 0, self._q, 1.0)  # without an intercept the last row remains 0

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
        """Return D' rows and, below it, the sums of rows."""
        return np.vstack([self._held.rmatvec(rows), rows.sum(axis=0)])

    def _solve_weights(self, prices: Array) -> Array:
        """Return the weights (A, C) and, below them, the intercepts or 0, per output."""
        found = np.zeros_like(prices)
        for group, own, factor in self._factors:
            at = np.ix_(self._rows(own), group)
            found[at] = cho_solve(factor, prices[at], overwrite_b=True, check_finite=False)
        return found

    def _count(self, weights: Array) -> Array:
        """Return the Gram matrices times weights and intercepts, per output."""
        out = np.zeros_like(weights)
        for (group, own, _), gram in zip(self._factors, self._grams, strict=True):
            at = np.ix_(self._rows(own), group)
            out[at] = gram @ weights[at]
        return out

    def _rows(self, own: NDArray[np.intp]) -> NDArray[np.intp]:
        """Return the rows of the active weights and that of the intercepts."""
        return np.append(own, self._held.shape[1]) if self._kappa > 0 else own


def rounded_gram(D: Design, weights: Array) -> tuple[Array, Array]:
    """Return D' diag(weights) D for weights >= 0, and the weights as popcounts round them."""
    if isinstance(D, DenseMatrix):
        return D.weighted_gram(weights), weights
    parts = split_weights(weights)
    kept = np.zeros(len(weights))
    for value, rows in parts:
        kept += value * rows
    return weighted_gram(D, parts), kept


def split_weights(weights: Array) -> list[tuple[float, NDArray[np.int64]]]:
    """Split weights >= 0 into a sum of a few numbers times integers >= 0, up to rounding.

    Few distinct weights remain exact. Of many, the largest remains exact, because it may belong to
    kinks. The others are rounded so that the smallest keeps some bits: rows of small weight matter
    little in a Gram matrix, but most in its inverse.
    """
    values = np.unique(weights[weights > 0])
    if values.size <= TUNING.distinct_weights:
        return [(value, (weights == value).astype(np.int64)) for value in values]
    heavy = weights == values[-1]
    most = min(TUNING.most_bits, 62 - weights.size.bit_length())  # their sum fits in an int64
    # with subnormal numbers, the quotient could overflow and the unit could be 0
    bits = min(math.ceil(math.log2(values[-2]) - math.log2(values[0])) + TUNING.least_bits, most)
    unit = max(values[-2] / (2**bits - 1), np.finfo(np.float64).smallest_subnormal)
    light = np.where(heavy, 0.0, weights)
    whole = np.maximum(np.rint(light / unit), light > 0).astype(np.int64)
    return [(values[-1], heavy.astype(np.int64)), (unit, whole)]


def weighted_gram(D: BinaryMatrix, parts: list[tuple[float, NDArray[np.int64]]]) -> Array:
    """Return D' diag(weights) D in float64 from popcounts, for split weights of rows."""
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
    """Return X with H X = ``right`` to a relative tolerance in the preconditioner's norm."""
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
