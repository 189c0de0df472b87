"""Proximal point steps on a working set: their length, their number and when they end.

A step starts at weights W_k and penalises the distance from them. This is the augmented
Lagrangian method on the dual (Rockafellar 1976; Li, Sun and Toh 2018). Each step is smooth in the
dual point, and semismooth Newton solves it. The steps grow, so few are needed for any conditioning
of D. ``row_steps.py`` takes steps for any loss. ``gram_steps.py`` takes steps for a quadratic loss
from its Gram matrix.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from scipy.optimize import brentq

from ...certificates.certificate import Certificate
from ...dictionaries import DenseMatrix
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .tuning import TUNING

Point = TypeVar("Point")


@dataclass
class Scales:
    """Lengths sigma and tau of the steps; a working set starts with those of the previous one.

    For a real design sigma is in units of 1 over the squared length of a column.
    """

    sigma: float
    tau: float

    @classmethod
    def of(cls, program: ConvexProgram, closeness: float) -> "Scales":
        """Choose initial scales; they are larger if the relative gap ``closeness`` is small."""
        a = float(program.row_weights.mean())
        square = 1.0
        if not isinstance(program.design, DenseMatrix):
            square = float(np.median(program.design.squared_norms())) or 1.0
        share = a * max(closeness, TUNING.closeness)
        # tuned on digits; fits rest at kinks, so weights must move more than fits
        smooth = np.isfinite(program.loss.curvature)
        sigma, tau = (1.0, 10.0) if smooth else (10.0, 0.5)
        # for losses with kinks, the length of a step is in units of the fits
        unit = 1.0 if smooth else spread(program)
        return cls(unit * sigma / (share * square), unit * tau / share)

    def grow(self, factor: float) -> None:
        """Multiply the length of the steps."""
        self.sigma *= factor
        self.tau *= factor


@dataclass(frozen=True)
class Answer:
    """Weights W (P, C) and b (C,), their dual point v (N, C), and their certificate.

    The certificate's dual point is v scaled to satisfy all constraints. Steps continue from v
    itself: at the scaled point the operators would set active weights to 0. ``stuck`` says
    whether float64 makes no further progress, ``by_rows`` whether the steps were by rows.
    """

    weights: Array
    intercept: Array
    v: Array
    certificate: Certificate
    stuck: bool = False
    by_rows: bool = False


class Steps(Protocol):
    """State of proximal point steps, with the last step and the best one."""

    def minimise(
        self, scales: Scales, gap: float, late: Callable[[], bool], closely: bool
    ) -> tuple[float, int]:
        """Take a step to a share of ``gap``; return its gap and its Newton steps.

        ``closely`` asks for a smaller residual, relative to the step.
        """

    def keep(self) -> None:
        """Store the last step as the best."""

    def advance(self) -> None:
        """Set the start of the next step to the end of the last one."""


def follow(
    steps: Steps, scales: Scales, goal: float, late: Callable[[], bool]
) -> tuple[float, int]:
    """Take steps until the gap is at most ``goal``, stops improving, or time is up.

    Return the smallest gap and the number of Newton steps.
    """
    newton_steps, waited = 0, 0
    least: float | None = None
    for _ in range(TUNING.most_steps):
        wanted = goal if least is None else max(goal, TUNING.share_other * least)
        gap, taken = steps.minimise(scales, wanted, late, closely=waited >= TUNING.drifting_after)
        newton_steps += taken
        if least is None or gap < least:
            steps.keep()
            least, waited = gap, 0
        else:
            waited += 1
        if least <= goal or late() or waited == TUNING.patience:
            break
        solved = taken < TUNING.most_steps
        if solved or not waited:
            steps.advance()
        scales.grow(
            5.0 if taken <= 12 else 2.0 if taken <= TUNING.many_steps else 1.0 if solved else 0.1
        )
    assert least is not None
    return least, newton_steps


def search(at: Callable[[float], tuple[Point, float]], start: float) -> Point | None:
    """Search along a line for a point of small slope; return None without descent.

    ``at`` returns the point at a step and the slope of a convex function there. ``start`` is the
    slope at step 0.
    """
    if not start < 0.0:
        return None
    end = 1.0
    point, slope = at(end)
    while slope < TUNING.slope * start and end < 1e6:
        end *= 4.0
        point, slope = at(end)
    if slope > -TUNING.slope * start:
        root = brentq(lambda step: at(step)[1], 0.0, end, rtol=1e-3, disp=False)
        point, _ = at(root)
    return point


def spread(program: ConvexProgram) -> float:
    """Return the targets' standard deviation, or without an intercept their root mean square."""
    a = program.row_weights / program.row_weights.sum()
    apart = program.target - (a @ program.target if program.intercept else 0.0)
    return float(np.sqrt(np.mean(a @ apart**2)))
