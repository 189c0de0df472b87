"""Proximal point steps row by row, for every loss, penalty and design.

From W_k, b_k, z_k a step minimises, over W, b and z = D W + b,

    f(z) + strength norm(W) + |z - z_k|^2 / (2 tau) + (|W - W_k|^2 + |b - b_k|^2) / (2 sigma),

where the weights of a real design and b are in units of 1 over the length of their column. The
dual of this problem is smooth in v (N, C). The minimisers for given v are

    W(v) = prox(W_k + sigma D'v),   z(v) = prox(z_k - tau v),   b(v) = b_k + sigma 1'v.

The dual gradient is D W(v) + b(v) - z(v). A Newton step on it solves a linear system with the
active columns only. The steps are semismooth because the operators have corners.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...certificates.certificate import Certificate
from ...certificates.certify import certify_quickly
from ...dictionaries import BinaryMatrix, DenseMatrix, Design
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from . import linear_system
from .proximal_steps import (
    Answer,
    Scales,
    follow,
    search,
    spread,
)
from .tuning import TUNING


@dataclass(frozen=True)
class Metric:
    """Factors of sigma for the weights, (P, 1) or a number, and for the intercept."""

    weights: Array | float
    intercept: float

    @classmethod
    def of(cls, design: Design) -> "Metric":
        """Build the factors from a real design's column lengths; a 0/1 design has factors of 1."""
        if not isinstance(design, DenseMatrix):
            return cls(1.0, 1.0)
        squares = design.squared_norms()
        largest = float(squares.max(initial=0.0)) or 1.0
        return cls(
            1.0 / np.maximum(squares, TUNING.column_least * largest)[:, None], 1.0 / design.shape[0]
        )


@dataclass(frozen=True)
class Anchor:
    """Start of a proximal step and its length."""

    program: ConvexProgram
    weights: Array
    intercept: Array
    fit: Array
    scales: Scales
    metric: Metric = Metric(1.0, 1.0)

    @property
    def sigma(self) -> Array | float:
        """Sigma of the weights, a number or (P, 1)."""
        return self.scales.sigma * self.metric.weights

    @property
    def kappa(self) -> float:
        """Sigma of the intercept, 0 without an intercept."""
        return self.scales.sigma * self.metric.intercept if self.program.intercept else 0.0

    def at(self, v: Array, prices: Array) -> "Point":
        """Compute the point of a dual point v (N, C) with its prices D'v."""
        program, sigma, tau = self.program, self.sigma, self.scales.tau
        u = self.weights + sigma * prices
        return Point(
            v,
            prices,
            u,
            _shrunk(program, u, sigma),
            self.intercept + (self.kappa * v.sum(axis=0) if program.intercept else 0.0),
            program.loss.prox(self.fit - tau * v, program.target, tau * program.row_weights),
        )


@dataclass(frozen=True)
class Point:
    """Dual point with its prices, the arguments u of the weights' operator, and the minimisers."""

    v: Array
    prices: Array
    u: Array
    weights: Array
    intercept: Array
    fit: Array

    def slope(self, direction: Array, prices: Array) -> float:
        """Return the slope of the dual function along a direction with the given prices."""
        slope = (self.weights * prices).sum() - (self.fit * direction).sum()
        return float(slope + (self.intercept * direction.sum(axis=0)).sum())


class RowSteps:
    """Steps by rows, for every loss, penalty and design; see :class:`Steps`."""

    def __init__(self, program: ConvexProgram, weights: Array, intercept: Array, v: Array) -> None:
        self._program, self._metric = program, Metric.of(program.design)
        # fits and weights of 0/1 designs did not drift apart in any measurement
        self._drifts = not isinstance(program.design, BinaryMatrix)
        self._start = weights, intercept, program.affine(weights, intercept)
        self._v = v
        self._last: tuple[Point, Certificate]
        self.best: tuple[Point, Certificate]

    def minimise(
        self, scales: Scales, gap: float, late: Callable[[], bool], closely: bool
    ) -> tuple[float, int]:
        """See :class:`Steps`."""
        anchor = Anchor(self._program, *self._start, scales, self._metric)
        point, taken = _minimise(anchor, self._v, gap, late, closely and self._drifts)
        certificate = certify_quickly(self._program, point.weights, point.intercept, [point.v])
        self._last = point, certificate
        return certificate.absolute_gap, taken

    def keep(self) -> None:
        """See :class:`Steps`."""
        self.best = self._last

    def advance(self) -> None:
        """See :class:`Steps`."""
        point, _ = self._last
        self._start, self._v = (point.weights, point.intercept, point.fit), point.v


def descend_by_rows(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    v: Array,
    scales: Scales,
    goal: float,
    late: Callable[[], bool],
) -> tuple[Answer, int]:
    """See :func:`descend`."""
    steps = RowSteps(program, weights, intercept, v)
    gap, taken = follow(steps, scales, goal, late)
    point, certificate = steps.best
    stuck = gap > goal and not late()
    return Answer(point.weights, point.intercept, point.v, certificate, stuck, by_rows=True), taken


def _minimise(
    anchor: Anchor, v: Array, gap: float, late: Callable[[], bool], closely: bool
) -> tuple[Point, int]:
    """Minimise the dual function of a proximal step by semismooth Newton.

    Newton's method stops when the residual is a share of the step and changes the losses by at
    most a share of the gap. If ``closely``, it requires a smaller share of the step, whatever
    the change of the losses: in flat parts of the loss, fits and weights can drift apart.
    """
    program, scales = anchor.program, anchor.scales
    design = program.design
    smooth = bool(np.isfinite(program.loss.curvature))
    point = anchor.at(v, design.rmatvec(v))
    unit = spread(program)
    for step in range(TUNING.most_steps):
        residual = design.matvec(point.weights) + point.intercept - point.fit
        size = _rms(residual)
        moved = _rms(point.fit - anchor.fit)
        if size <= TUNING.rounding * (unit + _rms(point.fit)):
            return point, step
        costs = _change(program, point.fit, residual)
        enough = (
            size <= (TUNING.residual_drifting if closely else TUNING.residual) * moved
            and costs <= TUNING.share_other * gap
        )
        if step > 0 and (enough or (costs <= TUNING.share_nothing * gap and not closely)):
            return point, step
        if late():
            return point, step
        # many steps occur if more rows rest at kinks than the active columns can fit
        power = 1.0 if step < TUNING.many_steps else 0.75
        floor = 0.0 if smooth else scales.tau * min(TUNING.smoothing, (size / unit) ** power)
        fits = linear_system.FitResponse(program, point.fit, scales.tau, floor)
        weights = linear_system.WeightResponse(program, point.u, point.weights, anchor.sigma)
        direction = -linear_system.solve(design, fits, weights, anchor.kappa, residual)
        after = descent(anchor, point, direction)
        if after is None:  # rounding spoils the Newton direction: the gradient still descends
            after = descent(anchor, point, -fits.inverse_diagonal * residual)
        if after is None:
            return point, step
        point = after
    return point, TUNING.most_steps


def descent(anchor: Anchor, point: Point, direction: Array) -> Point | None:
    """Search along a direction for a point of small slope; return None without descent.

    One product with D serves all points on the line.
    """
    prices = anchor.program.design.rmatvec(direction)

    def at(step: float) -> tuple[Point, float]:
        there = anchor.at(point.v + step * direction, point.prices + step * prices)
        return there, there.slope(direction, prices)

    return search(at, point.slope(direction, prices))


def _shrunk(program: ConvexProgram, u: Array, sigma: Array | float) -> Array:
    """Apply the penalty's proximal operator to u (P, C), row by row if sigma is (P, 1)."""
    if isinstance(sigma, float):
        return program.penalty.prox(u, sigma * program.strength)
    return sigma * program.penalty.prox(u / sigma, program.strength)


def _change(program: ConvexProgram, fit: Array, move: Array) -> float:
    """Return the sum of the absolute changes of the rows' losses if the fits move."""
    before, after = (program.loss.value(z, program.target) for z in (fit, fit + move))
    return float((program.row_weights @ np.abs(after - before)).sum())


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
