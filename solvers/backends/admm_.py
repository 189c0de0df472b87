"""admm: the alternating direction method of multipliers, our own, for every loss and penalty.

The constraints z = D w + b and kappa u = kappa w split the loss (in z) from
the penalty (in u); Boyd et al. 2011. Every step fits w and b to both copies by
least squares, with the one matrix kappa^2 I + D'D or, where that is smaller,
kappa^2 I + D D' (Woodbury): rho, balanced between the two residuals as it
goes, does not enter it, nor does the strength, so one factorisation serves
them all. All outputs move together. Memory: one float64 array of
(min(N, P), min(N, P)), two while it compiles, and where N < P then also the
N P bytes of a 0/1 D unpacked; some thirty of (N + P, C) while it solves.
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
_STEPS = 25  # between certificates, and until the first balancing of rho
_FIRST = 2  # steps before the first certificate: all that a start at the optimum needs
_MEMORY = 10  # steps that an extrapolation looks at
_FARTHEST = 1e4  # how far it may go, in norms of these steps
_MOST_STEPS = 200_000
_PATIENCE = 200  # certificates without a better gap before it gives up
_BOLD = 10  # certificates without a better gap before it takes plain steps, which do converge


@dataclass(frozen=True)
class LeastSquares:
    """Minimises |D w - t|^2 + |kappa w - s|^2 by one Cholesky factor, in either Woodbury form."""

    design: Design
    kappa: float
    wide: bool  # N < P
    factor: Any

    def solve(self, t: Array, s: Array) -> tuple[Array, Array]:
        """W (P, C) and D W (N, C) for t (N, C) and s (P, C)."""
        if not self.wide:
            weights = cho_solve(self.factor, self.design.rmatvec(t) + self.kappa * s)
            return weights, self.design.matvec(weights)
        # from w = s / kappa on, what is left is the least norm that moves D w towards t
        start = s / self.kappa
        alpha = cho_solve(self.factor, t - self.design.matvec(start))
        return start + self.design.rmatvec(alpha), t - self.kappa**2 * alpha


def least_squares(design: Design, wide: bool) -> LeastSquares:
    """Make D'D, or D D' where ``wide``, and factor; kappa^2 is a median of D'D's diagonal."""
    ridge = float(np.median(design.squared_norms())) or 1.0
    rows = design.transpose() if wide else design
    system = rows.gram().astype(np.float64, order="F")  # LAPACK's order: factored in place
    diagonal = np.diag_indices_from(system)
    # what rounding may take of a matrix of dependent columns, where it is not counted
    system[diagonal] = system[diagonal] * (1.0 + len(system) * design.gram_rounding) + ridge
    factor = cho_factor(system, lower=True, overwrite_a=True)
    return LeastSquares(design, float(np.sqrt(ridge)), wide, factor)


@dataclass(frozen=True)
class SplittingModel:
    """The program, its least squares, and how these answer to the intercept 1.

    ``response`` (P, 1) is the w that fits D w to ones and ``left`` (N, 1) what
    it leaves of them, ``pivot`` their sum: the Schur complement of the intercept.
    """

    program: ConvexProgram
    squares: LeastSquares
    response: Array
    left: Array
    pivot: float

    def fit(self, t: Array, s: Array) -> tuple[Array, Array, Array]:
        """W, b and D W + b that minimise |D W + b - t|^2 + |kappa W - s|^2."""
        weights, fit = self.squares.solve(t, s)
        intercept = np.zeros(t.shape[1])
        if self.program.intercept:
            intercept = (t - fit).sum(axis=0) / self.pivot
            weights = weights - self.response * intercept
            fit = fit + self.left * intercept
        return np.ascontiguousarray(weights), intercept, np.ascontiguousarray(fit)


class ADMM(Backend):
    """Own ADMM; takes no options."""

    name = "admm"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        return None

    def compile(self, program: ConvexProgram) -> SplittingModel:
        """See :class:`Backend`; makes D'D or D D' and factors once."""
        n, atoms = program.design.shape
        squares = least_squares(program.design, wide=n < atoms)
        response, fit = squares.solve(np.ones((n, 1)), np.zeros((atoms, 1)))
        left = 1.0 - fit
        # the sum of left, as a sum of squares: an all-ones column leaves next to nothing
        pivot = float((left**2).sum() + ((squares.kappa * response) ** 2).sum())
        return SplittingModel(program, squares, response, left, pivot)

    def update(self, model: SplittingModel, program: ConvexProgram) -> SplittingModel:
        """See :class:`Backend`; the factor stays."""
        return replace(model, program=program)

    def solve(self, model: SplittingModel, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`."""
        if options:
            raise ValueError(f"options: admm takes none, got {sorted(options)}")
        program, kappa = model.program, model.squares.kappa
        n = program.design.shape[0]
        rho = first_rho(program)
        # rows of z and then of u; where the monitor's answer is optimal, these are a fixed point
        fit = program.affine(monitor.weights, monitor.intercept)
        copy = np.vstack([fit, kappa * monitor.weights])
        dual = np.vstack([-monitor.dual_point, program.design.rmatvec(monitor.dual_point) / kappa])
        dual /= rho
        extrapolation = Extrapolation(copy + dual)
        norms = np.empty(4)
        best, waited = np.inf, 0
        next_balance = _STEPS  # rarer and rarer: convergence is proven for a rho that settles
        for step in range(1, _MOST_STEPS + 1):
            wanted = copy - dual
            weights, intercept, fit = model.fit(wanted[:n], wanted[n:])
            _split(program, kappa, rho, fit, kappa * weights, copy, dual, norms)
            monitor.iterations += 1
            if step % _STEPS == 0 or step == _FIRST or monitor.out_of_time:
                residuals = monitor.residuals = _residuals(norms)
                # u for W, as it has zeros; minus rho times z's multiplier is V
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
    """Anderson's, over the last steps: where they would end if each were the same linear map.

    The steps are a fixed-point iteration in copy + dual, which both follow
    from. A guess is kept only if the step from it is no longer than the step
    before it was, so that steps never grow (Zhang, O'Donoghue, Boyd 2020). Far
    off, where the operators are flat, steps are short as well: the least squares
    are regularised, and a guess out of reach of the last steps is none. Smooth
    losses take a little fewer steps with it; those with kinks, whose iterates
    spiral in, a third, and a tenth where they were slowest.
    """

    def __init__(self, state: Array) -> None:
        self._anderson = Anderson(_MEMORY - 1)
        self._fallback: Array | None = None
        self._longest = np.inf
        self._state: Array = state
        self._lengths: list[float] = []

    def next(self, state: Array, guess: bool = True) -> Array | None:
        """Take the state after one more step; another one to go on from, or None.

        It is never a new guess unless ``guess``.
        """
        length = float(np.linalg.norm(state - self._state))
        fallback, self._fallback = self._fallback, None
        # NaN is no shorter either
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
        """Count steps from a state on: as many as fill Anderson's memory come before a guess."""
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
    """Do one step on the copies of fits and kappa w, in place; ``norms`` as in the kernel."""
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
    """The copies (N + P, C) that the operators of loss and penalty make of points."""
    n = len(program.target)
    fits = program.loss.prox(points[:n], program.target, program.row_weights / rho)
    if program.penalty.norm is not None:
        weights = program.penalty.prox(points[n:], program.strength / (kappa * rho))
    else:  # of w = u / kappa, which is no factor of the penalty
        step = program.strength / (kappa**2 * rho)
        weights = kappa * program.penalty.prox(points[n:] / kappa, step)
    return np.vstack([fits, weights])


def first_rho(program: ConvexProgram) -> float:
    """Size of V over that of the fits, at W = 0: units of targets do not matter, labels have none.

    For the squared loss that is the mean row weight.
    """
    rho = float(program.row_weights.mean())
    if program.loss.labels or not program.loss.separable:
        return rho
    fit = np.broadcast_to(program.null_intercept, program.target.shape)
    slopes = program.row_weights @ np.abs(program.loss.gradient(fit, program.target))
    sizes = program.row_weights @ np.abs(program.target - fit)
    return rho * float(slopes.sum() / sizes.sum()) if sizes.any() else rho


def _residuals(norms: Array) -> tuple[float, float]:
    """Primal residual relative to the constraints' sides, and dual relative to multipliers."""
    primal, change, size, multiplier = np.sqrt(norms).tolist()  # no warnings where squares overflow
    return primal / (size or 1.0), change / (multiplier or 1.0)


def _balance(primal: float, dual: float) -> float:
    """Factor on rho that would even the residuals out, at most 10 either way."""
    if not (0 < primal < np.inf and 0 < dual < np.inf):  # NaN neither
        return 1.0
    return float(np.clip(np.sqrt(primal / dual), 0.1, 10.0))
