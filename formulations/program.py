"""ConvexProgram: the convex program that training becomes, and its dual.

    minimise over W (P, C), b (C,)   sum_i a_i loss((D W + b)_i, y_i) + strength * norm(W)
    maximise over V (N, C)           -sum_i (a_i loss)*(-V_i)
                                     with |d_j' V_c| <= strength for every atom and output,
                                     or |D_j' V|_2 <= strength under the group norm,
                                     and columns of V that sum to 0 where there is an intercept.

Both have the same value (Ergen et al. 2023, Theorem 2.2 and Corollary 4.1).
Where loss and penalty are sums over outputs, so is the program: its blocks are
the sets of outputs that have to be solved together.
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import BinaryMatrix, Design, SpikeDictionary
from ..dictionaries.validation import Array, check_number, finite_array
from .conic import ConicForm, lower
from .epigraph import Cone
from .laws import check_loss, check_penalty
from .losses import Loss, find_loss
from .losses.loss import balance_sums
from .penalties import Penalty, find_penalty
from .qp import QuadraticProgram, from_form

_ROUNDING = 1e-12  # relative room for float64 in the constraints of the dual
_ENDLESS = 2.0**60  # strengths past this share of the largest price are as good as infinite


class ConvexProgram:
    """Loss plus penalty over a design: 0/1 as of spikes, or any real matrix.

    Parameters
    ----------
    design : BinaryMatrix or DenseMatrix
        The dictionary D, shape (N, P) with N and P >= 1.
    target : (N,) or (N, C) array
        Numbers that the loss takes: -1 and +1 for hinge, squared_hinge and
        logistic, one-hot rows for softmax.
    loss : {"squared", "absolute", "huber", "hinge", "squared_hinge", "logistic", "softmax"} or Loss
    strength : float
        lambda, finite and >= 0.
    row_weights : (N,) array, optional
        a, finite, >= 0 and not all 0; 1/N each (a mean) unless given.
    intercept : bool
        Whether each output has an intercept b, which is not penalised.
    classes : array, optional
        The labels that outputs stand for, kept for the network.
    penalty : {"l1", "group"} or Penalty
        Entries of W on their own, or rows of W in the 2-norm.

    Attributes
    ----------
    blocks : tuple of tuple of int
        The outputs, grouped by what has to be solved together.
    source : NetworkClass, Network or None
        The network class that stated the program, or the network whose readout it is.
    dictionary : SpikeDictionary or None
        That of a network class, whose atoms are the design.

    Raises
    ------
    ValueError
        If a part has another shape or range.
    TypeError
        If the design is neither a BinaryMatrix nor a DenseMatrix.

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
        design: Design,
        target: ArrayLike,
        loss: str | Loss = "squared",
        strength: float = 0.0,
        row_weights: ArrayLike | None = None,
        intercept: bool = False,
        classes: NDArray[np.generic] | None = None,
        penalty: str | Penalty = "l1",
    ) -> None:
        if not isinstance(design, Design):
            raise TypeError(
                f"design: expected a BinaryMatrix, got {type(design).__name__}; numbers other "
                "than 0 and 1 go in as a DenseMatrix"
            )
        n, atoms = design.shape
        if n == 0 or atoms == 0:
            raise ValueError(f"design: expected at least one row and one atom, got {design!r}")
        try:
            targets = np.array(target, dtype=np.float64)
        except (TypeError, ValueError) as error:
            raise ValueError(f"target: expected numbers, got {target!r:.60}") from error
        if targets.ndim not in (1, 2) or targets.shape[0] != n or targets.size == 0:
            raise ValueError(f"target: expected shape ({n},) or ({n}, C), got {targets.shape}")
        found = find_loss(loss)
        found.check_targets(targets, "target")
        check_loss(found, targets.reshape(n, -1))
        norm = find_penalty(penalty)
        check_penalty(norm)
        weights = np.full(n, 1.0 / n) if row_weights is None else np.array(row_weights, float)
        if weights.shape != (n,):
            raise ValueError(f"row_weights: expected shape ({n},), got {weights.shape}")
        if not np.isfinite(weights).all() or weights.min() < 0 or weights.max() == 0:
            raise ValueError("row_weights: expected finite numbers >= 0, at least one above 0")
        # a Design; Any, since those who have checked that it is 0/1 need not say so to mypy
        self.design: BinaryMatrix | Any = design
        targets.flags.writeable = weights.flags.writeable = False
        self.target = targets.reshape(n, -1)
        self.loss = found
        self.penalty = norm
        self.strength = _checked_strength(strength)
        self.row_weights = weights
        self.intercept = bool(intercept)
        self.classes = classes
        self.source: Any = None
        self.dictionary: SpikeDictionary | None = None
        each = tuple((c,) for c in range(self.outputs))
        apart = found.separable and norm.separable
        self.blocks = each if apart or self.outputs == 1 else (tuple(range(self.outputs)),)

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
        """Return the same program at another strength; all else is shared, what is known too."""
        other = copy(self)
        other.strength = _checked_strength(strength)
        return other

    def select(self, outputs: Sequence[int]) -> "ConvexProgram":
        """Return the program of one block of outputs, or of several whole ones.

        Raises
        ------
        ValueError
            If the outputs take a block apart, or one is not there.
        """
        chosen = list(outputs)
        whole = {c for block in self.blocks if set(block) <= set(chosen) for c in block}
        if whole != set(chosen):
            raise ValueError(f"outputs: expected whole blocks of {self.blocks}, got {chosen}")
        return ConvexProgram(
            self.design,
            self.target[:, chosen],
            self.loss,
            self.strength,
            self.row_weights,
            self.intercept,
            penalty=self.penalty,
        ).stated_by(self.source, self.dictionary)

    def take(self, columns: ArrayLike) -> "ConvexProgram":
        """Return the program over some atoms alone, as the design's ``take`` chooses them."""
        if self.dictionary is None:
            return self.over(self.design.take(columns))
        some = self.dictionary.take(columns)
        return self.over(some.atoms).stated_by(self.source, some)

    def over(self, design: Design) -> "ConvexProgram":
        """Return the same program over another design of as many rows, of no network class."""
        other = copy(self)
        other.design = design
        other.source = other.dictionary = None
        other.__dict__.pop("lambda_max", None)
        return other

    def stated_by(self, source: Any, dictionary: SpikeDictionary | None = None) -> "ConvexProgram":
        """Return the same program with what stated it, for :meth:`Solution.network`."""
        other = copy(self)
        other.source, other.dictionary = source, dictionary
        return other

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
        """Weighted loss of each block at Z = ``fit``; shape (B,)."""
        return self.by_block(self.row_weights @ self.loss.value(fit, self.target))

    def by_block(self, values: Array) -> Array:
        """Sums over the outputs of each block, (B,), of values (C,), or (1,) where one is all."""
        return values if values.size == len(self.blocks) else values.sum(keepdims=True)

    def objectives(self, weights: Array, fit: Array) -> Array:
        """Objective of each block at W with Z = ``fit``; shape (B,)."""
        return self.data_loss(fit) + self.strength * self.by_block(self.penalty.value(weights))

    def primal(self, weights: ArrayLike, intercept: ArrayLike = 0.0) -> float:
        """Objective at W (P,) or (P, C) and b (scalar or (C,)), summed over outputs."""
        W, b = self.checked_answer(weights, intercept)
        return float(self.objectives(W, self.affine(W, b)).sum())

    def dual(self, V: ArrayLike) -> float:
        """Dual objective at V (N,) or (N, C); minus infinity where V is not feasible.

        Feasible up to a relative 1e-12 in prices and sums, the room that
        rounding needs in float64; of prices relative to what they could add up to.
        """
        v = finite_array("V", V, *self.target.shape)
        inside = self.loss.contains(v, self.target, self.row_weights[:, None], _ROUNDING)
        sums, sizes = np.abs(v.sum(axis=0)), np.abs(v).sum(axis=0)
        summed = not self.intercept or bool((sums <= _ROUNDING * sizes).all())
        if not (inside and summed):
            return -np.inf
        paid = self._paid_prices(v)
        return float(-self.loss.conjugate(v, self.target, self.row_weights[:, None]).sum() - paid)

    def _paid_prices(self, v: Array) -> float:
        """The penalty's conjugate at the prices of V; infinity where they are not feasible."""
        if self.penalty.norm is not None:
            feasible = self.largest_prices(v).max() <= self.strength + self._price_room(v)
            return 0.0 if feasible else np.inf
        prices = self.design.rmatvec(v)
        scaling = self.penalty.scaling(prices, self.strength)
        if not (scaling >= 1.0 - _ROUNDING).all():
            return np.inf
        return float(self.penalty.conjugate(prices * scaling, self.strength).sum())

    @property
    def norm_width(self) -> int:
        """Outputs that one norm of the penalty covers: 1, or all of them.

        Raises
        ------
        ValueError
            If the penalty is not one of the two norms.
        """
        if self.penalty.norm is None:
            raise ValueError(
                f"penalty: expected the norm l1 or group, got {self.penalty.name}, whose prices "
                "have no largest that the strength bounds"
            )
        return 1 if self.penalty.norm == "entries" else self.outputs

    def largest_prices(self, V: Array) -> Array:
        """The largest price of each block over all atoms, in the norm that the strength bounds.

        Shape (B,); for K points side by side, V (N, K C), it is (K, B).
        """
        return self.price(V, [])[0]

    def price(self, V: Array, columns: ArrayLike) -> tuple[Array, Array]:
        """The same, and the prices (A, C) or (A, K C) of a few atoms, in one pass over D."""
        largest, prices = self.design.price(V, columns, self.norm_width)
        points = V.shape[1] // self.outputs
        by_block = largest.reshape(points, len(self.blocks), -1).max(axis=2)
        return by_block[0] if points == 1 else by_block, prices

    def dual_at(self, fit: Array) -> Array:
        """V (N, C) that belongs to Z = ``fit``: minus the gradient, moved into the domain.

        At kinks, where the subgradients leave a choice, an intercept's zero
        sum is sought among them first.
        """
        v: Array = -self.row_weights[:, None] * self.loss.gradient(fit, self.target)
        if self.intercept and self.loss.curvature == np.inf:
            lower_bound, upper_bound = self.loss.domain(self.target, self.row_weights[:, None])
            kinks = self.loss.kinks(fit, self.target)
            v = balance_sums(
                v, np.where(kinks, lower_bound, v), np.where(kinks, upper_bound, v), 1.0
            )
        return self.into_domain(v)

    def into_domain(self, V: Array) -> Array:
        """Move V (N, C) into the domain of the conjugate, with columns that sum to 0 if asked."""
        a = self.row_weights[:, None]
        v = self.loss.move_inside(V, self.target, a, self.intercept)
        if self.intercept:
            # a column that rounding alone keeps from 0, as with a single row
            fine = np.abs(v.sum(axis=0)) <= _ROUNDING * np.abs(v).sum(axis=0)
            v = np.where(fine if self.loss.separable else fine.all(), v, 0.0)
        return v

    @cached_property
    def null_intercept(self) -> Array:
        """b0 (C,), the best intercept at W = 0; zeros without an intercept."""
        if not self.intercept:
            return np.zeros(self.outputs)
        return self.loss.best_constant(self.target, self.row_weights[:, None])

    @cached_property
    def references(self) -> Array:
        """Objective of each block at W = 0 and b0, shape (B,)."""
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
        """Strength from which on W = 0 is optimal: the largest price at W = 0.

        The smallest such strength, except for the hinge and absolute losses, where
        the smallest may be the value of a linear program and this is a bound on it.
        """
        start = np.broadcast_to(self.null_intercept, self.target.shape)
        v = self.dual_at(start)
        if self.penalty.norm is None:
            return self._least_strength(self.design.rmatvec(v))
        largest = float(self.largest_prices(v).max())
        # where every column is constant beside an intercept, rounding is all that is left
        return largest if largest > self._price_room(v) else 0.0

    def _least_strength(self, prices: Array) -> float:
        """The strength from which on the penalty's conjugate is 0 at ``prices``, rounded up.

        There W = 0 attains the supremum that the conjugate is.
        """

        def attained(strength: float) -> bool:
            return bool((self.penalty.conjugate(prices, strength) <= 0).all())

        if not prices.any():
            return 0.0
        high = float(np.abs(prices).max())
        while not attained(high) and high < _ENDLESS * float(np.abs(prices).max()):
            high *= 2.0
        low = 0.0
        while high - low > _ROUNDING * high:
            middle = 0.5 * (low + high)
            low, high = (low, middle) if attained(middle) else (middle, high)
        return high

    def _price_room(self, V: Array) -> float:
        """What rounding may add to a price at V."""
        return _ROUNDING * self.design.magnitude * float(np.abs(V).sum())

    def to_conic(self, quadratic: bool = True) -> ConicForm:
        """Lower to cones, with a quadratic objective where the loss has one, or purely conic.

        Examples
        --------
        A budget on synapses, no more than 1.5 in absolute weight, as one more row:

        >>> import bidual as bd, clarabel, numpy as np, scipy.sparse as sp
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.0)
        >>> form = program.to_conic()
        >>> row = np.zeros((1, form.matrix.shape[1]))
        >>> row[0, 2:4] = 1.0  # t, which bounds |w|, stands behind w where there is no intercept
        >>> settings = clarabel.DefaultSettings()
        >>> settings.verbose = False
        >>> solver = clarabel.DefaultSolver(
        ...     form.quadratic,
        ...     form.linear[:, 0],
        ...     sp.vstack([form.matrix, sp.csc_array(row)], format="csc"),
        ...     np.append(form.bounds[:, 0], 1.5),
        ...     [clarabel.ZeroConeT(form.zero), clarabel.NonnegativeConeT(form.nonnegative + 1)],
        ...     settings,
        ... )
        >>> weights = form.weights(np.array(solver.solve().x))
        >>> weights.round(3).ravel().tolist(), program.primal(weights) < 0.4
        ([1.417, -0.083], True)
        """
        return lower(
            self.design,
            self.target,
            self.loss,
            self.penalty,
            self.strength,
            self.row_weights,
            self.intercept,
            quadratic,
        )

    def cones(self, quadratic: bool = True) -> set[Cone]:
        """Cones that :meth:`to_conic` needs beyond zero and nonnegative.

        Raises
        ------
        NotImplementedError
            If loss or penalty do not define ``epigraph``.
        """
        row = np.flatnonzero(self.row_weights > 0)[:1]
        y, a = self.target[row], self.row_weights[row, None]
        if self.loss.separable:
            y = y[:, :1]
        blocks = (
            *self.loss.epigraph(y, a, quadratic).blocks,
            *self.penalty.epigraph(1, self.block_width).blocks,
        )
        return {block.cone for block in blocks} - {"zero", "nonnegative"}

    @property
    def block_width(self) -> int:
        """Outputs of a block: 1, or all of them."""
        return len(self.blocks[0])

    def to_qp(self) -> QuadraticProgram:
        """Lower to a quadratic program, rows between bounds; linear for absolute and hinge.

        Raises
        ------
        ValueError
            If loss or penalty need a cone: logistic, softmax, and the group norm
            of several outputs.

        Examples
        --------
        A nonnegative readout, by bounds on w as further rows:

        >>> import bidual as bd, numpy as np, osqp, scipy.sparse as sp
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> qp = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.1).to_qp()
        >>> solver = osqp.OSQP()
        >>> solver.setup(
        ...     sp.csc_matrix(qp.quadratic),
        ...     qp.linear[:, 0],
        ...     sp.csc_matrix(sp.vstack([qp.matrix, sp.eye_array(2, qp.matrix.shape[1])])),
        ...     np.append(qp.lower[:, 0], np.zeros(2)),
        ...     np.append(qp.upper[:, 0], np.full(2, np.inf)),
        ...     verbose=False,
        ...     eps_abs=1e-9,
        ...     eps_rel=1e-9,
        ... )
        >>> solution = solver.solve(raise_error=True).x
        >>> (np.abs(qp.form.weights(solution).round(3)) + 0.0).ravel().tolist()
        [1.35, 0.0]
        """
        for cone in sorted(self.cones()):
            raise ValueError(
                f"program: expected one that is quadratic, got {self.loss.name} + "
                f"{self.penalty.name}, which needs a {cone} cone"
            )
        return from_form(self.to_conic())

    def to_cvxpy(self) -> Any:
        """State the program as a ``cvxpy.Problem``, to be solved by CVXPY or extended.

        Its variables are "weights" (P, C), "fits" (N, C) and, where there is one,
        "intercept" (1, C); its parameter is "strength": a problem compiles once for
        all strengths (DPP). The multiplier of its first constraint,
        fits - D W - b = 0, is V.

        Raises
        ------
        ModuleNotFoundError
            If cvxpy is not installed.

        Examples
        --------
        A nonnegative readout:

        >>> import bidual as bd, cvxpy as cp
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> problem = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.1).to_cvxpy()
        >>> W = problem.var_dict["weights"]
        >>> positive = cp.Problem(problem.objective, [*problem.constraints, W >= 0])
        >>> round(float(positive.solve(solver="CLARABEL")), 4)
        0.3925
        """
        from .modelling import state  # needs cvxpy

        return state(
            self.design,
            self.target,
            self.loss,
            self.penalty,
            self.strength,
            self.row_weights,
            self.intercept,
        )


def _checked_strength(strength: float) -> float:
    check_number("strength", strength, zero=True)
    return float(strength)
