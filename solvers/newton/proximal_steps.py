"""Proximal point steps on a working set, however one is taken: how long, how many, to what end.

A step starts at weights W_k and stays near them. That is the augmented Lagrangian method
on the dual (Rockafellar 1976; Li, Sun and Toh 2018), each step of which is smooth in the
dual point and solved by semismooth Newton. As the steps grow, few are needed, whatever the
conditioning of D. ``row_steps.py`` takes them for any loss, ``gram_steps.py`` of a quadratic
one by its Gram matrix alone.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, TypeVar

import numpy as np
from scipy.optimize import brentq

from ...certificates import Certificate
from ...dictionaries import DenseMatrix
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .tuning import TUNING

Point = TypeVar("Point")


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
        share = a * max(closeness, TUNING.closeness)
        # tried on digits; where fits rest at kinks, the weights have to move more than they
        smooth = np.isfinite(program.loss.curvature)
        sigma, tau = (1.0, 10.0) if smooth else (10.0, 0.5)
        # where there is no curvature, the length of a step is in units of the fits
        unit = 1.0 if smooth else spread(program)
        return cls(unit * sigma / (share * square), unit * tau / share)

    def grow(self, factor: float) -> None:
        """Multiply the length of the steps."""
        self.sigma *= factor
        self.tau *= factor


@dataclass(frozen=True)
class Answer:
    """W (P, C), b (C,), the v (N, C) they come from, their certificate, and whether it is stuck.

    The certificate's dual point is v moved to where all constraints hold: from
    there the operators would let go of weights that v holds. ``by_rows`` says whether
    it took steps row by row.
    """

    weights: Array
    intercept: Array
    v: Array
    certificate: Certificate
    stuck: bool = False
    by_rows: bool = False


class Steps(Protocol):
    """Where steps stand, the last of them, and the best."""

    def minimise(
        self, scales: Scales, gap: float, late: Callable[[], bool], closely: bool
    ) -> tuple[float, int]:
        """Take a step, to a share of ``gap``; the gap that it leaves, and its Newton steps.

        ``closely`` is to leave a smaller share of the step.
        """

    def keep(self) -> None:
        """Hold the last step for the best."""

    def advance(self) -> None:
        """Let the next step start where the last one ended."""


def follow(
    steps: Steps, scales: Scales, goal: float, late: Callable[[], bool]
) -> tuple[float, int]:
    """Take steps until one leaves a gap of ``goal``, they do no better, or it is late.

    Returns the least gap, and how many Newton steps it took.
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
    """A point along a line where the slope has all but gone; None where there is no descent.

    ``at`` gives the point at a step and the slope there of a convex function, ``start`` is
    the slope at 0.
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
    """The standard deviation of the targets, or without an intercept their root mean square."""
    a = program.row_weights / program.row_weights.sum()
    apart = program.target - (a @ program.target if program.intercept else 0.0)
    return float(np.sqrt(np.mean(a @ apart**2)))
