"""ConvexProgram: the convex program of training, and its dual.

    minimise over W (P, C), b (C,)   sum_i a_i loss((D W + b)_i, y_i) + strength * norm(W)
    maximise over V (N, C)           -sum_i (a_i loss)*(-V_i)
                                     with |d_j' V_c| <= strength for every atom and output,
                                     or |D_j' V|_2 <= strength under the group norm,
                                     and columns of V that sum to 0 if the program has an intercept.

Both have the same value (Ergen et al. 2023, Theorem 2.2 and Corollary 4.1).
If loss and penalty are sums over outputs, so is the program. Its blocks are the
sets of outputs that must be solved together.
"""

from collections.abc import Sequence
from copy import copy
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ..dictionaries import BinaryMatrix, Design, SpikeDictionary
from ..dictionaries.matrix.operands import column_numbers
from ..dictionaries.validation import Array, check_flag, finite_array, real_array
from ..networks.labels import checked_labels
from .epigraph import Cone
from .laws import check_loss, check_penalty
from .least_strength import least_strength
from .losses import Loss, find_loss
from .losses.loss import balance_sums
from .lowering.conic import ConicForm, lower
from .lowering.qp import QuadraticProgram, from_form
from .penalties import Penalty, find_penalty
from .targets import OVERFLOW, checked_row_weights, checked_strength

_ROUNDING = 1e-12  # relative rounding allowed in the constraints of the dual


class ConvexProgram:
    """Loss plus penalty over a design: 0/1 spike patterns, or any real matrix.

    Parameters
    ----------
    design : BinaryMatrix or DenseMatrix
        The dictionary D, shape (N, P) with N and P >= 1.
    target : (N,) or (N, C) array
        Targets that the loss takes: -1 and +1 for hinge, squared_hinge and
        logistic, one-hot rows for softmax.
    loss : {"squared", "absolute", "huber", "hinge", "squared_hinge", "logistic", "softmax"} or Loss
    strength : float
        lambda, the factor of the penalty; finite and >= 0.
    row_weights : (N,) array, optional
        a, finite, >= 0 and not all 0; by default 1/N each (a mean).
    intercept : bool
        Whether each output has an intercept b, which is not penalised.
    classes : array, optional
        The class labels of the outputs; a rebuilt network predicts them.
    penalty : {"l1", "group"} or Penalty
        The sum of absolute entries of W, or of the 2-norms of its rows.

    Attributes
    ----------
    blocks : tuple of tuple of int
        The outputs, grouped into sets that must be solved together.
    source : NetworkClass, Network or None
        The network class that stated the program, or the network whose readout it is.
    dictionary : SpikeDictionary or None
        The dictionary of the network class; its atoms are the design.

    Raises
    ------
    ValueError
        If an argument has another shape or range.
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
                f"design: expected a BinaryMatrix or DenseMatrix, got {type(design).__name__}; "
                "use bd.BinaryMatrix.from_dense for 0/1 entries, bd.DenseMatrix for others"
            )
        n, atoms = design.shape
        if n == 0 or atoms == 0:
            raise ValueError(f"design: expected at least one row and one atom, got {design!r}")
        targets = real_array("target", target).copy()
        if targets.ndim not in (1, 2) or targets.shape[0] != n or targets.size == 0:
            raise ValueError(f"target: expected shape ({n},) or ({n}, C), got {targets.shape}")
        found = find_loss(loss)
        found.check_targets(targets, "target")
        check_loss(found, targets.reshape(n, -1))
        norm = find_penalty(penalty)
        check_penalty(norm, (atoms, targets.reshape(n, -1).shape[1]))
        weights = checked_row_weights(row_weights, n)
        # a Design; Any, so that callers who have checked for 0/1 need no cast for mypy
        self.design: BinaryMatrix | Any = design
        targets.flags.writeable = weights.flags.writeable = False
        self.target = targets.reshape(n, -1)
        self.loss = found
        self.penalty = norm
        self.strength = checked_strength(strength)
        self.row_weights = weights
        self.intercept = check_flag("intercept", intercept)
        self.classes = None if classes is None else checked_labels(classes, self.outputs)
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
        """Return the same program at another strength; both share all other parts and results."""
        other = copy(self)
        other.strength = checked_strength(strength)
        return other

    def select(self, outputs: Sequence[int]) -> "ConvexProgram":
        """Return the program of one block of outputs, or of several whole blocks.

        Raises
        ------
        ValueError
            If the outputs split a block, or one does not exist.
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
        """Return the program over some atoms, given as a list of columns or as a mask."""
        chosen = column_numbers(columns, self.design.shape[1])
        if self.dictionary is None:
            return self._over(self.design.take(chosen), self.penalty.take(chosen))
        some = self.dictionary.take(chosen)
        return self._over(some.atoms, self.penalty.take(chosen)).stated_by(self.source, some)

    def over(self, design: Design) -> "ConvexProgram":
        """Return the same program over another design with N rows, without a network class.

        Raises
        ------
        ValueError
            If the penalty has parameters per atom that do not fit the design.
        """
        return self._over(design, self.penalty)

    def _over(self, design: Design, penalty: Penalty) -> "ConvexProgram":
        check_penalty(penalty, (design.shape[1], self.outputs))
        other = copy(self)
        other.design, other.penalty = design, penalty
        other.source = other.dictionary = None
        for found in ("lambda_max", "null_dual"):
            other.__dict__.pop(found, None)
        return other

    def stated_by(self, source: Any, dictionary: SpikeDictionary | None = None) -> "ConvexProgram":
        """Return the same program with its source, for :meth:`Solution.network`."""
        other = copy(self)
        other.source, other.dictionary = source, dictionary
        return other

    def checked_answer(self, weights: ArrayLike, intercept: ArrayLike) -> tuple[Array, Array]:
        """Return W (P, C) and b (C,) as float64; one number becomes every b, and b may be (1, C).

        Raises
        ------
        ValueError
            If a shape differs, an entry is not finite, or an intercept is given for a
            program without one.
        """
        W = finite_array("weights", weights, self.design.shape[1], self.outputs)
        b = real_array("intercept", intercept)
        b = np.full(self.outputs, b) if b.ndim == 0 else b[0] if b.shape[:-1] == (1,) else b
        b = finite_array("intercept", b, self.outputs)
        if b.any() and not self.intercept:
            raise ValueError(f"intercept: expected 0, as the program has no intercept, got {b}")
        return W, b

    def affine(self, weights: Array, intercept: Array) -> Array:
        """Return Z = D W + b, shape (N, C)."""
        return self.design.matvec(weights) + intercept

    @np.errstate(over="ignore", invalid="ignore")
    def data_loss(self, fit: Array) -> Array:
        """Return the weighted loss of each block at Z = ``fit``; shape (B,)."""
        return self.by_block(self.row_weights @ self.loss.value(fit, self.target))

    def by_block(self, values: Array) -> Array:
        """Sum values (C,) over the outputs of each block, (B,); return values (1,) unchanged."""
        return values if values.size == len(self.blocks) else values.sum(keepdims=True)

    def objectives(self, weights: Array, fit: Array) -> Array:
        """Return the objective of each block at W with Z = ``fit``; shape (B,)."""
        return self.data_loss(fit) + self.strength * self.by_block(self.penalty.value(weights))

    def primal(self, weights: ArrayLike, intercept: ArrayLike = 0.0) -> float:
        """Return the objective at W (P,) or (P, C) and b (scalar or (C,)), summed over outputs."""
        W, b = self.checked_answer(weights, intercept)
        return float(self.objectives(W, self.affine(W, b)).sum())

    def dual(self, V: ArrayLike) -> float:
        """Return the dual objective at V (N,) or (N, C); minus infinity if V is not feasible.

        Prices and column sums may violate their constraints by a relative 1e-12, the rounding
        of float64. For prices this is relative to the sum of the absolute entries of V.
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
        """Return the penalty's conjugate at the prices of V; infinity if they are not feasible."""
        if self.penalty.norm is not None:
            feasible = self.largest_prices(v).max() <= self.strength + self.price_room(v)
            return 0.0 if feasible else np.inf
        prices = self.design.rmatvec(v)
        if self.strength == 0:
            return np.inf if np.abs(prices).max(initial=0.0) > self.price_room(v) else 0.0
        scaling = self.penalty.scaling(prices, self.strength)
        if not (scaling >= 1.0 - _ROUNDING).all():
            return np.inf
        return float(self.penalty.conjugate(prices * scaling, self.strength).sum())

    @property
    def norm_width(self) -> int:
        """Number of outputs that one norm of the penalty covers: 1, or all.

        Raises
        ------
        ValueError
            If the penalty is not one of the two norms.
        """
        if self.penalty.norm is None:
            raise ValueError(
                f"penalty: expected the norm l1 or group, whose largest price the strength "
                f"bounds, got {self.penalty.name}"
            )
        return 1 if self.penalty.norm == "entries" else self.outputs

    def largest_prices(self, V: Array) -> Array:
        """Return the largest price of each block over all atoms, in the penalty's dual norm.

        The shape is (B,); for K points side by side, V (N, K C), it is (K, B).
        """
        return self.price(V, [])[0]

    def price(self, V: Array, columns: ArrayLike) -> tuple[Array, Array]:
        """Return these, and the prices (A, C) or (A, K C) of a few atoms, in one pass over D."""
        largest, prices = self.design.price(V, columns, self.norm_width)
        points = V.shape[1] // self.outputs
        by_block = largest.reshape(points, len(self.blocks), -1).max(axis=2)
        return by_block[0] if points == 1 else by_block, prices

    def dual_at(self, fit: Array) -> Array:
        """Return V (N, C) at Z = ``fit``: minus the gradient, moved into the domain.

        With an intercept columns of V must sum to 0. At kinks, where V may be any subgradient,
        the method first chooses among these.
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
        """Move V (N, C) into the conjugate's domain; with an intercept its columns sum to 0."""
        a = self.row_weights[:, None]
        v = self.loss.move_inside(V, self.target, a, self.intercept)
        if self.intercept:
            # columns that only rounding keeps from 0, for example of a single row
            fine = np.abs(v.sum(axis=0)) <= _ROUNDING * np.abs(v).sum(axis=0)
            v = np.where(fine if self.loss.separable else fine.all(), v, 0.0)
        return v

    @cached_property
    def null_intercept(self) -> Array:
        """b0 (C,): the best intercept at W = 0; zeros without an intercept."""
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
        return float(sum(self.references.tolist()))  # no warning of an overflow

    def relative(self, gap: float) -> float:
        """Return gap / reference; if the reference is 0, 0 for no gap, else infinity."""
        if self.reference > 0:
            return gap / self.reference
        return 0.0 if gap <= 0 and not self.null_dual[0].any() else np.inf

    @cached_property
    def null_dual(self) -> tuple[Array, Array]:
        """V (N, C) at W = 0 and b0, and under a norm its largest prices (B,)."""
        with np.errstate(over="ignore", invalid="ignore"):
            v = self.dual_at(np.broadcast_to(self.null_intercept, self.target.shape))
        if not (np.isfinite(self.reference) and np.isfinite(v).all()):
            raise ValueError(OVERFLOW)
        return v, np.zeros(0) if self.penalty.norm is None else self.largest_prices(v)

    @cached_property
    def lambda_max(self) -> float:
        """Strength from which on W = 0 is optimal: the largest price at W = 0.

        It is the smallest such strength, except for the hinge and absolute losses. For these
        it is an upper bound; the smallest is the value of a linear program.
        """
        v, prices = self.null_dual
        if self.penalty.norm is None:
            return least_strength(self.penalty, self.design.rmatvec(v))
        largest = float(prices.max())
        # with an intercept and constant columns the prices are rounding only
        return largest if largest > self.price_room(v) else 0.0

    def price_room(self, V: Array) -> float:
        """Bound the rounding of a price at V (N, C)."""
        return _ROUNDING * self.design.magnitude * float(np.abs(V).sum())

    def to_conic(self, quadratic: bool = True) -> ConicForm:
        """Lower to cones: keep a quadratic objective if the loss has one, or use cones only.

        Examples
        --------
        A budget on synapses, at most 1.5 in absolute weight, is one more row:

        >>> import bidual as bd, clarabel, numpy as np, scipy.sparse as sp
        >>> D = bd.BinaryMatrix.from_dense([[1, 0], [1, 1], [0, 1]])
        >>> program = bd.ConvexProgram(D, [1.0, 2.0, -1.0], "squared", 0.0)
        >>> form = program.to_conic()
        >>> row = np.zeros((1, form.matrix.shape[1]))
        >>> row[0, 2:4] = 1.0  # without an intercept t, which bounds |w|, follows w
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
        return lower(self, check_flag("quadratic", quadratic))

    def cones(self, quadratic: bool = True) -> set[Cone]:
        """Return the cones that :meth:`to_conic` needs besides zero and nonnegative.

        Raises
        ------
        NotImplementedError
            If the loss or penalty does not define ``epigraph``.
        """
        row = np.flatnonzero(self.row_weights > 0)[:1]
        y, a = self.target[row], self.row_weights[row, None]
        if self.loss.separable:
            y = y[:, :1]
        blocks = (
            *self.loss.epigraph(y, a, check_flag("quadratic", quadratic)).blocks,
            *self.penalty.epigraph(1, self.block_width).blocks,
        )
        return {block.cone for block in blocks} - {"zero", "nonnegative"}

    @property
    def block_width(self) -> int:
        """Number of outputs of a block: 1, or all."""
        return len(self.blocks[0])

    def to_qp(self) -> QuadraticProgram:
        """Lower to a quadratic program with rows between bounds, linear for absolute and hinge.

        Raises
        ------
        ValueError
            If the loss or penalty needs a cone: logistic, softmax, and the group norm of
            several outputs.

        Examples
        --------
        A nonnegative readout by further rows, which bound w:

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
                f"program: expected a quadratic program, got {self.loss.name} + "
                f"{self.penalty.name}, which needs a {cone} cone; use to_conic()"
            )
        return from_form(self.to_conic())

    def to_cvxpy(self) -> Any:
        """State the program as a ``cvxpy.Problem``, to solve or extend in CVXPY.

        Its variables are "weights" (P, C), "fits" (N, C) and, for a program with an intercept,
        "intercept" (1, C). Its parameter is "strength", so that CVXPY compiles the problem once
        for all strengths (DPP). The multiplier of its first constraint, fits - D W - b = 0, is V.

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
        from .lowering.modelling import state  # needs cvxpy

        return state(self)
