"""ConvexProgram: the convex program that training becomes, and its dual.

    minimise over W (P, C), b (C,)   sum_i a_i loss((D W + b)_i, y_i) + strength * ||W||_1
    maximise over V (N, C)           -sum_i (a_i loss)*(-V_i)
                                     with |d_j' V_c| <= strength for every atom and output,
                                     and columns of V that sum to 0 where there is an intercept.

Both have the same value (Ergen et al. 2023, Theorem 2.2 and Corollary 4.1).
"""

from collections.abc import Sequence
from functools import cached_property

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import BinaryMatrix
from .arrays import finite_array
from .conic import ConicForm, lower
from .losses import Loss, find_loss
from .penalties import L1

Array = NDArray[np.float64]

_ROUNDING = 1e-12  # relative room for float64 in the constraints of the dual


class ConvexProgram:
    """Loss plus penalty over a 0/1 design.

    Parameters
    ----------
    design : BinaryMatrix
        The dictionary D, shape (N, P) with N and P >= 1.
    target : (N,) or (N, C) array
        Numbers that the loss takes: -1 and +1 for hinge and logistic.
    loss : {"squared", "hinge", "logistic"} or Loss
    strength : float
        lambda, finite and >= 0.
    row_weights : (N,) array, optional
        a, finite, >= 0 and not all 0; 1/N each (a mean) unless given.
    intercept : bool
        Whether each output has an intercept b, which is not penalised.
    classes : array, optional
        The labels that outputs stand for, kept for the network.

    Raises
    ------
    ValueError
        If a part has another shape or range.
    TypeError
        If the design is not a BinaryMatrix.

    Examples
    --------
    >>> import bidual as bd
    >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
    >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], loss="squared", strength=0.1)
    >>> program.lambda_max
    1.0
    """

    def __init__(
        self,
        design: BinaryMatrix,
        target: ArrayLike,
        loss: str | Loss = "squared",
        strength: float = 0.0,
        row_weights: ArrayLike | None = None,
        intercept: bool = False,
        classes: NDArray[np.generic] | None = None,
    ) -> None:
        if not isinstance(design, BinaryMatrix):
            raise TypeError(f"design: expected a BinaryMatrix, got {type(design).__name__}")
        n, atoms = design.shape
        if n == 0 or atoms == 0:
            raise ValueError(f"design: expected at least one row and one atom, got {design!r}")
        targets = np.array(target, dtype=np.float64)
        if targets.ndim not in (1, 2) or targets.shape[0] != n or targets.size == 0:
            raise ValueError(f"target: expected shape ({n},) or ({n}, C), got {targets.shape}")
        found = find_loss(loss)
        found.check_targets(targets, "target")
        weights = np.full(n, 1.0 / n) if row_weights is None else np.array(row_weights, float)
        if weights.shape != (n,):
            raise ValueError(f"row_weights: expected shape ({n},), got {weights.shape}")
        if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
            raise ValueError("row_weights: expected finite numbers >= 0, at least one above 0")
        self.design = design
        targets.flags.writeable = weights.flags.writeable = False
        self.target = targets.reshape(n, -1)
        self.loss = found
        self.penalty = L1()
        self.strength = _checked_strength(strength)
        self.row_weights = weights
        self.intercept = bool(intercept)
        self.classes = classes

    def __repr__(self) -> str:
        n, atoms = self.design.shape
        return (
            f"ConvexProgram({self.loss.name} + {self.penalty.name}, {n} rows, {atoms} atoms, "
            f"{self.outputs} outputs, strength {self.strength:.6g}"
            f"{', intercept' if self.intercept else ''})"
        )

    @property
    def outputs(self) -> int:
        """Number of outputs C."""
        return int(self.target.shape[1])

    def with_strength(self, strength: float) -> "ConvexProgram":
        """Return the same program at another strength."""
        return ConvexProgram(
            self.design,
            self.target,
            self.loss,
            strength,
            self.row_weights,
            self.intercept,
            self.classes,
        )

    def select(self, outputs: Sequence[int]) -> "ConvexProgram":
        """Return the program of some outputs alone; the penalty separates them."""
        return ConvexProgram(
            self.design,
            self.target[:, list(outputs)],
            self.loss,
            self.strength,
            self.row_weights,
            self.intercept,
        )

    def checked_answer(self, weights: ArrayLike, intercept: ArrayLike) -> tuple[Array, Array]:
        """Return W (P, C) and b (C,) as float64, one number serving as every b.

        Raises
        ------
        ValueError
            If a shape is another one, an entry is not finite, or there is an
            intercept although the program has none.
        """
        W = finite_array("weights", weights, self.design.shape[1], self.outputs)
        b = np.asarray(intercept, dtype=np.float64)
        b = finite_array("intercept", np.full(self.outputs, b) if b.ndim == 0 else b, self.outputs)
        if b.any() and not self.intercept:
            raise ValueError(f"intercept: expected none, the program has none; got {b}")
        return W, b

    def affine(self, weights: Array, intercept: Array) -> Array:
        """Z = D W + b, shape (N, C)."""
        return self.design.matvec(weights) + intercept

    def data_loss(self, fit: Array) -> Array:
        """Weighted loss of each output at Z = ``fit``; shape (C,)."""
        losses = self.loss.value(fit, self.target)
        summed: Array = self.row_weights @ losses
        return summed

    def primal(self, weights: ArrayLike, intercept: ArrayLike = 0.0) -> float:
        """Objective at W (P,) or (P, C) and b (scalar or (C,)), summed over outputs."""
        W, b = self.checked_answer(weights, intercept)
        value = self.data_loss(self.affine(W, b)) + self.strength * self.penalty.value(W)
        return float(value.sum())

    def dual(self, V: ArrayLike) -> float:
        """Dual objective at V (N,) or (N, C); minus infinity where V is not feasible.

        Feasible up to a relative 1e-12 in prices and sums, the room that
        rounding needs in float64.
        """
        v = finite_array("V", V, *self.target.shape)
        lower_bound, upper_bound = self.loss.domain(self.target, self.row_weights[:, None])
        inside = bool(((v >= lower_bound) & (v <= upper_bound)).all())
        room = _ROUNDING * float(np.abs(v).sum())
        priced = np.abs(self.design.rmatvec(v)).max() <= self.strength + room
        sums, sizes = np.abs(v.sum(axis=0)), np.abs(v).sum(axis=0)
        summed = not self.intercept or bool((sums <= _ROUNDING * sizes).all())
        if not (inside and priced and summed):
            return -np.inf
        return float(-self.loss.conjugate(v, self.target, self.row_weights[:, None]).sum())

    def dual_at(self, fit: Array) -> Array:
        """V (N, C) that belongs to Z = ``fit``: minus the gradient, moved into the domain.

        At kinks, where the subgradients leave a choice, an intercept's zero
        sum is sought among them first.
        """
        v: Array = -self.row_weights[:, None] * self.loss.gradient(fit, self.target)
        if self.intercept:
            lower_bound, upper_bound = self.loss.domain(self.target, self.row_weights[:, None])
            kinks = self.loss.kinks(fit, self.target)
            v = _spread(v, np.where(kinks, lower_bound, v), np.where(kinks, upper_bound, v), 1.0)
        return self.into_domain(v)

    def into_domain(self, V: Array) -> Array:
        """Move V (N, C) into the domain of the conjugate, with columns that sum to 0 if asked.

        Entries are clipped; what an intercept's zero sum then lacks is spread
        over the rows in proportion to the room that each has.
        """
        lower_bound, upper_bound = self.loss.domain(self.target, self.row_weights[:, None])
        v: Array = np.clip(V, lower_bound, upper_bound)
        if self.intercept:
            for _ in range(3):  # what rounding leaves over is spread again
                v = _spread(v, lower_bound, upper_bound, self.row_weights[:, None])
            # a column that rounding alone keeps from 0, as with a single row
            v = np.where(np.abs(v.sum(axis=0)) <= _ROUNDING * np.abs(v).sum(axis=0), v, 0.0)
        return v

    @cached_property
    def null_intercept(self) -> Array:
        """b0 (C,), the best intercept at W = 0; zeros without an intercept."""
        if not self.intercept:
            return np.zeros(self.outputs)
        return self.loss.best_constant(self.target, self.row_weights[:, None])

    @cached_property
    def references(self) -> Array:
        """Objective of each output at W = 0 and b0, shape (C,)."""
        return self.data_loss(np.broadcast_to(self.null_intercept, self.target.shape))

    @property
    def reference(self) -> float:
        """Objective at W = 0 and b0, the unit of relative gaps; 0 means that W = 0 is optimal."""
        return float(self.references.sum())

    def relative(self, gap: float) -> float:
        """Tell a gap relative to the reference; where that is 0, 0 for no gap and else infinity."""
        if self.reference > 0:
            return gap / self.reference
        return 0.0 if gap <= 0 else np.inf

    @cached_property
    def lambda_max(self) -> float:
        """Strength from which on W = 0 is optimal: max |D'V| at W = 0.

        The smallest such strength, except for the hinge loss with an intercept,
        where the smallest would be a linear program and this is a bound on it.
        """
        start = np.broadcast_to(self.null_intercept, self.target.shape)
        return float(np.abs(self.design.rmatvec(self.dual_at(start))).max())

    def to_conic(self, quadratic: bool = True) -> ConicForm:
        """Lower to cones, with a quadratic objective (squared loss) or purely conic."""
        return lower(
            self.design,
            self.target,
            self.loss,
            self.strength,
            self.row_weights,
            self.intercept,
            quadratic,
        )


def _spread(v: Array, lower_bound: Array, upper_bound: Array, endless: Array | float) -> Array:
    """Bring column sums as close to 0 as the bounds allow, each row by its share of the room.

    ``endless`` is the room of an entry without a bound.
    """
    surplus = v.sum(axis=0)
    room = np.where(surplus > 0, v - lower_bound, upper_bound - v)
    room = np.where(np.isinf(room), endless, room)
    total = room.sum(axis=0)
    share = np.divide(surplus, total, out=np.zeros_like(total), where=total > 0)
    moved: Array = v - room * np.abs(share) * np.sign(surplus)
    return np.clip(moved, lower_bound, upper_bound)


def _checked_strength(strength: float) -> float:
    value = float(strength)
    if not 0 <= value < np.inf:
        raise ValueError(f"strength: expected a finite number >= 0, got {strength}")
    return value
