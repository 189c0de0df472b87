"""Proximal point steps whose duals are solved by semismooth Newton, on all columns of a program.

From W_k, b_k, z_k a step minimises, over W, b and z = D W + b,

    f(z) + strength norm(W) + |z - z_k|^2 / (2 tau) + (|W - W_k|^2 + |b - b_k|^2) / (2 sigma),

where weights of a real design, and b beside them, are in units of 1 over the length of
their column. That is the augmented Lagrangian method on the dual (Rockafellar 1976; Li,
Sun and Toh 2018). Its own dual is smooth in v (N, C): its minimisers are

    W(v) = prox(W_k + sigma D'v),   z(v) = prox(z_k - tau v),   b(v) = b_k + sigma 1'v,

its gradient is D W(v) + b(v) - z(v), and Newton's steps on it (semismooth, as
the operators have corners) take a linear system with the columns in use alone.
As sigma and tau grow, few steps are needed, whatever the conditioning of D.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from scipy.optimize import brentq

from ..certificates import Certificate, certify
from ..dictionaries import BinaryMatrix, DenseMatrix, Design
from ..formulations import ConvexProgram
from . import newton_system
from .backend import Array
from .kept_factor import KeptFactor

_MOST_STEPS = 40  # proximal ones
_MOST_NEWTON = 40  # in one proximal step
_INEXACT = 0.2  # residual that a step may leave, in units of its length
_DRIFTING, _CLOSE = 2, 0.01  # steps without a smaller gap, after which they leave less
_SHARE = 0.3  # of a gap, for what else should not count
_NOTHING = 1e-3  # of a gap: what a residual may cost however short the step
_FLOOR = 1e-2  # most that kinks are smoothed by, in units of tau; it shrinks with the residual
_WORTH = 0.9  # a slope below this share of the first is small enough
_CLOSEST = 1e-3  # relative gap of a start below which the first step is not made longer
_KEPT = 4_000  # columns up to which their Gram matrix is kept: 128 MB
_TIED = 25  # Newton steps after which kinks are smoothed more
_LEAST = 1e-30  # squared length of a column, in units of the largest, that counts as its own
_PATIENCE = 12  # steps without a smaller gap before float64 is held to be the reason


@dataclass
class Scales:
    """sigma and tau; they go on from working set to working set.

    Of a real design sigma is in units of 1 over the squared length of a column.
    """

    sigma: float
    tau: float

    @classmethod
    def of(cls, program: ConvexProgram, closeness: float) -> "Scales":
        """Scales to start with, larger where the relative gap ``closeness`` is small already."""
        a = float(program.row_weights.mean())
        square = 1.0
        if not isinstance(program.design, DenseMatrix):
            square = float(np.median(program.design.squared_norms())) or 1.0
        share = a * max(closeness, _CLOSEST)
        # tried on digits; where fits rest at kinks, the weights have to move more than they
        smooth = np.isfinite(program.loss.curvature)
        sigma, tau = (1.0, 10.0) if smooth else (10.0, 0.5)
        # where there is no curvature, the length of a step is in units of the fits
        unit = 1.0 if smooth else _spread(program)
        return cls(unit * sigma / (share * square), unit * tau / share)

    def grow(self, factor: float) -> None:
        """Multiply the length of the steps."""
        self.sigma *= factor
        self.tau *= factor


@dataclass(frozen=True)
class Metric:
    """What sigma is times for the weights, (P, 1) or all alike, and for the intercept."""

    weights: Array | float
    intercept: float

    @classmethod
    def of(cls, design: Design) -> "Metric":
        """By the lengths of columns where they may be of any size, and of ones beside them."""
        if not isinstance(design, DenseMatrix):
            return cls(1.0, 1.0)
        squares = design.squared_norms()
        largest = float(squares.max(initial=0.0)) or 1.0
        return cls(1.0 / np.maximum(squares, _LEAST * largest)[:, None], 1.0 / design.shape[0])


@dataclass(frozen=True)
class Answer:
    """W (P, C), b (C,), the v (N, C) they come from, their certificate, and whether it is stuck.

    The certificate's dual point is v moved to where all constraints hold: from
    there the operators would let go of weights that v holds.
    """

    weights: Array
    intercept: Array
    v: Array
    certificate: Certificate
    stuck: bool = False


@dataclass(frozen=True)
class _Anchor:
    """Where a proximal step starts, and how long it is."""

    program: ConvexProgram
    weights: Array
    intercept: Array
    fit: Array
    scales: Scales
    metric: Metric = Metric(1.0, 1.0)

    @property
    def sigma(self) -> Array | float:
        """That of the weights, all alike or (P, 1)."""
        return self.scales.sigma * self.metric.weights

    @property
    def kappa(self) -> float:
        """That of the intercept, 0 without one."""
        return self.scales.sigma * self.metric.intercept if self.program.intercept else 0.0

    def at(self, v: Array, prices: Array) -> "_Point":
        program, sigma, tau = self.program, self.sigma, self.scales.tau
        u = self.weights + sigma * prices
        return _Point(
            v,
            prices,
            u,
            _shrunk(program, u, sigma),
            self.intercept + (self.kappa * v.sum(axis=0) if program.intercept else 0.0),
            program.loss.prox(self.fit - tau * v, program.target, tau * program.row_weights),
        )


@dataclass(frozen=True)
class _Point:
    """A dual point with its prices, the points u of the weights' operator, and the minimisers."""

    v: Array
    prices: Array
    u: Array
    weights: Array
    intercept: Array
    fit: Array

    def slope(self, direction: Array, prices: Array) -> float:
        """Of the dual function at this point, along a direction with its prices."""
        slope = (self.weights * prices).sum() - (self.fit * direction).sum()
        return float(slope + (self.intercept * direction.sum(axis=0)).sum())


def descend(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    v: Array,
    scales: Scales,
    goal: float,
    late: Callable[[], bool],
) -> tuple[Answer, int]:
    """Step until a gap of ``goal`` is certified; the answer, and how many Newton steps it took."""
    metric, packed = Metric.of(program.design), isinstance(program.design, BinaryMatrix)
    keeps = packed and program.outputs == 1 and len(weights) <= _KEPT  # one sigma for all weights
    kept = KeptFactor(program.design, program.intercept) if keeps else None
    fit = program.affine(weights, intercept)
    newton_steps, waited = 0, 0
    best: Answer | None = None
    for _ in range(_MOST_STEPS):
        anchor = _Anchor(program, weights, intercept, fit, scales, metric)
        wanted = goal if best is None else max(goal, _SHARE * best.certificate.gap)
        closely = waited >= _DRIFTING and not packed  # no 0/1 design was seen to drift
        point, steps = _minimise(anchor, v, wanted, kept, late, closely)
        newton_steps += steps
        certificate = certify(
            program, weights=point.weights, intercept=point.intercept, dual_point=point.v
        )
        if best is None or certificate.gap < best.certificate.gap:
            best, waited = Answer(point.weights, point.intercept, point.v, certificate), 0
        else:
            waited += 1
        if best.certificate.gap <= goal or late():
            return best, newton_steps
        if waited == _PATIENCE:
            break
        solved = steps < _MOST_NEWTON
        if solved or not waited:
            weights, intercept, fit, v = point.weights, point.intercept, point.fit, point.v
        scales.grow(5.0 if steps <= 12 else 2.0 if steps <= 25 else 1.0 if solved else 0.1)
    assert best is not None
    return replace(best, stuck=True), newton_steps


def _minimise(
    anchor: _Anchor,
    v: Array,
    gap: float,
    kept: KeptFactor | None,
    late: Callable[[], bool],
    closely: bool = False,
) -> tuple[_Point, int]:
    """Minimise the dual function of one proximal step by semismooth Newton.

    It ends where the residual is a share of the step, and what it changes of the
    losses a share of the gap; ``closely``, of a smaller share of the step whatever it
    changes, since where losses are flat fits and weights may drift apart.
    """
    program, scales = anchor.program, anchor.scales
    design = program.design
    smooth = bool(np.isfinite(program.loss.curvature))
    point = anchor.at(v, design.rmatvec(v))
    unit = _spread(program)
    for step in range(_MOST_NEWTON):
        residual = design.matvec(point.weights) + point.intercept - point.fit
        size = _rms(residual)
        moved = _rms(point.fit - anchor.fit)
        if size <= 1e-14 * (unit + _rms(point.fit)):
            return point, step
        costs = _change(program, point.fit, residual)
        enough = size <= (_CLOSE if closely else _INEXACT) * moved and costs <= _SHARE * gap
        if step > 0 and (enough or (costs <= _NOTHING * gap and not closely)):
            return point, step
        if late():
            return point, step
        # of many steps the reason is that rows alike rest at their kinks, more than columns hold
        power = 1.0 if step < _TIED else 0.75
        floor = 0.0 if smooth else scales.tau * min(_FLOOR, (size / unit) ** power)
        fits = newton_system.FitResponse(program, point.fit, scales.tau, floor)
        weights = newton_system.WeightResponse(program, point.u, point.weights, anchor.sigma)
        direction = -newton_system.solve(design, fits, weights, anchor.kappa, residual, kept)
        after = _search(anchor, point, direction)
        if after is None:  # rounding has the better of the system: the gradient still descends
            after = _search(anchor, point, -fits.inverse_diagonal * residual)
        if after is None:
            return point, step
        point = after
    return point, _MOST_NEWTON


def _shrunk(program: ConvexProgram, u: Array, sigma: Array | float) -> Array:
    """The penalty's operator at u (P, C), by rows where sigma is (P, 1)."""
    if isinstance(sigma, float):
        return program.penalty.prox(u, sigma * program.strength)
    return sigma * program.penalty.prox(u / sigma, program.strength)


def _search(anchor: _Anchor, point: _Point, direction: Array) -> _Point | None:
    """A point along a direction where the slope has all but gone; None where there is no descent.

    The dual function is convex, and along a line one product with D serves all points.
    """

    prices = anchor.program.design.rmatvec(direction)

    def at(step: float) -> _Point:
        return anchor.at(point.v + step * direction, point.prices + step * prices)

    start = point.slope(direction, prices)
    if not start < 0.0:
        return None
    end, there = 1.0, at(1.0)
    slope = there.slope(direction, prices)
    while slope < _WORTH * start and end < 1e6:
        end *= 4.0
        there = at(end)
        slope = there.slope(direction, prices)
    if slope > -_WORTH * start:
        root = brentq(
            lambda step: at(step).slope(direction, prices), 0.0, end, rtol=1e-3, disp=False
        )
        there = at(root)
    return there


def _change(program: ConvexProgram, fit: Array, move: Array) -> float:
    """By how much a move of the fits changes the losses of the rows, in all."""
    before, after = (program.loss.value(z, program.target) for z in (fit, fit + move))
    return float((program.row_weights @ np.abs(after - before)).sum())


def _spread(program: ConvexProgram) -> float:
    """The standard deviation of the targets, or without an intercept their root mean square."""
    a = program.row_weights / program.row_weights.sum()
    apart = program.target - (a @ program.target if program.intercept else 0.0)
    return float(np.sqrt(np.mean(a @ apart**2)))


def _rms(values: Array) -> float:
    return float(np.sqrt(np.mean(values**2)))
