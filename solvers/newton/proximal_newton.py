"""Proximal Newton steps: quadratic models of losses with a continuous second derivative.

At a fit z, let r be minus the slopes of the rows and H their curvatures. A change dW, db of
weights and intercept changes the objective, up to terms of third order, by

    -r'(D dW + db) + (D dW + db)'H (D dW + db) / 2 + strength (|W + dW|_1 - |W|_1).

The minimising db is (1'r - 1'H D dW) / 1'H1. The minimising dW (``gram_steps.py``) is a direction
of descent, and a line search follows it (Lee, Sun and Saunders 2014). The squared loss equals its
quadratic model, so one step suffices. Popcounts may round H to some bits; this changes the path
of the steps but not their limit.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ...certificates.certify import certify_priced
from ...dictionaries import BinaryMatrix
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from .gram_steps import GramSteps, Quadratic
from .linear_system import rounded_gram
from .proximal_steps import Answer, Scales, follow
from .tuning import TUNING


def has_quadratics(program: ConvexProgram) -> bool:
    """Whether :func:`descend_by_quadratics` covers the program."""
    return (
        program.loss.continuous_second
        and program.outputs == 1
        and isinstance(program.design, BinaryMatrix)
        and program.design.shape[1] <= TUNING.gram_columns
    )


@dataclass(frozen=True)
class _Model:
    """Quadratic model at weights W_k: r and H (N,), and the H-weighted means (P,) of columns."""

    program: ConvexProgram
    weights: Array
    slopes: Array
    curvatures: Array
    means: Array
    quadratic: Quadratic

    @classmethod
    def at(cls, program: ConvexProgram, weights: Array, fit: Array) -> "_Model | None":
        """Build the model at W_k and its fit; return None if all rows are flat or it overflows."""
        design, a = program.design, program.row_weights
        slopes = -a * program.loss.gradient(fit, program.target)[:, 0]
        gram, curvatures = rounded_gram(design, a * program.loss.second(fit, program.target)[:, 0])
        total, curved = float(curvatures.sum()), curvatures > 0
        if not total > 0:
            return None
        means, prices = np.zeros(design.shape[1]), design.rmatvec(slopes)
        square = float((slopes[curved] ** 2 / curvatures[curved]).sum())
        if program.intercept:
            means = design.rmatvec(curvatures) / total
            gram -= np.outer(total * means, means)
            prices -= slopes.sum() * means
            square -= float(slopes.sum()) ** 2 / total
        image = gram @ weights
        square += float((2.0 * prices + image) @ weights)
        if not np.isfinite(square):
            return None
        quadratic = Quadratic(gram, prices + image, square, program.strength)
        return cls(program, weights, slopes, curvatures, means, quadratic)

    def move(self, weights: Array) -> tuple[Array, float]:
        """Return the changes of the fit (N,) and of the intercept from W_k to other weights."""
        change = weights - self.weights
        shift = 0.0
        if self.program.intercept:
            shift = self.slopes.sum() / self.curvatures.sum() - float(self.means @ change)
        return self.program.design.matvec(change) + shift, shift

    def dual_at(self, weights: Array) -> Array:
        """Return the dual point (N, 1) of other weights, moved into the domain."""
        v = self.slopes - self.curvatures * self.move(weights)[0]
        return self.program.into_domain(v[:, None])


@np.errstate(over="ignore", invalid="ignore")  # steps that are not finite are rejected
def descend_by_quadratics(
    program: ConvexProgram,
    weights: Array,
    intercept: Array,
    scales: Scales,
    goal: float,
    late: Callable[[], bool],
) -> tuple[Answer | None, int]:
    """See :func:`descend`; start from weights and intercept, without a dual point.

    Return None if no first step succeeds in float64.
    """
    fit = program.affine(weights, intercept)
    objective = float(program.objectives(weights, fit).sum())
    newton_steps, waited, wanted = 0, 0, goal
    best: Answer | None = None
    for _ in range(TUNING.most_steps):
        model = steps = None  # free the Gram matrix before building the next
        model = _Model.at(program, weights[:, 0], fit)
        if model is None:
            break
        steps = GramSteps(model.quadratic, weights[:, 0])
        try:
            _, taken = follow(steps, scales, wanted, late)
        except np.linalg.LinAlgError:  # rounding made the Gram matrix indefinite
            break
        newton_steps += taken
        found, x = steps.best
        change, shift = model.move(found)
        step = 1.0
        while True:
            there = fit + step * change[:, None]
            ahead = weights + step * (found[:, None] - weights)
            then = float(program.objectives(ahead, there).sum())
            lower = then <= objective + TUNING.rounding * abs(objective)
            if lower or step <= TUNING.shortest_step:
                break
            step *= 0.5
        if not lower:
            break
        weights, intercept, fit, objective = ahead, intercept + step * shift, there, then
        v = model.dual_at(x)
        certificate = certify_priced(program, weights, intercept, v, program.largest_prices(v))
        if best is None or certificate.absolute_gap < best.certificate.absolute_gap:
            best, waited = Answer(weights, intercept, v, certificate), 0
        else:
            waited += 1
        if certificate.absolute_gap <= goal or late() or waited == TUNING.patience:
            break
        wanted = max(TUNING.share_open * certificate.absolute_gap, TUNING.share_other * goal)
    return best, newton_steps
