"""scikit-learn: Lasso for the squared loss, LogisticRegression for the logistic one."""

import warnings
from time import perf_counter
from typing import Any

import numpy as np

from ..formulations import ConvexProgram
from .backend import Array, Backend
from .monitor import Monitor

_FIRST, _LAST = 20, 1_000_000  # iterations of the first fit, doubled up to the last
_SCALING, _MOST_SCALING = 1e5, 1e8  # of liblinear's intercept column, ten times more each fit
_PATIENCE = 3  # fits without a better gap before it gives up


class ScikitLearn(Backend):
    """scikit-learn's estimators; ``options`` are their parameters."""

    name = "sklearn"
    package = "scikit-learn"

    def accepts(self, program: ConvexProgram) -> str | None:
        """See :class:`Backend`."""
        if program.loss.name not in ("squared", "logistic"):
            return f"has no estimator for the {program.loss.name} loss under the l1 norm"
        if program.strength == 0:
            return "its estimators take no strength of 0"
        target = program.target[program.row_weights > 0]
        if program.loss.name == "logistic" and (np.ptp(target, axis=0) == 0).any():
            return "its LogisticRegression takes no output with one class only"
        return None

    def compile(self, program: ConvexProgram) -> tuple[ConvexProgram, Any]:
        """See :class:`Backend`; the design as CSC, which it likes best for 0/1 columns."""
        return program, program.design.to_csc()

    def solve(self, model: Any, monitor: Monitor, options: dict[str, Any]) -> str:
        """See :class:`Backend`; fits again, tighter, until the gap is certified."""
        program, design = model
        # weights of mean 1, which its solvers' tolerances expect; rows of weight 0 play no part
        rows = program.row_weights > 0
        scale = program.row_weights[rows].mean()
        sample_weight = program.row_weights[rows] / scale
        for c in range(program.outputs):
            estimator = _estimator(program, scale, options)
            waited = 0
            while waited < _PATIENCE and estimator.max_iter <= _LAST:
                before = monitor.gaps[c]
                start = perf_counter()
                _fit(estimator, design[rows], program.target[rows, c], sample_weight)
                seconds = perf_counter() - start
                monitor.offer(*self.recover(model, estimator), outputs=[c])
                if monitor.out_of_time:
                    return "time limit"
                if monitor.gaps[c] <= monitor.share:
                    break
                waited = 0 if monitor.gaps[c] < before else waited + 1
                # twice as many iterations, or as many as fit into the time
                growth = min(2.0, monitor.remaining / seconds)
                _tighten(estimator, max(int(growth * estimator.max_iter), 1))
        return f"{type(estimator).__name__} ended"

    def recover(self, model: Any, raw: Any) -> tuple[Array, Array, Array | None]:
        """See :class:`Backend`; it hands out no dual point."""
        return (
            np.reshape(raw.coef_, (-1, 1)).astype(np.float64),
            np.reshape(raw.intercept_, 1).astype(np.float64),
            None,
        )


def _estimator(program: ConvexProgram, scale: float, options: dict[str, Any]) -> Any:
    """The estimator whose objective is the program's, up to a factor."""
    from sklearn.linear_model import Lasso, LogisticRegression

    settings: dict[str, Any] = {
        "fit_intercept": program.intercept,
        "max_iter": _FIRST,
        "tol": 1e-6,
    }
    if program.loss.name == "squared":
        # it divides by the sum of the weights
        settings |= {"alpha": program.strength / program.row_weights.sum(), "warm_start": True}
        return Lasso(**{**settings, **options})
    # saga does not penalise the intercept, but takes hundreds of times as long
    # here; liblinear's penalty on it vanishes as the scaling grows
    settings |= {
        "C": scale / program.strength,
        "l1_ratio": 1.0,
        "solver": "liblinear",
        "intercept_scaling": _SCALING,
        "random_state": 0,  # liblinear visits coordinates in random order
    }
    return LogisticRegression(**{**settings, **options})


def _fit(estimator: Any, design: Any, target: Array, sample_weight: Array) -> None:
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        # reaching max_iter is how a round ends; the certificate judges
        warnings.simplefilter("ignore", ConvergenceWarning)
        estimator.fit(design, target, sample_weight)


def _tighten(estimator: Any, iterations: int) -> None:
    """Ask the next fit for more."""
    estimator.set_params(max_iter=iterations, tol=max(0.1 * estimator.tol, 1e-15))
    if hasattr(estimator, "intercept_scaling"):
        scaling = min(10 * estimator.intercept_scaling, _MOST_SCALING)
        estimator.set_params(intercept_scaling=scaling)
