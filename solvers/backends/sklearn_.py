"""scikit-learn: estimators whose objective equals the program's up to a factor."""

from collections.abc import Iterator
from contextlib import nullcontext
from threading import Lock
from time import perf_counter
from typing import Any

import numpy as np
from scipy import sparse

from ...dictionaries import DenseMatrix
from ...dictionaries.validation import Array
from ...formulations import ConvexProgram
from ...formulations.losses import Logistic, Softmax, Squared, SquaredHinge
from ..backend import Backend
from ..monitor import Monitor
from ..process import MutedWarnings
from ..turns import Turn, take_turns

_FIRST, _LAST = 20, 1_000_000  # iterations of the first fit, doubled up to the last
_SCALING, _MOST_SCALING = 1e5, 1e8  # of liblinear's intercept column, ten times more each fit
_PATIENCE = 3  # fits without a better gap, after which the backend stops
# an iteration of LogisticRegression's liblinear makes up to a thousand passes over the design,
# each worth up to 2.5 products with it (measured; most iterations take a thousandth of that)
_LONGEST = 2500

# whether the point of a fit is worth certifying, by the fit's warning, if any
STATUSES = {
    "converged": True,
    "ConvergenceWarning": True,  # iterations ran out
}
_CONVERGENCE = MutedWarnings()
_LIBLINEAR_ALONE = Lock()  # liblinear has one sequence of random numbers for all threads


class ScikitLearn(Backend):
    """Adapter of scikit-learn's estimators; ``options`` are their parameters.

    The estimators are Lasso, MultiTaskLasso (squared loss under the group norm), LinearSVC
    (squared hinge) and LogisticRegression, by liblinear or for the softmax loss by saga. They
    have no time limit. If the caller sets one, the first fit has one iteration, and each later
    fit at most twice as many. The adapter chooses the number from the time of the last fit. For
    liblinear's LogisticRegression, whose iterations vary widely, it uses the longest possible
    time of an iteration. So at most one iteration exceeds the limit.
    """

    name = "sklearn"
    package = "scikit-learn"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        loss, norm = type(program.loss), program.penalty.norm
        grouped = norm == "rows" and program.outputs > 1
        if loss not in _ESTIMATORS or norm is None or (grouped and loss is not Squared):
            return (
                f"has no estimator for the {program.loss.name} loss under the "
                f"{program.penalty.name} penalty"
            )
        if program.strength == 0:
            return "its estimators need a strength above 0"
        held = program.row_weights > 0
        if grouped and np.ptp(program.row_weights[held]) > 0:
            return "its MultiTaskLasso does not support different row weights"
        target = program.target[held]
        if program.loss.labels and (np.ptp(target, axis=0) == 0).any():
            return "its classifiers need two classes per output, and an output has only one class"
        if loss is Softmax and program.intercept:
            return "its saga solver stops when the weights converge, even if intercepts have not"
        if loss is Softmax and not target.any(axis=0).all():
            return "its LogisticRegression needs rows of every class, and a class has none"
        return None

    def compile(self, program: ConvexProgram) -> tuple[ConvexProgram, Any]:
        """See :class:`Backend`; a 0/1 design becomes CSC, the best format for most estimators."""
        design, rows = program.design, program.row_weights > 0
        if isinstance(design, DenseMatrix):
            return program, np.asfortranarray(design.to_dense()[rows])
        return program, design.to_csc()[rows]

    def update(self, model: Any, program: ConvexProgram) -> tuple[ConvexProgram, Any]:
        """See :class:`Backend`."""
        return program, model[1]

    def solve(self, model: Any, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; fits to tighter tolerances until the gap is certified."""
        program, design = model
        # weights of mean 1, which the solvers' tolerances expect; rows of weight 0 are dropped
        rows = program.row_weights > 0
        scale = program.row_weights[rows].mean()
        sample_weight = program.row_weights[rows] / scale
        message = "not started"
        fits: dict[int, Iterator[tuple[str, bool]]] = {}

        def step(number: int, turn: Turn) -> bool:
            nonlocal message
            if monitor.out_of_time:
                return True
            if number not in fits:
                block = program.blocks[number]
                estimator = _estimator(program.select(block), scale, options)
                data = design, _target(program, rows, block), sample_weight
                fits[number] = _fits(estimator, data, number, block, monitor, turn)
            message, goes_on = next(fits[number])
            return goes_on

        take_turns(monitor, range(len(program.blocks)), step)
        return message


def _fits(
    estimator: Any,
    data: tuple[Any, Array, Array],
    number: int,
    block: tuple[int, ...],
    monitor: Monitor,
    turn: Turn,
) -> Iterator[tuple[str, bool]]:
    """Fit an estimator to tighter tolerances and offer each answer.

    At the end of each turn, yield a message, and whether more time would help.
    """
    part, whole, longest, waited = monitor.program.select(block), estimator.max_iter, 0.0, 0
    if np.isfinite(monitor.remaining):
        estimator.set_params(max_iter=1)  # the cost of an iteration is unknown so far
        longest = _longest(estimator, data[0])
    while waited < _PATIENCE and estimator.max_iter <= _LAST:
        before = monitor.absolute_gaps[number]
        start = perf_counter()
        status = _fit(estimator, *data)
        seconds = perf_counter() - start
        iterations = int(np.max(estimator.n_iter_))
        monitor.iterations += iterations
        if STATUSES.get(status, False):
            monitor.offer(*_answer(part, estimator), outputs=block)
        message = f"{status} ({type(estimator).__name__})"
        if monitor.absolute_gaps[number] <= monitor.block_gap:
            break
        if status == "converged" or estimator.max_iter >= whole:
            waited = 0 if monitor.absolute_gaps[number] < before else waited + 1
            _tighten(estimator)
        if turn.late:
            yield message, True
        # twice as many iterations, or as many as fit into the time
        if longest:  # liblinear has no warm start
            while turn.remaining < seconds:
                yield f"{message}: another fit does not fit into the time", not turn.whole
            more = (turn.remaining - seconds) / longest
            affordable = estimator.max_iter + max(more, 1)
        else:
            affordable = turn.remaining / seconds * max(iterations, 1)
        estimator.set_params(max_iter=max(int(min(2 * estimator.max_iter, affordable)), 1))
    yield message, False


def _estimator(program: ConvexProgram, scale: float, options: dict[str, Any]) -> Any:
    """Return the estimator whose objective equals that of the block up to a factor."""
    kind, settings = _ESTIMATORS[type(program.loss)](program, scale)
    common = {"fit_intercept": program.intercept, "max_iter": _FIRST, "tol": 1e-6}
    common["random_state"] = 0  # without a seed they draw from the random state of the process
    return kind(**{**common, **settings, **options})


def _lasso(program: ConvexProgram, scale: float) -> tuple[Any, dict[str, Any]]:
    from sklearn import linear_model

    kind = linear_model.MultiTaskLasso if program.norm_width > 1 else linear_model.Lasso
    # the estimator divides by the sum of the weights
    return kind, {"alpha": program.strength / program.row_weights.sum(), "warm_start": True}


def _linear_svc(program: ConvexProgram, scale: float) -> tuple[Any, dict[str, Any]]:
    from sklearn import svm

    settings: dict[str, Any] = {"C": scale / program.strength / 2, "penalty": "l1", "dual": False}
    return svm.LinearSVC, settings | _LIBLINEAR


def _logistic_regression(program: ConvexProgram, scale: float) -> tuple[Any, dict[str, Any]]:
    from sklearn import linear_model

    settings: dict[str, Any] = {"C": scale / program.strength, "l1_ratio": 1.0}
    if program.loss.separable:
        return linear_model.LogisticRegression, settings | _LIBLINEAR | {"solver": "liblinear"}
    settings |= {"solver": "saga", "warm_start": True}
    return linear_model.LogisticRegression, settings


# liblinear's penalty on the intercept vanishes as the scaling grows
_LIBLINEAR: dict[str, Any] = {"intercept_scaling": _SCALING}
_ESTIMATORS = {
    Squared: _lasso,
    SquaredHinge: _linear_svc,
    Logistic: _logistic_regression,
    Softmax: _logistic_regression,
}


def _target(program: ConvexProgram, rows: Any, block: tuple[int, ...]) -> Array:
    """Return the target of a block's estimator: numbers, labels, or (n, C) numbers."""
    target: Array = program.target[rows][:, block]
    if not program.loss.separable:
        target = target.argmax(axis=1, keepdims=True).astype(np.float64)
    return target[:, 0] if target.shape[1] == 1 else target


def _fit(estimator: Any, design: Any, target: Array, sample_weight: Array) -> str:
    """Fit the estimator and return "converged" or the name of its convergence warning."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import MultiTaskLasso

    saga = getattr(estimator, "solver", None) == "saga"
    # MultiTaskLasso needs a dense design; on sparse ones saga's intercept is 100 times slower
    if sparse.issparse(design) and (saga or isinstance(estimator, MultiTaskLasso)):
        design = design.toarray()
    liblinear = _LIBLINEAR_ALONE if hasattr(estimator, "intercept_scaling") and not saga else None
    with liblinear or nullcontext(), _CONVERGENCE.muted(ConvergenceWarning) as told:
        if isinstance(estimator, MultiTaskLasso):
            estimator.fit(design, target)  # it has no sample weights
        else:
            estimator.fit(design, target, sample_weight)
    return told[-1].__name__ if told else "converged"


def _longest(estimator: Any, design: Any) -> float:
    """Return the longest time of an iteration of liblinear's LogisticRegression, else 0."""
    if getattr(estimator, "solver", None) != "liblinear":
        return 0.0
    start = perf_counter()
    design.T @ np.ones(design.shape[0])
    return _LONGEST * (perf_counter() - start)


def _answer(program: ConvexProgram, estimator: Any) -> tuple[Array, Array, Array]:
    """Return W (P, C), b (C,) and V (N, C), computed from the loss gradient at the fits."""
    weights = np.atleast_2d(estimator.coef_).astype(np.float64).T
    intercept = np.ravel(estimator.intercept_).astype(np.float64)
    if weights.shape[1] < program.outputs:
        # the estimator has one output for two classes: each gets half of it, at the same norm
        weights = np.hstack([-weights, weights]) / 2
        intercept = np.hstack([-intercept, intercept]) / 2
    intercept = np.broadcast_to(intercept, program.outputs)
    return weights, intercept, program.dual_at(program.affine(weights, intercept))


def _tighten(estimator: Any) -> None:
    """Tighten the tolerance of the next fit."""
    estimator.set_params(tol=max(0.1 * estimator.tol, 1e-15))
    if getattr(estimator, "solver", "liblinear") == "liblinear" and hasattr(
        estimator, "intercept_scaling"
    ):
        scaling = min(10 * estimator.intercept_scaling, _MOST_SCALING)
        estimator.set_params(intercept_scaling=scaling)
