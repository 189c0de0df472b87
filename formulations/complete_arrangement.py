"""The closed form for complete arrangements (Ergen et al. 2023, Theorem 2.3 and Corollary 4.1).

If every pattern of {0, 1}**n is a column of D, the program over all patterns is

    min_delta  sum_i a_i loss(delta_i, y_i) + strength (max(delta)_+ + max(-delta)_+).

For the losses here, an optimal delta_i is >= 0 in rows with y_i > 0 and <= 0 in the others. Both
sides are therefore solved separately, each by one number: the cap u in delta_i = min(y_i, u).
At the cap the sum of the remaining slopes, sum_i a_i max(-loss'(u, y_i), 0), equals the strength.
"""

from dataclasses import dataclass, field
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike

from ..dictionaries import BinaryMatrix
from ..dictionaries.validation import Array, array_shape
from .losses import Absolute, Hinge, Huber, Logistic, Loss, Squared, SquaredHinge
from .program import ConvexProgram

_UNPROVEN = 1e-9  # gap over the objective at 0; about 1e-13 if float64 resolves the targets


@dataclass(frozen=True, eq=False)
class CompleteArrangement:
    """The optimum over all patterns of n rows, and the network that attains it.

    Attributes
    ----------
    delta : (n,) array
        The fits. On each side of 0 they are multiples of the spacing of the largest
        one, so that sums of levels are exact.
    dual_point : (n,) array
        V, feasible for all 2**n patterns: its positive entries sum to at most the
        strength, its negative entries to at least minus the strength.
    objective : float
        Objective at delta, in units of the loss.
    absolute_gap : float
        Objective minus the dual objective; rounding is its only cause.
    """

    delta: Array = field(repr=False)
    dual_point: Array = field(repr=False)
    objective: float
    absolute_gap: float
    _one_atom: ConvexProgram = field(repr=False)

    @cached_property
    def patterns(self) -> BinaryMatrix:
        """The rows at which delta reaches each level, (n, p) with 1 <= p <= n; made on first use.

        The columns are 1{delta >= v} for the positive values v of delta, then 1{delta <= v}
        for the negative ones, both from 0 outwards. If delta is 0 everywhere, the only column
        is the pattern of ones, with weight 0.
        """
        return BinaryMatrix.hstack(
            BinaryMatrix.from_dense(np.greater_equal.outer(side, levels))
            for side, levels in self._sides
        )

    @cached_property
    def weights(self) -> Array:
        """The steps between levels, (p, 1), with patterns @ weights == delta."""
        (_, rises), (_, falls) = self._sides
        steps = [np.diff(rises, prepend=0.0), -np.diff(falls, prepend=0.0)]
        return np.concatenate(steps)[:, None]

    @cached_property
    def program(self) -> ConvexProgram:
        """The program over these patterns alone; ``weights`` are an optimum of it."""
        one = self._one_atom
        return ConvexProgram(self.patterns, one.target, one.loss, one.strength, one.row_weights)

    @property
    def _sides(self) -> list[tuple[Array, Array]]:
        """Delta and its positive levels, then minus delta and its positive levels."""
        positive = np.unique(self.delta[self.delta > 0])
        negative = np.unique(-self.delta[self.delta < 0])
        if positive.size + negative.size == 0:
            positive = np.zeros(1)
        return [(self.delta, positive), (-self.delta, negative)]


def complete_arrangement(
    target: ArrayLike,
    loss: str | Loss = "squared",
    strength: float = 0.0,
    row_weights: ArrayLike | None = None,
) -> CompleteArrangement:
    """Solve the program over all 2**n patterns of n rows, in O(n log n).

    Parameters
    ----------
    target : (n,) array
        Numbers that the loss takes.
    loss : {"squared", "absolute", "huber", "hinge", "squared_hinge", "logistic"} or Huber
    strength : float
        lambda, finite and >= 0; above 0 for the logistic loss, which has no minimum.
    row_weights : (n,) array, optional
        a, finite, >= 0 and not all 0; by default 1/n each (a mean).

    Returns
    -------
    CompleteArrangement

    Raises
    ------
    ValueError
        If an argument has another shape or range. If the loss is another one; softmax couples
        outputs. If rounding leaves a gap above 1e-9 of the objective at 0: for example, float64
        cannot hold the squares of the targets, or they exceed 1e16 times Huber's delta.

    Examples
    --------
    >>> import bidual as bd
    >>> best = bd.complete_arrangement([3.0, 1.0, -2.0], strength=0.25)
    >>> best.delta.tolist(), best.objective
    ([2.25, 1.0, -1.25], 1.0625)
    >>> best.patterns.to_dense().tolist(), best.weights.ravel().tolist()
    ([[1.0, 1.0, 0.0], [1.0, 0.0, 0.0], [0.0, 0.0, 1.0]], [1.0, 1.25, -1.25])
    """
    shape = array_shape("target", target)
    rows = shape[0] if shape else 0
    if rows == 0:
        raise ValueError(f"target: expected shape (n,) with n >= 1, got {shape}")
    atom = BinaryMatrix.from_dense(np.ones((rows, 1)))
    one_atom = ConvexProgram(atom, target, loss, strength, row_weights)
    if type(one_atom.loss) not in _CAPS:
        raise ValueError(
            f"loss: expected one of {sorted(known.name for known in _CAPS)}, for which a closed "
            f"form is known, got {one_atom.loss.name!r}"
        )
    if one_atom.outputs != 1:
        raise ValueError(
            f"target: expected shape ({rows},), got {np.shape(target)}; call once per output"
        )
    if isinstance(one_atom.loss, Logistic) and one_atom.strength == 0:
        raise ValueError("strength: expected a number > 0 for the logistic loss, got 0")
    y = one_atom.target[:, 0]
    with np.errstate(over="ignore", invalid="ignore"):  # infinity and NaN are refused
        (up, rising), (down, falling) = (_side(one_atom, sign * y) for sign in (1.0, -1.0))
        delta, dual_point = up - down, rising - falling
        objective, gap = _proven(one_atom, delta, dual_point)
        reference = one_atom.reference
    if not (np.isfinite(reference) and gap <= _UNPROVEN * reference):
        raise ValueError(
            f"target: expected numbers of a size for which float64 solves the {one_atom.loss.name} "
            f"loss, got up to {np.abs(y).max():.3g}: a gap of {gap:.3g} remains beside an "
            f"objective of {reference:.3g} at 0; rescale the targets"
        )
    return CompleteArrangement(delta, dual_point, objective, gap, one_atom)


def _side(program: ConvexProgram, y: Array) -> tuple[Array, Array]:
    """Return delta and V of the rows with y > 0, both >= 0, and zeros for the others."""
    loss, a, strength = program.loss, program.row_weights, program.strength
    here = np.flatnonzero((y > 0) & (a > 0))
    cap = _CAPS[type(loss)](loss, y[here], a[here], strength)
    wanted = np.where(y > 0, np.inf if isinstance(loss, Logistic) else y, 0.0)
    delta = np.minimum(wanted, cap)
    v = np.where(y > 0, -a * loss.gradient(delta, y), 0.0)
    kinks = loss.kinks(delta, y) & (delta == cap) & (delta > 0)
    if kinks.any():  # rows at the cap with a choice take the rest of the strength
        held = a[kinks].sum()
        share = (strength - v.sum()) / held if held > 0 else 0.0
        v[kinks] = np.clip(share, 0.0, 1.0) * a[kinks]
    total = v.sum()
    grid = np.spacing(delta.max())
    return np.rint(delta / grid) * grid, v * (strength / total) if total > strength else v


def _proven(program: ConvexProgram, delta: Array, dual_point: Array) -> tuple[float, float]:
    """Return the objective at delta, and its gap to the dual as a sum of terms >= 0."""
    fit, v, a = delta[:, None], dual_point[:, None], program.row_weights[:, None]
    gap = float(program.loss.fenchel_young(fit, v, program.target, a).sum())
    objective = float(program.data_loss(fit).sum())
    for side, slopes in ((delta, dual_point), (-delta, -dual_point)):
        cap, pulling = max(float(side.max()), 0.0), slopes > 0
        objective += program.strength * cap
        gap += float(slopes[pulling] @ (cap - side[pulling]))
        gap += cap * max(program.strength - float(slopes[pulling].sum()), 0.0)
    return objective, gap


def _falling_line(points: Array, slopes: Array, strength: float) -> float:
    """Return the least u >= 0 with sum_k slopes_k max(points_k - u, 0) <= strength."""
    order = np.argsort(-points)
    knots = np.append(points[order], 0.0)
    slope = np.cumsum(slopes[order])
    height = np.maximum.accumulate(np.cumsum(slope * -np.diff(knots)))  # at knots[1:]
    k = int(np.searchsorted(height, strength, side="right"))
    if k == height.size:
        return 0.0
    before = height[k - 1] if k else 0.0
    return float(np.clip(knots[k] - (strength - before) / slope[k], knots[k + 1], knots[k]))


def _squared_cap(loss: Loss, y: Array, a: Array, strength: float) -> float:
    return _falling_line(y, a, strength)


def _huber_cap(loss: Loss, y: Array, a: Array, strength: float) -> float:
    # min(r, delta) = max(r, 0) - max(r - delta, 0) for residuals r >= 0
    far = y > loss.delta
    points = np.concatenate([y, y[far] - loss.delta])
    return _falling_line(points, np.concatenate([a, -a[far]]), strength)


def _absolute_cap(loss: Loss, y: Array, a: Array, strength: float) -> float:
    """Return the least u >= 0 such that the rows above it weigh at most the strength."""
    order = np.argsort(-y)
    k = int(np.searchsorted(np.cumsum(a[order]), strength, side="right"))
    return float(y[order[k]]) if k < y.size else 0.0


def _logistic_cap(loss: Loss, y: Array, a: Array, strength: float) -> float:
    weight = float(a.sum())
    # weight / (1 + exp(u)) is the strength
    return float(np.log(weight - strength) - np.log(strength)) if 2 * strength < weight else 0.0


# up to |z| = 1 the hinge is linear and its square quadratic; beyond it both are 0
_CAPS = {
    Squared: _squared_cap,
    SquaredHinge: _squared_cap,
    Huber: _huber_cap,
    Absolute: _absolute_cap,
    Hinge: _absolute_cap,
    Logistic: _logistic_cap,
}
