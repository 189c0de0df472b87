"""admm: built-in alternating direction method of multipliers, for every loss and penalty.

The constraints z = D w + b and kappa u = kappa w split the loss (in z) from the penalty (in u);
see Boyd et al. (2011). Every step fits w and b to both copies by least squares. The matrix is
kappa^2 I + D'D or, if smaller, kappa^2 I + D D' (Woodbury). It depends neither on rho, which the
solver balances between the two residuals, nor on the strength, so one factorisation serves all
steps and strengths. Steps update all outputs together. The model holds one float64 array of
(min(N, P), min(N, P)). Compilation needs two, and if N < P the N P bytes of an unpacked 0/1 D.
A solve needs about thirty float64 arrays of (N + P, C).
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve

from ...dictionaries import Design
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ...kernels import proximal
from ..anderson import Anderson
from ..backend import Backend
from ..monitor import Monitor

_RELAXATION = 1.6
_STEPS = 25  # steps between certificates, and before the first balancing of rho
_FIRST = 2  # steps before the first certificate: enough from an optimal start
_MEMORY = 10  # steps per extrapolation
_FARTHEST = 1e4  # longest extrapolation, in norms of these steps
_MOST_STEPS = 200_000
_PATIENCE = 200  # certificates without a better gap, after which the solver stops
_BOLD = 10  # certificates without a better gap, after which plain steps ensure convergence


@dataclass(frozen=True)
class LeastSquares:
    """Cholesky factor that minimises |D w - t|^2 + |kappa w - s|^2, in either Woodbury form."""

    design: Design
    kappa: float
    wide: bool  # N < P
    factor: Any

    def solve(self, t: Array, s: Array) -> tuple[Array, Array]:
        """Return W (P, C) and D W (N, C) for t (N, C) and s (P, C)."""
        if not self.wide:
            weights = cho_solve(self.factor, self.design.rmatvec(t) + self.kappa * s)
            return weights, self.design.matvec(weights)
        # from w = s / kappa, a correction of least norm moves D w towards t
        start = s / self.kappa
        alpha = cho_solve(self.factor, t - self.design.matvec(start))
        return start + self.design.rmatvec(alpha), t - self.kappa**2 * alpha


def least_squares(design: Design, wide: bool) -> LeastSquares:
    """Factor D'D, or D D' if ``wide``, plus kappa^2, the median of the diagonal of D'D."""
    ridge = float(np.median(design.squared_norms())) or 1.0
    rows = design.transpose() if wide else design
    system = rows.gram().astype(np.float64, order="F")  # LAPACK's order: factored in place
    diagonal = np.diag_indices_from(system)
    # the diagonal covers the rounding of a Gram matrix that is not an exact count
    system[diagonal] = system[diagonal] * (1.0 + len(system) * design.gram_rounding) + ridge
    factor = cho_factor(system, lower=True, overwrite_a=True)
    return LeastSquares(design, float(np.sqrt(ridge)), wide, factor)


@dataclass(frozen=True)
class SplittingModel:
    """Program, its least squares, and their response to the intercept 1.

    ``response`` (P, 1) is the w that fits D w to ones. ``left`` (N, 1) is the residual of this
    fit. ``pivot``, the sum of ``left``, is the Schur complement of the intercept.
    """

    program: ConvexProgram
    squares: LeastSquares
    response: Array
    left: Array
    pivot: float

    def fit(self, t: Array, s: Array) -> tuple[Array, Array, Array]:
        """Return W, b and D W + b that minimise |D W + b - t|^2 + |kappa W - s|^2."""
        weights, fit = self.squares.solve(t, s)
        intercept = np.zeros(t.shape[1])
        if self.program.intercept:
            intercept = (t - fit).sum(axis=0) / self.pivot
            weights = weights - self.response * intercept
            fit = fit + self.left * intercept
        return np.ascontiguousarray(weights), intercept, np.ascontiguousarray(fit)


class ADMM(Backend):
    """Built-in ADMM; it has no options."""

    name = "admm"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        return None

    def compile(self, program: ConvexProgram) -> SplittingModel:
        """See :class:`Backend`; computes D'D or D D' and factors it once."""
        n, atoms = program.design.shape
        squares = least_squares(program.design, wide=n < atoms)
        response, fit = squares.solve(np.ones((n, 1)), np.zeros((atoms, 1)))
        left = 1.0 - fit
        # the sum of left, as a sum of squares: with an all-ones column it is close to 0
        pivot = float((left**2).sum() + ((squares.kappa * response) ** 2).sum())
        return SplittingModel(program, squares, response, left, pivot)

    def update(self, model: SplittingModel, program: ConvexProgram) -> SplittingModel:
        """See :class:`Backend`; the factor is unchanged."""
        return replace(model, program=program)

    def solve(self, model: SplittingModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        if options:
            raise ValueError(f"options: admm takes none, got {sorted(options)}; remove them")
        program, kappa = model.program, model.squares.kappa
        n = program.design.shape[0]
        rho = first_rho(program)
        # rows of z, then of u; an optimal answer of the monitor makes a fixed point
        fit = program.affine(monitor.weights, monitor.intercept)
        copy = np.vstack([fit, kappa * monitor.weights])
        dual = np.vstack([-monitor.dual_point, program.design.rmatvec(monitor.dual_point) / kappa])
        dual /= rho
        extrapolation = Extrapolation(copy + dual)
        norms = np.empty(4)
        best, waited = np.inf, 0
        next_balance = _STEPS  # intervals double: convergence is proven for a rho that settles
        for step in range(1, _MOST_STEPS + 1):
            wanted = copy - dual
            weights, intercept, fit = model.fit(wanted[:n], wanted[n:])
            _split(program, kappa, rho, fit, kappa * weights, copy, dual, norms)
            monitor.iterations += 1
            if step % _STEPS == 0 or step == _FIRST or monitor.out_of_time:
                residuals = monitor.residuals = _residuals(norms)
                # u serves as W, because it has zeros; minus rho times z's multiplier is V
                monitor.offer(copy[n:] / kappa, intercept, -rho * dual[:n])
                if monitor.done:
                    return f"gap reached after {step} steps"
                if monitor.out_of_time:
                    return f"time limit after {step} steps"
                gap = float(monitor.absolute_gaps.sum())
                waited = 0 if gap < best else waited + 1
                best = min(best, gap)
                if waited == _PATIENCE:
                    return f"no better gap in {_PATIENCE * _STEPS} steps, after {step}"
            if step == next_balance:
                next_balance *= 2
                balance = _balance(*residuals)
                rho *= balance
                dual /= balance
                extrapolation = Extrapolation(copy + dual)
                continue
            point = extrapolation.next(copy + dual, waited < _BOLD)
            if point is not None:
                copy = _proximal(program, kappa, rho, point)
                dual = point - copy
        return f"{_MOST_STEPS} steps"


class Extrapolation:
    """Anderson extrapolation of the last steps: their limit if all were the same linear map.

    The steps are a fixed-point iteration in copy + dual, which determines both. The solver keeps
    a guess only if the step from it is no longer than the step before it, so steps never grow
    (Zhang, O'Donoghue, Boyd 2020). Far from the optimum the operators are flat and steps are
    short too. Hence the least squares are regularised, and a guess too far from the last steps
    is rejected. Extrapolation saves few steps for smooth losses. For losses with kinks, whose
    iterates spiral in, it takes a third of the steps, and a tenth in the slowest cases.
    """

    def __init__(self, state: Array) -> None:
        self._anderson = Anderson(_MEMORY - 1)
        self._fallback: Array | None = None
        self._longest = np.inf
        self._state: Array = state
        self._lengths: list[float] = []

    def next(self, state: Array, guess: bool = True) -> Array | None:
        """Add the state after one more step; return another state to continue from, or None.

        Return a new guess only if ``guess`` is True.
        """
        length = float(np.linalg.norm(state - self._state))
        fallback, self._fallback = self._fallback, None
        # a NaN length counts as longer
        if fallback is not None and not length <= self._longest:
            self._begin(fallback)
            return fallback
        self._anderson.add([self._state.ravel()], [state.ravel()])
        self._state, self._lengths = state, [*self._lengths, length]
        if len(self._lengths) < _MEMORY:
            return None
        reach = _FARTHEST * np.linalg.norm(self._lengths)
        self._begin(state)
        point = state.copy()
        self._anderson.mix([point.reshape(-1)])
        if not (guess and np.linalg.norm(point - state) <= reach < np.inf):  # NaN neither
            return None
        self._begin(point)
        self._fallback, self._longest = state, length
        return point

    def _begin(self, state: Array) -> None:
        """Restart the count of steps at a state; the next guess needs a full memory."""
        self._state, self._lengths = state, []


def _split(
    program: ConvexProgram,
    kappa: float,
    rho: float,
    fit: Array,
    weights: Array,
    copy: Array,
    dual: Array,
    norms: Array,
) -> None:
    """Update the copies of fits and kappa w by one step, in place; ``norms`` as in the kernel."""
    n, loss, penalty = len(fit), program.loss, program.penalty
    if loss.code is not None and penalty.norm is not None:
        proximal.split_step(
            loss.code,
            loss.delta,
            penalty.norm == "rows",
            program.target,
            program.row_weights,
            program.strength / kappa,  # the constraint is on kappa w
            rho,
            _RELAXATION,
            fit,
            weights,
            copy[:n],
            copy[n:],
            dual[:n],
            dual[n:],
            norms,
        )
        return
    linear = np.vstack([fit, weights])
    points = dual + _RELAXATION * linear + (1.0 - _RELAXATION) * copy
    new = _proximal(program, kappa, rho, points)
    norms[:] = (
        ((linear - new) ** 2).sum(),
        ((new - copy) ** 2).sum(),
        np.maximum(linear**2, new**2).sum(),
        ((points - new) ** 2).sum(),
    )
    copy[:], dual[:] = new, points - new


def _proximal(program: ConvexProgram, kappa: float, rho: float, points: Array) -> Array:
    """Apply the proximal operators of loss and penalty to points (N + P, C)."""
    n = len(program.target)
    fits = program.loss.prox(points[:n], program.target, program.row_weights / rho)
    if program.penalty.norm is not None:
        weights = program.penalty.prox(points[n:], program.strength / (kappa * rho))
    else:  # for w = u / kappa: kappa is not a factor of this penalty
        step = program.strength / (kappa**2 * rho)
        weights = kappa * program.penalty.prox(points[n:] / kappa, step)
    return np.vstack([fits, weights])


def first_rho(program: ConvexProgram) -> float:
    """Return the size of V over that of the fits at W = 0, so that units of targets do not matter.

    For labels, which have no units, and for the squared loss it is the mean row weight.
    """
    rho = float(program.row_weights.mean())
    if program.loss.labels or not program.loss.separable:
        return rho
    fit = np.broadcast_to(program.null_intercept, program.target.shape)
    slopes = program.row_weights @ np.abs(program.loss.gradient(fit, program.target))
    sizes = program.row_weights @ np.abs(program.target - fit)
    return rho * float(slopes.sum() / sizes.sum()) if sizes.any() else rho


def _residuals(norms: Array) -> tuple[float, float]:
    """Return the primal residual relative to the constraints' sides, the dual to multipliers."""
    primal, change, size, multiplier = np.sqrt(norms).tolist()  # no warnings where squares overflow
    return primal / (size or 1.0), change / (multiplier or 1.0)


def _balance(primal: float, dual: float) -> float:
    """Return the factor on rho that equalises the residuals, between 0.1 and 10."""
    if not (0 < primal < np.inf and 0 < dual < np.inf):  # NaN neither
        return 1.0
    return float(np.clip(np.sqrt(primal / dual), 0.1, 10.0))
